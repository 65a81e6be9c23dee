use super::*;

#[test]
fn the_workers_line_up_once_and_nobody_is_accepted() {
    let mut cluster = Cluster::in_line(2, 2);
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.connect(3), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 1]);
    assert!(cluster.group.listener.accept().is_ok());
}

#[test]
fn they_line_up_when_many_have_come_for_some_time_and_for_as_long_as_they_do() {
    let mut cluster = Cluster::in_line(2, 2);
    cluster.group.line.pace = Pace::default();
    assert_eq!(cluster.accept(), Accepted::All);
    for (periods, come, then) in [
        (FORMS_AFTER - 1, BRISK, Accepted::All),
        (1, BRISK - 1, Accepted::All),
        (FORMS_AFTER - 1, BRISK, Accepted::All),
        (1, BRISK, Accepted::InLine),
        (ENDS_AFTER - 1, BRISK / 2 - 1, Accepted::InLine),
        (1, BRISK / 2, Accepted::InLine),
        (ENDS_AFTER - 1, 0, Accepted::InLine),
        (1, 0, Accepted::All),
        (FORMS_AFTER - 1, BRISK, Accepted::All),
        (1, BRISK, Accepted::InLine),
    ] {
        for _ in 0..periods {
            cluster.now += PERIOD / 2;
            cluster.accept();
            cluster.take(1, come / 2);
            cluster.take(2, come - come / 2);
            cluster.now += PERIOD / 2;
            assert_eq!(cluster.accept(), then);
            cluster.read_all();
        }
    }
    // Nor does it end when what one has taken is missing.
    cluster.group.remove(WorkerId(2));
    assert_eq!(cluster.accept(), Accepted::InLine);
}

#[test]
fn who_waits_too_long_is_handed_to_those_that_are_ready() {
    let mut cluster = Cluster::in_line(3, 3);
    assert_eq!(cluster.accept(), Accepted::InLine);
    cluster.read(1, 1);
    cluster.read(2, 1);
    assert_eq!(cluster.connect(3), Accepted::InLine);
    cluster.now += TIMEOUT / 2;
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [0, 0, 1], "they have been called");
    cluster.now += TIMEOUT / 2;
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 1, 1], "the third one does not even line up");
    assert!(cluster.group.listener.accept().is_ok());
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.connect(1), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 1, 1], "it has just come");
}

#[test]
fn with_too_many_workers_or_another_policy_they_are_recalled() {
    let mut cluster = Cluster::in_line(2, 2);
    assert_eq!(cluster.accept(), Accepted::InLine);
    cluster.read_all();
    cluster.join(3);
    assert_eq!(cluster.connect(1), Accepted::All);
    assert_eq!(cluster.unread(), [1, 1, 1], "two are recalled, the third one has the connection");
    cluster.read_all();
    cluster.group.remove(WorkerId(3));
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 1, 0]);
}

#[test]
fn one_that_was_not_recalled_is_told_again() {
    let mut cluster = Cluster::in_line(1, 1);
    assert_eq!(cluster.accept(), Accepted::InLine);
    cluster.read_all();
    cluster.join(2);
    assert_eq!(cluster.accept(), Accepted::All);
    assert_eq!(cluster.unread(), [1, 0]);
    let worker = WorkerId(1);
    cluster.handoffs.get_mut(&worker).unwrap().take_back(usize::MAX, cluster.now);
    cluster.group.not_recalled(worker);
    assert_eq!(cluster.accept(), Accepted::All);
    assert_eq!(cluster.unread(), [1, 0]);
}

#[test]
fn one_that_has_many_more_than_another_waits_before_it_lines_up_again() {
    let mut cluster = Cluster::in_line(2, 2);
    assert_eq!(cluster.accept(), Accepted::InLine);
    cluster.read_all();
    cluster.open(1, GROWTH);
    cluster.group.has_fetched(WorkerId(1), 8, cluster.now);
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [0, 0]);
    cluster.open(2, 1);
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 0]);
    // Or it would get none as long as the other one has few.
    cluster.read_all();
    cluster.open(1, 3 * GROWTH);
    cluster.group.has_fetched(WorkerId(1), 8, cluster.now);
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [0, 0]);
    cluster.now += TIMEOUT;
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 0]);
}

#[test]
fn one_that_refuses_or_cannot_begin_is_left_alone_for_a_moment() {
    let mut cluster = Cluster::in_line(2, 2);
    assert_eq!(cluster.accept(), Accepted::InLine);
    cluster.read_all();
    cluster.group.refused(WorkerId(1), cluster.now);
    cluster.group.has_fetched(WorkerId(2), 0, cluster.now);
    // Nobody is in line.
    assert_eq!(cluster.accept(), Accepted::All);
    assert_eq!(cluster.unread(), [0, 0]);
    cluster.now += TIMEOUT;
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [1, 1]);
}

#[test]
fn what_was_given_back_is_handed_out_before_anybody_lines_up_anew() {
    let mut cluster = Cluster::in_line(1, 1);
    cluster.group.refused(WorkerId(1), cluster.now);
    cluster.put_back(None);
    assert_eq!(cluster.accept(), Accepted::Paused);
    cluster.now += TIMEOUT;
    assert_eq!(cluster.accept(), Accepted::Paused);
    assert_eq!(cluster.unread(), [1], "the connection");
    cluster.read_all();
    cluster.now += TIMEOUT;
    assert_eq!(cluster.accept(), Accepted::InLine);
    assert_eq!(cluster.unread(), [1], "its place");
}

