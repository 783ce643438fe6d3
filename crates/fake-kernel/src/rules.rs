// SPDX-License-Identifier: BSD-2-Clause
//! Whose rules hold: those of a release of the kernel, and those of the server on top.
//!
//! # The server's own rules
//! A kernel does all of this without a word, at least in some release. No correct server asks for it, so the model panics,
//! and names what is wrong, unless it was booted by [`FakeKernel::boot_bare`]; then it does what the kernel does.
//!
//! | what | what a kernel does | the model alone panics with |
//! |---|---|---|
//! | a frame is mapped over what is mapped | 5.0.0 refuses, later releases replace it | "is mapped over" |
//! | a frame shows one client's bytes to another | it maps it | "is mapped for" |
//! | a frame that is shared is mapped by its first capability | it maps it | "is shared and mapped" |
//! | a copy of a frame is mapped for a client that is mapped by its first capability | it maps it | "is shared while" |
//! | a frame is unmapped that a function reaches by a copy | it unmaps it | "goes while a function reaches it" |
//! | a copy is made of a copy | it makes a copy of the first one | "is a copy itself" |
//! | a copy goes by which the frame is mapped | 5.0.0 leaves the mapping, later releases don't | "goes while the frame is mapped by it" |
//! | a frame's first capability goes before its copies | it deletes it | "goes while it is shared" |
//! | what is not mapped is unmapped | 5.0.0 does not answer | "is to be unmapped" |
//! | an untyped goes before what was made of it | that falls to what the untyped was made of | "is deleted while" |
//! | a table goes while frames are mapped through it | the mappings are lost, the frames count as mapped | "goes while frames are mapped through it" |
//! | an address space goes while frames are mapped in it | the same | "goes while frames are mapped" |
//! | a frame is written to by the server while somebody has it | it refuses to map it | "is no unmapped frame" |
//! | an object lies elsewhere than its slot says | slots are slots | "is made at another place" |
//! | a ledger's frames in wrong order, too many, or not zero | nothing: ledgers are not the kernel's | "ledger" |
//! | a thread starts without what it needs, or twice | it refuses, or starts it | "starts without", "runs already" |
//!
//! # Where releases differ
//!
//! | what | 5.0.0 | 13.0.0 to 16.0.0 |
//! |---|---|---|
//! | map a frame over another | error 8 | done; the other is mapped nowhere, and its capability does not know |
//! | map a frame that is mapped, at the same address of the same address space | error 2 | done |
//! | the same at another address | error 2 | error 1 |
//! | the end of addresses | 0xffff_ff80_0000_0000 | 0x7fff_ffff_f000 |
//! | a capability goes by which a frame is mapped, and the frame has others | the mapping stays | it goes |
//! | unmap a frame that is not mapped | no answer | done |

use crate::FakeKernel;
pub use kernel_sequences::{RETYPE_MAX, Release};

/// Whose rules hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) release: Release,
    /// Objects that one retype makes at the most.
    pub(crate) retype_max: usize,
    /// Whether the server's own hold too.
    pub(crate) server: bool,
}

impl Rules {
    /// What holds for the server: it runs on every release.
    pub(crate) const SERVER: Rules = Rules {
        release: Release::Five,
        retype_max: RETYPE_MAX,
        server: true,
    };

    /// The end of the addresses that a client can have.
    pub(crate) fn address_end(self) -> usize {
        match self.release {
            Release::Five if !self.server => 0xffff_ff80_0000_0000,
            _ => 0x7fff_ffff_f000,
        }
    }
}

impl FakeKernel {
    /// A rule of the server's own.
    ///
    /// # Panics
    /// When it holds and is broken.
    #[track_caller]
    pub(crate) fn demand(&self, is_kept: bool, complaint: impl FnOnce() -> String) {
        assert!(is_kept || !self.rules.server, "{}", complaint());
    }
}

#[cfg(test)]
mod tests;
