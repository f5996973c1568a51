//! Ctrl-C and SIGTERM for the models: the first lets clients finish, the second ends the program at once.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::chatter::say;
use crate::failure::Failure;

/// Knows whether the server was asked to stop.
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    /// Readable from then on.
    bell: UnixStream,
}

impl Stop {
    /// Catches the signals from now on.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let cannot = |error| Failure::failed(format!("cannot catch signals: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
        let (bell, rope) = UnixStream::pair().map_err(cannot)?;
        let asked = Arc::new(AtomicBool::new(false));
        let stop = Self {
            asked: Arc::clone(&asked),
            bell,
        };
        thread::spawn(move || {
            let mut signals = signals.forever();
            if signals.next().is_none() {
                return;
            }
            say("stopping: open connections may finish; a second Ctrl-C stops at once");
            asked.store(true, Ordering::Release);
            // The end of the stream is what rings.
            drop(rope);
            if signals.next().is_some() {
                let failure = Failure::failed("stopped at once: open connections were reset")
                    .with_hint("a single Ctrl-C lets open connections finish");
                let _ = failure.report();
                process::exit(1);
            }
        });
        Ok(stop)
    }

    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits for a client or the signal, whichever comes first. Even a server that blocks needs to wait for two things
    /// at once, if it is to end in order.
    pub(crate) fn or_client(&self, listener: &TcpListener) -> io::Result<()> {
        let mut sources = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(&self.bell, PollFlags::IN),
        ];
        match poll(&mut sources, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
