//! Text in frames: the codec `Text` over other codecs.

use trunkline::codec::{Chunks, Codec, Decoded, Delimiter, FrameError, Lines, Text};
use trunkline::text::{DecodePolicy, EncodePolicy, Encoding};

use crate::samples::SAMPLES;

/// Codecs whose frames are text.
trait TextCodec: 'static + for<'a> Codec<Frame<'a> = &'a str, Message = str> {}
impl<C: 'static + for<'a> Codec<Frame<'a> = &'a str, Message = str>> TextCodec for C {}

/// Shows `pieces` to a codec as the engine does: all that is unconsumed, until it finds nothing more.
fn receive<'p>(
    codec: &impl TextCodec,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<Vec<String>, FrameError> {
    let mut codec = codec.clone();
    let mut pending = Vec::new();
    let mut frames = Vec::new();
    for piece in pieces {
        pending.extend_from_slice(piece);
        while !pending.is_empty() {
            let Decoded::Frame { frame, consumed } = codec.decode(&pending)? else {
                break;
            };
            frames.push(frame.to_owned());
            pending.drain(..consumed);
        }
    }
    frames.extend(codec.finish(&pending)?.map(str::to_owned));
    Ok(frames)
}

fn encoded(codec: &impl TextCodec, message: &str) -> Result<Vec<u8>, FrameError> {
    let mut output = b"before".to_vec();
    let outcome = codec.encode(message, &mut output);
    let appended = output.split_off(6);
    assert_eq!(output, b"before");
    outcome.map(|()| appended)
}

#[test]
fn no_cut_matters_in_any_script() {
    for (script, sample) in SAMPLES {
        for encoding in Encoding::all() {
            let codec = Text::new(Delimiter::new("\x1e\x1d\x1e"), encoding)
                .encode_policy(EncodePolicy::XmlCharRefReplace);
            let whole = encoding.encode(sample, EncodePolicy::XmlCharRefReplace);
            let whole = whole.expect("replaced");
            let text = encoding.decode(&whole, DecodePolicy::Strict);
            let text = text.expect("well-formed").into_owned();

            let mut stream = encoded(&codec, sample).expect("no sample holds the mark");
            let one = stream.len();
            stream.extend_from_within(..);
            let expected = Ok(vec![text.clone(), text]);
            for place in 0..=one {
                let (before, behind) = stream.split_at(place);
                assert_eq!(
                    receive(&codec, [before, behind]),
                    expected,
                    "{script} in {encoding} cut at {place}"
                );
            }
            assert_eq!(receive(&codec, stream.chunks(1)), expected);
        }
    }
}

#[test]
fn a_whole_frame_of_utf8_is_handed_over_without_a_copy() {
    let stream = "Příliš žluťoučký\nkůň".as_bytes();
    let mut codec = Text::new(Lines::new(), Encoding::Utf8);
    let Ok(Decoded::Frame { frame, consumed }) = codec.decode(stream) else {
        panic!("a whole line is there");
    };
    assert_eq!(frame.as_ptr(), stream.as_ptr());
    let last = codec.finish(&stream[consumed..]).expect("well-formed");
    assert_eq!(
        last.map(str::as_ptr),
        Some(stream[consumed..].as_ptr()),
        "the last one too"
    );

    // ASCII is the same bytes in most encodings.
    let stream = b"plain\n";
    for encoding in [Encoding::Ascii, Encoding::Windows1251, Encoding::Gb18030] {
        let mut codec = Text::new(Lines::new(), encoding);
        let Ok(Decoded::Frame { frame, .. }) = codec.decode(stream) else {
            panic!("a whole line is there");
        };
        assert_eq!(frame.as_ptr(), stream.as_ptr());
    }
}

#[test]
fn malformed_frames_are_errors_or_what_the_policy_makes_of_them() {
    let stream = &b"good\nb\xffd\ngood again"[..];
    let strict = Text::new(Lines::new(), Encoding::Utf8);
    let error = receive(&strict, [stream]).unwrap_err();
    let FrameError::Text(error) = error else {
        panic!("not an error of text: {error}");
    };
    assert_eq!((error.offset(), error.bytes()), (1, &b"\xff"[..]));
    assert_eq!(FrameError::from(error).to_string(), error.to_string());

    for (policy, expected) in [
        (DecodePolicy::Replace, "b\u{fffd}d"),
        (DecodePolicy::Ignore, "bd"),
        (DecodePolicy::BackslashReplace, "b\\xffd"),
    ] {
        let lenient = strict.clone().decode_policy(policy);
        let frames = receive(&lenient, [stream]).expect("the policy lets it pass");
        assert_eq!(frames, ["good", expected, "good again"]);
    }
}

#[test]
fn a_frame_is_a_text_of_its_own() {
    // The first frame ends inside a character: the second does not continue it.
    let stream = b"\xe2\x82;\xac;";
    let codec = Text::new(Delimiter::new(";"), Encoding::Utf8);
    let Err(FrameError::Text(error)) = receive(&codec, [&stream[..]]) else {
        panic!("that frame is not text");
    };
    assert!(error.is_unfinished());
    let frames = receive(&codec.decode_policy(DecodePolicy::Replace), [&stream[..]]);
    assert_eq!(
        frames.as_deref(),
        Ok(&["\u{fffd}".into(), "\u{fffd}".into()][..])
    );

    // Each has its own mark.
    let codec = Text::new(Delimiter::new("|||"), Encoding::Utf16);
    let mut stream = encoded(&codec, "a").expect("no mark in it");
    assert_eq!(stream, b"\xff\xfea\0|||");
    stream.extend_from_slice(b"\xfe\xff\0b|||c\0|||");
    let frames = receive(&codec, [&stream[..]]);
    assert_eq!(
        frames.as_deref(),
        Ok(&["a".into(), "b".into(), "c".into()][..])
    );
}

