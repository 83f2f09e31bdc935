//! Variables: what a request remembers from run to run.
//!
//! The script's model adds one; with its two ports joined it is a counter that shows nothing.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use super::ready;
use crate::device::CompiledModel;
use crate::executor::Lend;
use crate::pipeline::Pipeline;
use crate::pool::RequestPool;
use crate::port::Side;
use crate::request::testing::{Act, ByHand, Script};
use crate::request::{BindError, InferErrorKind, Next, Request};
use crate::state::{Stateful, Variable, VariableError};
use crate::tensor::{ElementType, Tensor};

fn counter(script: &Arc<Script>, variable: Variable) -> (Arc<Stateful>, Arc<Pipeline>, Arc<ByHand>) {
    let model = Arc::new(Stateful::new(script.clone(), [variable]).unwrap());
    let executor = Arc::new(ByHand::default());
    let pipeline = Pipeline::by_kind(&*model, |_| executor.clone());
    (model, Arc::new(pipeline), executor)
}

fn request(script: &Arc<Script>) -> (Request, Arc<ByHand>) {
    let (model, pipeline, executor) = counter(script, Variable::new("x", "y"));
    (Request::new(model, pipeline).unwrap(), executor)
}

fn values(value: f32) -> Tensor {
    Tensor::from_slice(&[value; 2], [2]).unwrap()
}

fn count(request: &Request) -> f32 {
    request.variable("x").unwrap().to_vec::<f32>().unwrap()[0]
}

fn run(request: &mut Request, executor: &ByHand) -> Result<(), InferErrorKind> {
    let run = request.start().unwrap();
    executor.drain();
    ready(run).map(drop).map_err(|error| error.kind())
}

#[test]
fn a_pair_of_ports_becomes_a_variable_and_is_no_port_any_more() {
    let (request, _) = request(&Script::new(1));
    assert!(request.inputs().is_empty() && request.outputs().is_empty());
    let [variable] = request.variables() else { panic!("one") };
    assert_eq!((variable.side, &*variable.name, variable.element), (Side::Variable, "x", ElementType::F32));
    assert!(matches!(request.input("x"), Err(BindError::Port(_))));
    let error = request.variable("z").unwrap_err();
    assert_eq!(alloc::format!("{error}"), "no variable \"z\"; there is: \"x\" f32 [2]");
    assert_eq!(request.variable(1).unwrap_err().kind(), InferErrorKind::OutOfRange);
}

#[test]
fn a_value_is_there_before_the_first_run_and_every_run_that_is_done_moves_it_on() {
    let script = Script::new(2);
    let (model, pipeline, executor) = counter(&script, Variable::new("x", "y").starting_at(values(100.0)));
    let mut request = Request::new(model, pipeline).unwrap();
    assert_eq!(count(&request), 100.0);
    for round in 1..=4 {
        run(&mut request, &executor).unwrap();
        assert_eq!(count(&request), 100.0 + round as f32);
    }
    request.infer(Lend::SERIAL).poll_now().unwrap();
    assert_eq!(count(&request), 105.0, "on the caller's stack as well");
    request.reset_variable("x").unwrap();
    assert_eq!(count(&request), 100.0);
    run(&mut request, &executor).unwrap();
    assert_eq!(count(&request), 101.0);
    request.reset_variables().unwrap();
    request.reset_variables().unwrap();
    assert_eq!(count(&request), 100.0);
}

