//! Random numbers: uniform and normal ones, draws from distributions, coins, and what Dropout does in training.
//!
//! With a seed, a node gives the same numbers in every run, on every device and however the work is cut: they come from a
//! counter-based generator, which computes the n-th number from seed and n alone (see the CPU's kernel). Without a seed,
//! every run gives others, in an order that repeats when the process starts anew.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INT64};
use super::{Binary, ConstantOfShape, If, Inputs, Op, OpError};
use crate::graph::{Body, Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, NodeView, Wire};

/// `shape`: independent numbers from a distribution, as f32 or f64.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Random {
    /// The distribution.
    pub distribution: Distribution,
    /// Which numbers; others in every run when `None`.
    pub seed: Option<u64>,
    /// f32 or f64.
    pub element: ElementType,
}

/// Where random numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Distribution {
    /// All numbers from `low` to before `high` alike.
    Uniform {
        /// The least.
        low: f32,
        /// Greater than all.
        high: f32,
    },
    /// The bell around `mean`.
    Normal {
        /// The middle.
        mean: f32,
        /// The standard deviation.
        scale: f32,
    },
}

impl Op for Random {
    fn name(&self) -> &'static str {
        match self.distribution {
            Distribution::Uniform { .. } => "RandomUniform",
            Distribution::Normal { .. } => "RandomNormal",
        }
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let shape = inputs.typed(0, &INT64)?;
        rules::check_rank_is(0, &shape.shape, 1)?;
        let shape = match shape.integers() {
            Some(extents) => rules::extents(0, &extents)?[..].into(),
            None => rules::unknown_of(rules::vector_len(shape)),
        };
        rules::one(self.element, shape)
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[0]
    }

    fn is_pure(&self) -> bool {
        false
    }
}

/// `x`: for each row of `[batch, classes]`, the logarithms of what the classes are worth, so many draws of a class; as i64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Multinomial {
    /// Draws for each row.
    pub samples: usize,
    /// Which draws; others in every run when `None`.
    pub seed: Option<u64>,
}

impl Op for Multinomial {
    fn name(&self) -> &'static str {
        "Multinomial"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        rules::check_rank_is(0, &x.shape, 2)?;
        let rows = match x.shape.dims() {
            Some([_, Dim::Fixed(0)]) => return rules::shape_error("there is no class to draw".into()),
            Some([rows, _]) => rows.clone(),
            _ => Dim::Unknown,
        };
        rules::one(ElementType::I64, ShapeFact(Some(vec![rows, Dim::Fixed(self.samples)])))
    }

    fn is_pure(&self) -> bool {
        false
    }
}

/// RandomUniform, RandomNormal, RandomUniformLike and RandomNormalLike.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let like = node.op_type().ends_with("Like");
    node.counts(usize::from(like)..=usize::from(like), 1..=1)?;
    let distribution = if node.op_type().starts_with("RandomUniform") {
        Distribution::Uniform { low: node.float_or("low", 0.0)?, high: node.float_or("high", 1.0)? }
    } else {
        Distribution::Normal { mean: node.float_or("mean", 0.0)?, scale: node.float_or("scale", 1.0)? }
    };
    let to = node.element("dtype")?.or((!like).then_some(ElementType::F32));
    if let Some(to) = to.filter(|to| !to.is_float()) {
        return Err(node.refuse_attribute("dtype", format!("{to} is no float type")));
    }
    let element = to.filter(|to| *to == ElementType::F64).unwrap_or(ElementType::F32);
    let mut f = Fragment::new();
    let shape = if like {
        let x = f.input(0);
        f.extents(x, 0, None)
    } else {
        let shape = node.ints("shape")?.ok_or_else(|| node.refuse_attribute("shape", "is missing"))?;
        f.ints(&shape)
    };
    let y = f.step(Random { distribution, seed: seed(node)?, element }, &[shape]);
    let y = match to {
        Some(to) if to == element => y,
        Some(to) => f.cast(y, to),
        None => {
            let x = f.input(0);
            f.like(y, x)
        }
    };
    Ok(f.giving(y))
}

/// Multinomial.
pub(crate) fn import_multinomial(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let to = node.element("dtype")?.unwrap_or(ElementType::I32);
    if !matches!(to, ElementType::I32 | ElementType::I64) {
        return Err(node.refuse_attribute("dtype", format!("{to} is neither i32 nor i64")));
    }
    let samples = node.count_or("sample_size", 1)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let y = f.step(Multinomial { samples, seed: seed(node)? }, &[x]);
    let y = f.cast(y, to);
    Ok(f.giving(y))
}

/// Bernoulli: 1 as often as the input says, else 0.
pub(crate) fn import_bernoulli(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let to = node.element("dtype")?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let drawn = uniform(&mut f, x, seed(node)?);
    let chance = f.cast(x, ElementType::F32);
    let hit = f.step(Binary::Less, &[drawn, chance]);
    let y = match to {
        Some(to) => f.cast(hit, to),
        None => f.like(hit, x),
    };
    Ok(f.giving(y))
}

