// SPDX-License-Identifier: BSD-2-Clause
use super::*;

const DOCUMENT: &str = "\
# Title

```sh
echo a
echo b
```

Prose between is allowed.

```text
a
  b   c
```

```toml
key = 1
```

```text
of no block
```

```console
$ not run
```

```sh
true
```
";

#[test]
fn blocks_are_commands_with_what_is_to_be_seen() {
    let found = blocks(DOCUMENT);
    let first = Block {
        line: 4,
        commands: "echo a\necho b".into(),
        expected: vec!["a".into(), "b c".into()],
    };
    let second = Block {
        line: 28,
        commands: "true".into(),
        expected: Vec::new(),
    };
    assert_eq!(found, [first, second]);
}

#[test]
fn what_is_missing_is_named() {
    let lines = |text: &str| text.lines().map(squeezed).collect::<Vec<_>>();
    let seen = lines("counter | one\n books:   balanced, as ever");
    assert_eq!(
        missing(&lines("books: balanced\ncounter | one"), &seen),
        None
    );
    assert_eq!(missing(&lines("one\ntwo"), &seen), Some("two"));
}

#[test]
fn a_copy_is_fresh_but_for_what_was_built() {
    let folder = tempfile::tempdir().unwrap();
    let (root, copy) = (folder.path().join("root"), folder.path().join("copy"));
    let write = |file: PathBuf| {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "text").unwrap();
    };
    for file in [
        "a",
        "host/src/b",
        "build/log",
        "target/x",
        "host/target/y",
        ".git/z",
    ] {
        write(root.join(file));
    }
    for file in [
        "stale",
        "host/stale",
        "host/target/kept",
        "build/kept",
        "clients/target/stale",
    ] {
        write(copy.join(file));
    }
    refresh(&root, &copy).unwrap();
    for there in ["a", "host/src/b", "host/target/kept", "build/kept"] {
        assert!(copy.join(there).is_file(), "{there}");
    }
    for gone in [
        "stale",
        "host/stale",
        "host/target/y",
        "build/log",
        "clients/target/stale",
    ] {
        assert!(!copy.join(gone).exists(), "{gone}");
    }
    let modified = |file: &str| fs::metadata(copy.join(file)).unwrap().modified().unwrap();
    let before = modified("a");
    fs::write(root.join("host/src/b"), "other text").unwrap();
    refresh(&root, &copy).unwrap();
    assert_eq!(modified("a"), before);
    assert_eq!(fs::read(copy.join("host/src/b")).unwrap(), b"other text");
}
