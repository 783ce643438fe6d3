// SPDX-License-Identifier: BSD-2-Clause
//! The server's own address space beyond its image.

use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_server::segments::LEDGER_FRAMES;

/// The tables of the server, in frames of 2 MiB.
pub const HEAP_WINDOW: usize = 0x80_0000_0000;
/// The ledgers of all segments, in order.
pub const LEDGER_WINDOW: usize = 0x81_0000_0000;
/// One page, for frames that the server fills or zeroes.
pub const SCRATCH_WINDOW: usize = 0x82_0000_0000;
/// One page, for frames that the cleaner zeroes.
pub const CLEANER_WINDOW: usize = SCRATCH_WINDOW + PAGE_SIZE;
/// One page, for frames that the server copies from.
pub const COPY_WINDOW: usize = CLEANER_WINDOW + PAGE_SIZE;
/// Address space for the ledger of one segment.
pub const LEDGER_BYTES: usize = LEDGER_FRAMES * PAGE_SIZE;
/// Bytes that one page table maps.
pub const PAGE_TABLE_BYTES: usize = 1 << 21;
/// Bytes that one page directory maps.
pub const PAGE_DIRECTORY_BYTES: usize = 1 << 30;
