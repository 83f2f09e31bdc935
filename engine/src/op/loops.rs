//! Loop: a graph that runs again and again on what its last trip gave.
//!
//! ```text
//! condition, carried..., scanned... = body(trip, condition, carried..., captures...)
//! ```
//!
//! A trip takes the values that the trip before gave; what is scanned is collected, a row a trip. The facts inside the body
//! hold in *every* trip, and finding them is the business of the pass that propagates facts; here is only what follows for
//! the node's outputs. Scan and SequenceMap are imported as loops.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Kind, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::control::output_of;
use super::rules::{self, BOOL, INT64, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Body, Dim, Fact, Graph, ShapeFact, ValueId};
use crate::onnx::{ImportError, Imported, NodeView};

/// A loop of more trips than this is not believed to make them all: its scans are not planned ahead.
const MOST_PLANNED: i64 = 1 << 24;

/// `trip count?, condition?, carried..., captures...`: what is carried after the last trip, and the rows of what is scanned.
///
/// A trip is made while there are trips left and the condition holds; one that is left out sets no limit. As in other
/// runtimes, and unlike the letter of the standard, the condition that the body gives counts also when none came in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Loop {
    /// The graph of a trip. It takes the number of the trip (`i64`), the condition (which holds whenever it runs) and what
    /// is carried; it gives the condition, what is carried, and what is scanned.
    pub body: Body,
    /// How many values are carried.
    pub carried: usize,
    /// What is scanned becomes a sequence, whose tensors may have any shapes, instead of rows of one tensor.
    pub listed: bool,
}

impl Loop {
    /// Inputs of the node before the carried values.
    pub const LEADING: usize = 2;

    /// How many values are scanned.
    pub fn scanned(&self) -> usize {
        self.body.graph.outputs.len().saturating_sub(1 + self.carried)
    }

    /// The shapes of the number of the trip and of the condition as the body takes them: scalars, or vectors of one element
    /// where the file says so.
    pub fn leading(&self) -> [Shape; Loop::LEADING] {
        let graph = &self.body.graph;
        let vector = |id: Option<&ValueId>| Some(graph.fact(*id?)?.shape.rank()? == 1);
        [0, 1].map(|index| match vector(graph.inputs.get(index)) {
            Some(true) => Shape::from([1]),
            _ => Shape::scalar(),
        })
    }

    /// How many trips are made, when that is known: nothing but the trip count ends the loop.
    fn trips(&self, inputs: &Inputs<'_>) -> Option<usize> {
        let count = single::<i64>(inputs.optional(0)?)?;
        let first = inputs.optional(1).map_or(Some(true), single::<bool>)?;
        let graph = &self.body.graph;
        let stays = graph.fact(*graph.outputs.first()?).and_then(single::<bool>) == Some(true);
        match (first, stays || count <= 1) {
            (false, _) => Some(0),
            (true, true) if count <= MOST_PLANNED => Some(usize::try_from(count).unwrap_or(0)),
            _ => None,
        }
    }
}

impl Op for Loop {
    fn name(&self) -> &'static str {
        "Loop"
    }

    /// What holds of the carried values before the first trip and after any: the body's own facts must have been inferred before.
    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        rules::check_single(0, inputs.typed_optional(0, &INT64)?)?;
        rules::check_single(1, inputs.typed_optional(1, &BOOL)?)?;
        (0..Loop::LEADING)
            .filter(|input| inputs.optional(*input).is_some())
            .try_for_each(|input| inputs.tensor(input).map(drop))?;
        if self.body.graph.outputs.len() <= self.carried {
            let (given, wanted) = (self.body.graph.outputs.len(), 1 + self.carried);
            return shape_error(format!("the body has {given} outputs, {wanted} are needed"));
        }
        if let Some(condition) = self.body.graph.fact(self.body.graph.outputs[0])
            && (condition.element != ElementType::Bool || rules::check_single(0, Some(condition)).is_err())
        {
            return shape_error(format!("the condition that the body gives is {condition}, not one bool"));
        }
        let trips = self.trips(inputs).map_or(Dim::Unknown, Dim::Fixed);
        let output = |index| {
            let after = output_of("body", &self.body, 1 + index)?;
            if index < self.carried {
                let before = inputs.required(Loop::LEADING + index)?;
                return carried(index, before, &after);
            }
            let scan = index - self.carried;
            if after.kind != Kind::Tensor {
                return shape_error(format!(
                    "scanned value {scan} is {}; only tensors have rows",
                    after.kind
                ));
            }
            if self.listed {
                return Ok(after.of_kind(Kind::Sequence));
            }
            let shape = after.shape.0.map(|dims| [alloc::vec![trips.clone()], dims].concat());
            Ok(Fact::new(after.element, ShapeFact(shape)))
        };
        rules::several((0..inputs.outputs()).map(output).collect::<Result<_, _>>()?)
    }

    fn takes_any_kind(&self) -> bool {
        true
    }

    fn bodies(&self) -> &[Body] {
        core::slice::from_ref(&self.body)
    }

    fn with_bodies(&self, bodies: Vec<Body>) -> Option<Arc<dyn Op>> {
        let body = bodies.into_iter().next()?;
        Some(Arc::new(Loop { body, carried: self.carried, listed: self.listed }))
    }
}

