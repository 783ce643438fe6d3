// SPDX-License-Identifier: BSD-2-Clause
//! From the address of a large block to its size: a hash table in a large block of its own.

use crate::Error;
use crate::source::Source;
use core::ptr::NonNull;
use kmalloc_bucket::resident::PAGE_SIZE;

/// An entry: number of the page that the block begins at, and how many it has. 0 is no entry.
type Entry = u64;

/// Bits of an entry that count pages: blocks of up to 1 TiB.
const PAGES_BITS: u32 = 28;
/// Part of the table that may be in use, in eighths; linear probing gets slow above.
const LOAD_EIGHTHS_MAX: usize = 6;
/// Multiplied with a page number it spreads it over the high bits (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Open addressing with linear probing; removal closes the gap, so there are no tombstones.
pub(crate) struct Table {
    entries: NonNull<Entry>,
    /// How many entries there is room for: 0, or a power of two.
    capacity: usize,
    length: usize,
    /// What all entries together were when the heap last wrote to them.
    #[cfg(feature = "checked")]
    seal: seal::Seal,
}

#[cfg(feature = "checked")]
mod seal;

impl Table {
    pub const fn new() -> Table {
        Table {
            entries: NonNull::dangling(),
            capacity: 0,
            length: 0,
            #[cfg(feature = "checked")]
            seal: seal::Seal::new(),
        }
    }

    /// Makes room for one more entry.
    pub fn reserve<S: Source>(&mut self, source: &S) -> Result<(), Error> {
        if (self.length + 1) * 8 <= self.capacity * LOAD_EIGHTHS_MAX {
            return Ok(());
        }
        let capacity = (self.capacity * 2).max(PAGE_SIZE / size_of::<Entry>());
        let grown = Table {
            entries: source
                .large_alloc(capacity * size_of::<Entry>(), PAGE_SIZE)?
                .cast(),
            capacity,
            length: 0,
            #[cfg(feature = "checked")]
            seal: seal::Seal::new(),
        };
        let old = core::mem::replace(self, grown);
        for &entry in old.entries() {
            if entry != 0 {
                self.insert_entry(entry);
            }
        }
        old.release(source);
        Ok(())
    }

    /// Enters a block. There must be room.
    pub fn insert(&mut self, block: NonNull<u8>, bytes: usize) {
        self.insert_entry(page_number(block) << PAGES_BITS | (bytes / PAGE_SIZE) as u64);
    }

    /// Bytes of the block that begins at `block`.
    pub fn get(&self, block: NonNull<u8>) -> Option<usize> {
        let place = self.find(block)?;
        Some(size_of_entry(self.entries()[place]))
    }

    /// Takes a block out and returns its bytes.
    pub fn remove(&mut self, block: NonNull<u8>) -> Option<usize> {
        let mut gap = self.find(block)?;
        let bytes = size_of_entry(self.entries()[gap]);
        let mask = self.capacity - 1;
        let mut place = gap;
        loop {
            place = (place + 1) & mask;
            let entry = self.entries()[place];
            if entry == 0 {
                break;
            }
            // An entry may fill the gap if its search passes the gap on the way to where it is.
            let home = self.home(entry >> PAGES_BITS);
            if place.wrapping_sub(home) & mask >= place.wrapping_sub(gap) & mask {
                self.entries_mut()[gap] = entry;
                gap = place;
            }
        }
        self.entries_mut()[gap] = 0;
        self.length -= 1;
        #[cfg(feature = "checked")]
        self.seal
            .remove(page_number(block) << PAGES_BITS | (bytes / PAGE_SIZE) as u64);
        Some(bytes)
    }

    /// Gives the table's memory back if nothing is in it.
    pub fn release_if_empty<S: Source>(&mut self, source: &S) {
        if self.length == 0 {
            core::mem::replace(self, Table::new()).release(source);
        }
    }

    fn release<S: Source>(self, source: &S) {
        if self.capacity > 0 {
            // SAFETY: the entries are a large block of that size, and nothing uses them any more.
            unsafe { source.large_free(self.entries.cast(), self.capacity * size_of::<Entry>()) };
        }
    }

    fn insert_entry(&mut self, entry: Entry) {
        let mask = self.capacity - 1;
        let mut place = self.home(entry >> PAGES_BITS);
        while self.entries()[place] != 0 {
            place = (place + 1) & mask;
        }
        self.entries_mut()[place] = entry;
        self.length += 1;
        #[cfg(feature = "checked")]
        self.seal.add(entry);
    }

    fn find(&self, block: NonNull<u8>) -> Option<usize> {
        if self.capacity == 0 || !block.addr().get().is_multiple_of(PAGE_SIZE) {
            return None;
        }
        let wanted = page_number(block);
        let mut place = self.home(wanted);
        loop {
            let entry = self.entries()[place];
            if entry == 0 {
                return None;
            }
            if entry >> PAGES_BITS == wanted {
                return Some(place);
            }
            place = (place + 1) & (self.capacity - 1);
        }
    }

    /// Where the search for a page number begins.
    fn home(&self, page_number: u64) -> usize {
        let spread = page_number.wrapping_mul(SPREAD);
        (spread >> (u64::BITS - self.capacity.ilog2())) as usize
    }

    fn entries(&self) -> &[Entry] {
        // SAFETY: `capacity` entries were mapped, zero at first, and are this table's own.
        unsafe { core::slice::from_raw_parts(self.entries.as_ptr(), self.capacity) }
    }

    fn entries_mut(&mut self) -> &mut [Entry] {
        // SAFETY: as in `entries`.
        unsafe { core::slice::from_raw_parts_mut(self.entries.as_ptr(), self.capacity) }
    }
}

fn page_number(block: NonNull<u8>) -> u64 {
    (block.addr().get() / PAGE_SIZE) as u64
}

fn size_of_entry(entry: Entry) -> usize {
    (entry & ((1 << PAGES_BITS) - 1)) as usize * PAGE_SIZE
}
