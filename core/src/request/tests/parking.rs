//! Stages that wait without a thread.

use super::{poll, ready};
use crate::request::Status;
use crate::request::testing::{Act, Script, by_hand};

#[test]
fn a_parked_stage_holds_no_executor_and_goes_on_when_woken() {
    let model = Script::new(2);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let observer = request.observer();
    let mut run = request.start().unwrap();
    executor.drain();
    assert_eq!(observer.status(), Status::Parked { stage: 0 });
    assert_eq!(executor.len(), 0);
    assert!(poll(&mut run).is_pending());
    model.wake();
    assert_eq!(executor.len(), 1);
    executor.drain();
    ready(run).unwrap();
    assert_eq!(model.polls(), [0, 0, 1]);
    assert_eq!(*model.state.begun.lock().unwrap(), 1, "going on is not beginning");
}

#[test]
fn a_wake_that_beats_the_return_is_not_lost() {
    let model = Script::new(1);
    model.then(Act::Yield);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    assert!(executor.step());
    assert!(executor.step(), "it is queued again, behind others");
    ready(run).unwrap();
}

#[test]
fn a_waker_kept_over_the_end_of_its_run_wakes_nobody() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.drain();
    let late = model.state.parked.lock().unwrap().clone().unwrap();
    model.wake();
    executor.drain();
    ready(run).unwrap();
    model.then(Act::Park);
    let run = request.start().unwrap();
    executor.drain();
    late.wake();
    assert_eq!(executor.len(), 0, "the next run is parked too, but for another reason");
    model.wake();
    executor.drain();
    ready(run).unwrap();
}

#[test]
fn two_requests_overlap_on_one_executor_while_one_is_parked() {
    let model = Script::new(2);
    let (mut request, executor) = by_hand(&model);
    let mut other = crate::Request::new(model.clone(), request.pipeline().clone()).unwrap();
    model.then(Act::Park);
    let parked = request.start().unwrap();
    executor.drain();
    let run = other.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    model.wake();
    executor.drain();
    ready(parked).unwrap();
}
