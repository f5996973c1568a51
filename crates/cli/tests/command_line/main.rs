//! The program as its users meet it: started as a process, judged by what it prints and how it exits.
#![forbid(unsafe_code)]

mod bad_input;
mod compare;
mod connecting;
mod deadlines;
mod encoding;
mod exhaustion;
mod framing;
mod injected;
mod models;
mod running;
mod services;
mod stopping;
mod support;
