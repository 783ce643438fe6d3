// SPDX-License-Identifier: BSD-2-Clause
//! The commonest messages, read and written as words. It is the same encoding: what this reads and writes is what postcard
//! reads and writes, byte for byte (tested), only without a loop over bytes and without memory.

use super::{SHORT_WORDS, Short};
use crate::Flags;

const KMALLOC: u64 = 0;
const KFREE: u64 = 4;
/// Where the flags of a `Kmalloc` begin.
const FLAGS_SHIFT: u32 = 8;
/// Those that have a meaning.
const FLAGS: u64 = (Flags::all().bits() as u64) << FLAGS_SHIFT;
/// `Ok`, then [`Reply::Done`](crate::Reply::Done).
const DONE: u64 = 0;
/// `Ok`, then [`Reply::Block`](crate::Reply::Block).
const BLOCK: u64 = 1 << 8;

/// A request that is served without a call out of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuickRequest {
    /// [`Request::Kmalloc`](crate::Request::Kmalloc).
    Kmalloc {
        /// Bytes wanted.
        size: u64,
        /// Bits of [`Flags`].
        flags: u32,
    },
    /// [`Request::Kfree`](crate::Request::Kfree).
    Kfree {
        /// The block, or 0.
        address: u64,
    },
}

/// Words of a quick request.
pub const REQUEST_WORDS: usize = 2;
/// Words of a response that is a block.
pub const BLOCK_WORDS: usize = 2;
/// Words of the response `Done`.
pub const DONE_WORDS: usize = 1;

/// Reads a quick request from a message with the protocol's label, [`REQUEST_WORDS`] words and no capabilities, which the
/// caller has checked; `None` where it is any other, well-formed or not, or has flags without a meaning.
#[inline(always)]
pub fn decode(words: &[u64; SHORT_WORDS]) -> Option<QuickRequest> {
    if words[0] & !FLAGS == KMALLOC {
        return Some(QuickRequest::Kmalloc {
            size: words[1],
            flags: (words[0] >> FLAGS_SHIFT) as u32,
        });
    }
    if words[0] == KFREE {
        return Some(QuickRequest::Kfree { address: words[1] });
    }
    None
}

/// Writes a quick request.
#[inline(always)]
pub fn encode(request: QuickRequest) -> Short {
    let (first, second) = match request {
        QuickRequest::Kmalloc { size, flags } => (KMALLOC | u64::from(flags) << FLAGS_SHIFT, size),
        QuickRequest::Kfree { address } => (KFREE, address),
    };
    Short {
        words: [first, second, 0, 0],
        length: 2,
    }
}

/// Writes a block as a response.
#[inline(always)]
pub fn encode_block(address: u64) -> Short {
    Short {
        words: [BLOCK, address, 0, 0],
        length: 2,
    }
}

/// Writes `Done` as a response.
#[inline(always)]
pub fn encode_done() -> Short {
    Short {
        words: [DONE, 0, 0, 0],
        length: 1,
    }
}

/// Reads a response that is a block from a message with the protocol's label and [`BLOCK_WORDS`] words; `None` where it is
/// any other.
#[inline(always)]
pub fn decode_block(words: &[u64; SHORT_WORDS]) -> Option<u64> {
    (words[0] == BLOCK).then_some(words[1])
}

/// Whether a response with the protocol's label and [`DONE_WORDS`] words is `Done`.
#[inline(always)]
pub fn is_done(words: &[u64; SHORT_WORDS]) -> bool {
    words[0] == DONE
}

#[cfg(test)]
mod tests;
