// SPDX-License-Identifier: BSD-2-Clause
//! From TOML to a checked manifest.
use std::path::Path;
use std::time::Duration;

use kmalloc_manifest::{CLIENTS_MAX, NAME_BYTES_MAX, PROGRAMS_MAX, is_name};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::device;
use super::{
    Client, Disk, KernelKind, Manifest, ManifestError, Package, Program, RunSettings, Source,
};
use crate::size::{NotASize, Size};

mod clients;

use clients::ClientTable;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kernel: Option<KernelKind>,
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
    #[serde(default)]
    timer: bool,
    #[serde(default)]
    icount: bool,
    refused: Option<String>,
    stopped_by: Option<String>,
    pressure_mark: Option<Spanned<Value>>,
    #[serde(default)]
    devices: Vec<Spanned<String>>,
    disk: Option<Spanned<String>>,
    #[serde(default)]
    iommu: bool,
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
        self.check_permissions(&document.client)?;
        let mut clients: Vec<Client> = Vec::new();
        for table in document.client {
            let count = self.count(&table.count, "client.count")?;
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
            kernel: document.kernel,
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
        let devices = table.devices.iter().map(|name| {
            device::qemu_device(name.get_ref())
                .ok_or_else(|| self.error_at(name, "run.devices", "QEMU gets no such device here"))
        });
        let disk = table.disk.as_ref().map(|text| self.disk(text));
        Ok(RunSettings {
            memory,
            timeout: timeout.transpose()?,
            timer: table.timer,
            icount: table.icount,
            refused: table.refused,
            stopped_by: table.stopped_by,
            pressure_mark: table
                .pressure_mark
                .map(|value| self.size(&value, "run.pressure_mark"))
                .transpose()?,
            devices: devices.collect::<Result<_, _>>()?,
            disk: disk.transpose()?,
            iommu: table.iommu,
            trace: false,
        })
    }

    /// A size, or a file (with a `/` in its name, so that neither is taken for the other).
    fn disk(&self, text: &Spanned<String>) -> Result<Disk, ManifestError> {
        if !text.get_ref().contains('/') {
            let size = text.get_ref().parse();
            return size.map(Disk::Made).map_err(|error: NotASize| {
                self.error_at(
                    text,
                    "run.disk",
                    &format!("neither a path nor a size: {error}"),
                )
            });
        }
        let file = self.folder.join(text.get_ref());
        if file.is_file() {
            Ok(Disk::File(file))
        } else {
            let reason = format!("there is no file {}", file.display());
            Err(self.error_at(text, "run.disk", &reason))
        }
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

    fn count(
        &self,
        value: &Option<Spanned<i64>>,
        field: &'static str,
    ) -> Result<Option<u16>, ManifestError> {
        let Some(value) = value else {
            return Ok(None);
        };
        let count = u16::try_from(*value.get_ref());
        count
            .map(Some)
            .map_err(|_| self.error_at(value, field, &format!("0 to {}", u16::MAX)))
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
