// SPDX-License-Identifier: BSD-2-Clause
//! The page: head, style, and the sections that there is something for.

use crate::names::escaped;
use crate::sections;
use crate::{Report, trace::Trace};

/// Colours for light and dark, and the layout. No font, script or picture comes from anywhere.
const STYLE: &str = include_str!("style.css");

/// The report as one HTML page.
pub fn render(report: &Report) -> String {
    let title = escaped(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n</header>\n<main>\n"
    );
    if let Some(trace) = &report.trace {
        push(&mut page, sections::overview(trace));
        push_trace(&mut page, trace);
    }
    if !report.tests.is_empty() {
        push(&mut page, sections::tests(&report.tests));
    }
    if !report.figures.is_empty() {
        push(
            &mut page,
            sections::benches(&report.figures, report.figures_are_baseline),
        );
    }
    if report.trace.is_none() && report.tests.is_empty() && report.figures.is_empty() {
        page.push_str("<p>There is nothing to report.</p>\n");
    }
    page + "</main>\n</body>\n</html>\n"
}

fn push_trace(page: &mut String, trace: &Trace) {
    for section in [
        sections::memory_over_time(trace),
        sections::physical(trace),
        sections::occupancy(trace),
        sections::fragmentation(trace),
        sections::latency(trace),
        sections::clients(trace),
    ] {
        push(page, section);
    }
}

fn push(page: &mut String, section: String) {
    page.push_str(&section);
    page.push('\n');
}
