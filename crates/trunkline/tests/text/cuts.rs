//! However a stream is cut, the outcome is that of the whole.

use proptest::prelude::*;
use trunkline::text::{DecodePolicy, EncodePolicy, Encoding, TextError};

use crate::naive;
use crate::samples::SAMPLES;

/// The text of a stream, and what ended it early.
type Decoded = (String, Option<TextError>);

/// Decodes a stream that arrives in `pieces`, the last of them marked as the last.
fn decode<'p>(
    encoding: Encoding,
    policy: DecodePolicy,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Decoded {
    let mut decoder = encoding.decoder(policy);
    let mut text = String::new();
    let mut arrived = 0;
    for piece in pieces {
        if let Err(error) = decoder.decode(piece, &mut text, false) {
            return (text, Some(error));
        }
        arrived += piece.len() as u64;
        let dealt_with = decoder.offset() + decoder.pending().len() as u64;
        assert_eq!(dealt_with, arrived);
    }
    let error = decoder.decode(b"", &mut text, true).err();
    (text, error)
}

/// Decodes a stream that arrives at once, without a decoder that has to remember anything.
fn decode_whole(encoding: Encoding, policy: DecodePolicy, stream: &[u8]) -> Decoded {
    let mut text = String::new();
    let error = encoding
        .decoder(policy)
        .decode(stream, &mut text, true)
        .err();
    (text, error)
}

fn encode<'p>(
    encoding: Encoding,
    policy: EncodePolicy,
    pieces: impl IntoIterator<Item = &'p str>,
) -> Result<Vec<u8>, TextError> {
    let mut encoder = encoding.encoder(policy);
    let mut bytes = Vec::new();
    for piece in pieces {
        encoder.encode(piece, &mut bytes)?;
    }
    Ok(bytes)
}

/// `stream` cut at the given places, in order.
fn cut<'s>(stream: &'s [u8], places: &[usize]) -> Vec<&'s [u8]> {
    let mut places: Vec<usize> = places
        .iter()
        .map(|place| place % (stream.len() + 1))
        .collect();
    places.sort_unstable();
    places.push(stream.len());
    let mut start = 0;
    let piece = |end| {
        let piece = &stream[start..end];
        start = end;
        piece
    };
    places.into_iter().map(piece).collect()
}

fn assert_no_two_cuts_matter(encoding: Encoding, policy: DecodePolicy, stream: &[u8]) {
    let whole = decode_whole(encoding, policy, stream);
    for first in 0..=stream.len() {
        for second in first..=stream.len() {
            let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
            assert_eq!(
                decode(encoding, policy, pieces),
                whole,
                "{encoding}, {policy}: {stream:02x?} cut at {first} and {second}"
            );
        }
    }
    assert_eq!(decode(encoding, policy, stream.chunks(1)), whole);
}

#[test]
fn no_two_cuts_matter_in_any_script() {
    let mut written = 0;
    for (script, sample) in SAMPLES {
        for encoding in Encoding::all() {
            let Ok(stream) = encoding.encode(sample, EncodePolicy::Strict) else {
                continue;
            };
            written += 1;
            let whole = decode_whole(encoding, DecodePolicy::Strict, &stream);
            assert_eq!(whole, (sample.to_string(), None), "{script} in {encoding}");
            assert_no_two_cuts_matter(encoding, DecodePolicy::Strict, &stream);
        }
    }
    // Nine encodings write every script (those of Unicode, and GB18030), the others some.
    assert!(written > 9 * SAMPLES.len() + 100, "{written}");
}

#[test]
fn no_two_cuts_matter_where_bytes_are_malformed() {
    for encoding in Encoding::all() {
        for stream in malformed(encoding) {
            for policy in DecodePolicy::all() {
                assert_no_two_cuts_matter(encoding, policy, &stream);
            }
        }
    }
}

