// SPDX-License-Identifier: BSD-2-Clause
//! What `virtio-drivers` wants of its surroundings: DMA memory, the device's registers, and the true addresses of buffers.
//!
//! Buffers that already lie in DMA memory are used where they are. The small ones that the crate has on its stack are
//! copied through slots of one page.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use kmalloc::device::{Device, Registers};
use kmalloc::served::{self, DmaMemory, DmaOptions};
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Pieces of DMA memory that there can be at once.
const REGIONS_MAX: usize = 16;
/// Base addresses of a function.
const BARS: usize = 6;
/// The first base address register.
const BAR_REGISTER: u32 = 0x10;
/// Bytes of a slot, and slots in their page: a bit of a word for each.
const SLOT_BYTES: usize = PAGE_SIZE / SLOTS;
const SLOTS: usize = 64;

/// Registers and the physical address that the device's own configuration names for them.
#[derive(Clone, Copy)]
struct Window {
    start: PhysAddr,
    registers: Registers,
}

struct State {
    windows: [Option<Window>; BARS],
    regions: [Option<DmaMemory>; REGIONS_MAX],
    slots: Option<DmaMemory>,
    used: u64,
}

struct Shared(UnsafeCell<State>);

// SAFETY: the program has one thread.
unsafe impl Sync for Shared {}

static STATE: Shared = Shared(UnsafeCell::new(State {
    windows: [None; BARS],
    regions: [None; REGIONS_MAX],
    slots: None,
    used: 0,
}));

fn state() -> &'static mut State {
    // SAFETY: one thread, and nobody in this module keeps the reference beyond a statement that could ask for it again.
    unsafe { &mut *STATE.0.get() }
}

impl State {
    /// The true address of a buffer that lies in DMA memory.
    fn find(&self, buffer: NonNull<[u8]>) -> Option<PhysAddr> {
        let address = buffer.cast::<u8>().addr().get();
        self.regions.iter().flatten().find_map(|region| {
            let offset = address.checked_sub(region.address.addr().get())?;
            (offset + buffer.len() <= region.size).then_some(region.dma_addr + offset as u64)
        })
    }

    /// The bytes of the slot at a true address.
    fn slot(&self, dma_addr: PhysAddr) -> Option<(usize, NonNull<u8>)> {
        let slots = self.slots.as_ref()?;
        let offset = dma_addr.checked_sub(slots.dma_addr)? as usize;
        // SAFETY: it lies inside the page.
        let inside = (offset < slots.size).then(|| unsafe { slots.address.add(offset) });
        Some((offset / SLOT_BYTES, inside?))
    }
}

/// Maps all registers of the device, and takes memory for small buffers.
pub fn start(device: &Device) -> Result<(), kmalloc::Error> {
    let state = state();
    for (bar, window) in (0..).zip(&mut state.windows) {
        let Ok(registers) = device.map_bar(bar) else {
            continue;
        };
        let low = device.read_config(BAR_REGISTER + 4 * u32::from(bar))?;
        let high = if low & 6 == 4 {
            device.read_config(BAR_REGISTER + 4 * u32::from(bar) + 4)?
        } else {
            0
        };
        *window = Some(Window {
            start: u64::from(high) << 32 | u64::from(low & !15),
            registers,
        });
    }
    state.slots = Some(served::kmalloc_dma(PAGE_SIZE, &DmaOptions::default())?);
    Ok(())
}

/// Gives the memory for small buffers back; no request may be under way.
pub fn stop() {
    if let Some(slots) = state().slots.take() {
        free(slots.address);
    }
}

/// DMA memory that buffers may lie in.
pub fn allocate(bytes: usize) -> Result<DmaMemory, kmalloc::Error> {
    let memory = served::kmalloc_dma(bytes, &DmaOptions::default())?;
    match state().regions.iter_mut().find(|region| region.is_none()) {
        Some(region) => {
            *region = Some(memory);
            Ok(memory)
        }
        None => {
            free(memory.address);
            Err(kmalloc::Error::OutOfSlots {
                limit: REGIONS_MAX as u64,
            })
        }
    }
}

/// Gives DMA memory back that no device uses any more.
pub fn free(address: NonNull<u8>) {
    for region in &mut state().regions {
        if region.is_some_and(|region| region.address == address) {
            *region = None;
        }
    }
    // SAFETY: the caller is done with it. A refusal would show in the test's figures.
    let _ = unsafe { served::kfree_dma(address.as_ptr()) };
}

/// The implementation; its state is the module's.
pub struct DmaHal;

// SAFETY: memory is zeroed, page-aligned and nobody else's by kmalloc_dma's contract; registers are mapped for good.
unsafe impl Hal for DmaHal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match allocate(pages * PAGE_SIZE) {
            Ok(memory) => (memory.dma_addr, memory.address),
            // What the crate takes for a refusal.
            Err(_) => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, vaddr: NonNull<u8>, _pages: usize) -> i32 {
        free(vaddr);
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8> {
        let windows = state().windows.iter().flatten();
        let found = windows.into_iter().find_map(|window| {
            let offset = paddr.checked_sub(window.start)? as usize;
            let is_inside = offset + size <= window.registers.size;
            // SAFETY: it lies inside the registers.
            is_inside.then(|| unsafe { window.registers.address.add(offset) })
        });
        found.expect("registers outside of the device's base addresses")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let state = state();
        if let Some(dma_addr) = state.find(buffer) {
            return dma_addr;
        }
        let index = state.used.trailing_ones() as usize;
        assert!(
            buffer.len() <= SLOT_BYTES && index < SLOTS,
            "no room for a small buffer"
        );
        state.used |= 1 << index;
        let slots = state.slots.as_ref().expect("a device that was started");
        let offset = index * SLOT_BYTES;
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the caller's buffer is readable, and the slot is nobody else's.
            unsafe {
                let slot = slots.address.add(offset);
                slot.copy_from_nonoverlapping(buffer.cast(), buffer.len());
            }
        }
        slots.dma_addr + offset as u64
    }

    unsafe fn unshare(paddr: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        let state = state();
        let Some((index, slot)) = state.slot(paddr) else {
            return;
        };
        state.used &= !(1 << index);
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: the caller's buffer is writable, and the device is done with the slot.
            unsafe {
                buffer
                    .cast::<u8>()
                    .copy_from_nonoverlapping(slot, buffer.len())
            }
        }
    }
}

/// The configuration space, by the server.
#[derive(Clone, Copy)]
pub struct Configuration(pub Device);

impl ConfigurationAccess for Configuration {
    fn read_word(&self, _function: DeviceFunction, offset: u8) -> u32 {
        // What is not there reads as all ones.
        self.0.read_config(offset.into()).unwrap_or(u32::MAX)
    }

    fn write_word(&mut self, _function: DeviceFunction, offset: u8, value: u32) {
        // The crate has no way to hear of a refusal; it would find the register unchanged.
        let _ = self.0.write_config(offset.into(), value);
    }

    unsafe fn unsafe_clone(&self) -> Self {
        *self
    }
}
