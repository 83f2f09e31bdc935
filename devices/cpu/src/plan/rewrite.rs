//! The graph as this device wants it for one tuple of input shapes.
//!
//! The engine's `specialise` turns arithmetic on shapes into constants; then what suits our kernels is fused. Both only make
//! the graph quicker: what cannot be specialised (a branch that does not fit these shapes and may never be taken) is left
//! as it is, and `facts` finds out what is wrong if anything is.

use alloc::borrow::Cow;

use inferry_core::Shape;
use inferry_core::steps::Pace;
use inferry_engine::graph::Graph;
use inferry_engine::passes;

use crate::evaluate::Evaluator;
use crate::isa::Isa;
use crate::kernel::program::FUSIBLE;

/// Roughly the nanoseconds that fusing takes for a node.
const FUSE_NS: u64 = 1_000;

/// The graph for inputs of these shapes.
pub(super) async fn for_shapes<'a>(
    graph: &'a Graph,
    inputs: &[Shape],
    isa: Isa,
    pace: &mut Pace,
) -> Cow<'a, Graph> {
    match passes::specialise_paced(graph, inputs, &Evaluator(isa), pace).await {
        Ok(mut graph) => {
            passes::everywhere(&mut graph, &|graph| passes::fuse(graph, FUSIBLE));
            pace.spend(FUSE_NS.saturating_mul(graph.nodes.len() as u64)).await;
            Cow::Owned(graph)
        }
        Err(_) => Cow::Borrowed(graph),
    }
}
