// SPDX-License-Identifier: BSD-2-Clause
//! Mistakes of a program: the checked mode names each at the call that it should, and goes on as if it had not been made.

use super::World;
use kmalloc::{Error, Fault, Violation, set_violation_hook};
use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::sync::Once;

thread_local!(static SEEN: RefCell<Vec<Fault>> = const { RefCell::new(Vec::new()) });

/// From now on faults are kept, and do not end the program.
pub fn listen() {
    static ONCE: Once = Once::new();
    let note = |violation: &Violation| SEEN.with_borrow_mut(|seen| seen.push(violation.fault));
    ONCE.call_once(|| set_violation_hook(note));
}

/// Exactly these faults were reported since this was asked last.
pub fn expect(faults: &[Fault]) {
    let seen = SEEN.take();
    assert_eq!(seen, faults);
}

/// One mistake with one of the blocks in use.
pub fn make(world: &mut World, which: u8, size: usize) {
    let Some(block) = world.shadow.take(which.into()) else {
        return;
    };
    let address = block.address.addr().get() as u64;
    match size % 4 {
        0 => {
            world.free(&block);
            // SAFETY: the call is refused.
            let refused = unsafe { world.heap.kfree(block.address) };
            assert!(
                matches!(
                    refused,
                    Err(Error::DoubleFree { .. } | Error::BadPointer { .. })
                ),
                "{block:?}: {refused:?}"
            );
            let seen = SEEN.take();
            assert!(
                seen == [Fault::DoubleFree] || seen == [Fault::BadPointer],
                "{block:?}: {seen:?}"
            );
            return;
        }
        1 => {
            // SAFETY: what is written lies behind the block, in what the checked mode keeps there; it is put back.
            unsafe {
                let behind = block.address.add(block.size.max(1));
                let before = behind.read();
                behind.write(!before);
                let refused = world.heap.kfree(block.address);
                assert_eq!(refused, Err(Error::BadPointer { address }));
                behind.write(before);
            }
            expect(&[Fault::Overflow]);
        }
        2 if block.size > 1 => {
            let offset = 1 + size / 4 % (block.size - 1);
            // SAFETY: the call is refused.
            unsafe {
                let inside = block.address.add(offset);
                let refused = world.heap.kfree(inside);
                let address = inside.addr().get() as u64;
                assert_eq!(refused, Err(Error::BadPointer { address }));
            }
            expect(&[Fault::BadPointer]);
        }
        _ => {
            if let Some(layout) = block.layout() {
                let wrong = Layout::from_size_align(layout.size() + 1, layout.align());
                // SAFETY: the call is refused.
                unsafe {
                    let wrong = wrong.expect("a layout");
                    world.heap.dealloc(block.address.as_ptr(), wrong);
                }
                expect(&[Fault::WrongSize]);
            }
        }
    }
    world.shadow.put_back(block);
}
