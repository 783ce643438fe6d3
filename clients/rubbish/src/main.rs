// SPDX-License-Identifier: BSD-2-Clause
//! Sends the server what is no request, or not quite one, straight at its endpoint, and knows what each answer has to be.
//!
//! The first argument says which of its parts it plays: `shapes`, `fuzz SEED MESSAGES`, `ends`, `whisper`, or a child that ends.
#![no_std]
#![no_main]

mod exchange;
mod forged;
mod fuzz;
mod generator;
mod holdings;
mod judge;
mod oracle;
mod raw;
mod shapes;
mod whisper;

use client_test::Test;
use kmalloc::println;

kmalloc::main!(main);

const SHAPES: &[Test] = &[
    (
        "every_length_and_every_opcode",
        shapes::every_length_and_every_opcode,
    ),
    ("every_other_label_is_refused", shapes::every_other_label),
    ("capabilities_are_not_taken", shapes::capabilities),
    ("reserved_bits_change_nothing", shapes::reserved_bits),
    ("no_slot_gives_a_right_to_memory", shapes::slots),
    (
        "truncated_messages_read_nothing_stale",
        shapes::truncated_messages,
    ),
    (
        "a_value_has_one_encoding_and_no_other",
        shapes::other_encodings,
    ),
    ("send_instead_of_call", fuzz::send_instead_of_call),
    (
        "a_block_that_was_sent_for_is_charged",
        fuzz::a_block_that_was_sent_for_is_charged,
    ),
];

const FUZZ: &[Test] = &[("messages_out_of_a_seed", fuzz::messages)];

const ENDS: &[Test] = &[
    ("a_forged_fault_ends_its_forger", forged::forged_faults),
    (
        "a_capability_that_is_not_there_is_the_senders_fault",
        forged::capabilities_that_are_not_there,
    ),
    (
        "an_end_is_taken_by_call_and_by_send",
        forged::ends_that_are_asked_for,
    ),
    (
        "what_is_not_mapped_faults_wherever_it_is_touched",
        forged::pages_of_nobody,
    ),
    (
        "a_thread_that_begins_anywhere_faults_there",
        forged::threads_that_begin_anywhere,
    ),
];

fn main() -> u8 {
    let mut arguments = kmalloc::arguments();
    let part = arguments.next().unwrap_or_default();
    let mut number = || arguments.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    let outcome = match part {
        "shapes" => return client_test::run(SHAPES),
        "fuzz" => return client_test::run(FUZZ),
        "ends" => return client_test::run(ENDS),
        "whisper" => whisper::main(),
        other => forged::child(other, [number(), number()]),
    };
    match outcome {
        Ok(()) => 0,
        Err(what) => {
            println!("{what}");
            1
        }
    }
}
