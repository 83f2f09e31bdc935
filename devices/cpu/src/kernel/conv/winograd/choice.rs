//! Whether to multiply by Winograd, and with tiles of which size.
//!
//! All ways are given a cost in multiplications, the largest part of each. The others were measured (see the
//! [evidence](super)): what transforming a vector of channels costs, and what it costs to read weights, which large models
//! read from memory.

use inferry_core::Tensor;

use super::super::Problem;
use super::super::geometry::Plane;
use crate::isa::Isa;
use crate::kernel::gemm::Sizes;
use crate::kernel::matmul::gigaflops;

/// How many outputs a tile has on a side, when that is expected to be faster than the other ways.
pub(super) fn side(problem: &Problem, plane: &Plane, isa: Isa) -> Option<usize> {
    let fits =
        |axis: super::super::geometry::Axis| axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1;
    if !fits(plane.rows) || !fits(plane.columns) || problem.is_empty() || problem.depth == 0 {
        return None;
    }
    let [direct, two, four] = [1, 2, 4].map(|side| cost(problem, plane, side, isa));
    // A gain that is not sure is not worth the memory.
    (two.min(four) * 1.1 < direct).then_some(if two < four { 2 } else { 4 })
}

/// Bytes of weights that are likely to be in a cache still.
const CACHED: f32 = 1e6;

/// True when the weights of each feature, `taps` of them, are multiples of a step as quantization leaves them: whole numbers, or
/// 127 or 128 steps up to the largest. Then the sums are rounded to bytes next, whole ones are exact even, and the larger
/// error of transformed sums would be seen: each sum that falls to the other side of a half is wrong by a whole step.
pub(super) fn quantized(weights: &Tensor, taps: usize) -> bool {
    let whole = |value: f32| (value - (value + 0.5f32.copysign(value)) as i32 as f32).abs() < 1e-3;
    weights.as_slice::<f32>().is_ok_and(|values| {
        values.chunks(taps).all(|feature| {
            let largest = feature.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let steps = |count: f32| if largest > 0.0 { count / largest } else { 1.0 };
            [1.0, steps(127.0), steps(128.0)].iter().any(|by| feature.iter().all(|value| whole(value * by)))
        })
    })
}

/// What transforming a channel of a tile of `side` x `side` outputs costs, one way.
pub(super) fn transform(side: usize) -> f32 {
    if side == 2 { 256.0 } else { 750.0 }
}

/// The cost for one image and group with tiles of `side` x `side` outputs; 1 is without transforms.
fn cost(problem: &Problem, plane: &Plane, side: usize, isa: Isa) -> f32 {
    let lanes = Sizes::of(isa).lanes;
    let tiles = plane.rows.output.div_ceil(side) * plane.columns.output.div_ceil(side);
    let weights = (problem.depth * problem.features) as f32;
    let (products, transform) = match side {
        1 => (9.0, 0.0),
        2 => (16.0, transform(side)),
        _ => (36.0, transform(side)),
    };
    // Processors differ more in arithmetic than in memory.
    let byte = (gigaflops(isa) / 12 + 2) as f32;
    let reading = (products * 4.0 * weights - CACHED).max(0.0) * byte;
    if side == 1 {
        return products * 1.25 * weights * tiles as f32 + reading;
    }
    let vectors = problem.depth.next_multiple_of(lanes) + problem.features.next_multiple_of(lanes);
    let multiplied = (problem.depth * problem.features.next_multiple_of(lanes)) as f32;
    // A product of few rows takes as long as reading its right factor.
    let multiplied = products * multiplied * tiles.max(4) as f32;
    multiplied + transform * (tiles * vectors) as f32 + reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use inferry_engine::op::{Padding, Window};

    fn chosen(depth: usize, features: usize, extent: usize, stride: usize) -> Option<usize> {
        let window = Window {
            kernel: Some(alloc::vec![3, 3]),
            strides: alloc::vec![stride, stride],
            dilations: alloc::vec![],
            padding: Padding::Explicit(alloc::vec![1, 1, 1, 1]),
        };
        let input = alloc::vec![extent, extent];
        let window = window.resolve(&input, &[3, 3], false).unwrap();
        let plane = Plane::new(&window, &input).unwrap();
        let problem = Problem { images: 1, groups: 1, depth, features, input, window, bias: false };
        side(&problem, &plane, Isa::portable())
    }

    #[test]
    fn quantized_weights_are_known_by_their_steps() {
        let known = |values: &[f32]| quantized(&Tensor::from_slice(values, [values.len()]).unwrap(), 4);
        assert!(known(&[1.0, -127.0, 0.0, 255.0]));
        assert!(known(&[0.013 * 127.0, 0.013 * 5.0, -0.013 * 77.0, 0.0, 0.4 * 3.0, 0.4, 0.4 * -128.0, 0.4]));
        assert!(!known(&[1.0, -127.0, 0.5, 255.0]));
        assert!(!known(&[0.013 * 127.0, 0.013 * 5.0, -0.013 * 77.0, 0.0, 0.3, 0.4, 0.7, 0.1]));
    }

    #[test]
    fn large_images_and_many_channels_take_the_large_tiles() {
        assert_eq!(chosen(64, 64, 56, 1), Some(4));
        assert_eq!(chosen(96, 24, 40, 1), Some(4));
        assert_eq!(chosen(256, 256, 14, 1), Some(2), "weights count");
    }

    #[test]
    fn what_does_not_pay_is_left_alone() {
        assert_eq!(chosen(64, 64, 56, 2), None);
        assert_eq!(chosen(3, 32, 112, 1), None);
        assert_eq!(chosen(33, 1, 112, 1), None);
        assert_eq!(chosen(512, 512, 1, 1), None);
        assert_eq!(chosen(0, 4, 9, 1), None);
    }
}
