// SPDX-License-Identifier: BSD-2-Clause
//! Random operations of several clients, honest and hostile, against a trivial model.
//!
//! A run is a function of its seed. `KMALLOC_SEED=n` replays one, `KMALLOC_STEPS=n` makes it longer.

use crate::generator::Random;
use crate::model::{Item, Kind, Model};
use crate::random_sharing::Sharing;
use crate::system::{Answer, PAGE, System, UNLIMITED, program};
use kmalloc_protocol::{Error, Reply, Request};
use kmalloc_server::kernel::THREADS_MAX;
use kmalloc_server::spawn::Spawn;

/// 8 MiB, a chunk and some pages: little enough that it runs out.
const RAM: &[(u64, u32)] = &[(0x100_0000, 23), (0x180_0000, 16), (0x181_2000, 13)];
const CLIENTS: usize = 6;
const CODE: u32 = 77;

pub struct Run {
    pub system: System,
    pub random: Random,
    pub clients: [Option<Model>; CLIENTS],
    pub sharing: Sharing,
    /// Free bytes while there is no client.
    free: u64,
    seed: u64,
    step: u64,
    /// Times that something went well, so that a run in which nothing happens is not taken for a good one.
    taken: [u64; 4],
    given: u64,
    resized: u64,
    started: u64,
    failed: u64,
    ended: u64,
    cleaned: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "step {} of the run that KMALLOC_SEED={} replays",
                self.step, self.seed
            );
        }
    }
}

impl Run {
    fn new(seed: u64) -> Run {
        let system = System::new(RAM);
        Run {
            free: system.books().free,
            system,
            random: Random(seed),
            clients: [const { None }; CLIENTS],
            sharing: Sharing::default(),
            seed,
            step: 0,
            taken: [0; 4],
            given: 0,
            resized: 0,
            started: 0,
            failed: 0,
            ended: 0,
            cleaned: 0,
        }
    }

    fn step(&mut self) {
        self.step += 1;
        self.clean();
        let place = self.random.below(CLIENTS as u64) as usize;
        let Some(mut model) = self.clients[place].take() else {
            self.clients[place] = self.spawn();
            return;
        };
        if self.random.one_in(600) {
            self.end(&model);
            return;
        }
        // One call in the kernel fails now and then.
        let failing = self.random.one_in(12);
        if failing {
            let nth = 1 + self.random.below(12);
            self.system.server.kernel_mut().fail_at(nth, CODE);
        }
        match self.random.below(20) {
            0..=5 => self.take(&mut model),
            6..=10 => self.give(&mut model),
            11 => self.krealloc(&mut model),
            12 => self.resize(&mut model),
            13 => self.look(&model),
            14 => self.misuse(&model),
            15 => self.start_thread(&model),
            16..=18 => self.share(&model),
            _ => self.babble(&model),
        }
        if failing && self.system.server.kernel_mut().stop_failing().is_some() {
            self.failed += 1;
        }
        let account = self.system.server.client(model.client).expect("a client");
        model.check_counters(&account.counters);
        let shared = self.sharing.held_pages(self.system.handle(model.client));
        assert_eq!(account.counters.dataspace_pages, shared);
        self.clients[place] = Some(model);
    }

    /// Now and then the cleaner runs for a while; in the midst of a job it may have to wait for others.
    fn clean(&mut self) {
        if self.system.server.physical().cleaning().is_some() {
            if self.random.one_in(20) {
                self.system.give_up_cleaning();
            }
        } else if self.random.one_in(100) {
            let _begun = self.system.server.next_cleaning();
        } else if self.random.one_in(10) {
            let failing = self.random.one_in(12);
            if failing {
                self.system.server.kernel_mut().fail_at(1, CODE);
            }
            for _ in 0..self.random.below(20) {
                match self.system.clean_next() {
                    Some(Ok(_)) => self.cleaned += 1,
                    Some(Err(refused)) => assert_eq!(refused.code, CODE),
                    None => break,
                }
            }
            self.system.server.kernel_mut().stop_failing();
        }
    }

