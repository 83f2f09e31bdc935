//! Models whose shapes are known only in the run: each is compiled once and runs with inputs of several sizes, forth and back.
//!
//! The models and onnxruntime's answers are made by `operators/shapes.py`.

use std::path::{Path, PathBuf};

use inferry::npz::Arrays;
use inferry::{CompiledModel, ElementType, InferErrorKind, Options, Runtime, Tensor};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators").join(name)
}

fn compiled(name: &str) -> CompiledModel {
    let model = inferry::read_model(file(&format!("{name}.onnx"))).unwrap();
    Runtime::new().unwrap().compile(&model, Options::latency()).unwrap()
}

/// The declared shapes of all ports.
fn declared(model: &CompiledModel) -> Vec<String> {
    model.inputs().iter().chain(model.outputs()).map(|port| port.shape.to_string()).collect()
}

/// Runs the model with these runs of its fixture and compares.
fn check(name: &str, model: &CompiledModel, runs: &[usize]) {
    let arrays = Arrays::open(file("shapes.npz")).unwrap();
    let mut request = model.request().unwrap();
    for run in runs {
        for index in 0..model.inputs().len() {
            let array = arrays.get(&format!("{name}.{run}.input_{index}")).unwrap();
            request.set_input(index, array.clone()).unwrap();
        }
        let outputs =
            request.start().unwrap().wait().unwrap_or_else(|error| panic!("{name}, run {run}: {error}"));
        for index in 0..model.outputs().len() {
            let wanted = arrays.get(&format!("{name}.{run}.output_{index}")).unwrap();
            let found = outputs.get(index).unwrap();
            assert!(agree(found, wanted), "{name}, run {run}, output {index}: {found:?} is not {wanted:?}");
        }
    }
}

fn agree(found: &Tensor, wanted: &Tensor) -> bool {
    if (found.element(), found.shape()) != (wanted.element(), wanted.shape()) {
        return false;
    }
    match found.element() {
        ElementType::F32 => {
            let (found, wanted) = (found.to_vec::<f32>().unwrap(), wanted.to_vec::<f32>().unwrap());
            found
                .iter()
                .zip(&wanted)
                .all(|(found, wanted)| (found - wanted).abs() <= 1e-5 + 1e-5 * wanted.abs())
        }
        ElementType::I64 => found.to_vec::<i64>().unwrap() == wanted.to_vec::<i64>().unwrap(),
        ElementType::Bool => found.to_vec::<bool>().unwrap() == wanted.to_vec::<bool>().unwrap(),
        other => panic!("no answers of {other}"),
    }
}

#[test]
fn extents_with_names_and_arithmetic_on_names_are_those_of_the_run() {
    let model = compiled("named");
    assert_eq!(declared(&model)[..2], ["[?, ?]", "[?, ?]"]);
    check("named", &model, &[0, 1, 2, 3, 1, 0]);
}

#[test]
fn inputs_that_do_not_fit_each_other_are_an_error_that_names_the_node() {
    let model = compiled("named");
    let ones = |shape: &[usize]| Tensor::zeros(ElementType::F32, inferry::Shape::new(shape).unwrap());
    let mut request = model.request().unwrap();
    // Rows of 4 and of 3 cannot lie below each other.
    for (index, shape) in [&[2, 4][..], &[5, 3], &[4, 8], &[1, 3, 4], &[1, 3, 2]].into_iter().enumerate() {
        request.set_input(index, ones(shape)).unwrap();
    }
    let error = request.start().unwrap().wait().unwrap_err();
    assert_ne!(error.kind(), InferErrorKind::Panicked);
    assert!(error.full_text().contains("joined"), "{}", error.full_text());
}

#[test]
fn shapes_that_are_computed_from_shapes_are_computed_in_the_run() {
    check("counted", &compiled("counted"), &[0, 1, 2, 3, 4, 1, 1, 0]);
}

#[test]
fn outputs_are_as_large_as_the_data_say() {
    let model = compiled("sized");
    assert_eq!(declared(&model)[3], "[2, ?]");
    check("sized", &model, &[0, 1, 2, 3, 2, 1, 0]);
}
