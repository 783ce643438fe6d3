// SPDX-License-Identifier: BSD-2-Clause
//! Devices in the hands of clients: taking them, their memory, their interrupts; and what happens to them when the
//! client dies.

use crate::Server;
use crate::client::Life;
use crate::kernel::{
    ClientIndex, InterruptSource, Kernel, Mapping, MessageInterrupt, Refused, Slot,
};
use crate::pci::{BARS, Bar, FunctionAddress, bar_register, command, register};
use crate::physical::Page;
use crate::run::RunPlan;
use crate::segments::{SEGMENT_PAGES, address_of};
use kmalloc_bucket::ledger::NONE;
use kmalloc_bucket::size_class::PAGE_SIZE;
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Cache, Error, Reply, Response};

/// A pin of the first IO APIC that is none: PCI functions have a line below this.
const LINES_END: u8 = 24;

/// The control word of messages: on, one message, as firmware left the rest.
const MESSAGES_ON: u32 = 1 << 16;
const MESSAGES_COUNT: u32 = 7 << 20;
const MESSAGES_WIDE: u32 = 1 << 23;

fn no_device(device: u8) -> Error {
    Error::NoDevice {
        device: device.into(),
    }
}

impl<K: Kernel> Server<K> {
    /// Takes the `index`th of the functions that the client may have.
    pub(crate) fn open_device(&mut self, client: ClientIndex, index: u8) -> Response {
        let allowed = self.client_mut(client)?.devices;
        let place = (0..self.functions.len())
            .filter(|place| allowed >> place & 1 != 0)
            .nth(index.into())
            .ok_or(no_device(index))?;
        let Some(function) = self.functions.get(place) else {
            return Err(no_device(index));
        };
        if function.owner.is_some_and(|owner| owner != client) {
            let device = index.into();
            return Err(Error::DeviceBusy { device });
        }
        let (address, id, class) = (function.address, function.id, function.class);
        if function.owner.is_none() {
            let mut bars = self.size_bars(address)?;
            if let Some(function) = self.functions.get_mut(place) {
                // Frames of a base address are made once and for all.
                for (bar, known) in bars.iter_mut().zip(&function.bars) {
                    bar.frames = known.frames;
                }
                function.bars = bars;
                function.owner = Some(client);
            }
            self.let_reach(client, place)?;
        }
        Ok(Reply::Device {
            function: place as u8,
            address: address.0.into(),
            id,
            class,
        })
    }

    /// The place of a function that the client has opened.
    fn owned(&self, client: ClientIndex, function: u8) -> Result<usize, Error> {
        match self.functions.get(usize::from(function)) {
            Some(known) if known.owner == Some(client) => Ok(function.into()),
            _ => Err(no_device(function)),
        }
    }

    pub(crate) fn pci_config_read(
        &mut self,
        client: ClientIndex,
        function: u8,
        offset: u32,
    ) -> Response {
        let place = self.owned(client, function)?;
        let value = self.read_config(place, offset)?;
        Ok(Reply::Value { value })
    }

    pub(crate) fn pci_config_write(
        &mut self,
        client: ClientIndex,
        function: u8,
        offset: u32,
        value: u32,
    ) -> Response {
        let place = self.owned(client, function)?;
        self.write_config(place, offset, value)?;
        Ok(Reply::Done)
    }

    /// Maps what a base address register says, uncached. It stays until the client ends.
    pub(crate) fn map_bar(&mut self, client: ClientIndex, function: u8, bar: u8) -> Response {
        let place = self.owned(client, function)?;
        let index = usize::from(bar);
        let known = match self.functions.get(place).map(|known| known.bars.get(index)) {
            Some(Some(known)) if known.size != 0 => *known,
            _ => {
                let offset = bar.into();
                return Err(Error::BadRegister { offset });
            }
        };
        if known.is_ports() {
            let address = known.address;
            return Err(Error::WrongKind { address });
        }
        let page_offset = known.address % PAGE_SIZE as u64;
        if known.mapped == NONE {
            if known.size < PAGE_SIZE as u64 {
                self.check_alone(place, &known)?;
            }
            let mapped = self.map_device(client, place, index, known)?;
            if let Some(bar) = self.bar_mut(place, index) {
                bar.mapped = mapped;
            }
        }
        let number = self.bar_mut(place, index).map_or(NONE, |bar| bar.mapped);
        Ok(Reply::Region {
            address: address_of(Window::Device, number) as u64 + page_offset,
            size: known.size,
        })
    }

    fn bar_mut(&mut self, place: usize, index: usize) -> Option<&mut Bar> {
        self.functions.get_mut(place)?.bars.get_mut(index)
    }

