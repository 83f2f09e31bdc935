//! Pooling: the largest number or the mean of a window that slides over each channel.
//!
//! Where the window has at most two dimensions, [`rows`] folds whole rows with vectors. Everything else (more dimensions, the
//! positions of the largest numbers, types other than `f32` and bytes) goes element by element through [`Windows`], which
//! is also the reference that the rows are tested against. A global pool is one window as large as the channel.

mod global;
mod rows;

pub(crate) use global::global_pool;

use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{AveragePool, LpPool, MaxPool, Op, Window};

use crate::kernel::arguments::{form, refused};
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::{BuildError, Builder, Built};

/// Builds the kernel of a [`MaxPool`].
pub(crate) fn max_pool(op: &MaxPool, node: &Builder<'_>) -> Built {
    let windows = Windows::new(&op.window, op.ceil, node)?;
    let x = node.input(0)?;
    if node.outputs.len() > 1 {
        return by_number!(op.name(), x.element, T => positions::<T>(windows, op.storage_order == 1));
    }
    match (x.element, windows.flat()) {
        (ElementType::F32, Some(flat)) => rows::max_f32(flat, node.isa),
        (ElementType::U8, Some(flat)) => rows::max_number::<u8>(flat),
        (ElementType::I8, Some(flat)) => rows::max_number::<i8>(flat),
        (element, _) => by_number!(op.name(), element, T => largest::<T>(windows)),
    }
}

/// Builds the kernel of an [`AveragePool`].
pub(crate) fn average_pool(op: &AveragePool, node: &Builder<'_>) -> Built {
    let mut windows = Windows::new(&op.window, op.ceil, node)?;
    if op.count_include_pad {
        windows.count_padding();
    }
    match (node.input(0)?.element, windows.flat()) {
        (ElementType::F32, Some(flat)) => rows::average_f32(flat, node.isa),
        (ElementType::F32, None) => mean::<f32>(windows),
        (ElementType::F64, _) => mean::<f64>(windows),
        (element, _) => Err(BuildError::Element { op: op.name(), element }),
    }
}

/// Builds the kernel of an [`LpPool`].
pub(crate) fn lp_pool(op: &LpPool, node: &Builder<'_>) -> Built {
    let windows = Windows::new(&op.window, op.ceil, node)?;
    match node.input(0)?.element {
        ElementType::F32 => norm::<f32>(windows, op.p),
        ElementType::F64 => norm::<f64>(windows, op.p),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

fn norm<T: Number>(windows: Windows, p: u32) -> Built {
    let phase = spread(windows.outputs(), windows.picoseconds() * if p > 2 { 10 } else { 1 });
    let power = f64::from(p);
    simple(phase, move |io| {
        let x = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            let mut sum = 0.0;
            windows.each(start + index, |at| {
                let size = x[at].to_f64().abs();
                sum += match p {
                    1 => size,
                    2 => size * size,
                    _ => libm::pow(size, power),
                };
            });
            *to = T::from_f64(match p {
                1 => sum,
                2 => libm::sqrt(sum),
                _ => libm::pow(sum, 1.0 / power),
            });
        }
    })
}

fn largest<T: Number>(windows: Windows) -> Built {
    let phase = spread(windows.outputs(), windows.picoseconds());
    simple(phase, move |io| {
        let x = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            let mut largest = T::LOWEST;
            windows.each(start + index, |at| largest = largest.most(x[at]));
            *to = largest;
        }
    })
}

fn mean<T: Number>(windows: Windows) -> Built {
    let phase = spread(windows.outputs(), windows.picoseconds());
    simple(phase, move |io| {
        let x = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            let mut sum = 0.0;
            windows.each(start + index, |at| sum += x[at].to_f64());
            *to = T::from_f64(sum / windows.divisor(start + index) as f64);
        }
    })
}

/// The largest numbers, and where they stand in the flattened input.
#[allow(unsafe_code)]
fn positions<T: Number>(windows: Windows, by_column: bool) -> Built {
    let phase = spread(windows.outputs(), windows.picoseconds());
    simple(phase, move |io| {
        let x = io.input::<T>(0);
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        // SAFETY: the position of an element belongs to the tile that owns the element.
        let positions = unsafe { io.shared::<i64>(1).range(start..start + to.len()) };
        for (index, (to, position)) in to.iter_mut().zip(positions).enumerate() {
            let mut best = (T::LOWEST, None);
            windows.each(start + index, |at| {
                if best.1.is_none() || x[at] > best.0 {
                    best = (x[at], Some(at));
                }
            });
            *to = best.0;
            let at = best.1.unwrap_or(0);
            *position = if by_column { windows.by_column(at) } else { at } as i64;
        }
    })
}

