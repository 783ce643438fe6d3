// SPDX-License-Identifier: BSD-2-Clause
//! What the server has to answer, found without asking it: from the message itself, by the protocol's decoder on this side,
//! and from what this program holds. `judge` holds the answers against it.

use crate::holdings::{Holdings, Kind};
use crate::raw::Message;
use kmalloc_bucket::size_class::{BLOCK_SIZE_MIN, PAGE_SIZE};
use kmalloc_protocol::message::{BYTES_MAX, decode_request};
use kmalloc_protocol::{
    BadMessage, Error, Events, Flags, LABEL, PROTOCOL_VERSION, Reply, Request, Response, SIZE_MAX,
};

/// The largest region: a segment less than a window.
const REGION_BYTES_MAX: u64 = SIZE_MAX - (2 << 20);
/// log2 of the largest alignment.
const ALIGN_BITS_MAX: u8 = 36;

/// The request that a message is, or the one right answer to what is none.
pub fn decode<'a>(message: &Message, bytes: &'a mut [u8; BYTES_MAX]) -> Result<Request<'a>, Error> {
    let label = message.label();
    if label != LABEL {
        return Err(Error::BadVersion {
            expected: PROTOCOL_VERSION,
            label,
        });
    }
    if message.shows_caps() {
        return Err(Error::BadMessage(BadMessage::Capabilities));
    }
    decode_request(message.bytes(bytes)).map_err(Error::BadMessage)
}

/// Whether a request would end this program, or start a thread of it somewhere.
pub fn is_deadly(request: &Request<'_>, own_handle: u64) -> bool {
    match *request {
        Request::Exit { .. } => true,
        Request::StartThread { entry, stack, .. } => {
            entry < 1 << 39 && stack != 0 && stack <= 1 << 39 && stack % 16 == 0
        }
        Request::Kill { handle } => handle == own_handle,
        _ => false,
    }
}

/// Whether a refusal may come of what memory there is, and not of the request itself.
pub fn is_supply(error: &Error) -> bool {
    matches!(
        error,
        Error::OverQuota { .. }
            | Error::OutOfMemory { .. }
            | Error::NoContiguousRun { .. }
            | Error::OutOfSlots { .. }
            | Error::BeingCleaned { .. }
    )
}

/// What the rules say of a request, as far as they say it.
pub enum Rule {
    /// There is one right response.
    Exactly(Response),
    /// It is no pointer to memory of the right kind: one of the errors that say so.
    Pointer(u64),
    /// Memory of this kind and size, or no supply.
    Memory(Kind, u64),
    /// That many buckets of that size, or no supply.
    Buckets(u64, u64),
    /// Depends on what nobody keeps account of here: checked by its kind.
    Other,
}

fn refused(error: Error) -> Rule {
    Rule::Exactly(Err(error))
}

fn flags_or(flags: u32, otherwise: impl FnOnce() -> Rule) -> Rule {
    match flags & !Flags::all().bits() {
        0 => otherwise(),
        unknown => refused(Error::BadFlags { unknown }),
    }
}

fn writable_or(writable: u8, otherwise: Rule) -> Rule {
    match writable {
        0 | 1 => otherwise,
        _ => refused(Error::BadFlags {
            unknown: u32::from(writable & !1),
        }),
    }
}

/// Bytes of the pages that hold so many.
pub fn pages(size: u64) -> u64 {
    size.next_multiple_of(PAGE_SIZE as u64)
}

/// Bytes of the block that serves `size`.
pub fn usable(size: u64) -> u64 {
    if size <= PAGE_SIZE as u64 / 2 {
        size.next_power_of_two().max(BLOCK_SIZE_MIN as u64)
    } else if size <= 4 * PAGE_SIZE as u64 {
        size.next_power_of_two()
    } else {
        pages(size)
    }
}

fn block(size: u64) -> Rule {
    if size > SIZE_MAX {
        refused(Error::BadSize { size })
    } else {
        Rule::Memory(Kind::Block, usable(size))
    }
}

fn resized(holdings: &Holdings, address: u64, size: u64) -> Rule {
    if address == 0 {
        return block(size);
    }
    match holdings.at(Kind::Block, address) {
        None => Rule::Pointer(address),
        Some(_) if size == 0 => Rule::Exactly(Ok(Reply::Done)),
        Some(_) if size > SIZE_MAX => refused(Error::BadSize { size }),
        Some(old) if old.size < PAGE_SIZE as u64 && size <= old.size => {
            Rule::Exactly(Ok(Reply::Block { address }))
        }
        Some(_) => Rule::Other,
    }
}

fn freed(holdings: &Holdings, kind: Kind, address: u64) -> Rule {
    if address == 0 || holdings.at(kind, address).is_some() {
        Rule::Exactly(Ok(Reply::Done))
    } else {
        Rule::Pointer(address)
    }
}

fn dma(size: u64, align_bits: u8, boundary_bits: u8, cache: u8) -> Rule {
    let bad = |value: u8| {
        refused(Error::BadAlignment {
            value: value.into(),
        })
    };
    if size == 0 || size > SIZE_MAX {
        return refused(Error::BadSize { size });
    }
    if cache > 3 {
        return bad(cache);
    }
    if align_bits > ALIGN_BITS_MAX {
        return bad(align_bits);
    }
    let kept = boundary_bits == 0
        || (12..64).contains(&boundary_bits) && pages(size) <= 1 << boundary_bits;
    if kept {
        Rule::Memory(Kind::Dma, pages(size))
    } else {
        bad(boundary_bits)
    }
}

fn large(size: u64, align_bits: u8) -> Rule {
    if size == 0 || size > REGION_BYTES_MAX {
        refused(Error::BadSize { size })
    } else if align_bits > ALIGN_BITS_MAX {
        refused(Error::BadAlignment {
            value: align_bits.into(),
        })
    } else {
        Rule::Memory(Kind::Large, pages(size))
    }
}

