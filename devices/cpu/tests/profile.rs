//! What a profile says of the nodes of a run, by a clock of the test.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inferry_core::device::Work;
use inferry_core::{Clock, ElementType, NodeStatus, Serial, Slice, Stop};
use inferry_cpu::Options;
use inferry_engine::op::{Concat, Transpose, Unary};
use support::*;

/// Every look at it takes ten nanoseconds.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> u64 {
        self.0.fetch_add(10, Ordering::Relaxed)
    }
}

fn measured() -> Options {
    Options { profile: Some(Arc::new(Ticking(AtomicU64::new(0)))), ..Options::default() }
}

/// Name, operator, status, nanoseconds and turns of each node.
fn told(work: &dyn Work) -> Vec<(String, &'static str, NodeStatus, u64, u32)> {
    let profile = work.profile();
    profile
        .iter()
        .map(|node| (node.name.to_string(), node.operator, node.status, node.nanos, node.turns))
        .collect()
}

#[test]
fn each_node_is_told_of_and_forgotten_when_the_next_run_begins() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::F32, &[2, 2]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let y = sketch.op(Concat { axis: 0 }, &[turned, x]);
    sketch.graph.nodes[0].name = "turn".into();
    let compiled = compile_with(&sketch.model(&[y]), &measured());
    let mut runner = Runner::new(&compiled);
    let row = |name: &str, op, status, nanos, turns| (name.to_string(), op, status, nanos, turns);
    let not_run = [
        row("turn", "Transpose", NodeStatus::NotRun, 0, 0),
        row("Concat #1", "Concat", NodeStatus::NotRun, 0, 0),
    ];
    assert_eq!(told(&*runner.work), not_run);
    let executed = [
        row("turn", "Transpose", NodeStatus::Executed, 10, 1),
        row("Concat #1", "Concat", NodeStatus::Executed, 10, 1),
    ];
    for _ in 0..2 {
        runner.run(&[count(&[2, 2])]);
        assert_eq!(told(&*runner.work), executed);
    }
    // An interrupted node has a turn before the interruption and one after it.
    runner.run_with(Slice::Looks(1), &Serial, Stop::never()).unwrap();
    assert!(told(&*runner.work).iter().map(|node| node.4).sum::<u32>() >= 3, "{:?}", told(&*runner.work));
}

#[test]
fn a_branch_tells_which_of_its_nodes_ran() {
    let mut sketch = Sketch::new();
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let x = sketch.input("x", ElementType::F32, &[2]);
    let one = |unary: Unary| move |body: &mut Sketch, inputs: &[_]| vec![body.op(unary, &inputs[..1])];
    let y = sketch.choice(condition, &[x], 1, [&one(Unary::Exp), &one(Unary::Log)]);
    sketch.graph.nodes[0].name = "choice".into();
    let compiled = compile_with(&sketch.model(&y), &measured());
    let mut runner = Runner::new(&compiled);
    runner.run(&[tensor(&[true], &[]), count(&[2])]);
    let status = |operator: &str| {
        let nodes = told(&*runner.work);
        nodes.iter().find(|node| node.1 == operator).unwrap_or_else(|| panic!("{nodes:?}")).clone()
    };
    assert_eq!(status("Exp").2, NodeStatus::Executed);
    assert_eq!(status("Log").2, NodeStatus::NotRun);
    assert!(status("Exp").0.starts_with("choice/"), "{:?}", status("Exp"));
    let whole = status("If");
    assert_eq!((whole.0.as_str(), whole.2), ("choice", NodeStatus::Executed));
    assert!(whole.3 >= status("Exp").3);
}

#[test]
fn a_model_that_was_not_asked_to_measure_has_an_empty_list() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::F32, &[2, 2]);
    let y = sketch.op(Transpose { perm: None }, &[x]);
    let compiled = compile_with(&sketch.model(&[y]), &Options::default());
    let mut runner = Runner::new(&compiled);
    runner.run(&[count(&[2, 2])]);
    assert_eq!(told(&*runner.work), []);
}

#[test]
fn the_nodes_in_a_loop_are_told_of_with_all_their_trips() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::F32, &[2, 2]);
    let trips = sketch.input("trips", ElementType::I64, &[]);
    // What is carried grows, so that each trip has a plan of its own.
    let results = sketch.looped((Some(trips), None), &[x], &[], &|body, _, inputs| {
        (None, vec![body.op(Concat { axis: 0 }, &[inputs[0], inputs[0]])])
    });
    sketch.graph.nodes[0].name = "loop".into();
    let compiled = compile_with(&sketch.model(&results), &measured());
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        runner.run(&[count(&[2, 2]), tensor(&[3i64], &[])]);
        let told = told(&*runner.work);
        let of = |name: &str| told.iter().find(|node| node.0 == name).map(|node| (node.2, node.4));
        assert_eq!(of("loop/Concat #0"), Some((NodeStatus::Executed, 3)), "{told:?}");
        assert_eq!(of("loop"), Some((NodeStatus::Executed, 3)), "{told:?}");
    }
}
