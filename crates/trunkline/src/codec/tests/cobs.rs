//! Byte stuffing against its paper, and against what it is by definition.

use proptest::prelude::*;

use super::super::{Cobs, Codec, Decoded, FrameError};
use super::{encoded, frames, receive, too_long};

#[test]
fn blocks_are_written_as_in_the_paper() {
    let full: Vec<u8> = (1..=254).collect();
    let with = |before: &[u8], behind: &[u8]| [before, &full[..], behind].concat();
    for (message, wire) in [
        (b"".to_vec(), b"\x01\0".to_vec()),
        (b"\0".to_vec(), b"\x01\x01\0".to_vec()),
        (b"\0\0".to_vec(), b"\x01\x01\x01\0".to_vec()),
        (
            b"\x11\x22\0\x33".to_vec(),
            b"\x03\x11\x22\x02\x33\0".to_vec(),
        ),
        (b"\x11\0\0\0".to_vec(), b"\x02\x11\x01\x01\x01\0".to_vec()),
        (
            full[..253].to_vec(),
            [b"\xfe", &full[..253], b"\0"].concat(),
        ),
        (full.clone(), with(b"\xff", b"\0")),
        (with(b"", b"\xff"), with(b"\xff", b"\x02\xff\0")),
        (with(b"", b"\0"), with(b"\xff", b"\x01\x01\0")),
        (with(b"\0", b""), with(b"\x01\xff", b"\0")),
    ] {
        assert_eq!(encoded(&Cobs::new(), &message), Ok(wire.clone()));
        assert_eq!(receive(&Cobs::new(), [&wire[..]]), frames(&[&message]));
    }
}

#[test]
fn a_last_block_that_is_full_may_be_followed_by_an_empty_one() {
    let wire = [&[255][..], &[b'x'; 254], b"\x01\0"].concat();
    assert_eq!(receive(&Cobs::new(), [&wire[..]]), frames(&[&[b'x'; 254]]));
}

#[test]
fn what_is_no_frame_says_why() {
    let reason = |wire: &[u8]| receive(&Cobs::new(), [wire]).error;
    let lone_mark = FrameError::Malformed {
        reason: "a mark has no frame before it",
    };
    assert_eq!(reason(b"\0"), Some(lone_mark));
    assert_eq!(reason(b"\x02x\0\0"), Some(lone_mark));
    let cut = FrameError::Malformed {
        reason: "a block goes on beyond the mark that ends its frame",
    };
    assert_eq!(reason(b"\x05abc\0"), Some(cut));
    assert_eq!(reason(b"\x02a\x03b\0"), Some(cut));
    assert_eq!(reason(b"\x02a"), Some(FrameError::Unfinished));
}

#[test]
fn the_limit_counts_what_is_decoded() {
    let codec = Cobs::new().limit(3);
    assert_eq!(
        receive(&codec, [&b"\x01\x01\x01\x01\0"[..]]),
        frames(&[b"\0\0\0"])
    );
    assert_eq!(receive(&codec, [&b"\x02a\x03bc\0"[..]]), too_long(&[], 3));
    assert_eq!(receive(&codec, [&b"\x05abcd\0"[..]]), too_long(&[], 3));
    let unlimited = Cobs::new().limit(usize::MAX);
    assert_eq!(receive(&unlimited, [&b"\x02a\0"[..]]), frames(&[b"a"]));
}

#[test]
fn only_frames_with_zeros_take_memory() {
    let mut codec = Cobs::new();
    for (wire, holds) in [(&b"\x04abc\0"[..], false), (b"\x02a\x02b\0", true)] {
        assert!(matches!(codec.decode(wire), Ok(Decoded::Frame { .. })));
        assert_eq!(codec.holds_memory(), holds);
    }
}

/// Byte after byte, as the paper describes it.
fn by_definition(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut block = Vec::new();
    let mut behind_full = false;
    for &byte in message {
        behind_full = false;
        if byte != 0 {
            block.push(byte);
        }
        if byte == 0 || block.len() == 254 {
            wire.push(block.len() as u8 + 1);
            wire.append(&mut block);
            behind_full = byte != 0;
        }
    }
    if !behind_full {
        wire.push(block.len() as u8 + 1);
        wire.append(&mut block);
    }
    wire.push(0);
    wire
}

proptest! {
    #[test]
    fn blocks_are_what_they_are_by_definition(
        runs in prop::collection::vec((0_usize..520, 0_usize..3), 0..4),
    ) {
        let mut message = Vec::new();
        for (letters, zeros) in runs {
            message.resize(message.len() + letters, b'x');
            message.resize(message.len() + zeros, 0);
        }
        prop_assert_eq!(encoded(&Cobs::new(), &message), Ok(by_definition(&message)));
    }
}
