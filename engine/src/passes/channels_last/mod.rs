//! Keep the activations of quantised models bytes, with their channels innermost.
//!
//! ```text
//! c = Conv(Dq(q), Dq(w), b)                             t = Transpose(q, channels last)
//! r = QuantizeLinear(c)                                 u = ByteConv(t, w, scales, b)
//! y = QuantizeLinear(Add(Dq(r), Dq(p)))          ─▶     y = ByteConv(v, w', scales, b', residual u)
//! ```
//!
//! A product or convolution of what was dequantised, and what follows up to the next QuantizeLinear, becomes one operator over
//! bytes ([`find`]): the sums are exact integers, and every rounding that the model asks for is still made. Pools and
//! elementwise operators between such operators follow them. Bytes whose scale the run computes ([`dynamic`]) become real numbers at the
//! end of each operator, and bytes again by DynamicQuantizeLinear, with their channels innermost all the way. Images are transposed where they enter or leave; between these operators they are not. What
//! this pass does not see stays as it was, and may be computed in floats (`lower_integer`, `pair_quantize`).
//!
//! For devices with fast products of bytes. Weights must still be what the model has, bytes that are dequantised: so this comes
//! before they are folded, and after `lift_quantize` has brought quantisations to the operators that they belong to.

mod constants;
mod dynamic;
mod find;

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::Tensor;

use super::lift_quantize::grid;
use super::{Evaluate, Evaluation, drop_dead};
use crate::graph::{Fact, Graph, Node, ValueId};
use crate::op::{
    Binary, ByteConv, ByteMaxPool, Clip, DequantizeLinear, DynamicQuantizeLinear, Inputs, MaxPool, Op,
    QuantizeLinear, Transpose, Unary,
};
use find::{Found, Image, Search};

/// Rewrites every group of nodes that becomes one over bytes.
pub fn channels_last(graph: &mut Graph) {
    // A node that nobody needs would still be a reader.
    drop_dead(graph);
    let mut found: Vec<Option<Found>> = (0..graph.nodes.len()).map(|_| None).collect();
    let mut search = Search::new(graph);
    for index in 0..found.len() {
        if let Some(group) = search.from(index) {
            let last = *group.members.iter().max().expect("the node itself at least");
            found[last] = Some(group);
        }
    }
    let gone = search.gone;
    if found.iter().all(Option::is_none) {
        return;
    }
    let one_by_one = one_by_one(graph);
    let nodes = core::mem::take(&mut graph.nodes);
    let values = graph.values().len();
    let mut rewrite = Rewrite {
        graph,
        nodes: Vec::with_capacity(nodes.len()),
        last: alloc::vec![None; values],
        pending: alloc::vec![false; values],
        one_by_one,
    };
    for (index, node) in nodes.into_iter().enumerate() {
        match found[index].take() {
            Some(found) => rewrite.put(found),
            None if gone[index] => {}
            None => rewrite.keep(node),
        }
    }
    for output in rewrite.graph.outputs.clone() {
        rewrite.plain(output);
    }
    rewrite.graph.nodes = rewrite.nodes;
}

/// True when some weights are dequantised, so that the pass may find something.
pub(super) fn has_bytes(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| {
        let name = node.op.name();
        matches!(name, "QuantizeLinear" | "QLinearConv" | "QLinearMatMul" | "DynamicQuantizeLinear")
    })
}

/// Arithmetic that leaves weights of bytes as they are.
pub(super) struct Weights<'a>(pub(super) &'a dyn Evaluate);

impl Weights<'_> {
    fn spares(op: &dyn Op, inputs: &[Option<&Tensor>]) -> bool {
        let weights = |tensor: &&Tensor| tensor.shape().rank() > 1 && tensor.element().size() == 1;
        op.downcast::<DequantizeLinear>().is_some()
            && inputs.first().copied().flatten().is_some_and(|x| weights(&x))
    }
}

impl Evaluate for Weights<'_> {
    fn evaluate(
        &self,
        op: &dyn Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Fact],
    ) -> Option<Result<Vec<Tensor>, alloc::string::String>> {
        if Weights::spares(op, inputs) { None } else { self.0.evaluate(op, inputs, outputs) }
    }

    fn evaluate_paced<'a>(
        &'a self,
        op: &'a dyn Op,
        inputs: &'a [Option<&'a Tensor>],
        outputs: &'a [Fact],
    ) -> Option<Evaluation<'a>> {
        if Weights::spares(op, inputs) { None } else { self.0.evaluate_paced(op, inputs, outputs) }
    }
}

