//! Sequences: any number of tensors of one element type, of any shapes.
//!
//! What is known of a sequence is what holds of each of its tensors. How many there are is known only in the run. None of
//! these operators is folded: a constant is a tensor.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::{ElementType, Kind};
use serde::{Deserialize, Serialize};

use super::rules::{self, INDEX, shape_error};
use super::{Inputs, Loop, Op, OpError};
use crate::graph::{Body, Dim, Fact, ShapeFact};
use crate::onnx::{Fragment, ImportError, Imported, NodeView, Wire};

/// `tensors...`: a sequence of copies of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SequenceConstruct;

/// A sequence of no tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SequenceEmpty {
    /// The type that elements of its tensors would have.
    pub element: ElementType,
}

/// `sequence, tensor, position?`: the sequence with a copy of the tensor before the one at the position (negative from the
/// end), or behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SequenceInsert;

/// `sequence, position?`: the sequence without the tensor at the position, or without the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SequenceErase;

/// `sequence, position`: a tensor of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SequenceAt {
    /// A tensor in the place of the sequence stands for itself: for what is done to each tensor of several sequences at a
    /// time.
    pub or_tensor: bool,
}

/// `sequence`: how many tensors there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SequenceLength;

/// `tensor, split?`: the tensor cut along an axis. A `split` without dimensions is the extent of each part but the last,
/// which may be smaller; a vector has the extent of each. Without it every part has the extent 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SplitToSequence {
    /// The axis; negative counts from the end.
    pub axis: i64,
    /// Whether parts keep the axis when there is no `split`.
    pub keep_dims: bool,
}

/// `sequence`: its tensors behind each other along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConcatFromSequence {
    /// The axis; negative counts from the end of the result.
    pub axis: i64,
    /// Whether the axis is a new one, along which each tensor has the extent 1.
    pub new_axis: bool,
}

/// An input that must be a sequence.
fn sequence<'a>(inputs: &Inputs<'a>, index: usize) -> Result<&'a Fact, OpError> {
    let fact = inputs.required(index)?;
    match fact.kind {
        Kind::Sequence => Ok(fact),
        actual => Err(OpError::Kind { input: index, actual, wanted: Kind::Sequence }),
    }
}

/// An optional input that says a position.
fn position(inputs: &Inputs<'_>, index: usize) -> Result<(), OpError> {
    if inputs.optional(index).is_some() {
        inputs.tensor(index)?;
    }
    rules::check_single(index, inputs.typed_optional(index, &INDEX)?)
}

impl Op for SequenceConstruct {
    fn name(&self) -> &'static str {
        "SequenceConstruct"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(usize::MAX, 1)?;
        let first = inputs.tensor(0)?;
        let mut all = Fact::new(first.element, first.shape.clone());
        for index in 1..inputs.len() {
            inputs.tensor(index)?;
            all = all.either(inputs.alike(index, first)?).expect("both are tensors of this type");
        }
        rules::several(alloc::vec![all.of_kind(Kind::Sequence)])
    }
}

impl Op for SequenceEmpty {
    fn name(&self) -> &'static str {
        "SequenceEmpty"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(0, 1)?;
        Ok(alloc::vec![Fact::new(self.element, ShapeFact::unknown()).of_kind(Kind::Sequence)])
    }
}

