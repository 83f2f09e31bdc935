//! Loops: what is carried, scanned and captured, trips that nobody counted, and what cannot be done.

mod support;

use inferry_core::{ElementType, Serial, Shape, Slice, Stop, Tensor};
use inferry_cpu::{Limits, Options};
use inferry_engine::op::{
    Binary, Concat, Identity, Reshape, ShapeOf, Slice as Cut, Transpose, Unary, Unsqueeze,
};
use support::*;

const F32: ElementType = ElementType::F32;
const I64: ElementType = ElementType::I64;

fn yes() -> Tensor {
    tensor(&[true], &[])
}

fn trips(count: i64) -> Tensor {
    tensor(&[count], &[])
}

fn ints(tensor: &Tensor) -> Vec<i64> {
    bytes(tensor).chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn shape(tensor: &Tensor) -> &[usize] {
    tensor.shape()
}

fn failure(runner: &mut Runner, inputs: &[Tensor]) -> String {
    for (port, tensor) in inputs.iter().enumerate() {
        runner.set(port, tensor.clone());
    }
    chain(&runner.run_with(Slice::Unlimited, &Serial, Stop::never()).unwrap_err())
}

#[test]
fn values_are_carried_scanned_and_captured() {
    let mut sketch = Sketch::new();
    let count = sketch.input("count", I64, &[]);
    let x = sketch.input("x", F32, &[2]);
    let step = sketch.input("step", F32, &[1]);
    // x grows by the step in each trip; what it was is scanned, and so is the number of the trip.
    let results = sketch.looped((Some(count), None), &[x], &[step], &|body, trip, inputs| {
        let next = body.op(Binary::Add, &[inputs[0], inputs[1]]);
        (None, vec![next, inputs[0], trip])
    });
    let after = sketch.op(Unary::Neg, &[results[0]]);
    let compiled = compile(&sketch.model(&[results[0], results[1], results[2], after]));
    let mut runner = Runner::new(&compiled);
    let (x, step) = (tensor(&[1f32, 10.], &[2]), tensor(&[0.5f32], &[1]));
    for _ in 0..2 {
        let outputs = runner.run(&[trips(3), x.clone(), step.clone()]);
        assert_eq!(floats(&outputs[0]), [2.5, 11.5]);
        assert_eq!(
            (shape(&outputs[1]), floats(&outputs[1])),
            (&[3, 2][..], vec![1., 10., 1.5, 10.5, 2., 11.])
        );
        assert_eq!((shape(&outputs[2]), ints(&outputs[2])), (&[3][..], vec![0, 1, 2]));
        assert_eq!(floats(&outputs[3]), [-2.5, -11.5]);
        // Without a trip what enters comes out, and there are no rows.
        for none in [0, -7] {
            let outputs = runner.run(&[trips(none), x.clone(), step.clone()]);
            assert_eq!(floats(&outputs[0]), [1., 10.]);
            assert_eq!((shape(&outputs[1]), shape(&outputs[2])), (&[0, 2][..], &[0][..]));
        }
        let outputs = runner.run(&[trips(1), x.clone(), step.clone()]);
        assert_eq!((shape(&outputs[1]), floats(&outputs[1])), (&[1, 2][..], vec![1., 10.]));
    }
}

#[test]
fn values_grow_from_trip_to_trip() {
    let mut sketch = Sketch::new();
    let count = sketch.input("count", I64, &[]);
    let x = sketch.open_input("x", F32, &[None]);
    let results = sketch.looped((Some(count), None), &[x], &[x], &|body, _, inputs| {
        let longer = body.op(Concat { axis: 0 }, &[inputs[0], inputs[1]]);
        (None, vec![longer, body.op(ShapeOf { start: 0, end: None }, &[longer])])
    });
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    for (len, count) in [(2, 3), (1, 5), (2, 3), (3, 1), (2, 0)] {
        let x: Vec<f32> = (0..len).map(|value| value as f32).collect();
        let outputs = runner.run(&[trips(count), tensor(&x, &[len])]);
        assert_eq!(floats(&outputs[0]), x.repeat(1 + count as usize));
        let lengths: Vec<i64> = (0..count).map(|trip| (trip + 2) * len as i64).collect();
        assert_eq!((shape(&outputs[1]), ints(&outputs[1])), (&[count as usize, 1][..], lengths));
    }
}

#[test]
fn a_condition_ends_the_loop_that_nobody_counts() {
    let mut sketch = Sketch::new();
    let goes_on = sketch.input("goes on", ElementType::Bool, &[]);
    let x = sketch.input("x", F32, &[]);
    let limit = sketch.input("limit", F32, &[]);
    // Doubled while it is below the limit.
    let results = sketch.looped((None, Some(goes_on)), &[x], &[limit], &|body, _, inputs| {
        let next = body.op(Binary::Add, &[inputs[0], inputs[0]]);
        (Some(body.op(Binary::Less, &[next, inputs[1]])), vec![next, next])
    });
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    let one = tensor(&[1f32], &[]);
    for (limit, wanted) in [(100f32, vec![2f32, 4., 8., 16., 32., 64., 128.]), (0., vec![2.])] {
        let outputs = runner.run(&[yes(), one.clone(), tensor(&[limit], &[])]);
        assert_eq!(floats(&outputs[0]), wanted[wanted.len() - 1..]);
        assert_eq!((shape(&outputs[1]), floats(&outputs[1])), (&[wanted.len()][..], wanted));
    }
    let outputs = runner.run(&[tensor(&[false], &[]), one.clone(), one]);
    assert_eq!((floats(&outputs[0]), shape(&outputs[1])), (vec![1.], &[0][..]));
}

#[test]
fn loops_and_branches_nest() {
    let mut sketch = Sketch::new();
    let count = sketch.input("count", I64, &[]);
    let x = sketch.input("x", F32, &[2, 2]);
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    // Each trip turns the matrix or adds it to itself, as often as trips were made before.
    let results = sketch.looped((Some(count), None), &[x], &[condition, x], &|body, trip, inputs| {
        let (carried, condition, x) = (inputs[0], inputs[1], inputs[2]);
        let chosen = body.choice(
            condition,
            &[trip, carried, x],
            1,
            [
                &|body, captured| {
                    body.looped(
                        (Some(captured[0]), None),
                        &[captured[1]],
                        &[captured[2]],
                        &|body, _, inputs| (None, vec![body.op(Binary::Add, &[inputs[0], inputs[1]])]),
                    )
                },
                &|body, captured| vec![body.op(Transpose { perm: None }, &[captured[1]])],
            ],
        );
        (None, vec![chosen[0], chosen[0]])
    });
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    let x = tensor(&[1f32, 2., 3., 4.], &[2, 2]);
    let outputs = runner.run(&[trips(4), x.clone(), yes()]);
    // 0 + 1 + 2 + 3 additions.
    assert_eq!(floats(&outputs[0]), [7., 14., 21., 28.]);
    assert_eq!(floats(&outputs[1])[..8], [1., 2., 3., 4., 2., 4., 6., 8.]);
    let outputs = runner.run(&[trips(3), x.clone(), tensor(&[false], &[])]);
    assert_eq!(floats(&outputs[0]), [1., 3., 2., 4.]);
    assert_eq!(shape(&outputs[1]), [3, 2, 2]);
}

#[test]
fn a_loop_within_a_branch_gives_the_branch_its_result() {
    let mut sketch = Sketch::new();
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let count = sketch.input("count", I64, &[]);
    let x = sketch.input("x", F32, &[2]);
    let results = sketch.choice(
        condition,
        &[count, x],
        1,
        [
            &|body, captured| {
                let (count, x) = (captured[0], captured[1]);
                body.looped((Some(count), None), &[x], &[x], &|body, _, inputs| {
                    (None, vec![body.op(Concat { axis: 0 }, inputs)])
                })
            },
            &|_, captured| vec![captured[1]],
        ],
    );
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    let x = tensor(&[1f32, 2.], &[2]);
    for _ in 0..2 {
        assert_eq!(floats(&runner.run(&[yes(), trips(2), x.clone()])[0]), [1., 2., 1., 2., 1., 2.]);
        assert_eq!(floats(&runner.run(&[tensor(&[false], &[]), trips(2), x.clone()])[0]), [1., 2.]);
    }
}

#[test]
fn shapes_within_a_trip_may_hang_on_its_number() {
    // As in the standard's own example: the sum of what a constant holds up to the number of the trip.
    let mut sketch = Sketch::new();
    let count = sketch.input("count", I64, &[]);
    let x = sketch.input("x", F32, &[5]);
    let results = sketch.looped((Some(count), None), &[], &[x], &|body, trip, inputs| {
        let one = body.constant(&[1i64], &[]);
        let end = body.op(Binary::Add, &[trip, one]);
        let axes = body.constant(&[0i64], &[1]);
        let (zero, end) = (body.constant(&[0i64], &[1]), body.op(Unsqueeze, &[end, axes]));
        let part = body.op(Cut, &[inputs[0], zero, end]);
        let kind = inferry_engine::op::ReduceKind::Sum;
        let sum = inferry_engine::op::Reduce { kind, keep_dims: true, noop_with_empty_axes: false };
        (None, vec![body.op(sum, &[part])])
    });
    let compiled = compile(&sketch.model(&results));
    let outputs = Runner::new(&compiled).run(&[trips(5), tensor(&[1f32, 2., 3., 4., 5.], &[5])]);
    assert_eq!((shape(&outputs[0]), floats(&outputs[0])), (&[5, 1][..], vec![1., 3., 6., 10., 15.]));
}

#[test]
fn values_that_change_places_and_results_given_twice_are_right() {
    let mut sketch = Sketch::new();
    let count = sketch.input("count", I64, &[]);
    let (a, b) = (sketch.open_input("a", F32, &[None]), sketch.open_input("b", F32, &[None]));
    let c = sketch.constant(&[9f32], &[1]);
    // a and b change places, two values become the same result, one is constant, and one stays what it is.
    let results = sketch.looped((Some(count), None), &[a, b, a, b, c, c], &[], &|body, _, inputs| {
        let both = body.op(Concat { axis: 0 }, &[inputs[0], inputs[1]]);
        let eight = body.constant(&[8f32], &[1]);
        (None, vec![inputs[1], inputs[0], both, both, eight, inputs[5], both, inputs[0]])
    });
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    let (a, b) = (tensor(&[1f32, 2.], &[2]), tensor(&[3f32, 4.], &[2]));
    let outputs = runner.run(&[trips(3), a.clone(), b.clone()]);
    let found: Vec<_> = outputs.iter().map(floats).collect();
    assert_eq!(found[..2], [[3., 4.], [1., 2.]]);
    assert_eq!(found[2..4], [[1., 2., 3., 4.], [1., 2., 3., 4.]]);
    assert_eq!(found[4..6], [[8.], [9.]]);
    assert_eq!(found[6], [1., 2., 3., 4., 3., 4., 1., 2., 1., 2., 3., 4.]);
    assert_eq!(found[7], [1., 2., 3., 4., 1., 2.]);
    // Of different lengths they cannot be collected, for their rows differ.
    let error = failure(&mut runner, &[trips(3), a, tensor(&[3f32], &[1])]);
    assert!(error.contains("the shape of row 1 of scanned value 1 is [1], and not [2]"), "{error}");
}

#[test]
fn a_loop_without_an_end_is_stopped_by_a_limit() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2]);
    let results = sketch.looped((None, None), &[x], &[], &|body, _, inputs| {
        let doubled = body.op(Binary::Add, &[inputs[0], inputs[0]]);
        let inner = body.constant(&[4i64], &[]);
        (
            None,
            body.looped((Some(inner), None), &[doubled], &[], &|body, _, inputs| {
                (None, vec![body.op(Unary::Neg, inputs)])
            }),
        )
    });
    sketch.graph.nodes[0].name = "endless".into();
    let limits = Limits { trips: 1003, ..Limits::default() };
    let compiled = compile_with(&sketch.model(&results), &Options { limits, ..Options::default() });
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        let error = failure(&mut runner, &[tensor(&[1f32, 2.], &[2])]);
        let wanted = "after 1003 trips, which is the limit of a run, the loops have not come to an end";
        assert!(error.contains(wanted) && error.contains("endless/Loop #1"), "{error}");
    }
}

