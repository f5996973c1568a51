//! Messages whose bounds are kept, beside a plain list of messages.

use proptest::prelude::*;

use super::super::queue::{MESSAGE_BYTES_MIN, MESSAGES_MIN};
use super::{NO_LIMIT, append, waiting};
use crate::connection::outbound::{Appended, Outbound, Parcel, Spare};

fn offer(
    outbound: &mut Outbound,
    spare: &mut Spare,
    limit: usize,
    drop_oldest: bool,
    key: Option<u64>,
    bytes: &[u8],
) -> Appended {
    let mut parcel = Parcel::new(bytes);
    let appended = outbound.push_message(spare, limit, drop_oldest, &mut parcel, key);
    parcel.end(spare);
    appended
}

#[test]
fn the_oldest_make_room_but_never_one_that_has_begun() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    for message in [b"aaaa", b"bbbb", b"cccc"] {
        offer(&mut outbound, &mut spare, 12, true, None, message);
    }
    outbound.consume(1, &mut spare);
    let made_room = |bytes, dropped| Appended::Exchanged {
        bytes,
        replaced: false,
        dropped,
    };
    let sent = offer(&mut outbound, &mut spare, 12, true, None, b"dddd");
    assert_eq!(sent, made_room(11, 1));
    assert_eq!(waiting(&outbound, 9), b"aaaccccdddd");
    let sent = offer(&mut outbound, &mut spare, 12, true, None, b"eeeeeeeee");
    assert_eq!(sent, made_room(12, 2));
    assert_eq!(waiting(&outbound, 9), b"aaaeeeeeeeee");
    let sent = offer(&mut outbound, &mut spare, 12, true, None, b"ffffffffff");
    assert_eq!(sent, Appended::OverLimit, "nothing is dropped in vain");
    assert_eq!(waiting(&outbound, 9), b"aaaeeeeeeeee");
    assert_eq!(outbound.clear(&mut spare), 12);
    assert_eq!(spare.held.bytes, 0);
}

#[test]
fn bytes_of_which_nobody_kept_the_bounds_stay() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    append(&mut outbound, &mut spare, NO_LIMIT, b"before");
    offer(&mut outbound, &mut spare, 10, true, None, b"1234");
    let sent = offer(&mut outbound, &mut spare, 10, true, None, b"56");
    assert!(matches!(sent, Appended::Exchanged { dropped: 1, .. }));
    assert_eq!(waiting(&outbound, 9), b"before56");
    let sent = offer(&mut outbound, &mut spare, 10, true, None, b"56789");
    assert_eq!(sent, Appended::OverLimit);
}

#[test]
fn a_key_replaces_what_waits_under_it_and_nothing_that_has_begun() {
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    let keyed = |outbound: &mut Outbound, spare: &mut Spare, key, bytes: &[u8]| {
        offer(outbound, spare, 100, false, Some(key), bytes)
    };
    keyed(&mut outbound, &mut spare, 1, b"gold 1.");
    keyed(&mut outbound, &mut spare, 2, b"iron 1.");
    let sent = keyed(&mut outbound, &mut spare, 1, b"gold 22.");
    let replaced = Appended::Exchanged {
        bytes: 15,
        replaced: true,
        dropped: 0,
    };
    assert_eq!(sent, replaced);
    assert_eq!(waiting(&outbound, 9), b"gold 22.iron 1.");
    outbound.consume(3, &mut spare);
    let sent = keyed(&mut outbound, &mut spare, 1, b"gold 3.");
    assert_eq!(sent, Appended::Queued { bytes: 19 });
    assert_eq!(waiting(&outbound, 9), b"d 22.iron 1.gold 3.");
    keyed(&mut outbound, &mut spare, 1, b"gold 4.");
    assert_eq!(waiting(&outbound, 9), b"d 22.iron 1.gold 4.");
    // One that does not fit leaves the older one as it is.
    let sent = keyed(&mut outbound, &mut spare, 2, &[b'x'; 100]);
    assert_eq!(sent, Appended::OverLimit);
    assert_eq!(waiting(&outbound, 9), b"d 22.iron 1.gold 4.");
    // Still the same queue: what is left of the first message has not kept the others from being found.
    outbound.consume(5 + 7, &mut spare);
    keyed(&mut outbound, &mut spare, 1, b"gold 5.");
    assert_eq!(waiting(&outbound, 9), b"gold 5.");
}

