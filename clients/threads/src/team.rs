// SPDX-License-Identifier: BSD-2-Clause
//! Four threads that do one job after another: a client can't start new ones for each test.

use crate::HEAP;
use alloc::vec;
use client_test::{Outcome, check, check_eq, ok};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use kmalloc::{Error, served, thread};
use spin::RelaxStrategy;

/// Threads in the team.
pub const MEMBERS: usize = 4;
const STACK_BYTES: usize = 64 << 10;

/// What each member does, called with its number from 0 on.
pub type Job = fn(usize);

/// Lets others run while a lock is taken: all threads have one processor.
pub struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        sel4::r#yield();
    }
}

/// A lock for data of several threads.
pub type Lock<T> = spin::mutex::Mutex<T, Yield>;

/// The current job; none when the members may end.
static JOB: Lock<Option<Job>> = Lock::new(None);
/// The number of the current job; the members take up the next one.
static ROUND: AtomicUsize = AtomicUsize::new(0);
/// Members that have done the current job.
static DONE: AtomicUsize = AtomicUsize::new(0);
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// Waits until something holds, or gives up: a thread that hangs must not hang the test.
pub fn wait_until(holds: impl Fn() -> bool) -> bool {
    for _ in 0..2_000_000 {
        if holds() {
            return true;
        }
        sel4::r#yield();
    }
    false
}

/// Starts a thread on a new stack.
pub fn start(run: fn(usize), argument: usize) -> Result<(), Error> {
    let stack = vec![0u8; STACK_BYTES].leak();
    // SAFETY: threads here print at the most, for which that is plenty.
    unsafe { thread::spawn(stack, run, argument, Some(leave)) }
}

fn leave() {
    HEAP.leave_thread();
}

/// Gives all members a job and waits until it is done.
pub fn run(job: Job) -> Outcome {
    if STARTED.load(Ordering::Relaxed) == 0 {
        for member in 0..MEMBERS {
            ok!(start(work, member));
            STARTED.fetch_add(1, Ordering::Relaxed);
        }
    }
    DONE.store(0, Ordering::Relaxed);
    *JOB.lock() = Some(job);
    ROUND.fetch_add(1, Ordering::Release);
    check!(wait_until(|| DONE.load(Ordering::Acquire) == MEMBERS));
    Ok(())
}

/// Lets the members leave the heap and end.
pub fn dismiss() -> Outcome {
    *JOB.lock() = None;
    DONE.store(0, Ordering::Relaxed);
    ROUND.fetch_add(1, Ordering::Release);
    check!(wait_until(|| DONE.load(Ordering::Acquire) == MEMBERS));
    Ok(())
}

fn work(member: usize) {
    let mut round = 0;
    loop {
        while ROUND.load(Ordering::Acquire) == round {
            sel4::r#yield();
        }
        round += 1;
        let job = *JOB.lock();
        let Some(job) = job else {
            // Before it says so: who waits for it finds the parts of the heap left.
            leave();
            DONE.fetch_add(1, Ordering::Release);
            return;
        };
        job(member);
        DONE.fetch_add(1, Ordering::Release);
    }
}

static SEEN: AtomicUsize = AtomicUsize::new(0);

pub fn arguments() -> Outcome {
    run(|member| {
        SEEN.fetch_or(1 << member, Ordering::Relaxed);
    })?;
    check_eq!(SEEN.load(Ordering::Relaxed), (1 << MEMBERS) - 1);
    Ok(())
}

static LONG_CALLS: AtomicU64 = AtomicU64::new(0);
static BUFFERS: [AtomicUsize; MEMBERS] = [const { AtomicUsize::new(0) }; MEMBERS];

/// Figures come by the IPC buffer, beyond the registers: threads with one buffer would read each other's.
pub fn own_buffers() -> Outcome {
    let before = ok!(served::stats());
    run(|member| {
        let buffer = sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer).addr());
        BUFFERS[member].store(buffer, Ordering::Relaxed);
        let mut calls = 0;
        for _ in 0..500 {
            let Ok(stats) = served::stats() else { return };
            // Calls are counted for all threads together, and always upwards.
            if stats.calls <= calls || stats.limit == 0 || stats.failures > stats.calls {
                return;
            }
            calls = stats.calls;
            LONG_CALLS.fetch_add(1, Ordering::Relaxed);
            if calls.is_multiple_of(16) {
                sel4::r#yield();
            }
        }
    })?;
    let after = ok!(served::stats());
    check_eq!(LONG_CALLS.load(Ordering::Relaxed), 500 * MEMBERS as u64);
    check!(after.calls > before.calls + 500 * MEMBERS as u64);
    let own = sel4::with_ipc_buffer(|buffer| core::ptr::from_ref(buffer).addr());
    for (member, buffer) in BUFFERS.iter().enumerate() {
        check_eq!(buffer.load(Ordering::Relaxed), own + (member + 1) * 4096);
    }
    Ok(())
}