#[test]
fn a_body_that_cannot_run_matters_only_when_there_is_a_trip() {
    let mut sketch = Sketch::new();
    let count = sketch.input("count", I64, &[]);
    let x = sketch.open_input("x", F32, &[None]);
    let results = sketch.looped((Some(count), None), &[x], &[], &|body, _, inputs| {
        let square = body.constant(&[2i64, 2], &[2]);
        let square = body.op(Reshape { allow_zero: false }, &[inputs[0], square]);
        let square = body.op(Unary::Relu, &[square]);
        let flat = body.constant(&[-1i64], &[1]);
        (None, vec![body.op(Reshape { allow_zero: false }, &[square, flat])])
    });
    sketch.graph.nodes[0].name = "loop".into();
    let y = sketch.op(Identity, &results);
    let compiled = compile(&sketch.model(&[y]));
    let mut runner = Runner::new(&compiled);
    assert_eq!(floats(&runner.run(&[trips(0), count_to(3)])[0]), [0., 1., 2.]);
    let error = failure(&mut runner, &[trips(1), count_to(3)]);
    assert!(error.contains("loop/Reshape #0") && error.contains("f32[3]"), "{error}");
    assert_eq!(floats(&runner.run(&[trips(2), count_to(4)])[0]), [0., 1., 2., 3.]);
}

