// SPDX-License-Identifier: BSD-2-Clause
//! Served memory: each call is one request to the server, which checks every pointer against books that no client can
//! reach.

use crate::transport::{call, call_done, call_for_block, call_to_free, not_understood};
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use kmalloc_bucket::size_class::{BLOCK_SIZE_MAX, SizeClass};
use kmalloc_protocol::{Error, Flags, Reply, Request, Stats};

pub use crate::source::DmaOptions;

/// DMA memory: physically contiguous, zero, whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaMemory {
    /// Where the program sees it.
    pub address: NonNull<u8>,
    /// Where a device sees it.
    pub dma_addr: u64,
    /// Bytes.
    pub size: usize,
}

impl DmaMemory {
    /// Before a device reads what the program wrote: what is still in the processor's caches goes to memory. Needed for
    /// [`Cache::Streaming`](crate::Cache) alone; on x86 devices see the caches, and only the order of writes is kept.
    pub fn sync_for_device(&self) {
        fence(Ordering::Release);
    }

    /// Before the program reads what a device wrote: what the processor's caches hold of it is forgotten. Needed for
    /// [`Cache::Streaming`](crate::Cache) alone; on x86 devices see the caches, and only the order of reads is kept.
    pub fn sync_for_cpu(&self) {
        fence(Ordering::Acquire);
    }
}

fn pointer(address: u64) -> Result<NonNull<u8>, Error> {
    match NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize)) {
        Some(pointer) => Ok(pointer),
        None => not_understood(),
    }
}

fn number(pointer: *const u8) -> u64 {
    pointer.expose_provenance() as u64
}

/// Bytes that a block of `size` bytes may use.
fn usable(size: usize) -> usize {
    match SizeClass::of(size, 1) {
        Some(class) => class.block_size(),
        None => size,
    }
}

/// Zeroes a block that has just been served. Whole pages come zeroed.
///
/// # Safety
///
/// `block` is a served block of `size` bytes that nobody else uses.
unsafe fn zero(block: NonNull<u8>, size: usize) {
    if size <= BLOCK_SIZE_MAX {
        // SAFETY: a block may be used to its usable size.
        unsafe { block.write_bytes(0, usable(size)) }
    }
}

/// A block of at least `size` bytes, aligned to 16, and to its size where that is a power of two.
///
/// # Errors
///
/// As in the protocol's table: over quota, out of memory, bad size, bad flags.
#[inline(always)]
pub fn kmalloc(size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
    let block = pointer(call_for_block(size as u64, flags.bits())?)?;
    if flags.contains(Flags::ZERO) {
        // SAFETY: the server has just given it to this call.
        unsafe { zero(block, size) }
    }
    Ok(block)
}

/// An array of `count` elements of `size` bytes.
///
/// # Errors
///
/// [`Error::Overflow`] when the product is more than a `usize` holds; else as [`kmalloc`].
pub fn kcalloc(count: usize, size: usize, flags: Flags) -> Result<NonNull<u8>, Error> {
    let request = Request::Kcalloc {
        count: count as u64,
        size: size as u64,
        flags: flags.bits(),
    };
    match call(&request)? {
        Reply::Block { address } => {
            let block = pointer(address)?;
            if flags.contains(Flags::ZERO) {
                // SAFETY: the server has just given it to this call, and has checked the product.
                unsafe { zero(block, count.wrapping_mul(size)) }
            }
            Ok(block)
        }
        _ => not_understood(),
    }
}