/// The windows of every output element.
struct Windows {
    /// Images times channels.
    planes: usize,
    axes: Vec<Axis>,
}

/// One spatial dimension.
struct Axis {
    extent: usize,
    stride: usize,
    dilation: usize,
    kernel: usize,
    begin: usize,
    end: usize,
    /// For each output position, the taps that lie inside the input.
    taps: Vec<Taps>,
}

/// Positions `first`, `first + dilation`, … of the input.
#[derive(Clone, Copy)]
struct Taps {
    first: usize,
    count: usize,
    /// How many count for the mean.
    divisor: usize,
}

impl Windows {
    fn new(window: &Window, ceil: bool, node: &Builder<'_>) -> Result<Windows, BuildError> {
        let (x, output) = (&node.input(0)?.shape, &node.output(0).1);
        let kernel = window.kernel.as_deref().ok_or_else(|| form("a pool without kernel_shape"))?;
        if x.rank() < 3 {
            return Err(form(alloc::format!("pooling over {x}")));
        }
        let resolved = window.resolve(&x[2..], kernel, ceil).map_err(refused)?;
        if output[..2] != x[..2] || output[2..] != resolved.output[..] {
            return Err(form(alloc::format!("pooling {x} is not {output}")));
        }
        let axes = (0..kernel.len())
            .map(|dim| {
                let (extent, stride, dilation) = (x[2 + dim], resolved.strides[dim], resolved.dilations[dim]);
                let (kernel, begin, end) = (resolved.kernel[dim], resolved.begins[dim], resolved.ends[dim]);
                let taps = |position: usize| {
                    let start = position * stride;
                    let inside = |tap: &usize| (begin..begin + extent).contains(&(start + tap * dilation));
                    let skipped = (0..kernel).find(|tap| inside(tap)).unwrap_or(0);
                    let count = (0..kernel).filter(inside).count();
                    let first = (start + skipped * dilation).saturating_sub(begin);
                    Taps { first, count, divisor: count.max(1) }
                };
                let taps = (0..resolved.output[dim]).map(taps).collect();
                Axis { extent, stride, dilation, kernel, begin, end, taps }
            })
            .collect();
        Ok(Windows { planes: x[0] * x[1], axes })
    }

    /// Padding counts for the mean, as far as it is there: not what a last window reaches beyond it.
    fn count_padding(&mut self) {
        for axis in &mut self.axes {
            let padded = axis.begin + axis.extent + axis.end;
            for (position, taps) in axis.taps.iter_mut().enumerate() {
                let start = position * axis.stride;
                let inside = |tap: &usize| start + tap * axis.dilation < padded;
                taps.divisor = (0..axis.kernel).filter(inside).count().max(1);
            }
        }
    }

    /// As windows over rows and columns, when they have no more dimensions.
    fn flat(&self) -> Option<rows::Flat> {
        let (rows, columns) = match &self.axes[..] {
            [columns] => (None, columns),
            [rows, columns] => (Some(rows), columns),
            _ => return None,
        };
        Some(rows::Flat::new(self.planes, rows, columns))
    }

    fn outputs(&self) -> usize {
        self.planes * self.axes.iter().map(|axis| axis.taps.len()).product::<usize>()
    }

    fn picoseconds(&self) -> u64 {
        10_000 + 1_500 * self.axes.iter().map(|axis| axis.kernel as u64).product::<u64>()
    }

    /// Where each dimension of output element `output` stands, innermost first, and its plane.
    fn place(&self, mut output: usize) -> ([Taps; MOST], usize) {
        let mut places = [Taps { first: 0, count: 1, divisor: 1 }; MOST];
        for (axis, place) in self.axes.iter().zip(&mut places).rev() {
            *place = axis.taps[output % axis.taps.len()];
            output /= axis.taps.len();
        }
        (places, output)
    }

    /// Calls `visit` with the position in the input of every element of the window of `output`, row by row.
    fn each(&self, output: usize, mut visit: impl FnMut(usize)) {
        let (places, plane) = self.place(output);
        let places = &places[..self.axes.len()];
        let total: usize = places.iter().map(|taps| taps.count).product();
        for tap in 0..total {
            let (mut rest, mut at, mut stride) = (tap, 0, 1);
            for (axis, taps) in self.axes.iter().zip(places).rev() {
                at += (taps.first + rest % taps.count * axis.dilation) * stride;
                stride *= axis.extent;
                rest /= taps.count;
            }
            visit(plane * stride + at);
        }
    }