/// Streams with all that can go wrong in `encoding`.
fn malformed(encoding: Encoding) -> Vec<Vec<u8>> {
    let valid = |text| {
        let bytes = encoding.encode(text, EncodePolicy::Ignore);
        bytes.expect("what it lacks is left out").into_owned()
    };
    let text = valid("a€я語한𠮷z");
    let mut streams = vec![
        b"\xff".to_vec(),
        b"\x80a\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82".to_vec(),
        b"\x8f\xa1\x20\x8f\xff\xff\x8e\x81\x30\x81\x20\x81\x30\x84\xfe".to_vec(),
        b"\xff\xfe\x00\xd8a\0\x00\xdc\x00\xd8\x00\xd8\x00".to_vec(),
        b"\xfe\xff\xd8\x00\0a\xdc\x00\xd8\x00\xd8\x00\xdc".to_vec(),
        b"\xff\xfe\0\0\x00\xd8\0\0a\0\0\0\0\0\x11\0\xff".to_vec(),
        b"\0\0\xfe\xff\0\0\xd8\0\0\0\0a\0\x11\0\0\xff\xff".to_vec(),
        b"\xef\xbb\xbf\xef\xbb".to_vec(),
    ];
    for damaged in 0..text.len() {
        let mut without = text.clone();
        without.remove(damaged);
        let mut other = text.clone();
        other[damaged] ^= 0x80;
        streams.extend([without, other, text[..damaged].to_vec()]);
    }
    streams.retain(|stream| stream.len() <= 24);
    streams
}

#[test]
fn no_cut_of_the_text_matters_to_an_encoder() {
    for (script, sample) in SAMPLES {
        let places: Vec<usize> = (0..=sample.len())
            .filter(|&place| sample.is_char_boundary(place))
            .collect();
        for encoding in Encoding::all() {
            for policy in EncodePolicy::all() {
                let whole = encode(encoding, policy, [*sample]);
                for &first in &places {
                    let (before, behind) = sample.split_at(first);
                    assert_eq!(
                        encode(encoding, policy, [before, behind]),
                        whole,
                        "{script} in {encoding}, {policy}, cut at {first}"
                    );
                }
                let characters = sample.split("").filter(|piece| !piece.is_empty());
                assert_eq!(encode(encoding, policy, characters), whole);
            }
        }
    }
}

#[test]
fn after_an_error_nothing_is_read_until_the_decoder_is_reset() {
    let mut decoder = Encoding::Utf8.decoder(DecodePolicy::Strict);
    let mut text = String::new();
    let error = decoder.decode(b"ab\xffcd", &mut text, false).unwrap_err();
    assert_eq!((error.offset(), text.as_str()), (2, "ab"));
    assert_eq!(decoder.decode(b"ef", &mut text, true), Err(error));
    assert_eq!(text, "ab");
    decoder.reset();
    assert_eq!(decoder.decode(b"ef", &mut text, true), Ok(()));
    assert_eq!(text, "abef");
}

#[test]
fn the_end_of_a_stream_is_the_beginning_of_the_next() {
    let mut decoder = Encoding::Utf16.decoder(DecodePolicy::Strict);
    let mut text = String::new();
    for stream in [&b"\xfe\xff\0a"[..], b"\xff\xfea\0", b"a\0", b""] {
        decoder
            .decode(stream, &mut text, true)
            .expect("well-formed");
        assert_eq!((decoder.offset(), decoder.pending()), (0, &b""[..]));
    }
    assert_eq!(text, "aaa");
}

#[test]
fn what_cannot_be_a_mark_is_not_waited_for() {
    for (encoding, stream) in [
        (Encoding::Utf8Mark, &b"a"[..]),
        (Encoding::Utf16, b"a\0"),
        (Encoding::Utf32, b"a\0\0\0"),
    ] {
        let mut decoder = encoding.decoder(DecodePolicy::Strict);
        let mut text = String::new();
        decoder.decode(stream, &mut text, false).expect("text");
        assert_eq!(text, "a", "{encoding}");
    }
}

