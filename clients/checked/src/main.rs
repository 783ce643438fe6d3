// SPDX-License-Identifier: BSD-2-Clause
//! Makes the mistakes that the heap finds in checked mode, each of which has to be reported once, with pointer, class and
//! call. With the argument `panic` it makes one without a hook for them, and has to end by it. With `watch` it starts others
//! (`leak`), and finds what these had in use when they were ended; with `besiege` it starts others that attack their own heap
//! (`attack`).
#![no_std]
#![no_main]

extern crate alloc;

mod attacks;
mod leaks;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use client_test::{Outcome, Test, check, check_eq, ok};
use core::ptr::NonNull;
use kmalloc::tags::{self, Who};
use kmalloc::{Call, Error, Fault, Flags, Tag, Violation, println, set_violation_hook};
use spin::Mutex;

kmalloc::main!(main);
kmalloc::global_allocator!(HEAP);

/// What the hook was told last, and how often it was called since a test looked.
static SEEN: Mutex<(Option<Violation>, usize)> = Mutex::new((None, 0));

/// Bytes of blocks, and of the class that each is in: checked mode adds 16.
const SIZES: [(usize, usize); 5] = [(8, 32), (40, 64), (100, 128), (1000, 1024), (5000, 5120)];

const TESTS: &[Test] = &[
    ("checked_correct_programs_are_left_alone", no_mistake),
    ("checked_double_free", double_free),
    ("checked_interior_free", interior_free),
    ("checked_overflow_by_1", || overflow(1)),
    ("checked_overflow_by_8", || overflow(8)),
    ("checked_write_after_free", write_after_free),
    ("checked_global_allocator", through_the_global_allocator),
    ("checked_blocks_in_use_by_tag", blocks_in_use),
];

fn main() -> u8 {
    match kmalloc::arguments().next() {
        Some("panic") => return without_a_hook(),
        Some("watch") => return client_test::run(leaks::TESTS),
        Some("leak") => return leaks::leak(),
        Some("besiege") => return client_test::run(attacks::TESTS),
        Some("attack") => return attacks::attack(),
        _ => {}
    }
    set_violation_hook(|violation| {
        let mut seen = SEEN.lock();
        *seen = (Some(*violation), seen.1 + 1);
    });
    let failed = client_test::run(TESTS);
    client_test::print_figures();
    failed
}

/// The one violation since the last look, as fault, call and class, if it was about `address`.
fn seen_at(address: NonNull<u8>) -> Option<(Fault, Call, usize)> {
    let (violation, count) = core::mem::take(&mut *SEEN.lock());
    let violation = violation.filter(|violation| violation.address == address.addr().get())?;
    (count == 1).then_some((violation.fault, violation.call, violation.block_size))
}

fn nothing_seen() -> bool {
    SEEN.lock().1 == 0
}

/// A block of which every byte asked for was written.
fn filled(size: usize) -> Result<NonNull<u8>, Error> {
    let block = HEAP.kmalloc(size, Flags::empty())?;
    // SAFETY: the block has that size.
    unsafe { block.write_bytes(0x33, size) };
    Ok(block)
}

fn no_mistake() -> Outcome {
    let mut map: BTreeMap<u32, String> = BTreeMap::new();
    let mut text = Vec::new();
    for number in 0..3000_u32 {
        map.insert(number.wrapping_mul(0x9e37_79b9), number.to_string());
        text.extend_from_slice(number.to_string().as_bytes());
        if number % 3 == 0 {
            map.pop_first();
        }
    }
    check_eq!(map.len(), 2000);
    drop((map, text));
    HEAP.trim();
    check!(nothing_seen());
    Ok(())
}

/// Blocks and bytes in use by who is chosen.
fn in_use(chosen: impl Fn(&Who) -> bool) -> (u64, u64) {
    let live = tags::live().filter(|live| chosen(&live.who));
    live.fold((0, 0), |sum, live| {
        (sum.0 + live.blocks, sum.1 + live.bytes)
    })
}

