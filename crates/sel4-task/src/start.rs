// SPDX-License-Identifier: BSD-2-Clause

//! The page that tells a client what it was started with.
//!
//! The root task writes it with [`StartPage::write`] and maps it read-only; the client reads it with
//! [`StartPage::read`]. It begins with [`StartInfo`]. The arguments follow, each ended by a zero byte.

use core::fmt;

#[cfg(test)]
mod tests;

/// Bytes of a start page.
pub const START_PAGE_BYTES: usize = 4096;

const MAGIC: u64 = u64::from_le_bytes(*b"sel4task");
const VERSION: u32 = 1;
const INFO_BYTES: usize = size_of::<StartInfo>();

/// What a start page begins with. All fields are little-endian, without gaps between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct StartInfo {
    /// Says that this is a start page.
    pub magic: u64,
    /// The version of this layout.
    pub version: u32,
    /// How many arguments there are.
    pub argument_count: u32,
    /// How many bytes they take, each with its zero byte.
    pub argument_bytes: u64,
    /// Where the first thread's IPC buffer is mapped.
    pub ipc_buffer_address: u64,
    /// Where the data that the client was given is mapped.
    pub data_address: u64,
    /// How many bytes that is; 0 if it was given none.
    pub data_bytes: u64,
}

/// Data that a client is given: where it is mapped, read-only, and how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataRange {
    /// The first byte.
    pub address: usize,
    /// How many bytes; 0 if there is none.
    pub bytes: usize,
}

/// A start page that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartPage<'a> {
    /// Where the first thread's IPC buffer is mapped.
    pub ipc_buffer_address: usize,
    /// The data that the program was given.
    pub data: DataRange,
    arguments: &'a str,
}

/// What is wrong with a start page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartError {
    /// The arguments don't fit.
    TooLong {
        /// Bytes that they take.
        needed: usize,
        /// Bytes that there are.
        room: usize,
    },
    /// An argument has a zero byte in it.
    ZeroByte {
        /// Which argument, counted from 0.
        argument: usize,
    },
    /// It is not a start page.
    NotAStartPage,
    /// It has a layout that this program does not know.
    Version(u32),
    /// What it says of the arguments is not so.
    Arguments,
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { needed, room } => {
                write!(formatter, "arguments take {needed} bytes of {room}")
            }
            Self::ZeroByte { argument } => {
                write!(formatter, "argument {argument} has a zero byte in it")
            }
            Self::NotAStartPage => formatter.write_str("not a start page"),
            Self::Version(version) => write!(
                formatter,
                "start page of version {version}, this program knows {VERSION}"
            ),
            Self::Arguments => formatter.write_str("start page with damaged arguments"),
        }
    }
}

impl core::error::Error for StartError {}

impl<'a> StartPage<'a> {
    /// Writes a start page at the beginning of `page`. Nothing is written if it doesn't fit.
    pub fn write<'s>(
        page: &mut [u8],
        ipc_buffer_address: usize,
        data: DataRange,
        arguments: impl Iterator<Item = &'s str> + Clone,
    ) -> Result<(), StartError> {
        let room = page.len();
        let argument_bytes: usize = arguments.clone().map(|argument| argument.len() + 1).sum();
        let needed = INFO_BYTES + argument_bytes;
        if needed > room {
            return Err(StartError::TooLong { needed, room });
        }
        if let Some(argument) = arguments.clone().position(|text| text.contains('\0')) {
            return Err(StartError::ZeroByte { argument });
        }

        let info = StartInfo {
            magic: MAGIC,
            version: VERSION,
            // A page has room for no more than a u32 counts.
            argument_count: arguments.clone().count() as u32,
            argument_bytes: argument_bytes as u64,
            ipc_buffer_address: ipc_buffer_address as u64,
            data_address: data.address as u64,
            data_bytes: data.bytes as u64,
        };
        let mut rest = &mut page[..needed];
        for part in [
            &info.magic.to_le_bytes()[..],
            &info.version.to_le_bytes(),
            &info.argument_count.to_le_bytes(),
            &info.argument_bytes.to_le_bytes(),
            &info.ipc_buffer_address.to_le_bytes(),
            &info.data_address.to_le_bytes(),
            &info.data_bytes.to_le_bytes(),
        ] {
            rest = put(rest, part);
        }
        for argument in arguments {
            rest = put(rest, argument.as_bytes());
            rest = put(rest, &[0]);
        }
        Ok(())
    }

    /// Reads a start page.
    pub fn read(page: &'a [u8]) -> Result<Self, StartError> {
        let info = StartInfo::read(page).ok_or(StartError::NotAStartPage)?;
        if info.magic != MAGIC {
            return Err(StartError::NotAStartPage);
        }
        if info.version != VERSION {
            return Err(StartError::Version(info.version));
        }
        let arguments = page[INFO_BYTES..]
            .get(..info.argument_bytes as usize)
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .filter(|text| text.matches('\0').count() == info.argument_count as usize)
            .filter(|text| text.is_empty() || text.ends_with('\0'))
            .ok_or(StartError::Arguments)?;
        Ok(Self {
            ipc_buffer_address: info.ipc_buffer_address as usize,
            data: DataRange {
                address: info.data_address as usize,
                bytes: info.data_bytes as usize,
            },
            arguments,
        })
    }

    /// The arguments, in order.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.arguments.split_terminator('\0')
    }
}

impl StartInfo {
    fn read(page: &[u8]) -> Option<Self> {
        let (magic, rest) = page.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (argument_count, rest) = rest.split_first_chunk()?;
        let (argument_bytes, rest) = rest.split_first_chunk()?;
        let (ipc_buffer_address, rest) = rest.split_first_chunk()?;
        let (data_address, rest) = rest.split_first_chunk()?;
        let (data_bytes, _) = rest.split_first_chunk()?;
        Some(Self {
            magic: u64::from_le_bytes(*magic),
            version: u32::from_le_bytes(*version),
            argument_count: u32::from_le_bytes(*argument_count),
            argument_bytes: u64::from_le_bytes(*argument_bytes),
            ipc_buffer_address: u64::from_le_bytes(*ipc_buffer_address),
            data_address: u64::from_le_bytes(*data_address),
            data_bytes: u64::from_le_bytes(*data_bytes),
        })
    }
}

/// Puts `part` at the beginning of `room` and gives what is left.
fn put<'r>(room: &'r mut [u8], part: &[u8]) -> &'r mut [u8] {
    let (start, rest) = room.split_at_mut(part.len());
    start.copy_from_slice(part);
    rest
}
