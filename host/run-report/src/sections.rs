// SPDX-License-Identifier: BSD-2-Clause
//! The sections of the page: each a heading, a sentence on how to read it, a picture, and the figures behind it.

mod benches;
mod lists;
mod pictures;

pub use benches::benches;
pub use lists::{clients, tests};
pub use pictures::{fragmentation, latency, memory_over_time, occupancy, physical};

use std::fmt::Write;

use crate::names::{bytes, grouped, seconds};
use crate::trace::Trace;

/// A section: its id, what it is called, how to read it, and what is in it.
fn section(id: &str, heading: &str, reading: &str, body: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{heading}</h2>\n<p>{reading}</p>\n{body}\n</section>")
}

/// The figures that one looks at first.
pub fn overview(trace: &Trace) -> String {
    let least = trace.samples.iter().map(|(_, memory)| memory.free).min();
    let total = trace.samples.last().map_or(0, |(_, memory)| memory.total);
    let calls = trace.clients.iter().map(|client| client.calls).sum();
    let books = match trace.balanced {
        Some(true) => "<span class=\"good\">balanced</span>",
        Some(false) => "<span class=\"bad\">not balanced</span>",
        None => "<span class=\"bad\">never shown</span>",
    };
    let tiles = [
        ("Traced", seconds(trace.length)),
        ("Memory", bytes(trace.memory)),
        ("For the server", bytes(trace.server)),
        (
            "Most in clients' hands",
            bytes(total - least.unwrap_or(total).min(total)),
        ),
        ("Clients", grouped(trace.clients.len() as u64)),
        ("Requests", grouped(calls)),
        ("Pages granted", grouped(trace.pages.granted)),
        ("Books", books.into()),
    ];
    let mut body = String::from("<dl class=\"tiles\">");
    for (name, value) in tiles {
        let _ = write!(body, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    body.push_str("</dl>");
    let lost = match trace.broken {
        0 => String::new(),
        count => format!(" {} frames could not be read.", grouped(count as u64)),
    };
    let reading = format!(
        "{} records of the trace channel.{lost} While a server is traced, every request takes the slow way, so that it \
         can be measured.",
        grouped(trace.records as u64)
    );
    section("overview", "Overview", &reading, &body)
}
