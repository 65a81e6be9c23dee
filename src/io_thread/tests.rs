//! With the thread itself and real sockets.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::*;
use crate::protocol::{Parcel, Target, Unit};
use crate::shared::WorkerPage;
use crate::sys::memory::Shared;

const SERVER: ServerId = ServerId(1);

const TIMEOUT: Duration = Duration::from_millis(5);

/// The worker's end.
struct Worker {
    id: WorkerId,
    socket: OwnedFd,
    page: Shared<WorkerPage>,
}

impl Worker {
    fn join(io: &IoThread, id: u32) -> Self {
        let (sender, receiver) = fd::packet_pair().unwrap();
        let (page, memory) = Shared::<WorkerPage>::create(c"test").unwrap();
        let socket = receiver.try_clone().unwrap();
        let returns = sender.try_clone().unwrap();
        let handoff = Handoff::new(sender, receiver, page.into(), Instant::now());
        io.add_worker(WorkerId(id), handoff, returns);
        Self { id: WorkerId(id), socket, page: Shared::open(&memory).unwrap() }
    }

    /// Returns the port.
    fn listen(&self, io: &IoThread) -> u16 {
        let address = Some("127.0.0.1".to_owned());
        let target = Target::Tcp { address, port: 0, ipv6_only: false };
        let (key, backlog, data) = ("key".to_owned(), 16, None);
        let request = ListenRequest { server: SERVER, target, key, backlog, data };
        let (bound, shared) = io.listen(self.id, request, true).unwrap();
        assert!(bound.errno == 0 && shared.is_none());
        bound.name.unwrap().port
    }

    /// Takes connections, and many more as it says, until it is sent the listening socket. Leaves
    /// one client waiting there.
    fn line_up(&self, port: u16) -> TcpStream {
        // It waits.
        self.page.phase.store(1, Ordering::Release);
        loop {
            let client = connect(port);
            let (unit, fd) = self.receive();
            if unit.parcel == Parcel::Line {
                return client;
            }
            assert_connected(&client, &TcpStream::from(fd));
            self.page.taken.fetch_add(1000, Ordering::Relaxed);
            self.page.phase.fetch_add(2, Ordering::Release);
        }
    }

    /// Waits for a connection, and takes it as a worker does.
    fn take(&self) -> TcpStream {
        let (unit, fd) = self.receive();
        assert_eq!(unit.parcel, Parcel::Connection);
        TcpStream::from(fd)
    }

    fn receive(&self) -> (Unit, OwnedFd) {
        let mut buffer = [0; Unit::SIZE];
        let received = fd::receive_first(self.socket.as_fd(), &mut buffer).unwrap();
        let unit = Unit::decode(&buffer[..received.bytes]).unwrap();
        self.page.last_read.store(unit.sequence, Ordering::Release);
        (unit, received.fds.into_iter().next().unwrap())
    }
}

fn start(handoff_timeout: Duration) -> IoThread {
    let io = IoThread::start().unwrap();
    io.configure(Options { handoff_timeout, ..Options::default() }, None);
    io
}

