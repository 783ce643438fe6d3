// SPDX-License-Identifier: BSD-2-Clause
//! The parts of what is shown, each as a table.

use core::fmt;
use kmalloc::statistics::{
    self, BlockFigures, CallFigures, LATENCY_FIRST_BITS, LATENCY_STEPS, ORDERS, SERVED_CLASSES,
};
use kmalloc::{Error, println};
use kmalloc_protocol::names::{ErrorName, RequestName};

/// What a client is doing, by `life`.
const LIVES: [&str; 6] = ["-", "built", "runs", "ends", "lingers", "dead"];
/// Bytes of a page.
const PAGE: u64 = 4096;
/// Physical memory by what devices can reach it, as Linux has it: by 24 bits of address, by 32, by more. Each with its end.
const ZONES: [(&str, u64); 3] = [("DMA", 1 << 24), ("DMA32", 1 << 32), ("Normal", u64::MAX)];

/// Bytes in KiB.
const fn kib(bytes: u64) -> u64 {
    bytes / 1024
}

/// Numbers in columns. A line is printed in one go: others print too.
struct Row<'a>(&'a [u32]);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|number| write!(f, " {number:>6}"))
    }
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

/// Why requests were refused, a line for each client and error that there was.
pub fn refusals() -> Result<(), Error> {
    println!("{:<16} {:<16} {:>9}", "client", "refused by", "requests");
    for client in statistics::clients() {
        let handle = client?.handle;
        let (Ok(name), Ok(counts)) = (statistics::name(handle), statistics::failures(handle))
        else {
            continue;
        };
        for (number, count) in (0..).zip(counts).filter(|(_, count)| *count > 0) {
            println!("{:<16} {:<16} {count:>9}", name.as_str(), ErrorName(number));
        }
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

/// A zone's free memory in bytes, what of it would have to be zeroed, and its pieces by order.
#[derive(Clone, Copy, Default)]
struct Zone {
    free: u64,
    dirty: u64,
    orders: [u32; ORDERS],
}

/// Free memory by zone, in KiB, and the pieces it is in, by their size in KiB.
pub fn pieces() -> Result<(), Error> {
    let mut zones = [Zone::default(); ZONES.len()];
    for large in statistics::larges() {
        let large = large?;
        let place = ZONES.iter().position(|(_, end)| large.address < *end);
        let zone = &mut zones[place.unwrap_or(ZONES.len() - 1)];
        zone.free += u64::from(large.free) * PAGE;
        zone.dirty += u64::from(large.dirty) * PAGE;
        for (sum, count) in zone.orders.iter_mut().zip(large.orders) {
            *sum += count;
        }
    }
    let sizes: [u32; ORDERS] = core::array::from_fn(|order| 4 << order);
    println!(
        "{:<8} {:>9} {:>9}{}",
        "pieces",
        "free",
        "dirty",
        Row(&sizes)
    );
    for ((name, _), zone) in ZONES.iter().zip(&zones) {
        let (free, dirty) = (kib(zone.free), kib(zone.dirty));
        println!("{name:<8} {free:>9} {dirty:>9}{}", Row(&zone.orders));
    }
    Ok(())
}

/// The requests that there were since they are measured: number and figures.
fn measured() -> impl Iterator<Item = (u8, CallFigures)> {
    // The first number that no request has is refused.
    let figures =
        (0..=u8::MAX).map_while(|request| Some((request, statistics::calls(request).ok()?)));
    figures.filter(|(_, figures)| figures.calls() > 0)
}

/// Requests by how long they took: the tick counts below which half of them, and all but one in a hundred, were.
pub fn calls() -> Result<(), Error> {
    println!(
        "{:<18} {:>9} {:>12} {:>12} {:>12}",
        "request", "calls", "mean ticks", "half below", "99 % below"
    );
    for (request, figures) in measured() {
        let calls = figures.calls();
        let below = |share: u64| {
            let mut seen = 0;
            let step = figures.steps.iter().position(|step| {
                seen += u64::from(*step);
                seen * 100 >= calls * share
            });
            1u64 << (LATENCY_FIRST_BITS + step.unwrap_or(LATENCY_STEPS) as u32)
        };
        println!(
            "{:<18} {calls:>9} {:>12} {:>12} {:>12}",
            RequestName(request),
            figures.ticks / calls,
            below(50),
            below(99)
        );
    }
    Ok(())
}

/// The whole histogram of each request: how many took less than 2^8 ticks, then less than 2^9, and so on.
pub fn latency() -> Result<(), Error> {
    let bits: [u32; LATENCY_STEPS - 1] =
        core::array::from_fn(|step| LATENCY_FIRST_BITS + step as u32);
    println!("{:<18}{} {:>6}", "ticks below 2^", Row(&bits), "more");
    for (request, figures) in measured() {
        println!("{:<18}{}", RequestName(request), Row(&figures.steps));
    }
    Ok(())
}