/// Another size for a block; it keeps the smaller of both sizes of its bytes. Null acts as [`kmalloc`]; size 0 frees
/// and gives `None`. With [`Flags::ZERO`] on every call for a block, bytes gained are zero.
///
/// # Safety
///
/// `block` is null or a served block of this program that nobody else uses. Unless this fails, it is used no more.
///
/// # Errors
///
/// As [`kmalloc`] and [`kfree`]; the old block is untouched then.
pub unsafe fn krealloc(
    block: *mut u8,
    size: usize,
    flags: Flags,
) -> Result<Option<NonNull<u8>>, Error> {
    if block.is_null() {
        return kmalloc(size, flags).map(Some);
    }
    let address = number(block);
    let old = if flags.contains(Flags::ZERO) {
        ksize(block)?
    } else {
        0
    };
    let request = Request::Krealloc {
        address,
        size: size as u64,
        flags: flags.bits(),
    };
    match call(&request)? {
        Reply::Done => Ok(None),
        Reply::Block { address } => {
            let new = pointer(address)?;
            if flags.contains(Flags::ZERO) && size < old {
                let kept = old.min(ksize(new.as_ptr())?);
                // SAFETY: the block is used to `size` bytes; what lies behind is zero for when it grows again.
                unsafe { new.add(size).write_bytes(0, kept - size) }
            }
            Ok(Some(new))
        }
        Reply::Moved { address, copy } => {
            let (new, copy) = (pointer(address)?, copy as usize);
            // SAFETY: the server says that both blocks hold `copy` bytes; they are different blocks.
            unsafe {
                core::ptr::copy_nonoverlapping(block, new.as_ptr(), copy);
                if flags.contains(Flags::ZERO) && size <= BLOCK_SIZE_MAX {
                    new.add(copy).write_bytes(0, usable(size) - copy);
                }
                kfree(block)?;
            }
            Ok(Some(new))
        }
        _ => not_understood(),
    }
}

/// [`krealloc`] to `count * size` bytes.
///
/// # Safety
///
/// As [`krealloc`].
///
/// # Errors
///
/// [`Error::Overflow`] when the product is more than a `usize` holds; else as [`krealloc`].
pub unsafe fn krealloc_array(
    block: *mut u8,
    count: usize,
    size: usize,
    flags: Flags,
) -> Result<Option<NonNull<u8>>, Error> {
    let overflow = Error::Overflow {
        count: count as u64,
        size: size as u64,
    };
    // SAFETY: as for this function.
    unsafe { krealloc(block, count.checked_mul(size).ok_or(overflow)?, flags) }
}

/// Gives a block back; null does nothing.
///
/// # Safety
///
/// `block` is null or a served block of this program, used no more. A pointer that is none is refused and changes
/// nothing.
///
/// # Errors
///
/// [`Error::BadPointer`], [`Error::DoubleFree`], [`Error::NotOwner`], [`Error::WrongKind`].
#[inline(always)]
pub unsafe fn kfree(block: *mut u8) -> Result<(), Error> {
    call_to_free(number(block))
}

/// How many bytes of a block may be used.
///
/// # Errors
///
/// As [`kfree`].
pub fn ksize(block: *const u8) -> Result<usize, Error> {
    match call(&Request::Ksize {
        address: number(block),
    })? {
        Reply::Size { size } => Ok(size as usize),
        _ => not_understood(),
    }
}

/// Physically contiguous memory of at least `size` bytes: exactly the pages needed, a guard page before and behind.
///
/// # Errors
///
/// [`Error::NoContiguousRun`], [`Error::AddressLimit`], [`Error::BadAlignment`]; else as [`kmalloc`].
pub fn kmalloc_dma(size: usize, options: &DmaOptions) -> Result<DmaMemory, Error> {
    for power in [options.align as u64, options.boundary] {
        if power != 0 && !power.is_power_of_two() {
            return Err(Error::BadAlignment { value: power });
        }
    }
    let request = Request::KmallocDma {
        size: size as u64,
        max_addr: options.max_addr,
        align_bits: options.align.max(1).ilog2() as u8,
        boundary_bits: if options.boundary == 0 {
            0
        } else {
            options.boundary.ilog2() as u8
        },
        cache: options.cache as u8,
    };
    match call(&request)? {
        Reply::Dma {
            address,
            dma_addr,
            size,
        } => Ok(DmaMemory {
            address: pointer(address)?,
            dma_addr,
            size: size as usize,
        }),
        _ => not_understood(),
    }
}

/// Gives DMA memory back; null does nothing.
///
/// # Safety
///
/// `memory` is null or the address of DMA memory of this program, and neither it nor a device uses it any more.
///
/// # Errors
///
/// As [`kfree`].
pub unsafe fn kfree_dma(memory: *mut u8) -> Result<(), Error> {
    call_done(&Request::KfreeDma {
        address: number(memory),
    })
}

/// The program's own figures.
///
/// # Errors
///
/// None that a working server gives.
pub fn stats() -> Result<Stats, Error> {
    match call(&Request::Stats)? {
        Reply::Stats(stats) => Ok(stats),
        _ => not_understood(),
    }
}
