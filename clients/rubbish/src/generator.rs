// SPDX-License-Identifier: BSD-2-Clause
//! Messages out of a seed: requests with values that are likely to matter, most of them spoiled in one way or another.

use crate::holdings::Holdings;
use crate::raw::{CAPS_MAX, Message};
use kmalloc::process::sel4_task::slot;
use kmalloc_protocol::message::{BYTES_MAX, REQUEST_COUNT, WORDS_MAX, encode_long};
use kmalloc_protocol::{LABEL, Request};
use sel4::Word;

/// Slots with a capability in them.
pub const SLOTS: [Word; 4] = [slot::SERVER, slot::FAULT, slot::NOTIFICATION, slot::PARKING];
/// Texts of requests: names, and what is none.
const TEXTS: [&str; 6] = [
    "",
    "keeper",
    "rubbish",
    "nobody",
    "é\u{1f980}",
    "child\0x\0",
];

/// Numbers of the requests that memory comes and goes by.
const MEMORY: [u8; 14] = [0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 29];

/// A generator of which each state gives one number.
#[derive(Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// The numbers of one step of a seed.
    pub const fn new(seed: u64, step: u64) -> Random {
        Random(seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Something that matters to sizes and addresses: a power of two and its neighbours, an end, or anything.
    fn number(&mut self) -> u64 {
        let power = 1u64 << self.below(64);
        match self.below(14) {
            0 => 0,
            1 => u64::MAX - self.next() % 4096,
            2 => power - 1,
            3 => power,
            4 => power + 1,
            5 => self.next(),
            // What small programs ask for.
            _ => self.next() >> (47 + self.below(14)),
        }
    }

    /// An address: of something that is held, inside of it, beside it, or anywhere.
    fn address(&mut self, holdings: &Holdings) -> u64 {
        let things = holdings.things();
        if things.is_empty() {
            return self.number();
        }
        let thing = things[self.below(things.len())];
        match self.below(8) {
            0 => thing.address.wrapping_add(self.next() % thing.size.max(1)),
            1 => thing.address.wrapping_sub(16),
            2 => thing.address.wrapping_add(thing.size),
            3 => ((1 + self.next() % 7) << 36) | (self.next() % (64 << 20)) & !4095,
            4 => self.number(),
            _ => thing.address,
        }
    }

    fn byte(&mut self) -> u8 {
        match self.below(4) {
            0 => self.next() as u8,
            _ => (self.next() % 16) as u8,
        }
    }

    fn flags(&mut self) -> u32 {
        match self.below(8) {
            0 => self.next() as u32,
            1 => 2,
            flags => flags as u32 % 2,
        }
    }
}

/// A request with the number `opcode`.
fn request(random: &mut Random, holdings: &Holdings, opcode: u8) -> Request<'static> {
    let mut r = *random;
    random.next();
    let text = TEXTS[r.below(TEXTS.len())];
    let flags = r.flags();
    let address = r.address(holdings);
    let (size, other) = (r.number(), r.number());
    let function = r.byte();
    match opcode {
        0 => Request::Kmalloc { flags, size },
        1 => Request::Kcalloc {
            flags,
            count: other % 64,
            size,
        },
        2 => Request::Krealloc {
            flags,
            address,
            size,
        },
        3 => Request::KreallocArray {
            flags,
            address,
            count: other % 64,
            size,
        },
        4 => Request::Kfree { address },
        5 => Request::Ksize { address },
        6 => Request::KmallocDma {
            align_bits: r.byte(),
            boundary_bits: r.byte(),
            cache: r.byte() % 6,
            size,
            max_addr: other,
        },
        7 => Request::KfreeDma { address },
        8 => Request::Stats,
        9 => Request::Grant {
            size_bits: 10 + r.byte() % 13,
            count: size as u32 % 9,
        },
        10 => Request::GrantLarge {
            align_bits: r.byte(),
            size,
        },
        11 => Request::Resize { address, size },
        12 => Request::Release { address },
        13 => Request::Print { text },
        14 => Request::Exit {
            status: size as u32,
        },
        15 => Request::OpenSegment {
            size: (size % (3 << 20)) & !4095,
        },
        16 => Request::Map {
            address: address & !4095,
            size: (size % (1 << 16)) & !4095,
        },
        17 => Request::Unmap {
            address: address & !4095,
            size: (size % (1 << 16)) & !4095,
        },
        18 => Request::StartThread {
            entry: other,
            stack: address | 1,
            argument: size,
        },
        19 => Request::SetAlarm { delay_us: size },
        20 => Request::Start { memory: size, text },
        21 => Request::Kill { handle: other },
        22 => Request::Reap { handle: other },
        23 => Request::Events,
        24 => Request::Watch { events: flags },
        25 => Request::AwaitMemory {
            size,
            timeout_us: other,
        },
        26 => Request::Find { name: text },
        27 => Request::MakeDataspace { size },
        _ => request_for_shared(&mut r, function, opcode, [address, size, other]),
    }
}

