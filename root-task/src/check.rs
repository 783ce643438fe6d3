// SPDX-License-Identifier: BSD-2-Clause
//! The server's kernel as something that sequences run on.

mod probe;

use crate::boot::{self, BootError};
use crate::kernel::{Sel4, refused};
use core::ptr::with_exposed_provenance;
use kernel_sequences::{Access, Subject, Touched, arena};
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_server::kernel::{Kernel, Object, Refused, Slot};
use kmalloc_server::physical::{Chunk, Large, LargeForm, Page, Physical};
use probe::Probe;
use sel4::{BootInfoPtr, CapRights, VmAttributes, cap};

/// A page of the server's address space that nothing else is mapped at here: the one of the cleaner, which never runs.
const LOOK_WINDOW: usize = crate::windows::CLEANER_WINDOW;

/// Why the check can't begin.
#[derive(Debug)]
pub enum CheckError {
    /// The server can't boot.
    Boot(BootError),
    /// There are too few large pages in a row.
    NoArena,
    /// The kernel refused what the check needs for itself.
    Kernel(Refused),
}

/// The kernel, an arena, and a thread to look at address spaces with.
pub struct Check {
    kernel: Sel4,
    first: Large,
    /// The arena's first physical address.
    base_addr: u64,
    probe: Probe,
}

impl Check {
    /// Boots as the server does, and takes what it needs from the books.
    pub fn new(bootinfo: &BootInfoPtr) -> Result<Check, CheckError> {
        let booted =
            boot::boot(bootinfo, boot::untyped_pieces(bootinfo)).map_err(CheckError::Boot)?;
        let endpoint = booted.endpoint;
        let reply = booted.reply;
        let (mut kernel, physical) = booted.server.dissolve();
        let first = find_arena(&physical).ok_or(CheckError::NoArena)?;
        // One more than the arena has.
        let own = Large(first.0 + arena::LARGES as u32);
        let probe =
            Probe::new(&mut kernel, bootinfo, own, endpoint, reply).map_err(CheckError::Kernel)?;
        Ok(Check {
            kernel,
            first,
            base_addr: physical.address_of(first.first_chunk().first_page()),
            probe,
        })
    }

    fn frame(&self, slot: Slot) -> cap::UnspecifiedPage {
        self.kernel.cptr(slot).cast()
    }
}

/// The first of enough large pages in a row that nobody has, for the arena and the probe.
fn find_arena(physical: &Physical) -> Option<Large> {
    let count = arena::LARGES as u32 + 1;
    let is_whole = |large| physical.large_form(Large(large)) == LargeForm::Whole;
    (0..(physical.large_capacity() as u32).saturating_sub(count))
        .find(|first| (*first..first + count).all(is_whole))
        .map(Large)
}

impl Subject for Check {
    type Kernel = Sel4;

    fn kernel(&mut self) -> &mut Sel4 {
        &mut self.kernel
    }

    fn first_large(&self) -> Large {
        self.first
    }

    fn frame_address(&mut self, frame: Slot) -> Result<u64, Refused> {
        let address = self.frame(frame).frame_get_address().map_err(refused)?;
        Ok((address as u64).wrapping_sub(self.base_addr))
    }

    fn digest(&mut self, frame: Slot) -> Result<u64, Refused> {
        // Of what is no frame no copy is made: that is not always safe.
        self.frame_address(frame)?;
        self.kernel.copy(frame, Slot::Scratch)?;
        let copy = self.frame(Slot::Scratch);
        let here = sel4::init_thread::slot::VSPACE.cap();
        let how = VmAttributes::default();
        copy.frame_map(here, LOOK_WINDOW, CapRights::read_only(), how)
            .map_err(refused)?;
        // SAFETY: a frame was mapped there just now, and no other thread runs that could write to it.
        let words = unsafe { &*with_exposed_provenance::<[u64; PAGE_SIZE / 8]>(LOOK_WINDOW) };
        let digest = kernel_sequences::digest(words.iter().copied());
        copy.frame_unmap().map_err(refused)?;
        self.kernel.delete(Slot::Scratch)?;
        Ok(digest)
    }

    fn touch(&mut self, space: Page, address: usize, access: Access) -> Result<Touched, Refused> {
        self.probe.touch(&mut self.kernel, space, address, access)
    }
}

/// Makes objects of a chunk, one after the other, in the slots from `first` on.
fn make(kernel: &mut Sel4, chunk: Chunk, objects: &[Object], first: Page) -> Result<(), Refused> {
    objects
        .iter()
        .zip(first.0..)
        .try_for_each(|(object, page)| {
            kernel.retype(Slot::Chunk(chunk), *object, Slot::Page(Page(page)), 1)
        })
}
