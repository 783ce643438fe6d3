// SPDX-License-Identifier: BSD-2-Clause
//! Figures about the whole system: they add up, whoever reads them and in whatever steps. And the trace.

use crate::system::{CHUNK, MIB, PAGE, RAM, System, UNLIMITED};
use kmalloc_events::Event;
use kmalloc_protocol::message::quick;
use kmalloc_protocol::statistics::{
    BlockFigures, ClientFigures, FailureFigures, LargeFigures, MemoryFigures, SERVED_CLASSES,
    Subject, UseFigures,
};
use kmalloc_protocol::{Error, Flags, LABEL, Reply, Request, Response};
use kmalloc_server::Quick;
use kmalloc_server::kernel::ClientIndex;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

fn observe(
    system: &mut System,
    client: ClientIndex,
    subject: Subject,
    of: u64,
    cursor: u64,
) -> Response {
    let subject = subject as u8;
    system.call(
        client,
        Request::Observe {
            subject,
            of,
            cursor,
        },
    )
}

/// A page of figures; `None` where there are no more.
fn page<T: DeserializeOwned>(
    system: &mut System,
    client: ClientIndex,
    subject: Subject,
    of: u64,
    cursor: u64,
) -> Option<T> {
    match observe(system, client, subject, of, cursor) {
        Ok(Reply::Figures(figures)) => Some(figures.read().expect("figures of that kind")),
        Ok(Reply::Done) => None,
        other => panic!("no figures but {other:?}"),
    }
}

fn memory(system: &mut System, client: ClientIndex) -> MemoryFigures {
    page(system, client, Subject::Memory, 0, 0).expect("figures")
}

fn uses(system: &mut System, client: ClientIndex, of: ClientIndex) -> UseFigures {
    let handle = system.handle(of);
    page(system, client, Subject::Use, handle, 0).expect("figures")
}

fn accounts(system: &mut System, client: ClientIndex) -> Vec<ClientFigures> {
    let (mut accounts, mut cursor) = (Vec::<ClientFigures>::new(), 0);
    while let Some(figures) = page(system, client, Subject::Client, 0, cursor) {
        accounts.push(figures);
        cursor = figures.next;
    }
    accounts
}

fn larges(system: &mut System, client: ClientIndex) -> Vec<LargeFigures> {
    let (mut larges, mut cursor) = (Vec::<LargeFigures>::new(), 0);
    while let Some(figures) = page(system, client, Subject::Large, 0, cursor) {
        larges.push(figures);
        cursor = figures.next;
    }
    larges
}

/// The blocks of a client in all of its segments.
fn blocks(system: &mut System, client: ClientIndex, of: ClientIndex) -> BlockFigures {
    let handle = system.handle(of);
    let (mut sum, mut cursor) = (BlockFigures::default(), 0);
    while let Some(figures) = page::<BlockFigures>(system, client, Subject::Blocks, handle, cursor)
    {
        cursor = figures.next;
        sum.runs += figures.runs;
        sum.run_pages += figures.run_pages;
        for class in 0..SERVED_CLASSES {
            sum.buckets[class] += figures.buckets[class];
            sum.blocks[class] += figures.blocks[class];
        }
    }
    sum
}

#[test]
fn what_clients_have_and_what_is_free_is_all_there_is() {
    let mut system = System::new(RAM);
    let clients = [UNLIMITED; 3].map(|limit| system.spawn(limit));
    let addresses = [64, 3000, 70_000, 5 * MIB].map(|size| system.kmalloc(clients[0], size));
    system.grant(clients[1], 21, 1).expect("memory");
    for address in addresses.into_iter().step_by(2) {
        assert_eq!(
            system.kfree(clients[0], address.expect("memory")),
            Ok(Reply::Done)
        );
    }
    system.settles = false;
    let figures = memory(&mut system, clients[2]);
    let accounts = accounts(&mut system, clients[2]);
    let committed: u64 = accounts.iter().map(|it| it.committed).sum();
    assert_eq!(accounts.len(), 3);
    assert_eq!(figures.free + committed, figures.total);
    let usable = figures.clean_pages
        + figures.dirty_pages
        + figures.clean_chunks
        + figures.dirty_chunks
        + figures.clean_larges;
    assert_eq!(figures.usable, usable);
    assert_eq!(
        figures.free,
        usable + figures.dirty_larges + figures.cleaning
    );
    let (mut free, mut dirty) = (0, 0);
    for large in larges(&mut system, clients[2]) {
        let orders = large.orders.iter().enumerate();
        assert_eq!(
            large.free,
            orders.map(|(order, count)| count << order).sum::<u32>()
        );
        free += u64::from(large.free) * PAGE;
        dirty += u64::from(large.dirty) * PAGE;
    }
    assert_eq!(free, figures.free);
    let unclean =
        figures.dirty_pages + figures.dirty_chunks + figures.dirty_larges + figures.cleaning;
    assert_eq!(dirty, unclean);
}

