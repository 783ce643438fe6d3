// SPDX-License-Identifier: BSD-2-Clause

use crate::Word;
use crate::sys::seL4_UserContext;

/// The registers of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct UserContext(seL4_UserContext);

/// How many registers the kernel in use takes.
pub(crate) const REGISTER_COUNT: usize = size_of::<seL4_UserContext>() / size_of::<Word>();

impl UserContext {
    /// The registers by their own names.
    pub const fn inner(&self) -> &seL4_UserContext {
        &self.0
    }

    /// The registers by their own names.
    pub fn inner_mut(&mut self) -> &mut seL4_UserContext {
        &mut self.0
    }

    /// The address of the next instruction.
    pub fn pc(&self) -> &Word {
        &self.0.rip
    }

    /// The address of the next instruction.
    pub fn pc_mut(&mut self) -> &mut Word {
        &mut self.0.rip
    }

    /// The top of the stack.
    pub fn sp(&self) -> &Word {
        &self.0.rsp
    }

    /// The top of the stack.
    pub fn sp_mut(&mut self) -> &mut Word {
        &mut self.0.rsp
    }

    /// The register of the `index`th argument of a C function.
    ///
    /// # Panics
    ///
    /// If `index` is above 5: such arguments are on the stack.
    pub fn c_param(&self, index: usize) -> &Word {
        match index {
            0 => &self.0.rdi,
            1 => &self.0.rsi,
            2 => &self.0.rdx,
            3 => &self.0.rcx,
            4 => &self.0.r8,
            5 => &self.0.r9,
            _ => panic!("argument {index} is not in a register"),
        }
    }

    /// The register of the `index`th argument of a C function.
    ///
    /// # Panics
    ///
    /// If `index` is above 5: such arguments are on the stack.
    pub fn c_param_mut(&mut self, index: usize) -> &mut Word {
        match index {
            0 => &mut self.0.rdi,
            1 => &mut self.0.rsi,
            2 => &mut self.0.rdx,
            3 => &mut self.0.rcx,
            4 => &mut self.0.r8,
            5 => &mut self.0.r9,
            _ => panic!("argument {index} is not in a register"),
        }
    }

    pub(crate) fn words(&self) -> &[Word; REGISTER_COUNT] {
        // SAFETY: both are `repr(C)` sequences of `REGISTER_COUNT` words.
        unsafe { &*(&raw const self.0).cast() }
    }

    pub(crate) fn words_mut(&mut self) -> &mut [Word; REGISTER_COUNT] {
        // SAFETY: as in `words`, and the borrow is exclusive.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}
