// SPDX-License-Identifier: BSD-2-Clause
use bitflags::bitflags;

bitflags! {
    /// What the server signals a client's notification for. The signal is a hint; [`Request::Events`](crate::Request::Events)
    /// tells what it was.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u32 {
        /// All other clients but the services have ended.
        const CLOSING = 1 << 0;
        /// A child has ended, and everything that it had is back.
        const CHILD = 1 << 1;
        /// Free memory fell below the mark: give back what can be spared. Only for clients that watch for it.
        const PRESSURE = 1 << 2;
        /// The memory that the client waits for is free.
        const MEMORY = 1 << 3;
        /// The time to wait for memory is over.
        const TIMEOUT = 1 << 4;
        /// The client's alarm has gone off.
        const ALARM = 1 << 5;
    }
}
