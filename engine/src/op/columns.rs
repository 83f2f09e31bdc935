//! Columns: the elements under each place of a sliding window, one place after the other.
//!
//! `Col2Im` adds columns up to an image. A deformable convolution is the way there, with the elements of each place somewhere
//! else, and a matrix product; it is imported as those two.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INT64, NUMBER, shape_error};
use super::{Concat, Inputs, MatMul, Op, OpError, Reshape, ShapeOf, Window, window};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView};

/// `columns: [N, C * block, places], image extents, block extents`: the image `[N, C, extents...]` whose elements are the sums
/// of all that stands for them in the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Col2Im {
    /// Strides, dilations and padding of the window; its extents are an input.
    pub window: Window,
}

impl Op for Col2Im {
    fn name(&self) -> &'static str {
        "Col2Im"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let columns = inputs.typed(0, &NUMBER)?;
        let image = inputs.typed(1, &INT64)?;
        let block = inputs.typed(2, &INT64)?;
        rules::check_rank_is(0, &columns.shape, 3)?;
        let rank = rules::vector_len(image).or(rules::vector_len(block));
        let Some(rank) = rank else { return rules::one(columns.element, ShapeFact::unknown()) };
        rules::check_vector(1, image, &Dim::Fixed(rank))?;
        rules::check_vector(2, block, &Dim::Fixed(rank))?;
        let unknown = [Dim::Unknown, Dim::Unknown, Dim::Unknown];
        let dims = columns.shape.dims().unwrap_or(&unknown);
        let mut shape = alloc::vec![dims[0].clone(), Dim::Unknown];
        let extents = image.integers().map(|extents| rules::extents(1, &extents)).transpose()?;
        let block = block.integers().map(|block| rules::extents(2, &block)).transpose()?;
        if let Some(block) = &block {
            let taps = rules::product(&block.iter().map(|extent| Dim::Fixed(*extent)).collect::<Vec<_>>())?;
            if let (Some(taps), Some(rows)) = (taps.fixed(), dims[1].fixed()) {
                if taps == 0 || rows % taps != 0 {
                    return shape_error(format!("{rows} rows are no whole number of blocks of {taps}"));
                }
                shape[1] = Dim::Fixed(rows / taps);
            }
        }
        if let (Some(extents), Some(block)) = (&extents, &block) {
            let resolved = self.window.resolve(extents, block, false)?;
            let places = rules::product(
                &resolved.output.iter().map(|extent| Dim::Fixed(*extent)).collect::<Vec<_>>(),
            )?;
            rules::unify_dim(&dims[2], &places)?;
        }
        match extents {
            Some(extents) => shape.extend(extents.into_iter().map(Dim::Fixed)),
            None => {
                shape.extend(core::iter::repeat_n(Dim::Unknown, rank.min(inferry_core::tensor::MAX_RANK)))
            }
        }
        rules::one(columns.element, ShapeFact(Some(shape)))
    }

    fn value_inputs(&self) -> &'static [usize] {
        &[1, 2]
    }
}

/// `x: [N, C, D...], weights: [M, C / group, K...], offsets: [N, offset_groups * taps * rank, O...], mask?: [N, offset_groups *
/// taps, O...]`: the columns of a deformable convolution, `[N, group, C / group * taps, O]` with all places in one dimension. Of
/// the weights only the shape is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeformColumns {
    /// What slides over `x`.
    pub window: Window,
    /// Into how many groups the channels are cut.
    pub group: usize,
    /// How many groups of channels have offsets of their own.
    pub offset_group: usize,
}

impl Op for DeformColumns {
    fn name(&self) -> &'static str {
        "DeformColumns"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(4, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        let weights = inputs.alike(1, x)?;
        let offsets = inputs.alike(2, x)?;
        let mask = inputs.alike_optional(3, x)?;
        let (Some(dims), Some(kernel)) = (x.shape.dims(), weights.shape.dims()) else {
            return rules::one(x.element, ShapeFact::of_rank(4));
        };
        if dims.len() < 3 || kernel.len() != dims.len() {
            return shape_error(format!("a deformable convolution of {} by {}", x.shape, weights.shape));
        }
        let rank = dims.len() - 2;
        rules::check_rank_is(2, &offsets.shape, dims.len())?;
        let output = self.window.infer(&dims[2..], &kernel[2..], false)?;
        let taps = rules::product(&kernel[2..])?;
        if let Some(channels) = dims[1].fixed()
            && [self.group, self.offset_group].iter().any(|group| *group == 0 || channels % group != 0)
        {
            let (group, offset_group) = (self.group, self.offset_group);
            return shape_error(format!(
                "{channels} channels in {group} groups, {offset_group} with offsets of their own"
            ));
        }
        let given = [(Some(offsets), rank), (mask, 1)];
        for (fact, each) in given {
            let Some([batch, rows, places @ ..]) = fact.and_then(|fact| fact.shape.dims()) else { continue };
            rules::unify_dim(batch, &dims[0])?;
            let fixed = [Dim::Fixed(self.offset_group), Dim::Fixed(each), taps.clone()];
            rules::unify_dim(rows, &rules::product(&fixed)?)?;
            if places.len() != rank {
                return shape_error(format!("offsets in {} dimensions for {rank}", places.len()));
            }
            for (a, b) in places.iter().zip(&output) {
                rules::unify_dim(a, b)?;
            }
        }
        if let (Some(channels), Some(of_kernel)) = (dims[1].fixed(), kernel[1].fixed())
            && of_kernel.checked_mul(self.group) != Some(channels)
        {
            return shape_error(format!(
                "{channels} channels, weights for {of_kernel} in each of {} groups",
                self.group
            ));
        }
        let rows = rules::product(&[kernel[1].clone(), taps])?;
        let shape = alloc::vec![dims[0].clone(), Dim::Fixed(self.group), rows, rules::product(&output)?];
        rules::one(x.element, ShapeFact(Some(shape)))
    }
}

