//! Frames and descriptors on one stream socket: what is still to be written, what was read so far.
//!
//! No event loop and no JavaScript: the owner calls [`Channel::flush`] when the socket can be
//! written and [`Channel::receive`] when it can be read. To this file a payload is opaque.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::protocol::{FrameHeader, Kind};
use crate::sys::fd;

/// How much is read from the kernel at a time, and at most on one call of [`Channel::receive`]
/// unless a single frame is longer: the rest waits its turn behind the loop's other work.
const READ_SIZE: usize = 64 * 1024;
const READ_BOUND: usize = 1024 * 1024;

/// From this size on, a chunk of what is to be written gets no more added.
const CHUNK_SIZE: usize = 256 * 1024;

/// The buffer for reading shrinks after frames that were longer than this; below, the next long one
/// would only make it grow again.
const KEPT_SIZE: usize = 8 * 1024 * 1024;

/// A frame that has arrived whole.
pub struct Frame<'a> {
    pub kind: Kind,
    /// How many messages are in the payload.
    pub count: u32,
    pub payload: &'a [u8],
    /// Fewer than the sender attached if this process ran out of descriptors.
    pub fds: Vec<OwnedFd>,
}

/// Bytes to be written. Descriptors travel with the first byte, so a chunk that has some starts a
/// frame and nothing is merged in front of it.
struct Chunk {
    bytes: Vec<u8>,
    written: usize,
    fds: Vec<OwnedFd>,
}

pub struct Channel {
    socket: OwnedFd,
    outgoing: VecDeque<Chunk>,
    unsent: usize,
    /// Read but not yet delivered; the first `filled` bytes count.
    incoming: Vec<u8>,
    filled: usize,
    incoming_fds: VecDeque<OwnedFd>,
}

