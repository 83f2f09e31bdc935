//! Where the pixels of an image lie, and the taps of a window: one or two spatial dimensions, channels innermost.

use alloc::vec::Vec;

use inferry_core::Shape;
use inferry_engine::op::{Resolved, Window};

use crate::kernel::BuildError;
use crate::kernel::arguments::{form, refused};

/// A window over one dimension of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// What is added before the input.
    pub(super) begin: usize,
}

impl Axis {
    /// A dimension that the window does not see.
    fn plain(extent: usize) -> Axis {
        Axis { input: extent, output: extent, kernel: 1, stride: 1, dilation: 1, begin: 0 }
    }

    fn of(window: &Resolved, input: usize, index: usize) -> Axis {
        Axis {
            input,
            output: window.output[index],
            kernel: window.kernel[index],
            stride: window.strides[index],
            dilation: window.dilations[index],
            begin: window.begins[index],
        }
    }

    /// Places of the padded input that windows look at.
    #[inline]
    pub(super) fn reach(&self) -> usize {
        self.output.saturating_sub(1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }

    /// True when windows look at nothing but the input.
    #[inline]
    pub(super) fn inside(&self) -> bool {
        self.begin == 0 && self.reach() <= self.input
    }

    /// Whether outputs and inputs are the same.
    fn is_plain(&self) -> bool {
        *self == Axis::plain(self.input)
    }
}

/// Images, and the window over them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) rows: Axis,
    pub(super) columns: Axis,
}

impl Geometry {
    /// The window over images of shape `[N, spatial..., C]`, and the shape of the output for `features` channels.
    pub(super) fn new(
        x: &Shape,
        window: &Window,
        kernel: &[usize],
        ceil: bool,
        features: usize,
    ) -> Result<(Geometry, Vec<usize>), BuildError> {
        let [images, input @ .., channels] = &x[..] else { return Err(form("an image without channels")) };
        let resolved = window.resolve(input, kernel, ceil).map_err(refused)?;
        if kernel.contains(&0) {
            return Err(form("a window without taps"));
        }
        let (images, channels) = (*images, *channels);
        let mut output = alloc::vec![images];
        output.extend(&resolved.output);
        output.push(features);
        let (rows, columns) = match input {
            [] => (Axis::plain(1), Axis::plain(1)),
            [columns] => (Axis::plain(1), Axis::of(&resolved, *columns, 0)),
            [rows, columns] => (Axis::of(&resolved, *rows, 0), Axis::of(&resolved, *columns, 1)),
            _ => return Err(form("more than two spatial dimensions of bytes")),
        };
        let bytes = [images, rows.reach(), columns.reach(), channels]
            .iter()
            .try_fold(1usize, |all, part| all.checked_mul(*part));
        if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(form("a padded image that is too large"));
        }
        Ok((Geometry { images, channels, rows, columns }, output))
    }

    /// The same as one long row, if the window moves pixel by pixel and sees only one.
    pub(super) fn flat(self) -> Geometry {
        let Geometry { images, rows, columns, .. } = self;
        match rows.is_plain() && columns.is_plain() {
            true => {
                let columns = Axis::plain(images * rows.input * columns.input);
                Geometry { images: 1, rows: Axis::plain(1), columns, ..self }
            }
            false => self,
        }
    }

    /// Pixels of an image of the output.
    #[inline]
    pub(super) fn pixels(&self) -> usize {
        self.rows.output * self.columns.output
    }
}
