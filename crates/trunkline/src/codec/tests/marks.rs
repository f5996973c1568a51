//! Delimiter and lines against what they are by definition.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::{
    DEFAULT_FRAME_BYTES_MAX, Decoded, Delimiter, FrameError, LineEnding, Lines, Unfinished,
};
use super::{ByteCodec, EXAMINED, Outcome, cut, encoded, frames, receive, too_long};

#[test]
fn delimiter_cuts_at_every_mark() {
    let codec = Delimiter::new(b"\r\n");
    assert_eq!(
        receive(&codec, [&b"a\r\n\r\nb\r\rc\n\r\n"[..]]),
        frames(&[b"a", b"", b"b\r\rc\n"])
    );
    assert_eq!(
        receive(&codec.keep_mark(true), [&b"a\r\n\r\n"[..]]),
        frames(&[b"a\r\n", b"\r\n"])
    );
}

#[test]
fn delimiter_drops_or_delivers_the_unfinished_rest() {
    let codec = Delimiter::new("--");
    assert_eq!(receive(&codec, [&b"a--b-"[..]]), frames(&[b"a"]));
    let codec = codec.unfinished(Unfinished::Deliver);
    assert_eq!(receive(&codec, [&b"a--b-"[..]]), frames(&[b"a", b"b-"]));
    assert_eq!(receive(&codec, [&b"a--"[..]]), frames(&[b"a"]));
    let codec = codec.limit(3);
    assert_eq!(receive(&codec, [&b"abc--abc-"[..]]), too_long(&[b"abc"], 3));
}

#[test]
fn delimiter_refuses_messages_that_would_arrive_cut() {
    let codec = Delimiter::new("aa");
    assert_eq!(encoded(&codec, b"bab"), Ok(b"babaa".to_vec()));
    assert_eq!(encoded(&codec, b""), Ok(b"aa".to_vec()));
    assert_eq!(encoded(&codec, b"baab"), Err(FrameError::ContainsMark));
    assert_eq!(encoded(&codec, b"a"), Err(FrameError::ContainsMark));
    assert_eq!(encoded(&codec, b"baa"), Err(FrameError::ContainsMark));
    let codec = codec.keep_mark(true);
    assert_eq!(encoded(&codec, b"baa"), Ok(b"baa".to_vec()));
    assert_eq!(encoded(&codec, b"baaa"), Err(FrameError::ContainsMark));
    assert_eq!(encoded(&codec, b"b"), Ok(b"baa".to_vec()));
}

#[test]
#[should_panic(expected = "mark that ends a frame is empty")]
fn delimiter_has_no_empty_mark() {
    let _ = Delimiter::new("");
}

#[test]
fn lines_end_as_accepted() {
    let stream = [&b"a\nb\r\nc\r\r\n\r\n\nd\re\n"[..]];
    let either = receive(&Lines::new(), stream);
    assert_eq!(either, frames(&[b"a", b"b", b"c\r", b"", b"", b"d\re"]));
    let lf = receive(&Lines::new().accept(LineEnding::Lf), stream);
    assert_eq!(lf, frames(&[b"a", b"b\r", b"c\r\r", b"\r", b"", b"d\re"]));
    let crlf = receive(&Lines::new().accept(LineEnding::CrLf), stream);
    assert_eq!(crlf, frames(&[b"a\nb", b"c\r", b"", b"\nd\re\n"]));
}

#[test]
fn lines_deliver_or_drop_the_unfinished_rest() {
    assert_eq!(
        receive(&Lines::new(), [&b"a\nb\r"[..]]),
        frames(&[b"a", b"b\r"])
    );
    assert_eq!(receive(&Lines::new(), [&b"a\n"[..]]), frames(&[b"a"]));
    let strict = Lines::new().unfinished(Unfinished::Drop);
    assert_eq!(receive(&strict, [&b"a\nb"[..]]), frames(&[b"a"]));
    let short = Lines::new().limit(3);
    assert_eq!(receive(&short, [&b"abc\r"[..]]), too_long(&[], 3));
}