/// What holds of carried value `index`, given what holds before and after a trip.
pub(crate) fn carried(index: usize, before: &Fact, after: &Fact) -> Result<Fact, OpError> {
    if before.element != after.element {
        return shape_error(format!(
            "carried value {index} is {} before a trip and {} after it",
            before.element, after.element
        ));
    }
    before.either(after).ok_or_else(|| {
        let (before, after) = (before.kind, after.kind);
        OpError::Shape(format!("carried value {index} is {before} before a trip and {after} after it"))
    })
}

fn single<T: inferry_core::Element>(fact: &Fact) -> Option<T> {
    fact.constant.as_ref()?.to_vec::<T>().ok()?.first().copied()
}

/// Loop. The importer has read the graph and put its captures behind the operands.
pub(crate) fn import_loop(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    let carried = node.inputs().saturating_sub(Loop::LEADING);
    if let Some(absent) = (0..carried).find(|index| !node.has_input(Loop::LEADING + index)) {
        return Err(node.refuse(format!("carried value {absent} is left out")));
    }
    let body = node.body("body")?;
    let formal = body.graph.inputs.len().saturating_sub(body.captures.len());
    if formal != Loop::LEADING + carried {
        let wanted = Loop::LEADING + carried;
        return Err(node.refuse_attribute("body", format!("takes {formal} inputs, the node gives {wanted}")));
    }
    let given = body.graph.outputs.len();
    let wanted = 1 + node.outputs().max(carried);
    if given < wanted {
        return Err(node.refuse_attribute("body", format!("has {given} outputs, {wanted} are needed")));
    }
    Ok(Imported::with(Loop { body, carried, listed: false }))
}

