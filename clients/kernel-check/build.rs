// SPDX-License-Identifier: BSD-2-Clause

//! Links a root task.

fn main() {
    sel4_build::link_arguments_for_root_task();
}
