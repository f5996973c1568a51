//! One suite for all codecs: what does not depend on how a codec marks its frames.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::{
    ByteOrder, Cobs, Decoded, Delimiter, FixedSize, FrameError, LengthPrefix, LineEnding, Lines,
    Netstring, Prefix, Unfinished,
};
use super::{ByteCodec, EXAMINED, Outcome, cut, encoded, receive, too_long};
use crate::connection::inbound::Inbound;

/// A codec, and what the suite has to know of it.
struct Subject<C> {
    /// The codec for frames of at most so many bytes.
    with_limit: fn(usize) -> C,
    /// Makes any bytes a message that the codec takes.
    tamed: fn(Vec<u8>) -> Vec<u8>,
    /// Bytes of a frame over the limit of [`LIMIT`] that are seen before it is refused. `None`: no frame is ever
    /// over the limit.
    refused_after: Option<usize>,
    /// The most bytes that a message can have: with a small header, what that can say.
    message_bytes_max: usize,
    /// How often a byte is looked at, at most.
    looks_max: usize,
    /// What becomes of a frame cut short.
    unfinished: Unfinished,
}

/// What the suite's small frames are limited to.
const LIMIT: usize = 100;

fn without(message: Vec<u8>, forbidden: &[u8]) -> Vec<u8> {
    let tame = |byte: u8| {
        if forbidden.contains(&byte) {
            b'x'
        } else {
            byte
        }
    };
    message.into_iter().map(tame).collect()
}

fn as_it_is(message: Vec<u8>) -> Vec<u8> {
    message
}

const fn prefixed(
    with_limit: fn(usize) -> LengthPrefix,
    prefix_bytes: usize,
    message_bytes_max: usize,
) -> Subject<LengthPrefix> {
    Subject {
        with_limit,
        tamed: as_it_is,
        refused_after: Some(prefix_bytes),
        message_bytes_max,
        looks_max: 1,
        unfinished: Unfinished::Refuse,
    }
}

const ANY: usize = usize::MAX;

const LINES: Subject<Lines> = Subject {
    with_limit: |limit| Lines::new().limit(limit),
    tamed: |message| without(message, b"\r\n"),
    refused_after: Some(LIMIT + 1),
    message_bytes_max: ANY,
    looks_max: 1,
    unfinished: Unfinished::Deliver,
};

const STRICT_LINES: Subject<Lines> = Subject {
    with_limit: |limit| {
        let strict = Lines::new()
            .accept(LineEnding::CrLf)
            .write(LineEnding::CrLf);
        strict.limit(limit).unfinished(Unfinished::Refuse)
    },
    // Many an LF, but none that ends a line.
    tamed: |message| without(message, b"\r"),
    unfinished: Unfinished::Refuse,
    ..LINES
};

const SHORT_MARK: Subject<Delimiter> = Subject {
    with_limit: |limit| Delimiter::new([0]).limit(limit),
    tamed: |message| without(message, &[0]),
    refused_after: Some(LIMIT + 1),
    message_bytes_max: ANY,
    looks_max: 1,
    unfinished: Unfinished::Drop,
};

const LONG_MARK: Subject<Delimiter> = Subject {
    with_limit: |limit| Delimiter::new("--=--").keep_mark(true).limit(limit),
    // Many a mark's beginning, but no mark.
    tamed: |message| without(message, b"="),
    refused_after: Some(LIMIT + 5),
    message_bytes_max: ANY,
    // Searched five bytes at a time, and four times at most compared with the five bytes of the mark.
    looks_max: 25,
    unfinished: Unfinished::Drop,
};

const COBS: Subject<Cobs> = Subject {
    with_limit: |limit| Cobs::new().limit(limit),
    tamed: as_it_is,
    refused_after: Some(LIMIT + 2),
    message_bytes_max: ANY,
    looks_max: 2,
    unfinished: Unfinished::Refuse,
};

const NETSTRING: Subject<Netstring> = Subject {
    with_limit: |limit| Netstring::new().limit(limit),
    tamed: as_it_is,
    refused_after: Some(3),
    message_bytes_max: ANY,
    looks_max: 1,
    unfinished: Unfinished::Refuse,
};

