//! One network as exporters have written it in ten operator sets: all give the same answers.
//!
//! The models and onnxruntime's answers are made by `operators/sets.py`.

use std::path::{Path, PathBuf};

use half::f16;
use inferry::npz::Arrays;
use inferry::{Options, Runtime};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators").join(name)
}

#[test]
fn every_operator_set_from_6_to_22_gives_the_same_answers() {
    let runtime = Runtime::new().unwrap();
    let arrays = Arrays::open(file("sets.npz")).unwrap();
    for set in [6, 7, 9, 11, 13, 15, 17, 19, 21, 22] {
        let model = inferry::read_model(file(&format!("set{set}.onnx")))
            .unwrap_or_else(|error| panic!("{set}: {error}"));
        assert_eq!(model.opsets, [("ai.onnx".to_owned(), set)]);
        let model =
            runtime.compile(&model, Options::latency()).unwrap_or_else(|error| panic!("{set}: {error}"));
        assert_eq!(model.inputs().len(), 1, "constants are no inputs, in operator set {set} neither");
        let mut request = model.request().unwrap();
        request.set_input(0, arrays.get("input_0").unwrap().clone()).unwrap();
        let outputs = request.start().unwrap().wait().unwrap_or_else(|error| panic!("{set}: {error}"));
        let near = |found: f32, wanted: f32, far: f32| (found - wanted).abs() <= far;
        for (index, far) in [(0, 1e-5), (1, 1e-5), (3, 2e-4)] {
            let (found, wanted) =
                (outputs.get(index).unwrap(), arrays.get(&format!("output_{index}")).unwrap());
            assert_eq!(
                (found.element(), found.shape()),
                (wanted.element(), wanted.shape()),
                "{set}: output {index}"
            );
            let numbers = |tensor: &inferry::Tensor| match index {
                3 => tensor.to_vec::<f16>().unwrap().into_iter().map(f16::to_f32).collect(),
                _ => tensor.to_vec::<f32>().unwrap(),
            };
            let (found, wanted) = (numbers(found), numbers(wanted));
            let agree = found.iter().zip(&wanted).all(|(found, wanted)| near(*found, *wanted, far));
            assert!(agree, "{set}: output {index} is {found:?}, not {wanted:?}");
        }
        let places = |tensor: &inferry::Tensor| tensor.to_vec::<i64>().unwrap();
        assert_eq!(places(outputs.get(2).unwrap()), places(arrays.get("output_2").unwrap()), "{set}");
    }
}
