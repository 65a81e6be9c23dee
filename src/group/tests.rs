use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::crowd::{ENOUGH, GAP, GROWTH, PATIENCE, SHIFT, WORTH_IT};
use super::line::{BRISK, ENDS_AFTER, FORMS_AFTER, PERIOD, Pace};
use super::*;
use crate::protocol::Target;
use crate::shared::{WANTED_TO_TURN, WorkerPage};
use crate::sys::memory::Shared;

mod line;

const TIMEOUT: Duration = Duration::from_millis(5);

/// A listener with workers that do what the test says.
struct Cluster {
    group: Group,
    handoffs: IdMap<WorkerId, Handoff>,
    pages: IdMap<WorkerId, Shared<WorkerPage>>,
    clients: Vec<TcpStream>,
    cpus: Cpus,
    now: Instant,
}

impl Cluster {
    fn new(count: u32, max_at_work: usize) -> Self {
        let address = Some("127.0.0.1".to_owned());
        let target = Target::Tcp { address, port: 0, ipv6_only: false };
        let listener = Listener::bind(&target).unwrap();
        listener.listen(128).unwrap();
        let mut group = Group::new(ListenerId(1), String::new(), listener, true);
        group.crowd.max_at_work = max_at_work;
        group.line.max_workers = 0;
        let (handoffs, pages, clients) = (IdMap::default(), IdMap::default(), Vec::new());
        let (cpus, now) = (Cpus::that_are(true), Instant::now());
        let mut cluster = Self { group, handoffs, pages, clients, cpus, now };
        (1..=count).for_each(|id| cluster.join(id));
        cluster
    }

    /// Workers that line up, up to that many.
    fn in_line(count: u32, max_workers: usize) -> Self {
        let mut cluster = Self::new(count, max_workers);
        cluster.group.line.max_workers = max_workers;
        cluster.group.line.pace.is_brisk = true;
        cluster
    }

    /// Another worker listens.
    fn join(&mut self, id: u32) {
        let (sender, receiver) = fd::packet_pair().unwrap();
        let (page, memory) = Shared::<WorkerPage>::create(c"test").unwrap();
        let id = WorkerId(id);
        self.pages.insert(id, Shared::open(&memory).unwrap());
        self.handoffs.insert(id, Handoff::new(sender, receiver, page.into(), self.now));
        self.group.members.insert(id, ServerId(1));
        self.group.balancer.as_mut().unwrap().join(id);
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
            cpus: &mut self.cpus,
            now: self.now,
        })
    }

    /// A connection that was taken back, and who alone may have it.
    fn put_back(&mut self, owner: Option<u32>) {
        let (connection, _) = fd::stream_pair().unwrap();
        self.group.put_back(connection, owner.map(WorkerId));
    }

    /// How many of what waits in the socket of that worker are better off elsewhere.
    fn room_elsewhere(&mut self, worker: u32) -> usize {
        let Some(handoff) = self.handoffs.get_mut(&WorkerId(worker)) else { return 0 };
        let overdue = handoff.overdue_for(self.now).unwrap_or_default();
        let (ask, now) = (&|_| (), self.now);
        let options = Options { handoff_timeout: TIMEOUT, ..Options::default() };
        let (handoffs, cpus) = (&mut self.handoffs, &mut self.cpus);
        let mut workers = Workers { handoffs, options, ask, cpus, now };
        self.group.room_elsewhere(WorkerId(worker), overdue, &mut workers)
    }

    /// How much waits in the socket of each worker.
    fn unread(&mut self) -> Vec<usize> {
        let count = u32::try_from(self.handoffs.len()).unwrap();
        let mut unread = |id| self.handoffs.get_mut(&WorkerId(id)).unwrap().unread();
        (1..=count).map(&mut unread).collect()
    }

    /// The worker has so many connections open.
    fn open(&self, id: u32, count: u64) {
        let count = u32::try_from(count).unwrap();
        self.pages[&WorkerId(id)].open_connections.store(count, Ordering::Release);
    }

    /// The worker takes so many connections.
    fn take(&self, id: u32, count: u64) {
        self.pages[&WorkerId(id)].taken.fetch_add(count, Ordering::Relaxed);
    }

    /// The worker's loop turns once, and waits again.
    fn turn_loop(&self, id: u32) {
        let phase = &self.pages[&WorkerId(id)].phase;
        phase.store((phase.load(Ordering::Acquire) + 2) | 1, Ordering::Release);
    }

    /// The worker has read up to that unit.
    fn read(&self, id: u32, sequence: u64) {
        let page = &self.pages[&WorkerId(id)];
        page.last_read.store(sequence, Ordering::Release);
    }

    /// All workers have read all that they were sent, and accepted so many each until nobody waited.
    fn fetch_all(&mut self, accepted: u32) {
        self.read_all();
        while self.group.listener.accept().is_ok() {}
        for worker in self.pages.keys() {
            self.group.has_fetched(*worker, accepted, self.now);
        }
    }

    /// All workers have read all that they were sent.
    fn read_all(&mut self) {
        for (id, handoff) in &mut self.handoffs {
            let page = &self.pages[id];
            page.last_read.fetch_add(handoff.unread() as u64, Ordering::AcqRel);
        }
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
    cluster.read(2, 5);
    cluster.group.stop_fetching(WorkerId(2));
    assert_eq!(cluster.connect(1), Accepted::All);
    assert_eq!(cluster.unread(), [ENOUGH + 1, 1]);
}

