//! Choices between models of stages that do as they are told, stepped by hand.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::*;
use crate::executor::{Executor, Lend};
use crate::pipeline::Pipeline;
use crate::port::Side;
use crate::request::testing::{Act, ByHand, Script, port};
use crate::request::{InferErrorKind, Next, Request, Status, Verdict};
use crate::tensor::Tensor;
use crate::{ElementType, PartialShape, Stateful};

fn candidate(rank: usize, device: &str, model: &Arc<Script>) -> Candidate {
    Candidate { rank, device: device.into(), model: model.clone() }
}

/// A request with one executor for what computes and one for what waits.
fn request(choice: &Arc<Choice>) -> (Request, [Arc<ByHand>; 2]) {
    let executors = [(); 2].map(|()| Arc::new(ByHand::default()));
    let [compute, wait] = executors.clone();
    let pipeline = Pipeline::by_kind(&**choice, |kind| -> Arc<dyn Executor> {
        if kind == StageKind::Wait { wait.clone() } else { compute.clone() }
    });
    (Request::new(choice.clone(), Arc::new(pipeline)).unwrap(), executors)
}

fn drain(executors: &[Arc<ByHand>; 2]) {
    while executors.iter().any(|executor| executor.step()) {}
}

fn run(request: &mut Request, executors: &[Arc<ByHand>; 2]) -> Option<Verdict> {
    request.start().unwrap().detach();
    drain(executors);
    if let Status::Settled(verdict) = request.status() { Some(verdict) } else { None }
}

fn begun(model: &Script) -> usize {
    *model.state.begun.lock().unwrap()
}

#[test]
fn a_run_is_over_with_the_last_stage_of_its_device() {
    let model = Script::new(1);
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &model)).unwrap());
    assert_eq!(choice.stages().len(), MAX_STAGES);
    let (mut request, [compute, wait]) = request(&choice);
    request.start().unwrap().detach();
    assert!(compute.step());
    assert_eq!((compute.len(), wait.len()), (0, 0), "no hop to stages that have nothing to do");
    assert_eq!(request.status(), Status::Settled(Verdict::Done));
    let infer = request.infer(Lend::SERIAL);
    assert!(pin!(infer).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(model.polls(), [0, 0]);
}

#[test]
fn a_request_changes_over_with_its_next_run() {
    let (slow, fast) = (Script::new(1), Script::new(3));
    slow.then(Act::Park);
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &slow)).unwrap());
    let (mut early, executors) = request(&choice);
    early.start().unwrap().detach();
    drain(&executors);
    let left = choice.offer(candidate(0, "npu", &fast)).unwrap();
    assert_eq!((&*left.device, &*choice.best().device), ("cpu", "npu"));
    let (mut late, others) = request(&choice);
    assert_eq!(run(&mut late, &others), Some(Verdict::Done));
    assert_eq!((begun(&slow), begun(&fast)), (1, 1), "a new run goes to the better one");
    // The run under way ends where it began.
    slow.wake();
    drain(&executors);
    assert_eq!(early.status(), Status::Settled(Verdict::Done));
    assert_eq!(early.output(0).unwrap().to_vec::<f32>().unwrap(), [1.0; 2]);
    assert_eq!(fast.polls(), [0, 1, 2]);
    for round in 2..5 {
        assert_eq!(run(&mut early, &executors), Some(Verdict::Done));
        assert_eq!((begun(&slow), begun(&fast)), (1, round));
    }
    assert_eq!(*fast.state.prepared.lock().unwrap(), 2, "once for each request");
}

#[test]
fn a_worse_candidate_changes_nothing() {
    let (model, other) = (Script::new(1), Script::new(1));
    let choice = Choice::new(candidate(1, "cpu", &model)).unwrap();
    for rank in [1, 2] {
        assert_eq!(&*choice.offer(candidate(rank, "other", &other)).unwrap().device, "other");
        assert_eq!(&*choice.best().device, "cpu");
    }
}

#[test]
fn a_chain_of_runs_changes_over_in_the_middle() {
    let (slow, fast) = (Script::new(1), Script::new(2));
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &slow)).unwrap());
    let (mut request, executors) = request(&choice);
    let (offered, better) = (choice.clone(), Mutex::new(Some(candidate(0, "npu", &fast))));
    let mut left = 3;
    request
        .set_callback(move |done| {
            done.result()?;
            if let Some(better) = better.lock().unwrap().take() {
                offered.offer(better)?;
            }
            left -= 1;
            Ok(if left == 0 { Next::Rest } else { Next::Again })
        })
        .unwrap();
    assert_eq!(run(&mut request, &executors), Some(Verdict::Done));
    assert_eq!((begun(&slow), begun(&fast)), (1, 2));
}

#[test]
fn a_run_that_is_cancelled_during_the_change_is_stopped_where_it_is() {
    let (slow, fast) = (Script::new(1), Script::new(1));
    slow.then(Act::Park);
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &slow)).unwrap());
    let (mut request, executors) = request(&choice);
    let canceller = request.canceller();
    request.start().unwrap().detach();
    drain(&executors);
    choice.offer(candidate(0, "npu", &fast)).unwrap();
    assert!(canceller.cancel());
    drain(&executors);
    assert!(matches!(request.status(), Status::Settled(Verdict::Cancelled(_))));
    assert_eq!((*slow.state.given_up.lock().unwrap(), *fast.state.given_up.lock().unwrap()), (1, 0));
    assert_eq!(run(&mut request, &executors), Some(Verdict::Done));
    assert_eq!(begun(&fast), 1);
}