    /// A page that holds registers of another function too is not mapped.
    fn check_alone(&mut self, place: usize, bar: &Bar) -> Result<(), Error> {
        let page = bar.address / PAGE_SIZE as u64;
        for other in 0..self.functions.len() {
            let Some(address) = self.functions.get(other).map(|other| other.address) else {
                break;
            };
            if other == place {
                continue;
            }
            let mut index = 0;
            while index < BARS {
                let (registers, wide) = self.registers_at(address, index)?;
                if registers.is_some_and(|address| address / PAGE_SIZE as u64 == page) {
                    let device = other as u64;
                    return Err(Error::DeviceBusy { device });
                }
                index += 1 + usize::from(wide);
            }
        }
        Ok(())
    }

    /// Where the registers of a function's base address are, unless it is none or one of ports, and whether the address takes
    /// the next register as well.
    fn registers_at(
        &mut self,
        function: FunctionAddress,
        index: usize,
    ) -> Result<(Option<u64>, bool), Refused> {
        let low = self.kernel.pci_read(function, bar_register(index))?;
        if low & 1 != 0 {
            return Ok((None, false));
        }
        let wide = low & 6 == 4 && index + 1 < BARS;
        let high = match wide {
            true => self.kernel.pci_read(function, bar_register(index + 1))?,
            false => 0,
        };
        let address = u64::from(high) << 32 | u64::from(low & !15);
        Ok(((address != 0).then_some(address), wide))
    }

    /// Maps the pages of a base address; the number of the first.
    fn map_device(
        &mut self,
        client: ClientIndex,
        place: usize,
        index: usize,
        known: Bar,
    ) -> Result<u32, Error> {
        let start = known.address / PAGE_SIZE as u64 * PAGE_SIZE as u64;
        let pages = ((known.address - start + known.size) as usize).div_ceil(PAGE_SIZE);
        let mut frames = known.frames;
        if frames == NONE {
            frames = self.kernel.device_frames(start, pages)?;
            if let Some(bar) = self.bar_mut(place, index) {
                bar.frames = frames;
            }
        }
        let plan = RunPlan {
            align: 1,
            large: false,
            how: Mapping {
                writable: true,
                cache: Cache::Uncached,
            },
            ..RunPlan::pages(Window::Device, pages)
        };
        let number = self.take_run_space(client, &plan)?;
        for page in 0..pages as u32 {
            if let Err(error) = self.map_device_page(client, &plan, number + page, frames + page) {
                for mapped in 0..page {
                    self.kernel.unmap_page(Slot::Device(frames + mapped))?;
                }
                self.give_run_space(client, number, plan.space())?;
                return Err(error);
            }
        }
        if let Some(bar) = self.bar_mut(place, index) {
            bar.mapped_pages = pages as u32;
        }
        Ok(number)
    }

    fn map_device_page(
        &mut self,
        client: ClientIndex,
        plan: &RunPlan,
        number: u32,
        frame: u32,
    ) -> Result<(), Error> {
        let segment = number / SEGMENT_PAGES as u32;
        if self
            .segments
            .get(segment)
            .is_some_and(|open| open.table == NONE)
        {
            self.give_table(client, Window::Device, segment)?;
        }
        let vspace = Page(self.client_mut(client)?.vspace);
        let address = address_of(Window::Device, number);
        Ok(self
            .kernel
            .map_page(Slot::Device(frame), vspace, address, plan.how)?)
    }

    /// Makes a function's interrupt signal the client.
    pub(crate) fn enable_interrupt(&mut self, client: ClientIndex, function: u8) -> Response {
        let place = self.owned(client, function)?;
        let Some(known) = self.functions.get(place) else {
            return Err(no_device(function));
        };
        let (address, line) = (known.address, known.line);
        if known.interrupt {
            return Ok(Reply::Done);
        }
        let source = match self.message_capability(address)? {
            Some(_) => InterruptSource::Message(address),
            None => {
                let mut others = self.functions.iter().enumerate();
                let is_shared = others.any(|(other, function)| {
                    other != place && function.interrupt && function.line == line
                });
                if is_shared || line == 0 || line >= LINES_END {
                    let line = line.into();
                    return Err(Error::SharedInterrupt { line });
                }
                InterruptSource::Line(line)
            }
        };
        let message = self.kernel.open_interrupt(function, source, client)?;
        if let Err(error) = self.send_messages(place, message) {
            self.kernel.close_interrupt(function);
            return Err(error);
        }
        if let Some(known) = self.functions.get_mut(place) {
            known.interrupt = true;
        }
        Ok(Reply::Done)
    }

