// SPDX-License-Identifier: BSD-2-Clause

//! Links the root task as the kernel wants it.

fn main() {
    sel4_build::link_arguments_for_root_task();
}