impl Channel {
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            outgoing: VecDeque::new(),
            unsent: 0,
            incoming: Vec::new(),
            filled: 0,
            incoming_fds: VecDeque::new(),
        }
    }

    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Bytes that the kernel has not taken yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent
    }

    /// Writes a frame, as much of it as the kernel takes; the rest is kept for
    /// [`flush`](Self::flush). `InvalidInput` for a payload over the limit: nothing was written.
    pub fn send(
        &mut self,
        kind: Kind,
        count: u32,
        payload: &[&[u8]],
        fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let length = payload.iter().map(|part| part.len()).sum();
        let fd_count = u8::try_from(fds.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let header = FrameHeader { length, count, kind, fds: fd_count }
            .encode()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut parts = Vec::with_capacity(1 + payload.len());
        parts.push(IoSlice::new(&header));
        parts.extend(payload.iter().map(|part| IoSlice::new(part)));
        let written = if self.outgoing.is_empty() {
            let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match fd::send(self.socket.as_fd(), &parts, &borrowed) {
                Ok(written) => written,
                Err(error) if is_transient(&error) => 0,
                Err(error) => return Err(error),
            }
        } else {
            0
        };
        self.keep(&parts, written, fds);
        Ok(())
    }

    /// Queues what the kernel did not take of `parts`.
    fn keep(&mut self, parts: &[IoSlice<'_>], written: usize, fds: Vec<OwnedFd>) {
        let rest = parts.iter().map(|part| part.len()).sum::<usize>() - written;
        if rest == 0 {
            return;
        }
        self.unsent += rest;
        // Descriptors are gone with the first byte; until then they wait with it.
        let fds = if written == 0 { fds } else { Vec::new() };
        // Chunks are freed when they are written, so none grows for ever behind a slow reader.
        let full = self.outgoing.back().is_none_or(|last| last.bytes.len() >= CHUNK_SIZE);
        if !fds.is_empty() || full {
            let bytes = Vec::with_capacity(rest);
            self.outgoing.push_back(Chunk { bytes, written: 0, fds });
        }
        let mut skip = written;
        for part in parts {
            if let (Some(chunk), Some(rest)) = (self.outgoing.back_mut(), part.get(skip..)) {
                chunk.bytes.extend_from_slice(rest);
            }
            skip = skip.saturating_sub(part.len());
        }
    }

    /// Writes what was kept, until all is written or the kernel takes no more.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some(chunk) = self.outgoing.front_mut() {
            let fds: Vec<_> = chunk.fds.iter().map(AsFd::as_fd).collect();
            let parts = [IoSlice::new(&chunk.bytes[chunk.written..])];
            match fd::send(self.socket.as_fd(), &parts, &fds) {
                Ok(written) => {
                    chunk.written += written;
                    chunk.fds.clear();
                    self.unsent -= written;
                    if chunk.written == chunk.bytes.len() {
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there (a bounded amount) and calls `deliver` for each whole frame.
    ///
    /// Returns whether the other end can still send: `false` is the end of the stream.
    /// `InvalidData` for bytes that are no frame; what came before them has been delivered.
    pub fn receive(&mut self, deliver: impl FnMut(Frame<'_>)) -> io::Result<bool> {
        let open = self.read()?;
        self.deliver(deliver)?;
        Ok(open)
    }

    fn read(&mut self) -> io::Result<bool> {
        let mut read = 0;
        loop {
            let space = self.wanted().max(READ_SIZE);
            if self.incoming.len() < self.filled + space {
                self.incoming.resize(self.filled + space, 0);
            }
            match fd::receive(self.socket.as_fd(), &mut self.incoming[self.filled..]) {
                Ok(received) => {
                    self.incoming_fds.extend(received.fds);
                    if received.bytes == 0 {
                        return Ok(false);
                    }
                    self.filled += received.bytes;
                    read += received.bytes;
                    // A short read means that the socket is empty, or that descriptors came along
                    // (the kernel ends a read there); either way the loop will tell if more is there.
                    if received.bytes < READ_SIZE || read >= READ_BOUND {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                // The peer died with unread bytes of ours: all that it had sent has been read.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Bytes missing to complete the first frame, so that a long one is read in few calls.
    fn wanted(&self) -> usize {
        let header = self.incoming[..self.filled].first_chunk().and_then(FrameHeader::decode);
        header.map_or(0, |header| (header.length + FrameHeader::SIZE).saturating_sub(self.filled))
    }

    fn deliver(&mut self, mut deliver: impl FnMut(Frame<'_>)) -> io::Result<()> {
        let mut rest = &self.incoming[..self.filled];
        let mut outcome = Ok(());
        while let Some((bytes, after)) = rest.split_first_chunk() {
            let Some(header) = FrameHeader::decode(bytes) else {
                outcome = Err(io::ErrorKind::InvalidData.into());
                break;
            };
            let Some((payload, after)) = after.split_at_checked(header.length) else {
                break;
            };
            let expected = usize::from(header.fds).min(self.incoming_fds.len());
            let fds = self.incoming_fds.drain(..expected).collect();
            deliver(Frame { kind: header.kind, count: header.count, payload, fds });
            rest = after;
        }
        let delivered = self.filled - rest.len();
        self.filled -= delivered;
        self.incoming.copy_within(delivered..delivered + self.filled, 0);
        if self.incoming.len() > KEPT_SIZE && self.filled < READ_SIZE {
            self.incoming.truncate(READ_SIZE);
            self.incoming.shrink_to_fit();
        }
        outcome
    }
}

/// The kernel takes nothing now, and will later: its buffer is full, or (ETOOMANYREFS) too many
/// descriptors are under way.
fn is_transient(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(nix::libc::ETOOMANYREFS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn pair() -> (Channel, Channel) {
        let (a, b) = fd::stream_pair().unwrap();
        (Channel::new(a), Channel::new(b))
    }

    /// Everything that has arrived: kind, payload, number of descriptors.
    fn drain(channel: &mut Channel) -> (Vec<(Kind, Vec<u8>, usize)>, bool) {
        let mut frames = Vec::new();
        let open = channel
            .receive(|frame| frames.push((frame.kind, frame.payload.to_vec(), frame.fds.len())))
            .unwrap();
        (frames, open)
    }

    #[test]
    fn frames_arrive_whole_and_in_order() {
        let (mut a, mut b) = pair();
        for n in 0..100_u8 {
            a.send(Kind::Json, 1, &[&[n; 50]], vec![]).unwrap();
        }
        let (frames, open) = drain(&mut b);
        assert!(open);
        let firsts: Vec<u8> = frames.iter().map(|(_, payload, _)| payload[0]).collect();
        assert_eq!(firsts, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn what_the_kernel_does_not_take_is_kept_and_flushed() {
        let (mut a, mut b) = pair();
        let long: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
        a.send(Kind::Advanced, 1, &[&long], vec![]).unwrap();
        a.send(Kind::Json, 1, &[b"after"], vec![]).unwrap();
        assert!(a.unsent() > 0);
        let mut frames = Vec::new();
        while a.unsent() > 0 || frames.len() < 2 {
            a.flush().unwrap();
            frames.extend(drain(&mut b).0);
        }
        assert!(frames[0].1 == long);
        assert_eq!(frames[1], (Kind::Json, b"after".to_vec(), 0));
    }

    #[test]
    fn descriptors_arrive_with_their_own_frame_even_behind_a_full_socket() {
        let (mut a, mut b) = pair();
        let (mine, theirs) = fd::stream_pair().unwrap();
        a.send(Kind::Json, 1, &[&vec![1; 1_000_000]], vec![]).unwrap();
        a.send(Kind::JsonHandle, 1, &[b"h"], vec![mine, theirs]).unwrap();
        a.send(Kind::Json, 1, &[b"after"], vec![]).unwrap();
        let mut frames = Vec::new();
        while frames.len() < 3 {
            a.flush().unwrap();
            frames.extend(drain(&mut b).0);
        }
        assert_eq!(frames[0].2, 0);
        assert_eq!(frames[1], (Kind::JsonHandle, b"h".to_vec(), 2));
        assert_eq!(frames[2], (Kind::Json, b"after".to_vec(), 0));
    }

    #[test]
    fn the_end_is_told_after_what_was_sent_before_it() {
        let (mut a, mut b) = pair();
        a.send(Kind::Json, 1, &[b"last"], vec![]).unwrap();
        drop(a);
        let (frames, open) = drain(&mut b);
        assert_eq!(frames.len(), 1);
        assert!(!open || !drain(&mut b).1);
        assert_eq!(
            b.send(Kind::Json, 1, &[b"x"], vec![]).unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn malformed_bytes_are_an_error_after_the_frames_before_them() {
        let (a, b) = fd::stream_pair().unwrap();
        let mut good = Channel::new(a);
        good.send(Kind::Json, 1, &[b"fine"], vec![]).unwrap();
        fd::send(good.socket(), &[IoSlice::new(&[0xff; 12])], &[]).unwrap();
        let mut b = Channel::new(b);
        let mut count = 0;
        let error = b.receive(|_| count += 1).unwrap_err();
        assert_eq!((count, error.kind()), (1, io::ErrorKind::InvalidData));
    }

    #[test]
    fn a_channel_that_is_dropped_closes_what_it_still_holds() {
        let (mut a, b) = pair();
        let (mine, theirs) = fd::stream_pair().unwrap();
        let raw = theirs.as_raw_fd();
        a.send(Kind::JsonHandle, 1, &[b"h"], vec![theirs]).unwrap();
        assert!(fd::duplicate(raw).is_err(), "sent descriptors are closed here");
        drop((a, b));
        // Nobody holds the other end any more, not even the queue of the socket.
        let mut buffer = [0];
        assert_eq!(fd::receive(mine.as_fd(), &mut buffer).unwrap().bytes, 0);
    }
}
