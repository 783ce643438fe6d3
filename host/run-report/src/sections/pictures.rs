// SPDX-License-Identifier: BSD-2-Clause
//! What is drawn of a trace.

use std::collections::BTreeMap;
use std::fmt::Write;

use kmalloc_protocol::statistics::{
    CallFigures, LATENCY_FIRST_BITS, LATENCY_STEPS, LargeFigures, ORDERS, SERVED_CLASSES,
};

use super::section;
use crate::chart::{self, Row, Series};
use crate::names::{bytes, grouped, request, seconds, short};
use crate::trace::{Client, Round, Trace};

/// Lines that one can tell apart.
const LINES_MAX: usize = 7;
/// Points of a line: more would not be seen.
const POINTS_MAX: usize = 600;
/// Squares in a row of the map.
const CELLS_ACROSS: usize = 32;
const PAGE: u64 = 4096;
const LARGE_PAGES: u32 = 512;

/// Who had how much, over time. Clients of one name are one line: each child of a test would be seen for a moment only.
pub fn memory_over_time(trace: &Trace) -> String {
    let mut named: BTreeMap<&str, Vec<&Client>> = BTreeMap::new();
    for client in &trace.clients {
        named.entry(&client.name).or_default().push(client);
    }
    let mut named: Vec<_> = named.into_iter().collect();
    let peak = |clients: &[&Client]| clients.iter().map(|client| client.peak).max();
    named.sort_by_key(|(_, clients)| std::cmp::Reverse(peak(clients)));
    let (shown, rest) = named.split_at(named.len().min(LINES_MAX));
    let shown = shown.iter().enumerate();
    let mut series: Vec<Series> = shown
        .map(|(index, (name, clients))| Series {
            name: match clients.len() {
                1 => name.to_string(),
                count => format!("{name} ({count} lives)"),
            },
            class: format!("c{index}"),
            points: sum(clients),
        })
        .collect();
    if !rest.is_empty() {
        let clients: Vec<&Client> = rest.iter().flat_map(|(_, it)| it).copied().collect();
        series.push(Series {
            name: format!("{} others together", rest.len()),
            class: "c7".into(),
            points: sum(&clients),
        });
    }
    let title = "Bytes committed to each client over time";
    let chart = chart::lines("chart-memory", title, &series, trace.length);
    let legend = chart::legend(
        series
            .iter()
            .map(|series| (series.class.as_str(), series.name.as_str())),
    );
    let reading = "Everything that a client is charged for: image, stack, blocks, page tables, the server's books about it.";
    section(
        "memory",
        "Memory over time",
        reading,
        &format!("{chart}{legend}"),
    )
}

/// A client's line, from nothing to nothing.
fn line(client: &Client) -> Vec<(f64, f64)> {
    let stride = client.committed.len().div_ceil(POINTS_MAX).max(1);
    let death = client.death.map(|(time, ..)| time);
    let alive = |time: &f64| death.is_none_or(|death| *time <= death);
    let points = client.committed.iter().step_by(stride);
    let mut points: Vec<(f64, f64)> = points
        .filter(|(time, _)| alive(time))
        .map(|(time, bytes)| (*time, *bytes as f64))
        .collect();
    points.insert(0, (client.birth, 0.0));
    if let Some(death) = death {
        points.push((death, 0.0));
    }
    points
}

/// The lines of several clients, one upon the other.
fn sum(clients: &[&Client]) -> Vec<(f64, f64)> {
    let mut changes = Vec::new();
    for client in clients {
        let mut before = 0.0;
        for (time, value) in line(client) {
            changes.push((time, value - before));
            before = value;
        }
    }
    changes.sort_by(|one, other| one.0.total_cmp(&other.0));
    let stride = changes.len().div_ceil(POINTS_MAX).max(1);
    let mut total = 0.0;
    let points = changes.into_iter().map(|(time, change)| {
        total += change;
        (time, f64::max(total, 0.0))
    });
    points.step_by(stride).collect()
}

