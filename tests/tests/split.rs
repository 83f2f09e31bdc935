//! Models cut over two devices: the CPU and the template's chip, which computes a few operators in memory of its own.
//!
//! Where the order of events is what counts, the chip is stepped by hand or held at a gate, and nothing waits for a time.
#![forbid(unsafe_code)]

use std::sync::{Arc, mpsc};

use inferry::trace::Recorder;
use inferry::{
    CompileError, CompiledModel, DeviceSettings, Devices, ElementType, InferErrorKind, ModelDevice,
    NodeStatus, Options, Runtime, Shape, Split, SplitError, Tensor, Trace, Variable, read_model,
};
use inferry_behaviour::data;
use inferry_behaviour::model::{accumulate, dense};
use inferry_behaviour::native::{arrangements, within_a_minute};
use inferry_behaviour::random::Random;
use inferry_core::request::BoxError;
use inferry_core::trace::{Happening, StageEnd, TraceEvent};
use inferry_core::{CompiledModel as Compiled, Pipeline};
use inferry_engine::Model;
use inferry_engine::graph::{Dim, Fact, Graph, Node, ShapeFact, Symbol, ValueId};
use inferry_engine::op::{Binary, Identity, MatMul, Op as Operator, Unary};
use inferry_template::{Accelerator, Chip, Gate, Op};

fn noise(shape: &Shape, seed: u64) -> Tensor {
    let random = Random::new(seed);
    let values: Vec<f32> = (0..shape.count()).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// The outputs of a run, as f32.
fn outputs(model: &CompiledModel, inputs: &[Tensor]) -> Vec<Vec<f32>> {
    let outputs = model.infer(inputs.iter().cloned()).unwrap().into_vec();
    outputs.iter().map(|output| output.to_vec::<f32>().unwrap()).collect()
}

fn assert_close(got: &[Vec<f32>], wanted: &[Vec<f32>], what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (got, wanted) in got.iter().zip(wanted) {
        assert_eq!(got.len(), wanted.len(), "{what}");
        let most = wanted.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((got - wanted).abs() <= 1e-4 * most, "{what}: {got} instead of {wanted}");
        }
    }
}

fn node(graph: &mut Graph, name: &str, op: impl Operator, inputs: &[ValueId]) -> ValueId {
    let id = graph.add_value(name, None);
    let inputs = inputs.iter().map(|id| Some(*id)).collect();
    graph.nodes.push(Node { name: name.into(), op: Arc::new(op), inputs, outputs: vec![Some(id)] });
    id
}

/// Layers of a matrix product, which is the CPU's, and a relu, which is the chip's: the CPU, the chip, the CPU, the chip.
fn layers() -> Model {
    dense(2, 8)
}

fn split(runtime: &Runtime, model: &Model, npu: Accelerator, options: Options) -> CompiledModel {
    runtime.compile_split(model, Devices::prefer(npu).then(runtime.cpu()), options).unwrap()
}

