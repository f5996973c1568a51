//! Streams of frames to every codec, with every setting and in pieces, and the same bytes as messages, against codecs
//! that are too simple to be wrong and read the whole buffer.
//!
//! The first four bytes choose: see `compare.rs`. What is interesting is kept in `corpus/codecs`, and run by the usual
//! tests too (`crates/trunkline/tests/codecs/main.rs`).

#![no_main]

#[path = "../../crates/trunkline/tests/codecs/compare.rs"]
mod compare;
#[path = "../../crates/trunkline/tests/codecs/naive.rs"]
mod naive;

libfuzzer_sys::fuzz_target!(|choices_and_stream: &[u8]| compare::compare(choices_and_stream));
