//! The CPU device on desktop threads: the same numbers in every arrangement, and runs that can be stopped anywhere.
#![forbid(unsafe_code)]

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use inferry::{InferErrorKind, Options, Request, Runtime, Status, Tensor};
use inferry_behaviour::model::{add, dense};
use inferry_behaviour::native::{arrangements, within_a_minute};
use inferry_behaviour::world::numbers;

#[test]
fn an_addition_adds() {
    let runtime = Runtime::new().unwrap();
    for (name, options) in arrangements() {
        let model = runtime.compile(&add(3), options).unwrap();
        let a = Tensor::from_slice(&[1.0_f32, 2.0, 3.0], [3]).unwrap();
        let b = Tensor::from_slice(&[10.0_f32, 20.0, 30.0], [3]).unwrap();
        let outputs = model.infer([("b", b), ("a", a)]).unwrap();
        assert_eq!(numbers(outputs.get("sum").unwrap()), [11.0, 22.0, 33.0], "{name}");
    }
}

#[test]
fn threads_change_no_number() {
    let runtime = Runtime::new().unwrap();
    let input: Vec<f32> = (0..192 * 192).map(|at| (at % 251) as f32 - 125.0).collect();
    let input = Tensor::from_slice(&input, [192, 192]).unwrap();
    let run = |options| {
        let model = runtime.compile(&dense(3, 192), options).unwrap();
        numbers(model.infer([input.clone()]).unwrap().get("y").unwrap())
    };
    let alone = run(Options::inline());
    assert!(alone.iter().any(|value| *value > 100.0), "something was computed");
    for (name, options) in arrangements() {
        assert!(run(options) == alone, "{name}");
    }
    assert!(run(Options::latency().threads(5)) == alone, "more threads than cores");
}

/// A request that takes some tens of milliseconds at least.
fn long(runtime: &Runtime, options: Options) -> Request {
    runtime.compile(&dense(48, 256), options).unwrap().request().unwrap()
}

#[test]
fn a_run_is_stopped_in_the_middle_and_the_next_one_is_right() {
    within_a_minute(|| {
        let runtime = Runtime::new().unwrap();
        for options in [Options::latency().threads(1), Options::latency().threads(2)] {
            let mut request = long(&runtime, options);
            request.input_mut(0).unwrap().as_slice_mut::<f32>().unwrap().fill(1.0);
            let observer = request.observer();
            // The machine may be busy with something else; that a stop can be quick is shown by the quickest.
            let mut quickest = Duration::MAX;
            for _ in 0..10 {
                let run = request.start().unwrap();
                while observer.status() != (Status::Running { stage: 0 }) {
                    thread::yield_now();
                }
                let asked = Instant::now();
                assert!(run.cancel());
                assert_eq!(run.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
                quickest = quickest.min(asked.elapsed());
            }
            assert!(quickest < Duration::from_millis(10), "{quickest:?}");
            let outputs = request.start().unwrap().wait().unwrap();
            assert!(numbers(outputs.get(0).unwrap()).iter().all(|value| *value == 1.0));
        }
    });
}

#[test]
fn an_infer_is_stopped_in_the_middle_by_its_deadline() {
    within_a_minute(|| {
        let runtime = Runtime::new().unwrap();
        for options in [Options::latency().threads(1), Options::latency().threads(2)] {
            let mut request = long(&runtime, options);
            let error = request.infer_deadline(Instant::now() + Duration::from_millis(2)).unwrap_err();
            assert_eq!(error.kind(), InferErrorKind::Timeout);
            request.infer_deadline(Instant::now() + Duration::from_secs(3600)).unwrap();
        }
    });
}

#[test]
fn the_instruction_set_can_be_lowered_from_outside() {
    const PROBE: &str = "INFERRY_BEHAVIOUR_PROBE";
    if std::env::var_os(PROBE).is_some() {
        match Runtime::new() {
            Ok(runtime) => println!("runtime {runtime:?}"),
            Err(error) => println!("error {error}"),
        }
        return;
    }
    let probe = |isa: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_instruction_set_can_be_lowered_from_outside", "--nocapture"]);
        let output = command.env(PROBE, "1").env("INFERRY_ISA", isa).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(probe("portable").contains("Portable"), "{}", probe("portable"));
    let error = probe("sse9");
    assert!(error.contains("error") && error.contains("\"sse9\"") && error.contains("avx2"), "{error}");
}
