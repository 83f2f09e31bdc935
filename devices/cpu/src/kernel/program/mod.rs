//! Fused elementwise expressions: a node of its own, or the tail of a convolution or product.
//!
//! A program is interpreted, but not number by number: each instruction works on a block of a few hundred numbers that
//! stays in the first-level cache, so choosing what to do costs little beside doing it. Results of instructions live in
//! a few *slots*, given out when the kernel is built; the last instruction writes the output.
//!
//! ```text
//!  x: 512 numbers ─▶ exp ─▶ slot 1 ─▶ + 1 ─▶ slot 1 ─▶ log ─▶ slot 1 ─▶ times x ─▶ output
//! ```
//!
//! Before that the program is [simplified](simplify), and a tail that needs no slots is a [chain], which works in place.
//!
//! What this file does *not* do: it compiles nothing to machine code, and it does not decide what is fused (the engine's
//! pass `fuse` does).
//!
//! # Evidence
//!
//! Zen 5, AVX-512, one thread: the ten instructions of Magika's tanh form of Gelu on 2.1 million numbers took 40 ms while
//! every vector operation in them was a call, because closures stood between the shell and the instructions, and 6 ms since
//! each instruction is a function of its own without any.

mod chain;
mod simplify;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{
    Arg, Binary, Conv, ConvTranspose, Elementwise, Fused, Gemm, MatMul, Op, Program, Step, Unary,
};
use inferry_engine::passes::Fusible;

use super::epilogue::{Epilogue, Row};
use super::functions as f;
use super::pointwise::{Pointwise, has_vector_form};
use super::simple::{simple_with_scratch, spread};
use super::vector::{MapBlock, Numbers, ZipBlock};
use super::walk::Walk;
use super::{BuildError, Builder, Built, conv, conv_transpose, matmul};
use crate::io::Io;
use crate::isa::Isa;
use crate::simd::{Simd, Vectorized, dispatch};
use chain::Chain;
use simplify::{Code, Operation, Place, Zip, simplify};

/// Operands that one program may have; the pass `fuse` stays below.
const OPERANDS: usize = 12;
/// Numbers in a block of a node of its own.
const BLOCK: usize = 512;
/// Numbers in a block of a tail: short, because so are the runs that it is called with.
const TAIL_BLOCK: usize = 128;
/// Slots that a tail may use; a program that needs more becomes a node of its own.
const TAIL_SLOTS: usize = 6;

/// Builds the kernel of a program that is a node of its own.
pub(crate) fn build_elementwise(op: &Elementwise, node: &Builder<'_>) -> Built {
    let expression = Expression::new(&op.program, node, 0, false)?;
    let (_, shape) = node.output(0);
    let phase = spread(shape.count(), expression.picoseconds());
    let scratch = expression.slots * BLOCK * size_of::<f32>();
    simple_with_scratch(phase, scratch, move |io| expression.run(phase.unit, io))
}

/// Builds the kernel of an operator with a program as its tail.
pub(crate) fn build_fused(op: &Fused, node: &Builder<'_>) -> Built {
    let mut inputs = node.inputs[..op.base_inputs].to_vec();
    let mut program = op.program.clone();
    if op.base.downcast::<MatMul>().is_some()
        && let Some((rest, operand)) = peel_bias(&program, node, op.base_inputs)
    {
        inputs.push(node.inputs[operand].clone());
        program = rest;
    }
    let base = Builder { inputs: &inputs, ..*node };
    let tail: Option<Box<dyn Epilogue>> = match program.steps.is_empty() {
        true => None,
        false => Some(tail(Expression::new(&program, node, op.base_inputs, true)?, op, node)),
    };
    if let Some(op) = op.base.downcast::<Conv>() {
        conv::build_conv(op, &base, tail)
    } else if let Some(op) = op.base.downcast::<ConvTranspose>() {
        conv_transpose::build_conv_transpose(op, &base, tail)
    } else if let Some(op) = op.base.downcast::<MatMul>() {
        matmul::build_matmul(op, &base, tail)
    } else if let Some(op) = op.base.downcast::<Gemm>() {
        matmul::build_gemm(op, &base, tail)
    } else {
        Err(BuildError::Operator(op.base.name()))
    }
}