#[test]
fn messages_that_cannot_be_sent_leave_nothing_behind() {
    let codec = Text::new(Lines::new(), Encoding::Iso8859_1);
    assert_eq!(encoded(&codec, "café"), Ok(b"caf\xe9\n".to_vec()));
    assert_eq!(encoded(&codec, "two\nlines"), Err(FrameError::ContainsMark));
    let Err(FrameError::Text(error)) = encoded(&codec, "5 €") else {
        panic!("there is no € in ISO-8859-1");
    };
    assert_eq!((error.offset(), error.character()), (2, Some('€')));
    let codec = codec.encode_policy(EncodePolicy::Replace);
    assert_eq!(encoded(&codec, "5 €"), Ok(b"5 ?\n".to_vec()));
}

#[test]
fn the_errors_of_the_framing_come_through() {
    let codec = Text::new(Lines::new().limit(3), Encoding::Utf8);
    let too_long = Err(FrameError::TooLong { limit: 3 });
    assert_eq!(receive(&codec, [&b"long\n"[..]]), too_long);
}

#[test]
fn a_character_cut_in_two_by_the_network_is_still_one() {
    for (script, sample) in SAMPLES {
        for encoding in Encoding::all() {
            let stream = encoding.encode(sample, EncodePolicy::BackslashReplace);
            let stream = stream.expect("replaced");
            let whole = encoding.decode(&stream, DecodePolicy::Strict);
            let whole = whole.expect("well-formed");
            let codec = Text::new(Chunks::new(), encoding);
            for place in 0..=stream.len() {
                let (before, behind) = stream.split_at(place);
                let frames = receive(&codec, [before, behind]).expect("well-formed");
                assert_eq!(frames.concat(), whole, "{script}, {encoding}: {place}");
            }
            let frames = receive(&codec, stream.chunks(1)).expect("well-formed");
            assert_eq!(frames.concat(), whole, "{script}, {encoding}");
        }
    }
}

#[test]
fn errors_in_pieces_tell_the_offset_in_the_stream() {
    let codec = Text::new(Chunks::new(), Encoding::Utf8);
    let pieces = [&b"caf\xc3"[..], b"\xa9 \xe2\x82", b"\xac!\xff"];
    let Err(FrameError::Text(error)) = receive(&codec, pieces) else {
        panic!("FF is never UTF-8");
    };
    assert_eq!((error.offset(), error.bytes()), (10, &b"\xff"[..]));
    // What comes before is handed over first.
    let mut alone = codec.clone();
    let found = alone
        .decode(b"caf\xc3\xa9\xff!")
        .expect("the front is text");
    let (frame, consumed) = ("café", 5);
    assert_eq!(found, Decoded::Frame { frame, consumed });
    let error = alone.decode(b"\xff!").unwrap_err();
    assert!(matches!(error, FrameError::Text(error) if error.offset() == 5));

    // A byte that begins nothing is not waited for.
    for never in [&b"\xff"[..], b"\xf5", b"\xc0", b"\xe0\x80", b"\xed\xa0"] {
        let outcome = codec.clone().decode(never).map(|_| ());
        assert!(matches!(outcome, Err(FrameError::Text(_))), "{never:02x?}");
    }

    let Err(FrameError::Text(error)) = receive(&codec, [&b"a\xe2"[..], b"\x82"]) else {
        panic!("the end is missing");
    };
    assert!(error.is_unfinished());
    assert_eq!((error.offset(), error.bytes()), (1, &b"\xe2\x82"[..]));

    for (policy, expected) in [
        (DecodePolicy::Replace, "a\u{fffd}b\u{fffd}"),
        (DecodePolicy::Ignore, "ab"),
        (DecodePolicy::BackslashReplace, "a\\xffb\\xe2\\x82"),
    ] {
        let codec = codec.clone().decode_policy(policy);
        for pieces in [
            vec![&b"a\xffb\xe2\x82"[..]],
            b"a\xffb\xe2\x82".chunks(1).collect(),
        ] {
            let frames = receive(&codec, pieces).expect("the policy lets it pass");
            assert_eq!(frames.concat(), expected);
        }
    }
}

#[test]
fn ignored_bytes_are_used_up() {
    let codec = Text::new(Chunks::new(), Encoding::Ascii).decode_policy(DecodePolicy::Ignore);
    let found = codec
        .clone()
        .decode(&[0xFF; 1000])
        .map(|found| match found {
            Decoded::Frame { frame, consumed } => (frame.len(), consumed),
            Decoded::Incomplete => (0, 0),
        });
    assert_eq!(found, Ok((0, 1000)));
}

#[test]
fn pieces_have_one_mark_at_most() {
    let codec = Text::new(Chunks::new(), Encoding::Utf16);
    let frames = receive(&codec, [&b"\xfe"[..], b"\xff", b"\0a\0", b"b"]).expect("well-formed");
    assert_eq!(frames, ["", "a", "b"]);
    assert_eq!(encoded(&codec, "a"), Ok(b"a\0".to_vec()));
    // Without a mark it is little-endian: what one end sends the other reads.
    let frames = receive(&codec, [&b"a\0"[..], b"b\0"]).expect("well-formed");
    assert_eq!(frames, ["a", "b"]);
}

#[test]
fn an_error_of_text_costs_a_frame_error_little() {
    assert!(size_of::<FrameError>() <= 24, "{}", size_of::<FrameError>());
}
