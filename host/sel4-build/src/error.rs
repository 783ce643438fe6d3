// SPDX-License-Identifier: BSD-2-Clause

use std::path::PathBuf;

/// Why the kernel in use can't be built for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the installed kernel could not be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A generated file could not be written.
    #[error("can't write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder lacks a file that every installed seL4 has.
    #[error("{folder} is not an installed seL4: it has no {missing}")]
    NotInstalled {
        /// The folder given as `SEL4_PREFIX`.
        folder: PathBuf,
        /// The file that was looked for.
        missing: String,
    },
    /// An interface file is not what it should be.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel has a configuration that the bindings don't support.
    #[error("this kernel is not supported: {0}")]
    Unsupported(String),
    /// No kernel was named, none is built, and the pinned package could not be found.
    #[error("SEL4_PREFIX is not set and the interface of the default kernel was not found: {0}")]
    NoKernel(String),
}
