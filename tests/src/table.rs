//! The table of all behaviours: what each is called, and which rows of the catalogue it proves.
//!
//! The catalogue has 324 rows, T001 to T324, in 17 sections; a behaviour proves those that stand behind its name. A word
//! behind them says where it cannot run:
//!
//! - `timed`: it needs virtual time, or executors of its own, so it runs in simulated worlds only.
//! - `unwinds`: it panics inside of the request, which ends everything where panics abort: not in WebAssembly.
//!
//! The rows that are not here stand in [`elsewhere`](crate::elsewhere).

/// Calls a macro with the table of all behaviours: `room { name [rows] where?, … } …`.
///
/// A runner makes a test of each, in a world of its own; see `tests/tests/native.rs`.
#[macro_export]
macro_rules! for_each_behaviour {
    ($make_tests:ident) => {
        $make_tests! {
            callback {
                it_has_returned_before_the_wait_ends [T001 T007 T010],
                its_error_is_the_runs [T004 T015 T016],
                it_gets_the_error_of_its_run [T008 T024],
                it_hears_of_a_cancel [T037],
                its_run_is_not_over_while_it_runs [T012],
                it_can_be_replaced_from_inside [T013],
                what_it_owns_is_freed_with_it [T006 T023],
            }
            cancel {
                a_granted_cancel_ends_the_run_as_cancelled [T027 T028 T034],
                a_cancel_out_of_time_changes_nothing [T029 T031 T032 T041],
                a_cancelled_run_that_is_not_over_says_so [T033],
                a_cancel_is_told_until_the_next_start [T035],
                a_cancel_skips_the_stages_to_come [T038],
                a_stage_that_does_not_look_ends_as_cancelled [T040],
                a_race_of_cancel_and_end_has_one_outcome [],
            }
            leave {
                a_dropped_request_cancels_and_frees_everything [T020 T070 T071],
                a_dropped_run_is_cancelled_and_a_detached_one_is_not [],
                the_last_handle_may_be_dropped_in_the_callback [],
                a_stopped_request_finishes_and_takes_no_other_run [T255],
                handles_may_go_in_any_order [T072 T115],
            }
            panic {
                a_panic_in_a_stage_ends_its_run_only [T251],
                a_panic_in_the_callback_ends_its_run_only [T026],
            }
            parking {
                a_parked_stage_goes_on_when_woken [],
                a_stage_that_gives_way_is_polled_again [],
                parked_requests_hold_no_thread [],
                a_wake_after_a_cancel_changes_nothing [],
            }
            pool {
                each_run_gets_its_own_result [T157 T294],
                a_failed_run_takes_no_request_away [T296],
                a_dropped_run_gives_its_request_back [],
            }
            restart {
                ten_restarts_make_eleven_runs [T003],
                a_wait_ends_with_its_own_run [T017],
                a_start_during_the_callback_is_remembered [T025],
                a_cancel_in_the_callback_ends_the_chain [],
            }
            stages {
                three_stages_give_the_result [],
                a_failing_stage_skips_the_rest [T256],
                one_request_is_prepared_while_another_waits [T191 T252],
                an_answer_that_comes_too_late_is_ignored [],
            }
            start {
                a_run_gives_its_outputs [T045 T094],
                a_fresh_request_runs_on_zeros [T089 T090 T116],
                a_busy_request_says_so [T049 T050 T051 T052 T053 T058 T059 T060 T061],
                a_request_that_never_ran_is_told_apart [T047 T048 T055],
                an_ending_is_told_until_the_next_start [T057 T064 T065],
                a_start_that_is_refused_leaves_no_trace [T066 T067],
                each_status_is_told_apart [T077],
            }
            tensors {
                a_port_that_is_not_there_is_named [T086 T109 T110 T111],
                what_was_bound_is_what_is_got [T082 T083 T084 T085 T091 T092 T093 T095 T101],
                a_tensor_that_does_not_fit_is_refused [T078 T079 T087 T088 T102 T103 T113],
                read_only_memory_is_an_input_only [T117 T118],
                a_region_is_read_and_written_in_place [T119 T120 T121],
                a_tensor_cannot_be_input_and_output [T123],
                tensors_of_a_run_are_held [T124],
                two_requests_share_no_tensors [T114],
                an_output_feeds_the_next_request [T149 T154],
                a_dynamic_shape_is_the_runs_own [T126 T132 T138 T139 T140 T141 T142],
            }
        }
    };
}

/// A behaviour, as the table has it.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// The module that it is in.
    pub room: &'static str,
    /// The function.
    pub name: &'static str,
    /// The rows of the catalogue that it proves, as `T001`.
    pub rows: &'static [&'static str],
    /// Where it cannot run: `timed`, `unwinds` or nothing.
    pub only: &'static str,
}

macro_rules! list {
    ($($room:ident { $($name:ident [$($row:ident)*] $($only:ident)?,)* })*) => {
        /// All behaviours.
        pub const BEHAVIOURS: &[Behaviour] = &[$($(
            Behaviour {
                room: stringify!($room),
                name: stringify!($name),
                rows: &[$(stringify!($row)),*],
                only: concat!($(stringify!($only))?),
            },
        )*)*];
    };
}

for_each_behaviour!(list);

#[cfg(test)]
mod tests {
    use super::*;

    /// A behaviour that is written and not in the table would never run.
    #[test]
    fn every_behaviour_is_in_the_table() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/behaviour");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let room = path.file_stem().unwrap().to_str().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            for behaviour in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = behaviour.split('(').next().unwrap();
                assert!(BEHAVIOURS.iter().any(|it| it.room == room && it.name == name), "{room}::{name}");
            }
        }
    }
}
