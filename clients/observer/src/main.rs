// SPDX-License-Identifier: BSD-2-Clause
//! Figures about the whole system: they add up, they say what this client did, and who may not see them does not. With the
//! argument `stranger` it is one who may not.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, check_eq, ok};
use kmalloc::statistics::{self, ClientFigures, MemoryFigures, SERVED_CLASSES, UseFigures};
use kmalloc::{Error, Flags, served};

kmalloc::main!(main);

const TESTS: &[Test] = &[
    (
        "what_all_have_and_what_is_free_is_all_there_is",
        all_there_is,
    ),
    ("each_client_has_a_name_and_no_more_than_its_limit", names),
    ("what_one_takes_is_seen", taking_is_seen),
    ("buckets_hold_the_blocks_that_were_taken", buckets),
    ("refusals_are_counted_by_reason", refusals),
    ("requests_are_measured_when_asked_for", measuring),
    ("physical_memory_adds_up_piece_by_piece", pieces),
];
const STRANGER_TESTS: &[Test] = &[("a_stranger_sees_nothing", nothing_is_seen)];

/// Others may take or give memory while one reads: how often it is read again.
const TRIES: usize = 100;

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some(_) => client_test::run(STRANGER_TESTS),
        None => client_test::run(TESTS),
    }
}

fn own() -> Result<ClientFigures, Error> {
    let handle = kmalloc::find("observer")?;
    let mut clients = statistics::clients();
    let found = clients.find(|client| client.is_ok_and(|client| client.handle == handle));
    found.unwrap_or(Err(Error::Stale { handle }))
}

fn own_uses() -> Result<UseFigures, Error> {
    statistics::uses(own()?.handle)
}

/// Physical memory, if it was the same before `work` and after it.
fn undisturbed<T>(
    work: impl Fn() -> Result<T, Error>,
) -> Result<Option<(MemoryFigures, T)>, Error> {
    for _ in 0..TRIES {
        let before = statistics::memory()?;
        let found = work()?;
        if statistics::memory()? == before {
            return Ok(Some((before, found)));
        }
    }
    Ok(None)
}

fn all_there_is() -> Outcome {
    let committed = || statistics::clients().try_fold(0, |sum, it| Ok(sum + it?.committed));
    let Some((memory, committed)) = ok!(undisturbed(committed)) else {
        check!(false);
        return Ok(());
    };
    check_eq!(memory.free + committed, memory.total);
    let usable = memory.clean_pages
        + memory.dirty_pages
        + memory.clean_chunks
        + memory.dirty_chunks
        + memory.clean_larges;
    check_eq!(memory.usable, usable);
    check_eq!(memory.free, usable + memory.dirty_larges + memory.cleaning);
    Ok(())
}

fn names() -> Outcome {
    let mut found = 0;
    for client in statistics::clients() {
        let client = ok!(client);
        // One that goes away in between is not there any more.
        let Ok(name) = statistics::name(client.handle) else {
            continue;
        };
        check!(!name.as_str().is_empty());
        check!(client.committed <= client.committed_peak && client.committed_peak <= client.limit);
        found += u32::from(name.as_str() == "observer") + u32::from(name.as_str() == "keeper");
    }
    check_eq!(found, 2);
    let error = Err(Error::Stale { handle: 1 });
    check_eq!(statistics::uses(1), error);
    Ok(())
}

fn taking_is_seen() -> Outcome {
    let before = ok!(own_uses());
    let block = ok!(served::kmalloc(3000, Flags::empty()));
    let dma = ok!(served::kmalloc_dma(
        5 * 4096,
        &served::DmaOptions::default()
    ));
    let now = ok!(own_uses());
    check_eq!(now.blocks, before.blocks + 1);
    check_eq!(now.block_bytes, before.block_bytes + 4096);
    check_eq!(now.dma_bytes, before.dma_bytes + 5 * 4096);
    // SAFETY: both are ours, and nobody uses them.
    unsafe {
        ok!(served::kfree(block.as_ptr()));
        ok!(served::kfree_dma(dma.address.as_ptr()));
    }
    let after = ok!(own_uses());
    check_eq!(after.block_bytes, before.block_bytes);
    check_eq!(after.dma_bytes, before.dma_bytes);
    check!(after.block_bytes_peak >= now.block_bytes);
    Ok(())
}