#[test]
fn small_messages_cost_bounded_memory() {
    const LIMIT: usize = 6400;
    let (mut outbound, mut spare) = (Outbound::default(), Spare::default());
    for number in 0..10_000 {
        offer(&mut outbound, &mut spare, LIMIT, true, Some(number), b"x");
    }
    let most = LIMIT / MESSAGE_BYTES_MIN + MESSAGES_MIN;
    assert_eq!(outbound.bytes(), most);
    let sent = offer(&mut outbound, &mut spare, LIMIT, false, None, b"y");
    assert_eq!(sent, Appended::OverLimit);
}

#[derive(Debug, Clone)]
enum Step {
    Offer {
        length: usize,
        key: Option<u64>,
        drop_oldest: bool,
    },
    /// Writes the given thousandths of what waits.
    Consume(usize),
    Clear,
}

fn any_step() -> impl Strategy<Value = Step> {
    let offer = (
        0_usize..40,
        prop::option::of(0_u64..4),
        prop::bool::weighted(0.7),
    );
    prop_oneof![
        12 => offer.prop_map(|(length, key, drop_oldest)| Step::Offer { length, key, drop_oldest }),
        4 => (0_usize..=1000).prop_map(Step::Consume),
        1 => Just(Step::Clear),
    ]
}

/// What must wait: a list of messages, written so far into the first.
#[derive(Default)]
struct Model {
    messages: Vec<(Option<u64>, Vec<u8>)>,
    written: usize,
}

impl Model {
    fn bytes(&self) -> Vec<u8> {
        let all = self.messages.iter().flat_map(|(_, bytes)| bytes);
        all.copied().skip(self.written).collect()
    }

    fn offer(
        &mut self,
        limit: usize,
        drop_oldest: bool,
        key: Option<u64>,
        message: &[u8],
    ) -> Appended {
        let waits = self.bytes().len();
        if message.is_empty() {
            return Appended::Queued { bytes: waits };
        }
        let begun = usize::from(self.written > 0);
        let mut dropped = 0;
        let before = (self.messages.clone(), self.written);
        loop {
            let same = self.messages[begun.min(self.messages.len())..]
                .iter()
                .position(|(of, _)| key.is_some() && *of == key);
            let mut next = self.messages.clone();
            match same {
                Some(position) => next[begun + position].1 = message.to_vec(),
                None => next.push((key, message.to_vec())),
            }
            let bytes = next.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() - self.written;
            if bytes <= limit && next.len() <= limit / MESSAGE_BYTES_MIN + MESSAGES_MIN {
                self.messages = next;
                let replaced = same.is_some();
                return if replaced || dropped > 0 {
                    Appended::Exchanged {
                        bytes,
                        replaced,
                        dropped,
                    }
                } else {
                    Appended::Queued { bytes }
                };
            }
            if !drop_oldest || self.messages.len() <= begun {
                (self.messages, self.written) = before;
                return Appended::OverLimit;
            }
            self.messages.remove(begun);
            dropped += 1;
        }
    }

    fn consume(&mut self, count: usize) {
        self.written += count;
        while let Some((_, first)) = self.messages.first()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.messages.remove(0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn outbound_is_a_bounded_list_of_messages(
        limit in prop_oneof![0_usize..60, 100_usize..400],
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let (mut outbound, mut spare, mut model) = (Outbound::default(), Spare::default(), Model::default());
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Step::Offer { length, key, drop_oldest } => {
                    let message = vec![number as u8; length];
                    let expected = model.offer(limit, drop_oldest, key, &message);
                    let sent = offer(&mut outbound, &mut spare, limit, drop_oldest, key, &message);
                    prop_assert_eq!(sent, expected);
                }
                Step::Consume(thousandths) => {
                    let count = outbound.bytes() * thousandths / 1000;
                    outbound.consume(count, &mut spare);
                    model.consume(count);
                }
                Step::Clear => {
                    outbound.clear(&mut spare);
                    model = Model::default();
                }
            }
            let expected = model.bytes();
            prop_assert_eq!(waiting(&outbound, 1000), expected.clone());
            prop_assert_eq!((outbound.bytes(), outbound.is_empty()), (expected.len(), expected.is_empty()));
            // Nobody else shares these: what is held is what waits, and the written part of the first.
            let all: usize = model.messages.iter().map(|(_, bytes)| bytes.len()).sum();
            prop_assert_eq!(spare.held.bytes, all);
            prop_assert_eq!(outbound.remembered_keys() <= model.messages.len(), true);
        }
    }
}
