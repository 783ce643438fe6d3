// SPDX-License-Identifier: BSD-2-Clause
//! What is reserved for a client is there whatever others do, and slots are limited. Each client of this program has a
//! role, which its argument names: the hog takes all memory of the machine that it can get, in single pages.
#![no_std]
#![no_main]

use client_test::{Outcome, Test, check, check_eq, ok};
use core::ptr::NonNull;
use kmalloc::process::sel4_task::slot;
use kmalloc::{Dataspace, Error, Flags, println, served};
use sel4::{MessageInfo, MessageInfoBuilder, Word};
use sel4_extension::thread::reply_authority;

kmalloc::main!(main);

const PAGE: usize = 4096;
/// The hog is to take what it can get.
const TAKE: Word = 1;
/// The hog is to end.
const END: Word = 2;

const RESERVED: &[Test] = &[
    ("figures_say_what_is_reserved", figures),
    ("what_is_reserved_is_there_when_others_have_all", last_byte),
    ("beyond_it_there_is_nothing", beyond),
];
const SLOTS: &[Test] = &[("slots_run_out_with_figures_and_come_back", slots)];

fn main() -> Result<u8, Error> {
    match kmalloc::arguments().next() {
        Some("hog") => hog().map(|()| 0),
        Some("slots") => Ok(client_test::run(SLOTS)),
        _ => {
            let failed = client_test::run(RESERVED);
            let hog = sel4::cap::Endpoint::from_bits(slot::CALLS);
            // Nobody waits for an answer.
            hog.send_with_mrs(info(END), [0; 4]);
            Ok(failed)
        }
    }
}

fn info(label: Word) -> MessageInfo {
    MessageInfoBuilder::default().label(label).length(1).build()
}

/// Calls the hog; how many pages it has.
fn call_hog(label: Word) -> u64 {
    let hog = sel4::cap::Endpoint::from_bits(slot::CALLS);
    hog.call_with_mrs(info(label), [0; 4]).msg[0]
}

/// Takes all there is whenever it is called; every second page goes back first, so that what is free lies in pieces.
fn hog() -> Result<(), Error> {
    let endpoint = sel4::cap::Endpoint::from_bits(slot::SERVES);
    let authority = || reply_authority(sel4::CPtr::from_bits(slot::REPLY));
    let mut last: Option<NonNull<u8>> = None;
    let mut pages = 0;
    let mut received = endpoint.recv_with_mrs(authority());
    while received.info.label() == TAKE {
        for _ in 0..3 {
            (last, pages) = give_every_second(last)?;
            while let Ok(page) = served::kmalloc(PAGE, Flags::empty()) {
                // SAFETY: the page is this program's; it keeps a list of all of them in their first words.
                unsafe { page.cast::<Option<NonNull<u8>>>().write(last) };
                last = Some(page);
                pages += 1;
            }
        }
        let answer = [pages, 0, 0, 0];
        received = sel4_extension::reply_recv_with_mrs(endpoint, info(0), answer, authority());
    }
    Ok(())
}

/// Gives every second page of the list back; what is left of the list, and how many those are.
fn give_every_second(list: Option<NonNull<u8>>) -> Result<(Option<NonNull<u8>>, u64), Error> {
    let mut kept = (None, 0);
    let (mut at, mut number) = (list, 0u64);
    while let Some(page) = at {
        let link = page.cast::<Option<NonNull<u8>>>();
        // SAFETY: the page is this program's, and its first word is the link that was written there.
        at = unsafe { link.read() };
        number += 1;
        if number.is_multiple_of(2) {
            // SAFETY: the page is off the list and used no more.
            unsafe { served::kfree(page.as_ptr())? };
        } else {
            // SAFETY: as above.
            unsafe { link.write(kept.0) };
            kept = (Some(page), kept.1 + 1);
        }
    }
    Ok(kept)
}

fn figures() -> Outcome {
    let stats = ok!(served::stats());
    check_eq!(stats.reserved, 8 << 20);
    check_eq!(stats.limit, 9 << 20);
    // The default: twice the pages of its limit, and 64.
    check_eq!(stats.slot_limit, 2 * (9 << 8) + 64);
    check!(stats.slots > 20 && stats.slots <= stats.slots_peak);
    check_eq!(stats.dataspace_bytes, 0);
    let space = ok!(Dataspace::new(3 * PAGE));
    let with_space = ok!(served::stats());
    check_eq!(with_space.dataspace_bytes, 3 * PAGE as u64);
    check_eq!(with_space.slots, stats.slots + 3);
    drop(space);
    check_eq!(ok!(served::stats()).slots, stats.slots);
    Ok(())
}

fn last_byte() -> Outcome {
    let pages = call_hog(TAKE);
    println!("# the hog has {pages} pages");
    check!(pages > 5000);
    let reserved = ok!(served::stats()).reserved;
    let mut list: Option<NonNull<u8>> = None;
    while ok!(served::stats()).committed < reserved {
        let page = ok!(served::kmalloc(PAGE, Flags::empty()));
        // SAFETY: the page is this test's; it keeps a list of all of them in their first words.
        unsafe { page.cast::<Option<NonNull<u8>>>().write(list) };
        list = Some(page);
    }
    check_eq!(ok!(served::stats()).committed, reserved);
    while let Some(page) = list {
        // SAFETY: the page is this test's, and its first word is the link that was written there.
        list = unsafe { page.cast::<Option<NonNull<u8>>>().read() };
        // SAFETY: the page is used no more.
        ok!(unsafe { served::kfree(page.as_ptr()) });
    }
    // As much as before, in one piece.
    call_hog(TAKE);
    let rest = reserved - ok!(served::stats()).committed;
    let half = ok!(served::kmalloc(rest as usize / 2, Flags::empty()));
    // SAFETY: the block is used no more.
    ok!(unsafe { served::kfree(half.as_ptr()) });
    Ok(())
}

fn beyond() -> Outcome {
    let stats = ok!(served::stats());
    let beyond = stats.reserved - stats.committed + PAGE as u64 * 64;
    match served::kmalloc(beyond as usize, Flags::empty()) {
        Err(Error::OutOfMemory { free, requested }) => {
            check_eq!(requested, beyond);
            check!(free < beyond);
            Ok(())
        }
        other => {
            println!("# {other:?}");
            check!(other.is_err());
            check!(false);
            Ok(())
        }
    }
}

fn slots() -> Outcome {
    let stats = ok!(served::stats());
    let mut blocks = [None; 200];
    let mut over = None;
    for place in &mut blocks {
        match served::kmalloc(PAGE, Flags::empty()) {
            Ok(block) => *place = Some(block),
            Err(error) => {
                over = Some(error);
                break;
            }
        }
    }
    let limit = stats.slot_limit;
    check_eq!(limit, 120);
    check_eq!(over, Some(Error::OutOfSlots { limit }));
    check_eq!(ok!(served::stats()).slots, limit);
    for block in blocks.into_iter().flatten() {
        // SAFETY: the block is used no more.
        ok!(unsafe { served::kfree(block.as_ptr()) });
    }
    check!(ok!(served::stats()).slots < stats.slots + 40);
    Ok(())
}
