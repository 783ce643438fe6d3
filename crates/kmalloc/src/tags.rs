// SPDX-License-Identifier: BSD-2-Clause
//! Who allocated what is still in use. Only the checked heap keeps books of that: each of its blocks bears the number of a
//! tag, which is a name that the program gave, or the line that called.

#[cfg(feature = "checked")]
use core::fmt;
#[cfg(feature = "checked")]
use core::panic::Location;
#[cfg(feature = "checked")]
use core::ptr;
#[cfg(feature = "checked")]
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

/// A name for blocks, by which they are found again: `static PACKETS: Tag = Tag::new("packets");`.
#[derive(Debug)]
#[repr(align(8))]
pub struct Tag(&'static str);

impl Tag {
    /// A tag with this name.
    pub const fn new(name: &'static str) -> Tag {
        Tag(name)
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.0
    }
}

/// Tags that are told from each other; blocks with others are counted together.
#[cfg(feature = "checked")]
const TAGS_MAX: usize = 512;
/// This bit of a key says that it is a [`Tag`]'s address and no [`Location`]'s.
#[cfg(feature = "checked")]
const NAMED: usize = 1;

/// The number of a tag, as blocks bear it.
#[cfg(feature = "checked")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(pub u16);

#[cfg(feature = "checked")]
impl Number {
    /// Tags for which no place was left.
    const OTHERS: Number = Number(0);
    /// `Box`, `Vec` and their kin, which don't say who called them.
    pub(crate) const GLOBAL: Number = Number(1);
    const FIRST: usize = 2;
}

/// What is in use with one tag.
#[cfg(feature = "checked")]
struct Entry {
    /// Who it is for; null while it is nobody's.
    key: AtomicPtr<()>,
    blocks: AtomicU64,
    bytes: AtomicU64,
}

#[cfg(feature = "checked")]
static ENTRIES: [Entry; TAGS_MAX] = [const {
    Entry {
        key: AtomicPtr::new(ptr::null_mut()),
        blocks: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    }
}; TAGS_MAX];

#[cfg(feature = "checked")]
impl Number {
    pub(crate) fn of_tag(tag: &'static Tag) -> Number {
        let key: *const Tag = tag;
        Number::of(key.cast::<()>().cast_mut().map_addr(|it| it | NAMED))
    }

    pub(crate) fn of_line(location: &'static Location<'static>) -> Number {
        let key: *const Location<'_> = location;
        Number::of(key.cast::<()>().cast_mut())
    }

    fn of(key: *mut ()) -> Number {
        let places = TAGS_MAX - Number::FIRST;
        let start = (key.addr() >> 3).wrapping_mul(0x9e37_79b9) >> 7;
        for step in 0..places {
            let place = Number::FIRST + (start + step) % places;
            let before =
                ENTRIES[place]
                    .key
                    .compare_exchange(ptr::null_mut(), key, Relaxed, Relaxed);
            if before.is_ok() || before == Err(key) {
                return Number(place as u16);
            }
        }
        Number::OTHERS
    }

    /// Counts a block that is in use now.
    pub(crate) fn take(self, bytes: usize) {
        let entry = &ENTRIES[usize::from(self.0) % TAGS_MAX];
        entry.blocks.fetch_add(1, Relaxed);
        entry.bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts a block that is in use no more.
    pub(crate) fn give(self, bytes: usize) {
        let entry = &ENTRIES[usize::from(self.0) % TAGS_MAX];
        entry.blocks.fetch_sub(1, Relaxed);
        entry.bytes.fetch_sub(bytes as u64, Relaxed);
    }
}

/// Who allocated.
#[cfg(feature = "checked")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Who passed this tag.
    Named(&'static str),
    /// This line.
    Line(&'static Location<'static>),
    /// The program's global allocator, for whomever.
    Global,
    /// Lines and tags beyond those that are told from each other.
    Others,
}

#[cfg(feature = "checked")]
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Named(name) => f.write_str(name),
            Who::Line(location) => write!(f, "{}:{}", location.file(), location.line()),
            Who::Global => f.write_str("the global allocator"),
            Who::Others => f.write_str("others"),
        }
    }
}

/// Blocks in use that one tag's holder allocated.
#[cfg(feature = "checked")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Who allocated them.
    pub who: Who,
    /// How many.
    pub blocks: u64,
    /// The bytes that were asked for.
    pub bytes: u64,
}

/// What all checked heaps of the program have in use, by who allocated it; in no order.
#[cfg(feature = "checked")]
pub fn live() -> impl Iterator<Item = Live> {
    ENTRIES.iter().enumerate().filter_map(|(number, entry)| {
        let blocks = entry.blocks.load(Relaxed);
        let key = entry.key.load(Relaxed);
        let named = key.addr() & NAMED != 0;
        let key = key.map_addr(|it| it & !NAMED);
        let who = match Number(number as u16) {
            Number::OTHERS => Who::Others,
            Number::GLOBAL => Who::Global,
            _ if key.is_null() => return None,
            // SAFETY: `of_tag` put it there, from a reference that is good for ever.
            _ if named => Who::Named(unsafe { &*key.cast::<Tag>() }.name()),
            // SAFETY: as above, by `of_line`.
            _ => Who::Line(unsafe { &*key.cast::<Location<'static>>() }),
        };
        (blocks > 0).then(|| Live {
            who,
            blocks,
            bytes: entry.bytes.load(Relaxed),
        })
    })
}

/// Prints what is in use, a line for each who allocated some. A program does that at its end, by whatever way it ends but a
/// fault.
#[cfg(all(feature = "checked", feature = "server"))]
pub fn print_live() {
    for Live { who, blocks, bytes } in live() {
        crate::println!("kmalloc: {bytes} bytes in {blocks} blocks in use by {who}");
    }
}
