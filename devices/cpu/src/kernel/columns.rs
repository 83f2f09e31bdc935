//! Col2Im, which adds columns up to an image, and the columns of a deformable convolution.
//!
//! A column has the elements under a window, one tap after the other. Both kernels go along the innermost dimension of the
//! image and ask for each tap where it stands.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::tensor::MAX_RANK;
use inferry_engine::op::{Col2Im, DeformColumns, Op, Reduction, Resolved};

use crate::io::Io;
use crate::kernel::arguments::{form, integers, refused};
use crate::kernel::number::{Number, by_float};
use crate::kernel::scatter::{Put, put};
use crate::kernel::simple::spread_items;
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};

/// Builds Col2Im.
pub(crate) fn col2im(op: &Col2Im, node: &Builder<'_>) -> Built {
    let columns = node.input(0)?;
    let (element, shape) = node.output(0);
    let (image, block) = (extents(node, 1)?, extents(node, 2)?);
    let window = op.window.resolve(&image, &block, false).map_err(refused)?;
    let taps: usize = block.iter().product();
    let places: usize = window.output.iter().product();
    let fits = columns.shape.rank() == 3
        && *element == columns.element
        && shape.rank() == image.len() + 2
        && shape[2..] == image[..]
        && columns.shape[..] == [shape[0], shape[1] * taps, places];
    if !fits || image.is_empty() {
        return Err(form(format!("Col2Im of {} is not {shape}", columns.shape)));
    }
    let row = image[image.len() - 1];
    let rows = shape.count() / row.max(1);
    let (phase, share) = spread_items(rows, (taps as u64).saturating_mul(10_000 + 1000 * row as u64));
    Ok(Box::new(Sums {
        add: put(op.name(), *element, Reduction::Add)?,
        size: element.size(),
        image,
        window,
        taps,
        places,
        rows,
        share,
        phases: [phase],
    }))
}

fn extents(node: &Builder<'_>, index: usize) -> Result<Vec<usize>, BuildError> {
    let values = integers(node, index)?.unwrap_or_default();
    let extents: Option<Vec<usize>> = values.iter().map(|value| usize::try_from(*value).ok()).collect();
    extents.ok_or_else(|| form(format!("extents {values:?}")))
}

struct Sums {
    add: Put,
    /// Bytes of an element.
    size: usize,
    image: Vec<usize>,
    window: Resolved,
    taps: usize,
    places: usize,
    /// Rows of all images together.
    rows: usize,
    share: usize,
    phases: [Phase; 1],
}

impl Kernel for Sums {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        let (from, to) = (io.input::<u8>(0), io.shared::<u8>(0));
        let bytes = self.image[self.image.len() - 1] * self.size;
        let tiles = io.tiles();
        for row in tiles.start * self.share..(tiles.end * self.share).min(self.rows) {
            // SAFETY: a row belongs to one tile.
            let to = unsafe { to.range(row * bytes..(row + 1) * bytes) };
            self.row(from, row, to);
        }
    }
}

impl Sums {
    /// Adds up a row of an image.
    fn row(&self, from: &[u8], row: usize, to: &mut [u8]) {
        // The bytes of every zero are zero.
        to.fill(0);
        let last = self.image.len() - 1;
        let lines: usize = self.image[..last].iter().product();
        let (plane, line) = (row / lines, row % lines);
        let width = self.image[last];
        for tap in 0..self.taps {
            let Some((first, step)) = self.line(line, tap) else { continue };
            let source = (plane * self.taps + tap) * self.places + first;
            let Resolved { strides, begins, dilations, output, .. } = &self.window;
            // Place `p` puts this tap to element `p * stride + shift - begin` of the line.
            let (stride, shift, begin) = (strides[last], step * dilations[last], begins[last]);
            if stride == 1 {
                let low = begin.saturating_sub(shift);
                let high = (width + begin).saturating_sub(shift).min(output[last]);
                if low < high {
                    let at = (low + shift - begin) * self.size;
                    let part = &from[(source + low) * self.size..(source + high) * self.size];
                    (self.add)(Reduction::Add, &mut to[at..at + part.len()], part);
                }
                continue;
            }
            for place in 0..output[last] {
                let at = place * stride + shift;
                if at >= begin && at - begin < width {
                    let to = &mut to[(at - begin) * self.size..][..self.size];
                    (self.add)(Reduction::Add, to, &from[(source + place) * self.size..][..self.size]);
                }
            }
        }
    }

