// SPDX-License-Identifier: BSD-2-Clause

use super::{Bindings, read_bindings};
use crate::abi::{BootInfoLayout, Release};
use crate::error::Error;
use crate::prefix::{Origin, Prefix};
use crate::test_kernel::{Installed, TestKernel};

fn read(installed: &Installed) -> Result<Bindings, Error> {
    read_bindings(&Prefix::installed(installed.folder(), Origin::Environment)?)
}

/// Reads `kernel` and expects that it is refused with a reason that has `words` in it.
fn refused(name: &str, kernel: &TestKernel, words: &str) {
    let error = read(&kernel.install(name)).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn release_5() {
    let abi = read(&TestKernel::release_5().install("release_5"))
        .unwrap()
        .abi;
    assert_eq!(abi.release, Release::Five);
    assert_eq!(abi.version, "5.0.0");
    assert!(!abi.mcs && !abi.priority_takes_authority);
    assert!(abi.io_port_slot_is_all_ports);
    assert_eq!(abi.generation.boot_info, BootInfoLayout::Packed);
    assert!(abi.generation.ipc_buffer_in_gs);
    // Under the name that the base has in rust-sel4.
    assert_eq!(abi.user_context, ["rip", "fs_base"]);
}

#[test]
fn releases_without_a_version_are_told_by_their_interface() {
    let thirteen = TestKernel::later();
    let mut fourteen = thirteen.clone();
    fourteen.methods.push("TCBSetFlags");
    let mut fifteen = fourteen.clone();
    fifteen.methods.push("DomainScheduleConfigure");
    let mut sixteen = fifteen.clone();
    sixteen.constants.push("seL4_UserVSpaceTop");
    for (kernel, version) in [
        (thirteen, "13.0.0"),
        (fourteen, "14.0.0"),
        (fifteen, "15.0.0"),
        (sixteen, "16.0.0"),
    ] {
        let abi = read(&kernel.install(version)).unwrap().abi;
        assert_eq!(abi.version, version);
        assert!(abi.priority_takes_authority && !abi.io_port_slot_is_all_ports);
        assert_eq!(abi.generation.boot_info, BootInfoLayout::Aligned);
        assert_eq!(abi.user_context, ["rip", "fs_base", "gs_base"]);
    }
}

#[test]
fn mcs() {
    let abi = read(&TestKernel::mcs().install("mcs")).unwrap().abi;
    assert!(abi.mcs);
}

#[test]
fn a_version_that_is_stated_is_the_one_shown() {
    let mut kernel = TestKernel::later();
    kernel.version = Some("13.1.0-mine\n");
    let abi = read(&kernel.install("stated")).unwrap().abi;
    assert_eq!(abi.version, "13.1.0-mine");
}

#[test]
fn unsupported_kernels_are_refused_by_name() {
    let kernel = TestKernel::later();
    let other = kernel
        .clone()
        .configured(r#""ARCH_X86_64": true"#, r#""ARCH_X86_64": false"#)
        .configured(r#""x86_64""#, r#""aarch64""#);
    refused("architecture", &other, "its architecture is aarch64");
    let other = kernel
        .clone()
        .configured(r#""PLAT_PC99": true"#, r#""PLAT_PC99": false"#);
    refused("platform", &other, "its platform is pc99");
    let other = kernel
        .clone()
        .configured(r#""VTX": false"#, r#""VTX": true"#);
    refused("hypervisor", &other, "hypervisor mode");
    let other = kernel
        .clone()
        .configured(r#""SYSCALL": true"#, r#""SYSENTER": true"#);
    refused("sysenter", &other, "sysenter");
    let with = |name: &str, number: u32| {
        kernel.clone().configured(
            r#""SYSCALL": true"#,
            &format!(r#""SYSCALL": true, "{name}": "{number}""#),
        )
    };
    for (name, least) in [("RETYPE_FAN_OUT_LIMIT", 32), ("NUM_PRIORITIES", 101)] {
        assert!(read(&with(name, least).install("least")).is_ok());
        let other = with(name, least - 1);
        refused("too_low", &other, &format!("its {name} is {}", least - 1));
    }
    let by_instruction = (r#""FSGSBASE_INST": true"#, r#""SET_TLS_BASE_SELF": true"#);
    let by_syscall = kernel
        .clone()
        .configured(by_instruction.0, by_instruction.1);
    assert!(read(&by_syscall.install("by_syscall")).is_ok());
    let five = TestKernel::release_5().configured(by_instruction.0, by_instruction.1);
    refused("five_without_gs", &five, "IPC buffer");
}

#[test]
fn a_method_that_changed_is_named() {
    let kernel = TestKernel::later();
    let installed = kernel.install("changed");
    let changed = |id: &str, form: &str| match id {
        "CNodeDelete" => "wcw".to_owned(),
        _ => form.to_owned(),
    };
    installed.write("interfaces/object-api.xml", &kernel.methods_xml(changed));
    let error = read(&installed).unwrap_err().to_string();
    assert!(
        error.contains("CNodeDelete takes value, authority, value (wcw)"),
        "{error}"
    );
}

#[test]
fn a_constant_that_is_missing_is_named() {
    let kernel = TestKernel::later();
    let installed = kernel.install("constant");
    let without = kernel.header().replace("seL4_TCBBits", "other");
    installed.write("sel4/constants.h", &without);
    let error = read(&installed).unwrap_err().to_string();
    assert!(error.contains("don't define seL4_TCBBits"), "{error}");
}

#[test]
fn numbers_that_the_kernels_own_build_counted_otherwise_are_refused() {
    let installed = TestKernel::later().install("counted");
    let ids: Vec<String> = {
        let methods = read(&installed).unwrap().interface.methods;
        let mut methods: Vec<_> = methods.into_values().collect();
        methods.sort_by_key(|method| method.label);
        methods.into_iter().map(|method| method.id).collect()
    };
    let header = |ids: &[String]| format!("enum labels {{ Invalid, {} }};", ids.join(", "));
    installed.write("sel4/invocation.h", &header(&ids));
    assert!(read(&installed).is_ok());

    let mut shifted = ids.clone();
    shifted.insert(1, "Inserted".to_owned());
    installed.write("sel4/invocation.h", &header(&shifted));
    let error = read(&installed).unwrap_err().to_string();
    assert!(error.contains("its headers make it"), "{error}");
    installed.remove("sel4/invocation.h");

    installed.write("sel4/syscall.h", "enum { seL4_SysCall = -2 };");
    let error = read(&installed).unwrap_err().to_string();
    assert!(error.contains("seL4_SysCall -1"), "{error}");
}

#[test]
fn a_folder_that_is_no_installed_kernel_is_refused() {
    let installed = TestKernel::later().install("partial");
    installed.remove("api/syscall.xml");
    let error = read(&installed).unwrap_err();
    assert!(matches!(error, Error::NotInstalled { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("libsel4/include/api/syscall.xml")
    );
}
