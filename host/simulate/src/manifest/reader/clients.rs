// SPDX-License-Identifier: BSD-2-Clause
//! The clients of a manifest.
use std::fs;

use kmalloc_manifest::{
    Budget, CHILDREN_DEFAULT, Expectation, NAME_BYTES_MAX, OnFailure, PRIORITY_DEFAULT,
    PRIORITY_MAX, RESTARTS_DEFAULT, Report, is_name,
};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::Reader;
use crate::manifest::device;
use crate::manifest::{Client, ManifestError, Program};
use crate::size::Size;
use crate::trace;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTable {
    pub name: Spanned<String>,
    pub count: Option<Spanned<i64>>,
    program: Option<Spanned<String>>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
    priority: Option<Spanned<i64>>,
    budget_us: Option<Spanned<i64>>,
    period_us: Option<Spanned<i64>>,
    memory_limit: Spanned<Value>,
    memory_reserved: Option<Spanned<Value>>,
    slot_limit: Option<Spanned<i64>>,
    expect: Option<Spanned<String>>,
    #[serde(default = "yes")]
    start: bool,
    #[serde(default)]
    service: bool,
    serves: Option<String>,
    calls: Option<String>,
    #[serde(default)]
    devices: Vec<Spanned<String>>,
    #[serde(default)]
    movable: bool,
    #[serde(default)]
    tap: bool,
    on_failure: Option<Spanned<String>>,
    restarts: Option<Spanned<i64>>,
    lives: Option<u64>,
    #[serde(default)]
    starts: Vec<Spanned<String>>,
    #[serde(default)]
    kills: Vec<Spanned<String>>,
    children: Option<Spanned<i64>>,
    #[serde(default)]
    statistics: bool,
    report: Option<Spanned<String>>,
    held: Option<Spanned<Value>>,
    data: Option<Spanned<String>>,
    trace: Option<Spanned<String>>,
}

fn yes() -> bool {
    true
}

