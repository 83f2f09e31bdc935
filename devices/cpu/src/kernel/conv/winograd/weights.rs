//! The weights, transformed and packed once.
//!
//! Group by group, and panel by panel of features (two vectors, the last perhaps one): for each of the n² products a right
//! factor, the features of a panel innermost, features beyond the last zero. So a panel is read from front to back.

use inferry_core::steps::Pace;

use super::transform::{MOST, weights};
use crate::kernel::conv::Problem;
use crate::kernel::gemm::Sizes;
use crate::kernel::gemm::pack::{Floats, right_len, right_panel};
use crate::pack::Numbers;

/// How many numbers the weights of a group become.
pub(super) fn group_len(problem: &Problem, side: usize, sizes: Sizes) -> usize {
    right_len(problem.features, problem.depth, sizes) * (side + 2) * (side + 2)
}

/// Transforms and packs all weights.
pub(super) async fn pack(
    problem: Problem,
    side: usize,
    sizes: Sizes,
    from: Numbers,
    mut pace: Pace,
) -> Floats {
    let (n, depth) = (side + 2, problem.depth);
    let size = group_len(&problem, side, sizes);
    let mut packed = Floats::zeros_paced(problem.groups * size, &mut pace).await;
    for (group, to) in packed.as_mut().chunks_exact_mut(size).enumerate() {
        for first in (0..problem.features).step_by(sizes.columns()) {
            let (start, width) = right_panel(first, problem.features, depth, sizes);
            let to = &mut to[start * n * n..][..width * depth * n * n];
            for channel in 0..depth {
                for (feature, column) in (first..problem.features).zip(0..width) {
                    let window = &from[((group * problem.features + feature) * depth + channel) * 9..][..9];
                    let values = transformed(side, window);
                    for (product, value) in values[..n].iter().flat_map(|row| &row[..n]).enumerate() {
                        to[(product * depth + channel) * width + column] = *value as f32;
                    }
                }
                pace.spend((100 * width) as u64).await;
            }
        }
    }
    packed
}

/// A window in both dimensions.
fn transformed(side: usize, window: &[f32]) -> [[f64; MOST]; MOST] {
    let mut rows = [[0.0; MOST]; 3];
    for (row, from) in rows.iter_mut().zip(window.chunks_exact(3)) {
        *row = weights(side, [from[0], from[1], from[2]].map(f64::from));
    }
    let mut all = [[0.0; MOST]; MOST];
    for column in 0..MOST {
        let values = weights(side, rows.map(|row| row[column]));
        for (row, value) in all.iter_mut().zip(values) {
            row[column] = value;
        }
    }
    all
}
