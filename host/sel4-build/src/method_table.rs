// SPDX-License-Identifier: BSD-2-Clause

//! The methods that crate `sel4` invokes, and what it passes to each.
//!
//! The table holds no labels. It is the check that a kernel's method takes what the bindings pass: a release that
//! changed one is refused when the bindings are built, not found out by a failing invocation.

use crate::error::Error;
use crate::interface::{Interface, Parameter};

/// A method with the forms of its parameters that the bindings can pass.
struct Known {
    id: &'static str,
    /// One letter a parameter: `c` a capability, `w` a word or less, `s` the registers of a thread. More than one form where releases differ.
    forms: &'static [&'static str],
    /// Which kernels have it.
    on: On,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    All,
    /// MCS kernels.
    Mcs,
    /// All but MCS kernels.
    NotMcs,
    /// All but MCS kernels and release 5.
    Classic,
    /// All but release 5.
    Later,
    /// Kernels with the option IOMMU.
    Iommu,
}

/// What decides which methods a kernel has.
#[derive(Clone, Copy)]
pub struct Features {
    pub mcs: bool,
    pub release_5: bool,
    pub iommu: bool,
}

const fn known(id: &'static str, forms: &'static [&'static str], on: On) -> Known {
    Known { id, forms, on }
}

const KNOWN: [Known; 51] = [
    known("UntypedRetype", &["wwcwwww"], On::All),
    known("TCBReadRegisters", &["www"], On::All),
    known("TCBWriteRegisters", &["wwws"], On::All),
    known("TCBConfigure", &["wcwcwwc"], On::Classic),
    known("TCBConfigure", &["cwcwwc"], On::Mcs),
    known("TCBSetPriority", &["cw", "w"], On::All),
    known("TCBSetMCPriority", &["cw", "w"], On::All),
    known("TCBSetSchedParams", &["cww"], On::Classic),
    known("TCBSetSchedParams", &["cwwcc"], On::Mcs),
    known("TCBSetTimeoutEndpoint", &["c"], On::Mcs),
    known("TCBSetIPCBuffer", &["wc"], On::All),
    known("TCBSetSpace", &["wcwcw"], On::NotMcs),
    known("TCBSetSpace", &["ccwcw"], On::Mcs),
    known("TCBSuspend", &[""], On::All),
    known("TCBResume", &[""], On::All),
    known("TCBBindNotification", &["c"], On::All),
    known("TCBUnbindNotification", &[""], On::All),
    known("TCBSetTLSBase", &["w"], On::Later),
    known("CNodeRevoke", &["ww"], On::All),
    known("CNodeDelete", &["ww"], On::All),
    known("CNodeCopy", &["wwcwww"], On::All),
    known("CNodeMint", &["wwcwwww"], On::All),
    known("CNodeMove", &["wwcww"], On::All),
    known("CNodeMutate", &["wwcwww"], On::All),
    known("CNodeSaveCaller", &["ww"], On::NotMcs),
    known("IRQAckIRQ", &[""], On::All),
    known("IRQSetIRQHandler", &["c"], On::All),
    known("IRQClearIRQHandler", &[""], On::All),
    known("SchedControlConfigureFlags", &["cwwwww"], On::Mcs),
    known("SchedContextUnbind", &[""], On::Mcs),
    known("X86PDPTMap", &["cww"], On::All),
    known("X86PageDirectoryMap", &["cww"], On::All),
    known("X86PageTableMap", &["cww"], On::All),
    known("X86PageTableUnmap", &[""], On::All),
    known("X86PageMap", &["cwww"], On::All),
    known("X86PageUnmap", &[""], On::All),
    known("X86PageGetAddress", &[""], On::All),
    known("X86ASIDControlMakePool", &["ccww"], On::All),
    known("X86ASIDPoolAssign", &["c"], On::All),
    known("X86IOPortControlIssue", &["wwcww"], On::Later),
    known("X86IOPortIn8", &["w"], On::All),
    known("X86IOPortIn16", &["w"], On::All),
    known("X86IOPortIn32", &["w"], On::All),
    known("X86IOPortOut8", &["ww"], On::All),
    known("X86IOPortOut16", &["ww"], On::All),
    known("X86IOPortOut32", &["ww"], On::All),
    known("X86IRQIssueIRQHandlerIOAPIC", &["cwwwwwww"], On::All),
    known("X86IRQIssueIRQHandlerMSI", &["cwwwwwww"], On::All),
    known("X86PageMapIO", &["cww"], On::Iommu),
    known("X86IOPageTableMap", &["cw"], On::Iommu),
    known("X86IOPageTableUnmap", &[""], On::Iommu),
];

impl Known {
    fn needed(&self, features: Features) -> bool {
        match self.on {
            On::All => true,
            On::Mcs => features.mcs,
            On::NotMcs => !features.mcs,
            On::Classic => !features.mcs && !features.release_5,
            On::Later => !features.release_5,
            On::Iommu => features.iommu,
        }
    }
}

/// Checks every method that the bindings need on such a kernel.
pub fn check(interface: &Interface, features: Features) -> Result<(), Error> {
    for known in KNOWN.iter().filter(|known| known.needed(features)) {
        let method = interface.methods.get(known.id).ok_or_else(|| {
            Error::Unsupported(format!("its interface has no method {}", known.id))
        })?;
        let found = form(&method.parameters);
        if !known.forms.contains(&found.as_str()) {
            return Err(Error::Unsupported(format!(
                "method {} takes {} ({found}) and the bindings pass {}",
                known.id,
                names(&method.parameters),
                known.forms.join(" or ")
            )));
        }
    }
    Ok(())
}

/// The needed methods of a kernel with the form in which it takes its parameters: what fixtures of tests are made of.
#[cfg(test)]
pub fn needed(features: Features) -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN
        .iter()
        .filter(move |known| known.needed(features))
        .map(move |known| {
            let form = if features.release_5 {
                known.forms.last()
            } else {
                known.forms.first()
            };
            (known.id, *form.expect("each method has a form"))
        })
}

fn form(parameters: &[Parameter]) -> String {
    parameters
        .iter()
        .map(|parameter| match parameter.kind.as_str() {
            "seL4_UserContext" => 's',
            "seL4_Word"
            | "seL4_Uint8"
            | "seL4_Uint16"
            | "seL4_Uint32"
            | "seL4_Bool"
            | "seL4_Time"
            | "seL4_CapRights_t"
            | "seL4_CapData_t"
            | "seL4_PrioProps_t"
            | "seL4_X86_VMAttributes" => 'w',
            _ => 'c',
        })
        .collect()
}

fn names(parameters: &[Parameter]) -> String {
    let names: Vec<_> = parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    names.join(", ")
}
