//! A worker's side of the balancer: taking connections from its socket, one in a turn of its event
//! loop, and telling the primary through shared memory whether the loop turns.
//!
//! No libuv in here: `addon/worker.rs` calls it from the loop's prepare and check callbacks.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::protocol::{ListenerId, Return, Unit};
use crate::shared::{WANTED_TO_TURN, WorkerPage};
use crate::sys::fd;
use crate::sys::memory::Shared;

/// What [`Worker::take`] found.
pub enum Taken {
    Connection(Unit, OwnedFd),
    Nothing,
    /// This process has no number for another descriptor: what waits is left to the primary.
    Starved,
    /// The primary has given this worker up, or has ended.
    End,
}

pub struct Worker {
    connections: OwnedFd,
    page: Rc<Shared<WorkerPage>>,
}

impl Worker {
    /// From the two descriptors of the primary's `Hello`.
    pub fn new(connections: OwnedFd, page: &OwnedFd) -> io::Result<Self> {
        let page = Rc::new(Shared::open(page)?);
        Ok(Self { connections, page })
    }

    /// Becomes readable when a connection waits.
    #[must_use]
    pub fn connections(&self) -> BorrowedFd<'_> {
        self.connections.as_fd()
    }

    /// The loop is about to wait, or has just served what was ready: see [`WorkerPage::phase`].
    pub fn enter_phase(&self, waiting: bool) {
        // This thread alone writes it.
        let phase = self.page.phase.load(Ordering::Relaxed);
        let next = if phase.is_multiple_of(2) == waiting { phase + 1 } else { phase + 2 };
        self.page.phase.store(next, Ordering::Release);
        self.tell_if_wanted(|wanted| wanted == WANTED_TO_TURN);
    }

    /// Takes the connection that has waited longest, if there is one.
    pub fn take(&self) -> Taken {
        let socket = self.connections.as_fd();
        if !fd::has_free_number(socket) {
            return Taken::Starved;
        }
        let mut buffer = [0; Unit::SIZE];
        let received = match fd::receive(socket, &mut buffer) {
            Ok(received) if received.bytes > 0 => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Taken::Nothing,
            _ => return Taken::End,
        };
        let Some(unit) = Unit::decode(&buffer[..received.bytes]) else { return Taken::End };
        self.page.read_phase.store(self.page.phase.load(Ordering::Relaxed), Ordering::Release);
        // Until JavaScript has counted it, or it would be in neither number for a moment.
        self.page.open_connections.fetch_add(1, Ordering::Relaxed);
        self.page.last_read.store(unit.sequence, Ordering::Release);
        self.tell_if_wanted(|wanted| unit.sequence >= wanted);
        // A unit without a descriptor only makes this loop turn.
        let Some(connection) = received.fds.into_iter().next() else {
            self.page.open_connections.fetch_sub(1, Ordering::Relaxed);
            return Taken::Nothing;
        };
        Taken::Connection(unit, connection)
    }

    /// Whether there is a number for another descriptor again.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        fd::has_free_number(self.connections.as_fd())
    }

    /// Gives a connection back, for another worker.
    pub fn refuse(&self, listener: ListenerId, connection: &OwnedFd) -> io::Result<()> {
        let message = Return::Refused(listener).encode();
        fd::send(self.connections.as_fd(), &[IoSlice::new(&message)], &[connection.as_fd()])?;
        Ok(())
    }

    /// What this worker publishes.
    #[must_use]
    pub fn page(&self) -> Rc<Shared<WorkerPage>> {
        Rc::clone(&self.page)
    }

    fn tell_if_wanted(&self, is_due: impl Fn(u64) -> bool) {
        // Sequentially consistent with the primary's «want, then look again».
        std::sync::atomic::fence(Ordering::SeqCst);
        let wanted = self.page.wanted.load(Ordering::Relaxed);
        if wanted == 0 || !is_due(wanted) || self.page.wanted.swap(0, Ordering::SeqCst) == 0 {
            return;
        }
        let message = Return::Free.encode();
        if fd::send(self.connections.as_fd(), &[IoSlice::new(&message)], &[]).is_err() {
            // The socket is full: at the next turn.
            self.page.wanted.store(WANTED_TO_TURN, Ordering::SeqCst);
        }
    }
}