/// The quickest form of a tail.
fn tail(expression: Expression, op: &Fused, node: &Builder<'_>) -> Box<dyn Epilogue> {
    let channels = op.base.downcast::<Conv>().is_some() || op.base.downcast::<ConvTranspose>().is_some();
    match Chain::new(&expression, channels, node) {
        Some(chain) => Box::new(chain),
        None => Box::new(Tail(expression)),
    }
}

/// What the pass `fuse` may make of a graph for this device.
pub(crate) const FUSIBLE: Fusible = Fusible { base: takes_program, step: has_step };

/// Whether the kernel of an operator can have a program as its tail.
fn takes_program(op: &dyn Op) -> bool {
    op.downcast::<Conv>().is_some()
        || op.downcast::<ConvTranspose>().is_some()
        || op.downcast::<MatMul>().is_some()
        || op.downcast::<Gemm>().is_some()
}

/// Whether [`Pointwise`] has a vector form of a step. The others are rare.
fn has_step(step: &Step) -> bool {
    let Step::Unary(function, _) = step else { return true };
    has_vector_form(*function)
}

/// A program that begins by adding a constant number for each column: the rest of it, and the node's input that holds the
/// numbers. Products add those in registers.
fn peel_bias(program: &Program, node: &Builder<'_>, first: usize) -> Option<(Program, usize)> {
    let (Step::Binary(Binary::Add, Arg::Input(0), Arg::Input(bias))
    | Step::Binary(Binary::Add, Arg::Input(bias), Arg::Input(0))) = *program.steps.first()?
    else {
        return None;
    };
    let input = first + bias.checked_sub(1)?;
    let operand = node.inputs.get(input)?.as_ref()?;
    let columns = *node.output(0).1.last()?;
    let used_again = program.steps[1..].iter().flat_map(Step::args).any(|arg| arg == Arg::Input(0));
    if operand.constant.is_none() || operand.shape[..] != [columns] || used_again {
        return None;
    }
    let shift = |arg| match arg {
        Arg::Step(0) => Arg::Input(0),
        Arg::Step(step) => Arg::Step(step - 1),
        input => input,
    };
    let steps = program.steps[1..].iter().map(|step| step.map(shift)).collect();
    Some((Program { inputs: program.inputs, steps }, input))
}

/// Where an instruction finds its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    /// An operand of the program, at the place that the walk gives.
    Operand(usize),
    /// The result of an earlier instruction.
    Slot(usize),
    /// The same number everywhere.
    Number(f32),
}

/// An operation whose arguments have been found a place.
#[derive(Clone, Debug)]
struct Instruction {
    code: Code,
    a: Source,
    b: Source,
    /// The slot of the result; the last instruction has none.
    into: Option<usize>,
}

/// A program bound to shapes.
struct Expression {
    operations: Vec<Operation>,
    /// Where each operand stands for each element of the output.
    walk: Walk<OPERANDS>,
    instructions: Vec<Instruction>,
    slots: usize,
    /// The node's input that is operand 0; a tail has its operand 0 in slot 0.
    first: usize,
    tail: bool,
    isa: Isa,
}

impl Expression {
    /// Binds `program`, whose operands are the node's inputs from `first` on; in a `tail`, operand 0 is what has just been
    /// computed and the others are the inputs from `first` on.
    fn new(
        program: &Program,
        node: &Builder<'_>,
        first: usize,
        tail: bool,
    ) -> Result<Expression, BuildError> {
        let (element, shape) = node.output(0);
        if *element != ElementType::F32 {
            return Err(BuildError::Element { op: "Elementwise", element: *element });
        }
        if program.inputs > OPERANDS || program.steps.is_empty() {
            return Err(BuildError::Form(format!("a program with {} operands", program.inputs)));
        }
        let mut shapes: [&[usize]; OPERANDS] = [&[]; OPERANDS];
        let mut numbers = [None; OPERANDS];
        for operand in usize::from(tail)..program.inputs {
            let input = node.input(first + operand - usize::from(tail))?;
            shapes[operand] = &input.shape;
            let number = input.constant.filter(|constant| constant.len() == 1);
            numbers[operand] = number.and_then(|constant| constant.to_vec::<f32>().ok()?.first().copied());
        }
        if tail {
            shapes[0] = shape;
        }
        let operations = simplify(program, |operand| numbers[operand]);
        let (instructions, slots) = place(&operations, tail);
        let walk = Walk::broadcast(shape, shapes);
        Ok(Expression { operations, walk, instructions, slots, first, tail, isa: node.isa })
    }

