// SPDX-License-Identifier: BSD-2-Clause
//! From what was seen of a run to what is to be thought of it.
use std::collections::BTreeMap;
use std::time::Duration;

use kmalloc_manifest::OnFailure;

use crate::manifest::{Client, Manifest};
use crate::serial::{Books, Boot, Counted, End, Ended, Record};
use crate::tap::Tap;

#[cfg(test)]
mod tests;

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineEnd {
    /// By itself; its exit status, or what ended it, for people.
    Left(String),
    /// It was still running after this time, and was killed; what it did then, if that is known.
    TimedOut(Duration, Option<String>),
    /// The server in it answered nobody any more, and it was killed; what it did.
    Hung(String),
    /// It was still running seconds after the end sentinel, and was killed.
    Stuck,
    /// Someone wanted the tool to end.
    Interrupted,
}

/// What was seen of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// What the server found at boot.
    pub boot: Option<Boot>,
    /// Clients that ended, in order; one that was started again more than once.
    pub ended: Vec<Ended>,
    /// Clients of which only the number of ends is reported.
    pub counted: Vec<Counted>,
    /// The last books.
    pub books: Option<Books>,
    /// What clients printed of their tests.
    pub tap: BTreeMap<String, Tap>,
    unbalanced: Option<Books>,
    stopped_by: Option<String>,
    log: Vec<String>,
    end: Option<End>,
    problems: Vec<String>,
}

/// One thing that had to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it is called: `end`, `books`, `hello`, `conformance: kmalloc_zero_size`, say.
    pub name: String,
    /// Why it did not hold.
    pub failure: Option<String>,
}

impl Observation {
    /// Takes note of a line.
    pub fn record(&mut self, record: &Record) {
        if self.end.is_some() && !matches!(record, Record::Other(_)) {
            self.problems
                .push("there was output after the end sentinel".into());
        }
        match record {
            Record::Client(name, text) => self.tap.entry((*name).into()).or_default().line(text),
            Record::Log(text) => self.log.push((*text).into()),
            Record::Boot(boot) => self.boot = Some(boot.clone()),
            Record::Ended(ended) => self.ended.push(ended.clone()),
            Record::Counted(counted) => self.counted.push(counted.clone()),
            Record::Stopped(by) => self.stopped_by = Some(by.clone()),
            Record::Books(books) => {
                let sum = books.free.checked_add(books.committed);
                let sum = sum.and_then(|sum| sum.checked_add(books.server));
                if !books.balanced || sum != Some(books.total) {
                    self.unbalanced.get_or_insert(books.clone());
                }
                self.books = Some(books.clone());
            }
            Record::End(end) => self.end = Some(*end),
            Record::Malformed(reason) => self.problems.push(reason.clone()),
            Record::Unknown(_) | Record::Other(_) => {}
        }
    }

    /// Whether the end sentinel was seen.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }
}

/// Everything that had to hold in a run of `manifest`, the failures among it.
pub fn judge(manifest: &Manifest, seen: &Observation, end: &MachineEnd) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut check = |name: &str, result: Result<(), String>| {
        checks.push(Check {
            name: name.into(),
            failure: result.err(),
        });
    };
    if let Some(problem) = seen.problems.first() {
        check("serial", Err(problem.clone()));
    }
    if let Some(text) = &manifest.run.refused {
        check("refused", check_refused(seen, end, text));
        return checks;
    }
    check(
        "boot",
        seen.boot
            .as_ref()
            .map(|_| ())
            .ok_or_else(|| "the server did not come up".into()),
    );
    for client in &manifest.clients {
        check(&client.name, check_client(seen, client));
        let tap = seen.tap.get(&client.name).filter(|tap| !tap.is_empty());
        if client.tap || tap.is_some() {
            let plan = tap.map_or_else(|| Tap::default().check_plan(), Tap::check_plan);
            check(&format!("{}: plan", client.name), plan);
        }
        for result in tap.into_iter().flat_map(|tap| &tap.results) {
            let name = format!("{}: {}", client.name, result.name);
            check(&name, result.failure.clone().map_or(Ok(()), Err));
        }
    }
    for ended in &seen.ended {
        if !manifest
            .clients
            .iter()
            .any(|client| client.name == ended.name)
        {
            check(&ended.name, Err("the manifest has no such client".into()));
        }
    }
    if manifest.run.stopped_by.is_some() || seen.stopped_by.is_some() {
        check("stopped", check_stopped(manifest, seen));
    }
    check("books", check_books(seen));
    // The server counts a client that failed as well; said once is enough.
    let failed = checks.iter().any(|check| check.failure.is_some());
    let name = "end".to_string();
    checks.push(Check {
        name,
        failure: check_end(seen, end, failed).err(),
    });
    checks
}