#[test]
fn lines_count_the_limit_without_the_ending() {
    let codec = Lines::new().limit(3);
    assert_eq!(
        receive(&codec, [&b"abc\nabc\r\nab\r\r\n"[..]]),
        frames(&[b"abc", b"abc", b"ab\r"])
    );
    assert_eq!(receive(&codec, [&b"abcd\n"[..]]), too_long(&[], 3));
    assert_eq!(receive(&codec, [&b"abc\r\r\n"[..]]), too_long(&[], 3));
    let strict = codec.accept(LineEnding::CrLf);
    assert_eq!(
        receive(&strict, [&b"abc\r\n\n\n\n\r\n\n\n\n\n"[..]]),
        too_long(&[b"abc", b"\n\n\n"], 3)
    );
}

#[test]
fn lines_write_the_chosen_ending() {
    assert_eq!(encoded(&Lines::new(), b"a"), Ok(b"a\n".to_vec()));
    assert_eq!(
        encoded(&Lines::new().write(LineEnding::Either), b"a"),
        Ok(b"a\n".to_vec())
    );
    assert_eq!(
        encoded(&Lines::new().write(LineEnding::CrLf), b"a"),
        Ok(b"a\r\n".to_vec())
    );
    for written in [LineEnding::Lf, LineEnding::CrLf] {
        assert_eq!(
            encoded(&Lines::new().write(written), b"a\nb"),
            Err(FrameError::ContainsMark)
        );
    }
    assert_eq!(
        encoded(&Lines::new(), b"a\r"),
        Err(FrameError::ContainsMark)
    );
}

/// Bytes of an endless frame that `codec` takes before it gives up, and the error.
fn taken_of_endless_frame(codec: &impl ByteCodec, at_a_time: usize) -> (usize, FrameError) {
    let mut codec = codec.clone();
    let mut pending = Vec::new();
    loop {
        pending.resize(pending.len() + at_a_time, b'x');
        match codec.decode(&pending) {
            Ok(Decoded::Incomplete) => {
                assert!(pending.len() < 1 << 20, "memory grows without a limit");
            }
            Ok(Decoded::Frame { .. }) => panic!("no mark was sent"),
            Err(error) => return (pending.len(), error),
        }
    }
}

#[test]
fn a8_frame_without_an_end_is_refused_at_the_limit() {
    for at_a_time in [1, 7, 4096] {
        for mark in ["\n", "\r\n", "a longer mark"] {
            let codec = Delimiter::new(mark).limit(1000);
            let (taken, error) = taken_of_endless_frame(&codec, at_a_time);
            assert_eq!(error, FrameError::TooLong { limit: 1000 });
            assert_eq!(taken, (1000 + mark.len()).next_multiple_of(at_a_time));
        }
        for accepted in [LineEnding::Lf, LineEnding::CrLf, LineEnding::Either] {
            let codec = Lines::new().accept(accepted).limit(1000);
            let (taken, error) = taken_of_endless_frame(&codec, at_a_time);
            assert_eq!(error, FrameError::TooLong { limit: 1000 });
            assert_eq!(taken, 1001_usize.next_multiple_of(at_a_time));
        }
    }
}

#[test]
fn a8_limit_there_is_unless_said_otherwise() {
    let limit = DEFAULT_FRAME_BYTES_MAX;
    assert_eq!(
        taken_of_endless_frame(&Delimiter::new("||"), 1).0,
        limit + 2
    );
    assert_eq!(taken_of_endless_frame(&Lines::new(), 1).0, limit + 1);
    // No limit at all can be asked for, and overflows nothing.
    let unlimited = Delimiter::new("||").limit(usize::MAX);
    assert_eq!(receive(&unlimited, [&b"a|"[..], b"|"]), frames(&[b"a"]));
    assert_eq!(
        receive(&Lines::new().limit(usize::MAX), [&b"a\r"[..], b"\n"]),
        frames(&[b"a"])
    );
}

/// `stream` in one piece, and in any three pieces: always the same.
fn assert_cuts_do_not_matter(codec: &impl ByteCodec, stream: &[u8], expected: &Outcome) {
    assert_eq!(&receive(codec, [stream]), expected);
    assert_eq!(&receive(codec, stream.chunks(1)), expected);
    for second in 0..=stream.len() {
        for first in 0..=second {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(
                &receive(codec, pieces),
                expected,
                "cut at {first} and {second}"
            );
        }
    }
}

