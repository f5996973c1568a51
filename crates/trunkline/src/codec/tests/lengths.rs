//! Lengths: numbers before a frame, in binary and in digits, and one size for all.

use proptest::prelude::*;

use super::super::{ByteOrder, FixedSize, FrameError, LengthPrefix, Netstring, Prefix, Unfinished};
use super::{encoded, frames, receive, too_long};

fn malformed(codec: &impl super::ByteCodec, stream: &[u8]) -> bool {
    matches!(
        receive(codec, [stream]).error,
        Some(FrameError::Malformed { .. })
    )
}

#[test]
fn numbers_are_written_as_their_name_says() {
    use ByteOrder::{Big, Little};
    for (prefix, order, wire) in [
        (Prefix::U8, Big, &b"\x03abc"[..]),
        (Prefix::U16, Big, b"\0\x03abc"),
        (Prefix::U16, Little, b"\x03\0abc"),
        (Prefix::U24, Big, b"\0\0\x03abc"),
        (Prefix::U24, Little, b"\x03\0\0abc"),
        (Prefix::U32, Big, b"\0\0\0\x03abc"),
        (Prefix::U32, Little, b"\x03\0\0\0abc"),
        (Prefix::U64, Big, b"\0\0\0\0\0\0\0\x03abc"),
        (Prefix::U64, Little, b"\x03\0\0\0\0\0\0\0abc"),
        (Prefix::Varint, Big, b"\x03abc"),
    ] {
        let codec = LengthPrefix::new(prefix).order(order);
        assert_eq!(encoded(&codec, b"abc"), Ok(wire.to_vec()));
        assert_eq!(receive(&codec, [wire]), frames(&[b"abc"]));
        let codec = codec.counts_itself(true);
        let counted: Vec<u8> = wire
            .iter()
            .map(|&byte| if byte == 3 { wire.len() as u8 } else { byte })
            .collect();
        assert_eq!(encoded(&codec, b"abc"), Ok(counted.clone()));
        assert_eq!(receive(&codec, [&counted[..]]), frames(&[b"abc"]));
    }
}

#[test]
fn a_small_header_bounds_what_can_be_sent() {
    for (prefix, most) in [
        (Prefix::U8, 0xff),
        (Prefix::U16, 0xffff),
        (Prefix::U24, 0xff_ffff),
    ] {
        let codec = LengthPrefix::new(prefix);
        let own = codec.number_for(0).0;
        assert!(encoded(&codec, &vec![0; most]).is_ok());
        assert_eq!(
            encoded(&codec, &vec![0; most + 1]),
            Err(FrameError::TooLong { limit: most })
        );
        let codec = codec.counts_itself(true);
        assert!(encoded(&codec, &vec![0; most - own]).is_ok());
        let refused = Err(FrameError::TooLong { limit: most - own });
        assert_eq!(encoded(&codec, &vec![0; most - own + 1]), refused);
    }
}

#[test]
fn a_length_that_counts_itself_is_not_smaller_than_itself() {
    let codec = LengthPrefix::new(Prefix::U32).counts_itself(true);
    assert_eq!(receive(&codec, [&b"\0\0\0\x04"[..]]), frames(&[b""]));
    assert!(malformed(&codec, b"\0\0\0\x03"));
    assert!(malformed(&codec, b"\0\0\0\0"));
    assert!(malformed(
        &LengthPrefix::new(Prefix::Varint).counts_itself(true),
        b"\0"
    ));
}

#[test]
fn absurd_lengths_are_refused_and_overflow_nothing() {
    let most = [0xff; 8];
    for limit in [100, usize::MAX] {
        let codec = LengthPrefix::new(Prefix::U64).limit(limit);
        assert_eq!(receive(&codec, [&most[..]]), too_long(&[], limit));
        let codec = LengthPrefix::new(Prefix::Varint).limit(limit);
        let most = [&[0xff; 9][..], b"\x01"].concat();
        assert_eq!(receive(&codec, [&most[..]]), too_long(&[], limit));
        let too_much = [&[0xff; 9][..], b"\x02"].concat();
        assert_eq!(receive(&codec, [&too_much[..]]), too_long(&[], limit));
        let codec = Netstring::new().limit(limit);
        assert_eq!(
            receive(&codec, [&b"18446744073709551615:"[..]]),
            too_long(&[], limit)
        );
        assert_eq!(
            receive(&codec, [&b"99999999999999999999999:"[..]]),
            too_long(&[], limit)
        );
    }
}

