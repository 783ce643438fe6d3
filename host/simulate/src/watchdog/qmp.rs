// SPDX-License-Identifier: BSD-2-Clause
//! QEMU's control socket: lines of JSON.
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{CODE_BYTES, Look, Processor};

/// The socket, in the folder that QEMU runs in.
pub const SOCKET_FILE: &str = "control";
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lines that may come before an answer: events.
const EVENTS_MAX: usize = 64;

/// The control socket of a QEMU. It is only connected when there is something to look at.
pub struct Link {
    folder: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

impl Link {
    /// To the QEMU that runs in `folder`.
    pub fn new(folder: &Path) -> Self {
        let folder = folder.to_path_buf();
        Self {
            folder,
            stream: None,
        }
    }

    fn stream(&mut self) -> Result<&mut BufReader<UnixStream>> {
        if self.stream.is_none() {
            // The path of a socket has at most 107 bytes, and that of the folder may have more.
            let folder = File::open(&self.folder)?;
            let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd());
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            self.stream = Some(BufReader::new(stream));
            self.command("qmp_capabilities", &json!({}))?;
        }
        self.stream.as_mut().context("no stream")
    }

    fn command(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let stream = self.stream()?;
        let command = json!({"execute": name, "arguments": arguments});
        writeln!(stream.get_mut(), "{command}")?;
        for _ in 0..EVENTS_MAX {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                bail!("QEMU has closed the socket");
            }
            let answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                bail!("{name}: {error}");
            }
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
        bail!("{name}: no answer")
    }

    /// What QEMU's monitor says to a command for people.
    fn monitor(&mut self, command: &str) -> Result<String> {
        let arguments = json!({"command-line": command});
        let text = self.command("human-monitor-command", &arguments)?;
        Ok(text.as_str().unwrap_or_default().to_string())
    }

    fn processor(&mut self) -> Result<Processor> {
        let registers = self.monitor("info registers")?;
        let mut processor = processor(&registers).context("registers of another kind")?;
        if processor.is_user {
            let at = processor.instruction;
            processor.code = code(&self.monitor(&format!("x /{CODE_BYTES}xb {at:#x}"))?);
        }
        Ok(processor)
    }
}

impl Look for Link {
    fn look(&mut self) -> Option<Processor> {
        self.command("stop", &json!({})).ok()?;
        let processor = self.processor();
        self.command("cont", &json!({})).ok()?;
        processor.ok()
    }
}

/// The value of a register in what `info registers` shows.
fn register<'a>(registers: &'a str, name: &str) -> Option<&'a str> {
    let mut words = registers.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// What `info registers` shows of a processor.
pub(super) fn processor(registers: &str) -> Option<Processor> {
    let number = |name| u64::from_str_radix(register(registers, name)?, 16).ok();
    Some(Processor {
        instruction: number("RIP")?,
        is_user: number("CPL")? == 3,
        is_halted: number("HLT")? != 0,
        code: Vec::new(),
    })
}

/// The bytes that `x` shows, each line behind its address.
pub(super) fn code(shown: &str) -> Vec<u8> {
    let lines = shown
        .lines()
        .filter_map(|line| Some(line.split_once(": ")?.1));
    let words = lines.flat_map(str::split_whitespace);
    words
        .map_while(|word| u8::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .collect()
}
