//! Variables on the desktop host: sequences through `infer`, `start`, a callback that restarts, and a pool.
//!
//! The core's own tests see what a single run does to a value; here it is compiled models on real threads, and models whose
//! memory grows.
#![forbid(unsafe_code)]

use inferry::{
    CompiledModel, ElementType, InferErrorKind, Next, Options, Request, Runtime, Tensor, Variable,
    VariableError, Verdict,
};
use inferry_behaviour::model;
use inferry_behaviour::native::{arrangements, compile, compile_for, within_a_minute};
use inferry_behaviour::world::{numbers, values};
use inferry_template::{Chip, Form, Gate, Graph, Op};

/// `total` and `y` are `x + sum`; the total of a run is the sum of the next.
fn accumulator(options: Options, variable: Variable) -> CompiledModel {
    let plain = Runtime::new().unwrap().compile(&model::accumulate(2), options).unwrap();
    plain.with_variables([variable]).unwrap()
}

fn sum() -> Variable {
    Variable::new("sum", "total")
}

fn of(value: f32) -> Tensor {
    Tensor::from_slice(&[value; 2], [2]).unwrap()
}

fn value(request: &Request) -> f32 {
    numbers(&request.variable("sum").unwrap())[0]
}

/// The output of a run on ones.
fn step(request: &mut Request) -> f32 {
    request.set_input("x", of(1.0)).unwrap();
    numbers(request.start().unwrap().wait().unwrap().get("y").unwrap())[0]
}

/// T193 and T195: every variable by its name, each reset by itself.
#[test]
fn every_variable_has_its_name_and_its_value() {
    let graph = Graph { ports: 3, ..Graph::new([Op::Add(1.0)]) };
    let pairs = [("x0", "y0"), ("x2", "y1")];
    let model = compile(Options::inline(), &graph).with_variables(pairs).unwrap();
    let names = |ports: &[inferry::Port]| ports.iter().map(|port| port.name.to_string()).collect::<Vec<_>>();
    assert_eq!((names(model.inputs()), names(model.outputs())), (vec!["x1".into()], vec!["y2".into()]));
    let mut request = model.request().unwrap();
    assert_eq!(names(request.variables()), ["x0", "x2"]);
    assert_eq!(request.variables(), model.variables());
    for variable in ["x0", "x2"] {
        request.set_variable(variable, &values(13.0)).unwrap();
    }
    request.reset_variable("x0").unwrap();
    assert_eq!(numbers(&request.variable("x0").unwrap()), [0.0, 0.0]);
    assert_eq!(numbers(&request.variable("x2").unwrap()), [13.0, -13.0]);
    request.set_input("x1", values(5.0)).unwrap();
    // y2 is x2 and one; x2 then takes y1, which is x1 and one.
    let outputs = request.start().unwrap().wait().unwrap();
    assert_eq!(numbers(outputs.get("y2").unwrap()), [14.0, -12.0]);
    assert_eq!(numbers(&request.variable("x2").unwrap()), [6.0, -4.0]);
    assert_eq!(numbers(&request.variable(0).unwrap()), [1.0, 1.0]);
    let plain = compile(Options::inline(), &graph);
    assert!(plain.variables().is_empty() && plain.request().unwrap().variables().is_empty());
}

/// T194: a value that was set is read again.
#[test]
fn a_value_that_was_set_is_read_again() {
    let mut request = accumulator(Options::inline(), sum()).request().unwrap();
    request.set_variable("sum", &of(13.0)).unwrap();
    assert_eq!(value(&request), 13.0);
}

/// T196 and T197: what one request is set to, or runs, is nothing to another.
#[test]
fn two_requests_remember_for_themselves() {
    let model = accumulator(Options::latency().threads(1), sum());
    let (mut one, mut other) = (model.request().unwrap(), model.request().unwrap());
    one.set_variable("sum", &of(13.0)).unwrap();
    other.reset_variables().unwrap();
    assert_eq!((value(&one), value(&other)), (13.0, 0.0));
    one.reset_variables().unwrap();
    other.set_variable("sum", &of(40.0)).unwrap();
    assert_eq!(step(&mut one), 1.0);
    assert_eq!((value(&one), value(&other)), (1.0, 40.0));
}

