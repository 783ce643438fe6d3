// SPDX-License-Identifier: BSD-2-Clause
//! The fixed windows of a client's address space. The kind of a pointer is read off its address: bits 36 and up.
//!
//! All windows lie below 512 GiB, so that one PDPT serves a whole client.

/// log2 of the bytes in a window (64 GiB).
pub const WINDOW_SIZE_BITS: u32 = 36;
/// log2 of the bytes in a segment (2 MiB): what one page table maps, and what is handed out of a window.
pub const SEGMENT_SIZE_BITS: u32 = 21;

/// A window of a client's address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Window {
    /// Blocks and pages that the server keeps the books of, one IPC a call.
    Served = 1,
    /// Buckets that the client library cuts itself.
    Resident = 2,
    /// Large blocks of the resident heap, in whole pages, with room to grow in place.
    Large = 3,
    /// DMA memory.
    Dma = 4,
    /// Dataspaces shared between clients.
    Shared = 5,
    /// Registers of devices.
    Device = 6,
}

impl Window {
    /// Every window, lowest address first.
    pub const ALL: [Window; 6] = [
        Window::Served,
        Window::Resident,
        Window::Large,
        Window::Dma,
        Window::Shared,
        Window::Device,
    ];

    /// The window that `address` lies in; `None` for image, stack and everything outside the windows.
    #[inline(always)]
    pub const fn of(address: usize) -> Option<Window> {
        match address >> WINDOW_SIZE_BITS {
            1 => Some(Window::Served),
            2 => Some(Window::Resident),
            3 => Some(Window::Large),
            4 => Some(Window::Dma),
            5 => Some(Window::Shared),
            6 => Some(Window::Device),
            _ => None,
        }
    }

    /// The first address of the window.
    #[inline(always)]
    pub const fn base(self) -> usize {
        (self as usize) << WINDOW_SIZE_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_at_its_base_and_ends_before_the_next() {
        for window in Window::ALL {
            assert_eq!(Window::of(window.base()), Some(window));
            assert_eq!(
                Window::of(window.base() + (1 << WINDOW_SIZE_BITS) - 1),
                Some(window)
            );
        }
        assert_eq!(Window::of(0x40_0000), None);
        assert_eq!(
            Window::of(Window::Device.base() + (1 << WINDOW_SIZE_BITS)),
            None
        );
        assert_eq!(Window::of(usize::MAX), None);
    }
}
