// SPDX-License-Identifier: BSD-2-Clause
//! Making room for contiguous memory: what may be moved is, unseen by its owner; what may not stays.

use crate::system::{Answer, PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::{Error, Reply, Request, Response};
use kmalloc_server::client::{Badge, Fault, FaultKind};
use kmalloc_server::kernel::ClientIndex;
use kmalloc_simulation::scan;

/// 64 KiB, aligned to that.
const RUN: Request<'static> = Request::KmallocDma {
    align_bits: 0,
    boundary_bits: 0,
    cache: 0,
    size: 16 * PAGE,
    max_addr: u64::MAX,
};

/// Every page of a client's clutter, with what was written to it.
struct Clutter {
    client: ClientIndex,
    pages: Vec<(u64, u64)>,
}

impl Clutter {
    /// Takes all memory in blocks of one page, then gives every eighth back: no run of 64 KiB is left.
    fn make(system: &mut System, movable: bool) -> Clutter {
        let client = system.spawn(UNLIMITED);
        if movable {
            system.server.allow_moving(client);
        }
        system.scan_every = u64::MAX;
        let mut pages = Vec::new();
        while let Ok(address) = system.kmalloc(client, PAGE) {
            let word = 0x1_0000 + address;
            system.fill(client, address, PAGE, word);
            pages.push((address, word));
        }
        // Whatever was left where no table could be made any more.
        while let Ok(Reply::Dma { .. }) = system.call(client, RUN) {}
        for index in (0..pages.len() / 8).rev() {
            let (address, _) = pages.swap_remove(index * 8);
            system.kfree(client, address).expect("a block");
        }
        scan(&system.server);
        Clutter { client, pages }
    }

    fn check(&self, system: &System) {
        for (address, word) in &self.pages {
            assert_eq!(system.read_word(self.client, *address), *word);
            assert_eq!(system.read_word(self.client, *address + PAGE - 8), *word);
        }
    }
}

fn refused(response: Response) -> bool {
    matches!(response, Err(Error::NoContiguousRun { largest, requested })
        if largest < requested && requested == 16 * PAGE)
}

fn vm_fault(address: u64) -> Fault {
    Fault {
        kind: FaultKind::Vm,
        address,
        instruction: 0,
    }
}

#[test]
fn what_is_not_movable_stays_and_the_refusal_says_how_much_there_is() {
    let mut system = System::new(RAM);
    let clutter = Clutter::make(&mut system, false);
    assert!(refused(system.call(clutter.client, RUN)));
    clutter.check(&system);
    scan(&system.server);
}

#[test]
fn pages_are_moved_out_of_the_way_and_nobody_sees_it() {
    let mut system = System::new(RAM);
    let free = system.books().free;
    let clutter = Clutter::make(&mut system, true);
    let before: Vec<_> = clutter
        .pages
        .iter()
        .map(|(address, _)| system.translate(clutter.client, *address))
        .collect();
    let Ok(Reply::Dma {
        address, dma_addr, ..
    }) = system.call(clutter.client, RUN)
    else {
        panic!("there is room once it is made");
    };
    scan(&system.server);
    assert!(system.is_zero(clutter.client, address, 16 * PAGE));
    for page in 0..16 {
        let (place, _) = system
            .translate(clutter.client, address + page * PAGE)
            .expect("mapped");
        assert_eq!(place, dma_addr + page * PAGE);
    }
    clutter.check(&system);
    let moved = clutter
        .pages
        .iter()
        .zip(&before)
        .filter(|((page, _), was)| system.translate(clutter.client, *page) != **was);
    assert!((1..=16).contains(&moved.count()), "as few as possible move");
    // The blocks are what they were to the books too.
    for (address, _) in &clutter.pages {
        system.kfree(clutter.client, *address).expect("a block");
    }
    system.kfree_dma(clutter.client, address).expect("memory");
    system.kill(clutter.client);
    assert_eq!(system.books().free, free);
}

