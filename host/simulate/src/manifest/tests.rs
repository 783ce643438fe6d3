// SPDX-License-Identifier: BSD-2-Clause
use kmalloc_manifest::{Budget, FaultKind, OnFailure, PRIORITY_DEFAULT, Report};

use super::*;

const PROGRAM: &str = "[[program]]\nname = \"hello\"\nelf = \"hello\"\n";

fn read(text: &str) -> Result<Manifest, ManifestError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.trace"), "a 1 10\nf 1\n").unwrap();
    fs::write(folder.path().join("bad.trace"), "a 1 10\nf 2\n").unwrap();
    fs::write(folder.path().join("blob"), "bytes").unwrap();
    let reader = Reader {
        file: "system.toml".into(),
        text,
        folder: folder.path(),
    };
    reader.read("system".into())
}

/// Line, field and reason for a client (in lines 4 and on) with these further fields.
fn refusal(fields: &str) -> (usize, &'static str, String) {
    let text = format!("{PROGRAM}[[client]]\n{fields}");
    let error = read(&text).unwrap_err();
    (error.line, error.field, error.reason)
}

#[test]
fn a_client_takes_the_defaults() {
    let text = format!("{PROGRAM}[[client]]\nname = \"hello\"\nmemory_limit = \"1MiB\"\n");
    let manifest = read(&text).unwrap();
    assert_eq!(manifest.kernel, None);
    assert_eq!(manifest.run, RunSettings::default());
    assert_eq!(
        manifest.programs,
        [Program {
            name: "hello".into(),
            source: Source::Package("hello".into()),
            line: Some(3)
        }]
    );
    assert_eq!(
        manifest.clients,
        [Client {
            name: "hello".into(),
            program: 0,
            arguments: Vec::new(),
            priority: PRIORITY_DEFAULT,
            budget: None,
            memory_limit: Size(1 << 20),
            memory_reserved: Size(0),
            slot_limit: None,
            start: true,
            service: false,
            serves: None,
            calls: None,
            on_failure: OnFailure::Leave,
            restarts_max: 0,
            lives: None,
            starts: Vec::new(),
            kills: Vec::new(),
            children_max: 0,
            statistics: false,
            report: Report::Each,
            devices: Vec::new(),
            movable: false,
            expect: Expectation::Exit(0),
            tap: false,
            expect_held: None,
            expect_calls_min: 0,
            data: Vec::new(),
        }]
    );
}

