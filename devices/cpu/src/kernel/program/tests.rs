//! Programs alone and as tails, against their steps one element at a time.

use super::*;
use crate::kernel::testing;
use alloc::sync::Arc;
use alloc::vec;
use inferry_core::{Shape, Tensor};
use inferry_engine::op::{Padding, Window};

/// Numbers between -2 and 2 in no order.
fn numbers(extents: &[usize], seed: u32) -> Tensor {
    let shape = Shape::new(extents).unwrap();
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    let values: Vec<f32> = core::iter::repeat_with(next).take(shape.count()).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// The same program, one step and one element at a time.
fn reference(program: &Program, operands: &[Tensor], shape: &Shape) -> Vec<f32> {
    let data: Vec<Vec<f32>> = operands.iter().map(|operand| operand.to_vec().unwrap()).collect();
    let mut shapes: [&[usize]; OPERANDS] = [&[]; OPERANDS];
    for (slot, operand) in shapes.iter_mut().zip(operands) {
        *slot = operand.shape();
    }
    let walk = Walk::broadcast(shape, shapes);
    let element = |index: usize| {
        let at = walk.at(index);
        let mut results: Vec<f32> = Vec::new();
        for step in &program.steps {
            let value = |arg: Arg, results: &[f32]| match arg {
                Arg::Input(operand) => data[operand][at[operand]],
                Arg::Step(step) => results[step],
            };
            let mut args = step.args().map(|arg| value(arg, &results));
            let (a, b) = (args.next().unwrap(), args.next().unwrap_or(0.0));
            let result = match *step {
                Step::Unary(Unary::Erf, _) => libm::erff(a),
                Step::Unary(Unary::Sigmoid, _) => 1.0 / (1.0 + libm::expf(-a)),
                Step::Unary(Unary::Relu, _) => a.max(0.0),
                Step::Binary(Binary::Add, ..) => a + b,
                Step::Binary(Binary::Sub, ..) => a - b,
                Step::Binary(Binary::Mul, ..) => a * b,
                Step::Binary(Binary::Div, ..) => a / b,
                Step::Binary(Binary::PRelu, ..) => {
                    if a < 0.0 {
                        a * b
                    } else {
                        a
                    }
                }
                Step::Max(..) => a.max(b),
                Step::Min(..) => a.min(b),
                Step::Clip(_, low, high) => a.clamp(low, high),
                Step::Requantize { scale, zero, low, high, .. } => {
                    ((libm::rintf(a / scale) + zero).clamp(low, high) - zero) * scale
                }
                ref step => panic!("no reference for {step:?}"),
            };
            results.push(result);
        }
        results[program.steps.len() - 1]
    };
    (0..shape.count()).map(element).collect()
}

/// A program of every kind of step over operands of several shapes.
fn everything() -> Program {
    let (x, scale, row, number) = (Arg::Input(0), Arg::Input(1), Arg::Input(2), Arg::Input(3));
    let steps = alloc::vec![
        Step::Binary(Binary::Mul, x, scale),
        Step::Binary(Binary::Add, Arg::Step(0), row),
        Step::Clip(Arg::Step(1), -1.5, 1.25),
        Step::Unary(Unary::Sigmoid, Arg::Step(2)),
        Step::Binary(Binary::Sub, Arg::Step(3), Arg::Step(0)),
        Step::Max(Arg::Step(4), Arg::Step(2)),
        Step::Unary(Unary::Erf, Arg::Step(5)),
        Step::Min(Arg::Step(6), x),
        Step::Binary(Binary::PRelu, Arg::Step(7), scale),
        Step::Requantize { x: Arg::Step(8), scale: 0.03, zero: 7.0, low: -40.0, high: 60.0 },
        Step::Binary(Binary::Div, Arg::Step(9), number),
        Step::Binary(Binary::Add, Arg::Step(10), Arg::Step(1)),
    ];
    Program { inputs: 4, steps }
}

/// Equal but for the rounding of one quantisation step.
fn assert_close(results: &[f32], wanted: &[f32]) {
    assert_eq!(results.len(), wanted.len());
    for (index, (a, b)) in results.iter().zip(wanted).enumerate() {
        assert!((a - b).abs() <= 2e-6 || ((a - b).abs() - 0.03 / 1.5).abs() < 1e-5, "{index}: {a} {b}");
    }
}

#[test]
fn a_program_alone_gives_what_its_steps_give() {
    for extents in [&[1, 3, 5, 7][..], &[2, 4, 1, 33], &[600], &[2, 1, 1300]] {
        let shape = Shape::new(extents).unwrap();
        let channel: Vec<usize> =
            extents.iter().enumerate().map(|(dim, extent)| if dim == 1 { *extent } else { 1 }).collect();
        let last = &extents[extents.len() - 1..];
        let operands = [numbers(extents, 1), numbers(&channel, 2), numbers(last, 3), Tensor::scalar(1.5f32)];
        let wanted = reference(&everything(), &operands, &shape);
        let op = Elementwise { program: everything() };
        let inputs: Vec<_> = operands.into_iter().map(Some).collect();
        for isa in Isa::detect_for_tests() {
            let outputs = [(ElementType::F32, shape.clone())];
            let results = testing::run_with_constants(&op, &inputs, &[3], &outputs, isa);
            assert_close(&results[0].to_vec::<f32>().unwrap(), &wanted);
        }
    }
}

#[test]
fn a_product_with_bias_and_gelu_gives_what_the_operators_give() {
    let (rows, depth, columns) = (5, 12, 37);
    let (a, b, bias) = (numbers(&[rows, depth], 1), numbers(&[depth, columns], 2), numbers(&[columns], 3));
    let half = Tensor::scalar(0.5f32);
    let steps = alloc::vec![
        Step::Binary(Binary::Add, Arg::Input(1), Arg::Input(0)),
        Step::Unary(Unary::Erf, Arg::Step(0)),
        Step::Binary(Binary::Mul, Arg::Step(0), Arg::Step(1)),
        Step::Binary(Binary::Mul, Arg::Step(2), Arg::Input(2)),
    ];
    let program = Program { inputs: 3, steps };
    let (left, right): (Vec<f32>, Vec<f32>) = (a.to_vec().unwrap(), b.to_vec().unwrap());
    let products: Vec<f32> = (0..rows * columns)
        .map(|at| {
            (0..depth).map(|k| left[at / columns * depth + k] * right[k * columns + at % columns]).sum()
        })
        .collect();
    let shape = Shape::from([rows, columns]);
    let product = Tensor::from_slice(&products, &shape).unwrap();
    let wanted = reference(&program, &[product, bias.clone(), half.clone()], &shape);
    let op = Fused { base: Arc::new(MatMul), base_inputs: 2, program };
    let inputs = [Some(a), Some(b), Some(bias), Some(half)];
    for isa in Isa::detect_for_tests() {
        for constants in [&[1, 2, 3][..], &[3], &[]] {
            let outputs = [(ElementType::F32, shape.clone())];
            let results = testing::run_with_constants(&op, &inputs, constants, &outputs, isa);
            for (a, b) in results[0].to_vec::<f32>().unwrap().iter().zip(&wanted) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }
}

#[test]
fn no_step_writes_where_its_arguments_lie() {
    let operations = simplify(&everything(), |operand| (operand == 3).then_some(1.5));
    let (instructions, slots) = place(&operations, true);
    for Instruction { code, a, b, into } in &instructions {
        let into = into.map(Source::Slot);
        let in_place = matches!(code, Code::Map(_)) && into == Some(*a);
        assert!(in_place || into != Some(*a) && into != Some(*b));
        assert!(into != Some(Source::Slot(0)));
    }
    assert!(slots <= TAIL_SLOTS, "{slots}");
}

#[test]
fn tails_that_are_chains_give_what_their_steps_give() {
    let channels = 6;
    let shape = Shape::from([2, channels, 5, 7]);
    let (x, w) = (numbers(&[2, 4, 5, 7], 1), numbers(&[channels, 4, 1, 1], 2));
    let (residual, slope) = (numbers(&shape, 3), numbers(&[channels, 1, 1], 4));
    let (left, right): (Vec<f32>, Vec<f32>) = (x.to_vec().unwrap(), w.to_vec().unwrap());
    let sum = |at: usize| {
        let (image, channel, place) = (at / (35 * channels), at / 35 % channels, at % 35);
        (0..4).map(|k| left[(image * 4 + k) * 35 + place] * right[channel * 4 + k]).sum()
    };
    let products: Vec<f32> = (0..shape.count()).map(sum).collect();
    let products = Tensor::from_slice(&products, &shape).unwrap();
    let (x_in, residual_in, slope_in) = (Arg::Input(0), Arg::Input(1), Arg::Input(2));
    let programs = [
        vec![Step::Binary(Binary::Add, residual_in, x_in), Step::Unary(Unary::Relu, Arg::Step(0))],
        vec![
            Step::Binary(Binary::PRelu, x_in, slope_in),
            Step::Binary(Binary::Mul, Arg::Step(0), residual_in),
        ],
        vec![Step::Unary(Unary::Sigmoid, x_in), Step::Binary(Binary::Mul, Arg::Step(0), x_in)],
        vec![Step::Binary(Binary::Sub, slope_in, x_in), Step::Clip(Arg::Step(0), -1.0, 0.5)],
    ];
    for steps in programs {
        let program = Program { inputs: 3, steps };
        let wanted = reference(&program, &[products.clone(), residual.clone(), slope.clone()], &shape);
        let window =
            Window { kernel: None, strides: Vec::new(), dilations: Vec::new(), padding: Padding::Valid };
        let op = Fused { base: Arc::new(Conv { window, group: 1 }), base_inputs: 2, program };
        let inputs = [&x, &w, &residual, &slope].map(|tensor| Some(tensor.clone()));
        for isa in Isa::detect_for_tests() {
            let outputs = [(ElementType::F32, shape.clone())];
            let results = testing::run_with_constants(&op, &inputs, &[1], &outputs, isa);
            for (a, b) in results[0].to_vec::<f32>().unwrap().iter().zip(&wanted) {
                assert!((a - b).abs() < 1e-5, "{a} {b} {op:?}");
            }
        }
    }
}