/// T198: nine runs of ones, in every arrangement of threads; and the same on the caller's stack.
#[test]
fn a_sequence_of_runs_adds_up() {
    for (name, options) in arrangements() {
        let mut request = accumulator(options, sum()).request().unwrap();
        let sums: Vec<f32> = (0..9).map(|_| step(&mut request)).collect();
        assert_eq!(sums, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], "{name}");
        request.infer().unwrap();
        assert_eq!(value(&request), 10.0, "{name}");
    }
}

/// T199 and T200: set or reset before each run.
#[test]
fn a_value_set_or_reset_before_a_run_is_where_it_begins() {
    let mut request = accumulator(Options::latency().threads(1), sum()).request().unwrap();
    for _ in 0..3 {
        request.set_variable("sum", &of(5.0)).unwrap();
        assert_eq!(step(&mut request), 6.0);
    }
    for _ in 0..3 {
        request.reset_variable("sum").unwrap();
        assert_eq!(step(&mut request), 1.0);
        request.reset_variables().unwrap();
        assert_eq!(step(&mut request), 1.0);
    }
}

/// T201 and T203: the initial value counts before the first run, and again after a reset.
#[test]
fn the_initial_value_is_there_from_the_beginning_and_after_a_reset() {
    let mut initial = of(100.0);
    let model = accumulator(Options::latency().threads(1), sum().starting_at(initial.clone()));
    initial.as_slice_mut::<f32>().unwrap().fill(0.0);
    let mut request = model.request().unwrap();
    assert_eq!(value(&request), 100.0, "the initial value was copied, too");
    assert_eq!(step(&mut request), 101.0);
    request.reset_variables().unwrap();
    assert_eq!(value(&request), 100.0);
    assert_eq!(step(&mut request), 101.0);
    assert_eq!(model.request().unwrap().variable("sum").unwrap().to_vec::<f32>().unwrap(), [100.0; 2]);
}

/// T202 and T205: values are copied on the way in and on the way out.
#[test]
fn nobody_has_a_hand_on_a_value() {
    let mut request = accumulator(Options::latency().threads(1), sum()).request().unwrap();
    let mut given = of(5.0);
    request.set_variable("sum", &given).unwrap();
    given.as_slice_mut::<f32>().unwrap().fill(0.0);
    let mut got = request.variable("sum").unwrap();
    got.as_slice_mut::<f32>().unwrap().fill(70.0);
    assert_eq!(step(&mut request), 6.0);
}

/// T204: a value of another type, and one that is empty.
#[test]
fn a_value_that_does_not_fit_is_refused_by_name() {
    let mut request = accumulator(Options::inline(), sum().named("memory")).request().unwrap();
    let error = request.set_variable("memory", &Tensor::zeros(ElementType::F64, [2])).unwrap_err();
    assert_eq!(error.to_string(), "variable #0 \"memory\" takes f32, not f64");
    for shape in [[0], [1]] {
        let error = request.set_variable("memory", &Tensor::zeros(ElementType::F32, shape)).unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::InvalidInput);
    }
    let error = request.set_variable("sum", &of(1.0)).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::NotFound);
}

/// T206: in flight, get, set and reset are busy; a run that is cancelled or fails leaves the value as it was.
#[test]
fn a_run_in_flight_has_the_variables_for_itself() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let graph = Graph::new([Op::Add(1.0), Op::Park(gate.clone())]);
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let plain = compile_for(&runtime, options, &graph, Form::Parked, &Chip::working("gated"));
        let mut request = plain.with_variables([("x0", "y0")]).unwrap().request().unwrap();
        gate.let_one_pass();
        request.start().unwrap().wait().unwrap();
        assert_eq!(numbers(&request.variable("x0").unwrap()), [1.0, 1.0]);
        request.start().unwrap().detach();
        gate.wait_arrived(2);
        assert_eq!(request.variable("x0").unwrap_err().kind(), InferErrorKind::Busy);
        assert_eq!(request.set_variable("x0", &values(1.0)).unwrap_err().kind(), InferErrorKind::Busy);
        assert_eq!(request.reset_variable("x0").unwrap_err().kind(), InferErrorKind::Busy);
        assert_eq!(request.reset_variables().unwrap_err().kind(), InferErrorKind::Busy);
        assert!(request.canceller().cancel());
        assert!(matches!(request.wait_quiet().unwrap(), Some(Verdict::Cancelled(_))));
        assert_eq!(numbers(&request.variable("x0").unwrap()), [1.0, 1.0]);
        gate.open();
        request.start().unwrap().wait().unwrap();
        assert_eq!(numbers(&request.variable("x0").unwrap()), [2.0, 2.0]);
    });
}

