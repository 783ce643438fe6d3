// SPDX-License-Identifier: BSD-2-Clause
//! The kernel refuses the n-th call, for every n, of every operation: a typed error, the state as before, the same
//! success when tried again, and everything back in the end.
//!
//! Page tables and ledgers that were made on the way may stay with the client: it is charged for them, and the scanner
//! checks that.

use crate::system::{MIB, PAGE, System, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request, Response, Stats};
use kmalloc_server::kernel::{ClientIndex, Slot};
use kmalloc_server::physical::Page;
use kmalloc_simulation::scan;

const RAM: &[(u64, u32)] = &[(0x100_0000, 23), (0x180_0000, 16), (0x181_2000, 13)];
const CODE: u32 = 77;

type Setup = fn(&mut System, ClientIndex) -> u64;
type Act = fn(&mut System, ClientIndex, u64) -> Response;

fn nothing(_: &mut System, _: ClientIndex) -> u64 {
    0
}

fn call(system: &mut System, client: ClientIndex, request: Request<'_>) -> Response {
    system.call(client, request)
}

fn kmalloc(system: &mut System, client: ClientIndex, size: u64) -> Response {
    call(system, client, Request::Kmalloc { size, flags: 0 })
}

fn grant(system: &mut System, client: ClientIndex, size_bits: u8, count: u32) -> Response {
    call(system, client, Request::Grant { size_bits, count })
}

fn grant_large(system: &mut System, client: ClientIndex, size: u64) -> Response {
    call(
        system,
        client,
        Request::GrantLarge {
            size,
            align_bits: 0,
        },
    )
}

fn dma(system: &mut System, client: ClientIndex, size: u64) -> Response {
    let request = Request::KmallocDma {
        size,
        max_addr: u64::MAX,
        align_bits: 0,
        boundary_bits: 0,
        cache: 0,
    };
    call(system, client, request)
}

fn attach(system: &mut System, client: ClientIndex, token: u64) -> Response {
    call(system, client, Request::Attach { writable: 1, token })
}

/// A region with another right behind its address space, so that it cannot grow in place.
fn walled_in(system: &mut System, client: ClientIndex, pages: u64) -> u64 {
    let address = system.grant_large(client, pages * PAGE).expect("memory");
    system.grant_large(client, pages * PAGE).expect("memory");
    system.fill(client, address, pages * PAGE, 0xfeed);
    address
}

fn walled_in_block(system: &mut System, client: ClientIndex, pages: u64) -> u64 {
    let address = system.kmalloc(client, pages * PAGE).expect("memory");
    system.kmalloc(client, pages * PAGE).expect("memory");
    system.fill(client, address, pages * PAGE, 0xfeed);
    address
}

