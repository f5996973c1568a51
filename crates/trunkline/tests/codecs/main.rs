//! Frames: every codec, however the bytes are cut, beside a naive one that reads the whole buffer.
#![forbid(unsafe_code)]

mod compare;
mod naive;

use proptest::prelude::*;

use compare::compare;

#[test]
fn what_fuzzing_found_is_what_the_naive_codec_makes_of_it() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/codecs");
    let mut streams = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus") {
        let path = entry.expect("a file of the corpus").path();
        compare(&std::fs::read(path).expect("a file of the corpus"));
        streams += 1;
    }
    assert!(streams > 0, "the corpus is empty");
}

/// Bytes that mean something to one codec or another more often than chance would have it.
fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\0\x01\x02\x03\x05\r\n-=-:,0123\xff\x80\x81"[..]),
    ]
}

proptest! {
    // They take a few microseconds each, and every codec gets but a seventh of them.
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_stream_is_what_the_naive_codec_makes_of_it(
        (codec, settings) in any::<(u8, u8)>(),
        limit in prop_oneof![0..12_u8, any::<u8>()],
        cut in any::<u8>(),
        stream in prop::collection::vec(any_byte(), 0..60),
    ) {
        compare(&[&[codec, settings, limit, cut], &stream[..]].concat());
    }
}
