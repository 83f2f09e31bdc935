//! Scan: a loop over what lies along an axis of its inputs.
//!
//! ```text
//! state, y = Scan(state, x) { body }   ─▶   n = Gather(Shape(x), axis)
//!                                           state, y = Loop(n, -, state, x) { body with a = Gather(x, trip) }
//! ```
//!
//! It is imported as the loop: each trip takes its elements out of the whole inputs, backwards where the direction says so.
//! What is scanned comes out in the order of the trips and along axis 0; turning it round and moving the axis are operators
//! behind the loop. Operator set 8 has a batch around everything and a length for each of its items: another loop, in
//! which rows behind an item's length are zero.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::Tensor;

use super::{Binary, Concat, Gather, Loop, MoveAxis, Op, Pad, PadMode, ShapeOf, Slice, Unsqueeze};
use crate::graph::{Body, Graph, Node, ValueId};
use crate::onnx::{Fragment, ImportError, NodeView, Wire};

/// Scan.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let batched = node.opset() < 9;
    // Before operator set 9 the lengths of the items came first.
    let first = usize::from(batched);
    let scan = Scan::read(node, first)?;
    let mut f = Fragment::new();
    let lengths = (batched && node.has_input(0)).then(|| f.input(0));
    let states: Vec<Wire> = (0..scan.states).map(|index| f.input(first + index)).collect();
    let wholes: Vec<Wire> =
        (0..scan.inputs.len()).map(|index| f.input(first + scan.states + index)).collect();
    let captures: Vec<Wire> = scan.body.captures.iter().map(|input| f.input(*input)).collect();
    let operands = Operands { states, wholes, captures };
    let results = match batched {
        true => over_batch(&mut f, &scan, operands, lengths),
        false => scan.over_axis(&mut f, operands, None),
    };
    results.into_iter().enumerate().for_each(|(output, wire)| f.give(output, wire));
    Ok(f)
}

/// Along which axis a value is scanned.
#[derive(Clone, Copy, Default)]
struct Along {
    axis: i64,
    backwards: bool,
}

/// A node of the file.
struct Scan {
    body: Body,
    states: usize,
    inputs: Vec<Along>,
    outputs: Vec<Along>,
}

/// What a scan reads.
struct Operands {
    states: Vec<Wire>,
    wholes: Vec<Wire>,
    captures: Vec<Wire>,
}

impl Scan {
    /// The node; its first `skipped` inputs are none of the body's.
    fn read(node: &NodeView<'_>, skipped: usize) -> Result<Scan, ImportError> {
        let body = node.body("body")?;
        let scanned = node.count_or("num_scan_inputs", 0)?;
        let given = node.inputs().saturating_sub(skipped);
        if scanned == 0 || scanned > given {
            let problem = format!("{scanned} inputs are to be scanned; there are {given}");
            return Err(node.refuse_attribute("num_scan_inputs", problem));
        }
        if let Some(absent) = (skipped..skipped + given).find(|index| !node.has_input(*index)) {
            return Err(node.refuse(format!("input {absent} is left out")));
        }
        let formal = body.graph.inputs.len().saturating_sub(body.captures.len());
        if formal != given {
            return Err(
                node.refuse_attribute("body", format!("takes {formal} inputs, the node gives {given}"))
            );
        }
        let states = given - scanned;
        let results = body.graph.outputs.len();
        let wanted = states.max(node.outputs());
        if results < wanted {
            return Err(node.refuse_attribute("body", format!("has {results} outputs, {wanted} are needed")));
        }
        let (inputs, outputs) = match skipped {
            0 => (
                along(node, "scan_input_axes", "scan_input_directions", scanned)?,
                along(node, "scan_output_axes", "scan_output_directions", results - states)?,
            ),
            _ => (along(node, "", "directions", scanned)?, alloc::vec![Along::default(); results - states]),
        };
        Ok(Scan { body, states, inputs, outputs })
    }

