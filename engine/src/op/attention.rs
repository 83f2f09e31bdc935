//! Attention of `com.microsoft`, put together from products and Softmax, and the two steps of it whose form hangs on the number
//! of dimensions of an input.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, ANY, INT32, shape_error};
use super::{Concat, Gather, Inputs, MatMul, MoveAxis, Op, OpError, Slice, Softmax, Split, Unary};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, NodeView, Wire};

/// `x`: `[N, L, heads * size]` as `[N, heads, L, size]`; what has four dimensions is in that form already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SplitHeads {
    /// How many heads, at least 1.
    pub heads: usize,
}

impl Op for SplitHeads {
    fn name(&self) -> &'static str {
        "SplitHeads"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &ANY)?;
        let shape = match x.shape.dims() {
            Some([batch, length, width]) => {
                let size = match width.fixed() {
                    Some(width) if width % self.heads == 0 => Dim::Fixed(width / self.heads),
                    Some(width) => return shape_error(format!("{width} numbers for {} heads", self.heads)),
                    None => Dim::Unknown,
                };
                vec![batch.clone(), Dim::Fixed(self.heads), length.clone(), size]
            }
            Some([batch, heads, length, size]) => {
                let heads = rules::unify_dim(heads, &Dim::Fixed(self.heads))?;
                vec![batch.clone(), heads, length.clone(), size.clone()]
            }
            Some(_) => {
                return shape_error(format!("input 0 needs 3 or 4 dimensions, its shape is {}", x.shape));
            }
            None => return rules::one(x.element, ShapeFact::of_rank(4)),
        };
        rules::one(x.element, ShapeFact(Some(shape)))
    }
}

/// `mask?, q, k`: what is added to the scores `[N, 1, S, T]` of S queries and T keys: 0 where a query sees a key, a large
/// negative number where it does not. The mask tells which keys are there: for each batch how many `[N]` (or `[3N + 2]`, of
/// which the first count), where they end and begin `[2N]`, or for each key whether it is there: `[N, T]`, for each query
/// `[N, S, T]`, or of something larger `[N, 1, M, M]`, whose last queries these are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttentionMask {
    /// The large negative number for keys that the mask leaves out.
    pub filter: f32,
    /// Whether a query sees only the keys up to its own place, counted from the last.
    pub causal: bool,
}

impl Op for AttentionMask {
    fn name(&self) -> &'static str {
        "AttentionMask"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let mask = inputs.typed_optional(0, &INT32)?;
        let (q, k) = (inputs.required(1)?, inputs.required(2)?);
        rules::check_rank_is(1, &q.shape, 4)?;
        rules::check_rank_is(2, &k.shape, 4)?;
        let dim =
            |fact: &Fact, index: usize| fact.shape.dims().map_or(Dim::Unknown, |dims| dims[index].clone());
        let (batch, queries, keys) = (dim(q, 0), dim(q, 2), dim(k, 2));
        if let Some(dims) = mask.and_then(|mask| mask.shape.dims()) {
            let given = |rank: usize, place: usize, wanted: &Dim| match dims.len() == rank {
                true => rules::unify_dim(&dims[place], wanted).map(drop),
                false => Ok(()),
            };
            given(2, 0, &batch)?;
            given(2, 1, &keys)?;
            given(3, 0, &batch)?;
            given(3, 1, &queries)?;
            given(3, 2, &keys)?;
            given(4, 0, &batch)?;
            if dims.is_empty() || dims.len() > 4 {
                return shape_error(format!("a mask of {} dimensions", dims.len()));
            }
        }
        rules::one(ElementType::F32, ShapeFact(Some(vec![batch, Dim::Fixed(1), queries, keys])))
    }
}

