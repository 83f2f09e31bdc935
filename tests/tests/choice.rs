//! Models compiled for several devices at the same time: who serves, who takes over, and what becomes of requests meanwhile.
//!
//! Compilers and chips are held at gates; nothing waits for a time.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::thread;

use inferry::{
    CandidateState, CompileError, CompiledModel, Devices, InferErrorKind, Next, NodeStatus, Options, Request,
    Runtime, Status, Tensor, Variable, Verdict,
};
use inferry_behaviour::model::{accumulate, add, dense};
use inferry_behaviour::native::{arrangements, within_a_minute};
use inferry_behaviour::world::Log;
use inferry_engine::Model;
use inferry_template::{Accelerator, Call, Chip, Gate, Op};

/// A device whose compiler waits at a gate, and which writes down when it computes.
fn held(name: &'static str, gate: &Gate, log: &Log<&'static str>) -> Accelerator {
    let (gate, log) = (gate.clone(), log.clone());
    let compiling = Call::new(move || {
        gate.arrive();
        gate.block();
    });
    let note = Op::Call(Call::new(move || log.push(name)));
    Accelerator::new(Chip::working(name)).compiling(compiling).first([note])
}

fn inputs() -> [Tensor; 2] {
    [1.0_f32, 10.0].map(|value| Tensor::from_slice(&[value; 4], [4]).unwrap())
}

fn filled(model: &CompiledModel) -> Request {
    let mut request = model.request().unwrap();
    for (index, input) in inputs().into_iter().enumerate() {
        request.set_input(index, input).unwrap();
    }
    request
}

fn sum(request: &Request) -> Vec<f32> {
    request.output("sum").unwrap().to_vec().unwrap()
}

fn states(model: &CompiledModel) -> Vec<(String, &'static str)> {
    let state = |state: &CandidateState| match state {
        CandidateState::Compiling => "compiling",
        CandidateState::Serving => "serving",
        CandidateState::Relieved => "relieved",
        CandidateState::Failed(_) => "failed",
        _ => "?",
    };
    model.candidates().iter().map(|status| (status.device.to_string(), state(&status.state))).collect()
}

