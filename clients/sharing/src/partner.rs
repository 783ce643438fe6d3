// SPDX-License-Identifier: BSD-2-Clause
//! Attaches what the maker shares with it.

use crate::link::{self, Door};
use crate::{LAST_WILL, check, fill};
use client_test::{Outcome, Test, check, check_eq, ok};
use kmalloc::{Access, Dataspace, Error, served};

const TESTS: &[Test] = &[
    ("what_the_maker_wrote_is_there", both_ways),
    ("read_only_is_read_only", read_only),
    ("the_maker_dies_and_its_memory_stays", survivor),
];

/// The tests take turns with those of the maker, so they share it.
struct Shared(Door);

// SAFETY: the program has one thread.
unsafe impl Sync for Shared {}

static DOOR: Shared = Shared(Door::new());

pub fn run() -> u8 {
    client_test::run(TESTS)
}

fn both_ways() -> Outcome {
    let token = DOOR.0.token();
    let here = ok!(Dataspace::attach(token, Access::ReadWrite));
    check(&here, 100)?;
    fill(&here, 200);
    DOOR.0.answer(0);
    Ok(())
}

fn read_only() -> Outcome {
    let token = DOOR.0.token();
    let refused = Dataspace::attach(token, Access::ReadWrite).err();
    check_eq!(refused, Some(Error::NotPermitted));
    let here = ok!(Dataspace::attach(token, Access::ReadOnly));
    check(&here, 300)?;
    DOOR.0.answer(0);
    Ok(())
}

fn survivor() -> Outcome {
    let token = DOOR.0.token();
    let here = ok!(Dataspace::attach(token, Access::ReadWrite));
    let committed = ok!(served::stats()).committed;
    let maker = ok!(kmalloc::find("maker"));
    DOOR.0.answer(0);
    // The maker's last words wait for no answer.
    check_eq!(DOOR.0.token(), 0);
    while kmalloc::find("maker").is_ok() {
        link::pause();
    }
    check(&here, LAST_WILL)?;
    fill(&here, 500);
    check(&here, 500)?;
    let stale = Some(Error::Stale { handle: token });
    check_eq!(Dataspace::attach(token, Access::ReadOnly).err(), stale);
    let own = ok!(Dataspace::new(4096));
    let stale = Err(Error::Stale { handle: maker });
    check_eq!(own.share_with(maker, Access::ReadOnly), stale);
    drop(own);
    // The pages are the maker's; here they are only seen.
    check!(ok!(served::stats()).committed <= committed + (64 << 10));
    drop(here);
    Ok(())
}
