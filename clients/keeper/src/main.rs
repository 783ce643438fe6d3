// SPDX-License-Identifier: BSD-2-Clause
//! The bystander: keeps memory of every kind while others run, and checks every byte of it when they have ended.
#![no_std]
#![no_main]

use core::ptr::NonNull;
use kmalloc::{Error, Flags, println, served};

kmalloc::main!(main);

const SIZES: [usize; 6] = [16, 64, 1000, 4096, 16_384, 100_000];
const DMA_BYTES: usize = 20_000;

/// Memory, and how many bytes of it are checked.
type Kept = (NonNull<u8>, usize);

fn main() -> Result<(), &'static str> {
    let kept = take().map_err(|_| "no memory to keep")?;
    for (number, (address, size)) in kept.iter().enumerate() {
        for offset in 0..*size {
            // SAFETY: the memory is this program's and has that many bytes.
            unsafe { address.add(offset).write(pattern(number, offset)) };
        }
    }
    kmalloc::wait();
    let mut checked = 0;
    for (number, (address, size)) in kept.iter().enumerate() {
        for offset in 0..*size {
            // SAFETY: as above.
            if unsafe { address.add(offset).read() } != pattern(number, offset) {
                println!("byte {offset} of block {number} at {address:p} has changed");
                return Err("memory was not kept");
            }
        }
        checked += size;
    }
    println!("{checked} bytes kept");
    Ok(())
}

fn take() -> Result<[Kept; SIZES.len() + 1], Error> {
    let dma = served::kmalloc_dma(DMA_BYTES, &served::DmaOptions::default())?;
    let mut kept = [(dma.address, dma.size); SIZES.len() + 1];
    for (place, size) in kept.iter_mut().zip(SIZES) {
        *place = (served::kmalloc(size, Flags::empty())?, size);
    }
    Ok(kept)
}

/// A byte that tells by its value where it belongs.
fn pattern(number: usize, offset: usize) -> u8 {
    (number * 59 + offset.wrapping_mul(0x9e37) / 256) as u8
}
