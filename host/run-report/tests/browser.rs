// SPDX-License-Identifier: BSD-2-Clause
//! The page as a browser takes it: every part is there, and it has nothing to complain of. Left out where there is no
//! Chromium; nothing is installed for it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use kmalloc_events::{Event, FRAME_BYTES_MAX, Held, Record, encode};
use kmalloc_protocol::Cause;
use kmalloc_protocol::statistics::{
    BlockFigures, CallFigures, ClientFigures, FailureFigures, LargeFigures, MemoryFigures,
};
use run_report::trace::Trace;
use run_report::{BROWSERS, Figure, PARTS, Report, Test, render};

/// A trace with two clients, one of which faults.
fn trace() -> Vec<u8> {
    let mut calls = CallFigures::default();
    (1..40).for_each(|ticks| calls.count(ticks * 900));
    let mut blocks = BlockFigures {
        runs: 3,
        run_pages: 9,
        ..BlockFigures::default()
    };
    (blocks.buckets[2], blocks.blocks[2]) = (2, 70);
    let large = LargeFigures {
        address: 0x20_0000,
        form: 2,
        free: 500,
        dirty: 3,
        objects: 0,
        orders: [0, 0, 1, 0, 1, 1, 1, 1, 1, 0],
        next: 1,
    };
    let memory = MemoryFigures {
        total: 2 << 20,
        free: 500 << 12,
        ..MemoryFigures::default()
    };
    let account = |handle, committed| {
        Event::Account(ClientFigures {
            handle,
            committed,
            committed_peak: committed,
            limit: 1 << 20,
            ..ClientFigures::default()
        })
    };
    let birth = |client, name| Event::Birth {
        client,
        parent: 0,
        name,
        program: "program",
    };
    let mut counts = [0; 16];
    counts[13] = 4;
    let events = [
        Event::Begin {
            version: kmalloc_events::VERSION,
            hertz: 1_000_000,
            memory: 4 << 20,
            server: 2 << 20,
        },
        birth(513, "one"),
        birth(514, "two & <three>"),
        Event::Memory(memory),
        account(513, 40_960),
        account(514, 8_192),
        Event::Failures(513, FailureFigures { first: 0, counts }),
        Event::Blocks(513, blocks),
        Event::Large(large),
        Event::Calls(0, calls),
        Event::Sampled,
        Event::Fault {
            client: 514,
            cause: Cause::VmFault,
            address: 0x7000,
            instruction: 0x40_1000,
        },
        Event::Death {
            client: 514,
            cause: Cause::VmFault,
            value: 0x7000,
            calls: 3,
            peak: 8_192,
            held: Held {
                blocks: 1,
                block_bytes: 64,
                ..Held::default()
            },
        },
        Event::End { balanced: true },
    ];
    let mut bytes = Vec::new();
    for (number, event) in events.into_iter().enumerate() {
        let record = Record {
            ticks: 1000 + number as u64 * 50_000,
            event,
        };
        let mut frame = [0; FRAME_BYTES_MAX];
        bytes.extend_from_slice(encode(&record, &mut frame).expect("a frame"));
    }
    bytes
}

fn page() -> String {
    let test = |name: &str, failure: Option<&str>| Test {
        name: name.into(),
        failure: failure.map(String::from),
    };
    let figure = |name: &str, value| Figure {
        name: name.into(),
        unit: "ns".into(),
        value,
    };
    render(&Report {
        title: "A <run> & more".into(),
        trace: Some(Trace::read(&trace())),
        tests: vec![test("good", None), test("bad", Some("it is <bad>"))],
        figures: vec![
            figure("heap.churn", 12.0),
            figure("peer.other.churn", 30.0),
            figure("alone", 1.0),
        ],
        figures_are_baseline: true,
    })
}

#[test]
fn the_page_has_every_part_and_needs_nothing_else() {
    let page = page();
    for part in PARTS {
        assert!(page.contains(&format!(" id=\"{part}\"")), "{part}");
    }
    assert!(page.contains("two &amp; &lt;three&gt;") && !page.contains("<three>"));
    assert!(page.contains("VmFault") && page.contains("64 B served"));
    assert!(page.contains("4 DoubleFree"), "refusals have their names");
    assert!(page.contains("prefers-color-scheme: dark"));
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for number in ["NaN", "inf"] {
        assert!(
            !page.contains(&format!("\"{number}")),
            "{number} in a picture"
        );
    }
}

#[test]
fn a_report_of_nothing_says_so() {
    assert!(render(&Report::default()).contains("nothing to report"));
    let trace = Some(Trace::default());
    let page = render(&Report {
        trace,
        ..Report::default()
    });
    assert!(page.contains("the run was too short"));
}

#[test]
fn chromium_shows_it_and_has_nothing_to_complain_of() {
    let Some(program) = BROWSERS.into_iter().find(|program| runs(program)) else {
        println!("left out: there is no Chromium here");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.html");
    std::fs::write(&file, page()).expect("the page");
    for scheme in [0, 1] {
        let output = open(program, folder.path(), &file, scheme);
        let dom = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaints}");
        for part in PARTS {
            assert!(
                dom.contains(&format!(" id=\"{part}\"")),
                "{part}: {complaints}"
            );
        }
        assert!(dom.trim_end().ends_with("</html>"));
        assert!(!complaints.contains("CONSOLE"), "{complaints}");
    }
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The page's elements as the browser has them (stdout), and what it has to say (stderr). `scheme`: 0 dark, 1 light.
fn open(program: &str, folder: &Path, file: &Path, scheme: u8) -> Output {
    Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000"])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .output()
        .expect("the browser")
}
