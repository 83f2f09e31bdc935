//! Counts of words that follow each other.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `words: [count] or [N, count]`: how often each of a list of *grams*, words that follow each other at equal distances, is
/// found; f32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfIdf {
    /// What is looked for.
    pub grams: Vec<Gram>,
    /// The fewest and the most words of a gram that count.
    pub lengths: [usize; 2],
    /// The most words that may lie between two neighbours of a gram.
    pub skips: usize,
    /// What becomes of a count.
    pub weighting: Weighting,
    /// By position in the output; empty for ones.
    pub weights: Vec<f32>,
    /// Numbers in each row of the output.
    pub outputs: usize,
}

/// Words that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gram {
    /// The words, as numbers.
    pub words: Vec<i64>,
    /// Which number of the output counts it.
    pub output: usize,
}

/// What becomes of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Weighting {
    /// It stays.
    Count,
    /// The weight, where it is not 0.
    Weight,
    /// It is multiplied by the weight.
    Product,
}

impl Op for TfIdf {
    fn name(&self) -> &'static str {
        "TfIdfVectorizer"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let words = inputs.typed(0, &INDEX)?;
        let mut shape = match words.shape.dims() {
            Some([] | [_]) => Vec::new(),
            Some([rows, _]) => alloc::vec![rows.clone()],
            Some(dims) => {
                return shape_error(format!("words in {} dimensions; at most 2 are taken", dims.len()));
            }
            None => return rules::one(ElementType::F32, ShapeFact::unknown()),
        };
        shape.push(Dim::Fixed(self.outputs));
        rules::one(ElementType::F32, ShapeFact(Some(shape)))
    }
}

/// TfIdfVectorizer.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let required = |name: &str| node.ints(name)?.ok_or_else(|| node.refuse_attribute(name, "is missing"));
    if node.has("pool_strings") {
        return Err(node.refuse_attribute("pool_strings", "grams of text are not supported"));
    }
    let pool = required("pool_int64s")?;
    let indexes = node.extents("ngram_indexes")?;
    let begins = node.extents("ngram_counts")?;
    let weighting = match node.text("mode")? {
        Some("TF") => Weighting::Count,
        Some("IDF") => Weighting::Weight,
        Some("TFIDF") => Weighting::Product,
        other => return Err(node.refuse_attribute("mode", format!("{other:?} is no mode"))),
    };
    let length = |name| node.count_or(name, 1);
    let lengths = [length("min_gram_length")?, length("max_gram_length")?];
    let grams = grams(&pool, &begins, &indexes).ok_or_else(|| {
        node.refuse_attribute("ngram_counts", "does not cut the pool into as many grams as there are indexes")
    })?;
    let outputs = indexes.iter().max().map_or(0, |last| last.saturating_add(1));
    let weights = node.floats("weights")?.unwrap_or_default();
    if !weights.is_empty() && weights.len() != indexes.len() {
        return Err(node
            .refuse_attribute("weights", format!("{} weights for {} grams", weights.len(), indexes.len())));
    }
    Ok(Imported::with(TfIdf {
        grams,
        lengths,
        skips: node.count_or("max_skip_count", 0)?,
        weighting,
        weights,
        outputs,
    }))
}

/// The grams of a pool whose grams of `n + 1` words begin at `begins[n]`.
fn grams(pool: &[i64], begins: &[usize], indexes: &[usize]) -> Option<Vec<Gram>> {
    let mut grams = Vec::with_capacity(indexes.len().min(pool.len()));
    let mut outputs = indexes.iter();
    for (length, begin) in begins.iter().enumerate() {
        let end = begins.get(length + 1).copied().unwrap_or(pool.len());
        let words = pool.get(*begin..end)?.chunks_exact(length + 1);
        if !words.remainder().is_empty() {
            return None;
        }
        for words in words {
            grams.push(Gram { words: words.to_vec(), output: *outputs.next()? });
        }
    }
    outputs.next().is_none().then_some(grams)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{TestNode, node};
    use crate::op::testing::{check, check_import, check_refused};

    fn example(begins: &[i64], indexes: &[i64]) -> TestNode {
        node("TfIdfVectorizer", &["x"], &["y"])
            .text("mode", "TF")
            .int("min_gram_length", 2)
            .int("max_gram_length", 2)
            .int("max_skip_count", 5)
            .ints("ngram_counts", begins)
            .ints("ngram_indexes", indexes)
            .ints("pool_int64s", &[2, 3, 5, 4])
    }

    fn op() -> TfIdf {
        let gram = |words: &[i64], output| Gram { words: words.into(), output };
        TfIdf {
            grams: alloc::vec![gram(&[2], 0), gram(&[3], 1), gram(&[5, 4], 2)],
            lengths: [2, 2],
            skips: 5,
            weighting: Weighting::Count,
            weights: Vec::new(),
            outputs: 3,
        }
    }

    #[test]
    fn every_row_is_counted() {
        check(op(), &["i32[N, 7]"], "f32[N, 3]");
        check(op(), &["i64[7]"], "f32[3]");
        check(op(), &["i64[...]"], "f32[...]");
        check(op(), &["i64[1, 2, 3]"], "words in 3 dimensions; at most 2 are taken");
        check(op(), &["f32[7]"], "input 0 is f32; i32 or i64 is needed");
    }

    #[test]
    fn the_pool_is_cut_into_grams() {
        check_import(&example(&[0, 2], &[0, 1, 2]), 9, op(), &[]);
        let cut = "attribute \"ngram_counts\": does not cut the pool into as many grams as there are indexes";
        check_refused(&example(&[0, 3], &[0, 1, 2]), 9, cut);
        check_refused(&example(&[0, 9], &[0, 1, 2]), 9, cut);
        check_refused(&example(&[0, 2], &[0, 1]), 9, cut);
        let weights = "attribute \"weights\": 1 weights for 3 grams";
        check_refused(&example(&[0, 2], &[0, 1, 2]).floats("weights", &[1.0]), 9, weights);
    }
}
