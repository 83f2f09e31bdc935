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
use inferry_core::steps::{Pace, finish};
use inferry_core::{Kind, Shape};

use super::bodies::everywhere;
use super::lower_einsum::{self, lower_einsum};
use super::{Evaluate, NODE_NS, PassError, bypass, cancel_transposes, check, drop_dead, propagate_paced};
use crate::graph::{Dim, Graph, ShapeFact};

/// The graph for inputs of these shapes, in the order of its inputs.
///
/// # Errors
/// A shape that the model does not admit, or that an operator refuses.
pub fn specialise(graph: &Graph, shapes: &[Shape], evaluate: &dyn Evaluate) -> Result<Graph, PassError> {
    finish(specialise_paced(graph, shapes, evaluate, &mut Pace::silent()))
}

/// As [`specialise`], with interruptions.
///
/// # Errors
/// As [`specialise`].
pub async fn specialise_paced(
    graph: &Graph,
    shapes: &[Shape],
    evaluate: &dyn Evaluate,
    pace: &mut Pace,
) -> Result<Graph, PassError> {
    let mut graph = graph.clone();
    if shapes.len() != graph.inputs.len() {
        return Err(PassError::InputCount { given: shapes.len(), wanted: graph.inputs.len() });
    }
    for (id, shape) in graph.inputs.clone().into_iter().zip(shapes) {
        let value = graph.value_mut(id);
        let Some(fact) = &mut value.fact else { return Err(PassError::Unknown(value.name.to_string())) };
        if fact.kind != Kind::Tensor {
            // Their tensors may have any shapes, and the shapes say nothing of how many there are.
            continue;
        }
        if !fact.shape.to_partial().admits(shape) {
            let (name, wanted) = (value.name.to_string(), fact.shape.to_string());
            return Err(PassError::InputShape { name, given: shape.clone(), wanted });
        }
        fact.shape = ShapeFact(Some(shape.iter().copied().map(Dim::Fixed).collect()));
    }
    let pass = NODE_NS.saturating_mul(graph.nodes.len() as u64);
    pace.spend(pass).await;
    propagate_paced(&mut graph, evaluate, pace).await?;
    // Those that hung on extents that were open.
    if lower_einsum::is_needed(&graph) {
        everywhere(&mut graph, &lower_einsum);
        propagate_paced(&mut graph, evaluate, pace).await?;
    }
    for rewrite in [bypass, cancel_transposes, bypass] {
        everywhere(&mut graph, &rewrite);
        pace.spend(pass).await;
    }
    drop_dead(&mut graph);
    pace.spend(pass).await;
    check(&graph, "specialise")?;
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Fact, Symbol};
    use crate::op::{Binary, Concat, Gather, Reshape, ShapeOf};
    use crate::passes::testing::{Build, Integers};
    use inferry_core::ElementType;

    /// `y = Reshape(x, [Shape(x)[0] * 2, Shape(x)[1]])` of `x: f32[N, 4, 2]`
    fn graph() -> Graph {
        let mut build = Build::default();
        let dims = [Dim::Symbol(Symbol("N".into())), Dim::Fixed(4), Dim::Fixed(2)];
        let x = build.input_of("x", Fact::new(ElementType::F32, ShapeFact(Some(dims.into()))));
        let s = build.node_of(ShapeOf { start: 0, end: None }, &[Some(x)], "", None);
        let [zero, one, two] = [0i64, 1, 2].map(|number| build.constant("", &[number], [1]));
        let n = build.node_of(Gather { axis: 0 }, &[Some(s), Some(zero)], "", None);
        let double = build.node_of(Binary::Mul, &[Some(n), Some(two)], "", None);
        let four = build.node_of(Gather { axis: 0 }, &[Some(s), Some(one)], "", None);
        let target = build.node_of(Concat { axis: 0 }, &[Some(double), Some(four)], "", None);
        let y = build.node_of(Reshape { allow_zero: false }, &[Some(x), Some(target)], "y", None);
        build.finish(&[y])
    }

    #[test]
    fn all_arithmetic_on_shapes_becomes_constants() {
        let general = graph();
        let expected = "x: f32[3, 4, 2]
----
y: f32[6, 4] = Reshape { allow_zero: false }(x, i64[2] {6, 4})
----
y
";
        let special = specialise(&general, &[Shape::from([3, 4, 2])], &Integers).unwrap();
        assert_eq!(special.to_string(), expected);
        // The general graph can be fitted to other shapes.
        let special = specialise(&general, &[Shape::from([5, 4, 2])], &Integers).unwrap();
        assert_eq!(special.fact(special.outputs[0]).unwrap().to_string(), "f32[10, 4]");
    }

    #[test]
    fn shapes_that_the_model_does_not_take_are_refused_by_name() {
        let error = |shapes: &[Shape]| specialise(&graph(), shapes, &Integers).unwrap_err().to_string();
        assert_eq!(error(&[]), "0 shapes are given for 1 inputs");
        let expected = "input \"x\" is given the shape [3, 5, 2]; the model takes [N, 4, 2]";
        assert_eq!(error(&[Shape::from([3, 5, 2])]), expected);
    }
}
