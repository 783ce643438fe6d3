// SPDX-License-Identifier: BSD-2-Clause
//! Rounds of a pattern, and what the account says behind each.

use crate::HEAP;
use crate::patterns::{self, Round};
use crate::world::{Way, World};
use client_test::{Failed, Outcome, check, check_eq, ok};
use core::sync::atomic::{AtomicU64, Ordering};
use kmalloc::{Stats, println, served};
use kmalloc_bucket::size_class::PAGE_SIZE;

/// Rounds until nothing grows any more.
const SETTLED: u64 = 2;
/// By how much the peak of later rounds may be higher: a segment of the heap's, and a few pages of the server's. In 25 million
/// operations the former is a byte in twelve of them.
const RESIDENT_SWING: u64 = 2 << 20;
const SERVED_SWING: u64 = 16 << 12;
/// What is charged at the most, in hundredths of the most that was in use, and beside that.
const RESIDENT_MAX: (u64, u64) = (150, 4 << 20);
const SERVED_MAX: (u64, u64) = (125, 1 << 20);

/// What is charged before the first round.
static BEFORE: AtomicU64 = AtomicU64::new(0);
/// The most bytes that were in use.
static USED_PEAK: AtomicU64 = AtomicU64::new(0);

/// What the arguments ask for.
struct Plan {
    way: Way,
    round: Round,
    /// Of each round.
    operations: u64,
    rounds: u64,
}

impl Plan {
    /// The arguments; `None` if there is no sense in them.
    fn read() -> Option<Plan> {
        let mut arguments = kmalloc::arguments();
        let plan = Plan {
            way: match arguments.next()? {
                "resident" => Way::Resident,
                "served" => Way::Served,
                _ => return None,
            },
            round: patterns::find(arguments.next()?)?,
            operations: arguments.next()?.parse().ok()?,
            rounds: arguments.next()?.parse().ok()?,
        };
        (plan.operations > 0 && plan.rounds > SETTLED).then_some(plan)
    }
}

/// Whether the arguments make sense.
pub fn is_understood() -> bool {
    Plan::read().is_some()
}

/// What must not grow.
#[derive(Clone, Copy, Default)]
struct Figures {
    /// The most that was charged so far.
    charged_peak: u64,
    /// What is charged at the end of a round; with the resident heap that depends on when it last counted what is free.
    charged: u64,
    /// Requests of a round.
    calls: u64,
    /// How much less than the most was in use when the account was full.
    full_less: u64,
}

impl Figures {
    fn max(self, other: Figures) -> Figures {
        Figures {
            charged_peak: self.charged_peak.max(other.charged_peak),
            charged: self.charged.max(other.charged),
            calls: self.calls.max(other.calls),
            full_less: self.full_less.max(other.full_less),
        }
    }
}

/// One round, and its figures.
fn one_round(plan: &Plan, world: &mut World) -> Result<Figures, Failed> {
    world.begin_round();
    let (operations, refusals) = (world.operations, world.refusals);
    let calls = ok!(served::stats()).calls;
    (plan.round)(world, plan.operations)?;
    let stats = ok!(served::stats());
    let calls = stats.calls - calls - 1;
    if plan.way == Way::Served {
        // A request for each, and no other.
        let made = world.operations - operations + world.refusals - refusals;
        check_eq!(calls, made);
        check_eq!(stats.block_bytes, world.used);
        check_eq!(stats.blocks, world.count() as u64);
    }
    Ok(Figures {
        charged_peak: stats.committed_peak,
        charged: stats.committed,
        calls,
        full_less: world.used_peak - world.full_least.min(world.used_peak),
    })
}

/// What the account says when nothing is in use and the heap has given back what it can.
fn emptied(world: &mut World) -> Result<Stats, Failed> {
    world.free_to(0)?;
    HEAP.trim();
    Ok(ok!(served::stats()))
}

pub fn no_slope() -> Outcome {
    let plan = ok!(Plan::read().ok_or("no plan"));
    let mut world = World::new(plan.way);
    let start = ok!(served::stats());
    BEFORE.store(start.committed, Ordering::Relaxed);
    let mut settled = Figures::default();
    for _ in 0..SETTLED {
        settled = settled.max(one_round(&plan, &mut world)?);
    }
    let empty = emptied(&mut world)?;
    for _ in SETTLED..plan.rounds {
        let round = one_round(&plan, &mut world)?;
        let swing = match plan.way {
            Way::Resident => RESIDENT_SWING,
            Way::Served => {
                check!(round.charged <= settled.charged + SERVED_SWING);
                SERVED_SWING
            }
        };
        check!(round.charged_peak <= settled.charged_peak + swing);
        check!(round.full_less <= settled.full_less + swing);
        check!(round.calls <= 2 * settled.calls);
    }
    let left = emptied(&mut world)?;
    // All that is left is the list of blocks, and what the server needs beside: tables and ledgers, some more or some less.
    println!(
        "# empty: {} KiB charged, {} KiB before",
        left.committed >> 10,
        empty.committed >> 10
    );
    check_eq!(empty.region_bytes, start.region_bytes);
    check_eq!(left.region_bytes, start.region_bytes);
    check!(left.committed <= empty.committed + SERVED_SWING);
    check!(left.slots <= empty.slots + SERVED_SWING / PAGE_SIZE as u64);
    check!(world.operations >= plan.operations * plan.rounds);
    USED_PEAK.store(world.used_peak, Ordering::Relaxed);
    let operations = world.operations;
    drop(world);
    HEAP.trim();
    check_eq!(ok!(served::stats()).region_bytes, 0);
    let calls = ok!(served::stats()).calls - start.calls;
    println!("# {operations} operations, {calls} calls");
    Ok(())
}

pub fn peak_fragmentation() -> Outcome {
    let plan = ok!(Plan::read().ok_or("no plan"));
    let (hundredths, beside) = match plan.way {
        Way::Resident => RESIDENT_MAX,
        Way::Served => SERVED_MAX,
    };
    let used = USED_PEAK.load(Ordering::Relaxed);
    check!(used > 2 * beside);
    let stats = ok!(served::stats());
    if plan.way == Way::Served {
        check_eq!(stats.block_bytes_peak, used);
    }
    let charged = stats.committed_peak - BEFORE.load(Ordering::Relaxed);
    println!(
        "# at most {} KiB in use, {} KiB charged: {} % more",
        used >> 10,
        charged >> 10,
        (charged - used) * 100 / used
    );
    check!(charged <= used / 100 * hundredths + beside);
    Ok(())
}
