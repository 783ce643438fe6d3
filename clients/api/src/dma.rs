// SPDX-License-Identifier: BSD-2-Clause
use crate::sizes::bytes;
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::served::{self, DmaMemory, DmaOptions};
use kmalloc::{Cache, Error};

fn free(memory: DmaMemory) -> Result<(), Error> {
    // SAFETY: the tests free what they are done with.
    unsafe { served::kfree_dma(memory.address.as_ptr()) }
}

pub fn contiguous_zero_exact() -> Outcome {
    for pages in [1usize, 2, 3, 5, 16, 17, 33] {
        let before = ok!(served::stats());
        let memory = ok!(served::kmalloc_dma(
            pages * 4096 - 100,
            &DmaOptions::default()
        ));
        let after = ok!(served::stats());
        check_eq!(memory.size, pages * 4096);
        check_eq!(after.dma_bytes - before.dma_bytes, (pages * 4096) as u64);
        // SAFETY: the memory is this test's.
        let all = unsafe { bytes(memory.address, memory.size) };
        check!(all.iter().all(|byte| *byte == 0));
        all.fill(0xee);
        ok!(free(memory));
    }
    Ok(())
}

pub fn alignment_limit_boundary() -> Outcome {
    for bits in [12, 13, 16, 18, 21] {
        let options = DmaOptions {
            align: 1 << bits,
            ..DmaOptions::default()
        };
        let memory = ok!(served::kmalloc_dma(5 * 4096, &options));
        check_eq!(memory.dma_addr % (1 << bits), 0);
        ok!(free(memory));
    }
    let limit = (256 << 20) - 1;
    let options = DmaOptions {
        max_addr: limit,
        ..DmaOptions::default()
    };
    let memory = ok!(served::kmalloc_dma(100 * 4096, &options));
    check!(memory.dma_addr + memory.size as u64 - 1 <= limit);
    ok!(free(memory));
    for boundary in [1u64 << 14, 1 << 16, 1 << 20] {
        let options = DmaOptions {
            boundary,
            ..DmaOptions::default()
        };
        let memory = ok!(served::kmalloc_dma(3 * 4096, &options));
        check_eq!(
            memory.dma_addr / boundary,
            (memory.dma_addr + 3 * 4096 - 1) / boundary
        );
        ok!(free(memory));
    }
    for cache in [Cache::Streaming, Cache::WriteCombining, Cache::Uncached] {
        let memory = ok!(served::kmalloc_dma(
            4096,
            &DmaOptions {
                cache,
                ..DmaOptions::default()
            }
        ));
        // SAFETY: the memory is this test's.
        unsafe { bytes(memory.address, 4096) }.fill(1);
        ok!(free(memory));
    }
    Ok(())
}

pub fn absurd_requests() -> Outcome {
    let default = DmaOptions::default();
    check_eq!(
        served::kmalloc_dma(0, &default).err(),
        Some(Error::BadSize { size: 0 })
    );
    check!(matches!(
        served::kmalloc_dma(usize::MAX, &default),
        Err(Error::BadSize { .. })
    ));
    check!(matches!(
        served::kmalloc_dma(1 << 34, &default),
        Err(Error::OverQuota { .. })
    ));
    let align = DmaOptions {
        align: 3,
        ..default
    };
    check_eq!(
        served::kmalloc_dma(4096, &align).err(),
        Some(Error::BadAlignment { value: 3 })
    );
    let align = DmaOptions {
        align: 1 << 60,
        ..default
    };
    check_eq!(
        served::kmalloc_dma(4096, &align).err(),
        Some(Error::BadAlignment { value: 60 })
    );
    let boundary = DmaOptions {
        boundary: 4096,
        ..default
    };
    check_eq!(
        served::kmalloc_dma(8192, &boundary).err(),
        Some(Error::BadAlignment { value: 12 })
    );
    let limit = DmaOptions {
        max_addr: 0xfff,
        ..default
    };
    check!(matches!(
        served::kmalloc_dma(8192, &limit),
        Err(Error::AddressLimit {
            max_addr: 0xfff,
            ..
        })
    ));
    Ok(())
}

pub fn guards() -> Outcome {
    let first = ok!(served::kmalloc_dma(4096, &DmaOptions::default()));
    let second = ok!(served::kmalloc_dma(4096, &DmaOptions::default()));
    check!(
        first
            .address
            .addr()
            .get()
            .abs_diff(second.address.addr().get())
            >= 2 * 4096
    );
    ok!(free(first));
    ok!(free(second));
    Ok(())
}
