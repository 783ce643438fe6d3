// SPDX-License-Identifier: BSD-2-Clause

//! System calls as they are: everything in registers.
//!
//! The kernel is entered by `syscall` with its number in RDX, the capability in RDI, the message's description in RSI
//! and its first four words in R10, R8, R9 and R15. It answers with the badge in RDI and the message likewise. RCX and
//! R11 are lost, and RSP comes back as 0, so R14 keeps it. MCS kernels take a reply object in R12.

use core::arch::asm;

use crate::Word;
use crate::message_info::MessageInfo;

/// A message as it arrives.
pub(crate) struct Received {
    pub(crate) info: MessageInfo,
    pub(crate) badge: Word,
    pub(crate) words: [Word; 4],
}

/// What a receiving call passes for the right to reply: a reply object's address on MCS kernels, else nothing.
#[derive(Clone, Copy)]
pub(crate) struct ReplyRegister {
    #[cfg(kernel_mcs)]
    pub(crate) object: Word,
}

impl ReplyRegister {
    /// For calls that need none.
    pub(crate) const NONE: Self = Self {
        #[cfg(kernel_mcs)]
        object: 0,
    };
}

/// `syscall` with what every use of it has in common.
macro_rules! syscall {
    ($number:expr, $($operands:tt)*) => {
        asm!(
            "mov r14, rsp",
            "syscall",
            "mov rsp, r14",
            in("rdx") $number,
            $($operands)*
            out("rcx") _,
            out("r11") _,
            out("r14") _,
        )
    };
}

/// `syscall` that also passes the right to reply, where the kernel has it in a register.
#[cfg(kernel_mcs)]
macro_rules! syscall_with_reply {
    ($reply:expr, $number:expr, $($operands:tt)*) => {
        syscall!($number, in("r12") $reply.object, $($operands)*)
    };
}

#[cfg(not(kernel_mcs))]
macro_rules! syscall_with_reply {
    ($reply:expr, $number:expr, $($operands:tt)*) => {{
        let _: ReplyRegister = $reply;
        syscall!($number, $($operands)*)
    }};
}

/// Sends: Send, NBSend, Reply.
#[inline(always)]
pub(crate) fn send(number: i64, cptr: Word, info: MessageInfo, words: [Word; 4]) {
    // SAFETY: what the call may change is declared. Memory counts as changed, which covers the IPC buffer.
    unsafe {
        syscall!(
            number,
            inlateout("rdi") cptr => _,
            inlateout("rsi") info.into_word() => _,
            inlateout("r10") words[0] => _,
            inlateout("r8") words[1] => _,
            inlateout("r9") words[2] => _,
            inlateout("r15") words[3] => _,
        )
    };
}

/// Receives: Recv, NBRecv, Wait, NBWait.
#[inline(always)]
pub(crate) fn receive(number: i64, cptr: Word, reply: ReplyRegister) -> Received {
    let (info, badge, words): (Word, Word, [Word; 4]);
    let (word0, word1, word2, word3);
    // SAFETY: what the call may change is declared. Memory counts as changed, which covers the IPC buffer.
    unsafe {
        syscall_with_reply!(
            reply,
            number,
            inlateout("rdi") cptr => badge,
            lateout("rsi") info,
            lateout("r10") word0,
            lateout("r8") word1,
            lateout("r9") word2,
            lateout("r15") word3,
        )
    };
    words = [word0, word1, word2, word3];
    Received {
        info: MessageInfo::from_word(info),
        badge,
        words,
    }
}

/// Sends, then receives: Call, ReplyRecv.
#[inline(always)]
pub(crate) fn send_receive(
    number: i64,
    cptr: Word,
    info: MessageInfo,
    words: [Word; 4],
    reply: ReplyRegister,
) -> Received {
    let [mut word0, mut word1, mut word2, mut word3] = words;
    let mut info = info.into_word();
    let badge;
    // SAFETY: what the call may change is declared. Memory counts as changed, which covers the IPC buffer.
    unsafe {
        syscall_with_reply!(
            reply,
            number,
            inlateout("rdi") cptr => badge,
            inlateout("rsi") info,
            inlateout("r10") word0,
            inlateout("r8") word1,
            inlateout("r9") word2,
            inlateout("r15") word3,
        )
    };
    Received {
        info: MessageInfo::from_word(info),
        badge,
        words: [word0, word1, word2, word3],
    }
}

/// A call with one argument and no message: Yield, the debug calls.
#[inline(always)]
pub(crate) fn bare(number: i64, argument: Word) -> Word {
    let result;
    // SAFETY: what the call may change is declared.
    unsafe {
        syscall!(
            number,
            inlateout("rdi") argument => result,
            out("rsi") _,
            out("r10") _,
            out("r8") _,
            out("r9") _,
            out("r15") _,
        )
    };
    result
}

/// The base of GS: the address of the calling thread's IPC buffer, where the kernel keeps it.
#[cfg(kernel_ipc_buffer_in_gs)]
#[inline(always)]
pub(crate) fn gs_base() -> usize {
    let base;
    // SAFETY: reads a register. Such a kernel is only accepted with FSGSBASE_INST, which enables the instruction.
    unsafe { asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// The word at the base of FS: by the ABI, that base itself.
#[cfg(not(kernel_ipc_buffer_in_gs))]
#[inline(always)]
pub(crate) fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: `set_thread_pointer` made the base the address of a word that holds it. In a thread that never called
    // `set_ipc_buffer` the base is 0, and this faults.
    unsafe {
        asm!("mov {}, fs:[0]", out(reg) pointer, options(readonly, nostack, preserves_flags))
    };
    pointer
}

/// Sets the base of FS.
#[cfg(all(not(kernel_ipc_buffer_in_gs), kernel_set_tls_base))]
pub(crate) fn set_thread_pointer(pointer: usize) {
    bare(crate::sys::syscall::SetTLSBase, pointer as Word);
}

/// Sets the base of FS.
#[cfg(all(not(kernel_ipc_buffer_in_gs), not(kernel_set_tls_base)))]
pub(crate) fn set_thread_pointer(pointer: usize) {
    // SAFETY: nothing in these programs has thread-local variables, so the base is the bindings' own. A kernel without
    // SetTLSBase is only accepted with FSGSBASE_INST, which enables the instruction.
    unsafe { asm!("wrfsbase {}", in(reg) pointer, options(nostack, preserves_flags)) };
}
