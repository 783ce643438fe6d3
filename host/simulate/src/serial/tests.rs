// SPDX-License-Identifier: BSD-2-Clause
use kmalloc_manifest::FaultKind;

use super::*;

#[test]
fn lines_of_clients_and_of_the_server() {
    assert_eq!(
        parse("hello| one | two"),
        Record::Client("hello", "one | two")
    );
    assert_eq!(parse("hello|"), Record::Client("hello", ""));
    assert_eq!(
        parse("hello|  indented"),
        Record::Client("hello", " indented")
    );
    assert_eq!(parse("# text"), Record::Log("text"));
    assert_eq!(parse("#"), Record::Log(""));
    for other in [
        "",
        "Booting all finished, dropped to user space",
        "two words| text",
        "| text",
    ] {
        assert_eq!(parse(other), Record::Other(other));
    }
}

#[test]
fn records() {
    assert_eq!(
        parse("@boot kernel=5.0.0 variant=release memory=517996544 untypeds=35"),
        Record::Boot(Boot {
            kernel: "5.0.0".into(),
            variant: "release".into(),
            memory: 517_996_544,
            untypeds: 35
        })
    );
    assert_eq!(
        parse("@client name=a program=b result=fault:vm:0x1000:0x400123 calls=3 peak=4096 held=64"),
        Record::Ended(Ended {
            name: "a".into(),
            program: "b".into(),
            outcome: Outcome::Fault {
                kind: FaultKind::VirtualMemory,
                address: 0x1000,
                instruction: 0x40_0123
            },
            calls: 3,
            peak: 4096,
            held: 64
        })
    );
    assert_eq!(
        parse("@books free=1 committed=2 server=3 total=6 balanced=true"),
        Record::Books(Books {
            free: 1,
            committed: 2,
            server: 3,
            total: 6,
            balanced: true
        })
    );
    assert_eq!(
        parse("@end passed=false"),
        Record::End(End { passed: false })
    );
}

#[test]
fn fields_may_come_in_any_order_and_be_more() {
    let line = "@books balanced=false total=6 later=x server=3 free=1 committed=2";
    let books = Books {
        free: 1,
        committed: 2,
        server: 3,
        total: 6,
        balanced: false,
    };
    assert_eq!(parse(line), Record::Books(books));
    assert_eq!(
        parse("@bench name=x value=3"),
        Record::Unknown("bench name=x value=3")
    );
}

#[test]
fn a_wrong_field_is_named() {
    for (line, field) in [
        (
            "@boot kernel=5.0.0 variant=release memory=x untypeds=35",
            "memory",
        ),
        (
            "@client name=a program=b result=gone calls=3 peak=1 held=0",
            "result",
        ),
        (
            "@client name=a program=b result=exit:0 calls=-3 peak=1 held=0",
            "calls",
        ),
        (
            "@client name=a program=b result=exit:0 calls=3 peak=1",
            "held",
        ),
        (
            "@books free=1 committed=2 server=3 total=6 balanced=yes",
            "balanced",
        ),
        ("@end", "passed"),
        ("@end passed", "passed"),
    ] {
        let Record::Malformed(reason) = parse(line) else {
            panic!("{line} was taken")
        };
        assert!(reason.ends_with(&format!("`{field}`")), "{line}: {reason}");
    }
}
