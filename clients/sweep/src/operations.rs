// SPDX-License-Identifier: BSD-2-Clause
//! What a victim is doing when it is killed. What it needs for that it takes before.

use core::ptr::NonNull;
use kmalloc::child::Child;
use kmalloc::served::{self, DmaOptions};
use kmalloc::{Access, Dataspace, Error, Flags, Heap, ServerSource, process};

/// The victim's own heap.
// SAFETY: a victim has one thread that allocates.
static HEAP: Heap<ServerSource> = unsafe { Heap::single_threaded(ServerSource::new()) };
/// A stack that a second thread never gets to use for long.
static mut STACK: [u8; 4096] = [0; 4096];
/// An address where nothing is mapped.
const NOWHERE: usize = 0x7000_0000;
/// Bytes that the heap takes from the server as a large block.
const LARGE_BYTES: usize = 530 << 10;

/// What was taken before.
#[derive(Clone, Copy)]
pub struct Prepared(u64);

/// Something that a client does.
#[derive(Clone, Copy)]
pub struct Operation {
    /// What it is called.
    pub name: &'static str,
    /// Takes what it needs.
    pub prepare: fn() -> Result<Prepared, Error>,
    /// Does it.
    pub run: fn(Prepared) -> Result<(), Error>,
    /// The fewest instructions of the victim that it has, at each of which it has to be killed.
    pub instructions_min: u32,
}

fn nothing() -> Result<Prepared, Error> {
    Ok(Prepared(0))
}

fn held(block: NonNull<u8>) -> Prepared {
    Prepared(block.as_ptr().expose_provenance() as u64)
}

impl Prepared {
    fn pointer(self) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.0 as usize)
    }

    fn block(self) -> Result<NonNull<u8>, Error> {
        NonNull::new(self.pointer()).ok_or(Error::BadPointer { address: 0 })
    }
}

fn block(size: usize) -> Result<Prepared, Error> {
    served::kmalloc(size, Flags::empty()).map(held)
}

fn kfree(prepared: Prepared) -> Result<(), Error> {
    // SAFETY: it is the block that was taken before.
    unsafe { served::kfree(prepared.pointer()) }
}

fn krealloc(prepared: Prepared, size: usize) -> Result<(), Error> {
    // SAFETY: as above.
    unsafe { served::krealloc(prepared.pointer(), size, Flags::empty()) }.map(drop)
}

fn heap_block(size: usize) -> Result<Prepared, Error> {
    HEAP.kmalloc(size, Flags::empty()).map(held)
}

fn dataspace() -> Result<Prepared, Error> {
    let space = Dataspace::new(3 * 4096)?;
    let token = space.token();
    core::mem::forget(space);
    Ok(Prepared(token))
}

fn attached() -> Result<(Dataspace, kmalloc::Attached), Error> {
    let space = Dataspace::new(3 * 4096)?;
    let here = Dataspace::attach(space.token(), Access::ReadWrite)?;
    Ok((space, here))
}

macro_rules! operations {
    ($($name:literal, $min:literal, $prepare:expr, $run:expr;)*) => {
        &[$(Operation { name: $name, prepare: $prepare, run: $run, instructions_min: $min },)*]
    };
}

/// All of them.
pub const OPERATIONS: &[Operation] = operations! {
    "kmalloc_from_a_bucket", 20, || block(64), |_| block(64).map(drop);
    "kmalloc_of_a_new_bucket", 14, nothing, |_| block(64).map(drop);
    "kmalloc_of_pages", 13, nothing, |_| block(3 * 4096).map(drop);
    "kmalloc_of_zeros", 12, || block(64), |_| served::kmalloc(64, Flags::ZERO).map(drop);
    "kcalloc", 14, nothing, |_| served::kcalloc(4, 16, Flags::ZERO).map(drop);
    "krealloc_in_place", 23, || block(100), |it| krealloc(it, 120);
    "krealloc_that_moves", 46, || block(100), |it| krealloc(it, 200);
    "krealloc_of_pages", 21, || block(3 * 4096), |it| krealloc(it, 20 * 4096);
    "kfree", 20, || block(64).and_then(|_| block(64)), kfree;
    "kfree_of_the_last_of_a_bucket", 20, || block(64), kfree;
    "kfree_of_pages", 10, || block(3 * 4096), kfree;
    "kmalloc_dma", 33, nothing, |_| served::kmalloc_dma(8192, &DmaOptions::default()).map(drop);
    "kfree_dma", 24, || served::kmalloc_dma(8192, &DmaOptions::default()).map(|it| held(it.address)),
        // SAFETY: it is the memory that was taken before.
        |it| unsafe { served::kfree_dma(it.pointer()) };
    "heap_opens_a_segment", 180, nothing, |_| heap_block(64).map(drop);
    "heap_maps_pages", 150, || heap_block(64), |_| heap_block(100_000).map(drop);
    "heap_takes_a_large_block", 120, nothing, |_| heap_block(LARGE_BYTES).map(drop);
    "heap_resizes_a_large_block", 120, || heap_block(LARGE_BYTES),
        // SAFETY: it is the block that was taken before.
        |it| unsafe { HEAP.krealloc(Some(it.block()?), LARGE_BYTES + 65_536, Flags::empty()) }.map(drop);
    "heap_frees_a_large_block", 220, || heap_block(LARGE_BYTES), |it| {
        // SAFETY: as above.
        unsafe { HEAP.kfree(it.block()?) }?;
        HEAP.trim();
        Ok(())
    };
    "heap_unmaps_pages", 450, || heap_block(5000), |it| {
        // SAFETY: as above.
        unsafe { HEAP.kfree(it.block()?) }?;
        HEAP.trim();
        Ok(())
    };
    "dataspace_make", 160, nothing, |_| dataspace().map(drop);
    "dataspace_share", 500, dataspace, |it| {
        let to = process::find("keeper")?;
        kmalloc::ShareSource::dataspace_share(&ServerSource::new(), it.0, to, Access::ReadWrite)
    };
    "dataspace_attach", 50, dataspace, |it| {
        Dataspace::attach(it.0, Access::ReadWrite).map(core::mem::forget)
    };
    "dataspace_detach_and_close", 320, nothing, |_| attached().map(drop);
    "start_of_a_thread", 210, nothing, |_| {
        let stack = &raw mut STACK;
        // SAFETY: the stack is used by that thread alone, which does nothing but wait.
        unsafe { kmalloc::thread::spawn(&mut *stack, |_| {}, 0, None) }
    };
    "start_of_a_child", 270, nothing, |_| Child::start("idle", &[], Some(300 << 10)).map(drop);
    "set_an_alarm", 160, nothing, |_| process::set_alarm(1_000_000).map(drop);
    "exit", 110, nothing, |_| process::exit(7);
    "fault", 1, nothing, |_| {
        // SAFETY: it is not safe, and what this is for: the read faults.
        let _ = unsafe { core::ptr::with_exposed_provenance::<u8>(NOWHERE).read_volatile() };
        Ok(())
    };
};

/// The operation of this name.
pub fn named(name: &str) -> Option<Operation> {
    OPERATIONS.iter().find(|it| it.name == name).copied()
}
