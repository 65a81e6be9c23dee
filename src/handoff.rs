//! Handing connections to one worker, and taking back those that it does not read in time.
//!
//! The primary keeps the receiving end of the socket on which connections travel. Whoever reads a
//! unit from it has that connection, so each one goes to exactly one process, whatever the worker
//! does meanwhile; see «A connection» in ARCHITECTURE.md. Which worker gets what, and what becomes
//! of what was taken back, is `primary.rs`'s.

mod progress;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::balancer::Readiness;
use crate::protocol::{ListenerId, Parcel, Return, ServerId, Unit};
use crate::shared::{WANTED_TO_TURN, WorkerPage};
use crate::sys::fd;
use crate::sys::memory::Shared;

use self::progress::Progress;

/// How many connections may wait in one worker's socket. More would only move the kernel's
/// backlog into a place where it counts as descriptors under way (ETOOMANYREFS).
const MAX_UNREAD: usize = 16;

/// A unit that the worker has not been seen to read.
struct Unread {
    sequence: u64,
    sent: Instant,
    listener: ListenerId,
    /// It is this worker's alone, so it stays where it is.
    bound: bool,
}

pub struct Handoff {
    sender: OwnedFd,
    receiver: OwnedFd,
    page: Arc<Shared<WorkerPage>>,
    last_sequence: u64,
    last_sent: Option<Instant>,
    unread: VecDeque<Unread>,
    /// When the first one was sent of those read since the worker was last looked at.
    read: Option<Instant>,
    progress: Progress,
    /// What it has sent back could not be read for want of a descriptor; nobody will say it again.
    has_returns: bool,
    /// The phase in which it left a connection unread for too long: blocked until it changes.
    blocked_in: Option<u64>,
}

/// What a worker did not take.
pub struct TakenBack {
    pub listener: ListenerId,
    /// What it was, other than [`Parcel::Nothing`].
    pub parcel: Parcel,
    /// If it was one.
    pub connection: Option<OwnedFd>,
    /// It was for that worker alone.
    pub bound: bool,
}

impl Handoff {
    #[must_use]
    pub fn new(
        sender: OwnedFd,
        receiver: OwnedFd,
        page: Arc<Shared<WorkerPage>>,
        now: Instant,
    ) -> Self {
        Self {
            sender,
            receiver,
            page,
            last_sequence: 0,
            last_sent: None,
            unread: VecDeque::new(),
            read: None,
            progress: Progress::new(now),
            has_returns: false,
            blocked_in: None,
        }
    }

