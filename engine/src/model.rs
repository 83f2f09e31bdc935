//! A model: its graph, and what its file says about itself.

use alloc::string::String;
use alloc::vec::Vec;

use inferry_core::port::Side;
use inferry_core::{Kind, PartialShape, Port};

use crate::graph::{Graph, ValueId};
use crate::onnx::{self, ImportError};

/// An imported model. See [`Model::from_onnx`] and the [`onnx`] room.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// What it computes.
    pub graph: Graph,
    /// The name of the graph; may be empty.
    pub name: String,
    /// The program that wrote the file and its version; may be empty.
    pub producer: String,
    /// The version of the file format.
    pub ir_version: i64,
    /// Each domain of operators that the file names, and its version. The standard's own is `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// Pairs of key and value that the model's author put in: labels, alphabets, sizes.
    pub metadata: Vec<(String, String)>,
    /// The author's description; may be empty.
    pub doc: String,
}

impl Model {
    /// Reads an ONNX file that holds all its data, with default limits. [`onnx::import`] has the other cases.
    ///
    /// # Errors
    /// Bytes that are no model, operators that we do not have, and whatever else is wrong with a file.
    pub fn from_onnx(bytes: &[u8]) -> Result<Model, ImportError> {
        onnx::import(bytes, &onnx::Options::default())
    }

    /// The inputs, in the model's order.
    pub fn inputs(&self) -> Vec<Port> {
        self.ports(Side::Input, &self.graph.inputs)
    }

    /// The outputs, in the model's order.
    pub fn outputs(&self) -> Vec<Port> {
        self.ports(Side::Output, &self.graph.outputs)
    }

    /// The value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    fn ports(&self, side: Side, values: &[ValueId]) -> Vec<Port> {
        let port = |(index, id): (usize, &ValueId)| {
            let value = self.graph.value(*id);
            // Before the facts have been inferred, an output whose type the file does not state has none; f32 is then
            // the best guess, as it is for most outputs.
            let element = value.fact.as_ref().map_or(inferry_core::ElementType::F32, |fact| fact.element);
            let shape = value.fact.as_ref().map_or(PartialShape::unknown(), |fact| fact.shape.to_partial());
            let kind = value.fact.as_ref().map_or(Kind::Tensor, |fact| fact.kind);
            Port { side, index, name: value.name.clone(), kind, element, shape }
        };
        values.iter().enumerate().map(port).collect()
    }
}