/// With a worker that takes connections from this port.
fn serving(handoff_timeout: Duration) -> (IoThread, Worker, u16) {
    let io = start(handoff_timeout);
    let worker = Worker::join(&io, 1);
    let port = worker.listen(&io);
    io.attach(worker.id, SERVER);
    (io, worker, port)
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

fn assert_connected(client: &TcpStream, taken: &TcpStream) {
    assert_eq!(client.local_addr().unwrap(), taken.peer_addr().unwrap());
}

#[test]
fn who_came_before_a_worker_was_ready_gets_it_and_so_does_everybody_after() {
    let io = start(TIMEOUT);
    let worker = Worker::join(&io, 1);
    let port = worker.listen(&io);
    let early = connect(port);
    io.attach(worker.id, SERVER);
    assert_connected(&early, &worker.take());
    for _ in 0..100 {
        assert_connected(&connect(port), &worker.take());
    }
}

#[test]
fn a_worker_that_was_attached_before_somebody_came_takes_part() {
    // So long that nothing is taken back here.
    let io = start(Duration::from_secs(3600));
    let (first, second) = (Worker::join(&io, 1), Worker::join(&io, 2));
    let port = first.listen(&io);
    assert_eq!(second.listen(&io), port);
    io.attach(first.id, SERVER);
    io.attach(second.id, SERVER);
    let clients = [connect(port), connect(port)];
    assert_connected(&clients[0], &first.take());
    assert_connected(&clients[1], &second.take());
}

#[test]
fn what_a_worker_does_not_take_goes_to_another_after_the_timeout() {
    let (io, _blocked, port) = serving(TIMEOUT);
    let client = connect(port);
    // Its turn is the first one, and it sleeps on.
    let other = Worker::join(&io, 2);
    other.listen(&io);
    io.attach(other.id, SERVER);
    assert_connected(&client, &other.take());
}

#[test]
fn and_so_it_does_while_others_keep_coming() {
    // More than one tick.
    let (io, _blocked, port) = serving(Duration::from_millis(20));
    let client = connect(port);
    let other = Worker::join(&io, 2);
    other.listen(&io);
    io.attach(other.id, SERVER);
    let mut peers = (0..10_000).map(|_| {
        connect(port);
        let taken = other.take();
        // Its loop turns, so it is ready for the next one.
        other.page.phase.fetch_add(2, Ordering::Release);
        taken.peer_addr().unwrap()
    });
    let address = client.local_addr().unwrap();
    assert!(peers.any(|peer| peer == address));
}

#[test]
fn in_line_who_waits_for_a_worker_that_does_nothing_is_handed_to_another_every_time() {
    let io = IoThread::start().unwrap();
    let (sleeper, worker) = (Worker::join(&io, 1), Worker::join(&io, 2));
    let port = sleeper.listen(&io);
    worker.listen(&io);
    io.attach(sleeper.id, SERVER);
    io.attach(worker.id, SERVER);
    assert_connected(&worker.line_up(port), &worker.take());
    for _ in 0..10 {
        worker.page.taken.fetch_add(1000, Ordering::Relaxed);
        worker.page.phase.fetch_add(2, Ordering::Release);
        assert_connected(&connect(port), &worker.take());
    }
}

#[test]
fn a_port_is_free_when_its_last_server_is_closed() {
    let (io, worker, port) = serving(TIMEOUT);
    connect(port);
    worker.take();
    io.close(worker.id, SERVER);
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

#[test]
fn what_a_crashed_worker_leaves_behind_is_kept_for_the_next_one() {
    let (io, worker, port) = serving(TIMEOUT);
    let unread = connect(port);
    io.remove_worker(worker.id, true);
    let waiting = connect(port);
    let next = Worker::join(&io, 2);
    assert_eq!(next.listen(&io), port);
    io.attach(next.id, SERVER);
    assert_connected(&unread, &next.take());
    assert_connected(&waiting, &next.take());
}

#[test]
fn and_is_closed_when_none_comes() {
    let io = IoThread::start().unwrap();
    let listener_linger = Duration::from_millis(1);
    io.configure(Options { listener_linger, ..Options::default() }, None);
    let worker = Worker::join(&io, 1);
    let mut waiting = connect(worker.listen(&io));
    io.remove_worker(worker.id, true);
    // Closed or reset, and waited for in any case.
    assert!(matches!(waiting.read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn all_is_closed_with_the_thread() {
    for end in [drop, |io: IoThread| io.stop()] {
        let io = IoThread::start().unwrap();
        let worker = Worker::join(&io, 1);
        let mut waiting = connect(worker.listen(&io));
        end(io);
        assert!(matches!(waiting.read(&mut [0]), Ok(0) | Err(_)));
    }
}