    /// The loop over the elements of `wholes`; gives the states after it and what was scanned. `length` says how many
    /// elements there are; all of them when it is `None`.
    fn over_axis(&self, f: &mut Fragment, operands: Operands, length: Option<Wire>) -> Vec<Wire> {
        let count = length.unwrap_or_else(|| extent(f, operands.wholes[0], self.inputs[0].axis));
        let Operands { states, wholes, captures } = operands;
        // The body also sees how many trips there are, to count them backwards.
        let captured = [&wholes[..], &captures, &[count]].concat();
        let first = Loop::LEADING + states.len();
        let body = Body { graph: self.trip(), captures: (first..first + captured.len()).collect() };
        let inputs = [&states[..], &captured].concat().into_iter().map(Some);
        let inputs: Vec<Option<Wire>> = [Some(count), None].into_iter().chain(inputs).collect();
        let looped = Loop { body, carried: self.states, listed: false };
        let mut results = f.steps(looped, &inputs, self.states + self.outputs.len());
        for (wire, along) in results[self.states..].iter_mut().zip(&self.outputs) {
            if along.backwards {
                let [last, before_first, axis, step] = [-1, i64::MIN, 0, -1].map(|number| f.ints(&[number]));
                *wire = f.step(Slice, &[*wire, last, before_first, axis, step]);
            }
            if along.axis != 0 {
                *wire = f.step(MoveAxis { from: 0, to: along.axis }, &[*wire]);
            }
        }
        results
    }

    /// The body of the loop: the node's, with the elements of each trip taken out of the whole inputs.
    fn trip(&self) -> Graph {
        let mut graph = self.body.graph.clone();
        let formal = core::mem::take(&mut graph.inputs);
        let [trip, condition] = ["", ""].map(|name| graph.add_value(name, None));
        let wholes: Vec<ValueId> = self.inputs.iter().map(|_| graph.add_value("", None)).collect();
        let count = graph.add_value("", None);
        let (states, rest) = formal.split_at(self.states);
        let (elements, captured) = rest.split_at(self.inputs.len());
        let mut taken = Vec::new();
        let one = graph.add_constant("", Tensor::scalar(1i64));
        let last = write(&mut graph, &mut taken, Binary::Sub, [count, one]);
        let backwards = write(&mut graph, &mut taken, Binary::Sub, [last, trip]);
        for ((along, whole), element) in self.inputs.iter().zip(&wholes).zip(elements) {
            let index = if along.backwards { backwards } else { trip };
            push(&mut taken, Gather { axis: along.axis }, [*whole, index], *element);
        }
        taken.append(&mut graph.nodes);
        graph.nodes = taken;
        graph.inputs = [&[trip, condition], states, &wholes, captured, &[count]].concat();
        graph.outputs.insert(0, condition);
        graph
    }
}

