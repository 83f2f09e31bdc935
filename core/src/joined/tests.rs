//! Joined models of stages that do as they are told, stepped by hand.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::device::StageKind;
use crate::pipeline::Pipeline;
use crate::port::Side;
use crate::request::testing::{Act, ByHand, Many, Script, port};
use crate::request::{InferError, InferErrorKind, Outputs, Request, Run, Status, Verdict};
use crate::tensor::Tensor;
use crate::{PartialShape, Stateful};

fn part(device: &str, model: Arc<dyn CompiledModel>, inputs: Vec<Source>) -> Part {
    Part { device: device.into(), model, inputs }
}

fn outlet(part: usize, output: usize) -> Source {
    Source::Outlet(Outlet { part, output })
}

/// The models one after the other, on devices "a", "b", ...: each reads what the one before has written.
fn chain(models: &[Arc<Script>]) -> Result<Joined, JoinError> {
    let part = |(index, model): (usize, &Arc<Script>)| {
        let from = if index == 0 { Source::Input(0) } else { outlet(index - 1, 0) };
        part(["a", "b", "c"][index % 3], model.clone(), vec![from])
    };
    let parts: Vec<Part> = models.iter().enumerate().map(part).collect();
    let last = Outlet { part: parts.len().saturating_sub(1), output: 0 };
    Joined::new(vec![port(Side::Input, 0, "x", [2])], vec![("y".into(), last)], parts)
}

fn request(model: Joined) -> (Request, Arc<ByHand>) {
    let model = Arc::new(model);
    let executor = Arc::new(ByHand::default());
    let pipeline = Pipeline::by_kind(&*model, |_| executor.clone());
    (Request::new(model, Arc::new(pipeline)).unwrap(), executor)
}

fn ended(run: Run<'_>) -> Result<Outputs<'_>, InferError> {
    match pin!(run).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => ended,
        Poll::Pending => panic!("the run is not over"),
    }
}

fn verdict(request: &Request) -> Option<Verdict> {
    if let Status::Settled(verdict) = request.status() { Some(verdict) } else { None }
}

fn set(request: &mut Request, value: f32) {
    request.set_input(0, Tensor::from_slice(&[value; 2], [2]).unwrap()).unwrap();
}

fn result(request: &Request) -> Vec<f32> {
    request.output(0).unwrap().to_vec().unwrap()
}

fn names(model: &Joined) -> Vec<&'static str> {
    model.stages().iter().map(|stage| stage.name).collect()
}

