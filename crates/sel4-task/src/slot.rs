// SPDX-License-Identifier: BSD-2-Clause

//! What a client has in its CSpace from the start, by slot number, which is also its address.

use sel4::CPtrBits;

/// Empty.
pub const NULL: CPtrBits = 0;
/// The endpoint to the memory server.
pub const SERVER: CPtrBits = 1;
/// The endpoint to which the client's faults go.
pub const FAULT: CPtrBits = 2;
/// The client's first thread.
pub const TCB: CPtrBits = 3;
/// A notification, if the client was given one.
pub const NOTIFICATION: CPtrBits = 4;
/// A reply object, on kernels that have them.
pub const REPLY: CPtrBits = 5;
/// The endpoint between clients that it receives on, if its manifest entry names one.
pub const SERVES: CPtrBits = 6;
/// The endpoint between clients that it calls, if its manifest entry names one.
pub const CALLS: CPtrBits = 7;
/// A notification that nobody signals: where threads wait that have ended.
pub const PARKING: CPtrBits = 8;
/// The first slot that is free for what a client is given besides: interrupts, ports, devices.
pub const FIRST_FREE: CPtrBits = 9;
