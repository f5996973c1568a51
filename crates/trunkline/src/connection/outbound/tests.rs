mod messages;

use std::io::IoSlice;
use std::mem::size_of;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use proptest::prelude::*;

use super::queue::{BUFFER_BYTES_MAX, SPARE_SEGMENTS_MAX};
use super::spare::{SPARE_BYTES_MAX, SPARE_QUEUES_MAX};
use super::{Appended, Outbound, Parcel, SHARED_BYTES_MIN, Spare};
use crate::codec::FrameError;

const NO_LIMIT: usize = usize::MAX;

fn append(outbound: &mut Outbound, spare: &mut Spare, limit: usize, bytes: &[u8]) -> Appended {
    let encode = |output: &mut Vec<u8>| {
        output.extend_from_slice(bytes);
        Ok(())
    };
    outbound
        .append_with(spare, limit, encode)
        .expect("encoding succeeds")
}

/// Queues bytes that are shared with nobody else yet. Says whether there was room.
fn push(outbound: &mut Outbound, spare: &mut Spare, limit: usize, bytes: &[u8]) -> bool {
    let mut parcel = Parcel::new(bytes);
    let appended = outbound.push_shared(spare, limit, &mut parcel);
    parcel.end(spare);
    matches!(appended, Appended::Queued { bytes } if bytes == outbound.bytes())
}

/// All that waits, gathered `places` slices at a time.
fn waiting(outbound: &Outbound, places: usize) -> Vec<u8> {
    let mut slices = vec![IoSlice::new(&[]); places];
    let count = outbound.slices(&mut slices);
    assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
    slices[..count]
        .iter()
        .flat_map(|slice| slice.to_vec())
        .collect()
}

#[test]
fn an_idle_connection_costs_one_pointer() {
    assert_eq!(size_of::<Outbound>(), size_of::<usize>());
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    assert!(outbound.queue.is_none());
    assert_eq!(
        append(&mut outbound, &mut spare, NO_LIMIT, b"abc"),
        Appended::Queued { bytes: 3 }
    );
    assert_eq!((outbound.bytes(), outbound.is_empty()), (3, false));
    outbound.consume(2, &mut spare);
    assert_eq!(waiting(&outbound, 1), b"c");
    outbound.consume(1, &mut spare);
    assert!(outbound.is_empty() && outbound.queue.is_none());
    assert_eq!(spare.kept().count(), 1);
}

#[test]
fn a_queue_and_its_buffer_are_used_again() {
    let mut spare = Spare::default();
    let (mut first, mut second) = (Outbound::default(), Outbound::default());
    append(&mut first, &mut spare, NO_LIMIT, &[1; 1000]);
    assert_eq!(first.clear(&mut spare), 1000);
    append(&mut second, &mut spare, NO_LIMIT, b"x");
    assert_eq!(spare.kept().count(), 0);
    assert!(
        second
            .queue
            .as_ref()
            .is_some_and(|queue| queue.buffer.capacity() >= 1000)
    );
    assert_eq!(waiting(&second, 4), b"x");
}

#[test]
fn spare_memory_is_bounded() {
    let mut spare = Spare::default();
    let mut all: Vec<Outbound> = Vec::new();
    all.resize_with(SPARE_QUEUES_MAX + 10, Outbound::default);
    let bytes = vec![7; SHARED_BYTES_MIN];
    let mut parcel = Parcel::new(&bytes);
    for outbound in &mut all {
        append(
            outbound,
            &mut spare,
            NO_LIMIT,
            &vec![1; 4 * BUFFER_BYTES_MAX],
        );
        for _ in 0..200 {
            outbound.push_shared(&mut spare, NO_LIMIT, &mut parcel);
        }
    }
    let shared = parcel.share(&mut spare.held);
    parcel.end(&mut spare);
    for outbound in &mut all {
        outbound.clear(&mut spare);
    }
    assert_eq!(spare.kept().count(), SPARE_QUEUES_MAX + 1);
    let most = [BUFFER_BYTES_MAX]
        .into_iter()
        .chain([SPARE_BYTES_MAX; SPARE_QUEUES_MAX]);
    for (queue, buffer_bytes_max) in spare.kept().zip(most) {
        assert!(queue.buffer.capacity() <= buffer_bytes_max);
        assert!(queue.segments.capacity() <= SPARE_SEGMENTS_MAX);
    }
    assert_eq!(
        Arc::strong_count(&shared),
        1,
        "nothing keeps the shared bytes"
    );
}

