//! What every codec must keep to: however a stream is cut, the same frames, the same end, and each byte
//! looked at a bounded number of times.

use std::cell::Cell;
use std::mem::size_of;

use super::{
    Chunks, Cobs, Codec, Decoded, Delimiter, FixedSize, FrameError, LengthPrefix, Lines, Netstring,
};

mod cobs;
mod lengths;
mod marks;
mod suite;

thread_local! {
    static EXAMINED: Cell<usize> = const { Cell::new(0) };
}

/// Called by the codecs with the bytes each search looked at.
pub(super) fn count_examined(bytes: usize) {
    EXAMINED.with(|examined| examined.set(examined.get() + bytes));
}

/// Codecs whose frames are bytes: all of them here.
trait ByteCodec: 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]> {}
impl<C: 'static + for<'a> Codec<Frame<'a> = &'a [u8], Message = [u8]>> ByteCodec for C {}

/// The frames of a whole stream, and what ended it early.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    frames: Vec<Vec<u8>>,
    error: Option<FrameError>,
}

/// Shows `pieces` to a codec as the engine does: all that is unconsumed, until it finds nothing more.
fn receive<'p>(codec: &impl ByteCodec, pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut codec = codec.clone();
    let mut pending = Vec::new();
    let mut outcome = Outcome::default();
    for piece in pieces {
        pending.extend_from_slice(piece);
        let mut used = 0;
        loop {
            match codec.decode(&pending[used..]) {
                Ok(Decoded::Frame { frame, consumed }) => {
                    assert!(consumed > 0, "a frame that uses up nothing comes for ever");
                    outcome.frames.push(frame.to_vec());
                    used += consumed;
                }
                Ok(Decoded::Incomplete) => break,
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            }
        }
        pending.drain(..used);
    }
    match codec.finish(&pending) {
        Ok(last) => outcome.frames.extend(last.map(<[u8]>::to_vec)),
        Err(error) => outcome.error = Some(error),
    }
    outcome
}

/// `stream` cut at the given places.
fn cut<'p>(stream: &'p [u8], places: &[usize]) -> Vec<&'p [u8]> {
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

fn frames(expected: &[&[u8]]) -> Outcome {
    Outcome {
        frames: expected.iter().map(|frame| frame.to_vec()).collect(),
        error: None,
    }
}

fn too_long(expected: &[&[u8]], limit: usize) -> Outcome {
    Outcome {
        error: Some(FrameError::TooLong { limit }),
        ..frames(expected)
    }
}

fn encoded(codec: &impl ByteCodec, message: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut output = b"before".to_vec();
    let outcome = codec.encode(message, &mut output);
    let appended = output
        .strip_prefix(b"before")
        .expect("what was there stays")
        .to_vec();
    if outcome.is_err() {
        assert!(appended.is_empty(), "on error the output is as it was");
    }
    outcome.map(|()| appended)
}

#[test]
fn chunks_hand_over_every_piece_as_it_is() {
    assert_eq!(
        receive(&Chunks, [&b"ab"[..], b"", b"c"]),
        frames(&[b"ab", b"c"])
    );
    assert_eq!(Chunks.finish(b""), Ok(None));
    assert_eq!(Chunks.finish(b"rest"), Ok(Some(&b"rest"[..])));
    assert_eq!(encoded(&Chunks, b"any\nthing"), Ok(b"any\nthing".to_vec()));
}

#[test]
fn codecs_are_small_for_every_connection_has_one() {
    const WORD: usize = size_of::<usize>();
    assert_eq!(size_of::<Chunks>(), 0);
    assert!(size_of::<Delimiter>() <= 2 * WORD);
    assert!(size_of::<Lines>() <= 3 * WORD);
    assert!(size_of::<LengthPrefix>() <= 3 * WORD);
    assert!(size_of::<Netstring>() <= 2 * WORD);
    assert!(size_of::<FixedSize>() <= 2 * WORD);
    assert!(size_of::<Cobs>() <= 5 * WORD);
}
