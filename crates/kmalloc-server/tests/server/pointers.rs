// SPDX-License-Identifier: BSD-2-Clause
//! Pointers that a client has no right to, or to nothing: each is refused for what it is, and nothing changes.

use crate::system::{MIB, PAGE, RAM, System, UNLIMITED};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::kernel::ClientIndex;

/// Every request that names an address.
fn requests(address: u64) -> [Request<'static>; 7] {
    let (size, flags) = (100, 0);
    [
        Request::Kfree { address },
        Request::Ksize { address },
        Request::Krealloc {
            address,
            size,
            flags,
        },
        Request::KreallocArray {
            address,
            count: 3,
            size,
            flags,
        },
        Request::KfreeDma { address },
        Request::Release { address },
        Request::Resize { address, size },
    ]
}

/// The window of the memory that a request is for.
fn is_for(request: Request<'_>, window: Window) -> bool {
    match request {
        Request::KfreeDma { .. } => window == Window::Dma,
        Request::Release { .. } => matches!(window, Window::Resident | Window::Large),
        Request::Resize { .. } => window == Window::Large,
        _ => window == Window::Served,
    }
}

/// One of each kind of memory: address and usable bytes.
fn one_of_each(system: &mut System, client: ClientIndex) -> Vec<(u64, u64)> {
    vec![
        (system.kmalloc(client, 48).expect("memory"), 64),
        (system.kmalloc(client, 3 * PAGE).expect("memory"), 4 * PAGE),
        (system.kmalloc(client, 2 * MIB).expect("memory"), 2 * MIB),
        (system.grant(client, 16, 1).expect("memory"), 16 * PAGE),
        (system.grant(client, 21, 1).expect("memory"), 2 * MIB),
        (
            system.grant_large(client, 5 * PAGE).expect("memory"),
            5 * PAGE,
        ),
        (system.dma(client, 3 * PAGE).expect("memory").0, 3 * PAGE),
    ]
}

fn expect_all(
    system: &mut System,
    client: ClientIndex,
    address: u64,
    expected: impl Fn(Request<'static>) -> Error,
) {
    let before = (system.books(), system.committed(client));
    for request in requests(address) {
        let response = system.call(client, request);
        assert_eq!(response, Err(expected(request)), "{request:x?}");
        assert_eq!((system.books(), system.committed(client)), before);
    }
}

#[test]
fn memory_of_another_client_is_refused_as_such_and_untouched() {
    let mut system = System::new(RAM);
    let victim = system.spawn(UNLIMITED);
    let thief = system.spawn(UNLIMITED);
    let memory = one_of_each(&mut system, victim);
    one_of_each(&mut system, thief);
    for (address, size) in memory {
        system.write(victim, address, b"not yours");
        let committed = system.committed(victim);
        for at in [address, address + 8, address + size - 1] {
            expect_all(&mut system, thief, at, |_| Error::NotOwner { address: at });
        }
        assert!(!system.is_mapped(thief, address));
        assert_eq!(system.committed(victim), committed);
        assert_eq!(system.read(victim, address), *b"not yours");
    }
}

#[test]
fn memory_of_another_kind_is_refused_as_such() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for (address, _) in one_of_each(&mut system, client) {
        let window = Window::of(address as usize).expect("in a window");
        let mut refused = 0;
        for request in requests(address) {
            if !is_for(request, window) {
                refused += 1;
                assert_eq!(
                    system.call(client, request),
                    Err(Error::WrongKind { address }),
                    "{request:x?}"
                );
            }
        }
        assert!(refused >= 3);
    }
}

#[test]
fn interior_pointers_are_refused_at_every_offset() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for size in [16, 64, 1024, 2048] {
        let address = system.kmalloc(client, size).expect("memory");
        for offset in 1..PAGE - (address % PAGE) {
            let address = address + offset;
            let expected = if offset % size == 0 {
                Error::DoubleFree { address }
            } else {
                Error::BadPointer { address }
            };
            assert_eq!(system.kfree(client, address), Err(expected), "{size}");
        }
        assert_eq!(system.ksize(client, address), Ok(size));
    }
}

#[test]
fn pages_inside_of_a_run_are_no_pointers() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for (address, size) in one_of_each(&mut system, client) {
        if size <= PAGE {
            continue;
        }
        let window = Window::of(address as usize).expect("in a window");
        for at in (address..address + size).step_by(PAGE as usize).skip(1) {
            for request in requests(at).into_iter().filter(|it| is_for(*it, window)) {
                assert_eq!(
                    system.call(client, request),
                    Err(Error::BadPointer { address: at }),
                    "{request:x?}"
                );
            }
        }
    }
}

#[test]
fn wild_pointers_are_refused() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    one_of_each(&mut system, client);
    let wild = [
        1,
        8,
        0x20_0000,
        0x40_0000,
        0x3f_f000,
        0x4000_0000,
        0x10_0000_0000 - 1,
        0x70_0000_0000,
        0x7f_ffff_f000,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        u64::MAX - 4095,
        u64::MAX,
    ];
    for address in wild {
        expect_all(&mut system, client, address, |_| Error::BadPointer {
            address,
        });
    }
    // In each window: the first segment that nobody has, and the last one.
    for window in Window::ALL {
        for offset in [512 << 21, (1 << 36) - 16, (1 << 36) - 4096] {
            let address = window.base() as u64 + offset;
            expect_all(&mut system, client, address, |_| Error::BadPointer {
                address,
            });
        }
    }
}

#[test]
fn a_second_free_is_refused_at_once_and_later() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let neighbours = [16, 64, PAGE].map(|size| system.kmalloc(client, size).expect("memory"));
    for size in [16, 64, 2048, PAGE, 4 * PAGE, 2 * MIB] {
        let address = system.kmalloc(client, size).expect("memory");
        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
        let twice = Err(Error::DoubleFree { address });
        assert_eq!(system.kfree(client, address), twice, "{size}");
        assert_eq!(system.krealloc(client, address, 8), twice, "{size}");
        assert_eq!(
            system.ksize(client, address),
            Err(Error::BadPointer { address })
        );
    }
    for (address, _) in one_of_each(&mut system, client) {
        let window = Window::of(address as usize).expect("in a window");
        let free = match window {
            Window::Served => Request::Kfree { address },
            Window::Dma => Request::KfreeDma { address },
            _ => Request::Release { address },
        };
        assert_eq!(system.call(client, free), Ok(Reply::Done));
        assert_eq!(
            system.call(client, free),
            Err(Error::DoubleFree { address }),
            "{free:x?}"
        );
    }
    for address in neighbours {
        assert_eq!(system.kfree(client, address), Ok(Reply::Done));
    }
}

#[test]
fn a_block_freed_by_realloc_or_moved_away_is_free() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let address = system.kmalloc(client, PAGE).expect("memory");
    let _wall = system.kmalloc(client, PAGE).expect("memory");
    let moved = system.krealloc(client, address, 8 * PAGE);
    assert!(
        matches!(moved, Ok(Reply::Block { address: now }) if now != address),
        "{moved:x?}"
    );
    assert_eq!(
        system.kfree(client, address),
        Err(Error::DoubleFree { address })
    );
}

#[test]
fn the_place_of_own_memory_in_another_window_is_nobody_s() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    for (address, _) in one_of_each(&mut system, client) {
        let own = Window::of(address as usize).expect("in a window");
        for window in Window::ALL.into_iter().filter(|window| *window != own) {
            let address = address - own.base() as u64 + window.base() as u64;
            expect_all(&mut system, client, address, |_| Error::BadPointer {
                address,
            });
        }
    }
}