#[test]
fn shared_bytes_are_not_copied_and_count_once() {
    let mut spare = Spare::default();
    let (mut first, mut second) = (Outbound::default(), Outbound::default());
    let large = vec![7; SHARED_BYTES_MIN];
    let small = vec![8; SHARED_BYTES_MIN - 1];
    for bytes in [&large, &small] {
        let mut parcel = Parcel::new(bytes);
        for outbound in [&mut first, &mut second] {
            outbound.push_shared(&mut spare, NO_LIMIT, &mut parcel);
        }
        parcel.end(&mut spare);
    }
    assert_eq!(waiting(&first, 4), [&large[..], &small[..]].concat());
    assert_eq!(waiting(&first, 4), waiting(&second, 4));
    assert_eq!(spare.held.bytes, large.len() + 2 * small.len());
    first.consume(large.len(), &mut spare);
    second.consume(large.len() - 1, &mut spare);
    assert_eq!(spare.held.bytes, large.len() + 2 * small.len(), "still one");
    second.consume(1, &mut spare);
    assert_eq!(spare.held.bytes, 2 * small.len());
    first.clear(&mut spare);
    second.consume(small.len(), &mut spare);
    assert_eq!(spare.held.bytes, 0);
    assert_eq!(spare.held.bytes_peak, large.len() + 2 * small.len());
    assert_eq!(spare.held.queue_peak, large.len() + small.len());
}

#[test]
fn the_limit_is_kept_and_reached() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    assert_eq!(
        append(&mut outbound, &mut spare, 10, &[1; 11]),
        Appended::OverLimit
    );
    assert!(outbound.queue.is_none());
    assert_eq!(
        append(&mut outbound, &mut spare, 10, &[1; 8]),
        Appended::Queued { bytes: 8 }
    );
    assert_eq!(
        append(&mut outbound, &mut spare, 10, &[2; 3]),
        Appended::OverLimit
    );
    assert!(!push(&mut outbound, &mut spare, 10, &[3; 3]));
    assert_eq!(
        append(&mut outbound, &mut spare, 10, &[4; 2]),
        Appended::Queued { bytes: 10 }
    );
    assert!(push(&mut outbound, &mut spare, 10, &[]));
    assert_eq!(waiting(&outbound, 4), [1, 1, 1, 1, 1, 1, 1, 1, 4, 4]);
    outbound.consume(1, &mut spare);
    assert!(push(&mut outbound, &mut spare, 10, &[5]));
}

#[test]
fn a_failed_message_leaves_nothing_behind() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    for before in [0, 3, BUFFER_BYTES_MAX] {
        append(&mut outbound, &mut spare, NO_LIMIT, &vec![1; before]);
        let failed = outbound.append_with(&mut spare, NO_LIMIT, |output| {
            output.extend_from_slice(b"half a mess");
            Err(FrameError::ContainsMark)
        });
        assert_eq!(failed, Err(FrameError::ContainsMark));
        assert_eq!(waiting(&outbound, 4), vec![1; before]);
        assert_eq!(outbound.clear(&mut spare), before);
    }
}

#[test]
fn a_codec_that_panics_leaves_nothing_behind() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    for before in [0, 3, BUFFER_BYTES_MAX] {
        append(&mut outbound, &mut spare, NO_LIMIT, &vec![1; before]);
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            outbound.append_with(&mut spare, NO_LIMIT, |output| {
                output.extend_from_slice(b"half a mess");
                std::panic::resume_unwind(Box::new("the codec"))
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(waiting(&outbound, 4), vec![1; before]);
        assert_eq!(spare.held.bytes, before);
        assert_eq!(outbound.clear(&mut spare), before);
    }
    assert!(outbound.queue.is_none());
}

#[test]
fn an_empty_message_keeps_the_connection_idle() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    assert_eq!(
        append(&mut outbound, &mut spare, 0, b""),
        Appended::Queued { bytes: 0 }
    );
    assert!(push(&mut outbound, &mut spare, 0, &[]));
    assert!(outbound.queue.is_none());
    assert_eq!(
        (waiting(&outbound, 4), outbound.clear(&mut spare)),
        (Vec::new(), 0)
    );
    outbound.consume(0, &mut spare);
}

#[test]
fn a3_memory_stays_near_what_waits_when_the_queue_never_empties() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    append(&mut outbound, &mut spare, NO_LIMIT, &[0; 1000]);
    for _ in 0..10_000 {
        append(&mut outbound, &mut spare, NO_LIMIT, &[0; 1000]);
        outbound.consume(1000, &mut spare);
    }
    let queue = outbound.queue.as_ref().expect("1000 bytes wait");
    let held: usize = queue
        .segments
        .iter()
        .map(|segment| segment.bytes().len())
        .sum();
    assert!(queue.buffer.capacity() + held <= 4 * BUFFER_BYTES_MAX);
}

