// SPDX-License-Identifier: BSD-2-Clause
//! Short messages of numbers alone, read and written as words. It is the same encoding: what this reads and writes is what
//! postcard reads and writes, byte for byte (tested), in a tenth of the instructions. What is not here, `None`, goes
//! through postcard: long messages, text, and errors.

use super::{SHORT_WORDS, Short};
use crate::{Reply, Request};

/// Numbers of requests, as in the protocol's table.
mod number {
    pub const KMALLOC: u8 = 0;
    pub const KCALLOC: u8 = 1;
    pub const KREALLOC: u8 = 2;
    pub const KREALLOC_ARRAY: u8 = 3;
    pub const KFREE: u8 = 4;
    pub const KSIZE: u8 = 5;
    pub const KMALLOC_DMA: u8 = 6;
    pub const KFREE_DMA: u8 = 7;
    pub const STATS: u8 = 8;
    pub const GRANT: u8 = 9;
    pub const GRANT_LARGE: u8 = 10;
    pub const RESIZE: u8 = 11;
    pub const RELEASE: u8 = 12;
    pub const OPEN_SEGMENT: u8 = 15;
    pub const MAP: u8 = 16;
    pub const UNMAP: u8 = 17;
}

/// Numbers of replies, as in the protocol's table.
mod reply {
    pub const DONE: u8 = 0;
    pub const BLOCK: u8 = 1;
    pub const MOVED: u8 = 2;
    pub const SIZE: u8 = 3;
    pub const DMA: u8 = 4;
    pub const REGION: u8 = 5;
}

/// The bytes of a first word behind its number, `count` of them; `None` where one behind those is not zero.
#[inline(always)]
fn fields(first: u64, count: u32) -> Option<u64> {
    let fields = first >> 8;
    (fields.checked_shr(count.saturating_mul(8)) == Some(0)).then_some(fields)
}