    /// The first place whose window has this tap on this line of the image, and which tap of a row it is; `None` when no
    /// window has.
    fn line(&self, line: usize, tap: usize) -> Option<(usize, usize)> {
        let Resolved { kernel, strides, begins, dilations, output, .. } = &self.window;
        let last = self.image.len() - 1;
        let (mut line, mut rest) = (line, tap / kernel[last]);
        let (mut place, mut weight) = (0, output[last]);
        for dim in (0..last).rev() {
            let at =
                (line % self.image[dim] + begins[dim]).checked_sub(rest % kernel[dim] * dilations[dim])?;
            if at % strides[dim] != 0 || at / strides[dim] >= output[dim] {
                return None;
            }
            place += at / strides[dim] * weight;
            weight *= output[dim];
            line /= self.image[dim];
            rest /= kernel[dim];
        }
        Some((place, tap % kernel[last]))
    }
}

/// Builds the columns of a deformable convolution.
pub(crate) fn deform_columns(op: &DeformColumns, node: &Builder<'_>) -> Built {
    let (x, weights, offsets) = (node.input(0)?, node.input(1)?, node.input(2)?);
    let (element, shape) = node.output(0);
    let rank = x.shape.rank().saturating_sub(2);
    let wrong = || form(format!("DeformConv of {}, {} and {}", x.shape, weights.shape, offsets.shape));
    if rank == 0 || weights.shape.rank() != rank + 2 || *element != x.element {
        return Err(wrong());
    }
    let window = op.window.resolve(&x.shape[2..], &weights.shape[2..], false).map_err(refused)?;
    let taps: usize = window.kernel.iter().product();
    let places: usize = window.output.iter().product();
    let (images, channels) = (x.shape[0], x.shape[1]);
    let count = |each: usize| images * op.offset_group * taps * each * places;
    let fits = op.group > 0
        && op.offset_group > 0
        && channels % op.offset_group == 0
        && shape[..] == [images, op.group, channels / op.group * taps, places]
        && offsets.shape.count() == count(rank)
        && offsets.element == *element
        && node.optional(3).is_none_or(|mask| mask.shape.count() == count(1) && mask.element == *element);
    if !fits || u32::try_from(x.shape[2..].iter().product::<usize>()).is_err() {
        return Err(wrong());
    }
    let corners = 1u64 << rank;
    let each = channels / op.offset_group;
    let (phase, share) = spread_items(
        images * op.offset_group * taps * places.div_ceil(GROUP),
        GROUP as u64 * (40_000 * rank as u64 + 1500 * corners * (1 + each as u64)),
    );
    let deform = Deform {
        extents: x.shape[2..].to_vec(),
        window,
        taps,
        places,
        images,
        groups: op.offset_group,
        each,
        share,
        mask: node.optional(3).is_some(),
        phases: [phase],
    };
    by_float!(op.name(), *element, T => Ok(Box::new(Columns::<T> { deform, of: core::marker::PhantomData })))
}

/// Places that are looked up at once.
const GROUP: usize = if cfg!(test) { 3 } else { 64 };

struct Deform {
    /// Of a plane of `x`.
    extents: Vec<usize>,
    window: Resolved,
    taps: usize,
    places: usize,
    images: usize,
    /// Groups of channels with offsets of their own, and the channels in each.
    groups: usize,
    each: usize,
    share: usize,
    mask: bool,
    phases: [Phase; 1],
}

struct Columns<T> {
    deform: Deform,
    of: core::marker::PhantomData<T>,
}

impl<T: Number> Kernel for Columns<T> {
    fn phases(&self) -> &[Phase] {
        &self.deform.phases
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        let Deform { places, taps, groups, images, share, .. } = self.deform;
        let pieces = places.div_ceil(GROUP);
        let tiles = io.tiles();
        for item in tiles.start * share..(tiles.end * share).min(images * groups * taps * pieces) {
            let (row, first) = (item / pieces, item % pieces * GROUP);
            for place in first..(first + GROUP).min(places) {
                self.place(io, row / taps, row % taps, place);
            }
        }
    }
}

