//! What must hold of every graph, between any two passes.
//!
//! * Every id names a value of its own graph.
//! * A value is written once: by one node, or from outside (inputs), or it is constant.
//! * A node reads inputs, constants and what nodes before it wrote; so does the list of outputs.
//! * A constant is of the type and shape that its fact states, and no fact has more dimensions than a tensor may have.
//! * A body's captures are its last inputs, each carried by an input that the node has; what the node knows of a value
//!   and what the body knows of it do not contradict each other.
//!
//! What is *not* checked: whether operators accept their inputs. That is `propagate`'s work.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::tensor::MAX_RANK;

use super::{Body, Dim, Fact, Graph, Node, ValueId};

/// A graph that breaks a rule: a mistake of the pass that left it so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// An id beyond the values of the graph.
    #[error("{reader} names value {value}, the graph has {count}")]
    Id {
        /// The node, or `inputs` or `outputs`.
        reader: String,
        /// Index of the value.
        value: usize,
        /// The number of values.
        count: usize,
    },
    /// A value that is written where it must not be.
    #[error("{writer} writes {value}, which is {also}")]
    Written {
        /// The node, or `inputs`.
        writer: String,
        /// The value.
        value: String,
        /// What it is besides.
        also: &'static str,
    },
    /// A value that is read before anything has written it.
    #[error("{reader} reads {value}, which is not written before")]
    Unwritten {
        /// The node, or `outputs`.
        reader: String,
        /// The value.
        value: String,
    },
    /// A fact that contradicts its constant, or has too many dimensions.
    #[error("the fact of {value} is {fact}, which {problem}")]
    Fact {
        /// The value.
        value: String,
        /// The fact.
        fact: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A capture that is not among the inputs of the body or of the node, or that they know different things of.
    #[error("body {body} of {node}: capture {capture} {problem}")]
    Capture {
        /// The node.
        node: String,
        /// Which of its bodies.
        body: usize,
        /// Which of the body's captures.
        capture: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A rule broken inside a body.
    #[error("body {body} of {node}: {source}")]
    Body {
        /// The node.
        node: String,
        /// Which of its bodies.
        body: usize,
        /// The broken rule.
        source: alloc::boxed::Box<GraphError>,
    },
}

/// Checks every rule; the first that is broken is the error.
pub fn verify(graph: &Graph) -> Result<(), GraphError> {
    let mut check = Check { graph, written: vec![false; graph.values().len()] };
    for value in graph.values() {
        if let Some(fact) = &value.fact {
            check_fact(fact, &value.name)?;
        }
    }
    for id in &graph.inputs {
        check.write(*id, || "inputs".into())?;
    }
    for node in &graph.nodes {
        let name = || graph.describe(node);
        node.inputs.iter().flatten().try_for_each(|id| check.read(*id, name))?;
        check_bodies(graph, node)?;
        node.outputs.iter().flatten().try_for_each(|id| check.write(*id, name))?;
    }
    graph.outputs.iter().try_for_each(|id| check.read(*id, || "outputs".into()))
}

struct Check<'a> {
    graph: &'a Graph,
    written: Vec<bool>,
}

impl Check<'_> {
    fn in_range(&self, id: ValueId, reader: impl Fn() -> String) -> Result<(), GraphError> {
        let count = self.written.len();
        let error = || GraphError::Id { reader: reader(), value: id.index(), count };
        (id.index() < count).then_some(()).ok_or_else(error)
    }

    fn read(&self, id: ValueId, reader: impl Fn() -> String) -> Result<(), GraphError> {
        self.in_range(id, &reader)?;
        if self.written[id.index()] || self.graph.constant(id).is_some() {
            return Ok(());
        }
        Err(GraphError::Unwritten { reader: reader(), value: self.graph.describe_value(id) })
    }

    fn write(&mut self, id: ValueId, writer: impl Fn() -> String) -> Result<(), GraphError> {
        self.in_range(id, &writer)?;
        let is_input = self.graph.inputs.contains(&id);
        let also = match core::mem::replace(&mut self.written[id.index()], true) {
            true if is_input => "an input",
            true => "written already",
            // A body knows the constants among its captures as both.
            false if self.graph.constant(id).is_some() && !is_input => "constant",
            false => return Ok(()),
        };
        Err(GraphError::Written { writer: writer(), value: self.graph.describe_value(id), also })
    }
}

fn check_fact(fact: &Fact, name: &str) -> Result<(), GraphError> {
    let wrong = |problem| GraphError::Fact {
        value: alloc::format!("{name:?}"),
        fact: alloc::format!("{fact}"),
        problem,
    };
    if fact.shape.rank().is_some_and(|rank| rank > MAX_RANK) {
        return Err(wrong("has too many dimensions"));
    }
    let Some(tensor) = &fact.constant else { return Ok(()) };
    if tensor.element() != fact.element {
        return Err(wrong("is not the type of its constant"));
    }
    if fact.shape.fixed().as_ref() != Some(tensor.shape()) {
        return Err(wrong("is not the shape of its constant"));
    }
    Ok(())
}

fn check_bodies(graph: &Graph, node: &Node) -> Result<(), GraphError> {
    for (index, body) in node.op.bodies().iter().enumerate() {
        for (capture, input) in body.captures.iter().enumerate() {
            let problem = capture_problem(graph, node, body, capture, *input);
            let wrong =
                |problem| GraphError::Capture { node: graph.describe(node), body: index, capture, problem };
            problem.map_or(Ok(()), |problem| Err(wrong(problem)))?;
        }
        verify(&body.graph).map_err(|source| GraphError::Body {
            node: graph.describe(node),
            body: index,
            source: source.into(),
        })?;
    }
    Ok(())
}