/// A loop over the items of a batch, each of which is scanned.
fn over_batch(f: &mut Fragment, scan: &Scan, operands: Operands, lengths: Option<Wire>) -> Vec<Wire> {
    let Operands { states, wholes, captures } = operands;
    let items = extent(f, wholes[0], 0);
    let given = [&states[..], &wholes, &captures].concat();
    let outer: Vec<Wire> = given.iter().copied().chain(lengths).collect();

    let mut item = Fragment::new();
    let number = item.input(0);
    let inside = |range: Range<usize>, item: &Fragment| -> Vec<Wire> {
        range.map(|index| item.input(Loop::LEADING + index)).collect()
    };
    let (first, second) = (states.len(), states.len() + wholes.len());
    let of_item = |range: Range<usize>, item: &mut Fragment| -> Vec<Wire> {
        let wholes = inside(range, item);
        wholes.into_iter().map(|whole| item.step(Gather { axis: 0 }, &[whole, number])).collect()
    };
    let states = of_item(0..first, &mut item);
    let wholes = of_item(first..second, &mut item);
    let length = lengths.map(|_| of_item(given.len()..given.len() + 1, &mut item)[0]);
    let all = wholes[0];
    let captures = inside(second..given.len(), &item);
    let mut results = scan.over_axis(&mut item, Operands { states, wholes, captures }, length);
    if let Some(length) = length {
        let all = extent(&mut item, all, 0);
        let missing = item.step(Binary::Sub, &[all, length]);
        let axis = item.ints(&[0]);
        let (none, missing) = (item.ints(&[0]), item.step(Unsqueeze, &[missing, axis]));
        let pads = item.step(Concat { axis: 0 }, &[none, missing]);
        for wire in &mut results[scan.states..] {
            let inputs = [Some(*wire), Some(pads), None, Some(axis)];
            *wire = item.steps(Pad { mode: PadMode::Constant }, &inputs, 1)[0];
        }
    }
    let holds = item.input(1);
    item.give(0, holds);
    results.iter().enumerate().for_each(|(index, wire)| item.give(1 + index, *wire));
    let graph = item.into_graph(Loop::LEADING + outer.len(), 1 + results.len());
    let body = Body { graph, captures: (Loop::LEADING..Loop::LEADING + outer.len()).collect() };
    let inputs: Vec<Option<Wire>> =
        [Some(items), None].into_iter().chain(outer.into_iter().map(Some)).collect();
    f.steps(Loop { body, carried: 0, listed: false }, &inputs, results.len())
}

/// How many elements there are along an axis.
fn extent(f: &mut Fragment, of: Wire, axis: i64) -> Wire {
    let shape = f.step(ShapeOf { start: 0, end: None }, &[of]);
    let axis = f.scalar(axis);
    f.step(Gather { axis: 0 }, &[shape, axis])
}

fn write(graph: &mut Graph, nodes: &mut Vec<Node>, op: impl Op, reads: [ValueId; 2]) -> ValueId {
    let to = graph.add_value("", None);
    push(nodes, op, reads, to);
    to
}

fn push(nodes: &mut Vec<Node>, op: impl Op, reads: [ValueId; 2], to: ValueId) {
    let (inputs, outputs) = (reads.map(Some).to_vec(), alloc::vec![Some(to)]);
    nodes.push(Node { name: "".into(), op: Arc::new(op), inputs, outputs });
}

