//! Operators that are put together from others, against another runtime's answers: models of many small nodes that have
//! nothing to do with each other, and one that defines functions of its own (`operators/make.py` makes them, and has their
//! licence).

use std::path::Path;

use inferry::npz::Arrays;
use inferry::{ElementType, Options, Runtime, Tensor};

/// Outputs that may lie further from the answers than a last bit, by how their name begins, with the reason.
const LOOSE: &[(&str, f32)] = &[
    // onnxruntime rounds the data of each step to eight bits; we do not.
    ("lstm", 0.03),
    // Rounded halfway by one and not by the other.
    ("dynamic", 1e-4),
];

#[test]
fn operators_of_onnxruntime_give_its_answers() {
    assert!(outputs_agree("microsoft") > 70);
}

#[test]
fn operators_of_the_standard_give_its_answers() {
    assert!(outputs_agree("standard") > 40);
}

#[test]
fn operators_on_features_give_its_answers() {
    assert_eq!(outputs_agree("features"), 9);
}

#[test]
fn functions_of_a_model_are_what_their_nodes_are() {
    assert_eq!(outputs_agree("functions"), 4);
}

/// How many outputs the model has, all of which agree with its fixture.
fn outputs_agree(name: &str) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators");
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    let runtime = Runtime::new().expect("a runtime");
    let model = inferry::read_model(file("onnx")).expect("a model");
    let model = runtime.compile(&model, Options::latency()).expect("compiles");
    let arrays = Arrays::open(file("npz")).expect("arrays");
    let mut request = model.request().expect("a request");
    for (index, port) in model.inputs().iter().enumerate() {
        let array = arrays.get(&format!("input_{index}")).expect("an array for each input");
        request.set_input(index, array.clone()).unwrap_or_else(|error| panic!("{}: {error}", port.name));
    }
    let outputs = request.start().expect("starts").wait().expect("runs");
    let mut wrong = Vec::new();
    for (index, port) in model.outputs().iter().enumerate() {
        let wanted = arrays.get(&format!("output_{index}")).expect("an array for each output");
        if let Err(problem) = compare(outputs.get(index).expect("an output"), wanted, &port.name) {
            wrong.push(format!("{}: {problem}", port.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    model.outputs().len()
}

fn compare(found: &Tensor, wanted: &Tensor, name: &str) -> Result<(), String> {
    if found.element() != wanted.element() || found.shape() != wanted.shape() {
        let text = |tensor: &Tensor| format!("{}{}", tensor.element(), tensor.shape());
        return Err(format!("{} is not {}", text(found), text(wanted)));
    }
    let loose = LOOSE.iter().find(|(prefix, _)| name.starts_with(prefix)).map_or(0.0, |(_, more)| *more);
    let (found, wanted) = (numbers(found), numbers(wanted));
    for (index, (a, b)) in found.iter().zip(&wanted).enumerate() {
        // Not `>`: what is no number agrees with nothing.
        let near = (a - b).abs() <= 2e-6 + loose + 1e-5 * b.abs();
        if !near && a != b {
            return Err(format!("element {index} is {a}, not {b}"));
        }
    }
    Ok(())
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    let wide = |values: Vec<i32>| values.into_iter().map(|value| value as f32).collect();
    match tensor.element() {
        ElementType::F32 => tensor.to_vec::<f32>().expect("f32"),
        ElementType::I32 => wide(tensor.to_vec::<i32>().expect("i32")),
        ElementType::I64 => {
            wide(tensor.to_vec::<i64>().expect("i64").into_iter().map(|value| value as i32).collect())
        }
        ElementType::Bool => {
            wide(tensor.to_vec::<bool>().expect("bool").into_iter().map(i32::from).collect())
        }
        ElementType::U8 => wide(tensor.to_vec::<u8>().expect("u8").into_iter().map(i32::from).collect()),
        ElementType::I8 => wide(tensor.to_vec::<i8>().expect("i8").into_iter().map(i32::from).collect()),
        other => panic!("no answers of {other}"),
    }
}
