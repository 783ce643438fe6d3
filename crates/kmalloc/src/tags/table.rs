// SPDX-License-Identifier: BSD-2-Clause
//! What a program has in use by tag, where another program can read it when the first one is no more.
//!
//! A program that faults or is killed prints nothing, and the server never reads a program's memory. So the program keeps
//! its counts in a dataspace that its parent made: that is still there when everything else of the program is gone.

use super::TAGS_MAX;
use crate::{Access, Attached, Dataspace, Error};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a tag's name that are kept: the last ones, which say most of a path.
const NAME_BYTES: usize = NAME_WORDS * 8;
const NAME_WORDS: usize = 6;

/// What is in use with one tag.
#[repr(C)]
struct Line {
    blocks: AtomicU64,
    bytes: AtomicU64,
    name: [AtomicU64; NAME_WORDS],
}

type Lines = [Line; TAGS_MAX];

/// A table that one program fills in (`publish`, with the feature `checked`) and the one that made it reads, after the other's end as well.
///
/// ```no_run
/// # fn token_as_text(_token: u64) -> &'static str { "" }
/// use kmalloc::child::Child;
/// use kmalloc::{println, tags};
///
/// let table = tags::Table::new()?;
/// let child = Child::start("worker", &[token_as_text(table.token())], None)?;
/// table.share_with(child.handle())?;
/// child.wait()?;
/// for left in table.held() {
///     println!("{} bytes in {} blocks by {}", left.bytes, left.blocks, left.name);
/// }
/// # Ok::<(), kmalloc::Error>(())
/// ```
#[derive(Debug)]
pub struct Table {
    space: Dataspace,
    lines: Attached,
}

impl Table {
    /// An empty table, of 32 KiB, which this program is charged for.
    ///
    /// # Errors
    ///
    /// As of [`Dataspace::new`].
    pub fn new() -> Result<Table, Error> {
        let space = Dataspace::new(size_of::<Lines>())?;
        let lines = Dataspace::attach(space.token(), Access::ReadOnly)?;
        Ok(Table { space, lines })
    }

    /// What the other program passes to `publish`; no secret.
    pub fn token(&self) -> u64 {
        self.space.token()
    }

    /// Lets the program with this handle fill it in.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if that program has ended.
    pub fn share_with(&self, handle: u64) -> Result<(), Error> {
        self.space.share_with(handle, Access::ReadWrite)
    }

    /// What the other program has in use, or had when it ended; in no order. It is that program's word, and no more.
    pub fn held(&self) -> impl Iterator<Item = Held> {
        // SAFETY: a dataspace of at least that size, at the beginning of a page, mapped as long as `self` lives. All of it
        // are atomics, for which any bytes will do; here they are only read.
        let lines = unsafe { self.lines.address().cast::<Lines>().as_ref() };
        lines.iter().filter_map(|line| {
            let mut name = [0; NAME_BYTES];
            for (bytes, word) in name.as_chunks_mut::<8>().0.iter_mut().zip(&line.name) {
                *bytes = word.load(Relaxed).to_le_bytes();
            }
            let blocks = line.blocks.load(Relaxed);
            (blocks > 0).then(|| Held {
                name: Name(name),
                blocks,
                bytes: line.bytes.load(Relaxed),
            })
        })
    }
}

/// Blocks that one tag's holder allocated and did not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who allocated them.
    pub name: Name,
    /// How many.
    pub blocks: u64,
    /// The bytes that were asked for.
    pub bytes: u64,
}

/// The name of a tag, or file and line of who called; the last 48 bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; NAME_BYTES]);

impl Name {
    /// It as text; empty where the program wrote something else there.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0);
        let bytes = &self.0[..end.unwrap_or(NAME_BYTES)];
        // Where the beginning was cut off, the cut may go through a character.
        let from = |start| core::str::from_utf8(bytes.get(start..)?).ok();
        (0..4).find_map(from).unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(feature = "checked")]
pub use filling::publish;
#[cfg(feature = "checked")]
pub(super) use filling::{give, name, take};

/// The side of the program whose tags they are.
#[cfg(feature = "checked")]
mod filling {
    use super::{Line, Lines, NAME_BYTES};
    use crate::tags::{ENTRIES, Number, Who, who};
    use crate::{Access, Attached, Dataspace, Error};
    use core::fmt::{self, Write};
    use core::mem;
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, Ordering};

    /// How often [`publish`] asks, while the parent has not yet come to share the table.
    const TRIES: usize = 1000;

    static PUBLISHED: AtomicPtr<Lines> = AtomicPtr::new(ptr::null_mut());

    /// Has this program's counts by tag kept in the [`Table`](super::Table) with this token from now on, so that its
    /// maker sees what is left when this program has ended, in whatever way. To be called before there are further threads.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`] where the table is not shared with this program, also not soon; else as of
    /// [`Dataspace::attach`].
    pub fn publish(token: u64) -> Result<(), Error> {
        let space = attach(token)?;
        if space.size() < size_of::<Lines>() {
            let size = space.size() as u64;
            return Err(Error::BadSize { size });
        }
        let lines = space.address().cast::<Lines>();
        PUBLISHED.store(lines.as_ptr(), Ordering::Release);
        // It stays mapped for good: every allocation from now on is counted there.
        mem::forget(space);
        for (number, entry) in (0..).zip(&ENTRIES) {
            let number = Number(number);
            if let (Some(line), Some(who)) = (line(number), who(number)) {
                line.blocks
                    .store(entry.blocks.load(Ordering::Relaxed), Ordering::Relaxed);
                line.bytes
                    .store(entry.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
                name(number, who);
            }
        }
        Ok(())
    }

    fn attach(token: u64) -> Result<Attached, Error> {
        for _ in 1..TRIES {
            match Dataspace::attach(token, Access::ReadWrite) {
                Err(Error::NotPermitted) => sel4::r#yield(),
                result => return result,
            }
        }
        Dataspace::attach(token, Access::ReadWrite)
    }

    /// The line of a tag; none while nothing is published.
    fn line(number: Number) -> Option<&'static Line> {
        let lines = PUBLISHED.load(Ordering::Acquire);
        // SAFETY: null, or what `publish` found to be large enough and mapped for good; all of it are atomics.
        let lines = unsafe { lines.as_ref() }?;
        lines.get(usize::from(number.0))
    }

    pub(in crate::tags) fn take(number: Number, bytes: usize) {
        if let Some(line) = line(number) {
            line.blocks.fetch_add(1, Ordering::Relaxed);
            line.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(in crate::tags) fn give(number: Number, bytes: usize) {
        if let Some(line) = line(number) {
            line.blocks.fetch_sub(1, Ordering::Relaxed);
            line.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Writes down who a line is for.
    pub(in crate::tags) fn name(number: Number, who: Who) {
        let Some(line) = line(number) else { return };
        let mut tail = Tail {
            bytes: [0; NAME_BYTES],
            length: 0,
        };
        // It takes any text.
        let _ = write!(tail, "{who}");
        for (word, bytes) in line.name.iter().zip(tail.bytes.as_chunks().0) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
    }

    /// The last bytes of a text.
    struct Tail {
        bytes: [u8; NAME_BYTES],
        length: usize,
    }

    impl Write for Tail {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for byte in text.bytes() {
                if self.length == NAME_BYTES {
                    self.bytes.copy_within(1.., 0);
                    self.length -= 1;
                }
                self.bytes[self.length] = byte;
                self.length += 1;
            }
            Ok(())
        }
    }
}
