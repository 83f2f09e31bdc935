//! Control flow: branches that share memory with what is around them, captures, and shapes that only the run knows.

mod support;

use inferry_core::{ElementType, Tensor};
use inferry_engine::Model;
use inferry_engine::op::{Concat, Flatten, Identity, Reshape, Squeeze, Transpose, Unsqueeze};
use support::*;

const F32: ElementType = ElementType::F32;

fn yes() -> Tensor {
    tensor(&[true], &[])
}

fn no() -> Tensor {
    tensor(&[false], &[])
}

#[test]
fn the_condition_chooses_the_branch_run_by_run() {
    let mut sketch = Sketch::new();
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let x = sketch.input("x", F32, &[2, 3]);
    let before = sketch.op(Concat { axis: 0 }, &[x, x]);
    let results = sketch.choice(
        condition,
        &[x, before],
        2,
        [
            &|body, captured| {
                let turned = body.op(Transpose { perm: None }, &[captured[0]]);
                let back = body.op(Transpose { perm: None }, &[turned]);
                // Once computed here, once handed through.
                vec![back, captured[1]]
            },
            &|body, captured| {
                let doubled = body.op(Concat { axis: 1 }, &[captured[0], captured[0]]);
                let flat = body.constant(&[4i64, 3], &[2]);
                let constant = body.constant(&[9f32, 8., 7., 6., 5., 4.], &[2, 3]);
                vec![constant, body.op(Reshape { allow_zero: false }, &[doubled, flat])]
            },
        ],
    );
    let after = sketch.op(Concat { axis: 0 }, &[results[0], results[1], before]);
    let compiled = compile(&sketch.model(&[results[0], results[1], after]));
    let mut runner = Runner::new(&compiled);
    let x = count(&[2, 3]);
    let plain = [0., 1., 2., 3., 4., 5.];
    let twice = [plain, plain].concat();
    for _ in 0..2 {
        let outputs = runner.run(&[yes(), x.clone()]);
        assert_eq!(floats(&outputs[0]), plain);
        assert_eq!(floats(&outputs[1]), twice);
        assert_eq!(floats(&outputs[2]), [&plain[..], &twice, &twice].concat());
        let outputs = runner.run(&[no(), x.clone()]);
        let constant = [9., 8., 7., 6., 5., 4.];
        let doubled = [0., 1., 2., 0., 1., 2., 3., 4., 5., 3., 4., 5.];
        assert_eq!(floats(&outputs[0]), constant);
        assert_eq!(floats(&outputs[1]), doubled);
        assert_eq!(floats(&outputs[2]), [&constant[..], &doubled, &twice].concat());
    }
}

/// An If in an If, each capturing from all levels around it.
fn nested() -> Model {
    let mut sketch = Sketch::new();
    let outer = sketch.input("outer", ElementType::Bool, &[]);
    let inner = sketch.input("inner", ElementType::Bool, &[]);
    let x = sketch.input("x", F32, &[2, 2]);
    let top = sketch.op(Transpose { perm: None }, &[x]);
    let results = sketch.choice(
        outer,
        &[inner, top, x],
        1,
        [
            &|body, captured| {
                let (inner, top, x) = (captured[0], captured[1], captured[2]);
                let mine = body.op(Concat { axis: 0 }, &[top, x]);
                body.choice(
                    inner,
                    &[mine, top],
                    1,
                    [
                        &|body, captured| vec![body.op(Concat { axis: 0 }, &[captured[1], captured[0]])],
                        &|body, captured| vec![body.op(Concat { axis: 0 }, &[captured[0], captured[1]])],
                    ],
                )
            },
            &|body, captured| vec![body.op(Concat { axis: 0 }, &[captured[2], captured[2], captured[1]])],
        ],
    );
    let y = sketch.op(Concat { axis: 0 }, &[results[0], top]);
    sketch.model(&[y])
}

#[test]
fn branches_nest_and_capture_from_all_levels() {
    let compiled = compile(&nested());
    let mut runner = Runner::new(&compiled);
    let (x, t) = ([0., 1., 2., 3.], [0., 2., 1., 3.]);
    let mut check = |outer: Tensor, inner: Tensor, parts: [[f32; 4]; 4]| {
        let outputs = runner.run(&[outer, inner, count(&[2, 2])]);
        assert_eq!(floats(&outputs[0]), parts.concat());
    };
    check(yes(), yes(), [t, t, x, t]);
    check(yes(), no(), [t, x, t, t]);
    check(no(), yes(), [x, x, t, t]);
    check(yes(), yes(), [t, t, x, t]);
}

