//! A graph for inputs of exactly these shapes.
//!
//! ```text
//! x: f32[N, 3, H, W]                                   x: f32[1, 3, 64, 64]
//! s = Shape(x)                                         ----
//! h = Gather(s, 2) ...                    ─▶           y: f32[1, 3, 128, 128] = Resize(x, -, -, i64[4] {...})
//! y = Resize(x, -, -, Concat(...h...))
//! ```
//!
//! A device calls this once for each distinct set of shapes and plans memory and kernels from the result, in which all
//! arithmetic on shapes has become constants and, unless the *data* decide a shape (NonZero), every shape is fixed. The
//! graph it starts from is left as it is; tensors are shared, not copied.

use alloc::string::ToString;
use inferry_core::Shape;

use super::{Evaluate, PassError, bypass, check, drop_dead, propagate};
use crate::graph::{Dim, Graph, ShapeFact};

/// The graph for inputs of these shapes, in the order of its inputs.
///
/// # Errors
/// A shape that the model does not admit, or that an operator refuses.
pub fn specialise(graph: &Graph, shapes: &[Shape], evaluate: &dyn Evaluate) -> Result<Graph, PassError> {
    let mut graph = graph.clone();
    if shapes.len() != graph.inputs.len() {
        return Err(PassError::InputCount { given: shapes.len(), wanted: graph.inputs.len() });
    }
    for (id, shape) in graph.inputs.clone().into_iter().zip(shapes) {
        let value = graph.value_mut(id);
        let Some(fact) = &mut value.fact else { return Err(PassError::Unknown(value.name.to_string())) };
        if !fact.shape.to_partial().admits(shape) {
            let (name, wanted) = (value.name.to_string(), fact.shape.to_string());
            return Err(PassError::InputShape { name, given: shape.clone(), wanted });
        }
        fact.shape = ShapeFact(Some(shape.iter().copied().map(Dim::Fixed).collect()));
    }
    propagate(&mut graph, evaluate)?;
    bypass(&mut graph);
    drop_dead(&mut graph);
    check(&graph, "specialise")?;
    Ok(graph)
}