/// Attention: the projections to queries, keys and values are part of it.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=7, 1..=2)?;
    if node.flag("do_rotary", false)? || node.flag("past_present_share_buffer", false)? {
        return Err(node.refuse("do_rotary and past_present_share_buffer are not supported"));
    }
    let heads = heads(node)?;
    let mut f = Fragment::new();
    let (x, weights) = (f.input(0), f.input(1));
    let mut projected = f.step(MatMul, &[x, weights]);
    if node.has_input(2) {
        let bias = f.input(2);
        projected = f.add(projected, bias);
    }
    let parts = match node.ints("qkv_hidden_sizes")?.as_deref() {
        None | Some([]) => f.steps(Split { axis: -1, num_outputs: Some(3) }, &[Some(projected)], 3),
        Some([q, k, v]) => {
            let sizes = f.ints(&[*q, *k, *v]);
            f.steps(Split { axis: -1, num_outputs: None }, &[Some(projected), Some(sizes)], 3)
        }
        Some(sizes) => {
            return Err(node.refuse_attribute("qkv_hidden_sizes", format!("has {} numbers", sizes.len())));
        }
    };
    let mut parts = parts.into_iter().map(|part| f.step(SplitHeads { heads }, &[part]));
    let [q, mut k, mut v] = [(); 3].map(|()| parts.next().expect("three parts"));
    drop(parts);
    if node.has_input(4) {
        let past = f.input(4);
        [k, v] = [(0, k), (1, v)].map(|(which, now)| {
            let which = f.scalar::<i64>(which);
            let before = f.step(Gather { axis: 0 }, &[past, which]);
            f.step(Concat { axis: 2 }, &[before, now])
        });
    }
    // Keys and values of other sizes have no common tensor to be given in.
    if node.has_output(1) {
        let states = [k, v].map(|state| f.unsqueeze(state, &[0]));
        let present = f.chain(&states);
        f.give(1, present);
    }
    let y = attend(node, &mut f, [q, k, v], node.has_input(3).then_some(3), node.has_input(5).then_some(5))?;
    Ok(f.giving(y))
}

/// MultiHeadAttention: queries, keys and values are inputs, each for itself or packed.
pub(crate) fn import_multi_head(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=8, 1..=3)?;
    let heads = heads(node)?;
    let mut f = Fragment::new();
    let (key, value) = (node.has_input(1), node.has_input(2));
    if node.has_input(3) && !(key && value) {
        return Err(node.refuse("a bias of packed queries, keys or values is not supported"));
    }
    let [q, mut k, mut v] = match (key, value) {
        (true, true) => separate(node, &mut f, heads),
        (true, false) => {
            let (query, packed) = (f.input(0), f.input(1));
            let q = f.step(SplitHeads { heads }, &[query]);
            let [k, v] = [0, 1].map(|which| unpacked(&mut f, packed, which));
            [q, k, v]
        }
        (false, false) => {
            let packed = f.input(0);
            [0, 1, 2].map(|which| unpacked(&mut f, packed, which))
        }
        (false, true) => return Err(node.refuse("a value without a key")),
    };
    [k, v] = [(6, k), (7, v)].map(|(past, now)| match node.has_input(past) {
        true => {
            let past = f.input(past);
            f.step(Concat { axis: 2 }, &[past, now])
        }
        false => now,
    });
    f.give(1, k);
    f.give(2, v);
    let y = attend(node, &mut f, [q, k, v], node.has_input(4).then_some(4), node.has_input(5).then_some(5))?;
    Ok(f.giving(y))
}

/// Queries, keys and values that are inputs of their own, each with its part of the bias.
fn separate(node: &NodeView<'_>, f: &mut Fragment, heads: usize) -> [Wire; 3] {
    let mut begin = f.ints(&[0]);
    [0, 1, 2].map(|index| {
        let mut x = f.input(index);
        if node.has_input(3) {
            let (bias, width) = (f.input(3), f.extents(x, 2, Some(3)));
            let end = f.add(begin, width);
            let part = f.step(Slice, &[bias, begin, end]);
            x = f.add(x, part);
            begin = end;
        }
        f.step(SplitHeads { heads }, &[x])
    })
}