/// Dropout. Until operator set 11 the file did not say whether it trains: it does not. Since then an input says it.
pub(crate) fn import_dropout(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=3, 1..=2)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    if node.opset() < 12 || !node.has_input(2) {
        let (y, mask) = kept(&mut f, x);
        // Before operator set 10 the mask had the type of the data.
        let mask = if node.opset() < 10 && node.has_output(1) { f.like(mask, x) } else { mask };
        f.give(0, y);
        f.give(1, mask);
        return Ok(f);
    }
    let mut inputs = vec![Some(f.input(2)), Some(x)];
    inputs.extend(node.has_input(1).then(|| Some(f.input(1))));
    let captures: Vec<usize> = (1..inputs.len()).collect();
    let dropped = dropped(node.has_input(1), seed(node)?);
    let mut kept_body = Fragment::new();
    let (y, mask) = kept(&mut kept_body, Fragment::new().input(0));
    kept_body.give(0, y);
    kept_body.give(1, mask);
    let bodies = [dropped, kept_body]
        .map(|body| Body { graph: body.into_graph(captures.len(), 2), captures: captures.clone() });
    let outputs = f.steps(If { bodies: bodies.into() }, &inputs, 2);
    outputs.into_iter().enumerate().for_each(|(index, output)| f.give(index, output));
    Ok(f)
}

/// The data itself, and a mask that holds everywhere.
fn kept(f: &mut Fragment, x: Wire) -> (Wire, Wire) {
    let shape = f.extents(x, 0, None);
    let yes = Tensor::from_slice(&[true], [1]).expect("one element");
    (x, f.step(ConstantOfShape { value: yes }, &[shape]))
}

/// The graph of a Dropout that trains: reads the data and perhaps the ratio, gives the output and the mask.
fn dropped(has_ratio: bool, seed: Option<u64>) -> Fragment {
    let mut f = Fragment::new();
    let x = f.input(0);
    let ratio = if has_ratio {
        let ratio = f.input(1);
        f.cast(ratio, ElementType::F32)
    } else {
        f.scalar(0.5f32)
    };
    let drawn = uniform(&mut f, x, seed);
    let mask = f.step(Binary::GreaterOrEqual, &[drawn, ratio]);
    let one = f.scalar(1.0f32);
    let share = f.sub(one, ratio);
    let share = f.like(share, x);
    let grown = f.div(x, share);
    let zero = f.number(0.0, x);
    let y = f.choose(mask, grown, zero);
    f.give(0, y);
    f.give(1, mask);
    f
}

/// Uniform numbers from 0 to before 1, as many as `x` has elements.
fn uniform(f: &mut Fragment, x: Wire, seed: Option<u64>) -> Wire {
    let shape = f.extents(x, 0, None);
    let distribution = Distribution::Uniform { low: 0.0, high: 1.0 };
    f.step(Random { distribution, seed, element: ElementType::F32 }, &[shape])
}

/// The standard's seeds are floats (for Dropout integers): their bits are as good as any.
fn seed(node: &NodeView<'_>) -> Result<Option<u64>, ImportError> {
    if node.op_type() == "Dropout" {
        return Ok(node.int("seed")?.map(|seed| seed as u64));
    }
    Ok(node.float("seed")?.map(|seed| u64::from(seed.to_bits())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::check;
    use alloc::string::ToString;

    #[test]
    fn shapes_are_asked_for() {
        let distribution = Distribution::Normal { mean: 0.0, scale: 1.0 };
        let normal = |element| Random { distribution, seed: None, element };
        check(normal(ElementType::F64), &["i64{2, 3}"], "f64[2, 3]");
        check(normal(ElementType::F32), &["i64[3]"], "f32[?, ?, ?]");
        check(normal(ElementType::F32), &["i64{-1}"], "input 0 asks for an extent of -1");
        let draws = Multinomial { samples: 7, seed: None };
        check(draws, &["f32[N, 3]"], "i64[N, 7]");
        check(draws, &["f32[N, 0]"], "there is no class to draw");
    }

    #[test]
    fn types_that_the_generator_does_not_make_are_casts() {
        let uniform = |dtype| {
            let node =
                node("RandomUniform", &[], &["y"]).ints("shape", &[2]).int("dtype", dtype).float("seed", 1.0);
            node.expand(13, &[]).map(|graph| graph.to_string()).map_err(|error| error.to_string())
        };
        assert!(!uniform(1).unwrap().contains("Cast"));
        assert!(!uniform(11).unwrap().contains("Cast"));
        assert!(uniform(10).unwrap().contains("y = Cast { to: F16"));
        assert!(uniform(7).unwrap_err().ends_with("attribute \"dtype\": i64 is no float type"));
    }

    #[test]
    fn dropout_is_a_copy_unless_an_input_says_that_it_trains() {
        let plain = node("Dropout", &["x"], &["y"]).expand(11, &[("x", None)]).unwrap().to_string();
        assert!(plain.contains("y = Identity(x)"), "{plain}");
        let old = node("Dropout", &["x"], &["y", "m"]).expand(7, &[("x", None)]).unwrap().to_string();
        assert!(old.contains("m = CastLike"), "{old}");
        let inputs = ["x", "r", "t"].map(|name| (name, None));
        let trains = node("Dropout", &["x", "r", "t"], &["y", "m"]).expand(13, &inputs).unwrap();
        crate::graph::verify(&trains).unwrap();
        assert!(trains.to_string().contains("y, m = If(t, x, r)"), "{trains}");
    }
}
