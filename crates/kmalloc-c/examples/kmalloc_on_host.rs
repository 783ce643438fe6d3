// SPDX-License-Identifier: BSD-2-Clause
//! The C functions as a static library over the host's memory.

use kmalloc::Heap;
use kmalloc_host_source::HostSource;

// SAFETY: the C program that the library is linked to has one thread.
static HEAP: Heap<HostSource> = unsafe { Heap::single_threaded(HostSource::new(64 << 20)) };

kmalloc_c::export!(HEAP);