#[test]
fn memory_is_counted_by_what_it_is_for() {
    let mut system = System::new(RAM);
    let (client, other) = (system.spawn(UNLIMITED), system.spawn(UNLIMITED));
    let before = uses(&mut system, other, client);
    assert_eq!(before.blocks, 0);
    assert_eq!(before.kernel_bytes % CHUNK, 0);
    for _ in 0..300 {
        system.kmalloc(client, 16).expect("memory");
    }
    system.kmalloc(client, 2048).expect("memory");
    let run = system.kmalloc(client, 9000).expect("memory");
    system.grant(client, 16, 2).expect("memory");
    let large = system.grant_large(client, 3 * PAGE).expect("memory");
    system.dma(client, 5 * PAGE).expect("memory");
    let token = system.make_dataspace(client, 7 * PAGE).expect("memory");
    let attached = system.attach(client, token, true).expect("attached");
    let now = uses(&mut system, other, client);
    assert_eq!(now.blocks, 302);
    assert_eq!(now.block_bytes, 300 * 16 + 2048 + 4 * PAGE);
    assert_eq!(now.resident_bytes, 2 * CHUNK);
    assert_eq!(now.large_bytes, 3 * PAGE);
    assert_eq!(now.dma_bytes, 5 * PAGE);
    assert_eq!((now.shared_bytes, now.attached_bytes), (7 * PAGE, 7 * PAGE));
    assert!(now.ledger_bytes >= before.ledger_bytes + 5 * PAGE);
    let figures = blocks(&mut system, other, client);
    assert_eq!((figures.buckets[0], figures.blocks[0]), (2, 300));
    assert_eq!((figures.buckets[7], figures.blocks[7]), (1, 1));
    assert_eq!((figures.runs, figures.run_pages), (1, 4));

    let moved = system.resize(client, large, 9 * PAGE);
    let Ok(Reply::Region { address, .. }) = moved else {
        panic!("no region but {moved:?}");
    };
    assert_eq!(uses(&mut system, other, client).large_bytes, 9 * PAGE);
    assert_eq!(system.release(client, address), Ok(Reply::Done));
    assert_eq!(system.kfree(client, run), Ok(Reply::Done));
    let detached = system.call(client, Request::Detach { address: attached });
    assert_eq!(detached, Ok(Reply::Done));
    let now = uses(&mut system, other, client);
    assert_eq!((now.large_bytes, now.attached_bytes), (0, 0));
    assert_eq!(now.block_bytes_peak, 300 * 16 + 2048 + 4 * PAGE);
    assert_eq!(blocks(&mut system, other, client).runs, 0);
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let mut system = System::new(RAM);
    let (client, other) = (system.spawn(4 * MIB), system.spawn(UNLIMITED));
    let block = system.kmalloc(client, 64).expect("memory");
    for _ in 0..3 {
        assert!(system.kmalloc(client, 64 * MIB).is_err());
    }
    assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    let error = Error::DoubleFree { address: block };
    assert_eq!(system.kfree(client, block), Err(error));
    let handle = system.handle(client);
    let mut counts = [0; 16];
    let over_quota = Error::OverQuota {
        limit: 0,
        committed: 0,
        requested: 0,
    };
    counts[over_quota.number() as usize] = 3;
    counts[error.number() as usize] = 1;
    let mut failures =
        |first| page::<FailureFigures>(&mut system, other, Subject::Failures, handle, first);
    assert_eq!(failures(0), Some(FailureFigures { first: 0, counts }));
    let (first, counts) = (16, [0; 16]);
    assert_eq!(failures(16), Some(FailureFigures { first, counts }));
    assert_eq!(failures(32), None);
    let stale = Error::Stale { handle: 77 };
    for subject in [Subject::Use, Subject::Failures, Subject::Blocks] {
        assert_eq!(observe(&mut system, other, subject, 77, 0), Err(stale));
    }
    assert!(observe(&mut system, other, Subject::Calls, 255, 0).is_err());
}

#[test]
fn measuring_takes_the_quick_way_from_all_and_gives_it_back() {
    let mut system = System::new(RAM);
    let old = system.spawn(UNLIMITED);
    let flags = Flags::empty().bits();
    let words = quick_kmalloc(64, flags);
    let is_quick = |system: &mut System, client| {
        let badge = system.badge(client);
        system.server.handle_quick(badge, &words) != Quick::Slow
    };
    assert!(is_quick(&mut system, old));
    assert_eq!(
        observe(&mut system, old, Subject::Measure, 0, 1),
        Ok(Reply::Done)
    );
    let new = system.spawn(UNLIMITED);
    for client in [old, new] {
        assert!(!is_quick(&mut system, client));
        assert!(system.kmalloc(client, 64).is_ok(), "by the slow way");
    }
    assert_eq!(
        observe(&mut system, old, Subject::Measure, 0, 0),
        Ok(Reply::Done)
    );
    assert!(is_quick(&mut system, old) && is_quick(&mut system, new));
}

