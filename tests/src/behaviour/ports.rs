//! Which tensor goes to which port: every way to name one, every type, and handles that are kept.

use std::slice;

use inferry_core::port::{self, Side};
use inferry_core::request::BindError;
use inferry_core::tensor::Storage;
use inferry_core::{Dim, ElementType, InferErrorKind, Lend, Tensor};
use inferry_template::{Chip, Form, Graph, Op};

use crate::device::{plain, plain_f32};
use crate::world::{World, numbers, values};
use std::sync::Arc;

/// An index, a name and the port itself name the same input, and each input is another one.
pub async fn every_way_to_name_an_input_means_the_same(world: &impl World) {
    for ports in 1..=2 {
        let request = world.request(&Graph { ports, ..Graph::new([Op::Echo]) });
        for index in 0..ports {
            let name = format!("x{index}");
            let by_index = request.input(index).unwrap();
            assert!(by_index.shares_storage(request.input(&name).unwrap()));
            assert!(by_index.shares_storage(request.input(name.as_str()).unwrap()));
            assert!(by_index.shares_storage(request.input(&request.inputs()[index]).unwrap()));
        }
        assert!(ports == 1 || !request.input(0).unwrap().shares_storage(request.input(1).unwrap()));
    }
}

/// So it is for outputs, one or several, also those that come out of one computation.
pub async fn every_way_to_name_an_output_means_the_same(world: &impl World) {
    for ports in 1..=2 {
        let mut request = world.request(&Graph { ports, ..Graph::new([Op::Add(1.0)]) });
        request.start().unwrap().await.unwrap();
        for index in 0..ports {
            let name = format!("y{index}");
            let by_index = request.output(index).unwrap();
            assert!(by_index.shares_storage(request.output(&name).unwrap()));
            assert!(by_index.shares_storage(request.output(&request.outputs()[index]).unwrap()));
            assert_eq!(numbers(by_index), [1.0, 1.0]);
        }
        assert!(ports == 1 || !request.output(0).unwrap().shares_storage(request.output(1).unwrap()));
    }
}

/// Without a key a port is meant only when there is exactly one; otherwise the error says what there is.
pub async fn without_a_key_there_must_be_one(world: &impl World) {
    let one = world.request(&Graph::new([Op::Echo]));
    assert_eq!(&*port::only(Side::Input, one.inputs()).unwrap().name, "x0");
    assert_eq!(&*port::only(Side::Output, one.outputs()).unwrap().name, "y0");
    let two = world.request(&Graph { ports: 2, ..Graph::new([Op::Echo]) });
    let error = port::only(Side::Input, two.inputs()).unwrap_err().to_string();
    assert!(error.contains("must be named") && error.contains("x0") && error.contains("x1"), "{error}");
}

/// A port of another model is refused, also when it looks the same in every respect.
pub async fn a_port_of_another_model_is_refused(world: &impl World) {
    let other = world.request(&Graph::new([Op::Echo]));
    let mut request = world.request(&Graph::new([Op::Echo]));
    let foreign = &other.inputs()[0];
    assert_eq!(foreign, &request.inputs()[0], "equal, and yet another model's");
    assert_eq!(request.input(foreign).unwrap_err().kind(), InferErrorKind::NotFound);
    assert_eq!(request.set_input(foreign, values(1.0)).unwrap_err().kind(), InferErrorKind::NotFound);
    let own = request.inputs()[0].clone();
    request.set_input(&own, values(1.0)).unwrap();
}

/// Of all element types a port takes its own, as an input and as an output.
pub async fn a_port_takes_its_own_element_type_only(world: &impl World) {
    for wanted in ElementType::ALL {
        let mut request = world.place("types", Arc::new(plain(&[(wanted, &[Dim::Fixed(2)])]))).request();
        for given in ElementType::ALL {
            let tensor = Tensor::zeros(given, [2]);
            for bound in [request.set_input(0, tensor.clone()), request.set_output(0, tensor)] {
                match bound {
                    Ok(_) => assert_eq!(given, wanted),
                    Err(error) => {
                        assert_ne!(given, wanted);
                        assert!(matches!(error, BindError::Element { .. }), "{error}");
                        assert!(error.to_string().contains(given.name()), "{error}");
                    }
                }
            }
        }
    }
}

/// An extent that is not the port's is refused, whichever it is; also when the number of elements is right.
pub async fn a_port_takes_its_own_shape_only(world: &impl World) {
    let mut request = world.place("shapes", plain_f32(&[Dim::Fixed(2), Dim::Fixed(3)])).request();
    for shape in [&[3, 2][..], &[6], &[4, 3], &[2, 6], &[1, 2, 3], &[]] {
        let tensor = Tensor::zeros(ElementType::F32, inferry_core::Shape::new(shape).unwrap());
        assert!(matches!(request.set_input(0, tensor.clone()), Err(BindError::Shape { .. })), "{shape:?}");
        assert!(matches!(request.set_output(0, tensor), Err(BindError::Shape { .. })), "{shape:?}");
    }
    request.set_input(0, Tensor::zeros(ElementType::F32, [2, 3])).unwrap();
}

