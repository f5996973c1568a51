use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Full, Queue, SLICES_MAX, WhenOver};

/// Takes so many bytes, then "would block".
struct Peer {
    takes: usize,
    taken: Vec<u8>,
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.takes == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(self.takes);
        self.takes -= count;
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_message_without_room_comes_back_with_the_age_of_the_oldest() {
    let start = Instant::now();
    let later = start + Duration::from_secs(3);
    let mut queue = Queue::new(4);
    assert_eq!(queue.age(later), Duration::ZERO);
    assert_eq!(queue.push("abc", start), Ok(()));
    let age = Duration::from_secs(3);
    assert_eq!(queue.push("de", later), Err(Full { message: "de", age }));
    assert_eq!((queue.messages(), queue.bytes(), queue.room()), (1, 3, 1));
    queue.consume(2);
    assert_eq!(queue.push("de", later), Ok(()));
    assert_eq!(queue.oldest(), Some(start));
    queue.consume(1);
    assert_eq!(queue.oldest(), Some(later));
    assert_eq!(queue.clear(), 2);
    assert!(queue.is_empty() && queue.room() == 4);
}

#[test]
fn the_number_of_messages_has_a_limit_too() {
    let now = Instant::now();
    let mut queue = Queue::new(100).messages_max(2);
    for message in ["a", "", "b"] {
        assert_eq!(queue.push(message, now), Ok(()));
    }
    assert!(queue.push("c", now).is_err());
    let mut queue = queue.when_over(WhenOver::DropOldest);
    assert_eq!(queue.push("c", now), Ok(()));
    assert!(queue.iter().eq([b"b", b"c"]));
}

#[test]
fn the_message_that_is_partly_written_is_never_dropped() {
    let now = Instant::now();
    let mut queue = Queue::new(10).when_over(WhenOver::DropOldest);
    for message in ["abcd", "ef", "gh"] {
        assert_eq!(queue.push(message, now), Ok(()));
    }
    queue.consume(1);
    assert_eq!(queue.push("12345", now), Ok(()));
    assert!(queue.iter().eq([&b"bcd"[..], b"gh", b"12345"]));
    assert_eq!(queue.dropped(), 1);
    // What cannot be made room for changes nothing.
    assert!(queue.push("12345678", now).is_err());
    assert_eq!((queue.messages(), queue.dropped()), (3, 1));
}

#[test]
fn messages_can_be_shared() {
    let message: Arc<[u8]> = b"to everybody".as_slice().into();
    let mut queues = vec![Queue::new(100); 3];
    for queue in &mut queues {
        assert!(queue.push(Arc::clone(&message), Instant::now()).is_ok());
    }
    assert_eq!(Arc::strong_count(&message), 4);
}

#[test]
fn a_destination_that_takes_nothing_is_an_error() {
    let mut queue = Queue::new(4);
    assert!(queue.push("abc", Instant::now()).is_ok());
    let nothing: &mut [u8] = &mut [];
    let error = queue.write_to(nothing).unwrap_err();
    assert_eq!((error.kind(), queue.bytes()), (ErrorKind::WriteZero, 3));
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<u8>),
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..8).prop_map(Step::Push),
        1 => (0_usize..30).prop_map(Step::Write),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Against a list of messages that is searched and moved about without a thought for speed.
    #[test]
    fn what_arrives_is_what_was_sent_less_what_was_dropped(steps in steps(), drop_oldest: bool, bytes_max in 0_usize..40) {
        let now = Instant::now();
        let when_over = if drop_oldest { WhenOver::DropOldest } else { WhenOver::Refuse };
        let mut queue = Queue::new(bytes_max).messages_max(SLICES_MAX + 4).when_over(when_over);
        let mut model: Vec<Vec<u8>> = Vec::new();
        let mut begun = false;
        let mut dropped = 0;
        let mut expected = Vec::new();
        let mut peer = Peer { takes: 0, taken: Vec::new() };
        for step in steps {
            match step {
                Step::Push(message) => {
                    let before = model.clone();
                    let fits = |model: &[Vec<u8>]| {
                        model.concat().len() + message.len() <= bytes_max && model.len() < SLICES_MAX + 4
                    };
                    while drop_oldest && !message.is_empty() && !fits(&model) && model.len() > usize::from(begun) {
                        model.remove(usize::from(begun));
                    }
                    let room = message.is_empty() || fits(&model);
                    if room {
                        dropped += (before.len() - model.len()) as u64;
                        if !message.is_empty() {
                            model.push(message.clone());
                        }
                    } else {
                        model = before;
                    }
                    prop_assert_eq!(queue.push(message, now).is_ok(), room);
                }
                Step::Write(count) => {
                    peer.takes = count;
                    let empty = queue.write_to(&mut peer).expect("a peer that never fails");
                    let all = model.concat();
                    let count = count.min(all.len());
                    expected.extend_from_slice(&all[..count]);
                    let mut rest = count;
                    while rest > 0 {
                        let first = &mut model[0];
                        let taken = rest.min(first.len());
                        first.drain(..taken);
                        rest -= taken;
                        begun = !first.is_empty();
                        if !begun {
                            model.remove(0);
                        }
                    }
                    prop_assert_eq!(empty, model.is_empty());
                }
            }
            prop_assert!(queue.iter().eq(model.iter().map(Vec::as_slice)));
            prop_assert_eq!((queue.messages(), queue.bytes()), (model.len(), model.concat().len()));
            prop_assert!(queue.bytes() <= bytes_max);
            prop_assert_eq!(queue.dropped(), dropped);
        }
        prop_assert_eq!(peer.taken, expected);
    }
}
