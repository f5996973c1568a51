//! One suite for the engine, run on every mechanism of the kernel and on the simulated network.

#[path = "suite/accept.rs"]
mod accept;
#[cfg(target_os = "linux")]
#[path = "suite/bad_road.rs"]
mod bad_road;
#[path = "suite/bytes.rs"]
mod bytes;
#[path = "suite/close.rs"]
mod close;
#[path = "suite/connect.rs"]
mod connect;
#[path = "suite/data.rs"]
mod data;
#[path = "suite/deadlines.rs"]
mod deadlines;
#[path = "suite/every_operation.rs"]
mod every_operation;
#[path = "suite/flow.rs"]
mod flow;
#[path = "suite/leap.rs"]
mod leap;
#[cfg(target_os = "linux")]
#[path = "suite/namespaces.rs"]
mod namespaces;
#[cfg(target_os = "linux")]
#[path = "suite/on_kernels.rs"]
mod on_kernels;
#[path = "suite/overflow.rs"]
mod overflow;
#[path = "suite/pair.rs"]
mod pair;
#[path = "suite/panics.rs"]
mod panics;
#[path = "suite/rates.rs"]
mod rates;
#[path = "suite/scripted.rs"]
mod scripted;
#[path = "suite/stopping.rs"]
mod stopping;
#[path = "suite/waking.rs"]
mod waking;

macro_rules! suite {
    ($($name:ident $(if $works:expr)? => $network:expr, $apart:expr;)*) => { $(
        mod $name {
            // Both ends in one loop.
            suite!(@cases ($($works)?) $network;
                connect::connect_refused_is_told_apart
                connect::close_before_it_is_made_follows_what_was_queued
                connect::r1_an_id_never_names_a_later_connection
                connect::s14_connect_close_race

                data::echo_in_order
                data::echo_over_many_connections
                data::e7_smallest_budgets_still_deliver_everything
                data::broadcast_reaches_everybody

                flow::a3_a_peer_that_never_reads_costs_bounded_memory
                flow::overflow_can_close_the_slow_one
                flow::own_output_above_high_pauses_own_input
                flow::drained_is_told_once_the_queue_is_low
                flow::pause_holds_frames_back_until_resume

                panics::a_panic_loses_no_event_of_the_same_turn

                overflow::drop_newest_keeps_the_beginning
                overflow::drop_oldest_keeps_the_end
                overflow::drop_oldest_can_be_chosen_for_one_connection
                overflow::a_key_conflates_what_waits
                overflow::broadcast_by_key_reaches_the_quick_and_spares_the_slow
                overflow::close_after_ends_the_slow_one_alone
                overflow::a_connection_that_catches_up_in_time_is_kept

                close::e1_half_close_is_an_event_and_not_a_close
                close::a5_close_loses_nothing_that_was_queued
                close::a6_close_ends_within_the_linger_deadline
                close::abort_resets_the_peer

                deadlines::no_frame_ends_the_handshake_in_time
                deadlines::the_first_frame_ends_the_handshake_unless_it_is_a_long_one
                deadlines::a10_slowloris_is_closed_when_its_frame_takes_too_long
                deadlines::a_paused_connection_is_not_blamed_for_half_a_frame
                deadlines::idle_connections_are_closed_and_busy_ones_are_not
                deadlines::a_connection_may_have_an_idle_deadline_of_its_own
                deadlines::output_that_nobody_takes_ends_the_connection
                deadlines::a_slow_reader_that_takes_something_is_not_stalled
                deadlines::a_lifetime_ends_whatever_the_connection_does
                deadlines::who_keeps_all_deadlines_never_notices_them

                rates::input_is_read_as_fast_as_its_rate
                rates::output_is_written_as_fast_as_its_rate
                rates::who_sends_a_frame_too_slowly_is_reset
                rates::who_sends_a_long_frame_fast_enough_is_left_alone
                rates::who_takes_output_too_slowly_is_reset

                waking::timers_fire_in_order_never_early_and_die_with_their_connection
                waking::timers_can_be_set_anew
                waking::w6_cancelled_timers_do_not_keep_the_loop_turning
                waking::w1_messages_of_other_threads_all_arrive
                waking::s40_wake_in_callback
                waking::s42_timer_reentrancy

                stopping::w2_stop_before_run_is_not_forgotten
            );

            // Each end in a loop of its own.
            suite!(@cases ($($works)?) $apart;
                accept::a2_resets_in_the_backlog_end_nothing
                accept::s05_backlog_overflow
                accept::s06_accept_storm
                accept::s31_fd_reuse_same_batch

                bytes::s15_short_write_4mb
                bytes::s17_slow_writer_1bps
                bytes::s19_one_byte_frames
                bytes::s20_pipelined_burst
                bytes::s23_both_full_is_no_deadlock
                bytes::s26_half_close_echo
                bytes::s28_rst_mid_write
                bytes::a4_a_slow_reader_blocks_nobody
                bytes::e7_a_flooding_peer_starves_nobody

                stopping::a7_drain_answers_every_request_it_took
            );

            // As many networks as wanted.
            suite!(@cases ($($works)?) || $network;
                every_operation::a11_every_operation_from_every_callback
                panics::a_panic_ends_its_own_connection_alone
                panics::a_panic_goes_on_to_whoever_asks_for_it
            );
        }
    )* };
    (@skip_unless) => {};
    (@skip_unless $works:expr) => {
        if !$works {
            return;
        }
    };
    (@skip_unless_in ($($works:expr)?)) => {
        suite!(@skip_unless $($works)?);
    };
    (@cases $works:tt $network:expr; $($subject:ident :: $case:ident)*) => { $(
        #[test]
        fn $case() {
            suite!(@skip_unless_in $works);
            crate::$subject::$case($network);
        }
    )* };
}