#[test]
fn a_run_that_is_not_done_leaves_the_value_as_it_was() {
    let script = Script::new(2);
    let (mut request, executor) = request(&script);
    run(&mut request, &executor).unwrap();
    script.then(Act::AddOne).then(Act::Fail);
    assert_eq!(run(&mut request, &executor), Err(InferErrorKind::Operator));
    assert_eq!(count(&request), 1.0, "although the first stage wrote");
    script.then(Act::AddOne).then(Act::Panic);
    let panicked = request.start().unwrap();
    // Whether it passes through depends on whether another test has installed a catcher.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| executor.drain()));
    assert_eq!(ready(panicked).unwrap_err().kind(), InferErrorKind::Panicked);
    assert_eq!(count(&request), 1.0, "and although the work is made anew");
    let begun = request.start().unwrap();
    executor.step();
    assert!(begun.cancel());
    executor.drain();
    assert_eq!(ready(begun).unwrap_err().kind(), InferErrorKind::Cancelled);
    assert_eq!(count(&request), 1.0);
    *executor.refuses.lock().unwrap() = true;
    assert!(request.start().is_err());
    *executor.refuses.lock().unwrap() = false;
    assert_eq!(count(&request), 1.0);
    run(&mut request, &executor).unwrap();
    assert_eq!(count(&request), 2.0);
}

#[test]
fn values_are_copied_in_and_out_and_belong_to_one_request() {
    let script = Script::new(1);
    let (model, pipeline, executor) = counter(&script, Variable::new("x", "y").named("count"));
    let mut requests = [(); 2].map(|()| Request::new(model.clone(), pipeline.clone()).unwrap());
    let mut given = values(5.0);
    requests[0].set_variable("count", &given).unwrap();
    given.as_slice_mut::<f32>().unwrap().fill(9.0);
    run(&mut requests[0], &executor).unwrap();
    let mut got = requests[0].variable("count").unwrap();
    assert_eq!(got.to_vec::<f32>().unwrap(), [6.0, 6.0]);
    got.as_slice_mut::<f32>().unwrap().fill(70.0);
    requests[0].read_variable("count", &mut got).unwrap();
    assert_eq!(got.to_vec::<f32>().unwrap(), [6.0, 6.0], "what was got is a copy");
    assert_eq!(requests[1].variable(0).unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
    requests[0].reset_variables().unwrap();
    requests[0].set_variable(0, &values(1.0)).unwrap();
    requests[1].set_variable(0, &values(2.0)).unwrap();
    requests[1].reset_variables().unwrap();
    assert_eq!(
        requests[0].variable(0).unwrap().to_vec::<f32>().unwrap(),
        [1.0, 1.0],
        "nor is a reset another's"
    );
}

#[test]
fn a_value_of_another_type_or_shape_is_refused_and_changes_nothing() {
    let (mut request, _) = request(&Script::new(1));
    request.set_variable("x", &values(3.0)).unwrap();
    let error = request.set_variable("x", &Tensor::zeros(ElementType::I32, [2])).unwrap_err();
    assert_eq!(alloc::format!("{error}"), "variable #0 \"x\" takes f32, not i32");
    for shape in [[0], [3]] {
        let error = request.set_variable("x", &Tensor::zeros(ElementType::F32, shape)).unwrap_err();
        assert!(matches!(error, BindError::Shape { .. }), "{error}");
    }
    let mut held = values(4.0);
    let other = held.clone();
    let view = held.as_slice_mut::<f32>().unwrap();
    assert_eq!(request.set_variable("x", &other).unwrap_err().kind(), InferErrorKind::InUse);
    drop(view);
    let error = request.read_variable("x", &mut Tensor::zeros(ElementType::I32, [2])).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::InvalidInput);
    assert_eq!(count(&request), 3.0);
}

#[test]
fn a_run_under_way_keeps_everybody_off_the_variables() {
    let (mut request, executor) = request(&Script::new(1));
    request.start().unwrap().detach();
    assert_eq!(request.variable("x").unwrap_err(), BindError::Busy);
    assert_eq!(request.read_variable("x", &mut values(0.0)).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_variable("x", &values(1.0)).unwrap_err(), BindError::Busy);
    assert_eq!(request.reset_variable("x").unwrap_err(), BindError::Busy);
    assert_eq!(request.reset_variables().unwrap_err(), BindError::Busy);
    executor.drain();
    assert_eq!(count(&request), 1.0);
}