const FIXED_SIZE: Subject<FixedSize> = Subject {
    with_limit: |_| FixedSize::new(7),
    tamed: |mut message| {
        message.resize(7, b'.');
        message
    },
    refused_after: None,
    message_bytes_max: 7,
    looks_max: 1,
    unfinished: Unfinished::Refuse,
};

macro_rules! suite {
    ($($name:ident: $subject:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn a9_every_two_cuts_give_the_same() {
                every_two_cuts_give_the_same(&$subject);
            }

            #[test]
            fn a9_ten_megabytes_one_byte_at_a_time_is_linear() {
                one_byte_at_a_time_is_linear(&$subject);
            }

            #[test]
            fn a8_ten_gigabytes_without_an_end_are_refused_at_the_limit() {
                without_an_end_it_is_refused_at_the_limit(&$subject);
            }

            #[test]
            fn the_limit_is_the_last_size_that_passes() {
                the_limit_is_exact(&$subject);
            }

            #[test]
            fn what_is_cut_short_is_no_frame() {
                what_is_cut_short_is_incomplete(&$subject);
            }

            #[test]
            fn frames_lie_in_the_input() {
                frames_are_not_copied(&$subject);
            }

            proptest! {
                #[test]
                fn what_is_sent_arrives_however_it_is_cut(
                    messages in prop::collection::vec(prop::collection::vec(any_byte(), 0..40), 0..6),
                    large in prop::collection::vec(any_byte(), 0..700),
                    places in prop::collection::vec(any::<usize>(), 0..12),
                ) {
                    round_trip(&$subject, messages, large, &places)?;
                }

                #[test]
                fn any_bytes_give_the_same_however_they_are_cut(
                    stream in prop::collection::vec(any_byte(), 0..200),
                    places in prop::collection::vec(any::<usize>(), 0..12),
                ) {
                    let codec = ($subject.with_limit)(20);
                    let whole = receive(&codec, [&stream[..]]);
                    prop_assert_eq!(receive(&codec, cut(&stream, &places)), whole);
                }
            }
        }
    )*};
}

suite! {
    lines: LINES;
    strict_lines: STRICT_LINES;
    short_mark: SHORT_MARK;
    long_mark: LONG_MARK;
    cobs: COBS;
    netstring: NETSTRING;
    fixed_size: FIXED_SIZE;
    u8: prefixed(|limit| LengthPrefix::new(Prefix::U8).limit(limit), 1, 255);
    u16: prefixed(|limit| LengthPrefix::new(Prefix::U16).limit(limit), 2, 0xffff);
    u24_little: prefixed(|limit| LengthPrefix::new(Prefix::U24).order(ByteOrder::Little).limit(limit), 3, 0xff_ffff);
    u32: prefixed(|limit| LengthPrefix::new(Prefix::U32).limit(limit), 4, ANY);
    u32_little: prefixed(|limit| LengthPrefix::new(Prefix::U32).order(ByteOrder::Little).limit(limit), 4, ANY);
    u32_counts_itself: prefixed(|limit| LengthPrefix::new(Prefix::U32).counts_itself(true).limit(limit), 4, ANY);
    u64: prefixed(|limit| LengthPrefix::new(Prefix::U64).limit(limit), 8, ANY);
    varint: prefixed(|limit| LengthPrefix::new(Prefix::Varint).limit(limit), 2, ANY);
    varint_counts_itself: prefixed(|limit| LengthPrefix::new(Prefix::Varint).counts_itself(true).limit(limit), 2, ANY);
}

/// Bytes that mean something to one codec or another more often than chance would have it.
fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\0\x01\x02\x03\x05\r\n-=-:,0123\xff\x80\x81"[..]),
    ]
}

/// The stream of `messages`, and what has to arrive.
fn sent<C: ByteCodec>(codec: &C, messages: &[Vec<u8>]) -> (Vec<u8>, Outcome) {
    let mut stream = Vec::new();
    for message in messages {
        stream.extend(encoded(codec, message).expect("a tame message"));
    }
    let whole = receive(codec, [&stream[..]]);
    (stream, whole)
}