/// A callback reads the new value, and the runs that it begins go on from it.
#[test]
fn a_callback_that_restarts_carries_the_sequence_on() {
    for (name, options) in arrangements() {
        let mut request = accumulator(options, sum()).request().unwrap();
        request.set_input("x", of(1.0)).unwrap();
        request
            .set_callback(|done| {
                done.result()?;
                let sum = numbers(&done.variable("sum")?)[0];
                assert_eq!(sum, numbers(done.output("y")?)[0]);
                Ok(if sum < 7.0 { Next::Again } else { Next::Rest })
            })
            .unwrap();
        request.start().unwrap().detach();
        assert_eq!(request.wait_quiet().unwrap(), Some(Verdict::Done), "{name}");
        assert_eq!(value(&request), 7.0, "{name}");
    }
}

/// A request of a pool begins anew for each that gets it; a sequence keeps one.
#[test]
fn a_pooled_request_remembers_for_as_long_as_it_is_held() {
    let pool = accumulator(Options::throughput().threads(2), sum()).pool(1).unwrap();
    for _ in 0..2 {
        let mut request = inferry::block_on(pool.acquire());
        for expected in [1.0, 2.0, 3.0] {
            request.set_input("x", of(1.0)).unwrap();
            let outputs = inferry::block_on(request.start().unwrap()).unwrap();
            assert_eq!(numbers(outputs.get("y").unwrap())[0], expected);
        }
    }
    for _ in 0..2 {
        let outputs = inferry::block_on(pool.run([("x", of(1.0))])).unwrap();
        assert_eq!(numbers(outputs.get("y").unwrap())[0], 1.0);
    }
}

/// A memory that grows with each run, from nothing: a variable whose shape only a run knows.
#[test]
fn a_value_may_grow() {
    let plain = Runtime::new().unwrap().compile(&model::append(), Options::inline()).unwrap();
    let model = plain.with_variables([("heard", "all")]).unwrap();
    let mut request = model.request().unwrap();
    assert!(request.variable("heard").unwrap().is_empty());
    for round in 1..=10_u8 {
        request.set_input("x", Tensor::from_slice(&[f32::from(round)], [1]).unwrap()).unwrap();
        request.start().unwrap().wait().unwrap();
        let expected: Vec<f32> = (1..=round).map(f32::from).collect();
        assert_eq!(numbers(&request.variable("heard").unwrap()), expected);
    }
    request.reset_variables().unwrap();
    assert!(request.variable("heard").unwrap().is_empty());
}

#[test]
fn ports_that_cannot_be_joined_are_named() {
    let graph = Graph { ports: 2, ..Graph::new([Op::Echo]) };
    let model = compile(Options::inline(), &graph);
    let error = model.with_variables([("x7", "y0")]).unwrap_err();
    assert!(matches!(error, VariableError::Port(_)));
    assert!(error.to_string().starts_with("no input \"x7\"; there are: \"x0\""), "{error}");
    let both = [("x0", "y0"), ("x1", "y0")];
    assert!(matches!(model.with_variables(both), Err(VariableError::Port(_))));
    let named = [Variable::new("x0", "y0").named("m"), Variable::new("x1", "y1").named("m")];
    assert!(matches!(model.with_variables(named), Err(VariableError::Twice { .. })));
    let plain = Runtime::new().unwrap().compile(&model::mixed(), Options::inline()).unwrap();
    let error = plain.with_variables([("x", "y")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the variable \"x\" cannot go from output \"y\" i64 [2] to input \"x\" f32 [2]"
    );
}
