// SPDX-License-Identifier: BSD-2-Clause
//! What the documents state once more is held together with its source: dependencies, options, the example, links.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use toml::{Table, Value};

fn root() -> &'static Path {
    // host/simulate lies two folders below the top.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the top of the checkout")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every Cargo.toml of both workspaces.
fn manifests() -> Vec<PathBuf> {
    let mut manifests = vec![
        root().join("Cargo.toml"),
        root().join("root-task/Cargo.toml"),
        root().join("fuzz/Cargo.toml"),
    ];
    for folder in ["crates", "clients", "examples", "host"] {
        let entries = fs::read_dir(root().join(folder)).expect(folder);
        let files = entries.map(|entry| entry.expect(folder).path().join("Cargo.toml"));
        manifests.extend(files.filter(|file| file.is_file()));
    }
    manifests
}

/// Names of the packages from a registry that a table of a manifest, or a table in it, depends on.
fn dependencies(table: &Table, found: &mut BTreeSet<String>) {
    for (name, value) in table {
        let Value::Table(inner) = value else { continue };
        if !name.ends_with("dependencies") {
            dependencies(inner, found);
            continue;
        }
        for (alias, dependency) in inner {
            let field = |field: &str| dependency.get(field).and_then(Value::as_str);
            let of_workspace = dependency.get("workspace").is_some();
            if field("path").is_none() && !of_workspace {
                found.insert(field("package").unwrap_or(alias).to_string());
            }
        }
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let mut found = BTreeSet::new();
    for file in manifests() {
        let manifest = fs::read_to_string(&file).expect("a manifest");
        dependencies(&manifest.parse().expect("TOML"), &mut found);
    }
    let architecture = text("docs/ARCHITECTURE.md");
    let (_, section) = architecture
        .split_once("## Dependencies")
        .expect("the section");
    let documented: BTreeSet<String> = section
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_string()))
        .collect();
    assert_eq!(documented, found);
}

/// The options that a text names: words that begin with two dashes.
fn options(text: &str) -> BTreeSet<&str> {
    let is_option = |character: char| character.is_ascii_lowercase() || character == '-';
    text.split(|character| !is_option(character))
        .filter(|word| word.len() > 3 && word.starts_with("--") && !word.starts_with("---"))
        .collect()
}

/// All commands of the tool that have options of their own.
const COMMANDS: [&str; 10] = [
    "run",
    "report",
    "test",
    "bench",
    "setup",
    "record",
    "new",
    "gdb",
    "fuzz",
    "completions",
];

#[test]
fn every_command_is_looked_at() {
    let output = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .arg("-h")
        .output()
        .expect("the tool");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let (_, section) = help.split_once("Commands:\n").expect("the commands");
    let (section, _) = section.split_once("\n\n").expect("options behind them");
    let names = section.lines().filter_map(|line| {
        // What a name is followed by stands deeper.
        line.strip_prefix("  ")?
            .split_whitespace()
            .next()
            .filter(|_| !line.starts_with("   "))
    });
    let found: BTreeSet<_> = names.filter(|name| *name != "help").collect();
    assert_eq!(found, BTreeSet::from(COMMANDS));
}

#[test]
fn every_option_is_in_the_readme() {
    let help = |command: &str| {
        let mut simulate = Command::new(env!("CARGO_BIN_EXE_simulate"));
        let output = simulate.args([command, "-h"]).output().expect(command);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let helps = COMMANDS.map(help).concat();
    let readme = text("README.md");
    let (_, section) = readme.split_once("## Options").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("a section behind it");
    let mut known = options(&helps);
    known.remove("--help");
    assert_eq!(options(section), known);
}

#[test]
fn the_example_is_a_client_that_is_built_and_run() {
    let readme = text("README.md");
    for file in ["Cargo.toml", "build.rs", "src/main.rs"] {
        let source = text(&format!("clients/hello/{file}"));
        assert!(
            readme.contains(&format!("\n{source}```\n")),
            "README.md has not the whole of clients/hello/{file}"
        );
    }
}

#[test]
fn the_root_task_of_the_guide_is_the_one_that_is_built() {
    let guide = text("docs/guides/own-root-task.md");
    let (_, rest) = guide.split_once("```rust\n").expect("a block");
    let (shown, _) = rest.split_once("```\n").expect("its end");
    assert!(text("examples/own-root-task/src/main.rs").contains(shown));
}

#[test]
fn every_crate_is_on_the_map() {
    let readme = text("README.md");
    for entry in fs::read_dir(root().join("crates")).expect("crates") {
        let name = entry.expect("crates").file_name();
        let row = format!("| `crates/{}` | ", name.to_string_lossy());
        assert!(readme.contains(&row), "README.md has no row `{row}`");
    }
}

/// The names between backquotes of what the tool says to a key that it doesn't know, in a manifest that begins with
/// `table`; `None` if it has another complaint.
fn keys_of(table: &str) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("probe.toml");
    fs::write(&file, format!("{table}\nno_such_key = 1\n")).expect("a manifest");
    let output = Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(["run", "--system"])
        .arg(&file)
        .output()
        .expect("the tool");
    let complaint = String::from_utf8(output.stderr).expect("UTF-8");
    let (_, known) = complaint.split_once("unknown field `no_such_key`, expected ")?;
    let (known, _) = known.split_once(" (in ")?;
    let names = known.split('`').skip(1).step_by(2);
    Some(names.map(String::from).collect())
}

