// SPDX-License-Identifier: BSD-2-Clause
//! Shows where the memory of the system is: physical memory like `free`, clients like `top`, why requests of theirs were
//! refused, buckets like `slabinfo`, pieces by zone like `buddyinfo`, requests by how long they took. At an interval, until all
//! others have ended.
//!
//! Arguments, all optional: `interval_ms=1000`, `measure` (takes the time of all requests, which `calls` and `latency` show), and
//! which parts to show: `free`, `top`, `refusals`, `slabs`, `pieces`, `calls`, `latency`; without any of these, all.
#![no_std]
#![no_main]

mod show;

use kmalloc::{Error, Events, arguments, event, println, process, statistics};

kmalloc::main!(main);

/// A part of what is shown, and what it is called.
type Part = (&'static str, fn() -> Result<(), Error>);

const PARTS: [Part; 7] = [
    ("free", show::free),
    ("top", show::top),
    ("refusals", show::refusals),
    ("slabs", show::slabs),
    ("pieces", show::pieces),
    ("calls", show::calls),
    ("latency", show::latency),
];

const INTERVAL_MS: u64 = 1000;

fn main() -> Result<(), Error> {
    let interval_ms = arguments()
        .find_map(|argument| argument.strip_prefix("interval_ms=")?.parse().ok())
        .unwrap_or(INTERVAL_MS);
    if arguments().any(|argument| argument == "measure") {
        statistics::measure(true)?;
    }
    let is_named = |name: &str| arguments().any(|argument| argument == name);
    let all = !PARTS.iter().any(|(name, _)| is_named(name));
    loop {
        // A signal may be left over from an alarm that is known already: it only makes this round come early.
        let now_us = process::set_alarm(interval_ms * 1000)?;
        println!("---- {}.{:03} s", now_us / 1_000_000, now_us / 1000 % 1000);
        for (name, show) in PARTS {
            if all || is_named(name) {
                show()?;
            }
        }
        let happened = event::wait_for(Events::ALARM | Events::CLOSING)?;
        if happened.contains(Events::CLOSING) {
            return Ok(());
        }
    }
}
