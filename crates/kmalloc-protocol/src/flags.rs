// SPDX-License-Identifier: BSD-2-Clause
use serde::{Deserialize, Serialize};

bitflags::bitflags! {
    /// How memory is wanted. Unknown bits are refused.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u32 {
        /// The memory is zero (Linux: `__GFP_ZERO`).
        const ZERO = 1 << 0;
    }
}

/// How the processor caches DMA memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Cache {
    /// Processor and device see each other's writes at once. On x86 that is ordinary cached memory.
    #[default]
    Coherent = 0,
    /// Cached; who uses it says by sync calls when the other side takes over.
    Streaming = 1,
    /// Writes are gathered and not cached (frame buffers).
    WriteCombining = 2,
    /// Not cached at all.
    Uncached = 3,
}

impl Cache {
    /// The mode with this number in a message.
    pub const fn from_number(number: u8) -> Option<Cache> {
        match number {
            0 => Some(Cache::Coherent),
            1 => Some(Cache::Streaming),
            2 => Some(Cache::WriteCombining),
            3 => Some(Cache::Uncached),
            _ => None,
        }
    }
}
