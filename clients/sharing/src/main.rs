// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces between clients. Each client of this program has a role, which its argument names.
//!
//! The maker makes dataspaces, shares them with its partner, and calls it with the tokens. The thief calls the partner
//! too, is told a token that was not meant for it, and must not get anywhere with it. In the end the maker exits while the
//! partner has memory of its attached.
#![no_std]
#![no_main]

mod link;
mod maker;
mod partner;
mod thief;

use client_test::Outcome;
use core::sync::atomic::{AtomicU64, Ordering};
use kmalloc::{Access, Attached, Dataspace, Error, Offset};

kmalloc::main!(main);

/// Bytes of the dataspaces that hold more than one segment's worth.
const LARGE: usize = 3 << 20;
/// What a dataspace of the maker's holds in its last word when the maker has ended.
const LAST_WILL: u64 = 0x1a57_3111;

fn main() -> Result<u8, Error> {
    match kmalloc::arguments().next() {
        Some("maker") => maker::run(),
        Some("partner") => Ok(partner::run()),
        Some("thief") => Ok(thief::run()),
        _ => write_where_only_reading_is_allowed(),
    }
}

/// Alone in its system, this client attaches at the window's first address; the fault is at the place written to.
fn write_where_only_reading_is_allowed() -> Result<u8, Error> {
    let space = Dataspace::new(8192)?;
    let read_only = Dataspace::attach(space.token(), Access::ReadOnly)?;
    let read_write = Dataspace::attach(space.token(), Access::ReadWrite)?;
    let place = Offset::<AtomicU64>::new(0x1008);
    word(&read_write, place).store(7, Ordering::Relaxed);
    if word(&read_only, place).load(Ordering::Relaxed) == 7 {
        word(&read_only, place).store(8, Ordering::Relaxed);
    }
    Ok(1)
}

/// A word of a dataspace.
fn word(space: &Attached, at: Offset<AtomicU64>) -> &AtomicU64 {
    let pointer = space.pointer(at).unwrap_or(space.address().cast());
    // SAFETY: the word lies in the mapping, which lives as long as `space`; it is only used as an atomic, by everyone.
    unsafe { pointer.as_ref() }
}

/// All words of a dataspace.
fn words(space: &Attached) -> impl Iterator<Item = &AtomicU64> {
    (0..space.size() as u64)
        .step_by(8)
        .map(|bytes| word(space, Offset::new(bytes)))
}

/// Writes `seed` and up into all words.
fn fill(space: &Attached, seed: u64) {
    for (number, word) in (seed..).zip(words(space)) {
        word.store(number, Ordering::Relaxed);
    }
}

/// Finds `seed` and up in all words.
fn check(space: &Attached, seed: u64) -> Outcome {
    for (number, word) in (seed..).zip(words(space)) {
        client_test::check_eq!(word.load(Ordering::Relaxed), number);
    }
    Ok(())
}
