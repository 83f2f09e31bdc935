//! Pictures, and pictures of another size.
//!
//! A resized picture is a weighted mean of the original's columns and then of its rows. What the weights are tells the ways
//! of resizing apart, and results are compared with recorded ones, so the two ways here are those of the recordings: the
//! triangle, and the area under a target pixel.

use std::path::Path;

use inferry::Tensor;

/// Colours of a pixel.
pub(crate) const COLOURS: usize = 3;

/// Rows of RGB pixels, 0 to 255.
pub(crate) struct Picture {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

/// The pixels `u8 [height, width, 3]` of a file.
///
/// # Panics
/// When it is no picture.
pub(crate) fn read(path: &Path) -> Tensor {
    let picture = image::open(path).expect("a picture").to_rgb8();
    let shape = [picture.height() as usize, picture.width() as usize, COLOURS];
    Tensor::from_slice(picture.as_raw(), shape).expect("as many values as elements")
}

impl Picture {
    /// A black one.
    pub(crate) fn black(height: usize, width: usize) -> Picture {
        Picture { height, width, values: vec![0.0; height * width * COLOURS] }
    }

    /// Copies pixels `u8 [h, w, 3]`, which may be a region of a larger tensor, with its first at (`top`, `left`).
    pub(crate) fn paste(&mut self, pixels: &Tensor, top: usize, left: usize) {
        let view = pixels.view::<u8>().expect("bytes that nobody writes");
        let (height, width) = (view.shape()[0], view.shape()[1]);
        let mut values = view.iter();
        for y in top..top + height {
            let row = &mut self.values[(y * self.width + left) * COLOURS..][..width * COLOURS];
            row.iter_mut().zip(&mut values).for_each(|(value, byte)| *value = f32::from(*byte));
        }
    }

    /// Resized with a triangle as wide as two target pixels, where it shrinks. Columns and then rows are rounded to whole
    /// numbers, as it is where pixels are bytes.
    pub(crate) fn triangle(&self, height: usize, width: usize) -> Picture {
        self.resized(&triangle(self.height, height), &triangle(self.width, width), f64::round)
    }

    /// Resized to the mean of what lies under each target pixel. Where one side grows, each target pixel is a mix of at most
    /// two neighbours, on both sides.
    pub(crate) fn area(&self, height: usize, width: usize) -> Picture {
        let weights = if height > self.height || width > self.width { neighbours } else { area };
        self.resized(&weights(self.height, height), &weights(self.width, width), |value| value)
    }

    fn resized(&self, rows: &[Taps], columns: &[Taps], round: fn(f64) -> f64) -> Picture {
        let mut narrow = Picture::black(self.height, columns.len());
        let at = |y: usize, x: usize, colour: usize| (y * self.width + x) * COLOURS + colour;
        let targets = narrow.values.iter_mut().enumerate();
        for (index, target) in targets {
            let (y, x, colour) =
                (index / COLOURS / columns.len(), index / COLOURS % columns.len(), index % COLOURS);
            *target = round(columns[x].sum(|x| self.values[at(y, x, colour)])) as f32;
        }
        let mut small = Picture::black(rows.len(), columns.len());
        let row = columns.len() * COLOURS;
        for (index, target) in small.values.iter_mut().enumerate() {
            *target = round(rows[index / row].sum(|y| narrow.values[y * row + index % row])) as f32;
        }
        small
    }
}

/// The source pixels of a target pixel, from the first on, and how much each counts.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Taps {
    /// Weights that need not add up to 1.
    fn new(first: usize, weights: impl Iterator<Item = f64>) -> Taps {
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| weight / sum).collect() }
    }

    fn sum(&self, value: impl Fn(usize) -> f32) -> f64 {
        (self.first..).zip(&self.weights).map(|(at, weight)| f64::from(value(at)) * weight).sum()
    }
}

fn triangle(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let taps = |target: usize| {
        let centre = (target as f64 + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let weight = |at: usize| (1.0 - ((at as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        Taps::new(first, (first..end).map(weight))
    };
    (0..to).map(taps).collect()
}

fn area(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let taps = |target: usize| {
        let (begin, end) = (target as f64 * scale, (target + 1) as f64 * scale);
        let first = begin as usize;
        let last = (end.ceil() as usize).min(from);
        let under = |at: usize| (end.min((at + 1) as f64) - begin.max(at as f64)).max(0.0);
        Taps::new(first, (first..last).map(under))
    };
    (0..to).map(taps).collect()
}

fn neighbours(from: usize, to: usize) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let taps = |target: usize| {
        let first = ((target as f64 * scale) as usize).min(from - 1);
        let beyond = (target + 1) as f64 - (first + 1) as f64 / scale;
        let second = if beyond <= 0.0 || first + 1 == from { 0.0 } else { beyond.fract() };
        let weights = [1.0 - second, second];
        Taps::new(first, weights.into_iter().take(from - first))
    };
    (0..to).map(taps).collect()
}

#[test]
fn a_resized_picture_is_a_mean_of_what_it_was() {
    let mut picture = Picture::black(1, 4);
    picture.values = [0.0, 8.0, 16.0, 40.0].iter().flat_map(|grey| [*grey; COLOURS]).collect();
    let first = |picture: Picture| picture.values.into_iter().step_by(COLOURS).collect::<Vec<_>>();
    assert_eq!(first(picture.area(1, 2)), [4.0, 28.0]);
    assert_eq!(first(picture.area(1, 6)), [0.0, 4.0, 8.0, 16.0, 28.0, 40.0]);
    assert_eq!(first(picture.area(1, 4)), [0.0, 8.0, 16.0, 40.0]);
    // 1 : 3 : 3 : 1 around the edge between two pixels; the picture ends before the outer ones.
    assert_eq!(first(picture.triangle(1, 2)), [6.0, 25.0]);
}
