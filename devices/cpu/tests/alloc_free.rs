//! A warm run takes no memory: every allocation of this process is counted.
//!
//! One test, for others beside it would be counted too.

#[path = "../../../core/tests/counting/mod.rs"]
mod counting;
mod support;

use inferry_core::{ElementType, Parallel, Serial, Slice, Stop, Tensor};
use inferry_cpu::Options;
use inferry_engine::Model;
use inferry_engine::op::{
    self, Cast, Concat, Flatten, Pad, PadMode, Reshape, ShapeOf, Squeeze, StringConcat, Tile, TopK,
    Transpose, Unsqueeze,
};
use support::*;

/// So many of two threads' worth of bodies, one after the other on this thread.
struct Pretend(usize);

impl Parallel for Pretend {
    fn width(&self) -> usize {
        self.0
    }

    fn max_width(&self) -> usize {
        2
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(body);
    }
}

/// Several nodes, a choice, and a result whose shape hangs on the choice.
fn model(rows: Option<usize>) -> Model {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", ElementType::F32, &[rows, Some(200)]);
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let repeats = sketch.constant(&[2i64, 3], &[2]);
    let tiled = sketch.op(Tile, &[turned, repeats]);
    let pads = sketch.constant(&[1i64, 2, 3, 4], &[4]);
    let padded = sketch.op(Pad { mode: PadMode::Constant }, &[tiled, pads]);
    let chosen = sketch.choice(
        condition,
        &[x],
        1,
        [&|body, captured| vec![body.op(Flatten { axis: 0 }, &[captured[0]])], &|body, captured| {
            let axis = body.constant(&[0i64], &[1]);
            let row = body.op(Flatten { axis: 0 }, &[captured[0]]);
            vec![body.op(Squeeze, &[row, axis])]
        }],
    );
    let flat = sketch.constant(&[-1i64], &[1]);
    let late = sketch.op(Reshape { allow_zero: false }, &[chosen[0], flat]);
    let late = sketch.op(Concat { axis: 0 }, &[late, late]);
    // A loop whose values keep their shape, with a row whose shape is told from numbers; and one whose values grow.
    let trips = sketch.constant(&[3i64], &[]);
    let same = sketch.looped((Some(trips), None), &[x], &[x], &|body, trip, inputs| {
        let turned = body.op(Transpose { perm: Some(vec![1, 0]) }, &[inputs[0]]);
        let back = body.op(Transpose { perm: Some(vec![1, 0]) }, &[turned]);
        let both = body.op(Concat { axis: 0 }, &[back, inputs[1]]);
        let axes = body.constant(&[0i64], &[1]);
        let from = body.op(Unsqueeze, &[trip, axes]);
        let to = body.constant(&[60i64], &[1]);
        let part = body.op(op::Slice, &[both, from, to, axes]);
        (None, vec![back, body.op(ShapeOf { start: 0, end: None }, &[part])])
    });
    let growing = sketch.looped((Some(trips), Some(condition)), &[x], &[], &|body, _, inputs| {
        (None, vec![body.op(Concat { axis: 0 }, &[inputs[0], inputs[0]])])
    });
    sketch.model(&[padded, late, same[0], same[1], growing[0]])
}

#[test]
fn a_warm_run_of_a_repeated_shape_takes_no_memory() {
    counting::counted(warm_runs);
}

fn warm_runs() {
    numbers();
    threads_that_come_later();
    strings();
}

fn numbers() {
    for rows in [Some(150), None] {
        let compiled = compile_with(&model(rows), &Options::default());
        let mut runner = Runner::new(&compiled);
        let picture = count(&[400, 300]);
        runner.set(0, picture.region(&[50..200, 70..270]).unwrap());
        let conditions = [tensor(&[true], &[]), tensor(&[false], &[])];
        let allocations = |runner: &mut Runner, slice: Slice<'_>, parallel: &dyn Parallel| {
            let before = counting::taken();
            runner.run_with(slice, parallel, Stop::never()).unwrap();
            counting::taken() - before
        };
        let wide: [(Slice<'_>, &dyn Parallel); 3] =
            [(Slice::Unlimited, &Serial), (Slice::Looks(1), &Serial), (Slice::Looks(2), &Pretend(2))];
        // Both branches and all widths once, to get warm; the late output changes its shape with the branch, which a fresh
        // tensor has to hold, so only runs of the same branch are compared.
        for condition in &conditions {
            runner.set(1, Tensor::clone(condition));
            let cold: usize =
                wide.iter().map(|(slice, parallel)| allocations(&mut runner, *slice, *parallel)).sum();
            assert!(cold > 0, "nothing is counted");
            for (slice, parallel) in wide {
                assert_eq!(allocations(&mut runner, slice, parallel), 0, "{rows:?} rows");
            }
        }
    }
}

/// Each thread has scratch of its own, and there is some for all that may come before they do.
fn threads_that_come_later() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::F32, &[400, 300]);
    let k = sketch.constant(&[5i64], &[1]);
    let largest = sketch.op(TopK { axis: 1, largest: true }, &[x, k]);
    let mut runner = Runner::new(&compile(&sketch.model(&[largest])));
    runner.set(0, count(&[400, 300]));
    let taken = [1, 1, 2].map(|threads| {
        let before = counting::taken();
        runner.run_with(Slice::Unlimited, &Pretend(threads), Stop::never()).unwrap();
        counting::taken() - before
    });
    assert!(taken[0] > 0 && taken[1..] == [0; 2], "{taken:?}");
}

/// Strings as inputs, made, and as outputs: the table of a run and the strings of an output keep their room.
fn strings() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::String, &[40]);
    let n = sketch.input("n", ElementType::F32, &[40]);
    let printed = sketch.op(Cast { to: ElementType::String, saturate: true }, &[n]);
    let said = sketch.op(StringConcat, &[x, printed]);
    let mut runner = Runner::new(&compile(&sketch.model(&[said])));
    let words: Vec<String> = (0..40).map(|index| format!("number {index}: ")).collect();
    runner.set(0, Tensor::from_strings(&words, [40]).unwrap());
    runner.set(1, count(&[40]));
    let mut taken = [0; 4];
    for taken in &mut taken {
        let before = counting::taken();
        runner.run_with(Slice::Unlimited, &Serial, Stop::never()).unwrap();
        *taken = counting::taken() - before;
    }
    assert!(taken[0] > 0 && taken[1..] == [0; 3], "{taken:?}");
    assert_eq!(runner.outputs()[0].strings().unwrap().get(&[7]), Some("number 7: 7"));
}
