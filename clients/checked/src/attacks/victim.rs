// SPDX-License-Identifier: BSD-2-Clause
//! The program that is attacked, by itself.

use crate::{HEAP, filled};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use kmalloc::dataspace::{Attached, Dataspace};
use kmalloc::{
    Access, Error, Flags, SEGMENT_SIZE, Violation, arguments, process, set_violation_hook,
};

/// The status of a program whose heap noticed the first of [`kmalloc::Fault`].
pub const STATUS: u32 = 40;
/// The heap noticed something, but elsewhere than where it was.
const ELSEWHERE: u32 = 30;
/// There is no such attack.
const UNKNOWN: u8 = 31;

/// An attack, with a way to say what it is aimed at.
type Attack = fn(&Aim) -> Result<(), Error>;

/// How many attacks there are.
pub const COUNT: usize = ATTACKS.len();
const ATTACKS: &[(&str, Attack)] = &[
    ("double_free", |aim| double_free(aim, 40, 0)),
    ("fastbin_dup", |aim| double_free(aim, 40, 1)),
    ("double_free_large", |aim| double_free(aim, LARGE, 1)),
    ("tcache_poisoning", tcache_poisoning),
    ("fastbin_dup_into_stack", fastbin_dup_into_stack),
    ("house_of_spirit_stack", house_of_spirit_stack),
    ("house_of_spirit_segment", house_of_spirit_segment),
    ("house_of_spirit_header", house_of_spirit_header),
    ("overlapping_chunks", overlapping_chunks),
    ("poison_null_byte", poison_null_byte),
    ("underflow_first", |aim| underflow(aim, 100)),
    ("underflow_run", |aim| underflow(aim, 60_000)),
    ("write_after_free_large", write_after_free_large),
    ("write_after_free_unmapped", write_after_free_unmapped),
    ("wrong_layout", wrong_layout),
    ("realloc_of_freed", realloc_of_freed),
    ("guard_behind", guard_behind),
    ("guard_in_front", guard_in_front),
];

/// Calls until a note has to be shared: more than fit into the time until the parent runs.
const ATTEMPTS: usize = 100_000;
/// A large block.
const LARGE: usize = 1 << 20;
/// A block that does not wait when it is freed, but is gone.
const LARGEST: usize = 9 << 20;

/// Where the next mistake is expected to be noticed: for the hook, and for who sees this program's end.
struct Aim(Attached);

static AIMED_AT: AtomicUsize = AtomicUsize::new(0);

impl Aim {
    fn at(&self, address: NonNull<u8>) {
        AIMED_AT.store(address.addr().get(), Ordering::Relaxed);
        let note = self.0.address().cast::<u64>();
        // SAFETY: the dataspace has a page, which nobody else writes to.
        unsafe { note.write_volatile(address.addr().get() as u64) };
    }
}

fn end(violation: &Violation) {
    let is_there = violation.address == AIMED_AT.load(Ordering::Relaxed);
    let status = STATUS + violation.fault as u32;
    process::exit(if is_there { status } else { ELSEWHERE })
}

/// Does what the arguments say, and ends by it.
pub fn attack() -> u8 {
    set_violation_hook(end);
    let token = arguments().nth(2).and_then(|text| text.parse().ok());
    let done = note(token.unwrap_or_default()).and_then(|note| {
        let name = arguments().nth(1).unwrap_or_default();
        match ATTACKS.iter().find(|(other, _)| *other == name) {
            Some((_, attack)) => attack(&Aim(note)).map(|()| 0),
            None if name == "none" => drop_all(&[filled(40)?, filled(LARGE)?]).map(|()| 0),
            None => Ok(UNKNOWN),
        }
    });
    done.unwrap_or_else(|error| error.number() as u8)
}

/// The parent's note, as soon as the parent has shared it.
fn note(token: u64) -> Result<Attached, Error> {
    for _ in 0..ATTEMPTS {
        match Dataspace::attach(token, Access::ReadWrite) {
            Err(Error::NotPermitted) => {}
            other => return other,
        }
    }
    Err(Error::NotPermitted)
}

/// Frees blocks of this program's.
fn drop_all(blocks: &[NonNull<u8>]) -> Result<(), Error> {
    for &block in blocks {
        // SAFETY: the block is this program's, or the call is the attack.
        unsafe { HEAP.kfree(block)? };
    }
    Ok(())
}

/// Frees a block, others, and the first one once more.
fn double_free(aim: &Aim, size: usize, others: usize) -> Result<(), Error> {
    let block = filled(size)?;
    let other = filled(size)?;
    drop_all(&[block])?;
    drop_all(&[other][..others])?;
    aim.at(block);
    drop_all(&[block])
}

/// Frees three blocks, writes the address of something else to the link of the middle one, and takes all that waits.
fn redirect(aim: &Aim, to: NonNull<u8>) -> Result<(), Error> {
    let blocks = [filled(40)?, filled(40)?, filled(40)?];
    drop_all(&blocks)?;
    // SAFETY: the write is the attack.
    unsafe { blocks[1].cast::<NonNull<u8>>().write(to) };
    aim.at(blocks[1]);
    // A freed block waits behind at most 64 others.
    for _ in 0..100 {
        drop_all(&[filled(40)?])?;
    }
    Ok(())
}

fn tcache_poisoning(aim: &Aim) -> Result<(), Error> {
    let used = filled(40)?;
    redirect(aim, used)
}

