// SPDX-License-Identifier: BSD-2-Clause
//! Served blocks: one call each, every pointer checked against the ledger.

use crate::Server;
use crate::client::Client;
use crate::kernel::{ClientIndex, Kernel};
use crate::memory::bytes;
use crate::run::RunPlan;
use crate::segments::{address_of, page_number, place_of};
use kmalloc_bucket::ledger::{Entry, NONE, Use};
use kmalloc_bucket::size_class::{BLOCK_SIZE_MAX, PAGE_SIZE, SizeClass};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Flags, Reply, Response, SIZE_MAX};

/// Bytes of the largest block that shares its page with others.
const SHARED_BLOCK_MAX: u64 = PAGE_SIZE as u64 / 2;

/// A served block that a client named, checked.
#[derive(Clone, Copy)]
pub(crate) enum Block {
    /// A block of a bucket.
    Small { size_bits: u32 },
    /// A run of pages.
    Run { number: u32, pages: usize },
}

/// What came of giving a block back to its bucket.
#[derive(Clone, Copy)]
pub(crate) enum Given {
    /// It is back.
    Done,
    /// It is back, and the bucket, by its number, has to be settled: [`Server::settle_bucket`].
    Settle(u32),
    /// It is no block of a bucket of the client's that is in use. Nothing was done.
    Nothing,
}

impl Block {
    /// Bytes that may be used.
    #[inline(always)]
    pub(crate) fn usable(self) -> u64 {
        match self {
            Block::Small { size_bits, .. } => 1 << size_bits,
            Block::Run { pages, .. } => bytes(pages),
        }
    }
}

/// Refuses flags with an unknown bit.
#[inline(always)]
pub(crate) fn check_flags(flags: u32) -> Result<(), Error> {
    let unknown = flags & !Flags::all().bits();
    if unknown != 0 {
        return Err(Error::BadFlags { unknown });
    }
    Ok(())
}

impl<K: Kernel> Server<K> {
    #[inline(always)]
    pub(crate) fn kmalloc(&mut self, client: ClientIndex, size: u64, flags: u32) -> Response {
        check_flags(flags)?;
        self.allocate(client, size)
            .map(|address| Reply::Block { address })
    }

    pub(crate) fn kcalloc(
        &mut self,
        client: ClientIndex,
        count: u64,
        size: u64,
        flags: u32,
    ) -> Response {
        let total = count
            .checked_mul(size)
            .ok_or(Error::Overflow { count, size })?;
        self.kmalloc(client, total, flags)
    }

    /// A served block of at least `size` bytes; its address.
    #[inline(always)]
    pub(crate) fn allocate(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        match self.take_from_bucket(client, size) {
            Some(address) => Ok(address),
            None => self.allocate_slowly(client, size),
        }
    }

    /// A block of the first bucket of its class, where the client has one with a free block.
    #[inline(always)]
    pub(crate) fn take_from_bucket(&mut self, client: ClientIndex, size: u64) -> Option<u64> {
        // One test for what is too large and for 0, which is served as 1 elsewhere.
        let highest = size.wrapping_sub(1);
        if highest >= SHARED_BLOCK_MAX {
            return None;
        }
        let class = SizeClass::of(highest as usize + 1, 1)?;
        let account = self.clients.get_mut(client.index())?;
        let number = *account.partial.get(class.index())?;
        let entry = self.kernel.entry(number)?;
        let block = entry.take_block()?;
        let is_full = entry.free_count == 0;
        account.count_block(class.block_size() as u64);
        if is_full {
            // A full bucket leaves the list; it is its head.
            self.unlink_partial(client, class.index(), number);
        }
        let offset = block << class.block_size_bits();
        Some((address_of(Window::Served, number) + offset) as u64)
    }

    /// A block where [`Server::take_from_bucket`] has none.
    #[cold]
    #[inline(never)]
    pub(crate) fn allocate_slowly(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        if size > SHARED_BLOCK_MAX {
            return self.allocate_pages(client, size);
        }
        let class = SizeClass::of(size as usize, 1).ok_or(Error::BadSize { size })?;
        let partial = self.client_mut(client)?.partial.get(class.index()).copied();
        match partial {
            Some(number) if number != NONE => self.allocate_from(client, class, number),
            _ => self.allocate_in_new_bucket(client, class),
        }
    }