/// A frame as its receiver sees it: a codec that keeps its mark hands that over, too.
fn assert_carries(frames: &[Vec<u8>], messages: &[Vec<u8>]) {
    assert_eq!(frames.len(), messages.len());
    for (frame, message) in frames.iter().zip(messages) {
        let mark = frame
            .strip_prefix(&message[..])
            .expect("the message begins the frame");
        assert!(
            mark.is_empty() || mark == b"--=--",
            "{mark:?} behind the message"
        );
    }
}

fn every_two_cuts_give_the_same<C: ByteCodec>(subject: &Subject<C>) {
    let codec = (subject.with_limit)(LIMIT);
    let messages = [
        &b""[..],
        b"one",
        b"--",
        b"\0\0a\0",
        b"",
        b"12:",
        &[b'z'; 40],
    ];
    let messages = messages.map(|message| (subject.tamed)(message.to_vec()));
    let (mut stream, whole) = sent(&codec, &messages);
    assert_eq!(whole.error, None);
    assert_carries(&whole.frames, &messages);
    for unfinished_bytes in [0, 2] {
        stream.truncate(stream.len() - unfinished_bytes);
        let whole = receive(&codec, [&stream[..]]);
        assert_eq!(receive(&codec, stream.chunks(1)), whole);
        for second in 0..=stream.len() {
            for first in 0..=second {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(
                    receive(&codec, pieces),
                    whole,
                    "cut at {first} and {second}"
                );
            }
        }
    }
}

fn round_trip<C: ByteCodec>(
    subject: &Subject<C>,
    mut messages: Vec<Vec<u8>>,
    large: Vec<u8>,
    places: &[usize],
) -> Result<(), TestCaseError> {
    messages.push(large);
    for message in &mut messages {
        message.truncate(subject.message_bytes_max);
        *message = (subject.tamed)(std::mem::take(message));
    }
    let codec = (subject.with_limit)(1000);
    let (stream, whole) = sent(&codec, &messages);
    prop_assert_eq!(whole.error, None);
    assert_carries(&whole.frames, &messages);
    prop_assert_eq!(receive(&codec, cut(&stream, places)), whole);
    Ok(())
}

/// Shows `stream` to the codec byte by byte, through the buffer that a connection has. Says how many frames came.
fn received_byte_by_byte<C: ByteCodec>(codec: &mut C, stream: &[u8]) -> usize {
    let mut inbound = Inbound::default();
    let mut frames = 0;
    for byte in stream.chunks(1) {
        inbound.extend(byte);
        match codec.decode(inbound.bytes()) {
            Ok(Decoded::Frame { consumed, .. }) => {
                frames += 1;
                inbound.consume(consumed);
            }
            Ok(Decoded::Incomplete) => {}
            Err(error) => panic!("after {frames} frames: {error}"),
        }
    }
    assert!(inbound.is_empty(), "the stream ends with a frame");
    frames
}

/// Counts the bytes looked at, not the time: the same on every machine.
fn one_byte_at_a_time_is_linear<C: ByteCodec>(subject: &Subject<C>) {
    const BYTES: usize = 10_000_000;
    for frame_bytes in [64, BYTES] {
        let frame_bytes = frame_bytes.min(subject.message_bytes_max);
        let mut codec = (subject.with_limit)(frame_bytes);
        let message = (subject.tamed)(b"-\n\0".iter().copied().cycle().take(frame_bytes).collect());
        let frame = encoded(&codec, &message).expect("a tame message");
        let count = BYTES.div_ceil(frame.len());
        let stream = frame.repeat(count);
        EXAMINED.with(|examined| examined.set(0));
        assert_eq!(received_byte_by_byte(&mut codec, &stream), count);
        let examined = EXAMINED.with(Cell::get);
        assert!(
            examined <= subject.looks_max * stream.len(),
            "{examined} bytes looked at for {} received in frames of {frame_bytes}",
            stream.len()
        );
    }
}

