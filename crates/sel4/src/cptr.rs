// SPDX-License-Identifier: BSD-2-Clause

//! Addresses of capabilities.

use core::fmt;
use core::hash::Hash;
use core::marker::PhantomData;

use crate::cap_types::{CapType, cap};
use crate::invocation_context::{InvocationContext, NoExplicitInvocationContext};
use crate::{WORD_SIZE, Word};

/// The number behind a [`CPtr`].
pub type CPtrBits = Word;

/// The address of a capability slot, resolved to full depth in the CSpace of the calling thread.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct CPtr {
    bits: CPtrBits,
}

impl CPtr {
    /// The number.
    pub const fn bits(self) -> CPtrBits {
        self.bits
    }

    /// The address with this number.
    pub const fn from_bits(bits: CPtrBits) -> Self {
        Self { bits }
    }

    /// Asserts that a capability of type `T` is there.
    pub const fn cast<T: CapType>(self) -> Cap<T> {
        Cap::from_cptr(self)
    }
}

/// The address of a slot relative to some CNode, resolved to a given depth.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct CPtrWithDepth {
    bits: CPtrBits,
    depth: usize,
}

impl CPtrWithDepth {
    /// The address whose low `depth` bits are those of `bits`.
    pub const fn from_bits_with_depth(bits: CPtrBits, depth: usize) -> Self {
        Self { bits, depth }
    }

    /// The number.
    pub const fn bits(&self) -> CPtrBits {
        self.bits
    }

    /// How many bits of it are resolved.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The CNode itself.
    pub const fn empty() -> Self {
        Self::from_bits_with_depth(0, 0)
    }
}

impl From<CPtr> for CPtrWithDepth {
    fn from(cptr: CPtr) -> Self {
        Self::from_bits_with_depth(cptr.bits(), WORD_SIZE)
    }
}

/// A [`CPtr`] with the type of the capability that is believed to be there.
///
/// `C` says where invocations find the thread's IPC buffer; by default the thread's own is looked up.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Cap<T: CapType, C = NoExplicitInvocationContext> {
    cptr: CPtr,
    invocation_context: C,
    cap_type: PhantomData<T>,
}

impl<T: CapType, C> Cap<T, C> {
    /// The address.
    pub const fn cptr(&self) -> CPtr {
        self.cptr
    }

    /// The number of the address.
    pub const fn bits(&self) -> CPtrBits {
        self.cptr.bits
    }

    /// The same address, believed to hold another type.
    pub fn cast<T1: CapType>(self) -> Cap<T1, C> {
        Cap {
            cptr: self.cptr,
            invocation_context: self.invocation_context,
            cap_type: PhantomData,
        }
    }

    /// The same capability, invoked with another context.
    pub fn with<C1>(self, context: C1) -> Cap<T, C1> {
        Cap {
            cptr: self.cptr,
            invocation_context: context,
            cap_type: PhantomData,
        }
    }

    /// The same capability, invoked with the thread's own context.
    pub fn without_context(self) -> Cap<T> {
        self.with(NoExplicitInvocationContext::new())
    }

    /// The context.
    pub fn into_invocation_context(self) -> C {
        self.invocation_context
    }

    /// Forgets the type.
    pub fn upcast(self) -> cap::Unspecified<C> {
        self.cast()
    }
}

impl<T: CapType> Cap<T> {
    /// Asserts that a capability of type `T` is at `cptr`.
    pub const fn from_cptr(cptr: CPtr) -> Self {
        Self {
            cptr,
            invocation_context: NoExplicitInvocationContext::new(),
            cap_type: PhantomData,
        }
    }

    /// Asserts that a capability of type `T` is at the address with this number.
    pub const fn from_bits(bits: CPtrBits) -> Self {
        Self::from_cptr(CPtr::from_bits(bits))
    }
}

impl<C> cap::Unspecified<C> {
    /// Asserts that the capability has type `T`.
    pub fn downcast<T: CapType>(self) -> Cap<T, C> {
        self.cast()
    }
}

impl<T: CapType, C> fmt::Debug for Cap<T, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple(T::NAME)
            .field(&self.cptr.bits)
            .finish()
    }
}

/// A slot: a path from a CNode that the caller holds.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct AbsoluteCPtr<C = NoExplicitInvocationContext> {
    root: cap::CNode<C>,
    path: CPtrWithDepth,
}

impl<C> AbsoluteCPtr<C> {
    /// The slot at `path` in `root`.
    pub const fn new(root: cap::CNode<C>, path: CPtrWithDepth) -> Self {
        Self { root, path }
    }

    /// The CNode from which the path starts.
    pub const fn root(&self) -> &cap::CNode<C> {
        &self.root
    }

    /// The CNode from which the path starts.
    pub fn into_root(self) -> cap::CNode<C> {
        self.root
    }

    /// The path.
    pub const fn path(&self) -> &CPtrWithDepth {
        &self.path
    }

    /// The same slot, invoked with another context.
    pub fn with<C1>(self, context: C1) -> AbsoluteCPtr<C1> {
        AbsoluteCPtr {
            root: self.root.with(context),
            path: self.path,
        }
    }

    /// The same slot, invoked with the thread's own context.
    pub fn without_context(self) -> AbsoluteCPtr {
        self.with(NoExplicitInvocationContext::new())
    }
}

/// What names a slot relative to a CNode.
pub trait HasCPtrWithDepth {
    /// The path.
    fn cptr_with_depth(self) -> CPtrWithDepth;
}

impl HasCPtrWithDepth for CPtr {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self.into()
    }
}

impl<T: CapType, C> HasCPtrWithDepth for Cap<T, C> {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self.cptr.into()
    }
}

impl HasCPtrWithDepth for CPtrWithDepth {
    fn cptr_with_depth(self) -> CPtrWithDepth {
        self
    }
}

impl<C> cap::CNode<C> {
    /// The slot at `path`, from this CNode.
    pub fn absolute_cptr<T: HasCPtrWithDepth>(self, path: T) -> AbsoluteCPtr<C> {
        AbsoluteCPtr {
            root: self,
            path: path.cptr_with_depth(),
        }
    }

    /// The slot at the path of `depth` bits, from this CNode.
    pub fn absolute_cptr_from_bits_with_depth(
        self,
        bits: CPtrBits,
        depth: usize,
    ) -> AbsoluteCPtr<C> {
        self.absolute_cptr(CPtrWithDepth::from_bits_with_depth(bits, depth))
    }

    /// This CNode, as the destination of a retype.
    pub fn absolute_cptr_for_self(self) -> AbsoluteCPtr<C> {
        self.absolute_cptr(CPtrWithDepth::empty())
    }
}

impl<T: CapType, C: InvocationContext> Cap<T, C> {
    /// Gives `f` the address and the IPC buffer.
    pub(crate) fn with_ipc_buffer<R>(
        mut self,
        f: impl FnOnce(CPtrBits, &mut crate::IpcBuffer) -> R,
    ) -> R {
        let bits = self.bits();
        self.invocation_context
            .with_context(|ipc_buffer| f(bits, ipc_buffer))
    }
}
