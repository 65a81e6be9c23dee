//! The loop of the I/O thread: says to [`Primary`] when a socket is ready, a time has come or
//! JavaScript wants something. It decides nothing.
//!
//! epoll by hand rather than an asynchronous runtime: between the wake-up for a fresh connection and
//! its `accept4` each microsecond is one more for its client.

use std::collections::VecDeque;
use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Answer, Command, Request};
use crate::group::Accepted;
use crate::primary::Primary;
use crate::protocol::{IdMap, ListenerId, WorkerId};
use crate::sys::fd;

/// How long accepting rests when the system has no descriptor or no memory left for it.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(20);

/// How often it is looked after what waits, if the handoff timeout is shorter or longer: epoll counts
/// milliseconds, and five are not long for a client.
const TICKS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(5);

/// How many sockets may be ready in one turn; the others are in the next one.
const MAX_EVENTS: usize = 64;

/// What is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Requests,
    /// Clients wait.
    Listener(ListenerId),
    /// It has sent something back.
    Worker(WorkerId),
}

impl Source {
    /// As the number that epoll keeps: the kind above, the id below.
    fn token(self) -> u64 {
        match self {
            Self::Requests => 0,
            Self::Listener(ListenerId(id)) => (1 << 32) | u64::from(id),
            Self::Worker(WorkerId(id)) => (2 << 32) | u64::from(id),
        }
    }

    fn from_token(token: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the id is the lower half")]
        let id = token as u32;
        match token >> 32 {
            1 => Self::Listener(ListenerId(id)),
            2 => Self::Worker(WorkerId(id)),
            _ => Self::Requests,
        }
    }
}

/// Whether connections are accepted from a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In this turn: it is in the queue.
    Ready,
    /// When somebody comes.
    Watched,
    /// By the workers in line; looked after at each tick.
    Attended,
    /// When it is resumed: nobody can take any.
    Paused,
    /// After [`EXHAUSTION_PAUSE`].
    Resting,
}

struct Acceptor {
    socket: Rc<OwnedFd>,
    state: State,
    registered: bool,
}

pub struct EventLoop {
    epoll: Epoll,
    requests: mpsc::Receiver<Request>,
    /// Readable when there is a request.
    waker: Arc<OwnedFd>,
    primary: Primary,
    acceptors: IdMap<ListenerId, Acceptor>,
    /// Those that are [`State::Ready`].
    ready: VecDeque<ListenerId>,
    /// How long those rest that do.
    resting_until: Option<Instant>,
    /// On which workers send something back.
    returns: IdMap<WorkerId, OwnedFd>,
    /// When it is looked after what is under way, and at all workers. Not put off by what is handed
    /// out meanwhile, or under a steady load nobody would ever look.
    tick_at: Option<Instant>,
    /// Something may have been handed out since it was decided to look.
    busy: bool,
    /// When a listener that crashed workers have left behind is closed.
    expires_at: Option<Instant>,
}

impl EventLoop {
    /// `poller` is of [`poller`], for the same `waker`.
    pub fn new(poller: Epoll, requests: mpsc::Receiver<Request>, waker: Arc<OwnedFd>) -> Self {
        Self {
            epoll: poller,
            requests,
            waker,
            primary: Primary::default(),
            acceptors: IdMap::default(),
            ready: VecDeque::new(),
            resting_until: None,
            returns: IdMap::default(),
            tick_at: None,
            busy: false,
            expires_at: None,
        }
    }

    /// Until it is told to stop.
    pub fn run(mut self) {
        let mut events = [EpollEvent::empty(); MAX_EVENTS];
        loop {
            // Fails only if it is interrupted.
            let count = self.epoll.wait(&mut events, self.timeout()).unwrap_or(0);
            for event in &events[..count] {
                match Source::from_token(event.data()) {
                    Source::Requests => fd::settle(self.waker.as_fd()),
                    Source::Listener(id) => self.resume([id]),
                    Source::Worker(id) => self.take_returns(id),
                }
            }
            // Before anything is accepted: the clients may have come because of what JavaScript has
            // told.
            if self.serve_requests().is_break() {
                return;
            }
            self.accept();
            self.keep_time();
        }
    }

    fn timeout(&self) -> EpollTimeout {
        if !self.ready.is_empty() {
            return EpollTimeout::ZERO;
        }
        let due = [self.tick_at, self.resting_until, self.expires_at].into_iter().flatten().min();
        due.map_or(EpollTimeout::NONE, |due| {
            let left = due.saturating_duration_since(Instant::now());
            // epoll counts whole milliseconds: one that is begun is waited for.
            EpollTimeout::try_from(left + Duration::from_nanos(999_999))
                .unwrap_or(EpollTimeout::MAX)
        })
    }

