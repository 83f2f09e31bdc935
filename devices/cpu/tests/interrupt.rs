//! Runs that are stopped, sliced and spread: whatever happens, the bytes are those of an undisturbed run.

mod support;

use std::sync::Arc;

use inferry_core::device::CompiledModel;
use inferry_core::{ElementType, Parallel, Serial, Slice, Stop, Tensor};
use inferry_engine::Model;
use inferry_engine::op::{Concat, Gather, Pad, PadMode, Reshape, Tile, Transpose, Unary};
use support::*;

const F32: ElementType = ElementType::F32;

/// Some megabytes of work in several nodes, one of them chosen by a condition; one input is bound strided.
fn model() -> Model {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None, Some(300)]);
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let repeats = sketch.constant(&[2i64, 3], &[2]);
    let tiled = sketch.op(Tile, &[turned, repeats]);
    let chosen = sketch.choice(
        condition,
        &[tiled],
        1,
        [
            &|body, captured| {
                let backwards: Vec<i64> = (0..600).rev().collect();
                let backwards = body.constant(&backwards, &[600]);
                vec![body.op(Gather { axis: 0 }, &[captured[0], backwards])]
            },
            &|_, captured| vec![captured[0]],
        ],
    );
    let pads = sketch.constant(&[1i64, 2, 3, 4], &[4]);
    let padded = sketch.op(Pad { mode: PadMode::Constant }, &[chosen[0], pads]);
    let flat = sketch.constant(&[-1i64], &[1]);
    let padded = sketch.op(Reshape { allow_zero: false }, &[padded, flat]);
    let other = sketch.op(Reshape { allow_zero: false }, &[tiled, flat]);
    let y = sketch.op(Concat { axis: 0 }, &[padded, other]);
    let trips = sketch.constant(&[3i64], &[]);
    // What is carried grows, what is scanned is large, and both are computed from what is outside.
    let looped = sketch.looped((Some(trips), None), &[turned], &[x], &|body, _, inputs| {
        let (carried, x) = (inputs[0], inputs[1]);
        let longer = body.op(Concat { axis: 1 }, &[carried, carried]);
        (None, vec![longer, body.op(Transpose { perm: None }, &[x])])
    });
    sketch.model(&[y, turned, looped[0], looped[1]])
}

fn inputs() -> [Tensor; 2] {
    let picture = count(&[900, 400]);
    [picture.region(&[20..820, 30..330]).unwrap(), tensor(&[true], &[])]
}

fn runner(compiled: &Arc<dyn CompiledModel>) -> Runner {
    let mut runner = Runner::new(compiled);
    for (port, tensor) in inputs().into_iter().enumerate() {
        runner.set(port, tensor);
    }
    runner
}

type Outputs = Vec<(inferry_core::Shape, Vec<u8>)>;

fn undisturbed(compiled: &Arc<dyn CompiledModel>) -> Outputs {
    let mut runner = runner(compiled);
    runner.run_with(Slice::Unlimited, &Serial, Stop::never()).unwrap();
    assert_eq!(runner.polls, 1);
    runner.bytes()
}

#[test]
fn a_run_stopped_at_any_look_ends_as_cancelled_and_the_next_one_is_right() {
    let compiled = compile(&model());
    let wanted = undisturbed(&compiled);
    let mut runner = runner(&compiled);
    let mut cancelled = 0;
    for look in 1.. {
        let stop = StopAt::look(look);
        match runner.run_with(Slice::Unlimited, &Serial, Stop::new(&stop)) {
            Ok(()) => break,
            Err(failure) => assert!(is_cancelled(&failure), "{failure}"),
        }
        cancelled += 1;
        runner.run_with(Slice::Unlimited, &Serial, Stop::never()).unwrap();
        assert!(runner.bytes() == wanted, "after a stop at look {look}");
    }
    assert!(cancelled >= 8, "{cancelled} looks");
    assert!(runner.bytes() == wanted);
}

