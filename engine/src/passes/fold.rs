//! Nodes whose inputs are all constant, computed now instead of in every run.
//!
//! ```text
//! s = Shape(x: f32[2, 3])            s = i64[2] {2, 3}
//! r = Gather(s, 0)           ─▶      r = i64[] {2}
//! ```
//!
//! A node that would make something huge out of little stays (an Expand of one number to a gigabyte), and so does one that
//! the device has no kernel for or that fails: whether it is ever reached is known only in the run. All that is folded
//! together is bounded by a [`Budget`], so that a small file cannot fill the memory by doubling something again and again.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use inferry_core::Tensor;

use super::{Evaluate, PassError};
use crate::graph::{Dim, Fact, Graph, Node};

/// A folded output may be this large in any case, in bytes.
const SMALL: usize = 64 << 20;

/// A larger one at most this many times as large as the inputs.
const GROWTH: usize = 16;

/// All constants that are folded together may have this many bytes, besides [`GROWTH`] times those of the model.
const TOGETHER: usize = 1 << 30;

/// A body may be followed again and again as long as no more nodes than this are visited, besides [`VISITS`] times those
/// of the model.
const FEW_VISITS: usize = 1 << 14;

/// See [`FEW_VISITS`].
const VISITS: usize = 16;

/// How many bytes may still be folded, and how many nodes visited before it has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    bytes: usize,
    visits: usize,
}

impl Budget {
    /// As is fit for the constants and nodes of this graph.
    pub(super) fn of(graph: &Graph) -> Budget {
        let bytes = TOGETHER.saturating_add(constant_bytes(graph).saturating_mul(GROWTH));
        Budget { bytes, visits: FEW_VISITS.saturating_add(nodes(graph).saturating_mul(VISITS)) }
    }

    /// A node is visited.
    pub(super) fn visit(&mut self) {
        self.visits = self.visits.saturating_sub(1);
    }

    /// True when nothing may be tried any more that is not necessary.
    pub(super) fn is_tight(&self) -> bool {
        self.visits == 0
    }

    /// Takes back what was folded since `before`.
    pub(super) fn refund(&mut self, before: &Budget) {
        self.bytes = before.bytes;
    }
}

fn nodes(graph: &Graph) -> usize {
    let inner = graph.nodes.iter().flat_map(|node| node.op.bodies()).map(|body| nodes(&body.graph));
    inner.fold(graph.nodes.len(), usize::saturating_add)
}

fn constant_bytes(graph: &Graph) -> usize {
    let constants = graph.values().iter().filter_map(|value| value.fact.as_ref()?.constant.as_ref());
    let inner = graph.nodes.iter().flat_map(|node| node.op.bodies()).map(|body| constant_bytes(&body.graph));
    constants.map(Tensor::byte_len).chain(inner).fold(0, usize::saturating_add)
}

/// The outputs of a node as constants, or `None` when it has to be computed in the run.
///
/// `facts` are what the operator inferred of its outputs.
pub(super) async fn fold(
    graph: &Graph,
    node: &Node,
    facts: &[Fact],
    evaluate: &dyn Evaluate,
    budget: &mut Budget,
) -> Result<Option<Vec<Tensor>>, PassError> {
    if !node.op.is_pure() || !node.op.bodies().is_empty() {
        return Ok(None);
    }
    // The operator itself may know: the shape of something of fixed shape.
    let known: Option<Vec<Tensor>> = facts.iter().map(|fact| fact.constant.clone()).collect();
    if known.is_some() {
        return Ok(known);
    }
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        match input.map(|id| graph.constant(id)) {
            Some(None) => return Ok(None),
            constant => inputs.push(constant.flatten()),
        }
    }
    let bytes = if node.op.data_sized() { data_sized(&inputs) } else { worthwhile(&inputs, facts) };
    if bytes.is_none_or(|bytes| bytes > budget.bytes) {
        return Ok(None);
    }
    let Some(evaluation) = evaluate.evaluate_paced(&*node.op, &inputs, facts) else { return Ok(None) };
    let Ok(outputs) = evaluation.await else { return Ok(None) };
    check(graph, node, facts, &outputs)?;
    budget.bytes = budget.bytes.saturating_sub(outputs.iter().map(Tensor::byte_len).sum());
    Ok(Some(outputs))
}

/// The bytes of the outputs, when they are known and not absurdly many.
fn worthwhile(inputs: &[Option<&Tensor>], facts: &[Fact]) -> Option<usize> {
    let size = |fact: &Fact| fact.shape.fixed()?.checked_len()?.checked_mul(fact.element.size());
    let read = inputs.iter().flatten().map(|tensor| tensor.byte_len()).fold(0, usize::saturating_add);
    let written = facts.iter().try_fold(0usize, |sum, fact| sum.checked_add(size(fact)?))?;
    (written <= SMALL || written / GROWTH <= read).then_some(written)
}

