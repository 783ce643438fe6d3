// SPDX-License-Identifier: BSD-2-Clause

use std::path::Path;

use super::{abi, conditions, configuration, macros};
use crate::bindings::{Bindings, read_bindings};
use crate::configuration::Configuration;
use crate::prefix::{Origin, Prefix};
use crate::test_kernel::TestKernel;

fn bindings(kernel: &TestKernel, name: &str) -> Bindings {
    let installed = kernel.install(name);
    let prefix = Prefix::installed(installed.folder(), Origin::Environment).unwrap();
    read_bindings(&prefix).unwrap()
}

fn has_line(text: &str, line: &str) {
    assert!(
        text.lines().any(|found| found.trim() == line),
        "{line} is not in\n{text}"
    );
}

#[test]
fn labels_numbers_constants_and_facts() {
    let text = abi(&bindings(&TestKernel::release_5(), "emit_5"));
    has_line(&text, "pub const UntypedRetype: u32 = 1;");
    has_line(&text, "pub const Call: i64 = -1;");
    has_line(&text, "pub const seL4_TCBObject: i64 = 1;");
    has_line(&text, "pub const BADGE_BITS: u32 = 28;");
    has_line(&text, "pub const GUARD_TAG: u64 = 0x80000000;");
    has_line(
        &text,
        "pub const BOOT_INFO: crate::bootinfo::Layout = crate::bootinfo::Layout::PACKED;",
    );
    has_line(&text, "pub fs_base: u64,");
}

#[test]
fn mcs_kernels_have_a_layout_of_their_own() {
    let bindings = bindings(&TestKernel::mcs(), "emit_mcs");
    has_line(
        &abi(&bindings),
        "pub const BOOT_INFO: crate::bootinfo::Layout = crate::bootinfo::Layout::ALIGNED_MCS;",
    );
    let on: Vec<_> = conditions(&bindings)
        .into_iter()
        .filter_map(|(name, on)| on.then_some(name))
        .collect();
    assert_eq!(on, ["kernel_mcs", "kernel_huge_page"]);
}

#[test]
fn a_kernel_with_the_option_has_what_an_iommu_takes() {
    let with = |release: TestKernel| release.configured(r#""IOMMU": false"#, r#""IOMMU": true"#);
    for (kernel, name) in [
        (with(TestKernel::release_5()), "emit_iommu_5"),
        (with(TestKernel::later()), "emit_iommu"),
    ] {
        let bindings = bindings(&kernel, name);
        assert!(conditions(&bindings).contains(&("kernel_iommu", true)));
        let label = bindings.interface.methods["X86PageMapIO"].label;
        has_line(
            &abi(&bindings),
            &format!("pub const X86PageMapIO: u32 = {label};"),
        );
    }
    let without = bindings(&TestKernel::later(), "emit_no_iommu");
    assert!(conditions(&without).contains(&("kernel_iommu", false)));
}

#[test]
fn options_as_constants_and_macros() {
    let mut options = Configuration::default();
    let json = r#"{"MCS": true, "VTX": false, "BITS": "19", "PLAT": "pc99"}"#;
    options.add_json(Path::new("test"), json).unwrap();

    let constants = configuration(&options);
    has_line(&constants, "pub const MCS: bool = true;");
    has_line(&constants, "pub const PLAT: &str = \"pc99\";");

    let macros = macros(&options);
    has_line(&macros, "(MCS) => { true };");
    has_line(&macros, "(BITS) => { 19usize };");
    has_line(
        &macros,
        "(if #[sel4_cfg(MCS)] { $($yes:tt)* } else { $($no:tt)* }) => { $($yes)* };",
    );
    has_line(
        &macros,
        "(if #[sel4_cfg(not(MCS))] { $($yes:tt)* } else { $($no:tt)* }) => { $($no)* };",
    );
    has_line(&macros, "(if #[sel4_cfg(VTX)] { $($yes:tt)* }) => {  };");
    assert!(!macros.contains("(PLAT) =>"));
}