/// A request about dataspaces, devices or figures.
fn request_for_shared(
    random: &mut Random,
    function: u8,
    opcode: u8,
    [token, size, other]: [u64; 3],
) -> Request<'static> {
    let writable = random.byte() % 4;
    let (offset, value) = (size as u32 % 300, other as u32);
    match opcode {
        28 => Request::ShareDataspace {
            writable,
            token,
            handle: other,
        },
        29 => Request::Attach { writable, token },
        30 => Request::Detach { address: token },
        31 => Request::CloseDataspace { token },
        32 => Request::OpenDevice { index: function },
        33 => Request::PciConfigRead { function, offset },
        34 => Request::PciConfigWrite {
            function,
            offset,
            value,
        },
        35 => Request::MapBar {
            function,
            bar: writable,
        },
        36 => Request::EnableInterrupt { function },
        37 => Request::AckInterrupt { function },
        38 => Request::ReleaseQuarantine { function },
        _ => Request::Observe {
            subject: writable,
            of: token,
            cursor: other,
        },
    }
}

/// A request as a message.
pub fn message_of(request: &Request<'_>) -> Message {
    let mut bytes = [0; BYTES_MAX];
    let length = encode_long(request, &mut bytes).unwrap_or(0);
    message_of_bytes(&bytes, length)
}

/// The first `length` words that these bytes are, as a message.
pub fn message_of_bytes(bytes: &[u8; BYTES_MAX], length: usize) -> Message {
    let mut words = [0; WORDS_MAX];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = Word::from_le_bytes(*bytes);
    }
    Message::new(LABEL, &words[..length])
}

/// Words that are no request but by chance.
fn noise(random: &mut Random) -> Message {
    let length = match random.below(3) {
        0 => random.below(WORDS_MAX + 1),
        _ => random.below(6),
    };
    let mut words = [0; WORDS_MAX];
    words.fill_with(|| random.next());
    // Half of them begin like a request.
    if random.below(2) == 0 {
        words[0] = (words[0] << 8) | (random.next() % u64::from(REQUEST_COUNT));
    }
    Message::new(LABEL, &words[..length])
}

/// Spoils a message.
fn spoil(random: &mut Random, message: &mut Message) {
    let length = message.length();
    match random.below(9) {
        0 => {
            for _ in 0..=random.below(3) {
                let bit = random.below(64 * length.max(1));
                message.words[bit / 64] ^= 1 << (bit % 64);
            }
        }
        1 => set_length(message, random.below(length + 1)),
        2 => {
            let longer = (length + 1 + random.below(8)).min(WORDS_MAX);
            for word in &mut message.words[length..longer] {
                *word = if random.below(2) == 0 {
                    0
                } else {
                    random.next()
                };
            }
            set_length(message, longer);
        }
        3 => {
            let label = match random.below(3) {
                0 => random.next() % 16,
                1 => LABEL ^ 1 << random.below(20),
                _ => random.next() & 0xf_ffff,
            };
            message.info = label << 12 | message.info & 0xfff;
        }
        4 => {
            let caps: [Word; CAPS_MAX] = core::array::from_fn(|_| SLOTS[random.below(SLOTS.len())]);
            *message = message.clone().with_caps(1 + random.below(CAPS_MAX), caps);
        }
        // What the kernel overwrites, and what it does not look at.
        5 => message.info |= random.next() & 7 << 9,
        6 => message.words[0] = message.words[0] & !0xff | random.next() & 0xff,
        // One that is longer than any message is cut to what fits.
        7 => set_length(message, WORDS_MAX + 1 + random.below(7)),
        _ => {
            let word = random.below(length.max(1));
            message.words[word] = random.next();
        }
    }
}

fn set_length(message: &mut Message, length: usize) {
    message.info = message.info & !127 | length as Word;
}

/// The message of one step.
pub fn message(random: &mut Random, holdings: &Holdings) -> Message {
    if random.below(10) == 0 {
        return noise(random);
    }
    let opcode = match random.below(3) {
        0 => MEMORY[random.below(MEMORY.len())],
        _ => random.below(usize::from(REQUEST_COUNT)) as u8,
    };
    let mut message = message_of(&request(random, holdings, opcode));
    if random.below(5) < 2 {
        spoil(random, &mut message);
    }
    message
}
