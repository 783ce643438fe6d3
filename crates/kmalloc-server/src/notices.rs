// SPDX-License-Identifier: BSD-2-Clause
//! What clients are told unasked: a signal, and what it was for when they ask.
//!
//! Nobody waits inside the server. Who wants memory that is not there says so, is signalled when it is, and asks again.

use crate::Server;
use crate::client::{Life, NO_ALARM};
use crate::kernel::{ClientIndex, Kernel, Worker};
use crate::memory::bytes;
use crate::physical::PAGE_BITS;
use crate::segments::{LEDGER_FRAMES, SEGMENT_PAGES};
use kmalloc_protocol::{AWAIT_ALL, Error, Events, Reply, Response};

/// Clients that one slice of work looks at.
const SLICE_CLIENTS: usize = 32;

/// Stands for all free pages, however many: who waits for those waits until none is dirty.
pub(crate) const ALL_PAGES: usize = usize::MAX;

/// What so many pages take with them at the most: tables and ledgers, of all segments that they may lie in and of the first
/// of a window.
const fn with_tables(pages: usize) -> usize {
    let segments = pages.div_ceil(SEGMENT_PAGES).saturating_add(1);
    pages.saturating_add(segments.saturating_mul(1 + LEDGER_FRAMES) + 2)
}

/// What a client is to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notices {
    /// What happened that it has not asked for yet.
    pending: Events,
    /// What it is to be told by the next round.
    due: Events,
    /// What it wants to hear of.
    watched: Events,
    /// Pages it waits for, or [`ALL_PAGES`]; 0 when it does not wait.
    awaited_pages: usize,
    /// When it stops waiting, in microseconds since boot.
    deadline_us: u64,
}

impl Notices {
    pub const NONE: Notices = Notices {
        pending: Events::empty(),
        due: Events::empty(),
        watched: Events::empty(),
        awaited_pages: 0,
        deadline_us: NO_ALARM,
    };

    /// The client's alarm, or the end of its waiting, is to be told.
    pub fn is_due(&mut self, event: Events) {
        self.due |= event;
        if event == Events::TIMEOUT {
            self.deadline_us = NO_ALARM;
        }
    }

    /// When the client stops waiting; [`NO_ALARM`] when it does not wait.
    pub const fn deadline_us(&self) -> u64 {
        self.deadline_us
    }
}

/// Who is to be told what, seen from the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Board {
    /// Free pages below which memory is short.
    mark_pages: usize,
    /// Whether memory is short.
    short: bool,
    /// Whether those who watch are to be told so by this round.
    tell_pressure: bool,
    /// The next client that this round looks at; `None` between rounds.
    next: Option<usize>,
    /// The fewest pages that anybody waits for; [`ALL_PAGES`] when nobody waits for a number.
    least_awaited: usize,
    /// Whether anybody waits for all that is free.
    all_awaited: bool,
}

impl Board {
    pub fn new(mark_pages: usize) -> Board {
        Board {
            mark_pages,
            short: false,
            tell_pressure: false,
            next: None,
            least_awaited: ALL_PAGES,
            all_awaited: false,
        }
    }
}

impl<K: Kernel> Server<K> {
    /// Sets how much free memory counts as short, in bytes.
    pub fn set_pressure_mark(&mut self, mark: u64) {
        self.board.mark_pages = usize::try_from(mark >> PAGE_BITS).unwrap_or(usize::MAX);
    }

    /// Tells a client that something happened.
    pub fn raise(&mut self, client: ClientIndex, events: Events) {
        let Some(account) = self.clients.get_mut(client.index()) else {
            return;
        };
        if account.life == Life::Alive {
            account.notices.pending |= events;
            self.kernel.signal(client);
        }
    }

    pub(crate) fn events(&mut self, client: ClientIndex) -> Response {
        let pending = &mut self.client_mut(client)?.notices.pending;
        let events = core::mem::replace(pending, Events::empty()).bits();
        Ok(Reply::Events { events })
    }

    pub(crate) fn watch(&mut self, client: ClientIndex, events: u32) -> Response {
        let known = Events::PRESSURE.bits();
        if events & !known != 0 {
            let unknown = events & !known;
            return Err(Error::BadFlags { unknown });
        }
        self.client_mut(client)?.notices.watched = Events::from_bits_truncate(events);
        // Who asks while memory is short hears of it at once.
        if self.board.short && events != 0 {
            self.raise(client, Events::PRESSURE);
        }
        Ok(Reply::Done)
    }

    pub(crate) fn await_memory(
        &mut self,
        client: ClientIndex,
        size: u64,
        timeout_us: u64,
    ) -> Response {
        let pages = match size {
            AWAIT_ALL => ALL_PAGES,
            _ => self.check_awaited(client, size)?,
        };
        let now_us = self.kernel.now_us()?;
        let notices = &mut self.client_mut(client)?.notices;
        let before = *notices;
        notices.pending -= Events::MEMORY | Events::TIMEOUT;
        notices.due -= Events::TIMEOUT;
        notices.awaited_pages = pages;
        notices.deadline_us = match pages {
            0 => NO_ALARM,
            _ => now_us.saturating_add(timeout_us),
        };
        if let Err(error) = self.set_next_alarm() {
            self.client_mut(client)?.notices = before;
            return Err(error);
        }
        if pages > 0 {
            self.want_pages(with_tables(pages));
            self.begin_round();
        }
        Ok(Reply::Done)
    }