/// Axis and direction of each of `count` values; an attribute that is absent or too short leaves the rest at axis 0, forwards.
fn along(node: &NodeView<'_>, axes: &str, directions: &str, count: usize) -> Result<Vec<Along>, ImportError> {
    let list = |name: &str| -> Result<Vec<i64>, ImportError> {
        let numbers = if name.is_empty() { None } else { node.ints(name)? }.unwrap_or_default();
        match numbers.len() > count {
            true => {
                Err(node.refuse_attribute(name, format!("has {} numbers for {count} values", numbers.len())))
            }
            false => Ok(numbers),
        }
    };
    let mut all = alloc::vec![Along::default(); count];
    for (along, axis) in all.iter_mut().zip(list(axes)?) {
        along.axis = axis;
    }
    for (along, direction) in all.iter_mut().zip(list(directions)?) {
        along.backwards = match direction {
            0 => false,
            1 => true,
            other => return Err(node.refuse_attribute(directions, format!("{other} is neither 0 nor 1"))),
        };
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{TestGraph, TestNode, node};
    use crate::onnx::{Options, import};
    use crate::passes::testing::Integers;
    use crate::passes::{self, propagate};
    use alloc::string::{String, ToString};
    use inferry_core::ElementType::{F32, I64};

    /// `sum, y = Scan(start, x) { sum = Add(sum_in, a); y = Mul(sum, k) }` with `k` of the graph around.
    fn body(dims: &[&str]) -> TestGraph {
        TestGraph::new()
            .input("sum_in", F32, dims)
            .input("a", F32, dims)
            .node(node("Add", &["sum_in", "a"], &["sum_out"]))
            .node(node("Mul", &["sum_out", "k"], &["y_out"]))
            .bare_output("sum_out")
            .bare_output("y_out")
    }

    fn file(
        opset: i64,
        x: &[&str],
        inputs: &[&str],
        add: impl Fn(TestNode) -> TestNode,
    ) -> Result<String, String> {
        let scan = add(node("Scan", inputs, &["sum", "y"]).graph("body", &body(&["2"]).0));
        let scan = scan.int("num_scan_inputs", 1);
        let start = if opset < 9 { &["5", "2"][..] } else { &["2"] };
        let graph = TestGraph::new()
            .input("lengths", I64, &["5"])
            .input("start", F32, start)
            .input("x", F32, x)
            .input("k", F32, &["1"])
            .node(scan)
            .bare_output("sum")
            .bare_output("y");
        let mut model =
            import(&graph.model(opset), &Options::default()).map_err(|error| error.to_string())?;
        crate::graph::verify(&model.graph).unwrap();
        propagate(&mut model.graph, &Integers).map_err(|error| error.to_string())?;
        passes::drop_dead(&mut model.graph);
        crate::graph::verify(&model.graph).unwrap();
        let facts = model.graph.outputs.iter().map(|id| model.graph.fact(*id).unwrap().to_string());
        Ok(facts.collect::<alloc::vec::Vec<_>>().join(" | "))
    }

    #[test]
    fn each_trip_takes_an_element_along_the_axis() {
        let plain = |node: TestNode| node;
        assert_eq!(file(9, &["7", "2"], &["start", "x"], plain).unwrap(), "f32[2] | f32[7, 2]");
        assert_eq!(file(21, &["N", "2"], &["start", "x"], plain).unwrap(), "f32[2] | f32[?, 2]");
        let turned = |node: TestNode| {
            node.ints("scan_input_axes", &[-1])
                .ints("scan_output_axes", &[1])
                .ints("scan_input_directions", &[1])
        };
        assert_eq!(file(11, &["2", "7"], &["start", "x"], turned).unwrap(), "f32[2] | f32[2, 7]");
        let back = |node: TestNode| node.ints("scan_output_directions", &[1]).ints("scan_output_axes", &[-1]);
        assert_eq!(file(11, &["7", "2"], &["start", "x"], back).unwrap(), "f32[2] | f32[2, 7]");
    }

    #[test]
    fn operator_set_8_has_a_batch_around_it() {
        let plain = |node: TestNode| node;
        assert_eq!(
            file(8, &["5", "7", "2"], &["", "start", "x"], plain).unwrap(),
            "f32[5, 2] | f32[5, 7, 2]"
        );
        let back = |node: TestNode| node.ints("directions", &[1]);
        let facts = file(8, &["5", "7", "2"], &["lengths", "start", "x"], back).unwrap();
        assert_eq!(facts, "f32[5, 2] | f32[5, ?, 2]");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |inputs: &[&str], add: &dyn Fn(TestNode) -> TestNode| {
            let error = file(9, &["7", "2"], inputs, add).unwrap_err();
            error.split_once("writes \"sum\"").unwrap().1.trim_start_matches([',', ':', ' ']).to_string()
        };
        let plain = |node: TestNode| node;
        assert_eq!(refused(&["x"], &plain), "attribute \"body\": takes 2 inputs, the node gives 1");
        assert_eq!(refused(&["", "x"], &plain), "input 0 is left out");
        let sideways = |node: TestNode| node.ints("scan_input_directions", &[2]);
        let error = refused(&["start", "x"], &sideways);
        assert_eq!(error, "attribute \"scan_input_directions\": 2 is neither 0 nor 1");
        let many = |node: TestNode| node.ints("scan_output_axes", &[0, 1]);
        assert_eq!(
            refused(&["start", "x"], &many),
            "attribute \"scan_output_axes\": has 2 numbers for 1 values"
        );
        let none = |node: TestNode| node.int("num_scan_inputs", 3);
        let error = refused(&["start", "x"], &none);
        assert!(error.starts_with("attribute \"num_scan_inputs\""), "{error}");
    }
}
