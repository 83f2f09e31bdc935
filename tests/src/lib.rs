//! What the tests of all targets share.
//!
//! [`behaviour`] holds what a request promises, a promise a function, over the [`world::World`] of a target;
//! [`for_each_behaviour`] is the table of them, from which a runner makes its tests. [`model`] builds models in code,
//! and [`native`] is for the tests of the desktop host alone. [`data`] finds the test models and
//! says what their results should be.
#![forbid(unsafe_code)]

pub mod behaviour;
pub mod data;
pub mod model;
pub mod native;
pub mod world;

/// Calls a macro with the table of all behaviours: `room { name, … } …`.
///
/// A runner makes a test of each, in a world of its own; see `tests/tests/native.rs`.
#[macro_export]
macro_rules! for_each_behaviour {
    ($make_tests:ident) => {
        $make_tests! {
            callback {
                it_has_returned_before_the_wait_ends,
                its_error_is_the_runs,
                it_gets_the_error_of_its_run,
                it_hears_of_a_cancel,
                its_run_is_not_over_while_it_runs,
                it_can_be_replaced_from_inside,
                what_it_owns_is_freed_with_it,
            }
            cancel {
                a_granted_cancel_ends_the_run_as_cancelled,
                a_cancel_out_of_time_changes_nothing,
                a_cancelled_run_that_is_not_over_says_so,
                a_cancel_is_told_until_the_next_start,
                a_cancel_skips_the_stages_to_come,
                a_stage_that_does_not_look_ends_as_cancelled,
                a_race_of_cancel_and_end_has_one_outcome,
            }
            leave {
                a_dropped_request_cancels_and_frees_everything,
                a_dropped_run_is_cancelled_and_a_detached_one_is_not,
                the_last_handle_may_be_dropped_in_the_callback,
                a_stopped_request_finishes_and_takes_no_other_run,
                handles_may_go_in_any_order,
            }
            panic {
                a_panic_in_a_stage_ends_its_run_only,
                a_panic_in_the_callback_ends_its_run_only,
            }
            parking {
                a_parked_stage_goes_on_when_woken,
                a_stage_that_gives_way_is_polled_again,
                parked_requests_hold_no_thread,
                a_wake_after_a_cancel_changes_nothing,
            }
            pool {
                each_run_gets_its_own_result,
                a_failed_run_takes_no_request_away,
                a_dropped_run_gives_its_request_back,
            }
            restart {
                ten_restarts_make_eleven_runs,
                a_wait_ends_with_its_own_run,
                a_start_during_the_callback_is_remembered,
                a_cancel_in_the_callback_ends_the_chain,
            }
            stages {
                three_stages_give_the_result,
                a_failing_stage_skips_the_rest,
                one_request_is_prepared_while_another_waits,
                an_answer_that_comes_too_late_is_ignored,
            }
            start {
                a_run_gives_its_outputs,
                a_fresh_request_runs_on_zeros,
                a_busy_request_says_so,
                a_request_that_never_ran_is_told_apart,
                an_ending_is_told_until_the_next_start,
                a_start_that_is_refused_leaves_no_trace,
                each_status_is_told_apart,
            }
            tensors {
                a_port_that_is_not_there_is_named,
                what_was_bound_is_what_is_got,
                a_tensor_that_does_not_fit_is_refused,
                read_only_memory_is_an_input_only,
                a_region_is_read_and_written_in_place,
                a_tensor_cannot_be_input_and_output,
                tensors_of_a_run_are_held,
                two_requests_share_no_tensors,
                an_output_feeds_the_next_request,
                a_dynamic_shape_is_the_runs_own,
            }
        }
    };
}

#[cfg(test)]
mod tests {
    /// A behaviour that is written and not in the table would never run.
    #[test]
    fn every_behaviour_is_in_the_table() {
        let table = include_str!("lib.rs");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/behaviour");
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for behaviour in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = behaviour.split('(').next().unwrap();
                assert!(table.contains(&format!("                {name},\n")), "{name}");
            }
        }
    }
}

/// The README: its example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
