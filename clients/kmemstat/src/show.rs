// SPDX-License-Identifier: BSD-2-Clause
//! The parts of what is shown, each as a table.

use kmalloc::statistics::{
    self, BlockFigures, LATENCY_FIRST_BITS, LATENCY_STEPS, ORDERS, SERVED_CLASSES,
};
use kmalloc::{Error, println};

/// What a client is doing, by `life`.
const LIVES: [&str; 6] = ["-", "built", "runs", "ends", "lingers", "dead"];
/// Bytes of a page.
const PAGE: u64 = 4096;

/// Bytes in KiB.
const fn kib(bytes: u64) -> u64 {
    bytes / 1024
}

/// Physical memory, in KiB.
pub fn free() -> Result<(), Error> {
    let it = statistics::memory()?;
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "KiB", "total", "used", "free", "usable", "cleaning"
    );
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "memory",
        kib(it.total),
        kib(it.total - it.free),
        kib(it.free),
        kib(it.usable),
        kib(it.cleaning)
    );
    println!("{:>8} {:>10} {:>10} {:>10}", "", "4 KiB", "64 KiB", "2 MiB");
    for (name, pages, chunks, larges) in [
        ("clean", it.clean_pages, it.clean_chunks, it.clean_larges),
        ("dirty", it.dirty_pages, it.dirty_chunks, it.dirty_larges),
    ] {
        println!(
            "{name:>8} {:>10} {:>10} {:>10}",
            kib(pages),
            kib(chunks),
            kib(larges)
        );
    }
    Ok(())
}

/// Who has how much for what, in KiB.
pub fn top() -> Result<(), Error> {
    println!(
        "{:<16} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>7}",
        "client",
        "life",
        "limit",
        "reserved",
        "has",
        "peak",
        "served",
        "heap",
        "large",
        "DMA",
        "shared",
        "kernel",
        "calls",
        "refused"
    );
    for client in statistics::clients() {
        let client = client?;
        // One that goes away in between is not there any more.
        let (Ok(name), Ok(uses)) = (
            statistics::name(client.handle),
            statistics::uses(client.handle),
        ) else {
            continue;
        };
        println!(
            "{:<16} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>7}",
            name.as_str(),
            LIVES[client.life as usize % LIVES.len()],
            kib(client.limit),
            kib(client.reserved),
            kib(client.committed),
            kib(client.committed_peak),
            kib(uses.block_bytes),
            kib(uses.resident_bytes),
            kib(uses.large_bytes),
            kib(uses.dma_bytes),
            kib(uses.shared_bytes),
            kib(uses.kernel_bytes + uses.ledger_bytes),
            client.calls,
            client.failures
        );
    }
    Ok(())
}

/// Served blocks of all clients by size class.
pub fn slabs() -> Result<(), Error> {
    let mut sum = BlockFigures::default();
    for client in statistics::clients() {
        for page in statistics::blocks(client?.handle) {
            let Ok(page) = page else { break };
            sum.runs += page.runs;
            sum.run_pages += page.run_pages;
            for class in 0..SERVED_CLASSES {
                sum.buckets[class] += page.buckets[class];
                sum.blocks[class] += page.blocks[class];
            }
        }
    }
    println!(
        "{:<8} {:>8} {:>8} {:>8} {:>5}",
        "slab", "in use", "places", "pages", "%"
    );
    for class in 0..SERVED_CLASSES {
        let (used, buckets) = (u64::from(sum.blocks[class]), u64::from(sum.buckets[class]));
        let places = buckets * (PAGE >> (4 + class));
        println!(
            "{:<8} {used:>8} {places:>8} {buckets:>8} {:>5}",
            16 << class,
            used * 100 / places.max(1)
        );
    }
    println!(
        "{:<8} {:>8} {:>8} {:>8}",
        "whole", sum.runs, "", sum.run_pages
    );
    Ok(())
}

/// Free pieces of memory by their size.
pub fn pieces() -> Result<(), Error> {
    let mut orders = [0; ORDERS];
    for large in statistics::larges() {
        for (sum, count) in orders.iter_mut().zip(large?.orders) {
            *sum += count;
        }
    }
    println!("free pieces, by KiB");
    for (order, count) in orders.into_iter().enumerate() {
        println!("{:>8} {count:>8}", 4 << order);
    }
    Ok(())
}

/// Requests by how long they took: the tick counts below which half of them, and all but one in a hundred, were.
pub fn calls() -> Result<(), Error> {
    println!(
        "{:<8} {:>9} {:>12} {:>12} {:>12}",
        "request", "calls", "mean ticks", "half below", "99 % below"
    );
    let mut request = 0;
    // The first number that no request has is refused.
    while let Ok(figures) = statistics::calls(request) {
        let calls = figures.calls();
        if let Some(mean) = figures.ticks.checked_div(calls) {
            let below = |share: u64| {
                let mut seen = 0;
                let step = figures.steps.iter().position(|step| {
                    seen += u64::from(*step);
                    seen * 100 >= calls * share
                });
                1u64 << (LATENCY_FIRST_BITS + step.unwrap_or(LATENCY_STEPS) as u32)
            };
            println!(
                "{request:<8} {calls:>9} {mean:>12} {:>12} {:>12}",
                below(50),
                below(99)
            );
        }
        request += 1;
    }
    Ok(())
}
