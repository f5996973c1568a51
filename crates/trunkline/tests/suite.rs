//! One suite for the engine, run on every mechanism of the kernel and on the simulated network.

#[path = "suite/cases.rs"]
mod cases;
#[path = "suite/every_operation.rs"]
mod every_operation;
#[path = "suite/overflow.rs"]
mod overflow;
#[path = "suite/pair.rs"]
mod pair;
#[path = "suite/stopping.rs"]
mod stopping;

macro_rules! suite {
    ($($name:ident $(if $works:expr)? => $network:expr, $apart:expr;)*) => { $(
        mod $name {
            suite!(@cases ($($works)?) $network;
                echo_in_order
                echo_over_many_connections
                e7_smallest_budgets_still_deliver_everything
                e1_half_close_is_an_event_and_not_a_close
                a5_close_loses_nothing_that_was_queued
                a6_close_ends_within_the_linger_deadline
                a3_a_peer_that_never_reads_costs_bounded_memory
                overflow_can_close_the_slow_one
                own_output_above_high_pauses_own_input
                drained_is_told_once_the_queue_is_low
                pause_holds_frames_back_until_resume
                abort_resets_the_peer
                timers_fire_in_order_never_early_and_die_with_their_connection
                broadcast_reaches_everybody
                r1_an_id_never_names_a_later_connection
                connect_refused_is_told_apart
                close_before_it_is_made_follows_what_was_queued
                w1_messages_of_other_threads_all_arrive
            );

            suite!(@in overflow ($($works)?) $network;
                drop_newest_keeps_the_beginning
                drop_oldest_keeps_the_end
                drop_oldest_can_be_chosen_for_one_connection
                a_key_conflates_what_waits
                broadcast_by_key_reaches_the_quick_and_spares_the_slow
                close_after_ends_the_slow_one_alone
                a_connection_that_catches_up_in_time_is_kept
            );

            #[test]
            fn a2_resets_in_the_backlog_end_nothing() {
                suite!(@skip_unless $($works)?);
                crate::cases::a2_resets_in_the_backlog_end_nothing($apart);
            }

            #[test]
            fn w2_stop_before_run_is_not_forgotten() {
                suite!(@skip_unless $($works)?);
                crate::stopping::w2_stop_before_run_is_not_forgotten($network);
            }

            #[test]
            fn a7_drain_answers_every_request_it_took() {
                suite!(@skip_unless $($works)?);
                crate::stopping::a7_drain_answers_every_request_it_took($apart);
            }

            #[test]
            fn a11_every_operation_from_every_callback() {
                suite!(@skip_unless $($works)?);
                crate::every_operation::a11_every_operation_from_every_callback(|| $network);
            }
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
    (@in $room:ident $works:tt $network:expr; $($case:ident)*) => { $(
        #[test]
        fn $case() {
            suite!(@skip_unless_in $works);
            crate::$room::$case($network);
        }
    )* };
    (@cases $works:tt $network:expr; $($case:ident)*) => { $(
        #[test]
        fn $case() {
            suite!(@skip_unless_in $works);
            crate::cases::$case($network);
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
