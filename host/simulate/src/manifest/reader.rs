// SPDX-License-Identifier: BSD-2-Clause
//! From TOML to a checked manifest.
use std::fs;
use std::path::Path;
use std::time::Duration;

use kmalloc_manifest::{
    CLIENTS_MAX, Expectation, NAME_BYTES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, PROGRAMS_MAX, is_name,
};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Client, Manifest, ManifestError, Package, Program, RunSettings, Source};
use crate::size::{NotASize, Size};
use crate::trace;

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
    elf: Option<Spanned<String>>,
    #[serde(default)]
    features: Vec<String>,
    c: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    name: Spanned<String>,
    count: Option<Spanned<i64>>,
    program: Option<Spanned<String>>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
    priority: Option<Spanned<i64>>,
    memory_limit: Spanned<Value>,
    expect: Option<Spanned<String>>,
    #[serde(default = "yes")]
    start: bool,
    #[serde(default)]
    service: bool,
    serves: Option<String>,
    calls: Option<String>,
    #[serde(default)]
    tap: bool,
    held: Option<Spanned<Value>>,
    data: Option<Spanned<String>>,
    trace: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

/// A manifest that is being read.
pub(super) struct Reader<'a> {
    /// The file, as it was named.
    pub file: String,
    /// What is in it.
    pub text: &'a str,
    /// What paths in it are relative to.
    pub folder: &'a Path,
}

impl Reader<'_> {
    pub fn read(&self, name: String) -> Result<Manifest, ManifestError> {
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
            let count = self.count(&table)?;
            let client = self.client(table, &programs, &clients)?;
            match count {
                None => clients.push(client),
                Some(count) => self.repeat(&client, count, &mut clients)?,
            }
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
            file: self.file.clone(),
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
        let (source, start) = match (&table.elf, &table.c) {
            (Some(elf), None) => (self.elf(elf, table.features)?, elf.span().start),
            (None, Some(files)) if table.features.is_empty() => {
                (self.c(files)?, files.span().start)
            }
            (None, Some(files)) => {
                return Err(self.error_at(files, "program.c", "only a package has features"));
            }
            (_, Some(files)) => {
                return Err(self.error_at(files, "program.c", "the program has an `elf` already"));
            }
            (None, None) => {
                return Err(self.error_at(&name, "program.elf", "neither `elf` nor `c`"));
            }
        };
        Ok(Program {
            name: name.into_inner(),
            source,
            line: Some(self.line(start)),
        })
    }

    fn elf(&self, elf: &Spanned<String>, features: Vec<String>) -> Result<Source, ManifestError> {
        let text = elf.get_ref();
        if text.contains('/') && features.is_empty() {
            Ok(Source::File(self.folder.join(text)))
        } else if is_name(text) {
            let name = text.clone();
            Ok(Source::Package(Package { name, features }))
        } else if features.is_empty() {
            let reason = "neither a package's name nor a path (which has a `/`)";
            Err(self.error_at(elf, "program.elf", reason))
        } else {
            Err(self.error_at(elf, "program.elf", "only a package has features"))
        }
    }

    fn c(&self, files: &Spanned<Vec<String>>) -> Result<Source, ManifestError> {
        let paths: Vec<_> = files
            .get_ref()
            .iter()
            .map(|file| self.folder.join(file))
            .collect();
        if paths.is_empty() {
            return Err(self.error_at(files, "program.c", "no file to build it from"));
        }
        match paths.iter().find(|path| !path.is_file()) {
            Some(missing) => {
                let reason = format!("there is no file {}", missing.display());
                Err(self.error_at(files, "program.c", &reason))
            }
            None => Ok(Source::C(paths)),
        }
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
            service: table.service,
            serves: table.serves,
            calls: table.calls,
            expect: expect.transpose()?.unwrap_or(Expectation::Exit(0)),
            tap: table.tap,
            expect_held: held.map(|Size(bytes)| bytes),
            expect_calls_min: 0,
            data,
        })
    }

    fn count(&self, table: &ClientTable) -> Result<Option<u32>, ManifestError> {
        let count = table
            .count
            .as_ref()
            .map(|value| match u32::try_from(*value.get_ref()) {
                Ok(count @ 1..=CLIENTS_MAX) => Ok(count),
                _ => Err(self.error_at(value, "client.count", &format!("1 to {CLIENTS_MAX}"))),
            });
        count.transpose()
    }

    /// Adds `count` clients that differ in their names alone: `NAME-1` and so on.
    fn repeat(
        &self,
        client: &Client,
        count: u32,
        clients: &mut Vec<Client>,
    ) -> Result<(), ManifestError> {
        for number in 1..=count {
            let name = format!("{}-{number}", client.name);
            let reason = match clients.iter().find(|before| before.name == name) {
                Some(_) => format!("there are two clients `{name}`"),
                None if is_name(&name) => {
                    clients.push(Client {
                        name,
                        ..client.clone()
                    });
                    continue;
                }
                None => format!("`{name}` has more than {NAME_BYTES_MAX} characters"),
            };
            return Err(self.error(self.text.len(), "client.name", &reason));
        }
        Ok(())
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
        size.ok_or_else(|| self.error_at(value, field, &NotASize.to_string()))
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
