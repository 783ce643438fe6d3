// SPDX-License-Identifier: BSD-2-Clause
//! The table at the end of a run.
use std::fmt::Write;

use crate::console::{BAD, BOLD, GOOD};
use crate::manifest::Manifest;
use crate::serial::Books;
use crate::verdict::{Check, Observation};

#[cfg(test)]
mod tests;

const HEADINGS: [&str; 6] = [
    "client",
    "result",
    "calls",
    "peak bytes",
    "held bytes",
    "verdict",
];
/// Columns from here to before the last one hold numbers.
const FIRST_NUMBER: usize = 2;

/// The table of clients and the line of the books, with colours.
pub fn render(manifest: &Manifest, seen: &Observation, checks: &[Check]) -> String {
    let mut rows = vec![HEADINGS.map(String::from)];
    for client in &manifest.clients {
        let mut ends = seen
            .ended
            .iter()
            .filter(|ended| ended.name == client.name)
            .peekable();
        let verdict = verdict(&client.name, checks);
        if ends.peek().is_none() {
            let result = if client.start {
                "unknown"
            } else {
                "not started"
            };
            let dash = || "-".to_string();
            rows.push([
                client.name.clone(),
                result.into(),
                dash(),
                dash(),
                dash(),
                verdict.clone(),
            ]);
        }
        for ended in ends {
            rows.push([
                client.name.clone(),
                ended.outcome.to_string(),
                grouped(ended.calls),
                grouped(ended.peak),
                grouped(ended.held),
                verdict.clone(),
            ]);
        }
    }
    let mut table = align(&rows);
    if let Some(books) = &seen.books {
        table.push('\n');
        table.push_str(&books_line(books));
    }
    table
}

/// `ok`, or `FAILED` when any check of the client failed.
fn verdict(client: &str, checks: &[Check]) -> String {
    let of_client = |check: &&Check| {
        check
            .name
            .strip_prefix(client)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
    };
    let failed = checks
        .iter()
        .filter(of_client)
        .any(|check| check.failure.is_some());
    if failed { "FAILED".into() } else { "ok".into() }
}

fn align(rows: &[[String; 6]]) -> String {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut table = String::new();
    for (number, row) in rows.iter().enumerate() {
        let last = row.len() - 1;
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let style = match cell.as_str() {
                _ if number == 0 => BOLD,
                "ok" if column == last => GOOD,
                "FAILED" if column == last => BAD,
                _ => anstyle::Style::new(),
            };
            // Writing to a string can't fail.
            let _ = if column == last {
                writeln!(table, "{style}{cell}{style:#}")
            } else if column >= FIRST_NUMBER {
                write!(table, "{style}{cell:>width$}{style:#}  ")
            } else {
                write!(table, "{style}{cell:<width$}{style:#}  ")
            };
        }
    }
    table
}

fn books_line(books: &Books) -> String {
    format!(
        "books: free {} + committed {} + server {} = {} bytes, {}\n",
        grouped(books.free),
        grouped(books.committed),
        grouped(books.server),
        grouped(books.total),
        if books.balanced {
            "balanced"
        } else {
            "NOT BALANCED"
        }
    )
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
