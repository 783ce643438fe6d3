// SPDX-License-Identifier: BSD-2-Clause
use crate::edu::{ADDRESS_MAX, BUFFER_BYTES, Edu, IDENTITY, Way};
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::Error;
use kmalloc::device::Device;
use kmalloc::process::set_alarm;
use kmalloc::served::{self, DmaMemory, DmaOptions};

/// Memory that the device reaches.
pub const REACHED: DmaOptions = DmaOptions {
    align: 1,
    max_addr: ADDRESS_MAX,
    boundary: 0,
    cache: kmalloc::Cache::Coherent,
};

pub fn bytes(memory: &mut DmaMemory) -> &mut [u8] {
    // SAFETY: the memory is this program's, and no transfer is under way.
    unsafe { core::slice::from_raw_parts_mut(memory.address.as_ptr(), memory.size) }
}

pub fn free(memory: DmaMemory) -> Result<(), Error> {
    // SAFETY: no transfer is under way.
    unsafe { served::kfree_dma(memory.address.as_ptr()) }
}

fn pattern(seed: usize, place: usize) -> u8 {
    (seed * 31 + place * 7 + place / 256) as u8
}

pub fn identity() -> Outcome {
    let edu = ok!(Edu::start());
    check_eq!((edu.device.vendor, edu.device.device), (0x1234, 0x11e8));
    check_eq!(edu.identity(), IDENTITY);
    check_eq!(edu.liveness(0x1234_5678), !0x1234_5678);
    // What it has it is given again.
    check_eq!(ok!(Device::open(0)), edu.device);
    check_eq!(Device::open(1), Err(Error::NoDevice { device: 1 }));
    let refused = edu.device.map_bar(1);
    check_eq!(refused, Err(Error::BadRegister { offset: 1 }));
    let refused = edu.device.map_bar(200);
    check_eq!(refused, Err(Error::BadRegister { offset: 200 }));
    Ok(())
}

pub fn config() -> Outcome {
    let device = ok!(Device::open(0));
    check_eq!(ok!(device.read_config(0)), 0x11e8_1234);
    for offset in [1, 0x42, 0x100, u32::MAX] {
        let refused = Error::BadRegister {
            offset: offset.into(),
        };
        check_eq!(device.read_config(offset), Err(refused));
        check_eq!(device.write_config(offset, 0), Err(refused));
    }
    // Another address would be other memory.
    let bar = ok!(device.read_config(0x10));
    let refused = Err(Error::BadRegister { offset: 0x10 });
    check_eq!(device.write_config(0x10, bar + 0x10_0000), refused);
    check_eq!(device.write_config(0x10, 0), refused);
    check_eq!(ok!(device.read_config(0x10)), bar);
    // Its size may be asked for, as drivers do.
    ok!(device.write_config(0x10, u32::MAX));
    check_eq!(ok!(device.read_config(0x10)) & !15, !(0x10_0000 - 1));
    ok!(device.write_config(0x10, bar));
    check_eq!(ok!(device.read_config(0x10)), bar);
    // Where messages go is for the server to say: every one of them could be any interrupt.
    for offset in [0x40, 0x44, 0x48, 0x4c] {
        let refused = Err(Error::BadRegister {
            offset: offset.into(),
        });
        check_eq!(device.write_config(offset, 0xfee0_0000), refused);
    }
    Ok(())
}

pub fn interrupt() -> Outcome {
    let edu = ok!(Edu::start());
    for (number, factorial) in [(1, 1), (5, 120), (10, 3_628_800)] {
        check_eq!(ok!(edu.factorial(number)), factorial);
    }
    Ok(())
}

