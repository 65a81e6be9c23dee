//! Where the writer and the reader of a ring are, and who has to wake whom.
//!
//! Compiled twice: with the atomics of the standard library, and, in the test of [`super`], with
//! those of `loom`, which runs the interleavings: see `model.rs`.

use super::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Alone in its line of the cache, so that two processes do not fight for it.
#[repr(C, align(64))]
#[derive(Debug, Default)]
struct Alone<T>(T);

/// All zeros is an empty ring whose reader is not waiting.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Positions {
    /// Bytes written since ever. Only the writer changes it.
    tail: Alone<AtomicU64>,
    /// Bytes read since ever. Only the reader changes it.
    head: Alone<AtomicU64>,
    /// 1: the reader wants to be woken when there is something to read.
    reader_waits: Alone<AtomicU32>,
    /// Not 0: the writer wants to be woken when less than so many bytes are left to be read.
    writer_waits: Alone<AtomicU32>,
}

/// Both sides do «say it, then look at what the other has said», each with a fence in between: so
/// at least one of them sees the other's, and nobody waits for somebody who does not know. The
/// flags are changed by `swap` alone, which cannot overtake another's: loom would let a `store` do
/// so.
impl Positions {
    /// What the reader has given back. The writer may overwrite all before it.
    pub fn head(&self) -> u64 {
        self.head.0.load(Ordering::Acquire)
    }

    /// What the writer has written. The reader may read all before it.
    pub fn tail(&self) -> u64 {
        self.tail.0.load(Ordering::Acquire)
    }

    /// Writer: all before `tail` can be read. Returns whether the reader has to be woken.
    #[must_use]
    pub fn publish(&self, tail: u64) -> bool {
        self.tail.0.store(tail, Ordering::Release);
        fence(Ordering::SeqCst);
        take(&self.reader_waits.0)
    }

    /// Reader: wants to be woken when more is written than up to `seen`. `false` if that is so
    /// already.
    #[must_use]
    pub fn wait_for_bytes(&self, seen: u64) -> bool {
        self.reader_waits.0.swap(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.tail() == seen {
            return true;
        }
        self.reader_waits.0.swap(0, Ordering::Relaxed);
        false
    }

    /// Reader: all before `head` can be overwritten. Returns whether the writer has to be woken.
    #[must_use]
    pub fn give_back(&self, head: u64) -> bool {
        self.head.0.store(head, Ordering::Release);
        fence(Ordering::SeqCst);
        let below = self.writer_waits.0.load(Ordering::Relaxed);
        // The tail may be older than what the writer waits with; it looks itself then.
        self.tail().wrapping_sub(head) < u64::from(below) && take(&self.writer_waits.0)
    }

    /// Writer: wants to be woken when less than `below` bytes are left to be read. `false` if that
    /// is so already.
    #[must_use]
    pub fn wait_for_room(&self, tail: u64, below: u32) -> bool {
        self.writer_waits.0.swap(below, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if tail.wrapping_sub(self.head()) >= u64::from(below) {
            return true;
        }
        self.writer_waits.0.swap(0, Ordering::Relaxed);
        false
    }
}

/// Whether the flag was set; it is not any more. Looking first spares the line of the cache.
fn take(flag: &AtomicU32) -> bool {
    flag.load(Ordering::Relaxed) != 0 && flag.swap(0, Ordering::Relaxed) != 0
}