    /// What the sum of a window is divided by.
    fn divisor(&self, output: usize) -> usize {
        self.place(output).0[..self.axes.len()].iter().map(|taps| taps.divisor).product()
    }

    /// The position of an element of the input where planes are counted column by column.
    fn by_column(&self, at: usize) -> usize {
        let plane: usize = self.axes.iter().map(|axis| axis.extent).product();
        let (mut rest, mut position, mut scale) = (at % plane, 0, plane);
        for axis in self.axes.iter().rev() {
            scale /= axis.extent;
            position += rest % axis.extent * scale;
            rest /= axis.extent;
        }
        at / plane * plane + position
    }
}

/// Spatial dimensions at most.
const MOST: usize = inferry_core::tensor::MAX_RANK;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{assert_close, noise, run, run_one, tensor};
    use alloc::vec;
    use inferry_core::Shape;
    use inferry_engine::op::Padding;

    fn window(kernel: &[usize], strides: &[usize], dilations: &[usize], pads: &[usize]) -> Window {
        Window {
            kernel: Some(kernel.to_vec()),
            strides: strides.to_vec(),
            dilations: dilations.to_vec(),
            padding: Padding::Explicit(pads.to_vec()),
        }
    }

    fn pooled_shape(x: &Shape, window: &Window, ceil: bool) -> Shape {
        let resolved = window.resolve(&x[2..], window.kernel.as_ref().unwrap(), ceil).unwrap();
        let mut shape = x.clone();
        shape[2..].copy_from_slice(&resolved.output);
        shape
    }

    /// Kernel, strides, dilations, pads, ceil.
    type Case = (&'static [usize], &'static [usize], &'static [usize], &'static [usize], bool);

    const CASES: &[Case] = &[
        (&[2, 2], &[2, 2], &[], &[], false),
        (&[3, 3], &[2, 2], &[], &[1, 1, 1, 1], false),
        (&[3, 3], &[1, 1], &[], &[1, 1, 1, 1], false),
        (&[3, 3], &[2, 2], &[], &[0, 0, 1, 1], true),
        (&[2, 3], &[2, 3], &[], &[0, 1, 1, 0], true),
        (&[5, 4], &[1, 1], &[], &[2, 1, 2, 2], false),
        (&[2, 2], &[1, 2], &[2, 3], &[1, 2, 0, 1], false),
        (&[1, 1], &[2, 2], &[], &[], false),
        (&[9, 40], &[1, 1], &[], &[4, 20, 4, 20], false),
    ];

    /// The window walked by the definition.
    fn reference(x: &[f64], shape: &Shape, case: &Case, mean: Option<bool>) -> Vec<f32> {
        let (kernel, strides, dilations, pads, ceil) = *case;
        let at = |list: &[usize], index: usize, default| list.get(index).copied().unwrap_or(default);
        let output = pooled_shape(shape, &window(kernel, strides, dilations, pads), ceil);
        let mut results = vec![];
        for plane in 0..shape[0] * shape[1] {
            for oy in 0..output[2] {
                for ox in 0..output[3] {
                    let (mut largest, mut sum, mut inside, mut padded) = (f64::NEG_INFINITY, 0.0, 0, 0);
                    for ky in 0..kernel[0] {
                        for kx in 0..kernel[1] {
                            let y =
                                (oy * strides[0] + ky * at(dilations, 0, 1)) as i64 - at(pads, 0, 0) as i64;
                            let x_at =
                                (ox * strides[1] + kx * at(dilations, 1, 1)) as i64 - at(pads, 1, 0) as i64;
                            let (h, w) = (shape[2] as i64, shape[3] as i64);
                            if y < h + at(pads, 2, 0) as i64 && x_at < w + at(pads, 3, 0) as i64 {
                                padded += 1;
                            }
                            if (0..h).contains(&y) && (0..w).contains(&x_at) {
                                let value = x[(plane as i64 * h * w + y * w + x_at) as usize];
                                largest = largest.max(value);
                                sum += value;
                                inside += 1;
                            }
                        }
                    }
                    results.push(match mean {
                        None => largest as f32,
                        Some(true) => (sum / f64::from(padded)) as f32,
                        Some(false) => (sum / f64::from(inside)) as f32,
                    });
                }
            }
        }
        results
    }

    #[test]
    fn rows_agree_with_the_definition() {
        for shape in [Shape::from([2, 3, 9, 40]), [1, 2, 10, 7].into(), [1, 1, 20, 70].into()] {
            let x = noise(shape.count(), 4);
            let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            for case in CASES {
                let (kernel, strides, dilations, pads, ceil) = *case;
                let window = window(kernel, strides, dilations, pads);
                if window.resolve(&shape[2..], kernel, ceil).is_err() {
                    continue;
                }
                let output = (ElementType::F32, pooled_shape(&shape, &window, ceil));
                let input = [Some(tensor(&x, shape.clone()))];
                for isa in Isa::detect_for_tests() {
                    let pool = |op: &dyn Op| {
                        run(op, &input, core::slice::from_ref(&output), isa)[0].to_vec::<f32>().unwrap()
                    };
                    let op = MaxPool { window: window.clone(), ceil, storage_order: 0 };
                    assert_eq!(pool(&op), reference(&wide, &shape, case, None), "{case:?} {shape}");
                    for count_include_pad in [false, true] {
                        let op = AveragePool { window: window.clone(), ceil, count_include_pad };
                        let wanted = reference(&wide, &shape, case, Some(count_include_pad));
                        assert_close(&pool(&op), &wanted, 1e-6, 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn one_and_three_dimensions() {
        let x = tensor(&[1.0f32, 3.0, 2.0, 5.0, 4.0], [1, 1, 5]);
        let op = MaxPool { window: window(&[2], &[2], &[], &[1, 0]), ceil: false, storage_order: 0 };
        assert_eq!(run_one::<f32>(&op, &[&x], [1, 1, 3]), [1.0, 3.0, 5.0]);
        let x: Vec<f32> = (0..16).map(|x| x as f32).collect();
        let x = tensor(&x, [1, 2, 2, 2, 2]);
        let cube = window(&[2, 2, 2], &[], &[], &[]);
        let op = MaxPool { window: cube.clone(), ceil: false, storage_order: 0 };
        assert_eq!(run_one::<f32>(&op, &[&x], [1, 2, 1, 1, 1]), [7.0, 15.0]);
        let op = AveragePool { window: cube, ceil: false, count_include_pad: false };
        assert_eq!(run_one::<f32>(&op, &[&x], [1, 2, 1, 1, 1]), [3.5, 11.5]);
    }

    #[test]
    fn norms_of_windows() {
        let x = tensor(&[1.0f32, -2.0, 2.0, 3.0, -4.0], [1, 1, 5]);
        let norm = |p, ceil, pads: &[usize]| LpPool { window: window(&[2], &[2], &[], pads), ceil, p };
        let close = |op: LpPool, wanted: &[f32]| {
            assert_close(&run_one::<f32>(&op, &[&x], [1, 1, wanted.len()]), wanted, 1e-6, 1e-6);
        };
        close(norm(1, false, &[]), &[3.0, 5.0]);
        close(norm(2, true, &[]), &[5f32.sqrt(), 13f32.sqrt(), 4.0]);
        close(norm(3, false, &[1, 0]), &[1.0, 16f32.cbrt(), 91f32.cbrt()]);
    }

    #[test]
    fn positions_count_by_row_or_by_column() {
        // As the standard's test maxpool_with_argmax_2d_precomputed_strides.
        let x: Vec<f32> = (1..=25).map(|x| x as f32).collect();
        let x = [Some(tensor(&x, [1, 1, 5, 5]))];
        let outputs = [(ElementType::F32, [1, 1, 2, 2].into()), (ElementType::I64, [1, 1, 2, 2].into())];
        for (storage_order, wanted) in [(0, [6, 8, 16, 18]), (1, [6, 16, 8, 18])] {
            let op = MaxPool { window: window(&[2, 2], &[2, 2], &[], &[]), ceil: false, storage_order };
            let results = run(&op, &x, &outputs, Isa::portable());
            assert_eq!(results[0].to_vec::<f32>().unwrap(), [7.0, 9.0, 17.0, 19.0]);
            assert_eq!(results[1].to_vec::<i64>().unwrap(), wanted);
        }
    }

    #[test]
    fn bytes_and_doubles() {
        let op =
            MaxPool { window: window(&[3, 3], &[2, 2], &[], &[1, 1, 1, 1]), ceil: false, storage_order: 0 };
        let x: Vec<i8> = (0..30).map(|x| (x * 37 % 101) as i8 - 50).collect();
        let wide: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let shape = Shape::from([1, 1, 5, 6]);
        let wanted = reference(&wide, &shape, &CASES[1], None);
        let output = pooled_shape(&shape, &op.window, false);
        let result = run_one::<i8>(&op, &[&tensor(&x, shape.clone())], output.clone());
        assert_eq!(result.iter().map(|x| f32::from(*x)).collect::<Vec<_>>(), wanted);
        let result = run_one::<f64>(&op, &[&tensor(&wide, shape)], output);
        assert_eq!(result.iter().map(|x| *x as f32).collect::<Vec<_>>(), wanted);
    }
}
