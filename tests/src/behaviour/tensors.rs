//! What is bound to the ports.

use std::slice;

use inferry_core::request::BindError;
use inferry_core::{ElementType, InferErrorKind, Tensor};
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::world::{World, numbers, values};

/// A port that is not there is an error that says what is.
pub async fn a_port_that_is_not_there_is_named(world: &impl World) {
    let mut request = world.request(&Graph { ports: 2, ..Graph::new([Op::Echo]) });
    let error = request.set_input("image", values(1.0)).unwrap_err();
    for part in ["\"image\"", "\"x0\"", "\"x1\""] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(error.kind(), InferErrorKind::NotFound);
    let error = request.output(2).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains('2')), (InferErrorKind::OutOfRange, true));
}

/// What was bound is what is got, before and after runs.
pub async fn what_was_bound_is_what_is_got(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let (input, output) = (values(3.0), values(0.0));
    request.set_input(0, input.clone()).unwrap();
    request.set_output(0, output.clone()).unwrap();
    for _ in 0..2 {
        assert!(request.input("x0").unwrap().shares_storage(&input));
        assert!(request.output("y0").unwrap().shares_storage(&output));
        request.start().unwrap().await.unwrap();
    }
    assert_eq!(numbers(&output), [4.0, -2.0], "it was written where it was wanted");
    assert_eq!(numbers(&input), [3.0, -3.0], "and the input is as it was");
}

/// Another type or shape is refused when it is bound.
pub async fn a_tensor_that_does_not_fit_is_refused(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Echo]));
    let misfits = [
        Tensor::zeros(ElementType::I32, [2]),
        Tensor::zeros(ElementType::F16, [2]),
        Tensor::zeros(ElementType::F32, [4]),
        Tensor::zeros(ElementType::F32, [2, 1]),
        Tensor::zeros(ElementType::F32, [0]),
    ];
    for misfit in misfits {
        let kind = |error: BindError| error.kind();
        assert_eq!(
            request.set_input(0, misfit.clone()).map_err(kind).unwrap_err(),
            InferErrorKind::InvalidInput
        );
        assert_eq!(request.set_output(0, misfit).map_err(kind).unwrap_err(), InferErrorKind::InvalidInput);
    }
    request.start().unwrap().await.unwrap();
}

/// Read-only memory is fine to read and refused to write.
pub async fn read_only_memory_is_an_input_only(world: &impl World) {
    static VALUES: [f32; 2] = [1.0, 2.0];
    let tensor = || Tensor::from_static(&VALUES, [2]).unwrap();
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    assert!(matches!(request.set_output(0, tensor()), Err(BindError::ReadOnly { .. })));
    request.set_input(0, tensor()).unwrap();
    assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [2.0, 3.0]);
}

/// A region of a larger tensor is read and written in place, and nothing beside it.
pub async fn a_region_is_read_and_written_in_place(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let grid: Vec<f32> = (0..12_u8).map(f32::from).collect();
    let source = Tensor::from_slice(&grid, [12]).unwrap();
    request.set_input(0, source.region(slice::from_ref(&(5..7))).unwrap()).unwrap();
    let target = Tensor::from_slice(&grid, [12]).unwrap();
    request.set_output(0, target.region(slice::from_ref(&(2..4))).unwrap()).unwrap();
    request.start().unwrap().await.unwrap();
    let mut expected = grid.clone();
    expected[2..4].copy_from_slice(&[6.0, 7.0]);
    assert_eq!(numbers(&target), expected);
    assert_eq!(numbers(&source), grid);
}

/// One tensor as input and output of one run is refused when the run starts.
pub async fn a_tensor_cannot_be_input_and_output(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let tensor = values(1.0);
    request.set_input(0, tensor.clone()).unwrap();
    request.set_output(0, tensor.clone()).unwrap();
    let error = request.start().unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::InUse);
    assert!(error.to_string().contains("x0") && error.to_string().contains("y0"), "{error}");
    request.set_output(0, values(0.0)).unwrap();
    request.start().unwrap().await.unwrap();
}

/// A kept handle cannot write the input of a run, or read its output, until the run is over.
pub async fn tensors_of_a_run_are_held(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    let (mut input, output) = (values(3.0), values(0.0));
    request.set_input(0, input.clone()).unwrap();
    request.set_output(0, output.clone()).unwrap();
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(input.as_slice::<f32>().is_ok(), "reading what the run reads is fine");
    assert!(input.as_slice_mut::<f32>().is_err());
    assert!(output.as_slice::<f32>().is_err());
    gate.open();
    run.await.unwrap();
    input.as_slice_mut::<f32>().unwrap().fill(0.0);
    assert_eq!(numbers(&output), [4.0, -2.0]);
}

/// Two requests of a model have tensors of their own.
pub async fn two_requests_share_no_tensors(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("two"));
    let (mut first, mut second) = (model.request(), model.request());
    assert!(!first.input(0).unwrap().shares_storage(second.input(0).unwrap()));
    first.set_input(0, values(1.0)).unwrap();
    second.set_input(0, values(2.0)).unwrap();
    let (first, second) = (first.start().unwrap(), second.start().unwrap());
    assert_eq!(numbers(first.await.unwrap().get(0).unwrap()), [2.0, 0.0]);
    assert_eq!(numbers(second.await.unwrap().get(0).unwrap()), [3.0, -1.0]);
}

/// The output of one request is the input of the next, without a copy.
pub async fn an_output_feeds_the_next_request(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("chain"));
    let (mut first, mut second) = (model.request(), model.request());
    second.set_input(0, first.output(0).unwrap().clone()).unwrap();
    first.set_input(0, values(1.0)).unwrap();
    first.start().unwrap().await.unwrap();
    let outputs = second.start().unwrap().await.unwrap();
    assert_eq!(numbers(outputs.get(0).unwrap()), [3.0, 1.0]);
}

/// Outputs take the shape that the run gives them.
pub async fn a_dynamic_shape_is_the_runs_own(world: &impl World) {
    let mut request = world.request(&Graph { len: None, ..Graph::new([Op::Add(1.0)]) });
    assert_eq!(request.output(0).unwrap().len(), 0);
    for len in [3, 5, 2, 0] {
        request.set_input(0, Tensor::zeros(ElementType::F32, [len])).unwrap();
        let outputs = request.start().unwrap().await.unwrap();
        assert_eq!(numbers(outputs.get(0).unwrap()), vec![1.0; len]);
    }
    let two_dimensions = Tensor::zeros(ElementType::F32, [2, 2]);
    assert_eq!(request.set_input(0, two_dimensions).unwrap_err().kind(), InferErrorKind::InvalidInput);
}
