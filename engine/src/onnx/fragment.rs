//! Several operators in the place of one node.
//!
//! Some operators of the standard are others put together. Their importers write down a [`Fragment`]: constants, steps in
//! the order in which they run, and which value is which output of the node. A [`Wire`] stands for a value within it.
//! Nothing is inferred here; what hangs on the rank or the extents of an input is written as arithmetic on its shape
//! (`ShapeOf`, `Reshape`), which the passes fold where the shape is known.
//!
//! ```text
//! y = LpNormalization { p: 2 }(x)   ─▶   y.0 = ReduceL2(x)
//!                                        y = Div(x, y.0)
//! ```

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{Element, Tensor};

use super::node::Imported;
use crate::graph::{Graph, Node, ValueId};
use crate::op::{Identity, Op};

/// A name that is longer is not used to make others.
pub(super) const LONGEST_NAME: usize = 200;

/// A value within a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wire(Source);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// An input of the node.
    Input(usize),
    Constant(usize),
    /// What a step writes.
    Made(usize),
}

/// Operators in the place of one node. See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragment {
    constants: Vec<Tensor>,
    steps: Vec<Step>,
    /// How many values the steps write.
    made: usize,
    /// What each output of the node is.
    outputs: Vec<(usize, Wire)>,
}

#[derive(Clone, Debug)]
struct Step {
    op: Arc<dyn Op>,
    inputs: Vec<Option<Wire>>,
    /// The numbers of the values that it writes.
    writes: core::ops::Range<usize>,
}

impl Fragment {
    /// A fragment that does nothing yet.
    pub(crate) fn new() -> Fragment {
        Fragment::default()
    }

    /// An operator with the node's inputs and outputs: for importers that need several operators only for some forms.
    pub(crate) fn of(imported: Imported, inputs: usize, outputs: usize) -> Fragment {
        let mut fragment = Fragment::new();
        let wires = (0..inputs).map(|index| Some(Wire(Source::Input(index)))).collect();
        let mut wires = imported.arrange(wires);
        for (position, tensor) in imported.constants {
            wires.resize(wires.len().max(position + 1), None);
            wires[position] = Some(fragment.constant(tensor));
        }
        for (position, op) in imported.prepare {
            let reads = [position, 0].map(|input| wires.get(input).copied().flatten());
            wires[position] = Some(fragment.push(op, reads.to_vec(), 1)[0]);
        }
        let made = fragment.push(imported.op, wires, outputs);
        made.into_iter().enumerate().for_each(|(output, wire)| fragment.give(output, wire));
        fragment
    }

    /// An input of the node. One that the node leaves out is left out of the steps that read it.
    pub(crate) fn input(&self, index: usize) -> Wire {
        Wire(Source::Input(index))
    }

    /// A constant.
    pub(crate) fn constant(&mut self, tensor: Tensor) -> Wire {
        self.constants.push(tensor);
        Wire(Source::Constant(self.constants.len() - 1))
    }

    /// One number.
    pub(crate) fn scalar<T: Element>(&mut self, value: T) -> Wire {
        self.constant(Tensor::scalar(value))
    }

    /// A vector of i64.
    pub(crate) fn ints(&mut self, values: &[i64]) -> Wire {
        self.constant(crate::op::int64s(values))
    }

    /// An operator with one output.
    pub(crate) fn step(&mut self, op: impl Op, inputs: &[Wire]) -> Wire {
        self.push(Arc::new(op), inputs.iter().copied().map(Some).collect(), 1)[0]
    }

    /// An operator with several outputs, or with inputs left out.
    pub(crate) fn steps(&mut self, op: impl Op, inputs: &[Option<Wire>], outputs: usize) -> Vec<Wire> {
        self.push(Arc::new(op), inputs.to_vec(), outputs)
    }

    /// Says which value an output of the node is.
    pub(crate) fn give(&mut self, output: usize, wire: Wire) {
        self.outputs.push((output, wire));
    }

    /// The fragment whose only output is `wire`.
    pub(crate) fn giving(mut self, wire: Wire) -> Fragment {
        self.give(0, wire);
        self
    }

    fn push(&mut self, op: Arc<dyn Op>, inputs: Vec<Option<Wire>>, outputs: usize) -> Vec<Wire> {
        let writes = self.made..self.made + outputs;
        self.made = writes.end;
        self.steps.push(Step { op, inputs, writes: writes.clone() });
        writes.map(|value| Wire(Source::Made(value))).collect()
    }

    /// The fragment as a graph of its own, for an operator with graphs inside: its inputs are those of the node.
    pub(crate) fn into_graph(self, inputs: usize, outputs: usize) -> Graph {
        let mut graph = Graph::default();
        graph.inputs = (0..inputs).map(|_| graph.add_value("", None)).collect();
        let reads: Vec<Option<ValueId>> = graph.inputs.iter().copied().map(Some).collect();
        let names: Vec<String> = (0..outputs).map(|output| format!("y{output}")).collect();
        let values = self.place(&mut graph, "", &reads, &names);
        graph.outputs = values.expect("every output is given").into_iter().flatten().collect();
        graph
    }

