// SPDX-License-Identifier: BSD-2-Clause
//! That no way from the server's decoder leads to a panic: calls are followed in what the compiler has made of it.
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolSection};

/// The ways in, by their names in crates/decoder-link.
const DECODERS: [&str; 3] = ["decode_message", "decode_registers", "decode_quickly"];
/// One that panics on purpose.
const CARELESS: &str = "decode_carelessly";
/// Parts of names of what there is on the way to the end of a panic.
const PANICS: [&str; 3] = ["decoder_panicked", "9panicking", "rust_begin_unwind"];
/// What the compiler calls by itself, and what is no Rust.
const OUTSIDE: [&str; 4] = ["memcpy", "memmove", "memset", "memcmp"];

/// Who refers to whom: functions and data, by name.
#[derive(Default)]
struct References {
    from: BTreeMap<String, BTreeSet<String>>,
}

impl References {
    fn of_archive(bytes: &[u8]) -> Self {
        let archive = ArchiveFile::parse(bytes).expect("an archive");
        let mut references = Self::default();
        for (number, member) in archive.members().enumerate() {
            let member = member.expect("a member").data(bytes).expect("its bytes");
            references.read(
                number,
                &object::File::parse(member).expect("an object file"),
            );
        }
        references
    }

    /// Each function has a section of its own. A section is known by what is defined at its beginning, or by its number,
    /// where that is nothing.
    fn read(&mut self, member: usize, file: &object::File) {
        let mut names = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.is_definition()) {
            let (SymbolSection::Section(section), Ok(name)) = (symbol.section(), symbol.name())
            else {
                continue;
            };
            // Others see what is global by its name alone, whatever else has that name elsewhere.
            let name = match symbol.is_global() {
                true => name.to_string(),
                false => format!("{member}:{name}"),
            };
            self.from.entry(name.clone()).or_default();
            let known = names.entry(section.0).or_insert_with(|| name.clone());
            if *known != name {
                // A second name of the same section.
                let known = known.clone();
                self.add(name, known);
            }
        }
        let name_of = |section: usize| {
            let unnamed = || format!("{member}:section {section}");
            names.get(&section).cloned().unwrap_or_else(unnamed)
        };
        for section in file.sections() {
            let from = name_of(section.index().0);
            for (_, relocation) in section.relocations() {
                let to = match relocation.target() {
                    RelocationTarget::Symbol(index) => {
                        let symbol = file.symbol_by_index(index).expect("a symbol");
                        match symbol.section_index() {
                            Some(section) => name_of(section.0),
                            None => symbol.name().expect("a name").to_string(),
                        }
                    }
                    RelocationTarget::Section(index) => name_of(index.0),
                    other => panic!("{from} refers to {other:?}"),
                };
                self.add(from.clone(), to);
            }
        }
    }

    fn add(&mut self, from: String, to: String) {
        self.from.entry(from).or_default().insert(to);
    }

    /// All that is reached from `start`, each with who refers to it first.
    fn reached(&self, start: &str) -> BTreeMap<&str, &str> {
        let start = self.from.get_key_value(start).expect("the function").0;
        let mut by = BTreeMap::new();
        let mut next = VecDeque::from([start.as_str()]);
        while let Some(from) = next.pop_front() {
            for to in self.from.get(from).into_iter().flatten() {
                by.entry(to.as_str()).or_insert_with(|| {
                    next.push_back(to);
                    from
                });
            }
        }
        by
    }

    /// The way from `start` to a panic, if there is one.
    fn way_to_panic(&self, start: &str) -> Option<String> {
        let by = self.reached(start);
        let panics = |name: &&&str| PANICS.iter().any(|panic| name.contains(panic));
        let mut at = *by.keys().find(panics)?;
        let mut way = at.to_string();
        while at != start {
            at = by[at];
            way = format!("{at} -> {way}");
        }
        Some(way)
    }
}

/// The library, built as the server is.
fn library() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // host/simulate lies two folders below the top.
    let root = root.ancestors().nth(2).expect("the top of the checkout");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("panics");
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["build", "--release", "--locked", "--quiet"])
        .args(["--package", "decoder-link", "--target-dir"])
        .arg(&target)
        .output()
        .expect("cargo");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    std::fs::read(target.join("release/libdecoder_link.a")).expect("the library")
}

#[test]
fn the_decoder_links_no_panic() {
    let references = References::of_archive(&library());
    for decoder in DECODERS {
        let way = references.way_to_panic(decoder);
        assert_eq!(way, None, "{decoder} can panic");
    }
    // Whatever is reached is in the library: nothing is called that was not looked at.
    for name in references.reached("decode_message").into_keys() {
        let is_known = references.from.contains_key(name) || name.contains("section");
        assert!(is_known || OUTSIDE.contains(&name), "{name}");
    }
    // That a panic would be found, through all the calls that lead to it.
    let way = references.way_to_panic(CARELESS).expect("a way to a panic");
    assert!(way.starts_with(CARELESS), "{way}");
    assert!(way.contains("panic_fmt"), "{way}");
}