/// Col2Im.
pub(crate) fn import_col2im(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=3, 1..=1)?;
    Ok(Imported::with(Col2Im { window: window::import(node)? }))
}

/// DeformConv: columns and a product with the weights, group by group.
pub(crate) fn import_deform_conv(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(3..=5, 1..=1)?;
    let group = node.count_or("group", 1)?;
    let columns = DeformColumns {
        window: window::import(node)?,
        group,
        offset_group: node.count_or("offset_group", 1)?,
    };
    let groups = i64::try_from(group).map_err(|_| node.refuse_attribute("group", "is too large"))?;
    let mut f = Fragment::new();
    let [x, weights, offsets, bias, mask] = [0, 1, 2, 3, 4].map(|index| f.input(index));
    let columns = f.steps(columns, &[Some(x), Some(weights), Some(offsets), Some(mask)], 1)[0];
    // [M, C / group, K...] becomes [group, M / group, C / group * taps].
    let reshape = Reshape { allow_zero: false };
    let rows = f.ints(&[0, -1]);
    let weights = f.step(reshape, &[weights, rows]);
    let front = f.ints(&[0]);
    let weights = f.step(super::Unsqueeze, &[weights, front]);
    let grouped = f.ints(&[groups, -1, 0]);
    let weights = f.step(reshape, &[weights, grouped]);
    let product = f.step(MatMul, &[weights, columns]);
    // [N, group, M / group, places] becomes [N, M, O...].
    let batch = f.step(ShapeOf { start: 0, end: Some(1) }, &[offsets]);
    let all = f.ints(&[-1]);
    let places = f.step(ShapeOf { start: 2, end: None }, &[offsets]);
    let shape = f.step(Concat { axis: 0 }, &[batch, all, places]);
    let mut y = f.step(reshape, &[product, shape]);
    if node.has_input(3) {
        let rank = f.step(ShapeOf { start: 0, end: None }, &[places]);
        let one = f.ints(&[1]);
        let ones = f.step(super::Expand, &[one, rank]);
        let shape = f.step(Concat { axis: 0 }, &[all, ones]);
        let bias = f.step(reshape, &[bias, shape]);
        y = f.add(y, bias);
    }
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::Padding;
    use crate::op::testing::{check, check_import};

    #[test]
    fn columns_become_an_image() {
        let plain = Col2Im { window: Window::default() };
        check(plain.clone(), &["f32[1, 5, 5]", "i64{5, 5}", "i64{1, 5}"], "f32[1, 1, 5, 5]");
        check(plain.clone(), &["f32[N, 10, 12]", "i64{3, 4, 5}", "i64{1, 1, 5}"], "f32[N, 2, 3, 4, 5]");
        check(plain.clone(), &["f32[...]", "i64[2]", "i64{1, 5}"], "f32[?, ?, ?, ?]");
        check(plain.clone(), &["f32[...]", "i64[?]", "i64[?]"], "f32[...]");
        check(plain.clone(), &["f32[1, 5, 4]", "i64{5, 5}", "i64{1, 5}"], "extents 4 and 5 must be equal");
        check(
            plain,
            &["f32[1, 6, 5]", "i64{5, 5}", "i64{1, 5}"],
            "6 rows are no whole number of blocks of 5",
        );
        let wide =
            node("Col2Im", &["x", "i", "b"], &["y"]).ints("strides", &[2, 2]).ints("pads", &[1, 1, 1, 1]);
        let window = Window {
            strides: alloc::vec![2, 2],
            padding: Padding::Explicit(alloc::vec![1; 4]),
            ..Window::default()
        };
        check_import(&wide, 18, Col2Im { window: window.clone() }, &[]);
        check(Col2Im { window }, &["f32[1, 9, 4]", "i64{4, 3}", "i64{3, 3}"], "f32[1, 1, 4, 3]");
    }

    #[test]
    fn a_place_has_a_column() {
        let op = |group, offset_group| DeformColumns { window: Window::default(), group, offset_group };
        let facts = ["f32[1, 4, 3, 3]", "f32[6, 2, 2, 2]", "f32[1, 8, 2, 2]", "f32[1, 4, 2, 2]"];
        check(op(2, 1), &facts, "f32[1, 2, 8, 4]");
        check(op(2, 1), &["f32[N, 4, H, 3]", "f32[6, 2, 2, 2]", "f32[N, 8, O, 2]"], "f32[N, 2, 8, ?]");
        check(op(2, 2), &facts, "extents 8 and 16 must be equal");
        check(op(1, 1), &facts, "4 channels, weights for 2 in each of 1 groups");
        check(op(3, 1), &facts, "4 channels in 3 groups, 1 with offsets of their own");
        check(op(1, 1), &["f32[...]", "f32[...]", "f32[...]"], "f32[?, ?, ?, ?]");
    }
}
