//! Frames and descriptors between two processes: what is still to be written, what was read so far.
//!
//! Frames go through rings in shared memory. Over the socket go the descriptors, a byte with those
//! of each frame that has some, sent before the frame; its end is the channel's. A third pair of
//! descriptors wakes whoever waits for the other. No event loop and no JavaScript: the owner calls
//! [`Channel::flush`] and [`Channel::receive`] when [`Channel::waker`] is readable. To this file a
//! payload is opaque.

mod incoming;
mod outgoing;
mod patience;

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

pub use incoming::{Frame, Left};

use incoming::Incoming;
use outgoing::Outgoing;
use patience::Patience;

use crate::protocol::{FrameHeader, Kind};
use crate::sys::fd;
use crate::sys::ring::{self, Reader, Writer};

/// A writer that found no room waits until less than this is unread.
const ROOM: u32 = 2 * 1024 * 1024;

/// So much that is unread counts as taken, as if a socket held it.
const ALLOWANCE: u32 = 208 * 1024;

/// Frames up to this size begin anew at the begin of an empty ring. For others that would take the
/// room of several.
const SMALL: usize = 64 * 1024;

/// A write does not fail as one to a socket would when the other end is closed, so this looks, but
/// not for each of the messages of a busy channel. What is sent within this time after the end is
/// lost, as if it had been sent before.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What the other process needs to open its end besides the socket: the descriptors of the memory,
/// of what wakes it and of what wakes this one.
pub struct OtherEnd {
    pub memory: OwnedFd,
    pub its_waker: OwnedFd,
    pub our_waker: OwnedFd,
}

pub struct Channel {
    socket: OwnedFd,
    our_waker: OwnedFd,
    its_waker: OwnedFd,
    writer: Writer,
    outgoing: Outgoing,
    sent: u64,
    incoming: Incoming,
    patience: Patience,
    /// The other end is closed: nothing more is written.
    hung_up: bool,
    looked: Instant,
}

impl Channel {
    /// Makes a channel of one end of a stream; the other process [`open`](Self::open)s the other.
    pub fn create(socket: OwnedFd) -> io::Result<(Self, OtherEnd)> {
        let memory = ring::create()?;
        let (our_waker, its_waker) = (fd::waker()?, fd::waker()?);
        let (writer, reader) = ring::open(&memory, true)?;
        let other = OtherEnd {
            memory,
            its_waker: its_waker.try_clone()?,
            our_waker: our_waker.try_clone()?,
        };
        Ok((Self::new(socket, our_waker, its_waker, writer, reader), other))
    }

    /// Opens the other end.
    pub fn open(socket: OwnedFd, end: OtherEnd) -> io::Result<Self> {
        let (writer, reader) = ring::open(&end.memory, false)?;
        Ok(Self::new(socket, end.its_waker, end.our_waker, writer, reader))
    }

    fn new(
        socket: OwnedFd,
        our_waker: OwnedFd,
        its_waker: OwnedFd,
        writer: Writer,
        reader: Reader,
    ) -> Self {
        Self {
            socket,
            our_waker,
            its_waker,
            writer,
            outgoing: Outgoing::default(),
            sent: 0,
            incoming: Incoming::new(reader),
            patience: Patience::default(),
            hung_up: false,
            looked: Instant::now(),
        }
    }

