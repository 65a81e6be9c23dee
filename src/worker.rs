//! A worker's side of the balancer: taking connections from its socket, one in a turn of its event
//! loop, and telling the primary through shared memory whether the loop turns.
//!
//! No libuv in here: `addon/worker.rs` calls it from the loop's prepare and check callbacks.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use crate::protocol::{ListenerId, Return, Unit};
use crate::shared::WorkerPage;
use crate::sys::fd;
use crate::sys::memory::Shared;

pub struct Worker {
    connections: OwnedFd,
    page: Shared<WorkerPage>,
}

impl Worker {
    /// From the two descriptors of the primary's `Hello`.
    pub fn new(connections: OwnedFd, page: &OwnedFd) -> io::Result<Self> {
        Ok(Self { connections, page: Shared::open(page)? })
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
        self.tell_if_wanted();
    }

    /// Takes the connection that has waited longest, if there is one.
    pub fn take(&self) -> Option<(Unit, OwnedFd)> {
        let mut buffer = [0; Unit::SIZE];
        let received = fd::receive(self.connections.as_fd(), &mut buffer).ok()?;
        let unit = Unit::decode(&buffer[..received.bytes])?;
        self.page.read_phase.store(self.page.phase.load(Ordering::Relaxed), Ordering::Release);
        self.page.last_read.store(unit.sequence, Ordering::Release);
        self.tell_if_wanted();
        // Without its descriptor (this process has none left) the connection is lost.
        Some((unit, received.fds.into_iter().next()?))
    }

    /// Gives a connection back, for another worker.
    pub fn refuse(&self, listener: ListenerId, connection: &OwnedFd) -> io::Result<()> {
        let message = Return::Refused(listener).encode();
        fd::send(self.connections.as_fd(), &[IoSlice::new(&message)], &[connection.as_fd()])?;
        Ok(())
    }

    /// Publishes how many connections of this worker's servers are open.
    pub fn set_open_connections(&self, count: u32) {
        self.page.open_connections.store(count.into(), Ordering::Relaxed);
    }

    fn tell_if_wanted(&self) {
        // Sequentially consistent with the primary's «want, then look again».
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.page.wanted.load(Ordering::Relaxed) != 0
            && self.page.wanted.swap(0, Ordering::SeqCst) != 0
        {
            // If the socket is full, the primary has enough to read to look again anyway.
            let _ =
                fd::send(self.connections.as_fd(), &[IoSlice::new(&Return::Free.encode())], &[]);
        }
    }
}
