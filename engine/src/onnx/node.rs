//! What an operator's importer sees of its node.
//!
//! A [`NodeView`] answers questions ("the integer attribute `axis`, if there is one") and turns every mismatch into an
//! error that names the node and the attribute. An importer gives an [`Imported`]: the operator in the newest form of
//! the standard, and the constants that stand in for what older versions had as attributes.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use inferry_core::{ElementType, Tensor};

use super::error::ImportError;
use super::external::ExternalData;
use super::function::Setting;
use super::proto::{AttributeValue, NodeProto, TensorProto};
use super::tensor::{element_type, tensor};
use super::value::declared;
use crate::graph::{Body, Fact};
use crate::op::Op;

/// A node of the file, to ask.
#[derive(Clone, Copy)]
pub(crate) struct NodeView<'a> {
    proto: &'a NodeProto<'a>,
    opset: i64,
    external: &'a dyn ExternalData,
    /// The graphs among the attributes, already imported.
    bodies: &'a [(&'a str, Body)],
    setting: &'a Setting<'a>,
}

/// An operator and the inputs that its node did not have as inputs.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    /// The operator.
    pub(crate) op: Arc<dyn Op>,
    /// Constants to put at these input positions.
    pub(crate) constants: Vec<(usize, Tensor)>,
    /// Which input of the operator each input of the node is, where the two differ. Constants come after.
    pub(crate) inputs_at: Option<&'static [usize]>,
    /// Operators that inputs, constants among them, go through before; each also sees the first input.
    pub(crate) prepare: Vec<(usize, Arc<dyn Op>)>,
}

impl Imported {
    /// An operator without further inputs.
    pub(crate) fn with(op: impl Op) -> Imported {
        Imported { op: Arc::new(op), constants: Vec::new(), inputs_at: None, prepare: Vec::new() }
    }

    /// Puts a constant at an input position: what an older version of the operator had as an attribute.
    pub(crate) fn constant(mut self, input: usize, tensor: Tensor) -> Imported {
        self.constants.push((input, tensor));
        self
    }

    /// Says which input of the operator each input of the node is: `[0, 2]` makes the node's second one the operator's third.
    pub(crate) fn inputs_at(mut self, positions: &'static [usize]) -> Imported {
        self.inputs_at = Some(positions);
        self
    }

    /// Lets an input go through another operator first, which reads it and the node's first input.
    pub(crate) fn prepare(mut self, input: usize, op: impl Op) -> Imported {
        self.prepare.push((input, Arc::new(op)));
        self
    }

    /// The node's own inputs where the operator has them.
    pub(crate) fn arrange<T>(&self, inputs: Vec<Option<T>>) -> Vec<Option<T>> {
        let Some(positions) = self.inputs_at else { return inputs };
        let mut arranged: Vec<Option<T>> = Vec::new();
        for (input, position) in inputs.into_iter().zip(positions) {
            arranged.resize_with(arranged.len().max(position + 1), || None);
            arranged[*position] = input;
        }
        arranged
    }
}

impl<O: Op> From<O> for Imported {
    fn from(op: O) -> Imported {
        Imported::with(op)
    }
}

/// How errors name a node: by its operator and its name, or what it writes when it has none.
pub(crate) fn label(proto: &NodeProto<'_>) -> String {
    let op = proto.op_type.escape_debug();
    match (proto.name, proto.outputs.iter().find(|output| !output.is_empty())) {
        ("", None) => op.to_string(),
        ("", Some(output)) => format!("{op} that writes {output:?}"),
        (name, _) => format!("{op} {name:?}"),
    }
}

/// Importers quote texts of the file as they are; what would break the line is escaped here.
fn one_line(problem: String) -> String {
    if !problem.contains(char::is_control) {
        return problem;
    }
    let escape =
        |char: char| if char.is_control() { char.escape_debug().to_string() } else { char.to_string() };
    problem.chars().map(escape).collect()
}

