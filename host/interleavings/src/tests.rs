// SPDX-License-Identifier: BSD-2-Clause
//! Every interleaving, by the model checker. Nodes are cells of the checker, so that it sees a node used by two threads.

use crate::remote::{AtomicHead, Link, RemoteList};
use core::ptr;
use core::sync::atomic::Ordering;
use loom::cell::UnsafeCell;
use loom::sync::{Arc, Mutex};
use loom::thread;

struct Node {
    next: UnsafeCell<*mut Node>,
    /// What the block's user wrote before freeing it.
    value: UnsafeCell<usize>,
}

impl Link for Node {
    unsafe fn set_next(node: *mut Node, next: *mut Node) {
        // SAFETY: the node is valid.
        unsafe { (*node).next.with_mut(|place| *place = next) };
    }
}

impl<N> AtomicHead<N> for loom::sync::atomic::AtomicPtr<N> {
    fn load(&self, order: Ordering) -> *mut N {
        self.load(order)
    }

    fn swap(&self, new: *mut N, order: Ordering) -> *mut N {
        self.swap(new, order)
    }

    fn compare_exchange_weak(
        &self,
        current: *mut N,
        new: *mut N,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut N, *mut N> {
        self.compare_exchange_weak(current, new, success, failure)
    }
}

type Checked = RemoteList<Node, loom::sync::atomic::AtomicPtr<Node>>;

fn list() -> Checked {
    RemoteList::with_head(loom::sync::atomic::AtomicPtr::new(ptr::null_mut()))
}

/// A block that some thread uses, and then frees to the list.
fn free_block(list: &Checked, value: usize) {
    let node = Box::into_raw(Box::new(Node {
        next: UnsafeCell::new(ptr::null_mut()),
        value: UnsafeCell::new(0),
    }));
    // SAFETY: the node is this thread's until it is pushed, and valid until it is taken.
    unsafe {
        (*node).value.with_mut(|place| *place = value);
        list.push(node);
    }
}

/// The values of all nodes taken, whose memory is used again.
fn drain(list: &Checked) -> Vec<usize> {
    let mut values = Vec::new();
    let mut next = list.take_all();
    while !next.is_null() {
        // SAFETY: a taken node is the taker's.
        let node = unsafe { Box::from_raw(next) };
        // SAFETY: as above.
        next = node.next.with(|place| unsafe { *place });
        // SAFETY: as above.
        node.value.with_mut(|place| unsafe {
            values.push(*place);
            *place = usize::MAX;
        });
    }
    values
}

#[test]
fn no_block_is_lost_or_seen_half_written() {
    loom::model(|| {
        let list = Arc::new(list());
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let list = list.clone();
                thread::spawn(move || {
                    free_block(&list, 2 * thread);
                    free_block(&list, 2 * thread + 1);
                })
            })
            .collect();
        let mut values = drain(&list);
        for thread in threads {
            thread.join().unwrap();
        }
        values.extend(drain(&list));
        values.sort_unstable();
        assert_eq!(values, [0, 1, 2, 3]);
    });
}

/// The owner ends while another thread still frees to it, and a third takes its part over.
#[test]
fn a_part_changes_hands_while_blocks_come_home() {
    loom::model(|| {
        let list = Arc::new(list());
        // The list of parts without a thread: a part is handed over under its lock.
        let orphan = Arc::new(Mutex::new(None));
        let stranger = {
            let list = list.clone();
            thread::spawn(move || free_block(&list, 1))
        };
        let owner = {
            let (list, orphan) = (list.clone(), orphan.clone());
            thread::spawn(move || {
                let values = drain(&list);
                *orphan.lock().unwrap() = Some(values);
            })
        };
        owner.join().unwrap();
        let mut values = orphan.lock().unwrap().take().unwrap();
        values.extend(drain(&list));
        stranger.join().unwrap();
        values.extend(drain(&list));
        assert_eq!(values, [1]);
    });
}