/// Physical memory, 2 MiB a square.
pub fn physical(trace: &Trace) -> String {
    let Some(round) = trace.fullest() else {
        return nothing("physical", "Physical memory");
    };
    let cells: Vec<_> = round.larges.iter().map(cell).collect();
    let map = chart::cells(
        "chart-physical",
        "Map of physical memory",
        &cells,
        CELLS_ACROSS,
    );
    let legend = chart::legend([
        ("c0", "in clients' hands, the fuller the stronger"),
        ("c4", "with kernel objects in it"),
        ("c5", "free, to be zeroed first"),
        ("none", "free and zero"),
        ("c7", "not wholly the server's to give"),
    ]);
    let memory = round.memory;
    let reading = format!(
        "Each square is 2 MiB, in the order of addresses, {} after the start, when the least was free: {} of {}. Point at \
         a square for its figures.",
        seconds(round.time),
        bytes(memory.free),
        bytes(memory.total)
    );
    section(
        "physical",
        "Physical memory",
        &reading,
        &format!("{map}{legend}"),
    )
}

fn cell(large: &LargeFigures) -> (&'static str, f64, String) {
    let taken = LARGE_PAGES.saturating_sub(large.free);
    let form = ["in part the server's", "whole", "split", "a frame of 2 MiB"];
    let text = format!(
        "{:#x}, {}: {taken} pages taken, {} of them for kernel objects; {} free, {} of them to be zeroed",
        large.address,
        form[large.form as usize % form.len()],
        large.objects,
        large.free,
        large.dirty
    );
    let share = |pages: u32| f64::from(pages) / f64::from(LARGE_PAGES);
    match large {
        // What is not the server's is not told from what is taken.
        _ if large.form == 0 => ("c7", share(taken), text),
        _ if taken == 0 && large.dirty == 0 => ("none", 0.0, text),
        _ if taken == 0 => ("c5", share(large.dirty), text),
        _ if large.objects > 0 => ("c4", share(taken), text),
        _ => ("c0", share(taken), text),
    }
}

/// Served blocks in their buckets.
pub fn occupancy(trace: &Trace) -> String {
    let Some(round) = trace.busiest() else {
        return nothing("occupancy", "Buckets");
    };
    let figures = round.blocks;
    let mut rows = Vec::new();
    for class in 0..SERVED_CLASSES {
        let (buckets, used) = (figures.buckets[class], figures.blocks[class]);
        let places = u64::from(buckets) * (PAGE >> (4 + class));
        rows.push(Row {
            label: format!("{} B", 16 << class),
            value: f64::from(used),
            of: places as f64,
            text: match buckets {
                0 => "no bucket".into(),
                _ => format!(
                    "{} of {} in {} pages ({} %)",
                    grouped(used.into()),
                    grouped(places),
                    grouped(buckets.into()),
                    short(f64::from(used) * 100.0 / places as f64)
                ),
            },
            class: "c2",
        });
    }
    // Bars of equal length: what counts is how full each is.
    for row in &mut rows {
        row.value /= row.of.max(1.0);
        row.of = if row.of > 0.0 { 1.0 } else { 0.0 };
    }
    let chart = chart::rows(
        "chart-occupancy",
        "Occupancy of buckets by class",
        &rows,
        Some(1.0),
    );
    let reading = format!(
        "How full the pages are that served blocks of one size share, {} after the start, when the most blocks were in \
         use. Beside them: {} blocks of whole pages with {} pages. What a client cuts by itself in its own heap, the \
         server doesn't know.",
        seconds(round.time),
        grouped(figures.runs.into()),
        grouped(figures.run_pages.into())
    );
    section("occupancy", "Buckets by class", &reading, &chart)
}

