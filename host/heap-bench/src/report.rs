// SPDX-License-Identifier: BSD-2-Clause
//! Figures: the list for programs, and the table for people.

use crate::allocators::{ALLOCATORS, Allocator, Side};
use serde_json::{Value, json};

/// What a figure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Time of a step.
    Nanoseconds,
    /// Instructions of a step.
    Instructions,
    /// Bytes taken for a live byte.
    Overhead,
}

impl Kind {
    /// As in `host.ALLOCATOR.WORKLOAD.KIND`.
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::Nanoseconds => "ns",
            Kind::Instructions => "instr",
            Kind::Overhead => "overhead",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Kind::Nanoseconds => "ns",
            Kind::Instructions => "instructions",
            Kind::Overhead => "ratio",
        }
    }
}

/// A figure of one allocator in one workload.
pub struct Figure {
    pub allocator: &'static Allocator,
    pub workload: String,
    pub kind: Kind,
    pub value: f64,
    /// What the value is the median of; empty if it was counted.
    pub samples: Vec<f64>,
}

impl Figure {
    /// What stands in the list.
    pub fn json(&self) -> Value {
        let Figure {
            allocator,
            workload,
            kind,
            value,
            samples,
        } = self;
        let suffix = kind.suffix();
        let mut json = json!({
            "name": format!("host.{}.{workload}.{suffix}", allocator.name),
            "unit": kind.unit(),
            "value": value,
        });
        if !samples.is_empty() {
            json["samples"] = json!(samples);
        }
        json
    }
}

/// The table: operation, ours, the best peer and the ratio of both, then our heap in other forms.
pub fn print_table(figures: &[Figure]) {
    println!(
        "{:<28}{:>10}{:>10}  {:<10}{:>7}{:>10}{:>10}",
        "host", "kmalloc", "best peer", "", "ratio", "powers", "threads"
    );
    for kind in [Kind::Instructions, Kind::Nanoseconds, Kind::Overhead] {
        let mut ours = figures
            .iter()
            .filter(|figure| figure.kind == kind && figure.allocator.side == Side::Ours);
        for figure in &mut ours {
            let same = figures
                .iter()
                .filter(|other| other.kind == kind && other.workload == figure.workload);
            print!(
                "{:<28}{:>10.2}",
                format!("{}.{}", figure.workload, kind.suffix()),
                figure.value
            );
            let peers = same
                .clone()
                .filter(|other| other.allocator.side == Side::Peer);
            if let Some(best) = peers.min_by(|one, other| one.value.total_cmp(&other.value)) {
                let ratio = figure.value / best.value;
                print!(
                    "{:>10.2}  {:<10}{ratio:>7.2}",
                    best.value, best.allocator.name
                );
            }
            for other in same.filter(|other| other.allocator.side == Side::OurOther) {
                print!("{:>10.2}", other.value);
            }
            println!();
        }
    }
    for allocator in ALLOCATORS {
        if let Some(why) = allocator.not_counted
            && figures
                .iter()
                .any(|figure| figure.kind == Kind::Instructions)
        {
            println!("no instructions of {}: {why}", allocator.name);
        }
    }
}
