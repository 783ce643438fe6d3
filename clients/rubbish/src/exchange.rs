// SPDX-License-Identifier: BSD-2-Clause
//! One message to the server, and everything that is checked about its answer.

use crate::holdings::{Holdings, Kind};
use crate::judge::{Verdict, judge};
use crate::oracle;
use crate::raw::{Answer, Message};
use kmalloc::{println, served};
use kmalloc_protocol::message::{BYTES_MAX, decode_response, encode_long};
use kmalloc_protocol::{Error, LABEL, Request, Response, Stats};
use sel4::{MessageInfo, MessageInfoBuilder};

/// The upper half of each word of another client's secrets.
pub const SECRET: u64 = 0x5ec2_e7ed;

/// This program, as far as its messages go.
pub struct Desk {
    /// What it holds.
    pub holdings: Holdings,
    /// Messages that it sent.
    pub sent: u64,
    /// Those that were answered by a success.
    pub served: u64,
    /// The numbers of the replies and of the errors that came, as bits.
    pub seen: (u64, u64),
    /// The last answer.
    pub response: Option<Response>,
    handle: u64,
    stats: Stats,
}

impl Desk {
    /// A program that holds nothing. It is called that in the manifest.
    pub fn new(name: &str) -> Result<Desk, Error> {
        Ok(Desk {
            holdings: Holdings::new(),
            sent: 0,
            served: 0,
            seen: (0, 0),
            response: None,
            handle: kmalloc::find(name)?,
            stats: served::stats()?,
        })
    }

    /// Whether a message would end this program.
    pub fn is_deadly(&self, message: &Message) -> bool {
        oracle::decode(message, &mut [0; BYTES_MAX])
            .is_ok_and(|request| oracle::is_deadly(&request, self.handle))
    }

    /// Whether a message prints.
    pub fn prints(message: &Message) -> bool {
        matches!(
            oracle::decode(message, &mut [0; BYTES_MAX]),
            Ok(Request::Print { .. })
        )
    }

    /// Sends a message and checks the answer, and what it did to this program's account.
    pub fn send(&mut self, message: &Message) -> Verdict {
        let mut bytes = [0; BYTES_MAX];
        let decoded = oracle::decode(message, &mut bytes);
        let answer = message.call();
        self.sent += 1;
        self.response = None;
        let response = read(&answer)?;
        self.response = Some(response);
        match &response {
            // The second byte of a response that is a success.
            Ok(_) => self.seen.0 |= 1 << (answer.words()[0] >> 8 & 63),
            Err(error) => self.seen.1 |= 1 << error.number(),
        }
        if !answer.touched_no_more(message) {
            return Err("something behind the answer was touched");
        }
        match decoded {
            Ok(request) => judge(&mut self.holdings, &request, &response)?,
            Err(expected) if response == Err(expected) => {}
            Err(_) => return Err("another error than the message deserves"),
        }
        self.served += u64::from(response.is_ok());
        self.check_account(&response)
    }

    /// What a message did to the account: what was refused has changed nothing, everything was counted.
    fn check_account(&mut self, response: &Response) -> Verdict {
        let before = self.stats;
        let after = served::stats().map_err(|_| "no figures")?;
        self.stats = after;
        if after.calls != before.calls + 2 {
            return Err("a message that was not counted");
        }
        if after.failures != before.failures + u64::from(response.is_err()) {
            return Err("a refusal that was not counted, or a success that was counted as one");
        }
        if let Err(error) = response {
            // What was made on the way to a refusal of supply, tables and ledgers, may stay, and is charged.
            let made = Stats {
                committed: before.committed,
                committed_peak: before.committed_peak,
                slots: before.slots,
                slots_peak: before.slots_peak,
                ..after
            };
            let after = if oracle::is_supply(error) {
                made
            } else {
                after
            };
            let unchanged = Stats {
                calls: after.calls,
                failures: after.failures,
                ..before
            };
            if after != unchanged {
                return Err("a refusal that changed the account");
            }
        }
        if !self.holdings.agree_with(&after) {
            return Err("figures that don't agree with what was given");
        }
        Ok(())
    }

    /// Gives everything back. The figures are then what they were before anything was taken, but for tables and ledgers.
    pub fn give_back(&mut self) -> Verdict {
        while let Some(thing) = self.holdings.things().last().copied() {
            let address = thing.address;
            let request = match thing.kind {
                Kind::Block => Request::Kfree { address },
                Kind::Dma => Request::KfreeDma { address },
                Kind::Bucket | Kind::Segment | Kind::Large => Request::Release { address },
                Kind::Attached => Request::Detach { address },
                Kind::Dataspace => Request::CloseDataspace { token: address },
            };
            self.send(&crate::generator::message_of(&request))?;
        }
        if self.stats.region_bytes != 0 || self.stats.dataspace_bytes != 0 {
            return Err("memory that nobody holds");
        }
        Ok(())
    }

    /// Takes note of the account as it is, after messages that went another way.
    pub fn look(&mut self) -> Result<Stats, Error> {
        self.stats = served::stats()?;
        Ok(self.stats)
    }
}

/// The response in an answer, which must be exactly as long as it is, with zeros for padding and none of anybody's secrets.
fn read(answer: &Answer) -> Result<Response, &'static str> {
    let words = answer.words();
    let info = MessageInfoBuilder::default()
        .label(LABEL)
        .length(words.len())
        .build();
    if answer.info != raw_word(&info) {
        return Err("an answer that brings something besides its words");
    }
    let mut bytes = [0; BYTES_MAX];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let received = &bytes[..words.len() * 8];
    let response = decode_response(received).ok_or("an answer that is no response")?;
    let mut encoded = [0; BYTES_MAX];
    if encode_long(&response, &mut encoded) != Some(words.len())
        || encoded[..received.len()] != *received
    {
        return Err("an answer with something behind its end, or padding that is not zero");
    }
    let secret = (SECRET as u32).to_le_bytes();
    if received.windows(secret.len()).any(|bytes| bytes == secret) {
        return Err("another client's secret");
    }
    Ok(response)
}

fn raw_word(info: &MessageInfo) -> u64 {
    info.label() << 12 | info.length() as u64
}

/// Says what a message was whose answer was wrong, so that it can be sent again.
pub fn tell(desk: &Desk, message: &Message, why: &str) {
    let length = message.length();
    println!(
        "# {why}: info {:#x}, capabilities {:?}, words {:x?}",
        message.info,
        message.caps,
        &message.words[..length]
    );
    println!(
        "# as a request: {:?}",
        oracle::decode(message, &mut [0; BYTES_MAX])
    );
    println!("# the answer: {:?}", desk.response);
    println!("# held: {:x?}", desk.holdings.things());
}
