// SPDX-License-Identifier: BSD-2-Clause
//! What the cleaner does, by invocations of its own.

use super::System;
use crate::scan::scan;
use crate::serving::serving;
use fake_kernel::FakeKernel;
use kmalloc_server::kernel::{Kernel, Object, Refused, Slot, Worker};
use kmalloc_server::physical::{CHUNK_PAGES, Cleaning, GRAIN_BITS, LARGE_CHUNKS};

impl System {
    /// Does the next cleaning job as the cleaner does; whether there was one. A refusal is the kernel's.
    pub fn clean_next(&mut self) -> Option<Result<Cleaning, Refused>> {
        let cleaning = serving(|| self.server.next_cleaning())?;
        let kernel = self.server.kernel_mut();
        let result = match cleaning {
            Cleaning::Pages { .. } => {
                let mut pages = cleaning.pages();
                pages.try_for_each(|page| kernel.scrub(page))
            }
            Cleaning::Chunk(chunk) => clean_untyped(kernel, Slot::Chunk(chunk)),
            Cleaning::Large(large) => clean_untyped(kernel, Slot::Large(large)),
            Cleaning::Gather(large) => kernel
                .revoke(Slot::Large(large))
                .and_then(|()| clean_untyped(kernel, Slot::Large(large))),
            Cleaning::Frames(chunk) => {
                let first = Slot::Page(chunk.first_page());
                kernel.retype(Slot::Chunk(chunk), Object::Frame, first, CHUNK_PAGES)
            }
            Cleaning::Chunks(large) => {
                let (first, object) = (Slot::Chunk(large.first_chunk()), Object::Untyped(16));
                kernel.retype(Slot::Large(large), object, first, LARGE_CHUNKS)
            }
        };
        serving(|| self.server.cleaned(result.is_ok()));
        self.note(|| format!("{cleaning:x?} is cleaned: {result:?}"));
        Some(result.map(|()| cleaning))
    }

    /// The kernel refuses to clean what is being cleaned. Of a large page that was to be gathered nothing is left then.
    pub fn give_up_cleaning(&mut self) {
        if let Some(Cleaning::Gather(large)) = self.server.physical().cleaning() {
            let revoked = self.server.kernel_mut().revoke(Slot::Large(large));
            revoked.expect("the kernel revokes");
        }
        serving(|| self.server.cleaned(false));
    }

    /// Has the cleaner run until it has nothing to do.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn clean(&mut self) {
        self.server.kernel_mut().take_wake(Worker::Cleaner);
        while let Some(result) = self.clean_next() {
            result.expect("the kernel cleans");
        }
        scan(&self.server);
    }
}

/// Has the kernel zero what was used of an untyped.
fn clean_untyped(kernel: &mut FakeKernel, untyped: Slot) -> Result<(), Refused> {
    kernel.retype(untyped, Object::Untyped(GRAIN_BITS), Slot::Scratch, 1)?;
    kernel.delete(Slot::Scratch)
}
