//! The rows of the catalogue that no behaviour proves: where else they are proved, or why they are not.
//!
//! A row that waits for a feature is one line here and becomes one in the [table](crate::table) with that feature. With the
//! table this is all of T001 to T324, each row once; the test below counts.

/// What becomes of rows that are in no behaviour.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// An ordinary test: the file, from the root of the repository, and the function. For rows that need a host (threads to
    /// name, blocking, files), a counting allocator, or the compiler: those in `by_type.rs` are documentation tests.
    Test(&'static str, &'static str),
    /// A case of the npm package's tests, in pages and in Node: the file, from the root of the repository; its title begins with
    /// the row.
    Package(&'static str),
    /// Not proved yet, and what it waits for.
    NotYet(&'static str),
    /// It means nothing here, or we have chosen otherwise, and why.
    Never(&'static str),
}

use Place::{Never, NotYet, Package, Test};

const THREADS: &str = "tests/tests/threads.rs";
const WAITING: &str = "tests/tests/waiting.rs";
const COMPILED: &str = "tests/tests/compiled.rs";
const EXECUTORS: &str = "tests/tests/executors.rs";
const REMOTE: &str = "tests/tests/remote.rs";
const DEVICES: &str = "tests/tests/devices.rs";
const FACADE: &str = "tests/tests/facade.rs";
const PROFILE: &str = "tests/tests/profile.rs";
const POOL: &str = "tests/tests/pool.rs";
const STATE: &str = "tests/tests/state.rs";
const RUNS: &str = "host-wasm/npm/test/cases/runs.mjs";
const FEEDS: &str = "host-wasm/npm/test/cases/feeds.mjs";
const BROKEN: &str = "host-wasm/npm/test/cases/failure.mjs";
const BY_TYPE: &str = "tests/src/by_type.rs";

const EXPORT: &str = "host-std/tests/export.rs";
const PROPERTIES: &str =
    "there are no properties by name: options are typed, and an unknown one does not compile";
const SUB_BYTE: &str = "there are no element types smaller than a byte";

/// Rows from the first to the last, and what becomes of them.
pub const ELSEWHERE: &[(u16, u16, Place)] = &[
    (11, 11, Test(THREADS, "a_start_runs_nothing_on_its_callers_thread_unless_there_are_no_streams")),
    (18, 18, Test(WAITING, "a_callback_may_infer_and_may_not_wait_for_what_needs_its_thread")),
    (19, 19, Test(WAITING, "a_wait_in_its_own_callback_is_an_error_and_not_a_hang")),
    (36, 36, Test("tests/tests/cpu.rs", "a_run_is_stopped_in_the_middle_and_the_next_one_is_right")),
    (43, 43, Package(RUNS)),
    (44, 44, Test(WAITING, "what_timed_out_and_was_cancelled_is_dropped_at_once")),
    (58, 58, Test(PROFILE, "a_run_under_way_has_no_profile_yet")),
    (62, 62, Test(BY_TYPE, "a_limit_is_never_negative")),
    (69, 69, Test(THREADS, "of_threads_that_race_to_start_one_wins_and_the_others_are_told")),
    (73, 73, Test(BY_TYPE, "a_request_has_one_owner")),
    (74, 74, Test(BY_TYPE, "there_is_no_empty_handle")),
    (75, 75, Test(FACADE, "each_call_is_passed_on_once")),
    (76, 76, Test(FACADE, "each_error_reaches_the_caller")),
    (80, 81, Test(BY_TYPE, "there_is_no_uninitialised_tensor")),
    (111, 111, Test(COMPILED, "a_nodes_name_is_no_name_of_a_port")),
    (143, 143, Test(COMPILED, "a_model_outlives_its_runtime")),
    (144, 144, Test(FACADE, "a_device_that_cannot_compile_says_why")),
    (161, 161, Test(EXPORT, "a_batch_of_a_model_from_the_cache_is_right_each_time")),
    (166, 166, Never("a port has no layout: the batch is its first extent")),
    (175, 175, Never("a model cannot be renamed after it was compiled: the compiled one has its own ports")),
    (179, 179, Test(THREADS, "three_requests_infer_on_three_threads")),
    (185, 185, Test(THREADS, "an_infer_does_not_wait_behind_what_was_started")),
    (186, 187, Test(PROFILE, "nodes_are_measured_when_they_are_asked_to_be")),
    (188, 188, Test(COMPILED, "the_nodes_of_a_model_are_measured_by_name")),
    (189, 189, Test(COMPILED, "a_softmax_is_measured_and_so_is_its_run")),
    (190, 190, Test(COMPILED, "what_was_not_asked_to_measure_has_an_empty_list")),
    (192, 192, Test(PROFILE, "nodes_are_measured_when_they_are_asked_to_be")),
    (193, 193, Test(STATE, "every_variable_has_its_name_and_its_value")),
    (194, 194, Test(STATE, "a_value_that_was_set_is_read_again")),
    (195, 195, Test(STATE, "every_variable_has_its_name_and_its_value")),
    (196, 197, Test(STATE, "two_requests_remember_for_themselves")),
    (198, 198, Test(STATE, "a_sequence_of_runs_adds_up")),
    (199, 200, Test(STATE, "a_value_set_or_reset_before_a_run_is_where_it_begins")),
    (201, 201, Test(STATE, "the_initial_value_is_there_from_the_beginning_and_after_a_reset")),
    (202, 202, Test(STATE, "nobody_has_a_hand_on_a_value")),
    (203, 203, Test(STATE, "the_initial_value_is_there_from_the_beginning_and_after_a_reset")),
    (204, 204, Test(STATE, "a_value_that_does_not_fit_is_refused_by_name")),
    (205, 205, Test(STATE, "nobody_has_a_hand_on_a_value")),
    (206, 206, Test(STATE, "a_run_in_flight_has_the_variables_for_itself")),
    (207, 207, Test(REMOTE, "a_context_makes_tensors_of_its_device")),
    (208, 208, Test(REMOTE, "a_remote_tensor_shows_no_numbers")),
    (209, 209, Test(REMOTE, "a_run_reads_and_writes_remote_tensors")),
    (210, 210, Test(REMOTE, "a_device_without_a_context_says_so")),
    (211, 211, Test(REMOTE, "a_tensor_of_the_host_is_none_of_a_context")),
    (212, 212, Test(REMOTE, "copies_go_both_ways_and_take_regions")),
    (213, 213, Test(THREADS, "handles_may_go_in_any_order")),
    (214, 214, Never("a variable is read as a copy, and a copy outlives everything: T205, T215")),
    (216, 216, Never(PROPERTIES)),
    (217, 217, Test(REMOTE, "a_context_and_its_tensors_may_go_in_any_order")),
    (218, 218, Test(EXPORT, "a_model_outlives_its_runtime_and_its_file")),
    (219, 219, Test("tests/tests/alloc.rs", "a_warm_round_takes_no_memory")),
    (
        220,
        220,
        Test("tests/tests/cycles.rs", "ten_thousand_short_lives_leave_memory_and_threads_as_they_were"),
    ),
    (221, 221, Test(COMPILED, "a_model_is_compiled_from_a_file_from_bytes_and_twice")),
    (224, 224, Test(COMPILED, "names_and_numbers_mean_the_same_ports")),
    (225, 225, Never("ONNX has no operation names beside its tensors' that could collide")),
    (226, 227, Never(PROPERTIES)),
    (229, 229, Test(EXPORT, "every_model_gives_the_same_bits_when_it_comes_from_its_export")),
    (230, 230, Test(EXPORT, "what_is_no_compiled_model_is_told_so")),
    (231, 231, Test(COMPILED, "a_new_request_and_a_run_of_the_model_give_the_same")),
    (232, 232, Test(THREADS, "what_is_wrong_with_the_inputs_of_a_run_is_said_in_its_own_words")),
    (233, 233, Test(COMPILED, "a_model_outlives_its_runtime")),
    (234, 234, Test(DEVICES, "each_request_gets_what_it_would_get_alone")),
    (235, 235, Test(DEVICES, "a_lone_request_waits_for_the_limit_and_the_next_batch_does_not")),
    (236, 236, Test(THREADS, "a_start_runs_nothing_on_its_callers_thread_unless_there_are_no_streams")),
    (241, 241, Test(THREADS, "many_threads_start_and_wait_at_the_same_time")),
    (245, 247, Test(EXECUTORS, "the_same_name_gives_the_same_executor")),
    (248, 248, Test(EXECUTORS, "without_streams_what_is_started_within_a_task_runs_after_it")),
    (250, 250, Test(THREADS, "a_start_runs_nothing_on_its_callers_thread_unless_there_are_no_streams")),
    (268, 268, Test(BY_TYPE, "a_moved_tensor_is_gone")),
    (278, 278, Never(SUB_BYTE)),
    (280, 280, Never(SUB_BYTE)),
    (288, 289, Test(POOL, "slots_are_idle_at_first_and_named_by_an_index_that_exists")),
    (290, 291, Test(POOL, "the_error_of_a_handler_is_told_with_its_type")),
    (295, 295, Test(THREADS, "runs_of_a_model_share_its_requests")),
    (297, 297, Test(POOL, "errors_and_panics_leave_the_pool_as_good_as_new")),
    (298, 298, Test(POOL, "a_wait_for_all_waits_for_what_handlers_submit")),
    (299, 299, Test(POOL, "slots_are_idle_at_first_and_named_by_an_index_that_exists")),
    (301, 301, Test(FACADE, "inputs_come_in_many_forms")),
    (302, 302, Test(FACADE, "memory_is_shared_exactly_as_asked")),
    (303, 303, Test(BY_TYPE, "an_input_is_a_tensor")),
    (304, 304, Never("Python's interpreter lock: there is none here")),
    (305, 311, Package(FEEDS)),
    (312, 312, Package(RUNS)),
    (313, 314, Test(POOL, "jobs_are_submitted_and_taken_by_await")),
    (315, 315, Package(RUNS)),
    (316, 316, Test(POOL, "a_closed_pool_finishes_and_takes_nothing_more")),
    (317, 317, Test(POOL, "errors_and_panics_leave_the_pool_as_good_as_new")),
    (318, 319, Package(FEEDS)),
    (320, 320, Package(RUNS)),
    (321, 321, Package(BROKEN)),
    (322, 322, NotYet("how long the page stands still is measured by `cargo xtask bench-web`, not tested")),
    (323, 324, Package(BROKEN)),
];

/// How many rows the catalogue has.
pub const ROWS: u16 = 324;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::BEHAVIOURS;

    #[test]
    fn every_row_of_the_catalogue_stands_in_one_place() {
        let number = |row: &&str| row[1..].parse::<u16>().unwrap();
        let mut rows: Vec<u16> = BEHAVIOURS.iter().flat_map(|it| it.rows.iter().map(number)).collect();
        rows.extend(ELSEWHERE.iter().flat_map(|(first, last, _)| *first..=*last));
        rows.sort_unstable();
        let missing: Vec<u16> = (1..=ROWS).filter(|row| !rows.contains(row)).collect();
        let twice: Vec<u16> = rows.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        assert!(missing.is_empty() && twice.is_empty(), "missing {missing:?}, twice {twice:?}");
        assert_eq!(rows.len(), usize::from(ROWS));
    }

    #[test]
    fn tests_that_are_named_are_there() {
        let text = |file: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file);
            std::fs::read_to_string(path).unwrap()
        };
        for (first, last, place) in ELSEWHERE {
            match place {
                Test(file, function) => {
                    assert!(
                        text(file).contains(&format!("fn {function}(")),
                        "T{first:03}: {file} has no {function}"
                    );
                }
                Package(file) => {
                    let titles: Vec<String> =
                        text(file).lines().filter(|line| line.starts_with("test(")).map(Into::into).collect();
                    for row in *first..=*last {
                        let row = format!("T{row:03} ");
                        assert!(
                            titles.iter().any(|title| title.contains(&row)),
                            "{file} has no case for {row}"
                        );
                    }
                }
                NotYet(_) | Never(_) => {}
            }
        }
    }
}