fn blocks_in_use() -> Outcome {
    static PACKETS: Tag = Tag::new("packets");
    let packets = || in_use(|who| *who == Who::Named("packets"));
    let here = || in_use(|who| matches!(who, Who::Line(line) if line.file().ends_with("main.rs")));
    let global = || in_use(|who| *who == Who::Global);
    let (lines_before, global_before) = (here(), global());
    let first = ok!(HEAP.kmalloc_tagged(100, Flags::empty(), &PACKETS));
    let second = ok!(HEAP.kmalloc_tagged(300, Flags::empty(), &PACKETS));
    let third = ok!(HEAP.kmalloc(7, Flags::empty()));
    let boxed = Box::new([0_u8; 50]);
    check_eq!(packets(), (2, 400));
    check_eq!(here(), (lines_before.0 + 1, lines_before.1 + 7));
    check_eq!(global(), (global_before.0 + 1, global_before.1 + 50));
    // SAFETY: the blocks are this test's.
    let moved = unsafe {
        ok!(HEAP.kfree(first));
        ok!(HEAP.kfree(third));
        ok!(HEAP.krealloc(Some(second), 1000, Flags::empty()))
    };
    drop(boxed);
    check_eq!(packets(), (1, 1000));
    check_eq!(here(), lines_before);
    check_eq!(global(), global_before);
    if let Some(moved) = moved {
        // SAFETY: as above.
        ok!(unsafe { HEAP.kfree(moved) });
    }
    check_eq!(packets(), (0, 0));
    Ok(())
}

fn double_free() -> Outcome {
    for (size, class) in SIZES {
        let block = ok!(filled(size));
        // SAFETY: the block is this test's; the second call is the mistake, which the heap refuses.
        let second = unsafe {
            ok!(HEAP.kfree(block));
            HEAP.kfree(block)
        };
        check!(matches!(second, Err(Error::DoubleFree { .. })));
        check_eq!(seen_at(block), Some((Fault::DoubleFree, Call::Free, class)));
    }
    Ok(())
}

fn interior_free() -> Outcome {
    for (size, _) in SIZES {
        let block = ok!(filled(size));
        for offset in [1, size / 2, size - 1] {
            // SAFETY: a byte of the block; the call is the mistake, which the heap refuses.
            let (inside, refused) = unsafe {
                let inside = block.add(offset);
                (inside, HEAP.kfree(inside))
            };
            check!(matches!(refused, Err(Error::BadPointer { .. })));
            let seen = seen_at(inside).map(|(fault, call, _)| (fault, call));
            check_eq!(seen, Some((Fault::BadPointer, Call::Free)));
        }
        // SAFETY: the block is this test's.
        ok!(unsafe { HEAP.kfree(block) });
        check!(nothing_seen());
    }
    Ok(())
}

fn overflow(bytes: usize) -> Outcome {
    for (size, class) in SIZES {
        let block = ok!(filled(size));
        // SAFETY: the mistake: it writes to what the heap keeps behind the block.
        let refused = unsafe {
            block.add(size).write_bytes(0x44, bytes);
            HEAP.kfree(block)
        };
        check!(refused.is_err());
        check_eq!(seen_at(block), Some((Fault::Overflow, Call::Free, class)));
    }
    Ok(())
}

fn write_after_free() -> Outcome {
    for (size, class) in SIZES {
        let block = ok!(filled(size));
        // SAFETY: the block is this test's; the mistake is to write to it when it is no more.
        unsafe {
            ok!(HEAP.kfree(block));
            let last = block.add(size - 1);
            last.write(!last.read());
        }
        // A freed block waits behind at most 64 others.
        for _ in 0..100 {
            let other = ok!(filled(size));
            // SAFETY: the block is this test's.
            ok!(unsafe { HEAP.kfree(other) });
        }
        // The first bytes of a freed block link it with the next one to be freed, which finds them changed at once.
        let call = if size <= 16 {
            Call::Free
        } else {
            Call::Allocate
        };
        check_eq!(seen_at(block), Some((Fault::WriteAfterFree, call, class)));
    }
    Ok(())
}

/// The same for what knows only the global allocator.
fn through_the_global_allocator() -> Outcome {
    let boxed = NonNull::from(Box::leak(Box::new([7_u8; 40])));
    // SAFETY: the mistake: it writes behind the array. The heap keeps the block then.
    unsafe {
        boxed.cast::<u8>().add(40).write(8);
        drop(Box::from_raw(boxed.as_ptr()));
    }
    let seen = seen_at(boxed.cast());
    check_eq!(seen, Some((Fault::Overflow, Call::Free, 64)));
    Ok(())
}

/// A double free is a panic where nobody asked to be told.
fn without_a_hook() -> u8 {
    let Ok(block) = filled(40) else { return 1 };
    // SAFETY: the second call is the mistake, in which this program ends.
    let second = unsafe {
        let first = HEAP.kfree(block);
        first.and_then(|()| HEAP.kfree(block))
    };
    println!("still there: {second:?}");
    0
}
