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
            batch {
                items_are_gathered_for_each_run [T158 T159 T162],
                a_plain_tensor_replaces_the_items [T160 T165],
                a_batch_may_be_as_long_as_the_run_likes [T163],
                a_batch_of_one_is_its_item [T164],
                parts_of_one_buffer_are_items [T174],
                items_need_an_input [T167 T168 T169 T170 T178],
                what_is_no_batch_is_refused [T171 T172 T173 T176 T177],
            }
            batching {
                a_full_batch_leaves_at_once [] timed,
                a_partial_batch_leaves_when_its_first_has_waited_long_enough [] timed,
                a_batch_that_is_not_fixed_is_as_long_as_its_passengers [] timed,
                who_gets_off_disturbs_nobody [] timed,
                who_is_dropped_disturbs_nobody [] timed,
                a_failure_reaches_all_aboard_and_nobody_else [] timed,
                nobody_is_computed_who_has_got_off_before [] timed,
                a_batch_that_all_have_got_off_is_stopped [] timed,
            }
            callback {
                it_has_returned_before_the_wait_ends [T001 T007 T010],
                its_error_is_the_runs [T004 T015 T016],
                it_gets_the_error_of_its_run [T008 T024],
                it_hears_of_a_cancel [T037],
                its_run_is_not_over_while_it_runs [T012],
                it_can_be_replaced_from_inside [T013],
                what_it_owns_is_freed_with_it [T006 T023],
                an_infer_does_not_call_it [T002 T014],
                a_look_before_it_has_returned_says_not_yet [T005],
                without_one_the_waiter_gets_the_error [T009],
                an_infer_on_a_busy_request_loses_none [T021],
                it_is_freed_with_its_request [T022],
            }
            cancel {
                a_granted_cancel_ends_the_run_as_cancelled [T027 T028 T034],
                a_cancel_out_of_time_changes_nothing [T029 T031 T032 T041],
                a_cancelled_run_that_is_not_over_says_so [T033],
                a_cancel_is_told_until_the_next_start [T035],
                a_cancel_skips_the_stages_to_come [T038],
                a_stage_that_does_not_look_ends_as_cancelled [T040],
                a_race_of_cancel_and_end_has_one_outcome [],
                an_infer_is_cancelled_from_elsewhere [T030],
                its_error_says_so [T042],
                a_queued_run_ends_at_once [T039] timed,
                a_deadline_stops_a_run [] timed,
            }
            chain {
                two_in_a_row_are_as_one [T149 T150 T151],
                an_input_may_be_the_others_output [T152],
                a_tensor_that_is_read_is_not_overwritten [T154],
                an_output_is_fed_back_and_grows [T153],
                results_are_given_on [T155],
                every_run_is_right_one_by_one [T156],
                every_run_is_right_all_at_once [T157],
            }
            dynamic {
                shapes_within_the_bounds_run [T125],
                one_request_takes_one_shape_after_the_other [T138 T140 T142],
                an_odd_output_is_reshaped [T126],
                borrowed_memory_is_written_in_place [T127],
                borrowed_memory_that_is_too_small_is_an_error [],
                an_output_reshaped_beforehand_makes_no_difference [T128],
                an_untouched_port_has_no_elements [T130 T131 T147],
                an_input_is_reshaped_in_place [T132 T133 T134 T139],
                any_rank_runs [T135 T141],
                an_extent_outside_its_bounds_is_refused [T136 T137 T146],
                what_is_known_of_a_shape_is_exact [T145],
                an_input_takes_each_shape_that_comes [T148],
                a_later_output_is_the_one_that_is_written [T129],
            }
            executors {
                a_run_is_run_once [T237],
                two_runs_keep_their_order [T238],
                runs_that_nobody_waits_for_end [T239],
                each_error_reaches_its_own_waiter [T240],
                what_was_queued_is_run [T242],
                an_executor_keeps_nothing [T244],
                one_failure_among_five_stops_no_other [T249],
                a_refused_start_is_an_error_of_the_start [T257],
                a_refused_hop_is_an_error_of_the_run [T258],
                a_dropped_task_ends_its_run [],
                a_blocked_worker_blocks_no_start [T243] timed,
                one_worker_keeps_the_order_of_the_starts [T183] timed,
            }
            leave {
                a_dropped_request_cancels_and_frees_everything [T070],
                a_dropped_run_is_cancelled_and_a_detached_one_is_not [],
                the_last_handle_may_be_dropped_in_the_callback [T020],
                a_stopped_request_finishes_and_takes_no_other_run [T255],
                handles_may_go_in_any_order [T072 T115],
                a_request_may_be_dropped_while_its_callback_runs [T071],
                a_tensor_outlives_everything [T215],
                many_short_lives_leave_nothing [],
            }
            many {
                requests_run_in_turn [T181],
                requests_are_waited_for_in_any_order [T182],
                requests_are_dropped_without_a_wait [T180],
                each_is_called_back_once [T300],
                memory_is_given_back_between_runs [T228],
            }
            overlap {
                two_executors_overlap_two_requests [T252] timed,
                one_executor_overlaps_nothing [T253] timed,
                a_parked_wait_overlaps_on_one_executor [] timed,
                two_chips_need_two_waits [T254] timed,
                an_executor_runs_as_many_as_it_has_workers [] timed,
                callbacks_of_one_worker_come_one_by_one [T184] timed,
                a_trace_shows_the_overlap [T191] timed,
                two_parts_on_two_chips_overlap [] timed,
            }
            panic {
                a_panic_in_a_stage_ends_its_run_only [T251] unwinds,
                a_panic_in_the_callback_ends_its_run_only [T026] unwinds,
            }
            parking {
                a_parked_stage_goes_on_when_woken [],
                a_stage_that_gives_way_is_polled_again [],
                parked_requests_hold_no_thread [],
                a_wake_after_a_cancel_changes_nothing [],
            }
            pool {
                each_run_gets_its_own_result [T294],
                a_failed_run_takes_no_request_away [T296],
                a_dropped_run_gives_its_request_back [],
                more_runs_than_requests_all_end [T287],
                a_failure_is_told_to_its_waiter [T292],
                an_acquired_request_is_idle [T293],
            }
            ports {
                every_way_to_name_an_input_means_the_same [T104 T106],
                every_way_to_name_an_output_means_the_same [T105 T107 T108],
                without_a_key_there_must_be_one [T109 T223],
                a_port_of_another_model_is_refused [T112],
                a_port_takes_its_own_element_type_only [T102 T103],
                a_port_takes_its_own_shape_only [T113],
                fetching_is_enough_to_fill_and_read [T093 T094 T096 T097],
                a_kept_handle_reshapes_itself_only [T098],
                a_reshaped_tensor_is_refused_at_the_start [T099],
                a_reshaped_region_is_refused_at_the_start [T122],
                a_reshaped_output_is_refused [T100],
                inputs_are_not_written [T101],
                every_element_of_a_region_is_the_right_one [T121],
                a_request_has_the_ports_of_its_model [T222],
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
                one_request_is_prepared_while_another_waits [],
                an_answer_that_comes_too_late_is_ignored [],
            }
            start {
                a_run_gives_its_outputs [],
                a_fresh_request_runs_on_zeros [T089 T090 T116],
                a_busy_request_says_so [T049 T050 T052 T053 T059 T060 T061],
                a_request_that_never_ran_is_told_apart [T047 T048 T055],
                an_ending_is_told_until_the_next_start [T057 T065],
                a_start_that_is_refused_leaves_no_trace [T054 T066 T067],
                each_status_is_told_apart [T077],
            }
            tensor {
                a_fresh_tensor_is_dense_and_typed [T259],
                a_typed_access_is_exact [T261],
                a_port_gives_type_and_shape [T260],
                a_tensor_without_elements_has_data [T262 T279],
                memory_of_ones_own_is_given_back [T263],
                borrowed_memory_is_used_in_place [T264],
                a_strided_tensor_shows_its_elements [T265],
                memory_that_is_not_there_is_refused [T266],
                strides_are_checked [T267],
                a_size_that_overflows_is_an_error [T282],
                read_only_memory_is_read [T272],
                copies_and_shares_are_told_apart [T286],
                texts_are_elements_like_others [T285],
            }
            tensor_shape {
                an_owned_tensor_takes_any_shape [T269],
                borrowed_memory_bounds_the_shape [T270],
                strides_bound_each_extent [T271],
                a_region_lies_within_its_parent [T273],
                a_region_shows_its_parents_elements [T277],
                a_region_takes_smaller_shapes [T274],
                a_region_takes_leading_ones [T275],
                a_region_outside_is_refused [T276],
                density_ignores_dimensions_of_one [T281],
                elements_are_copied_between_all_layouts [T283],
                a_copy_needs_type_and_room [T284],
            }
            tensors {
                a_port_that_is_not_there_is_named [T086 T110],
                what_was_bound_is_what_is_got [T082 T083 T084 T085 T091 T092 T095],
                a_tensor_that_does_not_fit_is_refused [T078 T079 T087 T088],
                read_only_memory_is_an_input_only [T117 T118],
                a_region_is_read_and_written_in_place [T119 T120],
                a_tensor_cannot_be_input_and_output [T123],
                tensors_of_a_run_are_held [T124],
                two_requests_share_no_tensors [T114],
                an_output_feeds_the_next_request [],
                a_dynamic_shape_is_the_runs_own [],
            }
            waiting {
                a_start_after_an_infer_gives_its_outputs [T045],
                a_look_is_no_wait [T046],
                a_busy_request_refuses_an_infer [T056],
                a_wait_may_be_repeated [T063 T064],
                all_who_wait_are_told [T068],
                every_call_on_a_busy_request_says_so [T051],
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
