// SPDX-License-Identifier: BSD-2-Clause
//! What fuzzing has reached and found, on a stable compiler: every file of `fuzz/corpus` and `fuzz/found`.

use kmalloc_fuzz::TARGETS;
use std::fs;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let top = here.ancestors().nth(2).expect("the top of the checkout");
    top.join("fuzz")
}

/// The files of a folder, if it is there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths = paths.collect::<Vec<_>>();
    paths.sort();
    paths
}

fn run(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(other, _)| *other == name)
        .expect(name);
    let corpus = files(&fuzz().join("corpus").join(name));
    assert!(corpus.len() > 50, "{name}: {} files", corpus.len());
    for file in corpus
        .into_iter()
        .chain(files(&fuzz().join("found").join(name)))
    {
        let bytes = fs::read(&file).expect("a file");
        // What panics names its input.
        let named = Named(&file);
        target(&bytes);
        std::mem::forget(named);
    }
}

struct Named<'a>(&'a Path);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        eprintln!("{}: this is what it panics of", self.0.display());
    }
}

#[test]
fn messages_that_were_fuzzed() {
    run("protocol");
}

#[test]
fn servers_that_were_fuzzed() {
    run("server");
}

#[test]
fn heaps_that_were_fuzzed() {
    run("heap");
}

#[test]
fn nothing_else_lies_there() {
    for folder in ["corpus", "found"] {
        for path in files(&fuzz().join(folder)) {
            let name = path.file_name().expect("a name").to_string_lossy();
            assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name}");
        }
    }
}