fn fastbin_dup_into_stack(aim: &Aim) -> Result<(), Error> {
    let mut on_stack = [0x40_u64; 16];
    redirect(aim, NonNull::from(&mut on_stack).cast())
}

fn house_of_spirit_stack(aim: &Aim) -> Result<(), Error> {
    let mut on_stack = [0x40_u64; 16];
    let forged = NonNull::from(&mut on_stack[2]).cast();
    aim.at(forged);
    drop_all(&[forged])
}

/// A block in use, copied to a page of a larger one, trailer and all.
fn house_of_spirit_segment(aim: &Aim) -> Result<(), Error> {
    let (run, real) = (filled(60_000)?, filled(48)?);
    // SAFETY: the run has so many bytes; what is copied is the attack.
    let forged = unsafe {
        let forged = run.add(4096);
        forged.copy_from_nonoverlapping(real, 64);
        forged
    };
    aim.at(forged);
    drop_all(&[forged])
}

/// Where the segment begins that a block lies in.
fn segment_of(block: NonNull<u8>) -> NonNull<u8> {
    let inside = block.addr().get() % SEGMENT_SIZE;
    // SAFETY: segments are aligned to their size.
    unsafe { block.sub(inside) }
}

/// A segment of this program's own, in a large block.
fn house_of_spirit_header(aim: &Aim) -> Result<(), Error> {
    let real = filled(48)?;
    let large = filled(2 * SEGMENT_SIZE + LARGE)?;
    let start = large.addr().get().next_multiple_of(SEGMENT_SIZE) - large.addr().get();
    let page = segment_of(real);
    // SAFETY: the forged segment lies in the large block; what is copied is the attack.
    let forged = unsafe {
        let forged = large.add(start);
        forged.copy_from_nonoverlapping(page, 8192);
        forged.add(real.addr().get() - page.addr().get())
    };
    aim.at(forged);
    drop_all(&[forged])
}

/// Writes all over a segment's header, then takes more.
fn overlapping_chunks(aim: &Aim) -> Result<(), Error> {
    let page = segment_of(filled(48)?);
    let header = header_in(page);
    // SAFETY: the write is the attack: no page is used, says what is written.
    unsafe { header.write_bytes(0, 2000) };
    aim.at(header);
    drop_all(&[filled(60_000)?])
}

/// Where the header of a segment stands: the first bytes of its page that are not null.
fn header_in(page: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: the page is mapped, and headers stand at cache lines.
    let mut lines = (0..64).map(|line| unsafe { page.add(64 * line) });
    let is_header = |line: &NonNull<u8>| {
        // SAFETY: as above.
        unsafe { line.cast::<u64>().read() != 0 }
    };
    lines.find(is_header).unwrap_or(page)
}

fn poison_null_byte(aim: &Aim) -> Result<(), Error> {
    let block = filled(39)?;
    // SAFETY: the write is the attack.
    unsafe { block.add(39).write(0) };
    aim.at(block);
    drop_all(&[block])
}

/// Writes in front of the first block of this size.
fn underflow(aim: &Aim, size: usize) -> Result<(), Error> {
    let block = filled(size)?;
    // SAFETY: the write is the attack.
    unsafe {
        let front = block.sub(1);
        front.write(!front.read());
    }
    aim.at(block);
    drop_all(&[block])
}

fn write_after_free_large(aim: &Aim) -> Result<(), Error> {
    let block = filled(LARGE)?;
    drop_all(&[block])?;
    // SAFETY: the write is the attack.
    unsafe { block.add(LARGE / 2).write(0) };
    aim.at(block);
    HEAP.trim();
    Ok(())
}

/// Writes a byte where it has to fault.
fn write_to(aim: &Aim, address: NonNull<u8>) {
    aim.at(address);
    // SAFETY: it is not safe, and what this program is for.
    unsafe { address.write_volatile(0) };
}

fn write_after_free_unmapped(aim: &Aim) -> Result<(), Error> {
    let block = filled(LARGEST)?;
    drop_all(&[block])?;
    // SAFETY: an address in the block that was.
    write_to(aim, unsafe { block.add(LARGEST / 2 + 5) });
    Ok(())
}

fn wrong_layout(aim: &Aim) -> Result<(), Error> {
    let block = filled(40)?;
    aim.at(block);
    if let Ok(layout) = Layout::from_size_align(41, 8) {
        // SAFETY: the block is this program's; the layout is the attack.
        unsafe { HEAP.dealloc(block.as_ptr(), layout) };
    }
    Ok(())
}

fn realloc_of_freed(aim: &Aim) -> Result<(), Error> {
    let block = filled(40)?;
    drop_all(&[block])?;
    aim.at(block);
    // SAFETY: the call is the attack.
    unsafe { HEAP.krealloc(Some(block), 100, Flags::empty()).map(drop) }
}

/// Writes behind the last page of the first of two large blocks.
fn guard_behind(aim: &Aim) -> Result<(), Error> {
    let (block, _) = (filled(LARGE - 16)?, filled(LARGE - 16)?);
    // SAFETY: one behind the block's end.
    write_to(aim, unsafe { block.add(LARGE) });
    Ok(())
}

/// Writes in front of the second of two large blocks.
fn guard_in_front(aim: &Aim) -> Result<(), Error> {
    let (first, second) = (filled(LARGE - 16)?, filled(LARGE - 16)?);
    // SAFETY: the address in front of a block is none of a null pointer.
    write_to(aim, unsafe { first.max(second).sub(1) });
    Ok(())
}
