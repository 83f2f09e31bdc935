//! Fuse elementwise operators with each other and with the operator before them.
//!
//! Before: `c = Conv(x, w, b)`, `t = Add(c, 3)`, `u = Clip(t, 0, 6)`, `v = Mul(c, u)`, `y = Div(v, 6)`, five passes over memory.
//! After: `y = Fused { Conv, Clip(c + 3) * c / 6 }(x, w, b, 3, 6)`, one.
//!
//! The pass wants a graph whose shapes are all known. From each elementwise node it walks back: a producer joins when it is
//! elementwise, has the same shape as the result, and everything that reads it has joined already, so no number is
//! computed twice and none that is needed elsewhere disappears. An operator that the device can extend with a program
//! joins at the front under the same condition. A producer of a smaller shape (a scale per channel) stays outside, since
//! inside it would be computed again for every element.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::ElementType;

use crate::graph::{Graph, Node, ValueId};
use crate::op::{Arg, Binary, Clip, Elementwise, Fused, Op, Program, Step, Unary, Variadic};

/// More steps than this in one program would not fit the few buffers that a device keeps for it.
const MAX_STEPS: usize = 24;
/// More inputs than this would make a node with more operands than kernels expect.
const MAX_INPUTS: usize = 10;

/// What a device can fuse.
#[derive(Clone, Copy)]
pub struct Fusible {
    /// Whether it can extend an operator with a program over its output.
    pub base: fn(&dyn Op) -> bool,
    /// Whether it has a step of this kind.
    pub step: fn(&Step) -> bool,
}

/// Fuses what the device can.
pub fn fuse(graph: &mut Graph, fusible: Fusible) {
    let uses = Uses::of(graph);
    let mut gone = alloc::vec![false; graph.nodes.len()];
    let mut fused: Vec<(usize, Node)> = Vec::new();
    for sink in (0..graph.nodes.len()).rev() {
        if gone[sink] {
            continue;
        }
        let Some(cluster) = Cluster::grow(graph, &uses, sink, fusible) else { continue };
        for member in cluster.members.iter().chain(&cluster.base) {
            gone[*member] = true;
        }
        fused.push((sink, cluster.into_node(graph)));
    }
    for (sink, node) in fused {
        gone[sink] = false;
        graph.nodes[sink] = node;
    }
    let mut index = 0;
    graph.nodes.retain(|_| {
        index += 1;
        !gone[index - 1]
    });
}

/// Who writes and who reads each value.
struct Uses {
    writer: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    /// Read from outside: a graph output.
    kept: Vec<bool>,
}

impl Uses {
    fn of(graph: &Graph) -> Uses {
        let count = graph.values().len();
        let mut uses = Uses {
            writer: alloc::vec![None; count],
            readers: alloc::vec![Vec::new(); count],
            kept: alloc::vec![false; count],
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            for value in node.outputs.iter().flatten() {
                uses.writer[value.index()] = Some(index);
            }
            for value in node.inputs.iter().flatten() {
                uses.readers[value.index()].push(index);
            }
        }
        for value in &graph.outputs {
            uses.kept[value.index()] = true;
        }
        uses
    }
}

/// Nodes that become one.
struct Cluster {
    /// Elementwise nodes, by position.
    members: Vec<usize>,
    /// The operator whose output the program goes on with.
    base: Option<usize>,
    program: Program,
    /// Values that the program reads, in the order of its inputs; input 0 is the base's output when there is a base.
    operands: Vec<ValueId>,
    output: ValueId,
}

impl Cluster {
    /// The largest cluster that ends in `sink`; `None` when that is only `sink` itself.
    fn grow(graph: &Graph, uses: &Uses, sink: usize, fusible: Fusible) -> Option<Cluster> {
        let elementwise = |node: &Node| {
            program_of(graph, node).is_some_and(|program| program.steps.iter().all(fusible.step))
        };
        if !elementwise(&graph.nodes[sink]) {
            return None;
        }
        let output = graph.nodes[sink].outputs[0]?;
        let mut members = alloc::vec![sink];
        let joins = |members: &[usize], value: ValueId| {
            !uses.kept[value.index()]
                && uses.readers[value.index()].iter().all(|reader| members.contains(reader))
                && same_shape(graph, value, output)
        };
        let candidate = |members: &[usize]| {
            reads(graph, members).find_map(|value| {
                let writer = uses.writer[value.index()]?;
                let apart = members.contains(&writer) || !joins(members, value);
                if apart || !elementwise(&graph.nodes[writer]) {
                    return None;
                }
                let mut larger = members.to_vec();
                larger.push(writer);
                assemble(graph, &mut larger, None, output).map(|_| writer)
            })
        };
        while let Some(next) = candidate(&members) {
            members.push(next);
        }
        let base = reads(graph, &members)
            .filter(|value| joins(&members, *value))
            .filter_map(|value| Some((uses.writer[value.index()]?, value)))
            .filter(|(writer, _)| {
                let node = &graph.nodes[*writer];
                node.outputs.len() == 1 && !members.contains(writer) && (fusible.base)(&*node.op)
            })
            .max();
        if members.len() == 1 && base.is_none() {
            return None;
        }
        let (program, operands) = assemble(graph, &mut members, base.map(|(_, value)| value), output)?;
        Some(Cluster { members, base: base.map(|(writer, _)| writer), program, operands, output })
    }

