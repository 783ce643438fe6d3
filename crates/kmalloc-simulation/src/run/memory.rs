// SPDX-License-Identifier: BSD-2-Clause
//! Memory is taken, looked at and given back.

use super::Run;
use crate::model::{Item, Kind, Model};
use crate::operation::What;
use crate::system::{PAGE, block};
use kmalloc_protocol::message::quick::QuickRequest;
use kmalloc_protocol::{Error, Flags, Reply, Request};
use kmalloc_server::kernel::ClientIndex;

impl Run {
    pub(super) fn take(&mut self, what: What, model: &mut Model) {
        let size = u64::from(self.operation.amount);
        let client = model.client;
        let taken = match what {
            What::Kmalloc => self.kmalloc(client, size).map(|it| (it, Kind::Served, 0)),
            What::Kcalloc => self.kcalloc(client, size).map(|it| (it, Kind::Served, 0)),
            What::Grant => return self.grant(model),
            What::GrantLarge => {
                let size = size.max(1).next_multiple_of(PAGE);
                let address = self.system.grant_large(client, size);
                address.map(|address| (address, Kind::Large, size))
            }
            _ => {
                let size = size.max(1).next_multiple_of(PAGE);
                let address = self.dma(client, size);
                address.map(|address| (address, Kind::Dma, size))
            }
        };
        match taken {
            Ok((address, Kind::Served, _)) => {
                let size = self.system.ksize(client, address).expect("a block");
                self.counts.blocks += 1;
                self.add(model, address, Kind::Served, size);
            }
            Ok((address, kind, size)) => {
                match kind {
                    Kind::Large => self.counts.regions += 1,
                    _ => self.counts.dma += 1,
                }
                self.add(model, address, kind, size);
            }
            Err(Error::Overflow { count, size }) => assert_eq!(count.checked_mul(size), None),
            // [`Run::dma`] has looked at its conditions.
            Err(Error::AddressLimit { .. } | Error::BadAlignment { .. }) if what == What::Dma => {
                self.counts.refused += 1;
            }
            Err(error) => self.check_refusal(model, error),
        }
    }

    /// By the quick way, or by the long one. The flag changes nothing here: the client library makes a block zero.
    fn kmalloc(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        let flags = match self.operation.choice % 4 {
            0 | 2 => {
                let request = QuickRequest::Kmalloc { size, flags: 0 };
                return block(self.system.call_quick(client, request));
            }
            1 => Flags::empty(),
            _ => Flags::ZERO,
        };
        let flags = flags.bits();
        block(self.system.call(client, Request::Kmalloc { size, flags }))
    }

    fn kcalloc(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        let count = match self.operation.choice % 9 {
            8 => u64::MAX / 7,
            few => u64::from(few),
        };
        let (flags, size) = match count {
            ..=8 => (0, size / count.max(1)),
            _ => (0, size.max(8)),
        };
        let request = Request::Kcalloc { count, size, flags };
        let taken = block(self.system.call(client, request));
        if let Ok(address) = taken {
            let usable = self.system.ksize(client, address);
            assert!(usable.is_ok_and(|usable| usable >= count * size));
        }
        taken
    }

    fn grant(&mut self, model: &mut Model) {
        let size_bits = 12 + (self.operation.choice % 6) as u8;
        let count = 1 + self.operation.amount % 4;
        match self.system.grant(model.client, size_bits, count) {
            Ok(address) => {
                assert!(address.is_multiple_of(1 << size_bits));
                self.counts.buckets += u64::from(count);
                for bucket in 0..u64::from(count) {
                    let at = address + (bucket << size_bits);
                    self.add(model, at, Kind::Bucket, 1 << size_bits);
                }
            }
            Err(error) => self.check_refusal(model, error),
        }
    }

    /// DMA memory, sometimes with conditions; it is one piece and keeps them.
    fn dma(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        let choice = u64::from(self.operation.choice);
        let align_bits = [0, 12, 13, 16][choice as usize % 4];
        let boundary_bits = [0, 0, 16, 20][(choice >> 2) as usize % 4];
        let max_addr = [u64::MAX, u64::MAX, 0x121_ffff, 0x14f_ffff][(choice >> 4) as usize % 4];
        let reply = self.system.call(
            client,
            Request::KmallocDma {
                align_bits,
                boundary_bits,
                cache: 0,
                size,
                max_addr,
            },
        );
        let (address, dma_addr) = match reply {
            Ok(Reply::Dma {
                address,
                dma_addr,
                size: whole,
            }) => {
                assert_eq!(whole, size);
                (address, dma_addr)
            }
            Ok(other) => panic!("{other:?}"),
            // The conditions can't be met, whatever there is.
            Err(error @ Error::BadAlignment { .. }) if boundary_bits > 0 => {
                assert!(size > 1 << boundary_bits);
                return Err(error);
            }
            Err(error) => {
                if let Error::AddressLimit { max_addr: told, .. } = error {
                    assert!(told == max_addr && max_addr != u64::MAX);
                }
                return Err(error);
            }
        };
        assert!(dma_addr.is_multiple_of(1 << align_bits));
        assert!(dma_addr + size - 1 <= max_addr);
        if boundary_bits > 0 {
            assert_eq!(
                dma_addr >> boundary_bits,
                (dma_addr + size - 1) >> boundary_bits
            );
        }
        for at in (0..size).step_by(PAGE as usize) {
            let place = self.system.translate(client, address + at);
            assert_eq!(place.map(|(place, _)| place), Some(dma_addr + at));
        }
        Ok(address)
    }

    /// New memory overlaps none, is zero where it is whole pages, and gets a pattern.
    pub(super) fn add(&mut self, model: &mut Model, address: u64, kind: Kind, size: u64) {
        self.check_apart(model, address, size);
        if size >= PAGE {
            assert!(self.system.is_zero(model.client, address, size));
        }
        let word = self.random.next() | 1;
        let item = Item { kind, size, word };
        item.write(&mut self.system, model.client, address);
        model.items.insert(address, item);
    }

    /// Nobody has anything there.
    pub(super) fn check_apart(&self, model: &Model, address: u64, size: u64) {
        for other in self.clients.iter().flatten() {
            other.check_apart(address, size);
        }
        model.check_apart(address, size);
    }

    pub(super) fn give(&mut self, model: &mut Model) {
        let Some(address) = self.choose(&model.addresses()) else {
            return;
        };
        let item = model.items[&address];
        item.check(&self.system, model.client, address);
        let quickly = item.kind == Kind::Served && self.operation.amount.is_multiple_of(2);
        let response = match quickly {
            true => self
                .system
                .call_quick(model.client, QuickRequest::Kfree { address }),
            false => self.system.call(model.client, item.free(address)),
        };
        assert_eq!(response, Ok(Reply::Done), "{item:x?} at {address:#x}");
        model.items.remove(&address);
        model.remember(address);
        self.counts.given += 1;
    }

    /// The one of several things that the operation chooses.
    pub(super) fn choose<T: Copy>(&self, items: &[T]) -> Option<T> {
        let index = usize::from(self.operation.choice).checked_rem(items.len())?;
        items.get(index).copied()
    }

    pub(super) fn look(&mut self, model: &Model) {
        if let Some(address) = self.choose(&model.addresses()) {
            let item = model.items[&address];
            item.check(&self.system, model.client, address);
            if item.kind == Kind::Served {
                let size = self.system.ksize(model.client, address);
                assert_eq!(size, Ok(item.size));
            }
        }
    }
}
