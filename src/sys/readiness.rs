//! Waiting on the I/O thread for a descriptor to become readable.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor registered with the tokio runtime of this thread, edge-triggered: read until
/// `WouldBlock` before each [`wait`](Self::wait).
pub struct Readiness(AsyncFd<Rc<OwnedFd>>);

impl Readiness {
    pub fn new(descriptor: Rc<OwnedFd>) -> io::Result<Self> {
        // SAFETY: an `Rc` gives out no `&mut`, so the descriptor stays open and the same one until
        // the `AsyncFd` has deregistered it and drops its share.
        Ok(Self(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE)? }))
    }

    /// Waits until there may be something to read. `false` if there will be nothing any more.
    pub async fn wait(&self) -> bool {
        match self.0.readable().await {
            Ok(mut guard) => {
                guard.clear_ready();
                true
            }
            Err(_) => false,
        }
    }
}
