// SPDX-License-Identifier: BSD-2-Clause
//! A root task that keeps some memory for itself, makes an object of it, and lets the memory server have the rest.
#![no_std]
#![no_main]

use root_task::{Piece, print_line, slots_left};
use sel4::{CPtr, CPtrBits, CapRights, ObjectBlueprint, cap};
use sel4_root_task::root_task;

/// log2 of the bytes that it keeps: a page.
const KEPT_BITS: usize = 12;
/// What the notification is signalled with.
const BADGE: sel4::Badge = 7;

#[root_task]
fn main(bootinfo: &sel4::BootInfoPtr) -> ! {
    root_task::begin(bootinfo);
    let mut untypeds = root_task::untypeds(bootinfo);
    // The smallest one that will do. The server never learns of it.
    let fits = |piece: &&Piece| piece.size_bits >= KEPT_BITS;
    let Some(kept) = untypeds
        .iter()
        .filter(fits)
        .min_by_key(|piece| piece.size_bits)
        .copied()
    else {
        print_line!("# own: there is no untyped to keep");
        root_task::end(false)
    };
    untypeds.retain(|piece| *piece != kept);

    let notification = match make_notification(bootinfo, kept) {
        Ok(notification) => notification,
        Err(error) => {
            print_line!("# own: the kernel refuses a notification: {error}");
            root_task::end(false)
        }
    };
    notification.signal();
    let bytes = 1u64 << kept.size_bits;
    print_line!("# own: kept {bytes} bytes, and signalled a notification in them");

    let passed = root_task::run(bootinfo, untypeds);

    // All clients have ended, and the server with them. What was kept is as it was.
    let is_there = notification.poll().1 == BADGE;
    print_line!("# own: the signal is still there: {is_there}");
    root_task::end(passed && is_there)
}

/// A notification in `piece`, by a capability with [`BADGE`]. It takes two of the slots that the server leaves.
fn make_notification(
    bootinfo: &sel4::BootInfoPtr,
    piece: Piece,
) -> sel4::Result<cap::Notification> {
    let root = sel4::init_thread::slot::CNODE.cap();
    let first = slots_left(bootinfo).start;
    let place = |slot: usize| root.absolute_cptr(CPtr::from_bits(slot as CPtrBits));
    let blueprint = ObjectBlueprint::Notification;
    piece
        .cap
        .untyped_retype(&blueprint, &root.absolute_cptr_for_self(), first, 1)?;
    place(first + 1).mint(&place(first), CapRights::all(), BADGE)?;
    Ok(CPtr::from_bits((first + 1) as CPtrBits).cast())
}