/// One of the tensors that are packed as `[N, L, heads, how many, size]`.
fn unpacked(f: &mut Fragment, packed: Wire, which: i64) -> Wire {
    let which = f.scalar(which);
    let one = f.step(Gather { axis: 3 }, &[packed, which]);
    f.transpose(one, &[0, 2, 1, 3])
}

/// What the queries gather of the values, `[N, S, heads * size]`. `mask` and `bias` are inputs of the node.
fn attend(
    node: &NodeView<'_>,
    f: &mut Fragment,
    [q, k, v]: [Wire; 3],
    mask: Option<usize>,
    bias: Option<usize>,
) -> Result<Wire, ImportError> {
    let causal = node.flag("unidirectional", false)?;
    let scale = match node.float("scale")?.filter(|scale| *scale != 0.0) {
        Some(scale) => f.number(scale, q),
        None => {
            let size = f.extents(q, 3, Some(4));
            let size = f.like(size, q);
            let root = f.step(Unary::Sqrt, &[size]);
            f.step(Unary::Reciprocal, &[root])
        }
    };
    let q_scaled = f.mul(q, scale);
    let turned = f.step(MoveAxis { from: -1, to: -2 }, &[k]);
    let mut scores = f.step(MatMul, &[q_scaled, turned]);
    if mask.is_some() || causal {
        let filter = node.float_or("mask_filter_value", -10000.0)?;
        let mask = mask.map(|index| f.input(index));
        let added = f.steps(AttentionMask { filter, causal }, &[mask, Some(q), Some(k)], 1)[0];
        let added = f.like(added, scores);
        scores = f.add(scores, added);
    }
    if let Some(bias) = bias {
        let bias = f.input(bias);
        scores = f.add(scores, bias);
    }
    let shares = f.step(Softmax { axis: -1, log: false, flatten: false }, &[scores]);
    let gathered = f.step(MatMul, &[shares, v]);
    let gathered = f.transpose(gathered, &[0, 2, 1, 3]);
    let (outer, width) = (f.extents(gathered, 0, Some(2)), f.count(gathered, 2, None));
    let shape = f.chain(&[outer, width]);
    Ok(f.reshape(gathered, shape))
}

fn heads(node: &NodeView<'_>) -> Result<usize, ImportError> {
    match node.count_or("num_heads", 0)? {
        0 => Err(node.refuse_attribute("num_heads", "is missing or 0")),
        heads => Ok(heads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::check;

    #[test]
    fn heads_are_split_once() {
        let split = SplitHeads { heads: 2 };
        check(split, &["f32[N, L, 8]"], "f32[N, 2, L, 4]");
        check(split, &["f16[N, 2, L, 4]"], "f16[N, 2, L, 4]");
        check(split, &["f32[...]"], "f32[?, ?, ?, ?]");
        check(split, &["f32[N, L, 7]"], "7 numbers for 2 heads");
        check(split, &["f32[N, 3, L, 4]"], "extents 3 and 2 must be equal");
        check(split, &["f32[N, L]"], "input 0 needs 3 or 4 dimensions, its shape is [N, L]");
    }

    #[test]
    fn a_mask_has_the_shape_of_the_scores() {
        let mask = AttentionMask { filter: -1e4, causal: true };
        let of = |mask| [mask, "f32[N, 2, 3, 4]", "f32[N, 2, T, 4]"];
        check(mask, &of(""), "f32[N, 1, 3, T]");
        check(mask, &of("i32[N, 5]"), "f32[N, 1, 3, T]");
        check(mask, &of("i32[N, 4, T]"), "extents 4 and 3 must be equal");
        check(mask, &of("i32[]"), "a mask of 0 dimensions");
        check(mask, &of("f32[N, 5]"), "input 0 is f32; i32 is needed");
    }
}
