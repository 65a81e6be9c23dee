//! The primary's I/O thread, as JavaScript's thread sees it: what it can be asked for. What it does
//! by itself is in `io_thread/event_loop.rs`.
//!
//! JavaScript's thread waits where there is an answer or the program may rely on it: nothing on the
//! I/O thread ever blocks.

mod event_loop;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, mpsc};

use crate::handoff::Handoff;
use crate::primary::{Ask, Options};
use crate::protocol::{Bound, ListenRequest, ListenerId, ServerId, WorkerId};
use crate::sys::fd;

use self::event_loop::EventLoop;

/// What JavaScript's thread can ask for.
enum Command {
    AddWorker(WorkerId, Handoff, OwnedFd),
    Listen(WorkerId, ListenRequest, bool),
    Attach(WorkerId, ServerId),
    Close(WorkerId, ServerId),
    Leave(WorkerId),
    RemoveWorker {
        id: WorkerId,
        crashed: bool,
    },
    EndLingering,
    Configure(Options, Option<Ask>),
    Decide(ListenerId, u64, Option<WorkerId>),
    /// Closes all sockets and ends the thread.
    Stop,
}

/// The answer to a command; only a request to listen has one that says something.
type Answer = Option<(Bound, Option<OwnedFd>)>;

/// With where the answer goes, if somebody waits for it.
type Request = (Command, Option<mpsc::SyncSender<Answer>>);

/// The handle on JavaScript's side. Dropping it ends the thread.
pub struct IoThread {
    requests: mpsc::Sender<Request>,
    /// Says that there is a request.
    waker: Arc<OwnedFd>,
}

impl IoThread {
    pub fn start() -> io::Result<Self> {
        let (requests, receiver) = mpsc::channel();
        let waker = Arc::new(fd::waker()?);
        let poller = event_loop::poller(&waker)?;
        let of_thread = Arc::clone(&waker);
        std::thread::Builder::new().name("cluster-io".to_owned()).spawn(move || {
            fd::block_signals_in_this_thread();
            EventLoop::new(poller, receiver, of_thread).run();
        })?;
        Ok(Self { requests, waker })
    }

    /// `returns` is a duplicate of the socket on which the worker sends something back.
    pub fn add_worker(&self, id: WorkerId, handoff: Handoff, returns: OwnedFd) {
        self.tell(Command::AddWorker(id, handoff, returns));
    }

    /// Closes the listeners that wait for a successor of crashed workers.
    pub fn end_lingering(&self) {
        self.call(Command::EndLingering);
    }

    /// `None` if the worker is leaving and gets no answer.
    #[must_use]
    pub fn listen(
        &self,
        id: WorkerId,
        request: ListenRequest,
        balanced: bool,
    ) -> Option<(Bound, Option<OwnedFd>)> {
        self.call(Command::Listen(id, request, balanced))
    }

    /// Not waited for: a thread that waits for clients does it before it accepts the next one. Only if
    /// it is about to accept already may somebody who comes now miss this worker.
    pub fn attach(&self, id: WorkerId, server: ServerId) {
        self.tell(Command::Attach(id, server));
    }

    pub fn close(&self, id: WorkerId, server: ServerId) {
        self.call(Command::Close(id, server));
    }

    pub fn leave(&self, id: WorkerId) {
        self.call(Command::Leave(id));
    }

    pub fn remove_worker(&self, id: WorkerId, crashed: bool) {
        self.call(Command::RemoveWorker { id, crashed });
    }

    pub fn configure(&self, options: Options, ask: Option<Ask>) {
        self.call(Command::Configure(options, ask));
    }

    /// Answers a [`Question`](crate::group::Question).
    pub fn decide(&self, listener: ListenerId, question: u64, worker: Option<WorkerId>) {
        self.tell(Command::Decide(listener, question, worker));
    }

    /// Closes all sockets, and with them removes the files of Unix sockets.
    pub fn stop(&self) {
        self.call(Command::Stop);
    }

    /// Does not wait. What is told and called is done in that order.
    fn tell(&self, command: Command) {
        // Nobody is there to be told any more if the process is ending.
        let _ = self.give(command, None);
    }

    fn call(&self, command: Command) -> Answer {
        let (answer, answered) = mpsc::sync_channel(1);
        self.give(command, Some(answer))?;
        answered.recv().ok().flatten()
    }

    /// `None` if the thread has ended.
    fn give(&self, command: Command, answer: Option<mpsc::SyncSender<Answer>>) -> Option<()> {
        self.requests.send((command, answer)).ok()?;
        fd::wake(self.waker.as_fd());
        Some(())
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.tell(Command::Stop);
    }
}
