//! TfIdfVectorizer: how often words follow each other.
//!
//! The grams are sorted, so that those which begin with some words are neighbours: going along the words of the input
//! narrows the range of grams that may still come, until it is empty.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{Gram, Op, TfIdf, Weighting};

use crate::io::Io;
use crate::kernel::arguments::form;
use crate::kernel::gather::{index, wide_indices};
use crate::kernel::{BuildError, Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`TfIdf`].
pub(crate) fn tf_idf(op: &TfIdf, node: &Builder<'_>) -> Built {
    let words = node.input(0)?;
    let (element, shape) = node.output(0);
    let rows = if words.shape.rank() == 2 { words.shape[0] } else { 1 };
    let len = words.shape.count().checked_div(rows).unwrap_or(0);
    if *element != ElementType::F32 {
        return Err(BuildError::Element { op: op.name(), element: *element });
    }
    if words.shape.rank() > 2
        || shape.count() != rows * op.outputs
        || op.grams.iter().any(|gram| gram.output >= op.outputs)
    {
        return Err(form(format!("TfIdfVectorizer of {} is not {shape}", words.shape)));
    }
    let [least, most] = op.lengths;
    let mut grams: Vec<Gram> = op.grams.clone();
    grams.retain(|gram| (least..=most).contains(&gram.words.len()));
    grams.sort_by(|a, b| a.words.cmp(&b.words));
    // Of two equal grams the first counts.
    grams.dedup_by(|b, a| a.words == b.words);
    let longest = grams.iter().map(|gram| gram.words.len()).max().unwrap_or(0);
    // More words in between than there are reach nothing.
    let distances = op.skips.min(len).saturating_add(1);
    let stretches = len.div_ceil(STRETCH);
    let cost = (STRETCH * 30 * longest.max(1)) as u64;
    let mut phases = alloc::vec![Phase::serial(1, shape.count() as u64)];
    // One word has no distance; all further distances only matter to grams of several words.
    phases.push(Phase::serial(rows * stretches * if longest > 1 { distances } else { 1 }, cost));
    phases.push(Phase::serial(1, shape.count() as u64));
    let wide = wide_indices(words.element)?;
    let (weighting, weights) = (op.weighting, op.weights.clone());
    Ok(Box::new(Count { grams, weighting, weights, wide, rows, len, stretches, outputs: op.outputs, phases }))
}

/// Words at which a tile begins grams.
const STRETCH: usize = if cfg!(test) { 3 } else { 8192 };

struct Count {
    /// In the order of their words.
    grams: Vec<Gram>,
    weighting: Weighting,
    weights: Vec<f32>,
    /// Whether words are `i64`.
    wide: bool,
    rows: usize,
    /// Words in a row.
    len: usize,
    stretches: usize,
    outputs: usize,
    phases: Vec<Phase>,
}

impl Kernel for Count {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        let tiles = io.tiles();
        if tiles.is_empty() {
            return;
        }
        let to = io.whole::<f32>(0);
        match phase {
            0 => to.fill(0.0),
            1 => tiles.for_each(|tile| self.stretch(io, tile, to)),
            _ => self.weigh(to),
        }
    }
}

impl Count {
    /// Counts the grams that begin in a stretch of a row, with the words at one distance.
    fn stretch(&self, io: &Io<'_>, tile: usize, to: &mut [f32]) {
        let (row, stretch) = (tile / self.stretches % self.rows, tile % self.stretches);
        let distance = tile / self.stretches / self.rows + 1;
        let counts = &mut to[row * self.outputs..(row + 1) * self.outputs];
        for start in stretch * STRETCH..((stretch + 1) * STRETCH).min(self.len) {
            let mut left = &self.grams[..];
            let places = (start..self.len).step_by(distance);
            for (length, place) in places.enumerate() {
                let word = index(io, 0, self.wide, row * self.len + place);
                // All that are left have the words so far; the one that has no more comes first.
                let begin =
                    left.partition_point(|gram| gram.words.get(length).is_none_or(|other| *other < word));
                let end =
                    left.partition_point(|gram| gram.words.get(length).is_none_or(|other| *other <= word));
                left = &left[begin..end];
                let Some(first) = left.first() else { break };
                if first.words.len() == length + 1 && (distance == 1 || length > 0) {
                    counts[first.output] += 1.0;
                }
            }
        }
    }

    fn weigh(&self, to: &mut [f32]) {
        if self.weighting == Weighting::Count || self.outputs == 0 {
            return;
        }
        for row in to.chunks_exact_mut(self.outputs) {
            for (index, count) in row.iter_mut().enumerate() {
                let weight = self.weights.get(index).copied().unwrap_or(1.0);
                *count = match self.weighting {
                    Weighting::Weight if *count > 0.0 => weight,
                    Weighting::Product => *count * weight,
                    _ => *count,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};

    /// The pool of the standard's examples.
    fn example(lengths: [usize; 2], skips: usize) -> TfIdf {
        let pool: [&[i64]; 7] = [&[2], &[3], &[5], &[4], &[5, 6], &[7, 8], &[6, 7]];
        let gram = |(output, words): (usize, &&[i64])| Gram { words: words.to_vec(), output };
        TfIdf {
            grams: pool.iter().enumerate().map(gram).collect(),
            lengths,
            skips,
            weighting: Weighting::Count,
            weights: Vec::new(),
            outputs: 7,
        }
    }

    #[test]
    fn values_of_the_standard() {
        let row = tensor(&[1i32, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8], [12]);
        let found = |lengths, skips| run_one::<f32>(&example(lengths, skips), &[&row], [7]);
        assert_eq!(found([2, 2], 0), [0., 0., 0., 0., 1., 1., 1.]);
        assert_eq!(found([2, 2], 5), [0., 0., 0., 0., 1., 3., 1.]);
        assert_eq!(found([1, 2], 5), [0., 3., 1., 0., 1., 3., 1.]);
        assert_eq!(found([1, 2], usize::MAX), found([1, 2], 11));
        let rows = tensor(&[1i64, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8], [2, 6]);
        let found = run_one::<f32>(&example([2, 2], 5), &[&rows], [2, 7]);
        assert_eq!(found, [0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 1., 1.]);
    }

    #[test]
    fn counts_are_weighted() {
        let row = tensor(&[3i32, 3, 5], [3]);
        let weights = alloc::vec![0.5, 2.0, 3.0, 1.0, 1.0, 1.0, 1.0];
        let op = |weighting| TfIdf { weighting, weights: weights.clone(), ..example([1, 1], 0) };
        assert_eq!(run_one::<f32>(&op(Weighting::Weight), &[&row], [7])[..4], [0., 2., 3., 0.]);
        assert_eq!(run_one::<f32>(&op(Weighting::Product), &[&row], [7])[..4], [0., 4., 3., 0.]);
        let none = tensor::<i32>(&[], [0]);
        assert_eq!(run_one::<f32>(&op(Weighting::Product), &[&none], [7]), [0.0; 7]);
    }

    #[test]
    fn of_equal_grams_the_first_counts() {
        let gram = |output| Gram { words: alloc::vec![4, 4], output };
        let op =
            TfIdf { grams: alloc::vec![gram(1), gram(0)], lengths: [1, 2], outputs: 2, ..example([1, 1], 1) };
        assert_eq!(run_one::<f32>(&op, &[&tensor(&[4i64, 4, 4], [3])], [2]), [0., 3.]);
    }
}
