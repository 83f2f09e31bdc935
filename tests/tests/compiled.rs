//! Compiled ONNX models: where they come from, what their ports are called, and how long they live.
#![forbid(unsafe_code)]

use inferry::{InferErrorKind, Options, Runtime, Tensor, read_model};
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
