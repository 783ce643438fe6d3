// SPDX-License-Identifier: BSD-2-Clause

//! The facts in which kernels differ, decided from what their own files say.

use crate::configuration::Configuration;
use crate::error::Error;
use crate::header::Constants;
use crate::interface::Interface;
use crate::method_table::{self, Features};

/// The kernel releases that are supported, as far as their interface tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 5.0.0
    Five,
    /// 13.0.0
    Thirteen,
    /// 14.0.0
    Fourteen,
    /// 15.0.0
    Fifteen,
    /// 16.0.0, or a later one that changed nothing which the bindings use.
    Sixteen,
}

/// How the kernel lays out what it tells the root task at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootInfoLayout {
    /// Release 5: packed, 12 bytes for each untyped.
    Packed,
    /// Release 13 and later: aligned, 16 bytes for each untyped; MCS adds a slot region.
    Aligned,
}

/// Where guard and guard size stand in a word of CNode capability data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLayout {
    /// Bits that are always set.
    pub tag: u64,
    /// Position of the guard.
    pub guard_shift: u32,
    /// Position of the guard's size.
    pub size_shift: u32,
}

/// What changed between release 5 and release 13, and is not stated in a form that could be read from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// Width of a message's label in bits.
    pub message_label_bits: u32,
    /// Width of a badge in bits.
    pub badge_bits: u32,
    /// How many low bits of a VM fault's address the kernel tells. Release 5 keeps it in 32 bits on its way.
    pub fault_address_bits: u32,
    /// Endpoint capabilities have a right to be replied to, apart from the right to grant.
    pub grant_reply_right: bool,
    /// The word that sets a guard.
    pub guard_layout: GuardLayout,
    /// The kernel keeps the address of a thread's IPC buffer as the base of GS; else the thread keeps it itself.
    pub ipc_buffer_in_gs: bool,
    /// How boot information is laid out.
    pub boot_info: BootInfoLayout,
}

const RELEASE_5: Generation = Generation {
    message_label_bits: 20,
    badge_bits: 28,
    fault_address_bits: 32,
    grant_reply_right: false,
    guard_layout: GuardLayout {
        tag: 1 << 31,
        guard_shift: 8,
        size_shift: 2,
    },
    ipc_buffer_in_gs: true,
    boot_info: BootInfoLayout::Packed,
};

const SINCE_RELEASE_13: Generation = Generation {
    message_label_bits: 52,
    badge_bits: 64,
    fault_address_bits: 64,
    grant_reply_right: true,
    guard_layout: GuardLayout {
        tag: 0,
        guard_shift: 6,
        size_shift: 0,
    },
    ipc_buffer_in_gs: false,
    boot_info: BootInfoLayout::Aligned,
};

/// What the bindings must know of one kernel beyond labels and constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abi {
    /// The release, as told by the interface.
    pub release: Release,
    /// The version to show to people.
    pub version: String,
    /// Whether the kernel is an MCS one: reply objects, scheduling contexts.
    pub mcs: bool,
    /// What its generation has in common.
    pub generation: Generation,
    /// SetPriority and SetMCPriority take the TCB by whose authority.
    pub priority_takes_authority: bool,
    /// The root task's slot 7 is a capability to all IO ports; else one from which ranges are issued.
    pub io_port_slot_is_all_ports: bool,
    /// Registers of a thread, in the order in which they are read and written.
    pub user_context: Vec<String>,
}

impl Abi {
    /// Decides the facts, or says why the kernel is not supported. `version` is what the kernel's folder states.
    pub fn decide(
        configuration: &Configuration,
        interface: &Interface,
        constants: &Constants,
        version: Option<&str>,
    ) -> Result<Self, Error> {
        let user_context = interface
            .structures
            .get("seL4_UserContext")
            .ok_or_else(|| Error::Unsupported("its interface has no seL4_UserContext".into()))?;
        let release = release(interface, constants, user_context)?;
        let five = release == Release::Five;
        let mcs = configuration.flag("KERNEL_MCS");
        refuse_unsupported(configuration, five)?;
        let features = Features {
            mcs,
            release_5: five,
            iommu: configuration.flag("IOMMU"),
        };
        method_table::check(interface, features)?;
        check_constants(constants, features)?;
        Ok(Self {
            release,
            version: version.map_or_else(|| release.describe().to_owned(), str::to_owned),
            mcs,
            generation: if five { RELEASE_5 } else { SINCE_RELEASE_13 },
            priority_takes_authority: takes(interface, "TCBSetPriority", "authority"),
            io_port_slot_is_all_ports: !interface.methods.contains_key("X86IOPortControlIssue"),
            // Release 5 has one base; rust-sel4's name for it is that of later releases.
            user_context: user_context
                .iter()
                .map(|register| match register.as_str() {
                    "tls_base" => "fs_base".to_owned(),
                    other => other.to_owned(),
                })
                .collect(),
        })
    }
}

impl Release {
    /// What to call a kernel of whose version only the interface is known.
    fn describe(self) -> &'static str {
        match self {
            Release::Five => "5.0.0",
            Release::Thirteen => "13.0.0",
            Release::Fourteen => "14.0.0",
            Release::Fifteen => "15.0.0",
            Release::Sixteen => "16.0.0",
        }
    }
}