fn count_to(len: usize) -> Tensor {
    count(&[len])
}

#[test]
fn what_is_wrong_with_a_loop_is_told() {
    let mut sketch = Sketch::new();
    let count = sketch.open_input("count", I64, &[None]);
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let x = sketch.input("x", F32, &[1; 8]);
    // A value of eight dimensions, or of one: how many is known only in the run.
    let x = sketch.choice(
        condition,
        &[x],
        1,
        [&|_, captured| vec![captured[0]], &|body, captured| {
            let flat = body.constant(&[1i64], &[1]);
            vec![body.op(Reshape { allow_zero: false }, &[captured[0], flat])]
        }],
    )[0];
    let results = sketch.looped((Some(count), None), &[], &[x], &|_, _, inputs| (None, vec![inputs[0]]));
    sketch.graph.nodes[1].name = "loop".into();
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    let x = tensor(&[0f32], &[1; 8]);
    let one = tensor(&[1i64], &[1]);
    assert_eq!(shape(&runner.run(&[one.clone(), tensor(&[false], &[]), x.clone()])[0]), [1, 1]);
    let error = failure(&mut runner, &[one, yes(), x.clone()]);
    assert!(error.contains("loop") && error.contains("and not one of at most 8 dimensions"), "{error}");
    let error = failure(&mut runner, &[tensor(&[1i64, 2], &[2]), yes(), x]);
    assert!(error.contains("input 0 must be one number, its shape is [2]"), "{error}");
}

#[test]
fn rows_take_the_place_that_was_planned_for_them() {
    // The trip count is known: what is scanned is an output of fixed shape, computed where the user wants it.
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[3]);
    let four = sketch.constant(&[4i64], &[]);
    let results = sketch.looped((Some(four), None), &[x], &[], &|body, _, inputs| {
        let next = body.op(Binary::Add, &[inputs[0], inputs[0]]);
        (None, vec![next, inputs[0]])
    });
    let compiled = compile(&sketch.model(&results));
    assert_eq!(compiled.outputs()[1].shape.fixed(), Some(Shape::from([4, 3])));
    let mut runner = Runner::new(&compiled);
    let output = Tensor::zeros(F32, [4, 3]);
    runner.set_output(1, output.clone());
    runner.run(&[tensor(&[1f32, 2., 3.], &[3])]);
    assert_eq!(floats(&output), [1., 2., 3., 2., 4., 6., 4., 8., 12., 8., 16., 24.]);
}
