// SPDX-License-Identifier: BSD-2-Clause
//! To begin something at a given tick of the processor's counter. Where that counts instructions, it is met exactly.

use core::arch::{naked_asm, x86_64::_rdtsc};
use core::ops::RangeInclusive;

/// The processor's counter.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    unsafe { _rdtsc() }
}

/// Returns a fixed number of instructions after `tick`; at once where that has passed, or is 0. Gives its own last address.
///
/// It looks at the counter until less than 64 ticks are left, and does nothing as often as there are ticks left then.
#[unsafe(naked)]
extern "C" fn wait_until(tick: u64) -> usize {
    naked_asm!(
        "test rdi, rdi",
        "je 4f",
        "lea rsi, [rdi - 56]",
        "2:",
        "rdtsc",
        "shl rdx, 32",
        "or rax, rdx",
        "cmp rax, rsi",
        "jb 2b",
        // How many ticks are left; none if the processor was away.
        "sub rdi, rax",
        "xor edx, edx",
        "cmp rdi, 56",
        "cmova rdi, rdx",
        "lea rcx, [rip + 3f]",
        "sub rcx, rdi",
        "jmp rcx",
        // As many instructions of one byte.
        ".fill 56, 1, 0x90",
        "3:",
        "4:",
        "lea rax, [rip + 5f]",
        "5:",
        "ret",
    )
}

/// Waits for a tick.
#[inline(always)]
pub fn until(tick: u64) {
    wait_until(tick);
}

/// Where a program stands that waits.
pub fn addresses() -> RangeInclusive<usize> {
    wait_until as *const () as usize..=wait_until(0)
}

/// Stands still for good.
#[unsafe(naked)]
pub extern "C" fn stand_still() -> ! {
    naked_asm!("2:", "pause", "jmp 2b")
}

/// Where a program stands that stands still.
pub fn still_addresses() -> RangeInclusive<usize> {
    let first = stand_still as *const () as usize;
    first..=first + 2
}
