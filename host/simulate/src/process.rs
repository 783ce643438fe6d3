// SPDX-License-Identifier: BSD-2-Clause
//! Other programs that do the work, and signals.
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 25;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Set when QEMU has to end though nobody interrupted the tool.
static STOPPED: AtomicBool = AtomicBool::new(false);
/// Set while another program has the terminal: then signals from there are meant for it.
static LENT: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C and a request to terminate only leave a mark; the tool ends in order, and QEMU before it.
///
/// # Errors
///
/// If the system has no handler for us.
pub fn catch_interrupts() -> Result<()> {
    let mark = || {
        if !LENT.load(Ordering::Relaxed) {
            INTERRUPTED.store(true, Ordering::Relaxed);
        }
    };
    ctrlc::set_handler(mark).context("can't catch Ctrl-C")
}

/// Ends QEMU: nobody needs it any more.
pub fn stop_machine() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Whether QEMU has to end.
pub fn is_machine_stopped() -> bool {
    is_interrupted() || STOPPED.load(Ordering::Relaxed)
}

/// Runs `command` to its end with the terminal all its own: what Ctrl-C means, it decides.
///
/// # Errors
///
/// If the command can't be started.
pub fn lend_terminal(command: &mut Command) -> Result<ExitStatus> {
    LENT.store(true, Ordering::Relaxed);
    let status = command.status();
    LENT.store(false, Ordering::Relaxed);
    status.with_context(|| format!("can't start `{}`", shown(command)))
}

/// Whether someone wants the tool to end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Where the program `name` lies, by PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=,:+@%".contains(&byte);
        if !word.is_empty() && word.bytes().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Runs `command`, adds all that it prints to the file `log`, and hands each line of it to `watch` as it comes.
///
/// # Errors
///
/// If the command can't be started or ends with another status than 0; the error shows the end of what it printed.
pub fn run_logged(command: &mut Command, log: &Path, mut watch: impl FnMut(&str)) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut file = File::options().create(true).append(true).open(log)?;
    writeln!(file, "$ {}", shown(command))?;
    let (reader, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("can't start `{}`", shown(command)))?;
    // The command keeps its ends of the pipe; with them open here the reading below would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut tail = VecDeque::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(file, "{line}")?;
        watch(&line);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    let status = child.wait()?;
    if !status.success() {
        let tail = Vec::from(tail).join("\n");
        bail!(
            "{tail}\n`{}` ended with {status}; all of it: {}",
            shown(command),
            log.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_shows_what_it_printed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("deep/step.log");
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 7"]);
        let error =
            run_logged(&mut command, &log, |line| lines.push(line.to_string())).unwrap_err();
        assert_eq!(lines, ["one", "two"]);
        let text = error.to_string();
        assert!(
            text.contains("one\ntwo\n") && text.contains("exit status: 7"),
            "{text}"
        );
        assert!(fs::read_to_string(&log).unwrap().ends_with("one\ntwo\n"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("no-such-program-here");
        let error = run_logged(&mut command, &folder.path().join("log"), |_| ()).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"));
        assert_eq!(find_program("no-such-program-here"), None);
        assert!(find_program("sh").is_some());
    }

    #[test]
    fn commands_are_quoted_for_a_shell() {
        let mut command = Command::new("sudo");
        command.args(["-n", "two words", "it's", ""]);
        assert_eq!(shown(&command), r"sudo -n 'two words' 'it'\''s' ''");
    }
}
