//! Sequences of operations on every mechanism at once, against the plain model of the property test.
//!
//! The bytes are a program: see `bytes.rs`. What is interesting is kept in `corpus/selectors`, and run by the usual
//! tests too (`crates/selectors/tests/model.rs`).

#![no_main]

#[path = "../../crates/selectors/tests/model/bytes.rs"]
mod bytes;
#[path = "../../crates/selectors/tests/conformance/facts.rs"]
mod facts;
#[path = "../../crates/selectors/tests/model/socket.rs"]
mod socket;
#[path = "../../crates/selectors/tests/model/subject.rs"]
mod subject;
#[path = "../../crates/selectors/tests/model/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|program: &[u8]| bytes::run(program));