impl Op for SequenceInsert {
    fn name(&self) -> &'static str {
        "SequenceInsert"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(3, 1)?;
        let before = sequence(inputs, 0)?;
        let tensor = inputs.tensor(1)?;
        inputs.alike(1, before)?;
        position(inputs, 2)?;
        let all = before.clone().of_kind(Kind::Tensor).either(tensor).expect("both are tensors now");
        rules::several(alloc::vec![all.of_kind(Kind::Sequence)])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

impl Op for SequenceErase {
    fn name(&self) -> &'static str {
        "SequenceErase"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        position(inputs, 1)?;
        rules::several(alloc::vec![sequence(inputs, 0)?.clone()])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

impl Op for SequenceAt {
    fn name(&self) -> &'static str {
        "SequenceAt"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        inputs.required(1)?;
        position(inputs, 1)?;
        let fact = match self.or_tensor && inputs.required(0)?.kind == Kind::Tensor {
            true => inputs.tensor(0)?,
            false => sequence(inputs, 0)?,
        };
        rules::several(alloc::vec![Fact::new(fact.element, fact.shape.clone())])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

impl Op for SequenceLength {
    fn name(&self) -> &'static str {
        "SequenceLength"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        sequence(inputs, 0)?;
        Ok(alloc::vec![Fact::fixed(ElementType::I64, &[])])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

impl Op for SplitToSequence {
    fn name(&self) -> &'static str {
        "SplitToSequence"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let tensor = inputs.tensor(0)?;
        let split = inputs.typed_optional(1, &INDEX)?;
        if let Some(rank) = split.and_then(|split| split.shape.rank()).filter(|rank| *rank > 1) {
            return shape_error(format!("input 1 has {rank} dimensions; one number or a vector is needed"));
        }
        let Some(dims) = tensor.shape.dims() else {
            return Ok(alloc::vec![Fact::new(tensor.element, ShapeFact::unknown()).of_kind(Kind::Sequence)]);
        };
        let axis = rules::axis(self.axis, dims.len())?;
        let mut dims = dims.to_vec();
        match split {
            None if !self.keep_dims => _ = dims.remove(axis),
            None => dims[axis] = Dim::Fixed(1),
            Some(split) => dims[axis] = part(split, &dims[axis]),
        }
        rules::several(alloc::vec![Fact::new(tensor.element, ShapeFact(Some(dims))).of_kind(Kind::Sequence)])
    }
}

/// The extent of every part, when all have the same.
fn part(split: &Fact, whole: &Dim) -> Dim {
    let Some(extents) = split.integers() else { return Dim::Unknown };
    let Some(first) = extents.first().and_then(|first| usize::try_from(*first).ok()) else {
        return Dim::Unknown;
    };
    let scalar = split.shape.rank() == Some(0);
    let same = match scalar {
        true => first > 0 && whole.fixed().is_some_and(|whole| whole % first == 0),
        false => extents.iter().all(|extent| *extent == extents[0]),
    };
    if same { Dim::Fixed(first) } else { Dim::Unknown }
}

impl Op for ConcatFromSequence {
    fn name(&self) -> &'static str {
        "ConcatFromSequence"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let all = sequence(inputs, 0)?;
        let Some(dims) = all.shape.dims() else {
            return rules::one(all.element, ShapeFact::unknown());
        };
        let rank = dims.len() + usize::from(self.new_axis);
        let axis = rules::axis(self.axis, rank)?;
        let mut dims = dims.to_vec();
        match self.new_axis {
            true => dims.insert(axis, Dim::Unknown),
            false => dims[axis] = Dim::Unknown,
        }
        rules::one(all.element, ShapeFact(Some(dims)))
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

/// SequenceConstruct.
pub(crate) fn import_construct(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=usize::MAX, 1..=1)?;
    Ok(SequenceConstruct.into())
}

/// SequenceEmpty.
pub(crate) fn import_empty(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(0..=0, 1..=1)?;
    Ok(SequenceEmpty { element: node.element("dtype")?.unwrap_or(ElementType::F32) }.into())
}

/// SequenceInsert.
pub(crate) fn import_insert(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=3, 1..=1)?;
    Ok(SequenceInsert.into())
}

/// SequenceErase.
pub(crate) fn import_erase(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    Ok(SequenceErase.into())
}

/// SequenceAt.
pub(crate) fn import_at(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(SequenceAt { or_tensor: false }.into())
}

/// SequenceLength.
pub(crate) fn import_length(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(SequenceLength.into())
}

/// SplitToSequence.
pub(crate) fn import_split(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=2, 1..=1)?;
    let (axis, keep_dims) = (node.int_or("axis", 0)?, node.flag("keepdims", true)?);
    Ok(SplitToSequence { axis, keep_dims }.into())
}

/// ConcatFromSequence.
pub(crate) fn import_concat(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let axis = node.int("axis")?.ok_or_else(|| node.refuse_attribute("axis", "is missing"))?;
    Ok(ConcatFromSequence { axis, new_axis: node.flag("new_axis", false)? }.into())
}

/// SequenceMap: a loop over the tensors of its first input, with the tensors of the other sequences beside them.
pub(crate) fn import_map(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(1..=usize::MAX, 1..=usize::MAX)?;
    let inner = node.body("body")?;
    let given = node.inputs();
    let formal = inner.graph.inputs.len().saturating_sub(inner.captures.len());
    if formal != given {
        return Err(node.refuse_attribute("body", format!("takes {formal} inputs, the node gives {given}")));
    }
    if let Some(absent) = (0..given).find(|index| !node.has_input(*index)) {
        return Err(node.refuse(format!("input {absent} is left out")));
    }
    let (results, wanted) = (inner.graph.outputs.len(), node.outputs());
    if results < wanted {
        return Err(node.refuse_attribute("body", format!("has {results} outputs, {wanted} are needed")));
    }
    let mut f = Fragment::new();
    let whole: Vec<Wire> = (0..given).map(|index| f.input(index)).collect();
    let count = f.step(SequenceLength, &whole[..1]);
    let captured = inner.captures.iter().map(|input| f.input(*input));
    let captured: Vec<Option<Wire>> = whole.into_iter().chain(captured).map(Some).collect();
    let mut graph = inner.graph;
    let formal = core::mem::take(&mut graph.inputs);
    let [trip, condition] = ["", ""].map(|name| graph.add_value(name, None));
    graph.inputs = alloc::vec![trip, condition];
    let mut nodes = Vec::with_capacity(given + graph.nodes.len());
    for element in &formal[..given] {
        let whole = graph.add_value("", None);
        graph.inputs.push(whole);
        let op = alloc::sync::Arc::new(SequenceAt { or_tensor: true });
        let (inputs, outputs) = (alloc::vec![Some(whole), Some(trip)], alloc::vec![Some(*element)]);
        nodes.push(crate::graph::Node { name: "".into(), op, inputs, outputs });
    }
    graph.inputs.extend(&formal[given..]);
    nodes.append(&mut graph.nodes);
    graph.nodes = nodes;
    graph.outputs.insert(0, condition);
    let captures = (Loop::LEADING..Loop::LEADING + captured.len()).collect();
    let looped = Loop { body: Body { graph, captures }, carried: 0, listed: true };
    let inputs = [&[Some(count), None], &captured[..]].concat();
    let made = f.steps(looped, &inputs, results);
    made.into_iter().enumerate().for_each(|(output, wire)| f.give(output, wire));
    Ok(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{TestGraph, node};
    use crate::onnx::{Options, import};
    use crate::op::testing::{check, check_import, check_refused};
    use alloc::string::ToString;
    use inferry_core::ElementType::F32;

    #[test]
    fn what_holds_of_a_sequence_holds_of_each_tensor() {
        check(SequenceConstruct, &["f32[2, 3]", "f32[2, 4]"], "sequence(f32[2, ?])");
        check(SequenceConstruct, &["f32[2]", "f32[2, 4]"], "sequence(f32[...])");
        let other = "input 1 is i64; it must have the same type as the input before";
        check(SequenceConstruct, &["f32[2]", "i64[2]"], other);
        check(
            SequenceConstruct,
            &["sequence(f32[2])"],
            "input 0 is a sequence of tensors; a tensor is needed",
        );
        check(SequenceEmpty { element: F32 }, &[], "sequence(f32[...])");
        check(SequenceInsert, &["sequence(f32[2, ?])", "f32[3, 1]", "i64[]"], "sequence(f32[?, ?])");
        check(SequenceInsert, &["f32[2]", "f32[3]"], "input 0 is a tensor; a sequence of tensors is needed");
        check(SequenceInsert, &["sequence(i64[2])", "f32[3]"], &other.replace("i64", "f32"));
        check(SequenceErase, &["sequence(f32[2])", "i32[1]"], "sequence(f32[2])");
        check(SequenceAt { or_tensor: false }, &["sequence(f32[2])", "i64[]"], "f32[2]");
        check(SequenceAt { or_tensor: true }, &["f32[2]", "i64[]"], "f32[2]");
        let two = "input 1 must be one number, its shape is [2]";
        check(SequenceAt { or_tensor: false }, &["sequence(f32[2])", "i64[2]"], two);
        check(SequenceLength, &["sequence(f32[2])"], "i64[]");
        check(
            SequenceLength,
            &["optional(sequence(f32[2]))"],
            "input 0 is a sequence of tensors or nothing; a sequence of tensors is needed",
        );
    }

    #[test]
    fn tensors_are_cut_into_sequences_and_put_together_again() {
        let split = |keep_dims| SplitToSequence { axis: -1, keep_dims };
        check(split(true), &["f32[2, 6]"], "sequence(f32[2, 1])");
        check(split(false), &["f32[2, 6]"], "sequence(f32[2])");
        check(split(false), &["f32[2, 6]", "i64(3)"], "sequence(f32[2, 3])");
        check(split(true), &["f32[2, 6]", "i64(4)"], "sequence(f32[2, ?])");
        check(split(true), &["f32[2, 6]", "i64{3, 3}"], "sequence(f32[2, 3])");
        check(split(true), &["f32[2, 6]", "i64{2, 4}"], "sequence(f32[2, ?])");
        check(split(true), &["f32[...]", "i64[]"], "sequence(f32[...])");
        check(
            split(true),
            &["f32[2]", "i64[1, 1]"],
            "input 1 has 2 dimensions; one number or a vector is needed",
        );
        let join = |axis, new_axis| ConcatFromSequence { axis, new_axis };
        check(join(1, false), &["sequence(f32[2, 6])"], "f32[2, ?]");
        check(join(-1, true), &["sequence(f32[2, 6])"], "f32[2, 6, ?]");
        check(join(0, true), &["sequence(f32[...])"], "f32[...]");
        check(join(2, false), &["sequence(f32[2, 6])"], "axis 2 does not exist in 2 dimensions");
    }

    #[test]
    fn operators_of_the_standard_are_read() {
        let one = |name: &str, inputs: &[&str]| node(name, inputs, &["y"]);
        check_import(&one("SequenceEmpty", &[]), 11, SequenceEmpty { element: F32 }, &[]);
        let split = SplitToSequence { axis: 1, keep_dims: false };
        check_import(&one("SplitToSequence", &["x"]).int("axis", 1).int("keepdims", 0), 11, split, &[]);
        let join = ConcatFromSequence { axis: -1, new_axis: true };
        check_import(&one("ConcatFromSequence", &["s"]).int("axis", -1).int("new_axis", 1), 11, join, &[]);
        check_refused(&one("ConcatFromSequence", &["s"]), 11, "attribute \"axis\": is missing");
        check_refused(&one("SequenceAt", &["s"]), 11, "1 inputs where 2 are wanted");
    }

    #[test]
    fn a_map_is_a_loop_that_gives_sequences() {
        let body = TestGraph::new()
            .input("a", F32, &[])
            .input("b", F32, &[])
            .node(node("Add", &["a", "b"], &["t"]))
            .node(node("Mul", &["t", "k"], &["r"]))
            .bare_output("r");
        let graph = TestGraph::new()
            .input("x", F32, &["2"])
            .input("k", F32, &["2"])
            .node(node("SequenceConstruct", &["x", "x"], &["s"]))
            .node(node("SequenceMap", &["s", "x"], &["y"]).graph("body", &body.0))
            .bare_output("y");
        let mut model = import(&graph.model(17), &Options::default()).unwrap();
        crate::passes::propagate(&mut model.graph, &crate::passes::NoArithmetic).unwrap();
        crate::graph::verify(&model.graph).unwrap();
        let fact = model.graph.fact(model.graph.outputs[0]).unwrap();
        assert_eq!(fact.to_string(), "sequence(f32[2])");
    }
}
