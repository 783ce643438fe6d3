// SPDX-License-Identifier: BSD-2-Clause
//! The commands of the tutorial and the guides, run one after another in a fresh copy of the checkout.
//!
//! A fenced block of `sh` is run by bash. If the next fenced block is one of `text`, it is what there is to be seen: each of
//! its lines has to be in a line of the output, spaces aside. Other blocks are for reading.
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Results;
use crate::process::{is_interrupted, run_logged};
use crate::project::Project;
use crate::system::Bench;

#[cfg(test)]
mod tests;

/// Seconds until a block is given up. The first one builds everything.
const BLOCK_SECONDS: u32 = 1200;
/// What can be made again, and takes long: it is neither copied nor removed.
const MADE: [&str; 4] = [".git", "build", "target", "host/target"];

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// The line of its first command, from 1.
    line: usize,
    commands: String,
    /// Lines to be seen.
    expected: Vec<String>,
}

/// The documents whose names are wanted, by their paths in the checkout.
///
/// # Errors
///
/// If the checkout can't be read.
pub fn wanted(project: &Project, results: &Results) -> Result<Vec<String>> {
    let mut documents = vec!["docs/TUTORIAL.md".to_string()];
    for file in super::files(&project.root().join("docs/guides"), "md")? {
        let file = file.strip_prefix(project.root()).unwrap_or(&file);
        documents.push(file.display().to_string());
    }
    documents.retain(|name| results.wants(name));
    Ok(documents)
}

/// Runs these documents.
///
/// # Errors
///
/// If the checkout can't be read or copied.
pub fn run(bench: &Bench, results: &mut Results, documents: &[String]) -> Result<()> {
    let root = bench.project.root();
    let copy = bench.project.build().join("documents");
    for name in documents {
        if is_interrupted() {
            return Ok(());
        }
        let text = fs::read_to_string(root.join(name)).context(name.clone())?;
        let blocks = blocks(&text);
        if blocks.is_empty() {
            continue;
        }
        results.heading(name);
        refresh(root, &copy).context("a fresh copy of the checkout")?;
        for block in blocks {
            let first = block.commands.lines().next().unwrap_or_default();
            let failure = run_block(bench, &copy, &block);
            let failed = failure.is_some();
            results.add(format!("{name}:{}: {first}", block.line), failure);
            // What follows rests on it.
            if failed {
                break;
            }
        }
    }
    Ok(())
}

/// The blocks of commands in a document.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    // Whether what comes next may be the output of the last block.
    let mut awaits_output = false;
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let inner: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        match (kind, blocks.last_mut()) {
            ("sh", _) => blocks.push(Block {
                line: number + 2,
                commands: inner.join("\n"),
                expected: Vec::new(),
            }),
            ("text", Some(block)) if awaits_output => {
                block.expected = inner.iter().map(|line| squeezed(line)).collect();
            }
            _ => {}
        }
        awaits_output = kind == "sh";
    }
    blocks
}

/// A line with one space for any number of them.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Why a block did not do what it says; `None` if it did.
fn run_block(bench: &Bench, copy: &Path, block: &Block) -> Option<String> {
    let step = bench
        .console
        .transient_step(block.commands.lines().next().unwrap_or_default());
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=10", &BLOCK_SECONDS.to_string()])
        .args(["bash", "-euo", "pipefail", "-c", &block.commands])
        .current_dir(copy)
        // A reader has none, and the tool under test must not overwrite the one that runs.
        .env_remove("CARGO_TARGET_DIR")
        .env("SEL4_PREFIX", &bench.kernel.prefix);
    let log = bench.project.build().join("log/documents.log");
    let mut seen = Vec::new();
    let result = run_logged(&mut command, &log, |line| seen.push(squeezed(line)));
    drop(step);
    if let Err(error) = result {
        return Some(format!("\n{error:#}"));
    }
    let missing = missing(&block.expected, &seen)?;
    Some(format!(
        "`{missing}` was not to be seen; the output is at the end of {}",
        bench.project.shown(&log).display()
    ))
}

/// The first expected line that no line of `seen` contains.
fn missing<'a>(expected: &'a [String], seen: &[String]) -> Option<&'a str> {
    let is_seen = |expected: &str| seen.iter().any(|line| line.contains(expected));
    expected
        .iter()
        .map(String::as_str)
        .find(|line| !is_seen(line))
}

/// Makes `copy` what a clone of `root` would be, but for what was built in there before. Files that are the same already
/// are left alone, so that Cargo builds anew what has changed and nothing else.
fn refresh(root: &Path, copy: &Path) -> Result<()> {
    let mut folders = VecDeque::from([PathBuf::new()]);
    while let Some(folder) = folders.pop_front() {
        fs::create_dir_all(copy.join(&folder))?;
        for path in entries(root, &folder)? {
            let (from, to) = (root.join(&path), copy.join(&path));
            if from.is_dir() {
                folders.push_back(path);
            } else if fs::read(&to).ok() != Some(fs::read(&from)?) {
                fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            }
        }
        for path in entries(copy, &folder)? {
            let (from, stale) = (root.join(&path), copy.join(&path));
            if from.exists() {
                continue;
            }
            if stale.is_dir() {
                fs::remove_dir_all(stale)?;
            } else {
                fs::remove_file(stale)?;
            }
        }
    }
    Ok(())
}

/// What is in the folder of `top`, as paths from there; not what can be made again.
fn entries(top: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(top.join(folder))? {
        let path = folder.join(entry?.file_name());
        if !MADE.iter().any(|made| Path::new(made) == path) {
            paths.push(path);
        }
    }
    Ok(paths)
}