/// More than an operator sized by its data makes of such inputs: NonZero gives eight numbers of eight bytes for a byte.
fn data_sized(inputs: &[Option<&Tensor>]) -> Option<usize> {
    let read = inputs.iter().flatten().map(|tensor| tensor.byte_len()).fold(0usize, usize::saturating_add);
    Some(read.saturating_mul(64)).filter(|bytes| *bytes <= SMALL)
}

fn check(graph: &Graph, node: &Node, facts: &[Fact], outputs: &[Tensor]) -> Result<(), PassError> {
    let show = |tensor: &Tensor| format!("{}{}", tensor.element(), tensor.shape());
    let error = |wanted, actual| PassError::Evaluate { node: graph.describe(node), wanted, actual };
    if facts.len() != outputs.len() {
        return Err(error(format!("{} outputs", facts.len()), outputs.len().to_string()));
    }
    for (fact, tensor) in facts.iter().zip(outputs) {
        let fits = |dims: &[Dim]| {
            dims.len() == tensor.shape().rank()
                && dims.iter().zip(tensor.shape().iter()).all(|(dim, extent)| match dim {
                    Dim::Fixed(fixed) => fixed == extent,
                    _ => node.op.data_sized(),
                })
        };
        let promised = fact.shape.dims().map_or(node.op.data_sized(), fits);
        if tensor.element() != fact.element || !promised {
            return Err(error(fact.to_string(), show(tensor)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Expand;
    use crate::passes::testing::Build;
    use alloc::string::String;
    use inferry_core::ElementType;
    use inferry_core::steps::finish;

    /// Gives zeros for everything.
    struct Zeros;

    impl Evaluate for Zeros {
        fn evaluate(
            &self,
            _: &dyn crate::op::Op,
            _: &[Option<&Tensor>],
            outputs: &[Fact],
        ) -> Option<Result<Vec<Tensor>, String>> {
            let zeros = |fact: &Fact| Tensor::zeros(fact.element, fact.shape.fixed().expect("fixed"));
            Some(Ok(outputs.iter().map(zeros).collect()))
        }
    }

    fn of(bytes: usize) -> Budget {
        Budget { bytes, visits: 0 }
    }

    /// Whether an Expand of one i64 to so many is folded.
    fn folds(count: usize, budget: &mut Budget) -> bool {
        let mut build = Build::default();
        let one = build.constant("one", &[1i64], [1]);
        let shape = build.constant("shape", &[count as i64], [1]);
        let fact = Fact::fixed(ElementType::I64, &[count]);
        let y = build.node_of(Expand, &[Some(one), Some(shape)], "y", Some(fact.clone()));
        let graph = build.finish(&[y]);
        finish(fold(&graph, &graph.nodes[0], &[fact], &Zeros, budget)).unwrap().is_some()
    }

    #[test]
    fn huge_outputs_of_small_inputs_are_not_folded() {
        assert!(folds(1 << 10, &mut of(usize::MAX)));
        assert!(!folds(1 << 26, &mut of(usize::MAX)));
    }

    #[test]
    fn all_folded_constants_together_are_bounded() {
        let mut budget = of(20 << 10);
        let folded: Vec<bool> = (0..4).map(|_| folds(1 << 10, &mut budget)).collect();
        assert_eq!(folded, [true, true, false, false]);
        assert!(folds(1 << 8, &mut budget), "what is left is used");
    }

    #[test]
    fn a_device_that_gives_another_shape_than_promised_is_told_so() {
        let mut build = Build::default();
        let one = build.constant("one", &[1i64], [1]);
        let shape = build.constant("shape", &[2i64], [1]);
        let y = build.node_of(Expand, &[Some(one), Some(shape)], "y", None);
        let graph = build.finish(&[y]);
        struct Wrong;
        impl Evaluate for Wrong {
            fn evaluate(
                &self,
                _: &dyn crate::op::Op,
                _: &[Option<&Tensor>],
                _: &[Fact],
            ) -> Option<Result<Vec<Tensor>, String>> {
                Some(Ok(Vec::from([Tensor::scalar(1i64)])))
            }
        }
        let fact = Fact::fixed(ElementType::I64, &[2]);
        let error = finish(fold(&graph, &graph.nodes[0], &[fact], &Wrong, &mut of(99)));
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "node Expand that writes \"y\" was to give i64[2] and gave i64[]");
    }
}
