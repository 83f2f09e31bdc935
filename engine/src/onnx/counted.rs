//! What building a graph uses up: time between two interruptions, bytes of the file, nodes.

use alloc::collections::BTreeMap;

use inferry_core::Tensor;
use inferry_core::steps::{Pace, Phase};

use super::constant::constant;
use super::error::ImportError;
use super::external::ExternalData;
use super::node::NodeView;
use super::proto::TensorProto;
use super::tensor::{is_large, tensor_paced};

/// Roughly what making an operator of a node takes.
const NODE_NS: u64 = 2_000;

/// What building has used up: its pace, which counts the second half of the file's bytes (those of the tensors), and nodes.
pub(super) struct Counted<'p> {
    pace: &'p mut Pace,
    total: usize,
    built: usize,
    nodes: usize,
    most_nodes: usize,
    /// Tensors of `Constant` nodes, which calls of a function share, by where in memory the file's message lies.
    shared: BTreeMap<usize, Tensor>,
}

impl Counted<'_> {
    /// For a file of `total` bytes and at most so many nodes.
    pub(super) fn new(pace: &mut Pace, total: usize, most_nodes: usize) -> Counted<'_> {
        Counted { pace, total, built: 0, nodes: 0, most_nodes, shared: BTreeMap::new() }
    }

    /// Counts another node.
    pub(super) async fn node(&mut self) -> Result<(), ImportError> {
        self.nodes += 1;
        if self.nodes > self.most_nodes {
            return Err(ImportError::Limit { what: "nodes", limit: self.most_nodes });
        }
        self.pace.spend(NODE_NS).await;
        Ok(())
    }

    /// The tensor of a message. `place` names it in errors when it has no name of its own.
    pub(super) async fn tensor(
        &mut self,
        proto: &TensorProto<'_>,
        place: &str,
        external: &dyn ExternalData,
    ) -> Result<Tensor, ImportError> {
        let tensor = tensor_paced(proto, place, external, self.pace).await?;
        self.built = self.built.saturating_add(tensor.byte_len());
        self.pace.reach(Phase::Parse, (self.total / 2).saturating_add(self.built.min(self.total) / 2));
        Ok(tensor)
    }

    /// The tensor of a `Constant` node. A function may be called many times; its tensors are read once.
    pub(super) async fn constant(
        &mut self,
        view: &NodeView<'_>,
        external: &dyn ExternalData,
    ) -> Result<Tensor, ImportError> {
        let Some(value) = view.tensor_message("value") else { return constant(view) };
        let place = core::ptr::from_ref(value).addr();
        if let Some(tensor) = self.shared.get(&place) {
            return Ok(tensor.clone());
        }
        let tensor = match view.inputs() == 0 && view.outputs() == 1 && is_large(value) {
            true => self.tensor(value, "value", external).await?,
            false => constant(view)?,
        };
        self.shared.insert(place, tensor.clone());
        Ok(tensor)
    }
}