#[test]
fn a_number_of_variable_length_ends_within_ten_bytes() {
    let codec = LengthPrefix::new(Prefix::Varint);
    let padded = [b"\x83", &[0x80; 8][..], b"\0abc"].concat();
    assert_eq!(receive(&codec, [&padded[..]]), frames(&[b"abc"]));
    assert!(malformed(&codec, &[0x80; 10]));
    assert_eq!(
        receive(&codec, [&[0x80; 9][..]]).error,
        Some(FrameError::Unfinished)
    );
}

#[test]
fn a_number_of_variable_length_can_count_itself_at_every_size() {
    let codec = LengthPrefix::new(Prefix::Varint).counts_itself(true);
    for bytes in (120..130)
        .chain(16_375..16_390)
        .chain([2_097_140, 2_097_149, 2_097_150])
    {
        let codec = codec.clone().limit(bytes);
        let message = vec![b'x'; bytes];
        let wire = encoded(&codec, &message).unwrap();
        assert!(
            receive(&codec, [&wire[..]]) == frames(&[&message]),
            "{bytes}"
        );
    }
}

#[test]
fn netstrings_are_as_specified() {
    let codec = Netstring::new();
    let hello = b"12:hello world!,";
    assert_eq!(encoded(&codec, b"hello world!"), Ok(hello.to_vec()));
    assert_eq!(
        receive(&codec, [&hello[..], b"0:,"]),
        frames(&[b"hello world!", b""])
    );
    for wrong in [
        "x", ":", ":,", "+1:a,", "-1:a,", " 1:a,", "1 :a,", "01:a,", "00:,", "1:ab", "1:a;", "1a",
    ] {
        assert!(malformed(&codec, wrong.as_bytes()), "{wrong}");
    }
    for cut in ["0", "12", "1:", "1:a"] {
        assert_eq!(
            receive(&codec, [cut.as_bytes()]).error,
            Some(FrameError::Unfinished),
            "{cut}"
        );
    }
}

#[test]
fn one_size_fits_all() {
    let codec = FixedSize::new(3);
    assert_eq!(receive(&codec, [&b"abcdef"[..]]), frames(&[b"abc", b"def"]));
    assert_eq!(
        encoded(&codec, b"ab"),
        Err(FrameError::WrongSize {
            expected: 3,
            actual: 2
        })
    );
    let codec = codec.unfinished(Unfinished::Deliver);
    assert_eq!(receive(&codec, [&b"abcd"[..]]), frames(&[b"abc", b"d"]));
}

#[test]
#[should_panic(expected = "at least one byte")]
fn no_size_is_no_size() {
    let _ = FixedSize::new(0);
}

proptest! {
    #[test]
    fn every_number_is_read_as_it_was_written(number: u64, small in 0_u32..64) {
        let number = number >> small;
        for prefix in [Prefix::U8, Prefix::U16, Prefix::U24, Prefix::U32, Prefix::U64, Prefix::Varint] {
            for order in [ByteOrder::Big, ByteOrder::Little] {
                let codec = LengthPrefix::new(prefix).order(order);
                let number = number & prefix.max();
                let mut wire = Vec::new();
                codec.push_number(number, &mut wire);
                prop_assert_eq!(codec.number(&wire), Ok(Some((wire.len(), number))));
                for bytes in 0..wire.len() {
                    prop_assert_eq!(codec.number(&wire[..bytes]), Ok(None));
                }
            }
        }
    }

    #[test]
    fn a_netstring_is_read_by_the_obvious_reader(message in prop::collection::vec(any::<u8>(), 0..300)) {
        let wire = encoded(&Netstring::new(), &message).unwrap();
        let expected = [format!("{}:", message.len()).as_bytes(), &message, b","].concat();
        prop_assert_eq!(&wire, &expected);
        prop_assert_eq!(receive(&Netstring::new(), [&wire[..]]), frames(&[&message]));
    }
}