/// Free memory by the size of its pieces.
pub fn fragmentation(trace: &Trace) -> String {
    let (Some(fullest), Some(last)) = (trace.fullest(), trace.rounds.last()) else {
        return nothing("fragmentation", "Fragmentation");
    };
    let labels: Vec<String> = (0..ORDERS).map(|order| bytes(PAGE << order)).collect();
    let pieces = |round: &Round| -> Vec<u64> {
        let count = |order: usize| {
            let blocks = round.larges.iter().map(|large| large.orders[order]);
            blocks.map(u64::from).sum()
        };
        (0..ORDERS).map(count).collect()
    };
    let series = [
        ("when the least was free", "c1", pieces(fullest)),
        ("at the end", "c0", pieces(last)),
    ];
    let title = "Free memory by the size of its pieces";
    let chart = chart::columns("chart-fragmentation", title, &labels, &series);
    let legend = chart::legend(series.iter().map(|(name, class, _)| (*class, *name)));
    let reading = "How many free pieces there are of each size, each aligned to it and part of no larger one; the height \
                   is logarithmic. To the right is well: of a piece of 2 MiB anything can be made. Runs are found across \
                   pieces, so a request does not need one that is as large.";
    section(
        "fragmentation",
        "Fragmentation by order",
        reading,
        &format!("{chart}{legend}"),
    )
}

/// How long requests took.
pub fn latency(trace: &Trace) -> String {
    let mut calls: Vec<(u8, &CallFigures)> = trace.calls.iter().map(|(n, it)| (*n, it)).collect();
    calls.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.calls()));
    let mut body = String::from("<div class=\"small\">");
    for (operation, figures) in calls {
        let time = |bits: u32| (1u64 << bits) as f64 / trace.hertz.max(1) as f64;
        let labels: Vec<String> = (0..LATENCY_STEPS as u32)
            .map(|step| match step {
                0 | 4 | 8 | 12 => seconds(time(LATENCY_FIRST_BITS + step)),
                _ => String::new(),
            })
            .collect();
        let values = figures.steps.map(f64::from).to_vec();
        let name = request(operation);
        let id = format!("latency-{}", name.to_lowercase());
        let chart = latency_chart(&id, &name, &labels, &values, &time);
        let calls = figures.calls();
        let mean = figures.ticks as f64 / calls.max(1) as f64 / trace.hertz.max(1) as f64;
        let _ = write!(
            body,
            "<div><h3>{name}</h3><p>{} requests, {} on average</p>{chart}</div>",
            grouped(calls),
            seconds(mean)
        );
    }
    body.push_str("</div>");
    let reading = "Time inside the server, from the decoded request to its response; the kernel's way there and back is not \
                   in it. Each column is twice as long as the one before; the label says how long its requests took at \
                   the most. In QEMU these are times of the emulation, not of a processor.";
    section("latency", "Latency by request", reading, &body)
}

/// One small histogram.
fn latency_chart(
    id: &str,
    name: &str,
    labels: &[String],
    values: &[f64],
    time: &impl Fn(u32) -> f64,
) -> String {
    let (width, height, base) = (300.0, 150.0, 128.0);
    let most = values.iter().fold(1.0f64, |most, value| most.max(*value));
    let slot = width / values.len() as f64;
    let mut svg = format!(
        "<svg id=\"{id}\" role=\"img\" aria-label=\"Latency of {name}\" viewBox=\"0 0 {width} {height}\">\
         <path class=\"axis\" d=\"M0 {base}H{width}\"/>"
    );
    for (step, (value, label)) in values.iter().zip(labels).enumerate() {
        let left = step as f64 * slot;
        if *value > 0.0 {
            let tall = (value / most * (base - 8.0)).max(1.5);
            let below = seconds(time(LATENCY_FIRST_BITS + step as u32));
            let _ = write!(
                svg,
                "<rect class=\"fill c0\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" rx=\"1.5\">\
                 <title>up to {below}: {}</title></rect>",
                left + 1.0,
                base - tall,
                slot - 2.0,
                grouped(*value as u64)
            );
        }
        if !label.is_empty() {
            let _ = write!(
                svg,
                "<text x=\"{left:.1}\" y=\"{}\">{label}</text>",
                height - 6.0
            );
        }
    }
    svg + "</svg>"
}

fn nothing(id: &str, heading: &str) -> String {
    let reading = "The trace has no sample of this: the run was too short.";
    section(id, heading, reading, "")
}
