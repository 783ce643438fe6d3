// SPDX-License-Identifier: BSD-2-Clause
//! Random operations on the heap and on a model of it, with all books checked after each.

use kmalloc::{Flags, Heap, PowersOfTwo, QuarterOctaves, SingleThread, SizeClasses};
use kmalloc_host_source::HostSource;
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

#[derive(Clone, Debug)]
enum Step {
    /// Through kmalloc.
    Kmalloc {
        size: usize,
        zero: bool,
    },
    /// Through the global allocator's interface.
    Alloc {
        size: usize,
        align_bits: u32,
    },
    Free {
        which: usize,
    },
    Resize {
        which: usize,
        size: usize,
    },
    Trim,
}

/// A block as the model knows it: how large it is and what it holds.
struct Block {
    address: NonNull<u8>,
    size: usize,
    /// Set for blocks of the global allocator's interface.
    align: Option<usize>,
    seed: u8,
}

/// Sizes around each power of two up to 2 MiB, small ones more often.
fn size() -> impl Strategy<Value = usize> {
    let any_octave = (0_u32..21, -2_isize..3)
        .prop_map(|(bits, offset)| (1_usize << bits).saturating_add_signed(offset).max(1));
    prop_oneof![3 => 1_usize..600, 3 => any_octave, 1 => 16_000_usize..700_000]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (size(), any::<bool>()).prop_map(|(size, zero)| Step::Kmalloc { size, zero }),
        3 => (size(), 0_u32..16).prop_map(|(size, align_bits)| Step::Alloc { size, align_bits }),
        5 => any::<usize>().prop_map(|which| Step::Free { which }),
        4 => (any::<usize>(), size()).prop_map(|(which, size)| Step::Resize { which, size }),
        1 => Just(Step::Trim),
    ]
}

impl Block {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the block is in use, has that size, and all of it was written.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.size) }
    }

    fn fill(&self) {
        // SAFETY: the block is in use and has that size.
        unsafe { self.address.write_bytes(self.seed, self.size) };
    }

    fn layout(&self) -> Option<Layout> {
        Some(Layout::from_size_align(self.size, self.align?).unwrap())
    }

    fn overlaps(&self, other: &Block) -> bool {
        let (from, to) = (self.address.addr().get(), other.address.addr().get());
        from < to + other.size && to < from + self.size
    }
}

struct World<C: SizeClasses> {
    heap: Heap<HostSource, SingleThread, C>,
    blocks: Vec<Block>,
    steps: usize,
}

impl<C: SizeClasses> World<C> {
    fn add(&mut self, block: Block) {
        for other in &self.blocks {
            assert!(!block.overlaps(other), "two blocks in one place");
        }
        block.fill();
        self.blocks.push(block);
    }

    fn take(&mut self, which: usize) -> Option<Block> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(which % self.blocks.len());
        assert!(
            block.bytes().iter().all(|&byte| byte == block.seed),
            "contents changed"
        );
        Some(block)
    }

    fn apply(&mut self, step: &Step) {
        self.steps += 1;
        let seed = self.steps as u8;
        match *step {
            Step::Kmalloc { size, zero } => {
                let flags = if zero { Flags::ZERO } else { Flags::empty() };
                let address = self.heap.kmalloc(size, flags).unwrap();
                let block = Block {
                    address,
                    size,
                    align: None,
                    seed,
                };
                assert!(!zero || block.bytes().iter().all(|&byte| byte == 0));
                self.add(block);
            }
            Step::Alloc { size, align_bits } => {
                let align = 1 << align_bits;
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is not empty.
                let address = unsafe { self.heap.alloc(layout) };
                assert!(address.addr().is_multiple_of(align.max(16)));
                let address = NonNull::new(address).unwrap();
                self.add(Block {
                    address,
                    size,
                    align: Some(align),
                    seed,
                });
            }
            Step::Free { which } => {
                if let Some(block) = self.take(which) {
                    self.free(&block);
                }
            }
            Step::Resize { which, size } => {
                if let Some(block) = self.take(which) {
                    self.resize(block, size, seed);
                }
            }
            Step::Trim => self.heap.trim(),
        }
        self.heap.audit().unwrap();
    }

    fn free(&self, block: &Block) {
        // SAFETY: the block is in use.
        unsafe {
            match block.layout() {
                Some(layout) => self.heap.dealloc(block.address.as_ptr(), layout),
                None => self.heap.kfree(block.address).unwrap(),
            }
        }
    }

    fn resize(&mut self, block: Block, size: usize, seed: u8) {
        // SAFETY: the block is in use.
        let address = unsafe {
            match block.layout() {
                Some(layout) => {
                    NonNull::new(self.heap.realloc(block.address.as_ptr(), layout, size)).unwrap()
                }
                None => {
                    let resized = self
                        .heap
                        .krealloc(Some(block.address), size, Flags::empty());
                    resized.unwrap().unwrap()
                }
            }
        };
        let kept = Block {
            address,
            size: size.min(block.size),
            ..block
        };
        assert!(
            kept.bytes().iter().all(|&byte| byte == block.seed),
            "contents lost"
        );
        self.add(Block {
            address,
            size,
            align: block.align,
            seed,
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_heap_behaves_as_its_model(steps in proptest::collection::vec(step(), 1..400)) {
        behave::<QuarterOctaves>(&steps);
    }

    #[test]
    fn with_powers_of_two_it_does_too(steps in proptest::collection::vec(step(), 1..400)) {
        behave::<PowersOfTwo>(&steps);
    }
}

fn behave<C: SizeClasses>(steps: &[Step]) {
    // SAFETY: the test uses the heap from one thread.
    let heap = unsafe { Heap::<_, _, C>::single_threaded_with_classes(HostSource::new(2 << 30)) };
    let mut world = World {
        heap,
        blocks: Vec::new(),
        steps: 0,
    };
    for step in steps {
        world.apply(step);
    }
    while let Some(block) = world.take(0) {
        world.free(&block);
        world.heap.audit().unwrap();
    }
    world.heap.trim();
    assert_eq!(world.heap.source().usage().mapped, 0);
}