#[test]
fn a_stop_while_planning_is_a_cancel_too() {
    let wanted = undisturbed(&compile(&model()));
    for look in 1..8 {
        // A fresh model each time: nothing is planned.
        let compiled = compile(&model());
        let mut runner = runner(&compiled);
        let failure = runner.run_with(Slice::Unlimited, &Serial, Stop::new(&StopAt::look(look))).unwrap_err();
        assert!(is_cancelled(&failure));
        runner.run_with(Slice::Unlimited, &Serial, Stop::never()).unwrap();
        assert!(runner.bytes() == wanted, "after a stop at look {look}");
    }
}

#[test]
fn a_plan_is_made_in_slices_and_forgotten_with_its_run() {
    let mut sketch = Sketch::new();
    let mut x = sketch.open_input("x", F32, &[None]);
    for _ in 0..600 {
        x = sketch.op(Transpose { perm: None }, &[x]);
        x = sketch.op(Unary::Neg, &[x]);
    }
    let model = sketch.model(&[x]);
    let input = count(&[7]);
    let mut wanted = Runner::new(&compile(&model));
    wanted.run(std::slice::from_ref(&input));
    let mut runner = Runner::new(&compile(&model));
    runner.set(0, input);
    // The steps of such a run are one look or two: nearly all of these polls are spent on the plan.
    for left in [1, 5, 12] {
        runner.abandon_after(left);
        assert_eq!(runner.polls, left, "it stands still after {left} looks");
    }
    runner.run_with(Slice::Looks(1), &Serial, Stop::never()).unwrap();
    let planned = runner.polls;
    assert!(runner.bytes() == wanted.bytes());
    runner.run_with(Slice::Looks(1), &Serial, Stop::never()).unwrap();
    assert!(planned > runner.polls + 12, "{planned} polls with a plan to make, {} without", runner.polls);
}

#[test]
fn slices_of_any_length_give_the_same_bytes() {
    let compiled = compile(&model());
    let wanted = undisturbed(&compiled);
    let mut polls = usize::MAX;
    for looks in [1, 2, 3, 7, 1000] {
        let mut runner = runner(&compiled);
        runner.run_with(Slice::Looks(looks), &Serial, Stop::never()).unwrap();
        assert!(runner.bytes() == wanted, "in slices of {looks} looks");
        assert!(runner.polls < polls || runner.polls == 1, "{} polls", runner.polls);
        polls = runner.polls;
    }
    assert_eq!(polls, 1);
}

#[test]
fn a_run_that_was_left_in_the_middle_is_forgotten_by_the_next() {
    let compiled = compile(&model());
    let wanted = undisturbed(&compiled);
    let mut runner = runner(&compiled);
    for left in 1..12 {
        runner.abandon_after(left);
        runner.run_with(Slice::Unlimited, &Serial, Stop::never()).unwrap();
        assert!(runner.bytes() == wanted, "after {left} polls");
    }
}

#[test]
fn several_threads_give_the_same_bytes() {
    let compiled = compile(&model());
    let wanted = undisturbed(&compiled);
    for parallel in [&Threads(2) as &dyn Parallel, &Threads(5)] {
        let mut runner = runner(&compiled);
        for slice in [Slice::Unlimited, Slice::Looks(1)] {
            runner.run_with(slice, parallel, Stop::never()).unwrap();
            assert!(runner.bytes() == wanted, "on {} threads", parallel.width());
        }
    }
}

#[test]
fn a_run_may_change_its_threads_from_turn_to_turn() {
    let compiled = compile(&model());
    let wanted = undisturbed(&compiled);
    let mut runner = runner(&compiled);
    runner.run_turns(|poll| (Slice::Looks(1), if poll % 2 == 0 { &Threads(2) } else { &Serial })).unwrap();
    assert!(runner.bytes() == wanted);
}
