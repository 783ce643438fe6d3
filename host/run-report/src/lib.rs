// SPDX-License-Identifier: BSD-2-Clause
//! A run of the memory server as one HTML page, which needs nothing but itself: what the trace tells, the tests, the
//! benches. Pure: bytes and figures in, text out.
#![forbid(unsafe_code)]

mod chart;
mod names;
mod page;
mod sections;
pub mod trace;

pub use page::render;
use serde::Deserialize;
use trace::Trace;

/// Names that Chromium goes by. The page is tested in the first of them that is installed.
pub const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The ids of the elements that the page of a traced run with tests and figures has, whatever ran.
pub const PARTS: [&str; 14] = [
    "overview",
    "memory",
    "chart-memory",
    "physical",
    "chart-physical",
    "occupancy",
    "chart-occupancy",
    "fragmentation",
    "chart-fragmentation",
    "latency",
    "latency-kmalloc",
    "clients",
    "tests",
    "benches",
];

/// What the page is about. What is not there is left out of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What ran, for the title.
    pub title: String,
    /// What the server told.
    pub trace: Option<Trace>,
    /// What was tested, and how that went.
    pub tests: Vec<Test>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// Whether these are those that are committed, and not of this run.
    pub figures_are_baseline: bool,
}

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// Why it failed; `None` if it passed.
    pub failure: Option<String>,
}

/// Something that was measured, as `./simulate bench --json` writes it. Parts of a name are joined by points; those that
/// differ in the last part alone are drawn beside each other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Figure {
    /// What.
    pub name: String,
    /// Of what the value is a number.
    pub unit: String,
    /// How much.
    pub value: f64,
}
