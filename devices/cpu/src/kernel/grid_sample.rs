//! GridSample: numbers of an image between its elements, and AffineGrid, which says where.
//!
//! What is read for a place is the same in all channels: a few *taps*, each the offset of an element in its plane and a
//! weight, the products of what the dimensions say (one tap a dimension where the nearest is taken, two for linear, four
//! for cubic). A tile finds the taps of a few places and then walks along the channels. A tap outside of the image is left
//! out, so that nothing there, not even a NaN, has a say.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;

use inferry_core::Shape;
use inferry_core::tensor::MAX_RANK;
use inferry_engine::op::{AffineGrid, GridSample, Op, SampleMode, SamplePadding};

use crate::io::Io;
use crate::kernel::arguments::{form, integers};
use crate::kernel::number::{Number, by_float};
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::{Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`GridSample`].
pub(crate) fn grid_sample(op: &GridSample, node: &Builder<'_>) -> Built {
    let (x, grid) = (node.input(0)?, node.input(1)?);
    let (element, shape) = node.output(0);
    let rank = x.shape.rank().saturating_sub(2);
    let fits = rank > 0
        && *element == x.element
        && shape.rank() == rank + 2
        && grid.shape.rank() == rank + 2
        && shape[..2] == x.shape[..2]
        && grid.shape[0] == shape[0]
        && grid.shape[1..=rank] == shape[2..]
        && grid.shape[rank + 1] == rank;
    if !fits || u32::try_from(x.shape[2..].iter().product::<usize>()).is_err() {
        return Err(form(format!("GridSample of {} by {} is not {shape}", x.shape, grid.shape)));
    }
    let taps = match op.mode {
        SampleMode::Nearest => 1usize,
        SampleMode::Linear => 1 << rank,
        SampleMode::Cubic => 1 << (2 * rank),
    };
    let (channels, places) = (x.shape[1], shape[2..].iter().product::<usize>());
    let group = (4096 / taps).clamp(1, GROUP);
    let cost = group as u64 * (20 * rank as u64 + taps as u64 * (2 + channels as u64));
    let phases = [Phase::tiles(shape[0] * places.div_ceil(group), cost)];
    let sampler = Sampler {
        op: *op,
        extents: Shape::new(&x.shape[2..]).expect("fewer dimensions"),
        channels,
        places,
        taps,
        group,
        phases,
    };
    by_float!(op.name(), grid.element, G => by_float!(op.name(), x.element, T => {
        Ok(Box::new(Typed::<T, G> { sampler, of: core::marker::PhantomData }))
    }))
}

/// Places whose taps a tile finds at once.
const GROUP: usize = if cfg!(test) { 3 } else { 64 };

#[derive(Clone)]
struct Sampler {
    op: GridSample,
    /// Of a plane of `x`.
    extents: Shape,
    channels: usize,
    /// Places for each image.
    places: usize,
    /// Most taps of a place.
    taps: usize,
    group: usize,
    phases: [Phase; 1],
}

/// A sampler of numbers `T` at places given as `G`.
struct Typed<T, G> {
    sampler: Sampler,
    of: core::marker::PhantomData<(T, G)>,
}

/// An element of a plane and how much of it is taken.
#[derive(Clone, Copy, Default, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C)]
struct Tap {
    offset: u32,
    weight: f32,
}

impl<T: Number, G: Number> Kernel for Typed<T, G> {
    fn phases(&self) -> &[Phase] {
        &self.sampler.phases
    }