#[test]
fn who_waits_for_one_that_has_left_is_handed_out_at_once() {
    let leave: [fn(&mut Group); 3] = [
        |group| group.remove(WorkerId(1)),
        |group| group.has_fetched(WorkerId(1), 8, Instant::now()),
        |group| group.refused(WorkerId(1), Instant::now()),
    ];
    for leave in leave {
        let mut cluster = Cluster::in_line(2, 2);
        assert_eq!(cluster.accept(), Accepted::InLine);
        cluster.read_all();
        for page in cluster.pages.values() {
            page.phase.store(3, Ordering::Release);
        }
        assert_eq!(cluster.connect(1), Accepted::InLine);
        assert_eq!(cluster.unread(), [0, 0]);
        leave(&mut cluster.group);
        assert_eq!(cluster.accept(), Accepted::InLine);
        assert_eq!(cluster.unread()[1], 1);
        assert_eq!(cluster.accept(), Accepted::InLine);
    }
}

/// One of four workers is on shift, in line, and has read that. Returns who it is.
fn on_shift_in_line(cluster: &mut Cluster) -> u32 {
    cluster.connect(8);
    cluster.group.line.pace.is_brisk = true;
    let mut worker = in_line_now(cluster);
    assert_eq!(worker.len(), 1, "one of four has a place");
    worker.remove(0)
}

/// Who was told to line up, or to leave, by the next look. It is read, and so is all else.
fn in_line_now(cluster: &mut Cluster) -> Vec<u32> {
    let before = cluster.unread();
    assert_eq!(cluster.accept(), Accepted::InLine);
    let after = cluster.unread();
    cluster.read_all();
    (1..).zip(before.iter().zip(after)).filter(|(_, (a, b))| *a < b).map(|(id, _)| id).collect()
}

#[test]
fn of_those_that_work_in_shifts_only_those_on_shift_line_up_each_in_turn() {
    let mut cluster = Cluster::new(4, 1);
    let mut all = vec![on_shift_in_line(&mut cluster)];
    for _ in 1..4 {
        let last = *all.last().unwrap();
        cluster.turn_loop(last);
        cluster.now += SHIFT / 2;
        assert_eq!(in_line_now(&mut cluster), [0; 0]);
        cluster.turn_loop(last);
        cluster.now += SHIFT / 2;
        let told = in_line_now(&mut cluster);
        assert!(told.len() == 2 && told.contains(&last), "it leaves, another one comes");
        cluster.group.has_fetched(WorkerId(last), 1, cluster.now);
        all.extend(told.into_iter().filter(|id| *id != last));
    }
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);
}

#[test]
fn the_shift_goes_to_the_one_with_the_fewest_connections() {
    let mut cluster = Cluster::new(4, 1);
    let first = on_shift_in_line(&mut cluster);
    for id in (1..=4).filter(|id| *id != first) {
        cluster.open(id, u64::from(5 - id));
    }
    cluster.open(first, GROWTH + 8);
    let fewest = if first == 4 { 3 } else { 4 };
    let mut told = in_line_now(&mut cluster);
    told.retain(|id| *id != first);
    assert_eq!(told, [fewest]);
}

#[test]
fn one_on_shift_is_blocked_if_it_does_nothing_while_somebody_waits() {
    let mut cluster = Cluster::new(4, 1);
    let first = on_shift_in_line(&mut cluster);
    cluster.now += PATIENCE;
    assert_eq!(in_line_now(&mut cluster), [0; 0], "nobody waits");
    assert_eq!(cluster.connect(1), Accepted::InLine);
    let mut told = in_line_now(&mut cluster);
    told.retain(|id| *id != first);
    assert_eq!(told.len(), 1, "it leaves, another one comes");
    cluster.turn_loop(told[0]);
    assert_eq!(in_line_now(&mut cluster), [0; 0], "which has just begun");
}

#[test]
fn those_off_shift_are_left_idle_though_somebody_waits() {
    let mut cluster = Cluster::new(4, 1);
    let first = on_shift_in_line(&mut cluster);
    cluster.turn_loop(first);
    assert_eq!(cluster.connect(2), Accepted::InLine);
    cluster.now += TIMEOUT;
    // Not in the turn in which it has lined up, for the timeout at most.
    assert_eq!(in_line_now(&mut cluster), [first]);
    assert_eq!(cluster.connect(0), Accepted::InLine);
}

#[test]
fn without_shifts_those_in_line_are_recalled_and_handed_out_to_in_turn() {
    let mut cluster = Cluster::new(4, 1);
    let first = on_shift_in_line(&mut cluster);
    cluster.cpus = Cpus::that_are(false);
    assert_eq!(cluster.connect(4), Accepted::All);
    let mut expected = [1; 4];
    expected[first as usize - 1] = 2;
    assert_eq!(cluster.unread(), expected, "one each, one of them behind that it is recalled");
}