#[test]
fn a_crowd_that_comes_again_is_left_to_them_sooner_if_that_was_worth_it() {
    let mut cluster = Cluster::new(2, 8);
    for (accepted, pause, enough) in
        [(WORTH_IT - 1, Duration::ZERO, ENOUGH), (WORTH_IT, GAP / 2, 1), (0, GAP / 2, ENOUGH)]
    {
        cluster.fetch_all(accepted);
        cluster.now += pause;
        assert_eq!(cluster.connect(2 * enough + 1), Accepted::Paused);
        assert_eq!(cluster.unread(), [enough + 1, enough + 1]);
    }
}

#[test]
fn a_blocked_worker_is_told_to_accept_by_itself_when_it_turns() {
    let mut cluster = Cluster::new(2, 8);
    cluster.pages[&WorkerId(1)].phase.store(2, Ordering::Release);
    assert_eq!(cluster.connect(2 * ENOUGH - 1), Accepted::All);
    cluster.now += 2 * TIMEOUT;
    cluster.read(2, ENOUGH as u64 - 1);
    assert_eq!(cluster.connect(ENOUGH + 1), Accepted::Paused);
    assert_eq!(cluster.unread(), [ENOUGH, ENOUGH + 1]);
    let wanted = [1, 2].map(|id| cluster.pages[&WorkerId(id)].wanted.load(Ordering::Acquire));
    assert_eq!(wanted, [WANTED_TO_TURN, 0]);
    cluster.pages[&WorkerId(1)].phase.store(3, Ordering::Release);
    assert_eq!(cluster.accept(), Accepted::Paused);
    assert_eq!(cluster.unread(), [ENOUGH + 1, ENOUGH + 1]);
}

#[test]
fn a_connection_is_not_taken_from_a_worker_that_is_as_slow_as_the_others() {
    let mut cluster = Cluster::new(2, 8);
    assert_eq!(cluster.connect(4), Accepted::All);
    let slow = 4 * TIMEOUT;
    cluster.now += slow;
    for worker in [1, 2] {
        cluster.read(worker, 1);
        cluster.pages[&WorkerId(worker)].phase.store(1, Ordering::Release);
    }
    assert_eq!(cluster.room_elsewhere(2), 0, "it has just turned");
    cluster.now += slow;
    cluster.pages[&WorkerId(1)].phase.store(3, Ordering::Release);
    assert_eq!(cluster.room_elsewhere(2), 0, "its turn takes as long as the one before");
    cluster.read(1, 2);
    assert_eq!(cluster.room_elsewhere(2), 1, "the other one has nothing to do");
    cluster.put_back(Some(2));
    assert_eq!(cluster.room_elsewhere(2), 1, "though somebody waits for the second alone");
    cluster.put_back(None);
    assert_eq!(cluster.room_elsewhere(2), 0, "but for somebody who waits already");
    cluster.now += slow;
    assert_eq!(cluster.room_elsewhere(2), usize::MAX, "the other one turns, it does not");
}

