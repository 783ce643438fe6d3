// SPDX-License-Identifier: BSD-2-Clause
use super::*;
use crate::manifest::{self, Package, Source};

#[test]
fn names_that_neither_cargo_nor_a_manifest_takes_are_refused() {
    for good in ["counter", "a", "x86-thing", "c2"] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    for bad in [
        "", "Counter", "2c", "-a", "a b", "a/b", "..", "a.b", "ä", &long,
    ] {
        assert_eq!(check_name(bad), Err(NameError::Malformed(bad.into())));
    }
    for bad in ["test", "fn", "core"] {
        assert_eq!(check_name(bad), Err(NameError::Reserved(bad.into())));
    }
}

#[test]
fn the_files_are_those_of_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let made = write(folder.path(), "counter").unwrap();
    assert_eq!(made.len(), 4);
    for file in &made {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("{{"), "{}", file.display());
    }
    let manifest = fs::read_to_string(folder.path().join("clients/counter/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some("counter"));
    assert_eq!(manifest["bin"][0]["name"].as_str(), Some("counter"));
    let system = manifest::load(&folder.path().join("clients/systems/counter.toml")).unwrap();
    assert_eq!(system.clients[0].name, "counter");
    let package = Package::from("counter");
    assert_eq!(system.programs[0].source, Source::Package(package));
    // Once more, nothing is overwritten.
    let error = write(folder.path(), "counter").unwrap_err();
    assert!(error.to_string().contains("can't make"), "{error}");
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let project = Project::here();
    for taken in ["hello", "kmalloc", "postcard", "api"] {
        let error = check_free(&project, taken).unwrap_err().to_string();
        assert!(error.contains("choose another name"), "{error}");
    }
    check_free(&project, "no-such-client").unwrap();
}
