//! A worker's side of the balancer: taking connections from its socket, or from the backlog where
//! the primary lets it, one in a turn of its event loop; and telling the primary through shared
//! memory whether the loop turns.
//!
//! No libuv in here: `addon/worker.rs` calls it from the loop's prepare and check callbacks.

mod backlog;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::protocol::{ListenerId, Parcel, Return, ServerId, Unit};
use crate::shared::{WANTED_TO_TURN, WorkerPage};
use crate::sys::fd;
use crate::sys::memory::Shared;

use self::backlog::{Backlog, Fetched};
pub use self::backlog::{Spot, TakeSpot};

/// What [`Worker::take`] found.
pub enum Taken {
    Connection {
        server: ServerId,
        listener: ListenerId,
        connection: OwnedFd,
    },
    Nothing,
    /// This process has no number for another descriptor: what waits is left to the primary.
    Starved,
    /// The primary has given this worker up, or has ended.
    End,
}

pub struct Worker {
    connections: OwnedFd,
    /// Each in turn.
    fetching: RefCell<VecDeque<Backlog>>,
    take_spot: TakeSpot,
    /// Those that are open.
    servers: RefCell<HashSet<ServerId>>,
    page: Rc<Shared<WorkerPage>>,
}

impl Worker {
    /// From the two descriptors of the primary's `Hello`.
    pub fn new(connections: OwnedFd, page: &OwnedFd, take_spot: TakeSpot) -> io::Result<Self> {
        let page = Rc::new(Shared::open(page)?);
        let (fetching, servers) = (RefCell::default(), RefCell::default());
        Ok(Self { connections, fetching, take_spot, servers, page })
    }

