//! The page that the primary and one worker both map: what the worker has read, whether its event
//! loop turns. The worker writes, the primary reads, except for `wanted`.
//!
//! No system call is made for any of this, so it costs a connection nothing.

use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::sys::memory::Shareable;

/// Field order is part of the protocol between two processes of the same version.
#[repr(C)]
#[derive(Debug, Default)]
pub struct WorkerPage {
    /// Sequence number of the last unit that the worker took from its connection socket.
    pub last_read: AtomicU64,
    /// Counts the phases of the worker's event loop: odd from right before it waits until all that
    /// was ready has been served, even from then on (timers, immediates, ticks). A phase that lasts
    /// while a unit waits is a blocked loop.
    pub phase: AtomicU64,
    /// `phase` when the last unit was taken.
    pub read_phase: AtomicU64,
    /// What the primary waits for: 0 is nothing, a sequence number that this unit is taken, and
    /// [`WANTED_TO_TURN`] that the loop turns. The worker clears it and sends
    /// [`Return::Free`](crate::protocol::Return::Free).
    pub wanted: AtomicU64,
    /// How many connections the worker has taken, from its socket or by itself.
    pub taken: AtomicU64,
    /// Connections handed to this worker's servers and not closed yet. JavaScript counts them.
    pub open_connections: AtomicU32,
}

/// See [`WorkerPage::wanted`]; greater than any sequence number.
pub const WANTED_TO_TURN: u64 = u64::MAX;

// SAFETY: `repr(C)`, atomics alone, and zeros are valid.
unsafe impl Shareable for WorkerPage {}
