//! What there was no room for, until there is.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// From this size on, a chunk of what is to be written gets no more added.
const CHUNK_SIZE: usize = 256 * 1024;

/// Bytes to be written. Descriptors leave before the first byte, so a chunk that has some starts a
/// frame and nothing is merged in front of it.
pub struct Chunk {
    bytes: Vec<u8>,
    written: usize,
    pub fds: Vec<OwnedFd>,
}

impl Chunk {
    /// What of it is still to be written.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }
}

/// Chunks of bytes, in order.
#[derive(Default)]
pub struct Outgoing {
    chunks: VecDeque<Chunk>,
    bytes: usize,
}

impl Outgoing {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn first(&mut self) -> Option<&mut Chunk> {
        self.chunks.front_mut()
    }

    /// Queues what of `parts` was not written.
    pub fn keep(&mut self, parts: &[&[u8]], written: usize, fds: Vec<OwnedFd>) {
        let rest = parts.iter().map(|part| part.len()).sum::<usize>() - written;
        if rest == 0 {
            return;
        }
        self.bytes += rest;
        // Chunks are freed when they are written, so none grows for ever behind a slow reader.
        let full = self.chunks.back().is_none_or(|last| last.bytes.len() >= CHUNK_SIZE);
        if !fds.is_empty() || full {
            let bytes = Vec::with_capacity(rest);
            self.chunks.push_back(Chunk { bytes, written: 0, fds });
        }
        let mut skip = written;
        for part in parts {
            if let (Some(chunk), Some(rest)) = (self.chunks.back_mut(), part.get(skip..)) {
                chunk.bytes.extend_from_slice(rest);
            }
            skip = skip.saturating_sub(part.len());
        }
    }

    /// So many bytes more of the first chunk are written. Returns whether that was all of it.
    pub fn written(&mut self, bytes: usize) -> bool {
        let Some(chunk) = self.chunks.front_mut() else { return true };
        chunk.written += bytes;
        self.bytes -= bytes;
        let whole = chunk.rest().is_empty();
        if whole {
            self.chunks.pop_front();
        }
        whole
    }
}
