//! A queue of bytes in memory that two processes map: one of them writes, the other reads.
//!
//! What the bytes mean is `channel.rs`'s, and so is waking the other process when this says so.

mod positions;

#[cfg(test)]
// The same source as above, for loom.
#[allow(clippy::duplicate_mod)]
mod model;

mod atomic {
    pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};

use positions::Positions;

use super::memory::{Mirror, Shareable, Shared, create_file};

/// How many bytes one direction holds. Memory is taken from the system when it is first written.
pub const CAPACITY: usize = 4 * 1024 * 1024;

/// An empty ring is used from its begin again once it has been used up to here, so that a channel
/// with small messages stays in the cache, and touches no more memory than it needs.
const REWIND: usize = 128 * 1024;

/// The positions have a page of their own in front of the bytes.
const BYTES_AT: usize = 4096;
const SIZE: usize = BYTES_AT + CAPACITY;

// SAFETY: `repr(C)`, atomics alone, and zeros are valid.
unsafe impl Shareable for Positions {}

/// The file for both directions; the other process needs its descriptor.
pub fn create() -> io::Result<OwnedFd> {
    create_file(c"rust-cluster-channel", 2 * SIZE)
}

/// The two ends that one process has: it writes to one ring and reads from the other. The first of
/// the two processes is the one that has made the file.
pub fn open(fd: impl AsFd, first: bool) -> io::Result<(Writer, Reader)> {
    let (written, read) = if first { (0, SIZE) } else { (SIZE, 0) };
    let bytes = |at| {
        let length = NonZeroUsize::new(CAPACITY).unwrap_or(NonZeroUsize::MIN);
        Mirror::open(&fd, at + BYTES_AT, length)
    };
    let writer = Writer {
        positions: Shared::open_at(&fd, written)?,
        bytes: bytes(written)?,
        tail: 0,
        known_head: 0,
        skipped: 0,
    };
    let reader =
        Reader { positions: Shared::open_at(&fd, read)?, bytes: bytes(read)?, head: 0, seen: 0 };
    Ok((writer, reader))
}

/// The only one in either process that writes to its ring.
pub struct Writer {
    positions: Shared<Positions>,
    bytes: Mirror,
    /// What has been written, published or not.
    tail: u64,
    /// The head may have moved on since.
    known_head: u64,
    /// Where the last bytes without a content end; before them all had been read.
    skipped: u64,
}

impl Writer {
    /// Bytes with a content that the reader has not given back.
    pub fn unread(&mut self) -> usize {
        self.known_head = self.positions.head();
        self.unread_at_most()
    }

    /// The same, without a look at where the reader is now.
    pub fn unread_at_most(&self) -> usize {
        let since = self.known_head.max(self.skipped);
        usize::try_from(self.tail.saturating_sub(since)).unwrap_or(CAPACITY)
    }

    fn used(&mut self) -> usize {
        self.known_head = self.positions.head();
        self.used_at_most()
    }

    fn used_at_most(&self) -> usize {
        // At most CAPACITY, for a reader that keeps to the protocol.
        usize::try_from(self.tail.wrapping_sub(self.known_head)).unwrap_or(CAPACITY).min(CAPACITY)
    }

    /// Room for `length` contiguous bytes, to be filled before [`advance`](Self::advance); `None`
    /// if there is less.
    pub fn buffer(&mut self, length: usize) -> Option<&mut [u8]> {
        if CAPACITY - self.used_at_most() < length && CAPACITY - self.used() < length {
            return None;
        }
        // SAFETY: behind the tail and less than the capacity before the head, where the reader does
        // not look before `publish`.
        Some(unsafe { self.bytes.write(self.offset(), length) })
    }

    /// The first `length` bytes of the buffer are filled.
    pub fn advance(&mut self, length: usize) {
        self.tail = self.tail.wrapping_add(length as u64);
    }

    /// Copies as much of `bytes` as there is room for; returns how much that is.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut room = CAPACITY - self.used_at_most();
        if room < bytes.len() {
            room = CAPACITY - self.used();
        }
        let length = bytes.len().min(room);
        if let Some(buffer) = self.buffer(length) {
            buffer.copy_from_slice(&bytes[..length]);
            self.advance(length);
        }
        length
    }

    /// The reader may read what has been written. Returns whether it has to be woken.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        self.positions.publish(self.tail)
    }

    /// Whether the reader will wake this process when less than `below` bytes are unread; `false`
    /// if that is so already.
    #[must_use]
    pub fn wait_for_room(&mut self, below: u32) -> bool {
        self.positions.wait_for_room(self.tail, below)
    }

    /// If it is time to go on at the begin of the memory: writes what `header` makes of the number
    /// of bytes that are skipped for it, itself among them.
    pub fn rewind<const SIZE: usize>(&mut self, header: impl FnOnce(usize) -> Option<[u8; SIZE]>) {
        let offset = self.offset();
        if offset < REWIND || self.used() > 0 {
            return;
        }
        let size = CAPACITY - offset;
        if let (Some(bytes), Some(buffer)) = (header(size), self.buffer(SIZE)) {
            buffer.copy_from_slice(&bytes);
            self.advance(size);
            self.skipped = self.tail;
        }
    }

    fn offset(&self) -> usize {
        // Less than the capacity.
        usize::try_from(self.tail % CAPACITY as u64).unwrap_or(0)
    }
}