#[test]
fn results_of_other_shapes_are_known_only_in_the_run() {
    let mut sketch = Sketch::new();
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let x = sketch.input("x", F32, &[1, 3]);
    let results = sketch.choice(
        condition,
        &[x],
        1,
        [
            &|body, captured| {
                let axis = body.constant(&[0i64], &[1]);
                vec![body.op(Squeeze, &[captured[0], axis])]
            },
            &|_, captured| vec![captured[0]],
        ],
    );
    // Whatever the rank, it goes on.
    let axis = sketch.constant(&[0i64], &[1]);
    let more = sketch.op(Unsqueeze, &[results[0], axis]);
    let flat = sketch.constant(&[-1i64], &[1]);
    let flat = sketch.op(Reshape { allow_zero: false }, &[more, flat]);
    let back = sketch.op(Concat { axis: 0 }, &[flat, flat]);
    let compiled = compile(&sketch.model(&[results[0], more, back]));
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        let outputs = runner.run(&[yes(), count(&[1, 3])]);
        assert_eq!((&**outputs[0].shape(), &**outputs[1].shape()), (&[3][..], &[1, 3][..]));
        assert_eq!(floats(&outputs[0]), [0., 1., 2.]);
        assert_eq!(floats(&outputs[2]), [0., 1., 2., 0., 1., 2.]);
        let outputs = runner.run(&[no(), count(&[1, 3])]);
        assert_eq!((&**outputs[0].shape(), &**outputs[1].shape()), (&[1, 3][..], &[1, 1, 3][..]));
        assert_eq!(floats(&outputs[1]), [0., 1., 2.]);
        assert_eq!(floats(&outputs[2]), [0., 1., 2., 0., 1., 2.]);
    }
}

#[test]
fn a_branch_that_cannot_run_is_an_error_only_when_it_is_taken() {
    let mut sketch = Sketch::new();
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let x = sketch.open_input("x", F32, &[None]);
    let results = sketch.choice(
        condition,
        &[x],
        1,
        [
            &|body, captured| {
                let two = body.constant(&[2i64, 2], &[2]);
                let square = body.op(Reshape { allow_zero: false }, &[captured[0], two]);
                vec![body.op(Flatten { axis: 0 }, &[square])]
            },
            &|body, captured| vec![body.op(Flatten { axis: 0 }, &[captured[0]])],
        ],
    );
    sketch.graph.nodes[0].name = "choice".into();
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    assert_eq!(floats(&runner.run(&[no(), count(&[3])])[0]), [0., 1., 2.]);
    runner.set(0, yes());
    let never = inferry_core::Stop::never();
    let failure = runner.run_with(inferry_core::Slice::Unlimited, &inferry_core::Serial, never).unwrap_err();
    let text = chain(&failure);
    assert!(text.contains("choice/Reshape #0") && text.contains("f32[3]"), "{text}");
    assert_eq!(floats(&runner.run(&[yes(), count(&[4])])[0]), [0., 1., 2., 3.]);
}

#[test]
fn a_condition_that_follows_from_the_shapes_leaves_no_branch() {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None, Some(2)]);
    let shape = sketch.op(inferry_engine::op::ShapeOf { start: 0, end: Some(1) }, &[x]);
    let condition = sketch.op(inferry_engine::op::Cast { to: ElementType::Bool, saturate: true }, &[shape]);
    // What only the other branch would need is not there at all.
    let results = sketch.choice(
        condition,
        &[x],
        1,
        [
            &|body, captured| vec![body.op(Concat { axis: 0 }, &[captured[0], captured[0]])],
            &|body, captured| {
                let wrong = body.constant(&[7i64, 7], &[2]);
                vec![body.op(Reshape { allow_zero: false }, &[captured[0], wrong])]
            },
        ],
    );
    let y = sketch.op(Identity, &results);
    let compiled = compile(&sketch.model(&[y]));
    assert_eq!(floats(&Runner::new(&compiled).run(&[count(&[1, 2])])[0]), [0., 1., 0., 1.]);
}