const OPERATIONS: &[(&str, Setup, Act)] = &[
    ("dma of large pages and some more", nothing, |s, c, _| {
        dma(s, c, 4 * MIB + 3 * PAGE)
    }),
    ("kmalloc 1", nothing, |s, c, _| kmalloc(s, c, 1)),
    ("kmalloc 2048", nothing, |s, c, _| kmalloc(s, c, 2048)),
    (
        "kmalloc in another bucket",
        |s, c| {
            s.kmalloc(c, 2048).expect("memory");
            s.kmalloc(c, 2048).expect("memory")
        },
        |s, c, _| kmalloc(s, c, 2048),
    ),
    (
        "kmalloc in another segment",
        |s, c| s.kmalloc(c, 512 * PAGE - 1).expect("memory"),
        |s, c, _| kmalloc(s, c, 100 * PAGE),
    ),
    ("alarm", nothing, |s, c, _| {
        call(s, c, Request::SetAlarm { delay_us: 5 })
    }),
    ("kmalloc 16 pages", nothing, |s, c, _| {
        kmalloc(s, c, 16 * PAGE)
    }),
    ("kmalloc 2 MiB", nothing, |s, c, _| kmalloc(s, c, 2 * MIB)),
    ("kmalloc 2.1 MiB", nothing, |s, c, _| {
        kmalloc(s, c, 530 * PAGE)
    }),
    (
        "map pages of a segment",
        |s, c| match s.call(c, Request::OpenSegment { size: PAGE }) {
            Ok(Reply::Region { address, .. }) => address + 70 * PAGE,
            other => panic!("no segment but {other:?}"),
        },
        |s, c, address| {
            let size = 20 * PAGE;
            call(s, c, Request::Map { address, size })
        },
    ),
    ("kcalloc", nothing, |s, c, _| {
        let (count, size, flags) = (70, PAGE, 1);
        call(s, c, Request::Kcalloc { count, size, flags })
    }),
    (
        "krealloc to more pages in place",
        |s, c| s.kmalloc(c, PAGE).expect("memory"),
        |s, c, address| s.krealloc(c, address, 4 * PAGE),
    ),
    (
        "krealloc to a new block",
        |s, c| s.kmalloc(c, 16).expect("memory"),
        |s, c, address| s.krealloc(c, address, 1000),
    ),
    (
        "krealloc of pages elsewhere",
        |s, c| walled_in_block(s, c, 8),
        |s, c, address| s.krealloc(c, address, 70 * PAGE),
    ),
    (
        "krealloc of a large page elsewhere",
        |s, c| s.kmalloc(c, 2 * MIB).expect("memory"),
        |s, c, address| s.krealloc(c, address, 2 * MIB + 9 * PAGE),
    ),
    (
        "krealloc to less",
        |s, c| walled_in_block(s, c, 8),
        |s, c, address| s.krealloc(c, address, 2 * PAGE),
    ),
    ("grant 3 pages", nothing, |s, c, _| grant(s, c, 12, 3)),
    ("grant 520 pages", nothing, |s, c, _| grant(s, c, 12, 520)),
    ("grant 3 of 64 KiB", nothing, |s, c, _| grant(s, c, 16, 3)),
    ("grant 2 of 2 MiB", nothing, |s, c, _| grant(s, c, 21, 2)),
    ("grant_large 5 pages", nothing, |s, c, _| {
        grant_large(s, c, 5 * PAGE)
    }),
    ("grant_large 2.1 MiB", nothing, |s, c, _| {
        grant_large(s, c, 530 * PAGE)
    }),
    (
        "resize in place",
        |s, c| walled_in(s, c, 8),
        |s, c, address| s.resize(c, address, 12 * PAGE),
    ),
    (
        "resize in place over a segment's end",
        |s, c| s.grant_large(c, 500 * PAGE).expect("memory"),
        |s, c, address| s.resize(c, address, 520 * PAGE),
    ),
    (
        "resize elsewhere",
        |s, c| walled_in(s, c, 80),
        |s, c, address| s.resize(c, address, 400 * PAGE),
    ),
    (
        "resize of a large page in place",
        |s, c| s.grant_large(c, 2 * MIB).expect("memory"),
        |s, c, address| s.resize(c, address, 2 * MIB + 9 * PAGE),
    ),
    (
        "resize to less",
        |s, c| walled_in(s, c, 80),
        |s, c, address| s.resize(c, address, 3 * PAGE),
    ),
    ("kmalloc_dma 3 pages", nothing, |s, c, _| {
        dma(s, c, 3 * PAGE)
    }),
    ("kmalloc_dma 511 pages", nothing, |s, c, _| {
        dma(s, c, 511 * PAGE)
    }),
    (
        "kfree",
        |s, c| walled_in_block(s, c, 8),
        |s, c, address| s.kfree(c, address),
    ),
    ("make a dataspace", nothing, |s, c, _| {
        let size = 40 * PAGE;
        call(s, c, Request::MakeDataspace { size })
    }),
    (
        "attach",
        |s, c| s.make_dataspace(c, 18 * PAGE).expect("memory"),
        |s, c, token| attach(s, c, token),
    ),
    (
        "attach over a segment's end",
        |s, c| s.make_dataspace(c, 514 * PAGE).expect("memory"),
        |s, c, token| attach(s, c, token),
    ),
    (
        "attach once more",
        |s, c| {
            let token = s.make_dataspace(c, 5 * PAGE).expect("memory");
            let address = s.attach(c, token, true).expect("attached");
            s.fill(c, address, 5 * PAGE, 0xfeed);
            token
        },
        |s, c, token| attach(s, c, token),
    ),
    (
        "detach",
        |s, c| {
            let token = s.make_dataspace(c, 5 * PAGE).expect("memory");
            s.attach(c, token, true).expect("attached")
        },
        |s, c, address| s.detach(c, address),
    ),
    (
        "close",
        |s, c| s.make_dataspace(c, 5 * PAGE).expect("memory"),
        |s, c, token| s.close(c, token),
    ),
    ("start a thread", nothing, |s, c, _| s.start_thread(c)),
    (
        "release",
        |s, c| walled_in(s, c, 300),
        |s, c, address| s.release(c, address),
    ),
];

/// What a client can see of its memory: address, physical page, first word.
fn visible(system: &System, client: ClientIndex) -> Vec<(usize, u32, u64)> {
    let root = system.server.client(client).expect("a client").vspace;
    let (_, space) = system
        .server
        .kernel()
        .spaces()
        .find(|(page, _)| page.0 == root)
        .expect("an address space");
    let pages = space
        .pages()
        .map(|(address, slot)| (address, number_of(slot)));
    let larges = space
        .larges()
        .map(|(address, large)| (address, large.0 * 512));
    pages
        .chain(larges)
        .map(|(address, page)| (address, page, system.read_word(client, address as u64)))
        .collect()
}

fn number_of(slot: Slot) -> u32 {
    match slot {
        Slot::Page(Page(number)) | Slot::Copy(number) => number,
        other => panic!("{other:?} is mapped as a page"),
    }
}

/// Figures that a request which fails leaves alone.
fn figures(system: &mut System, client: ClientIndex) -> Stats {
    Stats {
        calls: 0,
        failures: 0,
        committed: 0,
        committed_peak: 0,
        slots: 0,
        slots_peak: 0,
        ..system.stats(client)
    }
}

