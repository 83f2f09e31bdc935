//! Cancelling: what is granted, and what that promises.

use super::{poll, ready};
use crate::request::testing::{Act, Script, by_hand};
use crate::request::{BindError, Cause, InferErrorKind, StartError, Status, Verdict};
use alloc::boxed::Box;

#[test]
fn cancelling_a_queued_run_takes_it_out_of_the_queue_and_settles_it_at_once() {
    let model = Script::new(1);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    assert_eq!(executor.len(), 1);
    assert!(run.cancel());
    assert_eq!(executor.len(), 0);
    let error = ready(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Cancelled);
    assert!(model.polls().is_empty());
    assert_eq!(request.status(), Status::Settled(Verdict::Cancelled(Cause::Asked)));
}

#[test]
fn a_cancel_between_stages_skips_the_rest() {
    let model = Script::new(3);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.step();
    assert!(run.cancel());
    executor.drain();
    assert_eq!(ready(run).unwrap_err().kind(), InferErrorKind::Cancelled);
    assert_eq!(model.polls(), [0]);
}

#[test]
fn a_device_is_told_once_that_a_run_which_it_has_begun_goes_no_further() {
    let model = Script::new(2);
    let (mut request, executor) = by_hand(&model);
    let given_up = || *model.state.given_up.lock().unwrap();
    // Not of a run that is done, and not of one that no stage has seen.
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    let run = request.start().unwrap();
    assert!(run.cancel());
    ready(run).unwrap_err();
    assert_eq!(given_up(), 0);
    // Cancelled between two stages, with its task in a queue or on its way there.
    let run = request.start().unwrap();
    executor.step();
    assert!(run.cancel());
    assert_eq!(given_up(), 1, "at once");
    ready(run).unwrap_err();
    let canceller = request.canceller();
    model.then(Act::Call(Box::new(move || assert!(canceller.cancel()))));
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap_err();
    assert_eq!(given_up(), 2);
    // A stage failed; an executor was shut down, or refuses.
    model.then(Act::Fail);
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap_err();
    assert_eq!(given_up(), 3);
    let run = request.start().unwrap();
    executor.step();
    executor.shut_down();
    ready(run).unwrap_err();
    assert_eq!(given_up(), 4);
    let refusing = executor.clone();
    model.then(Act::Call(Box::new(move || *refusing.refuses.lock().unwrap() = true)));
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap_err();
    assert_eq!(given_up(), 5);
}

#[test]
fn a_stage_that_does_not_look_still_ends_as_cancelled() {
    let model = Script::new(2);
    let (mut request, executor) = by_hand(&model);
    let canceller = request.canceller();
    model.then(Act::Call(Box::new(move || assert!(canceller.cancel()))));
    let run = request.start().unwrap();
    executor.drain();
    assert_eq!(ready(run).unwrap_err().kind(), InferErrorKind::Cancelled);
    assert_eq!(model.polls(), [0]);
}

#[test]
fn a_cancel_before_the_start_or_after_the_end_changes_nothing() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let canceller = request.canceller();
    assert!(!canceller.cancel());
    let run = request.start().unwrap();
    let token = run.token();
    executor.drain();
    assert!(!token.cancel());
    ready(run).unwrap();
    assert!(!canceller.cancel());
    assert!(request.output("y").is_ok());
}

#[test]
fn a_token_of_an_earlier_run_does_not_reach_a_later_one() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let run = request.start().unwrap();
    let late = run.token();
    executor.drain();
    ready(run).unwrap();
    let run = request.start().unwrap();
    assert!(!late.cancel());
    executor.drain();
    ready(run).unwrap();
}

#[test]
fn a_deadline_ends_the_run_as_timed_out() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.drain();
    assert!(run.token().expire());
    assert!(run.cancel(), "asking twice is granted twice, but the first cause is kept");
    executor.drain();
    assert_eq!(ready(run).unwrap_err().kind(), InferErrorKind::Timeout);
}

#[test]
fn guarded_calls_say_so_when_the_run_has_been_cancelled() {
    let model = Script::new(1);
    let (mut request, executor) = by_hand(&model);
    *model.state.stubborn.lock().unwrap() = true;
    model.then(Act::Park).then(Act::Park);
    let run = request.start().unwrap();
    executor.drain();
    assert!(run.cancel());
    run.detach();
    executor.drain();
    assert_eq!(request.output("y").unwrap_err(), BindError::Cancelling);
    assert!(matches!(request.start(), Err(StartError::Cancelling)));
    assert_eq!(request.status(), Status::Parked { stage: 0 }, "the device could not stop yet");
    model.wake();
    executor.drain();
    assert_eq!(request.status(), Status::Settled(Verdict::Cancelled(Cause::Asked)));
}

#[test]
fn a_cancel_wakes_a_parked_stage_which_then_stops() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.drain();
    assert!(run.cancel());
    executor.drain();
    assert_eq!(ready(run).unwrap_err().kind(), InferErrorKind::Cancelled);
    assert_eq!(model.polls(), [0, 0]);
}

#[test]
fn a_cancelled_request_can_be_started_again() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let run = request.start().unwrap();
    run.cancel();
    executor.drain();
    ready(run).unwrap_err();
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
}

#[test]
fn dropping_a_run_cancels_it_and_does_not_wait() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let mut run = request.start().unwrap();
    executor.drain();
    assert!(poll(&mut run).is_pending());
    drop(run);
    assert!(matches!(request.start(), Err(StartError::Cancelling)));
    executor.drain();
    assert_eq!(request.status(), Status::Settled(Verdict::Cancelled(Cause::Dropped)));
}
