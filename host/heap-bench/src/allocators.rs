// SPDX-License-Identifier: BSD-2-Clause
//! The allocators compared. A peer is one entry of [`ALLOCATORS`].

mod peers;

use kmalloc::{Heap, PowersOfTwo, SingleThread, ThreadWord, Threads};
use kmalloc_host_source::HostSource;
use peers::{Nothing, SingleThreaded, rlsf_over_a_break};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// An allocator under its name in the tables.
pub struct Allocator {
    /// As in `host.NAME.WORKLOAD`.
    pub name: &'static str,
    /// Whose it is.
    pub side: Side,
    /// Called through its table of functions, as a program does that does not know its allocator.
    pub calls: &'static (dyn GlobalAlloc + Sync),
    /// Runs pairs of 64 bytes with the size known at compile time and the allocator open to inlining.
    pub constant_pairs: fn(usize),
    /// The most bytes that it had from its source; of peers the resident memory of their process says it.
    pub source_peak: Option<fn() -> usize>,
    /// Why callgrind can't count its instructions, if so.
    pub not_counted: Option<&'static str>,
}

/// Whose an allocator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The heap that programs get.
    Ours,
    /// The heap in another form.
    OurOther,
    /// Another allocator.
    Peer,
}

/// Bytes that a heap may take from the host.
const LIMIT: usize = 8 << 30;

/// The bench's own memory: the system's allocator is one of those measured.
#[global_allocator]
// SAFETY: nothing in the bench starts a thread, so no two calls of a heap overlap.
static OWN: Heap<HostSource> = unsafe { Heap::single_threaded(HostSource::new(LIMIT)) };

/// Gives back what the bench itself uses no more.
pub fn trim_own() {
    OWN.trim();
}

// SAFETY: as above, there is one thread.
static KMALLOC: Heap<HostSource> = unsafe { Heap::single_threaded(HostSource::new(LIMIT)) };
static KMALLOC_POWERS: Heap<HostSource, SingleThread, PowersOfTwo> =
    // SAFETY: as above, there is one thread.
    unsafe { Heap::single_threaded_with_classes(HostSource::new(LIMIT)) };
static KMALLOC_THREADS: Heap<HostSource, Threads<LocalWord>> =
    Heap::threaded(HostSource::new(LIMIT));

static MIMALLOC: mimalloc::MiMalloc = mimalloc::MiMalloc;
static SNMALLOC: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;
static JEMALLOC: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
static RPMALLOC: rpmalloc::RpMalloc = rpmalloc::RpMalloc;
static DLMALLOC: SingleThreaded<dlmalloc::Dlmalloc> =
    // SAFETY: as above, there is one thread.
    unsafe { SingleThreaded::new(dlmalloc::Dlmalloc::new()) };
// SAFETY: as above, there is one thread.
static RLSF: SingleThreaded<peers::Rlsf> = unsafe { SingleThreaded::new(rlsf_over_a_break()) };
static TALC: peers::TalcHeap = peers::talc_over_the_system();
static NOTHING: Nothing = Nothing;

/// What stands for the loops around the calls: its cost is taken off the others'.
pub const BASELINE: Allocator = Allocator {
    name: "nothing",
    side: Side::Peer,
    calls: &NOTHING,
    constant_pairs: |pairs| constant_pairs(&NOTHING, pairs),
    source_peak: None,
    not_counted: None,
};

macro_rules! peer {
    ($name:literal, $allocator:ident) => {
        Allocator {
            name: $name,
            side: Side::Peer,
            calls: &$allocator,
            constant_pairs: |pairs| constant_pairs(&$allocator, pairs),
            source_peak: None,
            not_counted: None,
        }
    };
}

macro_rules! ours {
    ($name:literal, $side:ident, $allocator:ident) => {
        Allocator {
            side: Side::$side,
            source_peak: Some(|| $allocator.source().usage().mapped_peak),
            ..peer!($name, $allocator)
        }
    };
}

/// Ours first.
pub const ALLOCATORS: &[Allocator] = &[
    ours!("kmalloc", Ours, KMALLOC),
    ours!("kmalloc-powers", OurOther, KMALLOC_POWERS),
    ours!("kmalloc-threads", OurOther, KMALLOC_THREADS),
    peer!("mimalloc", MIMALLOC),
    Allocator {
        not_counted: Some("it aborts under callgrind"),
        ..peer!("snmalloc", SNMALLOC)
    },
    peer!("jemalloc", JEMALLOC),
    peer!("rpmalloc", RPMALLOC),
    peer!("glibc", System),
    peer!("dlmalloc", DLMALLOC),
    peer!("talc", TALC),
    peer!("rlsf", RLSF),
];

/// The allocator of this name.
pub fn named(name: &str) -> Option<&'static Allocator> {
    if name == BASELINE.name {
        return Some(&BASELINE);
    }
    ALLOCATORS.iter().find(|allocator| allocator.name == name)
}

/// The size of the pairs whose size is known at compile time.
const CONSTANT: Layout = Layout::new::<[u64; 8]>();

fn constant_pairs(allocator: &impl GlobalAlloc, pairs: usize) {
    for _ in 0..pairs {
        // SAFETY: the block is freed with the layout that it was allocated with.
        unsafe {
            let block = std::hint::black_box(allocator.alloc(CONSTANT));
            allocator.dealloc(block, CONSTANT);
        }
    }
}

/// A thread-local word: what the user-data word of an IPC buffer is on seL4.
struct LocalWord;

thread_local!(static WORD: Cell<*mut ()> = const { Cell::new(std::ptr::null_mut()) });

// SAFETY: a thread-local is the running thread's own.
unsafe impl ThreadWord for LocalWord {
    #[inline(always)]
    fn get() -> *mut () {
        WORD.with(Cell::get)
    }

    fn set(value: *mut ()) {
        WORD.with(|word| word.set(value));
    }
}
