// SPDX-License-Identifier: BSD-2-Clause
//! `simulate gdb`, and the port that a debugger finds QEMU at.
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::Status;
use crate::cli::GdbArguments;
use crate::console::{Console, DIM};
use crate::process::{find_program, is_interrupted, lend_terminal, shown, stop_machine};
use crate::project::Project;
use crate::run;
use crate::system::{Bench, Prepared};

/// The debugger.
const PROGRAM: &str = "gdb";
/// What everybody tries first.
const USUAL_PORT: u16 = 1234;

/// A port of this machine that nobody listens on: the usual one where it is free. Somebody may take it before QEMU
/// does; QEMU says so then.
///
/// # Errors
///
/// If there is none.
pub fn free_port() -> Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = bind(USUAL_PORT).or_else(|_| bind(0));
    let address = listener.and_then(|listener| listener.local_addr());
    Ok(address.context("no port is free for gdb")?.port())
}

/// gdb with the symbols of root task and kernel, attached to the machine that waits at `port`.
pub fn command(prepared: &Prepared, bench: &Bench, port: u16) -> Command {
    let kernel = bench.project.shown(&bench.kernel.elf());
    let mut gdb = Command::new(PROGRAM);
    gdb.arg(bench.project.shown(prepared.root_task_file()));
    for order in [
        // Two symbol files are no mistake here.
        "set confirm off".to_string(),
        format!("add-symbol-file {}", kernel.display()),
        "set confirm on".to_string(),
        format!("target remote localhost:{port}"),
    ] {
        gdb.args(["-ex", &order]);
    }
    gdb
}

/// Starts a system that waits, and gdb attached to it. The machine ends with gdb.
///
/// # Errors
///
/// If there is no gdb, or for what keeps the system from being started.
pub fn run(project: &Project, arguments: &GdbArguments) -> Result<Status> {
    ensure!(
        find_program(PROGRAM).is_some(),
        "gdb is missing. Install it by\n  {}apt-get install -y gdb\n\
         or attach a debugger of your own to `./simulate run --gdb`",
        if rustix::process::geteuid().is_root() {
            ""
        } else {
            "sudo "
        }
    );
    let console = Console::new(arguments.machine.quiet);
    let manifest = run::load(project, arguments.system.as_deref())?;
    let mut bench = Bench::new(project, console, &arguments.machine)?;
    run::check_fit(&bench, &manifest)?;
    bench.build(&[&manifest])?;
    let port = free_port()?;
    let prepared = bench.prepare(&manifest, Some(port))?;
    if is_interrupted() {
        return Ok(Status::Interrupted);
    }
    let mut gdb = command(&prepared, &bench, port);
    gdb.args(&arguments.arguments);
    console.note(&shown(&gdb));
    let (machine, debugger) = thread::scope(|scope| {
        let machine = scope.spawn(|| {
            prepared.run(&manifest, |line, _| {
                anstream::eprintln!("{DIM}{line}{DIM:#}");
            })
        });
        let debugger = lend_terminal(&mut gdb);
        stop_machine();
        (machine.join(), debugger)
    });
    let machine = machine.map_err(|_| io::Error::other("the thread that watches QEMU died"))??;
    if !machine.complaints.is_empty() {
        anstream::eprintln!("QEMU said: {}", machine.complaints);
    }
    let debugger = debugger?;
    ensure!(debugger.success(), "gdb ended with {debugger}");
    Ok(Status::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_chosen() {
        // Whether the usual one is free on this machine or not, two listeners never get the same.
        let port = free_port().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_ne!(free_port().unwrap(), port);
        drop(listener);
    }
}