#[test]
fn idle_workers_stay_idle_while_enough_are_at_work() {
    let mut cluster = Cluster::new(3, 1);
    assert_eq!(cluster.connect(6), Accepted::All);
    assert_eq!(cluster.unread(), [2, 2, 2], "the first rounds are strict");
    cluster.read(2, 2);
    cluster.read(3, 2);
    cluster.cpus = Cpus::that_are(false);
    assert_eq!(cluster.connect(2), Accepted::All);
    assert_eq!(cluster.unread(), [3, 1, 0], "there is a CPU for them");
    cluster.read(2, 3);
    cluster.cpus = Cpus::that_are(true);
    assert_eq!(cluster.connect(6), Accepted::Paused);
    assert_eq!(cluster.unread(), [3, 0, ENOUGH + 1], "one is on shift");
    assert!(cluster.group.is_stalled(), "or nobody would see that it is blocked");
    cluster.now += PATIENCE;
    assert_eq!(cluster.accept(), Accepted::All);
    assert_eq!(cluster.unread(), [3, 2, ENOUGH + 1], "it is blocked");
}

/// One of three workers is on shift, and nobody has anything unread. Returns who it is.
fn on_shift(cluster: &mut Cluster) -> u32 {
    cluster.connect(2 * cluster.handoffs.len());
    let worker = turn(cluster);
    assert_eq!(turn(cluster), worker);
    worker
}

/// Who gets the next connection. It is read, and so is all else.
fn turn(cluster: &mut Cluster) -> u32 {
    let before = cluster.unread();
    cluster.connect(1);
    let after = cluster.unread();
    let place = before.iter().zip(&after).position(|(before, after)| after > before).unwrap();
    cluster.read_all();
    u32::try_from(place).unwrap() + 1
}

#[test]
fn a_shift_goes_on_when_nobody_is_at_work_for_a_moment_and_then_the_next_has_its_turn() {
    let mut cluster = Cluster::new(3, 1);
    let first = on_shift(&mut cluster);
    cluster.now += SHIFT / 2;
    assert_eq!(turn(&mut cluster), first);
    cluster.now += SHIFT / 2;
    let second = turn(&mut cluster);
    cluster.now += SHIFT;
    let third = turn(&mut cluster);
    let mut all = [first, second, third];
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
}

#[test]
fn after_a_gap_the_round_is_strict_again() {
    let mut cluster = Cluster::new(3, 1);
    on_shift(&mut cluster);
    cluster.now += GAP;
    let mut round = [(); 3].map(|()| turn(&mut cluster));
    round.sort_unstable();
    assert_eq!(round, [1, 2, 3]);
}

#[test]
fn one_that_is_gone_refuses_or_has_many_is_on_shift_no_more() {
    let leaves: [fn(&mut Cluster, WorkerId); 3] = [
        |cluster, worker| {
            let open = u32::try_from(2 * GROWTH).unwrap();
            let page = &cluster.pages[&worker];
            page.open_connections.store(open, Ordering::Release);
        },
        |cluster, worker| cluster.group.remove(worker),
        |cluster, worker| cluster.group.refused(worker, cluster.now),
    ];
    for leave in leaves {
        let mut cluster = Cluster::new(4, 1);
        let worker = on_shift(&mut cluster);
        leave(&mut cluster, WorkerId(worker));
        assert_ne!(turn(&mut cluster), worker);
    }
}

#[test]
fn what_waits_in_front_of_a_worker_on_shift_stays_there_until_it_counts_as_blocked() {
    let mut cluster = Cluster::new(3, 1);
    let worker = on_shift(&mut cluster);
    cluster.connect(1);
    cluster.now += PATIENCE / 2;
    assert_eq!(cluster.room_elsewhere(worker), 0);
    cluster.now += PATIENCE / 2;
    assert!(cluster.room_elsewhere(worker) > 0);
}

#[test]
fn what_was_taken_back_from_a_worker_on_shift_wakes_one_other() {
    let mut cluster = Cluster::new(3, 1);
    let blocked = on_shift(&mut cluster);
    cluster.connect(1);
    cluster.now += PATIENCE;
    for _ in 0..3 {
        cluster.put_back(None);
    }
    assert_eq!(cluster.accept(), Accepted::All);
    let mut unread = cluster.unread();
    unread.remove(blocked as usize - 1);
    unread.sort_unstable();
    assert_eq!(unread, [0, 3]);
}
