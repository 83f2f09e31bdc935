//! Loading step by step: the same model as in one call, stopped anywhere without a trace, with progress that only grows.
//!
//! The steps are as short as they can be: one look each. What a step costs in time is measured by the benchmark `load_steps`
//! of the CPU device, not here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use inferry::{Runtime, Tensor};
use inferry_behaviour::data;
use inferry_core::steps::{Phase, Progress};
use inferry_core::{CompiledModel, Device, ElementType, Serial, Slice, Step, Steps, Stop, Turn};
use inferry_cpu::{Cpu, Isa, Options};
use inferry_engine::graph::{Dim, ShapeFact};
use inferry_engine::onnx::{self, ImportError};
use inferry_engine::{Model, passes};

/// Models with all that makes loading long (weights to fold and pack, half floats, long lists, control flow), and the
/// extents that their open ones get, in order.
const MODELS: &[(&str, &[usize])] = &[
    ("derived_mtcnn_onet/onet.fp16.onnx", &[1]),
    ("derived_mtcnn_onet/onet.int8_qdq.onnx", &[1]),
    ("ppocrv4/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[1, 48, 192]),
    ("silero_vad/silero_vad.onnx", &[1, 576, 1]),
    ("tinyocr_v6/PP-OCRv6_rec_tiny.onnx", &[1, 48, 96]),
];

fn one_look() -> Turn<'static> {
    Turn::new(Stop::never(), Slice::Looks(1), &Serial)
}

/// Steps to the end; the result and what was told after each step.
fn step_through<T>(mut steps: Steps<'_, T>) -> (T, Vec<Progress>) {
    let mut told = vec![steps.progress()];
    loop {
        let step = steps.step(&one_look());
        told.push(steps.progress());
        match step {
            Step::Pending => {}
            Step::Done(result) => return (result, told),
            Step::Stopped => panic!("nobody stopped it"),
        }
    }
}

fn bytes(name: &str) -> Option<Arc<[u8]>> {
    Some(std::fs::read(data::find(name)?).unwrap().into())
}

fn read(bytes: Arc<[u8]>) -> Steps<'static, Result<Model, ImportError>> {
    onnx::import_steps(bytes, onnx::Options::default())
}

/// Gives the open extents of the inputs these, in order.
fn closed(mut model: Model, extents: &[usize]) -> Model {
    let mut given = extents.iter().copied().cycle();
    for id in model.graph.inputs.clone() {
        let Some(fact) = &mut model.graph.value_mut(id).fact else { continue };
        let Some(dims) = fact.shape.dims() else { continue };
        let dims = dims.iter().map(|dim| Dim::Fixed(dim.fixed().or_else(|| given.next()).expect("some")));
        fact.shape = ShapeFact(Some(dims.collect()));
    }
    model
}

fn outputs(model: Arc<dyn CompiledModel>) -> Vec<Vec<u8>> {
    let pipeline = inferry_core::Pipeline::inline(&*model);
    let model = Runtime::new().unwrap().on_pipeline(model, pipeline);
    let mut request = model.request().unwrap();
    let inputs: Vec<Tensor> = model
        .inputs()
        .iter()
        .map(|port| match port.element {
            // The rate of the sound, on which the branch hangs that is taken.
            ElementType::I64 => Tensor::scalar(16_000i64),
            element => Tensor::zeros(element, port.shape.fixed().expect("all extents are fixed")),
        })
        .collect();
    for (port, tensor) in inputs.into_iter().enumerate() {
        request.set_input(port, tensor).unwrap();
    }
    request.infer().unwrap();
    let bytes = |port| {
        let tensor = request.output(port).unwrap();
        let lease = tensor.lease_read().unwrap();
        lease.bytes()[tensor.byte_range()].to_vec()
    };
    (0..model.outputs().len()).map(bytes).collect()
}

#[test]
fn steps_give_the_model_of_one_call() {
    let cpu = Cpu::new(Isa::portable());
    for (name, extents) in MODELS {
        let Some(bytes) = bytes(name) else { continue };
        let whole = closed(Model::from_onnx(&bytes).unwrap(), extents);
        let (stepped, _) = step_through(read(bytes));
        let stepped = closed(stepped.unwrap(), extents);
        assert_eq!(whole.graph.to_string(), stepped.graph.to_string(), "{name}");

        let mut rewritten = stepped.graph.clone();
        let evaluator = inferry_cpu::Evaluator(Isa::portable());
        let (paced, _) = step_through(Steps::new(|mut pace| {
            let (mut graph, evaluator) = (whole.graph.clone(), &evaluator);
            async move {
                let options = passes::Options { widen_half: true, ..Default::default() };
                passes::run_paced(&mut graph, evaluator, options, &mut pace).await.map(|()| graph)
            }
        }));
        passes::run(&mut rewritten, &evaluator, passes::Options { widen_half: true, ..Default::default() })
            .unwrap();
        assert_eq!(paced.unwrap().to_string(), rewritten.to_string(), "{name}");

        let compiled = cpu.compile(&whole, &Options::default()).unwrap();
        let (in_steps, _) = step_through(cpu.compile_steps(stepped, Options::default()));
        assert!(outputs(compiled) == outputs(in_steps.unwrap()), "{name}: other results");
    }
}