/// The new nodes, and which values are there with their channels innermost.
struct Rewrite<'a> {
    graph: &'a mut Graph,
    nodes: Vec<Node>,
    /// For each value of the old graph: the same with its channels innermost.
    last: Vec<Option<ValueId>>,
    /// Values that are there only so.
    pending: Vec<bool>,
    /// Values that only elementwise operators read.
    one_by_one: Vec<bool>,
}

/// For each value whether nobody but elementwise operators and quantisations reads it.
fn one_by_one(graph: &Graph) -> Vec<bool> {
    let mut only = alloc::vec![true; graph.values().len()];
    for node in graph.nodes.iter().filter(|node| !is_elementwise(graph, node)) {
        node.inputs.iter().flatten().for_each(|value| only[value.index()] = false);
    }
    graph.outputs.iter().for_each(|value| only[value.index()] = false);
    only
}

/// Whether each number of the output hangs on the numbers in the same place only, or on all alike.
fn is_elementwise(graph: &Graph, node: &Node) -> bool {
    let op = &*node.op;
    let quantisation =
        op.downcast::<QuantizeLinear>().is_some() || op.downcast::<DequantizeLinear>().is_some();
    op.downcast::<Unary>().is_some()
        || op.downcast::<Binary>().is_some()
        || op.downcast::<Clip>().is_some()
        || (quantisation && grid(graph, node).is_some())
}

