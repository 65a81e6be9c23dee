//! What has come: frames in the ring, and descriptors that have come over the socket, until their
//! frames are delivered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use crate::protocol::{FrameHeader, Kind};
use crate::sys::fd;
use crate::sys::ring::{self, Reader};

/// How much is delivered on one call of [`Incoming::receive`], unless a single frame is longer or
/// the other end is closed: the rest waits its turn behind the loop's other work.
pub const READ_BOUND: usize = 64 * 1024;

/// Frames from this size on are put together outside of the ring.
const LONG: usize = ring::CAPACITY / 2;

/// A frame that has arrived whole.
pub struct Frame<'a> {
    pub kind: Kind,
    /// How many messages are in the payload.
    pub count: u32,
    /// Begins at a multiple of eight bytes.
    pub payload: &'a [u8],
    /// Fewer than the sender attached if this process ran out of descriptors.
    pub fds: Vec<OwnedFd>,
}

/// What [`Channel::receive`](super::Channel::receive) has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Nothing, or the first part of a frame; the waker will tell of more.
    Nothing,
    /// Something, for another call.
    More,
    /// Nothing, and nothing will come.
    End,
}

pub struct Incoming {
    reader: Reader,
    /// The first part of a frame that is longer than [`LONG`].
    long: Vec<u8>,
    fds: Descriptors,
    /// There is room again for the writer, which waits for it.
    writer_waited: bool,
}

impl Incoming {
    pub fn new(reader: Reader) -> Self {
        Self { reader, long: Vec::new(), fds: Descriptors::default(), writer_waited: false }
    }

    /// See [`Channel::receive`](super::Channel::receive).
    pub fn receive(
        &mut self,
        socket: &OwnedFd,
        mut deliver: impl FnMut(Frame<'_>),
    ) -> io::Result<Left> {
        let mut read = 0;
        while let Some(size) = self.deliver_one(socket, &mut deliver)? {
            read += size;
            // What a process has left behind is told at once, for its end may be told in this turn;
            // it is no more than fits into the ring.
            if read >= READ_BOUND && !self.fds.ended {
                return Ok(Left::More);
            }
        }
        // What has been written before the end was seen can be read now, if there is any.
        Ok(if self.fds.ended { Left::End } else { Left::Nothing })
    }

    /// Whether the writer has to be woken; once.
    pub fn writer_waited(&mut self) -> bool {
        std::mem::take(&mut self.writer_waited)
    }

    /// Whether there is more than [`receive`](Self::receive) has seen.
    pub fn has_more(&self) -> bool {
        self.reader.has_more()
    }

    /// Whether the writer will wake this process; `false` if there is more already.
    pub fn wait(&self) -> bool {
        self.reader.wait_for_bytes()
    }

    /// Takes the descriptors that have come, or sees the end.
    pub fn receive_fds(&mut self, socket: &OwnedFd) -> io::Result<()> {
        self.fds.receive(socket)
    }

    /// Delivers the next frame, if it is there, and returns the size of what was read.
    fn deliver_one(
        &mut self,
        socket: &OwnedFd,
        deliver: &mut impl FnMut(Frame<'_>),
    ) -> io::Result<Option<usize>> {
        if !self.long.is_empty() {
            return self.go_on_with_long(socket, deliver);
        }
        let bytes = self.reader.readable()?;
        let Some((header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let header = FrameHeader::decode(header).ok_or(io::ErrorKind::InvalidData)?;
        let size = header.frame_size();
        if header.kind == Kind::Skip {
            self.give_back(size);
            return Ok(Some(0));
        }
        let Some(payload) = rest.get(..size - FrameHeader::SIZE) else {
            if size < LONG {
                return Ok(None);
            }
            // It may never fit: what is here makes room for more.
            self.long.try_reserve_exact(size).map_err(|_| Errno::ENOMEM)?;
            self.long.extend_from_slice(bytes);
            let length = bytes.len();
            self.give_back(length);
            return Ok(Some(length));
        };
        let fds = self.fds.take(&header, socket)?;
        let (kind, count, payload) = (header.kind, header.count, &payload[..header.length]);
        deliver(Frame { kind, count, payload, fds });
        self.give_back(size);
        Ok(Some(size))
    }

    fn go_on_with_long(
        &mut self,
        socket: &OwnedFd,
        deliver: &mut impl FnMut(Frame<'_>),
    ) -> io::Result<Option<usize>> {
        let header = self.long.first_chunk().and_then(FrameHeader::decode);
        let header = header.ok_or(io::ErrorKind::InvalidData)?;
        let bytes = self.reader.readable()?;
        let length = bytes.len().min(header.frame_size() - self.long.len());
        if length == 0 {
            return Ok(None);
        }
        self.long.extend_from_slice(&bytes[..length]);
        self.give_back(length);
        if self.long.len() == header.frame_size() {
            let long = std::mem::take(&mut self.long);
            let fds = self.fds.take(&header, socket)?;
            let payload = &long[FrameHeader::SIZE..][..header.length];
            deliver(Frame { kind: header.kind, count: header.count, payload, fds });
        }
        Ok(Some(length))
    }

    fn give_back(&mut self, length: usize) {
        self.writer_waited |= self.reader.give_back(length);
    }
}

/// What comes over the socket: descriptors, a byte with those of each frame that has some.
#[derive(Default)]
struct Descriptors {
    arrived: VecDeque<Vec<OwnedFd>>,
    /// The other end is closed, and all that it had sent is here.
    ended: bool,
}

impl Descriptors {
    /// Those of a frame that is here: they were sent before it.
    fn take(&mut self, header: &FrameHeader, socket: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
        if header.fds == 0 {
            return Ok(Vec::new());
        }
        if self.arrived.is_empty() {
            self.receive(socket)?;
        }
        Ok(self.arrived.pop_front().unwrap_or_default())
    }

    fn receive(&mut self, socket: &OwnedFd) -> io::Result<()> {
        // The kernel ends a read behind descriptors.
        while !self.ended {
            match fd::receive(socket.as_fd(), &mut [0]) {
                Ok(received) if received.bytes == 0 => self.ended = true,
                Ok(received) => self.arrived.push_back(received.fds),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It died with descriptors of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