#[test]
#[should_panic(expected = "a codec only appends")]
fn a_codec_that_takes_bytes_away_is_found_out() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    append(&mut outbound, &mut spare, NO_LIMIT, b"earlier");
    let _ = outbound.append_with(&mut spare, NO_LIMIT, |output| {
        output.clear();
        Ok(())
    });
}

#[test]
#[should_panic(expected = "no more bytes are written than waited")]
fn more_than_waits_cannot_be_written() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    append(&mut outbound, &mut spare, NO_LIMIT, b"abc");
    outbound.consume(4, &mut spare);
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Fail(usize),
    Share(usize),
    /// Writes the given thousandths of what waits.
    Consume(usize),
    Clear,
}

fn any_length() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0_usize..20,
        3 => SHARED_BYTES_MIN - 2..SHARED_BYTES_MIN + 2,
        1 => BUFFER_BYTES_MAX - 2..BUFFER_BYTES_MAX + 2,
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_length().prop_map(Step::Append),
        2 => any_length().prop_map(Step::Fail),
        4 => any_length().prop_map(Step::Share),
        6 => (0_usize..=1000).prop_map(Step::Consume),
        1 => Just(Step::Clear),
    ]
}

/// An outbound beside the plain bytes it must hold.
struct Pair {
    outbound: Outbound,
    model: Vec<u8>,
    next_byte: u8,
}

impl Pair {
    fn message(&mut self, length: usize) -> Vec<u8> {
        let next = || {
            self.next_byte = self.next_byte.wrapping_mul(5).wrapping_add(1);
            self.next_byte
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    fn apply(&mut self, spare: &mut Spare, limit: usize, step: &Step) {
        match *step {
            Step::Append(length) => {
                let message = self.message(length);
                let fits = self.model.len() + length <= limit;
                let expected = if fits {
                    Appended::Queued {
                        bytes: self.model.len() + length,
                    }
                } else {
                    Appended::OverLimit
                };
                assert_eq!(append(&mut self.outbound, spare, limit, &message), expected);
                self.model.extend(message.iter().filter(|_| fits));
            }
            Step::Fail(length) => {
                let message = self.message(length);
                let failed = self.outbound.append_with(spare, limit, |output| {
                    output.extend_from_slice(&message);
                    Err(FrameError::Unfinished)
                });
                assert_eq!(failed, Err(FrameError::Unfinished));
            }
            Step::Share(length) => {
                let message = self.message(length);
                let fits = self.model.len() + length <= limit;
                assert_eq!(push(&mut self.outbound, spare, limit, &message), fits);
                self.model.extend(message.iter().filter(|_| fits));
            }
            Step::Consume(thousandths) => {
                let count = self.model.len() * thousandths / 1000;
                self.outbound.consume(count, spare);
                self.model.drain(..count);
            }
            Step::Clear => {
                assert_eq!(self.outbound.clear(spare), self.model.len());
                self.model.clear();
            }
        }
    }

    fn check(&self, places: usize) {
        assert_eq!(self.outbound.bytes(), self.model.len());
        assert_eq!(self.outbound.is_empty(), self.model.is_empty());
        assert_eq!(self.outbound.queue.is_none(), self.model.is_empty());
        assert!(
            waiting(&self.outbound, 1000) == self.model,
            "the bytes differ"
        );
        let first = waiting(&self.outbound, places);
        assert!(self.model.starts_with(&first));
        assert_eq!(first.is_empty(), places == 0 || self.model.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Two connections that share the spare queues, each beside its model.
    #[test]
    fn outbound_is_a_bounded_queue_of_bytes(
        limit in prop_oneof![0_usize..600, 60_000_usize..200_000],
        places in 0_usize..5,
        steps in prop::collection::vec((any::<bool>(), any_step()), 0..60),
    ) {
        let pair = || Pair { outbound: Outbound::default(), model: Vec::new(), next_byte: 0 };
        let (mut first, mut second, mut spare) = (pair(), pair(), Spare::default());
        for (which, step) in &steps {
            let pair = if *which { &mut first } else { &mut second };
            pair.apply(&mut spare, limit, step);
            first.check(places);
            second.check(places);
        }
        let waiting = [first, second].map(|mut pair| pair.outbound.clear(&mut spare));
        prop_assert!(spare.held.bytes_peak >= waiting.iter().sum());
        prop_assert_eq!(spare.held.bytes, 0);
    }
}
