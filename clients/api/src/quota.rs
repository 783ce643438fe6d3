// SPDX-License-Identifier: BSD-2-Clause
use crate::sizes::free;
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::{Error, Flags, served};

pub fn last_page_and_one_more() -> Outcome {
    // The page tables for it are there once a block as large has been.
    let room = || served::stats().map(|stats| (stats.limit - stats.committed) as usize);
    let near = ok!(room()) - 64 * 4096;
    let block = ok!(served::kmalloc(near, Flags::empty()));
    ok!(free(block));
    let mut pages = ok!(room()) / 4096;
    // What the block costs beside its pages is found by trying, downwards.
    let block = loop {
        match served::kmalloc(pages * 4096, Flags::empty()) {
            Ok(block) => break block,
            Err(Error::OverQuota { .. }) => pages -= 1,
            Err(error) => return Err(client_test::refused(&error, "over quota", line!())),
        }
    };
    // Now every page that is left can be had, and not one more.
    let left = ok!(room()) / 4096;
    let mut last = [None; 64];
    check!(left < last.len());
    for place in last.iter_mut().take(left) {
        match served::kmalloc(4096, Flags::empty()) {
            Ok(page) => *place = Some(page),
            Err(Error::OverQuota { .. }) => break,
            Err(error) => return Err(client_test::refused(&error, "over quota", line!())),
        }
    }
    let stats = ok!(served::stats());
    match served::kmalloc(4096, Flags::empty()) {
        Err(Error::OverQuota {
            limit,
            committed,
            requested,
        }) => {
            check_eq!(limit, stats.limit);
            check_eq!(committed, stats.committed);
            check!(requested >= 4096 && committed + requested > limit);
        }
        other => {
            check_eq!(other.err(), None);
            check!(false);
        }
    }
    for page in last.into_iter().flatten() {
        ok!(free(page));
    }
    ok!(free(block));
    Ok(())
}

pub fn free_restores() -> Outcome {
    for _ in 0..3 {
        let before = ok!(served::stats());
        let block = ok!(served::kmalloc(100_000, Flags::empty()));
        check!(ok!(served::stats()).committed >= before.committed + 100_000);
        ok!(free(block));
        check_eq!(ok!(served::stats()).committed, before.committed);
    }
    Ok(())
}

pub fn stats_count() -> Outcome {
    let before = ok!(served::stats());
    let block = ok!(served::kmalloc(100, Flags::empty()));
    check!(served::kmalloc(usize::MAX, Flags::empty()).is_err());
    let during = ok!(served::stats());
    check_eq!(during.calls - before.calls, 3);
    check_eq!(during.failures - before.failures, 1);
    check_eq!(during.blocks - before.blocks, 1);
    check_eq!(during.block_bytes - before.block_bytes, 128);
    check!(during.committed_peak >= during.committed);
    ok!(free(block));
    Ok(())
}