    fn serve_requests(&mut self) -> ControlFlow<()> {
        while let Ok((command, answer)) = self.requests.try_recv() {
            let stop = matches!(command, Command::Stop);
            let result = self.execute(command);
            // Whoever hears that a server is closed may bind to its port at once.
            self.forget_closed();
            if let Some(answer) = answer {
                // Gone only with its process.
                let _ = answer.send(result);
            }
            if stop {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn execute(&mut self, command: Command) -> Answer {
        match command {
            Command::AddWorker(id, handoff, returns) => {
                // Without memory for that, nothing that it sends back is read before it ends.
                let _ = watch(&self.epoll, &returns, Source::Worker(id));
                self.returns.insert(id, returns);
                self.primary.add_worker(id, handoff);
            }
            Command::Listen(id, request, balanced) => {
                let listened = self.primary.listen(id, request, balanced)?;
                if let Some((id, socket)) = listened.watch {
                    let acceptor = Acceptor { socket, state: State::Ready, registered: false };
                    self.acceptors.insert(id, acceptor);
                    self.ready.push_back(id);
                }
                return Some((listened.answer, listened.shared));
            }
            Command::Attach(id, server) => {
                let resume = self.primary.attach(id, server);
                self.resume(resume);
            }
            Command::Close(id, server) => self.primary.close(id, server),
            Command::Leave(id) => self.primary.leave(id),
            Command::RemoveWorker { id, crashed } => {
                if let Some(returns) = self.returns.remove(&id) {
                    // Fails only if it could not be watched.
                    let _ = self.epoll.delete(returns);
                }
                let resume = self.primary.remove_worker(id, crashed);
                self.resume(resume);
                self.expires_at = self.primary.expire(Instant::now());
            }
            Command::EndLingering => self.primary.end_lingering(),
            Command::Configure(options, ask) => {
                self.primary.configure(options, ask);
                self.resume(self.acceptors.keys().copied().collect::<Vec<_>>());
            }
            Command::Decide(listener, question, worker) => {
                let resume = self.primary.decide(listener, question, worker);
                self.resume(resume);
            }
            Command::Stop => self.primary = Primary::default(),
        }
        None
    }

    /// Ends the last use of sockets that are closed.
    fn forget_closed(&mut self) {
        let closed = |id: &ListenerId, _: &mut Acceptor| !self.primary.has_listener(*id);
        for (_, mut acceptor) in self.acceptors.extract_if(closed) {
            acceptor.unregister(&self.epoll);
        }
    }

    fn take_returns(&mut self, id: WorkerId) {
        let resume = self.primary.take_returns(id);
        self.busy = true;
        self.resume(resume);
    }

    /// Lets these accept (again). Those that rest do so in any case.
    fn resume(&mut self, listeners: impl IntoIterator<Item = ListenerId>) {
        for id in listeners {
            if let Some(acceptor) = self.acceptors.get_mut(&id)
                && !matches!(acceptor.state, State::Ready | State::Resting)
            {
                acceptor.state = State::Ready;
                self.ready.push_back(id);
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            self.accept_from(id);
        }
    }

    fn accept_from(&mut self, id: ListenerId) {
        let Some(acceptor) = self.acceptors.get_mut(&id) else { return };
        let outcome = self.primary.accept(id);
        self.busy = true;
        acceptor.state = match outcome {
            Accepted::InLine => {
                acceptor.unregister(&self.epoll);
                State::Attended
            }
            Accepted::All if acceptor.register(&self.epoll, id) => State::Watched,
            Accepted::All | Accepted::Exhausted => {
                self.resting_until = Some(Instant::now() + EXHAUSTION_PAUSE);
                State::Resting
            }
            Accepted::Paused | Accepted::Gone => {
                // Or each client that comes would wake this thread, which can do nothing for it.
                acceptor.unregister(&self.epoll);
                State::Paused
            }
            Accepted::Some => {
                self.ready.push_back(id);
                State::Ready
            }
        };
    }

    /// Looks after those who wait where the workers accept in line.
    fn attend(&mut self) {
        let attended = |(_, acceptor): &(_, &Acceptor)| acceptor.state == State::Attended;
        let ids: Vec<_> = self.acceptors.iter().filter(attended).map(|(id, _)| *id).collect();
        for id in ids {
            self.accept_from(id);
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if self.resting_until.is_some_and(|until| until <= now) {
            self.resting_until = None;
            for (id, acceptor) in &mut self.acceptors {
                if acceptor.state == State::Resting {
                    acceptor.state = State::Ready;
                    self.ready.push_back(*id);
                }
            }
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            self.expires_at = self.primary.expire(now);
            self.forget_closed();
        }
        let pause = self.primary.options().handoff_timeout.clamp(*TICKS.start(), *TICKS.end());
        if let Some(at) = self.tick_at {
            if at > now {
                return;
            }
            self.attend();
            let (resume, again) = self.primary.tick(now);
            self.resume(resume);
            self.tick_at = again.then(|| now + pause);
        }
        if self.tick_at.is_none() && std::mem::take(&mut self.busy) {
            self.tick_at = Some(now + pause);
        }
    }
}

impl Acceptor {
    /// `false` if the system has no memory for that.
    fn register(&mut self, epoll: &Epoll, id: ListenerId) -> bool {
        if !self.registered {
            self.registered = watch(epoll, &self.socket, Source::Listener(id)).is_ok();
        }
        self.registered
    }

    fn unregister(&mut self, epoll: &Epoll) {
        if std::mem::take(&mut self.registered) {
            // It is, and the socket is open.
            let _ = epoll.delete(&self.socket);
        }
    }
}

/// What an [`EventLoop`] waits with: the one part that may fail, for want of a descriptor.
pub fn poller(waker: &OwnedFd) -> io::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    watch(&epoll, waker, Source::Requests)?;
    Ok(epoll)
}

/// Edge-triggered: read until `WouldBlock` before it is told again.
fn watch(epoll: &Epoll, descriptor: &OwnedFd, source: Source) -> nix::Result<()> {
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll.add(descriptor, EpollEvent::new(flags, source.token()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_source() {
        let listener = Source::Listener(ListenerId(u32::MAX));
        for source in [Source::Requests, listener, Source::Worker(WorkerId(7))] {
            assert_eq!(Source::from_token(source.token()), source);
        }
    }
}
