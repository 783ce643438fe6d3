// SPDX-License-Identifier: BSD-2-Clause
//! What the packages of both workspaces say of themselves, and what their dependencies do: licences, the oldest Rust, what
//! can be published.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spdx::Expression;
use toml::Table;

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

/// What Cargo knows of a workspace as it is built on this kind of machine.
fn metadata(workspace: &str) -> Value {
    let output = Command::new("cargo")
        .current_dir(root().join(workspace))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .output()
        .expect("cargo");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{workspace}: {complaint}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

/// All packages of both workspaces, those that only tests use among them.
fn all_packages() -> Vec<Value> {
    [".", "host"]
        .map(|workspace| list(&metadata(workspace)["packages"]).clone())
        .concat()
}

/// The packages that a workspace is built from when nothing is tested.
fn packages_without_tests(workspace: &str) -> Vec<Value> {
    let metadata = metadata(workspace);
    let mut found = BTreeSet::new();
    let mut next: Vec<&Value> = list(&metadata["workspace_members"]).iter().collect();
    while let Some(id) = next.pop() {
        if !found.insert(id.as_str()) {
            continue;
        }
        let nodes = list(&metadata["resolve"]["nodes"]);
        let node = nodes.iter().find(|node| node["id"] == *id).expect("a node");
        let builds = |dependency: &&Value| {
            list(&dependency["dep_kinds"])
                .iter()
                .any(|kind| kind["kind"] != "dev")
        };
        next.extend(
            list(&node["deps"])
                .iter()
                .filter(builds)
                .map(|dependency| &dependency["pkg"]),
        );
    }
    let packages = list(&metadata["packages"]).iter();
    packages
        .filter(|package| found.contains(&package["id"].as_str()))
        .cloned()
        .collect()
}

/// `name version`, for messages.
fn shown(package: &Value) -> String {
    format!("{} {}", package["name"], package["version"])
}

fn is_of_registry(package: &Value) -> bool {
    package["source"].is_string()
}

#[test]
fn every_licence_is_an_allowed_one() {
    let rules: Table = text("deny.toml").parse().expect("TOML");
    let allowed = rules["licenses"]["allow"].as_array().expect("a list");
    let allowed: BTreeSet<&str> = allowed.iter().filter_map(|name| name.as_str()).collect();
    let mut count = 0;
    for package in all_packages() {
        let licence = package["license"].as_str();
        let licence = licence.unwrap_or_else(|| panic!("{}: no licence", shown(&package)));
        // Older packages write `/` for OR.
        let licence = licence.replace('/', " OR ");
        let expression = Expression::parse(&licence)
            .unwrap_or_else(|error| panic!("{}: {licence}: {error}", shown(&package)));
        let is_allowed =
            |requirement: &spdx::LicenseReq| allowed.contains(requirement.to_string().as_str());
        assert!(
            expression.evaluate(is_allowed),
            "{}: `{licence}` is not among those that deny.toml allows",
            shown(&package)
        );
        count += 1;
    }
    assert!(count > 50, "{count} packages were looked at");
}

#[test]
fn dependencies_come_from_the_registry_alone() {
    for package in all_packages()
        .iter()
        .filter(|package| is_of_registry(package))
    {
        let source = package["source"].as_str().unwrap_or_default();
        assert!(
            source.starts_with("registry+"),
            "{}: {source}",
            shown(package)
        );
    }
}

/// `1.88` as numbers.
fn release(text: &str) -> (u64, u64) {
    let mut numbers = text
        .split('.')
        .map(|number| number.parse().expect("a number"));
    (
        numbers.next().expect("major"),
        numbers.next().expect("minor"),
    )
}

#[test]
fn no_dependency_asks_for_a_newer_rust() {
    let oldest = |workspace: &str| -> String {
        let manifest: Table = text(&format!("{workspace}/Cargo.toml"))
            .parse()
            .expect("TOML");
        let version = &manifest["workspace"]["package"]["rust-version"];
        version.as_str().expect("a version").to_string()
    };
    let stated = oldest(".");
    assert_eq!(stated, oldest("host"));
    for file in ["README.md", "docs/RELEASING.md"] {
        assert!(text(file).contains(&stated), "{file} does not say {stated}");
    }
    for package in [".", "host"].map(packages_without_tests).concat() {
        let Some(wanted) = package["rust_version"].as_str() else {
            continue;
        };
        assert!(
            release(wanted) <= release(&stated),
            "{} wants Rust {wanted}",
            shown(&package)
        );
    }
}

#[test]
fn the_packages_to_publish_are_the_documented_ones() {
    let packages = all_packages();
    let own: Vec<_> = packages
        .iter()
        .filter(|package| !is_of_registry(package))
        .collect();
    let can_be_published = |package: &Value| package["publish"].is_null();
    let publishable: BTreeSet<&str> = own
        .iter()
        .filter(|package| can_be_published(package))
        .filter_map(|package| package["name"].as_str())
        .collect();
    let document = text("docs/RELEASING.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<&str> = rows
        .filter_map(|row| Some(row.split_once('`')?.0))
        .collect();
    assert_eq!(publishable, documented);
    for package in own.iter().filter(|package| can_be_published(package)) {
        for field in ["description", "license", "rust_version"] {
            assert!(package[field].is_string(), "{}: no {field}", shown(package));
        }
        for dependency in list(&package["dependencies"]) {
            let (name, of_tests) = (dependency["name"].as_str(), dependency["kind"] == "dev");
            if dependency["path"].is_null() || of_tests {
                continue;
            }
            assert!(
                name.is_some_and(|name| publishable.contains(name)),
                "{}: {dependency}",
                shown(package)
            );
            assert_ne!(
                dependency["req"],
                "*",
                "{}: a version for {name:?}",
                shown(package)
            );
        }
    }
}

#[test]
fn every_package_takes_part_in_the_lints() {
    let mut folders: BTreeMap<PathBuf, String> = BTreeMap::new();
    for package in all_packages()
        .iter()
        .filter(|package| !is_of_registry(package))
    {
        let file = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
        folders.insert(file.clone(), fs::read_to_string(&file).expect("a manifest"));
    }
    for (file, manifest) in folders {
        let manifest: Table = manifest.parse().expect("TOML");
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(toml::Value::as_bool),
            Some(true),
            "{}",
            file.display()
        );
    }
}