use std::time::Duration;

use pair::Apart;
use trunkline::network::kernel::Kernel;
use trunkline::network::simulated::{Config, Simulated, World};
use trunkline::{Mechanism, Trigger};

fn kernel(mechanism: Mechanism) -> Kernel {
    Kernel::with_mechanism(mechanism).expect("it works here")
}

/// Many a sandbox forbids it. In CI that is a failure.
fn io_uring_works_here() -> bool {
    let Err(reason) = Mechanism::IoUring.check() else {
        return true;
    };
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
    false
}

fn kernels(mechanism: Mechanism) -> Apart<Kernel, impl FnMut()> {
    Apart {
        server: kernel(mechanism),
        client: kernel(mechanism),
        pass: std::thread::yield_now,
    }
}

fn world(trigger: Trigger) -> World {
    World::new(Config {
        trigger,
        ..Config::calm(7)
    })
}

fn simulated(trigger: Trigger) -> Simulated {
    world(trigger).network()
}

fn simulated_apart(trigger: Trigger) -> Apart<Simulated, impl FnMut()> {
    let world = world(trigger);
    Apart {
        server: world.network(),
        client: world.network(),
        pass: move || {
            // With nothing on its way, only deadlines are waited for.
            if !world.advance_to_next() {
                world.advance(Duration::from_millis(1));
            }
        },
    }
}

suite! {
    epoll => crate::kernel(trunkline::Mechanism::Epoll), crate::kernels(trunkline::Mechanism::Epoll);
    io_uring if crate::io_uring_works_here()
        => crate::kernel(trunkline::Mechanism::IoUring), crate::kernels(trunkline::Mechanism::IoUring);
    poll => crate::kernel(trunkline::Mechanism::Poll), crate::kernels(trunkline::Mechanism::Poll);
    select => crate::kernel(trunkline::Mechanism::Select), crate::kernels(trunkline::Mechanism::Select);
    simulated_level => crate::simulated(trunkline::Trigger::Level), crate::simulated_apart(trunkline::Trigger::Level);
    simulated_edge => crate::simulated(trunkline::Trigger::Edge), crate::simulated_apart(trunkline::Trigger::Edge);
}

/// Where nothing is ever long on its way, as on the kernel's loopback, every connection that was made is answered.
mod drain {
    macro_rules! a7_drain_answers_what_was_asked {
        ($($name:ident $(if $works:expr)? => $mechanism:ident;)*) => { $(
            #[test]
            fn $name() {
                suite!(@skip_unless $($works)?);
                crate::stopping::a7_drain_answers_what_was_asked(crate::kernel(trunkline::Mechanism::$mechanism));
            }
        )* };
    }

    a7_drain_answers_what_was_asked! {
        a7_drain_answers_what_was_asked_epoll => Epoll;
        a7_drain_answers_what_was_asked_io_uring if crate::io_uring_works_here() => IoUring;
        a7_drain_answers_what_was_asked_poll => Poll;
        a7_drain_answers_what_was_asked_select => Select;
    }
}

/// On the kernel alone: what the simulated network does not have.
#[cfg(target_os = "linux")]
mod on_kernel {
    macro_rules! on_kernel {
        ($($name:ident $(if $works:expr)? => $mechanism:ident;)*) => { $(
            mod $name {
                const MECHANISM: trunkline::Mechanism = trunkline::Mechanism::$mechanism;

                fn is_skipped() -> bool {
                    $(if !$works {
                        return true;
                    })?
                    false
                }

                on_kernel!(@cases ()
                    on_kernels::s25_oob_byte
                    on_kernels::s28_no_sigpipe
                    on_kernels::s46_fork_child
                );

                // These start their own program again.
                on_kernel!(@cases (concat!("on_kernel::", stringify!($name), "::"))
                    on_kernels::s44_sigstop_sigcont
                    namespaces::s11_blackhole_timeout
                    namespaces::s12_ephemeral_exhausted
                    namespaces::s13_self_connect
                    namespaces::s18_zero_window
                    bad_road::s24_loss_reorder_dup
                    namespaces::s33_fin_wait_vanish
                );
            }
        )* };
        (@cases $prefix:tt $($subject:ident :: $case:ident)*) => { $(
            #[test]
            fn $case() {
                if !is_skipped() {
                    on_kernel!(@call $prefix $subject $case);
                }
            }
        )* };
        (@call () $subject:ident $case:ident) => {
            crate::$subject::$case(MECHANISM)
        };
        (@call ($prefix:expr) $subject:ident $case:ident) => {
            crate::$subject::$case(&format!("{}{}", $prefix, stringify!($case)), MECHANISM)
        };
    }

    on_kernel! {
        epoll => Epoll;
        io_uring if crate::io_uring_works_here() => IoUring;
        poll => Poll;
        select => Select;
    }
}
