// SPDX-License-Identifier: BSD-2-Clause
//! What can happen in a run, as numbers: any bytes are operations, so that a fuzzer can make them up, and every list of
//! them can be carried out, so that one can be left out.

use crate::random::Random;

/// Bytes of an operation.
pub const OPERATION_BYTES: usize = 8;
/// Sizes above this are folded, where they come from a fuzzer: no machine here has as much.
const SIZE_MAX: u32 = 5 << 20;

/// Declares the kinds of operations: name in a file, how often a seed chooses it, what it does.
macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident $name:literal $weight:literal,)*) => {
        /// Kinds of operations. `choice` and `amount` are those of the [`Operation`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum What { $($(#[$about])* $kind,)* }

        impl What {
            /// All of them.
            pub const ALL: &[What] = &[$(What::$kind,)*];

            /// Its name in a file.
            pub const fn name(self) -> &'static str {
                match self { $(What::$kind => $name,)* }
            }

            /// How often a seed chooses it, among all others' weights.
            const fn weight(self) -> u64 {
                match self { $(What::$kind => $weight,)* }
            }
        }
    };
}

kinds! {
    /// A block of `amount` bytes; quickly where `choice` is even.
    Kmalloc "kmalloc" 180,
    /// An array of `choice % 9` elements of `amount` bytes, which may overflow.
    Kcalloc "kcalloc" 20,
    /// Block `choice` becomes one of `amount` bytes.
    Krealloc "krealloc" 45,
    /// `amount % 16` buckets of a size that `choice` says.
    Grant "grant" 30,
    /// A region of `amount` bytes.
    GrantLarge "grant-large" 30,
    /// Region `choice` gets another size.
    Resize "resize" 45,
    /// DMA memory of `amount` bytes; its conditions follow from `choice`.
    Dma "dma" 30,
    /// Something that the client has goes back.
    Give "give" 240,
    /// The client looks at what it has.
    Look "look" 40,
    /// A segment with `amount % 512 + 1` pages.
    OpenSegment "open-segment" 12,
    /// Some pages of an open segment are mapped.
    MapPages "map-pages" 30,
    /// Some pages of an open segment are unmapped.
    UnmapPages "unmap-pages" 30,
    /// An open segment goes back.
    CloseSegment "close-segment" 8,
    /// A pointer that the client has no right to, in any call.
    Misuse "misuse" 60,
    /// Bytes that are no request.
    Babble "babble" 30,
    /// A request with numbers that make no sense, or next to none.
    Odd "odd" 60,
    /// A request in the name of a client that is dead.
    Stale "stale" 10,
    /// A dataspace of `amount % 40 + 1` pages.
    MakeDataspace "make-dataspace" 30,
    /// Another client may attach a dataspace.
    Share "share" 20,
    /// The client attaches a dataspace, whether it may or not.
    Attach "attach" 35,
    /// It detaches one.
    Detach "detach" 18,
    /// It closes one, whether it may or not.
    Close "close" 18,
    /// All look at what they have attached.
    LookShared "look-shared" 15,
    /// One more thread.
    StartThread "start-thread" 20,
    /// A child with a limit of `amount` bytes.
    StartChild "start-child" 24,
    /// The client kills a child, or another one, which it may not.
    KillChild "kill-child" 6,
    /// It asks for the end of a child.
    Reap "reap" 30,
    /// It ends, with status `amount`.
    Exit "exit" 2,
    /// It is killed from outside.
    Kill "kill" 2,
    /// It faults, or forges a fault.
    Fault "fault" 3,
    /// It sets an alarm, in `amount` microseconds.
    SetAlarm "set-alarm" 8,
    /// It waits for `amount` bytes.
    AwaitMemory "await-memory" 8,
    /// It asks what happened.
    Events "events" 10,
    /// It wants to hear of what `choice` says.
    Watch "watch" 4,
    /// `amount` microseconds pass.
    Pass "pass" 10,
    /// The cleaner does up to `amount % 20` jobs.
    Clean "clean" 90,
    /// The cleaner begins a job, and is interrupted.
    BeginCleaning "begin-cleaning" 9,
    /// The kernel refuses the job that was begun.
    GiveUpCleaning "give-up-cleaning" 9,
    /// The server does up to `amount % 16` slices of work.
    Work "work" 60,
    /// The kernel will refuse the call number `amount % 24` of the next operation.
    Fail "fail" 90,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub what: What,
    /// To whom: a place among the run's clients. Where nobody has it, somebody moves in instead.
    pub who: u8,
    /// Which of several things.
    pub choice: u16,
    /// How much.
    pub amount: u32,
}

impl Operation {
    /// An operation from bytes, whatever they are.
    pub fn from_bytes(bytes: [u8; OPERATION_BYTES]) -> Operation {
        let [what, who, choice @ .., a, b, c, d] = bytes;
        let amount = u32::from_le_bytes([a, b, c, d]);
        Operation {
            what: What::ALL[usize::from(what) % What::ALL.len()],
            who,
            choice: u16::from_le_bytes(choice),
            amount: if amount > SIZE_MAX {
                amount >> (10 + amount % 20)
            } else {
                amount
            },
        }
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; OPERATION_BYTES] {
        let [a, b] = self.choice.to_le_bytes();
        let [c, d, e, f] = self.amount.to_le_bytes();
        [self.what as u8, self.who, a, b, c, d, e, f]
    }

    /// One of a seed's, as programs behave: mostly small sizes, few deaths.
    pub fn random(random: &mut Random) -> Operation {
        let total: u64 = What::ALL.iter().map(|what| what.weight()).sum();
        let mut at = random.below(total);
        let what = What::ALL.iter().copied().find(|what| {
            let found = at < what.weight();
            at = at.wrapping_sub(what.weight());
            found
        });
        let what = what.unwrap_or(What::Look);
        let who = random.below(256) as u8;
        let choice = random.next() as u16;
        let amount = match what {
            What::Kmalloc
            | What::Kcalloc
            | What::Krealloc
            | What::GrantLarge
            | What::Resize
            | What::Dma => random.size() as u32,
            _ => random.below(1 << 22) as u32,
        };
        Operation {
            what,
            who,
            choice,
            amount,
        }
    }

    /// Numbers that are a function of this operation.
    pub(crate) fn random_numbers(self) -> Random {
        let mut random = Random(u64::from_le_bytes(self.to_bytes()));
        random.next();
        random
    }
}
