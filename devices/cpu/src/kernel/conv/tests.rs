//! Every fast path against the definition, over odd sizes, on every instruction set of this machine.

use std::vec::Vec;

use inferry_core::{Shape, Tensor};
use inferry_engine::op::{Conv, Padding, Window};

use super::*;
use crate::isa::Isa;
use crate::kernel::epilogue::Row;
use crate::kernel::testing::{assert_close, noise, run_with_constants, tensor};
use crate::kernel::{Operand, Phase};
use crate::pack::Packs;
use crate::single;

pub(super) fn random(shape: &[usize], seed: u64) -> Tensor {
    tensor(&noise(shape.iter().product(), seed), Shape::new(shape).unwrap())
}

pub(super) struct Case {
    pub(super) x: &'static [usize],
    pub(super) w: &'static [usize],
    strides: &'static [usize],
    pads: &'static [usize],
    dilations: &'static [usize],
    group: usize,
}

/// A case; what is not said is the default.
pub(super) const fn case(x: &'static [usize], w: &'static [usize]) -> Case {
    Case { x, w, strides: &[], pads: &[], dilations: &[], group: 1 }
}

impl Case {
    const fn strides(self, strides: &'static [usize]) -> Case {
        Case { strides, ..self }
    }
    pub(super) const fn pads(self, pads: &'static [usize]) -> Case {
        Case { pads, ..self }
    }
    const fn dilations(self, dilations: &'static [usize]) -> Case {
        Case { dilations, ..self }
    }
    pub(super) const fn group(self, group: usize) -> Case {
        Case { group, ..self }
    }

    fn op(&self) -> Conv {
        let window = Window {
            kernel: None,
            strides: self.strides.to_vec(),
            dilations: self.dilations.to_vec(),
            padding: Padding::Explicit(self.pads.to_vec()),
        };
        Conv { window, group: self.group }
    }

    /// The definition's result, and the shape.
    pub(super) fn expected(&self, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> (Vec<f32>, Shape) {
        let operand = |tensor| Some(single::operand(tensor, false));
        let inputs = [operand(x), operand(w)];
        let packs = Packs::default();
        let node = Builder { inputs: &inputs, outputs: &[], isa: Isa::portable(), packs: &packs };
        let op = self.op();
        let problem = Problem::new(&op.window, op.group, &node, 1).unwrap();
        let bias: Option<Vec<f32>> = bias.map(|bias| bias.to_vec().unwrap());
        let (x, w) = (x.to_vec().unwrap(), w.to_vec().unwrap());
        let values = reference::compute(&problem, &x, &w, bias.as_deref());
        let extents: Vec<usize> = [problem.images, problem.groups * problem.features]
            .into_iter()
            .chain(problem.window.output)
            .collect();
        (values, Shape::new(&extents).unwrap())
    }

    fn check(&self) {
        let (x, w) = (random(self.x, 1), random(self.w, 2));
        let bias = random(&self.w[..1], 3);
        let depth: usize = self.w[1..].iter().product();
        for bias in [None, Some(bias)] {
            let (wanted, shape) = self.expected(&x, &w, bias.as_ref());
            let inputs = [Some(x.clone()), Some(w.clone()), bias];
            let inputs = &inputs[..if inputs[2].is_some() { 3 } else { 2 }];
            let outputs = [(ElementType::F32, shape)];
            for isa in Isa::detect_for_tests() {
                for constants in [&[1, 2][..], &[]] {
                    let results = run_with_constants(&self.op(), inputs, constants, &outputs, isa);
                    let actual: Vec<f32> = results[0].to_vec().unwrap();
                    assert_close(&actual, &wanted, 2e-6 * (1.0 + depth as f32), 1e-5);
                }
            }
        }
    }
}

#[test]
fn pointwise() {
    case(&[1, 1, 1, 1], &[1, 1, 1, 1]).check();
    case(&[2, 5, 7, 9], &[3, 5, 1, 1]).check();
    case(&[1, 33, 13, 17], &[29, 33, 1, 1]).check();
    case(&[1, 8, 4, 8], &[40, 8, 1, 1]).check();
    case(&[1, 70, 5, 7], &[15, 70, 1, 1]).check();
    case(&[3, 20, 1, 1], &[6, 20, 1, 1]).check();
    case(&[1, 6, 50], &[7, 6, 1]).check();
    case(&[1, 6, 9, 11], &[7, 6, 1, 1]).strides(&[2, 2]).check();
    case(&[1, 6, 9, 11], &[7, 6, 1, 1]).strides(&[1, 3]).pads(&[1, 0, 0, 2]).check();
}

#[test]
fn windows_of_every_form() {
    case(&[1, 3, 11, 13], &[5, 3, 3, 3]).check();
    case(&[2, 4, 11, 40], &[15, 4, 3, 3]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 4, 6, 7], &[9, 4, 3, 3]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 3, 20, 37], &[8, 3, 3, 3]).strides(&[2, 2]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 3, 20, 37], &[8, 3, 5, 5]).strides(&[2, 2]).pads(&[1, 1, 2, 2]).check();
    case(&[1, 2, 15, 16], &[3, 2, 2, 4]).strides(&[3, 1]).pads(&[0, 2, 1, 1]).check();
    case(&[1, 2, 15, 36], &[3, 2, 3, 3]).strides(&[1, 3]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 3, 19, 21], &[4, 3, 3, 3]).dilations(&[5, 5]).pads(&[5, 5, 5, 5]).check();
    case(&[1, 3, 19, 21], &[4, 3, 3, 2]).dilations(&[2, 3]).strides(&[2, 2]).pads(&[2, 0, 1, 3]).check();
    case(&[1, 2, 8, 30], &[3, 2, 3, 11]).pads(&[1, 5, 1, 5]).check();
    case(&[1, 2, 40, 1], &[17, 2, 5, 1]).check();
    case(&[1, 2, 5, 6], &[3, 2, 3, 3]).pads(&[7, 7, 7, 7]).check();
    case(&[1, 3, 1, 79], &[4, 3, 1, 3]).pads(&[0, 1, 0, 1]).check();
}

