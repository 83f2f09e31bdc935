//! Resize: a tensor with other extents.
//!
//! Dimensions are independent. [`coordinates`] says where in the input each output position lies and which elements around
//! it count with which weight; then nearest neighbours are looked up (any element type), and weighted ones are
//! summed up one dimension after the other ([`weighted`]), or, for the usual case of an image, row by row.

mod coordinates;
mod image;
mod weighted;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{Op, Resampling, Resize, ResizeMode};

use crate::io::Plain;
use crate::kernel::arguments::{floats, form, integers, refused};
use crate::kernel::lookup::{Lookup, NONE};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::walk::dense_stride;
use crate::kernel::{BuildError, Builder, Built, by_size};
use coordinates::Line;

/// Builds the kernel of a [`Resize`].
pub(crate) fn resize(op: &Resize, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let (element, output) = node.output(0);
    let (roi, scales) = (floats(node, 1)?, floats(node, 2)?);
    let sizes = integers(node, 3)?.filter(|sizes| !sizes.is_empty());
    let sampling =
        op.resolve(&x.shape, roi.as_deref(), scales.as_deref(), sizes.as_deref()).map_err(refused)?;
    if output[..] != sampling.output[..] {
        return Err(form(format!("{} resized to {:?} is not {output}", x.shape, sampling.output)));
    }
    let lines = lines(op, &x.shape, &sampling);
    let count = output.count();
    if op.mode == ResizeMode::Nearest {
        let tables = lines.iter().enumerate().map(|(dim, line)| table(line, op, dense_stride(&x.shape, dim)));
        let lookup = Lookup::new(tables.collect());
        let outside = f64::from(op.extrapolation);
        return match element {
            ElementType::F32 => nearest::<f32>(lookup, count, outside as f32),
            ElementType::F64 => nearest::<f64>(lookup, count, outside),
            ElementType::F16 | ElementType::Bf16 | ElementType::Bool | ElementType::String => {
                by_size!("Resize", *element, T => nearest::<T>(lookup, count, T::default()))
            }
            _ => by_number!("Resize", *element, T => nearest::<T>(lookup, count, T::from_f64(outside))),
        };
    }
    match element {
        ElementType::F32 => match image::Image::new(op, &lines) {
            Some(image) => image::build(image, node),
            None => weighted::build::<f32>(op, &lines, node),
        },
        ElementType::F64 => weighted::build::<f64>(op, &lines, node),
        ElementType::I8 => weighted::build::<i8>(op, &lines, node),
        ElementType::U8 => weighted::build::<u8>(op, &lines, node),
        ElementType::I32 => weighted::build::<i32>(op, &lines, node),
        element => Err(BuildError::Element { op: op.name(), element: *element }),
    }
}

fn lines(op: &Resize, input: &[usize], sampling: &Resampling) -> Vec<Line> {
    (0..input.len())
        .map(|dim| Line {
            input: input[dim],
            output: sampling.output[dim],
            scale: sampling.scales[dim],
            roi: sampling.roi[dim],
            coordinates: op.coordinates,
        })
        .collect()
}

/// For each output position the offset of the nearest element, or [`NONE`] outside.
fn table(line: &Line, op: &Resize, stride: isize) -> Box<[isize]> {
    let nearest = |position| line.nearest(position, op.nearest).map_or(NONE, |at| at as isize * stride);
    (0..line.output).map(nearest).collect()
}

fn nearest<T: Plain>(lookup: Lookup, count: usize, outside: T) -> Built {
    let phase = spread(count, 100 * size_of::<T>() as u64);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let from = io.input::<T>(0);
        lookup.copy(from, outside, start, io.rows::<T>());
    })
}

#[cfg(test)]
mod tests;
