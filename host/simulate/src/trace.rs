// SPDX-License-Identifier: BSD-2-Clause
//! Allocation traces on their way into a system.
use std::fs;
use std::io;
use std::path::Path;

use kmalloc_manifest::{Expectation, OnFailure, PRIORITY_DEFAULT, Report};
use kmalloc_trace::{Summary, Trace, TraceError};

use crate::cli::TraceHeap;
use crate::manifest::{Client, Manifest, Program, RunSettings, Source};
use crate::size::Size;

/// The client program that replays traces.
const REPLAY: &str = "replay";
/// What the replay client needs beside the blocks of the trace: its image, its tables, and slack.
const REPLAY_BYTES: u64 = 16 << 20;
/// A block's entry in the replay client's table, with room to spare.
const SLOT_BYTES: u64 = 64;

/// A trace can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file can't be read.
    #[error(
        "{0}: {1}; traces that come with this are in traces/, and `./simulate record` makes others"
    )]
    Unreadable(String, io::Error),
    /// The text is malformed.
    #[error("{file}{place}: {error}", place = error.line().map(|line| format!(":{line}")).unwrap_or_default())]
    Malformed {
        /// The file, as it was named.
        file: String,
        /// What is wrong, and in which line.
        error: TraceError,
    },
}

/// The trace in `file`, checked, in the compact form that a client walks.
///
/// # Errors
///
/// If the file can't be read or is malformed, by line.
pub fn compile(file: &Path) -> Result<Vec<u8>, Refusal> {
    let shown = file.display().to_string();
    let text = fs::read(file).map_err(|error| Refusal::Unreadable(shown.clone(), error))?;
    kmalloc_trace::compile(&text).map_err(|error| Refusal::Malformed { file: shown, error })
}

/// A system of one client, which replays the trace in `file`. Through served memory it has to make a call for each
/// operation and each block left; it has to hold nothing at its end.
///
/// # Errors
///
/// As [`compile`].
pub fn system(file: &Path, heap: TraceHeap) -> Result<Manifest, Refusal> {
    let data = compile(file)?;
    // What was compiled just now decodes.
    let summary = Trace::decode(&data)
        .map(|trace| trace.summary())
        .unwrap_or_default();
    let limit = memory_limit(&summary);
    let calls = summary.operations + u64::from(summary.live_at_end);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let (way, calls) = match heap {
        TraceHeap::Served => ("served", calls),
        TraceHeap::Resident => ("resident", 0),
        TraceHeap::Both => ("both", calls),
    };
    let client = Client {
        name: REPLAY.into(),
        program: 0,
        arguments: vec![stem.to_string(), way.into()],
        priority: PRIORITY_DEFAULT,
        budget: None,
        memory_limit: limit,
        memory_reserved: Size(0),
        slot_limit: None,
        start: true,
        service: false,
        serves: None,
        calls: None,
        on_failure: OnFailure::Leave,
        restarts_max: 0,
        lives: None,
        starts: Vec::new(),
        kills: Vec::new(),
        children_max: 0,
        report: Report::Each,
        devices: Vec::new(),
        movable: false,
        expect: Expectation::Exit(0),
        tap: false,
        expect_held: Some(0),
        expect_calls_min: calls,
        data,
    };
    let program = Program {
        name: REPLAY.into(),
        source: Source::Package(REPLAY.into()),
        line: None,
    };
    // The kernel and the server need some beside the client.
    let memory = Size((limit.0 + (256 << 20)).next_power_of_two().max(512 << 20));
    let run = RunSettings {
        memory: Some(memory),
        ..RunSettings::default()
    };
    Ok(Manifest {
        name: stem.into_owned(),
        file: file.display().to_string(),
        kernel: None,
        run,
        programs: vec![program],
        clients: vec![client],
    })
}

/// Rounding up to powers of two at most doubles the blocks; buckets that are partly empty may double them again.
fn memory_limit(summary: &Summary) -> Size {
    let blocks = summary.live_bytes_max.saturating_mul(4);
    let slots = u64::from(summary.slots) * SLOT_BYTES;
    Size(blocks.saturating_add(slots + REPLAY_BYTES).min(1 << 36))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_makes_a_system_that_has_to_replay_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.trace");
        fs::write(&file, "a 1 1000000\na 2 5\nf 1\n").unwrap();
        let manifest = system(&file, TraceHeap::Both).unwrap();
        assert_eq!(manifest.name, "some");
        let client = &manifest.clients[0];
        assert_eq!(client.expect_calls_min, 4);
        assert_eq!(client.expect_held, Some(0));
        assert!(client.memory_limit.0 > 4_000_000);
        assert_eq!(manifest.run.memory, Some(Size(512 << 20)));
    }

    #[test]
    fn a_malformed_trace_is_refused_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("some.trace");
        fs::write(&file, "# head\na 1 5\na 1 6\n").unwrap();
        let refusal = system(&file, TraceHeap::Both).unwrap_err().to_string();
        assert_eq!(refusal, format!("{}:3: id 1 is still live", file.display()));
        fs::write(&file, "").unwrap();
        assert!(
            system(&file, TraceHeap::Both)
                .unwrap_err()
                .to_string()
                .ends_with("no operation in it")
        );
        assert!(
            system(&folder.path().join("none"), TraceHeap::Both)
                .unwrap_err()
                .to_string()
                .contains("none: ")
        );
    }
}
