//! All interleavings of a writer and a reader that wait for each other: the same source as in use,
//! with loom's atomics.

mod atomic {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[path = "positions.rs"]
mod positions;

use loom::cell::Cell;
use loom::sync::{Arc, Notify};
use loom::thread;
use positions::Positions;

/// A ring of one number, so that each waits for the other all the time.
struct Ring {
    positions: Positions,
    number: Cell<u64>,
    wake_reader: Notify,
    wake_writer: Notify,
}

const NUMBERS: u64 = 2;

fn read(ring: &Ring) {
    for head in 0..NUMBERS {
        while ring.positions.tail() == head {
            if ring.positions.wait_for_bytes(head) {
                ring.wake_reader.wait();
            }
        }
        assert_eq!(ring.number.get(), head + 1);
        if ring.positions.give_back(head + 1) {
            ring.wake_writer.notify();
        }
    }
}

fn write(ring: &Ring) {
    for tail in 0..NUMBERS {
        while ring.positions.head() != tail {
            if ring.positions.wait_for_room(tail, 1) {
                ring.wake_writer.wait();
            }
        }
        ring.number.set(tail + 1);
        if ring.positions.publish(tail + 1) {
            ring.wake_reader.notify();
        }
    }
}

#[test]
fn nobody_waits_for_ever_and_nothing_is_read_before_it_is_written() {
    let mut model = loom::model::Builder::new();
    // Without a bound it passes as well, and takes minutes.
    model.preemption_bound = Some(3);
    model.check(|| {
        let ring = Arc::new(Ring {
            positions: Positions::default(),
            number: Cell::new(0),
            wake_reader: Notify::new(),
            wake_writer: Notify::new(),
        });
        let other = Arc::clone(&ring);
        let reader = thread::spawn(move || read(&other));
        write(&ring);
        reader.join().unwrap();
    });
}