    /// Becomes readable when the worker sends something back.
    #[must_use]
    pub fn sender(&self) -> BorrowedFd<'_> {
        self.sender.as_fd()
    }

    /// Whether the worker can take a connection now; `timeout` is the handoff timeout.
    pub fn readiness(&mut self, now: Instant, timeout: Duration) -> Readiness {
        if self.is_blocked(now, timeout) || self.unread.len() >= MAX_UNREAD {
            return Readiness::Unable;
        }
        if self.is_occupied(now, timeout) { Readiness::Occupied } else { Readiness::Ready }
    }

    /// Whether something has to happen before it takes anything: its loop has not turned since it
    /// was taken from, or not for longer than the timeout.
    pub fn is_blocked(&mut self, now: Instant, timeout: Duration) -> bool {
        self.look(now);
        // Even: running timers, immediates or ticks.
        let phase = self.progress.phase();
        let working = phase != 0 && phase.is_multiple_of(2);
        self.blocked_in.is_some() || (working && now - self.progress.since() > timeout)
    }

    /// Whether it still has to do with what it was sent: has not read it, or not come back from
    /// waiting for events since, so that the last one's handler may be about to run. After the
    /// timeout that one counts as a connection that is silent.
    pub fn is_occupied(&mut self, now: Instant, timeout: Duration) -> bool {
        if self.has_unread() {
            return true;
        }
        let recent = self.last_sent.is_some_and(|sent| now - sent < timeout);
        let page = &self.page;
        recent && page.phase.load(Ordering::Acquire) < page.read_phase.load(Ordering::Acquire) + 2
    }

    /// How much waits in its socket.
    pub fn unread(&mut self) -> usize {
        self.forget_read();
        self.unread.len()
    }

    /// Whether another connection may wait in its socket, be it blocked or not.
    pub fn has_room(&mut self) -> bool {
        self.unread() < MAX_UNREAD
    }

    /// It has just accepted by itself, so as far as [`readiness`](Self::readiness) goes, it was sent
    /// something.
    pub fn has_fetched(&mut self, now: Instant) {
        self.last_sent = Some(now);
    }

    /// Connections that it has open or has not taken yet.
    pub fn load(&mut self) -> u64 {
        let open = self.page.open_connections.load(Ordering::Relaxed);
        u64::from(open) + self.unread() as u64
    }

    /// How many connections it has taken so far, in whatever way.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.page.taken.load(Ordering::Relaxed)
    }

    /// What the worker publishes of itself.
    #[must_use]
    pub fn page(&self) -> &WorkerPage {
        &self.page
    }

    /// Sends a connection; `bound` if no other worker may have it. `WouldBlock`, or any other
    /// error: it was not sent, nothing is lost.
    pub fn hand(
        &mut self,
        listener: ListenerId,
        server: ServerId,
        connection: BorrowedFd<'_>,
        bound: bool,
        now: Instant,
    ) -> io::Result<()> {
        let sequence = self.last_sequence + 1;
        let unit = Unit { sequence, listener, server, parcel: Parcel::Connection };
        self.send(unit, Some(connection), bound, now)
    }

    /// Lets the worker accept from the listener by itself, after all that it was sent before, until
    /// nobody waits there. Errors are those of [`hand`](Self::hand).
    pub fn let_fetch(
        &mut self,
        listener: ListenerId,
        server: ServerId,
        socket: BorrowedFd<'_>,
        now: Instant,
    ) -> io::Result<()> {
        let sequence = self.last_sequence + 1;
        let unit = Unit { sequence, listener, server, parcel: Parcel::Listener };
        self.send(unit, Some(socket), true, now)
    }

    /// Lets the worker wait at the listener in line with others, until it has enough or is recalled.
    /// Errors are those of [`hand`](Self::hand).
    pub fn line_up(
        &mut self,
        listener: ListenerId,
        server: ServerId,
        socket: BorrowedFd<'_>,
        now: Instant,
    ) -> io::Result<()> {
        let sequence = self.last_sequence + 1;
        let unit = Unit { sequence, listener, server, parcel: Parcel::Line };
        self.send(unit, Some(socket), true, now)
    }

    /// Lets the worker accept there no more by itself. Errors are those of [`hand`](Self::hand).
    pub fn recall(
        &mut self,
        listener: ListenerId,
        server: ServerId,
        now: Instant,
    ) -> io::Result<()> {
        let sequence = self.last_sequence + 1;
        self.send(Unit { sequence, listener, server, parcel: Parcel::Recall }, None, true, now)
    }

    fn send(
        &mut self,
        unit: Unit,
        descriptor: Option<BorrowedFd<'_>>,
        bound: bool,
        now: Instant,
    ) -> io::Result<()> {
        let Unit { sequence, listener, .. } = unit;
        let descriptors = descriptor.as_slice();
        fd::send(self.sender.as_fd(), &[IoSlice::new(&unit.encode())], descriptors)?;
        self.last_sequence = sequence;
        self.last_sent = Some(now);
        self.unread.push_back(Unread { sequence, sent: now, listener, bound });
        Ok(())
    }

    /// Whether anything sent has not been seen to be read.
    pub fn has_unread(&mut self) -> bool {
        self.unread() > 0
    }

    /// For how long it does nothing about what it has to do.
    pub fn stuck_for(&mut self, now: Instant) -> Duration {
        self.look(now);
        let since = self.unread.front().map_or(self.progress.since(), |oldest| oldest.sent);
        self.progress.stuck_for(since, now)
    }

    /// How long it takes for a turn of its loop when it has something to do.
    pub fn turn(&mut self, now: Instant) -> Duration {
        self.look(now);
        self.progress.turn(self.unread.front().map(|oldest| oldest.sent), now)
    }

    /// Whether anything may become overdue.
    pub fn may_be_overdue(&mut self) -> bool {
        self.forget_read();
        self.unread.iter().any(|unread| !unread.bound)
    }

    /// For how long a connection that others may have waits in front of a loop that does not turn,
    /// or does not read.
    pub fn overdue_for(&mut self, now: Instant) -> Option<Duration> {
        self.look(now);
        let oldest = self.unread.iter().find(|unread| !unread.bound)?;
        Some(self.progress.stuck_for(oldest.sent, now))
    }

    /// The listeners of the connections that it has not read.
    pub fn unread_listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.unread.iter().filter(|unread| !unread.bound).map(|unread| unread.listener)
    }

    /// Reads back what the worker has not read, the oldest first, with as many that others may have
    /// as there is `room` for, and regards it as blocked until its loop turns. With no number left
    /// for a descriptor it stops early; then it is still overdue.
    pub fn take_back(&mut self, mut room: usize, now: Instant) -> Vec<TakenBack> {
        let mut taken = Vec::new();
        let mut buffer = [0; Unit::SIZE];
        self.blocked_in = Some(self.progress.phase());
        if let Some(oldest) = self.unread.front() {
            self.progress.was_stuck(oldest.sent, now);
        }
        while room > 0 && fd::has_free_number(self.receiver.as_fd()) {
            let received = match fd::receive(self.receiver.as_fd(), &mut buffer) {
                Ok(received) if received.bytes > 0 => received,
                // The socket is empty: what was sent and is not in `taken` the worker has read.
                _ => {
                    self.unread.clear();
                    break;
                }
            };
            let Some(unit) = Unit::decode(&buffer[..received.bytes]) else { continue };
            let connection = match (unit.parcel, received.fds.into_iter().next()) {
                (Parcel::Connection, Some(connection)) => Some(connection),
                (Parcel::Listener | Parcel::Line | Parcel::Recall, _) => None,
                _ => continue,
            };
            let mut bound = false;
            self.unread.retain(|unread| {
                bound |= unread.sequence == unit.sequence && unread.bound;
                unread.sequence > unit.sequence
            });
            room -= usize::from(!bound);
            let Unit { listener, parcel, .. } = unit;
            taken.push(TakenBack { listener, parcel, connection, bound });
        }
        if self.unread.is_empty() {
            self.poke();
        }
        taken
    }

    /// Makes the worker's loop turn as soon as it can. One that only waits has nothing left to read
    /// and would count as blocked for as long as nothing else happens to it.
    fn poke(&self) {
        let (listener, server) = (ListenerId(0), ServerId(0));
        let (sequence, parcel) = (self.last_sequence, Parcel::Nothing);
        let unit = Unit { sequence, listener, server, parcel }.encode();
        // The socket is empty, so there is room; a worker that is dead needs none.
        let _ = fd::send(self.sender.as_fd(), &[IoSlice::new(&unit)], &[]);
    }

    /// Whether it has to be asked for returns without having said so.
    #[must_use]
    pub fn has_returns(&self) -> bool {
        self.has_returns
    }

    /// Asks to be told when the worker can take a connection again: when its loop turns, or, if it
    /// only has too many waiting, when half of them are taken. Sooner would be a packet for each.
    pub fn want(&self) {
        let full = self.blocked_in.is_none() && self.unread.len() >= MAX_UNREAD;
        let half = self.last_sequence.saturating_sub(MAX_UNREAD as u64 / 2);
        let wanted = if full { half.max(1) } else { WANTED_TO_TURN };
        self.page.wanted.store(wanted, Ordering::SeqCst);
        // Whoever looks again after this must not see what was before it.
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// What the worker has sent back, if there is anything.
    ///
    /// With no number left for a descriptor nothing is read; ask again later.
    pub fn returned(&mut self) -> Option<(Return, Option<OwnedFd>)> {
        self.has_returns = !fd::has_free_number(self.sender.as_fd());
        if self.has_returns {
            return None;
        }
        let mut buffer = [0; Return::SIZE];
        let received = fd::receive(self.sender.as_fd(), &mut buffer).ok()?;
        let message = Return::decode(&buffer[..received.bytes])?;
        Some((message, received.fds.into_iter().next()))
    }

    fn look(&mut self, now: Instant) {
        self.forget_read();
        let phase = self.page.phase.load(Ordering::Acquire);
        self.progress.look(phase, self.read.take(), !self.unread.is_empty(), now);
        if self.blocked_in.is_some_and(|blocked| blocked != phase) {
            self.blocked_in = None;
        }
    }

    /// The socket keeps the order, so with one unit all before it have been read.
    fn forget_read(&mut self) {
        // Asked of every worker whenever somebody comes, and its page is another cache line to fetch.
        if self.unread.is_empty() {
            return;
        }
        let last_read = self.page.last_read.load(Ordering::Acquire);
        while self.unread.front().is_some_and(|oldest| oldest.sequence <= last_read) {
            let read = self.unread.pop_front().map(|unread| unread.sent);
            self.read = self.read.or(read);
        }
    }
}
