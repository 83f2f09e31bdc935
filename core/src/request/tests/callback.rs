//! The completion callback, and restarting from it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use super::{poll, ready};
use crate::executor::Lend;
use crate::pipeline::Pipeline;
use crate::request::testing::{Act, ByHand, Script, by_hand};
use crate::request::{BindError, Completion, InferErrorKind, Next, Request, Status, Verdict};
use crate::tensor::Tensor;

type Log<T> = Arc<Mutex<Vec<T>>>;

fn log<T>() -> (Log<T>, Log<T>) {
    let log = Log::default();
    (log.clone(), log)
}

#[test]
fn the_callback_sees_the_result_before_a_waiter_does() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |done| {
            done.result()?;
            log.lock().unwrap().push(done.output("y")?.to_vec::<f32>()?);
            Ok(Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    assert_eq!(*seen.lock().unwrap(), [[1.0, 1.0]]);
    ready(run).unwrap();
    assert_eq!(Arc::strong_count(&seen), 2, "the callback stays");
    request.clear_callback().unwrap();
    assert_eq!(Arc::strong_count(&seen), 1, "and is dropped when cleared");
}

#[test]
fn the_callback_runs_on_the_delivery_executor() {
    let model = Script::new(1);
    let (compute, delivery) = (Arc::new(ByHand::default()), Arc::new(ByHand::default()));
    let pipeline = Pipeline::by_kind(&*model, |_| compute.clone()).deliver_on(delivery.clone());
    let mut request = Request::new(model, Arc::new(pipeline)).unwrap();
    request.set_callback(|_| Ok(Next::Rest)).unwrap();
    let mut run = request.start().unwrap();
    compute.drain();
    assert!(poll(&mut run).is_pending(), "waiting means that the callback has returned");
    assert_eq!(delivery.len(), 1);
    delivery.drain();
    ready(run).unwrap();
    request.clear_callback().unwrap();
    let run = request.start().unwrap();
    compute.drain();
    ready(run).expect("without a callback there is nothing to hop for");
}

#[test]
fn a_callback_restarts_its_request_with_new_inputs() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |mut done| {
            let y = done.output("y")?.to_vec::<f32>()?;
            log.lock().unwrap().push(y[0]);
            done.set_input("x", Tensor::from_slice(&y, [2])?)?;
            Ok(if y[0] < 11.0 { Next::Again } else { Next::Rest })
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    ready(run).expect("its own run was done long ago");
    assert_eq!(seen.lock().unwrap().len(), 11);
    assert_eq!(ready(request.quiet()), Some(Verdict::Done));
    assert_eq!(request.output("y").unwrap().to_vec::<f32>().unwrap()[0], 11.0);
}

#[test]
fn a_run_settles_before_the_one_its_callback_began_is_over() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let mut left = 2;
    request
        .set_callback(move |_| {
            left -= 1;
            Ok(if left > 0 { Next::Again } else { Next::Rest })
        })
        .unwrap();
    let observer = request.observer();
    let run = request.start().unwrap();
    executor.step();
    assert_eq!(observer.status(), Status::Queued { stage: 0 });
    let outputs = ready(run).expect("its own run has settled");
    assert_eq!(outputs.get("y").unwrap_err(), BindError::Busy);
    let mut quiet = request.quiet();
    assert!(poll(&mut quiet).is_pending());
    executor.drain();
    assert_eq!(ready(quiet), Some(Verdict::Done));
}