#[test]
fn one_and_three_dimensions() {
    case(&[2, 3, 50], &[4, 3, 3]).pads(&[1, 1]).check();
    case(&[1, 1, 83], &[6, 1, 16]).strides(&[8]).check();
    case(&[1, 1, 83], &[6, 1, 16]).strides(&[20]).check();
    case(&[1, 2, 5, 6, 7], &[3, 2, 3, 2, 3]).pads(&[1, 0, 1, 1, 1, 0]).strides(&[1, 2, 1]).check();
    case(&[1, 4, 3, 4, 5], &[4, 2, 1, 1, 1]).group(2).check();
}

#[test]
fn groups() {
    case(&[1, 6, 9, 10], &[4, 3, 3, 3]).group(2).pads(&[1, 1, 1, 1]).check();
    case(&[2, 8, 5, 5], &[12, 2, 1, 1]).group(4).check();
    case(&[1, 40, 6, 6], &[40, 20, 3, 3]).group(2).check();
}

#[test]
fn depthwise_windows() {
    case(&[1, 5, 9, 10], &[5, 1, 3, 3]).group(5).pads(&[1, 1, 1, 1]).check();
    case(&[2, 3, 30, 150], &[3, 1, 3, 3]).group(3).pads(&[1, 1, 1, 1]).check();
    case(&[1, 7, 5, 7], &[7, 1, 5, 5]).group(7).pads(&[2, 2, 2, 2]).check();
    case(&[1, 4, 21, 35], &[4, 1, 3, 3]).group(4).strides(&[2, 2]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 4, 20, 36], &[4, 1, 3, 3]).group(4).strides(&[2, 2]).pads(&[0, 0, 1, 1]).check();
    case(&[1, 3, 12, 31], &[3, 1, 5, 5]).group(3).strides(&[2, 1]).pads(&[2, 2, 2, 2]).check();
    case(&[1, 3, 12, 31], &[3, 1, 3, 3]).group(3).strides(&[1, 2]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 3, 19, 21], &[3, 1, 3, 3]).group(3).dilations(&[3, 2]).pads(&[3, 2, 3, 2]).check();
    case(&[1, 3, 9, 9], &[6, 1, 3, 3]).group(3).pads(&[1, 1, 1, 1]).check();
    case(&[1, 1, 9, 9], &[4, 1, 3, 3]).check();
    case(&[1, 8, 60], &[8, 1, 7]).group(8).pads(&[3, 3]).check();
    case(&[1, 4, 1, 1], &[4, 1, 1, 1]).group(4).check();
}