    /// Roughly what an element costs.
    fn picoseconds(&self) -> u64 {
        let one = |instruction: &Instruction| match instruction.code {
            // In a program for GELU it was six times the 250 of the others, unoptimised and on a busy machine (2026-11).
            Code::Map(Pointwise::Unary(Unary::Tanh)) => 1000,
            Code::Map(Pointwise::Line(_)) => 50,
            Code::Map(_) => 250,
            Code::Zip(Zip::Pow) => 4000,
            Code::Zip(Zip::Div) => 120,
            Code::Zip(_) => 50,
        };
        100 + self.instructions.iter().map(one).sum::<u64>()
    }

    /// Computes the rows of a call.
    fn run(&self, unit: usize, io: &mut Io<'_>) {
        let out = io.rows::<f32>();
        let start = io.tiles().start * unit;
        let memory = io.scratch::<f32>();
        let mut slots: [&mut [f32]; OPERANDS] = Default::default();
        for (slot, memory) in slots.iter_mut().zip(memory.chunks_exact_mut(BLOCK)) {
            *slot = memory;
        }
        dispatch(self.isa, Run { expression: self, io, start, out, slots: &mut slots, block: BLOCK });
    }
}

/// Gives every operation a slot; in a `tail`, slot 0 holds operand 0. No operation writes where one of its arguments lies,
/// except functions of one number that is not needed any more, which work in place.
fn place(operations: &[Operation], tail: bool) -> (Vec<Instruction>, usize) {
    let count = operations.len();
    let mut last_use = alloc::vec![0; count];
    for (index, operation) in operations.iter().enumerate() {
        for place in [operation.a, operation.b] {
            if let Place::Result(earlier) = place {
                last_use[earlier] = index;
            }
        }
    }
    let mut of_result = alloc::vec![usize::MAX; count];
    let mut busy_until: Vec<usize> = alloc::vec![count; usize::from(tail)];
    let mut instructions = Vec::with_capacity(count);
    for (index, Operation { code, a, b }) in operations.iter().enumerate() {
        let source = |place| match place {
            Place::Operand(0) if tail => Source::Slot(0),
            Place::Operand(operand) => Source::Operand(operand),
            Place::Number(number) => Source::Number(number),
            Place::Result(earlier) => Source::Slot(of_result[earlier]),
        };
        let (a, b) = (source(*a), source(*b));
        let own = match (code, a) {
            (Code::Map(_), Source::Slot(slot)) if busy_until[slot] == index => Some(slot),
            _ => None,
        };
        let into = (index + 1 < count).then(|| {
            let free = own.or_else(|| busy_until.iter().position(|until| *until < index));
            let slot = free.unwrap_or_else(|| {
                busy_until.push(0);
                busy_until.len() - 1
            });
            busy_until[slot] = last_use[index].max(index);
            of_result[index] = slot;
            slot
        });
        instructions.push(Instruction { code: *code, a, b, into });
    }
    (instructions, busy_until.len())
}

/// The program over a range of elements.
struct Run<'a, 'io, 'slot> {
    expression: &'a Expression,
    io: &'a Io<'io>,
    /// Position of the first element in the output.
    start: usize,
    out: &'a mut [f32],
    slots: &'a mut [&'slot mut [f32]],
    block: usize,
}