    fn into_node(self, graph: &Graph) -> Node {
        let name = graph.nodes[*self.members.last().expect("never empty")].name.clone();
        let outputs = alloc::vec![Some(self.output)];
        let Some(base) = self.base else {
            let inputs = self.operands.into_iter().map(Some).collect();
            return Node { name, op: Arc::new(Elementwise { program: self.program }), inputs, outputs };
        };
        let base = &graph.nodes[base];
        let mut inputs = base.inputs.clone();
        let op = Fused { base: base.op.clone(), base_inputs: inputs.len(), program: self.program };
        inputs.extend(self.operands.into_iter().skip(1).map(Some));
        let name = if base.name.is_empty() { name } else { base.name.clone() };
        Node { name, op: Arc::new(op), inputs, outputs }
    }
}

fn reads<'a>(graph: &'a Graph, members: &'a [usize]) -> impl Iterator<Item = ValueId> + 'a {
    members.iter().flat_map(|member| graph.nodes[*member].inputs.iter().flatten().copied())
}

fn same_shape(graph: &Graph, a: ValueId, b: ValueId) -> bool {
    let (Some(a), Some(b)) = (graph.fact(a), graph.fact(b)) else { return false };
    a.element == b.element && a.shape.fixed().is_some() && a.shape == b.shape
}

/// The members as one program and the values it reads; `first` is input 0 when given. Sorts the members. `None` when the
/// limits are exceeded.
fn assemble(
    graph: &Graph,
    members: &mut [usize],
    first: Option<ValueId>,
    output: ValueId,
) -> Option<(Program, Vec<ValueId>)> {
    members.sort_unstable();
    let mut operands: Vec<ValueId> = first.into_iter().collect();
    let mut known: Vec<(ValueId, Arg)> = operands.iter().map(|value| (*value, Arg::Input(0))).collect();
    let mut steps: Vec<Step> = Vec::new();
    for member in members.iter() {
        let node = &graph.nodes[*member];
        let part = program_of(graph, node)?;
        let arguments: Vec<Arg> = node
            .inputs
            .iter()
            .take(part.inputs)
            .map(|value| {
                let value = (*value)?;
                if let Some((_, arg)) = known.iter().find(|(its, _)| *its == value) {
                    return Some(*arg);
                }
                operands.push(value);
                known.push((value, Arg::Input(operands.len() - 1)));
                Some(Arg::Input(operands.len() - 1))
            })
            .collect::<Option<_>>()?;
        let offset = steps.len();
        steps.extend(part.steps.iter().map(|step| {
            step.map(|arg| match arg {
                Arg::Input(index) => arguments[index],
                Arg::Step(index) => Arg::Step(offset + index),
            })
        }));
        known.push((node.outputs[0]?, Arg::Step(steps.len() - 1)));
    }
    debug_assert_eq!(known.last().map(|(value, _)| *value), Some(output), "the sink comes last");
    let fits = steps.len() <= MAX_STEPS && operands.len() <= MAX_INPUTS;
    fits.then_some((Program { inputs: operands.len(), steps }, operands))
}

/// What an elementwise node over `f32` computes, as a program over its first inputs.
fn program_of(graph: &Graph, node: &Node) -> Option<Program> {
    let float = |value: &Option<ValueId>| {
        value.and_then(|value| graph.fact(value)).is_some_and(|fact| fact.element == ElementType::F32)
    };
    if node.outputs.len() != 1 || !float(&node.outputs[0]) || !float(node.inputs.first()?) {
        return None;
    }
    if let Some(elementwise) = node.op.downcast::<Elementwise>() {
        return Some(elementwise.program.clone());
    }
    let one = |step| Some(Program { inputs: 1, steps: alloc::vec![step] });
    let (x, y) = (Arg::Input(0), Arg::Input(1));
    if let Some(unary) = node.op.downcast::<Unary>() {
        return one(Step::Unary(*unary, x));
    }
    if node.op.downcast::<Clip>().is_some() {
        let (low, high) = (bound(graph, node, 1, f32::NEG_INFINITY)?, bound(graph, node, 2, f32::INFINITY)?);
        return one(Step::Clip(x, low, high));
    }
    let two = |step| Some(Program { inputs: 2, steps: alloc::vec![step] });
    let pair = node.inputs.len() == 2 && float(&node.inputs[1]);
    if let Some(binary) = node.op.downcast::<Binary>().filter(|_| pair) {
        let arithmetic = matches!(
            binary,
            Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Pow | Binary::PRelu
        );
        return if arithmetic { two(Step::Binary(*binary, x, y)) } else { None };
    }
    match node.op.downcast::<Variadic>().filter(|_| pair)? {
        Variadic::Max => two(Step::Max(x, y)),
        Variadic::Min => two(Step::Min(x, y)),
        Variadic::Sum => two(Step::Binary(Binary::Add, x, y)),
        Variadic::Mean => None,
    }
}

