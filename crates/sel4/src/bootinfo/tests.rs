// SPDX-License-Identifier: BSD-2-Clause

use super::Layout;

/// A page of boot information with words at byte offsets.
fn page(words: &[(usize, u64)]) -> Vec<u8> {
    let mut page = vec![0; 4096];
    for (offset, word) in words {
        page[*offset..][..8].copy_from_slice(&word.to_le_bytes());
    }
    page
}

const COMMON: [(usize, u64); 6] = [
    (24, 3),
    (32, 0x5000),
    (40, 0x200),
    (48, 0x8_0000),
    (72, 0x10),
    (80, 0x24),
];

fn check_common(layout: &Layout, page: &[u8]) {
    assert_eq!(layout.io_page_table_levels(page), 3);
    assert_eq!(layout.ipc_buffer(page), 0x5000);
    assert_eq!(layout.empty(page), 0x200..0x8_0000);
    assert_eq!(layout.user_image_frames(page), 0x10..0x24);
}

#[test]
fn packed() {
    let mut words = COMMON.to_vec();
    words.extend([
        (153, 0x30),
        (161, 0x32),
        (169, 0xfee0_0000),
        (181, 0x10_0000),
    ]);
    let mut page = page(&words);
    (page[179], page[180]) = (12, 1);
    (page[191], page[192]) = (20, 0);

    let layout = Layout::PACKED;
    check_common(&layout, &page);
    assert_eq!(layout.sched_control(&page), None);
    assert_eq!(layout.untyped(&page), 0x30..0x32);
    let list: Vec<_> = descriptors(&layout, &page).collect();
    assert_eq!(list, [(0xfee0_0000, 12, true), (0x10_0000, 20, false)]);
}

#[test]
fn aligned() {
    let mut words = COMMON.to_vec();
    words.extend([
        (152, 0x30),
        (160, 0x32),
        (168, 0xfee0_0000),
        (184, 0x10_0000),
    ]);
    let mut page = page(&words);
    (page[176], page[177]) = (12, 1);
    (page[192], page[193]) = (20, 0);

    let layout = Layout::ALIGNED;
    check_common(&layout, &page);
    assert_eq!(layout.sched_control(&page), None);
    let list: Vec<_> = descriptors(&layout, &page).collect();
    assert_eq!(list, [(0xfee0_0000, 12, true), (0x10_0000, 20, false)]);
}

#[test]
fn aligned_with_scheduling_contexts() {
    let mut words = COMMON.to_vec();
    words.extend([
        (152, 0x2e),
        (160, 0x2f),
        (168, 0x30),
        (176, 0x31),
        (184, 0x10_0000),
    ]);
    let mut page = page(&words);
    page[192] = 28;

    let layout = Layout::ALIGNED_MCS;
    check_common(&layout, &page);
    assert_eq!(layout.sched_control(&page), Some(0x2e..0x2f));
    let list: Vec<_> = descriptors(&layout, &page).collect();
    assert_eq!(list, [(0x10_0000, 28, false)]);
}

#[test]
fn a_list_ends_with_the_page() {
    let page = page(&[(152, 0), (160, 100_000)]);
    assert_eq!(
        descriptors(&Layout::ALIGNED, &page).count(),
        (4096 - 168) / 16
    );
}

fn descriptors(layout: &Layout, page: &[u8]) -> impl Iterator<Item = (u64, u8, bool)> {
    layout
        .untyped_list(page)
        .chunks(layout.descriptor_size)
        .map(|descriptor| {
            (
                layout.descriptor_paddr(descriptor),
                layout.descriptor_size_bits(descriptor),
                layout.descriptor_is_device(descriptor),
            )
        })
}