    /// Becomes readable when a connection waits.
    #[must_use]
    pub fn connections(&self) -> BorrowedFd<'_> {
        self.connections.as_fd()
    }

    /// The loop is about to wait, or has just served what was ready: see [`WorkerPage::phase`].
    pub fn enter_phase(&self, waiting: bool) {
        // This thread alone writes it.
        let phase = self.page.phase.load(Ordering::Relaxed);
        let next = if phase.is_multiple_of(2) == waiting { phase + 1 } else { phase + 2 };
        self.page.phase.store(next, Ordering::Release);
        self.tell_if_wanted(|wanted| wanted == WANTED_TO_TURN);
    }

    /// Lines up again behind the others where it has had its turn; called right before the loop
    /// waits.
    pub fn line_up(&self) {
        let open = self.page.open_connections.load(Ordering::Relaxed);
        self.fetching
            .borrow_mut()
            .retain_mut(|backlog| backlog.line_up_again(open) || is_later(&self.say_over(backlog)));
    }

    /// Takes the connection that has waited longest: one that the primary has sent, if the socket is
    /// `readable`, else one from the kernel's backlog.
    pub fn take(&self, readable: bool) -> Taken {
        if readable {
            let taken = self.receive();
            if !matches!(taken, Taken::Nothing) {
                return taken;
            }
        }
        self.fetch()
    }

    fn receive(&self) -> Taken {
        let socket = self.connections.as_fd();
        if !fd::has_free_number(socket) {
            return Taken::Starved;
        }
        let mut buffer = [0; Unit::SIZE];
        let received = match fd::receive(socket, &mut buffer) {
            Ok(received) if received.bytes > 0 => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Taken::Nothing,
            _ => return self.end(),
        };
        let Some(unit) = Unit::decode(&buffer[..received.bytes]) else { return self.end() };
        let Unit { sequence, listener, server, parcel } = unit;
        let descriptor = received.fds.into_iter().next();
        let taken = match (parcel, descriptor) {
            (Parcel::Connection, Some(connection)) => self.took(server, listener, connection),
            (Parcel::Listener | Parcel::Line, descriptor) => {
                self.begin_to_fetch(server, listener, parcel, descriptor);
                Taken::Nothing
            }
            (Parcel::Recall, _) => {
                let mut fetching = self.fetching.borrow_mut();
                fetching.iter_mut().filter(|b| b.server == server).for_each(Backlog::end);
                Taken::Nothing
            }
            _ => Taken::Nothing,
        };
        self.page.last_read.store(sequence, Ordering::Release);
        self.tell_if_wanted(|wanted| sequence >= wanted);
        taken
    }

    fn begin_to_fetch(
        &self,
        server: ServerId,
        listener: ListenerId,
        parcel: Parcel,
        socket: Option<OwnedFd>,
    ) {
        // It comes once more if a connection was refused before this unit was read.
        self.stop_fetching(|other| other == server);
        let open = self.page.open_connections.load(Ordering::Relaxed);
        let is_open = self.servers.borrow().contains(&server);
        // Where the server is closed, the descriptor was lost, or there is no memory to watch it, all
        // that is left to do is to say that it is over.
        let mut backlog = Backlog::new(server, listener, socket.filter(|_| is_open), open);
        if parcel == Parcel::Line && backlog.line_up(&self.take_spot).is_err() {
            backlog.end();
        }
        self.fetching.borrow_mut().push_back(backlog);
    }

    fn fetch(&self) -> Taken {
        let mut fetching = self.fetching.borrow_mut();
        let open = self.page.open_connections.load(Ordering::Relaxed);
        for _ in 0..fetching.len() {
            let Some(mut backlog) = fetching.pop_front() else { break };
            match backlog.accept(open) {
                Fetched::Connection(connection) => {
                    let (server, listener) = (backlog.server, backlog.listener);
                    fetching.push_back(backlog);
                    return self.took(server, listener, connection);
                }
                Fetched::Over if !is_later(&self.say_over(&backlog)) => {}
                Fetched::Over | Fetched::Nothing => fetching.push_back(backlog),
            }
        }
        Taken::Nothing
    }

    /// Tells the primary that this worker accepts no more there.
    fn say_over(&self, &Backlog { listener, accepted, .. }: &Backlog) -> io::Result<()> {
        self.send(Return::Fetched { listener, accepted }, &[])
    }

    fn took(&self, server: ServerId, listener: ListenerId, connection: OwnedFd) -> Taken {
        self.page.read_phase.store(self.page.phase.load(Ordering::Relaxed), Ordering::Release);
        self.page.taken.fetch_add(1, Ordering::Relaxed);
        // Until JavaScript has counted it, or it would be in neither number for a moment.
        self.page.open_connections.fetch_add(1, Ordering::Relaxed);
        Taken::Connection { server, listener, connection }
    }

    fn end(&self) -> Taken {
        self.stop_fetching(|_| true);
        Taken::End
    }

    /// Whether there may be more to take although nothing makes the loop turn.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.fetching.borrow().iter().any(Backlog::is_pressing)
    }

    /// The server can be given connections from now on.
    pub fn open(&self, server: ServerId) {
        self.servers.borrow_mut().insert(server);
    }

    /// Nothing is accepted for it any more.
    pub fn close(&self, server: ServerId) {
        self.servers.borrow_mut().remove(&server);
        self.stop_fetching(|other| other == server);
    }

    /// Accepts no more by itself for these servers.
    pub fn stop_fetching(&self, of: impl Fn(ServerId) -> bool) {
        self.fetching.borrow_mut().retain(|backlog| !of(backlog.server));
    }

    /// Whether there is a number for another descriptor again.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        fd::has_free_number(self.connections.as_fd())
    }

    /// Gives a connection back, for another worker, and accepts no more by itself there. `false` if
    /// that has to be tried again later.
    #[must_use]
    pub fn refuse(&self, listener: ListenerId, connection: &OwnedFd) -> bool {
        self.fetching.borrow_mut().retain(|backlog| backlog.listener != listener);
        !is_later(&self.send(Return::Refused(listener), &[connection.as_fd()]))
    }

    fn send(&self, message: Return, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        fd::send(self.connections.as_fd(), &[IoSlice::new(&message.encode())], fds)?;
        Ok(())
    }

    /// What this worker publishes.
    #[must_use]
    pub fn page(&self) -> Rc<Shared<WorkerPage>> {
        Rc::clone(&self.page)
    }

    fn tell_if_wanted(&self, is_due: impl Fn(u64) -> bool) {
        // Sequentially consistent with the primary's «want, then look again».
        std::sync::atomic::fence(Ordering::SeqCst);
        let wanted = self.page.wanted.load(Ordering::Relaxed);
        if wanted == 0 || !is_due(wanted) || self.page.wanted.swap(0, Ordering::SeqCst) == 0 {
            return;
        }
        if self.send(Return::Free, &[]).is_err() {
            // The socket is full: at the next turn.
            self.page.wanted.store(WANTED_TO_TURN, Ordering::SeqCst);
        }
    }
}

/// The socket has no room now, or the system no memory. Not so at the primary's end, which no
/// connection survives.
fn is_later(result: &io::Result<()>) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    result
        .as_ref()
        .is_err_and(|error| !matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected))
}
