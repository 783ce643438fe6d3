// SPDX-License-Identifier: BSD-2-Clause
//! Threads of one client: what each has, how many there are, what stays after a failure, and that they end together.

use crate::system::{Answer, PAGE, RAM, System, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::client::{Badge, End, Fault, FaultKind};
use kmalloc_server::kernel::{Budget, ClientObject, Kernel, Slot, THREADS_MAX, ThreadIndex};
use kmalloc_server::spawn::Spawn;
use kmalloc_simulation::scan;

const IPC_BUFFER: u64 = 0x20_1000;
const CODE: u32 = 77;

fn machines() -> [System; 2] {
    [System::new(RAM), System::new_mcs(RAM)]
}

#[test]
fn each_thread_has_its_own_buffer_and_all_share_the_rest() {
    for mut system in machines() {
        let client = system.spawn(UNLIMITED);
        for number in 1..u64::from(THREADS_MAX) {
            let request = Request::StartThread {
                entry: 0x40_0000 + number,
                stack: 0x41_0000 - 16 * number,
                argument: u64::MAX - number,
            };
            assert_eq!(system.call(client, request), Ok(Reply::Done));
            let buffer = IPC_BUFFER + number * PAGE;
            assert!(system.is_zero(client, buffer, PAGE));
            system.write(client, buffer, b"writable");
        }
        assert_eq!(
            system.start_thread(client),
            Err(Error::OutOfSlots { limit: 8 })
        );
        assert!(!system.is_mapped(client, IPC_BUFFER + 8 * PAGE));
        let threads = system.server.kernel().threads(client).collect::<Vec<_>>();
        assert_eq!(threads.len(), usize::from(THREADS_MAX));
        for (number, thread) in threads.iter().enumerate().skip(1) {
            assert_eq!(thread.thread, ThreadIndex(number as u8));
            assert_eq!(thread.entry, 0x40_0000 + number);
            assert_eq!(thread.stack, 0x41_0000 - 16 * number);
            assert_eq!(thread.argument, usize::MAX - number);
            let buffer = IPC_BUFFER as usize + number * PAGE as usize;
            assert_eq!(thread.ipc_buffer_address, buffer);
            let first = threads[0];
            assert_eq!(thread.vspace, first.vspace);
            assert_eq!(thread.priority, first.priority);
            assert_eq!(thread.badge, first.badge);
            assert_eq!(thread.fault_badge, first.fault_badge);
        }
    }
}

#[test]
fn each_thread_has_the_budget_of_its_client_and_of_no_other() {
    let limited = Budget {
        budget_us: 2_000,
        period_us: 5_000,
    };
    for mut system in machines() {
        for budget in [Some(limited), None] {
            let spawn = Spawn {
                budget,
                ..program(UNLIMITED)
            };
            let client = system.try_spawn(&spawn).expect("a client starts");
            assert_eq!(system.start_thread(client), Ok(Reply::Done));
            let budgets = system.server.kernel().threads(client);
            assert_eq!(
                budgets.map(|thread| thread.budget).collect::<Vec<_>>(),
                [budget; 2]
            );
            // The place goes to the next client, and the budget does not.
            system.kill(client);
        }
    }
}

#[test]
fn places_outside_user_space_and_crooked_stacks_are_refused() {
    let mut system = System::new(RAM);
    let client = system.spawn(UNLIMITED);
    let committed = system.committed(client);
    let (good_entry, good_stack, end) = (0x40_0000, 0x41_0000, 1u64 << 39);
    for entry in [end, 1 << 47, 0xffff_8000_0000_0000, u64::MAX] {
        let request = Request::StartThread {
            entry,
            stack: good_stack,
            argument: 0,
        };
        let expected = Err(Error::BadPointer { address: entry });
        assert_eq!(system.call(client, request), expected);
    }
    for stack in [0, 8, good_stack + 15, end + 16, 1 << 47, u64::MAX - 15] {
        let request = Request::StartThread {
            entry: good_entry,
            stack,
            argument: 0,
        };
        let expected = Err(Error::BadPointer { address: stack });
        assert_eq!(system.call(client, request), expected);
    }
    assert_eq!(system.committed(client), committed);
    assert_eq!(system.server.kernel().threads(client).count(), 1);
    let request = Request::StartThread {
        entry: end - 1,
        stack: end,
        argument: 0,
    };
    assert_eq!(system.call(client, request), Ok(Reply::Done));
}

#[test]
fn a_thread_is_charged_and_the_quota_is_its_limit() {
    for mut system in machines() {
        let client = system.spawn(UNLIMITED);
        let before = system.committed(client);
        assert_eq!(system.start_thread(client), Ok(Reply::Done));
        let after = system.committed(client);
        assert!(after > before);
        system.kill(client);
        // With a byte too little there is no second thread, with that byte there is one.
        let client = system.spawn(after - PAGE);
        let refused = system.start_thread(client);
        assert!(matches!(refused, Err(Error::OverQuota { .. })));
        assert_eq!(system.server.kernel().threads(client).count(), 1);
        assert!(!system.is_mapped(client, IPC_BUFFER + PAGE));
        system.kill(client);
        let client = system.spawn(after);
        assert_eq!(system.start_thread(client), Ok(Reply::Done));
    }
}

/// The `nth` kernel call fails while seven threads start. False when there are fewer calls.
fn fail(mut system: System, nth: u64) -> bool {
    let free = system.books().free;
    let client = system.spawn(UNLIMITED);
    system.server.kernel_mut().fail_at(nth, CODE);
    let mut failures = 0;
    for number in 1..THREADS_MAX {
        while let Err(error) = system.start_thread(client) {
            assert_eq!(error, Error::Refused { code: CODE }, "thread {number}");
            let buffer = IPC_BUFFER + u64::from(number) * PAGE;
            assert!(!system.is_mapped(client, buffer));
            failures += 1;
        }
    }
    let failed = system.server.kernel_mut().stop_failing().is_some();
    assert_eq!(failures, u32::from(failed));
    assert_eq!(
        system.server.kernel().threads(client).count(),
        usize::from(THREADS_MAX)
    );
    system.kill(client);
    assert_eq!(system.books().free, free);
    failed
}

#[test]
fn a_kernel_call_fails_while_any_thread_starts() {
    for boot in [System::new, System::new_mcs] {
        let calls = (1..).take_while(|nth| fail(boot(RAM), *nth)).count();
        // TCB, frame mapped, start; other calls come by turns.
        assert!(calls >= 3 * (usize::from(THREADS_MAX) - 1), "{calls}");
    }
}

#[test]
fn a_failure_leaves_its_objects_to_the_next_try_and_to_tables_between() {
    // On this kernel the second object of a thread fails; then come tables in the same chunk.
    let mut system = System::new_mcs(RAM);
    let free = system.books().free;
    let client = system.spawn(UNLIMITED);
    system.server.kernel_mut().fail_at(2, CODE);
    assert_eq!(
        system.start_thread(client),
        Err(Error::Refused { code: CODE })
    );
    let tcb = Slot::Client(client, ClientObject::Tcb(ThreadIndex(1)));
    assert!(system.server.kernel().capability(tcb).is_some());
    for size in [PAGE, 700 * PAGE] {
        assert!(system.kmalloc(client, size).is_ok());
        assert!(system.grant_large(client, size).is_ok());
    }
    assert_eq!(system.start_thread(client), Ok(Reply::Done));
    system.kill(client);
    assert_eq!(system.books().free, free);
}

#[test]
fn all_threads_end_with_the_client_however_it_ends() {
    let fault = Fault {
        kind: FaultKind::Vm,
        address: 0x1234,
        instruction: 0x40_0000,
    };
    for mut system in machines() {
        let free = system.books().free;
        for end in [End::Exit { status: 7 }, End::Killed, End::Fault(fault)] {
            let client = system.spawn(UNLIMITED);
            for _ in 0..5 {
                assert_eq!(system.start_thread(client), Ok(Reply::Done));
                assert!(system.kmalloc(client, 3 * PAGE).is_ok());
            }
            // The badges are the same for all threads, so any of them can end the client.
            let fault_badge = system
                .server
                .kernel()
                .threads(client)
                .last()
                .map_or(0, |thread| thread.fault_badge);
            assert!(Badge::unpack(fault_badge).fault);
            let calls = system.server.kernel().fallible_calls();
            match end {
                End::Exit { status } => {
                    let answer = system.answer(client, Request::Exit { status });
                    assert!(matches!(answer, Answer::Ended(_)), "{answer:?}");
                }
                End::Killed | End::NotStarted(_) => drop(system.kill(client)),
                End::Fault(fault) => {
                    let answer = system.fault(fault_badge, fault);
                    assert!(matches!(answer, Answer::Ended(_)), "{answer:?}");
                }
            }
            assert_eq!(system.server.kernel().fallible_calls(), calls);
            system.settle();
            scan(&system.server);
            assert_eq!(system.books().free, free);
        }
        // The place starts anew, with one thread.
        let client = system.spawn(UNLIMITED);
        assert_eq!(system.server.kernel().threads(client).count(), 1);
        assert_eq!(system.start_thread(client), Ok(Reply::Done));
        assert_eq!(system.server.kernel_mut().stop_threads(client, 2), Ok(()));
    }
}
