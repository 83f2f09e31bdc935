//! An input that is given in pieces, one tensor an item.

use std::sync::Arc;

use inferry_core::request::BindError;
use inferry_core::{Dim, ElementType, InferErrorKind, Lend, Request, Shape, Tensor};

use crate::device::{plain, plain_f32};
use crate::world::{World, numbers};

const FOUR: &[Dim] = &[Dim::Fixed(4), Dim::Fixed(2)];

fn request(world: &impl World, dims: &[Dim]) -> Request {
    world.place("batch", plain_f32(dims)).request()
}

fn item(value: f32) -> Tensor {
    Tensor::from_slice(&[value, -value], [1, 2]).unwrap()
}

fn items(count: u8) -> Vec<Tensor> {
    (0..count).map(|value| item(value.into())).collect()
}

fn gathered(items: &[Tensor]) -> Vec<f32> {
    items.iter().flat_map(numbers).collect()
}

/// Items that lie anywhere are gathered for each run, by infer and by start; what was written to them in between counts.
pub async fn items_are_gathered_for_each_run(world: &impl World) {
    let mut request = request(world, FOUR);
    let mut items = items(4);
    request.set_inputs("x0", items.clone()).unwrap();
    for round in 0..5_u8 {
        for item in &mut items {
            item.as_slice_mut::<f32>().unwrap()[0] += f32::from(round);
        }
        let outputs = request.infer(Lend::SERIAL).await.unwrap();
        assert_eq!(numbers(outputs.get(0).unwrap()), gathered(&items));
        let outputs = request.start().unwrap().await.unwrap();
        assert_eq!(numbers(outputs.get(0).unwrap()), gathered(&items));
    }
}

/// A plain tensor takes the place of the items, and until then there is no tensor to be got.
pub async fn a_plain_tensor_replaces_the_items(world: &impl World) {
    let mut request = request(world, FOUR);
    request.set_inputs("x0", items(4)).unwrap();
    assert!(matches!(request.input("x0"), Err(BindError::Batched { .. })));
    let plain = Tensor::from_slice(&[7.0_f32; 8], [4, 2]).unwrap();
    request.set_input("x0", plain.clone()).unwrap();
    assert!(request.input("x0").unwrap().shares_storage(&plain));
    assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [7.0; 8]);
}

/// Where the batch is not known before a run, each run has the batch that it was given.
pub async fn a_batch_may_be_as_long_as_the_run_likes(world: &impl World) {
    let mut request = request(world, &[Dim::Any, Dim::Fixed(2)]);
    for count in [2, 5, 3] {
        let items = items(count);
        request.set_inputs(0, items.clone()).unwrap();
        let outputs = request.start().unwrap().await.unwrap();
        assert_eq!(outputs.get(0).unwrap().shape(), &Shape::from([count.into(), 2]));
        assert_eq!(numbers(outputs.get(0).unwrap()), gathered(&items));
    }
}

/// A batch of one is its item.
pub async fn a_batch_of_one_is_its_item(world: &impl World) {
    let mut request = request(world, &[Dim::Fixed(1), Dim::Fixed(2)]);
    let only = item(3.0);
    request.set_inputs(0, [only.clone()]).unwrap();
    assert!(request.input(0).unwrap().shares_storage(&only));
    assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [3.0, -3.0]);
}

/// Items may be parts of one buffer.
pub async fn parts_of_one_buffer_are_items(world: &impl World) {
    let mut request = request(world, &[Dim::Fixed(2), Dim::Fixed(2)]);
    let whole = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], [2, 2]).unwrap();
    let halves = [0..1, 1..2].map(|row| whole.region(&[row, 0..2]).unwrap());
    request.set_inputs(0, halves).unwrap();
    assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [1.0, 2.0, 3.0, 4.0]);
}

/// A port that is not there, or is an output, has no items; nor has any port when there are several and none is named.
pub async fn items_need_an_input(world: &impl World) {
    let model = plain(&[(ElementType::F32, FOUR), (ElementType::F32, FOUR)]);
    let mut request = world.place("batch", Arc::new(model)).request();
    for name in ["image", "x0/node", "y0"] {
        let error = request.set_inputs(name, items(4)).unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::NotFound, "{name}");
    }
    assert_eq!(request.set_inputs(10, items(4)).unwrap_err().kind(), InferErrorKind::OutOfRange);
    assert!(inferry_core::port::only(inferry_core::port::Side::Input, request.inputs()).is_err());
}

/// As many items as the batch, all of one shape, of the port's type; anything else is refused, and what was bound stays.
pub async fn what_is_no_batch_is_refused(world: &impl World) {
    let mut request = request(world, FOUR);
    let other = |misfit: Tensor| items(3).into_iter().chain([misfit]).collect::<Vec<_>>();
    let wrong = [
        (items(5), "5"),
        (Vec::new(), "0"),
        (other(Tensor::zeros(ElementType::F32, [2, 2])), "item 3"),
        (other(Tensor::zeros(ElementType::I32, [1, 2])), "item 3"),
        (other(Tensor::zeros(ElementType::F32, [2, 1])), "item 3"),
    ];
    for (items, said) in wrong {
        let error = request.set_inputs(0, items).unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(request.input(0).is_ok());
}
