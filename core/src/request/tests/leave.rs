//! Dropping, stopping, and executors that go away.

use alloc::sync::Arc;

use super::{poll, ready};
use crate::request::testing::{Act, Script, by_hand};
use crate::request::{Cause, InferErrorKind, Next, StartError, Status, Verdict};

#[test]
fn dropping_a_running_request_frees_it_when_the_run_is_over_and_calls_nobody() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    request.set_callback(|_| panic!("a dropped request has no callback")).unwrap();
    let mut settled = {
        request.start().unwrap().detach();
        request.observer().settled()
    };
    executor.drain();
    drop(request);
    assert!(poll(&mut settled).is_pending(), "dropping does not wait");
    assert_eq!(Arc::strong_count(&model.state), 2, "the device still has its work");
    executor.drain();
    let outcome = ready(settled).unwrap();
    assert_eq!(outcome.verdict, Verdict::Cancelled(Cause::Dropped));
    assert_eq!(Arc::strong_count(&model.state), 1);
}

#[test]
fn dropping_an_idle_request_frees_it_at_once_whoever_still_watches() {
    let model = Script::new(1);
    let (request, _) = by_hand(&model);
    let (observer, canceller) = (request.observer(), request.canceller());
    drop(request);
    assert_eq!(Arc::strong_count(&model.state), 1);
    assert!(!canceller.cancel());
    assert_eq!(observer.status(), Status::Fresh);
}

#[test]
fn a_callback_that_holds_its_own_request_does_not_leak_it() {
    let model = Script::new(1);
    let (mut request, executor) = by_hand(&model);
    let (canceller, observer) = (request.canceller(), request.observer());
    let token = Arc::new(());
    let held = token.clone();
    request
        .set_callback(move |_| {
            let _ = (&canceller, &observer, &held);
            Ok(Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    drop(request);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[test]
fn the_last_handle_may_be_dropped_inside_the_callback() {
    let model = Script::new(1);
    let (mut request, executor) = by_hand(&model);
    let slot = Arc::new(std::sync::Mutex::new(None));
    let inside = slot.clone();
    request
        .set_callback(move |_| {
            drop(inside.lock().unwrap().take());
            Ok(Next::Again)
        })
        .unwrap();
    request.start().unwrap().detach();
    let observer = request.observer();
    *slot.lock().unwrap() = Some(request);
    executor.drain();
    assert_eq!(observer.status(), Status::Settled(Verdict::Done), "and it does not run again");
    assert_eq!(Arc::strong_count(&model.state), 1);
    assert_eq!(Arc::strong_count(&slot), 1);
}

#[test]
fn an_executor_that_is_shut_down_abandons_its_runs_and_wakes_the_waiters() {
    let model = Script::new(2);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.step();
    executor.shut_down();
    let error = ready(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Abandoned);
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    assert_eq!(*model.state.prepared.lock().unwrap(), 1, "no stage was left standing");
}

#[test]
fn a_stage_abandoned_halfway_gets_new_memory() {
    let model = Script::new(1);
    model.then(Act::Yield);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.step();
    executor.shut_down();
    assert_eq!(ready(run).unwrap_err().kind(), InferErrorKind::Abandoned);
    request.start().unwrap().detach();
    assert_eq!(*model.state.prepared.lock().unwrap(), 2);
    executor.drain();
}

#[test]
fn a_delivery_that_is_abandoned_settles_without_the_callback() {
    let model = Script::new(1);
    let delivery = Arc::new(crate::request::testing::ByHand::default());
    let (compute, pipeline) = {
        let compute = Arc::new(crate::request::testing::ByHand::default());
        let pipeline = crate::Pipeline::by_kind(&*model, |_| compute.clone()).deliver_on(delivery.clone());
        (compute, Arc::new(pipeline))
    };
    let mut request = crate::Request::new(model, pipeline).unwrap();
    request.set_callback(|_| panic!("nobody to call it")).unwrap();
    let run = request.start().unwrap();
    compute.drain();
    delivery.shut_down();
    ready(run).expect("the stages had succeeded");
}

#[test]
fn a_stopped_request_finishes_its_run_and_takes_no_other() {
    let (mut request, executor) = by_hand(&Script::new(1));
    request.set_callback(|_| panic!("no callback after a stop")).unwrap();
    request.start().unwrap().detach();
    request.stop();
    let mut quiet = request.quiet();
    assert!(poll(&mut quiet).is_pending());
    executor.drain();
    assert_eq!(ready(quiet), Some(Verdict::Done));
    assert!(matches!(request.start(), Err(StartError::Stopped)));
    assert_eq!(request.output("y").unwrap().to_vec::<f32>().unwrap(), [1.0, 1.0]);
}
