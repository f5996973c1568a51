//! The cases, and the list that turns them into tests.

pub(crate) mod capabilities;
pub(crate) mod facts;
#[cfg(target_os = "linux")]
pub(crate) mod herd;
#[cfg(target_os = "linux")]
pub(crate) mod interrupted;
#[cfg(unix)]
pub(crate) mod letting_go;
pub(crate) mod platform;
#[cfg(unix)]
pub(crate) mod progress;
pub(crate) mod readiness;
pub(crate) mod registrations;
#[cfg(unix)]
pub(crate) mod special;
pub(crate) mod support;
pub(crate) mod triggers;
pub(crate) mod waiting;
pub(crate) mod waking;

/// Turns the list of cases into one test per case and mechanism. A case missing from the list is dead code, which
/// the compiler reports.
macro_rules! conformance_cases {
    ($($module:ident $mechanism:ident),+) => {
        $(conformance_cases!(@listed $module $mechanism {
            interrupted:
                #[cfg(target_os = "linux")]
                w3_eintr_keeps_the_deadline;
            herd:
                #[cfg(target_os = "linux")]
                exclusive_wakes_one_at_least_and_not_all;
            waiting:
                w4_short_timeouts_are_neither_cut_nor_rounded_to_a_millisecond
                w4_zero_stays_zero
                w5_very_long_timeouts_wait
                no_timeout_waits_until_something_is_ready
                w1_no_news_is_lost_while_others_are_taken
                an_empty_selector_waits_for_its_timeout;
            waking:
                w1_a_wake_before_the_wait_ends_it_at_once
                w1_a_wake_during_the_wait_ends_it
                w1_a_wake_after_a_wait_counts_for_the_next
                w1_no_wake_is_lost_among_many_threads
                wakes_before_one_wait_are_one
                several_wakers_end_the_same_selector
                a_wake_and_events_come_together
                a_waker_wakes_no_other_selector
                a_waker_may_outlive_its_selector;
            registrations:
                #[cfg(unix)]
                r1_a_number_reused_within_a_batch_gets_no_stale_event
                r2_unregister_silences_at_once
                r2_unregister_takes_effect_within_the_batch
                r4_a_duplicate_left_open_makes_no_events
                r7_a_failed_registration_leaks_nothing
                #[cfg(unix)]
                r8_descriptor_2000_works
                more_sources_ready_than_one_batch_holds
                registering_twice_is_already_exists
                a_stale_key_is_not_found_everywhere
                modify_takes_effect_at_the_next_wait
                modify_masks_the_current_batch
                modify_there_and_back_changes_nothing
                look_up_by_source_and_by_key
                iteration_visits_every_registration
                data_makes_the_round_trip
                unregister_gives_source_and_data_back
                a_failed_register_gives_source_and_data_back
                any_kind_of_source_is_welcome;
            triggers:
                a_trigger_that_is_not_offered_is_refused_by_name
                edge_tells_once_per_change
                one_shot_tells_once_until_it_is_armed_again
                one_shot_hears_of_a_hang_up_when_it_is_armed_again
                one_shot_is_not_armed_by_anything_but_modify
                one_shots_that_do_not_fit_into_a_batch_stay_armed
                one_shots_leave_the_others_alone
                exclusive_follows_its_interest
                exclusive_does_not_watch_for_priority;
            capabilities:
                #[cfg(unix)]
                an_error_with_priority_alone_is_seen_as_they_say
                #[cfg(unix)]
                a_hang_up_with_write_alone_is_seen_as_they_say
                #[cfg(unix)]
                the_selector_says_what_its_mechanism_says
                priority_is_taken_or_refused_as_they_say
                what_was_taken_without_being_told_is_told_as_they_say
                what_is_taken_only_when_told_is_not_told_in_vain;
            readiness:
                e1_half_close_is_not_a_hang_up
                e1_half_close_keeps_unread_data
                e1_half_close_is_silent_without_read_interest
                e2_a_reset_wakes_reader_and_writer
                #[cfg(unix)]
                e2_a_broken_pipe_wakes_the_writer
                e3_empty_interest_never_storms
                e3_a_paused_reader_hears_of_the_hang_up_on_resuming
                e3_priority_interest_never_storms
                e4_a_partial_read_is_not_forgotten
                e5_a_second_reader_may_find_nothing
                e6_out_of_band_data_is_not_readable_for_ever
                e6_priority_interest_hears_of_urgent_data_alone
                #[cfg(unix)]
                the_end_of_a_pipe_is_no_error
                readiness_facts_are_told_apart
                a_full_writer_becomes_writable_again;
            letting_go:
                #[cfg(unix)]
                unregister_lets_go_of_the_source_when_they_say
                #[cfg(unix)]
                a_wait_lets_go_before_it_sleeps
                #[cfg(unix)]
                not_more_than_a_thousand_are_held
                #[cfg(unix)]
                apply_leaves_the_batch_and_all_news_where_they_are
                #[cfg(unix)]
                a_dropped_selector_lets_go_of_its_sources
                #[cfg(unix)]
                an_old_interest_does_not_answer_for_the_new_one
                #[cfg(unix)]
                news_survive_the_end_of_another_registration
                #[cfg(unix)]
                a_selector_may_move_to_another_thread
                #[cfg(unix)]
                changes_of_thousands_at_once;
            progress:
                #[cfg(unix)]
                e4_what_was_not_read_is_announced_again
                #[cfg(unix)]
                e4_with_edge_trigger_more_input_is_a_new_edge
                #[cfg(unix)]
                e7_a_flooding_peer_starves_nobody
                #[cfg(unix)]
                e7_a_seldom_source_gets_its_turn_among_too_many_busy_ones
                #[cfg(unix)]
                e7_who_is_modified_before_each_wait_gets_its_turn
                #[cfg(unix)]
                e7_all_get_their_turn_who_are_modified_before_each_wait;
            special:
                #[cfg(unix)]
                r9_a_regular_file_is_always_ready
                #[cfg(unix)]
                r9_the_null_device_is_always_ready
                #[cfg(unix)]
                r9_always_ready_sources_obey_modify_and_unregister
                #[cfg(unix)]
                r9_an_always_ready_source_does_not_hide_others
                #[cfg(target_os = "linux")]
                r9_a_terminal_is_ready_when_there_is_input;
        });)+
    };
    (@listed $module:ident $mechanism:ident {
        $($subject:ident: $($(#[$attribute:meta])* $case:ident)+;)+
    }) => {
        mod $module {
            $($(
                $(#[$attribute])*
                #[test]
                fn $case() {
                    let mechanism = trunkline_selectors::Mechanism::$mechanism;
                    let _turn = super::conformance::support::turn(mechanism);
                    if super::conformance::support::works_here(mechanism) {
                        super::conformance::$subject::$case(mechanism);
                    }
                }
            )+)+
        }
    };
}
