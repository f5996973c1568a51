//! Streams of bytes in every encoding, under every policy and in pieces, against a decoder that is too simple to be
//! wrong and reads the whole buffer.
//!
//! The first three bytes choose: see `naive.rs`. What is interesting is kept in `corpus/text`, and run by the usual
//! tests too (`crates/trunkline/tests/text/cuts.rs`).

#![no_main]

#[path = "../../crates/trunkline/tests/text/naive.rs"]
mod naive;

libfuzzer_sys::fuzz_target!(|choices_and_stream: &[u8]| naive::compare(choices_and_stream));
