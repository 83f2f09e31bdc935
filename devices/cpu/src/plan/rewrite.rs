//! The graph as this device wants it for one tuple of input shapes.
//!
//! The engine's `specialise` turns arithmetic on shapes into constants; then what suits our kernels is fused. Both only make
//! the graph quicker: what cannot be specialised (a branch that does not fit these shapes and may never be taken) is left
//! as it is, and `facts` finds out what is wrong if anything is.

use alloc::borrow::Cow;

use inferry_core::Shape;
use inferry_engine::graph::Graph;
use inferry_engine::passes;

use crate::evaluate::Evaluator;
use crate::isa::Isa;
use crate::kernel::program::FUSIBLE;

/// The graph for inputs of these shapes.
pub(super) fn for_shapes<'a>(graph: &'a Graph, inputs: &[Shape], isa: Isa) -> Cow<'a, Graph> {
    match passes::specialise(graph, inputs, &Evaluator(isa)) {
        Ok(mut graph) => {
            passes::everywhere(&mut graph, &|graph| passes::fuse(graph, FUSIBLE));
            Cow::Owned(graph)
        }
        Err(_) => Cow::Borrowed(graph),
    }
}
