//! Every kind of source that has a descriptor, on every mechanism: sockets, pipes, terminals, what the kernel signals
//! with, and what never blocks.
//!
//! Each case says what the source must be reported as, in each of the states it can be in, and all mechanisms must
//! say the same. The list below turns a case into one test per mechanism, as in `conformance.rs`, whose helpers are
//! used here too. A name that starts with a letter and a number is a row of the project's table of known defects; all
//! of this file is about R9.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

#[path = "conformance/facts.rs"]
mod facts;
#[allow(dead_code, unused_imports)] // made for the suite, which needs more of it
#[path = "conformance/platform.rs"]
mod platform;
#[allow(dead_code, unused_imports)] // as above
#[path = "conformance/support.rs"]
mod support;

mod sources {
    pub(crate) mod always_ready;
    pub(crate) mod answers;
    pub(crate) mod pipes;
    pub(crate) mod place;
    pub(crate) mod signals;
    pub(crate) mod sockets;
    pub(crate) mod terminals;
}

/// Turns the list of cases into one test per case and mechanism. A case missing from the list is dead code, which
/// the compiler reports.
macro_rules! on_every_mechanism {
    (@one $module:ident $mechanism:ident { $($subject:ident: $($case:ident)+;)+ }) => {
        mod $module {
            $($(
                #[test]
                fn $case() {
                    let mechanism = trunkline_selectors::Mechanism::$mechanism;
                    if crate::support::works_here(mechanism) {
                        crate::sources::$subject::$case(mechanism);
                    }
                }
            )+)+
        }
    };
    ($cases:tt) => {
        on_every_mechanism!(@one epoll Epoll $cases);
        on_every_mechanism!(@one io_uring IoUring $cases);
        on_every_mechanism!(@one poll Poll $cases);
        on_every_mechanism!(@one select Select $cases);
    };
}

on_every_mechanism!({
    sockets:
        a_tcp_stream
        a_tcp_connection_in_the_making
        a_tcp_connection_refused
        a_tcp_listener
        a_udp_socket
        a_udp_socket_whose_peer_is_gone
        a_unix_stream
        a_unix_listener
        a_unix_datagram_socket
        a_unix_sequenced_packet_socket;
    pipes:
        a_pipes_reader
        a_pipes_reader_whose_writer_leaves_data_behind
        a_pipes_writer
        a_pipes_writer_whose_reader_leaves
        a_named_pipe;
    terminals:
        the_users_side_of_a_terminal
        the_programs_side_of_a_terminal
        a_terminal_whose_program_left
        a_terminal_whose_user_left;
    signals:
        an_eventfd
        a_timerfd
        w6_a_cancelled_timerfd_stays_quiet
        a_signalfd
        a_pidfd
        an_inotify_watch
        an_epoll_set;
    always_ready:
        a_regular_file
        a_regular_file_at_its_end
        an_anonymous_file_in_memory
        a_directory
        the_null_device
        a_file_without_access
        all_of_them_together;
});
