// SPDX-License-Identifier: BSD-2-Clause
//! What is counted while somebody measures, and figures that take more than one page.

use crate::system::{MIB, RAM, System, UNLIMITED};
use kmalloc_protocol::message::quick::QuickRequest;
use kmalloc_protocol::statistics::{BlockFigures, CallFigures, Subject};
use kmalloc_protocol::{Reply, Request};
use kmalloc_server::kernel::ClientIndex;

/// Number of `Kfree` in a message, and one behind the last request's.
const KFREE: u8 = 4;
const NO_REQUEST: u8 = kmalloc_protocol::message::REQUEST_COUNT;

fn measure(system: &mut System, client: ClientIndex, cursor: u64) {
    let request = Request::Observe {
        subject: Subject::Measure as u8,
        of: 0,
        cursor,
    };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
}

#[test]
fn requests_are_measured_from_when_somebody_asks_until_nobody_does() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    assert!(!system.server.measures());
    measure(&mut system, client, 1);
    assert!(system.server.measures() && !system.server.is_tracing());
    measure(&mut system, client, 0);
    assert!(!system.server.measures());
    // A trace has the times of all, whatever a client says.
    system.server.trace();
    assert!(system.server.measures() && system.server.is_tracing());
    measure(&mut system, client, 0);
    assert!(system.server.measures());
}

#[test]
fn how_long_requests_took_is_told_by_their_number() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for (operation, ticks) in [(KFREE, 300), (KFREE, 500), (NO_REQUEST, 700)] {
        system.server.note_call(operation, ticks);
    }
    let mut expected = CallFigures {
        ticks: 800,
        ..CallFigures::default()
    };
    expected.steps[1] = 2;
    assert_eq!(system.server.call_figures(KFREE), Some(expected));
    let nothing = CallFigures::default();
    assert_eq!(system.server.call_figures(KFREE + 1), Some(nothing));
    assert_eq!(system.server.call_figures(NO_REQUEST), None);
    let request = Request::Observe {
        subject: Subject::Calls as u8,
        of: KFREE.into(),
        cursor: 0,
    };
    let Ok(Reply::Figures(figures)) = system.call(client, request) else {
        panic!("no figures");
    };
    assert_eq!(figures.read(), Some(expected));
}

#[test]
fn blocks_of_several_segments_are_told_of_segment_by_segment() {
    let mut system = System::new(RAM);
    let (client, other) = (system.spawn(UNLIMITED), system.spawn(UNLIMITED));
    // Runs of so many pages that each segment has room for one.
    let mut runs = Vec::new();
    for size in [MIB + 1, MIB + 4097, MIB + 8193] {
        runs.push(system.kmalloc(client, size).expect("memory"));
    }
    let (mut pages, mut cursor) = (Vec::new(), 0);
    while let Some(figures) = system.server.block_figures(client, cursor) {
        assert_eq!((figures.runs, figures.buckets), (1, [0; 8]));
        pages.push(figures.run_pages);
        if figures.next == u64::MAX {
            break;
        }
        // Another client's cursor is none of this one's.
        assert_eq!(system.server.block_figures(other, figures.next), None);
        cursor = figures.next;
    }
    pages.sort_unstable();
    assert_eq!(pages, [257, 258, 259]);
    assert_eq!(system.server.block_figures(client, u64::MAX), None);
    assert_eq!(system.server.block_figures(other, 0), None::<BlockFigures>);
}

#[test]
fn calls_are_counted_by_the_quick_way_and_the_long_one() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let calls = system.stats(client).calls;
    let request = QuickRequest::Kmalloc { size: 64, flags: 0 };
    for _ in 0..3 {
        assert!(matches!(
            system.call_quick(client, request),
            Ok(Reply::Block { .. })
        ));
    }
    system.kmalloc(client, 64).expect("memory");
    // And the one that asks.
    assert_eq!(system.stats(client).calls, calls + 5);
}
