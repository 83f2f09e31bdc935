//! Where the time of a run goes: by node, as a whole, and as a trace.
#![forbid(unsafe_code)]

use std::sync::Arc;

use inferry::trace::Recorder;
use inferry::{NodeStatus, Options, Runtime, Tensor};
use inferry_behaviour::data;
use inferry_behaviour::native::{compile_for, within_a_minute};
use inferry_template::{Chip, Form, Graph, Op};
use serde_json::Value;

const MODEL: &str = "mtcnn_cascade/pnet.onnx";

#[test]
fn nodes_are_measured_when_they_are_asked_to_be() {
    let Some(path) = data::find(MODEL) else { return };
    let runtime = Runtime::new().unwrap();
    for options in [Options::latency().threads(1), Options::latency().threads(2), Options::inline()] {
        let model = runtime.compile_file(&path, options.profiling(true)).unwrap();
        let mut request = model.request().unwrap();
        request.set_input(0, Tensor::zeros(inferry::ElementType::F32, [1, 40, 40, 3])).unwrap();
        assert!(request.profile().unwrap().iter().all(|node| node.status != NodeStatus::Executed));
        assert_eq!(request.latency().unwrap(), None);
        for asynchronous in [false, true] {
            if asynchronous {
                request.start().unwrap().wait().unwrap();
            } else {
                request.infer().unwrap();
            }
            let nodes = request.profile().unwrap();
            let convolutions =
                nodes.iter().filter(|node| node.status == NodeStatus::Executed && node.nanos > 0);
            assert!(convolutions.count() >= 4, "{nodes:?}");
            let sum: u64 = nodes.iter().map(|node| node.nanos).sum();
            let whole = request.latency().unwrap().unwrap().as_nanos();
            assert!(u128::from(sum) <= whole, "one thread runs the stage: {sum} of {whole}");
        }
    }
}

#[test]
fn a_run_under_way_has_no_profile_yet() {
    within_a_minute(|| {
        let gate = inferry_template::Gate::closed();
        let runtime = Runtime::new().unwrap();
        let graph = Graph::new([Op::Block(gate.clone())]);
        let options = Options::latency().threads(1);
        let model = compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("none"));
        let mut request = model.request().unwrap();
        request.start().unwrap().detach();
        assert!(request.profile().is_err() && request.latency().is_err());
        gate.open();
        request.wait().unwrap();
        assert!(request.profile().unwrap().is_empty() && request.latency().unwrap().is_some());
    });
}

/// Two requests over three stages, and the trace of it.
fn traced() -> Value {
    let recorder = Arc::new(Recorder::new());
    let runtime = Runtime::new().unwrap().traced(recorder.clone());
    let chip = Chip::working("chip");
    let graph = Graph::new([Op::Add(1.0)]).before([Op::Add(1.0)]).after([Op::Yield]);
    let model = compile_for(&runtime, Options::throughput().threads(2), &graph, Form::Blocking, &chip);
    let mut requests = [model.request().unwrap(), model.request().unwrap()];
    for request in &mut requests {
        request.set_callback(|_| Ok(inferry::Next::Rest)).unwrap();
        request.start().unwrap().detach();
    }
    for request in &mut requests {
        request.wait_quiet().unwrap();
    }
    serde_json::from_str(&recorder.chrome_json()).unwrap()
}

#[test]
fn a_trace_has_every_stage_and_callback_on_its_thread() {
    within_a_minute(|| {
        let trace = traced();
        let events = trace.as_array().unwrap();
        let named = |name: &str, phase: &str| {
            events.iter().filter(|event| event["name"] == name && event["ph"] == phase).collect::<Vec<_>>()
        };
        for stage in ["preprocess+start", "wait", "postprocess", "callback"] {
            let spans = named(stage, "X");
            assert!(spans.len() >= 2, "{stage}: {trace:#}");
            for request in [1, 2] {
                assert!(spans.iter().any(|span| span["args"]["request"] == request), "{stage}: {trace:#}");
            }
        }
        let executors: Vec<&str> =
            named("wait", "X").iter().map(|span| span["args"]["executor"].as_str().unwrap()).collect();
        assert!(executors.iter().all(|executor| *executor == "inferry-wait-chip"), "{executors:?}");
        for request in [1, 2] {
            let run = format!("request {request}, run 1");
            let (begin, end) = (named(&run, "b"), named(&run, "e"));
            assert_eq!((begin.len(), end.len()), (1, 1), "{trace:#}");
            assert!(begin[0]["ts"].as_f64() <= end[0]["ts"].as_f64());
        }
        assert_eq!(named("waiting", "b").len(), named("waiting", "e").len(), "{trace:#}");
        assert!(events.iter().any(|event| event["name"] == "thread_name"));
    });
}
