//! The test bench of the kernels: runs one operator on tensors in several splittings and insists on equal bytes.
//!
//! A kernel promises that its tiles are independent, that it writes every element of its outputs, and that it reads neither
//! workspace nor scratch before it has written them. The bench checks all three: outputs, workspace and scratch start as
//! garbage (another one each time), and the tiles run all at once, one at a time, backwards, and in two halves.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::{Element, ElementType, Shape, Tensor};
use inferry_engine::graph::Fact;
use inferry_engine::op::{Inputs, Op};

use crate::isa::Isa;
use crate::kernel::fault::Fault;
use crate::kernel::{self, Builder, Phase};
use crate::pack::Packs;
use crate::single;

/// Runs `op`, whose inputs are constants where [`Op::value_inputs`] says that values matter, and else come in the run.
///
/// # Panics
/// When the kernel cannot be built or two splittings disagree.
pub(crate) fn run(
    op: &dyn Op,
    inputs: &[Option<Tensor>],
    outputs: &[(ElementType, Shape)],
    isa: Isa,
) -> Vec<Tensor> {
    run_with_constants(op, inputs, op.value_inputs(), outputs, isa)
}

/// As [`run`], with the inputs at these positions as constants.
pub(crate) fn run_with_constants(
    op: &dyn Op,
    inputs: &[Option<Tensor>],
    constants: &[usize],
    outputs: &[(ElementType, Shape)],
    isa: Isa,
) -> Vec<Tensor> {
    infers(op, inputs, outputs);
    let operands: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| Some(single::operand(input.as_ref()?, constants.contains(&index))))
        .collect();
    let packs = Packs::default();
    let node = Builder { inputs: &operands, outputs, isa, packs: &packs };
    let kernel = kernel::build(op, &node).unwrap_or_else(|error| panic!("{}: {error}", op.name()));
    let inputs: Vec<_> = inputs.iter().map(Option::as_ref).collect();
    let mut first: Option<Vec<Tensor>> = None;
    for (index, (name, split)) in SPLITTINGS.iter().enumerate() {
        let poison = [0x5a, 0xff, 0x81, 0x00][index % 4];
        let mut results: Vec<_> =
            outputs.iter().map(|(element, shape)| garbage(*element, shape, poison)).collect();
        single::run_blocks(&*kernel, &inputs, &mut results, poison, split).unwrap();
        for (result, (_, shape)) in results.iter().zip(outputs) {
            assert_eq!(result.shape(), shape, "{} measures its output", op.name());
        }
        match &first {
            None => first = Some(results),
            Some(first) => {
                for (output, (a, b)) in first.iter().zip(&results).enumerate() {
                    let same = match a.element() {
                        ElementType::String => spelled(a) == spelled(b),
                        _ => bytes(a) == bytes(b),
                    };
                    assert!(same, "{}: output {output} differs when run {name}", op.name());
                }
            }
        }
    }
    first.expect("at least one splitting")
}

/// The only output of `op` on the inputs given, all of which are there.
pub(crate) fn run_one<T: Element>(op: &dyn Op, inputs: &[&Tensor], shape: impl Into<Shape>) -> Vec<T> {
    let inputs: Vec<_> = inputs.iter().map(|input| Some(Tensor::clone(input))).collect();
    run(op, &inputs, &[(T::TYPE, shape.into())], Isa::portable())[0].to_vec().unwrap()
}

/// Why `op` fails on these inputs, which come in the run unless [`Op::value_inputs`] says that values matter.
///
/// # Panics
/// When the kernel cannot be built or does not fail.
pub(crate) fn fault_of(op: &dyn Op, inputs: &[&Tensor], outputs: &[(ElementType, Shape)]) -> Fault {
    let constant = |index: usize| op.value_inputs().contains(&index);
    let operands = inputs.iter().enumerate();
    let operands: Vec<_> =
        operands.map(|(index, tensor)| Some(single::operand(tensor, constant(index)))).collect();
    let node = Builder { inputs: &operands, outputs, isa: Isa::portable(), packs: &Packs::default() };
    let kernel = kernel::build(op, &node).unwrap_or_else(|error| panic!("{}: {error}", op.name()));
    let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
    let mut results: Vec<_> = outputs.iter().map(|(element, shape)| garbage(*element, shape, 0x5a)).collect();
    match single::run(&*kernel, &inputs, &mut results) {
        Err(single::SingleError::Fault(fault)) => fault,
        other => panic!("{}: {other:?}", op.name()),
    }
}