#[test]
fn every_field_is_read() {
    let manifest = read(&format!(
        "kernel = \"mcs\"\n[run]\nmemory = \"64M\"\ntimeout = 7\ntimer = true\nicount = true\nrefused = \"needs\"\n\
         devices = [\"edu\"]\ndisk = \"1M\"\niommu = true\n{PROGRAM}\
         [[program]]\nname = \"own\"\nelf = \"bin/own.elf\"\n\
         [[client]]\nname = \"a\"\nprogram = \"own\"\narguments = [\"x\", \"y z\"]\npriority = 3\n\
         budget_us = 2000\nperiod_us = 5000\n\
         memory_limit = 4096\nmemory_reserved = \"4K\"\nslot_limit = 70\nexpect = \"fault:vm:0x1000\"\nstart = false\ntap = true\n\
         held = \"4K\"\ndata = \"blob\"\ndevices = [\"edu\", \"pci:8086:100e\"]\nmovable = true\n\
         [[client]]\nname = \"b\"\nprogram = \"hello\"\nmemory_limit = \"1G\"\ntrace = \"good.trace\"\n"
    ))
    .unwrap();
    assert_eq!(manifest.kernel, Some(KernelKind::Mcs));
    let timeout = Some(Duration::from_secs(7));
    let refused = Some("needs".into());
    assert_eq!(
        manifest.run,
        RunSettings {
            stopped_by: None,
            pressure_mark: None,
            trace: false,
            memory: Some(Size(64 << 20)),
            timeout,
            timer: true,
            icount: true,
            refused,
            devices: vec!["edu"],
            disk: Some(Disk::Made(Size(1 << 20))),
            iommu: true,
        }
    );
    let Source::File(file) = &manifest.programs[1].source else {
        panic!("not a file")
    };
    assert!(file.ends_with("bin/own.elf"));
    let [a, b] = &manifest.clients[..] else {
        panic!("not two clients")
    };
    assert_eq!((a.program, a.priority, a.memory_limit), (1, 3, Size(4096)));
    assert_eq!((a.memory_reserved, a.slot_limit), (Size(4096), Some(70)));
    assert_eq!(a.arguments, ["x", "y z"]);
    let (budget_us, period_us) = (2000, 5000);
    assert_eq!(
        a.budget,
        Some(Budget {
            budget_us,
            period_us
        })
    );
    let (kind, address) = (Some(FaultKind::VirtualMemory), Some(0x1000));
    assert_eq!(a.expect, Expectation::Fault { kind, address });
    assert_eq!((a.start, a.tap, a.expect_held), (false, true, Some(4096)));
    assert_eq!(a.data, b"bytes");
    assert!(a.movable && !b.movable);
    assert_eq!(a.devices, [(0x1234, 0x11e8), (0x8086, 0x100e)]);
    assert_eq!(
        kmalloc_trace::Trace::decode(&b.data)
            .unwrap()
            .summary()
            .operations,
        2
    );
}

#[test]
fn broken_fields_are_named_with_their_line() {
    let good = "name = \"c\"\nprogram = \"hello\"\nmemory_limit = \"1M\"\n";
    for (fields, line, field, reason) in [
        (
            "name = \"a b\"\nmemory_limit = 1\n",
            5,
            "client.name",
            "letters",
        ),
        (
            "name = \"\"\nmemory_limit = 1\n",
            5,
            "client.name",
            "1 to 32",
        ),
        (
            "name = \"c\"\nmemory_limit = 1\n",
            5,
            "client.program",
            "no program `c`",
        ),
        (
            "name = \"c\"\nprogram = \"x\"\nmemory_limit = 1\n",
            6,
            "client.program",
            "`x`",
        ),
        (
            "name = \"hello\"\nmemory_limit = \"1 MB\"\n",
            6,
            "client.memory_limit",
            "512M",
        ),
        (
            "name = \"hello\"\nmemory_limit = 0\n",
            6,
            "client.memory_limit",
            "0 bytes",
        ),
        (
            "name = \"hello\"\nmemory_limit = -1\n",
            6,
            "client.memory_limit",
            "amount",
        ),
        (
            "name = \"hello\"\nmemory_limit = \"1M\"\nmemory_reserved = \"2M\"\n",
            7,
            "client.memory_reserved",
            "more than memory_limit",
        ),
        (
            "name = \"hello\"\nmemory_limit = \"1M\"\nslot_limit = -1\n",
            7,
            "client.slot_limit",
            "0 to",
        ),
        ("name = \"hello\"\n", 4, "", "memory_limit"),
        (
            "name = \"hello\"\nmemory_limit = true\n",
            6,
            "client.memory_limit",
            "amount",
        ),
        (
            &format!("{good}priority = 0\n"),
            8,
            "client.priority",
            "1 to 254",
        ),
        (
            &format!("{good}priority = 255\n"),
            8,
            "client.priority",
            "1 to 254",
        ),
        (
            &format!("{good}priority = \"high\"\n"),
            8,
            "",
            "(in `priority = \"high\"`)",
        ),
        (
            &format!("{good}budget_us = 1\n"),
            8,
            "client.budget_us",
            "`period_us` is missing",
        ),
        (
            &format!("{good}period_us = 1\n"),
            8,
            "client.period_us",
            "`budget_us` is missing",
        ),
        (
            &format!("{good}budget_us = 0\nperiod_us = 10\n"),
            8,
            "client.budget_us",
            "1 to 4294967295 microseconds",
        ),
        (
            &format!("{good}budget_us = 10\nperiod_us = 4294967296\n"),
            9,
            "client.period_us",
            "1 to 4294967295 microseconds",
        ),
        (
            &format!("{good}budget_us = 11\nperiod_us = 10\n"),
            8,
            "client.budget_us",
            "11 microseconds do not fit in a period of 10",
        ),
        (
            &format!("{good}expect = \"success\"\n"),
            8,
            "client.expect",
            "exit:STATUS",
        ),
        (
            &format!("{good}arguments = [\"a\",\n\"b\\u0000\"]\n"),
            9,
            "client.arguments",
            "NUL",
        ),
        (&format!("{good}color = 1\n"), 8, "", "color"),
        (
            &format!("{good}data = \"nothing\"\n"),
            8,
            "client.data",
            "nothing",
        ),
        (
            &format!("{good}data = \"blob\"\ntrace = \"good.trace\"\n"),
            9,
            "client.trace",
            "already",
        ),
        (
            &format!("{good}trace = \"bad.trace\"\n"),
            8,
            "client.trace",
            "bad.trace:2: id 2",
        ),
        (
            &format!("{good}[[client]]\n{good}"),
            9,
            "client.name",
            "two clients `c`",
        ),
    ] {
        let (found_line, found_field, found_reason) = refusal(fields);
        assert_eq!(
            (found_line, found_field),
            (line, field),
            "{fields}: {found_reason}"
        );
        assert!(found_reason.contains(reason), "{fields}: {found_reason}");
    }
}

