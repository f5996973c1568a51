//! How long a connection may take over things.

use std::time::Duration;

/// How long a connection may take over things before it is closed. `None` is for ever. Each deadline ends the connection
/// with a [`Cause`](crate::Cause) of its own.
///
/// | deadline | from | to | how it ends | unless set |
/// |---|---|---|---|---|
/// | [`connect`](crate::Options::connect_timeout) | our connect | the connection | [`connect_failed`](crate::Handler::connect_failed) | 10 s |
/// | [`handshake`](Deadlines::handshake) | `open` | the first whole frame | closed | off |
/// | [`frame`](Deadlines::frame) | the first byte of a frame | its last | closed | 60 s |
/// | [`idle`](Deadlines::idle) | the last byte, in or out | the next | closed | off |
/// | [`write_stall`](Deadlines::write_stall) | the last byte that the peer took of what waits | the next | reset | 60 s |
/// | [`lifetime`](Deadlines::lifetime) | `open` | | closed | off |
/// | [`linger`](crate::Options::linger) | `close` | the peer's end of the stream | reset | 10 s |
/// | [`drain`](crate::Options::drain) | `stop` | the last connection's end | reset | 10 s |
///
/// "Closed" is what [`Io::close`](crate::Io::close) does: what is queued is flushed, and the linger deadline begins.
///
/// The five of this struct cost a message nothing to keep: time is told in ticks, and a message notes in which one it
/// came. So they are never early, and late by at most two ticks and what the ticks themselves are late. Two ticks take an
/// eighth of the shortest of them, unless [`precision`](Deadlines::precision) says otherwise. While the process is stopped, or
/// the machine asleep, one tick passes at most; and before a deadline closes a connection, its socket is asked once more: bytes
/// that wait in the kernel count as having come, unless the handler has paused reading.
///
/// ```
/// use std::time::Duration;
/// use trunkline::Deadlines;
///
/// let deadlines = Deadlines { idle: Some(Duration::from_secs(300)), ..Deadlines::default() };
/// assert_eq!(deadlines.frame, Some(Duration::from_secs(60)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// From `open` to the first whole frame that is handed over. A handler whose handshake has more frames than one says so
    /// ([`Io::begin_handshake`](crate::Io::begin_handshake)), and when it is done.
    pub handshake: Option<Duration>,
    /// From the first byte of a frame to its last, however the bytes between them come: who sends one a minute
    /// ("slowloris") does not hold a place for ever. While reading is paused the time does not pass, and begins anew when it
    /// resumes.
    pub frame: Option<Duration>,
    /// Without a byte in or out. Whose bytes a [rate](crate::Rates) of ours holds back is not idle; whose bytes the handler
    /// does not read, because it has paused, may be. A connection may be given a time of its own
    /// ([`Io::set_idle_timeout`](crate::Io::set_idle_timeout)).
    pub idle: Option<Duration>,
    /// While output waits and the peer takes none of it.
    pub write_stall: Option<Duration>,
    /// From `open` on, whatever the connection does.
    pub lifetime: Option<Duration>,
    /// How late a deadline may be noticed at most, one millisecond at the least. `None`: an eighth of the shortest of
    /// them, or a second when none is set.
    pub precision: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: None,
            frame: Some(Duration::from_secs(60)),
            idle: None,
            write_stall: Some(Duration::from_secs(60)),
            lifetime: None,
            precision: None,
        }
    }
}

impl Deadlines {
    /// No deadline at all.
    ///
    /// ```
    /// assert_eq!(trunkline::Deadlines::off().frame, None);
    /// ```
    pub fn off() -> Self {
        Self {
            handshake: None,
            frame: None,
            idle: None,
            write_stall: None,
            lifetime: None,
            precision: None,
        }
    }

    /// How long a tick takes; `window` is one more time to be noticed. A deadline that is no whole number of ticks is rounded
    /// up to one, and begins to count with the next tick: it may be late by two, which together are the precision.
    pub(crate) fn tick(&self, window: Option<Duration>) -> Duration {
        const SHORTEST: Duration = Duration::from_millis(1);
        const WITHOUT_DEADLINES: Duration = Duration::from_secs(1);
        let all = [
            self.handshake,
            self.frame,
            self.idle,
            self.write_stall,
            self.lifetime,
            window,
        ];
        let eighth = all.into_iter().flatten().min().map(|shortest| shortest / 8);
        let precision = self.precision.or(eighth).unwrap_or(WITHOUT_DEADLINES);
        precision.max(SHORTEST) / 2
    }
}
