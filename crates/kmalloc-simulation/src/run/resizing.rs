// SPDX-License-Identifier: BSD-2-Clause
//! Memory gets another size, in place or elsewhere.

use super::Run;
use crate::model::{Item, Kind, Model};
use kmalloc_protocol::{Error, Reply, Request, Response};

impl Run {
    pub(super) fn krealloc(&mut self, model: &mut Model) {
        let Some(address) = self.choose(&model.addresses_of(Kind::Served)) else {
            return;
        };
        let item = model.items[&address];
        item.check(&self.system, model.client, address);
        let size = u64::from(self.operation.amount).max(1);
        match self.ask_krealloc(model, address, size) {
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
                if !matches!(error, Error::Overflow { .. }) {
                    self.check_refusal(model, error);
                }
                item.check(&self.system, model.client, address);
            }
        }
    }

    /// As one block, or as an array, which now and then is too large to be counted.
    fn ask_krealloc(&mut self, model: &Model, address: u64, size: u64) -> Response {
        let flags = 0;
        let array = |count, size| Request::KreallocArray {
            flags,
            address,
            count,
            size,
        };
        let request = match self.random.below(12) {
            0 if size > 1 => array(u64::MAX / size + 1, size),
            1 | 2 => array(1, size),
            3 => array(size, 1),
            _ => Request::Krealloc {
                flags,
                address,
                size,
            },
        };
        let response = self.system.call(model.client, request);
        if let Request::KreallocArray { count, size, .. } = request {
            let overflow = Err(Error::Overflow { count, size });
            assert_eq!(response == overflow, count.checked_mul(size).is_none());
        }
        response
    }

    pub(super) fn resize(&mut self, model: &mut Model) {
        let Some(address) = self.choose(&model.addresses_of(Kind::Large)) else {
            return;
        };
        let item = model.items[&address];
        item.check(&self.system, model.client, address);
        let size = u64::from(self.operation.amount).max(1);
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
        self.check_apart(model, address, size);
        self.counts.resized += 1;
        let item = Item { size, ..item };
        item.write(&mut self.system, model.client, address);
        model.items.insert(address, item);
    }
}