/// A bound of Clip: constant, or left out.
fn bound(graph: &Graph, node: &Node, index: usize, otherwise: f32) -> Option<f32> {
    let Some(value) = node.inputs.get(index).copied().flatten() else { return Some(otherwise) };
    graph.constant(value)?.to_vec::<f32>().ok()?.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Fact;
    use crate::op::{Conv, Padding, Window};
    use alloc::format;
    use alloc::string::String;
    use inferry_core::Tensor;

    /// A graph under construction, every value f32 of one shape.
    struct Sketch(Graph);

    impl Sketch {
        fn value(&mut self) -> ValueId {
            self.0.add_value("", Some(Fact::fixed(ElementType::F32, &[1, 2, 3, 3])))
        }

        fn number(&mut self, value: f32) -> ValueId {
            self.0.add_constant("", Tensor::scalar(value))
        }

        fn node(&mut self, op: impl Op, inputs: &[ValueId]) -> ValueId {
            let output = self.value();
            self.0.nodes.push(Node {
                name: "".into(),
                op: Arc::new(op),
                inputs: inputs.iter().copied().map(Some).collect(),
                outputs: alloc::vec![Some(output)],
            });
            output
        }

        fn conv(&mut self, x: ValueId) -> ValueId {
            let weights = Tensor::zeros(ElementType::F32, [2, 2, 1, 1]);
            let weights = self.0.add_constant("", weights);
            let window =
                Window { kernel: None, strides: Vec::new(), dilations: Vec::new(), padding: Padding::Valid };
            self.node(Conv { window, group: 1 }, &[x, weights])
        }

        /// The nodes after the pass, as `name(inputs)` with the steps of programs.
        fn fused(mut self, outputs: &[ValueId]) -> Vec<String> {
            self.0.outputs = outputs.to_vec();
            let base = |op: &dyn Op| op.downcast::<Conv>().is_some();
            fuse(&mut self.0, Fusible { base, step: |_| true });
            let show = |node: &Node| match (node.op.downcast::<Fused>(), node.op.downcast::<Elementwise>()) {
                (Some(fused), _) => format!("Fused {} {}", fused.base_inputs, fused.program.steps.len()),
                (_, Some(alone)) => {
                    format!("Elementwise {} {}", alone.program.inputs, alone.program.steps.len())
                }
                _ => node.op.name().into(),
            };
            self.0.nodes.iter().map(show).collect()
        }
    }

    #[test]
    fn a_written_out_hard_swish_joins_its_convolution() {
        let mut sketch = Sketch(Graph::default());
        let x = sketch.value();
        let c = sketch.conv(x);
        let (three, six, zero) = (sketch.number(3.0), sketch.number(6.0), sketch.number(0.0));
        let t = sketch.node(Binary::Add, &[c, three]);
        let u = sketch.node(Clip, &[t, zero, six]);
        let v = sketch.node(Binary::Mul, &[c, u]);
        let y = sketch.node(Binary::Div, &[v, six]);
        assert_eq!(sketch.fused(&[y]), ["Fused 2 4"]);
    }

    #[test]
    fn a_value_that_is_read_elsewhere_is_still_written() {
        let mut sketch = Sketch(Graph::default());
        let x = sketch.value();
        let c = sketch.conv(x);
        let a = sketch.node(Unary::Relu, &[c]);
        let b = sketch.node(Unary::Exp, &[a]);
        let y = sketch.node(Unary::Neg, &[b]);
        assert_eq!(sketch.fused(&[y, a]), ["Fused 2 1", "Elementwise 1 2"]);
    }

    #[test]
    fn a_smaller_operand_is_not_computed_for_every_element() {
        let mut sketch = Sketch(Graph::default());
        let x = sketch.value();
        let small = sketch.0.add_value("", Some(Fact::fixed(ElementType::F32, &[1, 2, 1, 1])));
        let gate = sketch.node(Unary::Sigmoid, &[small]);
        sketch.0.value_mut(gate).fact = Some(Fact::fixed(ElementType::F32, &[1, 2, 1, 1]));
        let a = sketch.node(Binary::Mul, &[x, gate]);
        let y = sketch.node(Unary::Relu, &[a]);
        assert_eq!(sketch.fused(&[y]), ["Sigmoid", "Elementwise 2 2"]);
    }

    #[test]
    fn a_residual_takes_the_later_of_two_convolutions() {
        let mut sketch = Sketch(Graph::default());
        let x = sketch.value();
        let (a, b) = (sketch.conv(x), sketch.conv(x));
        let sum = sketch.node(Binary::Add, &[a, b]);
        let y = sketch.node(Unary::Relu, &[sum]);
        assert_eq!(sketch.fused(&[y]), ["Conv", "Fused 2 2"]);
    }

    #[test]
    fn one_operator_alone_stays_what_it_is() {
        let mut sketch = Sketch(Graph::default());
        let x = sketch.value();
        let y = sketch.node(Unary::Relu, &[x]);
        assert_eq!(sketch.fused(&[y]), ["Relu"]);
    }
}
