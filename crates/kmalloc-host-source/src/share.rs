// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces where there is one program: what it attaches is the memory itself, at one address.

use crate::HostSource;
use kmalloc::{Access, Error, ShareSource, Source};
use std::ptr::NonNull;
use std::sync::Mutex;

/// Dataspaces that there can be at once.
const DATASPACES_MAX: usize = 16;
/// The one program's handle.
const HANDLE: u64 = 1 << 9;

#[derive(Clone, Copy)]
struct Dataspace {
    /// 0 where there is none.
    token: u64,
    address: usize,
    bytes: usize,
    held: bool,
    attached: usize,
}

const NONE: Dataspace = Dataspace {
    token: 0,
    address: 0,
    bytes: 0,
    held: false,
    attached: 0,
};

/// All dataspaces, and the token of the last one made. Nothing here allocates: the heap may be the program's own.
static TABLE: Mutex<(u64, [Dataspace; DATASPACES_MAX])> = Mutex::new((0, [NONE; DATASPACES_MAX]));

impl HostSource {
    /// Does something with the dataspace that is meant, and frees it if nobody has it any more.
    fn with<R>(
        &self,
        is_meant: impl Fn(&Dataspace) -> bool,
        otherwise: Error,
        work: impl FnOnce(&mut Dataspace) -> R,
    ) -> Result<R, Error> {
        let mut table = TABLE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let found = table.1.iter_mut().find(|it| it.token != 0 && is_meant(it));
        let dataspace = found.ok_or(otherwise)?;
        let result = work(dataspace);
        if !dataspace.held && dataspace.attached == 0 {
            let address = NonNull::new(std::ptr::with_exposed_provenance_mut(dataspace.address));
            if let Some(address) = address {
                // SAFETY: it is a large block of so many bytes, which nobody has any more.
                unsafe { self.large_free(address, dataspace.bytes) };
            }
            *dataspace = NONE;
        }
        Ok(result)
    }
}

impl ShareSource for HostSource {
    fn find(&self, _name: &str) -> Result<u64, Error> {
        Err(Error::Stale { handle: 0 })
    }

    fn dataspace_make(&self, bytes: usize) -> Result<u64, Error> {
        let size = bytes as u64;
        let bytes = bytes
            .checked_next_multiple_of(4096)
            .filter(|bytes| *bytes != 0)
            .ok_or(Error::BadSize { size })?;
        let mut table = TABLE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let (last, places) = &mut *table;
        let limit = DATASPACES_MAX as u64;
        let vacant = places.iter_mut().find(|place| place.token == 0);
        let place = vacant.ok_or(Error::OutOfSlots { limit })?;
        let address = self.large_alloc(bytes, 4096)?;
        *last += 1;
        *place = Dataspace {
            token: *last,
            address: address.as_ptr().expose_provenance(),
            bytes,
            held: true,
            attached: 0,
        };
        Ok(*last)
    }

    fn dataspace_share(&self, token: u64, handle: u64, _access: Access) -> Result<(), Error> {
        let stale = Error::Stale { handle: token };
        self.with(|it| it.held && it.token == token, stale, |_| ())?;
        if handle == HANDLE {
            Ok(())
        } else {
            Err(Error::Stale { handle })
        }
    }

    fn dataspace_attach(&self, token: u64, _access: Access) -> Result<(NonNull<u8>, usize), Error> {
        let stale = Error::Stale { handle: token };
        let (address, bytes) = self.with(
            |it| it.held && it.token == token,
            stale,
            |it| {
                it.attached += 1;
                (it.address, it.bytes)
            },
        )?;
        let address = NonNull::new(std::ptr::with_exposed_provenance_mut(address));
        Ok((address.ok_or(stale)?, bytes))
    }

    fn dataspace_detach(&self, address: NonNull<u8>) -> Result<(), Error> {
        let place = address.addr().get();
        let bad = Error::BadPointer {
            address: place as u64,
        };
        self.with(
            |it| it.address == place && it.attached > 0,
            bad,
            |it| it.attached -= 1,
        )
    }

    fn dataspace_close(&self, token: u64) -> Result<(), Error> {
        let stale = Error::Stale { handle: token };
        self.with(
            |it| it.held && it.token == token,
            stale,
            |it| it.held = false,
        )
    }
}
