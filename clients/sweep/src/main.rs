// SPDX-License-Identifier: BSD-2-Clause
//! Kills a client at each instruction of each operation, and finds everything back each time.
//!
//! The first argument says which part it plays: `kill STRIDE` kills at one of so many instructions, `queued OPERATION` is a
//! victim whose request is not served any more; any other is the operation of a victim.
//!
//! It means something only where instructions are counted. Elsewhere victims are killed wherever they happen to be, and fewer
//! different instructions are hit than are due.
#![no_std]
#![no_main]

mod gate;
mod killer;
mod operations;
mod sweep;
mod victim;
mod wait;

use client_test::{Outcome, Test, check, check_eq, ok};
use killer::Killer;
use kmalloc::{Cause, println};
use operations::OPERATIONS;
use sweep::Sweep;

kmalloc::main!(main);

const TESTS: &[Test] = &[
    ("killed_at_instructions_of_each_operation", at_instructions),
    ("killed_while_a_request_waits", while_queued),
];

fn main() -> u8 {
    let mut arguments = kmalloc::arguments();
    let outcome = match arguments.next() {
        Some("kill") => return client_test::run(TESTS),
        Some("queued") => victim::main(arguments.next().unwrap_or_default(), true),
        Some(operation) => victim::main(operation, false),
        None => Err("no part to play"),
    };
    match outcome {
        Ok(()) => 0,
        Err(what) => {
            println!("{what}");
            1
        }
    }
}

/// Times that an operation is swept anew of which too little was hit.
const SWEEPS_MAX: usize = 4;

fn at_instructions() -> Outcome {
    let stride = kmalloc::arguments().nth(1);
    let stride = stride.and_then(|it| it.parse().ok()).unwrap_or(1);
    let mut killer = ok!(Killer::new());
    let mut begin = 0;
    let mut points = 0;
    for operation in OPERATIONS {
        let kills = killer.kills;
        // One of `stride` may be missed at either end. Where alarms shift against the ticks on the way, it is begun again.
        let is_whole =
            |points: usize| (points as u64 + 1) * stride >= operation.instructions_min.into();
        let mut swept = ok!(Sweep::new(&mut killer, operation).run(stride, &mut begin));
        for _ in 0..SWEEPS_MAX {
            if is_whole(swept.points) {
                break;
            }
            begin = 0;
            swept = ok!(Sweep::new(&mut killer, operation).run(stride, &mut begin));
        }
        println!(
            "figure sweep.{} requests {} points {} addresses {} ticks {} kills {}",
            operation.name,
            swept.requests,
            swept.points,
            swept.addresses,
            swept.ticks,
            killer.kills - kills
        );
        points += swept.points;
        check!(swept.requests > 0 || operation.name == "fault");
        check!(is_whole(swept.points));
    }
    println!("# {points} points, {} kills", killer.kills);
    Ok(())
}

fn while_queued() -> Outcome {
    let mut killer = ok!(Killer::new());
    for operation in OPERATIONS {
        let ended = ok!(killer.kill_queued(operation));
        check_eq!(
            (operation.name, ended.cause),
            (operation.name, Cause::Killed)
        );
    }
    println!("# {} kills", killer.kills);
    Ok(())
}
