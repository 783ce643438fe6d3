// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::manifest;
use crate::serial;

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn numbers_are_grouped() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (123_456, "123,456"),
        (u64::MAX, "18,446,744,073,709,551,615"),
    ] {
        assert_eq!(grouped(number), text);
    }
}

#[test]
fn clients_line_up_and_failures_stand_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let client = |name: &str, more: &str| {
        format!("[[client]]\nname = \"{name}\"\nprogram = \"p\"\nmemory_limit = 1\n{more}")
    };
    let clients = [
        client("a", ""),
        client("longer", ""),
        client("later", "start = false\n"),
    ]
    .concat();
    std::fs::write(
        &file,
        format!("[[program]]\nname = \"p\"\nelf = \"p\"\n{clients}"),
    )
    .unwrap();
    let manifest = manifest::load(&file).unwrap();
    let mut seen = Observation::default();
    for line in [
        "@client name=a program=p result=exit:0 calls=1234 peak=1048576 held=0",
        "@books free=1000 committed=0 server=24 total=1024 balanced=true",
    ] {
        seen.record(&serial::parse(line));
    }
    let checks = [
        Check {
            name: "a".into(),
            failure: None,
        },
        Check {
            name: "a: one".into(),
            failure: Some("why".into()),
        },
        Check {
            name: "ab".into(),
            failure: Some("why".into()),
        },
    ];
    assert_eq!(
        plain(&render(&manifest, &seen, &checks)),
        "\
client  result       calls  peak bytes  held bytes  verdict
a       exit:0       1,234   1,048,576           0  FAILED
longer  unknown          -           -           -  ok
later   not started      -           -           -  ok

books: free 1,000 + committed 0 + server 24 = 1,024 bytes, balanced
"
    );
}
