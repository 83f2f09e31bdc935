//! Ports whose shape is not known before a run.

use std::sync::Arc;

use inferry_core::request::BindError;
use inferry_core::tensor::Storage;
use inferry_core::{Dim, ElementType, InferErrorKind, Lend, Request, Shape, Tensor};

use crate::device::{plain, plain_f32};
use crate::world::{World, numbers};

const ANY: &[Dim] = &[Dim::Any, Dim::Fixed(3)];
const BOUNDED: &[Dim] = &[Dim::Between(2, 4), Dim::Fixed(3)];

fn request(world: &impl World, dims: &[Dim]) -> Request {
    world.place("dynamic", plain_f32(dims)).request()
}

/// 0, 1, 2, … in this shape.
fn counted(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let numbers: Vec<f32> = (0..shape.count()).map(|number| number as f32).collect();
    Tensor::from_slice(&numbers, shape).unwrap()
}

async fn check(request: &mut Request, input: Tensor) {
    let (shape, expected) = (input.shape().clone(), numbers(&input));
    request.set_input(0, input).unwrap();
    for by_start in [false, true] {
        let outputs = if by_start {
            request.start().unwrap().await.unwrap()
        } else {
            request.infer(Lend::SERIAL).await.unwrap()
        };
        let output = outputs.get(0).unwrap();
        assert_eq!((output.shape(), numbers(output)), (&shape, expected.clone()));
    }
}

/// Two shapes in turn, the first one twice, each in a request of its own.
pub async fn shapes_within_the_bounds_run(world: &impl World) {
    let model = world.place("bounded", plain_f32(BOUNDED));
    for rows in [2, 2, 4] {
        check(&mut model.request(), counted([rows, 3])).await;
    }
}

/// One request takes one shape after the other, by infer and by start.
pub async fn one_request_takes_one_shape_after_the_other(world: &impl World) {
    let mut request = request(world, ANY);
    for rows in [2, 5, 1, 0, 7] {
        check(&mut request, counted([rows, 3])).await;
    }
}

/// An output tensor of any odd shape is given the shape that the run finds out.
pub async fn an_odd_output_is_reshaped(world: &impl World) {
    let mut request = request(world, ANY);
    let odd: [&[usize]; 8] = [&[], &[0], &[1], &[7], &[2, 3], &[3, 2], &[4, 4, 4], &[0, 0, 0]];
    for shape in odd {
        request.set_output(0, Tensor::zeros(ElementType::F32, Shape::new(shape).unwrap())).unwrap();
        check(&mut request, counted([2, 3])).await;
    }
}

/// An output over borrowed memory that is large enough is written in place, run after run.
pub async fn borrowed_memory_is_written_in_place(world: &impl World) {
    let mut request = request(world, ANY);
    check(&mut request, counted([5, 3])).await;
    let memory = Storage::exclusive::<f32, _>(vec![0.0_f32; 12]);
    let output = Tensor::from_storage(memory, ElementType::F32, [4, 3]).unwrap();
    request.set_output(0, output.clone()).unwrap();
    for rows in [4, 2, 4] {
        check(&mut request, counted([rows, 3])).await;
        assert!(request.output(0).unwrap().shares_storage(&output));
    }
    assert_eq!(numbers(&output), numbers(&counted([4, 3])));
}

/// Borrowed memory that is too small fails the run and says so; the next run with room is fine.
pub async fn borrowed_memory_that_is_too_small_is_an_error(world: &impl World) {
    let mut request = request(world, ANY);
    let memory = Storage::exclusive::<f32, _>(vec![0.0_f32; 6]);
    request.set_output(0, Tensor::from_storage(memory, ElementType::F32, [2, 3]).unwrap()).unwrap();
    request.set_input(0, counted([3, 3])).unwrap();
    let error = request.start().unwrap().await.unwrap_err();
    assert!(error.full_text().contains("24 bytes"), "{}", error.full_text());
    check(&mut request, counted([2, 3])).await;
}

/// An output that was fetched and reshaped beforehand makes no difference.
pub async fn an_output_reshaped_beforehand_makes_no_difference(world: &impl World) {
    let mut request = request(world, ANY);
    let mut fetched = request.output(0).unwrap().clone();
    fetched.set_shape([9, 3]).unwrap();
    request.set_output(0, fetched).unwrap();
    check(&mut request, counted([2, 3])).await;
}