/// The words of the request as they travel in registers.
fn quick_kmalloc(size: u64, flags: u32) -> [u64; 4] {
    let request = Request::Kmalloc { flags, size };
    let short = kmalloc_protocol::message::encode_short(&request).expect("it is short");
    assert_eq!(short.length, quick::REQUEST_WORDS);
    assert_eq!(LABEL & 0xff00, 0x4b00);
    short.words
}

#[test]
fn the_trace_tells_of_every_page_that_comes_and_goes() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    system.kmalloc(client, 64).expect("memory");
    assert!(system.server.kernel_mut().take_traced().is_empty());
    system.server.trace();
    let block = system.kmalloc(client, 9000).expect("memory");
    let segment = system.call(client, Request::OpenSegment { size: PAGE });
    let Ok(Reply::Region { address, .. }) = segment else {
        panic!("no region but {segment:?}");
    };
    let more = Request::Map {
        address: address + PAGE,
        size: 3 * PAGE,
    };
    assert_eq!(system.call(client, more), Ok(Reply::Done));
    let large = system.grant_large(client, 3 * MIB).expect("memory");
    assert_eq!(
        pages(&mut system),
        BTreeMap::from([(1, 4), (2, 4), (3, 768)])
    );
    // The same size is no change.
    assert!(system.resize(client, large, 3 * MIB).is_ok());
    assert!(system.server.kernel_mut().take_traced().is_empty());
    assert_eq!(system.release(client, large), Ok(Reply::Done));
    assert_eq!(system.release(client, address), Ok(Reply::Done));
    assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    assert_eq!(
        pages(&mut system),
        BTreeMap::from([(1, -4), (2, -4), (3, -768)])
    );
}

/// Pages that came, less those that went since the last time, by window.
fn pages(system: &mut System) -> BTreeMap<u64, i64> {
    let mut pages = BTreeMap::new();
    for mut frame in system.server.kernel_mut().take_traced() {
        let record = kmalloc_events::decode(&mut frame).expect("a record");
        let (address, change) = match record.event {
            Event::Grant { address, pages, .. } | Event::Map { address, pages, .. } => {
                (address, i64::from(pages))
            }
            Event::Free { address, pages, .. } => (address, -i64::from(pages)),
            other => panic!("{other:?} was not asked for"),
        };
        *pages.entry(address >> 36).or_default() += change;
    }
    pages
}

#[test]
fn a_dead_child_that_was_not_reaped_has_no_tables_and_no_ledgers() {
    let mut system = System::new(RAM);
    let parent = system.spawn(8 * MIB);
    let handle = system.start(parent, MIB).expect("a child");
    let child = system.place(handle);
    system.kmalloc(child, 5 * PAGE).expect("memory");
    let before = uses(&mut system, parent, child);
    assert!(before.kernel_bytes >= CHUNK && before.ledger_bytes >= PAGE);
    let killed = system.call(parent, Request::Kill { handle });
    assert_eq!(killed, Ok(Reply::Done));
    let now = uses(&mut system, parent, child);
    assert_eq!((now.kernel_bytes, now.ledger_bytes), (0, 0));
}

#[test]
fn figures_of_clients_say_where_they_are_in_their_lives() {
    let mut system = System::new(RAM);
    let parent = system.spawn(8 * MIB);
    let start = |system: &mut System| system.start(parent, MIB).expect("a child");
    let [killed, maker] = [(); 2].map(|()| start(&mut system));
    let token = {
        let maker = system.place(maker);
        let token = system.make_dataspace(maker, PAGE).expect("memory");
        let shared = system.share(maker, token, parent, true);
        assert_eq!(shared, Ok(Reply::Done));
        token
    };
    system.attach(parent, token, true).expect("attached");
    system.kill(system.place(maker));
    system.settles = false;
    let begun = start(&mut system);
    let ended = system.call(parent, Request::Kill { handle: killed });
    assert_eq!(ended, Ok(Reply::Done));
    let life = |system: &mut System, handle| {
        let account = accounts(system, parent).into_iter();
        let mut account = account.filter(|account| account.handle == handle);
        account.next().expect("an account").life
    };
    let own = system.handle(parent);
    for (handle, expected) in [(begun, 1), (own, 2), (killed, 3), (maker, 4)] {
        assert_eq!(life(&mut system, handle), expected);
    }
    while system.work() {}
    for (handle, expected) in [(begun, 2), (own, 2), (killed, 5), (maker, 4)] {
        assert_eq!(life(&mut system, handle), expected);
    }
}
