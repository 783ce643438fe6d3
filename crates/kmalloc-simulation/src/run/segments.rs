// SPDX-License-Identifier: BSD-2-Clause
//! Segments as the resident heap uses them: pages come and go in any order.

use super::Run;
use crate::model::{Kind, Model};
use crate::system::PAGE;
use kmalloc_protocol::{Error, Reply, Request};
use std::ops::Range;

/// Pages of a segment.
const PAGES: u64 = 512;
/// Bytes of its address space.
const BYTES: u64 = PAGES * PAGE;

impl Run {
    pub(super) fn open_segment(&mut self, model: &mut Model) {
        let pages = 1 + match self.operation.choice % 8 {
            0 => PAGES - 1,
            1 => u64::from(self.operation.amount) % PAGES,
            _ => u64::from(self.operation.amount) % 12,
        };
        let size = pages * PAGE;
        let response = self
            .system
            .call(model.client, Request::OpenSegment { size });
        match response {
            Ok(Reply::Region {
                address,
                size: mapped,
            }) => {
                assert!(mapped == size && address.is_multiple_of(BYTES));
                self.check_apart(model, address, BYTES);
                self.counts.segments += 1;
                if pages == PAGES {
                    return self.add(model, address, Kind::Bucket, size);
                }
                model.segments.insert(address, [].into());
                self.fill_pages(model, address, 0..pages);
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => self.check_refusal(model, error),
        }
    }

    /// Pages that were just mapped: zero, and written to.
    fn fill_pages(&mut self, model: &mut Model, address: u64, pages: Range<u64>) {
        let at = address + pages.start * PAGE;
        let bytes = (pages.end - pages.start) * PAGE;
        assert!(self.system.is_zero(model.client, at, bytes));
        let word = self.random.next() | 1;
        self.system.fill(model.client, at, bytes, word);
        let segment = model.segments.entry(address).or_default();
        segment.extend(pages.map(|page| (page, word)));
    }

    /// The segment and the pages that an operation is about.
    fn pages_of(&self, model: &Model) -> Option<(u64, Range<u64>)> {
        let segments = model.segments.keys().copied().collect::<Vec<_>>();
        let address = self.choose(&segments)?;
        let amount = u64::from(self.operation.amount);
        // Near the front, where there are some.
        let first = match amount % 8 {
            0 => amount / 8 % PAGES,
            _ => amount / 8 % 24,
        };
        let count = 1 + amount / 256 % 6;
        Some((address, first..(first + count).min(PAGES)))
    }

    pub(super) fn map_pages(&mut self, model: &mut Model) {
        let Some((address, pages)) = self.pages_of(model) else {
            return;
        };
        let used = |page: &u64| model.segments[&address].contains_key(page);
        let first_used = pages.clone().find(used);
        let response = self.system.call(
            model.client,
            Request::Map {
                address: address + pages.start * PAGE,
                size: (pages.end - pages.start) * PAGE,
            },
        );
        match (response, first_used) {
            (Err(Error::BadPointer { address: at }), Some(page)) => {
                assert_eq!(at, address + page * PAGE);
                self.counts.misused += 1;
            }
            (Ok(Reply::Done), None) => {
                self.counts.remapped += 1;
                self.fill_pages(model, address, pages);
            }
            (Err(error), None) => self.check_refusal(model, error),
            (other, _) => panic!("{pages:?} of {address:#x}: {other:?}"),
        }
    }

    pub(super) fn unmap_pages(&mut self, model: &mut Model) {
        let Some((address, pages)) = self.pages_of(model) else {
            return;
        };
        let segment = model.segments.entry(address).or_default();
        // The first page stays as long as the segment.
        let can_go = |page: &u64| *page != 0 && segment.contains_key(page);
        let first_other = pages.clone().find(|page| !can_go(page));
        let response = self.system.call(
            model.client,
            Request::Unmap {
                address: address + pages.start * PAGE,
                size: (pages.end - pages.start) * PAGE,
            },
        );
        match (response, first_other) {
            (Err(Error::BadPointer { address: at }), Some(page)) => {
                assert_eq!(at, address + page * PAGE);
                self.counts.misused += 1;
            }
            (Ok(Reply::Done), None) => {
                self.counts.remapped += 1;
                segment.retain(|page, _| !pages.contains(page));
            }
            (other, _) => panic!("{pages:?} of {address:#x}: {other:?}"),
        }
    }

    pub(super) fn close_segment(&mut self, model: &mut Model) {
        let segments = model.segments.keys().copied().collect::<Vec<_>>();
        let Some(address) = self.choose(&segments) else {
            return;
        };
        model.check_contents(&self.system);
        let response = self.system.release(model.client, address);
        assert_eq!(response, Ok(Reply::Done));
        model.segments.remove(&address);
        model.remember(address);
        self.counts.given += 1;
    }
}