pub fn round_trip() -> Outcome {
    let edu = ok!(Edu::start());
    let mut out = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    let mut back = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    for seed in 1..4 {
        for (place, byte) in bytes(&mut out).iter_mut().enumerate() {
            *byte = pattern(seed, place);
        }
        bytes(&mut back).fill(0);
        ok!(edu.transfer(out.dma_addr, BUFFER_BYTES, Way::ToDevice));
        bytes(&mut out).fill(0);
        ok!(edu.transfer(back.dma_addr, BUFFER_BYTES, Way::ToMemory));
        for (place, byte) in bytes(&mut back).iter().enumerate() {
            let expected = if place < BUFFER_BYTES {
                pattern(seed, place)
            } else {
                0
            };
            check_eq!((place, *byte), (place, expected));
        }
        check!(bytes(&mut out).iter().all(|byte| *byte == 0));
    }
    ok!(free(out));
    ok!(free(back));
    Ok(())
}

/// The address that the device uses is the true one, at each page of a buffer of several.
pub fn offsets() -> Outcome {
    let edu = ok!(Edu::start());
    let mut memory = ok!(served::kmalloc_dma(5 * 4096, &REACHED));
    check_eq!(memory.size, 5 * 4096);
    for page in 0..5 {
        for (place, byte) in bytes(&mut memory).iter_mut().enumerate() {
            *byte = pattern(page, place);
        }
        let (start, length) = (page * 4096 + 16 * page, 64);
        let dma_addr = memory.dma_addr + start as u64;
        ok!(edu.transfer(dma_addr, length, Way::ToDevice));
        bytes(&mut memory).fill(0);
        ok!(edu.transfer(dma_addr, length, Way::ToMemory));
        for (place, byte) in bytes(&mut memory).iter().enumerate() {
            let expected = if (start..start + length).contains(&place) {
                pattern(page, place)
            } else {
                0
            };
            check_eq!((place, *byte), (place, expected));
        }
    }
    ok!(free(memory));
    Ok(())
}

pub fn limit() -> Outcome {
    // Without the limit memory comes from high addresses, which the device would cut off.
    let high = ok!(served::kmalloc_dma(4096, &DmaOptions::default()));
    check!(high.dma_addr > ADDRESS_MAX);
    ok!(free(high));
    let mut buffers = [const { None }; 64];
    for (place, buffer) in buffers.iter_mut().enumerate() {
        let memory = ok!(served::kmalloc_dma((place + 1) * 4096, &REACHED));
        check!(memory.dma_addr + memory.size as u64 - 1 <= ADDRESS_MAX);
        *buffer = Some(memory);
    }
    for memory in buffers.into_iter().flatten() {
        ok!(free(memory));
    }
    // More than lies below the limit is refused by name of the limit, though more is free above.
    let refused = served::kmalloc_dma(257 << 20, &REACHED);
    check!(matches!(
        refused,
        Err(Error::AddressLimit {
            max_addr: ADDRESS_MAX,
            ..
        }) | Err(Error::OverQuota { .. })
            | Err(Error::NoContiguousRun { .. })
    ));
    let nothing = DmaOptions {
        max_addr: 4095,
        ..REACHED
    };
    check!(matches!(
        served::kmalloc_dma(4096, &nothing),
        Err(Error::AddressLimit {
            max_addr: 4095,
            largest: 0
        })
    ));
    Ok(())
}

pub fn not_a_master() -> Outcome {
    let edu = ok!(Edu::start());
    let mut memory = ok!(served::kmalloc_dma(BUFFER_BYTES, &REACHED));
    bytes(&mut memory).fill(0x77);
    ok!(edu.transfer(memory.dma_addr, BUFFER_BYTES, Way::ToDevice));
    bytes(&mut memory).fill(0x11);
    ok!(edu.device.set_bus_master(false));
    edu.begin(memory.dma_addr, BUFFER_BYTES, Way::ToMemory);
    let due_us = ok!(set_alarm(300_000)) + 300_000;
    while ok!(set_alarm(0)) < due_us {}
    check!(bytes(&mut memory).iter().all(|byte| *byte == 0x11));
    ok!(free(memory));
    Ok(())
}

pub fn nobody_s() -> Outcome {
    check_eq!(Device::open(0), Err(Error::NoDevice { device: 0 }));
    let refused = kmalloc::transport::call_done(&kmalloc::Request::MapBar {
        function: 0,
        bar: 0,
    });
    check_eq!(refused, Err(Error::NoDevice { device: 0 }));
    Ok(())
}