/// Untouched, a dynamic port has a tensor without elements, and a run on it gives one.
pub async fn an_untouched_port_has_no_elements(world: &impl World) {
    for dims in [ANY, &[Dim::Between(0, 4), Dim::Fixed(3)]] {
        let mut request = request(world, dims);
        assert_eq!(request.input(0).unwrap().len(), 0);
        assert_eq!(request.output(0).unwrap().len(), 0);
        let outputs = request.infer(Lend::SERIAL).await.unwrap();
        assert_eq!(outputs.get(0).unwrap().len(), 0);
    }
}

/// An input that is reshaped in place keeps that shape, and the run follows it up and down.
pub async fn an_input_is_reshaped_in_place(world: &impl World) {
    for dims in [ANY, &[Dim::Between(0, 9), Dim::Fixed(3)]] {
        let mut request = request(world, dims);
        let before = request.output(0).unwrap().clone();
        assert_eq!(before.len(), 0);
        for rows in [2, 6, 1] {
            request.input_mut(0).unwrap().set_shape([rows, 3]).unwrap();
            assert_eq!(request.input(0).unwrap().shape(), &Shape::from([rows, 3]));
            let outputs = request.infer(Lend::SERIAL).await.unwrap();
            assert_eq!(outputs.get(0).unwrap().shape(), &Shape::from([rows, 3]));
            let outputs = request.start().unwrap().await.unwrap();
            assert_eq!(outputs.get(0).unwrap().shape(), &Shape::from([rows, 3]));
        }
        assert_eq!(before.len(), 0, "a handle that was kept has the shape that it had");
    }
}

/// Where not even the rank is known, any rank runs; what is fetched after the run has the run's shape.
pub async fn any_rank_runs(world: &impl World) {
    let model = Arc::new(plain(&[(ElementType::F32, &[])]).of_any_rank());
    let mut request = world.place("ranks", model).request();
    check(&mut request, counted([4])).await;
    check(&mut request, counted([2, 3])).await;
    check(&mut request, counted([1, 2, 3])).await;
    request.input_mut(0).unwrap().set_shape([2, 2]).unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(request.output(0).unwrap().shape(), &Shape::from([2, 2]));
}

/// An extent outside its bounds is refused when it is bound, and at the start when it came about in place.
pub async fn an_extent_outside_its_bounds_is_refused(world: &impl World) {
    let mut request = request(world, BOUNDED);
    for rows in [1, 5, 9] {
        let error = request.set_input(0, counted([rows, 3])).unwrap_err();
        assert!(matches!(error, BindError::Shape { .. }), "{error}");
        assert!(error.to_string().contains("2..4"), "{error}");
    }
    request.set_input(0, counted([2, 3])).unwrap();
    for rows in [1, 3, 5] {
        request.input_mut(0).unwrap().set_shape([rows, 3]).unwrap();
        let started = request.infer(Lend::SERIAL).await.map(drop);
        let kind = started.map_err(|error| error.kind());
        assert_eq!(kind, if rows == 3 { Ok(()) } else { Err(InferErrorKind::InvalidInput) });
    }
}

/// Extents that are known are exact, and so is the rank.
pub async fn what_is_known_of_a_shape_is_exact(world: &impl World) {
    let mut request = request(world, ANY);
    for shape in [&[2, 4][..], &[2, 3, 1], &[3]] {
        let bound = request.set_input(0, counted(Shape::new(shape).unwrap()));
        assert!(matches!(bound, Err(BindError::Shape { .. })), "{shape:?}");
    }
}

/// The same input port takes each shape that comes, as an array would be given.
pub async fn an_input_takes_each_shape_that_comes(world: &impl World) {
    let mut request = request(world, &[Dim::Any, Dim::Any]);
    for shape in [[1, 4], [3, 1], [2, 2]] {
        check(&mut request, counted(shape)).await;
        assert_eq!(request.input(0).unwrap().shape(), &Shape::from(shape));
    }
}

/// The output's own tensor first, then one over borrowed memory: each run writes the one that is bound.
pub async fn a_later_output_is_the_one_that_is_written(world: &impl World) {
    let mut request = request(world, ANY);
    check(&mut request, counted([2, 3])).await;
    let first = request.output(0).unwrap().clone();
    let memory = Storage::exclusive::<f32, _>(vec![-1.0_f32; 6]);
    let second = Tensor::from_storage(memory, ElementType::F32, [2, 3]).unwrap();
    request.set_output(0, second.clone()).unwrap();
    request.set_input(0, Tensor::from_slice(&[5.0_f32; 6], [2, 3]).unwrap()).unwrap();
    request.infer(Lend::SERIAL).await.unwrap();
    assert_eq!(numbers(&second), [5.0; 6]);
    assert_eq!(numbers(&first), numbers(&counted([2, 3])));
}
