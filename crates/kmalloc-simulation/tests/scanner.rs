// SPDX-License-Identifier: BSD-2-Clause
//! The scanner sees each kind of disagreement between the kernel and the server's books: here the kernel does something
//! that the server never asked for.

use fake_kernel::{FakeKernel, FrameUse, Kind};
use kmalloc_protocol::window::Window;
use kmalloc_server::kernel::{
    ClientIndex, ClientObject, Kernel, Mapping, Object, Slot, ThreadIndex,
};
use kmalloc_server::physical::{Chunk, ChunkForm, Large, LargeForm, Page};
use kmalloc_simulation::scan;
use kmalloc_simulation::system::{CHUNK, MIB, PAGE, RAM, System, UNLIMITED};

/// Two clients with some of everything, one of whom shares a dataspace with the other; a third has nothing. No scan but
/// those that the tests make.
struct World {
    system: System,
    one: ClientIndex,
    two: ClientIndex,
    other: ClientIndex,
    token: u64,
}

fn world() -> World {
    let mut system = System::new(RAM);
    let clients = [(); 3].map(|()| system.spawn(UNLIMITED));
    let [one, two, other] = clients;
    for client in [one, two] {
        system.kmalloc(client, 64).expect("memory");
        system.kmalloc(client, 3 * PAGE).expect("memory");
        system.grant_large(client, 2 * MIB).expect("memory");
    }
    let token = system.make_dataspace(one, 2 * PAGE).expect("memory");
    system.share(one, token, two, false).expect("a share");
    system.attach(two, token, false).expect("memory");
    let freed = system.grant_large(one, 4 * PAGE).expect("memory");
    system.release(one, freed).expect("it is ours");
    system.clean();
    scan(&system.server);
    World {
        system,
        one,
        two,
        other,
        token,
    }
}

impl World {
    fn kernel(&mut self) -> &mut FakeKernel {
        self.system.server.kernel_mut()
    }

    fn root(&self, client: ClientIndex) -> Page {
        Page(self.system.server.client(client).expect("a client").vspace)
    }

    /// A page of a client in a window, and its frame.
    fn mapped(&self, client: ClientIndex, window: Window) -> (usize, Slot) {
        let root = self.root(client);
        let mut spaces = self.system.server.kernel().spaces();
        let (_, space) = spaces.find(|(page, _)| *page == root).expect("a space");
        let mut pages = space.pages();
        let page = pages.find(|(address, _)| Window::of(*address) == Some(window));
        page.expect("a page")
    }

    /// A free frame that counts as zero.
    fn ready(&self) -> Page {
        let physical = self.system.server.physical();
        let mut pages = (0..physical.page_capacity() as u32).map(Page);
        let is_frame = |page: &Page| {
            let capability = self.system.server.kernel().capability(Slot::Page(*page));
            capability.is_some_and(|it| matches!(it.kind, Kind::Frame { .. }))
        };
        let ready = pages.find(|page| physical.is_ready(*page) && is_frame(page));
        ready.expect("a free frame")
    }

    fn whole_large(&self) -> Slot {
        let physical = self.system.server.physical();
        let mut larges = (0..physical.large_capacity() as u32).map(Large);
        let whole = larges.find(|large| {
            physical.large_form(*large) == LargeForm::Whole && physical.is_clean_large(*large)
        });
        Slot::Large(whole.expect("a whole large page"))
    }

    /// The chunks that tables and threads are made of.
    fn chunks_of_objects(&self) -> Vec<Slot> {
        let physical = self.system.server.physical();
        let chunks = (0..physical.page_capacity() as u32 / 16).map(Chunk);
        let objects = chunks.filter(|it| physical.chunk_form(*it) == ChunkForm::Objects);
        objects.map(Slot::Chunk).collect()
    }

    fn scan(&self) {
        scan(&self.system.server);
    }
}

#[test]
#[should_panic(expected = "the server asked for what the kernel has to refuse")]
fn what_the_kernel_refused() {
    let mut world = world();
    let root = world.root(world.one);
    let whole = world.whole_large();
    let refused = world.kernel().map_page(whole, root, 0, Mapping::MEMORY);
    assert!(refused.is_err());
    world.scan();
}

#[test]
#[should_panic(expected = "counts as zero and is not")]
fn a_ready_page_that_is_not_zero() {
    let mut world = world();
    let page = world.ready();
    world.kernel().write_page(page, 17, &[1]).expect("a frame");
    world.scan();
}

#[test]
#[should_panic(expected = "its chunk Frames")]
fn a_page_that_is_free_and_mapped() {
    let mut world = world();
    let (page, root) = (world.ready(), world.root(world.one));
    let (address, _) = world.mapped(world.one, Window::Served);
    let (slot, next) = (Slot::Page(page), address + 9 * 4096);
    let mapped = world.kernel().map_page(slot, root, next, Mapping::MEMORY);
    assert_eq!(mapped, Ok(()));
    world.scan();
}

#[test]
#[should_panic(expected = "is charged right?")]
fn a_page_that_is_neither_free_nor_mapped() {
    let mut world = world();
    let (_, frame) = world.mapped(world.two, Window::Served);
    world.kernel().unmap_page(frame).expect("it is mapped");
    world.scan();
}