    #[cold]
    #[inline(never)]
    fn allocate_in_new_bucket(
        &mut self,
        client: ClientIndex,
        class: SizeClass,
    ) -> Result<u64, Error> {
        let plan = RunPlan::pages(Window::Served, 1);
        let number = self.map_run(client, &plan)?;
        if let Some(entry) = self.entry_at(number) {
            *entry = Entry::bucket(class, entry.page, client.0);
        }
        self.link_partial(client, class.index(), number);
        // The list has a bucket with free blocks now.
        self.allocate_from(client, class, number)
    }

    fn allocate_from(
        &mut self,
        client: ClientIndex,
        class: SizeClass,
        number: u32,
    ) -> Result<u64, Error> {
        let Some(block) = self.entry_at(number).and_then(Entry::take_block) else {
            return Err(Error::OutOfMemory {
                free: 0,
                requested: class.block_size() as u64,
            });
        };
        let is_full = self
            .entry_at(number)
            .is_some_and(|entry| entry.free_count == 0);
        self.client_mut(client)?
            .count_block(class.block_size() as u64);
        if is_full {
            self.unlink_partial(client, class.index(), number);
        }
        let offset = block << class.block_size_bits();
        Ok((address_of(Window::Served, number) + offset) as u64)
    }

    /// Puts a bucket at the head of its class's list.
    fn link_partial(&mut self, client: ClientIndex, class: usize, number: u32) {
        let Some(head) = self
            .clients
            .get_mut(client.index())
            .and_then(|account| account.partial.get_mut(class))
        else {
            return;
        };
        let next = core::mem::replace(head, number);
        if next != NONE
            && let Some(entry) = self.entry_at(next)
        {
            entry.previous = number;
        }
        if let Some(entry) = self.entry_at(number) {
            entry.next = next;
            entry.previous = NONE;
        }
    }

    /// Takes a bucket out of its class's list.
    #[cold]
    #[inline(never)]
    fn unlink_partial(&mut self, client: ClientIndex, class: usize, number: u32) {
        let Some(entry) = self.entry_at(number) else {
            return;
        };
        let (previous, next) = (entry.previous, entry.next);
        if previous != NONE
            && let Some(before) = self.entry_at(previous)
        {
            before.next = next;
        } else if let Some(head) = self
            .clients
            .get_mut(client.index())
            .and_then(|account| account.partial.get_mut(class))
        {
            *head = next;
        }
        if next != NONE
            && let Some(after) = self.entry_at(next)
        {
            after.previous = previous;
        }
    }

    /// A run of whole pages for a request that shares no page.
    #[cold]
    #[inline(never)]
    fn allocate_pages(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        let pages = pages_for(size)?;
        let number = self.map_run(client, &RunPlan::pages(Window::Served, pages))?;
        self.client_mut(client)?.count_block(bytes(pages));
        Ok(address_of(Window::Served, number) as u64)
    }

    /// The served block that begins at `address`, if the client has it.
    #[inline(always)]
    pub(crate) fn find_block(&mut self, client: ClientIndex, address: u64) -> Result<Block, Error> {
        let place = address as usize;
        if Window::of(place) != Some(Window::Served) {
            return Err(self.refuse_window(client, address));
        }
        let (segment, page) = place_of(place);
        if !self
            .segments
            .get(segment)
            .is_some_and(|open| open.is(client, Window::Served))
        {
            return Err(self.refuse_segment(client, address, segment, page));
        }
        let number = page_number(segment, page);
        let offset = place % PAGE_SIZE;
        let Some(entry) = self.kernel.ledger(segment).get(page) else {
            return Err(Error::BadPointer { address });
        };
        let size_bits = entry.block_size_bits();
        let block = offset >> size_bits;
        match entry.usage {
            Use::Bucket if offset & ((1 << size_bits) - 1) != 0 => {
                Err(Error::BadPointer { address })
            }
            Use::Bucket if entry.is_free(block) => Err(Error::DoubleFree { address }),
            Use::Bucket => Ok(Block::Small { size_bits }),
            Use::Head if offset == 0 => Ok(Block::Run {
                number,
                pages: entry.length as usize,
            }),
            Use::Free if entry.history == Use::Bucket && offset & ((1 << size_bits) - 1) == 0 => {
                Err(Error::DoubleFree { address })
            }
            Use::Free if entry.history == Use::Head && offset == 0 => {
                Err(Error::DoubleFree { address })
            }
            _ => Err(Error::BadPointer { address }),
        }
    }