    fn spawn(&mut self) -> Option<Model> {
        let limit = if self.random.one_in(3) {
            UNLIMITED
        } else {
            (40 + self.random.below(600)) * PAGE
        };
        let before = self.system.books();
        let memory_reserved = match self.random.below(3) {
            0 => limit.min((50 + self.random.below(200)) * PAGE),
            _ => 0,
        };
        let spawned = self.system.try_spawn(&Spawn {
            memory_reserved,
            ..program(limit)
        });
        match spawned {
            Ok(client) => Some(Model::new(client, limit, memory_reserved)),
            Err(error) => {
                // What is reserved comes with a stock of chunks, for which the limit may be too low.
                let stocks = memory_reserved > 0 && matches!(error, Error::OverQuota { .. });
                assert!(
                    stocks
                        || matches!(
                            error,
                            Error::OutOfMemory { .. }
                                | Error::NoContiguousRun { .. }
                                | Error::BeingCleaned { .. }
                        ),
                    "a spawn fails: {error}"
                );
                assert_eq!(self.system.books(), before);
                None
            }
        }
    }

    fn end(&mut self, model: &Model) {
        self.ended += 1;
        let committed = self.system.committed(model.client);
        let free = self.system.books().free;
        let after = self.sharing.end(self.system.handle(model.client));
        let obituary = if self.random.one_in(2) {
            self.system.kill(model.client)
        } else {
            match self
                .system
                .answer(model.client, Request::Exit { status: 3 })
            {
                Answer::Ended(obituary) => obituary,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(obituary.held_bytes, model.held() + after.held);
        let expected = free + committed - after.left + after.freed;
        assert_eq!(self.system.books().free, expected);
    }

    /// A refusal that nothing in the request explains must be explained by what there is.
    pub fn check_refusal(&self, model: &Model, error: Error) {
        match error {
            Error::Refused { code } => assert_eq!(code, CODE),
            Error::OverQuota {
                limit,
                committed,
                requested,
            } => {
                assert_eq!(limit, model.limit / PAGE * PAGE);
                assert!(committed + requested > limit);
                assert!(committed >= self.system.committed(model.client));
            }
            // What is asked for at once, and reserved, is there. A page may be one of more that were given back.
            Error::OutOfMemory { requested, .. } if requested > PAGE => {
                let committed = self.system.committed(model.client);
                assert!(committed + requested > model.reserved);
            }
            Error::OutOfMemory { .. } | Error::NoContiguousRun { .. } => {}
            Error::OutOfSlots { limit } => {
                let account = self.system.server.client(model.client);
                assert_eq!(account.map(|it| it.slots.limit as u64), Some(limit));
            }
            Error::BeingCleaned {
                usable,
                free,
                requested,
            } => assert!(usable < free && requested <= free),
            other => panic!("refused for no reason: {other}"),
        }
    }

    fn take(&mut self, model: &mut Model) {
        let size = self.random.size();
        let client = model.client;
        let (kind, address, size) = match self.random.below(8) {
            0..=4 => (Kind::Served, self.system.kmalloc(client, size), size.max(1)),
            5 => {
                let size_bits = 12 + self.random.below(6) as u8;
                let count = 1 + self.random.below(4) as u32;
                let address = self.system.grant(client, size_bits, count);
                if let Ok(address) = address {
                    for bucket in 0..u64::from(count) {
                        let at = address + (bucket << size_bits);
                        self.add(model, at, Kind::Bucket, 1 << size_bits);
                    }
                    return;
                }
                (Kind::Bucket, address, size)
            }
            6 => {
                let size = size.max(1).next_multiple_of(PAGE);
                (Kind::Large, self.system.grant_large(client, size), size)
            }
            _ => {
                let size = size.clamp(1, 600 * PAGE).next_multiple_of(PAGE);
                let taken = self.system.dma(client, size);
                (Kind::Dma, taken.map(|(address, _)| address), size)
            }
        };
        match address {
            Ok(address) => {
                let size = match kind {
                    Kind::Served => self.system.ksize(client, address).expect("a block"),
                    _ => size,
                };
                self.add(model, address, kind, size);
            }
            Err(error) => self.check_refusal(model, error),
        }
    }

    /// New memory overlaps none, is zero where it is whole pages, and gets a pattern.
    fn add(&mut self, model: &mut Model, address: u64, kind: Kind, size: u64) {
        for other in self.clients.iter().flatten() {
            other.check_apart(address, size);
        }
        model.check_apart(address, size);
        self.taken[kind as usize] += 1;
        if size >= PAGE {
            assert!(self.system.is_zero(model.client, address, size));
        }
        let word = self.random.next() | 1;
        let item = Item { kind, size, word };
        item.write(&mut self.system, model.client, address);
        model.items.insert(address, item);
    }

    fn give(&mut self, model: &mut Model) {
        let Some(address) = self.random.pick(&model.addresses()) else {
            return;
        };
        let item = model.items[&address];
        item.check(&self.system, model.client, address);
        let response = self.system.call(model.client, item.free(address));
        assert_eq!(response, Ok(Reply::Done), "{item:x?} at {address:#x}");
        model.items.remove(&address);
        model.remember(address);
        self.given += 1;
    }

    fn krealloc(&mut self, model: &mut Model) {
        let served = model.addresses_of(Kind::Served);
        let Some(address) = self.random.pick(&served) else {
            return;
        };
        let item = model.items[&address];
        item.check(&self.system, model.client, address);
        let size = self.random.size().max(1);
        match self.system.krealloc(model.client, address, size) {
            Ok(Reply::Block { address: now }) => {
                let usable = self.system.ksize(model.client, now).expect("a block");
                assert!(usable >= size);
                model.items.remove(&address);
                item.check_resized(&self.system, model.client, now, usable);
                self.readd(model, now, item, usable);
                if now != address {
                    model.remember(address);
                }
            }
            Ok(Reply::Moved { address: new, copy }) => {
                assert_eq!(copy, item.size.min(size));
                item.check(&self.system, model.client, address);
                let usable = self.system.ksize(model.client, new).expect("a block");
                self.add(model, new, Kind::Served, usable);
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                self.check_refusal(model, error);
                item.check(&self.system, model.client, address);
            }
        }
    }

    fn resize(&mut self, model: &mut Model) {
        let large = model.addresses_of(Kind::Large);
        let Some(address) = self.random.pick(&large) else {
            return;
        };
        let item = model.items[&address];
        item.check(&self.system, model.client, address);
        let size = self.random.size().max(1);
        match self.system.resize(model.client, address, size) {
            Ok(Reply::Region {
                address: now,
                size: whole,
            }) => {
                assert!(whole >= size);
                model.items.remove(&address);
                item.check_resized(&self.system, model.client, now, whole);
                self.readd(model, now, item, whole);
                if now != address {
                    model.remember(address);
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                self.check_refusal(model, error);
                item.check(&self.system, model.client, address);
            }
        }
    }

    /// Memory of another size, maybe elsewhere.
    fn readd(&mut self, model: &mut Model, address: u64, item: Item, size: u64) {
        for other in self.clients.iter().flatten() {
            other.check_apart(address, size);
        }
        model.check_apart(address, size);
        self.resized += 1;
        let item = Item { size, ..item };
        item.write(&mut self.system, model.client, address);
        model.items.insert(address, item);
    }

    fn start_thread(&mut self, model: &Model) {
        let account = self.system.server.client(model.client);
        let threads = account.map_or(0, |it| it.threads);
        match self.system.start_thread(model.client) {
            Ok(reply) => {
                assert_eq!(reply, Reply::Done);
                assert!(threads < THREADS_MAX);
                self.started += 1;
            }
            Err(Error::OutOfSlots { limit }) => {
                assert_eq!((threads, limit), (THREADS_MAX, THREADS_MAX.into()));
            }
            Err(error) => self.check_refusal(model, error),
        }
    }

    fn look(&mut self, model: &Model) {
        if let Some(address) = self.random.pick(&model.addresses()) {
            let item = model.items[&address];
            item.check(&self.system, model.client, address);
            if item.kind == Kind::Served {
                let size = self.system.ksize(model.client, address);
                assert_eq!(size, Ok(item.size));
            }
        }
    }

    /// Everybody's memory is as it was left; then everybody ends, and enough has happened.
    fn finish(mut self) {
        for place in 0..CLIENTS {
            if let Some(model) = self.clients[place].take() {
                for (address, item) in &model.items {
                    item.check(&self.system, model.client, *address);
                }
                self.end(&model);
            }
        }
        assert_eq!(self.system.books().free, self.free);
        assert_eq!(self.system.books().committed, 0);
        assert!(self.sharing.is_empty());
        let enough = self.step / 300;
        assert!(
            self.taken.iter().all(|count| *count > enough),
            "{:?}",
            self.taken
        );
        let counts = [
            self.given,
            self.resized,
            self.failed,
            self.started * 10,
            self.ended * 10,
            self.cleaned,
            self.sharing.made,
            self.sharing.attached * 3,
            self.sharing.refused,
            self.sharing.outlived * 30,
        ];
        assert!(
            counts.iter().all(|count| *count > enough),
            "{counts:?} in {} steps",
            self.step
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| {
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is no number"))
    })
}

#[test]
fn random_operations_of_several_clients_agree_with_a_model() {
    let steps = number("KMALLOC_STEPS").unwrap_or(35_000);
    let seeds = match number("KMALLOC_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..4,
    };
    for seed in seeds {
        let mut run = Run::new(seed);
        for _ in 0..steps {
            run.step();
        }
        run.finish();
    }
}
