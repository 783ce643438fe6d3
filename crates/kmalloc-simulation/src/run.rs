// SPDX-License-Identifier: BSD-2-Clause
//! Operations of several clients against a trivial model, with a scan of everything after each.

use crate::model::Model;
use crate::operation::{Operation, What};
use crate::random::Random;
use crate::scan::scan;
use crate::scenario::Scenario;
use crate::system::{PAGE, System};
use kmalloc_protocol::Error;
use kmalloc_server::client::Life;
use kmalloc_server::kernel::{Kernel, Object, Slot};
use kmalloc_server::physical::{Chunk, ChunkForm, Large, LargeForm};
use std::ops::AddAssign;

mod hostile;
mod kernel;
mod lives;
mod memory;
mod notices;
mod odd;
mod resizing;
mod segments;
mod sharing;

/// Clients at a time.
pub(crate) const CLIENTS: usize = 6;
/// What the kernel says when it refuses on purpose.
pub(crate) const CODE: u32 = 77;
/// Badges of the dead that are remembered.
const BADGES_MAX: usize = 16;

/// Declares the counters of a run.
macro_rules! counts {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// How often what happened, so that a run in which nothing happens is not taken for a good one.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$about])* pub $name: u64,)* }

        impl Counts {
            /// All of them, by name.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        impl AddAssign for Counts {
            fn add_assign(&mut self, other: Counts) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Operations, each with a scan behind it.
    steps,
    /// Blocks.
    blocks,
    /// Buckets.
    buckets,
    /// Large regions.
    regions,
    /// DMA memory.
    dma,
    /// Things given back.
    given,
    /// Blocks and regions resized.
    resized,
    /// Segments opened.
    segments,
    /// Ranges of pages mapped in them and unmapped.
    remapped,
    /// Requests with rights that were refused: for want of memory, quota, slots.
    refused,
    /// Requests without rights or sense that were refused.
    misused,
    /// Calls in the kernel that failed on purpose.
    failed,
    /// Clients begun.
    born,
    /// Clients that others started.
    children,
    /// Ends of clients, whatever the way.
    deaths,
    /// Of these, by faults.
    faults,
    /// Ends that parents asked for.
    reaped,
    /// Threads started behind the first.
    threads,
    /// Dataspaces made.
    dataspaces,
    /// Dataspaces attached.
    attached,
    /// Dataspaces that outlived their maker.
    outlived,
    /// Alarms set, and memory waited for.
    awaited,
    /// Jobs of the cleaner.
    cleaned,
}

/// A run of a [`Scenario`].
pub struct Run {
    /// The server, the kernel and what is between.
    pub system: System,
    clients: [Option<Model>; CLIENTS],
    sharing: sharing::Sharing,
    /// Children that have ended and that nobody asked about yet: parent, child, bytes that it held.
    orphans: Vec<(u64, u64, u64)>,
    /// Badges of the dead.
    stale: Vec<u64>,
    random: Random,
    /// The operation that is being carried out.
    operation: Operation,
    /// Whether the kernel may refuse something in this operation.
    failing: bool,
    lazy: bool,
    /// Free bytes while there is no client.
    free: u64,
    counts: Counts,
}

impl Run {
    /// A run that has not begun yet.
    pub fn new(scenario: &Scenario) -> Run {
        let ram = scenario.ram();
        let mut system = match scenario.mcs {
            true => System::new_mcs(ram),
            false => System::new(ram),
        };
        system.scan_every = 0;
        system.settles = !scenario.lazy;
        Run {
            free: system.books().free,
            system,
            clients: [const { None }; CLIENTS],
            sharing: sharing::Sharing::default(),
            orphans: Vec::new(),
            stale: Vec::new(),
            random: Random(0),
            operation: Operation::from_bytes([0; 8]),
            failing: false,
            lazy: scenario.lazy,
            counts: Counts::default(),
        }
    }

    /// Operations that have begun.
    pub fn steps(&self) -> usize {
        self.counts.steps as usize
    }

    /// One operation, and a look at everything behind it.
    ///
    /// # Panics
    /// When anything is not as it has to be.
    pub fn step(&mut self, operation: Operation) {
        self.counts.steps += 1;
        self.operation = operation;
        self.random = operation.random_numbers();
        if let Some(log) = &mut self.system.log {
            let Operation { who, choice, .. } = operation;
            let (name, amount) = (operation.what.name(), operation.amount);
            let step = self.counts.steps;
            log.push(format!("{step}: {name} {who} {choice} {amount}"));
        }
        if !self.of_machine() {
            self.of_client();
            self.stop_failing();
        }
        self.note_ends();
        scan(&self.system.server);
    }

    /// An operation of a client, by whoever has the place.
    fn of_client(&mut self) {
        let place = usize::from(self.operation.who) % CLIENTS;
        let Some(mut model) = self.clients[place].take() else {
            self.clients[place] = self.spawn();
            return;
        };
        let account = self.system.server.client(model.client);
        if account.map(|account| account.life) != Some(Life::Alive) {
            // It is being built, or is about to be found dead.
            self.clients[place] = Some(model);
            return;
        }
        match self.operation.what {
            What::Exit | What::Kill | What::Fault => {
                if !self.end(&model) {
                    self.clients[place] = Some(model);
                }
                return;
            }
            What::StartChild => self.start_child(&model, place),
            what => self.act(what, &mut model),
        }
        if let Some(account) = self.system.server.client(model.client) {
            model.check_counters(&account.counters);
            let shared = self.sharing.held_pages(model.handle);
            assert_eq!(account.counters.dataspace_pages, shared);
        }
        self.clients[place] = Some(model);
    }

    fn act(&mut self, what: What, model: &mut Model) {
        match what {
            What::Kmalloc | What::Kcalloc | What::Grant | What::GrantLarge | What::Dma => {
                self.take(what, model);
            }
            What::Give => self.give(model),
            What::Krealloc => self.krealloc(model),
            What::Resize => self.resize(model),
            What::OpenSegment => self.open_segment(model),
            What::MapPages => self.map_pages(model),
            What::UnmapPages => self.unmap_pages(model),
            What::CloseSegment => self.close_segment(model),
            What::Misuse => self.misuse(model),
            What::Babble => self.babble(model),
            What::Odd => self.odd(model),
            What::Stale => self.speak_for_the_dead(),
            What::MakeDataspace
            | What::Share
            | What::Attach
            | What::Detach
            | What::Close
            | What::LookShared => self.share(what, model),
            What::StartThread => self.start_thread(model),
            What::KillChild => self.kill_child(model),
            What::Reap => self.reap(model),
            What::SetAlarm | What::AwaitMemory | What::Events | What::Watch => {
                self.notices(what, model);
            }
            _ => self.look(model),
        }
    }

    /// A refusal that nothing in the request explains must be explained by what there is.
    fn check_refusal(&mut self, model: &Model, error: Error) {
        self.counts.refused += 1;
        let account = self.system.server.client(model.client);
        let account = account.expect("a place in the registry");
        let now = self.system.committed(model.client);
        match error {
            Error::Refused { code } => assert!(code == CODE && self.failing),
            Error::OverQuota {
                limit,
                committed,
                requested,
            } => {
                assert_eq!(limit, account.limit_pages as u64 * PAGE);
                assert!(committed + requested > limit);
                assert!(committed >= now);
            }
            // What is asked for at once, and reserved, is there. A page may be one of more that were given back.
            Error::OutOfMemory { requested, .. } if requested > PAGE => {
                assert!(now + requested > model.reserved);
            }
            Error::OutOfMemory { .. } | Error::NoContiguousRun { .. } => {}
            Error::OutOfSlots { limit } => assert_eq!(account.slots.limit as u64, limit),
            Error::BeingCleaned {
                usable,
                free,
                requested,
            } => assert!(usable < free && requested <= free),
            other => panic!("refused for no reason: {other}"),
        }
    }

    /// Everybody's memory is as it was left; then everybody ends, all comes back, and every untyped is whole again.
    ///
    /// # Panics
    /// When anything is not as it has to be.
    pub fn finish(&mut self) -> Counts {
        self.stop_failing();
        self.system.settles = true;
        self.system.settle();
        self.note_ends();
        self.counts.steps += 1;
        self.lazy = false;
        for place in 0..CLIENTS {
            if let Some(model) = self.clients[place].take() {
                model.check_contents(&self.system);
                self.operation.what = What::Kill;
                self.end(&model);
                self.note_ends();
            }
        }
        scan(&self.system.server);
        assert_eq!(self.system.books().free, self.free);
        assert_eq!(self.system.books().committed, 0);
        assert!(self.sharing.is_empty());
        self.make_whole();
        self.counts.steps -= 1;
        self.counts
    }

    /// The kernel agrees that nothing of any untyped is in use: each can be made one object.
    fn make_whole(&mut self) {
        let physical = self.system.server.physical();
        let (larges, pages) = (physical.large_capacity(), physical.page_capacity());
        let larges = (0..larges as u32).map(Large);
        let larges = larges.filter(|large| physical.large_form(*large) != LargeForm::Absent);
        let mut whole = larges
            .map(|large| (Slot::Large(large), 21))
            .collect::<Vec<_>>();
        let chunks = (0..pages as u32 / 16).map(Chunk).filter(|chunk| {
            physical.chunk_form(*chunk) != ChunkForm::Absent
                && physical.large_form(chunk.large()) == LargeForm::Absent
        });
        whole.extend(chunks.map(|chunk| (Slot::Chunk(chunk), 16)));
        let kernel = self.system.server.kernel_mut();
        for (untyped, size_bits) in whole {
            let made = kernel
                .revoke(untyped)
                .and_then(|()| kernel.retype(untyped, Object::Untyped(size_bits), Slot::Scratch, 1))
                .and_then(|()| kernel.delete(Slot::Scratch));
            assert_eq!(made, Ok(()), "{untyped:?} is not whole");
        }
    }
}
