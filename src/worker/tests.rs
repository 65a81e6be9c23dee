use std::cell::Cell;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use super::backlog::GROWTH;
use super::*;
use crate::handoff::{Handoff, TakenBack};
use crate::listener::Listener;
use crate::protocol::Target;

const LISTENER: ListenerId = ListenerId(5);
const SERVER: ServerId = ServerId(7);

fn setup() -> (Handoff, Worker) {
    setup_with(Box::new(|_| Err(io::ErrorKind::Unsupported.into())))
}

fn setup_with(take_spot: TakeSpot) -> (Handoff, Worker) {
    let (sender, receiver) = fd::packet_pair().unwrap();
    let (page, memory) = Shared::<WorkerPage>::create(c"test").unwrap();
    let worker = Worker::new(receiver.try_clone().unwrap(), &memory, take_spot).unwrap();
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
    let taken = (0..2 * GROWTH).take_while(|turn| is_connection(&worker.take(*turn == 0))).count();
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
fn that_it_is_over_is_said_when_there_is_room_for_it() {
    let (mut handoff, worker) = setup();
    let (listener, _clients) = crowd(1);
    let_fetch(&mut handoff, &listener);
    worker.close(SERVER);
    while worker.send(Return::Free, &[]).is_ok() {}
    assert!(matches!(worker.take(true), Taken::Nothing) && worker.is_fetching());
    while handoff.returned().is_some() {}
    assert!(matches!(worker.take(false), Taken::Nothing) && !worker.is_fetching());
    let fetched = Return::Fetched { listener: LISTENER, accepted: 0 };
    assert_eq!(handoff.returned().unwrap().0, fetched);
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

/// Stands where the test says.
struct Standing {
    /// How often it is called.
    called: Rc<Cell<u32>>,
    /// How often it has gone behind the others.
    renewed: Rc<Cell<u32>>,
    /// What it waits at is still open when it leaves.
    socket: RawFd,
}

impl Spot for Standing {
    fn is_called(&self) -> bool {
        let called = self.called.get();
        self.called.set(called.saturating_sub(1));
        called > 0
    }

    fn renew(&self) -> io::Result<bool> {
        self.renewed.set(self.renewed.get() + 1);
        // As with libuv: not at once.
        Ok(self.renewed.get() > 1)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        assert!(fd::borrow(self.socket, |_| ()).is_ok());
    }
}

/// A worker in line at a listener with so many clients, and how often it is called and has renewed
/// its place.
struct InLine {
    handoff: Handoff,
    worker: Worker,
    listener: Listener,
    called: Rc<Cell<u32>>,
    renewed: Rc<Cell<u32>>,
    _clients: Vec<TcpStream>,
}

fn in_line(clients: usize) -> InLine {
    let (called, renewed) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let counts = (Rc::clone(&called), Rc::clone(&renewed));
    let (mut handoff, worker) = setup_with(Box::new(move |socket| {
        let (called, renewed) = (Rc::clone(&counts.0), Rc::clone(&counts.1));
        Ok(Box::new(Standing { called, renewed, socket: socket.as_raw_fd() }))
    }));
    let (listener, clients) = crowd(clients);
    handoff.line_up(LISTENER, SERVER, listener.as_fd(), Instant::now()).unwrap();
    assert!(matches!(worker.take(true), Taken::Nothing) && worker.is_fetching());
    worker.line_up();
    assert!(worker.is_fetching(), "the loop has to turn before it may wait");
    worker.line_up();
    assert!(!worker.is_fetching() && renewed.get() == 2);
    InLine { handoff, worker, listener, called, renewed, _clients: clients }
}

#[test]
fn in_line_it_accepts_when_it_is_called_and_goes_behind_the_others() {
    let InLine { handoff, worker, called, renewed, .. } = &mut in_line(2);
    assert!(matches!(worker.take(false), Taken::Nothing));
    for turn in 1..=2 {
        called.set(1);
        assert!(is_connection(&worker.take(false)) && !worker.is_fetching());
        worker.line_up();
        worker.line_up();
        assert_eq!(renewed.get(), 2 + turn, "once for each");
    }
    called.set(1);
    assert!(matches!(worker.take(false), Taken::Nothing), "another one was faster");
    worker.line_up();
    assert_eq!(renewed.get(), 4, "it has not had its turn");
    assert!(handoff.returned().is_none());
}

#[test]
fn in_line_it_takes_what_it_was_sent_first() {
    let InLine { handoff, worker, called, .. } = &mut in_line(1);
    let (connection, _) = fd::stream_pair().unwrap();
    handoff.hand(LISTENER, SERVER, connection.as_fd(), false, Instant::now()).unwrap();
    called.set(1);
    assert!(is_connection(&worker.take(true)) && !handoff.has_unread());
    assert!(is_connection(&worker.take(false)));
}

#[test]
fn it_leaves_the_line_when_too_many_stay_open() {
    let InLine { handoff, worker, called, .. } = &mut in_line(GROWTH as usize + 1);
    called.set(2 * GROWTH);
    for _ in 0..GROWTH {
        assert!(is_connection(&worker.take(false)) && handoff.returned().is_none());
        // Before it waits, so that it is not called for anybody.
        worker.line_up();
    }
    let fetched = Return::Fetched { listener: LISTENER, accepted: GROWTH };
    assert_eq!(handoff.returned().unwrap().0, fetched);
    assert!(matches!(worker.take(false), Taken::Nothing));
}

#[test]
fn it_leaves_the_line_when_it_is_recalled_and_when_the_listener_is_closed() {
    let InLine { handoff, worker, called, .. } = &mut in_line(1);
    called.set(1);
    handoff.recall(LISTENER, SERVER, Instant::now()).unwrap();
    assert!(matches!(worker.take(true), Taken::Nothing));
    let fetched = Return::Fetched { listener: LISTENER, accepted: 0 };
    assert_eq!(handoff.returned().unwrap().0, fetched);
    assert!(matches!(worker.take(false), Taken::Nothing) && !worker.is_fetching());

    let InLine { handoff, worker, listener, called, .. } = &mut in_line(1);
    listener.stop();
    called.set(1);
    assert!(matches!(worker.take(false), Taken::Nothing));
    let fetched = Return::Fetched { listener: LISTENER, accepted: 0 };
    assert_eq!(handoff.returned().unwrap().0, fetched);
}