/// The only one in either process that reads from its ring.
pub struct Reader {
    positions: Shared<Positions>,
    bytes: Mirror,
    head: u64,
    /// Up to where the bytes have been looked at.
    seen: u64,
}

impl Reader {
    /// All that can be read. `InvalidData` if the writer does not keep to the protocol.
    pub fn readable(&mut self) -> io::Result<&[u8]> {
        self.seen = self.positions.tail();
        let length = usize::try_from(self.seen.wrapping_sub(self.head))
            .ok()
            .filter(|length| *length <= CAPACITY)
            .ok_or(io::ErrorKind::InvalidData)?;
        let offset = usize::try_from(self.head % CAPACITY as u64).unwrap_or(0);
        // SAFETY: from the head up to the published tail, where the writer does not write before
        // `give_back`, which takes `&mut self`.
        Ok(unsafe { self.bytes.read(offset, length) })
    }

    /// Whether there is more than was last [`readable`](Self::readable).
    pub fn has_more(&self) -> bool {
        self.positions.tail() != self.seen
    }

    /// The first `length` bytes are not needed any more. Returns whether the writer has to be
    /// woken.
    #[must_use]
    pub fn give_back(&mut self, length: usize) -> bool {
        self.head = self.head.wrapping_add(length as u64);
        self.positions.give_back(self.head)
    }

    /// Whether the writer will wake this process when there is more than was last
    /// [`readable`](Self::readable); `false` if there is already.
    #[must_use]
    pub fn wait_for_bytes(&self) -> bool {
        self.positions.wait_for_bytes(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_over_and_over_the_end() {
        let fd = create().unwrap();
        let (mut writer, _) = open(&fd, true).unwrap();
        let (_, mut reader) = open(&fd, false).unwrap();
        let piece: Vec<u8> = (0..CAPACITY / 3).map(|n| n.to_le_bytes()[0]).collect();
        for _ in 0..10 {
            assert_eq!(writer.write(&piece), piece.len());
            let _ = writer.publish();
            assert!(reader.readable().unwrap() == piece);
            let _ = reader.give_back(piece.len());
        }
    }

    #[test]
    fn a_full_ring_takes_no_more_and_room_is_told() {
        let fd = create().unwrap();
        let (mut writer, _) = open(&fd, true).unwrap();
        let (_, mut reader) = open(&fd, false).unwrap();
        assert!(reader.wait_for_bytes());
        assert_eq!(writer.write(&vec![1; CAPACITY + 5]), CAPACITY);
        assert!(writer.publish(), "the reader waits");
        assert!(!writer.publish(), "it has been told");
        assert!(!reader.wait_for_bytes(), "there is something");
        assert!(writer.buffer(1).is_none());
        let half = u32::try_from(CAPACITY / 2).unwrap();
        assert!(writer.wait_for_room(half));
        assert!(!reader.give_back(1), "there is little room yet");
        assert!(reader.give_back(CAPACITY / 2));
        assert!(!writer.wait_for_room(half));
        assert_eq!(writer.unread(), CAPACITY / 2 - 1);
        assert!(writer.buffer(CAPACITY / 2).is_some());
    }

    #[test]
    fn an_empty_ring_begins_anew_after_a_while() {
        let fd = create().unwrap();
        let (mut writer, _) = open(&fd, true).unwrap();
        let (_, mut reader) = open(&fd, false).unwrap();
        writer.write(&vec![0; REWIND]);
        let _ = writer.publish();
        writer.rewind(|_| -> Option<[u8; 8]> { unreachable!("it is not empty") });
        let _ = reader.give_back(REWIND);
        writer.rewind(|size| Some(size.to_ne_bytes()));
        assert_eq!(writer.unread(), 0);
        assert_eq!(writer.write(b"begin"), 5);
        let _ = writer.publish();
        assert_eq!(writer.unread(), 5);
        let rest = CAPACITY - REWIND;
        assert_eq!(reader.readable().unwrap()[..8], rest.to_ne_bytes());
        let _ = reader.give_back(rest);
        assert_eq!(reader.readable().unwrap(), b"begin");
        assert_eq!(reader.head % CAPACITY as u64, 0);
    }
}
