//! Bytes and text: every cut, every script, every policy; and beside Python's codecs.
#![forbid(unsafe_code)]

mod cuts;
mod differences;
mod frames;
mod naive;
mod names;
mod python;
mod round_trips;
mod samples;
mod server;
