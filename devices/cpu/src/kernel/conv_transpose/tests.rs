//! Every form against the definition.

use super::*;
use crate::isa::Isa;
use crate::kernel::testing;
use alloc::sync::Arc;
use inferry_core::{Shape, Tensor};
use inferry_engine::op::{Arg, Binary, Fused, Op, Padding, Program, Step, Window};

fn ramp(extents: &[usize]) -> Tensor {
    let shape = Shape::new(extents).unwrap();
    let values: Vec<f32> = (0..shape.count()).map(|at| ((at * 7 + 3) % 11) as f32 - 5.0).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// The definition: every input number times every weight, at its place.
fn reference(op: &ConvTranspose, x: &Tensor, w: &Tensor, bias: &[f32], output: &[usize]) -> Vec<f32> {
    let window =
        op.window.resolve_transposed(&x.shape()[2..], &w.shape()[2..], &op.output_padding, None).unwrap();
    let (x_view, w_view) = (x.view::<f32>().unwrap(), w.view::<f32>().unwrap());
    let share = w.shape()[1];
    let per_group = x.shape()[1] / op.group;
    let mut out = alloc::vec![0.0f32; output.iter().product()];
    for (at, slot) in out.iter_mut().enumerate() {
        *slot = bias[(at / (output[2] * output[3])) % output[1]];
    }
    for n in 0..x.shape()[0] {
        for ic in 0..x.shape()[1] {
            for o in 0..share {
                for (iy, ix) in (0..x.shape()[2]).flat_map(|y| (0..x.shape()[3]).map(move |x| (y, x))) {
                    for (ky, kx) in (0..w.shape()[2]).flat_map(|y| (0..w.shape()[3]).map(move |x| (y, x))) {
                        let place = |dim: usize, i: usize, k: usize| {
                            (i * window.strides[dim] + k * window.dilations[dim])
                                .checked_sub(window.begins[dim])
                                .filter(|at| *at < output[2 + dim])
                        };
                        if let (Some(y), Some(x)) = (place(0, iy, ky), place(1, ix, kx)) {
                            let oc = ic / per_group * share + o;
                            out[((n * output[1] + oc) * output[2] + y) * output[3] + x] +=
                                x_view[[n, ic, iy, ix]] * w_view[[ic, o, ky, kx]];
                        }
                    }
                }
            }
        }
    }
    out
}

#[test]
fn every_form_gives_what_the_definition_gives() {
    // Input, kernel, strides, pads, output padding; groups; output.
    type Case = ([&'static [usize]; 5], usize, [usize; 4]);
    let cases: [Case; 10] = [
        ([&[1, 3, 4, 5], &[2, 2], &[2, 2], &[], &[]], 1, [1, 2, 8, 10]),
        ([&[2, 2, 3, 4], &[3, 3], &[2, 1], &[1, 1, 1, 1], &[1, 0]], 1, [2, 2, 6, 4]),
        ([&[1, 4, 3, 3], &[3, 2], &[1, 1], &[], &[]], 2, [1, 4, 5, 4]),
        ([&[1, 2, 5, 2], &[2, 3], &[3, 3], &[0, 1, 1, 0], &[0, 2]], 1, [1, 2, 13, 7]),
        ([&[1, 1, 1, 1], &[4, 4], &[1, 1], &[2, 1, 1, 2], &[]], 1, [1, 2, 1, 1]),
        ([&[2, 6, 3, 37], &[2, 2], &[2, 2], &[], &[]], 2, [2, 34, 6, 74]),
        ([&[1, 3, 2, 70], &[4, 4], &[2, 2], &[1, 1, 1, 1], &[]], 1, [1, 5, 4, 140]),
        ([&[1, 2, 4, 9], &[3, 5], &[1, 4], &[1, 2, 1, 0], &[0, 1]], 1, [1, 1, 4, 36]),
        ([&[1, 2, 6, 5], &[1, 1], &[2, 3], &[], &[]], 1, [1, 3, 11, 13]),
        ([&[1, 2, 7, 40], &[2, 2], &[2, 2], &[3, 5, 4, 6], &[]], 1, [1, 2, 7, 69]),
    ];
    for ([x, kernel, strides, pads, extra], group, output) in cases {
        let window = Window {
            strides: strides.to_vec(),
            padding: Padding::Explicit(pads.to_vec()),
            ..Window::default()
        };
        let op = ConvTranspose { window, group, output_padding: extra.to_vec(), output_shape: None };
        let x = ramp(x);
        let w = ramp(&[x.shape()[1], output[1] / group, kernel[0], kernel[1]]);
        let bias: Vec<f32> = (0..output[1]).map(|channel| channel as f32 + 0.5).collect();
        let wanted = reference(&op, &x, &w, &bias, &output);
        let bias = Tensor::from_slice(&bias, [output[1]]).unwrap();
        let outputs = [(ElementType::F32, Shape::from(output))];
        let inputs = [Some(x), Some(w), Some(bias)];
        let limited: Vec<f32> = wanted.iter().map(|value| value.clamp(-20.0, 30.0)).collect();
        let program = Program { inputs: 1, steps: alloc::vec![Step::Clip(Arg::Input(0), -20.0, 30.0)] };
        let clipped = Fused { base: Arc::new(op.clone()), base_inputs: 3, program };
        let doubled: Vec<f32> = wanted.iter().map(|value| value + value).collect();
        let program = Program {
            inputs: 1,
            steps: alloc::vec![Step::Binary(Binary::Add, Arg::Input(0), Arg::Input(0))],
        };
        let twice = Fused { base: Arc::new(op.clone()), base_inputs: 3, program };
        for isa in Isa::detect_for_tests() {
            // Weights of the run go the slow way. All sums are whole numbers and halves, so that no path rounds.
            for constants in [&[][..], &[1], &[1, 2]] {
                let ops: [(&dyn Op, &[f32]); 3] = [(&op, &wanted), (&clipped, &limited), (&twice, &doubled)];
                for (op, wanted) in ops {
                    let results = testing::run_with_constants(op, &inputs, constants, &outputs, isa);
                    assert_eq!(results[0].to_vec::<f32>().unwrap(), wanted, "{op:?} {isa:?} {constants:?}");
                }
            }
        }
    }
}

#[test]
fn dilated_kernels_and_one_dimension() {
    let window = |strides: &[usize], dilations: &[usize]| Window {
        strides: strides.to_vec(),
        dilations: dilations.to_vec(),
        padding: Padding::Explicit(Vec::new()),
        ..Window::default()
    };
    for (stride, dilation) in [(1, 2), (2, 3), (2, 2), (3, 1)] {
        let length = (9 - 1) * stride + 2 * dilation + 1;
        let op = |window| ConvTranspose { window, group: 1, output_padding: Vec::new(), output_shape: None };
        let flat = op(window(&[stride], &[dilation]));
        let plane = op(window(&[1, stride], &[1, dilation]));
        let (x, w) = (ramp(&[1, 2, 1, 9]), ramp(&[2, 3, 1, 3]));
        let wanted = reference(&plane, &x, &w, &[0.0; 3], &[1, 3, 1, length]);
        let cut = |tensor: &Tensor, extents: [usize; 3]| {
            Some(Tensor::from_slice(&tensor.to_vec::<f32>().unwrap(), extents).unwrap())
        };
        let inputs = [cut(&x, [1, 2, 9]), cut(&w, [2, 3, 3])];
        for isa in Isa::detect_for_tests() {
            let outputs = [(ElementType::F32, Shape::from([1, 3, length]))];
            let results = testing::run_with_constants(&flat, &inputs, &[1], &outputs, isa);
            assert_eq!(results[0].to_vec::<f32>().unwrap(), wanted, "{stride} {dilation} {isa:?}");
        }
    }
}
