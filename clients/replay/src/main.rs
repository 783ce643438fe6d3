// SPDX-License-Identifier: BSD-2-Clause
//! Replays an allocation trace: through served memory, through the resident heap, or one after the other (second
//! argument: `served`, `resident`, `both`). Every block is filled with a pattern of its own, which is checked before each krealloc and
//! kfree; a digest over all bytes checked must be the same both ways.
#![no_std]
#![no_main]

mod way;

use core::ptr::{NonNull, null_mut};
use kmalloc::{Error, Flags, println, served};
use kmalloc_trace::{Operation, Trace};
use way::{Resident, Served, Way};

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
        region_bytes: u64,
    },
    Contents {
        served: u64,
        resident: u64,
    },
}

fn main() -> Result<(), Failure> {
    let trace = Trace::decode(kmalloc::data()).map_err(|_| Failure::NotATrace)?;
    let summary = trace.summary();
    println!(
        "{} operations, at most {} blocks and {} bytes live",
        summary.operations, summary.slots, summary.live_bytes_max
    );
    // The first argument names the trace.
    let chosen = |way| kmalloc::arguments().skip(1).any(|argument| argument == way);
    let both = !chosen("served") && !chosen("resident");
    let mut digests = [None; 2];
    if both || chosen("served") {
        digests[0] = Some(replay(&trace, &Served)?);
    }
    if both || chosen("resident") {
        digests[1] = Some(replay(&trace, &Resident)?);
        way::trim();
    }
    if let [Some(served), Some(resident)] = digests
        && served != resident
    {
        return Err(Failure::Contents { served, resident });
    }
    let stats = served::stats().map_err(Failure::Table)?;
    if stats.blocks != 0 || stats.region_bytes != 0 {
        let (blocks, region_bytes) = (stats.blocks, stats.region_bytes);
        return Err(Failure::Held {
            blocks,
            region_bytes,
        });
    }
    Ok(())
}

/// Replays the trace one way; the digest of all bytes that were checked.
fn replay(trace: &Trace<'_>, way: &impl Way) -> Result<u64, Failure> {
    let before = served::stats().map_err(Failure::Table)?;
    let summary = trace.summary();
    let bytes = (summary.slots as usize).max(1) * size_of::<Block>();
    let table = served::kmalloc(bytes, Flags::ZERO)
        .map_err(Failure::Table)?
        .cast::<Block>();
    // SAFETY: the block has room for the table, is aligned for it, and all zero is an empty block.
    let blocks = unsafe { core::slice::from_raw_parts_mut(table.as_ptr(), summary.slots as usize) };
    let mut replay = Replay {
        way,
        digest: 0,
        checked: 0,
        moved: 0,
    };
    for (number, operation) in trace.operations().enumerate() {
        let operation = operation.map_err(|_| Failure::NotATrace)?;
        let place = &mut blocks[operation.slot() as usize];
        let old = *place;
        replay.check_pattern(&old, old.size, number, operation.slot())?;
        *place = replay.carry_out(operation, old, number)?;
        if !old.address.is_null() && !place.address.is_null() && old.address != place.address {
            replay.moved += 1;
        }
    }
    let end = summary.operations as usize;
    for (slot, block) in blocks
        .iter()
        .enumerate()
        .filter(|(_, block)| !block.address.is_null())
    {
        replay.check_pattern(block, block.size, end, slot as u32)?;
        replay.free(block.address, end)?;
    }
    // SAFETY: the table is used no more.
    unsafe { served::kfree(table.as_ptr().cast()) }.map_err(Failure::Table)?;
    let after = served::stats().map_err(Failure::Table)?;
    println!(
        "{}: {} bytes of pattern checked, {} blocks moved by krealloc, {} calls to the server, peak {} bytes",
        way.name(),
        replay.checked,
        replay.moved,
        after.calls - before.calls,
        after.committed_peak
    );
    Ok(replay.digest)
}

/// A replay on its way through a trace.
struct Replay<'w, W> {
    way: &'w W,
    digest: u64,
    checked: usize,
    moved: usize,
}

impl<W: Way> Replay<'_, W> {
    fn carry_out(
        &mut self,
        operation: Operation,
        old: Block,
        number: usize,
    ) -> Result<Block, Failure> {
        let refused = |error| Failure::Refused {
            operation: number,
            error,
        };
        let new = match operation {
            Operation::Allocate { size, .. } => {
                let address = self
                    .way
                    .kmalloc(size as usize, Flags::empty())
                    .map_err(refused)?;
                Block {
                    address: address.as_ptr(),
                    size: size as usize,
                    seed: number,
                }
            }
            Operation::AllocateZeroed { count, size, slot } => {
                let address = self
                    .way
                    .kcalloc(count as usize, size as usize, Flags::ZERO)
                    .map_err(refused)?;
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
                let address = unsafe {
                    self.way
                        .krealloc(old.address, size as usize, Flags::empty())
                };
                let address = address
                    .map_err(refused)?
                    .map_or(null_mut(), NonNull::as_ptr);
                let kept = Block {
                    address,
                    size: size as usize,
                    seed: old.seed,
                };
                if !address.is_null() {
                    self.check_pattern(&kept, old.size.min(size as usize), number, slot)?;
                }
                Block {
                    seed: number,
                    ..kept
                }
            }
            Operation::Free { .. } => {
                self.free(old.address, number)?;
                EMPTY
            }
        };
        fill(&new);
        Ok(new)
    }

    fn free(&self, address: *mut u8, operation: usize) -> Result<(), Failure> {
        // SAFETY: the block is the trace's and used no more.
        unsafe { self.way.kfree(address) }.map_err(|error| Failure::Refused { operation, error })
    }

    fn check_pattern(
        &mut self,
        block: &Block,
        size: usize,
        operation: usize,
        slot: u32,
    ) -> Result<(), Failure> {
        let size = if block.address.is_null() { 0 } else { size };
        for offset in 0..size {
            // SAFETY: the block is in use and has at least `size` bytes.
            let byte = unsafe { block.address.add(offset).read() };
            if byte != pattern(block.seed, offset) {
                return Err(Failure::Pattern {
                    operation,
                    slot,
                    offset,
                });
            }
            self.digest =
                self.digest.rotate_left(5) ^ u64::from(byte).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.checked += size;
        Ok(())
    }
}

/// A byte of a block's pattern: it differs from block to block and from place to place.
fn pattern(seed: usize, offset: usize) -> u8 {
    (seed.wrapping_mul(0x9e37_79b9) >> 7) as u8 ^ (offset.wrapping_mul(0x85eb) >> 5) as u8
}

fn fill(block: &Block) {
    let size = if block.address.is_null() {
        0
    } else {
        block.size
    };
    for offset in 0..size {
        // SAFETY: the block is in use and has `size` bytes.
        unsafe { block.address.add(offset).write(pattern(block.seed, offset)) };
    }
}