fn check_client(seen: &Observation, client: &Client) -> Result<(), String> {
    let ends: Vec<_> = seen
        .ended
        .iter()
        .filter(|ended| ended.name == client.name)
        .collect();
    let counted = seen.counted.iter().find(|ends| ends.name == client.name);
    let count = ends.len() as u64 + counted.map_or(0, Counted::count);
    if count == 0 && client.start {
        return Err(format!(
            "expected {}, but the server said nothing of its end",
            client.expect
        ));
    }
    if let Some(lives) = client.lives.filter(|lives| *lives != count) {
        return Err(format!("expected {lives} ends, but there were {count}"));
    }
    // What is started again is judged by its last life: the ones before were failures.
    let judged = match client.on_failure {
        OnFailure::Restart => ends.split_at(ends.len().saturating_sub(1)).1,
        OnFailure::Leave | OnFailure::Stop => &ends,
    };
    judged
        .iter()
        .try_for_each(|ended| check_end_of(client, ended))
}

fn check_end_of(client: &Client, ended: &Ended) -> Result<(), String> {
    if !client.expect.matches(&ended.outcome) {
        return Err(format!(
            "expected {}, but it was {}",
            client.expect, ended.outcome
        ));
    }
    if let Some(held) = client.expect_held.filter(|held| *held != ended.held) {
        return Err(format!(
            "expected to hold {held} bytes at its end, but held {}",
            ended.held
        ));
    }
    if ended.calls < client.expect_calls_min {
        let (calls, due) = (ended.calls, client.expect_calls_min);
        return Err(format!("made {calls} calls, at least {due} were due"));
    }
    Ok(())
}

fn check_stopped(manifest: &Manifest, seen: &Observation) -> Result<(), String> {
    match (&manifest.run.stopped_by, &seen.stopped_by) {
        (Some(expected), Some(by)) if expected == by => Ok(()),
        (_, Some(by)) => Err(format!("the failure of `{by}` stopped the system")),
        (Some(expected), None) => Err(format!("`{expected}` should have stopped the system")),
        (None, None) => Ok(()),
    }
}

fn check_books(seen: &Observation) -> Result<(), String> {
    match (&seen.unbalanced, &seen.books) {
        (Some(books), _) => Err(format!(
            "do not balance: free {} + committed {} + server {} of total {}{}",
            books.free,
            books.committed,
            books.server,
            books.total,
            if books.balanced {
                ""
            } else {
                " (the server says so)"
            }
        )),
        (None, None) => Err("the server did not show its books".into()),
        (None, Some(_)) => Ok(()),
    }
}

fn check_end(seen: &Observation, machine: &MachineEnd, failed: bool) -> Result<(), String> {
    match (seen.end, machine) {
        (None, MachineEnd::TimedOut(after, words)) => Err(timeout(*after, words.as_deref())),
        (_, MachineEnd::Hung(what)) => Err(what.clone()),
        (_, MachineEnd::Interrupted) => Err("interrupted".into()),
        (None, MachineEnd::Left(status)) => {
            Err(format!("QEMU ended ({status}) before the end sentinel"))
        }
        (None, MachineEnd::Stuck) => Err("no end sentinel".into()),
        (Some(_), MachineEnd::Stuck | MachineEnd::TimedOut(..)) => {
            Err("QEMU did not leave after the end sentinel".into())
        }
        (Some(End { passed: false }), _) if !failed => {
            Err("the server says that the run failed, for a reason that is in its log".into())
        }
        (Some(_), MachineEnd::Left(_)) => Ok(()),
    }
}

fn check_refused(seen: &Observation, machine: &MachineEnd, text: &str) -> Result<(), String> {
    match (seen.end, machine) {
        (None, _) | (_, MachineEnd::Interrupted | MachineEnd::Stuck | MachineEnd::Hung(_)) => {
            check_end(seen, machine, true)?;
        }
        (Some(End { passed: true }), _) => {
            return Err("the server took a system that it should have refused".into());
        }
        (Some(_), _) => {}
    }
    if seen.log.iter().any(|line| line.contains(text)) {
        Ok(())
    } else {
        Err(format!("the server's log does not say `{text}`"))
    }
}

fn timeout(after: Duration, words: Option<&str>) -> String {
    let words = words.map(|words| format!("; {words}"));
    let seconds = after.as_secs();
    format!(
        "no end sentinel after {seconds} s{}",
        words.unwrap_or_default()
    )
}
