//! `trunkline load` as its users meet it, against peers written for the purpose: each misbehaves in one way, and the
//! report has to say so.
#![forbid(unsafe_code)]

mod answers;
mod honesty;
mod input;
mod messages;
mod peer;
mod reports;
#[path = "../command_line/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the other commands")]
mod support;
