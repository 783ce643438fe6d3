// SPDX-License-Identifier: BSD-2-Clause
//! Many deaths, of all kinds, several children at a time.

use crate::{let_others_run, start};
use client_test::{Outcome, check, check_eq, ok};
use kmalloc::child::{Child, reap_any};
use kmalloc::{Cause, Events, event, println, served};

/// How children live, and how they end if they are not killed.
const LIVES: [(&[&str], Option<Cause>); 8] = [
    (&["exit", "0"], Some(Cause::Exit)),
    (&["spin"], None),
    (&["read"], Some(Cause::VmFault)),
    (&["churn"], None),
    (&["undefined"], Some(Cause::UserException)),
    (&["hold"], None),
    (&["exit", "5"], Some(Cause::Exit)),
    (&["wait"], None),
];
/// Deaths where the arguments don't say how many.
const DEATHS_DEFAULT: u64 = 200;

/// A child that lives, and whether it is to be killed.
type Living = Option<(Child, Option<Cause>)>;

pub fn all_kinds() -> Outcome {
    let wanted = kmalloc::arguments().next().and_then(|it| it.parse().ok());
    let wanted = wanted.unwrap_or(DEATHS_DEFAULT);
    let before = ok!(served::stats());
    let mut living: [Living; LIVES.len()] = [None; LIVES.len()];
    let (mut started, mut ended, mut killed) = (0, 0, 0);
    while ended < wanted {
        for (place, (arguments, cause)) in living.iter_mut().zip(LIVES) {
            if place.is_none() && started < wanted {
                *place = Some((ok!(start(arguments)), cause));
                started += 1;
            }
        }
        // Sometimes they are killed while they are built, sometimes long after.
        if started % 3 == 0 {
            let_others_run();
        }
        for (child, cause) in living.iter().flatten() {
            if cause.is_none() {
                ok!(child.kill());
                killed += 1;
            }
        }
        ok!(event::wait_for(Events::CHILD));
        while let Some(end) = ok!(reap_any()) {
            let place = living.iter_mut().find(|living| {
                let child = living.map(|(child, _)| child.handle());
                child == Some(end.handle)
            });
            let Some((_, cause)) = place.and_then(|place| place.take()) else {
                println!("# nobody knows {:?}", end);
                check!(false);
                break;
            };
            check_eq!(end.cause, cause.unwrap_or(Cause::Killed));
            ended += 1;
        }
    }
    println!("# {ended} deaths, {killed} kills");
    let after = ok!(served::stats());
    check_eq!(after.limit, before.limit);
    check_eq!(after.committed, before.committed);
    Ok(())
}