impl<T: Number> Columns<T> {
    /// Writes what a tap sees at a place, in all channels of a group with offsets of its own.
    fn place(&self, io: &Io<'_>, group: usize, tap: usize, place: usize) {
        let Deform { extents, window, taps, places, each, .. } = &self.deform;
        let (x, to, rank) = (io.input::<T>(0), io.shared::<T>(0), extents.len());
        let offsets = &io.input::<T>(2)[(group * taps + tap) * rank * places..];
        let mask = match self.deform.mask {
            true => io.input::<T>(3)[(group * taps + tap) * places + place],
            false => T::ONE,
        };
        let mut sides: heapless::Vec<[(usize, f64); 2], MAX_RANK> = heapless::Vec::new();
        let (mut rest_tap, mut rest) = (tap, place);
        for dim in (0..rank).rev() {
            let (step, at) = (rest_tap % window.kernel[dim], rest % window.output[dim]);
            (rest_tap, rest) = (rest_tap / window.kernel[dim], rest / window.output[dim]);
            let middle = (at * window.strides[dim] + step * window.dilations[dim]) as f64;
            let at = middle - window.begins[dim] as f64 + offsets[dim * places + place].to_f64();
            let _ = sides.push(between(at, extents[dim]));
        }
        let plane: usize = extents.iter().product();
        for channel in 0..*each {
            let channel = group * each + channel;
            let x = &x[channel * plane..(channel + 1) * plane];
            let mut sum = T::default();
            // Each bit says which of the two neighbours along a dimension.
            for corner in 0..1usize << rank {
                let (mut offset, mut stride, mut share) = (0, 1, 1.0);
                for (index, side) in sides.iter().enumerate() {
                    let (at, part) = side[corner >> index & 1];
                    offset += at * stride;
                    stride *= extents[rank - 1 - index];
                    share *= part;
                }
                if share != 0.0 {
                    sum = sum.add(x[offset].mul(T::from_f64(share)));
                }
            }
            let at = (channel * taps + tap) * places + place;
            // SAFETY: what a tap sees at a place belongs to one tile.
            unsafe { to.range(at..at + 1) }.fill(sum.mul(mask));
        }
    }
}

