// SPDX-License-Identifier: BSD-2-Clause
//! Whether a pointer is a block in use, and whether the heap's own books are what it wrote.

use super::super::Heap;
use super::super::slow::Kind;
use crate::checked::{Call, Fault, Seals, Secret, State, Trailer, is_stamped, report};
use crate::local::{Damaged, tag_of};
use crate::segment::Segment;
use crate::source::{Region, Source};
use crate::thread_heap::ThreadHeap;
use crate::threading::Threading;
use crate::{Error, bad_pointer};
use core::ptr::NonNull;
use kmalloc_bucket::resident::slots::SizeClasses;
use kmalloc_bucket::resident::tags::Tag as PageTag;
use kmalloc_bucket::resident::{PAGE_SIZE, page_of};

/// Headers that the heap writes to; they are sealed when it has.
pub(in crate::heap) struct OpenBooks<'a> {
    part: &'a ThreadHeap,
    secret: &'a Secret,
}

impl Drop for OpenBooks<'_> {
    fn drop(&mut self) {
        // SAFETY: who opened the books has the part, and is done with it.
        unsafe { (*self.part.local.get()).seal(self.secret) };
    }
}

/// Why a pointer is none that can be freed.
struct Refusal {
    fault: Fault,
    error: Error,
    block_size: usize,
}

impl<S: Source, T: Threading, C: SizeClasses> Heap<S, T, C> {
    /// Looks at all headers of a part before they are written to. Segments whose headers are damaged are none of the
    /// part's any more.
    pub(in crate::heap) fn open_books<'a>(
        &'a self,
        part: &'a ThreadHeap,
        call: Call,
    ) -> OpenBooks<'a> {
        let secret = &self.shared.secret;
        // SAFETY: the part is the caller's own.
        if let Err(damaged) = unsafe { (*part.local.get()).look_at_all(secret) } {
            report_books(&damaged, call);
        }
        OpenBooks { part, secret }
    }

    /// Looks at the records of the large blocks. If they are damaged, there are none any more.
    pub(in crate::heap) fn look_at_large(&self, block: Option<NonNull<u8>>, call: Call) {
        if !self.shared.large_look() {
            let here = NonNull::from(self).cast();
            report(Fault::BadBooks, call, block.unwrap_or(here), 0);
        }
    }

    /// What the block in use at `block` is, and the size that was asked for. What is none is reported.
    ///
    /// # Safety
    ///
    /// None beyond the region's: this is where wild pointers are found out.
    pub(super) unsafe fn inspect(
        &self,
        block: NonNull<u8>,
        call: Call,
    ) -> Result<(Kind, usize), Error> {
        // SAFETY: as the caller says.
        unsafe { self.judge(block, call) }.map_err(|refusal| {
            report(refusal.fault, call, block, refusal.block_size);
            refusal.error
        })
    }

    /// # Safety
    ///
    /// As [`Heap::inspect`].
    unsafe fn judge(&self, block: NonNull<u8>, call: Call) -> Result<(Kind, usize), Refusal> {
        let refusal = |fault, block_size| Refusal {
            fault,
            error: match fault {
                Fault::DoubleFree => Error::DoubleFree {
                    address: block.addr().get() as u64,
                },
                _ => bad_pointer(block),
            },
            block_size,
        };
        let found = self.look_up(block, call);
        let kind = found.map_err(|fault| refusal(fault, 0))?;
        // SAFETY: the block is mapped as far as it reaches.
        let trailer = unsafe { Trailer::of(block, kind.size()) };
        let fault = match trailer.state(&self.shared.secret) {
            State::Live(size) if trailer.canary_is_whole(size) => {
                // SAFETY: it was just found to be such a block.
                if unsafe { self.front_is_whole(block, kind) } {
                    return Ok((kind, size));
                }
                Fault::Underflow
            }
            State::Free | State::Sent => Fault::DoubleFree,
            State::Blank => Fault::BadPointer,
            State::Live(_) | State::Damaged => Fault::Overflow,
        };
        Err(refusal(fault, kind.size()))
    }

    /// What begins at a pointer. Segments of other threads can't be looked up; that their headers are mapped is believed.
    fn look_up(&self, block: NonNull<u8>, call: Call) -> Result<Kind, Fault> {
        let secret = &self.shared.secret;
        let region = self.shared.region_of(block).ok_or(Fault::BadPointer)?;
        if region == Region::Large {
            self.look_at_large(Some(block), call);
            // SAFETY: it is not in the resident region.
            return unsafe { self.kind_of(block) }.map_err(|_| {
                match self.shared.large_is_waiting(block) {
                    true => Fault::DoubleFree,
                    false => Fault::BadPointer,
                }
            });
        }
        let part = self.current().map_err(|_| Fault::BadPointer)?;
        // SAFETY: the part is this thread's own. The header of no other segment is touched unless there are threads.
        unsafe {
            match (*part.local.get()).has_segment_of(secret, block) {
                Err(_) => return Err(Fault::BadBooks),
                Ok(true) => {}
                Ok(false) if !T::SHARED => return Err(Fault::BadPointer),
                Ok(false) if !Seals::has_owner(secret, Segment::of(block)) => {
                    return Err(Fault::BadBooks);
                }
                Ok(false) => {}
            }
            self.kind_of(block).map_err(|_| Fault::BadPointer)
        }
    }

    /// Whether the stamp in front of this block is whole. In front of a bucket's first block, and of a run, it may be missing
    /// where nothing is mapped, and another thread may be writing it; in front of a large block nothing is.
    ///
    /// # Safety
    ///
    /// `block` is a block of this kind in an open segment, or a large block.
    unsafe fn front_is_whole(&self, block: NonNull<u8>, kind: Kind) -> bool {
        let address = block.addr().get();
        // SAFETY: as the caller says. A bucket's blocks are cut, and so stamped, from the first one on.
        unsafe {
            let is_first = match kind {
                Kind::Large { .. } => return true,
                Kind::Run { .. } => true,
                Kind::Bucket { size, .. } => match tag_of(block) {
                    PageTag::Bucket { index, .. } => index * PAGE_SIZE + address % PAGE_SIZE < size,
                    _ => return true,
                },
            };
            if is_first {
                let segment = Segment::of(block);
                let front = page_of(address) - 1;
                if !self.is_own(block) || !(*segment.as_ptr()).books.mapped.contains(front, 1) {
                    return true;
                }
            }
            is_stamped(&self.shared.secret, block)
        }
    }
}

/// Reports a damaged header.
fn report_books(damaged: &Damaged, call: Call) {
    report(Fault::BadBooks, call, damaged.0.cast(), 0);
}