/// As [`run_one`], of strings.
pub(crate) fn run_strings(op: &dyn Op, inputs: &[&Tensor], shape: impl Into<Shape>) -> Vec<String> {
    let inputs: Vec<_> = inputs.iter().map(|input| Some(Tensor::clone(input))).collect();
    let results = run(op, &inputs, &[(ElementType::String, shape.into())], Isa::portable());
    spelled(&results[0])
}

/// A tensor of these strings.
pub(crate) fn strings(strings: &[&str], shape: impl Into<Shape>) -> Tensor {
    Tensor::from_strings(strings, shape).unwrap()
}

/// The strings of a tensor.
pub(crate) fn spelled(tensor: &Tensor) -> Vec<String> {
    tensor.strings().unwrap().iter().map(String::from).collect()
}

/// A tensor of these values.
pub(crate) fn tensor<T: Element>(values: &[T], shape: impl Into<Shape>) -> Tensor {
    Tensor::from_slice(values, shape).unwrap()
}

/// Numbers between -1 and 1 that look random and are the same in every run.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Asserts that every pair of numbers is within `absolute + relative * |wanted|`, or both are the same non-finite number.
#[track_caller]
pub(crate) fn assert_close(actual: &[f32], wanted: &[f32], absolute: f32, relative: f32) {
    assert_eq!(actual.len(), wanted.len());
    for (index, (a, w)) in actual.iter().zip(wanted).enumerate() {
        let same = a == w || (a.is_nan() && w.is_nan()) || (a - w).abs() <= absolute + relative * w.abs();
        let near = index.saturating_sub(4)..(index + 4).min(actual.len());
        assert!(
            same,
            "element {index} of {}: {:?} is not {:?}",
            actual.len(),
            &actual[near.clone()],
            &wanted[near]
        );
    }
}

/// Asserts that the outputs that a test asks for are what the operator says of them.
fn infers(op: &dyn Op, inputs: &[Option<Tensor>], outputs: &[(ElementType, Shape)]) {
    let facts: Vec<_> = inputs.iter().map(|input| Some(Fact::constant(input.clone()?))).collect();
    let facts: Vec<_> = facts.iter().map(Option::as_ref).collect();
    let inferred = op.infer(&Inputs::new(&facts, outputs.len()));
    let inferred = inferred.unwrap_or_else(|error| panic!("{}: {error}", op.name()));
    for (fact, (element, shape)) in inferred.iter().zip(outputs) {
        let inferred = fact.shape.fixed().or(op.data_sized().then(|| shape.clone()));
        assert_eq!((fact.element, inferred.as_ref()), (*element, Some(shape)), "{}", op.name());
    }
}

/// How the tiles of a phase are cut into blocks.
type Splitting = fn(Phase) -> Vec<Range<usize>>;

const SPLITTINGS: [(&str, Splitting); 4] = [
    ("at once", |phase| core::iter::once(0..phase.tiles).collect()),
    ("tile by tile", |phase| (0..phase.tiles).map(|tile| tile..tile + 1).collect()),
    ("backwards", |phase| {
        let mut tiles: Vec<_> = (0..phase.tiles).map(|tile| tile..tile + 1).collect();
        if !phase.serial {
            tiles.reverse();
        }
        tiles
    }),
    ("in two halves", |phase| {
        let (middle, end) = (phase.tiles / 2, phase.tiles);
        if phase.serial { vec![0..middle, middle..end] } else { vec![middle..end, 0..middle] }
    }),
];

fn garbage(element: ElementType, shape: &Shape, fill: u8) -> Tensor {
    let tensor = Tensor::zeros(element, shape);
    tensor.lease_write().unwrap().bytes_mut().fill(fill);
    tensor
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.lease_read().unwrap().bytes().to_vec()
}