#[test]
fn every_key_of_a_manifest_is_in_its_table() {
    let mut known = BTreeSet::new();
    for key in keys_of("").expect("keys at the top") {
        let tables = [format!("[{key}]"), format!("[[{key}]]")];
        match tables.iter().find_map(|table| keys_of(table)) {
            None => {
                known.insert(key);
            }
            Some(inner) => {
                known.extend(inner.into_iter().map(|inner| format!("{key}.{inner}")));
            }
        }
    }
    let document = text("docs/MANIFEST.md");
    let (_, section) = document.split_once("## Keys").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("a section behind it");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| Some(row.split_once('`')?.0.to_string()))
        .collect();
    assert_eq!(documented, known);
    let columns = |row: &&str| row.starts_with("| ") && row.matches(" | ").count() != 3;
    assert_eq!(
        section.lines().find(columns),
        None,
        "four columns, all of them filled"
    );
}

/// Every document of the repository, by its path from the top.
fn documents() -> Vec<String> {
    let mut documents: Vec<String> = [
        "README.md",
        "CHANGELOG.md",
        "host/README.md",
        "traces/README.md",
    ]
    .map(String::from)
    .into();
    for folder in ["docs", "docs/guides"] {
        let entries = fs::read_dir(root().join(folder)).expect(folder);
        let names = entries.map(|entry| entry.expect(folder).file_name());
        let names = names.map(|name| format!("{folder}/{}", name.to_string_lossy()));
        documents.extend(names.filter(|name| name.ends_with(".md")));
    }
    documents
}

/// The anchors that a document's headings have where Markdown is shown.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter_map(|line| {
        let text = line.trim_start_matches('#').strip_prefix(' ')?;
        line.starts_with('#').then_some(text)
    });
    let slug = |heading: &str| -> String {
        let kept = |character: char| match character {
            ' ' => Some('-'),
            '-' | '_' => Some(character),
            _ => character.is_alphanumeric().then_some(character),
        };
        heading.to_lowercase().chars().filter_map(kept).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let content = text(&document);
        let folder = root().join(&document);
        let targets = content
            .split("](")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => folder.clone(),
                _ => folder.with_file_name(file),
            };
            assert!(path.exists(), "{document}: {target}");
            if !anchor.is_empty() {
                let there = fs::read_to_string(&path).expect("a document");
                assert!(anchors(&there).contains(anchor), "{document}: {target}");
            }
        }
    }
}

#[test]
fn the_figures_of_the_document_are_those_of_the_baseline() {
    let document = text("docs/PERFORMANCE.md");
    let baseline: serde_json::Value =
        serde_json::from_str(&text("clients/bench/baseline.json")).expect("JSON");
    let (_, table) = document
        .split_once("bench --baseline -->")
        .expect("a table");
    let (table, _) = table.split_once("<!-- end -->").expect("its end");
    let mut rows = 0;
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once("` | ").expect("a name");
        let (value, _) = rest.split_once(' ').expect("a figure");
        let value: f64 = value.parse().expect("a number");
        assert_eq!(Some(value), baseline["figures"][name].as_f64(), "{name}");
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
}

/// All source files below a folder.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Whether there is a test of this name, on the host or in a client.
fn is_test(code: &str, name: &str) -> bool {
    [
        format!("fn {name}("),
        format!("fn {name}<"),
        format!("\"{name}\""),
    ]
    .iter()
    .any(|mark| code.contains(mark))
}

/// All sources that tests can be in.
fn code_of_tests() -> String {
    let mut code = String::new();
    for folder in ["clients", "crates", "host"] {
        sources(&root().join(folder), &mut code);
    }
    code
}

/// What looks like the name of a test in some cells of a table.
fn tests_named<'a>(cells: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| name.contains('_') && !name.contains([' ', '/']))
        .collect()
}

/// Asserts that the tests in the last column of a section's tables are there, and that there are more than so many.
fn assert_tests_are_there(document: &str, section: &str, more_than: usize) {
    let code = code_of_tests();
    let document = text(document);
    let (_, section) = document.split_once(section).unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_suffix(" |"));
    let tests = tests_named(rows.filter_map(|row| row.rsplit(" | ").next()));
    assert!(tests.len() > more_than, "{tests:?}");
    for name in tests {
        assert!(is_test(&code, name), "{name}");
    }
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    assert_tests_are_there("docs/SECURITY.md", "## Promises", 20);
}

#[test]
fn every_test_that_an_attack_names_is_there() {
    assert_tests_are_there("docs/TESTING.md", "## The resident heap under attack", 40);
}

#[test]
fn every_item_of_the_catalogue_has_its_tests_or_is_said_to_have_none() {
    let code = code_of_tests();
    let document = text("docs/TESTING.md");
    let (_, catalogue) = document.split_once("## The catalogue").unwrap();
    let (catalogue, _) = catalogue.split_once("\n## ").unwrap();
    let rows = catalogue.lines().filter(|line| line.starts_with("| "));
    // Behind the head; a row in bold begins a theme.
    let items: Vec<_> = rows.skip(1).filter(|row| !row.contains("**")).collect();
    assert!(items.len() > 40, "{} items", items.len());
    let mut named = BTreeSet::new();
    for item in items {
        let tests = tests_named(item.split(" | ").skip(1));
        assert!(
            !tests.is_empty() || item.contains("*missing*"),
            "neither a test nor said to be missing: {item}"
        );
        for name in tests {
            assert!(is_test(&code, name), "{name}");
            named.insert(name);
        }
    }
    assert!(named.len() >= 100, "{} tests", named.len());
}