#[test]
#[should_panic(expected = "is charged right?")]
fn a_page_that_another_has() {
    let mut world = world();
    let (from, frame) = world.mapped(world.two, Window::Served);
    let root = world.root(world.one);
    let (own, _) = world.mapped(world.one, Window::Served);
    // Where nobody has anything, in a segment of the other's.
    let to = own + (from % (1 << 21)).max(40 * 4096);
    world.kernel().unmap_page(frame).expect("it is mapped");
    let capability = world.kernel().capability(frame);
    assert!(matches!(
        capability.map(|it| &it.kind),
        Some(Kind::Frame {
            usage: FrameUse::Unmapped,
            ..
        })
    ));
    // The kernel model itself refuses to show one client's bytes to another, so nothing was written there.
    let mapped = world.kernel().map_page(frame, root, to, Mapping::MEMORY);
    assert_eq!(mapped, Ok(()));
    world.scan();
}

#[test]
#[should_panic(expected = "is to be a frame")]
fn a_frame_that_is_gone() {
    let mut world = world();
    let page = world.ready();
    world.kernel().delete(Slot::Page(page)).expect("a frame");
    world.scan();
}

#[test]
#[should_panic(expected = "Whole")]
fn an_untyped_that_something_was_made_of() {
    let mut world = world();
    let whole = world.whole_large();
    let made = world
        .kernel()
        .retype(whole, Object::Untyped(16), Slot::Scratch, 1);
    assert_eq!(made, Ok(()));
    world.scan();
}

#[test]
#[should_panic(expected = "is clean and was used as far as")]
fn a_clean_untyped_that_was_used() {
    let mut world = world();
    let whole = world.whole_large();
    let made = world
        .kernel()
        .retype(whole, Object::Untyped(16), Slot::Scratch, 1);
    assert_eq!(made, Ok(()));
    world.kernel().delete(Slot::Scratch).expect("it is there");
    world.scan();
}

#[test]
#[should_panic(expected = "runs")]
fn a_thread_that_does_not_run() {
    let mut world = world();
    let client = world.other;
    world.kernel().stop_threads(client, 1).expect("it runs");
    world.scan();
}

#[test]
#[should_panic(expected = "Dataspace")]
fn a_copy_that_is_gone() {
    let mut world = world();
    let (_, copy) = world.mapped(world.two, Window::Shared);
    assert!(matches!(copy, Slot::Copy(_)));
    world.kernel().unmap_page(copy).expect("it is mapped");
    world.kernel().delete(copy).expect("it is there");
    world.scan();
}

#[test]
#[should_panic(expected = "has a ledger and no table")]
fn a_ledger_without_a_segment() {
    let mut world = world();
    let (_, frame) = world.mapped(world.two, Window::Served);
    let Slot::Page(page) = frame else {
        panic!("{frame:?}");
    };
    let kernel = world.kernel();
    kernel.unmap_page(frame).expect("it is mapped");
    kernel.scrub(page).expect("a frame");
    kernel.push_ledger(3000, page).expect("a zero frame");
    world.scan();
}

#[test]
#[should_panic(expected = "has a ledger and no table")]
fn a_large_frame_that_nobody_has() {
    let mut world = world();
    let root = world.root(world.one);
    let mut spaces = world.system.server.kernel().spaces();
    let (_, space) = spaces.find(|(page, _)| *page == root).expect("a space");
    let (_, large) = space.larges().next().expect("a large frame");
    drop(spaces);
    let unmapped = world.kernel().unmap_page(Slot::LargeFrame(large));
    assert_eq!(unmapped, Ok(()));
    world.scan();
}

#[test]
#[should_panic(expected = "each capability is charged to somebody")]
fn an_object_that_nobody_is_charged_for() {
    let mut world = world();
    let client = world.other;
    let which = ClientObject::Tcb(ThreadIndex(5));
    let slot = Slot::Client(client, which);
    let chunks = world.chunks_of_objects();
    let kernel = world.kernel();
    // In whichever there is room.
    let made = chunks
        .into_iter()
        .find(|chunk| has_room(kernel, *chunk))
        .map(|chunk| kernel.retype(chunk, Object::Client(which), slot, 1));
    assert_eq!(made, Some(Ok(())));
    world.scan();
}

/// Whether a thread can be made of a chunk.
fn has_room(kernel: &FakeKernel, chunk: Slot) -> bool {
    let kind = kernel.capability(chunk).map(|it| &it.kind);
    matches!(kind, Some(Kind::Untyped { watermark, .. }) if *watermark + 4096 <= CHUNK)
}

#[test]
#[should_panic(expected = "mapped")]
fn a_dataspace_that_somebody_may_not_write_to() {
    let mut world = world();
    let (address, copy) = world.mapped(world.two, Window::Shared);
    let root = world.root(world.two);
    world.kernel().unmap_page(copy).expect("it is mapped");
    let mapped = world
        .kernel()
        .map_page(copy, root, address, Mapping::MEMORY);
    assert_eq!(mapped, Ok(()));
    assert_ne!(world.token, 0);
    world.scan();
}
