// SPDX-License-Identifier: BSD-2-Clause

//! Links a client.

fn main() {
    sel4_build::link_arguments_for_task();
}
