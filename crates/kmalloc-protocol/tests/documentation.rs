// SPDX-License-Identifier: BSD-2-Clause
//! docs/PROTOCOL.md states the numbers of this crate once more. This holds them together.
//!
//! What there is, is found by decoding every number that a message can have. So whatever is added to the protocol has to
//! be added to the document, with nobody keeping a list of it here.

use kmalloc_protocol::message::{BYTES_MAX, TEXT_BYTES_MAX, decode_request, decode_response};
use kmalloc_protocol::statistics::{
    BlockFigures, CallFigures, ClientFigures, ClientName, FailureFigures, Figures, LargeFigures,
    MemoryFigures, Subject, UseFigures,
};
use kmalloc_protocol::window::Window;
use kmalloc_protocol::{BadMessage, Cache, Error, Flags, LABEL, PROTOCOL_VERSION, Reply};
use std::fmt::Debug;

const DOCUMENT: &str = include_str!("../../../docs/PROTOCOL.md");
/// The constants of a client's CSpace and address space. They are read as text: their crates need a kernel, or an
/// allocator, to be linked.
const SLOTS: &str = include_str!("../../sel4-task/src/slot.rs");
const PLACES: &str = include_str!("../../kmalloc-server/src/spawn.rs");

/// The cells of the table that begins with this heading, without the backquotes around names.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, rest) = DOCUMENT
        .split_once(&format!("\n{heading}"))
        .unwrap_or_else(|| panic!("there is no table `{heading}`"));
    let rows = rest
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let row = row.trim_matches('|').split('|');
        row.map(|cell| cell.trim().trim_matches('`').to_string())
            .collect()
    };
    rows.map(cells).collect()
}

/// Name and fields of a value, as `Debug` shows them: `Name { field: 0, other: 0 }`.
fn parts(value: &impl Debug) -> (String, Vec<String>) {
    let text = format!("{value:?}");
    let (name, rest) = text.split_once([' ', '(']).unwrap_or((&text, ""));
    // A newtype shows its own fields, behind the name of what it holds.
    let fields = rest.split(['{', ',', '}']).filter_map(|part| {
        let (field, _) = part.split_once(':')?;
        Some(field.trim().to_string())
    });
    (name.to_string(), fields.collect())
}

/// The fields as the document names them, and how many bytes they take from byte `start` of a message on. Each `u64`
/// begins at a whole word.
fn documented_fields(cell: &str, start: usize) -> (Vec<String>, usize) {
    let fields = cell.split(", ").filter(|field| !field.is_empty());
    let mut end = start;
    let names = fields.map(|field| {
        let (name, kind) = field.split_once(": ").expect("name: type");
        end = match kind {
            "u64" => end.next_multiple_of(8) + 8,
            "u32" => end + 4,
            "[u32; 8]" => end + 32,
            "[u32; 26]" => end + 104,
            "[u32; 10]" => end + 40,
            "[u32; 16]" => end + 64,
            "[u8; 32]" => end + 32,
            // Empty text is its length alone.
            "u8" | "str" => end + 1,
            other => panic!("no such type: {other}"),
        };
        name.to_string()
    });
    let names = names.collect();
    (names, end - start)
}

/// The value behind each number from 0 on, with all fields 0, until there is none; and how many bytes it takes.
fn numbered<T>(decode: impl Fn(&[u8]) -> Option<(T, usize)>) -> Vec<(T, usize)> {
    let values = (0..=u8::MAX).map_while(|number| {
        let mut bytes = [0; BYTES_MAX];
        bytes[0] = number;
        decode(&bytes)
    });
    values.collect()
}

fn check_row(
    row: &[String],
    number: usize,
    name: &str,
    fields: &[String],
    start: usize,
    bytes: usize,
) {
    assert_eq!(row[0], number.to_string(), "number of {name}");
    assert_eq!(row[1], name, "in row {number}");
    let (documented, documented_bytes) = documented_fields(&row[2], start);
    assert_eq!(documented, fields, "fields of {name}");
    assert_eq!(documented_bytes, bytes, "bytes of {name}");
}

fn reply(bytes: &[u8]) -> Option<(Reply, usize)> {
    let message = [&[0], &bytes[..BYTES_MAX - 1]].concat();
    let reply = decode_response(&message)?.ok()?;
    Some((
        reply,
        postcard::to_slice(&reply, &mut [0; BYTES_MAX]).ok()?.len(),
    ))
}

fn error(bytes: &[u8]) -> Option<(Error, usize)> {
    let message = [&[1], &bytes[..BYTES_MAX - 1]].concat();
    let error = decode_response(&message)?.err()?;
    Some((
        error,
        postcard::to_slice(&error, &mut [0; BYTES_MAX]).ok()?.len(),
    ))
}

