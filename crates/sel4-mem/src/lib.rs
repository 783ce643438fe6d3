// SPDX-License-Identifier: BSD-2-Clause

//! `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp` and `strlen`.
//!
//! Compilers call these on their own account, and a program without a C library must bring them. They are written in
//! assembly so that no compiler can make a call of `memset` out of `memset`, at whatever optimisation, and use no SSE:
//! a thread that touches it makes every switch to another thread dearer.
//!
//! Host tests of this crate have the functions under names of its own and leave the C library's alone.

#![cfg_attr(not(test), no_std)]

use core::arch::naked_asm;

#[cfg(test)]
mod tests;

/// C's `memcpy`.
///
/// # Safety
///
/// `source` must be valid for reads and `destination` for writes of `length` bytes, and they must not overlap.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(export_name = "memcpy"))]
pub unsafe extern "C" fn copy(destination: *mut u8, source: *const u8, length: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep movsq",
        "mov ecx, edx",
        "and ecx, 7",
        "rep movsb",
        "ret",
    )
}

/// C's `memmove`.
///
/// # Safety
///
/// `source` must be valid for reads and `destination` for writes of `length` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(export_name = "memmove"))]
pub unsafe extern "C" fn copy_overlapping(
    destination: *mut u8,
    source: *const u8,
    length: usize,
) -> *mut u8 {
    naked_asm!(
        // Upwards is right unless the destination begins inside the source.
        "mov rax, rdi",
        "sub rax, rsi",
        "cmp rax, rdx",
        "mov rax, rdi",
        "jae {copy}",
        // Not by a string instruction with the direction flag set: a fault in the midst would show it to the kernel.
        "2: cmp rdx, 8",
        "jb 3f",
        "sub rdx, 8",
        "mov rcx, [rsi + rdx]",
        "mov [rdi + rdx], rcx",
        "jmp 2b",
        "3: test rdx, rdx",
        "jz 4f",
        "dec rdx",
        "mov cl, [rsi + rdx]",
        "mov [rdi + rdx], cl",
        "jmp 3b",
        "4: ret",
        copy = sym copy,
    )
}

/// C's `memset`.
///
/// # Safety
///
/// `destination` must be valid for writes of `length` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(export_name = "memset"))]
pub unsafe extern "C" fn fill(destination: *mut u8, byte: i32, length: usize) -> *mut u8 {
    naked_asm!(
        "mov r8, rdi",
        "movzx eax, sil",
        "mov rcx, 0x0101010101010101",
        "imul rax, rcx",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep stosq",
        "mov ecx, edx",
        "and ecx, 7",
        "rep stosb",
        "mov rax, r8",
        "ret",
    )
}

/// C's `memcmp`: compares bytes as unsigned numbers.
///
/// # Safety
///
/// Both must be valid for reads of `length` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(export_name = "memcmp"))]
pub unsafe extern "C" fn compare(left: *const u8, right: *const u8, length: usize) -> i32 {
    naked_asm!(
        "xor ecx, ecx",
        "2: sub rdx, 8",
        "jb 3f",
        "mov rax, [rdi + rcx]",
        "cmp rax, [rsi + rcx]",
        "jne 3f",
        "add rcx, 8",
        "jmp 2b",
        // Fewer than eight bytes are left, or the next eight differ: which one decides.
        "3: add rdx, 8",
        "4: test rdx, rdx",
        "jz 5f",
        "movzx eax, byte ptr [rdi + rcx]",
        "movzx r8d, byte ptr [rsi + rcx]",
        "sub eax, r8d",
        "jne 6f",
        "inc rcx",
        "dec rdx",
        "jmp 4b",
        "5: xor eax, eax",
        "6: ret",
    )
}

/// C's `bcmp`: zero if all bytes are equal.
///
/// # Safety
///
/// Both must be valid for reads of `length` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(export_name = "bcmp"))]
pub unsafe extern "C" fn differ(left: *const u8, right: *const u8, length: usize) -> i32 {
    naked_asm!("jmp {compare}", compare = sym compare)
}

/// C's `strlen`.
///
/// # Safety
///
/// `text` must be valid for reads up to its first zero byte.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(export_name = "strlen"))]
pub unsafe extern "C" fn length(text: *const u8) -> usize {
    naked_asm!(
        "mov rax, -1",
        "2: inc rax",
        "cmp byte ptr [rdi + rax], 0",
        "jne 2b",
        "ret",
    )
}
