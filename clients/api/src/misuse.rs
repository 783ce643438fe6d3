// SPDX-License-Identifier: BSD-2-Clause
use crate::sizes::free;
use client_test::{Outcome, check_eq, ok};
use core::ptr::{null_mut, without_provenance_mut};
use kmalloc::served::{self, DmaOptions};
use kmalloc::{Error, Flags, Window};

/// Tries to free an address that is none of a block.
fn try_free(address: usize) -> Result<(), Error> {
    // SAFETY: the server refuses what is no block, which is what these tests are about.
    unsafe { served::kfree(without_provenance_mut(address)) }
}

fn try_free_dma(address: usize) -> Result<(), Error> {
    // SAFETY: as for `try_free`.
    unsafe { served::kfree_dma(without_provenance_mut(address)) }
}

pub fn free_null() -> Outcome {
    // SAFETY: null is always allowed.
    unsafe {
        ok!(served::kfree(null_mut()));
        ok!(served::kfree_dma(null_mut()));
    }
    Ok(())
}

fn double_free(size: usize) -> Outcome {
    let block = ok!(served::kmalloc(size, Flags::empty()));
    let address = block.addr().get();
    ok!(free(block));
    check_eq!(
        try_free(address),
        Err(Error::DoubleFree {
            address: address as u64
        })
    );
    Ok(())
}

pub fn double_free_small() -> Outcome {
    [16, 64, 500, 2048].into_iter().try_for_each(double_free)
}

pub fn double_free_large() -> Outcome {
    [4096, 16_384, 100_000, 3 << 20]
        .into_iter()
        .try_for_each(double_free)
}

pub fn double_free_delayed() -> Outcome {
    let keep = ok!(served::kmalloc(64, Flags::empty()));
    let block = ok!(served::kmalloc(64, Flags::empty()));
    let address = block.addr().get();
    ok!(free(block));
    for size in [16, 128, 5000] {
        let other = ok!(served::kmalloc(size, Flags::empty()));
        ok!(free(other));
    }
    check_eq!(
        try_free(address),
        Err(Error::DoubleFree {
            address: address as u64
        })
    );
    ok!(free(keep));
    Ok(())
}

pub fn interior_pointers() -> Outcome {
    for size in [16, 256, 2048] {
        let block = ok!(served::kmalloc(size, Flags::empty()));
        for offset in 1..size {
            let address = block.addr().get() + offset;
            check_eq!(
                try_free(address),
                Err(Error::BadPointer {
                    address: address as u64
                })
            );
        }
        ok!(free(block));
    }
    Ok(())
}

pub fn interior_pages() -> Outcome {
    let block = ok!(served::kmalloc(40 * 4096, Flags::empty()));
    for page in 1..40 {
        let address = block.addr().get() + page * 4096;
        check_eq!(
            try_free(address),
            Err(Error::BadPointer {
                address: address as u64
            })
        );
    }
    for offset in [1, 8, 16, 4095] {
        let address = block.addr().get() + offset;
        check_eq!(
            try_free(address),
            Err(Error::BadPointer {
                address: address as u64
            })
        );
    }
    ok!(free(block));
    Ok(())
}

pub fn wild_pointers() -> Outcome {
    let local = 0u8;
    let unused = Window::Served.base() + (1 << 35);
    let windows = Window::ALL.map(Window::base);
    let others = [
        (&raw const local).addr(),
        wild_pointers as *const () as usize,
        unused,
        1,
        16,
        0x20_0000,
        0x7fff_ffff_f000,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        usize::MAX,
        usize::MAX & !15,
    ];
    for address in others
        .into_iter()
        .chain(windows.map(|base| base + (1 << 36) - 16))
    {
        check_eq!(
            try_free(address),
            Err(Error::BadPointer {
                address: address as u64
            })
        );
        check_eq!(
            try_free_dma(address),
            Err(Error::BadPointer {
                address: address as u64
            })
        );
    }
    Ok(())
}

pub fn other_calls_check_pointers() -> Outcome {
    let block = ok!(served::kmalloc(64, Flags::empty()));
    let inside = block.addr().get() + 16;
    let refused = Err(Error::BadPointer {
        address: inside as u64,
    });
    check_eq!(served::ksize(without_provenance_mut(inside)), refused);
    // SAFETY: the server refuses what is no block.
    let resized = unsafe { served::krealloc(without_provenance_mut(inside), 10, Flags::empty()) };
    check_eq!(resized.err(), refused.err());
    ok!(free(block));
    let address = block.addr().get() as u64;
    check_eq!(
        served::ksize(block.as_ptr()),
        Err(Error::BadPointer { address })
    );
    Ok(())
}

pub fn kfree_on_dma_memory() -> Outcome {
    let memory = ok!(served::kmalloc_dma(4096, &DmaOptions::default()));
    let address = memory.address.addr().get();
    check_eq!(
        try_free(address),
        Err(Error::WrongKind {
            address: address as u64
        })
    );
    ok!(try_free_dma(address));
    check_eq!(
        try_free_dma(address),
        Err(Error::DoubleFree {
            address: address as u64
        })
    );
    Ok(())
}

pub fn kfree_dma_on_other_memory() -> Outcome {
    for size in [64, 8192, 100_000] {
        let block = ok!(served::kmalloc(size, Flags::empty()));
        let address = block.addr().get();
        check_eq!(
            try_free_dma(address),
            Err(Error::WrongKind {
                address: address as u64
            })
        );
        ok!(free(block));
    }
    Ok(())
}
