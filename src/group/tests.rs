use std::net::TcpStream;

use super::crowd::{ENOUGH, PATIENCE};
use super::*;
use crate::protocol::Target;
use crate::shared::WorkerPage;
use crate::sys::memory::Shared;

const TIMEOUT: Duration = Duration::from_millis(5);

/// A listener with workers that do what the test says.
struct Cluster {
    group: Group,
    handoffs: HashMap<WorkerId, Handoff>,
    pages: HashMap<WorkerId, Shared<WorkerPage>>,
    clients: Vec<TcpStream>,
    now: Instant,
}

impl Cluster {
    fn new(count: u32, max_at_work: usize) -> Self {
        let address = Some("127.0.0.1".to_owned());
        let target = Target::Tcp { address, port: 0, ipv6_only: false };
        let listener = Listener::bind(&target).unwrap();
        listener.listen(128).unwrap();
        let mut group = Group::new(ListenerId(1), String::new(), listener, true);
        group.max_at_work = max_at_work;
        let (mut handoffs, mut pages) = (HashMap::new(), HashMap::new());
        let now = Instant::now();
        for id in (1..=count).map(WorkerId) {
            let (sender, receiver) = fd::packet_pair().unwrap();
            let (page, memory) = Shared::<WorkerPage>::create(c"test").unwrap();
            pages.insert(id, Shared::open(&memory).unwrap());
            handoffs.insert(id, Handoff::new(sender, receiver, page, now));
            group.members.insert(id, ServerId(1));
            group.balancer.as_mut().unwrap().join(id);
        }
        Self { group, handoffs, pages, clients: Vec::new(), now }
    }

    fn connect(&mut self, count: usize) -> Accepted {
        let port = fd::ip_address(self.group.listener.as_fd(), false).unwrap().port();
        let connect = |_| TcpStream::connect(("127.0.0.1", port)).unwrap();
        self.clients.extend((0..count).map(connect));
        self.accept()
    }

    fn accept(&mut self) -> Accepted {
        self.group.accept(&mut Workers {
            handoffs: &mut self.handoffs,
            options: Options { handoff_timeout: TIMEOUT, ..Options::default() },
            ask: &|_| (),
            now: self.now,
        })
    }

    /// Whether what waits in the socket of that worker were better off elsewhere.
    fn somebody_else_can(&mut self, worker: u32) -> bool {
        let Some(handoff) = self.handoffs.get_mut(&WorkerId(worker)) else { return false };
        let overdue = handoff.overdue_for(self.now).unwrap_or_default();
        let (ask, now) = (&|_| (), self.now);
        let options = Options { handoff_timeout: TIMEOUT, ..Options::default() };
        let mut workers = Workers { handoffs: &mut self.handoffs, options, ask, now };
        overdue >= TIMEOUT && self.group.somebody_else_can(WorkerId(worker), overdue, &mut workers)
    }

    /// How much waits in the socket of each worker.
    fn unread(&mut self) -> Vec<usize> {
        let count = u32::try_from(self.handoffs.len()).unwrap();
        let mut unread = |id| self.handoffs.get_mut(&WorkerId(id)).unwrap().unread();
        (1..=count).map(&mut unread).collect()
    }

    /// The worker has read up to that unit.
    fn read(&self, id: u32, sequence: u64) {
        let page = &self.pages[&WorkerId(id)];
        page.last_read.store(sequence, std::sync::atomic::Ordering::Release);
    }
}

#[test]
fn workers_that_have_enough_are_sent_the_listener_and_nobody_is_accepted() {
    let mut cluster = Cluster::new(2, 8);
    assert_eq!(cluster.connect(9), Accepted::Paused);
    assert_eq!(cluster.unread(), [ENOUGH + 1, ENOUGH + 1]);
    assert_eq!(cluster.accept(), Accepted::Paused, "they are not sent it twice");
    assert_eq!(cluster.unread(), [ENOUGH + 1, ENOUGH + 1]);
    assert!(cluster.group.listener.accept().is_ok(), "the ninth");
    assert!(!cluster.group.needs_time());
    cluster.read(2, 5);
    cluster.group.stop_fetching(WorkerId(2));
    assert_eq!(cluster.connect(1), Accepted::All);
    assert_eq!(cluster.unread(), [ENOUGH + 1, 1]);
}

#[test]
fn a_connection_is_not_taken_from_a_worker_that_is_as_slow_as_the_others() {
    let mut cluster = Cluster::new(2, 8);
    assert_eq!(cluster.connect(4), Accepted::All);
    let slow = 4 * TIMEOUT;
    cluster.now += slow;
    for worker in [1, 2] {
        cluster.read(worker, 1);
        cluster.pages[&WorkerId(worker)].phase.store(1, std::sync::atomic::Ordering::Release);
    }
    assert!(!cluster.somebody_else_can(2), "it has just turned");
    cluster.now += slow;
    cluster.pages[&WorkerId(1)].phase.store(3, std::sync::atomic::Ordering::Release);
    assert!(!cluster.somebody_else_can(2), "its turn takes as long as the one before");
    cluster.now += slow;
    assert!(cluster.somebody_else_can(2), "the other one turns, it does not");
    cluster.read(1, 2);
    cluster.now += TIMEOUT;
    assert!(cluster.somebody_else_can(2), "the other one has nothing to do");
}

#[test]
fn idle_workers_stay_idle_while_enough_are_at_work() {
    let mut cluster = Cluster::new(3, 1);
    assert_eq!(cluster.connect(6), Accepted::All);
    assert_eq!(cluster.unread(), [2, 2, 2], "the first rounds are strict");
    cluster.read(2, 2);
    cluster.read(3, 2);
    assert_eq!(cluster.connect(3), Accepted::Paused);
    assert_eq!(cluster.unread(), [ENOUGH + 1, 0, 0]);
    assert!(cluster.group.needs_time(), "or nobody would see that it is blocked");
    cluster.now += PATIENCE;
    assert_eq!(cluster.accept(), Accepted::All);
    assert_eq!(cluster.unread(), [ENOUGH + 1, 1, 0], "it is blocked");
}
