// SPDX-License-Identifier: BSD-2-Clause
//! The table of what was counted in QEMU: each operation beside its floor or its best peer, and whether it is where it
//! should be.
use std::fmt::Write;

use super::figures::{Figure, value};
use crate::console::{BAD, BOLD, GOOD};

/// What is wanted of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    /// Nothing in particular.
    Any,
    /// At most so many times what stands beside it.
    Ratio(f64),
    /// At most so many instructions.
    Count(f64),
}

use Wanted::{Any, Count, Ratio};

/// What stands beside an operation.
#[derive(Clone, Copy, Debug)]
enum Beside {
    /// Nothing.
    Nothing,
    /// Another figure.
    Figure(&'static str),
    /// The best of the peers at this workload.
    Peers(&'static str),
}

use Beside::{Figure as F, Nothing, Peers};

const NULL: Beside = F("ipc.null.4w");
/// The longest that a served request of up to 16 KiB may take on fresh memory.
const WORST: Wanted = Ratio(12.0);
/// The most that calls may grow with clients, blocks and use of memory.
const GROWTH: Wanted = Ratio(1.05);

/// The rows, in order. A figure that the run did not give is left out.
const ROWS: &[(&str, Beside, Wanted)] = &[
    ("ipc.null.0w", Nothing, Any),
    ("ipc.null.4w", Nothing, Any),
    ("served.kmalloc.64", NULL, Ratio(1.25)),
    ("served.kfree.64", NULL, Ratio(1.25)),
    ("served.krealloc.64_128", NULL, Any),
    ("served.kcalloc.64", NULL, Any),
    ("served.ksize.64", NULL, Any),
    ("served.kmalloc.64.cold", NULL, WORST),
    ("worst.kmalloc.cold", NULL, WORST),
    ("worst.kcalloc.cold", NULL, WORST),
    ("worst.krealloc.cold", NULL, WORST),
    ("worst.kfree.cold", NULL, WORST),
    ("grant.64k.4k_frames", F("floor.grant.64k"), Ratio(1.15)),
    ("grant.64k.4k_frames.rested", F("floor.grant.64k"), Any),
    ("grant.2m", F("floor.grant.2m"), Ratio(2.0)),
    ("dma.kmalloc.64k", F("floor.dma.64k"), Ratio(1.15)),
    ("dma.kmalloc.64k.rested", F("floor.dma.64k"), Any),
    ("map.page", F("floor.map.page"), Any),
    ("large.kmalloc.1m", Nothing, Any),
    ("large.kfree.1m", Nothing, Any),
    ("dma.kmalloc.64k.used", F("floor.dma.64k"), Any),
    ("spawn.client", Nothing, Any),
    ("reclaim.client", Nothing, Any),
    ("heap.pair.64", Peers("pair.64"), Count(24.0)),
    ("heap.pair.64.const", Peers("pair.64.const"), Count(8.0)),
    ("heap.lifo.64", Peers("lifo.64"), Any),
    ("heap.churn", Peers("churn"), Count(28.0)),
    ("heap.large.32k", Peers("large.32k"), Count(30.0)),
    ("heap.large.1m", Peers("large.1m"), Count(30.0)),
    (
        "heap.realloc.16_64k",
        F("peer.dlmalloc.realloc.16_64k"),
        Ratio(1.0),
    ),
    ("worst.kmalloc", NULL, Any),
    ("worst.kcalloc", NULL, Any),
    ("worst.krealloc", NULL, Any),
    ("worst.kfree", NULL, Any),
    ("worst.ksize", NULL, Any),
    ("worst.kmalloc_dma", NULL, Any),
    ("worst.kfree_dma", NULL, Any),
    ("worst.grant", NULL, Any),
    ("worst.grant_large", NULL, Any),
    ("worst.resize", NULL, Any),
    ("worst.release", NULL, Any),
    ("worst.open_segment", NULL, Any),
    ("worst.map", NULL, Any),
    ("worst.unmap", NULL, Any),
    ("worst.stats", NULL, Any),
    (
        "scale.served.kmalloc.64.clients_16",
        F("scale.served.kmalloc.64.clients_1"),
        GROWTH,
    ),
    (
        "scale.served.kmalloc.64.clients_256",
        F("scale.served.kmalloc.64.clients_1"),
        GROWTH,
    ),
    (
        "scale.served.kfree.64.clients_256",
        F("scale.served.kfree.64.clients_1"),
        GROWTH,
    ),
    (
        "scale.served.kmalloc.64.live_10000",
        F("scale.served.kmalloc.64.live_10"),
        GROWTH,
    ),
    (
        "scale.served.kmalloc.64.live_1000000",
        F("scale.served.kmalloc.64.live_10"),
        GROWTH,
    ),
    (
        "scale.served.kfree.64.live_1000000",
        F("scale.served.kfree.64.live_10"),
        GROWTH,
    ),
    (
        "scale.ramp.kmalloc.64k.eighth_8",
        F("scale.ramp.kmalloc.64k.eighth_1"),
        GROWTH,
    ),
];

const HEADINGS: [&str; 7] = ["operation", "ours", "beside", "", "ratio", "wanted", "met"];

/// The table, with colours.
pub fn render(figures: &[Figure]) -> String {
    let mut all = vec![HEADINGS.map(String::from)];
    all.extend(rows(figures));
    align(&all)
}

/// The table in Markdown.
pub fn markdown(figures: &[Figure]) -> String {
    let mut table =
        String::from("| operation | ours | beside it | ratio | wanted |\n|---|---|---|---|---|\n");
    for [name, ours, beside, whose, ratio, wanted, met] in rows(figures) {
        let beside = if whose.is_empty() {
            String::new()
        } else {
            format!("{beside} `{whose}`")
        };
        let wanted = match met.as_str() {
            "" => String::new(),
            met => format!("{}: {}", wanted.replace("<=", "≤"), met.to_lowercase()),
        };
        // Writing to a string can't fail.
        let _ = writeln!(
            table,
            "| `{name}` | {ours} | {beside} | {ratio} | {wanted} |"
        );
    }
    table
}

fn rows(figures: &[Figure]) -> impl Iterator<Item = [String; 7]> {
    ROWS.iter().filter_map(|(name, beside, wanted)| {
        let ours = value(figures, name)?;
        Some(row(name, ours, find(figures, *beside), *wanted))
    })
}

/// Value and name of what stands beside an operation.
fn find(figures: &[Figure], beside: Beside) -> Option<(f64, String)> {
    match beside {
        Nothing => None,
        F(name) => Some((value(figures, name)?, name.into())),
        Peers(workload) => {
            let peers = figures.iter().filter_map(|figure| {
                let peer = figure.name.strip_prefix("peer.")?;
                let peer = peer.strip_suffix(workload)?.strip_suffix('.')?;
                // `pair.64` is no suffix of `pair.64.const`, but the other way round a name could be.
                (!peer.contains('.')).then(|| (figure.value, format!("peer.{peer}")))
            });
            peers.min_by(|left, right| left.0.total_cmp(&right.0))
        }
    }
}

fn row(name: &str, ours: f64, beside: Option<(f64, String)>, wanted: Wanted) -> [String; 7] {
    let ratio = beside.as_ref().map(|(beside, _)| ours / beside);
    let (text, met) = match wanted {
        Any => (String::new(), None),
        Ratio(most) => (format!("<= {most:.2}"), ratio.map(|ratio| ratio <= most)),
        Count(most) => (format!("<= {most}"), Some(ours <= most + ROUNDING)),
    };
    let (beside, whose) =
        beside.map_or_else(Default::default, |(value, name)| (number(value), name));
    [
        name.into(),
        number(ours),
        beside,
        whose,
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        text,
        met.map_or("", |met| if met { "yes" } else { "NO" }).into(),
    ]
}

/// Means are given to two digits: a loop's first round is no reason to fail by.
const ROUNDING: f64 = 0.02;

fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value}")
    } else {
        format!("{value:.2}")
    }
}

