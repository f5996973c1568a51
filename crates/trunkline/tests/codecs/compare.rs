//! What the codecs make of a stream, however it is cut, must be what the naive ones make of the whole.
//!
//! Used by the tests, and by the fuzz target `codecs`.

use std::fmt::Debug;

use trunkline::codec::{
    ByteOrder, Chunks, Cobs, Codec, Decoded, Delimiter, FixedSize, FrameError, LengthPrefix,
    LineEnding, Lines, Netstring, Prefix, Unfinished,
};

use crate::naive::{
    First, MALFORMED, Naive, NaiveCobs, NaiveDelimiter, NaiveFixedSize, NaiveLengthPrefix,
    NaiveLines, NaiveNetstring,
};

/// Frames, and what ended the stream early.
type Outcome = (Vec<Vec<u8>>, Option<FrameError>);

/// What `naive` makes of a stream.
fn read_whole(naive: &impl Naive, limit: usize, stream: &[u8]) -> Outcome {
    let mut frames = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        match naive.first(rest, limit as u128) {
            First::Frame(frame, used) => {
                frames.push(frame);
                rest = &rest[used..];
            }
            First::Refused(error) => return (frames, Some(error)),
            First::Cut => match naive.unfinished() {
                Unfinished::Drop => break,
                Unfinished::Refuse => return (frames, Some(FrameError::Unfinished)),
                Unfinished::Deliver if rest.len() > limit => {
                    return (frames, Some(FrameError::TooLong { limit }));
                }
                Unfinished::Deliver => {
                    frames.push(rest.to_vec());
                    break;
                }
            },
        }
    }
    (frames, None)
}

/// Codecs of bytes.
trait ByteCodec: Debug + 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]> {}
impl<C: Debug + 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]>> ByteCodec for C {}

/// Shows `pieces` to a codec as the engine does: all that is unconsumed, until it finds nothing more. After each piece,
/// at most `waiting_max` bytes may wait for more.
fn read_pieces<'p>(
    codec: &impl ByteCodec,
    waiting_max: usize,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Outcome {
    let mut codec = codec.clone();
    let mut waiting = Vec::new();
    let mut frames = Vec::new();
    for piece in pieces {
        waiting.extend_from_slice(piece);
        loop {
            match codec.decode(&waiting) {
                Ok(Decoded::Frame { frame, consumed }) => {
                    assert!(consumed > 0, "a frame that uses up nothing comes for ever");
                    frames.push(frame.to_vec());
                    waiting.drain(..consumed);
                }
                Ok(Decoded::Incomplete) => break,
                Err(error) => return (frames, Some(without_reason(error))),
            }
        }
        assert!(
            waiting.len() <= waiting_max,
            "{codec:?}: {} wait",
            waiting.len()
        );
    }
    match codec.finish(&waiting) {
        Ok(last) => frames.extend(last.map(<[u8]>::to_vec)),
        Err(error) => return (frames, Some(without_reason(error))),
    }
    (frames, None)
}

/// Naive codecs do not care which rule is broken.
fn without_reason(error: FrameError) -> FrameError {
    match error {
        FrameError::Malformed { .. } => MALFORMED,
        error => error,
    }
}