    /// Puts the steps at the end of a graph: `name` is the node's, `inputs` what it reads, `outputs` how the graph calls what
    /// it writes (empty for what nobody asked for). Gives the values of the outputs, or which output is not there.
    pub(super) fn place(
        self,
        graph: &mut Graph,
        name: &str,
        inputs: &[Option<ValueId>],
        outputs: &[String],
    ) -> Result<Vec<Option<ValueId>>, usize> {
        let first = outputs.iter().find(|output| !output.is_empty());
        let prefix = if name.is_empty() { first.map_or("", |first| first) } else { name };
        // Names are for people: a very long one is not written down once for every value.
        let prefix = if prefix.len() <= LONGEST_NAME { prefix } else { "" };
        let constants: Vec<ValueId> =
            self.constants.into_iter().map(|tensor| graph.add_constant("", tensor)).collect();
        let made: Vec<ValueId> =
            (0..self.made).map(|value| graph.add_value(format!("{prefix}.{value}"), None)).collect();
        let find = |wire: &Wire| match wire.0 {
            Source::Input(index) => inputs.get(index).copied().flatten(),
            Source::Constant(index) => Some(constants[index]),
            Source::Made(index) => Some(made[index]),
        };
        for step in self.steps {
            let inputs = step.inputs.iter().map(|wire| find(wire.as_ref()?)).collect();
            let outputs = made[step.writes].iter().copied().map(Some).collect();
            graph.nodes.push(Node { name: Arc::from(name), op: step.op, inputs, outputs });
        }
        let mut named: Vec<ValueId> = Vec::new();
        let mut values = Vec::with_capacity(outputs.len());
        for (index, output) in outputs.iter().enumerate() {
            if output.is_empty() {
                values.push(None);
                continue;
            }
            let given = self.outputs.iter().find(|(given, _)| *given == index).map(|(_, wire)| wire);
            let value = find(given.ok_or(index)?).ok_or(index)?;
            values.push(Some(name_output(graph, value, output, made.contains(&value), &mut named)));
        }
        Ok(values)
    }
}

/// Gives a value the name of an output; an Identity writes the output where the value is somebody else's or has a name of
/// that kind already.
pub(super) fn name_output(
    graph: &mut Graph,
    value: ValueId,
    name: &str,
    ours: bool,
    named: &mut Vec<ValueId>,
) -> ValueId {
    if ours && !named.contains(&value) {
        graph.value_mut(value).name = Arc::from(name);
        named.push(value);
        return value;
    }
    let output = graph.add_value(name, None);
    let (inputs, outputs) = (alloc::vec![Some(value)], alloc::vec![Some(output)]);
    graph.nodes.push(Node { name: Arc::from(""), op: Arc::new(Identity), inputs, outputs });
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Binary, Unary};
    use alloc::string::ToString;
    use alloc::vec;

    fn placed(fragment: Fragment, outputs: &[&str]) -> Result<String, usize> {
        let mut graph = Graph::default();
        let x = graph.add_value("x", None);
        graph.inputs.push(x);
        let names: Vec<String> = outputs.iter().map(|name| name.to_string()).collect();
        let values = fragment.place(&mut graph, "n", &[Some(x), None], &names)?;
        graph.outputs.extend(values.into_iter().flatten());
        crate::graph::verify(&graph).unwrap();
        Ok(graph.to_string())
    }

    #[test]
    fn steps_are_nodes_named_after_the_node() {
        let mut fragment = Fragment::new();
        let x = fragment.input(0);
        let two = fragment.scalar(2.0f32);
        let a = fragment.step(Binary::Mul, &[x, two]);
        let b = fragment.step(Unary::Exp, &[a]);
        let missing = fragment.input(1);
        let c = fragment.steps(crate::op::Clip, &[Some(b), Some(missing), Some(two)], 1)[0];
        fragment.give(0, c);
        fragment.give(1, a);
        let expected = "x
----
y1 = Mul(x, f32[] {2})
n.1 = Exp(y1)
y0 = Clip(n.1, -, f32[] {2})
----
y0
y1
";
        assert_eq!(placed(fragment.clone(), &["y0", "y1"]).unwrap(), expected);
        assert_eq!(placed(fragment.clone(), &["", "", "y2"]), Err(2));
        assert!(placed(fragment, &["", "y1"]).unwrap().ends_with("----\ny1\n"));
    }

    #[test]
    fn an_output_that_is_an_input_or_another_output_is_a_copy() {
        let mut fragment = Fragment::new();
        let x = fragment.input(0);
        let a = fragment.step(Unary::Exp, &[x]);
        fragment.give(0, x);
        fragment.give(1, a);
        fragment.give(2, a);
        let text = placed(fragment, &["p", "q", "r"]).unwrap();
        assert_eq!(text, "x\n----\nq = Exp(x)\np = Identity(x)\nr = Identity(q)\n----\np\nq\nr\n");
    }

    #[test]
    fn an_imported_operator_is_a_fragment_of_one_step() {
        let imported = Imported::with(Unary::Exp).constant(2, Tensor::scalar(1i64)).prepare(1, Unary::Neg);
        let fragment = Fragment::of(imported, 2, 1);
        assert_eq!(fragment.steps.len(), 2);
        assert_eq!(
            fragment.steps[1].inputs,
            vec![Some(Wire(Source::Input(0))), Some(Wire(Source::Made(0))), Some(Wire(Source::Constant(0)))]
        );
    }
}