#[test]
fn short_rows() {
    for pads in [&[0, 0, 0, 0], &[1, 1, 1, 1], &[2, 2, 2, 2], &[0, 0, 1, 1], &[1, 1, 0, 2], &[3, 3, 2, 4]] {
        for (height, width) in [(7, 7), (14, 14), (5, 6), (13, 3), (9, 28), (6, 30)] {
            for strides in [&[1, 1], &[2, 2], &[2, 1], &[1, 2]] {
                // Lent for as long as a case wants: there are few.
                let x: &'static [usize] = Vec::leak(std::vec![2, 3, height, width]);
                case(x, &[3, 1, 3, 3]).group(3).strides(strides).pads(pads).check();
                case(x, &[4, 3, 3, 3]).strides(strides).pads(pads).check();
                if height > 5 && width > 5 {
                    case(x, &[3, 1, 5, 5]).group(3).strides(strides).pads(pads).check();
                }
            }
        }
    }
}

#[test]
fn empty_outputs_and_sums() {
    case(&[0, 3, 4, 4], &[2, 3, 3, 3]).check();
    case(&[1, 3, 4, 4], &[0, 3, 3, 3]).check();
    case(&[1, 0, 4, 4], &[2, 0, 1, 1]).check();
    case(&[0, 3, 4, 4], &[3, 1, 3, 3]).group(3).check();
}

#[test]
fn doubles_keep_their_precision() {
    let x = Tensor::from_slice(&[1e300, 1.0, 3.0], [1, 1, 3]).unwrap();
    let w = Tensor::from_slice(&[2.0, 1e-300], [1, 1, 2]).unwrap();
    let outputs = [(ElementType::F64, Shape::from([1, 1, 2]))];
    let results =
        run_with_constants(&case(&[], &[]).op(), &[Some(x), Some(w)], &[1], &outputs, Isa::portable());
    assert_eq!(results[0].to_vec::<f64>().unwrap(), [2e300, 2.0]);
}

/// Adds the channel and the position, and negates: every element must be handed over exactly once.
pub(super) struct Mark;

impl Epilogue for Mark {
    fn apply(&self, row: Row<'_, '_>, values: &mut [f32]) {
        for (index, value) in values.iter_mut().enumerate() {
            *value = -(*value + row.channel as f32 + 0.25 * ((row.offset + index) % 64) as f32);
        }
    }
}

/// What [`Mark`] makes of results.
pub(super) fn marked(plain: &[f32], shape: &Shape) -> Vec<f32> {
    let channel = |index: usize| index / shape[2..].iter().product::<usize>() % shape[1];
    let mark = |(index, value): (usize, &f32)| -(value + channel(index) as f32 + 0.25 * (index % 64) as f32);
    plain.iter().enumerate().map(mark).collect()
}

/// A limit that registers apply.
pub(super) struct Relu6;

impl Epilogue for Relu6 {
    fn clip(&self) -> Option<[f32; 2]> {
        Some([0.0, 0.125])
    }

    fn apply(&self, _row: Row<'_, '_>, _values: &mut [f32]) {
        unreachable!("the kernel applies the limits itself")
    }
}

#[test]
fn epilogues_see_every_element_once() {
    let cases = [
        case(&[2, 6, 9, 37], &[17, 6, 3, 3]).pads(&[1, 1, 1, 1]),
        case(&[1, 4, 6, 7], &[9, 4, 3, 3]).pads(&[1, 1, 1, 1]),
        case(&[2, 6, 9, 7], &[15, 6, 1, 1]),
        case(&[1, 6, 9, 7], &[4, 3, 3, 3]).group(2),
        case(&[2, 5, 9, 10], &[5, 1, 3, 3]).group(5).pads(&[1, 1, 1, 1]),
        case(&[1, 2, 5, 6, 7], &[3, 2, 3, 2, 3]),
    ];
    for case in &cases {
        let (x, w) = (random(case.x, 1), random(case.w, 2));
        let (plain, shape) = case.expected(&x, &w, None);
        let marked = marked(&plain, &shape);
        let clipped: Vec<f32> = plain.iter().map(|value| value.clamp(0.0, 0.125)).collect();
        for isa in Isa::detect_for_tests() {
            assert_close(&with_epilogue(case, &x, &w, &shape, isa, Box::new(Mark)), &marked, 1e-4, 1e-5);
            assert_close(&with_epilogue(case, &x, &w, &shape, isa, Box::new(Relu6)), &clipped, 1e-4, 1e-5);
        }
    }
}

