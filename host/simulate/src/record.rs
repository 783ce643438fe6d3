// SPDX-License-Identifier: BSD-2-Clause
//! `simulate record`: runs a program with the recorder preloaded and turns its events into a trace.
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Status;
use crate::cli::RecordArguments;
use crate::process::shown;
use crate::project::Project;

#[cfg(test)]
mod tests;

/// The variable by which the recorder finds its file.
const EVENTS_VARIABLE: &str = "KMALLOC_TRACE_EVENTS";
const EVENT_BYTES: usize = 32;

/// A trace in the making.
#[derive(Debug, Default)]
struct Recording {
    text: String,
    operations: u64,
    // Live blocks by address.
    ids: HashMap<u64, u64>,
    free_ids: Vec<u64>,
    // Calls about blocks that were there before the recorder was.
    strangers: u64,
}

/// Records a program.
///
/// # Errors
///
/// When the recorder can't be built, the program can't be started, or nothing was recorded.
pub fn run(project: &Project, arguments: &RecordArguments) -> Result<Status> {
    let recorder = build_recorder(project)?;
    let folder = tempfile::tempdir()?;
    let events = folder.path().join("events");
    let (program, rest) = arguments
        .program
        .split_first()
        .context("a program to record")?;
    let mut command = Command::new(program);
    command
        .args(rest)
        .env("LD_PRELOAD", &recorder)
        .env(EVENTS_VARIABLE, &events);
    let status = command
        .status()
        .with_context(|| format!("can't start {program}"))?;
    let events = fs::read(&events)
        .context("nothing was recorded: is the program linked statically, or not for glibc?")?;
    let limit = arguments.operations.unwrap_or(u64::MAX);
    let recording = Recording::of(&events, limit);
    ensure!(
        recording.operations > 0,
        "the program asked nothing of its allocator"
    );
    // Environment and paths stay out of it: they are nobody's business.
    let mut by_hand = Command::new(program.rsplit('/').next().unwrap_or(program));
    by_hand.args(rest);
    let text = recording.finish(&shown(&by_hand), limit);
    fs::write(&arguments.output, text).with_context(|| arguments.output.display().to_string())?;
    anstream::eprintln!(
        "simulate: {} operations in {}; the program ended with {status}",
        recording.operations,
        arguments.output.display()
    );
    Ok(Status::Passed)
}

impl Recording {
    fn of(events: &[u8], limit: u64) -> Self {
        let mut recording = Self::default();
        for event in events.chunks_exact(EVENT_BYTES) {
            if recording.operations == limit {
                break;
            }
            let word = |number: usize| {
                let bytes = event[number * 8..][..8].try_into();
                u64::from_ne_bytes(bytes.unwrap_or_default())
            };
            recording.add(word(0), word(1), word(2), word(3));
        }
        recording
    }

    /// Adds an event; the table in the recorder's documentation says what the operands are. A size of 0, for which
    /// glibc gives a block, is written as 1.
    fn add(&mut self, operation: u64, address: u64, first: u64, second: u64) {
        match operation {
            0 => {}
            1 => {
                let id = self.name(address);
                self.line(format_args!("a {id} {}", first.max(1)));
            }
            2 => {
                let id = self.name(address);
                self.line(format_args!("z {id} {} {}", first.max(1), second.max(1)));
            }
            3 => match self.ids.remove(&second) {
                Some(id) => {
                    self.bind(address, id);
                    self.line(format_args!("r {id} {}", first.max(1)));
                }
                None => {
                    self.strangers += 1;
                    let id = self.name(address);
                    self.line(format_args!("a {id} {}", first.max(1)));
                }
            },
            _ => match self.ids.remove(&address) {
                Some(id) => {
                    self.free_ids.push(id);
                    self.line(format_args!("f {id}"));
                }
                None => self.strangers += 1,
            },
        }
    }

    /// A small number for a new block.
    fn name(&mut self, address: u64) -> u64 {
        let id = self.free_ids.pop().unwrap_or(self.ids.len() as u64);
        self.bind(address, id);
        id
    }

    /// The allocator can't give an address twice, but a free may have happened where the recorder didn't see it.
    fn bind(&mut self, address: u64, id: u64) {
        if let Some(lost) = self.ids.insert(address, id) {
            self.strangers += 1;
            self.line(format_args!("f {lost}"));
            self.free_ids.push(lost);
        }
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{line}");
        self.operations += 1;
    }

    /// The trace with a head that says how it came to be.
    fn finish(&self, program: &str, limit: u64) -> String {
        let mut head = format!("# Recorded by `./simulate record` from:\n#   {program}\n");
        let live = self.ids.len();
        let _ = writeln!(
            head,
            "# {} operations; {live} blocks are live at the end.",
            self.operations
        );
        if self.operations == limit {
            let _ = writeln!(head, "# The program went on after them.");
        }
        if self.strangers > 0 {
            let count = self.strangers;
            let _ = writeln!(
                head,
                "# {count} calls about blocks from before the recorder are left out."
            );
        }
        head + &self.text
    }
}

/// The recorder's library.
fn build_recorder(project: &Project) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(project.host())
        .args(["build", "--release", "--package", "trace-record"]);
    cargo.args(["--quiet", "--message-format", "json-render-diagnostics"]);
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .context("can't start cargo")?;
    ensure!(
        output.status.success(),
        "cargo could not build the recorder"
    );
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut files = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_recorder = message["target"]["name"] == "trace_record";
        is_recorder.then(|| Some(message["filenames"][0].as_str()?.into()))?
    });
    files.next_back().context("cargo named no library")
}