fn buckets(size_bits: u8, count: u32) -> Rule {
    if !(12..=21).contains(&size_bits) {
        return refused(Error::BadAlignment {
            value: size_bits.into(),
        });
    }
    let size = u64::from(count) << size_bits;
    if size == 0 || size > SIZE_MAX {
        return refused(Error::BadSize { size });
    }
    Rule::Buckets(u64::from(count), 1 << size_bits)
}

fn region(holdings: &Holdings, address: u64, size: u64) -> Rule {
    let wrong = [Kind::Bucket, Kind::Segment];
    if holdings.at(Kind::Large, address).is_some() {
        if size == 0 || size > REGION_BYTES_MAX {
            return refused(Error::BadSize { size });
        }
        return Rule::Other;
    }
    if wrong
        .iter()
        .any(|kind| holdings.at(*kind, address).is_some())
    {
        return refused(Error::WrongKind { address });
    }
    Rule::Pointer(address)
}

fn token_or(holdings: &Holdings, token: u64, otherwise: Rule) -> Rule {
    match holdings.at(Kind::Dataspace, token) {
        Some(_) => otherwise,
        None => refused(Error::Stale { handle: token }),
    }
}

fn no_device(number: u8) -> Rule {
    refused(Error::NoDevice {
        device: number.into(),
    })
}

/// What the rules say of a request of a program that holds this, has no devices and no children, may start and end nobody and
/// see no figures.
pub fn rule(holdings: &Holdings, request: &Request<'_>) -> Rule {
    match *request {
        Request::Kmalloc { flags, size } => flags_or(flags, || block(size)),
        Request::Kcalloc { flags, count, size } => match count.checked_mul(size) {
            None => refused(Error::Overflow { count, size }),
            Some(total) => flags_or(flags, || block(total)),
        },
        Request::Krealloc {
            flags,
            address,
            size,
        } => flags_or(flags, || resized(holdings, address, size)),
        Request::KreallocArray {
            flags,
            address,
            count,
            size,
        } => match count.checked_mul(size) {
            None => refused(Error::Overflow { count, size }),
            Some(total) => flags_or(flags, || resized(holdings, address, total)),
        },
        Request::Kfree { address } => freed(holdings, Kind::Block, address),
        Request::KfreeDma { address } => freed(holdings, Kind::Dma, address),
        Request::Ksize { address } => match holdings.at(Kind::Block, address) {
            Some(block) => Rule::Exactly(Ok(Reply::Size { size: block.size })),
            None => Rule::Pointer(address),
        },
        Request::KmallocDma {
            align_bits,
            boundary_bits,
            cache,
            size,
            ..
        } => dma(size, align_bits, boundary_bits, cache),
        Request::Grant { size_bits, count } => buckets(size_bits, count),
        Request::GrantLarge { align_bits, size } => large(size, align_bits),
        Request::Resize { address, size } => region(holdings, address, size),
        Request::Release { address } => {
            let kinds = [Kind::Bucket, Kind::Segment, Kind::Large];
            match kinds
                .iter()
                .any(|kind| holdings.at(*kind, address).is_some())
            {
                true => Rule::Exactly(Ok(Reply::Done)),
                false => Rule::Pointer(address),
            }
        }
        Request::OpenSegment { size } => {
            if size == 0 || size % PAGE_SIZE as u64 != 0 || size > 2 << 20 {
                return refused(Error::BadSize { size });
            }
            Rule::Memory(Kind::Segment, size)
        }
        Request::StartThread { entry, stack, .. } => {
            let address = if entry >= 1 << 39 { entry } else { stack };
            refused(Error::BadPointer { address })
        }
        _ => rule_of_others(holdings, request),
    }
}

fn rule_of_others(holdings: &Holdings, request: &Request<'_>) -> Rule {
    match *request {
        Request::Print { .. } => Rule::Exactly(Ok(Reply::Done)),
        Request::Start { .. } | Request::Observe { .. } => refused(Error::NotPermitted),
        Request::Reap { handle: 0 } => Rule::Exactly(Ok(Reply::Done)),
        Request::Watch { events } => match events & !Events::PRESSURE.bits() {
            0 => Rule::Exactly(Ok(Reply::Done)),
            unknown => refused(Error::BadFlags { unknown }),
        },
        Request::MakeDataspace { size } if size == 0 || size > REGION_BYTES_MAX => {
            refused(Error::BadSize { size })
        }
        Request::MakeDataspace { size } => Rule::Memory(Kind::Dataspace, pages(size)),
        Request::ShareDataspace {
            writable, token, ..
        } => writable_or(writable, token_or(holdings, token, Rule::Other)),
        Request::Attach { writable, token } => {
            let bytes = holdings.at(Kind::Dataspace, token);
            let attached = Rule::Memory(Kind::Attached, bytes.map_or(0, |it| it.size));
            writable_or(writable, token_or(holdings, token, attached))
        }
        Request::Detach { address } => match holdings.at(Kind::Attached, address) {
            Some(_) => Rule::Exactly(Ok(Reply::Done)),
            None => Rule::Pointer(address),
        },
        Request::CloseDataspace { token } => {
            token_or(holdings, token, Rule::Exactly(Ok(Reply::Done)))
        }
        Request::OpenDevice { index } => no_device(index),
        Request::PciConfigRead { function, .. }
        | Request::PciConfigWrite { function, .. }
        | Request::MapBar { function, .. }
        | Request::EnableInterrupt { function }
        | Request::AckInterrupt { function }
        | Request::ReleaseQuarantine { function } => no_device(function),
        _ => Rule::Other,
    }
}