#[test]
fn broken_programs_are_named_with_their_line() {
    let error = read(&format!("{PROGRAM}{PROGRAM}")).unwrap_err();
    assert_eq!((error.line, error.field), (5, "program.name"));
    let error = read("[[program]]\nname = \"x\"\nelf = \"two words\"\n").unwrap_err();
    assert_eq!((error.line, error.field), (3, "program.elf"));
}

/// Line, field and reason for a program with these fields, in lines 3 and on.
fn program_refusal(fields: &str) -> (usize, &'static str, String) {
    let error = read(&format!("[[program]]\nname = \"x\"\n{fields}\n")).unwrap_err();
    (error.line, error.field, error.reason)
}

#[test]
fn a_program_is_a_package_with_features_or_files_in_c() {
    let client = "[[client]]\nname = \"x\"\nmemory_limit = \"1M\"\n";
    let source = |fields: &str| {
        let text = format!("[[program]]\nname = \"x\"\n{fields}\n{client}");
        read(&text).unwrap().programs.remove(0).source
    };
    let package = Package {
        name: "p".into(),
        features: vec!["one".into(), "two".into()],
    };
    assert_eq!(
        source("elf = \"p\"\nfeatures = [\"one\", \"two\"]"),
        Source::Package(package)
    );
    let Source::C(files) = source("c = [\"blob\", \"good.trace\"]") else {
        panic!("not in C")
    };
    assert!(files[0].ends_with("blob") && files[1].ends_with("good.trace"));

    for (fields, line, field, reason) in [
        ("", 2, "program.elf", "neither"),
        ("elf = \"p\"\nc = [\"blob\"]", 4, "program.c", "already"),
        ("c = []", 3, "program.c", "no file"),
        ("c = [\"blob\", \"none.c\"]", 3, "program.c", "none.c"),
        (
            "c = [\"blob\"]\nfeatures = [\"one\"]",
            3,
            "program.c",
            "features",
        ),
        (
            "elf = \"./p\"\nfeatures = [\"one\"]",
            3,
            "program.elf",
            "features",
        ),
    ] {
        let (found_line, found_field, found_reason) = program_refusal(fields);
        assert_eq!((found_line, found_field), (line, field), "{fields}");
        assert!(found_reason.contains(reason), "{fields}: {found_reason}");
    }
}