#[test]
fn a_callback_error_fails_the_run_and_the_callback_stays() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |_| {
            log.lock().unwrap().push(());
            if log.lock().unwrap().len() == 1 { Err("disk full".into()) } else { Ok(Next::Rest) }
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    let error = ready(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Callback);
    assert_eq!(error.full_text(), "the callback failed: disk full");
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn a_stage_error_reaches_the_callback_and_both_errors_the_waiter() {
    let model = Script::new(1);
    model.then(Act::Fail);
    let (mut request, executor) = by_hand(&model);
    let (seen, log) = log();
    request
        .set_callback(move |done| {
            log.lock().unwrap().push(done.error().unwrap().kind());
            Err("disk full".into())
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    let text = ready(run).unwrap_err().full_text();
    assert!(text.contains("disk full") && text.contains("the divisor is zero"), "{text}");
    assert_eq!(*seen.lock().unwrap(), [InferErrorKind::Operator]);
}

#[test]
fn a_cancelled_run_is_delivered_as_cancelled_and_stays_so_whatever_the_callback_says() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |done| {
            log.lock().unwrap().push(done.error().unwrap().kind());
            Err("disk full".into())
        })
        .unwrap();
    let run = request.start().unwrap();
    assert!(run.cancel());
    executor.drain();
    let error = ready(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Cancelled);
    assert!(error.full_text().contains("disk full"));
    assert_eq!(*seen.lock().unwrap(), [InferErrorKind::Cancelled]);
}

#[test]
fn a_cancel_does_not_call_the_callback_on_its_own_stack() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |_| {
            log.lock().unwrap().push(());
            Ok(Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    assert!(run.cancel());
    assert!(seen.lock().unwrap().is_empty());
    executor.drain();
    assert_eq!(seen.lock().unwrap().len(), 1);
    ready(run).unwrap_err();
}

#[test]
fn a_cancel_in_the_callback_keeps_it_from_restarting() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let canceller = request.canceller();
    request
        .set_callback(move |_| {
            assert!(!canceller.cancel(), "this run is over");
            Ok(Next::Again)
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    assert_eq!(request.status(), Status::Settled(Verdict::Done));
    assert_eq!(request.observer().run().get(), 1);
}

#[test]
fn a_callback_can_be_replaced_from_inside() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, first) = log();
    let second = first.clone();
    request
        .set_callback(move |mut done: Completion<'_>| {
            first.lock().unwrap().push("first");
            let second = second.clone();
            done.set_callback(move |_| {
                second.lock().unwrap().push("second");
                Ok(Next::Rest)
            });
            Ok(Next::Again)
        })
        .unwrap();
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(*seen.lock().unwrap(), ["first", "second"]);
    assert_eq!(Arc::strong_count(&seen), 2, "the first is gone");
}

#[test]
fn infer_does_not_call_the_callback_and_the_next_start_does() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |_| {
            log.lock().unwrap().push(());
            Ok(Next::Rest)
        })
        .unwrap();
    ready(request.infer(Lend::SERIAL)).unwrap();
    assert!(seen.lock().unwrap().is_empty());
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn a_start_during_the_callback_is_remembered() {
    let model = Script::new(1);
    let (compute, delivery) = (Arc::new(ByHand::default()), Arc::new(ByHand::default()));
    let pipeline = Pipeline::by_kind(&*model, |_| compute.clone()).deliver_on(delivery.clone());
    let mut request = Request::new(model.clone(), Arc::new(pipeline)).unwrap();
    let (seen, log) = log();
    request
        .set_callback(move |done| {
            log.lock().unwrap().push(done.run().get());
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().detach();
    compute.drain();
    assert_eq!(request.status(), Status::Delivering);
    let mut next = request.start().unwrap();
    assert!(poll(&mut next).is_pending());
    delivery.drain();
    compute.drain();
    delivery.drain();
    ready(next).unwrap();
    assert_eq!(*seen.lock().unwrap(), [1, 2]);
}

#[test]
fn a_remembered_start_that_is_cancelled_settles_without_beginning() {
    let model = Script::new(1);
    let (compute, delivery) = (Arc::new(ByHand::default()), Arc::new(ByHand::default()));
    let pipeline = Pipeline::by_kind(&*model, |_| compute.clone()).deliver_on(delivery.clone());
    let mut request = Request::new(model.clone(), Arc::new(pipeline)).unwrap();
    request.set_callback(|_| Ok(Next::Rest)).unwrap();
    request.start().unwrap().detach();
    compute.drain();
    let next = request.start().unwrap();
    assert!(next.cancel());
    delivery.drain();
    assert_eq!(ready(next).unwrap_err().kind(), InferErrorKind::Cancelled);
    assert_eq!(model.polls(), [0]);
}

#[test]
fn a_restart_that_cannot_begin_is_delivered_as_failed() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let (seen, log) = log();
    request
        .set_callback(move |mut done: Completion<'_>| {
            log.lock().unwrap().push(done.error().map(|error| error.kind()));
            *done.input_mut("x")? = Tensor::zeros(crate::ElementType::I8, [2]);
            Ok(if done.error().is_none() { Next::Again } else { Next::Rest })
        })
        .unwrap();
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(*seen.lock().unwrap(), [None, Some(InferErrorKind::InvalidInput)]);
    assert_eq!(request.status(), Status::Settled(Verdict::Failed));
}