impl<'a> NodeView<'a> {
    /// A node of which `bodies` are the graphs among the attributes, in a function's `setting`.
    pub(super) fn new(
        proto: &'a NodeProto<'a>,
        opset: i64,
        external: &'a dyn ExternalData,
        bodies: &'a [(&'a str, Body)],
        setting: &'a Setting<'a>,
    ) -> NodeView<'a> {
        NodeView { proto, opset, external, bodies, setting }
    }

    /// The operator's name.
    pub(crate) fn op_type(&self) -> &'a str {
        self.proto.op_type
    }

    /// The operator's domain; empty for the standard's own.
    pub(crate) fn domain(&self) -> &'a str {
        super::registry::domain(self.proto.domain)
    }

    /// The version of the operator's domain that the model is written in.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// The number of inputs, left-out ones before the last included.
    pub(crate) fn inputs(&self) -> usize {
        // Trailing empty names are inputs that are left out as well.
        self.proto.inputs.iter().rposition(|name| self.setting.is_there(name)).map_or(0, |last| last + 1)
    }

    /// True when this input is there.
    pub(crate) fn has_input(&self, index: usize) -> bool {
        self.proto.inputs.get(index).is_some_and(|name| self.setting.is_there(name))
    }

    /// The number of outputs, left-out ones before the last included.
    pub(crate) fn outputs(&self) -> usize {
        self.proto.outputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1)
    }

    /// True when somebody asked for this output.
    pub(crate) fn has_output(&self, index: usize) -> bool {
        self.proto.outputs.get(index).is_some_and(|name| !name.is_empty())
    }

    /// Refuses a node with fewer or more inputs and outputs than its operator has.
    pub(crate) fn counts(
        &self,
        inputs: RangeInclusive<usize>,
        outputs: RangeInclusive<usize>,
    ) -> Result<(), ImportError> {
        let check = |what: &str, count: usize, range: RangeInclusive<usize>| {
            let (least, most) = range.clone().into_inner();
            match range.contains(&count) {
                true => Ok(()),
                false if least == most => {
                    Err(self.refuse(format!("{count} {what} where {least} are wanted")))
                }
                false => Err(self.refuse(format!("{count} {what} where {least} to {most} are wanted"))),
            }
        };
        check("inputs", self.inputs(), inputs)?;
        check("outputs", self.outputs(), outputs)
    }

    /// An error about this node.
    pub(crate) fn refuse(&self, problem: impl Into<String>) -> ImportError {
        ImportError::Node { node: label(self.proto), problem: one_line(problem.into()) }
    }

    /// An error about an attribute of this node.
    pub(crate) fn refuse_attribute(&self, name: &str, problem: impl Into<String>) -> ImportError {
        ImportError::Attribute {
            node: label(self.proto),
            attribute: name.to_owned(),
            problem: one_line(problem.into()),
        }
    }

    /// True when the attribute is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// An integer.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, ImportError> {
        self.get(name, "an integer", |value| match value {
            AttributeValue::Int(int) => Some(int),
            _ => None,
        })
    }

    /// An integer with the standard's default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> Result<i64, ImportError> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// An integer that must not be negative: an extent, a number of groups.
    pub(crate) fn count_or(&self, name: &str, default: usize) -> Result<usize, ImportError> {
        let Some(int) = self.int(name)? else { return Ok(default) };
        usize::try_from(int).map_err(|_| self.refuse_attribute(name, format!("{int} is negative")))
    }

    /// An integer that is 0 or 1.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ImportError> {
        Ok(self.int(name)?.map_or(default, |int| int != 0))
    }

    /// A list of integers.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, ImportError> {
        self.get(name, "a list of integers", |value| match value {
            AttributeValue::Ints(ints) => Some(ints.to_vec()),
            _ => None,
        })
    }

    /// A list of integers that must not be negative; empty when it is absent.
    pub(crate) fn extents(&self, name: &str) -> Result<Vec<usize>, ImportError> {
        let ints = self.ints(name)?.unwrap_or_default();
        let extent =
            |int| usize::try_from(int).map_err(|_| self.refuse_attribute(name, format!("{int} is negative")));
        ints.into_iter().map(extent).collect()
    }

    /// A float.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, ImportError> {
        self.get(name, "a float", |value| match value {
            AttributeValue::Float(float) => Some(float),
            _ => None,
        })
    }

    /// A float with the standard's default.
    pub(crate) fn float_or(&self, name: &str, default: f32) -> Result<f32, ImportError> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// A list of floats.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, ImportError> {
        self.get(name, "a list of floats", |value| match value {
            AttributeValue::Floats(floats) => Some(floats.to_vec()),
            _ => None,
        })
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, ImportError> {
        self.get(name, "text", |value| match value {
            AttributeValue::Text(bytes) => core::str::from_utf8(bytes).ok(),
            _ => None,
        })
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, ImportError> {
        self.get(name, "a list of texts", |value| match value {
            AttributeValue::Texts(texts) => {
                texts.iter().map(|bytes| core::str::from_utf8(bytes).ok()).collect()
            }
            _ => None,
        })
    }

    /// A tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Tensor>, ImportError> {
        let proto = self.get(name, "a tensor", |value| match value {
            AttributeValue::Tensor(proto) => Some(proto),
            _ => None,
        })?;
        let place = || format!("{}, attribute {name:?}", label(self.proto));
        proto.map(|proto| tensor(proto, &place(), self.external)).transpose()
    }

    /// The message of a tensor.
    pub(super) fn tensor_message(&self, name: &str) -> Option<&'a TensorProto<'a>> {
        match self.value(name)? {
            AttributeValue::Tensor(proto) => Some(proto),
            _ => None,
        }
    }

    /// A type, as a fact: `None` when it states none.
    pub(crate) fn declared_type(&self, name: &str) -> Result<Option<Fact>, ImportError> {
        let proto = self.get(name, "a type", |value| match value {
            AttributeValue::Type(proto) => Some(proto),
            _ => None,
        })?;
        let Some(proto) = proto else { return Ok(None) };
        declared(proto).map_err(|problem| self.refuse_attribute(name, problem))
    }

    /// An element type, by its number in the standard.
    pub(crate) fn element(&self, name: &str) -> Result<Option<ElementType>, ImportError> {
        let number = self.int(name)?;
        number.map(|n| element_type(n).map_err(|problem| self.refuse_attribute(name, problem))).transpose()
    }

    /// A graph, which must be there.
    pub(crate) fn body(&self, name: &str) -> Result<Body, ImportError> {
        let body = self.bodies.iter().find(|(attribute, _)| *attribute == name);
        Ok(body.ok_or_else(|| self.refuse_attribute(name, "the graph is missing"))?.1.clone())
    }

    fn value(&self, name: &str) -> Option<AttributeValue<'a, 'a>> {
        let attribute = self.proto.attributes.iter().find(|attribute| attribute.name == name)?;
        self.setting.value(attribute)
    }

    fn get<T>(
        &self,
        name: &str,
        wanted: &str,
        get: impl Fn(AttributeValue<'a, 'a>) -> Option<T>,
    ) -> Result<Option<T>, ImportError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let wrong = || self.refuse_attribute(name, format!("is {}, not {wanted}", value.kind()));
        get(value).ok_or_else(wrong).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;

    #[test]
    fn attributes_come_with_their_kind_checked() {
        let bytes =
            node("Foo", &["x", "", "y", ""], &["z"]).int("axis", -1).ints("pads", &[1, 2]).float("f", 0.5);
        bytes.view(13, |view| {
            assert_eq!(view.int_or("axis", 0).unwrap(), -1);
            assert_eq!(view.int_or("other", 7).unwrap(), 7);
            assert_eq!(view.extents("pads").unwrap(), [1, 2]);
            assert_eq!(view.float("f").unwrap(), Some(0.5));
            assert_eq!((view.inputs(), view.has_input(1), view.outputs()), (3, false, 1));
            let error = view.float("axis").unwrap_err().to_string();
            assert_eq!(error, "node Foo that writes \"z\", attribute \"axis\": is an integer, not a float");
            let error = view.count_or("axis", 1).unwrap_err().to_string();
            assert_eq!(error, "node Foo that writes \"z\", attribute \"axis\": -1 is negative");
            let error = view.counts(1..=2, 1..=1).unwrap_err().to_string();
            assert_eq!(error, "node Foo that writes \"z\": 3 inputs where 1 to 2 are wanted");
            let error = view.refuse("no mode \"a\nb\"").to_string();
            assert_eq!(error, "node Foo that writes \"z\": no mode \"a\\nb\"");
        });
    }
}
