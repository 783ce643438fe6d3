// SPDX-License-Identifier: BSD-2-Clause
//! The machine's disk: a file that is there, or one made for the run.
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::manifest::Disk;

/// A made disk in its run's folder.
const FILE: &str = "disk.img";
/// What stands for the checksum in a client's arguments.
const PLACEHOLDER: &str = "{disk-sha256}";
const BLOCK_BYTES: usize = 1 << 16;

/// The file behind a disk; one that is to be made is made in `folder`.
///
/// # Errors
///
/// When it can't be made, or there is none.
pub fn file(disk: &Disk, folder: &Path) -> Result<PathBuf> {
    match disk {
        Disk::File(file) => fs::canonicalize(file).with_context(|| file.display().to_string()),
        Disk::Made(size) => {
            let path = folder.join(FILE);
            let made = fs::File::create(&path).and_then(|file| fill(file, size.0));
            made.with_context(|| path.display().to_string())?;
            Ok(path)
        }
    }
}

/// Writes bytes that look like chance and are the same each time.
fn fill(file: fs::File, bytes: u64) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..bytes / 8 {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        writer.write_all(&state.to_le_bytes())?;
    }
    writer.flush()
}

/// Puts the checksum of the disk where arguments of clients ask for it.
///
/// # Errors
///
/// When the file can't be read.
pub fn fill_in(arguments: &mut [String], file: &Path) -> Result<()> {
    if !arguments
        .iter()
        .any(|argument| argument.contains(PLACEHOLDER))
    {
        return Ok(());
    }
    let sum = checksum(file).with_context(|| file.display().to_string())?;
    for argument in arguments {
        *argument = argument.replace(PLACEHOLDER, &sum);
    }
    Ok(())
}

fn checksum(file: &Path) -> io::Result<String> {
    let mut file = fs::File::open(file)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => break,
            bytes => digest.update(&block[..bytes]),
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::Size;

    #[test]
    fn a_made_disk_is_the_same_each_time_and_its_checksum_goes_where_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&Disk::Made(Size(1 << 17)), folder.path()).unwrap();
        let first = fs::read(&path).unwrap();
        assert_eq!(first.len(), 1 << 17);
        file(&Disk::Made(Size(1 << 17)), folder.path()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        let mut arguments = ["x".to_string(), format!("sum={PLACEHOLDER}")];
        fill_in(&mut arguments, &path).unwrap();
        assert_eq!(arguments[0], "x");
        assert_eq!(arguments[1].len(), "sum=".len() + 64);
    }

    #[test]
    fn the_checksum_is_sha_256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checksum(&path).unwrap(), known);
    }
}
