//! Descriptors that have come over a channel's socket, until their frames are delivered.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::protocol::FrameHeader;
use crate::sys::fd;

/// What comes over the socket: descriptors, a byte with those of each frame that has some.
#[derive(Default)]
pub struct Incoming {
    fds: VecDeque<Vec<OwnedFd>>,
    /// The other end is closed, and all that it had sent is here.
    pub ended: bool,
}

impl Incoming {
    /// Those of a frame that is here: they were sent before it.
    pub fn take(&mut self, header: &FrameHeader, socket: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
        if header.fds == 0 {
            return Ok(Vec::new());
        }
        if self.fds.is_empty() {
            self.receive(socket)?;
        }
        Ok(self.fds.pop_front().unwrap_or_default())
    }

    pub fn receive(&mut self, socket: &OwnedFd) -> io::Result<()> {
        // The kernel ends a read behind descriptors.
        while !self.ended {
            match fd::receive(socket.as_fd(), &mut [0]) {
                Ok(received) if received.bytes == 0 => self.ended = true,
                Ok(received) => self.fds.push_back(received.fds),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // It died with descriptors of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
