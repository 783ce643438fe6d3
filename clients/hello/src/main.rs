// SPDX-License-Identifier: BSD-2-Clause
//! The smallest client: takes a block, uses it, gives it back.
#![no_std]
#![no_main]

use kmalloc::{Error, Flags, println, served};

kmalloc::main!(main);

fn main() -> Result<(), Error> {
    println!("hello from a client of the memory server");
    for argument in kmalloc::arguments() {
        println!("argument: {argument}");
    }
    let block = served::kmalloc(64, Flags::ZERO)?;
    println!(
        "kmalloc(64) = {block:p}, of which {} bytes may be used",
        served::ksize(block.as_ptr())?
    );
    // SAFETY: the block is ours, and has 64 bytes.
    unsafe {
        block.write_bytes(0x5a, 64);
        served::kfree(block.as_ptr())?;
    }
    let memory = served::kmalloc_dma(20_000, &served::DmaOptions::default())?;
    println!(
        "kmalloc_dma(20000) = {:p}, {} bytes at {:#x}",
        memory.address, memory.size, memory.dma_addr
    );
    // SAFETY: the memory is ours, and nobody uses it any more.
    unsafe { served::kfree_dma(memory.address.as_ptr())? };
    let stats = served::stats()?;
    println!(
        "{} of {} bytes committed, {} calls",
        stats.committed, stats.limit, stats.calls
    );
    Ok(())
}
