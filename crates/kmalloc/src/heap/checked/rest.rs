// SPDX-License-Identifier: BSD-2-Clause
//! Freed blocks on their way: home to their thread, into the queue of their class, and out of it when nothing was written
//! to them.

use super::super::Heap;
use super::super::slow::Kind;
use super::SENT_LINK_SIZE;
use crate::Error;
use crate::checked::{Call, Fault, LINK_SIZE, State, Trailer, report};
use crate::local::Block;
use crate::source::{Region, Source};
use crate::thread_heap::ThreadHeap;
use crate::threading::Threading;
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::SizeClasses;

/// Freed blocks of a class that wait before the first of them is used again, and bytes of them.
const QUARANTINE_LENGTH: usize = 64;
const QUARANTINE_SIZE: usize = 64 << 10;
/// Freed runs, of up to 512 KiB, that wait.
const RUN_QUARANTINE_LENGTH: usize = 4;

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// The block of a class that was freed first, if enough wait behind it.
    pub(super) fn take_rested(&self, slot: usize) -> Result<Option<NonNull<u8>>, Error> {
        let block_size = C::GEOMETRY.bucket(slot).block_size;
        self.take_waiting(slot, QUARANTINE_LENGTH.min(QUARANTINE_SIZE / block_size))
    }

    /// The block of a class that was freed first, if more than `wait` wait.
    pub(super) fn take_waiting(
        &self,
        slot: usize,
        wait: usize,
    ) -> Result<Option<NonNull<u8>>, Error> {
        let part = self.current()?;
        let secret = &self.shared.secret;
        let block_size = C::GEOMETRY.bucket(slot).block_size;
        loop {
            // SAFETY: the part is this thread's own.
            let (block, link_whole) = unsafe {
                let local = &mut *part.local.get();
                if local.quarantine[slot].length <= wait {
                    return Ok(None);
                }
                match local.quarantine[slot].pop(secret) {
                    Some((block, _)) if !local.is_kept(secret, block) => continue,
                    Some(popped) => popped,
                    None => return Ok(None),
                }
            };
            if self.is_untouched(block, block_size, link_whole, Call::Allocate) {
                return Ok(Some(block));
            }
        }
    }

    /// Whether nothing was written to a queued block.
    fn is_untouched(&self, block: NonNull<u8>, size: usize, link_whole: bool, call: Call) -> bool {
        // SAFETY: a queued block is mapped, and nobody's.
        let trailer = unsafe { Trailer::of(block, size) };
        let untouched = link_whole
            && trailer.poison_is_whole(LINK_SIZE)
            && trailer.state(&self.shared.secret) == State::Free;
        if !untouched {
            report(Fault::WriteAfterFree, call, block, size);
        }
        untouched
    }

    /// Has a block wait.
    ///
    /// # Safety
    ///
    /// `block` is a block of this part and this kind, free and poisoned.
    pub(super) unsafe fn rest(
        &self,
        part: &ThreadHeap,
        block: NonNull<u8>,
        kind: Kind,
        call: Call,
    ) {
        // SAFETY: as the caller says; the part is this thread's own.
        let (damaged, runs) = unsafe {
            let local = &mut *part.local.get();
            let queue = match kind {
                Kind::Bucket { slot, .. } => &mut local.quarantine[slot],
                _ => &mut local.run_quarantine,
            };
            let damaged = queue.push(&self.shared.secret, block);
            (damaged, local.run_quarantine.length)
        };
        if let Some(damaged) = damaged {
            report(Fault::WriteAfterFree, call, damaged, kind.size());
        }
        if runs > RUN_QUARANTINE_LENGTH {
            self.free_rested_run(part, call);
        }
    }

    /// Frees the run that waited longest; `false` if none waits.
    fn free_rested_run(&self, part: &ThreadHeap, call: Call) -> bool {
        let secret = &self.shared.secret;
        // SAFETY: the part is this thread's own; a queued run is nobody's.
        unsafe {
            let local = &mut *part.local.get();
            let Some((block, link_whole)) = local.run_quarantine.pop(secret) else {
                return false;
            };
            if !local.is_kept(secret, block) {
                return true;
            }
            if let Ok(kind @ Kind::Run { pages: 1.. }) = self.kind_of(block)
                && self.is_untouched(block, kind.size(), link_whole, call)
            {
                self.free_own(part, block, kind);
            }
        }
        true
    }

    /// Puts all blocks that wait on the lists of the heap below, where empty buckets are found.
    pub(in crate::heap) fn leave_quarantine(&self, part: &ThreadHeap) {
        let secret = &self.shared.secret;
        while self.free_rested_run(part, Call::Trim) {}
        for slot in 0..C::GEOMETRY.slots() {
            let size = C::GEOMETRY.bucket(slot).block_size;
            loop {
                // SAFETY: the part is the caller's own; a queued block is nobody's.
                unsafe {
                    let popped = (*part.local.get()).quarantine[slot].pop(secret);
                    let Some((block, link_whole)) = popped else {
                        break;
                    };
                    if (*part.local.get()).is_kept(secret, block)
                        && self.is_untouched(block, size, link_whole, Call::Trim)
                    {
                        (*part.local.get()).push(slot, block);
                    }
                }
            }
        }
    }

    /// Has what is still on lists wait again.
    pub(in crate::heap) fn enter_quarantine(&self, part: &ThreadHeap) {
        for slot in 0..C::GEOMETRY.slots() {
            let size = C::GEOMETRY.bucket(slot).block_size;
            // SAFETY: the part is the caller's own; blocks on a list are free, and were poisoned before.
            unsafe {
                let first = core::mem::take(&mut (*part.local.get()).heads[slot]);
                let mut next = NonNull::new(first);
                while let Some(block) = next {
                    next = NonNull::new((*block.as_ptr()).next);
                    self.rest(part, block.cast(), Kind::Bucket { slot, size }, Call::Trim);
                }
            }
        }
    }

    /// Brings home the blocks that other threads freed. A link is believed if it leads to a block that was sent.
    pub(in crate::heap) fn drain(&self, part: &ThreadHeap) {
        if !T::SHARED {
            return;
        }
        let mut next = part.remote.take_all();
        let mut from = None;
        while let Some(link) = NonNull::new(next) {
            let block = link.cast::<u8>();
            // SAFETY: a block that was sent is nobody's until it is home.
            unsafe {
                let Some(kind) = self.sent_kind(part, block) else {
                    report(
                        Fault::WriteAfterFree,
                        Call::Allocate,
                        from.unwrap_or(block),
                        0,
                    );
                    return;
                };
                next = (*link.cast::<Block>().as_ptr()).next;
                from = Some(block);
                let trailer = Trailer::of(block, kind.size());
                trailer.set_free(&self.shared.secret);
                if !trailer.poison_is_whole(SENT_LINK_SIZE) {
                    report(Fault::WriteAfterFree, Call::Allocate, block, kind.size());
                    continue;
                }
                trailer.poison(LINK_SIZE);
                self.rest(part, block, kind, Call::Allocate);
            }
        }
    }

    /// What the block is that was sent to this part; `None` if there is none.
    fn sent_kind(&self, part: &ThreadHeap, block: NonNull<u8>) -> Option<Kind> {
        if self.shared.region_of(block) != Some(Region::Resident) {
            return None;
        }
        // SAFETY: the part is the caller's own, and the block then lies in one of its segments.
        unsafe {
            let local = &mut *part.local.get();
            if !matches!(local.has_segment_of(&self.shared.secret, block), Ok(true)) {
                return None;
            }
            let kind = self.kind_of(block).ok()?;
            let state = Trailer::of(block, kind.size()).state(&self.shared.secret);
            (state == State::Sent).then_some(kind)
        }
    }

    /// Reports the large blocks that were written to while they waited.
    pub(in crate::heap) fn report_large(&self, call: Call) {
        while let Some((block, bytes)) = self.shared.large_take_damaged() {
            report(Fault::WriteAfterFree, call, block, bytes);
        }
    }
}