#[test]
fn a9_every_cut_of_every_frame() {
    let codec = Delimiter::new("=--");
    let stream = b"one=--=--t==o=--=-=--==--x=-";
    let expected = frames(&[b"one", b"", b"t==o", b"=-", b"="]);
    assert_cuts_do_not_matter(&codec, stream, &expected);
    let expected = too_long(&[b"one", b""], 3);
    assert_cuts_do_not_matter(&codec.limit(3), stream, &expected);

    let text = b"one\r\n\r\ntwo\n\nth\rree\r\r\nlast\r";
    let expected = frames(&[b"one", b"", b"two", b"", b"th\rree\r", b"last\r"]);
    assert_cuts_do_not_matter(&Lines::new(), text, &expected);
    let expected = frames(&[b"one", b"", b"two\n\nth\rree\r", b"last\r"]);
    assert_cuts_do_not_matter(&Lines::new().accept(LineEnding::CrLf), text, &expected);
    assert_cuts_do_not_matter(
        &Lines::new().limit(4),
        text,
        &too_long(&[b"one", b"", b"two", b""], 4),
    );
}

/// Bytes that `codec` examines while `stream` arrives one byte at a time.
fn examined_byte_by_byte(codec: &impl ByteCodec, stream: &[u8]) -> usize {
    EXAMINED.with(|examined| examined.set(0));
    let mut codec = codec.clone();
    for end in 1..stream.len() {
        assert_eq!(codec.decode(&stream[..end]), Ok(Decoded::Incomplete));
    }
    let whole = codec.decode(stream);
    assert!(matches!(whole, Ok(Decoded::Frame { consumed, .. }) if consumed == stream.len()));
    EXAMINED.with(Cell::get)
}

#[test]
fn a9_one_megabyte_one_byte_at_a_time_is_linear() {
    const BYTES: usize = 1 << 20;
    for mark in ["x\n", "\r\n", "--=--"].map(str::as_bytes) {
        for filling in mark {
            // Each byte looks as if it were of a mark: it is compared four times at most, then searched.
            let mut stream = vec![*filling; BYTES - mark.len()];
            stream.extend_from_slice(mark);
            let examined = examined_byte_by_byte(&Delimiter::new(mark).limit(BYTES), &stream);
            assert!(examined <= 5 * BYTES * mark.len(), "{mark:?}: {examined}");
            // The same in one piece: the search for one byte is soon given up for one for the mark.
            EXAMINED.with(|examined| examined.set(0));
            let frame = receive(&Delimiter::new(mark).limit(BYTES), [&stream[..]]);
            assert_eq!(frame.frames.len(), 1);
            assert!(EXAMINED.with(Cell::get) <= BYTES + 8 * mark.len());
        }
    }
    let mut stream = vec![b'\r'; BYTES];
    stream[BYTES - 1] = b'\n';
    for accepted in [LineEnding::CrLf, LineEnding::Either] {
        let examined = examined_byte_by_byte(&Lines::new().accept(accepted).limit(BYTES), &stream);
        assert_eq!(examined, BYTES);
    }
    // Every byte an LF, but none that ends a line.
    stream.fill(b'\n');
    stream[BYTES - 2] = b'\r';
    let strict = Lines::new().accept(LineEnding::CrLf).limit(BYTES);
    assert_eq!(examined_byte_by_byte(&strict, &stream), BYTES);
}

#[test]
fn a9_many_frames_in_one_read_are_linear() {
    EXAMINED.with(|examined| examined.set(0));
    let stream = b"frame\r\n".repeat(10_000);
    assert_eq!(
        receive(&Delimiter::new("\r\n"), [&stream[..]]).frames.len(),
        10_000
    );
    assert_eq!(receive(&Lines::new(), [&stream[..]]).frames.len(), 10_000);
    // Of each mark one byte is looked for, found, and compared with the others.
    assert_eq!(EXAMINED.with(Cell::get), 2 * stream.len() + 10_000);
}

/// What a stream is, cut the obvious way.
fn delimited_by_definition(
    mark: &[u8],
    limit: usize,
    keep: bool,
    deliver: bool,
    stream: &[u8],
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rest = stream;
    while let Some(end) = rest.windows(mark.len()).position(|bytes| bytes == mark) {
        if end > limit {
            break;
        }
        let frame = &rest[..if keep { end + mark.len() } else { end }];
        outcome.frames.push(frame.to_vec());
        rest = &rest[end + mark.len()..];
    }
    if rest.len() >= limit + mark.len() || (deliver && rest.len() > limit) {
        outcome.error = Some(FrameError::TooLong { limit });
    } else if deliver && !rest.is_empty() {
        outcome.frames.push(rest.to_vec());
    }
    outcome
}

