// SPDX-License-Identifier: BSD-2-Clause
//! Makes dataspaces, shares them, and dies.

use crate::{LARGE, LAST_WILL, check, fill, link, word};
use client_test::{Outcome, Test, check, check_eq, ok};
use core::sync::atomic::Ordering;
use kmalloc::{Access, Attached, Dataspace, Error, Offset, served};

const TESTS: &[Test] = &[
    ("a_dataspace_is_whole_pages_and_zero", whole_pages),
    ("contents_are_seen_both_ways", both_ways),
    ("a_partner_that_may_read_reads", reads),
    ("nobody_is_named_wrongly", names),
    ("other_calls_refuse_attached_memory", other_calls),
    ("references_are_offsets", offsets),
    ("the_last_one_to_let_go_frees_it", last_one),
];

pub fn run() -> Result<u8, Error> {
    let failed = client_test::run(TESTS);
    // What is left to the partner. Nothing is dropped: the end of this program lets go of it.
    let space = Dataspace::new(LARGE)?;
    space.share_with(kmalloc::find("partner")?, Access::ReadWrite)?;
    let here = Dataspace::attach(space.token(), Access::ReadWrite)?;
    fill(&here, LAST_WILL);
    link::call(link::TOKEN, space.token());
    link::send(link::TOKEN, 0);
    kmalloc::process::exit(failed.into())
}

fn whole_pages() -> Outcome {
    let space = ok!(Dataspace::new(5000));
    let here = ok!(Dataspace::attach(space.token(), Access::ReadWrite));
    let again = ok!(Dataspace::attach(space.token(), Access::ReadOnly));
    check_eq!((here.size(), again.size()), (8192, 8192));
    check!(here.address() != again.address());
    for word in crate::words(&again) {
        check_eq!(word.load(Ordering::Relaxed), 0);
    }
    fill(&here, 1);
    check(&again, 1)
}

/// A dataspace that the partner has been told of, and its answer.
fn hand_over(size: usize, access: Access, seed: u64) -> Result<(Dataspace, Attached, u64), Error> {
    let space = Dataspace::new(size)?;
    space.share_with(kmalloc::find("partner")?, access)?;
    let here = Dataspace::attach(space.token(), Access::ReadWrite)?;
    fill(&here, seed);
    let answer = link::call(link::TOKEN, space.token());
    Ok((space, here, answer))
}

fn both_ways() -> Outcome {
    let (_space, here, answer) = ok!(hand_over(LARGE, Access::ReadWrite, 100));
    check_eq!(answer, 0);
    check(&here, 200)?;
    // The thief is told this token, while it is good.
    while link::call(link::THIEF, 0) == 0 {
        link::pause();
    }
    check(&here, 200)
}

fn reads() -> Outcome {
    let (_space, here, answer) = ok!(hand_over(20_000, Access::ReadOnly, 300));
    check_eq!(answer, 0);
    check(&here, 300)
}

fn names() -> Outcome {
    check_eq!(kmalloc::find("nobody"), Err(Error::Stale { handle: 0 }));
    let space = ok!(Dataspace::new(1));
    let partner = ok!(kmalloc::find("partner"));
    check_eq!(ok!(kmalloc::find("partner")), partner);
    let handle = partner + 512;
    let stale = Err(Error::Stale { handle });
    check_eq!(space.share_with(handle, Access::ReadOnly), stale);
    check_eq!(space.share_with(partner, Access::ReadOnly), Ok(()));
    Ok(())
}

fn other_calls() -> Outcome {
    let space = ok!(Dataspace::new(4096));
    let here = ok!(Dataspace::attach(space.token(), Access::ReadWrite));
    let pointer = here.address().as_ptr();
    let address = pointer.addr() as u64;
    // SAFETY: the server refuses what is no such memory.
    let refused = unsafe {
        [
            served::kfree(pointer),
            served::kfree_dma(pointer),
            served::ksize(pointer).map(|_| ()),
            served::krealloc(pointer, 1, kmalloc::Flags::empty()).map(|_| ()),
        ]
    };
    check_eq!(refused, [Err(Error::WrongKind { address }); 4]);
    Ok(())
}

fn offsets() -> Outcome {
    let space = ok!(Dataspace::new(4096));
    let here = ok!(Dataspace::attach(space.token(), Access::ReadWrite));
    let there = ok!(Dataspace::attach(space.token(), Access::ReadOnly));
    // A word that says where another one is.
    let (first, second) = (Offset::new(64), Offset::new(4088));
    word(&here, first).store(second.bytes(), Ordering::Relaxed);
    word(&here, second).store(0xfeed, Ordering::Relaxed);
    let found = Offset::new(word(&there, first).load(Ordering::Relaxed));
    check_eq!(word(&there, found).load(Ordering::Relaxed), 0xfeed);
    check_eq!(here.offset(word(&here, second)), Some(second));
    check_eq!(here.offset(word(&there, second)), None);
    for outside in [4089, 4096, 1 << 40, u64::MAX] {
        check!(here.pointer(Offset::<u64>::new(outside)).is_none());
    }
    check!(here.pointer(Offset::<u64>::new(4)).is_none());
    Ok(())
}

fn last_one() -> Outcome {
    let before = ok!(served::stats()).committed;
    let space = ok!(Dataspace::new(LARGE));
    let here = ok!(Dataspace::attach(space.token(), Access::ReadWrite));
    fill(&here, 400);
    let token = space.token();
    drop(space);
    let stale = Some(Error::Stale { handle: token });
    check_eq!(Dataspace::attach(token, Access::ReadOnly).err(), stale);
    check(&here, 400)?;
    check!(ok!(served::stats()).committed >= before + LARGE as u64);
    drop(here);
    check!(ok!(served::stats()).committed <= before + (64 << 10));
    Ok(())
}
