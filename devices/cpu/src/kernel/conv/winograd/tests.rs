//! Both sizes of tiles against the definition, on every instruction set of this machine, a tile at a time and in reverse.

use alloc::boxed::Box;
use std::vec::Vec;

use super::super::tests::{Case, Mark, Relu6, case, marked, random};
use super::*;
use crate::kernel::epilogue::Epilogue;
use crate::kernel::testing::assert_close;
use inferry_core::Tensor;
use inferry_engine::op::Conv;

/// Builds with these tiles, whether it pays or not.
fn build_with(
    side: usize,
    op: &Conv,
    node: &Builder<'_>,
    epilogue: Option<Box<dyn Epilogue>>,
) -> Box<dyn Kernel> {
    let mut problem = Problem::new(&op.window, op.group, node, 1).unwrap();
    problem.check(node).unwrap();
    let plane = Plane::new(&problem.window, &problem.input).unwrap();
    let kernel = with_side(&problem, plane, side, node, Tail::new(epilogue));
    kernel.unwrap_or_else(|_| panic!("constant weights"))
}

fn check(case: Case) {
    let (x, w, b) = (random(case.x, 1), random(case.w, 2), random(&case.w[..1], 3));
    let taps: usize = case.w[1..].iter().product();
    let close =
        |actual: &[f32], wanted: &[f32]| assert_close(actual, wanted, 4e-6 * (1.0 + taps as f32), 1e-5);
    let (plain, shape) = case.expected(&x, &w, None);
    let (biased, _) = case.expected(&x, &w, Some(&b));
    let clipped: Vec<f32> = biased.iter().map(|value| value.clamp(0.0, 0.125)).collect();
    for isa in Isa::detect_for_tests() {
        for side in [2, 4] {
            let run = |bias: Option<&Tensor>, epilogue: Option<Box<dyn Epilogue>>| {
                let build = |op: &Conv, node: &Builder<'_>| build_with(side, op, node, epilogue);
                case.run(&[Some(&x), Some(&w), bias], &shape, isa, build)
            };
            close(&run(None, None), &plain);
            close(&run(Some(&b), None), &biased);
            close(&run(Some(&b), Some(Box::new(Mark))), &marked(&biased, &shape));
            close(&run(Some(&b), Some(Box::new(Relu6))), &clipped);
        }
    }
}

#[test]
fn inputs_are_transformed_ahead_where_a_tile_would_be_too_long_and_only_there() {
    let grid = |x: &'static [usize], w: &'static [usize]| {
        let (x, w, case) = (random(x, 1), random(w, 2), case(x, w));
        let (shape, isa) = (case.expected(&x, &w, None).1, Isa::portable());
        let mut found = None;
        case.run(&[Some(&x), Some(&w), None], &shape, isa, |op, node| {
            let mut problem = Problem::new(&op.window, op.group, node, 1).unwrap();
            problem.check(node).unwrap();
            let plane = Plane::new(&problem.window, &problem.input).unwrap();
            found = Some(Grid::new(&problem, &plane, 2, Sizes::of(isa), isa));
            build_with(2, op, node, None)
        });
        found.unwrap()
    };
    assert!(grid(&[1, 40, 14, 14], &[18, 40, 3, 3]).ahead > 0);
    assert_eq!(grid(&[1, 3, 11, 13], &[5, 3, 3, 3]).ahead, 0);
}

#[test]
fn odd_extents() {
    check(case(&[1, 1, 3, 3], &[1, 1, 3, 3]));
    check(case(&[1, 3, 11, 13], &[5, 3, 3, 3]));
    check(case(&[1, 4, 3, 40], &[15, 4, 3, 3]));
    check(case(&[1, 5, 40, 3], &[7, 5, 3, 3]));
    check(case(&[1, 17, 19, 21], &[33, 17, 3, 3]));
    check(case(&[1, 33, 7, 7], &[70, 33, 3, 3]));
    check(case(&[1, 40, 14, 14], &[18, 40, 3, 3]));
}

#[test]
fn paddings() {
    check(case(&[1, 6, 9, 10], &[5, 6, 3, 3]).pads(&[1, 1, 1, 1]));
    check(case(&[1, 6, 9, 10], &[5, 6, 3, 3]).pads(&[0, 1, 2, 0]));
    check(case(&[1, 2, 5, 6], &[3, 2, 3, 3]).pads(&[7, 9, 6, 8]));
    check(case(&[1, 3, 1, 1], &[4, 3, 3, 3]).pads(&[1, 1, 1, 1]));
    check(case(&[1, 20, 56, 9], &[20, 20, 3, 3]).pads(&[1, 1, 1, 1]));
    check(case(&[1, 2, 6, 500], &[3, 2, 3, 3]).pads(&[1, 1, 1, 1]));
}

#[test]
fn images_and_groups() {
    check(case(&[3, 6, 9, 10], &[5, 6, 3, 3]).pads(&[1, 1, 1, 1]));
    check(case(&[1, 40, 6, 6], &[40, 20, 3, 3]).group(2).pads(&[1, 1, 1, 1]));
    check(case(&[2, 9, 8, 5], &[39, 3, 3, 3]).group(3).pads(&[1, 0, 1, 0]));
}

#[test]
fn what_is_not_finite_stays_with_its_neighbours() {
    let mut x = std::vec![0.5f32; 8 * 20 * 20];
    x[10 * 20 + 10] = f32::NAN;
    let x = Tensor::from_slice(&x, [1, 8, 20, 20]).unwrap();
    let case = case(&[1, 8, 20, 20], &[8, 8, 3, 3]);
    let (w, shape) = (random(case.w, 2), inferry_core::Shape::from([1, 8, 18, 18]));
    for side in [2, 4] {
        let build = |op: &Conv, node: &Builder<'_>| build_with(side, op, node, None);
        let values = case.run(&[Some(&x), Some(&w), None], &shape, Isa::portable(), build);
        for (index, value) in values.iter().enumerate() {
            let (row, column) = (index / 18 % 18, index % 18);
            let seen = (8..=10).contains(&row) && (8..=10).contains(&column);
            let near = (8 - side..=10 + side).contains(&row) && (8 - side..=10 + side).contains(&column);
            assert!(value.is_nan() || !seen, "{value} at {row}, {column}");
            assert!(!value.is_nan() || near, "NaN at {row}, {column}");
        }
    }
}