#[test]
fn every_request_is_documented() {
    let rows = table("| number | request |");
    for (number, row) in rows.iter().enumerate() {
        let mut bytes = [0; 64];
        bytes[0] = number as u8;
        let request = (1..=8).find_map(|words| decode_request(&bytes[..words * 8]).ok());
        let request = request.unwrap_or_else(|| panic!("there is no request {number}"));
        let encoded = postcard::to_slice(&request, &mut [0; 64]).map(|bytes| bytes.len());
        let (name, fields) = parts(&request);
        check_row(row, number, &name, &fields, 1, encoded.unwrap_or(0) - 1);
    }
    let next = [rows.len() as u8, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(decode_request(&next), Err(BadMessage::UnknownRequest));
}

#[test]
fn every_reply_is_documented() {
    let rows = table("| number | reply |");
    let replies = numbered(reply);
    assert_eq!(rows.len(), replies.len());
    for (number, (row, (reply, bytes))) in rows.iter().zip(replies).enumerate() {
        let (name, fields) = parts(&reply);
        check_row(row, number, &name, &fields, 2, bytes - 1);
    }
}

#[test]
fn every_error_is_documented() {
    let rows = table("| wire | number | error |");
    let errors = numbered(error);
    assert_eq!(rows.len(), errors.len());
    for (wire, (row, (error, bytes))) in rows.iter().zip(errors).enumerate() {
        let (name, mut fields) = parts(&error);
        if let Error::BadMessage(_) = error {
            fields = vec!["reason".into()];
        }
        assert_eq!(row[1], error.number().to_string(), "number of {name}");
        let row = [row[0].clone(), row[2].clone(), row[3].clone()];
        check_row(&row, wire, &name, &fields, 2, bytes - 1);
    }
}

#[test]
fn every_reason_of_a_bad_message_is_documented() {
    let rows = table("| reason | `BadMessage` |");
    let reasons = numbered(
        |bytes| match error(&[&[0], &bytes[..BYTES_MAX - 1]].concat())? {
            (Error::BadMessage(reason), bytes) => Some((reason, bytes)),
            _ => None,
        },
    );
    let documented = rows.iter().map(|row| [row[0].clone(), row[1].clone()]);
    let found = reasons
        .iter()
        .enumerate()
        .map(|(number, (reason, _))| [number.to_string(), format!("{reason:?}")]);
    assert!(documented.eq(found));
}

#[test]
fn every_figure_of_stats_is_documented() {
    let (_, fields) = parts(&kmalloc_protocol::Stats::default());
    let rows = table("| field | unit |");
    assert_eq!(
        rows.iter().map(|row| &row[0]).collect::<Vec<_>>(),
        fields.iter().collect::<Vec<_>>()
    );
}

#[test]
fn cache_modes_and_windows_are_documented() {
    let modes = (0..=u8::MAX).map_while(Cache::from_number);
    let rows = table("| number | cache mode |");
    let documented = rows.iter().map(|row| [row[0].clone(), row[1].clone()]);
    assert!(documented.eq(modes.map(|mode| [(mode as u8).to_string(), format!("{mode:?}")])));

    let rows = table("| number | window |");
    let documented = rows
        .iter()
        .skip(1)
        .map(|row| [row[0].clone(), row[1].clone()]);
    let windows = Window::ALL.map(|window| [(window as u8).to_string(), format!("{window:?}")]);
    assert!(documented.eq(windows));
}

#[test]
fn every_subject_is_documented() {
    let rows = table("| number | subject |");
    let documented = rows.iter().map(|row| [row[0].clone(), row[1].clone()]);
    let subjects = (0..=u8::MAX).map_while(Subject::from_number);
    assert!(documented.eq(subjects.map(|it| [(it as u8).to_string(), format!("{it:?}")])));
}

/// Fields and bytes of a page of figures, which reads back from its bytes.
fn page_parts<T>() -> (String, Vec<String>, usize)
where
    T: Copy + Default + Debug + PartialEq + serde::Serialize + serde::de::DeserializeOwned,
{
    let page = T::default();
    assert_eq!(Figures::new(&page).read(), Some(page));
    let (name, fields) = parts(&page);
    let mut bytes = [0; 104];
    let encoded = postcard::to_slice(&page, &mut bytes).expect("a page holds it");
    (name, fields, encoded.len())
}

#[test]
fn every_page_of_figures_is_documented() {
    let pages = [
        page_parts::<MemoryFigures>(),
        page_parts::<ClientFigures>(),
        page_parts::<UseFigures>(),
        page_parts::<FailureFigures>(),
        page_parts::<ClientName>(),
        page_parts::<BlockFigures>(),
        page_parts::<LargeFigures>(),
        page_parts::<CallFigures>(),
    ];
    let rows = table("| subject | page |");
    assert_eq!(rows.len(), pages.len());
    for (row, (name, fields, bytes)) in rows.iter().zip(pages) {
        assert_eq!(row[1], name);
        let (documented, documented_bytes) = documented_fields(&row[2], 2);
        assert_eq!(documented, fields, "fields of {name}");
        assert_eq!(documented_bytes, bytes, "bytes of {name}");
    }
}

#[test]
fn label_flags_and_limits_are_documented() {
    for statement in [
        format!("`{LABEL:#x}`, which is `0x4b00 | version`. This is version {PROTOCOL_VERSION}."),
        format!("one bit, `ZERO` = `{:#x}`;", Flags::all().bits()),
        format!("UTF-8, at most {TEXT_BYTES_MAX} bytes."),
    ] {
        assert!(DOCUMENT.contains(&statement), "not stated: {statement}");
    }
}

/// The constants of a source text: `pub const NAME: TYPE = VALUE;`.
fn constants(source: &str) -> Vec<(String, String)> {
    let lines = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "));
    let constants = lines.filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let (_, value) = rest.trim_end_matches(';').split_once(" = ")?;
        Some((name.to_string(), value.replace('_', "")))
    });
    constants.collect()
}

#[test]
fn slots_of_a_client_are_documented() {
    let rows = table("| slot | name |");
    let documented = rows.iter().map(|row| (row[1].clone(), row[0].clone()));
    assert!(documented.eq(constants(SLOTS)));
}

#[test]
fn places_of_a_client_are_documented() {
    let rows = table("| address | what |");
    let documented: Vec<&str> = rows
        .iter()
        .map(|row| row[0].trim_start_matches("below `"))
        .collect();
    let places = constants(PLACES);
    assert!(!places.is_empty());
    for (name, address) in places {
        assert!(documented.contains(&address.as_str()), "{name} = {address}");
    }
}