impl Vectorized for Run<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Run { expression, io, start, out, slots, block } = self;
        let strides = expression.walk.inner().strides;
        for run in expression.walk.runs(start..start + out.len()) {
            let range = run.output.start - start..run.output.end - start;
            for (index, out) in out[range].chunks_mut(block).enumerate() {
                if expression.tail {
                    slots[0][..out.len()].copy_from_slice(out);
                }
                let done = index * block;
                for Instruction { code, a, b, into } in &expression.instructions {
                    let len = out.len();
                    let mut target = into.map(|slot| core::mem::take(&mut slots[slot]));
                    let fetch = |source| match source {
                        Source::Number(number) => Numbers::Same(number),
                        Source::Slot(slot) => Numbers::Each(&slots[slot][..len]),
                        Source::Operand(operand) => {
                            let data = io.input::<f32>(expression.input_of(operand));
                            if strides[operand] == 0 {
                                Numbers::Same(data[run.at[operand]])
                            } else {
                                Numbers::Each(&data[run.at[operand] + done..][..len])
                            }
                        }
                    };
                    let to = match &mut target {
                        Some(target) => &mut target[..len],
                        None => &mut *out,
                    };
                    match code {
                        Code::Map(map) if into.map(Source::Slot) == Some(*a) => map.in_place(s, to),
                        Code::Map(map) => {
                            fetch(*a).copy_to(to);
                            map.in_place(s, to);
                        }
                        Code::Zip(zip) => perform(s, *zip, fetch(*a), fetch(*b), to),
                    }
                    if let (Some(slot), Some(target)) = (into, target) {
                        slots[*slot] = target;
                    }
                }
            }
        }
    }
}

impl Expression {
    /// The node's input that is this operand.
    #[inline(always)]
    fn input_of(&self, operand: usize) -> usize {
        self.first + operand - usize::from(self.tail)
    }
}

/// A function of two numbers over a block.
#[inline(always)]
fn perform<S: Simd>(s: S, zip: Zip, a: Numbers<'_>, b: Numbers<'_>, out: &mut [f32]) {
    match zip {
        Zip::Max => s.call(ZipBlock { zip: f::Max, a, b, out }),
        Zip::Min => s.call(ZipBlock { zip: f::Min, a, b, out }),
        Zip::Add => s.call(ZipBlock { zip: f::Add, a, b, out }),
        Zip::Sub => s.call(ZipBlock { zip: f::Sub, a, b, out }),
        Zip::Mul => s.call(ZipBlock { zip: f::Mul, a, b, out }),
        Zip::Div => s.call(ZipBlock { zip: f::Div, a, b, out }),
        Zip::PRelu => s.call(ZipBlock { zip: f::PRelu, a, b, out }),
        // One at a time unless the exponent is a small whole number.
        Zip::Pow => power(s, a, b, out),
    }
}

/// `a` to the power of `b`.
#[inline(always)]
fn power<S: Simd>(s: S, a: Numbers<'_>, b: Numbers<'_>, out: &mut [f32]) {
    match b {
        Numbers::Same(2.0) => s.call(MapBlock { map: f::Square {}, a, out }),
        Numbers::Same(3.0) => s.call(MapBlock { map: f::Cube {}, a, out }),
        Numbers::Same(0.5) => s.call(MapBlock { map: f::Sqrt {}, a, out }),
        Numbers::Same(-1.0) => s.call(MapBlock { map: f::Reciprocal {}, a, out }),
        _ => {
            for (index, out) in out.iter_mut().enumerate() {
                *out = libm::powf(a.at(index), b.at(index));
            }
        }
    }
}

/// A program as the tail of another operator, when it is no [`Chain`].
struct Tail(Expression);

impl Epilogue for Tail {
    fn apply(&self, row: Row<'_, '_>, values: &mut [f32]) {
        let mut memory = [[0.0f32; TAIL_BLOCK]; TAIL_SLOTS];
        let mut slots: [&mut [f32]; TAIL_SLOTS] = Default::default();
        let used = self.0.slots;
        for (slot, memory) in slots.iter_mut().zip(&mut memory[..used]) {
            *slot = memory;
        }
        let run = Run {
            expression: &self.0,
            io: row.io,
            start: row.offset,
            out: values,
            slots: &mut slots[..used],
            block: TAIL_BLOCK,
        };
        dispatch(self.0.isa, run);
    }
}

#[cfg(test)]
mod tests;
