// SPDX-License-Identifier: BSD-2-Clause
//! Messages out of a seed, as many as the arguments say.

use crate::exchange::{Desk, tell};
use crate::generator::{self, Random};
use crate::raw::Message;
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::{Flags, println, served};
use kmalloc_protocol::{LABEL, Request};

/// What this client is called in the manifest.
const NAME: &str = "fuzzer";
/// Where the arguments don't say.
const MESSAGES_DEFAULT: u64 = 100_000;
const SEED_DEFAULT: u64 = 1;
/// Things that are held before some of it, and before all of it goes back.
const THINGS_MAX: usize = 120;
/// Replies and errors, by number, that must have come when the messages are over: all but those about children, devices and
/// figures of others, and those that need a machine without memory.
const REPLIES: u64 = 0b1101_1111_1111;
const ERRORS: u64 = 0b1_0101_1111_0000_1111_1110;
/// One of so many messages that would print does.
const PRINTS: u64 = 64;

fn argument(index: usize, default: u64) -> u64 {
    let text = kmalloc::arguments().nth(index);
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Requests of every kind, well-formed and spoiled, and noise; each answer is checked, and after each the account.
pub fn messages() -> Outcome {
    let (seed, count) = (argument(1, SEED_DEFAULT), argument(2, MESSAGES_DEFAULT));
    println!("# seed {seed}, {count} messages");
    let mut desk = ok!(Desk::new(NAME));
    let before = desk.sent;
    let mut step = 0;
    while desk.sent - before < count {
        step += 1;
        let mut random = Random::new(seed, step);
        let message = generator::message(&mut random, &desk.holdings);
        if desk.is_deadly(&message) || Desk::prints(&message) && step % PRINTS != 0 {
            continue;
        }
        if let Err(why) = desk.send(&message) {
            println!("\n# seed {seed}, step {step}");
            tell(&desk, &message, why);
            check!(why.is_empty());
        }
        if desk.holdings.things().len() > THINGS_MAX || step % 4096 == 0 {
            check_eq!(desk.give_back(), Ok(()));
        }
        // Others fill the server's registers and buffer meanwhile.
        if step % 4 == 0 {
            sel4::r#yield();
        }
    }
    check_eq!(desk.give_back(), Ok(()));
    println!(
        "\n# {} messages, {} of them served, replies {:#x}, errors {:#x}",
        desk.sent, desk.served, desk.seen.0, desk.seen.1
    );
    if count < MESSAGES_DEFAULT {
        return Ok(());
    }
    // Neither all rubbish nor all sense, and nearly every answer that a program of this kind can get.
    check!(desk.served * 10 > desk.sent && desk.served * 10 < desk.sent * 9);
    check_eq!(desk.seen.0 & REPLIES, REPLIES);
    check_eq!(desk.seen.1 & ERRORS, ERRORS);
    Ok(())
}

/// Messages that nobody waits for the answer to: each that is taken is counted, none is answered to somebody else.
pub fn send_instead_of_call() -> Outcome {
    const ROUNDS: u64 = 2_000;
    let mut desk = ok!(Desk::new("rubbish"));
    let before = ok!(desk.look());
    let wrong = Message::new(LABEL, &[u64::MAX; 5]);
    let right = generator::message_of(&Request::Stats);
    for round in 0..ROUNDS {
        let message = if round % 2 == 0 { &wrong } else { &right };
        message.send();
        message.nb_send();
        if round % 16 == 0 {
            sel4::r#yield();
        }
    }
    let after = ok!(desk.look());
    let calls = after.calls - before.calls - 1;
    check!((ROUNDS..=2 * ROUNDS).contains(&calls));
    let failures = after.failures - before.failures;
    check!((ROUNDS / 2..=ROUNDS).contains(&failures));
    check_eq!(after.committed, before.committed);
    Ok(())
}

/// A block whose address nobody was told is charged all the same, and a later block is another one.
pub fn a_block_that_was_sent_for_is_charged() -> Outcome {
    let before = ok!(served::stats());
    let size = before.limit;
    generator::message_of(&Request::Kmalloc { flags: 0, size }).send();
    let refused = ok!(served::stats());
    check_eq!(refused.failures, before.failures + 1);
    check_eq!(refused.committed, before.committed);
    // The second block of a bucket whose first one this program knows.
    let first = ok!(served::kmalloc(2048, Flags::empty()));
    generator::message_of(&Request::Kmalloc {
        flags: 0,
        size: 2048,
    })
    .send();
    check_eq!(ok!(served::stats()).blocks, before.blocks + 2);
    let third = ok!(served::kmalloc(2048, Flags::empty()));
    // The bucket has two blocks: the other one is the one that was sent for.
    let unknown = first.map_addr(|address| address | 2048);
    check!(third != unknown);
    for block in [first, unknown, third] {
        // SAFETY: they are this program's, and nobody uses them.
        ok!(unsafe { served::kfree(block.as_ptr()) });
    }
    Ok(())
}
