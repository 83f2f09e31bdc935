//! Where is text? The detector's input, and boxes from its map.
//!
//! The detector (PP-OCRv6 tiny, a "DB" network: Liao et al., Real-time Scene Text Detection with Differentiable
//! Binarization, 2020) gives for each pixel how sure it is that a shrunken line of text covers it. A box is the smallest
//! rectangle around a connected region above a threshold, grown back by what training had shrunk it.

use inferry::{Tensor, TensorError};

use crate::geometry::{Point, Quad, smallest_rectangle};

/// A pixel above this belongs to a region.
const THRESHOLD: f32 = 0.2;
/// A box whose pixels are below this on average is dropped.
const BOX_THRESHOLD: f32 = 0.4;
/// How far a box grows, as a share of area / perimeter.
const UNCLIP: f32 = 1.4;
/// The longest side that the detector is given.
const LONGEST: usize = 960;
/// Boxes less high than this (in the detector's pixels) are specks.
const LEAST_SIDE: f32 = 3.0;

/// A box around a line of text, in pixels of the picture, and how sure the detector is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detection {
    /// The corners.
    pub(crate) quad: Quad,
    /// Mean of the map inside, 0 to 1.
    pub(crate) score: f32,
}

/// The picture (`u8 [H, W, 3]`, RGB) as the detector wants it: `f32 [1, 3, h, w]`, blue first, sides multiples of 32,
/// normalised with ImageNet's mean and deviation.
pub(crate) fn input(picture: &Tensor) -> Result<Tensor, TensorError> {
    const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
    let (height, width) = (picture.shape()[0], picture.shape()[1]);
    let shrink = (LONGEST as f32 / height.max(width) as f32).min(1.0);
    let side = |extent: usize| (((extent as f32 * shrink / 32.0).round_ties_even() as usize) * 32).max(32);
    let (h, w) = (side(height), side(width));
    let pixels = picture.as_slice::<u8>()?;
    let columns: Vec<Sample> = (0..w).map(|x| Sample::at(x, w, width)).collect();
    let mut values = Vec::with_capacity(3 * h * w);
    for channel in 0..3 {
        for y in 0..h {
            let row = Sample::at(y, h, height);
            for column in &columns {
                let at = |y: usize, x: usize| f32::from(pixels[(y * width + x) * 3 + 2 - channel]);
                let top = mix(at(row.low, column.low), at(row.low, column.high), column.part);
                let bottom = mix(at(row.high, column.low), at(row.high, column.high), column.part);
                let value = mix(top, bottom, row.part).round() / 255.0;
                values.push((value - MEAN[channel]) / DEVIATION[channel]);
            }
        }
    }
    Tensor::from_slice(&values, [1, 3, h, w])
}

/// Boxes from the detector's map (`height` rows of `width`), for a picture of `picture` = (width, height) pixels, from top
/// to bottom and left to right.
pub(crate) fn boxes(map: &[f32], height: usize, width: usize, picture: (usize, usize)) -> Vec<Detection> {
    let factor = [picture.0 as f32 / width as f32, picture.1 as f32 / height as f32];
    let mut found: Vec<Detection> = regions(map, height, width)
        .into_iter()
        .filter_map(|mut outline| {
            let quad = smallest_rectangle(&mut outline)?;
            let (long, short) = (quad.width().max(quad.height()), quad.width().min(quad.height()));
            let score = mean_inside(map, height, width, &quad);
            if short < LEAST_SIDE || score < BOX_THRESHOLD {
                return None;
            }
            let margin = long * short * UNCLIP / (2.0 * (long + short));
            Some(Detection { quad: quad.grown(margin).scaled(factor), score })
        })
        .collect();
    let line = |detection: &Detection| (detection.quad.0[0][1] / 10.0).round() as i64;
    found.sort_by(|a, b| line(a).cmp(&line(b)).then(a.quad.0[0][0].total_cmp(&b.quad.0[0][0])));
    found
}

/// The outline pixels of each connected region (8 neighbours) above the threshold.
fn regions(map: &[f32], height: usize, width: usize) -> Vec<Vec<Point>> {
    let mut seen = vec![false; map.len()];
    let inside = |index: usize| map[index] > THRESHOLD;
    let mut regions = Vec::new();
    let mut open = Vec::new();
    for start in 0..height * width {
        if seen[start] || !inside(start) {
            continue;
        }
        let mut outline = Vec::new();
        seen[start] = true;
        open.push(start);
        while let Some(index) = open.pop() {
            let (y, x) = (index / width, index % width);
            let mut on_edge = false;
            for ny in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for nx in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let next = ny * width + nx;
                    on_edge |= !inside(next);
                    if inside(next) && !seen[next] {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
            let on_border = y == 0 || x == 0 || y + 1 == height || x + 1 == width;
            if on_edge || on_border {
                outline.push([x as f32, y as f32]);
            }
        }
        regions.push(outline);
    }
    regions
}

fn mean_inside(map: &[f32], height: usize, width: usize, quad: &Quad) -> f32 {
    let (columns, rows) = quad.bounds(width, height);
    let pixels = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
    let (sum, count) = pixels
        .filter(|(x, y)| quad.contains([*x as f32, *y as f32]))
        .fold((0.0, 0), |(sum, count), (x, y)| (sum + map[y * width + x], count + 1));
    if count == 0 { 0.0 } else { sum / count as f32 }
}

/// Where a pixel of a resized side lies between two pixels of the original (pixel centres, as in bilinear resizing).
struct Sample {
    low: usize,
    high: usize,
    part: f32,
}

impl Sample {
    fn at(index: usize, resized: usize, original: usize) -> Sample {
        let position = (index as f32 + 0.5) * original as f32 / resized as f32 - 0.5;
        let position = position.clamp(0.0, (original - 1) as f32);
        let low = position as usize;
        Sample { low, high: (low + 1).min(original - 1), part: position - low as f32 }
    }
}

fn mix(a: f32, b: f32, part: f32) -> f32 {
    a + (b - a) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blobs_are_two_boxes_from_top_to_bottom() {
        let (height, width) = (40, 60);
        let mut map = vec![0.0; height * width];
        for (rows, columns) in [(25..32, 5..50), (5..12, 10..40)] {
            for y in rows {
                for x in columns.clone() {
                    map[y * width + x] = 0.9;
                }
            }
        }
        let found = boxes(&map, height, width, (120, 80));
        assert_eq!(found.len(), 2);
        assert!(found[0].quad.0[0][1] < found[1].quad.0[0][1]);
        assert!((found[0].score - 0.9).abs() < 1e-5);
        // 29 x 6 between pixel centres, grown by 1.4 * area / perimeter on each side, in a picture of twice the size.
        let margin = 29.0 * 6.0 * 1.4 / 70.0;
        assert!((found[0].quad.width() - 2.0 * (29.0 + 2.0 * margin)).abs() < 1e-3);
    }

    #[test]
    fn faint_regions_are_dropped() {
        let map = vec![0.3; 20 * 20];
        assert!(boxes(&map, 20, 20, (20, 20)).is_empty());
    }
}
