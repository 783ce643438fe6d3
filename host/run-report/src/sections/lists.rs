// SPDX-License-Identifier: BSD-2-Clause
//! What is listed: clients with their ends, tests.

use std::fmt::Write;

use kmalloc_events::Held;
use kmalloc_protocol::Cause;
use kmalloc_protocol::names::ErrorName;

use super::section;
use crate::Test;
use crate::names::{bytes, escaped, grouped, seconds};
use crate::trace::{Client, Trace};

/// Clients that are listed: of thousands nobody reads each.
const CLIENTS_MAX: usize = 200;

/// Each client's life, account and end.
pub fn clients(trace: &Trace) -> String {
    let mut body = String::from(
        "<div class=\"scroll\"><table><thead><tr><th>Client</th><th class=\"number\">Born</th><th>End</th>\
         <th class=\"number\">Limit</th><th class=\"number\">Peak</th><th class=\"number\">Requests</th>\
         <th class=\"number\">Refused</th><th>Why refused</th><th>Held at its end</th></tr></thead><tbody>",
    );
    for client in trace.clients.iter().take(CLIENTS_MAX) {
        let _ = write!(
            body,
            "<tr><td>{}</td><td class=\"number\">{}</td><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&client.name),
            seconds(client.birth),
            end(client),
            limit(client),
            bytes(client.peak),
            grouped(client.calls),
            grouped(client.failures),
            reasons(client),
            client
                .death
                .map_or(String::new(), |(.., held)| of_kinds(&held))
        );
    }
    body.push_str("</tbody></table></div>");
    let left_out = match trace.clients.len().saturating_sub(CLIENTS_MAX) {
        0 => String::new(),
        count => format!(" {} later ones are left out.", grouped(count as u64)),
    };
    let reading = format!(
        "In the order of their births, seconds after the start. What a client still held when it ended was taken back; in \
         a program that was to free everything, it is a leak.{left_out}"
    );
    section("clients", "Clients", &reading, &body)
}

fn end(client: &Client) -> String {
    let Some((time, cause, value, _)) = client.death else {
        return "alive at the end of the trace".into();
    };
    let when = seconds(time);
    match (cause, client.fault) {
        (Cause::Exit, _) if value == 0 => format!("<span class=\"good\">exit 0</span> at {when}"),
        (Cause::Exit, _) => format!("<span class=\"bad\">exit {value}</span> at {when}"),
        (Cause::Killed, _) => format!("killed at {when}"),
        (Cause::NotStarted, _) => {
            let reason = ErrorName(value as u32);
            format!("<span class=\"bad\">not started: {reason}</span> at {when}")
        }
        (cause, Some((_, address, instruction))) => format!(
            "<span class=\"bad\">{cause:?}</span> at {when}, <code>{address:#x}</code> by <code>{instruction:#x}</code>"
        ),
        (cause, None) => format!("<span class=\"bad\">{cause:?}</span> at {when}"),
    }
}

/// A client that came and went between two samples was never asked for its limit.
fn limit(client: &Client) -> String {
    match client.limit {
        0 => "not seen".into(),
        limit => bytes(limit),
    }
}

fn reasons(client: &Client) -> String {
    let counts = client.reasons.iter().filter(|(_, count)| **count > 0);
    let reasons = counts
        .map(|(number, count)| format!("{} {}", grouped((*count).into()), ErrorName(*number)));
    reasons.collect::<Vec<_>>().join(", ")
}

fn of_kinds(held: &Held) -> String {
    let kinds = [
        (held.block_bytes, "served"),
        (held.resident_bytes, "buckets"),
        (held.large_bytes, "large"),
        (held.dma_bytes, "DMA"),
        (held.shared_bytes, "shared"),
    ];
    let held = kinds
        .into_iter()
        .filter(|(size, _)| *size > 0)
        .map(|(size, kind)| format!("{} {kind}", bytes(size)));
    let held = held.collect::<Vec<_>>().join(", ");
    if held.is_empty() {
        "nothing".into()
    } else {
        held
    }
}

/// What was tested.
pub fn tests(tests: &[Test]) -> String {
    let failed = tests.iter().filter(|test| test.failure.is_some()).count();
    let mut body = String::from(
        "<div class=\"scroll\"><table><thead><tr><th>Result</th><th>Test</th><th>Reason</th></tr></thead><tbody>",
    );
    // What failed first: that is what one looks for.
    let (bad, good): (Vec<_>, Vec<_>) = tests.iter().partition(|test| test.failure.is_some());
    for test in bad.into_iter().chain(good) {
        let (class, word) = match test.failure {
            Some(_) => ("bad", "failed"),
            None => ("good", "ok"),
        };
        let _ = write!(
            body,
            "<tr><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td></tr>",
            escaped(&test.name),
            escaped(test.failure.as_deref().unwrap_or_default())
        );
    }
    body.push_str("</tbody></table></div>");
    let passed = tests.len() - failed;
    let reading = format!(
        "{} passed, {} failed.",
        grouped(passed as u64),
        grouped(failed as u64)
    );
    section("tests", "Tests", &reading, &body)
}
