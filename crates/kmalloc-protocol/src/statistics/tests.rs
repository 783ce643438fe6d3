// SPDX-License-Identifier: BSD-2-Clause
use super::*;

#[test]
fn a_page_gives_back_the_figures_that_it_was_made_of() {
    let figures = LargeFigures {
        next: u64::MAX,
        address: 0x1122_3344_5566_7788,
        form: 1,
        free: 2,
        dirty: 3,
        objects: 4,
        orders: core::array::from_fn(|order| 0x1234_5600 + order as u32),
    };
    let page = Figures::new(&figures);
    assert_eq!(page.read(), Some(figures));
    let mut bytes = [0; 128];
    let bytes = postcard::to_slice(&page, &mut bytes).expect("it fits");
    assert_eq!(bytes.len(), PAGE_WORDS * 4);
    assert_eq!(postcard::from_bytes::<Figures>(bytes), Ok(page));
}

#[test]
fn a_page_with_something_behind_its_figures_is_of_another_kind() {
    let mut page = Figures::new(&ClientName::new("left"));
    assert_eq!(page.read(), Some(ClientName::new("left")));
    page.page[PAGE_WORDS - 1] = 1;
    assert_eq!(page.read::<ClientName>(), None);
}

#[test]
fn names_are_cut_after_32_bytes() {
    for (name, shown) in [
        ("", ""),
        ("keeper", "keeper"),
        (
            "a name that has more bytes than 32 of them",
            "a name that has more bytes than ",
        ),
    ] {
        assert_eq!(ClientName::new(name).as_str(), shown);
    }
}

#[test]
fn requests_are_counted_by_how_long_they_took() {
    for (ticks, step) in [
        (0, 0),
        (255, 0),
        (256, 1),
        (511, 1),
        (512, 2),
        (1 << 21, 14),
        (1 << 22, 15),
        (u64::MAX, 15),
    ] {
        let mut figures = CallFigures::default();
        figures.count(ticks);
        let steps = core::array::from_fn(|index| u32::from(index == step));
        assert_eq!(figures, CallFigures { ticks, steps });
    }
    let mut figures = CallFigures::default();
    for ticks in [1, 300, 300, 1 << 40] {
        figures.count(ticks);
    }
    assert_eq!(figures.calls(), 4);
}