/// Blocks of the class of 64 bytes, and all places for them.
fn blocks_of_64() -> Result<(u32, u32), Error> {
    let mut found = (0, 0);
    for page in statistics::blocks(own()?.handle) {
        let page = page?;
        found.0 += page.blocks[2];
        found.1 += page.buckets[2] * 64;
        for class in 0..SERVED_CLASSES {
            assert!(page.blocks[class] <= page.buckets[class] * (256 >> class));
        }
    }
    Ok(found)
}

fn buckets() -> Outcome {
    let (before, _) = ok!(blocks_of_64());
    let mut blocks = [core::ptr::null_mut(); 150];
    for block in &mut blocks {
        *block = ok!(served::kmalloc(64, Flags::empty())).as_ptr();
    }
    let (now, places) = ok!(blocks_of_64());
    check_eq!(now, before + 150);
    check!(places >= now);
    for block in blocks {
        // SAFETY: it is ours, and nobody uses it.
        unsafe { ok!(served::kfree(block)) };
    }
    check_eq!(ok!(blocks_of_64()).0, before);
    Ok(())
}

fn refusals() -> Outcome {
    let handle = ok!(own()).handle;
    let over_quota = Error::OverQuota {
        limit: 0,
        committed: 0,
        requested: 0,
    };
    let number = over_quota.number() as usize;
    let before = ok!(statistics::failures(handle));
    for _ in 0..3 {
        check!(served::kmalloc(32 << 20, Flags::empty()).is_err());
    }
    let now = ok!(statistics::failures(handle));
    check_eq!(now[number], before[number] + 3);
    let counted: u64 = now.iter().map(|count| u64::from(*count)).sum();
    check_eq!(counted, ok!(own()).failures);
    Ok(())
}

fn measuring() -> Outcome {
    let pairs = |count: u32| {
        for _ in 0..count {
            let block = served::kmalloc(64, Flags::empty())?;
            // SAFETY: it is ours, and nobody uses it.
            unsafe { served::kfree(block.as_ptr())? };
        }
        statistics::calls(0)
    };
    let before = ok!(pairs(1)).calls();
    ok!(statistics::measure(true));
    let measured = ok!(pairs(50));
    // kmemstat wants it so.
    check!(measured.calls() >= before + 50);
    check!(measured.ticks > 0);
    Ok(())
}

fn pieces() -> Outcome {
    let free = || {
        statistics::larges().try_fold(0, |sum, large| {
            let large = large?;
            let orders = large.orders.iter().enumerate();
            let pages: u32 = orders.map(|(order, count)| count << order).sum();
            assert_eq!(pages, large.free);
            Ok(sum + u64::from(pages) * 4096)
        })
    };
    let Some((memory, free)) = ok!(undisturbed(free)) else {
        check!(false);
        return Ok(());
    };
    check_eq!(free, memory.free);
    Ok(())
}

fn nothing_is_seen() -> Outcome {
    let refused = Error::NotPermitted;
    check_eq!(statistics::memory(), Err(refused));
    check_eq!(statistics::clients().next(), Some(Err(refused)));
    check_eq!(statistics::larges().next(), Some(Err(refused)));
    check_eq!(statistics::calls(0), Err(refused));
    check_eq!(statistics::measure(true), Err(refused));
    let keeper = ok!(kmalloc::find("keeper"));
    check_eq!(statistics::uses(keeper), Err(refused));
    check_eq!(statistics::failures(keeper), Err(refused));
    check_eq!(statistics::blocks(keeper).next(), Some(Err(refused)));
    check!(statistics::name(keeper) == Err(refused));
    // One's own figures need no permission.
    check!(ok!(served::stats()).failures >= 9);
    Ok(())
}