/// `stream` in pieces of up to seven bytes, as `choice` has it; some are empty.
fn pieces(mut stream: &[u8], choice: u8) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut state = choice;
    while !stream.is_empty() {
        // Goes through all 256 values, whatever it begins with.
        state = state.wrapping_mul(5).wrapping_add(3);
        let (piece, rest) = stream.split_at(usize::from(state >> 5).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

/// How a stream arrives.
#[derive(Clone, Copy)]
struct Arrival<'s> {
    stream: &'s [u8],
    limit: usize,
    cut: u8,
}

/// Whether a codec reads and writes as `naive` does: however the bytes of a stream are cut, and the same bytes as messages.
fn assert_same<C: ByteCodec>(
    arrival: Arrival,
    with_limit: impl Fn(usize) -> C,
    naive: &impl Naive,
) {
    let Arrival { stream, limit, cut } = arrival;
    assert_reads_same(&with_limit(limit), limit, naive, stream, cut);

    let writer = with_limit(limit);
    let mut wire = Vec::new();
    let mut taken = Vec::new();
    for message in pieces(stream, cut).into_iter().chain([stream]) {
        let before = wire.len();
        let expected = naive.written(message);
        match writer.encode(message, &mut wire) {
            Ok(()) => {
                let written = Ok(wire[before..].to_vec());
                assert_eq!(written, expected, "{naive:?} of {message:02x?}");
                taken.push(message);
            }
            Err(error) => {
                assert_eq!(Err(error), expected, "{naive:?} of {message:02x?}");
                assert_eq!(wire.len(), before, "on error the output is as it was");
            }
        }
    }
    let reader = with_limit(usize::MAX);
    let (frames, error) = assert_reads_same(&reader, usize::MAX, naive, &wire, cut);
    if naive.understands_itself() {
        assert_eq!((frames.len(), error), (taken.len(), None), "{naive:?}");
        for (frame, message) in frames.iter().zip(taken) {
            // Some keep their mark, or the CR before it.
            assert!(frame.starts_with(message), "{naive:?}: {frame:02x?}");
        }
    }
}

fn assert_reads_same(
    codec: &impl ByteCodec,
    limit: usize,
    naive: &impl Naive,
    stream: &[u8],
    cut: u8,
) -> Outcome {
    // Beside the frame: a mark of five bytes, the longest number with its colon, or the bytes COBS adds.
    let waiting_max = limit.saturating_add(limit / 254 + 22);
    let expected = read_whole(naive, limit, stream);
    let how = |cut| format!("{naive:?}, limit {limit}, {cut}: {stream:02x?}");
    let outcome = read_pieces(codec, waiting_max, [stream]);
    assert_eq!(outcome, expected, "{}", how("whole"));
    let outcome = read_pieces(codec, waiting_max, stream.chunks(1));
    assert_eq!(outcome, expected, "{}", how("byte by byte"));
    let outcome = read_pieces(codec, waiting_max, pieces(stream, cut));
    assert_eq!(outcome, expected, "{}", how("in pieces"));
    outcome
}

/// Without frames, every piece comes as it is.
fn assert_hands_pieces_over(stream: &[u8], cut: u8) {
    let pieces = pieces(stream, cut);
    let outcome = read_pieces(&Chunks, 0, pieces.iter().copied());
    let full = pieces.into_iter().filter(|piece| !piece.is_empty());
    assert_eq!(outcome, (full.map(<[u8]>::to_vec).collect(), None));
    let mut wire = b"before".to_vec();
    assert_eq!(Chunks.encode(stream, &mut wire), Ok(()));
    assert_eq!(wire, [b"before", stream].concat());
}

/// The bytes are a choice of codec, settings, limit and cuts, and a stream: whatever becomes of it must be what the naive
/// codec makes of the whole.
pub(crate) fn compare(choices_and_stream: &[u8]) {
    let [codec, settings, limit, cut, stream @ ..] = choices_and_stream else {
        return;
    };
    let (settings, cut) = (*settings, *cut);
    let arrival = Arrival {
        stream,
        limit: if *limit == 255 {
            usize::MAX
        } else {
            usize::from(*limit)
        },
        cut,
    };
    match codec % 7 {
        0 => assert_hands_pieces_over(stream, cut),
        1 => lines(arrival, settings),
        2 => delimiter(arrival, settings),
        3 => length_prefix(arrival, settings),
        4 => assert_same(
            arrival,
            |limit| Netstring::new().limit(limit),
            &NaiveNetstring,
        ),
        5 => fixed_size(arrival, settings),
        _ => assert_same(arrival, |limit| Cobs::new().limit(limit), &NaiveCobs),
    }
}

fn unfinished(choice: u8) -> Unfinished {
    [Unfinished::Deliver, Unfinished::Drop, Unfinished::Refuse][usize::from(choice % 3)]
}

fn lines(arrival: Arrival, settings: u8) {
    const ENDINGS: [LineEnding; 3] = [LineEnding::Lf, LineEnding::CrLf, LineEnding::Either];
    let naive = NaiveLines {
        accepted: ENDINGS[usize::from(settings % 3)],
        written: ENDINGS[usize::from(settings / 3 % 3)],
        unfinished: unfinished(settings / 9),
    };
    let with_limit = |limit| {
        let lines = Lines::new().accept(naive.accepted).write(naive.written);
        lines.unfinished(naive.unfinished).limit(limit)
    };
    assert_same(arrival, with_limit, &naive);
}

fn delimiter(arrival: Arrival, settings: u8) {
    const MARKS: [&[u8]; 8] = [
        b"\0",
        b"aa",
        b"ab",
        b"aba",
        b"\r\n.\r\n",
        b"--=--",
        b"\xff",
        b"0123456789",
    ];
    let naive = NaiveDelimiter {
        mark: MARKS[usize::from(settings % 8)],
        keep_mark: settings / 8 % 2 == 1,
        unfinished: unfinished(settings / 16),
    };
    let with_limit = |limit| {
        let delimiter = Delimiter::new(naive.mark).keep_mark(naive.keep_mark);
        delimiter.unfinished(naive.unfinished).limit(limit)
    };
    assert_same(arrival, with_limit, &naive);
}

fn length_prefix(arrival: Arrival, settings: u8) {
    let naive = NaiveLengthPrefix {
        prefix: [
            Prefix::U8,
            Prefix::U16,
            Prefix::U24,
            Prefix::U32,
            Prefix::U64,
            Prefix::Varint,
        ][usize::from(settings % 6)],
        order: [ByteOrder::Big, ByteOrder::Little][usize::from(settings / 6 % 2)],
        counts_itself: settings / 12 % 2 == 1,
    };
    let with_limit = |limit| {
        let lengths = LengthPrefix::new(naive.prefix).order(naive.order);
        lengths.counts_itself(naive.counts_itself).limit(limit)
    };
    assert_same(arrival, with_limit, &naive);
}

/// The size is the limit.
fn fixed_size(arrival: Arrival, settings: u8) {
    let naive = NaiveFixedSize {
        size: usize::from(settings % 8) + 1,
        unfinished: unfinished(settings / 8),
    };
    let arrival = Arrival {
        limit: naive.size,
        ..arrival
    };
    let with_limit = |_| FixedSize::new(naive.size).unfinished(naive.unfinished);
    assert_same(arrival, with_limit, &naive);
}
