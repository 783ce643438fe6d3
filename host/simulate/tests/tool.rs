// SPDX-License-Identifier: BSD-2-Clause
//! What people expect of a tool on a terminal: colours, silence, completions, a debugger, errors that say what to do.
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

mod bench;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bench::{BOOKS, BOOT, Bench, END, PASSED, status, stderr, stdout};

const GOOD: [&str; 6] = [BOOT, "# server is up", "one| hello", PASSED, BOOKS, END];
const ESCAPE: char = '\u{1b}';

/// The bench, with a gdb that writes down how it was called and does what `ending` says in shell.
fn with_gdb(ending: &str) -> Bench {
    let bench = Bench::new(&GOOD, "exec sleep 1000");
    let here = bench.path("");
    // It ends QEMU by ending, so it waits until that has written down its arguments.
    let gdb = format!(
        "#!/bin/bash\ncd {} || exit 9\nprintf '%s\\n' \"$@\" > gdb-arguments\n\
         for try in {{1..400}}; do [ -s arguments ] && break; sleep 0.05; done\n{ending}\n",
        here.display()
    );
    bench.write("bin/gdb", gdb);
    fs::set_permissions(bench.path("bin/gdb"), fs::Permissions::from_mode(0o755)).unwrap();
    bench
}

/// Holds the port that gdb's users try first; `None` if somebody else does, and not just in passing.
fn take_usual_port() -> Option<TcpListener> {
    (0..100).find_map(|_| {
        let listener = TcpListener::bind(("127.0.0.1", 1234)).ok();
        if listener.is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        listener
    })
}

const GDB: [&str; 5] = [
    "gdb",
    "--system",
    "system.toml",
    "--root-task",
    "root-task.elf",
];

#[test]
fn colours_are_for_terminals() {
    let bench = Bench::new(&GOOD, "exit 1");
    let output = bench.run(&[]).output().unwrap();
    assert!(!(stdout(&output) + &stderr(&output)).contains(ESCAPE));
    let forced = bench.run(&[]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(stdout(&forced).contains(ESCAPE));
    let mut refused = bench.run(&[]);
    refused.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!stdout(&refused.output().unwrap()).contains(ESCAPE));
}

#[test]
fn every_shell_gets_completions_with_all_commands() {
    let bench = Bench::new(&GOOD, "exit 1");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = bench.tool(&["completions", shell]).output().unwrap();
        assert_eq!(status(&output), 0, "{shell}");
        let script = stdout(&output);
        for word in ["setup", "record", "icount", "gdb", "new", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_with_the_script() {
    let bench = Bench::new(&GOOD, "exit 1");
    let script = bench.tool(&["completions", "bash"]).output().unwrap();
    bench.write("completions", &script.stdout);
    let file = bench.path("completions");
    let asked = format!(
        "source {}; COMP_WORDS=(./simulate ne); COMP_CWORD=1; _simulate ./simulate ne ./simulate; echo \"${{COMPREPLY[*]}}\"",
        file.display()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &asked])
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "new\n", "{}", stderr(&output));
}

#[test]
fn gdb_is_attached_with_both_symbol_files_and_ends_the_machine() {
    let bench = with_gdb("exit 0");
    let mut command = GDB.to_vec();
    command.extend(["--", "-x", "script"]);
    let output = bench.tool(&command).output().unwrap();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    assert!(!bench.has_qemu());
    let qemu = String::from_utf8(bench.read("arguments")).unwrap();
    let (_, port) = qemu.split_once("-gdb tcp:127.0.0.1:").unwrap();
    let (port, rest) = port.split_once(' ').unwrap();
    assert_eq!(rest.trim(), "-S");
    let gdb = String::from_utf8(bench.read("gdb-arguments")).unwrap();
    for part in [
        "root-task.elf\n",
        "\nadd-symbol-file prefix/bin/kernel.elf\n",
        &format!("\ntarget remote localhost:{port}\n"),
        "\n-x\nscript\n",
    ] {
        assert!(gdb.contains(part), "{part} is not in {gdb}");
    }
}

#[test]
fn two_machines_wait_for_two_debuggers() {
    let first = with_gdb("exit 0");
    let taken = take_usual_port();
    let output = first.tool(&GDB).output().unwrap();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let qemu = String::from_utf8(first.read("arguments")).unwrap();
    // The usual port is taken, by this test or by whoever has been holding it.
    assert!(!qemu.contains("127.0.0.1:1234 "), "{qemu}");
    drop(taken);
}

#[test]
fn a_gdb_that_fails_is_a_failure() {
    let bench = with_gdb("exit 7");
    let output = bench.tool(&GDB).output().unwrap();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("gdb ended with exit status: 7"));
    assert!(!bench.has_qemu());
}

#[test]
fn without_gdb_one_is_told_how_to_get_it() {
    let bench = Bench::new(&GOOD, "exit 1");
    let mut command = bench.tool(&GDB);
    command.env("PATH", bench.path("bin"));
    let output = command.output().unwrap();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("apt-get install -y gdb"));
    assert!(!bench.path("arguments").exists(), "QEMU was started");
}

#[test]
fn errors_say_what_to_do() {
    let bench = Bench::new(&GOOD, "exit 1");
    let refusal = |arguments: &[&str]| {
        let output = bench.tool(arguments).output().unwrap();
        assert_eq!(status(&output), 2, "{arguments:?}");
        stderr(&output)
    };
    let refused = refusal(&["new", "Counter"]);
    assert!(refused.contains("small letters"), "{refused}");
    let refused = refusal(&["new", "hello"]);
    assert!(refused.contains("choose another name"), "{refused}");
    let refused = refusal(&["run", "--system", "no.toml"]);
    assert!(refused.contains("clients/systems"), "{refused}");
    let refused = refusal(&["--trace", "no.trace"]);
    assert!(refused.contains("./simulate record"), "{refused}");
    let refused = refusal(&["run", "--sistem", "system.toml"]);
    assert!(refused.contains("--system"), "{refused}");
    bench.write(
        "typo.toml",
        "[[program]]\nname = \"a\"\nelf = \"no-such-package\"\n[[client]]\nname = \"a\"\nmemory_limit = \"1M\"\n",
    );
    let refused = refusal(&[
        "run",
        "--system",
        "typo.toml",
        "--root-task",
        "root-task.elf",
    ]);
    assert!(refused.contains("./simulate new"), "{refused}");
}