#[test]
fn a_callback_sees_the_new_value_and_a_restart_goes_on_from_it() {
    let (mut request, executor) = request(&Script::new(1));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    request
        .set_callback(move |mut done| {
            let value = done.variable("x")?.to_vec::<f32>()?[0];
            log.lock().unwrap().push(value);
            match value {
                3.0 => done.set_variable("x", &values(10.0))?,
                12.0 => done.reset_variables(),
                1.0 if log.lock().unwrap().len() > 1 => return Ok(Next::Rest),
                _ => {}
            }
            Ok(Next::Again)
        })
        .unwrap();
    request.start().unwrap().detach();
    executor.drain();
    assert_eq!(*seen.lock().unwrap(), [1.0, 2.0, 3.0, 11.0, 12.0, 1.0]);
}

#[test]
fn a_request_from_a_pool_begins_anew() {
    let (model, pipeline, executor) = counter(&Script::new(1), Variable::new("x", "y"));
    let pool = RequestPool::new(model, pipeline, 1).unwrap();
    for _ in 0..2 {
        let mut request = ready(pool.acquire());
        assert_eq!(count(&request), 0.0);
        run(&mut request, &executor).unwrap();
        run(&mut request, &executor).unwrap();
        assert_eq!(count(&request), 2.0, "who keeps the request keeps the sequence");
    }
    let mut request = pool.try_acquire().unwrap();
    assert_eq!(count(&request), 0.0);
    request.start().unwrap().detach();
}

#[test]
fn what_cannot_be_joined_is_refused_with_the_reason() {
    let script = Script::new(1);
    let join = |variables: &[Variable]| match Stateful::new(script.clone(), variables.iter().cloned()) {
        Ok(_) => panic!("it was joined"),
        Err(error) => error,
    };
    let error = join(&[Variable::new("z", "y")]);
    assert_eq!(alloc::format!("{error}"), "no input \"z\"; there is: \"x\" f32 [2]");
    let error = join(&[Variable::new("x", "z")]);
    assert_eq!(alloc::format!("{error}"), "no output \"z\"; there is: \"y\" f32 [2]");
    let pair = Variable::new("x", "y");
    assert!(matches!(join(&[pair.clone(), pair.clone()]), VariableError::Port(_)), "a port has one use");
    let error = join(&[pair.starting_at(Tensor::zeros(ElementType::F32, [3]))]);
    assert!(matches!(error, VariableError::Initial(BindError::Shape { .. })), "{error}");
}

/// `infer` needs one poll here.
trait PollNow {
    fn poll_now(self) -> Result<(), InferErrorKind>;
}

impl PollNow for crate::request::Infer<'_> {
    fn poll_now(self) -> Result<(), InferErrorKind> {
        ready(self).map(drop).map_err(|error| error.kind())
    }
}

#[test]
fn ports_that_stay_keep_their_order_and_the_device_its_own() {
    let model = Stateful::new(Arc::new(crate::request::testing::Many), [("b", "q")]).unwrap();
    let names = |ports: &[crate::port::Port]| {
        ports.iter().map(|port| (port.index, port.name.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(model.inputs()), [(0, "a".into()), (1, "c".into())]);
    assert_eq!(names(model.outputs()), [(0, "p".into()), (1, "r".into())]);
    // Joined once more, around what is joined already.
    let model = Stateful::new(Arc::new(model), [Variable::new("c", "p").starting_at(values(7.0))]).unwrap();
    assert_eq!(
        (names(model.inputs()), names(model.outputs())),
        (std::vec![(0, "a".into())], std::vec![(0, "r".into())])
    );
    let pipeline = Pipeline::inline(&model);
    let mut request = Request::new(Arc::new(model), Arc::new(pipeline)).unwrap();
    request.set_input("a", values(1.0)).unwrap();
    // The device copies a to p, b to q and c to r.
    for expected in [7.0, 1.0, 1.0] {
        let outputs = ready(request.start().unwrap()).unwrap();
        assert_eq!(outputs.get("r").unwrap().to_vec::<f32>().unwrap()[0], expected);
    }
    assert_eq!(request.variable("b").unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
}