#[test]
fn real_models_give_what_they_give_whole() {
    let models: [(&str, &[usize]); 2] = [
        ("mtcnn_cascade/onet.onnx", &[1, 48, 48, 3]),
        ("ppocrv4/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[1, 3, 48, 192]),
    ];
    let runtime = Runtime::new().unwrap();
    for (name, shape) in models {
        let Some(path) = data::find(name) else { continue };
        let model = read_model(path).unwrap();
        let options = Options::latency().threads(1);
        let whole = runtime.compile(&model, options).unwrap();
        let cut = split(&runtime, &model, Accelerator::new(Chip::working("npu")), options);
        let ports = |model: &CompiledModel| {
            let text = |port: &inferry::Port| format!("{} {port}", port.side);
            model.inputs().iter().chain(model.outputs()).map(text).collect::<Vec<_>>()
        };
        assert_eq!(ports(&cut), ports(&whole), "{name}");
        let on = |device: &str| cut.parts().iter().filter(|part| &*part.device == device).count();
        assert!(on("npu") > 0 && on("cpu") > 0, "{name}: {:?}", cut.parts());
        for seed in 0..2 {
            let input = noise(&Shape::new(shape).unwrap(), seed);
            let wanted = outputs(&whole, std::slice::from_ref(&input));
            assert_close(&outputs(&cut, &[input]), &wanted, name);
        }
    }
}

/// Real models cut anywhere: values of all types and unknown shapes go from part to part, and a model that remembers does so.
#[test]
fn real_models_may_be_cut_anywhere() {
    let models: [(&str, &[&[usize]]); 3] = [
        ("derived_mtcnn_onet/onet.int8_qdq.onnx", &[&[2, 48, 48, 3]]),
        ("tinyocr_v6/PP-OCRv6_rec_tiny.onnx", &[&[1, 3, 48, 96]]),
        ("silero_vad/silero_vad_openvino_16k.onnx", &[&[1, 576], &[2, 1, 128]]),
    ];
    let runtime = Runtime::new().unwrap();
    for (name, shapes) in models {
        let Some(path) = data::find(name) else { continue };
        let model = read_model(path).unwrap();
        let options = Options::latency().threads(1);
        let shapes = shapes.iter().map(|shape| Shape::new(shape).unwrap());
        let inputs: Vec<Tensor> = shapes.zip(1..).map(|(shape, seed)| noise(&shape, seed)).collect();
        let wanted = outputs(&runtime.compile(&model, options).unwrap(), &inputs);
        for seed in 0..3 {
            let random = Random::new(seed);
            let devices =
                Devices::prefer(Renamed("left", runtime.cpu())).then(Renamed("right", runtime.cpu()));
            let names = model.graph.nodes.iter().map(|node| node.name.to_string());
            let names = names.filter(|name| !name.is_empty() && random.below(8) == 0);
            let cut = names.fold(Split::over(devices), |split, name| split.node_on(name, "right"));
            let cut = runtime.compile_split(&model, cut, options).unwrap();
            assert!(cut.parts().len() > 2, "{name}: {:?}", cut.parts());
            assert_close(&outputs(&cut, &inputs), &wanted, &format!("{name}, seed {seed}"));
        }
    }
}

#[test]
fn every_arrangement_of_threads_computes_the_same() {
    let runtime = Runtime::new().unwrap();
    let model = layers();
    let inputs = [noise(&Shape::from([8, 8]), 1)];
    let wanted = outputs(&runtime.compile(&model, Options::inline()).unwrap(), &inputs);
    for (name, options) in arrangements() {
        for npu in [Accelerator::new(Chip::working("a")), Accelerator::new(Chip::working("b")).blocking()] {
            let cut = split(&runtime, &model, npu, options);
            assert_eq!(cut.parts().len(), 4, "{:?}", cut.parts());
            assert_close(&outputs(&cut, &inputs), &wanted, name);
            let mut request = cut.request().unwrap();
            request.set_input(0, inputs[0].clone()).unwrap();
            for _ in 0..3 {
                let result =
                    request.start().unwrap().wait().unwrap().get(0).unwrap().to_vec::<f32>().unwrap();
                assert_close(&[result], &wanted, name);
            }
        }
    }
}

/// Graphs and rules by lot: what is computed does not hang on where.
#[test]
fn the_cut_does_not_change_the_result() {
    let runtime = Runtime::new().unwrap();
    let chip = Chip::working("npu");
    for seed in 0..60 {
        let random = Random::new(seed);
        let mut graph = Graph::default();
        let dims = |first: Dim| ShapeFact(Some(vec![first, Dim::Fixed(3)]));
        // Every second graph has rows that only a run knows.
        let rows = if seed % 2 == 0 { Dim::Fixed(2) } else { Dim::Symbol(Symbol("N".into())) };
        let mut values: Vec<ValueId> = ["x", "y"]
            .map(|name| graph.add_value(name, Some(Fact::new(ElementType::F32, dims(rows.clone())))))
            .into();
        graph.inputs = values.clone();
        values.push(graph.add_constant("c", noise(&Shape::from([3]), seed)));
        for index in 0..4 + random.below(12) {
            let pick = || values[random.below(values.len())];
            let name = format!("n{index}");
            values.push(match random.below(6) {
                0 => node(&mut graph, &name, Unary::Relu, &[pick()]),
                1 => node(&mut graph, &name, Unary::Tanh, &[pick()]),
                2 => node(&mut graph, &name, Identity, &[pick()]),
                3 => node(&mut graph, &name, Binary::Sub, &[pick(), pick()]),
                4 => node(&mut graph, &name, Binary::Mul, &[pick(), pick()]),
                _ => node(&mut graph, &name, Binary::Add, &[pick(), pick()]),
            });
        }
        graph.outputs = (0..3).map(|_| values[random.below(values.len())]).collect();
        let names: Vec<String> = graph.nodes.iter().map(|node| node.name.to_string()).collect();
        let model = Model { graph, ..Model::default() };
        let devices = Devices::prefer(Accelerator::new(chip.clone())).then(runtime.cpu());
        let rules = names.iter().filter(|_| random.below(2) == 0);
        let cut = rules.fold(Split::over(devices), |split, name| split.node_on(name, "cpu"));
        let cut = runtime.compile_split(&model, cut, Options::inline()).unwrap();
        let whole = runtime.compile(&model, Options::inline()).unwrap();
        for rows in if seed % 2 == 0 { [2, 2, 2] } else { [4, 1, 6] } {
            let inputs = [1, 2].map(|number| noise(&Shape::from([rows, 3]), seed * 10 + number));
            assert_close(
                &outputs(&cut, &inputs),
                &outputs(&whole, &inputs),
                &format!("seed {seed}, {rows} rows"),
            );
        }
    }
}

/// F145: while the chip has the first request, the CPU computes its part of the second.
#[test]
fn two_requests_overlap() {
    let runtime = Runtime::new().unwrap();
    let chip = Chip::by_hand("npu");
    let model = split(&runtime, &layers(), Accelerator::new(chip.clone()), Options::inline());
    let (mut first, mut second) = (model.request().unwrap(), model.request().unwrap());
    for (seed, request) in [&mut first, &mut second].into_iter().enumerate() {
        request.set_input(0, noise(&Shape::from([8, 8]), seed as u64)).unwrap();
        request.start().unwrap().detach();
        // Computed on this stack up to the chip, which has done nothing yet.
        assert_eq!(chip.waiting(), seed + 1);
    }
    while chip.step() {}
    let whole = runtime.compile(&layers(), Options::inline()).unwrap();
    for (seed, request) in [first, second].into_iter().enumerate() {
        let result = request.output(0).unwrap().to_vec::<f32>().unwrap();
        assert_close(&[result], &outputs(&whole, &[noise(&Shape::from([8, 8]), seed as u64)]), "overlapping");
    }
}

/// What happened to stages, as it happens.
struct Told(mpsc::Sender<(usize, usize)>);

impl Trace for Told {
    fn event(&self, event: &TraceEvent<'_>) {
        if let Happening::StageEnds { stage, how: StageEnd::Ready, .. } = event.what {
            let _ = self.0.send((event.request, stage));
        }
    }
}

/// The same on threads, with a chip that is waited for by blocking: the one stream that computes is free meanwhile.
#[test]
fn two_requests_overlap_on_threads() {
    within_a_minute(|| {
        let (told, events) = mpsc::channel();
        let runtime = Runtime::new().unwrap().traced(Arc::new(Told(told)));
        let gate = Gate::closed();
        let npu = Accelerator::new(Chip::working("npu")).blocking().first([Op::Block(gate.clone())]);
        let model = split(&runtime, &layers(), npu, Options::latency().threads(1));
        let (mut first, mut second) = (model.request().unwrap(), model.request().unwrap());
        let run = first.start().unwrap();
        gate.wait_arrived(1);
        let other = second.start().unwrap();
        let mut ended = Vec::new();
        // Stages 0 and 1 are the CPU's part and the upload, 2 waits for the chip.
        while ended.iter().filter(|(_, stage)| *stage == 1).count() < 2 {
            ended.push(events.recv().unwrap());
        }
        assert!(ended.iter().all(|(_, stage)| *stage < 2), "nobody came past the chip: {ended:?}");
        gate.open();
        run.wait().unwrap();
        other.wait().unwrap();
    });
}

#[test]
fn a_cancel_reaches_the_chip() {
    let runtime = Runtime::new().unwrap();
    let chip = Chip::by_hand("npu");
    let model = split(&runtime, &layers(), Accelerator::new(chip.clone()), Options::inline());
    let mut request = model.request().unwrap();
    // In the second part, and in the last.
    for steps in [0, 1] {
        let run = request.start().unwrap();
        (0..steps).for_each(|_| assert!(chip.step()));
        assert_eq!(chip.waiting(), 1);
        assert!(run.cancel());
        assert_eq!(run.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
        assert_eq!(chip.waiting(), 0, "the chip has forgotten the job");
    }
    drop(request.start().unwrap());
    assert_eq!(chip.waiting(), 0, "so it has when the run is dropped");
    request.start().unwrap().detach();
    drop(request);
    assert_eq!(chip.waiting(), 0, "and when the request is");
}

#[test]
fn an_error_says_which_device_part_stage_and_node() {
    let runtime = Runtime::new().unwrap();
    let npu = Accelerator::new(Chip::working("npu")).first([Op::Fail("the chip is on fire")]);
    let model = split(&runtime, &layers(), npu, Options::latency().threads(1));
    let error = model.infer([noise(&Shape::from([8, 8]), 1)]).unwrap_err();
    assert_eq!((error.kind(), error.stage()), (InferErrorKind::Device, Some((2, "npu: wait"))));
    let text = error.full_text();
    assert!(
        text.contains("part 1 on the device \"npu\" failed in its stage \"wait\": the chip is on fire"),
        "{text}"
    );
    // Rows that differ are found out by the run.
    let mut graph = Graph::default();
    let rows = |name: &str| ShapeFact(Some(vec![Dim::Symbol(Symbol(name.into())), Dim::Fixed(2)]));
    let [x, y] = ["x", "y"].map(|name| graph.add_value(name, Some(Fact::new(ElementType::F32, rows(name)))));
    graph.inputs = vec![x, y];
    let squared = node(&mut graph, "square", Binary::Mul, &[x, x]);
    let sum = node(&mut graph, "sum", Binary::Add, &[squared, y]);
    graph.outputs = vec![sum];
    let model = Model { graph, ..Model::default() };
    for (device, other) in [("npu", "cpu"), ("cpu", "npu")] {
        let devices = Devices::prefer(Accelerator::new(Chip::working("npu"))).then(runtime.cpu());
        let cut = Split::over(devices).node_on("sum", device).node_on("square", other);
        let model = runtime.compile_split(&model, cut, Options::inline()).unwrap();
        assert_eq!(model.parts().len(), 2);
        let inputs = [2, 3].map(|rows| noise(&Shape::from([rows, 2]), 1));
        let error = model.infer(inputs).unwrap_err();
        assert_eq!(
            (error.kind(), error.node_path()),
            (InferErrorKind::Operator, Some("sum")),
            "{}",
            error.full_text()
        );
        assert!(
            error.full_text().contains(&format!("part 1 on the device {device:?}")),
            "{}",
            error.full_text()
        );
    }
}

#[test]
fn a_profile_has_the_nodes_of_all_parts_and_their_devices() {
    let runtime = Runtime::new().unwrap();
    // The CPU under two names: two devices that measure.
    let devices = Devices::prefer(Renamed("left", runtime.cpu())).then(Renamed("right", runtime.cpu()));
    let cut = Split::over(devices).operator_on("Relu", "right");
    let model = runtime.compile_split(&layers(), cut, Options::inline().profiling(true)).unwrap();
    let mut request = model.request().unwrap();
    assert!(request.profile().unwrap().iter().all(|node| node.status == NodeStatus::NotRun));
    request.infer().unwrap();
    let nodes = request.profile().unwrap();
    let executed: Vec<(&str, &str)> = nodes
        .iter()
        .filter(|node| node.status == NodeStatus::Executed)
        .map(|node| (&*node.name, node.device.as_deref().unwrap()))
        .collect();
    let expected =
        [("product0/node", "left"), ("y0/node", "right"), ("product1/node", "left"), ("y/node", "right")];
    assert_eq!(executed, expected);
    let names: Vec<_> = model.parts().iter().map(|part| (&*part.device, part.nodes.len())).collect();
    assert_eq!(names, [("left", 1), ("right", 1), ("left", 1), ("right", 1)]);
    let plain = runtime.compile(&layers(), Options::inline()).unwrap();
    assert!(plain.parts().is_empty() && plain.candidates().is_empty());
}

/// A device under another name; a device of the user's own.
struct Renamed<D>(&'static str, D);

impl<D: ModelDevice> ModelDevice for Renamed<D> {
    fn name(&self) -> &str {
        self.0
    }

    fn supports(&self, graph: &Graph, node: &Node) -> bool {
        self.1.supports(graph, node)
    }

    fn compile(&self, model: &Model, settings: &DeviceSettings) -> Result<Arc<dyn Compiled>, BoxError> {
        ModelDevice::compile(&self.1, model, settings)
    }
}

#[test]
fn a_trace_names_the_devices() {
    let recorder = Arc::new(Recorder::new());
    let runtime = Runtime::new().unwrap().traced(recorder.clone());
    let model = split(&runtime, &layers(), Accelerator::new(Chip::working("npu")), Options::inline());
    model.infer([noise(&Shape::from([8, 8]), 1)]).unwrap();
    let text = recorder.chrome_json();
    assert!(text.contains("npu: upload+start") && text.contains("cpu: infer"), "{text}");
}

#[test]
fn what_one_device_supports_is_not_cut() {
    let runtime = Runtime::new().unwrap();
    let devices = Devices::prefer(runtime.cpu()).then(Accelerator::new(Chip::working("npu")));
    let model = runtime.compile_split(&layers(), devices, Options::inline()).unwrap();
    let [part] = model.parts() else { panic!("{:?}", model.parts()) };
    assert_eq!((&*part.device, part.nodes.len(), model.pipeline().stages().len()), ("cpu", 4, 1));
}

#[test]
fn variables_are_joined_across_parts() {
    let runtime = Runtime::new().unwrap();
    let devices = Devices::prefer(Accelerator::new(Chip::working("npu"))).then(runtime.cpu());
    let cut = Split::over(devices).operator_on("Identity", "cpu");
    let model = runtime.compile_split(&accumulate(2), cut, Options::inline()).unwrap();
    assert_eq!(model.parts().len(), 2);
    let model = model.with_variables([Variable::new("sum", "total")]).unwrap();
    assert_eq!(model.parts().len(), 2, "it is still the model that was cut");
    let mut request = model.request().unwrap();
    request.set_input("x", Tensor::from_slice(&[1.0_f32, 2.0], [2]).unwrap()).unwrap();
    for round in [1.0, 2.0, 3.0] {
        let outputs = request.infer().unwrap();
        assert_eq!(outputs.get("y").unwrap().to_vec::<f32>().unwrap(), [round, 2.0 * round]);
    }
}

#[test]
fn tensors_on_the_chip_are_taken_where_only_the_chip_has_them() {
    let runtime = Runtime::new().unwrap();
    let chip = Chip::working("npu");
    let mut graph = Graph::default();
    let x = graph.add_value("x", Some(Fact::fixed(ElementType::F32, &[2, 2])));
    let weights = graph.add_constant("w", Tensor::from_slice(&[0.0_f32, 1.0, 1.0, 0.0], [2, 2]).unwrap());
    graph.inputs = vec![x];
    let a = node(&mut graph, "a", Unary::Neg, &[x]);
    let b = node(&mut graph, "b", MatMul, &[a, weights]);
    let y = node(&mut graph, "y", Unary::Relu, &[b]);
    graph.outputs = vec![y];
    let model = Model { graph, ..Model::default() };
    let context = || inferry_core::RemoteContext::id(chip.memory()).clone();
    let cut = |npu_has_y: bool| {
        let devices = Devices::prefer(Accelerator::new(chip.clone())).then(runtime.cpu());
        let cut = Split::over(devices);
        let cut = if npu_has_y { cut } else { cut.node_on("y", "cpu") };
        runtime.compile_split(&model, cut, Options::inline()).unwrap()
    };
    let sandwich = cut(true);
    assert_eq!(sandwich.on_device().context(), Some(&context()));
    let memory: &dyn inferry_core::RemoteContext = chip.memory();
    let mut remote = memory.create(ElementType::F32, &Shape::from([2, 2])).unwrap();
    memory.upload(&Tensor::from_slice(&[-1.0_f32, -2.0, 3.0, -4.0], [2, 2]).unwrap(), &mut remote).unwrap();
    let result = sandwich.infer([remote.clone()]).unwrap().get(0).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(result, [2.0, 1.0, 4.0, 0.0]);
    assert_eq!(cut(false).on_device().context(), None, "the CPU cannot look at them");
}

#[test]
fn executors_of_ones_own_take_the_stages_of_all_parts() {
    let runtime = Runtime::new().unwrap();
    let model = split(&runtime, &layers(), Accelerator::new(Chip::working("npu")), Options::inline());
    let device = model.on_device().clone();
    assert_eq!(device.stages().len(), 8);
    let executor = runtime.executors().named("mine").unwrap();
    let mine = runtime.on_pipeline(device.clone(), Pipeline::by_kind(&*device, |_| executor.clone()));
    let inputs = [noise(&Shape::from([8, 8]), 1)];
    let mut request = mine.request().unwrap();
    request.set_input(0, inputs[0].clone()).unwrap();
    let result = request.start().unwrap().wait().unwrap().get(0).unwrap().to_vec::<f32>().unwrap();
    assert_eq!([result], outputs(&model, &inputs)[..]);
}

#[test]
fn many_parts_have_the_stages_that_a_request_can_have() {
    let runtime = Runtime::new().unwrap();
    let model = dense(12, 4);
    let inputs = [noise(&Shape::from([4, 4]), 1)];
    let cut = split(&runtime, &model, Accelerator::new(Chip::working("npu")), Options::inline());
    assert_eq!((cut.parts().len(), cut.pipeline().stages().len()), (24, 32));
    let wanted = outputs(&runtime.compile(&model, Options::inline()).unwrap(), &inputs);
    assert_close(&outputs(&cut, &inputs), &wanted, "24 parts");
    let blocking = Accelerator::new(Chip::working("npu")).blocking();
    let devices = Devices::prefer(blocking).then(runtime.cpu());
    let error = runtime.compile_split(&dense(20, 4), devices, Options::inline()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CompileError::Split(SplitError::Join(_))), "{text}");
    assert!(
        text.contains("the parts have 80 stages and still 41 when neighbours are merged; 32 are possible"),
        "{text}"
    );
}

#[test]
fn a_split_that_cannot_be_says_why() {
    let runtime = Runtime::new().unwrap();
    let npu = || Accelerator::new(Chip::working("npu"));
    let devices = || Devices::prefer(npu()).then(runtime.cpu());
    let error =
        |split: Split| runtime.compile_split(&layers(), split, Options::inline()).unwrap_err().to_string();
    let start = "the model cannot be cut over its devices: ";
    let expect = |text: &str| format!("{start}{text}");
    assert_eq!(
        error(Split::over(devices()).node_on("y/node", "gpu")),
        expect("no device is called \"gpu\"; there are: \"npu\", \"cpu\"")
    );
    assert_eq!(error(Split::over(devices()).node_on("z", "cpu")), expect("the model has no node \"z\""));
    assert_eq!(
        error(Split::over(devices()).operator_on("Conv", "cpu")),
        expect("the model has no operator \"Conv\"")
    );
    assert_eq!(
        error(Split::over(devices()).node_on("product1/node", "npu")),
        expect("MatMul \"product1/node\" is to be computed by the device \"npu\", which does not support it")
    );
    assert_eq!(
        error(Split::over(Devices::prefer(npu()))),
        expect("no device of \"npu\" supports MatMul \"product0/node\", MatMul \"product1/node\"")
    );
    assert_eq!(error(Split::over(Devices::prefer(npu()).then(npu()))), "two devices are called \"npu\"");
    // Of two rules the one for the node, of two for the same the later.
    let split =
        Split::over(devices()).node_on("y/node", "cpu").operator_on("Relu", "npu").node_on("y0/node", "cpu");
    let model = runtime.compile_split(&layers(), split.clone(), Options::inline()).unwrap();
    assert_eq!(model.parts().len(), 1);
    let model = runtime.compile_split(&layers(), split.node_on("y/node", "npu"), Options::inline()).unwrap();
    assert_eq!(model.parts().len(), 2);
    // A device that says yes and then no.
    let liar = Devices::prefer(Liar).then(runtime.cpu());
    let text = runtime.compile_split(&layers(), liar, Options::inline()).unwrap_err().to_string();
    let expected = "part 0 of 1, of 4 nodes from MatMul \"product0/node\" on, cannot be compiled by the device \"liar\": no";
    assert_eq!(text, expect(expected));
}

/// A device that supports everything and compiles nothing.
struct Liar;

impl ModelDevice for Liar {
    fn name(&self) -> &str {
        "liar"
    }

    fn supports(&self, _: &Graph, _: &Node) -> bool {
        true
    }

    fn compile(&self, _: &Model, _: &DeviceSettings) -> Result<Arc<dyn Compiled>, BoxError> {
        Err("no".into())
    }
}
