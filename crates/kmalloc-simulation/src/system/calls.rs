// SPDX-License-Identifier: BSD-2-Clause
//! One method for each request that tests make often.

use super::{PAGE, System};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{Error, Events, Reply, Request, Response, Stats};
use kmalloc_server::kernel::ClientIndex;

impl System {
    /// A child that runs.
    pub fn start(&mut self, parent: ClientIndex, memory: u64) -> Result<u64, Error> {
        let text = "child";
        self.call(parent, Request::Start { memory, text })
            .map(|reply| match reply {
                Reply::Client { handle } => handle,
                other => panic!("no client but {other:?}"),
            })
    }

    /// The place of the client behind a handle.
    pub fn place(&self, handle: u64) -> ClientIndex {
        self.server.client_of(handle).expect("a client")
    }

    /// What a client is told when it asks what happened.
    pub fn events(&mut self, client: ClientIndex) -> Events {
        match self.call(client, Request::Events) {
            Ok(Reply::Events { events }) => Events::from_bits_retain(events),
            other => panic!("no events but {other:?}"),
        }
    }

    /// A block by the slow way; its address.
    pub fn kmalloc(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        block(self.call(client, Request::Kmalloc { size, flags: 0 }))
    }

    /// Gives a block back.
    pub fn kfree(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::Kfree { address })
    }

    /// Another size for a block.
    pub fn krealloc(&mut self, client: ClientIndex, address: u64, size: u64) -> Response {
        self.call(
            client,
            Request::Krealloc {
                address,
                size,
                flags: 0,
            },
        )
    }

    /// Bytes of a block that may be used.
    pub fn ksize(&mut self, client: ClientIndex, address: u64) -> Result<u64, Error> {
        self.call(client, Request::Ksize { address })
            .map(|reply| match reply {
                Reply::Size { size } => size,
                other => panic!("no size but {other:?}"),
            })
    }

    /// Buckets; the address of the first.
    pub fn grant(&mut self, client: ClientIndex, size_bits: u8, count: u32) -> Result<u64, Error> {
        let size = u64::from(count) << size_bits;
        self.call(client, Request::Grant { size_bits, count })
            .map(|reply| region(reply, size))
    }

    /// A region of whole pages; its address.
    pub fn grant_large(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        self.call(
            client,
            Request::GrantLarge {
                size,
                align_bits: 0,
            },
        )
        .map(|reply| region(reply, size.next_multiple_of(PAGE)))
    }

    /// Another size for a region.
    pub fn resize(&mut self, client: ClientIndex, address: u64, size: u64) -> Response {
        self.call(client, Request::Resize { address, size })
    }

    /// Gives a bucket, region or segment back.
    pub fn release(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::Release { address })
    }

    /// Gives DMA memory back.
    pub fn kfree_dma(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::KfreeDma { address })
    }

    /// DMA memory without conditions: where the client sees it, and where a device does.
    pub fn dma(&mut self, client: ClientIndex, size: u64) -> Result<(u64, u64), Error> {
        let request = Request::KmallocDma {
            size,
            max_addr: u64::MAX,
            align_bits: 0,
            boundary_bits: 0,
            cache: 0,
        };
        self.call(client, request).map(|reply| match reply {
            Reply::Dma {
                address, dma_addr, ..
            } => (address, dma_addr),
            other => panic!("no DMA memory but {other:?}"),
        })
    }

    /// The client's handle.
    pub fn handle(&self, client: ClientIndex) -> u64 {
        self.server.handle_of(client)
    }

    /// A dataspace of so many bytes; its token.
    pub fn make_dataspace(&mut self, client: ClientIndex, size: u64) -> Result<u64, Error> {
        self.call(client, Request::MakeDataspace { size })
            .map(|reply| match reply {
                Reply::Dataspace { token, size: whole } => {
                    assert_eq!(whole, size.next_multiple_of(PAGE));
                    token
                }
                other => panic!("no dataspace but {other:?}"),
            })
    }

    /// Lets another client attach a dataspace.
    pub fn share(
        &mut self,
        client: ClientIndex,
        token: u64,
        with: ClientIndex,
        writable: bool,
    ) -> Response {
        let handle = self.handle(with);
        let writable = writable.into();
        self.call(
            client,
            Request::ShareDataspace {
                writable,
                token,
                handle,
            },
        )
    }

    /// Where a dataspace is mapped now.
    pub fn attach(
        &mut self,
        client: ClientIndex,
        token: u64,
        writable: bool,
    ) -> Result<u64, Error> {
        let writable = writable.into();
        self.call(client, Request::Attach { writable, token })
            .map(|reply| match reply {
                Reply::Region { address, .. } => {
                    assert_eq!(Window::of(address as usize), Some(Window::Shared));
                    address
                }
                other => panic!("no region but {other:?}"),
            })
    }

    /// Unmaps what is attached at an address.
    pub fn detach(&mut self, client: ClientIndex, address: u64) -> Response {
        self.call(client, Request::Detach { address })
    }

    /// Lets go of a dataspace.
    pub fn close(&mut self, client: ClientIndex, token: u64) -> Response {
        self.call(client, Request::CloseDataspace { token })
    }

    /// One more thread; where it begins does not matter here.
    pub fn start_thread(&mut self, client: ClientIndex) -> Response {
        let request = Request::StartThread {
            entry: 0x40_0000,
            stack: 0x41_0000,
            argument: 7,
        };
        self.call(client, request)
    }

    /// The client's figures.
    pub fn stats(&mut self, client: ClientIndex) -> Stats {
        match self.call(client, Request::Stats) {
            Ok(Reply::Stats(stats)) => stats,
            other => panic!("no figures but {other:?}"),
        }
    }
}

/// The address of a block that was replied.
pub fn block(response: Response) -> Result<u64, Error> {
    response.map(|reply| match reply {
        Reply::Block { address } => address,
        other => panic!("no block but {other:?}"),
    })
}

/// The address of a region of `expected` bytes that was replied.
fn region(reply: Reply, expected: u64) -> u64 {
    match reply {
        Reply::Region { address, size } => {
            assert_eq!(size, expected, "a region has the size asked for");
            address
        }
        other => panic!("no region but {other:?}"),
    }
}