    fn scratch(&self) -> usize {
        self.sampler.group * self.sampler.taps * size_of::<Tap>()
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        let Sampler { channels, places, taps, group, .. } = self.sampler;
        let rank = self.sampler.extents.rank();
        let plane = self.sampler.extents.count();
        let (x, grid, to) = (io.input::<T>(0), io.input::<G>(1), io.shared::<T>(0));
        let scratch = io.scratch::<Tap>();
        let groups = places.div_ceil(group);
        for tile in io.tiles() {
            let (image, first) = (tile / groups, tile % groups * group);
            let count = group.min(places - first);
            let mut found = [0; GROUP];
            for (index, taps) in scratch.chunks_exact_mut(taps).take(count).enumerate() {
                let place = (image * places + first + index) * rank;
                // The last dimension comes first.
                let at = |dim: usize| grid[place + rank - 1 - dim].to_f64();
                found[index] = self.sampler.taps(at, taps);
            }
            for channel in image * channels..(image + 1) * channels {
                let x = &x[channel * plane..(channel + 1) * plane];
                let at = channel * places + first;
                // SAFETY: a group of places belongs to one tile.
                let to = unsafe { to.range(at..at + count) };
                for ((to, taps), found) in to.iter_mut().zip(scratch.chunks_exact(taps)).zip(found) {
                    *to = taps[..found].iter().fold(T::default(), |sum, tap| {
                        sum.add(x[tap.offset as usize].mul(T::from_f64(f64::from(tap.weight))))
                    });
                }
            }
        }
    }
}

impl Sampler {
    /// Writes the taps of the place whose coordinates `at` gives by dimension, and tells how many there are.
    fn taps(&self, at: impl Fn(usize) -> f64, taps: &mut [Tap]) -> usize {
        taps[0] = Tap { offset: 0, weight: 1.0 };
        let mut count = 1;
        for (dim, extent) in self.extents.iter().enumerate() {
            let (along, len) = self.along(at(dim), *extent);
            // From the back, so that what is read has not been overwritten.
            for tap in (0..count).rev() {
                let Tap { offset, weight } = taps[tap];
                for (index, (place, share)) in along[..len].iter().enumerate() {
                    let offset = offset * *extent as u32 + *place as u32;
                    taps[tap * len + index] = Tap { offset, weight: weight * share };
                }
            }
            count *= len;
        }
        count
    }

    /// The elements along a dimension that have a share in coordinate `n`.
    fn along(&self, n: f64, extent: usize) -> ([(usize, f32); 4], usize) {
        let GridSample { mode, padding, align_corners } = self.op;
        let len = extent as f64;
        let (low, high) = if align_corners { (0.0, len - 1.0) } else { (-0.5, len - 0.5) };
        let mut x = if align_corners { (n + 1.0) / 2.0 * (len - 1.0) } else { ((n + 1.0) * len - 1.0) / 2.0 };
        if mode == SampleMode::Nearest {
            x = libm::rint(x);
        }
        if x < low || x > high {
            x = match padding {
                SamplePadding::Zeros => x,
                SamplePadding::Border => x.clamp(0.0, (len - 1.0).max(0.0)),
                SamplePadding::Reflection => reflected(x, low, high),
            };
        }
        let floor = libm::floor(x);
        let part = (x - floor) as f32;
        let (first, shares): (i64, &[f32]) = match mode {
            SampleMode::Nearest => (0, &[1.0]),
            SampleMode::Linear => (0, &[1.0 - part, part]),
            SampleMode::Cubic => (-1, &cubic(part)),
        };
        let mut found = [(0, 0.0); 4];
        let mut count = 0;
        for (step, share) in shares.iter().enumerate() {
            // A cast holds what is beyond an i64 at its ends, and makes 0 of what is no number.
            let place = (floor as i64).saturating_add(first + step as i64);
            if let Some(place) = self.inside(place, extent, low, high) {
                found[count] = (place, *share);
                count += 1;
            }
        }
        (found, count)
    }

    /// The element that stands at `place`, if there is one.
    fn inside(&self, place: i64, extent: usize, low: f64, high: f64) -> Option<usize> {
        let last = i64::try_from(extent).ok()? - 1;
        if (0..=last).contains(&place) {
            return Some(place as usize);
        }
        let held = match self.op.padding {
            SamplePadding::Zeros => return None,
            SamplePadding::Border => place,
            SamplePadding::Reflection => reflected(place as f64, low, high) as i64,
        };
        (last >= 0).then(|| held.clamp(0, last) as usize)
    }
}

/// `x` reflected at the borders until it lies between them.
fn reflected(x: f64, low: f64, high: f64) -> f64 {
    let range = high - low;
    if range <= 0.0 || !x.is_finite() {
        return low;
    }
    let beyond = if x < low { low - x } else { x - high };
    let times = libm::floor(beyond / range);
    let rest = beyond - times * range;
    // An even number of reflections after the first ends at the border where it began.
    let from_low = (x < low) == (libm::fmod(times, 2.0) == 0.0);
    if from_low { low + rest } else { high - rest }
}

