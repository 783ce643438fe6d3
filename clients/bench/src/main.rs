// SPDX-License-Identifier: BSD-2-Clause
//! Counts what calls cost. Under `--icount` the time-stamp counter counts instructions, so figures are exact and
//! repeat to the byte; without it they mean nothing.
#![no_std]
#![no_main]

use core::arch::x86_64::_rdtsc;
use core::ptr::NonNull;
use kmalloc::process::sel4_task::slot;
use kmalloc::{Error, Flags, println, served};
use sel4::MessageInfoBuilder;

kmalloc::main!(main);

const SAMPLES: usize = 1000;

/// Instructions of one sample each.
struct Samples([u64; SAMPLES]);

impl Samples {
    fn report(&mut self, name: &str) {
        self.0.sort_unstable();
        println!(
            "figure {name} min {} median {} max {}",
            self.0[0],
            self.0[SAMPLES / 2],
            self.0[SAMPLES - 1]
        );
    }
}

#[inline(always)]
fn count(work: impl FnOnce()) -> u64 {
    // SAFETY: every x86_64 processor has a time-stamp counter, and seL4 lets programs read it.
    let start = unsafe { _rdtsc() };
    work();
    // SAFETY: as above.
    unsafe { _rdtsc() - start }
}

fn main() -> Result<(), Error> {
    let mut samples = Samples([0; SAMPLES]);
    for sample in &mut samples.0 {
        *sample = count(|| {});
    }
    samples.report("counter");

    let null = sel4::cap::Endpoint::from_bits(slot::CALLS);
    for length in [0, 4] {
        let info = MessageInfoBuilder::default().length(length).build();
        for sample in &mut samples.0 {
            *sample = count(|| {
                null.call_with_mrs(info.clone(), [1, 2, 3, 4]);
            });
        }
        samples.report(if length == 0 {
            "ipc.null.0w"
        } else {
            "ipc.null.4w"
        });
    }
    let mut blocks = [NonNull::<u8>::dangling(); SAMPLES];
    // Once to have the buckets, once to count.
    for warm in [false, true] {
        for (sample, block) in samples.0.iter_mut().zip(&mut blocks) {
            let mut result = Ok(NonNull::dangling());
            *sample = count(|| result = served::kmalloc(64, Flags::empty()));
            *block = result?;
        }
        if warm {
            samples.report("served.kmalloc.64");
        }
        for (sample, block) in samples.0.iter_mut().zip(&blocks) {
            let mut result = Ok(());
            // SAFETY: the block is used no more.
            *sample = count(|| result = unsafe { served::kfree(block.as_ptr()) });
            result?;
        }
        if warm {
            samples.report("served.kfree.64");
        }
    }
    // Not before: the end of another client is work of the server's, which would fall into some sample.
    null.send(MessageInfoBuilder::default().label(1).build());
    Ok(())
}
