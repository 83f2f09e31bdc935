//! Starting: what is checked, refused, and computed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;

use super::{poll, ready};
use crate::pipeline::Pipeline;
use crate::request::testing::{Act, Script, by_hand};
use crate::request::{BindError, InferErrorKind, PrepareError, Request, StartError, Status, Verdict};
use crate::tensor::{ElementType, Tensor};

#[test]
fn a_run_computes_its_outputs_from_its_inputs() {
    let (mut request, executor) = by_hand(&Script::new(1));
    request.set_input("x", Tensor::from_slice(&[1f32, 2.0], [2]).unwrap()).unwrap();
    let mut run = request.start().unwrap();
    assert!(poll(&mut run).is_pending());
    executor.drain();
    let outputs = ready(run).unwrap();
    assert_eq!(outputs.get("y").unwrap().to_vec::<f32>().unwrap(), [2.0, 3.0]);
}

#[test]
fn stages_run_in_order_each_once() {
    let model = Script::new(3);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    for stage in 0..3 {
        assert_eq!(model.polls().len(), stage);
        assert!(executor.step());
    }
    ready(run).unwrap();
    assert_eq!(model.polls(), [0, 1, 2]);
}

#[test]
fn a_failing_stage_skips_the_rest_and_says_where() {
    let model = Script::new(3);
    model.then(Act::Pass).then(Act::Fail);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.drain();
    let error = ready(run).unwrap_err();
    assert_eq!(model.polls(), [0, 1]);
    assert_eq!(error.kind(), InferErrorKind::Operator);
    assert_eq!(error.stage(), Some((1, "second")));
    assert_eq!(error.node_path(), Some("block/div"));
    assert_eq!(request.status(), Status::Settled(Verdict::Failed));
}

#[test]
fn a_failed_run_leaves_the_request_usable() {
    let model = Script::new(1);
    model.then(Act::Fail);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap_err();
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
}

#[test]
fn guarded_calls_are_busy_during_a_run_and_change_nothing() {
    let (mut request, executor) = by_hand(&Script::new(1));
    request.start().unwrap().detach();
    assert!(matches!(request.start(), Err(StartError::Busy)));
    assert_eq!(request.input("x").unwrap_err(), BindError::Busy);
    assert_eq!(request.output("y").unwrap_err(), BindError::Busy);
    assert_eq!(request.input_mut("x").unwrap_err(), BindError::Busy);
    let tensor = Tensor::zeros(ElementType::F32, [2]);
    assert_eq!(request.set_input("x", tensor.clone()).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_output("y", tensor).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_callback(|_| unreachable!()).unwrap_err(), BindError::Busy);
    assert_eq!(ready(request.infer(crate::executor::Lend::SERIAL)).unwrap_err().kind(), InferErrorKind::Busy);
    assert_eq!(request.inputs().len(), 1, "what does not change can be asked in any state");
    executor.drain();
    assert!(request.output("y").is_ok());
}

#[test]
fn a_start_with_a_tensor_that_does_not_fit_leaves_no_trace() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    let before = request.observer().run();
    *request.input_mut("x").unwrap() = Tensor::zeros(ElementType::F32, [3]);
    let error = request.start().unwrap_err();
    assert!(matches!(&error, StartError::Bind(BindError::Shape { .. })), "{error}");
    assert_eq!(request.observer().run(), before);
    assert_eq!(request.status(), Status::Settled(Verdict::Done));
    *request.input_mut("x").unwrap() = Tensor::zeros(ElementType::F32, [2]);
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
}

#[test]
fn a_start_while_a_bound_tensor_is_viewed_is_refused() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let mine = request.output("y").unwrap().clone();
    let view = mine.as_slice::<f32>().unwrap();
    let error = request.start().unwrap_err();
    assert!(matches!(&error, StartError::Bind(BindError::InUse { .. })), "{error}");
    drop(view);
    let run = request.start().unwrap();
    assert!(mine.as_slice::<f32>().is_err(), "the run holds its outputs");
    executor.drain();
    ready(run).unwrap();
    assert!(mine.as_slice::<f32>().is_ok());
}