/// Without what may differ after a failure, which may have left an empty segment: where memory lies.
fn comparable(response: Response) -> Response {
    response.map(|reply| match reply {
        Reply::Block { .. } => Reply::Block { address: 0 },
        Reply::Moved { copy, .. } => Reply::Moved { address: 0, copy },
        Reply::Region { size, .. } => Reply::Region { address: 0, size },
        Reply::Dataspace { size, .. } => Reply::Dataspace { token: 0, size },
        Reply::Dma { size, .. } => Reply::Dma {
            address: 0,
            dma_addr: 0,
            size,
        },
        other => other,
    })
}

/// A machine; `used` says whether all its memory has been a client's before.
fn machine(used: bool) -> System {
    let mut system = System::new(RAM);
    // Thousands of machines: each is scanned where it matters.
    system.scan_every = u64::MAX;
    if used {
        let hog = system.spawn(UNLIMITED);
        for pages in [64, 1] {
            while let Ok(address) = system.kmalloc(hog, pages * PAGE) {
                system.fill(hog, address, pages * PAGE, 0x0ff);
            }
        }
        system.kill(hog);
    }
    system
}

/// Lets the `nth` call of an operation fail. False when the operation has fewer calls; then it has succeeded.
fn fail(used: bool, nth: u64, (name, setup, act): (&str, Setup, Act), expected: Response) -> bool {
    let mut system = machine(used);
    let free = system.books().free;
    let client = system.spawn(UNLIMITED);
    let address = setup(&mut system, client);
    let before = (visible(&system, client), figures(&mut system, client));
    system.server.kernel_mut().fail_at(nth, CODE);
    let response = act(&mut system, client, address);
    let failed = system.server.kernel_mut().stop_failing();
    let again = match failed {
        None => response,
        Some(call) => {
            let what = format!("{name}: call {nth} ({call}) fails, used memory: {used}");
            assert_eq!(response, Err(Error::Refused { code: CODE }), "{what}");
            scan(&system.server);
            let after = (visible(&system, client), figures(&mut system, client));
            assert_eq!(before, after, "{what}");
            // A large page that was mapped for a moment can't be had before it is clean.
            system.clean();
            act(&mut system, client, address)
        }
    };
    assert_eq!(
        comparable(again),
        comparable(expected),
        "{name}: after failure {nth}"
    );
    scan(&system.server);
    system.kill(client);
    assert_eq!(system.books().free, free, "{name}: after failure {nth}");
    failed.is_some()
}

fn fail_everywhere(used: bool) {
    for &operation in OPERATIONS {
        let (name, setup, act) = operation;
        let mut system = machine(used);
        let client = system.spawn(UNLIMITED);
        let address = setup(&mut system, client);
        let expected = act(&mut system, client, address);
        assert!(expected.is_ok(), "{name}: {expected:?}");
        let mut nth = 1;
        while fail(used, nth, operation, expected) {
            // Far on it is zeroing and mapping by turns; every one of them takes long without optimisation.
            nth += if nth > 120 && cfg!(debug_assertions) {
                7
            } else {
                1
            };
        }
    }
}

#[test]
fn a_kernel_call_of_a_request_fails_on_fresh_memory() {
    fail_everywhere(false);
}

#[test]
fn a_kernel_call_of_a_request_fails_on_used_memory() {
    fail_everywhere(true);
}

#[test]
fn a_kernel_call_of_a_spawn_fails() {
    for used in [false, true] {
        let mut nth = 1;
        loop {
            let mut system = machine(used);
            let before = system.books();
            system.server.kernel_mut().fail_at(nth, CODE);
            let spawned = system.try_spawn(&program(UNLIMITED));
            let Some(call) = system.server.kernel_mut().stop_failing() else {
                assert!(spawned.is_ok());
                break;
            };
            assert_eq!(
                spawned,
                Err(Error::Refused { code: CODE }),
                "call {nth} ({call})"
            );
            assert_eq!(system.books(), before, "call {nth} ({call})");
            let client = system.spawn(UNLIMITED);
            assert!(system.kmalloc(client, 100).is_ok());
            system.kill(client);
            assert_eq!(system.books(), before, "call {nth} ({call})");
            nth += 1;
        }
        assert!(nth > 20, "a spawn has more calls than {nth}");
    }
}

#[test]
fn what_takes_away_makes_no_call_that_can_fail() {
    let mut system = machine(true);
    let client = system.spawn(UNLIMITED);
    let block = system.kmalloc(client, 100 * PAGE).expect("memory");
    let region = system.grant_large(client, 3 * MIB).expect("memory");
    let (dma, _) = system.dma(client, 5 * PAGE).expect("memory");
    let calls = system.server.kernel().fallible_calls();
    assert_eq!(system.kfree(client, block), Ok(Reply::Done));
    assert_eq!(system.release(client, region), Ok(Reply::Done));
    assert_eq!(system.kfree_dma(client, dma), Ok(Reply::Done));
    system.kill(client);
    assert_eq!(system.server.kernel().fallible_calls(), calls);
    scan(&system.server);
}
