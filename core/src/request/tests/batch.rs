//! Inputs that are given in pieces.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ready;
use crate::pipeline::Pipeline;
use crate::request::testing::{Many, Script, by_hand};
use crate::request::{BindError, InferErrorKind, Request};
use crate::tensor::{ElementType, Tensor};

fn item(value: f32) -> Tensor {
    Tensor::from_slice(&[value], [1]).unwrap()
}

/// The two values of a tensor as two tensors in its memory.
fn halves(whole: &Tensor) -> [Tensor; 2] {
    [0..1, 1..2].map(|range| whole.region(core::slice::from_ref(&range)).unwrap())
}

#[test]
fn items_are_gathered_in_every_run_so_later_writes_count() {
    let (mut request, executor) = by_hand(&Script::new(2));
    let mut items = [item(1.0), item(2.0)];
    request.set_inputs("x", items.clone()).unwrap();
    for round in 0..3 {
        let run = request.start().unwrap();
        assert!(items[0].as_slice_mut::<f32>().is_err(), "held until they are gathered");
        executor.step();
        items[0].as_slice_mut::<f32>().expect("the first stage has them gathered")[0] = 10.0 * round as f32;
        executor.drain();
        let first = if round == 0 { 1.0 } else { 10.0 * (round - 1) as f32 };
        assert_eq!(ready(run).unwrap().get("y").unwrap().to_vec::<f32>().unwrap(), [first + 1.0, 3.0]);
    }
}

#[test]
fn parts_of_one_tensor_and_parts_with_gaps_are_items() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let whole = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2]).unwrap();
    // A column: its elements lie two apart.
    let column = whole.region(&[0..2, 1..2]).unwrap();
    let mut flat = Tensor::from_slice(&[0.0f32; 2], [2]).unwrap();
    let items: Vec<Tensor> =
        [0, 1].map(|row| Tensor::from_slice(&[column.view::<f32>().unwrap()[[row, 0]]], [1]).unwrap()).into();
    request.set_inputs(0, items).unwrap();
    let run = request.start().unwrap();
    executor.drain();
    assert_eq!(ready(run).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [3.0, 5.0]);
    request.set_inputs(0, halves(&flat)).unwrap();
    flat.as_slice_mut::<f32>().unwrap().copy_from_slice(&[5.0, 6.0]);
    let run = request.start().unwrap();
    executor.drain();
    assert_eq!(ready(run).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [6.0, 7.0]);
}

#[test]
fn an_input_of_items_has_no_tensor_until_one_is_set() {
    let (mut request, executor) = by_hand(&Script::new(1));
    request.set_inputs("x", [item(1.0), item(2.0)]).unwrap();
    let error = request.input("x").unwrap_err();
    assert_eq!(alloc::format!("{error}"), "input #0 \"x\" is bound to the items of a batch, not to a tensor");
    assert!(matches!(request.input_mut("x"), Err(BindError::Batched { .. })));
    request.set_input("x", Tensor::from_slice(&[7.0f32, 8.0], [2]).unwrap()).unwrap();
    assert_eq!(request.input("x").unwrap().to_vec::<f32>().unwrap(), [7.0, 8.0]);
    let run = request.start().unwrap();
    executor.drain();
    assert_eq!(ready(run).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), [8.0, 9.0]);
}

#[test]
fn what_is_no_batch_of_the_port_is_refused_and_the_binding_stays() {
    let mut request = Request::new(Arc::new(Many), Arc::new(Pipeline::inline(&Many))).unwrap();
    let text = |error: BindError| {
        let source = core::error::Error::source(&error)
            .map_or_else(Default::default, |source| alloc::format!(": {source}"));
        alloc::format!("{error}{source}")
    };
    let cases: [(Vec<Tensor>, &str); 6] = [
        (Vec::new(), "input #0 \"a\" takes a batch of 2 items, not of 0"),
        ((0..3).map(|_| item(0.0)).collect(), "input #0 \"a\" takes a batch of 2 items, not of 3"),
        (Vec::from([item(0.0)]), "input #0 \"a\" takes a batch of 2 items, not of 1"),
        (
            Vec::from([item(0.0), Tensor::zeros(ElementType::I32, [1])]),
            "item 1 of the batch does not fit: input #0 \"a\" takes f32, not i32",
        ),
        (
            Vec::from([Tensor::zeros(ElementType::F32, [2]), item(0.0)]),
            "item 0 of the batch does not fit: input #0 \"a\" takes the shape [1], not [2]",
        ),
        (
            Vec::from([item(0.0), Tensor::zeros(ElementType::F32, [1, 1])]),
            "item 1 of the batch does not fit: input #0 \"a\" takes the shape [1], not [1, 1]",
        ),
    ];
    for (items, expected) in cases {
        let error = request.set_inputs("a", items).unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::InvalidInput);
        assert_eq!(text(error), expected);
    }
    assert!(matches!(request.set_inputs("p", [item(0.0), item(0.0)]), Err(BindError::Port(_))), "an output");
    assert_eq!(request.set_inputs(3, [item(0.0)]).unwrap_err().kind(), InferErrorKind::OutOfRange);
    assert!(request.input("a").is_ok());
}

#[test]
fn items_that_somebody_writes_and_items_that_lie_in_an_output_are_refused_at_the_start() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let mut first = item(1.0);
    request.set_inputs("x", [first.clone(), item(2.0)]).unwrap();
    let view = first.as_slice_mut::<f32>().unwrap();
    assert_eq!(request.start().unwrap_err().kind(), InferErrorKind::InUse);
    drop(view);
    let output = request.output("y").unwrap();
    let items = halves(output);
    request.set_inputs("x", items).unwrap();
    let error = request.start().unwrap_err();
    assert_eq!(alloc::format!("{error}"), "output #0 \"y\" shares its storage with input #0 \"x\"");
    request.set_inputs("x", [first, item(2.0)]).unwrap();
    let run = request.start().unwrap();
    assert!(run.cancel());
    assert!(ready(run).is_err());
    executor.drain();
    let run = request.start().expect("a run that was cancelled before it gathered holds nothing");
    executor.drain();
    ready(run).unwrap();
}