fn pairs<const N: usize>(states: [(&str, &'static str); N]) -> Vec<(String, &'static str)> {
    states.map(|(device, state)| (device.to_owned(), state)).into()
}

/// F145: the fallback serves while the preferred compiles; then every run goes to the preferred, also of requests that were
/// made before.
#[test]
fn the_fallback_serves_until_the_preferred_is_ready() {
    within_a_minute(|| {
        for (name, options) in arrangements() {
            let (gate, log) = (Gate::closed(), Log::default());
            let runtime = Runtime::new().unwrap();
            let devices = Devices::prefer(held("npu", &gate, &log)).then(runtime.cpu());
            let model = runtime.compile_first_ready(&add(4), &devices, options.profiling(true)).unwrap();
            gate.wait_arrived(1);
            assert_eq!(states(&model), pairs([("npu", "compiling"), ("cpu", "serving")]), "{name}");
            let mut request = filled(&model);
            let watcher = request.observer();
            request.start().unwrap().wait().unwrap();
            assert_eq!((sum(&request), log.entries()), (vec![11.0; 4], vec![]), "{name}");
            let profile = request.profile().unwrap();
            assert_eq!(
                (profile[0].device.as_deref(), profile[0].status),
                (Some("cpu"), NodeStatus::Executed)
            );
            gate.open();
            model.wait_candidates();
            assert_eq!(states(&model), pairs([("npu", "serving"), ("cpu", "relieved")]), "{name}");
            for count in 1..4 {
                request.start().unwrap().wait().unwrap();
                assert_eq!((sum(&request), log.entries().len()), (vec![11.0; 4], count), "{name}");
            }
            assert_eq!(watcher.status(), Status::Settled(Verdict::Done), "it is the same request");
            assert_eq!(model.infer(inputs()).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [11.0; 4]);
            request.infer().unwrap();
            assert_eq!(log.entries().len(), 5, "{name}");
        }
    });
}

#[test]
fn who_is_ready_first_and_preferred_stays() {
    within_a_minute(|| {
        let (gate, log) = (Gate::closed(), Log::default());
        let runtime = Runtime::new().unwrap();
        let devices = Devices::prefer(runtime.cpu()).then(held("npu", &gate, &log));
        let model = runtime.compile_first_ready(&add(4), &devices, Options::inline()).unwrap();
        assert_eq!(states(&model), pairs([("cpu", "serving"), ("npu", "compiling")]));
        gate.open();
        model.wait_candidates();
        assert_eq!(states(&model), pairs([("cpu", "serving"), ("npu", "relieved")]));
        filled(&model).infer().unwrap();
        assert_eq!(log.entries(), [""; 0]);
    });
}

#[test]
fn a_device_that_cannot_compile_is_left_out_and_says_why() {
    within_a_minute(|| {
        let (gate, log) = (Gate::closed(), Log::default());
        let runtime = Runtime::new().unwrap();
        // The accelerator has no matrix product, and another one's compiler panics.
        let broken = Accelerator::new(Chip::working("broken")).compiling(Call::new(|| panic!("out of luck")));
        let devices = Devices::prefer(held("npu", &gate, &log)).then(broken).then(runtime.cpu());
        let model = runtime.compile_first_ready(&dense(1, 4), &devices, Options::inline()).unwrap();
        gate.open();
        model.wait_candidates();
        assert_eq!(states(&model), pairs([("npu", "failed"), ("broken", "failed"), ("cpu", "serving")]));
        let reasons: Vec<String> = model
            .candidates()
            .iter()
            .filter_map(|status| match &status.state {
                CandidateState::Failed(reason) => Some(reason.to_string()),
                _ => None,
            })
            .collect();
        let expected =
            ["the accelerator does not have MatMul \"product0/node\"", "the compiler panicked: out of luck"];
        assert_eq!(reasons, expected);
        model.infer([Tensor::zeros(inferry::ElementType::F32, [4, 4])]).unwrap();
    });
}

#[test]
fn when_all_fail_the_error_has_every_reason() {
    let runtime = Runtime::new().unwrap();
    let broken = Accelerator::new(Chip::working("broken")).compiling(Call::new(|| panic!("out of luck")));
    let devices = Devices::prefer(Accelerator::new(Chip::working("npu"))).then(broken);
    let error = runtime.compile_first_ready(&dense(1, 4), &devices, Options::inline()).unwrap_err();
    let expected = "no device can compile the model: \"npu\": the accelerator does not have MatMul \"product0/node\"; \
                    \"broken\": the compiler panicked: out of luck";
    assert_eq!(error.to_string(), expected);
    let CompileError::NoDevice(error) = error else { panic!("{error:?}") };
    assert_eq!(error.reasons.iter().map(|(device, _)| &**device).collect::<Vec<_>>(), ["npu", "broken"]);
    let twice = Devices::prefer(runtime.cpu()).then(runtime.cpu());
    let error = runtime.compile_first_ready(&add(1), &twice, Options::inline()).unwrap_err();
    assert!(matches!(error, CompileError::SameName { .. }), "{error}");
}

/// Two chips: the first is at a gate with a run when the second takes over.
fn two_chips(model: &Model, options: Options) -> (CompiledModel, Gate, Gate, Log<&'static str>) {
    let (compiler, slow, log) = (Gate::closed(), Gate::closed(), Log::default());
    let old = Accelerator::new(Chip::working("old")).first([Op::Block(slow.clone())]);
    let runtime = Runtime::new().unwrap();
    let devices = Devices::prefer(held("new", &compiler, &log)).then(old);
    let model = runtime.compile_first_ready(model, &devices, options).unwrap();
    (model, compiler, slow, log)
}

#[test]
fn a_run_under_way_ends_where_it_began() {
    within_a_minute(|| {
        let (model, compiler, slow, log) = two_chips(&add(4), Options::latency().threads(1));
        let mut early = filled(&model);
        early.start().unwrap().detach();
        slow.wait_arrived(1);
        compiler.open();
        model.wait_candidates();
        let mut late = filled(&model);
        late.start().unwrap().wait().unwrap();
        assert_eq!(log.entries(), ["new"]);
        assert!(matches!(early.status(), Status::Parked { .. }), "{:?}", early.status());
        slow.open();
        assert_eq!(early.wait_quiet().unwrap(), Some(Verdict::Done));
        assert_eq!((sum(&early), log.entries().len(), slow.arrivals()), (vec![11.0; 4], 1, 1));
        early.start().unwrap().wait().unwrap();
        assert_eq!((log.entries().len(), slow.arrivals()), (2, 1));
    });
}

#[test]
fn cancel_and_drop_during_the_change_reach_the_old_device() {
    within_a_minute(|| {
        let (model, compiler, slow, log) = two_chips(&add(4), Options::latency().threads(1));
        let (mut cancelled, mut dropped) = (filled(&model), filled(&model));
        let run = cancelled.start().unwrap();
        slow.wait_arrived(1);
        dropped.start().unwrap().detach();
        compiler.open();
        model.wait_candidates();
        drop(dropped);
        assert!(run.cancel());
        assert_eq!(run.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
        cancelled.start().unwrap().wait().unwrap();
        assert_eq!((sum(&cancelled), log.entries()), (vec![11.0; 4], vec!["new"]));
    });
}

#[test]
fn a_chain_goes_over_in_the_middle() {
    within_a_minute(|| {
        let (gate, log) = (Gate::closed(), Log::default());
        let runtime = Runtime::new().unwrap();
        let devices = Devices::prefer(held("npu", &gate, &log)).then(runtime.cpu());
        let model = runtime.compile_first_ready(&add(4), &devices, Options::latency().threads(1)).unwrap();
        let mut request = filled(&model);
        let (mut left, opens, waits) = (4, gate.clone(), model.clone());
        request
            .set_callback(move |done| {
                done.result()?;
                left -= 1;
                if left == 2 {
                    opens.open();
                    waits.wait_candidates();
                }
                Ok(if left == 0 { Next::Rest } else { Next::Again })
            })
            .unwrap();
        request.start().unwrap().detach();
        assert_eq!(request.wait_quiet().unwrap(), Some(Verdict::Done));
        assert_eq!(log.entries().len(), 2, "the last two of four runs");
    });
}

#[test]
fn a_variable_is_kept_across_the_change() {
    within_a_minute(|| {
        let (gate, log) = (Gate::closed(), Log::default());
        let runtime = Runtime::new().unwrap();
        let devices = Devices::prefer(held("npu", &gate, &log)).then(runtime.cpu());
        let model = runtime.compile_first_ready(&accumulate(2), &devices, Options::inline()).unwrap();
        let model = model.with_variables([Variable::new("sum", "total")]).unwrap();
        let mut request = model.request().unwrap();
        request.set_input("x", Tensor::from_slice(&[1.0_f32, 2.0], [2]).unwrap()).unwrap();
        request.infer().unwrap();
        gate.open();
        model.wait_candidates();
        let outputs = request.infer().unwrap();
        assert_eq!(outputs.get("y").unwrap().to_vec::<f32>().unwrap(), [2.0, 4.0]);
        assert_eq!(log.entries(), ["npu"]);
    });
}

/// Who drops the model while a device compiles waits for nobody, and what comes late is dropped.
#[test]
fn a_model_may_go_before_its_devices_are_ready() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let runtime = Runtime::new().unwrap();
        let chip = Chip::by_hand("npu");
        let (arrives, whole) = (gate.clone(), Arc::downgrade(&chip));
        let compiling = Call::new(move || {
            arrives.arrive();
            arrives.block();
        });
        let npu = Accelerator::new(chip).compiling(compiling);
        let model = runtime.compile_first_ready(
            &add(4),
            &Devices::prefer(npu).then(runtime.cpu()),
            Options::inline(),
        );
        let model = model.unwrap();
        gate.wait_arrived(1);
        let mut request = filled(&model);
        drop(model);
        request.infer().unwrap();
        drop((request, runtime));
        assert!(whole.upgrade().is_some(), "its compiler is at the gate");
        gate.open();
        while whole.upgrade().is_some() {
            thread::yield_now();
        }
    });
}

/// A request that outlives the model's handle goes over as well.
#[test]
fn a_request_alone_goes_over() {
    within_a_minute(|| {
        let (gate, log) = (Gate::closed(), Log::default());
        let runtime = Runtime::new().unwrap();
        let devices = Devices::prefer(held("npu", &gate, &log)).then(runtime.cpu());
        let model = runtime.compile_first_ready(&add(4), &devices, Options::inline()).unwrap();
        let mut request = filled(&model);
        drop(model);
        gate.open();
        while log.entries().is_empty() {
            request.infer().unwrap();
            assert_eq!(sum(&request), [11.0; 4]);
        }
    });
}
