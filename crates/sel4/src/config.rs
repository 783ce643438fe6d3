// SPDX-License-Identifier: BSD-2-Clause

//! The options that the kernel in use was built with.

include!(concat!(env!("OUT_DIR"), "/config_macros.rs"));

/// Each option as a constant: `bool` for what is on or off, text for everything else.
#[allow(missing_docs, reason = "documented by the kernel")]
pub mod consts {
    include!(concat!(env!("OUT_DIR"), "/config.rs"));
}
