//! The settings that servers and clients share, written once.

/// Gives a builder with an `options` field one method per setting.
macro_rules! settings {
    ($builder:ident $(: $bound:path)?) => {
        impl<H $(: $bound)?> $builder<H> {
            /// The mechanism; `None` takes the best here.
            #[must_use]
            pub fn mechanism(mut self, mechanism: impl Into<Option<trunkline_selectors::Mechanism>>) -> Self {
                self.options.mechanism = mechanism.into();
                self
            }

            crate::builder::setting!(max_connections: usize, connections_max, "Connections open at once.");
            crate::builder::setting!(when_full: crate::options::WhenFull, when_full,
                "What happens to a new client at the maximum, or out of descriptors.");
            crate::builder::setting!(limits: crate::limits::Limits, limits,
                "Who is accepted: how many connections of one peer, and how many new ones per second.");
            crate::builder::setting!(unix_mode: Option<u32>, unix_mode,
                "The permission bits of socket files, such as `0o660`; `None` leaves them to the umask.");
            crate::builder::setting!(backlog: u32, backlog, "Connections the kernel may hold before we accept them.");
            crate::builder::setting!(high_watermark: usize, high_watermark_bytes,
                "Outgoing bytes above which an accepted connection's own input pauses, and `send` says so on any.");
            crate::builder::setting!(low_watermark: usize, low_watermark_bytes, "Outgoing bytes at which it resumes.");
            crate::builder::setting!(hard_limit: usize, hard_limit_bytes,
                "Outgoing bytes that a connection's queue never exceeds.");
            crate::builder::setting!(overflow: crate::options::Overflow, overflow,
                "What happens to a message over the hard limit.");
            crate::builder::setting!(when_panicking: crate::options::WhenPanicking, when_panicking,
                "What happens when a callback panics.");
            crate::builder::setting!(linger: std::time::Duration, linger,
                "Between `close` and the end of the connection at the latest.");
            crate::builder::setting!(drain: std::time::Duration, drain,
                "Between the begin of the drain and the end of the loop at the latest.");
            crate::builder::setting!(drain_lag: std::time::Duration, drain_lag,
                "After `stop`, how long a server goes on as before, though no longer ready.");
            crate::builder::setting!(connect_timeout: std::time::Duration, connect_timeout,
                "Until a connection of ours is made at the latest.");
            crate::builder::setting!(attempt_delay: std::time::Duration, attempt_delay,
                "How long one address of a name may leave us waiting before the next one is tried as well.");
            crate::builder::setting!(deadlines: crate::options::Deadlines, deadlines,
                "How long a connection may take over things.");
            crate::builder::setting!(rates: crate::options::Rates, rates,
                "How fast bytes may come and go on a connection, and how slowly.");
            crate::builder::deadline!(handshake_timeout, handshake,
                "From `open` to the first whole frame ([`Deadlines::handshake`](crate::Deadlines::handshake)).");
            crate::builder::deadline!(frame_timeout, frame,
                "From the first byte of a frame to its last ([`Deadlines::frame`](crate::Deadlines::frame)).");
            crate::builder::deadline!(idle_timeout, idle,
                "Without a byte in or out ([`Deadlines::idle`](crate::Deadlines::idle)).");
            crate::builder::deadline!(write_stall_timeout, write_stall,
                "While output waits and the peer takes none ([`Deadlines::write_stall`](crate::Deadlines::write_stall)).");
            crate::builder::deadline!(lifetime, lifetime,
                "From `open` on, whatever the connection does ([`Deadlines::lifetime`](crate::Deadlines::lifetime)).");
            crate::builder::setting!(accept_budget: usize, accept_budget, "Connections accepted per listener and turn.");
            crate::builder::setting!(read_budget: usize, read_budget_bytes, "Bytes read per connection and turn.");
            crate::builder::setting!(frame_budget: usize, frame_budget, "Frames handed over per connection and turn.");

            /// All settings at once.
            #[must_use]
            pub fn options(mut self, options: crate::options::Options) -> Self {
                self.options = options;
                self
            }
        }
    };
}

/// One method of a builder.
macro_rules! setting {
    ($name:ident: $type:ty, $field:ident, $doc:literal) => {
        #[doc = $doc]
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.options.$field = $name;
            self
        }
    };
}

/// One method for a deadline, which may be none.
macro_rules! deadline {
    ($name:ident, $field:ident, $doc:literal) => {
        #[doc = $doc]
        #[must_use]
        pub fn $name(mut self, $name: impl Into<Option<std::time::Duration>>) -> Self {
            self.options.deadlines.$field = $name.into();
            self
        }
    };
}

pub(crate) use {deadline, setting, settings};