#[test]
fn a_character_that_cannot_be_written_changes_nothing() {
    let mut encoder = Encoding::Utf16.encoder(EncodePolicy::Strict);
    let mut bytes = b"before".to_vec();
    encoder.encode("", &mut bytes).expect("nothing lacks");
    assert_eq!(bytes, b"before\xff\xfe");

    let mut encoder = Encoding::Ascii.encoder(EncodePolicy::Strict);
    encoder.encode("abc", &mut bytes).expect("ASCII");
    let before = bytes.clone();
    let error = encoder.encode("dé", &mut bytes).unwrap_err();
    assert_eq!((error.offset(), error.character()), (4, Some('é')));
    assert_eq!(bytes, before);
    encoder.encode("de", &mut bytes).expect("ASCII");
    assert!(bytes.ends_with(b"abcde"));
}

fn any_encoding() -> impl Strategy<Value = Encoding> {
    prop::sample::select(Encoding::all().collect::<Vec<_>>())
}

fn any_decode_policy() -> impl Strategy<Value = DecodePolicy> {
    prop::sample::select(DecodePolicy::all().collect::<Vec<_>>())
}

/// Bytes that are often text in some encoding, and often nearly.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        any::<u8>(),
        0x20..0x7F_u8,
        0x30..0x3A_u8,
        0x80..=0xFF_u8,
        prop::sample::select(&[0, 0xD8, 0xDC, 0xFE, 0xFF, 0xEF, 0xBB, 0xBF, 0x8F, 0x8E][..]),
    ];
    prop::collection::vec(byte, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_cuts_matter_in_random_bytes(
        encoding in any_encoding(),
        policy in any_decode_policy(),
        stream in any_stream(),
        places in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole = decode_whole(encoding, policy, &stream);
        prop_assert_eq!(decode(encoding, policy, cut(&stream, &places)), whole.clone());
        prop_assert_eq!(decode(encoding, policy, stream.chunks(1)), whole.clone());
        if let (text, Some(error)) = whole {
            prop_assert_eq!(policy, DecodePolicy::Strict);
            let offset = usize::try_from(error.offset()).expect("short");
            prop_assert!(!error.bytes().is_empty());
            prop_assert!(stream[offset..].starts_with(error.bytes()));
            if error.is_unfinished() {
                prop_assert_eq!(offset + error.bytes().len(), stream.len());
            }
            // What lies before the malformed bytes is well-formed, and is the text so far.
            prop_assert_eq!(decode_whole(encoding, policy, &stream[..offset]), (text, None));
        }
    }

    #[test]
    fn decoding_is_what_the_naive_decoder_does(choices: [u8; 3], stream in any_stream()) {
        naive::compare(&[&choices[..], &stream].concat());
    }

    #[test]
    fn what_is_well_formed_is_the_same_under_every_policy(encoding in any_encoding(), stream in any_stream()) {
        if let (text, None) = decode_whole(encoding, DecodePolicy::Strict, &stream) {
            for policy in DecodePolicy::all() {
                prop_assert_eq!(decode_whole(encoding, policy, &stream), (text.clone(), None));
            }
            prop_assert_eq!(encoding.decode(&stream, DecodePolicy::Strict), Ok(text.into()));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn long_streams_are_the_same_block_by_block(
        encoding in any_encoding(),
        sample in prop::sample::select(SAMPLES),
        shift in 0_usize..40,
        place: usize,
    ) {
        // Longer than any block that an implementation might read at once, and never in step with it.
        let text = format!("{}{}", "x".repeat(shift), sample.1.repeat(9_000 / sample.1.len()));
        let stream = encoding.encode(&text, EncodePolicy::BackslashReplace).expect("replaced");
        let whole = decode_whole(encoding, DecodePolicy::Strict, &stream);
        prop_assert_eq!(&whole.1, &None);
        prop_assert_eq!(decode(encoding, DecodePolicy::Strict, cut(&stream, &[place])), whole.clone());
        prop_assert_eq!(decode(encoding, DecodePolicy::Strict, stream.chunks(777)), whole);
    }
}