impl Rewrite<'_> {
    /// A node that stays, or a pool that may be over bytes.
    fn keep(&mut self, node: Node) {
        if node.op.downcast::<DynamicQuantizeLinear>().is_some() && self.quantise_last(&node) {
            return;
        }
        if let Some(pool) = node.op.downcast::<MaxPool>()
            && let (Some(Some(x)), [Some(output)]) = (node.inputs.first(), &node.outputs[..])
            && let Some(last) = self.last.get(x.index()).copied().flatten()
            && self.pending[x.index()]
            && node.inputs.len() == 1
        {
            let op = ByteMaxPool { window: pool.window.clone(), ceil: pool.ceil };
            return self.write_last(&node.name, op, &[Some(last)], *output);
        }
        if let (Some(inputs), [Some(output)]) = (self.followed(&node), &node.outputs[..]) {
            return self.write_last_of(&node.name, node.op.clone(), &inputs, *output);
        }
        for input in node.inputs.iter().flatten() {
            self.plain(*input);
        }
        self.nodes.push(node);
    }

    /// Quantises numbers that are there with their channels innermost only, whose order changes neither scale nor zero point.
    fn quantise_last(&mut self, node: &Node) -> bool {
        let (Some(Some(x)), Some(Some(output))) = (node.inputs.first(), node.outputs.first()) else {
            return false;
        };
        let last = self.last.get(x.index()).copied().flatten().filter(|_| self.pending[x.index()]);
        let Some(last) = last else { return false };
        self.write_last_of(&node.name, node.op.clone(), &[Some(last)], *output);
        let written = self.nodes.last_mut().expect("just written");
        written.outputs.extend(&node.outputs[1..]);
        true
    }

    /// The inputs of an elementwise operator with their channels innermost, if they are there only so, or are one number. What
    /// is dequantised for others is turned round as bytes, which are fewer.
    fn followed(&self, node: &Node) -> Option<Vec<Option<ValueId>>> {
        let output = node.outputs.first().copied().flatten()?;
        let only = node.op.downcast::<DequantizeLinear>().is_none() || self.one_by_one[output.index()];
        if !only || !is_elementwise(self.graph, node) {
            return None;
        }
        let rank = self.graph.fact(output)?.shape.rank()?;
        let mut some = false;
        let inputs = node.inputs.iter().map(|input| {
            let Some(value) = *input else { return Some(None) };
            if self.graph.constant(value).is_some_and(|tensor| tensor.len() == 1) {
                return Some(*input);
            }
            let last =
                self.last.get(value.index()).copied().flatten().filter(|_| self.pending[value.index()])?;
            some = true;
            (self.graph.fact(last)?.shape.rank()? == rank).then_some(Some(last))
        });
        let inputs = inputs.collect::<Option<Vec<_>>>()?;
        some.then_some(inputs)
    }

    /// The operator that nodes have become.
    fn put(&mut self, found: Found) {
        let Found { mut op, mut inputs, output, image, name, .. } = found;
        match image {
            Image::ChannelsSecond => {
                let apart = self.apart(&*op, &inputs);
                let first = usize::from(apart.is_some());
                if let Some((new, x)) = apart {
                    self.plain(x);
                    op = new;
                }
                for index in found.images.into_iter().filter(|index| *index >= first) {
                    if let Some(Some(input)) = inputs.get(index).copied() {
                        inputs[index] = Some(self.channels_last(input));
                    }
                }
                self.write_last_of(&name, op, &inputs, output);
            }
            Image::ChannelsLast => {
                inputs.iter().flatten().for_each(|input| self.plain(*input));
                self.nodes.push(Node { name, op, inputs, outputs: alloc::vec![Some(output)] });
            }
        }
    }

    /// A convolution of an image that comes with few channels apart takes it as it is; with the image.
    fn apart(&self, op: &dyn Op, inputs: &[Option<ValueId>]) -> Option<(Arc<dyn Op>, ValueId)> {
        let conv = op.downcast::<ByteConv>().filter(|conv| conv.group == 1)?;
        let x = (*inputs.first()?)?;
        let dims = self.graph.fact(x)?.shape.dims()?;
        let few = dims.len() > 2 && dims[1].fixed().is_some_and(|channels| channels <= 4);
        let apart = few && self.last[x.index()].is_none();
        apart.then(|| (Arc::new(ByteConv { apart, ..conv.clone() }) as Arc<dyn Op>, x))
    }

    /// The value with its channels innermost.
    fn channels_last(&mut self, value: ValueId) -> ValueId {
        if let Some(last) = self.last[value.index()] {
            return last;
        }
        let rank = self.graph.fact(value).and_then(|fact| fact.shape.rank()).unwrap_or(0);
        let perm = core::iter::once(0).chain(2..rank).chain([1]).collect();
        let op: Arc<dyn Op> = Arc::new(Transpose { perm: Some(perm) });
        let last = self.write("", op, &[Some(value)]);
        self.last[value.index()] = Some(last);
        last
    }

    /// Makes sure that the value is there as the old graph has it.
    fn plain(&mut self, value: ValueId) {
        if !self.pending.get(value.index()).copied().unwrap_or(false) {
            return;
        }
        let Some(last) = self.last[value.index()] else { return };
        let rank = self.graph.fact(last).and_then(|fact| fact.shape.rank()).unwrap_or(0);
        let perm = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        self.pending[value.index()] = false;
        self.nodes.push(Node {
            name: "".into(),
            op: Arc::new(Transpose { perm: Some(perm) }),
            inputs: alloc::vec![Some(last)],
            outputs: alloc::vec![Some(value)],
        });
    }

    fn write_last(&mut self, name: &Arc<str>, op: impl Op, inputs: &[Option<ValueId>], output: ValueId) {
        self.write_last_of(name, Arc::new(op), inputs, output);
    }

    /// A node that writes `output` with its channels innermost.
    fn write_last_of(
        &mut self,
        name: &Arc<str>,
        op: Arc<dyn Op>,
        inputs: &[Option<ValueId>],
        output: ValueId,
    ) {
        let last = self.write(name, op, inputs);
        self.last[output.index()] = Some(last);
        self.pending[output.index()] = true;
    }

    /// A node with a new value for its output.
    fn write(&mut self, name: &str, op: Arc<dyn Op>, inputs: &[Option<ValueId>]) -> ValueId {
        let facts: Vec<Option<&Fact>> = inputs.iter().map(|id| self.graph.fact((*id)?)).collect();
        let fact = Inputs::new(&facts, 1).infer(&*op).ok().and_then(|facts| facts.into_iter().next());
        let output = self.graph.add_value("", fact);
        let (inputs, outputs) = (inputs.to_vec(), alloc::vec![Some(output)]);
        self.nodes.push(Node { name: name.into(), op, inputs, outputs });
        output
    }
}

#[cfg(test)]
mod tests;
