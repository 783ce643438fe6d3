// SPDX-License-Identifier: BSD-2-Clause
//! The kernel's names for what the server speaks of: objects, rights, caches, refusals.

use super::CLIENT_CNODE_BITS;
use kmalloc_protocol::Cache;
use kmalloc_server::kernel::{ClientObject, Mapping, Object, Refused, Table};
use sel4::{CapRights, ObjectBlueprint, ObjectBlueprintX64, ObjectBlueprintX86};

/// The kernel's refusal, by number.
pub fn refused(error: sel4::Error) -> Refused {
    Refused {
        code: error.into_sys(),
    }
}

/// What the kernel calls an object.
pub fn blueprint(object: Object) -> ObjectBlueprint {
    match object {
        Object::Untyped(size_bits) => ObjectBlueprint::Untyped {
            size_bits: size_bits as usize,
        },
        Object::Frame => ObjectBlueprint::Arch(ObjectBlueprintX86::_4k),
        Object::LargeFrame => ObjectBlueprint::Arch(ObjectBlueprintX86::LargePage),
        Object::Table(Table::PageTable) => ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable),
        Object::Table(Table::PageDirectory) => {
            ObjectBlueprint::Arch(ObjectBlueprintX86::PageDirectory)
        }
        Object::Table(Table::Pdpt) => {
            ObjectBlueprint::Arch(ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PDPT))
        }
        Object::Table(Table::VSpace) => {
            ObjectBlueprint::Arch(ObjectBlueprintX86::SeL4Arch(ObjectBlueprintX64::PML4))
        }
        // Asked for only where there is an IOMMU.
        Object::IoTable => sel4_extension::io_space::TABLE
            .unwrap_or(ObjectBlueprint::Arch(ObjectBlueprintX86::PageTable)),
        Object::Client(ClientObject::Tcb(_)) => ObjectBlueprint::Tcb,
        Object::Client(ClientObject::CNode) => ObjectBlueprint::CNode {
            size_bits: CLIENT_CNODE_BITS,
        },
        Object::Client(ClientObject::Notification | ClientObject::Parking) => {
            ObjectBlueprint::Notification
        }
        Object::Client(ClientObject::Reply) => {
            sel4_extension::thread::REPLY.unwrap_or(ObjectBlueprint::Endpoint)
        }
        // Asked for only where the kernel has scheduling contexts; a fault endpoint is minted and never made.
        Object::Client(ClientObject::SchedContext(_) | ClientObject::FaultEndpoint) => {
            sel4_extension::thread::SCHED_CONTEXT.unwrap_or(ObjectBlueprint::Endpoint)
        }
    }
}

/// What a client may do with a page that is mapped so.
pub(super) fn rights(how: Mapping) -> CapRights {
    if how.writable {
        CapRights::read_write()
    } else {
        CapRights::read_only()
    }
}

/// The kernel's name for a cache mode. On x86 devices see the caches, so streaming memory is cached like any other.
pub(super) fn attributes(cache: Cache) -> sel4::VmAttributes {
    match cache {
        Cache::Coherent | Cache::Streaming => sel4::VmAttributes::DEFAULT,
        Cache::WriteCombining => sel4_extension::WRITE_COMBINING,
        Cache::Uncached => sel4::VmAttributes::CACHE_DISABLED,
    }
}