#[test]
fn two_requests_cannot_write_one_tensor_at_the_same_time() {
    let model = Script::new(1);
    let ((mut one, executor), (mut other, _)) = (by_hand(&model), by_hand(&model));
    other.set_output("y", one.output("y").unwrap().clone()).unwrap();
    one.start().unwrap().detach();
    assert!(matches!(other.start(), Err(StartError::Bind(BindError::InUse { .. }))));
    executor.drain();
    other.start().unwrap().detach();
}

#[test]
fn an_output_of_one_request_can_be_the_input_of_the_next() {
    let model = Script::new(1);
    let ((mut one, first), (mut two, second)) = (by_hand(&model), by_hand(&model));
    two.set_input("x", one.output("y").unwrap().clone()).unwrap();
    let run = one.start().unwrap();
    assert!(matches!(two.start(), Err(StartError::Bind(BindError::InUse { .. }))), "it is being written");
    first.drain();
    ready(run).unwrap();
    let run = two.start().unwrap();
    second.drain();
    assert_eq!(ready(run).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [2.0, 2.0]);
}

#[test]
fn an_executor_that_refuses_at_the_start_gives_the_caller_the_error() {
    let model = Script::new(1);
    let (mut request, executor) = by_hand(&model);
    request.set_callback(|_| panic!("a run that did not start is not delivered")).unwrap();
    *executor.refuses.lock().unwrap() = true;
    let error = request.start().unwrap_err();
    assert_eq!(alloc::format!("{error}"), "the executor \"by hand\" refused the run");
    assert_eq!(request.status(), Status::Settled(Verdict::Failed));
    *executor.refuses.lock().unwrap() = false;
    request.clear_callback().unwrap();
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    assert_eq!(model.polls(), [0]);
}

#[test]
fn an_executor_that_refuses_later_fails_the_run() {
    let model = Script::new(2);
    let (mut request, executor) = by_hand(&model);
    let refuses = executor.clone();
    model.then(Act::Call(Box::new(move || *refuses.refuses.lock().unwrap() = true)));
    let run = request.start().unwrap();
    executor.drain();
    let error = ready(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Abandoned);
    assert_eq!(error.stage(), Some((1, "second")));
}

#[test]
fn an_inline_pipeline_is_over_when_start_returns() {
    let model = Script::new(3);
    let pipeline = Arc::new(Pipeline::inline(&*model));
    let mut request = Request::new(model.clone(), pipeline).unwrap();
    let delivered = Arc::new(std::sync::Mutex::new(0));
    let count = delivered.clone();
    request
        .set_callback(move |_| {
            *count.lock().unwrap() += 1;
            Ok(crate::request::Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    assert_eq!(model.polls(), [0, 1, 2]);
    assert_eq!(*delivered.lock().unwrap(), 1);
    ready(run).unwrap();
}

#[test]
fn a_pipeline_must_have_the_stages_of_its_model() {
    let pipeline = Arc::new(Pipeline::inline(&*Script::new(2)));
    let error = Request::new(Script::new(1), pipeline).unwrap_err();
    assert!(matches!(error, PrepareError::Stages { given: 2, wanted: 1 }), "{error}");
}

#[test]
fn each_status_is_told_apart() {
    let model = Script::new(1);
    let (mut request, executor) = by_hand(&model);
    let observer = request.observer();
    let mut seen = vec![observer.status()];
    let during = request.observer();
    let inside = Arc::new(std::sync::Mutex::new(vec![]));
    let (stage, callback) = (inside.clone(), inside.clone());
    model.then(Act::Call(Box::new(move || stage.lock().unwrap().push(during.status()))));
    let watch = request.observer();
    request
        .set_callback(move |_| {
            callback.lock().unwrap().push(watch.status());
            Ok(crate::request::Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    seen.push(observer.status());
    executor.drain();
    ready(run).unwrap();
    seen.extend(inside.lock().unwrap().drain(..));
    seen.push(observer.status());
    let settled = Status::Settled(Verdict::Done);
    let queued = Status::Queued { stage: 0 };
    assert_eq!(seen, [Status::Fresh, queued, Status::Running { stage: 0 }, Status::Delivering, settled]);
}
