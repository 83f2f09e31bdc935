//! Random graphs: what a plan computes is what its nodes compute one by one.
//!
//! Each graph is grown node by node, and every node is computed at once by itself; so each value has its right answer before
//! the graph is planned. The graphs have reshapes, joins, parts, constants, branches within branches, values used many
//! times and never, and any value may be an output.

mod support;

use inferry_core::{ElementType, Parallel, Serial, Slice as Turns, Stop, Tensor};
use inferry_cpu::{Isa, single};
use inferry_engine::graph::{Fact, ValueId};
use inferry_engine::op::{
    Binary, Concat, Flatten, Gather, Identity, Inputs, Op, Pad, PadMode, Reshape, Slice, Split, Tile,
    Transpose, Unary, Unsqueeze,
};
use support::*;

/// No value has more elements.
const LARGEST: usize = 600;

#[test]
fn planned_graphs_compute_what_their_nodes_compute() {
    for seed in 0..300 {
        check(seed);
    }
}

fn check(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut sketch = Sketch::new();
    let mut inputs = Vec::new();
    let mut known = Vec::new();
    for index in 0..2 + random.below(3) {
        let shape: Vec<_> = (0..random.below(4)).map(|_| 1 + random.below(5)).collect();
        let tensor = count(&shape);
        let id = if random.below(2) == 0 {
            sketch.input(&format!("x{index}"), ElementType::F32, &shape)
        } else {
            sketch.open_input(&format!("x{index}"), ElementType::F32, &vec![None; shape.len()])
        };
        known.push((id, tensor.clone()));
        inputs.push(tensor);
    }
    // What bodies are handed besides: the shape of a flat tensor, and three conditions.
    let flat = tensor(&[-1i64], &[1]);
    inputs.push(flat.clone());
    let mut fixed = vec![(sketch.input("flat", ElementType::I64, &[1]), flat)];
    fixed.extend((0..3).map(|index| {
        let tensor = tensor(&[random.below(2) == 0], &[]);
        inputs.push(tensor.clone());
        (sketch.input(&format!("condition{index}"), ElementType::Bool, &[]), tensor)
    }));
    let nodes = 3 + random.below(25);
    grow(&mut sketch, &mut known, &fixed, nodes, 2, &mut random);
    let outputs: Vec<_> =
        (0..1 + random.below(5)).map(|_| known[random.below(known.len())].clone()).collect();
    let ids: Vec<_> = outputs.iter().map(|(id, _)| *id).collect();
    let model = sketch.model(&ids);
    let compiled = compile(&model);
    let mut runner = Runner::new(&compiled);
    for (port, tensor) in inputs.into_iter().enumerate() {
        runner.set(port, tensor);
    }
    let ways: [(Turns<'_>, &dyn Parallel); 3] =
        [(Turns::Unlimited, &Serial), (Turns::Looks(1), &Serial), (Turns::Unlimited, &Threads(2))];
    for (slice, parallel) in ways {
        let ran = runner.run_with(slice, parallel, Stop::never());
        ran.unwrap_or_else(|error| panic!("seed {seed}: {}", chain(&error)));
        for (port, ((_, wanted), output)) in outputs.iter().zip(runner.outputs()).enumerate() {
            assert_eq!(output.shape(), wanted.shape(), "seed {seed}, output {port}");
            assert!(bytes(&output) == bytes(wanted), "seed {seed}, output {port}");
        }
    }
}

/// Adds so many nodes on what is known.
fn grow(
    sketch: &mut Sketch,
    known: &mut Vec<(ValueId, Tensor)>,
    fixed: &[(ValueId, Tensor)],
    nodes: usize,
    depth: usize,
    random: &mut Random,
) {
    for _ in 0..nodes {
        if depth > 0 && random.below(6) == 0 {
            choice(sketch, known, fixed, depth, random);
        } else {
            node(sketch, known, &fixed[0], random);
        }
    }
}

fn node(
    sketch: &mut Sketch,
    known: &mut Vec<(ValueId, Tensor)>,
    flat: &(ValueId, Tensor),
    random: &mut Random,
) {
    let (x, tensor) = known[random.below(known.len())].clone();
    let shape: Vec<usize> = tensor.shape().to_vec();
    let rank = shape.len();
    let axis = |random: &mut Random| random.below(rank.max(1)) as i64;
    match random.below(12) {
        0 => {
            let mut perm: Vec<_> = (0..rank).collect();
            for at in (1..rank).rev() {
                perm.swap(at, random.below(at + 1));
            }
            add(sketch, known, Transpose { perm: Some(perm) }, &[(x, tensor)], 1);
        }
        1 => add(sketch, known, Flatten { axis: axis(random) }, &[(x, tensor)], 1),
        2 => {
            // Sometimes the shape comes with the run.
            let to = if random.below(3) == 0 { flat.clone() } else { constant(sketch, &[-1], &[1]) };
            add(sketch, known, Reshape { allow_zero: false }, &[(x, tensor), to], 1);
        }
        3 if rank < 6 => {
            let axes = constant(sketch, &[axis(random)], &[1]);
            add(sketch, known, Unsqueeze, &[(x, tensor), axes], 1);
        }
        4 if rank > 0 => {
            let axis = axis(random);
            let fits = |other: &Tensor| {
                other.shape().rank() == rank
                    && (0..rank).all(|dim| dim == axis as usize || other.shape()[dim] == shape[dim])
            };
            let others: Vec<_> = known.iter().filter(|(_, other)| fits(other)).cloned().collect();
            let inputs: Vec<_> =
                (0..1 + random.below(3)).map(|_| others[random.below(others.len())].clone()).collect();
            add(sketch, known, Concat { axis }, &inputs, 1);
        }
        5 if rank > 0 => {
            let axis = axis(random);
            let extent = shape[axis as usize];
            let start = random.below(extent + 1);
            let end = start + random.below(extent - start + 1);
            let starts = constant(sketch, &[start as i64], &[1]);
            let ends = constant(sketch, &[end as i64], &[1]);
            let axes = constant(sketch, &[axis], &[1]);
            add(sketch, known, Slice, &[(x, tensor), starts, ends, axes], 1);
        }
        6 if rank > 0 => {
            let axis = axis(random);
            let parts = 1 + random.below(shape[axis as usize].clamp(1, 3));
            if shape[axis as usize] >= parts && parts > 0 {
                add(sketch, known, Split { axis, num_outputs: Some(parts) }, &[(x, tensor)], parts);
            }
        }
        7 if rank > 0 => {
            let pads: Vec<_> = (0..2 * rank).map(|_| random.below(3) as i64).collect();
            let pads = constant(sketch, &pads, &[2 * rank]);
            add(sketch, known, Pad { mode: PadMode::Constant }, &[(x, tensor), pads], 1);
        }
        8 if rank > 0 => {
            let repeats: Vec<_> = (0..rank).map(|_| 1 + random.below(2) as i64).collect();
            let repeats = constant(sketch, &repeats, &[rank]);
            add(sketch, known, Tile, &[(x, tensor), repeats], 1);
        }
        9 if rank > 0 && shape[0] > 0 => {
            let indices: Vec<_> = (0..1 + random.below(3)).map(|_| random.below(shape[0]) as i64).collect();
            let indices = constant(sketch, &indices, &[indices.len()]);
            add(sketch, known, Gather { axis: 0 }, &[(x, tensor), indices], 1);
        }
        10 => add(sketch, known, Unary::Neg, &[(x, tensor)], 1),
        11 => {
            let same: Vec<_> =
                known.iter().filter(|(_, other)| other.shape() == tensor.shape()).cloned().collect();
            let other = same[random.below(same.len())].clone();
            add(sketch, known, Binary::Add, &[(x, tensor), other], 1);
        }
        _ => add(sketch, known, Identity, &[(x, tensor)], 1),
    }
}

fn constant(sketch: &mut Sketch, values: &[i64], shape: &[usize]) -> (ValueId, Tensor) {
    (sketch.constant(values, shape), tensor(values, shape))
}

/// Adds a node and computes it by itself.
fn add(
    sketch: &mut Sketch,
    known: &mut Vec<(ValueId, Tensor)>,
    op: impl Op,
    inputs: &[(ValueId, Tensor)],
    outputs: usize,
) {
    let facts: Vec<_> = inputs.iter().map(|(_, tensor)| Fact::constant(tensor.clone())).collect();
    let facts: Vec<_> = facts.iter().map(Some).collect();
    let Ok(inferred) = op.infer(&Inputs::new(&facts, outputs)) else { return };
    let shapes: Vec<_> = inferred.iter().map(|fact| (fact.element, fact.shape.fixed().unwrap())).collect();
    if shapes.iter().any(|(_, shape)| shape.count() > LARGEST) {
        return;
    }
    let tensors: Vec<_> = inputs.iter().map(|(_, tensor)| Some(tensor)).collect();
    let name = op.name();
    let results = single::evaluate(&op, &tensors, &shapes, Isa::portable());
    let results = results.unwrap_or_else(|error| panic!("{name}: {error}"));
    let ids: Vec<_> = inputs.iter().map(|(id, _)| *id).collect();
    known.extend(sketch.ops(op, &ids, outputs).into_iter().zip(results));
}

/// Adds an If with random bodies; their results, of whatever shapes, are known afterwards.
fn choice(
    sketch: &mut Sketch,
    known: &mut Vec<(ValueId, Tensor)>,
    fixed: &[(ValueId, Tensor)],
    depth: usize,
    random: &mut Random,
) {
    let (condition, truth) = fixed[1 + random.below(fixed.len() - 1)].clone();
    let taken = bytes(&truth)[0] != 0;
    // Everything may be captured.
    let captured: Vec<_> = known.iter().chain(fixed).cloned().collect();
    let ids: Vec<_> = captured.iter().map(|(id, _)| *id).collect();
    let outputs = 1 + random.below(2);
    let random = std::cell::RefCell::new(random);
    let results = std::cell::RefCell::new(Vec::new());
    let write = |sketch: &mut Sketch, inputs: &[ValueId], this: bool| {
        let mut random = random.borrow_mut();
        let mut inside: Vec<_> =
            inputs.iter().zip(&captured).map(|(id, (_, tensor))| (*id, tensor.clone())).collect();
        let fixed = inside.split_off(inside.len() - fixed.len());
        let nodes = random.below(6);
        grow(sketch, &mut inside, &fixed, nodes, depth - 1, &mut random);
        let chosen: Vec<_> = (0..outputs).map(|_| inside[random.below(inside.len())].clone()).collect();
        if this == taken {
            *results.borrow_mut() = chosen.iter().map(|(_, tensor)| tensor.clone()).collect();
        }
        chosen.into_iter().map(|(id, _)| id).collect()
    };
    let made = sketch.choice(
        condition,
        &ids,
        outputs,
        [&|sketch, inputs| write(sketch, inputs, true), &|sketch, inputs| write(sketch, inputs, false)],
    );
    known.extend(made.into_iter().zip(results.into_inner()));
}
