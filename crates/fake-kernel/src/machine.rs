// SPDX-License-Identifier: BSD-2-Clause
//! PCI functions and interrupts.

use crate::FakeKernel;
use crate::capability::Capability;
use crate::failure::code;
use crate::inside::Inside;
use crate::iommu::IoSpace;
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, InterruptSource, MessageInterrupt, Object, Refused, Slot,
};
use kmalloc_server::machine::{DEVICE_FRAMES_MAX, Machine};
use kmalloc_server::pci::{BARS, FunctionAddress, command, register};
use kmalloc_server::physical::Page;
use std::collections::BTreeMap;

/// A function of a device: 64 words of configuration space, and which of their bits can be written.
#[derive(Clone, Debug)]
pub struct FakeFunction {
    /// The words.
    pub words: [u32; 64],
    /// The bits of each that stick.
    pub writable: [u32; 64],
    /// Bits of the command register that can be set and never cleared, as in a device that is broken.
    pub stuck: u32,
    /// How often each word has been written to.
    pub written: [u32; 64],
}

impl FakeFunction {
    /// A function of this vendor and device, with the first base address at `address`, `size` bytes (a power of two) of
    /// memory, and an interrupt line.
    pub fn new(vendor: u16, device: u16, address: u32, size: u32, line: u8) -> FakeFunction {
        let mut words = [0; 64];
        let mut writable = [0; 64];
        let at = |offset: u16| usize::from(offset / 4);
        words[at(register::ID)] = u32::from(device) << 16 | u32::from(vendor);
        words[at(register::CLASS)] = 0x00ff_0000;
        words[at(register::COMMAND)] = command::MEMORY | command::BUS_MASTER;
        writable[at(register::COMMAND)] = command::OF_DRIVERS;
        words[at(register::BAR)] = address;
        writable[at(register::BAR)] = !(size - 1);
        words[at(register::INTERRUPT)] = 1 << 8 | u32::from(line);
        writable[at(register::INTERRUPT)] = 0xff;
        FakeFunction {
            words,
            writable,
            stuck: 0,
            written: [0; 64],
        }
    }

    /// The same with a capability at the offset `at`, a multiple of 4 from 0x40 on: its first word without the link, and
    /// further words, that can be written.
    pub fn with_capability(mut self, at: u16, head: u32, words: u16) -> FakeFunction {
        let first = usize::from(at / 4);
        let link = usize::from(register::CAPABILITIES / 4);
        self.words[first] = head & !0xff00 | self.words[link] << 8;
        self.words[link] = at.into();
        self.words[usize::from(register::COMMAND / 4)] |= 1 << 20;
        self.writable[first] = 0xffff_0000;
        for word in first + 1..=first + usize::from(words) {
            self.writable[word] = u32::MAX;
        }
        self
    }

    /// A word of the configuration space.
    pub fn word(&self, offset: u16) -> u32 {
        self.words[usize::from(offset / 4)]
    }

    /// Whether it uses the bus, or answers there, as far as that is not its own fault.
    fn answers(&self) -> bool {
        let command = self.word(register::COMMAND) & !self.stuck;
        command & (1 | command::MEMORY | command::BUS_MASTER) != 0
    }

    fn write(&mut self, offset: u16, value: u32) {
        let index = usize::from(offset / 4);
        let is_base_address = (register::BAR..register::BAR + 4 * BARS as u16).contains(&offset);
        assert!(
            !is_base_address || !self.answers(),
            "a base address is written while the function answers"
        );
        self.written[index] += 1;
        let writable = self.writable[index];
        let kept = if offset == register::COMMAND {
            self.stuck & self.words[index]
        } else {
            0
        };
        self.words[index] = self.words[index] & !writable | value & writable | kept;
    }
}