    /// Tells a function where its interrupts go, if they are messages. The driver never could: a message is a write to
    /// memory, and may be any interrupt of the machine.
    fn send_messages(
        &mut self,
        place: usize,
        message: Option<MessageInterrupt>,
    ) -> Result<(), Error> {
        let Some((message, function)) = message.zip(self.functions.get(place)) else {
            return Ok(());
        };
        let address = function.address;
        let Some(at) = self.message_capability(address)? else {
            return Ok(());
        };
        let control = self.kernel.pci_read(address, at)?;
        self.kernel.pci_write(address, at + 4, message.address)?;
        let data = if control & MESSAGES_WIDE != 0 {
            self.kernel.pci_write(address, at + 8, 0)?;
            at + 12
        } else {
            at + 8
        };
        self.kernel.pci_write(address, data, message.data)?;
        let control = control & !MESSAGES_COUNT | MESSAGES_ON;
        Ok(self.kernel.pci_write(address, at, control)?)
    }

    /// Lets a function's interrupt come again.
    pub(crate) fn ack_interrupt(&mut self, client: ClientIndex, function: u8) -> Response {
        let place = self.owned(client, function)?;
        match self.functions.get(place) {
            Some(known) if known.interrupt => {
                self.kernel.acknowledge_interrupt(function)?;
                Ok(Reply::Done)
            }
            _ => Err(no_device(function)),
        }
    }

    /// Stops the devices of a client that has ended. False when one of them could not be shown to have stopped: then what
    /// the client had is in quarantine.
    pub(crate) fn stop_devices(&mut self, client: ClientIndex) -> bool {
        let mut stopped = true;
        for place in 0..self.functions.len() {
            if self.functions.get(place).map(|known| known.owner) != Some(Some(client)) {
                continue;
            }
            let silent = self.silence(place);
            if let Some(known) = self.functions.get_mut(place) {
                if core::mem::take(&mut known.interrupt) {
                    self.kernel.close_interrupt(place as u8);
                }
                // Behind an IOMMU it reaches a page no more before the page goes back, whatever it does.
                if !silent && self.io_levels == 0 {
                    known.quarantine = Some(client);
                    stopped = false;
                }
            }
        }
        if !stopped {
            // Its next driver must be able to open it, to make it stop.
            while let Ok(true) = self.take_back_device_page(client) {}
        }
        stopped
    }

    /// Takes bus mastering and interrupts by message from a function; whether it says that it obeys.
    fn silence(&mut self, place: usize) -> bool {
        let Some(address) = self.functions.get(place).map(|known| known.address) else {
            return false;
        };
        let mut silence = || -> Result<u32, Refused> {
            if let Some(at) = self.message_capability(address)? {
                let control = self.kernel.pci_read(address, at)?;
                self.kernel.pci_write(address, at, control & !MESSAGES_ON)?;
            }
            let before = self.kernel.pci_read(address, register::COMMAND)? & command::ALL;
            let silent = before & !command::BUS_MASTER;
            self.kernel.pci_write(address, register::COMMAND, silent)?;
            self.kernel.pci_read(address, register::COMMAND)
        };
        silence().is_ok_and(|after| after & command::BUS_MASTER == 0)
    }

    /// Takes a table out of what a function of a client that has ended reached, or unmaps a page of device memory, or gives a
    /// function up of which nothing is left; false when it has none. Nothing is mapped for the function any more.
    pub(crate) fn take_back_device_page(&mut self, client: ClientIndex) -> Result<bool, Error> {
        let owner = Some(client);
        let place = self.functions.iter().position(|known| known.owner == owner);
        let Some(place) = place else {
            return Ok(false);
        };
        if self.take_back_io_table(client, place)? {
            return Ok(true);
        }
        let Some(function) = self.functions.get_mut(place) else {
            return Ok(false);
        };
        match function.bars.iter_mut().find(|bar| bar.mapped_pages > 0) {
            Some(bar) => {
                bar.mapped_pages -= 1;
                let frame = bar.frames + bar.mapped_pages;
                self.kernel.unmap_page(Slot::Device(frame))?;
            }
            None => function.owner = None,
        }
        Ok(true)
    }

    /// The driver of a function says that its device has let go of its former driver's memory.
    pub(crate) fn release_quarantine(&mut self, client: ClientIndex, function: u8) -> Response {
        let place = self.owned(client, function)?;
        let Some(known) = self.functions.get_mut(place) else {
            return Err(no_device(function));
        };
        let Some(dead) = known.quarantine.take() else {
            return Ok(Reply::Done);
        };
        let is_held = |other: &crate::pci::Function| other.quarantine == Some(dead);
        if !self.functions.iter().any(is_held) && self.client_mut(dead)?.life == Life::Ending {
            self.enqueue(dead);
        }
        Ok(Reply::Done)
    }
}