fn capture_problem(
    graph: &Graph,
    node: &Node,
    body: &Body,
    capture: usize,
    input: usize,
) -> Option<&'static str> {
    let Some(formal) = body.graph.inputs.len().checked_sub(body.captures.len()) else {
        return Some("is no input of the body");
    };
    let Some(Some(outer)) = node.inputs.get(input) else { return Some("is no input of the node") };
    let inner = body.graph.inputs[formal + capture];
    // Ids out of range are told by the other checks.
    let inner = body.graph.values().get(inner.index()).and_then(|value| value.fact.as_ref());
    let outer = graph.values().get(outer.index()).and_then(|value| value.fact.as_ref());
    let (Some(inner), Some(outer)) = (inner, outer) else { return None };
    if inner.element != outer.element {
        return Some("is of another type inside");
    }
    let (Some(inner), Some(outer)) = (inner.shape.dims(), outer.shape.dims()) else { return None };
    let differ = |(a, b): (&Dim, &Dim)| matches!((a, b), (Dim::Fixed(a), Dim::Fixed(b)) if a != b);
    if inner.len() != outer.len() || inner.iter().zip(outer).any(differ) {
        return Some("is of another shape inside");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Inputs, Op, OpError};
    use alloc::string::ToString;
    use alloc::sync::Arc;
    use inferry_core::{ElementType, Tensor};

    #[derive(Debug)]
    struct Any(Vec<Body>);

    impl Op for Any {
        fn name(&self) -> &'static str {
            "Any"
        }

        fn infer(&self, _: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
            Ok(Vec::new())
        }

        fn bodies(&self) -> &[Body] {
            &self.0
        }
    }

    fn node(name: &str, inputs: &[ValueId], outputs: &[ValueId]) -> Node {
        let some = |ids: &[ValueId]| ids.iter().copied().map(Some).collect();
        Node {
            name: name.into(),
            op: Arc::new(Any(Vec::new())),
            inputs: some(inputs),
            outputs: some(outputs),
        }
    }

    /// `y = b(a(x))`
    fn chain() -> (Graph, [ValueId; 3]) {
        let mut graph = Graph::default();
        let ids = ["x", "t", "y"].map(|name| graph.add_value(name, None));
        graph.inputs = Vec::from([ids[0]]);
        graph.outputs = Vec::from([ids[2]]);
        graph.nodes = Vec::from([node("a", &[ids[0]], &[ids[1]]), node("b", &[ids[1]], &[ids[2]])]);
        (graph, ids)
    }

    fn broken(graph: &Graph) -> String {
        verify(graph).unwrap_err().to_string()
    }

    #[test]
    fn a_chain_is_fine() {
        assert_eq!(verify(&chain().0), Ok(()));
    }

    #[test]
    fn nodes_out_of_order_are_found() {
        let (mut graph, _) = chain();
        graph.nodes.swap(0, 1);
        assert_eq!(broken(&graph), "Any \"b\" reads \"t\", which is not written before");
    }

    #[test]
    fn two_writers_are_found() {
        let (mut graph, [x, t, _]) = chain();
        graph.nodes.push(node("c", &[x], &[t]));
        assert_eq!(broken(&graph), "Any \"c\" writes \"t\", which is written already");
        graph.nodes[2] = node("c", &[t], &[x]);
        assert_eq!(broken(&graph), "Any \"c\" writes \"x\", which is an input");
        let one = graph.add_constant("one", Tensor::scalar(1i64));
        graph.nodes[2] = node("c", &[t], &[one]);
        assert_eq!(broken(&graph), "Any \"c\" writes \"one\", which is constant");
    }

    #[test]
    fn ids_of_another_graph_are_found() {
        let (mut graph, _) = chain();
        let mut larger = Graph::default();
        (0..9).for_each(|_| _ = larger.add_value("", None));
        graph.outputs.push(larger.add_value("", None));
        assert_eq!(broken(&graph), "outputs names value 9, the graph has 3");
    }

    #[test]
    fn a_fact_that_contradicts_its_constant_is_found() {
        let (mut graph, [x, ..]) = chain();
        let mut fact = Fact::constant(Tensor::scalar(1i64));
        fact.shape = [2usize][..].into();
        graph.value_mut(x).fact = Some(fact);
        let error = broken(&graph);
        assert_eq!(error, "the fact of \"x\" is i64[2] constant, which is not the shape of its constant");
    }

    #[test]
    fn captures_must_be_carried_and_agree() {
        let (mut graph, [x, ..]) = chain();
        let (mut inner, [captured, ..]) = chain();
        inner.value_mut(captured).fact = Some(Fact::fixed(ElementType::F32, &[1, 2]));
        let with = |captures| Arc::new(Any(Vec::from([Body { graph: inner.clone(), captures }])));
        graph.nodes[0].op = with(Vec::from([0]));
        assert_eq!(verify(&graph), Ok(()));
        graph.value_mut(x).fact = Some(Fact::fixed(ElementType::F32, &[1, 3]));
        assert_eq!(broken(&graph), "body 0 of Any \"a\": capture 0 is of another shape inside");
        graph.nodes[0].op = with(Vec::from([1]));
        assert_eq!(broken(&graph), "body 0 of Any \"a\": capture 0 is no input of the node");
        graph.nodes[0].op = with(Vec::from([0, 0]));
        assert_eq!(broken(&graph), "body 0 of Any \"a\": capture 0 is no input of the body");
    }
}
