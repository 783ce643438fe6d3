// SPDX-License-Identifier: BSD-2-Clause
//! Learns a token that it has no right to.

use crate::link;
use client_test::{Outcome, Test, check_eq, ok};
use kmalloc::{Access, Dataspace, Error, served};

const TESTS: &[Test] = &[("a_stolen_token_is_refused", stolen)];

pub fn run() -> u8 {
    client_test::run(TESTS)
}

fn stolen() -> Outcome {
    let token = loop {
        match link::call(link::STEAL, 0) {
            0 => link::pause(),
            token => break token,
        }
    };
    let before = ok!(served::stats()).committed;
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let refused = Dataspace::attach(token, access).err();
        check_eq!(refused, Some(Error::NotPermitted));
    }
    check_eq!(ok!(served::stats()).committed, before);
    link::call(link::IN_VAIN, 0);
    Ok(())
}