/// A frame that is longer than `limit`.
fn over_the_limit<C: ByteCodec>(subject: &Subject<C>, limit: usize) -> Vec<u8> {
    let codec = (subject.with_limit)(limit);
    let message = (subject.tamed)(vec![b'x'; limit + 50]);
    encoded(&codec, &message).expect("a tame message")
}

/// As the engine receives it: 64 KiB at a time into a connection's buffer, until the codec gives up. Nearly all of the
/// ten gigabytes never have to be made for that.
fn without_an_end_it_is_refused_at_the_limit<C: ByteCodec>(subject: &Subject<C>) {
    const READ_BYTES: usize = 64 * 1024;
    const OFFERED_BYTES: u64 = 10 << 30;
    let reaches =
        |&limit: &usize| subject.refused_after.is_some() && limit + 50 <= subject.message_bytes_max;
    for limit in [LIMIT, 1 << 20].into_iter().filter(reaches) {
        let mut codec = (subject.with_limit)(limit);
        let mut read = over_the_limit(subject, limit);
        read.truncate(LIMIT);
        read.resize(READ_BYTES, b'x');
        let mut inbound = Inbound::default();
        let mut taken_bytes = 0_u64;
        let error = loop {
            assert!(taken_bytes < OFFERED_BYTES, "all of it was taken");
            taken_bytes += READ_BYTES as u64;
            inbound.extend(&read);
            match codec.decode(inbound.bytes()) {
                Ok(found) => assert_eq!(found, Decoded::Incomplete),
                Err(error) => break error,
            }
            let waiting = inbound.bytes().len();
            assert!(waiting <= limit + limit / 200 + 5, "{waiting} bytes wait");
            read.fill(b'x');
        };
        assert_eq!(error, FrameError::TooLong { limit });
        let most = (limit + limit / 200 + 5).next_multiple_of(READ_BYTES) as u64;
        assert!(taken_bytes <= most, "{taken_bytes} bytes taken");
    }
}

fn the_limit_is_exact<C: ByteCodec>(subject: &Subject<C>) {
    let Some(refused_after) = subject.refused_after else {
        return;
    };
    let codec = (subject.with_limit)(LIMIT);
    let message = (subject.tamed)(vec![b'x'; LIMIT]);
    let (_, outcome) = sent(&codec, std::slice::from_ref(&message));
    assert_eq!(outcome.error, None);
    assert_carries(&outcome.frames, &[message]);

    let stream = over_the_limit(subject, LIMIT);
    assert_eq!(receive(&codec, [&stream[..]]), too_long(&[], LIMIT));
    let refuses = |&bytes: &usize| codec.clone().decode(&stream[..bytes]).is_err();
    let bytes = (1..=stream.len()).find(refuses).expect("it is refused");
    assert_eq!(bytes, refused_after, "as soon as it can be known");
}

fn what_is_cut_short_is_incomplete<C: ByteCodec>(subject: &Subject<C>) {
    let mut codec = (subject.with_limit)(LIMIT);
    let message = (subject.tamed)(b"some message".to_vec());
    let stream = encoded(&codec, &message).expect("a tame message");
    for bytes in 0..stream.len() {
        let cut_short = &stream[..bytes];
        assert_eq!(codec.decode(cut_short), Ok(Decoded::Incomplete));
        let expected = match subject.unfinished {
            _ if bytes == 0 => Ok(None),
            Unfinished::Deliver => Ok(Some(cut_short)),
            Unfinished::Drop => Ok(None),
            Unfinished::Refuse => Err(FrameError::Unfinished),
        };
        assert_eq!(codec.finish(cut_short), expected, "{bytes} bytes");
    }
}

fn frames_are_not_copied<C: ByteCodec>(subject: &Subject<C>) {
    let mut codec = (subject.with_limit)(LIMIT);
    let message = (subject.tamed)(b"some message".to_vec());
    let stream = encoded(&codec, &message).expect("a tame message");
    let input = stream.as_ptr_range();
    let Ok(Decoded::Frame { frame, .. }) = codec.decode(&stream) else {
        panic!("the frame is whole");
    };
    assert!(
        input.contains(&frame.as_ptr()),
        "the frame is somewhere else"
    );
}