/// All functions, and whose interrupts are open.
#[derive(Debug, Default)]
pub struct FakeMachine {
    /// By address.
    pub functions: BTreeMap<FunctionAddress, FakeFunction>,
    /// Interrupts that signal somebody.
    pub interrupts: BTreeMap<u8, (InterruptSource, ClientIndex)>,
    /// Levels of tables between functions and memory; 0 is a machine without an IOMMU. To be set before functions are
    /// looked for.
    pub io_levels: u8,
    /// What functions reach, by their number.
    pub(crate) io_spaces: BTreeMap<u8, IoSpace>,
    /// How often each has been acknowledged.
    pub acknowledged: BTreeMap<u8, u32>,
    frames: u32,
}

impl FakeKernel {
    /// The devices.
    pub fn machine(&self) -> &FakeMachine {
        &self.machine
    }

    /// The devices.
    pub fn machine_mut(&mut self) -> &mut FakeMachine {
        &mut self.machine
    }
}

impl Machine for FakeKernel {
    fn pci_read(&mut self, function: FunctionAddress, offset: u16) -> Result<u32, Refused> {
        let _inside = Inside::enter();
        self.begin("pci_read")?;
        let function = self.machine.functions.get(&function);
        Ok(function.map_or(u32::MAX, |function| function.word(offset)))
    }

    fn pci_write(
        &mut self,
        function: FunctionAddress,
        offset: u16,
        value: u32,
    ) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("pci_write")?;
        if let Some(function) = self.machine.functions.get_mut(&function) {
            function.write(offset, value);
        }
        Ok(())
    }

    fn device_frames(&mut self, address: u64, pages: usize) -> Result<u32, Refused> {
        let _inside = Inside::enter();
        self.begin("device_frames")?;
        let first = self.machine.frames;
        if first + pages as u32 > DEVICE_FRAMES_MAX {
            return Err(Refused {
                code: code::RANGE_ERROR,
            });
        }
        self.machine.frames += pages as u32;
        for page in 0..pages as u32 {
            let place = address + (u64::from(page) << 12);
            let frame = Capability::new(None, place, Object::Frame);
            self.capabilities.insert(Slot::Device(first + page), frame);
        }
        Ok(first)
    }

    fn open_interrupt(
        &mut self,
        number: u8,
        source: InterruptSource,
        client: ClientIndex,
    ) -> Result<Option<MessageInterrupt>, Refused> {
        let _inside = Inside::enter();
        self.begin("open_interrupt")?;
        let notification = Slot::Client(client, ClientObject::Notification);
        assert!(
            self.capability(notification).is_some(),
            "{client:?} has no notification"
        );
        let old = self.machine.interrupts.insert(number, (source, client));
        assert_eq!(old, None, "interrupt {number} is open already");
        Ok(match source {
            InterruptSource::Line(_) => None,
            InterruptSource::Message(_) => Some(MessageInterrupt {
                address: 0xfee0_0000,
                data: 0x31 + u32::from(number),
            }),
        })
    }

    fn acknowledge_interrupt(&mut self, number: u8) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("acknowledge_interrupt")?;
        assert!(
            self.machine.interrupts.contains_key(&number),
            "interrupt {number} is not open"
        );
        *self.machine.acknowledged.entry(number).or_default() += 1;
        Ok(())
    }

    fn close_interrupt(&mut self, number: u8) {
        self.machine.interrupts.remove(&number);
    }

    fn io_levels(&self) -> u8 {
        self.machine.io_levels
    }

    fn open_io_space(&mut self, number: u8, function: FunctionAddress) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("open_io_space")?;
        self.open_space(number, function)
    }

    fn map_io_table(&mut self, table: Page, number: u8, address: u64) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("map_io_table")?;
        self.hook_io_table(table, number, address)
    }

    fn unmap_io_table(&mut self, table: Page) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin_taking();
        self.unhook_io_table(table);
        Ok(())
    }

    fn map_io_page(&mut self, copy: Slot, number: u8, address: u64) -> Result<(), Refused> {
        let _inside = Inside::enter();
        self.begin("map_io_page")?;
        self.map_for_function(copy, number, address)
    }
}
