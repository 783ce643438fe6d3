// SPDX-License-Identifier: BSD-2-Clause
//! Attacks on the heap, each in a program of its own, which has to end by what names it: its status says what the heap
//! noticed and that it was where it had to be; where the machine notices it, the fault's address is the one aimed at.

mod victim;

use crate::attacks::victim::{COUNT, STATUS};
use alloc::string::ToString;
use client_test::{Outcome, Test, check_eq, ok};
use kmalloc::child::Child;
use kmalloc::dataspace::Dataspace;
use kmalloc::{Access, Cause, Ended, Error, Fault};
pub use victim::attack;

pub const TESTS: &[Test] = &[
    ("attack_double_free", || {
        named("double_free", Fault::DoubleFree)
    }),
    ("attack_fastbin_dup", || {
        named("fastbin_dup", Fault::DoubleFree)
    }),
    ("attack_double_free_of_a_large_block", || {
        named("double_free_large", Fault::DoubleFree)
    }),
    ("attack_tcache_poisoning", || {
        named("tcache_poisoning", Fault::WriteAfterFree)
    }),
    ("attack_fastbin_dup_into_stack", || {
        named("fastbin_dup_into_stack", Fault::WriteAfterFree)
    }),
    ("attack_house_of_spirit_on_the_stack", || {
        named("house_of_spirit_stack", Fault::BadPointer)
    }),
    ("attack_house_of_spirit_in_a_segment", || {
        named("house_of_spirit_segment", Fault::BadPointer)
    }),
    ("attack_house_of_spirit_with_a_header", || {
        named("house_of_spirit_header", Fault::BadPointer)
    }),
    ("attack_overlapping_chunks", || {
        named("overlapping_chunks", Fault::BadBooks)
    }),
    ("attack_poison_null_byte", || {
        named("poison_null_byte", Fault::Overflow)
    }),
    ("attack_underflow_of_a_first_block", || {
        named("underflow_first", Fault::Underflow)
    }),
    ("attack_underflow_of_a_run", || {
        named("underflow_run", Fault::Underflow)
    }),
    ("attack_write_after_free_of_a_large_block", || {
        named("write_after_free_large", Fault::WriteAfterFree)
    }),
    ("attack_write_after_free_of_what_is_unmapped", || {
        faulted("write_after_free_unmapped")
    }),
    ("attack_wrong_layout", || {
        named("wrong_layout", Fault::WrongSize)
    }),
    ("attack_realloc_of_freed", || {
        named("realloc_of_freed", Fault::DoubleFree)
    }),
    ("guard_page_behind_a_large_block", || {
        faulted("guard_behind")
    }),
    ("guard_page_in_front_of_a_large_block", || {
        faulted("guard_in_front")
    }),
    ("every_attack_is_tried", every_attack_is_tried),
];

const SHARE: u64 = 16 << 20;
/// How a victim ended that did this, and the address that it aimed at.
fn end_of(attack: &str) -> Result<(Ended, u64), Error> {
    let note = Dataspace::new(1)?;
    let here = Dataspace::attach(note.token(), Access::ReadOnly)?;
    let victim = Child::start("victim", &[attack, &note.token().to_string()], Some(SHARE))?;
    note.share_with(victim.handle(), Access::ReadWrite)?;
    let ended = victim.wait()?;
    // SAFETY: the dataspace has a page, and who wrote to it is no more.
    let aimed_at = unsafe { here.address().cast::<u64>().read_volatile() };
    Ok((ended, aimed_at))
}

/// The heap named it, at the address aimed at.
fn named(attack: &str, fault: Fault) -> Outcome {
    let (ended, _) = ok!(end_of(attack));
    check_eq!(
        (ended.cause, ended.value),
        (Cause::Exit, u64::from(STATUS + fault as u32))
    );
    Ok(())
}

/// It was a fault at the address aimed at, of which seL4 5.0.0 tells the low 32 bits.
fn faulted(attack: &str) -> Outcome {
    let (ended, aimed_at) = ok!(end_of(attack));
    let told = [aimed_at, aimed_at & u64::from(u32::MAX)];
    check_eq!(
        (ended.cause, told.contains(&ended.value)),
        (Cause::VmFault, true)
    );
    Ok(())
}

/// What nobody tries ends as a program without mistakes.
fn every_attack_is_tried() -> Outcome {
    check_eq!(COUNT + 1, TESTS.len());
    let (ended, _) = ok!(end_of("none"));
    check_eq!((ended.cause, ended.value), (Cause::Exit, 0));
    Ok(())
}
