//! Running on the caller's stack.

use alloc::boxed::Box;
use core::future::Future;
use core::task::{Context, Poll};

use super::{Wakes, poll, ready};
use crate::executor::{Budget, Lend};
use crate::request::testing::{Act, Script, by_hand};
use crate::request::{Cause, InferErrorKind, StartError, Status, Verdict};

#[test]
fn infer_runs_every_stage_on_the_callers_stack() {
    let model = Script::new(3);
    let (mut request, executor) = by_hand(&model);
    let outputs = ready(request.infer(Lend::SERIAL)).unwrap();
    assert_eq!(outputs.get("y").unwrap().to_vec::<f32>().unwrap(), [1.0, 1.0]);
    assert_eq!(model.polls(), [0, 1, 2]);
    assert_eq!(executor.len(), 0);
}

#[test]
fn nothing_happens_before_the_first_poll() {
    let (mut request, _) = by_hand(&Script::new(1));
    let observer = request.observer();
    let infer = request.infer(Lend::SERIAL);
    assert_eq!(observer.status(), Status::Fresh);
    drop(infer);
    ready(request.infer(Lend::SERIAL)).unwrap();
}

#[test]
fn a_parked_stage_leaves_infer_pending_until_it_is_woken() {
    let model = Script::new(2);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let (wakes, waker) = Wakes::new();
    let mut infer = request.infer(Lend::SERIAL);
    let mut cx = Context::from_waker(&waker);
    assert!(core::pin::Pin::new(&mut infer).poll(&mut cx).is_pending());
    assert_eq!(wakes.count(), 0);
    model.wake();
    assert_eq!(wakes.count(), 1);
    assert_eq!(executor.len(), 0, "the caller goes on, not an executor");
    assert!(matches!(core::pin::Pin::new(&mut infer).poll(&mut cx), Poll::Ready(Ok(_))));
    assert_eq!(model.polls(), [0, 0, 1]);
}

#[test]
fn a_stage_that_gives_way_lets_the_caller_poll_others() {
    let model = Script::new(1);
    model.then(Act::Yield).then(Act::Yield);
    let (mut request, _) = by_hand(&model);
    let (wakes, waker) = Wakes::new();
    let mut infer = request.infer(Lend { budget: Budget::Looks(1), ..Lend::SERIAL });
    let mut cx = Context::from_waker(&waker);
    for turn in 1..=2 {
        assert!(core::pin::Pin::new(&mut infer).poll(&mut cx).is_pending());
        assert_eq!(wakes.count(), turn, "it has woken its caller itself");
    }
    assert!(core::pin::Pin::new(&mut infer).poll(&mut cx).is_ready());
}

#[test]
fn a_canceller_stops_infer() {
    let model = Script::new(2);
    let (mut request, _) = by_hand(&model);
    let canceller = request.canceller();
    model.then(Act::Call(Box::new(move || assert!(canceller.cancel()))));
    let error = ready(request.infer(Lend::SERIAL)).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Cancelled);
    assert_eq!(model.polls(), [0]);
    ready(request.infer(Lend::SERIAL)).expect("the next run is not affected");
}

#[test]
fn a_cancel_while_parked_wakes_the_caller() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, _) = by_hand(&model);
    let canceller = request.canceller();
    let (wakes, waker) = Wakes::new();
    let mut infer = request.infer(Lend::SERIAL);
    let mut cx = Context::from_waker(&waker);
    assert!(core::pin::Pin::new(&mut infer).poll(&mut cx).is_pending());
    assert!(canceller.cancel());
    assert_eq!(wakes.count(), 1);
    assert_eq!(ready(infer).unwrap_err().kind(), InferErrorKind::Cancelled);
}

#[test]
fn infer_dropped_while_parked_is_finished_by_the_executors_without_a_callback() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    request.set_callback(|_| panic!("infer has no callback")).unwrap();
    let mut infer = request.infer(Lend::SERIAL);
    assert!(poll(&mut infer).is_pending());
    drop(infer);
    assert!(matches!(request.start(), Err(StartError::Cancelling)));
    executor.drain();
    assert_eq!(request.status(), Status::Settled(Verdict::Cancelled(Cause::Dropped)));
    assert_eq!(model.polls(), [0, 0]);
}

#[test]
fn a_forgotten_infer_does_not_leak_its_request() {
    let model = Script::new(1);
    model.then(Act::Park);
    let (mut request, executor) = by_hand(&model);
    let mut infer = request.infer(Lend::SERIAL);
    assert!(poll(&mut infer).is_pending());
    core::mem::forget(infer);
    let observer = request.observer();
    drop(request);
    executor.drain();
    assert_eq!(observer.status(), Status::Settled(Verdict::Cancelled(Cause::Dropped)));
    let held = alloc::sync::Arc::strong_count(&model.state);
    assert_eq!(held, 1, "the work is gone");
}
