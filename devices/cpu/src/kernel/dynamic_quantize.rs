//! DynamicQuantizeLinear: to bytes, with the scale and zero point that fit the numbers.
//!
//! ```text
//!  phase 0: each tile finds its smallest and largest number ─▶ workspace
//!  phase 1: each call joins these, tile 0 writes scale and zero point; then each tile writes its bytes
//! ```
#![allow(unsafe_code)]

use inferry_core::ElementType;
use inferry_engine::op::{DynamicQuantizeLinear, Op};

use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::fold::{Largest, Smallest, fold_row};
use crate::kernel::quantize::Real;
use crate::kernel::simple::{spread, spread_items};
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`DynamicQuantizeLinear`].
pub(crate) fn dynamic_quantize(op: &DynamicQuantizeLinear, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    if x.element != ElementType::F32 {
        return Err(BuildError::Element { op: op.name(), element: x.element });
    }
    let count = x.shape.count();
    // Of no numbers the smallest and the largest are still wanted.
    let (search, share) = spread_items(count.max(1), 100);
    let outputs = [1, 2].map(|output| output < node.outputs.len());
    // As above: scale and zero point are written even when there are no bytes.
    let write = spread(count, 400);
    let write = Phase { tiles: write.tiles.max(1), ..write };
    Ok(alloc::boxed::Box::new(Dynamic { phases: [search, write], share, count, outputs, isa: node.isa }))
}

struct Dynamic {
    phases: [Phase; 2],
    /// Numbers that a tile of phase 0 looks at.
    share: usize,
    count: usize,
    /// Whether there are outputs for the scale and the zero point.
    outputs: [bool; 2],
    isa: Isa,
}

impl Kernel for Dynamic {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        self.phases[0].tiles * size_of::<[f32; 2]>()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase == 0 { self.search(io) } else { self.write(io) }
    }
}

impl Dynamic {
    fn search(&self, io: &mut Io<'_>) {
        let x = io.input::<f32>(0);
        for tile in io.tiles() {
            let start = tile * self.share;
            let range = dispatch(self.isa, Range(&x[start..(start + self.share).min(self.count)]));
            // SAFETY: each tile owns two numbers of the workspace.
            unsafe { io.shared_workspace::<f32>().range(2 * tile..2 * tile + 2) }.copy_from_slice(&range);
        }
    }

    fn write(&self, io: &mut Io<'_>) {
        // SAFETY: phase 0 has written it, this phase only reads it.
        let ranges = unsafe { io.read_workspace::<f32>() };
        let ranges = &ranges[..2 * self.phases[0].tiles];
        let least = ranges.iter().step_by(2).copied().fold(0.0, f32::min);
        let most = ranges.iter().skip(1).step_by(2).copied().fold(0.0, f32::max);
        let scale = if most == least { 1.0 } else { (most - least) / 255.0 };
        let zero = libm::rintf((-least / scale).clamp(0.0, 255.0)) as u8;
        if io.tiles().start == 0 {
            if self.outputs[0] {
                // SAFETY: tile 0 alone writes it.
                unsafe { io.shared::<f32>(1).range(0..1) }.fill(scale);
            }
            if self.outputs[1] {
                // SAFETY: as above.
                unsafe { io.shared::<u8>(2).range(0..1) }.fill(zero);
            }
        }
        let start = io.tiles().start * self.phases[1].unit;
        let to = io.rows::<u8>();
        f32::quantize_run(self.isa, &io.input::<f32>(0)[start..start + to.len()], scale, zero, to);
    }
}

/// The smallest and the largest number.
struct Range<'a>(&'a [f32]);

impl Vectorized for Range<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; 2] {
        let least = fold_row(s, Smallest, f64::INFINITY, self.0) as f32;
        [least, fold_row(s, Largest, f64::NEG_INFINITY, self.0) as f32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run, tensor};
    use inferry_core::Shape;

    fn quantized(x: &[f32]) -> (alloc::vec::Vec<u8>, f32, u8) {
        let outputs = [
            (ElementType::U8, [x.len()].into()),
            (ElementType::F32, Shape::scalar()),
            (ElementType::U8, Shape::scalar()),
        ];
        let mut results = Isa::detect_for_tests().into_iter().map(|isa| {
            let results = run(&DynamicQuantizeLinear, &[Some(tensor(x, [x.len()]))], &outputs, isa);
            let scale = results[1].to_vec::<f32>().unwrap()[0];
            (results[0].to_vec().unwrap(), scale, results[2].to_vec().unwrap()[0])
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
        first
    }

    #[test]
    fn values_of_the_standard() {
        let (y, scale, zero) = quantized(&[0.0, 2.0, -3.0, -2.5, 1.34, 0.5]);
        assert_eq!((y.as_slice(), zero), (&[153, 255, 0, 26, 221, 179][..], 153));
        assert!((scale - 0.019_607_844).abs() < 1e-8);
        let (y, scale, zero) = quantized(&[-1.0, -2.1, -1.3, -2.5, -3.34, -4.0]);
        assert_eq!((y.as_slice(), zero), (&[191, 121, 172, 96, 42, 0][..], 255));
        assert!((scale - 0.015_686_275).abs() < 1e-8);
        let x = [1.0, 2.1, 1.3, 2.5, 3.34, 4.0, 1.5, 2.6, 3.9, 4.0, 3.0, 2.345];
        let (y, scale, zero) = quantized(&x);
        assert_eq!((y.as_slice(), zero), (&[64, 134, 83, 159, 213, 255, 96, 166, 249, 255, 191, 149][..], 0));
        assert!((scale - 0.015_686_275).abs() < 1e-8);
    }

    #[test]
    fn zeros_and_nothing() {
        assert_eq!(quantized(&[0.0; 5]), (alloc::vec![0; 5], 1.0, 0));
        assert_eq!(quantized(&[]), (alloc::vec![], 1.0, 0));
    }
}
