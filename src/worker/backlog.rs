//! A listening socket from which a worker accepts by itself: for as long as somebody waits there, or
//! in line with other workers, whenever it is called.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::protocol::{ListenerId, ServerId};
use crate::sys::fd;

/// By how much the number of its open connections may grow while a worker accepts by itself. One
/// that has a CPU while others wait for one would otherwise keep most of a crowd that stays.
pub(super) const GROWTH: u32 = 8;

/// How many connections a worker accepts by itself before it lets another have its turn.
pub(super) const AT_A_TIME: u32 = 256;

/// A place among those that wait at a listening socket; left when dropped.
pub trait Spot {
    /// Whether somebody waits there, and this worker was called for it. Said once.
    fn is_called(&self) -> bool;

    /// Goes behind all others; `false` if the loop has to turn once more before. Only to be called
    /// right before the loop waits.
    fn renew(&self) -> io::Result<bool>;
}

/// Takes a [`Spot`] at a listening socket, which stays open longer than that.
pub type TakeSpot = Box<dyn Fn(BorrowedFd<'_>) -> io::Result<Box<dyn Spot>>>;

/// What [`Backlog::accept`] has got.
pub(super) enum Fetched {
    Connection(OwnedFd),
    /// It is not this worker's turn.
    Nothing,
    /// Enough, or nobody waits, or it is closed, or no number is left for a descriptor.
    Over,
}

pub(super) struct Backlog {
    // Declared, and so dropped, before the socket.
    spot: Option<Box<dyn Spot>>,
    pub server: ServerId,
    pub listener: ListenerId,
    /// Without it, it is over.
    socket: Option<OwnedFd>,
    /// With so many connections open it accepts no more.
    limit: u32,
    /// How many it has accepted.
    pub accepted: u32,
    /// It has had its turn, or has not yet lined up.
    goes_to_the_end: bool,
}

impl Backlog {
    pub fn new(
        server: ServerId,
        listener: ListenerId,
        socket: Option<OwnedFd>,
        open_connections: u32,
    ) -> Self {
        let limit = open_connections + GROWTH;
        let goes_to_the_end = false;
        Self { spot: None, server, listener, socket, limit, accepted: 0, goes_to_the_end }
    }

    /// Accepts only when it is called from now on, but then for as long as it has not enough.
    pub fn line_up(&mut self, take_spot: &TakeSpot) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            self.spot = Some(take_spot(socket.as_fd())?);
            self.goes_to_the_end = true;
        }
        Ok(())
    }

    /// Accepts no more.
    pub fn end(&mut self) {
        self.spot = None;
        self.limit = 0;
    }

    pub fn accept(&mut self, open_connections: u32) -> Fetched {
        let enough = self.spot.is_none() && self.accepted == AT_A_TIME;
        let Some(socket) =
            self.socket.as_ref().filter(|_| open_connections < self.limit && !enough)
        else {
            return Fetched::Over;
        };
        if self.spot.as_ref().is_some_and(|spot| !spot.is_called()) {
            return Fetched::Nothing;
        }
        match fd::accept(socket.as_fd()) {
            Ok(connection) => {
                self.accepted += 1;
                self.goes_to_the_end = true;
                Fetched::Connection(connection)
            }
            // Another one was faster.
            Err(error) if self.spot.is_some() && error.kind() == io::ErrorKind::WouldBlock => {
                Fetched::Nothing
            }
            Err(_) => Fetched::Over,
        }
    }

    /// Whether the loop has to turn without waiting.
    pub fn is_pressing(&self) -> bool {
        self.spot.is_none() || (self.goes_to_the_end && self.accepted == 0)
    }

    /// Whoever has had its turn goes behind all others. Called right before the loop waits. `false`
    /// if it must not be called for anybody, for it has enough, or if there is no memory for that.
    pub fn line_up_again(&mut self, open_connections: u32) -> bool {
        let Some(spot) = &self.spot else { return true };
        if open_connections >= self.limit {
            return false;
        }
        if self.goes_to_the_end {
            let Ok(in_line) = spot.renew() else { return false };
            self.goes_to_the_end = !in_line;
        }
        true
    }
}
