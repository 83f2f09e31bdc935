//! Outputs whose size hangs on the data, and what is computed from them.

mod support;

use inferry_core::{ElementType, Parallel, Serial, Slice, Stop, Tensor};
use inferry_engine::Model;
use inferry_engine::op::{Binary, Concat, Gather, NonZero, Reshape, ShapeOf, Squeeze, Unary, Unique};
use support::*;

const F32: ElementType = ElementType::F32;

/// `y = Concat(picked, Neg(picked))` where `picked` are the elements of `x` that `mask` names; and how many there are.
fn masked(open: bool) -> Model {
    let mut sketch = Sketch::new();
    let extent = if open { None } else { Some(40_000) };
    let x = sketch.open_input("x", F32, &[extent]);
    let mask = sketch.open_input("mask", ElementType::Bool, &[extent]);
    let places = sketch.op(NonZero, &[mask]);
    let first = sketch.constant(&[0i64], &[1]);
    let places = sketch.op(Squeeze, &[places, first]);
    let picked = sketch.op(Gather { axis: 0 }, &[x, places]);
    let other = sketch.op(Unary::Neg, &[picked]);
    let y = sketch.op(Concat { axis: 0 }, &[picked, other]);
    let count = sketch.op(ShapeOf { start: 0, end: None }, &[picked]);
    sketch.model(&[y, count])
}

fn inputs(every: usize) -> [Tensor; 2] {
    let mask: Vec<bool> = (0..40_000).map(|at| at % every == 0).collect();
    [count(&[40_000]), tensor(&mask, &[40_000])]
}

fn wanted(every: usize) -> Vec<f32> {
    let picked: Vec<f32> = (0..40_000).step_by(every).map(|at| at as f32).collect();
    let other: Vec<f32> = picked.iter().map(|x| -x).collect();
    [picked, other].concat()
}

#[test]
fn every_run_has_the_extents_of_its_data() {
    for open in [false, true] {
        let mut runner = Runner::new(&compile(&masked(open)));
        for every in [7, 1, 30_000, 2, 7] {
            let outputs = runner.run(&inputs(every));
            assert!(floats(&outputs[0]) == wanted(every));
            assert_eq!(outputs[1].to_vec::<i64>().unwrap(), [40_000usize.div_ceil(every) as i64]);
        }
        let nothing = tensor(&[false; 40_000], &[40_000]);
        let outputs = runner.run(&[count(&[40_000]), nothing]);
        assert_eq!(*outputs[0].shape(), [0]);
    }
}

#[test]
fn slices_stops_and_threads_change_nothing() {
    let compiled = compile(&masked(false));
    let mut runner = Runner::new(&compiled);
    for (port, tensor) in inputs(3).into_iter().enumerate() {
        runner.set(port, tensor);
    }
    for look in 1..12 {
        let stopped = runner.run_with(Slice::Unlimited, &Serial, Stop::new(&StopAt::look(look)));
        assert!(stopped.is_ok() || is_cancelled(&stopped.unwrap_err()));
        for (slice, parallel) in [
            (Slice::Looks(1), &Serial as &dyn Parallel),
            (Slice::Looks(1), &Threads(3)),
            (Slice::Unlimited, &Threads(3)),
        ] {
            runner.run_with(slice, parallel, Stop::never()).unwrap();
            assert!(floats(&runner.outputs()[0]) == wanted(3));
        }
    }
    runner.run_with(Slice::Looks(1), &Serial, Stop::never()).unwrap();
    assert!(runner.polls >= 8, "{} polls", runner.polls);
}

#[test]
fn extents_of_constants_are_known_beforehand() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[6]);
    let mask = sketch.constant(&[1i32, 0, 1, 1, 0, 0], &[2, 3]);
    let places = sketch.op(NonZero, &[mask]);
    let shape = sketch.op(ShapeOf { start: 0, end: None }, &[places]);
    // 2 * 3, which is the shape of `x` only when NonZero has been folded.
    let first = sketch.constant(&[0i64], &[1]);
    let second = sketch.constant(&[1i64], &[1]);
    let rows = sketch.op(Gather { axis: 0 }, &[shape, first]);
    let columns = sketch.op(Gather { axis: 0 }, &[shape, second]);
    let size = sketch.op(Binary::Mul, &[rows, columns]);
    let y = sketch.op(Reshape { allow_zero: false }, &[x, size]);
    let compiled = compile(&sketch.model(&[y, places]));
    assert_eq!(compiled.outputs()[0].shape.fixed().unwrap(), [6]);
    assert_eq!(compiled.outputs()[1].shape.fixed().unwrap(), [2, 3]);
    let outputs = Runner::new(&compiled).run(&[count(&[6])]);
    assert_eq!(outputs[1].to_vec::<i64>().unwrap(), [0, 0, 1, 0, 2, 0]);
}

#[test]
fn several_outputs_are_sized_at_once_and_one_of_them_may_be_known() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[6]);
    let outputs = sketch.ops(Unique { axis: None, sorted: true }, &[x], 4);
    let mut runner = Runner::new(&compile(&sketch.model(&outputs)));
    for (x, values, inverse) in
        [([2., 1., 1., 3., 4., 3.], vec![1., 2., 3., 4.], [1i64, 0, 0, 2, 3, 2]), ([5.; 6], vec![5.], [0; 6])]
    {
        let outputs = runner.run(&[tensor::<f32>(&x, &[6])]);
        assert_eq!(floats(&outputs[0]), values);
        assert_eq!(outputs[2].to_vec::<i64>().unwrap(), inverse);
        assert_eq!(outputs[3].to_vec::<i64>().unwrap().iter().sum::<i64>(), 6);
    }
}
