// SPDX-License-Identifier: BSD-2-Clause
//! That no way from the server's decoder, nor from the server behind it, leads to a panic or to an allocation: calls are
//! followed in what the compiler has made of it.
#![allow(
    missing_docs,
    reason = "a test program has no readers of its documentation"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolSection};

/// The decoder's ways in, by their names in crates/server-link.
const DECODERS: [&str; 5] = [
    "decode_message",
    "decode_registers",
    "decode_quickly",
    "encode_registers",
    "encode_message",
];
/// The server's.
const SERVERS: [&str; 16] = [
    "serve_message",
    "serve_request",
    "serve_quickly",
    "serve_fault",
    "serve_end",
    "serve_worker",
    "serve_cleaner",
    "serve_alarm",
    "serve_begin",
    "serve_build",
    "serve_observer",
    "serve_found",
    "serve_refusal",
    "serve_birth",
    "serve_closing",
    "serve_measured",
];
/// Parts of names of what there is on the way to the end of a panic.
const PANICS: [&str; 3] = ["server_panicked", "9panicking", "rust_begin_unwind"];
/// And on the way to memory of the server's heap, or back.
const ALLOCATIONS: [&str; 4] = ["server_allocated", "server_freed", "__rust_", "7raw_vec"];
/// Declared in crates/server-link for the kernel, and defined nowhere.
const KERNEL: &str = include_str!("../../../crates/server-link/src/outside.rs");
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

    /// Who is reached from `start` and leads to what has one of these names, each with the way there.
    fn ways_to(&self, names: &[&str], start: &str) -> Vec<String> {
        let by = self.reached(start);
        let is_named = |name: &str| names.iter().any(|part| name.contains(part));
        let ends = by
            .iter()
            .filter(|(to, from)| is_named(to) && !is_named(from));
        let way = |(to, from): (&&str, &&str)| {
            let (mut way, mut at) = (to.to_string(), *from);
            while at != start {
                way = format!("{at} -> {way}");
                at = by[at];
            }
            format!("{start} -> {way}")
        };
        ends.map(way).collect()
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
        .args(["--package", "server-link", "--target-dir"])
        .arg(&target)
        .output()
        .expect("cargo");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    std::fs::read(target.join("release/libserver_link.a")).expect("the library")
}

/// Whether the kernel has a function of this name, whatever else the compiler has put into it.
fn is_of_kernel(name: &str) -> bool {
    KERNEL.contains(&format!("    fn {name}["))
}

#[test]
fn no_message_leads_to_a_panic_or_an_allocation() {
    let references = References::of_archive(&library());
    for entry in DECODERS.into_iter().chain(SERVERS) {
        let ways = references.ways_to(&PANICS, entry);
        assert!(ways.is_empty(), "{entry} can panic: {ways:#?}");
        let ways = references.ways_to(&ALLOCATIONS, entry);
        assert!(ways.is_empty(), "{entry} can ask for memory: {ways:#?}");
        // Whatever is reached is in the library, or the kernel's: nothing is called that was not looked at.
        for name in references.reached(entry).into_keys() {
            let is_known = references.from.contains_key(name) || name.contains(":section ");
            let is_outside = OUTSIDE.contains(&name) || is_of_kernel(name);
            assert!(is_known || is_outside, "{entry} leads to {name}");
        }
    }
    // That the server was looked at, and not only its door.
    let reached = references.reached("serve_message");
    for name in ["retype", "map_page", "delete", "revoke", "signal"] {
        assert!(reached.contains_key(name), "{name} is not reached");
    }
    // That a panic would be found, and an allocation, through all the calls that lead to them.
    let careless = [
        (&PANICS[..], "decode_carelessly"),
        (&ALLOCATIONS[..], "remember_carelessly"),
    ];
    for (names, entry) in careless {
        assert!(!references.ways_to(names, entry).is_empty(), "{entry}");
        assert!(references.reached(entry).contains_key(names[0]), "{entry}");
    }
}
