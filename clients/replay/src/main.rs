// SPDX-License-Identifier: BSD-2-Clause
//! Replays an allocation trace through served memory. Every block is filled with a pattern of its own, which is checked
//! before each krealloc and kfree.
#![no_std]
#![no_main]

use core::ptr::{NonNull, null_mut};
use kmalloc::{Error, Flags, println, served};
use kmalloc_trace::{Operation, Trace};

kmalloc::main!(main);

/// A block of the trace that is live.
#[derive(Clone, Copy)]
struct Block {
    address: *mut u8,
    size: usize,
    /// What its bytes are made of.
    seed: usize,
}

const EMPTY: Block = Block {
    address: null_mut(),
    size: 0,
    seed: 0,
};

/// What went wrong, and at which operation.
#[derive(Debug)]
#[allow(dead_code, reason = "read by Debug when it is printed")]
enum Failure {
    NotATrace,
    Table(Error),
    Refused {
        operation: usize,
        error: Error,
    },
    Pattern {
        operation: usize,
        slot: u32,
        offset: usize,
    },
    NotZero {
        operation: usize,
        slot: u32,
    },
    Held {
        blocks: u64,
    },
}

fn main() -> Result<(), Failure> {
    let trace = Trace::decode(kmalloc::data()).map_err(|_| Failure::NotATrace)?;
    let summary = trace.summary();
    println!(
        "{} operations, at most {} blocks and {} bytes live",
        summary.operations, summary.slots, summary.live_bytes_max
    );
    let bytes = (summary.slots as usize).max(1) * size_of::<Block>();
    let table = served::kmalloc(bytes, Flags::ZERO)
        .map_err(Failure::Table)?
        .cast::<Block>();
    // SAFETY: the block has room for the table, is aligned for it, and all zero is an empty block.
    let blocks = unsafe { core::slice::from_raw_parts_mut(table.as_ptr(), summary.slots as usize) };
    let mut moved = 0usize;
    let mut checked = 0usize;
    for (number, operation) in trace.operations().enumerate() {
        let operation = operation.map_err(|_| Failure::NotATrace)?;
        let place = &mut blocks[operation.slot() as usize];
        let old = *place;
        check_pattern(&old, old.size, number, operation.slot())?;
        checked += old.size;
        *place = carry_out(operation, old, number)?;
        if !old.address.is_null() && !place.address.is_null() && old.address != place.address {
            moved += 1;
        }
    }
    for (slot, block) in blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| !block.address.is_null())
    {
        check_pattern(block, block.size, summary.operations as usize, slot as u32)?;
        free(block.address, summary.operations as usize)?;
    }
    free(table.as_ptr().cast(), summary.operations as usize)?;
    let stats = served::stats().map_err(Failure::Table)?;
    println!("{checked} bytes of pattern checked, {moved} blocks moved by krealloc");
    println!(
        "{} blocks held at the end, peak {} bytes",
        stats.blocks, stats.block_bytes_peak
    );
    if stats.blocks != 0 {
        Err(Failure::Held {
            blocks: stats.blocks,
        })
    } else {
        Ok(())
    }
}

fn carry_out(operation: Operation, old: Block, number: usize) -> Result<Block, Failure> {
    let refused = |error| Failure::Refused {
        operation: number,
        error,
    };
    let new = match operation {
        Operation::Allocate { size, .. } => {
            let address = served::kmalloc(size as usize, Flags::empty()).map_err(refused)?;
            Block {
                address: address.as_ptr(),
                size: size as usize,
                seed: number,
            }
        }
        Operation::AllocateZeroed { count, size, slot } => {
            let address =
                served::kcalloc(count as usize, size as usize, Flags::ZERO).map_err(refused)?;
            let size = count as usize * size as usize;
            // SAFETY: the block has that many bytes.
            let bytes = unsafe { core::slice::from_raw_parts(address.as_ptr(), size) };
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(Failure::NotZero {
                    operation: number,
                    slot,
                });
            }
            Block {
                address: address.as_ptr(),
                size,
                seed: number,
            }
        }
        Operation::Resize { size, slot } => {
            // SAFETY: the block is the trace's, and only the new address is used from here on.
            let address = unsafe { served::krealloc(old.address, size as usize, Flags::empty()) };
            let address = address
                .map_err(refused)?
                .map_or(null_mut(), NonNull::as_ptr);
            let kept = Block {
                address,
                size: size as usize,
                seed: old.seed,
            };
            if !address.is_null() {
                check_pattern(&kept, old.size.min(size as usize), number, slot)?;
            }
            Block {
                seed: number,
                ..kept
            }
        }
        Operation::Free { .. } => {
            free(old.address, number)?;
            EMPTY
        }
    };
    fill(&new);
    Ok(new)
}

fn free(address: *mut u8, operation: usize) -> Result<(), Failure> {
    // SAFETY: the block is the trace's and used no more.
    unsafe { served::kfree(address) }.map_err(|error| Failure::Refused { operation, error })
}

/// A byte of a block's pattern: it differs from block to block and from place to place.
fn pattern(seed: usize, offset: usize) -> u8 {
    (seed.wrapping_mul(0x9e37_79b9) >> 7) as u8 ^ (offset.wrapping_mul(0x85eb) >> 5) as u8
}

fn fill(block: &Block) {
    for offset in 0..if block.address.is_null() {
        0
    } else {
        block.size
    } {
        // SAFETY: the block is in use and has `size` bytes.
        unsafe { block.address.add(offset).write(pattern(block.seed, offset)) };
    }
}

fn check_pattern(block: &Block, size: usize, operation: usize, slot: u32) -> Result<(), Failure> {
    for offset in 0..if block.address.is_null() { 0 } else { size } {
        // SAFETY: the block is in use and has at least `size` bytes.
        if unsafe { block.address.add(offset).read() } != pattern(block.seed, offset) {
            return Err(Failure::Pattern {
                operation,
                slot,
                offset,
            });
        }
    }
    Ok(())
}
