// SPDX-License-Identifier: BSD-2-Clause

use std::path::Path;
use std::{env, fs, process};

use crate::abi::Abi;
use crate::configuration::Configuration;
use crate::emit;
use crate::error::Error;
use crate::header::{Constants, read_constants, read_tags};
use crate::interface::Interface;
use crate::prefix::{Prefix, read};

#[cfg(test)]
mod tests;

/// Headers that define what the bindings name, each in terms of those before it.
const HEADERS: [&str; 9] = [
    "sel4/sel4_arch/constants.h",
    "sel4/constants.h",
    "sel4/objecttype.h",
    "sel4/sel4_arch/objecttype.h",
    "sel4/arch/objecttype.h",
    "sel4/arch/types.h",
    "sel4/bootinfo_types.h",
    "sel4/errors.h",
    "sel4/shared_types.h",
];

/// Headers with the labels that the kernel's build counted.
const LABEL_HEADERS: [&str; 3] = [
    "sel4/invocation.h",
    "sel4/sel4_arch/invocation.h",
    "sel4/arch/invocation.h",
];

/// The header with the system call numbers that the kernel's build counted.
const SYSCALL_HEADER: &str = "sel4/syscall.h";

/// Where the labels of faults are: the preprocessed file of an installed kernel, else the source's.
const FAULT_TAGS: [&str; 2] = ["sel4/sel4_arch/types.pbf", "sel4/arch/shared_types.bf"];

/// Everything that is known of the kernel in use.
#[derive(Debug, Clone)]
pub struct Bindings {
    /// Its options.
    pub configuration: Configuration,
    /// Its methods, system calls and structures.
    pub interface: Interface,
    /// The integers that its headers name.
    pub constants: Constants,
    /// The facts in which it differs from other kernels.
    pub abi: Abi,
}

/// Reads the kernel at `prefix`.
pub fn read_bindings(prefix: &Prefix) -> Result<Bindings, Error> {
    let configuration = prefix.configuration()?;
    let mut interface = Interface::default();
    for path in &prefix.methods {
        interface.add_methods(path, &read(path)?, &configuration)?;
    }
    interface.add_syscalls(&prefix.syscalls, &read(&prefix.syscalls)?, &configuration)?;

    let mut constants = stated(prefix, &configuration, &HEADERS)?;
    if let Some(path) = FAULT_TAGS.iter().find_map(|name| prefix.header(name)) {
        read_tags(&read(&path)?, "seL4_Fault", &configuration, &mut constants);
    }

    check_numbers(prefix, &configuration, &interface)?;
    let abi = Abi::decide(
        &configuration,
        &interface,
        &constants,
        prefix.version.as_deref(),
    )?;
    Ok(Bindings {
        configuration,
        interface,
        constants,
        abi,
    })
}

/// Compares labels and numbers with those in the headers that the kernel's own build generated, where there are any:
/// proof that the interface was counted as the kernel counts it.
fn check_numbers(
    prefix: &Prefix,
    configuration: &Configuration,
    interface: &Interface,
) -> Result<(), Error> {
    let labels = interface
        .methods
        .values()
        .map(|method| (method.id.clone(), method.label));
    let stated = stated(prefix, configuration, &LABEL_HEADERS)?;
    check_against(&stated, labels)?;
    let syscalls = interface
        .syscalls
        .iter()
        .map(|syscall| (format!("seL4_Sys{}", syscall.name), syscall.number));
    let stated = self::stated(prefix, configuration, &[SYSCALL_HEADER])?;
    check_against(&stated, syscalls)
}

/// The constants of some headers alone.
fn stated(
    prefix: &Prefix,
    configuration: &Configuration,
    headers: &[&str],
) -> Result<Constants, Error> {
    let mut constants = Constants::new();
    for path in headers.iter().filter_map(|name| prefix.header(name)) {
        read_constants(&read(&path)?, configuration, &mut constants);
    }
    Ok(constants)
}

fn check_against(
    stated: &Constants,
    mut counted: impl Iterator<Item = (String, i64)>,
) -> Result<(), Error> {
    if stated.is_empty() {
        return Ok(());
    }
    match counted.find(|(name, number)| stated.get(name) != Some(number)) {
        None => Ok(()),
        Some((name, number)) => Err(Error::Unsupported(format!(
            "its XML makes {name} {number} and its headers make it {:?}",
            stated.get(&name)
        ))),
    }
}

/// For the build script of crate `sel4`: finds the kernel in use and writes `abi.rs`, `config.rs` and
/// `config_macros.rs` to the build's output folder. A kernel that can't be built for ends the build with the reason.
pub fn generate_bindings(workspace: &Path) {
    or_end_build(try_generate(workspace));
}

/// For a build script: makes the release of the kernel in use known to its crate as `env!("SEL4_KERNEL_VERSION")`.
pub fn tell_kernel_version(workspace: &Path) {
    let bindings = or_end_build(bindings_in_use(workspace));
    let version = bindings.abi.version;
    println!("cargo::rustc-env=SEL4_KERNEL_VERSION={version}");
}

/// Ends a build script that failed, with the reason.
fn or_end_build<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| {
        println!("cargo::error={}", error.to_string().replace('\n', " "));
        process::exit(1);
    })
}

/// Reads the kernel in use, and has Cargo watch it.
fn bindings_in_use(workspace: &Path) -> Result<Bindings, Error> {
    println!("cargo::rerun-if-env-changed=SEL4_PREFIX");
    let manifest_folder = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
    let prefix = Prefix::resolve(workspace, Path::new(&manifest_folder))?;
    for path in prefix.watched() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    read_bindings(&prefix)
}

fn try_generate(workspace: &Path) -> Result<(), Error> {
    let bindings = bindings_in_use(workspace)?;
    for (name, on) in emit::conditions(&bindings) {
        println!("cargo::rustc-check-cfg=cfg({name})");
        if on {
            println!("cargo::rustc-cfg={name}");
        }
    }
    let files = [
        ("abi.rs", emit::abi(&bindings)),
        ("config.rs", emit::configuration(&bindings.configuration)),
        ("config_macros.rs", emit::macros(&bindings.configuration)),
    ];
    let output = env::var_os("OUT_DIR").unwrap_or_else(|| ".".into());
    for (name, text) in files {
        let path = Path::new(&output).join(name);
        fs::write(&path, text).map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}