/// Tells the release by what it was the first to have.
fn release(
    interface: &Interface,
    constants: &Constants,
    user_context: &[String],
) -> Result<Release, Error> {
    let has = |id: &str| interface.methods.contains_key(id);
    let has_register = |name: &str| user_context.iter().any(|register| register == name);
    if has_register("tls_base") && !has("TCBSetTLSBase") && has("X86PageRemap") {
        return Ok(Release::Five);
    }
    if !has_register("gs_base") || !has("TCBSetTLSBase") {
        return Err(Error::Unsupported(
            "its interface is neither that of 5.0.0 nor that of 13.0.0 or later".into(),
        ));
    }
    Ok(if constants.contains_key("seL4_UserVSpaceTop") {
        Release::Sixteen
    } else if has("DomainScheduleConfigure") {
        Release::Fifteen
    } else if has("TCBSetFlags") {
        Release::Fourteen
    } else {
        Release::Thirteen
    })
}

fn takes(interface: &Interface, method: &str, parameter: &str) -> bool {
    interface.methods.get(method).is_some_and(|method| {
        method
            .parameters
            .iter()
            .any(|known| known.name == parameter)
    })
}

/// What the server makes of a large page in one retype, and the least that a kernel may allow.
const FAN_OUT_LEAST: i64 = 32;
/// Server and clients have priority 100.
const PRIORITIES_LEAST: i64 = 101;

fn refuse_unsupported(configuration: &Configuration, five: bool) -> Result<(), Error> {
    let flag = |name: &str| configuration.flag(name);
    let text = |name: &str| configuration.text(name).unwrap_or("unknown").to_owned();
    let finds_buffer = flag("FSGSBASE_INST") || (flag("SET_TLS_BASE_SELF") && !five);
    let too_low = |name: &str, least: i64| {
        let is_refused = configuration.number(name).is_some_and(|is| is < least);
        let reason = format!("its {name} is {}; {least} is the least", text(name));
        (is_refused, reason)
    };
    let reasons = [
        (
            !flag("ARCH_X86_64"),
            format!("its architecture is {}; only x86_64 is", text("SEL4_ARCH")),
        ),
        (
            !flag("PLAT_PC99"),
            format!("its platform is {}; only pc99 is", text("PLAT")),
        ),
        (
            flag("VTX"),
            "it is built for hypervisor mode (VTX)".to_owned(),
        ),
        (
            !flag("SYSCALL"),
            "it is entered by sysenter; only the syscall instruction is supported".to_owned(),
        ),
        (
            !finds_buffer,
            "it gives a thread no way to find its own IPC buffer (FSGSBASE_INST, or SET_TLS_BASE_SELF since release 13)"
                .to_owned(),
        ),
        too_low("RETYPE_FAN_OUT_LIMIT", FAN_OUT_LEAST),
        too_low("NUM_PRIORITIES", PRIORITIES_LEAST),
    ];
    match reasons.into_iter().find(|(refused, _)| *refused) {
        Some((_, reason)) => Err(Error::Unsupported(reason)),
        None => Ok(()),
    }
}

/// Constants that crate `sel4` names.
pub(crate) const NEEDED: [&str; 36] = [
    "seL4_UntypedObject",
    "seL4_TCBObject",
    "seL4_EndpointObject",
    "seL4_NotificationObject",
    "seL4_CapTableObject",
    "seL4_X86_4K",
    "seL4_X86_LargePageObject",
    "seL4_X86_PageTableObject",
    "seL4_X86_PageDirectoryObject",
    "seL4_X86_PDPTObject",
    "seL4_X64_PML4Object",
    "seL4_TCBBits",
    "seL4_EndpointBits",
    "seL4_NotificationBits",
    "seL4_SlotBits",
    "seL4_PageBits",
    "seL4_LargePageBits",
    "seL4_HugePageBits",
    "seL4_PageTableBits",
    "seL4_PageDirBits",
    "seL4_PDPTBits",
    "seL4_PML4Bits",
    "seL4_ASIDPoolBits",
    "seL4_MsgMaxLength",
    "seL4_MsgExtraCapBits",
    "seL4_NumErrors",
    "seL4_CapInitThreadTCB",
    "seL4_CapInitThreadCNode",
    "seL4_X86_Default_VMAttributes",
    "seL4_X86_CacheDisabled",
    "seL4_VMFault_Length",
    "seL4_UserException_Length",
    "seL4_UnknownSyscall_Length",
    "seL4_CapFault_LookupFailureType",
    "seL4_Fault_VMFault",
    "seL4_Fault_CapFault",
];

/// Constants that crate `sel4` names for MCS kernels.
pub(crate) const NEEDED_ON_MCS: [&str; 5] = [
    "seL4_SchedContextObject",
    "seL4_ReplyObject",
    "seL4_ReplyBits",
    "seL4_MinSchedContextBits",
    "seL4_Fault_Timeout",
];

/// Constants that crate `sel4` names for kernels with the option IOMMU.
pub(crate) const NEEDED_WITH_IOMMU: [&str; 3] = [
    "seL4_X86_IOPageTableObject",
    "seL4_IOPageTableBits",
    "seL4_CapIOSpace",
];

fn check_constants(constants: &Constants, features: Features) -> Result<(), Error> {
    let needed = NEEDED
        .iter()
        .chain(NEEDED_ON_MCS.iter().filter(|_| features.mcs))
        .chain(NEEDED_WITH_IOMMU.iter().filter(|_| features.iommu))
        .find(|name| !constants.contains_key(**name));
    match needed {
        Some(name) => Err(Error::Unsupported(format!(
            "its headers don't define {name}"
        ))),
        None => Ok(()),
    }
}
