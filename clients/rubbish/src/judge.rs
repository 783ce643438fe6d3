// SPDX-License-Identifier: BSD-2-Clause
//! Whether an answer is right, and what it changes of what this program holds.

use crate::holdings::{Holdings, Kind};
use crate::oracle::{Rule, is_supply, pages, rule, usable};
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::{AWAIT_ALL, Error, Reply, Request, Response};

/// What is wrong with an answer.
pub type Verdict = Result<(), &'static str>;

/// Whether a response to a request is right; what it gives or takes is noted.
pub fn judge(holdings: &mut Holdings, request: &Request<'_>, response: &Response) -> Verdict {
    match rule(holdings, request) {
        Rule::Exactly(expected) if *response == expected => {}
        Rule::Exactly(_) => return Err("another response than the only right one"),
        Rule::Pointer(wrong) => match *response {
            Err(
                Error::BadPointer { address }
                | Error::DoubleFree { address }
                | Error::NotOwner { address },
            ) if address == wrong => {}
            // What it is of another kind, this program knows itself.
            Err(Error::WrongKind { address }) if address == wrong => {}
            _ => return Err("a wrong pointer that was not called one"),
        },
        Rule::Memory(kind, size) => return given(holdings, kind, size, response),
        Rule::Buckets(count, size) => return buckets_given(holdings, count, size, response),
        Rule::Other => return judge_other(holdings, request, response),
    }
    if response.is_ok() {
        taken(holdings, request);
    }
    Ok(())
}

/// Memory of a kind was asked for.
fn given(holdings: &mut Holdings, kind: Kind, size: u64, response: &Response) -> Verdict {
    match *response {
        Ok(Reply::Block { address }) if kind == Kind::Block => holdings.add(kind, address, size),
        Ok(Reply::Dma {
            address,
            dma_addr,
            size: bytes,
        }) if kind == Kind::Dma && bytes == size && dma_addr.is_multiple_of(PAGE_SIZE as u64) => {
            holdings.add(kind, address, size)
        }
        Ok(Reply::Dataspace { token, size: bytes }) if kind == Kind::Dataspace && bytes == size => {
            holdings.add(kind, token, size)
        }
        Ok(Reply::Region {
            address,
            size: bytes,
        }) if bytes == size => match kind {
            Kind::Segment => holdings.add(kind, address, 2 << 20),
            Kind::Large | Kind::Attached => holdings.add(kind, address, size),
            _ => Err("a region in place of something else"),
        },
        Err(Error::AddressLimit { .. }) if kind == Kind::Dma => Ok(()),
        Err(error) if is_supply(&error) => Ok(()),
        Err(_) => Err("refused for a reason that is none"),
        Ok(_) => Err("something else than was asked for"),
    }
}

/// Buckets were asked for; each goes back by itself.
fn buckets_given(holdings: &mut Holdings, count: u64, size: u64, response: &Response) -> Verdict {
    match *response {
        Ok(Reply::Region {
            address,
            size: bytes,
        }) if bytes == count * size => (0..count)
            .try_for_each(|number| holdings.add(Kind::Bucket, address + number * size, size)),
        Err(error) if is_supply(&error) => Ok(()),
        _ => Err("something else than buckets"),
    }
}

/// Something was given back.
fn taken(holdings: &mut Holdings, request: &Request<'_>) {
    match *request {
        Request::Kfree { address }
        | Request::Krealloc {
            address, size: 0, ..
        } => holdings.remove(Kind::Block, address),
        Request::KreallocArray {
            address,
            count,
            size,
            ..
        } if count.wrapping_mul(size) == 0 => holdings.remove(Kind::Block, address),
        Request::KfreeDma { address } => holdings.remove(Kind::Dma, address),
        Request::Release { address } => {
            for kind in [Kind::Bucket, Kind::Segment, Kind::Large] {
                holdings.remove(kind, address);
            }
        }
        Request::Detach { address } => holdings.remove(Kind::Attached, address),
        Request::CloseDataspace { token } => holdings.remove(Kind::Dataspace, token),
        _ => {}
    }
}

/// Requests whose answer depends on what is not known here.
fn judge_other(holdings: &mut Holdings, request: &Request<'_>, response: &Response) -> Verdict {
    let fits = match (*request, *response) {
        (Request::Krealloc { address, size, .. }, response) => {
            return moved(holdings, address, size, &response);
        }
        (
            Request::KreallocArray {
                address,
                count,
                size,
                ..
            },
            response,
        ) => return moved(holdings, address, count.wrapping_mul(size), &response),
        (
            Request::Resize { address, size },
            Ok(Reply::Region {
                address: at,
                size: bytes,
            }),
        ) => {
            if bytes < pages(size) {
                return Err("a region that is too small");
            }
            holdings.remove(Kind::Large, address);
            return holdings.add(Kind::Large, at, bytes);
        }
        (Request::Resize { .. }, Err(error)) => is_supply(&error),
        (Request::Map { .. } | Request::Unmap { .. }, Ok(Reply::Done)) => true,
        (
            Request::Map { .. } | Request::Unmap { .. },
            Err(
                Error::BadSize { .. }
                | Error::BadPointer { .. }
                | Error::DoubleFree { .. }
                | Error::NotOwner { .. }
                | Error::WrongKind { .. },
            ),
        ) => true,
        (Request::Map { .. }, Err(error)) => is_supply(&error),
        (Request::Stats, Ok(Reply::Stats(_))) => true,
        (Request::SetAlarm { .. }, Ok(Reply::Time { .. })) => true,
        // Some machines have no clock that can be used.
        (Request::SetAlarm { .. } | Request::AwaitMemory { .. }, Err(Error::Refused { .. })) => {
            true
        }
        (Request::AwaitMemory { .. }, Ok(Reply::Done)) => true,
        (Request::AwaitMemory { size, .. }, Err(error)) => size != AWAIT_ALL && is_supply(&error),
        (Request::Kill { .. } | Request::Reap { .. }, Err(Error::NotPermitted)) => true,
        (
            Request::Kill { handle: named } | Request::Reap { handle: named },
            Err(Error::Stale { handle }),
        ) => handle == named,
        (Request::Events, Ok(Reply::Events { .. })) => true,
        (Request::Find { .. }, Ok(Reply::Client { handle })) => handle != 0,
        (Request::Find { .. }, Err(Error::Stale { handle: 0 })) => true,
        (Request::ShareDataspace { .. }, Ok(Reply::Done) | Err(Error::OutOfSlots { .. })) => true,
        (Request::ShareDataspace { handle: named, .. }, Err(Error::Stale { handle })) => {
            handle == named
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err("no answer to this request")
    }
}

/// A block got another size.
fn moved(holdings: &mut Holdings, address: u64, size: u64, response: &Response) -> Verdict {
    let Some(old) = holdings.at(Kind::Block, address) else {
        return Err("a block that is not held");
    };
    match *response {
        Ok(Reply::Moved { address: at, copy })
            if copy == old.size.min(size) || copy == old.size =>
        {
            holdings.add(Kind::Block, at, usable(size))
        }
        Ok(Reply::Block { address: at }) => {
            holdings.remove(Kind::Block, address);
            // A run of pages stays one.
            holdings.add(Kind::Block, at, usable(size.max(PAGE_SIZE as u64)))
        }
        Err(error) if is_supply(&error) => Ok(()),
        _ => Err("no answer to another size"),
    }
}