#[test]
fn room_can_be_made_again_and_again_while_memory_lasts() {
    let mut system = System::new(RAM);
    let clutter = Clutter::make(&mut system, true);
    let mut runs = 0;
    let end = loop {
        match system.call(clutter.client, RUN) {
            Ok(_) => runs += 1,
            Err(error) => break error,
        }
    };
    assert!(runs > 4, "{runs} runs");
    assert!(
        matches!(
            end,
            Error::OutOfMemory { .. } | Error::NoContiguousRun { .. }
        ),
        "{end:?}"
    );
    clutter.check(&system);
    scan(&system.server);
}

#[test]
fn a_fault_on_a_page_in_flight_is_tried_again_and_no_more() {
    let mut system = System::new(RAM);
    // It has its tables before all is taken.
    let requester = system.spawn(UNLIMITED);
    system.dma(requester, PAGE).expect("memory");
    let clutter = Clutter::make(&mut system, true);
    let fault_badge = Badge {
        fault: true,
        ..Badge::unpack(system.badge(clutter.client))
    }
    .pack();
    system.call(requester, RUN).expect("room is made");
    // Its one thread may have been on its way to a page that was moved: once.
    let address = clutter.pages[0].0;
    let answer = system.fault(fault_badge, vm_fault(address));
    assert_eq!(answer, Answer::Retried);
    let answer = system.fault(fault_badge, vm_fault(address));
    assert!(matches!(answer, Answer::Ended(_)), "{answer:?}");
}

#[test]
fn other_faults_end_a_client_whose_pages_were_moved() {
    let mut system = System::new(RAM);
    let clutter = Clutter::make(&mut system, true);
    system.call(clutter.client, RUN).expect("room is made");
    let fault_badge = Badge {
        fault: true,
        ..Badge::unpack(system.badge(clutter.client))
    }
    .pack();
    let fault = Fault {
        kind: FaultKind::Exception,
        ..vm_fault(6)
    };
    let answer = system.fault(fault_badge, fault);
    assert!(matches!(answer, Answer::Ended(_)), "{answer:?}");
}

#[test]
fn the_kernel_s_refusal_on_the_way_loses_no_page() {
    for nth in 1.. {
        let mut system = System::new(&[(0x100_0000, 21), (0x120_0000, 16)]);
        let free = system.books().free;
        let clutter = Clutter::make(&mut system, true);
        system.server.kernel_mut().fail_at(nth, 77);
        let response = system.call(clutter.client, RUN);
        let failed = system.server.kernel_mut().stop_failing();
        scan(&system.server);
        clutter.check(&system);
        match failed {
            Some(call) => assert_eq!(response, Err(Error::Refused { code: 77 }), "{call}"),
            None => {
                response.expect("no call failed");
                break;
            }
        }
        system
            .call(clutter.client, RUN)
            .expect("the next try succeeds");
        clutter.check(&system);
        system.kill(clutter.client);
        assert_eq!(system.books().free, free, "call {nth}");
    }
}

/// A machine with the 16 pages of a run left, all of them apart; a client to ask for it, which has a table for it.
fn with_a_run_in_pieces(movable: bool) -> (System, Clutter, ClientIndex) {
    let mut system = System::new(RAM);
    let requester = system.spawn(UNLIMITED);
    system.dma(requester, PAGE).expect("memory");
    let mut clutter = Clutter::make(&mut system, movable);
    while system.server.physical().usable_pages() > 16 {
        let address = system.kmalloc(clutter.client, PAGE).expect("a page");
        system.fill(clutter.client, address, PAGE, 7);
        clutter.pages.push((address, 7));
    }
    assert_eq!(system.books().free, 16 * PAGE);
    (system, clutter, requester)
}

#[test]
fn room_is_made_with_the_last_pages_there_are() {
    let (mut system, clutter, requester) = with_a_run_in_pieces(true);
    let response = system.call(requester, RUN);
    assert!(matches!(response, Ok(Reply::Dma { .. })), "{response:?}");
    assert_eq!(system.books().free, 0);
    clutter.check(&system);
    scan(&system.server);
}

#[test]
fn as_much_as_there_is_in_pieces_is_refused_for_its_pieces() {
    let (mut system, clutter, requester) = with_a_run_in_pieces(false);
    let refusal = Error::NoContiguousRun {
        largest: PAGE,
        requested: 16 * PAGE,
    };
    assert_eq!(system.call(requester, RUN), Err(refusal));
    clutter.check(&system);
}
