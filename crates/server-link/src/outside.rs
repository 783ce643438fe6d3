// SPDX-License-Identifier: BSD-2-Clause
//! A kernel and a machine of which nothing is known but their names: what they do is not the server's.

use core::ops::Range;
use kmalloc_bucket::ledger::Entry;
use kmalloc_events::Event;
use kmalloc_server::kernel::{
    ClientIndex, Kernel, Mapping, Object, Refused, Slot, Table, ThreadStart, Worker,
};
use kmalloc_server::machine::{InterruptSource, Machine, MessageInterrupt};
use kmalloc_server::pci::FunctionAddress;
use kmalloc_server::physical::Page;

/// Whatever is asked of it, a function does that is defined nowhere.
pub struct Outside;

/// Declares a function for each method, and has the method call it.
macro_rules! outside {
    ($trait:ident: $(fn $name:ident[$($own:tt)+]($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
        const _: () = {
            unsafe extern "Rust" {
                $(safe fn $name($($argument: $type),*) $(-> $result)?;)+
            }

            impl $trait for Outside {
                $(fn $name($($own)+, $($argument: $type),*) $(-> $result)? {
                    $name($($argument),*)
                })+
            }
        };
    };
}

outside! { Kernel:
    fn retype[&mut self](untyped: Slot, object: Object, first: Slot, count: usize) -> Result<(), Refused>;
    fn size_bits[&self](object: Object) -> u32;
    fn copy[&mut self](frame: Slot, to: Slot) -> Result<(), Refused>;
    fn delete[&mut self](slot: Slot) -> Result<(), Refused>;
    fn revoke[&mut self](slot: Slot) -> Result<(), Refused>;
    fn map_page[&mut self](frame: Slot, vspace: Page, address: usize, how: Mapping) -> Result<(), Refused>;
    fn map_pages[&mut self](frames: Range<usize>, vspace: Page, address: usize, how: Mapping) -> Result<(), (usize, Refused)>;
    fn unmap_page[&mut self](frame: Slot) -> Result<(), Refused>;
    fn map_table[&mut self](table: Page, level: Table, vspace: Page, address: usize) -> Result<(), Refused>;
    fn unmap_page_table[&mut self](table: Page) -> Result<(), Refused>;
    fn assign_asid[&mut self](vspace: Page) -> Result<(), Refused>;
    fn copy_page[&mut self](from: Page, to: Page) -> Result<(), Refused>;
    fn scrub[&mut self](frame: Page) -> Result<(), Refused>;
    fn write_page[&mut self](frame: Page, offset: usize, data: &[u8]) -> Result<(), Refused>;
    fn push_ledger[&mut self](segment: u32, frame: Page) -> Result<(), Refused>;
    fn pop_ledger[&mut self](segment: u32, frame: Page) -> Result<(), Refused>;
    fn ledger[&mut self](segment: u32) -> &'static mut [Entry];
    fn entry[&mut self](number: u32) -> Option<&'static mut Entry>;
    fn start_thread[&mut self](start: &ThreadStart) -> Result<(), Refused>;
    fn stop_threads[&mut self](client: ClientIndex, count: u8) -> Result<(), Refused>;
    fn instruction[&mut self](client: ClientIndex) -> u64;
    fn wake[&mut self](worker: Worker);
    fn hurry_cleaner[&mut self](hurried: bool);
    fn signal[&mut self](client: ClientIndex);
    fn trace[&mut self](event: &Event<'_>);
    fn now_us[&mut self]() -> Result<u64, Refused>;
    fn set_alarm[&mut self](due_us: u64) -> Result<(), Refused>;
    fn clear_alarm[&mut self]();
}

outside! { Machine:
    fn pci_read[&mut self](function: FunctionAddress, offset: u16) -> Result<u32, Refused>;
    fn pci_write[&mut self](function: FunctionAddress, offset: u16, value: u32) -> Result<(), Refused>;
    fn device_frames[&mut self](address: u64, pages: usize) -> Result<u32, Refused>;
    fn open_interrupt[&mut self](number: u8, source: InterruptSource, client: ClientIndex) -> Result<Option<MessageInterrupt>, Refused>;
    fn acknowledge_interrupt[&mut self](number: u8) -> Result<(), Refused>;
    fn close_interrupt[&mut self](number: u8);
    fn io_levels[&self]() -> u8;
    fn open_io_space[&mut self](number: u8, function: FunctionAddress) -> Result<(), Refused>;
    fn map_io_table[&mut self](table: Page, number: u8, address: u64) -> Result<(), Refused>;
    fn unmap_io_table[&mut self](table: Page) -> Result<(), Refused>;
    fn map_io_page[&mut self](copy: Slot, number: u8, address: u64) -> Result<(), Refused>;
}