/// What a stream of lines is, byte after byte.
fn lines_by_definition(accepted: LineEnding, limit: usize, stream: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut line = Vec::new();
    for &byte in stream {
        line.push(byte);
        let ending = match (accepted, line.as_slice()) {
            (LineEnding::CrLf | LineEnding::Either, [.., b'\r', b'\n']) => 2,
            (LineEnding::Lf | LineEnding::Either, [.., b'\n']) => 1,
            _ => continue,
        };
        line.truncate(line.len() - ending);
        if line.len() > limit {
            break;
        }
        outcome.frames.push(std::mem::take(&mut line));
    }
    if line.len() > limit {
        outcome.error = Some(FrameError::TooLong { limit });
    } else if !line.is_empty() {
        outcome.frames.push(line);
    }
    outcome
}

fn any_ending() -> impl Strategy<Value = LineEnding> {
    prop_oneof![
        Just(LineEnding::Lf),
        Just(LineEnding::CrLf),
        Just(LineEnding::Either)
    ]
}

proptest! {
    #[test]
    fn delimiter_matches_its_definition_whatever_the_cuts(
        mark in "[ab]{1,4}",
        stream in "[abc]{0,60}",
        limit in 0_usize..20,
        keep: bool,
        deliver: bool,
        places in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let codec = Delimiter::new(&mark).limit(limit).keep_mark(keep).unfinished(if deliver { Unfinished::Deliver } else { Unfinished::Drop });
        let expected = delimited_by_definition(mark.as_bytes(), limit, keep, deliver, stream.as_bytes());
        let pieces = cut(stream.as_bytes(), &places);
        prop_assert_eq!(receive(&codec, pieces), expected);
    }

    #[test]
    fn delimiter_sends_exactly_what_arrives_whole(mark in "[ab]{1,3}", message in "[ab]{0,6}") {
        let codec = Delimiter::new(&mark);
        let naive = format!("{message}{mark}");
        let arrives_whole = receive(&codec, [naive.as_bytes()]) == frames(&[message.as_bytes()]);
        let expected = if arrives_whole { Ok(naive.into_bytes()) } else { Err(FrameError::ContainsMark) };
        prop_assert_eq!(encoded(&codec, message.as_bytes()), expected);
    }

    #[test]
    fn delimiter_frames_that_keep_their_mark_can_be_sent_on(mark in "[ab]{1,3}", stream in "[ab]{0,30}") {
        let codec = Delimiter::new(&mark).keep_mark(true);
        for frame in receive(&codec, [stream.as_bytes()]).frames {
            prop_assert_eq!(encoded(&codec, &frame), Ok(frame));
        }
    }

    #[test]
    fn lines_match_their_definition_whatever_the_cuts(
        stream in "[a\r\n]{0,60}",
        limit in 0_usize..12,
        accepted in any_ending(),
        places in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let codec = Lines::new().limit(limit).accept(accepted);
        let expected = lines_by_definition(accepted, limit, stream.as_bytes());
        prop_assert_eq!(receive(&codec, cut(stream.as_bytes(), &places)), expected);
    }

    #[test]
    fn lines_send_exactly_what_arrives_whole(message in "[a\r\n]{0,5}", accepted in any_ending(), crlf: bool) {
        // A peer that accepts CRLF only sees no line in what ends with LF, and one that accepts LF only
        // sees the CR as part of the line: what is written is then for another kind of peer.
        prop_assume!(accepted == LineEnding::Either || crlf == (accepted == LineEnding::CrLf));
        let (written, ending) = if crlf { (LineEnding::CrLf, "\r\n") } else { (LineEnding::Lf, "\n") };
        let codec = Lines::new().accept(accepted).write(written);
        let naive = format!("{message}{ending}");
        let arrives_whole = receive(&codec, [naive.as_bytes()]) == frames(&[message.as_bytes()]);
        let expected = if arrives_whole { Ok(naive.into_bytes()) } else { Err(FrameError::ContainsMark) };
        prop_assert_eq!(encoded(&codec, message.as_bytes()), expected);
    }
}
