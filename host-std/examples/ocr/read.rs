//! What does a line say? Crops for the turner and the reader, and text from the reader's output.
//!
//! A crop is sampled from a region-of-interest tensor of the picture: the pixels stay where they are, only the part that the
//! box touches is looked at.

use inferry::{Tensor, TensorError};

use crate::geometry::Quad;

/// Height of the lines that both networks are given.
const LINE: usize = 48;
/// Width of the turner's input.
const TURNER: usize = 192;
/// Least width of the reader's input; shorter lines are padded.
const LEAST: usize = 320;

/// The line in `quad` for the turner: `f32 [1, 3, 48, 192]`, blue first, -1 to 1, padded with zeros on the right.
pub(crate) fn turner_input(picture: &Tensor, quad: &Quad) -> Result<Tensor, TensorError> {
    line(picture, quad, natural_width(quad).min(TURNER), TURNER)
}

/// The line in `quad` for the reader: `f32 [1, 3, 48, width]`, as wide as the line is at that height.
pub(crate) fn reader_input(picture: &Tensor, quad: &Quad) -> Result<Tensor, TensorError> {
    let width = natural_width(quad);
    line(picture, quad, width, width.max(LEAST))
}

/// True when the turner's output (`[upright, upside down]`) says that the line stands on its head.
pub(crate) fn is_upside_down(scores: &[f32]) -> bool {
    scores.len() == 2 && scores[1] > 0.9
}

/// The reader's alphabet: class 0 is the blank, then the characters of the key file, then the space.
pub(crate) struct Alphabet(Vec<String>);

impl Alphabet {
    /// From a key file: one character a line.
    pub(crate) fn new(keys: &str) -> Alphabet {
        let keys = keys.strip_suffix('\n').unwrap_or(keys);
        Alphabet(
            keys.split('\n')
                .map(|key| key.trim_end_matches('\r').to_string())
                .chain([" ".to_string()])
                .collect(),
        )
    }

    /// The text in the reader's output (`steps` rows of `classes`) and the mean certainty of its characters: the best class
    /// of each step, repetitions and blanks left out (connectionist temporal classification, greedy).
    pub(crate) fn decode(&self, scores: &[f32], classes: usize) -> (String, f32) {
        let (mut text, mut sum, mut count, mut previous) = (String::new(), 0.0, 0, 0);
        for step in scores.chunks_exact(classes) {
            let (best, score) = step
                .iter()
                .copied()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .expect("at least one class");
            if best != 0 && best != previous {
                text.push_str(self.0.get(best - 1).map_or("\u{fffd}", String::as_str));
                sum += score;
                count += 1;
            }
            previous = best;
        }
        (text, if count == 0 { 0.0 } else { sum / count as f32 })
    }
}

fn natural_width(quad: &Quad) -> usize {
    ((LINE as f32 * quad.width() / quad.height().max(1.0)) as usize).max(1)
}

/// The pixels of `quad`, straightened to `width` x 48 and padded to `padded` x 48.
fn line(picture: &Tensor, quad: &Quad, width: usize, padded: usize) -> Result<Tensor, TensorError> {
    let (columns, rows) = quad.bounds(picture.shape()[1], picture.shape()[0]);
    let region = picture.region(&[rows.clone(), columns.clone(), 0..3])?;
    let pixels = region.view::<u8>()?;
    let (last_x, last_y) = ((columns.len() - 1) as f32, (rows.len() - 1) as f32);
    let [a, b, _, d] = quad.0.map(|corner| [corner[0] - columns.start as f32, corner[1] - rows.start as f32]);
    let mut values = vec![0.0f32; 3 * LINE * padded];
    for y in 0..LINE {
        let v = (y as f32 + 0.5) / LINE as f32;
        for x in 0..width {
            let u = (x as f32 + 0.5) / width as f32;
            let at = |axis: usize| a[axis] + (b[axis] - a[axis]) * u + (d[axis] - a[axis]) * v;
            let (sx, sy) = ((at(0) - 0.5).clamp(0.0, last_x), (at(1) - 0.5).clamp(0.0, last_y));
            let (x0, y0) = (sx as usize, sy as usize);
            let (x1, y1) = ((x0 + 1).min(last_x as usize), (y0 + 1).min(last_y as usize));
            let (fx, fy) = (sx - x0 as f32, sy - y0 as f32);
            for channel in 0..3 {
                let pixel = |y: usize, x: usize| f32::from(pixels[[y, x, 2 - channel]]);
                let top = pixel(y0, x0) + (pixel(y0, x1) - pixel(y0, x0)) * fx;
                let bottom = pixel(y1, x0) + (pixel(y1, x1) - pixel(y1, x0)) * fx;
                values[(channel * LINE + y) * padded + x] = (top + (bottom - top) * fy) / 127.5 - 1.0;
            }
        }
    }
    Tensor::from_slice(&values, [1, 3, LINE, padded])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_blanks_are_left_out() {
        let alphabet = Alphabet::new("a\nb\n");
        // Classes: blank, a, b, space.
        let best = [1, 1, 0, 1, 2, 2, 3, 0, 2];
        let scores: Vec<f32> =
            best.iter().flat_map(|class| (0..4).map(move |k| if k == *class { 0.5 } else { 0.1 })).collect();
        assert_eq!(alphabet.decode(&scores, 4), ("aab b".to_string(), 0.5));
    }

    #[test]
    fn a_crop_turned_upside_down_is_the_crop_reversed() {
        let pixels: Vec<u8> = (0..20 * 60 * 3).map(|index| (index * 7 % 251) as u8).collect();
        let picture = Tensor::from_slice(&pixels, [20, 60, 3]).unwrap();
        let quad = Quad([[10.0, 4.0], [50.0, 4.0], [50.0, 14.0], [10.0, 14.0]]);
        let upright = turner_input(&picture, &quad).unwrap().to_vec::<f32>().unwrap();
        let turned = turner_input(&picture, &quad.upside_down()).unwrap().to_vec::<f32>().unwrap();
        let row = |values: &[f32], y: usize| values[y * TURNER..][..192].to_vec();
        let mut last = row(&turned, LINE - 1);
        last.reverse();
        let first = row(&upright, 0);
        let off = first.iter().zip(&last).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{off}");
    }
}
