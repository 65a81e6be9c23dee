use super::incoming::READ_BOUND;
use super::*;
use std::os::fd::AsRawFd;

fn pair() -> (Channel, Channel) {
    let (ours, theirs) = fd::stream_pair().unwrap();
    let (a, end) = Channel::create(ours).unwrap();
    (a, Channel::open(theirs, end).unwrap())
}

/// A frame that has arrived: kind, payload, number of descriptors.
type Arrived = (Kind, Vec<u8>, usize);

/// Everything that has arrived.
fn drain(channel: &mut Channel) -> (Vec<Arrived>, Left) {
    let mut frames = Vec::new();
    loop {
        channel.receive_fds().unwrap();
        let left = channel
            .receive(|frame| frames.push((frame.kind, frame.payload.to_vec(), frame.fds.len())))
            .unwrap();
        if left != Left::More {
            return (frames, left);
        }
    }
}

fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut polled = [nix::poll::PollFd::new(descriptor, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut polled, nix::poll::PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn frames_arrive_whole_and_in_order() {
    let (mut a, mut b) = pair();
    for n in 0..100_u8 {
        a.send(Kind::Json, 1, &[&[n; 3], &[n; 50]], &[]).unwrap();
    }
    let (frames, left) = drain(&mut b);
    assert_eq!(left, Left::Nothing);
    let firsts: Vec<u8> = frames.iter().map(|(_, payload, _)| payload[0]).collect();
    assert_eq!(firsts, (0..100).collect::<Vec<u8>>());
    assert!(frames.iter().all(|(_, payload, _)| payload.len() == 53));
}

#[test]
fn a_frame_can_be_made_where_it_is_read() {
    let (mut a, mut b) = pair();
    let fill = |buffer: &mut [u8]| {
        buffer[..3].copy_from_slice(b"abc");
        Some((Kind::AsciiJson, 3))
    };
    assert!(a.send_in_place(1, 100, fill).unwrap());
    assert!(!a.send_in_place(1, ring::CAPACITY, fill).unwrap(), "there is no such room");
    assert!(!a.send_in_place(1, 100, |_| None).unwrap(), "it was given up");
    assert_eq!(drain(&mut b).0, [(Kind::AsciiJson, b"abc".to_vec(), 0)]);
}

#[test]
fn what_there_is_no_room_for_is_kept_and_flushed_when_there_is() {
    let (mut a, mut b) = pair();
    let long: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    a.send(Kind::Advanced, 1, &[&long], &[]).unwrap();
    a.send(Kind::Json, 1, &[b"after"], &[]).unwrap();
    assert!(a.unsent() > 0);
    let mut frames = Vec::new();
    while frames.len() < 2 {
        frames.extend(drain(&mut b).0);
        if a.unsent() > 0 {
            assert!(is_readable(a.waker()), "there is room");
            fd::settle(a.waker());
            a.flush().unwrap();
        }
    }
    assert!(frames[0].1 == long);
    assert_eq!(frames[1], (Kind::Json, b"after".to_vec(), 0));
    assert_eq!(a.unsent(), 0);
    drop(frames);
    assert_eq!(a.pending(), 0);
}

#[test]
fn what_a_socket_would_not_hold_is_pending_until_it_is_read() {
    let (mut a, mut b) = pair();
    a.send(Kind::Json, 1, &[&[1; 1000]], &[]).unwrap();
    assert_eq!(a.pending(), 0);
    a.send(Kind::Json, 1, &[&vec![1; 1_000_000]], &[]).unwrap();
    assert_eq!((a.unsent(), a.pending() as u64), (0, a.sent() - u64::from(ALLOWANCE)));
    assert!(!is_readable(a.waker()));
    drain(&mut b);
    assert!(is_readable(a.waker()), "that is told");
    assert_eq!(a.pending(), 0);
}

#[test]
fn the_waker_tells_once_of_what_comes_after_the_reader_waits() {
    let (mut a, mut b) = pair();
    a.send(Kind::Json, 1, &[b"0"], &[]).unwrap();
    assert!(!is_readable(b.waker()), "it does not wait");
    assert!(!b.wait(), "there is something already");
    drain(&mut b);
    assert!(b.wait());
    a.send(Kind::Json, 1, &[b"1"], &[]).unwrap();
    assert!(is_readable(b.waker()));
    fd::settle(b.waker());
    a.send(Kind::Json, 1, &[b"2"], &[]).unwrap();
    assert!(!is_readable(b.waker()), "it has been told");
    assert_eq!(drain(&mut b).0.len(), 2);
}

#[test]
fn a_part_of_a_frame_is_no_reason_not_to_wait_for_the_rest() {
    let (mut a, mut b) = pair();
    while a.unsent() == 0 {
        a.send(Kind::Json, 1, &[&vec![1; 1_500_000]], &[]).unwrap();
    }
    assert_eq!(drain(&mut b).0.len(), 2);
    assert!(b.wait(), "the writer has to go on first");
    a.flush().unwrap();
    assert!(is_readable(b.waker()));
    assert_eq!(drain(&mut b).0.len(), 1);
}

#[test]
fn descriptors_arrive_with_their_own_frame_even_behind_a_full_ring() {
    let (mut a, mut b) = pair();
    let (mine, theirs) = fd::stream_pair().unwrap();
    a.send(Kind::Json, 1, &[&vec![1; 5_000_000]], &[]).unwrap();
    a.send(Kind::JsonHandle, 1, &[b"h"], &[mine.as_fd(), theirs.as_fd()]).unwrap();
    a.send(Kind::Json, 1, &[b"after"], &[]).unwrap();
    let (mine, _theirs) = fd::stream_pair().unwrap();
    a.send(Kind::JsonHandle, 1, &[&vec![2; 5_000_000]], &[mine.as_fd()]).unwrap();
    let mut frames = Vec::new();
    while frames.len() < 4 {
        a.flush().unwrap();
        frames.extend(drain(&mut b).0);
    }
    assert_eq!(frames[0].2, 0);
    assert_eq!(frames[1], (Kind::JsonHandle, b"h".to_vec(), 2));
    assert_eq!(frames[2], (Kind::Json, b"after".to_vec(), 0));
    assert_eq!((frames[3].1.len(), frames[3].2), (5_000_000, 1));
}

#[test]
fn the_end_is_told_after_what_was_sent_before_it() {
    let (mut a, mut b) = pair();
    let (mine, _theirs) = fd::stream_pair().unwrap();
    a.send(Kind::Json, 1, &[b"last"], &[mine.as_fd()]).unwrap();
    drop(a);
    b.looked -= LOOK_INTERVAL;
    assert_eq!(b.send(Kind::Json, 1, &[b"x"], &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    let (frames, left) = drain(&mut b);
    assert_eq!(frames, [(Kind::Json, b"last".to_vec(), 1)]);
    assert_eq!(left, Left::End);
}

#[test]
fn malformed_bytes_are_an_error_after_the_frames_before_them() {
    let (mut a, mut b) = pair();
    a.send(Kind::Json, 1, &[b"fine"], &[]).unwrap();
    a.writer.write(&[0xff; 16]);
    a.publish();
    let mut count = 0;
    let error = b.receive(|_| count += 1).unwrap_err();
    assert_eq!((count, error.kind()), (1, io::ErrorKind::InvalidData));
}

#[test]
fn a_payload_over_the_limit_is_refused_and_harms_nothing() {
    let (mut a, mut b) = pair();
    let part = vec![0; 1 << 20];
    let parts = vec![&part[..]; 4096];
    let error = a.send(Kind::Json, 1, &parts, &[]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    a.send(Kind::Json, 1, &[b"fine"], &[]).unwrap();
    assert_eq!(drain(&mut b).0, [(Kind::Json, b"fine".to_vec(), 0)]);
}

#[test]
fn a_flood_is_delivered_in_bounded_portions() {
    let (mut a, mut b) = pair();
    for _ in 0..1000 {
        a.send(Kind::Json, 1, &[&[7; 1000]], &[]).unwrap();
    }
    let mut count = 0;
    assert_eq!(b.receive(|_| count += 1).unwrap(), Left::More);
    assert!(count * 1000 <= READ_BOUND + 1000);
}

#[test]
fn what_was_left_behind_is_delivered_with_the_end() {
    let (mut a, mut b) = pair();
    for _ in 0..1000 {
        a.send(Kind::Json, 1, &[&[7; 1000]], &[]).unwrap();
    }
    drop(a);
    b.receive_fds().unwrap();
    let mut count = 0;
    assert_eq!(b.receive(|_| count += 1).unwrap(), Left::End);
    assert_eq!(count, 1000);
}

#[test]
fn a_channel_that_is_dropped_closes_what_it_still_holds() {
    let (mut a, b) = pair();
    let (mine, theirs) = fd::stream_pair().unwrap();
    let raw = theirs.as_raw_fd();
    a.send(Kind::JsonHandle, 1, &[b"h"], &[theirs.as_fd()]).unwrap();
    drop(theirs);
    assert!(fd::duplicate(raw).is_err(), "what was sent is not held here");
    drop((a, b));
    // Nobody holds the other end any more, not even the queue of the socket.
    let mut buffer = [0];
    assert_eq!(fd::receive(mine.as_fd(), &mut buffer).unwrap().bytes, 0);
}

/// What an event loop does: waits for the waker, flushes and reads.
fn turn(channel: &mut Channel, mut deliver: impl FnMut(Frame<'_>)) {
    let mut polled = [nix::poll::PollFd::new(channel.waker(), nix::poll::PollFlags::POLLIN)];
    let ready = nix::poll::poll(&mut polled, nix::poll::PollTimeout::from(10_000_u16)).unwrap();
    assert_eq!(ready, 1, "nobody wakes this side");
    channel.settle();
    channel.flush().unwrap();
    while channel.receive(&mut deliver).unwrap() == Left::More || !channel.wait() {}
}

#[test]
fn two_event_loops_that_send_much_never_wait_for_each_other() {
    let (mut a, mut b) = pair();
    a.wait();
    b.wait();
    let payload = vec![1; 1_000_000];
    let reader = std::thread::spawn(move || {
        let mut count = 0;
        while count < 200 {
            turn(&mut b, |_| count += 1);
        }
    });
    for _ in 0..200 {
        a.send(Kind::Json, 1, &[&payload], &[]).unwrap();
        while a.unsent() > 3_000_000 {
            turn(&mut a, |_| ());
        }
    }
    while a.unsent() > 0 {
        turn(&mut a, |_| ());
    }
    reader.join().unwrap();
}