#[test]
fn progress_only_grows_and_ends_at_its_total() {
    let cpu = Cpu::new(Isa::portable());
    for (name, extents) in MODELS {
        let Some(bytes) = bytes(name) else { continue };
        let length = bytes.len();
        let (model, told) = step_through(read(bytes));
        assert_eq!(told[0], Progress::default());
        assert_eq!(
            told.last(),
            Some(&Progress { phase: Phase::Parse, done: length, total: length }),
            "{name}"
        );
        grows(name, &told);
        let (_, told) = step_through(cpu.compile_steps(closed(model.unwrap(), extents), Options::default()));
        let last = told.last().unwrap();
        assert_eq!((last.phase, last.done), (Phase::Plan, last.total), "{name}");
        grows(name, &told[1..]);
    }
}

fn grows(name: &str, told: &[Progress]) {
    for pair in told.windows(2) {
        let same = pair[0].phase == pair[1].phase && pair[0].total > 0;
        assert!(pair[0].phase <= pair[1].phase, "{name}: {pair:?}");
        assert!(
            !same || (pair[0].done <= pair[1].done && pair[0].total == pair[1].total),
            "{name}: {pair:?}"
        );
        assert!(pair[1].done <= pair[1].total, "{name}: {pair:?}");
    }
    let seen = told.iter().map(|progress| (progress.phase, progress.done));
    let seen: std::collections::BTreeSet<_> = seen.collect();
    assert!(seen.len() > 4, "{name}: {} kinds of progress", seen.len());
}

#[test]
fn a_load_can_be_stopped_after_any_step_and_leaves_nothing() {
    let cpu = Cpu::new(Isa::portable());
    for (name, extents) in MODELS {
        let Some(bytes) = bytes(name) else { continue };
        let model = closed(Model::from_onnx(&bytes).unwrap(), extents);
        // Both parts as one piece of work that holds the bytes to its end.
        let load = || {
            let (bytes, model) = (bytes.clone(), model.clone());
            Steps::new(move |mut pace| async move {
                onnx::import_paced(&bytes, &onnx::Options::default(), &mut pace).await.unwrap();
                let compiled = cpu.compile_paced(model, Options::default(), &mut pace).await;
                drop(bytes);
                compiled.unwrap()
            })
        };
        let steps = step_through(load()).1.len() - 1;
        assert!(steps > 10, "{name}: {steps} steps");
        // All of them would take minutes; these are spread over all phases.
        for stop_after in (0..steps).step_by((steps / 24).max(1)) {
            let stop = AtomicBool::new(false);
            let mut steps = load();
            for _ in 0..stop_after {
                assert!(matches!(steps.step(&one_look()), Step::Pending), "{name}, step {stop_after}");
            }
            stop.store(true, Ordering::Relaxed);
            let turn = Turn::new(Stop::new(&stop), Slice::Unlimited, &Serial);
            assert!(matches!(steps.step(&turn), Step::Stopped), "{name}, step {stop_after}");
            assert_eq!(Arc::strong_count(&bytes), 1, "{name}, step {stop_after}: the work is gone");
        }
    }
}

#[test]
fn a_damaged_file_fails_with_the_error_of_one_call() {
    let Some(bytes) = bytes("derived_mtcnn_onet/onet.fp16.onnx") else { return };
    let mut failed = 0;
    for cut in (0..bytes.len()).step_by(bytes.len() / 40).chain([1, 5, 17]) {
        let mut damaged = bytes[..cut].to_vec();
        if let Some(byte) = damaged.get_mut(cut / 2) {
            *byte ^= 0x5a;
        }
        let whole = Model::from_onnx(&damaged);
        let (stepped, _) = step_through(read(damaged.into()));
        match (whole, stepped) {
            (Err(whole), Err(stepped)) => assert_eq!(whole.to_string(), stepped.to_string()),
            (whole, stepped) => assert_eq!(whole.is_ok(), stepped.is_ok()),
        }
        failed += 1;
    }
    assert!(failed > 40);
}
