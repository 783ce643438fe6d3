// SPDX-License-Identifier: BSD-2-Clause
//! Dataspaces: memory that several programs have mapped.
//!
//! One program makes a [`Dataspace`], shares it with another by that one's handle ([`find`](crate::find)), and passes it
//! the token, over an endpoint between the two or however it likes. The other attaches it by the token:
//!
//! ```no_run
//! # fn send(_token: u64) {}
//! use kmalloc::{Access, Dataspace};
//!
//! let space = Dataspace::new(1 << 20)?;
//! space.share_with(kmalloc::find("display")?, Access::ReadOnly)?;
//! send(space.token());
//! let here = Dataspace::attach(space.token(), Access::ReadWrite)?;
//! # Ok::<(), kmalloc::Error>(())
//! ```
//!
//! # References across programs are offsets
//!
//! Each program has a dataspace at another address: a pointer into it, stored in it, is wild to the other. What lies in
//! it refers to what lies in it by [`Offset`], which counts from its beginning, and which
//! [`Attached::pointer`] turns into a pointer after a look at the bounds.
//!
//! # What the other program may do
//!
//! Whoever may write to it can write at any moment, and can write anything: read each value once, then check it, and
//! synchronise by atomics. So there are no safe references into a dataspace, only pointers.

use crate::ServerSource;
use crate::source::{Access, ShareSource};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kmalloc_protocol::Error;

const SOURCE: ServerSource = ServerSource::new();

/// A dataspace that this program made and holds. Dropped, it lets go; the memory stays for those who have it attached,
/// and goes back with the last of them.
#[derive(Debug)]
pub struct Dataspace {
    token: u64,
}

impl Dataspace {
    /// A dataspace of `size` bytes, rounded up to whole pages; zero, and mapped nowhere. This program is charged for it.
    ///
    /// # Errors
    ///
    /// Over quota, out of memory, out of slots after 64 dataspaces, bad size.
    pub fn new(size: usize) -> Result<Dataspace, Error> {
        let token = SOURCE.dataspace_make(size)?;
        Ok(Dataspace { token })
    }

    /// What names it, to any program. It is no secret: the server looks at who asks.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Lets the program with this handle attach it. What a program was let to do once, it stays allowed to.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if that program has ended; [`Error::OutOfSlots`] after eight programs.
    pub fn share_with(&self, handle: u64, access: Access) -> Result<(), Error> {
        SOURCE.dataspace_share(self.token, handle, access)
    }

    /// Maps a dataspace: one that this program made, or was let to attach.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] once its maker has let go of it, [`Error::NotPermitted`]; else as [`Dataspace::new`].
    pub fn attach(token: u64, access: Access) -> Result<Attached, Error> {
        let (address, size) = SOURCE.dataspace_attach(token, access)?;
        Ok(Attached {
            address,
            size,
            access,
        })
    }
}

impl Drop for Dataspace {
    fn drop(&mut self) {
        // It is this program's and held: the server has no reason to refuse.
        let _ = SOURCE.dataspace_close(self.token);
    }
}

/// A dataspace in this program's address space. Dropped, it is unmapped: pointers into it are used no more then.
#[derive(Debug)]
pub struct Attached {
    address: NonNull<u8>,
    size: usize,
    access: Access,
}

// SAFETY: it is a range of addresses, the same to all threads of the program; what is done with them is up to pointers.
unsafe impl Send for Attached {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Attached {}

impl Attached {
    /// Its first byte.
    pub fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// Its bytes, whole pages.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How it is mapped.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Where a value of type `T` lies in this program; `None` where it would not lie in the dataspace as a whole, or not
    /// be aligned.
    pub fn pointer<T>(&self, offset: Offset<T>) -> Option<NonNull<T>> {
        let start = usize::try_from(offset.bytes).ok()?;
        let end = start.checked_add(size_of::<T>())?;
        if end > self.size || !start.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: `start` is at or below the size, so the result is in the mapping or one past it.
        Some(unsafe { self.address.add(start) }.cast())
    }

    /// The offset of what a pointer points to; `None` where that does not lie in the dataspace as a whole.
    pub fn offset<T>(&self, pointer: *const T) -> Option<Offset<T>> {
        let start = pointer.addr().checked_sub(self.address.addr().get())?;
        let offset = Offset::new(start as u64);
        self.pointer(offset).map(|_| offset)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It is attached: the server has no reason to refuse.
        let _ = SOURCE.dataspace_detach(self.address);
    }
}

/// Where a `T` lies in a dataspace, in bytes from its beginning: the same to every program, so it can be stored there.
#[repr(transparent)]
pub struct Offset<T> {
    bytes: u64,
    kind: PhantomData<fn() -> T>,
}

impl<T> Offset<T> {
    /// So many bytes from the beginning.
    pub const fn new(bytes: u64) -> Offset<T> {
        Offset {
            bytes,
            kind: PhantomData,
        }
    }

    /// Bytes from the beginning.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl<T> Clone for Offset<T> {
    fn clone(&self) -> Offset<T> {
        *self
    }
}

impl<T> Copy for Offset<T> {}

impl<T> PartialEq for Offset<T> {
    fn eq(&self, other: &Offset<T>) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Offset<T> {}

impl<T> fmt::Debug for Offset<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset({:#x})", self.bytes)
    }
}
