// SPDX-License-Identifier: BSD-2-Clause

//! What a build needs to know of the seL4 kernel it builds for.
//!
//! The kernel is seen only as an installed folder, named by `SEL4_PREFIX`: its interface XML, its headers and its
//! generated configuration. [`generate_bindings`] reads these in the build script of crate `sel4` and writes invocation
//! labels, system call numbers, object types, sizes and the few facts in which kernel releases differ. Nothing that the
//! kernel's own files state is repeated here.
//!
//! [`link_arguments_for_root_task`] and [`link_arguments_for_task`] are for the build scripts of programs,
//! [`link_arguments_in`] for programs that are not built by Cargo.

mod abi;
mod bindings;
mod configuration;
mod emit;
mod error;
mod expression;
mod header;
mod interface;
mod link;
mod method_table;
mod prefix;
#[cfg(test)]
mod test_kernel;

pub use abi::{Abi, BootInfoLayout, Generation, GuardLayout, Release};
pub use bindings::{Bindings, generate_bindings, read_bindings, tell_kernel_version};
pub use configuration::{Configuration, OptionValue};
pub use error::Error;
pub use interface::{Interface, Method, Parameter, Syscall};
pub use link::{link_arguments_for_root_task, link_arguments_for_task, link_arguments_in};
pub use prefix::{Origin, Prefix};
