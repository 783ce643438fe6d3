// SPDX-License-Identifier: BSD-2-Clause

use super::{DataRange, INFO_BYTES, START_PAGE_BYTES, StartError, StartPage};

const DATA: DataRange = DataRange {
    address: 0x4000_0000,
    bytes: 77,
};

fn written(arguments: &[&str]) -> Vec<u8> {
    let mut page = vec![0xff; START_PAGE_BYTES];
    StartPage::write(&mut page, 0x7_1000, DATA, arguments.iter().copied()).unwrap();
    page
}

#[test]
fn what_is_written_is_read() {
    for arguments in [&[][..], &["one"], &["", ""], &["--trace", "größe", ""]] {
        let page = written(arguments);
        let start = StartPage::read(&page).unwrap();
        assert_eq!(start.ipc_buffer_address, 0x7_1000);
        assert_eq!(start.data, DATA);
        assert_eq!(start.arguments().collect::<Vec<_>>(), arguments);
    }
}

#[test]
fn arguments_fill_the_page_to_the_last_byte() {
    let longest = "x".repeat(START_PAGE_BYTES - INFO_BYTES - 1);
    let page = written(&[&longest]);
    let start = StartPage::read(&page).unwrap();
    assert_eq!(start.arguments().next(), Some(longest.as_str()));

    let too_long = "x".repeat(START_PAGE_BYTES - INFO_BYTES);
    let mut page = vec![0xff; START_PAGE_BYTES];
    let error = StartPage::write(&mut page, 0, DATA, [too_long.as_str()].into_iter()).unwrap_err();
    assert_eq!(
        error,
        StartError::TooLong {
            needed: START_PAGE_BYTES + 1,
            room: START_PAGE_BYTES
        }
    );
    assert!(page.iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_zero_byte_in_an_argument_is_refused() {
    let mut page = vec![0xff; START_PAGE_BYTES];
    let error = StartPage::write(&mut page, 0, DATA, ["a", "b\0c"].into_iter()).unwrap_err();
    assert_eq!(error, StartError::ZeroByte { argument: 1 });
    assert!(page.iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_damaged_page_is_refused() {
    assert_eq!(StartPage::read(&[]), Err(StartError::NotAStartPage));
    assert_eq!(StartPage::read(&[0; 64]), Err(StartError::NotAStartPage));

    let with = |offset: usize, byte: u8| {
        let mut page = written(&["one", "two"]);
        page[offset] = byte;
        StartPage::read(&page).map(|_| ()).unwrap_err()
    };
    assert_eq!(with(0, 0), StartError::NotAStartPage);
    assert_eq!(with(8, 2), StartError::Version(2));
    let (count, bytes) = (12, 16);
    for (offset, byte) in [
        (count, 3),
        (bytes, 7),
        (bytes + 2, 1),
        (bytes + 7, 0x80),
        (INFO_BYTES, 0xff),
        (INFO_BYTES + 3, b'x'),
        (INFO_BYTES + 7, b'x'),
    ] {
        assert_eq!(with(offset, byte), StartError::Arguments, "byte {offset}");
    }
}
