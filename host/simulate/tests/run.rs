// SPDX-License-Identifier: BSD-2-Clause
//! `simulate run` as a whole, on serial logs that were made up.
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

mod bench;

use std::time::{Duration, Instant};

use bench::{BOOKS, BOOT, Bench, END, PASSED, status, stderr, stdout};
use kmalloc_manifest::System;
use rustix::process::{Pid, Signal, kill_process};

const GOOD: [&str; 6] = [BOOT, "# server is up", "one| hello", PASSED, BOOKS, END];

/// Waits until `condition` holds.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{what} did not happen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_run_that_passes() {
    let bench = Bench::new(&GOOD, "exit 1");
    let output = bench.run(&["--json", "result.json"]).output().unwrap();
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let expected = format!(
        "\
kernel: seL4 5.0.0 release (SEL4_PREFIX={})
  # | server is up
one | hello

client  result  calls  peak bytes  held bytes  verdict
one     exit:0     12       4,096           0  ok

books: free 4,000 + committed 0 + server 96 = 4,096 bytes, balanced
passed all 4 checks
",
        bench.path("prefix").display()
    );
    assert_eq!(stdout(&output), expected);
    let json: serde_json::Value = serde_json::from_slice(&bench.read("result.json")).unwrap();
    assert_eq!(json["passed"], true);
    assert_eq!(json["clients"][0]["calls"], 12);
    assert_eq!(json["books"]["total"], 4096);
    assert_eq!(json["checks"].as_array().unwrap().len(), 4);
}

#[test]
fn quiet_leaves_results_only() {
    let bench = Bench::new(&GOOD, "exit 1");
    let output = bench.run(&["--quiet"]).output().unwrap();
    assert_eq!(status(&output), 0);
    assert!(
        stdout(&output).starts_with("\nclient  result"),
        "{}",
        stdout(&output)
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn two_runs_print_the_same_bytes() {
    let bench = Bench::new(&GOOD, "exit 1");
    let run = || stdout(&bench.run(&["--icount"]).output().unwrap());
    assert_eq!(run(), run());
}

#[test]
fn qemu_gets_the_machine_that_was_asked_for() {
    let bench = Bench::new(&GOOD, "exit 1");
    bench
        .run(&["--icount", "--memory", "64M"])
        .output()
        .unwrap();
    let arguments = String::from_utf8(bench.read("arguments")).unwrap();
    for part in [
        "-cpu Nehalem,+pdpe1gb ",
        "-m 67108864B ",
        "-icount shift=0,sleep=off ",
        "-device isa-debug-exit,iobase=0xf4,iosize=0x04 ",
        "-no-reboot ",
        "-kernel kernel.elf -initrd image.elf",
    ] {
        assert!(arguments.contains(part), "{part} is not in {arguments}");
    }
    assert_eq!(&bench.read("kernel.elf")[..5], b"\x7fELF\x01");
    let image = bench.read("image.elf");
    let start = image
        .windows(4)
        .position(|window| window == b"KMSY")
        .unwrap();
    // The table of program headers follows the archive, so its end has to be found.
    let system = (start..=image.len()).find_map(|end| System::decode(&image[start..end]).ok());
    let client = system.unwrap().clients().next().unwrap();
    assert_eq!((client.name, client.memory_limit_bytes), ("one", 1 << 20));
}

#[test]
fn a_client_that_fails_is_named() {
    let faulted =
        "@client name=one program=one result=fault:vm:0x1000:0x400123 calls=1 peak=1 held=1";
    let bench = Bench::new(&[BOOT, faulted, BOOKS, "@end passed=false"], "exit 3");
    let output = bench.run(&[]).output().unwrap();
    assert_eq!(status(&output), 1);
    let line = "FAILED one: expected exit:0, but it was fault:vm:0x1000:0x400123\n";
    assert!(stdout(&output).ends_with(line), "{}", stdout(&output));
}

#[test]
fn a_qemu_that_leaves_without_the_sentinel_has_failed() {
    let bench = Bench::new(&[BOOT, PASSED, BOOKS], "echo out of breath >&2; exit 0");
    let output = bench.run(&[]).output().unwrap();
    assert_eq!(status(&output), 1);
    let line = "FAILED end: QEMU ended (exit status: 0) before the end sentinel\n";
    assert!(stdout(&output).ends_with(line), "{}", stdout(&output));
    assert!(stderr(&output).contains("QEMU said: out of breath"));
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let bench = Bench::new(&[BOOT, PASSED, BOOKS], "exec sleep 1000");
    let output = bench.run(&["--timeout", "1"]).output().unwrap();
    assert_eq!(status(&output), 3);
    assert!(stdout(&output).ends_with("FAILED end: no end sentinel after 1 s\n"));
    assert!(!bench.has_qemu());
}

#[test]
fn signals_end_qemu_too() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let bench = Bench::new(&[BOOT], "exec sleep 1000");
        let mut tool = bench
            .run(&[])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_for("QEMU's start", || bench.has_qemu());
        kill_process(Pid::from_child(&tool), signal).unwrap();
        let status = tool.wait().unwrap();
        if signal != Signal::KILL {
            assert_eq!(status.code(), Some(130));
            assert!(!bench.has_qemu());
        }
        wait_for("QEMU's end", || !bench.has_qemu());
    }
}

