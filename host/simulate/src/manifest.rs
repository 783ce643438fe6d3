// SPDX-License-Identifier: BSD-2-Clause
//! The system manifest in its TOML form, checked.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kmalloc_manifest::{
    CLIENTS_MAX, Expectation, NAME_BYTES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, PROGRAMS_MAX, is_name,
};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::size::Size;
use crate::trace;

#[cfg(test)]
mod tests;

/// A system to run.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What the system is called: its file's name without the ending.
    pub name: String,
    /// What the run needs, where the command line doesn't say otherwise.
    pub run: RunSettings,
    /// The programs.
    pub programs: Vec<Program>,
    /// The clients.
    pub clients: Vec<Client>,
}

/// The table `[run]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// Memory of the machine.
    pub memory: Option<Size>,
    /// When the run is given up.
    pub timeout: Option<Duration>,
    /// The server has to refuse the system at boot, with a log line that contains this.
    pub refused: Option<String>,
}

/// A `[[program]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Where its ELF file comes from.
    pub source: Source,
    /// Line of its `elf` in the manifest; 0 if no file names it.
    pub line: usize,
}

/// Where a program's ELF file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A package of the workspace, built by Cargo.
    Package(String),
    /// A file that is there already.
    File(PathBuf),
}

/// A `[[client]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Index of its program.
    pub program: usize,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Priority of its thread.
    pub priority: u8,
    /// Most memory that may be charged to it.
    pub memory_limit: Size,
    /// Whether it is started at boot.
    pub start: bool,
    /// How it should end.
    pub expect: Expectation,
    /// Whether it is a test that prints TAP; one that prints no plan has then failed.
    pub tap: bool,
    /// Bytes of blocks that it should still hold at its end; `None` leaves it open.
    pub expect_held: Option<u64>,
    /// Calls that it has to make at least.
    pub expect_calls_min: u64,
    /// Bytes that it finds mapped read-only.
    pub data: Vec<u8>,
}

/// A manifest was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {field}{separator}{reason}", separator = if field.is_empty() { "" } else { ": " })]
pub struct ManifestError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; 0 when the file can't be read at all.
    pub line: usize,
    /// The field, `client.priority` say; empty when the file is no TOML of this form.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    run: RunTable,
    #[serde(default)]
    program: Vec<ProgramTable>,
    #[serde(default)]
    client: Vec<ClientTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunTable {
    memory: Option<Spanned<Value>>,
    timeout: Option<Spanned<i64>>,
    refused: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramTable {
    name: Spanned<String>,
    elf: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    name: Spanned<String>,
    program: Option<Spanned<String>>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
    priority: Option<Spanned<i64>>,
    memory_limit: Spanned<Value>,
    expect: Option<Spanned<String>>,
    #[serde(default = "yes")]
    start: bool,
    #[serde(default)]
    tap: bool,
    held: Option<Spanned<Value>>,
    data: Option<Spanned<String>>,
    trace: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

/// Reads and checks a manifest, and the files of data that it names.
///
/// # Errors
///
/// The first thing that is wrong, by file, line and field.
pub fn load(file: &Path) -> Result<Manifest, ManifestError> {
    let shown = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| ManifestError {
        file: shown.clone(),
        line: 0,
        field: "",
        reason: error.to_string(),
    })?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Reader {
        file: shown,
        text: &text,
        folder,
    }
    .read(name)
}

struct Reader<'a> {
    file: String,
    text: &'a str,
    folder: &'a Path,
}