/// The two elements that a place lies between, and the share of each; none for what lies outside.
fn between(at: f64, extent: usize) -> [(usize, f64); 2] {
    let floor = libm::floor(at);
    let part = at - floor;
    [(floor, 1.0 - part), (floor + 1.0, part)].map(|(place, share)| {
        // Also what is no number lies outside.
        if place >= 0.0 && place < extent as f64 { (place as usize, share) } else { (0, 0.0) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, noise, run, run_with_constants, tensor};
    use inferry_core::{ElementType, Shape, Tensor};
    use inferry_engine::op::{Padding, Window};

    fn window(strides: &[usize], dilations: &[usize], pads: &[usize]) -> Window {
        Window {
            kernel: None,
            strides: strides.to_vec(),
            dilations: dilations.to_vec(),
            padding: Padding::Explicit(pads.to_vec()),
        }
    }

    fn image(window: Window, columns: &Tensor, extents: &[i64], block: &[i64], shape: &[usize]) -> Vec<i32> {
        let inputs = [
            Some(columns.clone()),
            Some(tensor(extents, [extents.len()])),
            Some(tensor(block, [block.len()])),
        ];
        let outputs = [(ElementType::I32, Shape::new(shape).unwrap())];
        let op = Col2Im { window };
        run_with_constants(&op, &inputs, &[1, 2], &outputs, Isa::portable())[0].to_vec().unwrap()
    }

    /// Strides, dilations, paddings, extents of the image and of a block.
    type Case = (&'static [usize], &'static [usize], &'static [usize], &'static [i64], &'static [i64]);

    #[test]
    fn every_element_is_the_sum_of_its_columns() {
        // Columns of `place + 100 * tap`, added up by the definition.
        let cases: [Case; 5] = [
            (&[1, 1], &[1, 1], &[0, 0, 0, 0], &[5, 5], &[1, 5]),
            (&[2, 2], &[1, 1], &[0, 0, 0, 0], &[5, 5], &[3, 3]),
            (&[1, 1], &[1, 1], &[1, 0, 1, 2], &[5, 4], &[3, 2]),
            (&[1, 3], &[2, 1], &[1, 1, 0, 2], &[6, 7], &[2, 3]),
            (&[1, 2, 1], &[1, 1, 2], &[0, 1, 1, 0, 1, 1], &[2, 4, 5], &[1, 2, 2]),
        ];
        for (strides, dilations, pads, extents, block) in cases {
            let window = window(strides, dilations, pads);
            let usizes = |of: &[i64]| of.iter().map(|extent| *extent as usize).collect::<Vec<_>>();
            let (sizes, kernel) = (usizes(extents), usizes(block));
            let resolved = window.resolve(&sizes, &kernel, false).unwrap();
            let (taps, places) =
                (kernel.iter().product::<usize>(), resolved.output.iter().product::<usize>());
            let plane: usize = sizes.iter().product();
            let columns: Vec<i32> =
                (0..2 * taps * places).map(|at| (at % places + 100 * (at / places)) as i32).collect();
            let mut wanted = alloc::vec![0; 2 * plane];
            for (at, value) in columns.iter().enumerate() {
                let (mut place, mut tap) = (at % places, at / places % taps);
                let (mut element, mut weight, mut inside) = (0, 1, true);
                for dim in (0..sizes.len()).rev() {
                    let shift = tap % kernel[dim] * dilations[dim];
                    let where_ =
                        (place % resolved.output[dim] * strides[dim] + shift).wrapping_sub(pads[dim]);
                    inside &= where_ < sizes[dim];
                    element += where_.min(sizes[dim]) * weight;
                    weight *= sizes[dim];
                    (place, tap) = (place / resolved.output[dim], tap / kernel[dim]);
                }
                if inside {
                    wanted[at / (taps * places) * plane + element] += value;
                }
            }
            let columns = tensor(&columns, [1, 2 * taps, places]);
            let shape = [&[1, 2], &sizes[..]].concat();
            assert_eq!(image(window, &columns, extents, block, &shape), wanted, "{extents:?} {block:?}");
        }
    }

    fn deformed(op: &DeformColumns, inputs: &[Option<Tensor>], shape: [usize; 4]) -> Vec<f32> {
        run(op, inputs, &[(ElementType::F32, shape.into())], Isa::portable())[0].to_vec().unwrap()
    }

    #[test]
    fn without_offsets_the_columns_are_those_of_any_convolution() {
        let x = noise(2 * 4 * 5 * 6, 1);
        let op = DeformColumns { window: window(&[1, 2], &[2, 1], &[1, 0, 1, 1]), group: 2, offset_group: 2 };
        let resolved = op.window.resolve(&[5, 6], &[2, 3], false).unwrap();
        let places: usize = resolved.output.iter().product();
        let [rows, columns] = [resolved.output[0], resolved.output[1]];
        let zeros = tensor(&alloc::vec![0f32; 2 * 2 * 6 * 2 * places], [2, 24, rows, columns]);
        let mask: Vec<f32> = (0..2 * 2 * 6 * places).map(|at| if at % 2 == 0 { 1.0 } else { 0.5 }).collect();
        let inputs = [
            Some(tensor(&x, [2, 4, 5, 6])),
            Some(tensor(&[0f32; 72], [6, 2, 2, 3])),
            Some(zeros),
            Some(tensor(&mask, [2, 12, rows, columns])),
        ];
        let found = deformed(&op, &inputs, [2, 2, 12, places]);
        let mut wanted = Vec::new();
        for channel in 0..8 {
            for tap in 0..6 {
                for place in 0..places {
                    let row = (place / columns + tap / 3 * 2).wrapping_sub(1);
                    let column = place % columns * 2 + tap % 3;
                    let value = if row < 5 && column < 6 { x[(channel * 5 + row) * 6 + column] } else { 0.0 };
                    wanted.push(value * mask[(channel / 2 * 6 + tap) * places + place]);
                }
            }
        }
        assert_close(&found, &wanted, 1e-6, 0.0);
    }

    #[test]
    fn an_offset_moves_what_is_seen() {
        let x = tensor(&[0f32, 1., 2., 3., 4., 5., 6., 7., 8.], [1, 1, 3, 3]);
        let op = DeformColumns { window: Window::default(), group: 1, offset_group: 1 };
        let weights = Some(tensor(&[0f32; 4], [1, 1, 2, 2]));
        // The first tap half an element down at the first place, the last tap far away, one nowhere.
        let mut offsets = [0f32; 32];
        (offsets[0], offsets[24], offsets[12]) = (0.5, 5.0, f32::NAN);
        let inputs = [Some(x), weights, Some(tensor(&offsets, [1, 8, 2, 2]))];
        let found = deformed(&op, &inputs, [1, 1, 4, 4]);
        let wanted = [1.5, 1., 3., 4., 0., 2., 4., 5., 3., 4., 6., 7., 0., 5., 7., 8.];
        assert_close(&found, &wanted, 1e-6, 0.0);
        // A signal of one dimension.
        let line = tensor(&[0f32, 2., 4., 6.], [1, 1, 4]);
        let inputs =
            [Some(line), Some(tensor(&[0f32], [1, 1, 1])), Some(tensor(&[0.25f32, -0.5, 0., 1.], [1, 1, 4]))];
        let found = deformed(&op, &inputs, [1, 1, 1, 4]);
        assert_close(&found, &[0.5, 1., 4., 0.], 1e-6, 0.0);
    }
}