impl Reader<'_> {
    pub(super) fn client(
        &self,
        table: ClientTable,
        programs: &[Program],
        before: &[Client],
    ) -> Result<Client, ManifestError> {
        let data = self.data(&table)?;
        let budget = self.budget(&table)?;
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
        let (memory_reserved, slot_limit) =
            self.shares(&table.memory_reserved, &table.slot_limit, memory_limit)?;
        let expect = table.expect.map(|text| {
            let parsed = text.get_ref().parse::<Expectation>();
            parsed.map_err(|error| self.error_at(&text, "client.expect", &error.to_string()))
        });
        let devices = self.devices(&table.devices)?;
        let held = table
            .held
            .map(|value| self.size(&value, "client.held"))
            .transpose()?;
        let (on_failure, restarts_max) =
            self.on_failure(&table.on_failure, &table.restarts, table.start)?;
        let children_default = if table.starts.is_empty() {
            0
        } else {
            CHILDREN_DEFAULT
        };
        let names = |names: Vec<Spanned<String>>| -> Vec<String> {
            names.into_iter().map(Spanned::into_inner).collect()
        };
        Ok(Client {
            name: name.into_inner(),
            program,
            on_failure,
            restarts_max,
            lives: table.lives,
            starts: names(table.starts),
            kills: names(table.kills),
            children_max: self
                .count(&table.children, "client.children")?
                .unwrap_or(children_default),
            statistics: table.statistics,
            report: self.report(&table.report)?,
            arguments: names(table.arguments),
            priority: priority.transpose()?.unwrap_or(PRIORITY_DEFAULT),
            budget,
            memory_limit,
            memory_reserved,
            slot_limit,
            start: table.start,
            service: table.service,
            serves: table.serves,
            calls: table.calls,
            devices,
            movable: table.movable,
            expect: expect.transpose()?.unwrap_or(Expectation::Exit(0)),
            tap: table.tap,
            expect_held: held.map(|Size(bytes)| bytes),
            expect_calls_min: 0,
            data,
        })
    }

    /// Adds `count` clients that differ in their names alone: `NAME-1` and so on.
    pub(super) fn repeat(
        &self,
        client: &Client,
        count: u16,
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

    /// What is set aside for a client, and how many slots it may have, if that is said.
    fn shares(
        &self,
        memory_reserved: &Option<Spanned<Value>>,
        slot_limit: &Option<Spanned<i64>>,
        memory_limit: Size,
    ) -> Result<(Size, Option<u32>), ManifestError> {
        let mut reserved = Size(0);
        if let Some(value) = memory_reserved {
            reserved = self.size(value, "client.memory_reserved")?;
            if reserved > memory_limit {
                let reason = "more than memory_limit";
                return Err(self.error_at(value, "client.memory_reserved", reason));
            }
        }
        let slots = slot_limit.as_ref().map(|value| {
            u32::try_from(*value.get_ref())
                .map_err(|_| self.error_at(value, "client.slot_limit", "0 to 4294967295"))
        });
        Ok((reserved, slots.transpose()?))
    }

    /// That the clients named by `starts` and `kills` are there, and that those to be started wait for it.
    pub(super) fn check_permissions(&self, clients: &[ClientTable]) -> Result<(), ManifestError> {
        let find = |name: &str| clients.iter().find(|client| client.name.get_ref() == name);
        for client in clients {
            for name in &client.starts {
                let reason = match find(name.get_ref()) {
                    None => "there is no such client",
                    Some(other) if other.start => "it is started at boot: give it `start = false`",
                    Some(_) => continue,
                };
                let reason = format!("`{}`: {reason}", name.get_ref());
                return Err(self.error_at(name, "client.starts", &reason));
            }
            for name in &client.kills {
                if find(name.get_ref()).is_none() {
                    let reason = format!("there is no client `{}`", name.get_ref());
                    return Err(self.error_at(name, "client.kills", &reason));
                }
            }
        }
        Ok(())
    }

    fn on_failure(
        &self,
        policy: &Option<Spanned<String>>,
        restarts: &Option<Spanned<i64>>,
        start: bool,
    ) -> Result<(OnFailure, u16), ManifestError> {
        const FIELD: &str = "client.on_failure";
        let on_failure = match policy.as_ref().map(|policy| policy.get_ref().as_str()) {
            None | Some("leave") => OnFailure::Leave,
            Some("restart") => OnFailure::Restart,
            Some("stop") => OnFailure::Stop,
            Some(_) => {
                let policy = policy.as_ref().map_or(0, |policy| policy.span().start);
                return Err(self.error(policy, FIELD, "not one of `leave`, `restart`, `stop`"));
            }
        };
        if let (OnFailure::Restart, Some(policy), false) = (on_failure, policy, start) {
            let reason =
                "only what is started at boot is started again; for others their parent decides";
            return Err(self.error_at(policy, FIELD, reason));
        }
        let times = self.count(restarts, "client.restarts")?;
        match (on_failure, restarts) {
            (OnFailure::Restart, _) => Ok((on_failure, times.unwrap_or(RESTARTS_DEFAULT))),
            (_, None) => Ok((on_failure, 0)),
            (_, Some(restarts)) => {
                let reason = "it needs `on_failure = \"restart\"`";
                Err(self.error_at(restarts, "client.restarts", reason))
            }
        }
    }

    fn report(&self, report: &Option<Spanned<String>>) -> Result<Report, ManifestError> {
        let Some(report) = report else {
            return Ok(Report::Each);
        };
        match report.get_ref().as_str() {
            "each" => Ok(Report::Each),
            "count" => Ok(Report::Count),
            _ => Err(self.error_at(report, "client.report", "not one of `each`, `count`")),
        }
    }

    fn budget(&self, table: &ClientTable) -> Result<Option<Budget>, ManifestError> {
        let (budget, period) = match (&table.budget_us, &table.period_us) {
            (None, None) => return Ok(None),
            (Some(budget), Some(period)) => (budget, period),
            (Some(budget), None) => {
                let reason = "a budget is for a period: `period_us` is missing";
                return Err(self.error_at(budget, "client.budget_us", reason));
            }
            (None, Some(period)) => {
                let reason = "`budget_us` is missing: how much of each period it may run";
                return Err(self.error_at(period, "client.period_us", reason));
            }
        };
        let time = |value: &Spanned<i64>, field| match u32::try_from(*value.get_ref()) {
            Ok(microseconds) if microseconds > 0 => Ok(microseconds),
            _ => Err(self.error_at(value, field, &format!("1 to {} microseconds", u32::MAX))),
        };
        let times = Budget {
            budget_us: time(budget, "client.budget_us")?,
            period_us: time(period, "client.period_us")?,
        };
        if !times.is_possible() {
            let (budget_us, period_us) = (times.budget_us, times.period_us);
            let reason = format!("{budget_us} microseconds do not fit in a period of {period_us}");
            return Err(self.error_at(budget, "client.budget_us", &reason));
        }
        Ok(Some(times))
    }

    fn devices(&self, names: &[Spanned<String>]) -> Result<Vec<(u16, u16)>, ManifestError> {
        let mut devices = Vec::new();
        for name in names {
            let functions = device::functions(name.get_ref()).ok_or_else(|| {
                let reason = "neither the name of a device nor pci:VENDOR:DEVICE in hexadecimal";
                self.error_at(name, "client.devices", reason)
            })?;
            devices.extend(functions);
        }
        Ok(devices)
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
}
