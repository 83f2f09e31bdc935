//! MelWeightMatrix: triangles over the lines of a spectrum, evenly spaced on the mel scale.

use inferry_engine::op::{MelWeightMatrix, Op};

use crate::io::Io;
use crate::kernel::any::{Read, reader};
use crate::kernel::arguments::{form, integers};
use crate::kernel::simple::{simple_with_scratch, spread_rows};
use crate::kernel::{Builder, Built};

/// Builds the kernel of a [`MelWeightMatrix`].
pub(crate) fn mel_weight_matrix(op: &MelWeightMatrix, node: &Builder<'_>) -> Built {
    let [lines, bins] = node.output(0).1[..] else { return Err(form("a matrix has two dimensions")) };
    let length = match integers(node, 1)?.as_deref() {
        Some([length]) => *length as f64,
        _ => return Err(form("input 1 must be one number")),
    };
    let read = |index: usize| reader(op.name(), node.input(index)?.element);
    let reads = [read(2)?, read(3)?, read(4)?];
    let phase = spread_rows(lines, bins, 5000);
    simple_with_scratch(phase, (bins + 2) * size_of::<f64>(), move |io| {
        let start = io.tiles().start * phase.unit / bins.max(1);
        let corners = io.scratch::<f64>();
        corner_lines(io, reads, length, &mut corners[..bins + 2]);
        for (row, to) in io.rows::<f32>().chunks_exact_mut(bins.max(1)).enumerate() {
            for (to, corners) in to.iter_mut().zip(corners.windows(3)) {
                *to = weight((start + row) as f64, corners[0], corners[1], corners[2]) as f32;
            }
        }
    })
}

/// The lines between which the triangles stand: each begins at one, is highest at the next and ends at the one after.
fn corner_lines(io: &Io<'_>, [rate, low, high]: [Read; 3], length: f64, corners: &mut [f64]) {
    let (rate, low, high) = (rate(io.input(2), 0), low(io.input(3), 0), high(io.input(4), 0));
    let mel = |hertz: f64| 2595.0 * libm::log10(1.0 + hertz / 700.0);
    let step = (mel(high) - mel(low)) / corners.len() as f64;
    for (index, corner) in corners.iter_mut().enumerate() {
        let hertz = 700.0 * (libm::pow(10.0, (index as f64 * step + mel(low)) / 2595.0) - 1.0);
        *corner = libm::floor((length + 1.0) * hertz / rate);
    }
}

fn weight(line: f64, begin: f64, top: f64, end: f64) -> f64 {
    if line >= top && line < end {
        (end - line) / (end - top)
    } else if line == top && begin == top {
        1.0
    } else if line >= begin && line <= top {
        (line - begin) / (top - begin)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, run_one, tensor};
    use inferry_core::Shape;

    #[test]
    fn the_weights_of_the_standard() {
        let number = |value: i64| tensor(&[value], Shape::scalar());
        let edge = |value: f32| tensor(&[value], Shape::scalar());
        let inputs = [&number(8), &number(16), &number(8192), &edge(0.0), &edge(4096.0)];
        let found = run_one::<f32>(&MelWeightMatrix, &inputs, [9, 8]);
        // test_melweightmatrix of the standard.
        let wanted: [[f32; 8]; 9] = [
            [1., 1., 0., 0., 0., 0., 0., 0.],
            [0., 0., 1., 1., 0., 0., 0., 0.],
            [0., 0., 0., 0., 1., 0., 0., 0.],
            [0., 0., 0., 0., 0., 1., 0., 0.],
            [0., 0., 0., 0., 0., 0., 1., 0.],
            [0., 0., 0., 0., 0., 0., 0., 1.],
            [0.; 8],
            [0.; 8],
            [0.; 8],
        ];
        assert_close(&found, wanted.as_flattened(), 1e-6, 0.0);
    }
}
