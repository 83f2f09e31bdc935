//! Compiled ONNX models: where they come from, what their ports are called, and how long they live.
#![forbid(unsafe_code)]

use inferry::{ElementType, InferErrorKind, NodeStatus, Options, Runtime, Tensor, read_model};
use inferry_behaviour::data;
use inferry_behaviour::model::add;

const CASE: &str = "mtcnn_cascade/pnet.onnx";

fn inputs() -> [Tensor; 2] {
    [1.0_f32, 10.0].map(|value| Tensor::from_slice(&[value; 4], [4]).unwrap())
}

#[test]
fn a_model_is_compiled_from_a_file_from_bytes_and_twice() {
    let Some(path) = data::find(CASE) else { return };
    let runtime = Runtime::new().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let model = read_model(&path).unwrap();
    let options = Options::inline();
    let pixels = Tensor::from_slice(&vec![0.5_f32; 24 * 24 * 3], [1, 24, 24, 3]).unwrap();
    let compiled = [
        runtime.compile_file(&path, options).unwrap(),
        runtime.compile_bytes(&bytes, options).unwrap(),
        runtime.compile(&model, options).unwrap(),
        // The source is as it was: it compiles again.
        runtime.compile(&model, options).unwrap(),
    ];
    let results = compiled.map(|model| {
        let outputs = model.infer([pixels.clone()]).unwrap().into_vec();
        outputs.iter().map(|output| output.to_vec::<f32>().unwrap()).collect::<Vec<_>>()
    });
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn a_nodes_name_is_no_name_of_a_port() {
    let runtime = Runtime::new().unwrap();
    let model = runtime.compile(&add(4), Options::inline()).unwrap();
    let request = model.request().unwrap();
    assert!(request.output("sum").is_ok());
    assert_eq!(request.output("sum/node").unwrap_err().kind(), InferErrorKind::NotFound);
    assert_eq!(request.input("sum").unwrap_err().kind(), InferErrorKind::NotFound);
}

#[test]
fn names_and_numbers_mean_the_same_ports() {
    let runtime = Runtime::new().unwrap();
    let source = add(4);
    let model = runtime.compile(&source, Options::inline()).unwrap();
    let request = model.request().unwrap();
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        assert_eq!(&*model.inputs()[index].name, name);
        assert!(request.input(index).unwrap().shares_storage(request.input(name).unwrap()));
        assert_eq!(model.inputs()[index].shape.to_string(), "[4]");
    }
    assert_eq!((model.outputs().len(), &*model.outputs()[0].name), (1, "sum"));
    assert!(request.output(0).unwrap().shares_storage(request.output("sum").unwrap()));
}

#[test]
fn a_model_outlives_its_runtime() {
    let model = {
        let runtime = Runtime::new().unwrap();
        let source = add(4);
        runtime.compile(&source, Options::latency().threads(1)).unwrap()
    };
    let mut request = model.request().unwrap();
    for (index, input) in inputs().into_iter().enumerate() {
        request.set_input(index, input).unwrap();
    }
    assert_eq!(request.start().unwrap().wait().unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [11.0; 4]);
    assert_eq!(model.infer(inputs()).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [11.0; 4]);
}

#[test]
fn a_new_request_and_a_run_of_the_model_give_the_same() {
    let runtime = Runtime::new().unwrap();
    for options in [Options::inline(), Options::latency().threads(1)] {
        let model = runtime.compile(&add(4), options).unwrap();
        let mut request = model.request().unwrap();
        for (index, input) in inputs().into_iter().enumerate() {
            request.set_input(index, input).unwrap();
        }
        let own = request.infer().unwrap().get("sum").unwrap().to_vec::<f32>().unwrap();
        assert_eq!(model.infer(inputs()).unwrap().get("sum").unwrap().to_vec::<f32>().unwrap(), own);
        assert_eq!(model.run(inputs()).wait().unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), own);
    }
}

#[test]
fn the_nodes_of_a_model_are_measured_by_name() {
    let runtime = Runtime::new().unwrap();
    let model = runtime.compile(&add(4), Options::inline().profiling(true)).unwrap();
    let mut request = model.request().unwrap();
    request.infer().unwrap();
    let nodes = request.profile().unwrap();
    let [node] = &nodes[..] else { panic!("one operation: {nodes:?}") };
    assert_eq!((&*node.name, node.status), ("sum/node", NodeStatus::Executed));
}

#[test]
fn a_softmax_is_measured_and_so_is_its_run() {
    let Some(path) = data::find(CASE) else { return };
    let runtime = Runtime::new().unwrap();
    let model = runtime.compile_file(path, Options::inline().profiling(true)).unwrap();
    let mut request = model.request().unwrap();
    request.set_input(0, Tensor::zeros(ElementType::F32, [1, 24, 24, 3])).unwrap();
    request.infer().unwrap();
    let nodes = request.profile().unwrap();
    let softmax = nodes.iter().find(|node| node.operator.to_lowercase().contains("softmax"));
    let softmax = softmax.unwrap_or_else(|| panic!("{nodes:?}"));
    assert!(softmax.status == NodeStatus::Executed && softmax.nanos > 0 && softmax.turns > 0, "{softmax:?}");
    assert!(request.latency().unwrap().is_some_and(|latency| !latency.is_zero()));
}

#[test]
fn what_was_not_asked_to_measure_has_an_empty_list() {
    let runtime = Runtime::new().unwrap();
    let mut request = runtime.compile(&add(4), Options::inline()).unwrap().request().unwrap();
    request.infer().unwrap();
    assert!(request.profile().unwrap().is_empty());
}