fn with_epilogue(
    case: &Case,
    x: &Tensor,
    w: &Tensor,
    shape: &Shape,
    isa: Isa,
    epilogue: Box<dyn Epilogue>,
) -> Vec<f32> {
    case.run(&[Some(x), Some(w)], shape, isa, |op, node| build_conv(op, node, Some(epilogue)).unwrap())
}

impl Case {
    /// The results of the kernel that `build` builds; the last tile is run first.
    pub(super) fn run(
        &self,
        inputs: &[Option<&Tensor>],
        shape: &Shape,
        isa: Isa,
        build: impl FnOnce(&Conv, &Builder<'_>) -> Box<dyn Kernel>,
    ) -> Vec<f32> {
        let operands: Vec<Option<Operand<'_>>> = inputs
            .iter()
            .enumerate()
            .map(|(index, tensor)| Some(single::operand((*tensor)?, index > 0)))
            .collect();
        let (packs, outputs) = (Packs::default(), [(ElementType::F32, shape.clone())]);
        let node = Builder { inputs: &operands, outputs: &outputs, isa, packs: &packs };
        let kernel = build(&self.op(), &node);
        let mut results = [Tensor::zeros(ElementType::F32, shape.clone())];
        let by_tile = |phase: Phase| (0..phase.tiles).map(|tile| tile..tile + 1).rev().collect();
        single::run_blocks(&*kernel, inputs, &mut results, 0x55, by_tile).unwrap();
        results[0].to_vec().unwrap()
    }
}

#[test]
fn misfits_are_refused() {
    let (x, w) = (random(&[1, 3, 4, 4], 1), random(&[2, 4, 3, 3], 2));
    let inputs = [Some(single::operand(&x, false)), Some(single::operand(&w, true))];
    let (packs, outputs) = (Packs::default(), [(ElementType::F32, Shape::from([1, 2, 2, 2]))]);
    let node = Builder { inputs: &inputs, outputs: &outputs, isa: Isa::portable(), packs: &packs };
    assert!(conv(&case(&[], &[]).op(), &node).is_err());
}

#[test]
fn few_outputs() {
    case(&[1, 40, 1, 1], &[70, 40, 1, 1]).check();
    case(&[3, 20, 1, 1], &[33, 20, 1, 1]).check();
    case(&[2, 9, 4, 4], &[40, 9, 2, 2]).check();
    case(&[1, 7, 3, 5], &[50, 7, 1, 1]).check();
    case(&[1, 7, 1, 4], &[50, 7, 1, 3]).pads(&[0, 1, 0, 1]).check();
    case(&[1, 5, 6, 7], &[48, 5, 3, 3]).strides(&[2, 2]).pads(&[1, 1, 1, 1]).check();
    case(&[1, 8, 3, 3], &[64, 4, 3, 3]).group(2).pads(&[1, 1, 1, 1]).check();
    case(&[1, 1, 60], &[35, 1, 16]).strides(&[12]).check();
    case(&[1, 1, 300], &[37, 1, 40]).strides(&[10]).pads(&[3, 0]).check();
    case(&[1, 3, 9, 9], &[40, 3, 3, 3]).dilations(&[2, 3]).strides(&[2, 2]).check();
}

#[test]
fn outputs_that_see_only_padding() {
    case(&[1, 2, 3, 4], &[2, 1, 3, 3]).group(2).pads(&[5, 5, 5, 5]).check();
    case(&[1, 2, 1, 4], &[2, 1, 3, 3]).group(2).strides(&[2, 2]).pads(&[6, 1, 7, 1]).check();
    case(&[1, 2, 3, 40], &[2, 1, 5, 5]).group(2).strides(&[2, 1]).pads(&[9, 2, 8, 2]).check();
    case(&[1, 3, 2, 2], &[20, 3, 3, 3]).pads(&[4, 4, 4, 4]).check();
}