    /// Readable when the other end is closed, or has sent descriptors.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Readable when there is something to read, or room for what was kept.
    #[must_use]
    pub fn waker(&self) -> BorrowedFd<'_> {
        self.our_waker.as_fd()
    }

    /// Bytes for which there was no room yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.outgoing.bytes()
    }

    /// Bytes sent since ever.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes of what was sent that a socket would not have taken yet. If there are any, the waker
    /// tells when that has changed.
    pub fn pending(&mut self) -> usize {
        let unsent = self.unsent();
        if unsent == 0 && self.writer.unread_at_most() <= ALLOWANCE as usize {
            return 0;
        }
        let unread = self.writer.unread().saturating_sub(ALLOWANCE as usize);
        // What is unsent waits for room in any case.
        if unsent > 0 || (unread > 0 && self.writer.wait_for_room(ALLOWANCE + 1)) {
            unsent + unread
        } else {
            0
        }
    }

    /// Writes a frame, as much of it as there is room for; the rest is kept for
    /// [`flush`](Self::flush), with duplicates of the descriptors if need be. `InvalidInput` for a
    /// payload over the limit, `BrokenPipe` if the other end is closed: nothing was written.
    pub fn send(
        &mut self,
        kind: Kind,
        count: u32,
        payload: &[&[u8]],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.look()?;
        let length = payload.iter().map(|part| part.len()).sum();
        let fd_count = u8::try_from(fds.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let header = FrameHeader { length, count, kind, fds: fd_count };
        let size = header.frame_size();
        let padding = size - FrameHeader::SIZE - length;
        let header = header.encode().ok_or(io::ErrorKind::InvalidInput)?;
        let mut parts = Vec::with_capacity(2 + payload.len());
        parts.push(&header[..]);
        parts.extend_from_slice(payload);
        parts.push(&[0; FrameHeader::ALIGNMENT][..padding]);
        if !self.outgoing.is_empty() || !send_fds(&self.socket, fds)? {
            let fds = fds.iter().map(BorrowedFd::try_clone_to_owned).collect::<Result<_, _>>()?;
            self.outgoing.keep(&parts, 0, fds);
            self.sent += size as u64;
            return Ok(());
        }
        if length < SMALL {
            self.rewind();
        }
        let mut written = 0;
        for part in &parts {
            let taken = self.writer.write(part);
            written += taken;
            if taken < part.len() {
                break;
            }
        }
        self.publish();
        self.sent += size as u64;
        self.outgoing.keep(&parts, written, Vec::new());
        if self.unsent() > 0 { self.flush() } else { Ok(()) }
    }

    /// Writes a frame of at most `bound` bytes, which `fill` puts where they are read from; it
    /// returns the kind and how many there are. `false` if there is no such room, or `fill` has
    /// returned nothing: nothing was written.
    pub fn send_in_place(
        &mut self,
        count: u32,
        bound: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<(Kind, usize)>,
    ) -> io::Result<bool> {
        self.look()?;
        if !self.outgoing.is_empty() {
            return Ok(false);
        }
        if bound < SMALL {
            self.rewind();
        }
        let size = FrameHeader::SIZE + bound.next_multiple_of(FrameHeader::ALIGNMENT);
        let Some((header, payload)) =
            self.writer.buffer(size).and_then(|buffer| buffer.split_first_chunk_mut())
        else {
            return Ok(false);
        };
        let Some((kind, length)) = fill(payload) else { return Ok(false) };
        let frame = FrameHeader { length, count, kind, fds: 0 };
        *header = frame.encode().ok_or(io::ErrorKind::InvalidInput)?;
        self.writer.advance(frame.frame_size());
        self.sent += frame.frame_size() as u64;
        self.publish();
        Ok(true)
    }

    /// `BrokenPipe` if the other end is closed.
    fn look(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if !self.hung_up && now.duration_since(self.looked) >= LOOK_INTERVAL {
            self.looked = now;
            self.hung_up = fd::is_hung_up(self.socket.as_fd());
        }
        if self.hung_up { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Goes on at the begin of the memory, if it is time for that.
    fn rewind(&mut self) {
        self.writer.rewind(|size| {
            let length = size.checked_sub(FrameHeader::SIZE)?;
            FrameHeader { length, count: 0, kind: Kind::Skip, fds: 0 }.encode()
        });
    }

    fn publish(&mut self) {
        if self.writer.publish() {
            fd::wake(self.its_waker.as_fd());
        }
    }

    /// Writes what was kept, until all is written, or the waker will tell that there is room, or
    /// [`waits_for_socket`](Self::waits_for_socket).
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some(chunk) = self.outgoing.first() {
            let fds: Vec<_> = chunk.fds.iter().map(AsFd::as_fd).collect();
            if !send_fds(&self.socket, &fds)? {
                break;
            }
            chunk.fds.clear();
            let written = self.writer.write(chunk.rest());
            if self.outgoing.written(written) {
                continue;
            }
            self.publish();
            if self.writer.wait_for_room(ROOM) {
                return Ok(());
            }
        }
        self.publish();
        Ok(())
    }

    /// Whether what was kept waits for room for its descriptors: nothing tells when there is some.
    #[must_use]
    pub fn waits_for_socket(&mut self) -> bool {
        self.outgoing.first().is_some_and(|chunk| !chunk.fds.is_empty())
    }

    /// Reads what is there (a bounded amount, unless the other end is closed) and calls `deliver`
    /// for each whole frame.
    ///
    /// `InvalidData` for bytes that are no frame; what came before them has been delivered.
    pub fn receive(&mut self, deliver: impl FnMut(Frame<'_>)) -> io::Result<Left> {
        let left = self.incoming.receive(&self.socket, deliver);
        if self.incoming.writer_waited() {
            fd::wake(self.its_waker.as_fd());
        }
        left
    }

    /// The waker is not readable any more, until it tells of something new. To be done before
    /// [`flush`](Self::flush) and [`receive`](Self::receive), for they may miss what comes after.
    pub fn settle(&self) {
        fd::settle(self.our_waker.as_fd());
    }

    /// After [`receive`](Self::receive) has left nothing, or the first part of a frame: the waker
    /// shall tell of more. `false` if there is more already, or within the few µs for which it is
    /// looked for.
    pub fn wait(&mut self) -> bool {
        !self.patience.look(|| self.incoming.has_more()) && self.incoming.wait()
    }

    /// The socket is readable: takes the descriptors that have come, or sees the end.
    pub fn receive_fds(&mut self) -> io::Result<()> {
        self.incoming.receive_fds(&self.socket)
    }
}

/// Whether the socket has taken the descriptors of the next frame.
fn send_fds(socket: &OwnedFd, fds: &[BorrowedFd<'_>]) -> io::Result<bool> {
    if fds.is_empty() {
        return Ok(true);
    }
    match fd::send(socket.as_fd(), &[IoSlice::new(&[0])], fds) {
        Ok(_) => Ok(true),
        Err(error) if is_transient(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The kernel takes nothing now, and will later: its buffer is full, or (ETOOMANYREFS) too many
/// descriptors are under way.
fn is_transient(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(nix::libc::ETOOMANYREFS)
}