/// Tells the body of a loop what its first two inputs are: the number of the trip, and a condition that holds.
pub(crate) fn state_leading(looped: &Loop, body: &mut Graph) {
    let [trip, condition] = looped.leading();
    let holds = Tensor::from_slice(&[true], condition).expect("one element");
    body.value_mut(body.inputs[0]).fact = Some(Fact::fixed(ElementType::I64, &trip));
    body.value_mut(body.inputs[1]).fact = Some(Fact::constant(holds));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{TestGraph, TestNode, node};
    use crate::onnx::{Options, import};
    use crate::op::testing::{check, check_outputs, fact};
    use alloc::string::{String, ToString};
    use inferry_core::ElementType::{Bool, F32, I64};

    /// A loop whose body has outputs of these facts, the condition first.
    fn of(outputs: &[&str], carried: usize) -> Loop {
        let mut body = Body { graph: Graph::default(), captures: Vec::new() };
        for output in outputs {
            let id = body.graph.add_value("", fact(output));
            body.graph.outputs.push(id);
        }
        Loop { body, carried, listed: false }
    }

    #[test]
    fn what_is_carried_is_what_holds_before_and_after_a_trip() {
        let body = || of(&["bool[]", "f32[2, ?]"], 1);
        check(body(), &["i64[]", "bool[]", "f32[2, 3]"], "f32[2, ?]");
        check(body(), &["", "", "f32[1, ?]", "i8[9]"], "f32[?, ?]");
        check(body(), &["", "", "f32[4]"], "f32[...]");
        check(body(), &["", "", "i64[4]"], "carried value 0 is i64 before a trip and f32 after it");
        check(body(), &["f32[]", "", "f32[4]"], "input 0 is f32; i64 is needed");
        check(body(), &["i64[2]", "", "f32[4]"], "input 0 must be one number, its shape is [2]");
        check(body(), &["", "i64[]", "f32[4]"], "input 1 is i64; bool is needed");
    }

    #[test]
    fn rows_are_counted_when_nothing_but_the_count_ends_the_loop() {
        let ends = || of(&["bool[]", "f32[2]"], 0);
        let stays = || of(&["bool(true)", "f32[2]"], 0);
        check(stays(), &["i64(5)"], "f32[5, 2]");
        check(stays(), &["i64(5)", "bool(true)"], "f32[5, 2]");
        check(stays(), &["i64(-5)", "bool(true)"], "f32[0, 2]");
        check(stays(), &["i64(5)", "bool(false)"], "f32[0, 2]");
        check(stays(), &["i64(5)", "bool[]"], "f32[?, 2]");
        check(stays(), &["i64[]"], "f32[?, 2]");
        check(stays(), &["i64(4611686018427387904)"], "f32[?, 2]");
        check(ends(), &["i64(5)"], "f32[?, 2]");
        check(ends(), &["i64(1)"], "f32[1, 2]");
        check(of(&["bool[]", "f32[...]"], 0), &["i64(1)"], "f32[...]");
        check(
            of(&["bool[]", "f32[1, 1, 1, 1, 1, 1, 1, 1]"], 0),
            &["i64(1)"],
            "9 dimensions; at most 8 are supported",
        );
    }

    #[test]
    fn a_body_that_gives_too_little_is_refused() {
        check_outputs(of(&["bool[]"], 0), 1, &["i64[]"], "output 1 is asked for, the body has 1");
        check_outputs(of(&["bool[]"], 1), 1, &["", "", "f32[]"], "the body has 1 outputs, 2 are needed");
        check(
            of(&["bool[2]", "f32[]"], 0),
            &["i64[]"],
            "the condition that the body gives is bool[2], not one bool",
        );
        check(
            of(&["i64[]", "f32[]"], 0),
            &["i64[]"],
            "the condition that the body gives is i64[], not one bool",
        );
    }

    /// `y, rows = Loop(n, c, x) { t = Add(x, k) }`, with `k` of the graph around.
    fn file(body: TestGraph, loops: impl FnOnce(&TestGraph) -> TestNode) -> Result<String, String> {
        let graph = TestGraph::new()
            .input("n", I64, &[])
            .input("x", F32, &["2"])
            .input("k", F32, &["2"])
            .node(loops(&body))
            .bare_output("y");
        let model = import(&graph.model(13), &Options::default()).map_err(|error| error.to_string())?;
        crate::graph::verify(&model.graph).unwrap();
        Ok(model.graph.to_string())
    }

    fn body() -> TestGraph {
        TestGraph::new()
            .input("i", I64, &["1"])
            .input("c", Bool, &[])
            .input("x_in", F32, &["2"])
            .node(node("Add", &["x_in", "k"], &["t"]))
            .bare_output("c")
            .bare_output("t")
            .bare_output("t")
    }

    #[test]
    fn the_body_takes_its_operands_and_then_its_captures() {
        let expected = "n: i64[]
x: f32[2]
k: f32[2]
----
y, rows = Loop(n, -, x, k)
  captures [3]
    i: i64[1]
    c: bool[]
    x_in: f32[2]
    k
    ----
    t = Add(x_in, k)
    ----
    c
    t
    t
----
y
";
        let text = file(body(), |body| node("Loop", &["n", "", "x"], &["y", "rows"]).graph("body", &body.0));
        assert_eq!(text.unwrap(), expected);
    }

    #[test]
    fn captures_stand_behind_a_condition_that_is_left_out() {
        let body = TestGraph::new()
            .input("i", I64, &[])
            .input("c", Bool, &[])
            .node(node("Relu", &["k"], &["t"]))
            .bare_output("c")
            .bare_output("t");
        let text = file(body, |body| node("Loop", &["n"], &["y"]).graph("body", &body.0)).unwrap();
        assert!(text.contains("y = Loop(n, -, k)\n  captures [2]\n"), "{text}");
    }

    #[test]
    fn bodies_that_do_not_fit_their_node_are_refused() {
        let refused = |inputs: &[&str], outputs: &[&str]| {
            let error =
                file(body(), |body| node("Loop", inputs, outputs).graph("body", &body.0)).unwrap_err();
            error.split_once("writes \"y\"").unwrap().1.trim_start_matches([',', ':', ' ']).to_string()
        };
        assert_eq!(refused(&["n"], &["y"]), "attribute \"body\": takes 3 inputs, the node gives 2");
        assert_eq!(refused(&["n", "", "", "x"], &["y"]), "carried value 0 is left out");
        let wanted = "attribute \"body\": has 3 outputs, 4 are needed";
        assert_eq!(refused(&["n", "", "x"], &["y", "a", "b"]), wanted);
        let bare = file(body(), |_| node("Loop", &["n"], &["y"])).unwrap_err();
        assert!(bare.ends_with("attribute \"body\": the graph is missing"), "{bare}");
    }
}