/// Reads a request of `length` words, if it is one of numbers alone and well-formed.
#[inline(always)]
pub fn decode_request(words: &[u64; SHORT_WORDS], length: usize) -> Option<Request<'static>> {
    let [first, second, third, fourth] = *words;
    let flags = || fields(first, 4).map(|flags| flags as u32);
    let nothing = || fields(first, 0);
    let request = match (first as u8, length) {
        (number::KMALLOC, 2) => Request::Kmalloc {
            flags: flags()?,
            size: second,
        },
        (number::KCALLOC, 3) => Request::Kcalloc {
            flags: flags()?,
            count: second,
            size: third,
        },
        (number::KREALLOC, 3) => Request::Krealloc {
            flags: flags()?,
            address: second,
            size: third,
        },
        (number::KREALLOC_ARRAY, 4) => Request::KreallocArray {
            flags: flags()?,
            address: second,
            count: third,
            size: fourth,
        },
        (number::KMALLOC_DMA, 3) => {
            let [align_bits, boundary_bits, cache, ..] = fields(first, 3)?.to_le_bytes();
            Request::KmallocDma {
                align_bits,
                boundary_bits,
                cache,
                size: second,
                max_addr: third,
            }
        }
        (number::GRANT, 1) => {
            let fields = fields(first, 5)?;
            Request::Grant {
                size_bits: fields as u8,
                count: (fields >> 8) as u32,
            }
        }
        (number::GRANT_LARGE, 2) => Request::GrantLarge {
            align_bits: fields(first, 1)? as u8,
            size: second,
        },
        (number @ (number::RESIZE | number::MAP | number::UNMAP), 3) => {
            nothing()?;
            let (address, size) = (second, third);
            match number {
                number::RESIZE => Request::Resize { address, size },
                number::MAP => Request::Map { address, size },
                _ => Request::Unmap { address, size },
            }
        }
        (number::STATS, 1) => nothing().map(|_| Request::Stats)?,
        (number, 2) => {
            nothing()?;
            let address = second;
            match number {
                number::KFREE => Request::Kfree { address },
                number::KSIZE => Request::Ksize { address },
                number::KFREE_DMA => Request::KfreeDma { address },
                number::RELEASE => Request::Release { address },
                number::OPEN_SEGMENT => Request::OpenSegment { size: second },
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(request)
}

/// Writes a request, if it is one of numbers alone.
#[inline(always)]
pub fn encode_request(request: &Request<'_>) -> Option<Short> {
    let short = |number: u8, fields: u64, rest: [u64; 3], length| Short {
        words: [u64::from(number) | fields << 8, rest[0], rest[1], rest[2]],
        length,
    };
    let one = |number, word| short(number, 0, [word, 0, 0], 2);
    let two = |number, first, second| short(number, 0, [first, second, 0], 3);
    let short = match *request {
        Request::Kmalloc { flags, size } => short(number::KMALLOC, flags.into(), [size, 0, 0], 2),
        Request::Kcalloc { flags, count, size } => {
            short(number::KCALLOC, flags.into(), [count, size, 0], 3)
        }
        Request::Krealloc {
            flags,
            address,
            size,
        } => short(number::KREALLOC, flags.into(), [address, size, 0], 3),
        Request::KreallocArray {
            flags,
            address,
            count,
            size,
        } => short(
            number::KREALLOC_ARRAY,
            flags.into(),
            [address, count, size],
            4,
        ),
        Request::Kfree { address } => one(number::KFREE, address),
        Request::Ksize { address } => one(number::KSIZE, address),
        Request::KmallocDma {
            align_bits,
            boundary_bits,
            cache,
            size,
            max_addr,
        } => {
            let fields = u64::from_le_bytes([align_bits, boundary_bits, cache, 0, 0, 0, 0, 0]);
            short(number::KMALLOC_DMA, fields, [size, max_addr, 0], 3)
        }
        Request::KfreeDma { address } => one(number::KFREE_DMA, address),
        Request::Stats => short(number::STATS, 0, [0; 3], 1),
        Request::Grant { size_bits, count } => {
            let fields = u64::from(size_bits) | u64::from(count) << 8;
            short(number::GRANT, fields, [0; 3], 1)
        }
        Request::GrantLarge { align_bits, size } => {
            short(number::GRANT_LARGE, align_bits.into(), [size, 0, 0], 2)
        }
        Request::Resize { address, size } => two(number::RESIZE, address, size),
        Request::Release { address } => one(number::RELEASE, address),
        Request::OpenSegment { size } => one(number::OPEN_SEGMENT, size),
        Request::Map { address, size } => two(number::MAP, address, size),
        Request::Unmap { address, size } => two(number::UNMAP, address, size),
        _ => return None,
    };
    Some(short)
}

/// Reads a response of `length` words, if it is a reply of numbers alone.
#[inline(always)]
pub fn decode_reply(words: &[u64; SHORT_WORDS], length: usize) -> Option<Reply> {
    let [first, second, third, fourth] = *words;
    // The first byte says that it is a reply; padding behind its number is zero.
    let number = u8::try_from(first >> 8).ok().filter(|_| first as u8 == 0)?;
    let reply = match (number, length) {
        (reply::DONE, 1) => Reply::Done,
        (reply::BLOCK, 2) => Reply::Block { address: second },
        (reply::MOVED, 3) => Reply::Moved {
            address: second,
            copy: third,
        },
        (reply::SIZE, 2) => Reply::Size { size: second },
        (reply::DMA, 4) => Reply::Dma {
            address: second,
            dma_addr: third,
            size: fourth,
        },
        (reply::REGION, 3) => Reply::Region {
            address: second,
            size: third,
        },
        _ => return None,
    };
    Some(reply)
}

/// Writes a reply as a response, if it is one of numbers alone.
#[inline(always)]
pub fn encode_reply(reply: &Reply) -> Option<Short> {
    let short = |number: u8, rest: [u64; 3], length| Short {
        words: [u64::from(number) << 8, rest[0], rest[1], rest[2]],
        length,
    };
    let short = match *reply {
        Reply::Done => short(reply::DONE, [0; 3], 1),
        Reply::Block { address } => short(reply::BLOCK, [address, 0, 0], 2),
        Reply::Moved { address, copy } => short(reply::MOVED, [address, copy, 0], 3),
        Reply::Size { size } => short(reply::SIZE, [size, 0, 0], 2),
        Reply::Dma {
            address,
            dma_addr,
            size,
        } => short(reply::DMA, [address, dma_addr, size], 4),
        Reply::Region { address, size } => short(reply::REGION, [address, size, 0], 3),
        _ => return None,
    };
    Some(short)
}

/// The words that `bytes` are, with zeros behind; how many they are. `None` where they are more than four, or no whole
/// words.
#[inline(always)]
pub(super) fn words_in(bytes: &[u8]) -> Option<([u64; SHORT_WORDS], usize)> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    if chunks.len() > SHORT_WORDS || !rest.is_empty() {
        return None;
    }
    let mut words = [0; SHORT_WORDS];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    Some((words, chunks.len()))
}

#[cfg(test)]
mod tests;
