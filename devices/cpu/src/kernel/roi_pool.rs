//! MaxRoiPool: the largest number in each cell of a grid over a region.

use alloc::format;

use inferry_core::ElementType;
use inferry_engine::op::{MaxRoiPool, Op};

use crate::kernel::arguments::form;
use crate::kernel::fault::Fault;
use crate::kernel::number::Number;
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::{BuildError, Builder, Built};

/// Builds the kernel of a [`MaxRoiPool`].
pub(crate) fn max_roi_pool(op: &MaxRoiPool, node: &Builder<'_>) -> Built {
    let (x, rois) = (node.input(0)?, node.input(1)?);
    if x.shape.rank() != 4 || rois.shape.rank() != 2 || rois.shape[1] != 5 || rois.element != x.element {
        return Err(form(format!("{} of {} by {}", op.name(), x.shape, rois.shape)));
    }
    let image = [0, 1, 2, 3].map(|dim| x.shape[dim]);
    match x.element {
        ElementType::F32 => build::<f32>(*op, image, rois.shape[0]),
        ElementType::F64 => build::<f64>(*op, image, rois.shape[0]),
        element => Err(BuildError::Element { op: op.name(), element }),
    }
}

fn build<T: Number>(op: MaxRoiPool, [images, channels, height, width]: [usize; 4], regions: usize) -> Built {
    let [rows, columns] = op.pooled;
    let cells = rows * columns;
    let picoseconds = 1000 * (1 + height * width / cells.max(1)) as u64;
    let phase = spread_rows(regions * channels, cells, picoseconds);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit / cells.max(1);
        let to = io.rows::<T>();
        let (x, rois) = (io.input::<T>(0), io.input::<T>(1));
        for (index, to) in to.chunks_exact_mut(cells.max(1)).enumerate() {
            let (region, channel) = ((start + index) / channels, (start + index) % channels);
            let roi = &rois[region * 5..][..5];
            let image = roi[0].to_i64();
            let Some(image) = usize::try_from(image).ok().filter(|image| *image < images) else {
                io.fail(Fault::Index { input: 1, index: image, extent: images });
                to.fill(T::default());
                continue;
            };
            let at = |corner: usize| libm::round(roi[corner].to_f64() * f64::from(op.scale));
            let across = Cells { begin: at(1), end: at(3), count: columns, extent: width };
            let down = Cells { begin: at(2), end: at(4), count: rows, extent: height };
            let plane = &x[(image * channels + channel) * height * width..][..height * width];
            for (cell, to) in to.iter_mut().enumerate() {
                let (ys, xs) = (down.cell(cell / columns), across.cell(cell % columns));
                let mut largest = None;
                for y in ys {
                    for value in &plane[y * width..][xs.clone()] {
                        largest = Some(largest.map_or(*value, |largest: T| largest.most(*value)));
                    }
                }
                *to = largest.unwrap_or_default();
            }
        }
    })
}

/// One dimension of a region, cut into cells that may overlap by an element.
struct Cells {
    begin: f64,
    end: f64,
    count: usize,
    extent: usize,
}

impl Cells {
    fn cell(&self, cell: usize) -> core::ops::Range<usize> {
        let size = (self.end - self.begin + 1.0).max(1.0) / self.count as f64;
        let place = |position: f64| (position + self.begin).clamp(0.0, self.extent as f64) as usize;
        let from = place(libm::floor(cell as f64 * size));
        from..place(libm::ceil((cell + 1) as f64 * size)).max(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{fault_of, run_one, tensor};
    use alloc::vec::Vec;

    #[test]
    fn cells_take_their_largest() {
        let x: Vec<f32> = (0..32).map(|x| x as f32).collect();
        let x = tensor(&x, [2, 1, 4, 4]);
        // The whole second image, one pixel of the first, and a region beyond its edge.
        let rois = tensor(&[1.0f32, 0., 0., 6., 6., 0., 4., 2., 4., 2., 0., 20., 20., 30., 30.], [3, 5]);
        let op = MaxRoiPool { pooled: [2, 2], scale: 0.5 };
        let wanted = [21., 23., 29., 31., 6., 6., 6., 6., 0., 0., 0., 0.];
        assert_eq!(run_one::<f32>(&op, &[&x, &rois], [3, 1, 2, 2]), wanted);
    }

    #[test]
    fn a_region_of_no_image_fails() {
        let inputs = [&tensor(&[0.0f64; 4], [1, 1, 2, 2]), &tensor(&[1.0f64, 0., 0., 1., 1.], [1, 5])];
        let outputs = [(ElementType::F64, [1, 1, 1, 1].into())];
        let op = MaxRoiPool { pooled: [1, 1], scale: 1.0 };
        let fault = fault_of(&op, &inputs, &outputs);
        assert_eq!(fault, Fault::Index { input: 1, index: 1, extent: 1 });
    }
}
