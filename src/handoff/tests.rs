use super::*;

const TIMEOUT: Duration = Duration::from_millis(5);

/// A handoff, the worker's end of its socket and the worker's view of the page.
fn setup(now: Instant) -> (Handoff, OwnedFd, Shared<WorkerPage>) {
    let (sender, receiver) = fd::packet_pair().unwrap();
    let (page, memory) = Shared::<WorkerPage>::create(c"test").unwrap();
    let worker = receiver.try_clone().unwrap();
    let theirs = Shared::<WorkerPage>::open(&memory).unwrap();
    (Handoff::new(sender, receiver, page.into(), now), worker, theirs)
}

fn hand(handoff: &mut Handoff, now: Instant) {
    hand_so(handoff, false, now);
}

fn hand_so(handoff: &mut Handoff, bound: bool, now: Instant) {
    let (connection, _) = fd::stream_pair().unwrap();
    handoff.hand(ListenerId(1), ServerId(1), connection.as_fd(), bound, now).unwrap();
}

/// Reads one unit as a worker does.
fn read(worker: &OwnedFd, page: &WorkerPage) -> Option<u64> {
    let mut buffer = [0; Unit::SIZE];
    fd::receive(worker.as_fd(), &mut buffer).ok()?;
    let sequence = Unit::decode(&buffer)?.sequence;
    page.last_read.store(sequence, Ordering::Release);
    Some(sequence)
}

#[test]
fn what_a_worker_does_not_read_is_taken_back_and_what_it_reads_is_not() {
    let start = Instant::now();
    let (mut handoff, worker, page) = setup(start);
    (0..3).for_each(|_| hand(&mut handoff, start));
    assert_eq!(read(&worker, &page), Some(1));
    assert_eq!(handoff.overdue_for(start), Some(Duration::ZERO));
    assert_eq!(handoff.overdue_for(start + TIMEOUT), Some(TIMEOUT));
    assert_eq!(handoff.take_back(1, start).len(), 1);
    assert!(handoff.has_unread());
    assert_eq!(handoff.take_back(2, start).len(), 1);
    assert_eq!(read(&worker, &page), Some(3), "the poke");
    assert_eq!(read(&worker, &page), None);
    assert!(!handoff.has_unread());
    assert!(handoff.take_back(usize::MAX, start).is_empty());
}

#[test]
fn a_worker_is_left_out_until_its_loop_turns() {
    let start = Instant::now();
    let (mut handoff, _worker, page) = setup(start);
    assert_eq!(handoff.readiness(start, TIMEOUT), Readiness::Ready);
    hand(&mut handoff, start);
    assert_eq!(handoff.readiness(start, TIMEOUT), Readiness::Occupied);
    handoff.take_back(usize::MAX, start);
    let later = start + TIMEOUT * 10;
    assert_eq!(handoff.readiness(later, TIMEOUT), Readiness::Unable);
    page.phase.store(1, Ordering::Release);
    assert_eq!(handoff.readiness(later, TIMEOUT), Readiness::Ready);
}

#[test]
fn a_worker_whose_loop_turns_is_not_robbed_however_slow_it_reads() {
    let start = Instant::now();
    let (mut handoff, _worker, page) = setup(start);
    hand(&mut handoff, start);
    page.phase.store(1, Ordering::Release);
    assert_eq!(handoff.overdue_for(start + TIMEOUT), Some(Duration::ZERO), "it has just turned");
    assert_eq!(handoff.overdue_for(start + TIMEOUT * 2), Some(TIMEOUT));
}

#[test]
fn a_worker_that_runs_a_long_timer_is_left_out_without_being_given_anything() {
    let start = Instant::now();
    let (mut handoff, _worker, page) = setup(start);
    page.phase.store(4, Ordering::Release);
    assert_eq!(handoff.readiness(start, TIMEOUT), Readiness::Ready);
    assert_eq!(handoff.readiness(start + TIMEOUT * 2, TIMEOUT), Readiness::Unable);
    page.phase.store(5, Ordering::Release);
    assert_eq!(handoff.readiness(start + TIMEOUT * 9, TIMEOUT), Readiness::Ready);
}

#[test]
fn a_full_worker_is_given_no_more() {
    let start = Instant::now();
    let (mut handoff, worker, page) = setup(start);
    (0..MAX_UNREAD).for_each(|_| hand(&mut handoff, start));
    assert_eq!(handoff.readiness(start, TIMEOUT), Readiness::Unable);
    read(&worker, &page);
    assert_eq!(handoff.readiness(start, TIMEOUT), Readiness::Occupied);
}

#[test]
fn a_loop_from_which_all_is_taken_is_made_to_turn_and_not_before() {
    let start = Instant::now();
    let (mut handoff, worker, page) = setup(start);
    (0..2).for_each(|_| hand(&mut handoff, start));
    assert_eq!(handoff.take_back(1, start).len(), 1);
    assert_eq!(handoff.take_back(1, start).len(), 1, "as many as there is room for");
    assert_eq!(read(&worker, &page), Some(2), "the poke");
    assert_eq!(read(&worker, &page), None);
}

#[test]
fn what_is_for_one_worker_alone_takes_no_room_elsewhere() {
    let start = Instant::now();
    let (mut handoff, _worker, _page) = setup(start);
    for bound in [true, true, false, false] {
        hand_so(&mut handoff, bound, start);
    }
    let taken = handoff.take_back(1, start);
    assert_eq!(taken.iter().map(|taken| taken.bound).collect::<Vec<_>>(), [true, true, false]);
    assert!(handoff.has_unread());
}

#[test]
fn it_is_told_when_the_listener_is_taken_back_with_others_still_behind_it() {
    let start = Instant::now();
    let (mut handoff, worker, page) = setup(start);
    let (listener, _) = fd::stream_pair().unwrap();
    hand(&mut handoff, start);
    handoff.let_fetch(ListenerId(2), ServerId(2), listener.as_fd(), start).unwrap();
    (0..2).for_each(|_| hand(&mut handoff, start));
    let taken = handoff.take_back(2, start);
    let taken: Vec<_> = taken.iter().map(|t| (t.listener.0, t.connection.is_some())).collect();
    assert_eq!(taken, [(1, true), (2, false), (1, true)]);
    assert_eq!(read(&worker, &page), Some(4));
}