fn align(rows: &[[String; 7]]) -> String {
    let mut widths = [0; 7];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut table = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let style = match cell.as_str() {
                _ if number == 0 => BOLD,
                "yes" if column == 6 => GOOD,
                "NO" if column == 6 => BAD,
                _ => anstyle::Style::new(),
            };
            // Writing to a string can't fail.
            let _ = match column {
                0 | 3 => write!(table, "{style}{cell:<width$}{style:#}  "),
                6 => writeln!(table, "{style}{cell}{style:#}"),
                _ => write!(table, "{style}{cell:>width$}{style:#}  "),
            };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(&str, f64)]) -> Vec<Figure> {
        let figure = |(name, value): &(&str, f64)| Figure {
            name: (*name).into(),
            unit: "instructions".into(),
            value: *value,
            min: None,
            max: None,
            samples: None,
        };
        values.iter().map(figure).collect()
    }

    fn plain(figures: &[Figure]) -> String {
        anstream::adapter::strip_str(&render(figures)).to_string()
    }

    #[test]
    fn ratios_stand_beside_their_floor_and_say_whether_they_are_met() {
        let table = plain(&figures(&[
            ("ipc.null.4w", 400.0),
            ("served.kmalloc.64", 500.0),
            ("served.kfree.64", 600.0),
        ]));
        let line = |name| table.lines().find(|line| line.starts_with(name)).unwrap();
        let words = |name| line(name).split_whitespace().collect::<Vec<_>>();
        let kmalloc = [
            "served.kmalloc.64",
            "500",
            "400",
            "ipc.null.4w",
            "1.250",
            "<=",
            "1.25",
            "yes",
        ];
        assert_eq!(words("served.kmalloc.64"), kmalloc);
        assert_eq!(words("served.kfree.64").last(), Some(&"NO"));
        assert!(!table.contains("grant.2m"), "{table}");
    }

    #[test]
    fn the_best_peer_stands_beside_the_heap() {
        let table = plain(&figures(&[
            ("heap.pair.64", 24.01),
            ("peer.a.pair.64", 40.0),
            ("peer.b.pair.64", 30.5),
            ("peer.b.pair.64.const", 3.0),
        ]));
        let row = table.lines().nth(1).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(
            words[..5],
            ["heap.pair.64", "24.01", "30.50", "peer.b", "0.787"]
        );
        assert_eq!(words.last(), Some(&"yes"));
    }

    #[test]
    fn no_operation_stands_there_twice() {
        let mut names: Vec<_> = ROWS.iter().map(|(name, ..)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }
}