#[test]
fn systems_say_what_they_need() {
    let other = Config::parse("{}").unwrap();
    let mcs = Config::parse("{\"KERNEL_MCS\": true}").unwrap();
    let system = |head: &str| {
        let client = "[[client]]\nname = \"hello\"\nmemory_limit = 1\n";
        read(&format!("{head}\n{PROGRAM}{client}"))
    };
    for (head, on_other, on_mcs, counted) in [
        ("", true, true, true),
        ("kernel = \"mcs\"", false, true, true),
        ("[run]\ntimer = true", true, true, false),
        ("kernel = \"mcs\"\n[run]\ntimer = true", false, true, false),
        ("[run]\ntimer = true\nicount = true", true, false, false),
    ] {
        let system = system(head).unwrap();
        let fits = |config, icount| system.unfit_for(config, icount).is_none();
        assert_eq!(fits(&other, false), on_other, "{head}");
        assert_eq!(fits(&other, true), on_other, "{head}");
        assert_eq!(fits(&mcs, false), on_mcs, "{head}");
        assert_eq!(fits(&mcs, true), counted, "{head}");
    }
    let with_iommu = Config::parse("{\"IOMMU\": true}").unwrap();
    let wants = system("[run]\niommu = true").unwrap();
    let reason = wants.unfit_for(&other, false);
    assert!(reason.is_some_and(|reason| reason.contains("without that option")));
    assert_eq!(wants.unfit_for(&with_iommu, true), None);
    let few = Config::parse("{\"NUM_PRIORITIES\": \"128\"}").unwrap();
    let client = "[[client]]\nname = \"hello\"\nmemory_limit = 1\npriority = ";
    for (priority, fits) in [(127, true), (128, false)] {
        let system = read(&format!("{PROGRAM}{client}{priority}\n")).unwrap();
        assert_eq!(system.unfit_for(&other, false), None);
        assert_eq!(system.unfit_for(&few, false).is_none(), fits, "{priority}");
    }
    let error = system("kernel = \"fast\"").unwrap_err();
    assert_eq!(error.line, 1);
    assert!(error.reason.contains("`mcs`"), "{}", error.reason);
}

#[test]
fn a_system_without_clients_is_refused() {
    let error = read(PROGRAM).unwrap_err();
    assert_eq!(error.field, "client");
}

#[test]
fn what_is_no_toml_is_refused_by_line() {
    let error = read("[run]\nmemory = \n").unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.to_string().starts_with("system.toml:2: "), "{error}");
    assert_eq!(read("[run]\ntimeout = 0\n[[client]]").unwrap_err().line, 3);
}

#[test]
fn a_missing_file_is_named() {
    let error = load(Path::new("/no/such/system.toml")).unwrap_err();
    assert!(
        error.to_string().starts_with("/no/such/system.toml"),
        "{error}"
    );
}

#[test]
fn a_client_can_be_there_many_times() {
    let client = "[[client]]\nname = \"hello\"\nmemory_limit = \"1M\"\n";
    let manifest = read(&format!("{PROGRAM}{client}count = 3\n")).unwrap();
    let names: Vec<_> = manifest.clients.iter().map(|client| &client.name).collect();
    assert_eq!(names, ["hello-1", "hello-2", "hello-3"]);
    assert!(manifest.clients.iter().all(|client| client.program == 0));
    let error = read(&format!("{PROGRAM}{client}count = -1\n")).unwrap_err();
    assert_eq!((error.field, error.line), ("client.count", 7));
    let twice = "[[client]]\nname = \"hello-2\"\nprogram = \"hello\"\nmemory_limit = \"1M\"\n";
    let error = read(&format!("{PROGRAM}{twice}{client}count = 3\n")).unwrap_err();
    assert!(error.reason.contains("two clients `hello-2`"), "{error}");
}