impl Reader<'_> {
    fn read(&self, name: String) -> Result<Manifest, ManifestError> {
        let document: Document = toml::from_str(self.text).map_err(|error| {
            let start = error.span().unwrap_or_default().start;
            // The message doesn't name the field, its line does.
            let line = self
                .text
                .lines()
                .nth(self.line(start) - 1)
                .unwrap_or_default();
            let message = error.message().trim();
            self.error(start, "", &format!("{message} (in `{}`)", line.trim()))
        })?;
        let mut programs: Vec<Program> = Vec::new();
        for table in document.program {
            let program = self.program(table, &programs)?;
            programs.push(program);
        }
        let mut clients: Vec<Client> = Vec::new();
        for table in document.client {
            let client = self.client(table, &programs, &clients)?;
            clients.push(client);
        }
        let end = self.text.len();
        if clients.is_empty() {
            return Err(self.error(end, "client", "there is none: nothing would run"));
        }
        if programs.len() > PROGRAMS_MAX as usize || clients.len() > CLIENTS_MAX as usize {
            let reason = format!("at most {PROGRAMS_MAX} programs and {CLIENTS_MAX} clients");
            return Err(self.error(end, "client", &reason));
        }
        Ok(Manifest {
            name,
            run: self.run(document.run)?,
            programs,
            clients,
        })
    }

    fn run(&self, table: RunTable) -> Result<RunSettings, ManifestError> {
        let memory = table
            .memory
            .map(|value| self.size(&value, "run.memory"))
            .transpose()?;
        let timeout = table
            .timeout
            .map(|value| match u64::try_from(*value.get_ref()) {
                Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
                _ => Err(self.error_at(&value, "run.timeout", "at least 1 second")),
            });
        Ok(RunSettings {
            memory,
            timeout: timeout.transpose()?,
            refused: table.refused,
        })
    }

    fn program(&self, table: ProgramTable, before: &[Program]) -> Result<Program, ManifestError> {
        let name = self.name(table.name, "program.name")?;
        if before.iter().any(|program| program.name == *name.get_ref()) {
            let reason = format!("there are two programs `{}`", name.get_ref());
            return Err(self.error_at(&name, "program.name", &reason));
        }
        let line = self.line(table.elf.span().start);
        let elf = table.elf.get_ref();
        let source = if elf.contains('/') {
            Source::File(self.folder.join(elf))
        } else if is_name(elf) {
            Source::Package(elf.clone())
        } else {
            let reason = "neither a package's name nor a path (which has a `/`)";
            return Err(self.error_at(&table.elf, "program.elf", reason));
        };
        Ok(Program {
            name: name.into_inner(),
            source,
            line,
        })
    }

    fn client(
        &self,
        table: ClientTable,
        programs: &[Program],
        before: &[Client],
    ) -> Result<Client, ManifestError> {
        let data = self.data(&table)?;
        let name = self.name(table.name, "client.name")?;
        if before.iter().any(|client| client.name == *name.get_ref()) {
            let reason = format!("there are two clients `{}`", name.get_ref());
            return Err(self.error_at(&name, "client.name", &reason));
        }
        let program_name = table.program.as_ref().unwrap_or(&name);
        let program = programs
            .iter()
            .position(|program| program.name == *program_name.get_ref());
        let program = program.ok_or_else(|| {
            let reason = format!("there is no program `{}`", program_name.get_ref());
            self.error_at(program_name, "client.program", &reason)
        })?;
        if let Some(argument) = table
            .arguments
            .iter()
            .find(|text| text.get_ref().contains('\0'))
        {
            return Err(self.error_at(argument, "client.arguments", "a NUL can't be passed on"));
        }
        let priority = table
            .priority
            .map(|value| match u8::try_from(*value.get_ref()) {
                Ok(priority @ 1..=PRIORITY_MAX) => Ok(priority),
                _ => Err(self.error_at(&value, "client.priority", &format!("1 to {PRIORITY_MAX}"))),
            });
        let memory_limit = self.size(&table.memory_limit, "client.memory_limit")?;
        if memory_limit == Size(0) {
            let reason = "0 bytes: the client could not even be loaded";
            return Err(self.error_at(&table.memory_limit, "client.memory_limit", reason));
        }
        let expect = table.expect.map(|text| {
            let parsed = text.get_ref().parse::<Expectation>();
            parsed.map_err(|error| self.error_at(&text, "client.expect", &error.to_string()))
        });
        let held = table
            .held
            .map(|value| self.size(&value, "client.held"))
            .transpose()?;
        Ok(Client {
            name: name.into_inner(),
            program,
            arguments: table
                .arguments
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            priority: priority.transpose()?.unwrap_or(PRIORITY_DEFAULT),
            memory_limit,
            start: table.start,
            expect: expect.transpose()?.unwrap_or(Expectation::Exit(0)),
            tap: table.tap,
            expect_held: held.map(|Size(bytes)| bytes),
            expect_calls_min: 0,
            data,
        })
    }

    fn data(&self, table: &ClientTable) -> Result<Vec<u8>, ManifestError> {
        match (&table.data, &table.trace) {
            (None, None) => Ok(Vec::new()),
            (Some(_), Some(trace)) => {
                Err(self.error_at(trace, "client.trace", "the client has `data` already"))
            }
            (Some(file), None) => {
                let path = self.folder.join(file.get_ref());
                fs::read(&path).map_err(|error| {
                    let reason = format!("{}: {error}", path.display());
                    self.error_at(file, "client.data", &reason)
                })
            }
            (None, Some(file)) => trace::compile(&self.folder.join(file.get_ref()))
                .map_err(|error| self.error_at(file, "client.trace", &error.to_string())),
        }
    }

    fn name(
        &self,
        name: Spanned<String>,
        field: &'static str,
    ) -> Result<Spanned<String>, ManifestError> {
        if is_name(name.get_ref()) {
            return Ok(name);
        }
        let reason = format!("1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`");
        Err(self.error_at(&name, field, &reason))
    }

    fn size(&self, value: &Spanned<Value>, field: &'static str) -> Result<Size, ManifestError> {
        let size = match value.get_ref() {
            Value::Integer(bytes) => u64::try_from(*bytes).ok().map(Size),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        size.ok_or_else(|| self.error_at(value, field, &crate::size::NotASize.to_string()))
    }

    fn error_at<T>(&self, value: &Spanned<T>, field: &'static str, reason: &str) -> ManifestError {
        self.error(value.span().start, field, reason)
    }

    fn error(&self, position: usize, field: &'static str, reason: &str) -> ManifestError {
        let line = self.line(position);
        ManifestError {
            file: self.file.clone(),
            line,
            field,
            reason: reason.to_string(),
        }
    }

    fn line(&self, position: usize) -> usize {
        let before = &self.text.as_bytes()[..position.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}