    /// Why an address outside the served window is no served block.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse_window(&self, client: ClientIndex, address: u64) -> Error {
        match Window::of(address as usize) {
            None => Error::BadPointer { address },
            Some(_) => {
                let (segment, _) = place_of(address as usize);
                match self.segments.get(segment).and_then(|open| open.owner) {
                    Some(owner) if owner == client && self.is_in_window(segment, address) => {
                        Error::WrongKind { address }
                    }
                    Some(owner) if owner == client => Error::BadPointer { address },
                    Some(_) => Error::NotOwner { address },
                    None => Error::BadPointer { address },
                }
            }
        }
    }

    fn is_in_window(&self, segment: u32, address: u64) -> bool {
        self.segments
            .get(segment)
            .is_some_and(|open| Window::of(address as usize) == Some(open.window))
    }

    /// Why an address in a segment that is not the client's is refused.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse_segment(
        &self,
        client: ClientIndex,
        address: u64,
        segment: u32,
        page: usize,
    ) -> Error {
        let Some(open) = self.segments.get(segment) else {
            return Error::BadPointer { address };
        };
        let generation = self
            .clients
            .get(client.index())
            .map_or(0, |account| account.generation);
        match open.owner {
            Some(owner) if owner == client => Error::BadPointer { address },
            Some(_) => Error::NotOwner { address },
            None if open.former == Some((client, generation))
                && page == 0
                && address.is_multiple_of(PAGE_SIZE as u64) =>
            {
                Error::DoubleFree { address }
            }
            None => Error::BadPointer { address },
        }
    }

    /// Frees a served block.
    pub(crate) fn free(&mut self, client: ClientIndex, address: u64) -> Result<(), Error> {
        match self.give_to_bucket(client, address) {
            Given::Done => Ok(()),
            Given::Settle(number) => self.settle_bucket(client, number),
            Given::Nothing => self.free_slowly(client, address),
        }
    }

    /// Frees a block of a bucket. Only served memory has buckets, and a bucket knows whose it is, so its entry is all that
    /// has to be looked at.
    #[inline(always)]
    pub(crate) fn give_to_bucket(&mut self, client: ClientIndex, address: u64) -> Given {
        let place = (address as usize).wrapping_sub(Window::Served.base());
        let Ok(number) = u32::try_from(place / PAGE_SIZE) else {
            return Given::Nothing;
        };
        let Some(entry) = self.kernel.entry(number) else {
            return Given::Nothing;
        };
        let Some(size) = entry.give_block_at(client.0, place % PAGE_SIZE) else {
            return Given::Nothing;
        };
        let settle = entry.is_refilled_or_empty();
        if let Some(account) = self.clients.get_mut(client.index()) {
            account.uncount_block(size);
        }
        if settle {
            Given::Settle(number)
        } else {
            Given::Done
        }
    }

    /// Whatever is not a block of a bucket in use: null, a run of pages, or nothing that can be freed.
    #[inline(never)]
    pub(crate) fn free_slowly(&mut self, client: ClientIndex, address: u64) -> Result<(), Error> {
        if address == 0 {
            return Ok(());
        }
        match self.find_block(client, address)? {
            Block::Run { number, .. } => self.free_pages(client, number),
            // Blocks of buckets don't come here.
            Block::Small { .. } => Err(Error::BadPointer { address }),
        }
    }

    pub(crate) fn kfree(&mut self, client: ClientIndex, address: u64) -> Response {
        self.free(client, address).map(|()| Reply::Done)
    }

    /// Puts a bucket back on its class's list when it has its first free block again, and gives it back when all of them
    /// are free.
    #[cold]
    #[inline(never)]
    pub(crate) fn settle_bucket(&mut self, client: ClientIndex, number: u32) -> Result<(), Error> {
        let Some(entry) = self.entry_at(number) else {
            return Ok(());
        };
        let (class, free_count) = (usize::from(entry.class), entry.free_count);
        let all_free = free_count == entry.block_count();
        if free_count == 1 {
            self.link_partial(client, class, number);
        }
        if all_free {
            return self.free_bucket(client, class, number);
        }
        Ok(())
    }

    /// An empty bucket goes back unless it is the only one of its class with free blocks: a program that frees and
    /// takes one block in turn costs no mapping.
    #[cold]
    #[inline(never)]
    fn free_bucket(&mut self, client: ClientIndex, class: usize, number: u32) -> Result<(), Error> {
        let Some(entry) = self.entry_at(number) else {
            return Ok(());
        };
        if entry.next == NONE && entry.previous == NONE {
            return Ok(());
        }
        self.unlink_partial(client, class, number);
        self.unmap_run(client, number, 1)
    }

    #[cold]
    #[inline(never)]
    fn free_pages(&mut self, client: ClientIndex, number: u32) -> Result<(), Error> {
        let pages = self.release_run(client, number)?;
        self.client_mut(client)?.uncount_block(bytes(pages));
        Ok(())
    }

    pub(crate) fn ksize(&mut self, client: ClientIndex, address: u64) -> Response {
        let block = self
            .find_block(client, address)
            .map_err(|error| match error {
                // Nobody frees here.
                Error::DoubleFree { address } => Error::BadPointer { address },
                other => other,
            })?;
        Ok(Reply::Size {
            size: block.usable(),
        })
    }

    pub(crate) fn krealloc(
        &mut self,
        client: ClientIndex,
        address: u64,
        size: u64,
        flags: u32,
    ) -> Response {
        check_flags(flags)?;
        if address == 0 {
            return self.kmalloc(client, size, flags);
        }
        let block = self.find_block(client, address)?;
        if size == 0 {
            self.free(client, address)?;
            return Ok(Reply::Done);
        }
        match block {
            Block::Small { .. } if size <= block.usable() => Ok(Reply::Block { address }),
            Block::Small { .. } => {
                let copy = block.usable().min(size);
                self.allocate(client, size)
                    .map(|address| Reply::Moved { address, copy })
            }
            Block::Run { number, pages } => {
                let wanted = pages_for(size)?;
                let moved = self.resize_run(client, Window::Served, number, wanted)?;
                // A frame of 2 MiB stays whole: the run may have kept more than was wanted.
                let now = self
                    .entry_at(moved)
                    .map_or(wanted, |entry| entry.length as usize);
                let account: &mut Client = self.client_mut(client)?;
                account.uncount_block(bytes(pages));
                account.count_block(bytes(now));
                Ok(Reply::Block {
                    address: address_of(Window::Served, moved) as u64,
                })
            }
        }
    }

    pub(crate) fn krealloc_array(
        &mut self,
        client: ClientIndex,
        address: u64,
        count: u64,
        size: u64,
        flags: u32,
    ) -> Response {
        let total = count
            .checked_mul(size)
            .ok_or(Error::Overflow { count, size })?;
        self.krealloc(client, address, total, flags)
    }
}

/// Pages of a request that shares none: a power of two up to the largest block, exact above.
pub(crate) fn pages_for(size: u64) -> Result<usize, Error> {
    if size == 0 || size > SIZE_MAX {
        return Err(Error::BadSize { size });
    }
    let pages = (size as usize).div_ceil(PAGE_SIZE);
    Ok(if size as usize <= BLOCK_SIZE_MAX {
        pages.next_power_of_two()
    } else {
        pages
    })
}
