//! The conformance suite over the model of a `kqueue`: the same cases that the other mechanisms have to pass.

#[macro_use]
#[path = "../../../tests/conformance/mod.rs"]
mod conformance;

conformance_cases!(model Kqueue);