/// The shares of the four elements around a place that lies `x` behind the second of them.
fn cubic(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(x + 1.0), near(x), near(1.0 - x), far(2.0 - x)]
}

/// Builds the kernel of an [`AffineGrid`].
pub(crate) fn affine_grid(op: &AffineGrid, node: &Builder<'_>) -> Built {
    let theta = node.input(0)?;
    let (element, shape) = node.output(0);
    let size = integers(node, 1)?.unwrap_or_default();
    let rank = size.len().saturating_sub(2);
    let fits = (2..=3).contains(&rank)
        && *element == theta.element
        && theta.shape.rank() == 3
        && shape.rank() == rank + 2
        && theta.shape[..] == [shape[0], rank, rank + 1]
        && shape[rank + 1] == rank;
    if !fits {
        return Err(form(format!("AffineGrid of {} and {size:?} is not {shape}", theta.shape)));
    }
    let extents: heapless::Vec<usize, MAX_RANK> = shape[1..=rank].iter().copied().collect();
    let places: usize = extents.iter().product();
    let align = op.align_corners;
    by_float!(op.name(), theta.element, T => {
        let phase = spread_rows(shape[0] * places, rank, 5000);
        simple(phase, move |io| {
            let (theta, start) = (io.input::<T>(0), io.tiles().start * phase.unit / rank);
            for (index, to) in io.rows::<T>().chunks_exact_mut(rank).enumerate() {
                let (image, mut rest) = ((start + index) / places, (start + index) % places);
                // The coordinates, the last dimension first, and the 1 that the shift is multiplied with.
                let mut at = [1.0; 4];
                for (at, extent) in at.iter_mut().zip(extents.iter().rev()) {
                    let (place, len) = ((rest % extent) as f64, *extent as f64);
                    *at = if align {
                        if *extent == 1 { -1.0 } else { 2.0 * place / (len - 1.0) - 1.0 }
                    } else {
                        (2.0 * place + 1.0) / len - 1.0
                    };
                    rest /= extent;
                }
                let theta = theta[image * rank * (rank + 1)..].chunks_exact(rank + 1);
                for (to, row) in to.iter_mut().zip(theta) {
                    let sum: f64 = row.iter().zip(at).map(|(factor, at)| factor.to_f64() * at).sum();
                    *to = T::from_f64(sum);
                }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, noise, run_one, run_with_constants, tensor};
    use alloc::vec::Vec;
    use inferry_core::ElementType;

    fn op(mode: SampleMode, padding: SamplePadding, align_corners: bool) -> GridSample {
        GridSample { mode, padding, align_corners }
    }

    /// The image of the standard's examples, and a grid that reaches outside of it.
    fn image() -> inferry_core::Tensor {
        tensor(&[0f32, 1., 2., 3., 4., 5.], [1, 1, 3, 2])
    }

    fn grid() -> inferry_core::Tensor {
        let places = [-10f32, -10., -5., -5., -0.2, -0.2, 10., 10., 10., 10., -0.2, -0.2, 5., 5., 10., 10.];
        tensor(&places, [1, 2, 4, 2])
    }

    #[test]
    fn values_of_the_standard() {
        use SampleMode::*;
        use SamplePadding::*;
        let cases: [(SampleMode, SamplePadding, [f32; 8]); 4] = [
            (Linear, Zeros, [0., 0., 1.7, 0., 0., 1.7, 0., 0.]),
            (Linear, Border, [0., 0., 1.7, 5., 5., 1.7, 5., 5.]),
            (Linear, Reflection, [2.5, 0., 1.7, 2.5, 2.5, 1.7, 5., 2.5]),
            (Nearest, Zeros, [0., 0., 2., 0., 0., 2., 0., 0.]),
        ];
        for (mode, padding, wanted) in cases {
            let found = run_one::<f32>(&op(mode, padding, false), &[&image(), &grid()], [1, 1, 2, 4]);
            assert_close(&found, &wanted, 1e-5, 0.0);
        }
        // From onnx's reference implementation.
        let found = run_one::<f32>(&op(Cubic, Zeros, false), &[&image(), &grid()], [1, 1, 2, 4]);
        assert_close(&found, &[0., 0., 1.755553, 0., 0., 1.755553, 0., 0.], 1e-5, 0.0);
    }

    #[test]
    fn a_grid_of_the_elements_gives_the_elements() {
        // Whatever the mode and the padding, in one, two and three dimensions, of floats of both kinds.
        use SampleMode::*;
        for extents in [&[5][..], &[3, 4], &[2, 3, 4], &[1, 3]] {
            let count: usize = extents.iter().product();
            let values: Vec<f64> = noise(2 * 3 * count, 3).iter().map(|x| f64::from(*x)).collect();
            let x = tensor(&values, Shape::new(&[&[2, 3], extents].concat()).unwrap());
            let rank = extents.len();
            let mut places = Vec::new();
            for _ in 0..2 {
                for index in 0..count {
                    let mut rest = index;
                    for extent in extents.iter().rev() {
                        places.push(((2 * (rest % extent) + 1) as f32) / *extent as f32 - 1.0);
                        rest /= extent;
                    }
                }
            }
            let grid = tensor(&places, Shape::new(&[&[2], extents, &[rank]].concat()).unwrap());
            for mode in [Linear, Nearest, Cubic] {
                for padding in [SamplePadding::Zeros, SamplePadding::Border, SamplePadding::Reflection] {
                    let op = op(mode, padding, false);
                    let found = run_one::<f64>(&op, &[&x, &grid], x.shape().clone());
                    let near = found.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-6);
                    assert!(near, "{op:?} {extents:?}");
                }
            }
        }
    }

    #[test]
    fn places_that_are_nowhere_do_no_harm() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 1e9];
        let places: Vec<f32> = odd.iter().flat_map(|x| odd.map(|y| [*x, y])).flatten().collect();
        let grid = tensor(&places, [1, 6, 6, 2]);
        for mode in [SampleMode::Linear, SampleMode::Nearest, SampleMode::Cubic] {
            for padding in [SamplePadding::Zeros, SamplePadding::Border, SamplePadding::Reflection] {
                for align in [false, true] {
                    run_one::<f32>(&op(mode, padding, align), &[&image(), &grid], [1, 1, 6, 6]);
                    let empty = tensor::<f32>(&[], [1, 1, 0, 2]);
                    let found = run_one::<f32>(&op(mode, padding, align), &[&empty, &grid], [1, 1, 6, 6]);
                    assert_eq!(found, [0.0; 36]);
                    let one = tensor(&[7f32], [1, 1, 1, 1]);
                    run_one::<f32>(&op(mode, padding, align), &[&one, &grid], [1, 1, 6, 6]);
                }
            }
        }
    }

    #[test]
    fn what_lies_outside_has_no_say() {
        let x = tensor(&[f32::NAN, 4.0], [1, 1, 2]);
        let grid = tensor(&[0.5f32, 1.4], [1, 2, 1]);
        let found =
            run_one::<f32>(&op(SampleMode::Linear, SamplePadding::Zeros, false), &[&x, &grid], [1, 1, 2]);
        assert!(found[0] == 4.0 && (found[1] - 0.4).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn an_affine_map_moves_the_grid() {
        let theta = [1.0f32, 0., 0.5, 0., 2., -0.25, 1., 0., 0., 0., 1., 0.];
        let inputs = [Some(tensor(&theta, [2, 2, 3])), Some(tensor(&[2i64, 3, 2, 2], [4]))];
        let found = |align| {
            let outputs = [(ElementType::F32, Shape::from([2, 2, 2, 2]))];
            let op = AffineGrid { align_corners: align };
            run_with_constants(&op, &inputs, &[1], &outputs, Isa::portable())[0].to_vec::<f32>().unwrap()
        };
        let wanted = [0., -1.25, 1., -1.25, 0., 0.75, 1., 0.75, -0.5, -0.5, 0.5, -0.5, -0.5, 0.5, 0.5, 0.5];
        assert_close(&found(false), &wanted, 1e-6, 0.0);
        assert_close(&found(true)[8..], &[-1., -1., 1., -1., -1., 1., 1., 1.], 1e-6, 0.0);
    }
}
