// SPDX-License-Identifier: BSD-2-Clause
//! seL4's API under rust-sel4's names.
#![no_std]