#[test]
fn the_stages_of_the_parts_are_the_stages_of_the_whole() {
    let models = [Script::new(1), Script::new(3), Script::new(2)];
    let joined = chain(&models).unwrap();
    assert_eq!(names(&joined), ["first", "first", "second", "third", "first", "second"]);
    let devices: Vec<&str> = (0..6).map(|stage| &**joined.device_of(stage).unwrap()).collect();
    assert_eq!((&devices[..], joined.device_of(6)), (&["a", "b", "b", "b", "c", "c"][..], None));
    assert_eq!(joined.devices().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
    let (mut request, executor) = request(joined);
    for round in 0..3 {
        set(&mut request, round as f32);
        let mut own = request.output(0).unwrap().clone();
        request.start().unwrap().detach();
        assert!(own.as_slice_mut::<f32>().is_err(), "the output is the run's");
        executor.drain();
        assert_eq!(result(&request), [round as f32 + 3.0; 2]);
        assert!(own.shares_storage(request.output(0).unwrap()), "computed in place");
        assert!(own.as_slice_mut::<f32>().is_ok(), "all leases are given back");
    }
    assert_eq!(models.each_ref().map(|model| model.polls().len()), [3, 9, 6]);
    assert!(models.iter().all(|model| *model.state.begun.lock().unwrap() == 3));
    assert!(models.iter().all(|model| *model.state.given_up.lock().unwrap() == 0));
}

#[test]
fn two_requests_are_in_different_parts_at_the_same_time() {
    let models = [Script::new(1), Script::new(1)];
    models[0].then(Act::Pass).then(Act::AddOne);
    models[1].then(Act::Park);
    let joined = Arc::new(chain(&models).unwrap());
    let executor = Arc::new(ByHand::default());
    let pipeline = Arc::new(Pipeline::by_kind(&*joined, |_| executor.clone()));
    let [mut first, mut second] = [(); 2].map(|()| Request::new(joined.clone(), pipeline.clone()).unwrap());
    first.start().unwrap().detach();
    executor.drain();
    // The first waits in part 1; the second goes through both parts.
    second.start().unwrap().detach();
    executor.drain();
    assert_eq!(verdict(&second), Some(Verdict::Done));
    assert_eq!(verdict(&first), None);
    models[1].wake();
    executor.drain();
    assert_eq!(verdict(&first), Some(Verdict::Done));
}

#[test]
fn a_cancel_reaches_the_part_that_runs_and_no_other() {
    let models = [Script::new(1), Script::new(2), Script::new(1)];
    models[1].then(Act::Pass).then(Act::Park);
    let (mut request, executor) = request(chain(&models).unwrap());
    let run = request.start().unwrap();
    executor.drain();
    assert!(run.cancel());
    run.detach();
    executor.drain();
    assert!(matches!(verdict(&request), Some(Verdict::Cancelled(_))));
    assert_eq!(models.each_ref().map(|model| *model.state.given_up.lock().unwrap()), [0, 1, 0]);
    assert_eq!(models[2].polls(), [], "the part after it was not begun");
    set(&mut request, 1.0);
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(result(&request), [4.0; 2]);
}

#[test]
fn between_two_parts_nothing_is_under_way() {
    let models = [Script::new(1), Script::new(1)];
    let (mut request, executor) = request(chain(&models).unwrap());
    let run = request.start().unwrap();
    assert!(executor.step());
    assert!(run.cancel());
    run.detach();
    executor.drain();
    assert!(matches!(verdict(&request), Some(Verdict::Cancelled(_))));
    assert_eq!(models.each_ref().map(|model| *model.state.given_up.lock().unwrap()), [0, 0]);
}

#[test]
fn a_failure_names_the_device_the_stage_and_the_node() {
    let models = [Script::new(1), Script::new(2)];
    models[1].then(Act::Pass).then(Act::Fail);
    let (mut request, executor) = request(chain(&models).unwrap());
    let run = request.start().unwrap();
    executor.drain();
    let error = ended(run).unwrap_err();
    assert_eq!(
        (error.kind(), error.stage(), error.node_path()),
        (InferErrorKind::Operator, Some((2, "second")), Some("block/div"))
    );
    let text = error.full_text();
    assert!(
        text.contains("part 1 on the device \"b\" failed in its stage \"second\": the divisor is zero"),
        "{text}"
    );
    assert_eq!(*models[1].state.given_up.lock().unwrap(), 1);
}

#[test]
fn a_panic_leaves_the_users_tensors_where_they_were() {
    let models = [Script::new(1), Script::new(1), Script::new(1)];
    models[2].then(Act::Panic);
    let (mut request, executor) = request(chain(&models).unwrap());
    set(&mut request, 5.0);
    let (input, output) = (request.input(0).unwrap().clone(), request.output(0).unwrap().clone());
    request.start().unwrap().detach();
    _ = catch_unwind(AssertUnwindSafe(|| executor.drain()));
    assert_eq!(verdict(&request), Some(Verdict::Failed));
    assert!(
        request.input(0).unwrap().shares_storage(&input)
            && request.output(0).unwrap().shares_storage(&output)
    );
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(result(&request), [8.0; 2]);
}

/// An output of the whole that a later part reads, an input that two parts read, and outputs that nobody reads.
#[test]
fn values_may_be_read_more_than_once() {
    let (one, two) = (Script::new(1), Script::new(1));
    let parts = vec![
        part("a", one, vec![Source::Input(0)]),
        part("b", Arc::new(Many), vec![outlet(0, 0), Source::Input(0), Source::Input(1)]),
        part("a", two, vec![outlet(1, 0)]),
    ];
    let inputs = vec![port(Side::Input, 0, "x", [2]), port(Side::Input, 1, "z", [2])];
    let outputs = [("sum", 0, 0), ("same", 1, 1), ("more", 2, 0)];
    let outputs = outputs.map(|(name, part, output)| (name.into(), Outlet { part, output })).into();
    let (mut request, executor) = request(Joined::new(inputs, outputs, parts).unwrap());
    set(&mut request, 1.0);
    // A part of a larger tensor.
    let row = Tensor::zeros(crate::ElementType::F32, [6]).region(core::slice::from_ref(&(0..2))).unwrap();
    for round in 0..2 {
        if round == 1 {
            request.set_output("sum", row.clone()).unwrap();
        }
        request.start().unwrap().detach();
        executor.drain();
        let outputs = [0, 1, 2].map(|output| request.output(output).unwrap().to_vec::<f32>().unwrap()[0]);
        assert_eq!(outputs, [2.0, 1.0, 3.0]);
    }
}

#[test]
fn memory_that_was_given_back_is_taken_again() {
    let models = [Script::new(1), Script::new(1)];
    let (mut request, executor) = request(chain(&models).unwrap());
    for value in [1.0, 2.0] {
        request.release_memory().unwrap();
        set(&mut request, value);
        request.start().unwrap().detach();
        executor.drain();
        assert_eq!(result(&request), [value + 2.0; 2]);
    }
}

#[test]
fn more_stages_than_a_request_can_have_become_fewer() {
    let models: Vec<_> = (0..13).map(|_| Script::new(3)).collect();
    let joined = chain(&models).unwrap();
    assert_eq!(joined.stages().len(), MAX_STAGES);
    models[0].then(Act::Pass).then(Act::Yield);
    let (mut request, executor) = request(joined);
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(result(&request), [13.0; 2]);
    assert!(models[1..].iter().all(|model| model.polls() == [0, 1, 2]));
}

#[test]
fn neighbours_of_one_kind_become_one_and_others_do_not() {
    let stage = |kind| StageInfo { name: "s", kind };
    let [compute, wait] = [StageKind::Compute, StageKind::Wait].map(stage);
    assert_eq!(merge(&[compute; 4], 4), [0..1, 1..2, 2..3, 3..4]);
    assert_eq!(merge(&[compute; 4], 3), [0..2, 2..3, 3..4]);
    assert_eq!(merge(&[compute; 4], 2), [0..2, 2..4]);
    assert_eq!(merge(&[compute, wait, compute, compute], 1), [0..1, 1..2, 2..4]);
}

/// A model of stages that alternate.
struct Alternating(Arc<Script>);

impl CompiledModel for Alternating {
    fn inputs(&self) -> &[Port] {
        self.0.inputs()
    }

    fn outputs(&self) -> &[Port] {
        self.0.outputs()
    }

    fn stages(&self) -> &[StageInfo] {
        const WAIT: StageInfo = StageInfo { name: "wait", kind: StageKind::Wait };
        const COMPUTE: StageInfo = StageInfo { name: "compute", kind: StageKind::Compute };
        &[WAIT, COMPUTE]
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        self.0.prepare()
    }
}

#[test]
fn what_cannot_be_joined_is_refused_by_name() {
    let error = |parts: Vec<Part>, outputs: &[Outlet]| {
        let outputs = outputs.iter().map(|outlet| ("y".into(), *outlet)).collect();
        let joined = Joined::new(vec![port(Side::Input, 0, "x", [2])], outputs, parts);
        joined.err().expect("cannot be joined")
    };
    let script = |inputs| part("npu", Script::new(1), inputs);
    assert_eq!(error(vec![], &[]), JoinError::Empty);
    let text = alloc::format!("{}", error(vec![script(vec![])], &[]));
    assert_eq!(text, "part 0 has 1 inputs and is given 0 sources");
    let text = alloc::format!("{}", error(vec![script(vec![outlet(0, 0)])], &[]));
    let expected =
        "input #0 \"x\" of part 0 comes from output 0 of part 0, which is not there when the part begins";
    assert_eq!(text, expected);
    assert!(matches!(error(vec![script(vec![Source::Input(1)])], &[]), JoinError::Absent { .. }));
    let many = part("npu", Arc::new(Many), vec![Source::Input(0); 3]);
    let text = alloc::format!("{}", error(vec![many], &[]));
    assert_eq!(text, "input #1 \"b\" and a port before it are the same value");
    let last = Outlet { part: 0, output: 0 };
    assert!(matches!(error(vec![script(vec![Source::Input(0)])], &[last, last]), JoinError::Twice { .. }));
    let beyond = Outlet { part: 0, output: 1 };
    assert_eq!(
        error(vec![script(vec![Source::Input(0)])], &[beyond]),
        JoinError::Output { output: 0, from: beyond }
    );
    let stateful = Stateful::new(Script::new(1), [("x", "y")]).unwrap();
    let stateful = part("npu", Arc::new(stateful), vec![]);
    assert_eq!(error(vec![stateful], &[]), JoinError::State { part: 0, device: "npu".into() });
    let bytes = Port { element: crate::ElementType::U8, ..port(Side::Input, 0, "x", [2]) };
    let parts = vec![script(vec![Source::Input(0)])];
    let text = alloc::format!("{}", Joined::new(vec![bytes], vec![], parts).err().unwrap());
    assert_eq!(text, "input #0 \"x\" of part 0 on the device \"npu\" takes f32 and is given u8");
    let alternating = |index: usize| {
        let from = if index == 0 { Source::Input(0) } else { outlet(index - 1, 0) };
        part("npu", Arc::new(Alternating(Script::new(2))), vec![from])
    };
    let error = error((0..20).map(alternating).collect(), &[last]);
    assert_eq!(error, JoinError::Stages { stages: 40, merged: 40 });
}

/// What a part finds is not what the next one takes.
#[test]
fn a_shape_that_the_next_part_does_not_take_fails_there() {
    struct Open(Arc<Script>, Vec<Port>);
    impl CompiledModel for Open {
        fn inputs(&self) -> &[Port] {
            self.0.inputs()
        }
        fn outputs(&self) -> &[Port] {
            &self.1
        }
        fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
            self.0.prepare()
        }
    }
    let script = Script::new(1);
    script.then(Act::Pass);
    let open = Port { shape: PartialShape::unknown(), ..port(Side::Output, 0, "t", [2]) };
    let parts = vec![
        part("a", Arc::new(Open(script, vec![open])), vec![Source::Input(0)]),
        part("b", Script::new(1), vec![outlet(0, 0)]),
    ];
    let outputs = vec![("y".into(), Outlet { part: 1, output: 0 })];
    let joined = Joined::new(vec![port(Side::Input, 0, "x", [2])], outputs, parts).unwrap();
    let (mut request, executor) = request(joined);
    let run = request.start().unwrap();
    executor.drain();
    let error = ended(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::InvalidInput);
    let text = error.full_text();
    assert!(
        text.contains("part 1 on the device \"b\"") && text.contains("takes the shape [2], not [0]"),
        "{text}"
    );
}