    /// The pages of so many bytes, if waiting can bring them.
    fn check_awaited(&mut self, client: ClientIndex, size: u64) -> Result<usize, Error> {
        let pages = usize::try_from(size.div_ceil(bytes(1))).unwrap_or(usize::MAX);
        // What the quota forbids, no waiting brings.
        self.check_quota(client, pages)?;
        if pages > self.total_pages {
            let free = bytes(self.physical.free_pages());
            let requested = size;
            return Err(Error::OutOfMemory { free, requested });
        }
        Ok(pages)
    }

    /// So many pages are about to be taken, besides those that have been: will memory be short?
    #[inline(always)]
    pub(crate) fn note_taking(&mut self, pages: usize) {
        let free = self.physical.free_pages().saturating_sub(pages);
        if free < self.board.mark_pages && !self.board.short {
            self.become_short();
        }
    }

    #[cold]
    fn become_short(&mut self) {
        self.board.short = true;
        self.board.tell_pressure = true;
        self.begin_round();
    }

    /// So many pages are about to be given back: is that enough, or enough for somebody who waits? What is dirty may have
    /// to be cleaned before it counts for those.
    #[inline(always)]
    pub(crate) fn note_giving(&mut self, pages: usize) {
        let free = self.physical.free_pages() + pages;
        if self.board.short && free >= self.board.mark_pages + self.board.mark_pages / 4 {
            self.board.short = false;
        }
        if self.physical.usable_pages() + pages >= self.board.least_awaited {
            self.begin_round();
        }
    }

    /// Something was cleaned: was it the last, and does anybody wait for that?
    pub(crate) fn note_all_clean(&mut self) {
        if self.awaited().is_some() && self.is_all_clean() {
            self.begin_round();
        }
    }

    /// Whether all that is free can be had now.
    fn is_all_clean(&self) -> bool {
        self.physical.usable_pages() == self.physical.free_pages()
    }

    #[cold]
    pub(crate) fn begin_round(&mut self) {
        self.board.next = Some(0);
        self.kernel.wake(Worker::Reclaimer);
    }

    /// The pages that cleaning is to make usable, as far as anybody is known to wait for some: all, if anybody waits for
    /// those, or the fewest.
    pub(crate) fn awaited(&self) -> Option<usize> {
        let Board {
            least_awaited,
            all_awaited,
            ..
        } = self.board;
        if all_awaited {
            return Some(ALL_PAGES);
        }
        (least_awaited != ALL_PAGES).then_some(least_awaited)
    }

    pub(crate) fn has_notices(&self) -> bool {
        self.board.next.is_some()
    }

    /// Looks at some clients, and tells them what there is to tell.
    pub(crate) fn give_notices(&mut self) {
        let Some(first) = self.board.next else {
            return;
        };
        if first == 0 {
            self.board.least_awaited = ALL_PAGES;
            self.board.all_awaited = false;
        }
        let end = (first + SLICE_CLIENTS).min(self.clients.len());
        for index in first..end {
            self.give_notice(ClientIndex(index as u16));
        }
        let over = end == self.clients.len();
        self.board.next = (!over).then_some(end);
        if over {
            self.board.tell_pressure = false;
            // Who has got what it waits for needs no alarm.
            let _ = self.set_next_alarm();
        }
    }

    fn give_notice(&mut self, client: ClientIndex) {
        let (usable, all_clean) = (self.physical.usable_pages(), self.is_all_clean());
        let Some(account) = self.clients.get_mut(client.index()) else {
            return;
        };
        if account.life != Life::Alive {
            return;
        }
        let notices = &mut account.notices;
        let awaited = notices.awaited_pages;
        let mut events = core::mem::replace(&mut notices.due, Events::empty());
        if self.board.tell_pressure {
            events |= notices.watched & Events::PRESSURE;
        }
        if awaited > 0 {
            let all_awaited = awaited == ALL_PAGES;
            let enough = with_tables(awaited);
            // Where there is nothing left to clean, as much as was asked for has to do.
            if usable >= enough || all_clean && (all_awaited || usable >= awaited) {
                events = (events | Events::MEMORY) - Events::TIMEOUT;
            } else if !events.contains(Events::TIMEOUT) {
                // Where all is clean only giving helps, and then the pages themselves are enough.
                let least = if all_clean { awaited } else { enough };
                self.board.least_awaited = self.board.least_awaited.min(least);
                self.board.all_awaited |= all_awaited;
            }
        }
        if events.intersects(Events::MEMORY | Events::TIMEOUT) {
            notices.awaited_pages = 0;
            notices.deadline_us = NO_ALARM;
        }
        if !events.is_empty() {
            self.raise(client, events);
        }
    }
}
