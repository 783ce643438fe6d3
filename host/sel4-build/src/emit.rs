// SPDX-License-Identifier: BSD-2-Clause

//! Writes what was read as Rust.

use std::fmt::Write;

use crate::abi::{BootInfoLayout, Release};
use crate::bindings::Bindings;
use crate::configuration::{Configuration, OptionValue};

#[cfg(test)]
mod tests;

/// Adds a line to a text.
macro_rules! line {
    ($text:expr, $($argument:tt)*) => {
        writeln!($text, $($argument)*).expect("a String takes whatever is written")
    };
}

/// Conditions for `#[cfg]` in crate `sel4`, each with whether it holds.
pub fn conditions(bindings: &Bindings) -> [(&'static str, bool); 8] {
    let abi = &bindings.abi;
    [
        ("kernel_mcs", abi.mcs),
        ("kernel_release_5", abi.release == Release::Five),
        ("kernel_ipc_buffer_in_gs", abi.generation.ipc_buffer_in_gs),
        ("kernel_all_io_ports", abi.io_port_slot_is_all_ports),
        ("kernel_printing", has_syscall(bindings, "DebugPutChar")),
        ("kernel_huge_page", bindings.configuration.flag("HUGE_PAGE")),
        ("kernel_iommu", bindings.configuration.flag("IOMMU")),
        ("kernel_set_tls_base", has_syscall(bindings, "SetTLSBase")),
    ]
}

fn has_syscall(bindings: &Bindings, name: &str) -> bool {
    bindings
        .interface
        .syscalls
        .iter()
        .any(|syscall| syscall.name == name)
}

/// Constants, labels, numbers and facts.
pub fn abi(bindings: &Bindings) -> String {
    let mut text = String::new();
    module(
        &mut text,
        "pub(crate) mod constants",
        "Integers that the kernel's headers name.",
        "i64",
        bindings
            .constants
            .iter()
            .map(|(name, number)| (name.as_str(), *number)),
    );
    module(
        &mut text,
        "pub mod invocation_label",
        "Labels of the messages that invoke a kernel object.",
        "u32",
        bindings
            .interface
            .methods
            .values()
            .map(|method| (method.id.as_str(), method.label)),
    );
    module(
        &mut text,
        "pub(crate) mod syscall",
        "Numbers of system calls.",
        "i64",
        bindings
            .interface
            .syscalls
            .iter()
            .map(|syscall| (syscall.name.as_str(), syscall.number)),
    );
    facts(&mut text, bindings);
    user_context(&mut text, &bindings.abi.user_context);
    text
}

fn module<'a>(
    text: &mut String,
    head: &str,
    documentation: &str,
    kind: &str,
    constants: impl Iterator<Item = (&'a str, i64)>,
) {
    line!(text, "/// {documentation}");
    line!(
        text,
        "#[allow(missing_docs, non_upper_case_globals, dead_code, reason = \"named as the kernel names them\")]"
    );
    line!(text, "{head} {{");
    for (constant, number) in constants {
        line!(text, "    pub const {constant}: {kind} = {number};");
    }
    line!(text, "}}");
}

fn facts(text: &mut String, bindings: &Bindings) {
    let abi = &bindings.abi;
    let generation = &abi.generation;
    let boot_info = match (generation.boot_info, abi.mcs) {
        (BootInfoLayout::Packed, _) => "PACKED",
        (BootInfoLayout::Aligned, false) => "ALIGNED",
        (BootInfoLayout::Aligned, true) => "ALIGNED_MCS",
    };
    let guard = generation.guard_layout;
    line!(text, "/// The facts in which kernel releases differ.");
    line!(
        text,
        "#[allow(dead_code, reason = \"not every kernel needs each\")]"
    );
    line!(text, "pub(crate) mod facts {{");
    let flags = [
        ("PRIORITY_TAKES_AUTHORITY", abi.priority_takes_authority),
        ("GRANT_REPLY_RIGHT", generation.grant_reply_right),
    ];
    for (name, value) in flags {
        line!(text, "    pub const {name}: bool = {value};");
    }
    let numbers = [
        ("MESSAGE_LABEL_BITS", generation.message_label_bits),
        ("BADGE_BITS", generation.badge_bits),
        ("GUARD_SHIFT", guard.guard_shift),
        ("GUARD_SIZE_SHIFT", guard.size_shift),
    ];
    for (name, value) in numbers {
        line!(text, "    pub const {name}: u32 = {value};");
    }
    line!(text, "    pub const GUARD_TAG: u64 = {:#x};", guard.tag);
    line!(
        text,
        "    pub const BOOT_INFO: crate::bootinfo::Layout = crate::bootinfo::Layout::{boot_info};"
    );
    line!(text, "}}");
}

fn user_context(text: &mut String, registers: &[String]) {
    line!(
        text,
        "/// Registers of a thread, in the order in which the kernel takes them."
    );
    line!(
        text,
        "#[allow(missing_docs, non_camel_case_types, reason = \"named as the kernel names them\")]"
    );
    line!(text, "#[repr(C)]");
    line!(text, "#[derive(Debug, Clone, Default, PartialEq, Eq)]");
    line!(text, "pub struct seL4_UserContext {{");
    for register in registers {
        line!(text, "    pub {register}: u64,");
    }
    line!(text, "}}");
}

/// The options as constants.
pub fn configuration(configuration: &Configuration) -> String {
    let mut text = String::new();
    for (name, value) in configuration.iter() {
        match value {
            OptionValue::Flag(flag) => {
                line!(text, "pub const {name}: bool = {flag};");
            }
            OptionValue::Text(value) => {
                line!(text, "pub const {name}: &str = {value:?};");
            }
        }
    }
    text
}

/// Macros that give or choose by an option: `sel4_cfg_bool!`, `sel4_cfg_usize!` and `sel4_cfg_if!`.
pub fn macros(configuration: &Configuration) -> String {
    let flags = || {
        configuration
            .iter()
            .filter_map(|(name, value)| match value {
                OptionValue::Flag(flag) => Some((name, *flag)),
                OptionValue::Text(_) => None,
            })
    };
    let mut text = String::new();
    line!(
        text,
        "/// Whether a kernel option is on: `sel4_cfg_bool!(KERNEL_MCS)`."
    );
    line!(text, "#[macro_export]");
    line!(text, "macro_rules! sel4_cfg_bool {{");
    for (name, flag) in flags() {
        line!(text, "    ({name}) => {{ {flag} }};");
    }
    line!(text, "}}");
    line!(
        text,
        "/// The number that a kernel option is set to: `sel4_cfg_usize!(ROOT_CNODE_SIZE_BITS)`."
    );
    line!(text, "#[macro_export]");
    line!(text, "macro_rules! sel4_cfg_usize {{");
    for (name, _) in configuration.iter() {
        if let Some(number) = configuration.number(name).filter(|number| *number >= 0) {
            line!(text, "    ({name}) => {{ {number}usize }};");
        }
    }
    line!(text, "}}");
    line!(
        text,
        "/// Items or statements under a kernel option:\n\
             /// `sel4_cfg_if! {{ if #[sel4_cfg(KERNEL_MCS)] {{ … }} else {{ … }} }}`, or with `not(…)`."
    );
    line!(text, "#[macro_export]");
    line!(text, "macro_rules! sel4_cfg_if {{");
    for (name, flag) in flags() {
        for (condition, holds) in [(name.to_owned(), flag), (format!("not({name})"), !flag)] {
            let (chosen, alone) = if holds {
                ("yes", "$($yes)*")
            } else {
                ("no", "")
            };
            line!(
                text,
                "    (if #[sel4_cfg({condition})] {{ $($yes:tt)* }} else {{ $($no:tt)* }}) => {{ $(${chosen})* }};\n    \
                         (if #[sel4_cfg({condition})] {{ $($yes:tt)* }}) => {{ {alone} }};"
            );
        }
    }
    line!(text, "}}");
    text
}
