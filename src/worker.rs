//! A worker's side of the balancer: taking connections from its socket, or from the backlog when all
//! have enough to do, one in a turn of its event loop; and telling the primary through shared memory
//! whether the loop turns.
//!
//! No libuv in here: `addon/worker.rs` calls it from the loop's prepare and check callbacks.

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

/// By how much the number of its open connections may grow while a worker accepts by itself. One
/// that has a CPU while others wait for one would otherwise keep most of a crowd that stays.
const GROWTH: u32 = 8;

/// How many connections a worker accepts by itself before it lets another have its turn.
const AT_A_TIME: u32 = 256;

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

/// A listening socket from which this worker accepts by itself.
struct Backlog {
    server: ServerId,
    listener: ListenerId,
    socket: OwnedFd,
    /// With so many connections open it accepts no more.
    limit: u32,
    /// How many it may still accept.
    left: u32,
}

pub struct Worker {
    connections: OwnedFd,
    /// Each in turn, until nobody waits there: the primary has enough for all workers to do.
    fetching: RefCell<VecDeque<Backlog>>,
    /// Those that are open.
    servers: RefCell<HashSet<ServerId>>,
    page: Rc<Shared<WorkerPage>>,
}

impl Worker {
    /// From the two descriptors of the primary's `Hello`.
    pub fn new(connections: OwnedFd, page: &OwnedFd) -> io::Result<Self> {
        let page = Rc::new(Shared::open(page)?);
        let (fetching, servers) = (RefCell::default(), RefCell::default());
        Ok(Self { connections, fetching, servers, page })
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
            (Parcel::Listener, Some(socket)) if self.servers.borrow().contains(&server) => {
                // It comes once more if a connection was refused before this unit was read.
                self.stop_fetching(|other| other == server);
                let limit = self.page.open_connections.load(Ordering::Relaxed) + GROWTH;
                let backlog = Backlog { server, listener, socket, limit, left: AT_A_TIME };
                self.fetching.borrow_mut().push_back(backlog);
                Taken::Nothing
            }
            (Parcel::Listener, _) => {
                // The server is closed, or the descriptor was lost.
                let _ = self.send(Return::Fetched { listener, accepted: 0 }, &[]);
                Taken::Nothing
            }
            _ => Taken::Nothing,
        };
        self.page.last_read.store(sequence, Ordering::Release);
        self.tell_if_wanted(|wanted| sequence >= wanted);
        taken
    }

    fn fetch(&self) -> Taken {
        let mut fetching = self.fetching.borrow_mut();
        let open = self.page.open_connections.load(Ordering::Relaxed);
        while let Some(mut backlog) = fetching.pop_front() {
            let Backlog { server, listener, limit, .. } = backlog;
            if open < limit
                && backlog.left > 0
                && let Ok(connection) = fd::accept(backlog.socket.as_fd())
            {
                backlog.left -= 1;
                fetching.push_back(backlog);
                return self.took(server, listener, connection);
            }
            // Enough, or nobody waits, or it is closed, or no number is left for a descriptor.
            let accepted = AT_A_TIME - backlog.left;
            if is_later(&self.send(Return::Fetched { listener, accepted }, &[])) {
                fetching.push_front(backlog);
                break;
            }
        }
        Taken::Nothing
    }

    fn took(&self, server: ServerId, listener: ListenerId, connection: OwnedFd) -> Taken {
        self.page.read_phase.store(self.page.phase.load(Ordering::Relaxed), Ordering::Release);
        // Until JavaScript has counted it, or it would be in neither number for a moment.
        self.page.open_connections.fetch_add(1, Ordering::Relaxed);
        Taken::Connection { server, listener, connection }
    }

    fn end(&self) -> Taken {
        self.stop_fetching(|_| true);
        Taken::End
    }

    /// Whether there may be more to take although the socket is not readable.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        !self.fetching.borrow().is_empty()
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;
    use crate::handoff::{Handoff, TakenBack};
    use crate::listener::Listener;
    use crate::protocol::Target;

    const LISTENER: ListenerId = ListenerId(5);
    const SERVER: ServerId = ServerId(7);

    fn setup() -> (Handoff, Worker) {
        let (sender, receiver) = fd::packet_pair().unwrap();
        let (page, memory) = Shared::<WorkerPage>::create(c"test").unwrap();
        let worker = Worker::new(receiver.try_clone().unwrap(), &memory).unwrap();
        worker.open(SERVER);
        (Handoff::new(sender, receiver, page.into(), Instant::now()), worker)
    }

    /// A listener with so many clients in its backlog.
    fn crowd(size: usize) -> (Listener, Vec<TcpStream>) {
        let address = Some("127.0.0.1".to_owned());
        let target = Target::Tcp { address, port: 0, ipv6_only: false };
        let listener = Listener::bind(&target).unwrap();
        listener.listen(128).unwrap();
        let port = fd::ip_address(listener.as_fd(), false).unwrap().port();
        let connect = |_| TcpStream::connect(("127.0.0.1", port)).unwrap();
        (listener, (0..size).map(connect).collect())
    }

    fn let_fetch(handoff: &mut Handoff, listener: &Listener) {
        handoff.let_fetch(LISTENER, SERVER, listener.as_fd(), Instant::now()).unwrap();
    }

    fn is_connection(taken: &Taken) -> bool {
        matches!(taken, Taken::Connection { server: SERVER, listener: LISTENER, .. })
    }

    #[test]
    fn it_accepts_one_at_a_time_behind_what_it_was_sent_until_nobody_waits() {
        let (mut handoff, worker) = setup();
        let (listener, _clients) = crowd(2);
        let (connection, _) = fd::stream_pair().unwrap();
        handoff.hand(LISTENER, SERVER, connection.as_fd(), false, Instant::now()).unwrap();
        let_fetch(&mut handoff, &listener);
        assert!(is_connection(&worker.take(true)) && !worker.is_fetching());
        assert!(is_connection(&worker.take(true)) && worker.is_fetching());
        assert!(is_connection(&worker.take(false)) && handoff.returned().is_none());
        assert!(matches!(worker.take(false), Taken::Nothing) && !worker.is_fetching());
        let (returned, connection) = handoff.returned().unwrap();
        assert_eq!(returned, Return::Fetched { listener: LISTENER, accepted: 2 });
        assert!(connection.is_none() && !handoff.has_unread());
    }

    #[test]
    fn it_accepts_no_more_when_too_many_stay_open() {
        let (mut handoff, worker) = setup();
        let (listener, _clients) = crowd(GROWTH as usize + 1);
        let_fetch(&mut handoff, &listener);
        let taken =
            (0..2 * GROWTH).take_while(|turn| is_connection(&worker.take(*turn == 0))).count();
        assert_eq!(taken, GROWTH as usize);
        let fetched = Return::Fetched { listener: LISTENER, accepted: GROWTH };
        assert_eq!(handoff.returned().unwrap().0, fetched);
        assert!(listener.accept().is_ok(), "the last one still waits");
    }

    #[test]
    fn it_accepts_no_more_for_a_server_that_is_closed_full_or_stopped() {
        let stops: [fn(&Worker, &Listener); 3] = [
            |worker, _| worker.close(SERVER),
            |worker, listener| assert!(worker.refuse(LISTENER, &listener.accept().unwrap())),
            |_, listener| listener.stop(),
        ];
        for stop in stops {
            let (mut handoff, worker) = setup();
            let (listener, _clients) = crowd(9);
            let_fetch(&mut handoff, &listener);
            assert!(is_connection(&worker.take(true)));
            stop(&worker, &listener);
            assert!(matches!(worker.take(false), Taken::Nothing) && !worker.is_fetching());
        }
    }

    #[test]
    fn it_does_not_begin_to_for_a_server_that_is_closed() {
        let (mut handoff, worker) = setup();
        let (listener, _clients) = crowd(1);
        let_fetch(&mut handoff, &listener);
        worker.close(SERVER);
        assert!(matches!(worker.take(true), Taken::Nothing) && !worker.is_fetching());
        let fetched = Return::Fetched { listener: LISTENER, accepted: 0 };
        assert_eq!(handoff.returned().unwrap().0, fetched);
        assert!(listener.accept().is_ok());
    }

    #[test]
    fn what_is_taken_back_is_no_listener() {
        let (mut handoff, worker) = setup();
        let (listener, _clients) = crowd(1);
        let_fetch(&mut handoff, &listener);
        let taken = handoff.take_back(usize::MAX, Instant::now());
        assert!(matches!(taken[..], [TakenBack { listener: LISTENER, connection: None, .. }]));
        assert!(!handoff.has_unread());
        assert!(matches!(worker.take(true), Taken::Nothing) && !worker.is_fetching());
    }

    #[test]
    fn it_ends_with_the_primary() {
        let (mut handoff, worker) = setup();
        let (listener, _clients) = crowd(9);
        let_fetch(&mut handoff, &listener);
        assert!(is_connection(&worker.take(true)));
        drop(handoff);
        assert!(matches!(worker.take(true), Taken::End) && !worker.is_fetching());
    }
}