/// A tensor that was only fetched is the one that runs use, by infer and by start.
pub async fn fetching_is_enough_to_fill_and_read(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    request.input_mut(0).unwrap().as_slice_mut::<f32>().unwrap().copy_from_slice(&[1.0, 2.0]);
    let output = request.output(0).unwrap().clone();
    assert_eq!(numbers(request.infer(Lend::SERIAL).await.unwrap().get(0).unwrap()), [2.0, 3.0]);
    assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [2.0, 3.0]);
    assert!(request.output(0).unwrap().shares_storage(&output), "the same memory, run after run");
}

/// A kept handle that is given another shape, and back, changes nothing about what is bound.
pub async fn a_kept_handle_reshapes_itself_only(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let (mut input, mut output) = (request.input(0).unwrap().clone(), request.output(0).unwrap().clone());
    for shape in [[7], [2]] {
        input.set_shape(shape).unwrap();
        output.set_shape(shape).unwrap();
        assert_eq!(numbers(request.infer(Lend::SERIAL).await.unwrap().get(0).unwrap()), [1.0, 1.0]);
        assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [1.0, 1.0]);
    }
}

/// A bound tensor that was given a shape which does not fit is an error when the run starts, and names the port.
pub async fn a_reshaped_tensor_is_refused_at_the_start(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    request.infer(Lend::SERIAL).await.unwrap();
    request.input_mut(0).unwrap().set_shape([3]).unwrap();
    let error = request.infer(Lend::SERIAL).await.unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::InvalidInput);
    assert!(error.full_text().contains("x0"), "{error:?}");
    request.input_mut(0).unwrap().set_shape([2]).unwrap();
    request.infer(Lend::SERIAL).await.unwrap();
}

/// So is a region that was bound and then made smaller.
pub async fn a_reshaped_region_is_refused_at_the_start(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let whole = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], [4]).unwrap();
    request.set_input(0, whole.region(slice::from_ref(&(1..3))).unwrap()).unwrap();
    request.input_mut(0).unwrap().set_shape([1]).unwrap();
    let error = request.start().unwrap_err();
    assert!(error.to_string().contains("x0"), "{error}");
    request.input_mut(0).unwrap().set_shape([2]).unwrap();
    assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [3.0, 4.0]);
}

/// An output that was reshaped is refused when it is bound; the memory of the old one stays bound.
pub async fn a_reshaped_output_is_refused(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let mut output = request.output(0).unwrap().clone();
    output.set_shape([1]).unwrap();
    assert!(matches!(request.set_output(0, output), Err(BindError::Shape { .. })));
    assert_eq!(numbers(request.infer(Lend::SERIAL).await.unwrap().get(0).unwrap()), [1.0, 1.0]);
}

/// What a run has read is as it was, whoever ran it.
pub async fn inputs_are_not_written(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let input = values(3.0);
    request.set_input(0, input.clone()).unwrap();
    request.infer(Lend::SERIAL).await.unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(numbers(&input), [3.0, -3.0]);
}

/// Regions and strided tensors of two dimensions are gathered and scattered element by element.
pub async fn every_element_of_a_region_is_the_right_one(world: &impl World) {
    let mut request = world.place("regions", plain_f32(&[Dim::Fixed(2), Dim::Fixed(3)])).request();
    let numbered: Vec<f32> = (0..24_u8).map(f32::from).collect();
    let grid = Tensor::from_slice(&numbered, [4, 6]).unwrap();
    let padded = Tensor::from_storage_strided(
        Storage::exclusive::<f32, _>(numbered.clone()),
        ElementType::F32,
        [2, 3],
        &[40, 8],
        4,
    )
    .unwrap();
    let cases = [
        (grid.region(&[1..3, 2..5]).unwrap(), [8.0, 9.0, 10.0, 14.0, 15.0, 16.0]),
        (
            grid.region(&[0..4, 1..6]).unwrap().region(&[2..4, 1..4]).unwrap(),
            [14.0, 15.0, 16.0, 20.0, 21.0, 22.0],
        ),
        (padded, [1.0, 3.0, 5.0, 11.0, 13.0, 15.0]),
    ];
    for (input, expected) in cases {
        request.set_input(0, input).unwrap();
        let mut guarded = Tensor::from_slice(&[-1.0_f32; 24], [4, 6]).unwrap();
        request.set_output(0, guarded.region(&[2..4, 0..3]).unwrap()).unwrap();
        request.start().unwrap().await.unwrap();
        let view = guarded.view_mut::<f32>().unwrap();
        let all: Vec<f32> = view.iter().copied().collect();
        assert_eq!([&all[12..15], &all[18..21]].concat(), expected);
        assert_eq!(all.iter().filter(|value| **value == -1.0).count(), 18, "nothing beside the region");
    }
}

/// Ports are those of the compiled model, in its order, and know their type and shape.
pub async fn a_request_has_the_ports_of_its_model(world: &impl World) {
    let model =
        world.compile(&Graph { ports: 3, ..Graph::new([Op::Echo]) }, Form::OneStage, &Chip::by_hand("ports"));
    let request = model.request();
    for (side, ports, own) in
        [('x', request.inputs(), model.device.inputs()), ('y', request.outputs(), model.device.outputs())]
    {
        assert_eq!(ports, own);
        for (index, port) in ports.iter().enumerate() {
            assert_eq!((port.index, &*port.name), (index, format!("{side}{index}").as_str()));
            assert_eq!((port.element, port.shape.to_string()), (ElementType::F32, "[2]".to_owned()));
        }
    }
}