#[test]
fn usage_and_setup_errors_say_what_is_wrong() {
    let bench = Bench::new(&GOOD, "exit 1");
    let refusal = |arguments: &[&str]| {
        let output = bench.tool(arguments).output().unwrap();
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert_eq!(stdout(&output), "");
        stderr(&output)
    };
    bench.write(
        "bad.toml",
        "[[program]]\nname = \"a\"\nelf = \"a\"\n[[client]]\nname = 7\n",
    );
    assert!(refusal(&["run", "--system", "bad.toml"]).contains("bad.toml:5: "));
    assert!(refusal(&["run", "--system", "none.toml"]).contains("none.toml"));
    bench.write("bad.trace", "a 1 64\nr 2 128\n");
    assert!(refusal(&["--trace", "bad.trace"]).contains("bad.trace:2: id 2 has no live block"));
    assert!(refusal(&["run", "--trace", "x", "--system", "y"]).contains("cannot be used with"));
    assert!(refusal(&["run", "--memory", "lots"]).contains("512M"));
    assert!(refusal(&["run", "--timeout", "0"]).contains("at least 1"));
    assert!(refusal(&["dance"]).contains("dance"));
    let both = ["run", "--system", "system.toml", "--kernel", "debug"];
    assert!(refusal(&both).contains("only one of them"));
    assert!(!bench.path("arguments").exists(), "QEMU was started");
}

#[test]
fn a_system_for_another_kind_of_kernel_is_refused() {
    let bench = Bench::new(&GOOD, "exit 1");
    let system = bench.read("system.toml");
    bench.write("system.toml", [b"kernel = \"mcs\"\n", &system[..]].concat());
    let output = bench.run(&[]).output().unwrap();
    assert_eq!(status(&output), 2);
    let expected = "system.toml can't run on seL4 5.0.0 release: it is for kernels with scheduling contexts (MCS)";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert!(!bench.path("arguments").exists(), "QEMU was started");
}

#[test]
fn a_prefix_without_a_kernel_is_refused() {
    let bench = Bench::new(&GOOD, "exit 1");
    std::fs::remove_file(bench.path("prefix/bin/kernel.elf")).unwrap();
    let output = bench.run(&[]).output().unwrap();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("is no installed seL4: it has no bin/kernel.elf"));
    let output = bench
        .run(&[])
        .env("SEL4_PREFIX", "/no/such/folder")
        .output()
        .unwrap();
    assert_eq!(status(&output), 2);
    assert!(stderr(&output).contains("/no/such/folder"));
}

#[test]
fn a_broken_program_is_named() {
    let bench = Bench::new(&GOOD, "exit 1");
    bench.write("one.elf", "#!/bin/sh\n");
    let output = bench.run(&[]).output().unwrap();
    assert_eq!(status(&output), 2);
    assert!(
        stderr(&output).contains("program `one`"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("not an ELF64 file"));
}
