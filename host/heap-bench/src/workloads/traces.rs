// SPDX-License-Identifier: BSD-2-Clause
//! The traces of real programs, replayed through an allocator.

use super::{Workload, pair};
use crate::allocators::Allocator;
use kmalloc_trace::{Operation, Trace};
use std::alloc::Layout;
use std::path::Path;
use std::ptr;

/// The traces of the checkout that the bench was built in.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../traces");
/// What C programs expect of blocks.
const ALIGN: usize = 16;

/// A workload for each trace whose name `wanted` wants. Others are not read: what that leaves behind in the system's
/// allocator would flatter it.
pub fn all(wanted: impl Fn(&str) -> bool) -> Result<Vec<Workload>, String> {
    ["jq", "sqlite3", "python3", "cc1"]
        .iter()
        .map(|name| (name, format!("trace.{name}")))
        .filter(|(_, workload)| wanted(workload))
        .map(|(name, workload)| {
            let path = Path::new(FOLDER).join(format!("{name}.trace"));
            let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let text = std::fs::read(&path).map_err(|error| wrong(&error))?;
            let trace = kmalloc_trace::compile(&text).map_err(|error| wrong(&error))?;
            let trace = Trace::decode(&trace).map_err(|error| wrong(&error))?;
            let operations: Result<Vec<Operation>, _> = trace.operations().collect();
            let operations = operations.map_err(|error| wrong(&error))?;
            let slots = trace.summary().slots as usize;
            let steps_per_unit = operations.len();
            let replay = move |allocator: &Allocator, times| {
                replay(allocator, times, &operations, slots);
            };
            Ok(Workload {
                steps_per_unit,
                units: 5,
                units_before: 1,
                fills_memory: true,
                ..pair(&workload, replay)
            })
        })
        .collect()
}

fn replay(allocator: &Allocator, times: usize, operations: &[Operation], slots: usize) {
    let calls = std::hint::black_box(allocator.calls);
    let empty = (ptr::null_mut::<u8>(), 0);
    let mut blocks = vec![empty; slots];
    for _ in 0..times {
        for operation in operations {
            let place = &mut blocks[operation.slot() as usize];
            let (old, old_size) = *place;
            // SAFETY: each block is used with the layout that it has, and traces are checked: a slot that is resized or
            // freed holds a block, and no size is 0.
            let (new, size) = unsafe {
                match *operation {
                    Operation::Allocate { size, .. } => {
                        (calls.alloc(layout(size as usize)), size as usize)
                    }
                    Operation::AllocateZeroed { count, size, .. } => {
                        let size = (count * size) as usize;
                        (calls.alloc_zeroed(layout(size)), size)
                    }
                    Operation::Resize { size, .. } => {
                        let size = size as usize;
                        (calls.realloc(old, layout(old_size), size.max(1)), size)
                    }
                    Operation::Free { .. } => {
                        calls.dealloc(old, layout(old_size));
                        *place = empty;
                        continue;
                    }
                }
            };
            assert!(!new.is_null(), "out of memory");
            // SAFETY: the block has at least one byte.
            unsafe { new.write_volatile(1) };
            *place = (new, size);
        }
        for place in blocks.iter_mut().filter(|(block, _)| !block.is_null()) {
            // SAFETY: as above.
            unsafe { calls.dealloc(place.0, layout(place.1)) };
            *place = empty;
        }
    }
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.max(1), ALIGN).expect("sizes of traces are checked")
}