#[test]
fn a_request_may_be_dropped_while_it_is_on_the_old_one() {
    let (slow, fast) = (Script::new(1), Script::new(1));
    slow.then(Act::Park);
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &slow)).unwrap());
    let (mut request, executors) = request(&choice);
    request.start().unwrap().detach();
    drain(&executors);
    choice.offer(candidate(0, "npu", &fast)).unwrap();
    drop(request);
    drain(&executors);
    assert_eq!(
        (Arc::strong_count(&choice), Arc::strong_count(&slow)),
        (1, 1),
        "everything of the old one is freed"
    );
}

#[test]
fn an_error_names_the_device_that_the_run_was_on() {
    let (model, other) = (Script::new(2), Script::new(1));
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &model)).unwrap());
    let (mut request, executors) = request(&choice);
    for (script, expected) in [
        (&model, "the device \"cpu\" failed in its stage \"second\": the divisor is zero"),
        (&other, "the device \"npu\" failed in its stage \"first\": the divisor is zero"),
    ] {
        if Arc::ptr_eq(script, &model) {
            script.then(Act::Pass).then(Act::Fail)
        } else {
            script.then(Act::Fail)
        };
        let run = request.start().unwrap();
        drain(&executors);
        let Poll::Ready(Err(error)) = pin!(run).poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it did not fail")
        };
        assert_eq!((error.kind(), error.node_path()), (InferErrorKind::Operator, Some("block/div")));
        assert!(error.full_text().contains(expected), "{}", error.full_text());
        choice.offer(candidate(0, "npu", &other)).unwrap();
    }
}

#[test]
fn after_a_panic_the_work_is_made_by_the_best() {
    let (model, other) = (Script::new(1), Script::new(1));
    model.then(Act::Panic);
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &model)).unwrap());
    let (mut request, executors) = request(&choice);
    request.start().unwrap().detach();
    _ = catch_unwind(AssertUnwindSafe(|| drain(&executors)));
    assert_eq!(request.status(), Status::Settled(Verdict::Failed));
    choice.offer(candidate(0, "npu", &other)).unwrap();
    assert_eq!(run(&mut request, &executors), Some(Verdict::Done));
    assert_eq!((begun(&model), begun(&other)), (1, 1));
}

#[test]
fn a_variable_survives_the_change() {
    let (slow, fast) = (Script::new(1), Script::new(1));
    let choice = Arc::new(Choice::new(candidate(1, "cpu", &slow)).unwrap());
    let counter = Arc::new(Stateful::new(choice.clone(), [("x", "y")]).unwrap());
    let executor = Arc::new(ByHand::default());
    let pipeline = Pipeline::by_kind(&*counter, |_| executor.clone());
    let mut request = Request::new(counter, Arc::new(pipeline)).unwrap();
    for round in 0..4 {
        if round == 2 {
            choice.offer(candidate(0, "npu", &fast)).unwrap();
        }
        request.start().unwrap().detach();
        executor.drain();
    }
    let mut value = Tensor::zeros(ElementType::F32, [2]);
    request.read_variable("x", &mut value).unwrap();
    assert_eq!((value.to_vec::<f32>().unwrap(), begun(&slow), begun(&fast)), ([4.0; 2].into(), 2, 2));
}

#[test]
fn stages_stand_on_the_first_that_fit() {
    let stage = |kind| StageInfo { name: "s", kind };
    let [c, w] = [StageKind::Compute, StageKind::Wait].map(stage);
    assert_eq!(stand(&[c]).unwrap(), [core::ops::Range { start: 0, end: 1 }]);
    assert_eq!(stand(&[c, w, c]).unwrap(), [0..1, 1..2, 2..3]);
    assert_eq!(stand(&[c, c, w, w, c]).unwrap(), [0..2, 2..4, 4..5]);
    assert_eq!(stand(&[w]).unwrap(), [0..0, 0..1]);
    let alternating: Vec<StageInfo> =
        (0..MAX_STAGES).map(|stage| if stage % 2 == 0 { c } else { w }).collect();
    assert_eq!(stand(&alternating).unwrap().len(), MAX_STAGES);
    assert_eq!(
        stand(&[&[w], &alternating[..MAX_STAGES - 2]].concat()).map(|steps| steps.len()),
        Some(MAX_STAGES)
    );
    assert_eq!(stand(&[&[w], &alternating[..]].concat()), None);
}

/// A model with other ports than it says.
struct Ports(Arc<Script>, Vec<Port>);

impl CompiledModel for Ports {
    fn inputs(&self) -> &[Port] {
        &self.1
    }

    fn outputs(&self) -> &[Port] {
        self.0.outputs()
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        self.0.prepare()
    }
}

#[test]
fn what_is_another_model_is_no_candidate() {
    let choice = Choice::new(candidate(1, "cpu", &Script::new(1))).unwrap();
    let offer = |ports: Vec<Port>| {
        let model = Arc::new(Ports(Script::new(1), ports));
        alloc::format!("{}", choice.offer(Candidate { rank: 0, device: "npu".into(), model }).err().unwrap())
    };
    let start = "the device \"npu\" has made a model of other ports: ";
    let x = || port(Side::Input, 0, "x", [2]);
    let expect = |text: &str| alloc::format!("{start}{text}");
    assert_eq!(offer(Vec::new()), expect("0 instead of 1"));
    assert_eq!(
        offer(Vec::from([Port { name: "z".into(), ..x() }])),
        expect("\"z\" f32 [2] instead of \"x\" f32 [2]")
    );
    let wide = Port { shape: PartialShape::unknown(), ..x() };
    assert!(offer(Vec::from([wide])).starts_with(start));
    let stateful = Arc::new(Stateful::new(Script::new(1), [("x", "y")]).unwrap());
    let refused = Choice::new(Candidate { rank: 0, device: "npu".into(), model: stateful }).err();
    assert_eq!(refused, Some(ChoiceError::State { device: "npu".into() }));
    assert_eq!(&*choice.best().device, "cpu");
}
