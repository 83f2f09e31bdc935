//! Which nodes become one operator over bytes.
//!
//! From a convolution or product of bytes the search walks along values that only one node reads:
//!
//! ```text
//!  Conv | Gemm | MatMul ─▶ [BatchNormalization | Add of a vector] ─▶ [Q ─▶ Dq] ─▶ [PRelu] ─▶ [Add of Dq(residual)] ─▶ [Relu | Clip] ─▶ Q
//! ```
//!
//! and stops at the last QuantizeLinear that it has come to. Without any, it stops where it cannot go on, and gives real numbers.
//! What dynamic quantisation writes ([`dynamic`](super::dynamic)) begins with a few nodes more.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};

use super::super::lift_quantize::{Grid, grid};
use super::constants::{Order, by_channel, vector, weights};
use crate::graph::{Dim, Graph, Node, ValueId};
use crate::op::{
    BatchNormalization, Binary, ByteConv, ByteMean, Clip, Conv, ConvInteger, DequantizeLinear, Gemm,
    GlobalPool, GlobalPoolKind, MatMul, MatMulInteger, Op, QLinearConv, QLinearMatMul, QuantizeLinear,
    Rounding, Target, Unary, Window,
};

/// Nodes that become one.
pub(super) struct Found {
    /// By position.
    pub(super) members: Vec<usize>,
    pub(super) op: Arc<dyn Op>,
    /// Its inputs, as the old graph has them.
    pub(super) inputs: Vec<Option<ValueId>>,
    /// Those of them that are images.
    pub(super) images: Vec<usize>,
    pub(super) image: Image,
    /// What the old graph has for its output.
    pub(super) output: ValueId,
    pub(super) name: Arc<str>,
}

/// How the old graph has the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// `[N, C, spatial...]`
    ChannelsSecond,
    /// `[..., C]`, as the new operator has them.
    ChannelsLast,
}

/// The graph, and who writes and reads its values.
pub(super) struct Search<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) writers: Vec<Option<usize>>,
    /// The node that reads a value, where it is the only one and the value is no output.
    reader: Vec<Option<usize>>,
    /// For each node whether it is a member of something that was found.
    pub(super) gone: Vec<bool>,
}

/// A convolution or product of bytes, before what follows it.
pub(super) struct Base {
    pub(super) window: Window,
    pub(super) group: usize,
    pub(super) grid: Grid,
    /// A scale and a zero point that only the run knows, instead of the zero point of `grid`.
    pub(super) run: Option<[ValueId; 2]>,
    pub(super) x: ValueId,
    pub(super) weights: ValueId,
    /// One real number for each unit of a channel's sums.
    pub(super) scales: Vec<f32>,
    pub(super) bias: Bias,
    /// Dimensions that follow the channels in the old graph.
    pub(super) behind: usize,
    pub(super) image: Image,
}

pub(super) enum Bias {
    Real(Vec<f32>),
    /// In units of the sums.
    Whole(ValueId),
}

/// What follows a product, as far as it has been walked.
#[derive(Default)]
pub(super) struct Tail {
    members: Vec<usize>,
    rounding: Option<Rounding>,
    slope: Option<Vec<f32>>,
    residual: Option<(Grid, ValueId)>,
    /// Limits that the next rounding has to keep.
    clip: Option<[f32; 2]>,
    /// Where it may end: how many members, the target, and the bytes.
    end: Option<End>,
}

impl Tail {
    /// These nodes, and nothing that is done to their result yet.
    pub(super) fn after(members: Vec<usize>) -> Tail {
        Tail { members, ..Tail::default() }
    }
}

struct End {
    members: usize,
    /// `None` for real numbers.
    target: Option<Target>,
    /// What these are held within.
    limits: Option<[f32; 2]>,
    output: ValueId,
    rounding: Option<Rounding>,
    slope: Option<Vec<f32>>,
    residual: Option<(Grid, ValueId)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(graph: &'a mut Graph) -> Search<'a> {
        let (writers, uses) = (graph.writers(), graph.uses());
        let mut reader = alloc::vec![None; graph.values().len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for value in node.inputs.iter().flatten().filter(|value| uses[value.index()] == 1) {
                reader[value.index()] = Some(index);
            }
        }
        let gone = alloc::vec![false; graph.nodes.len()];
        Search { graph, writers, reader, gone }
    }

    /// What becomes of the node at `index` and those that follow it, which are then no longer to be found.
    pub(super) fn from(&mut self, index: usize) -> Option<Found> {
        let found = self.start(index)?;
        found.members.iter().for_each(|member| self.gone[*member] = true);
        Some(found)
    }

    /// The node that reads `value`, where it is the only one and not gone.
    pub(super) fn next(&self, value: ValueId) -> Option<usize> {
        self.reader[value.index()].filter(|reader| !self.gone[*reader])
    }

    fn start(&mut self, index: usize) -> Option<Found> {
        let op = self.graph.nodes[index].op.clone();
        if let Some(op) = op.downcast::<QLinearConv>() {
            return self.qlinear(index, &op.window, op.group, Order::FeaturesFirst);
        }
        if op.downcast::<QLinearMatMul>().is_some() {
            return self.qlinear(index, &Window::default(), 1, Order::FeaturesLast);
        }
        if op.downcast::<ConvInteger>().is_some() || op.downcast::<MatMulInteger>().is_some() {
            return self.dynamic(index);
        }
        if let Some(pool) = op.downcast::<GlobalPool>() {
            return if pool.kind == GlobalPoolKind::Average { self.mean(index) } else { None };
        }
        let base = self.base(index)?;
        self.along(index, base)
    }

    /// A convolution or product of what was dequantised.
    fn base(&mut self, index: usize) -> Option<Base> {
        let node = self.graph.nodes[index].clone();
        let input = |at: usize| node.inputs.get(at).copied().flatten();
        if let Some(conv) = node.op.downcast::<Conv>() {
            let (rank, image) = (self.rank(input(0)?)?, Image::ChannelsSecond);
            let window = conv.window.clone();
            return self.base_of(&node, (window, conv.group), Order::FeaturesFirst, (rank, rank - 2, image));
        }
        let flat = (Window::default(), 1);
        if let Some(gemm) = node.op.downcast::<Gemm>() {
            let order = if gemm.trans_b { Order::FeaturesFirst } else { Order::FeaturesLast };
            let plain = !gemm.trans_a && gemm.alpha == 1.0 && (gemm.beta == 1.0 || input(2).is_none());
            return plain.then(|| self.base_of(&node, flat, order, (2, 0, Image::ChannelsLast)))?;
        }
        node.op.downcast::<MatMul>()?;
        let rank = self.rank(input(0)?)?;
        self.base_of(&node, flat, Order::FeaturesLast, (rank, 0, Image::ChannelsLast))
    }

    fn base_of(
        &mut self,
        node: &Node,
        (window, group): (Window, usize),
        order: Order,
        (rank, behind, image): (usize, usize, Image),
    ) -> Option<Base> {
        if !(2..=4).contains(&rank) {
            return None;
        }
        let (grid, x) = self.bytes(node.inputs[0]?)?;
        let dequantise = &self.graph.nodes[self.writers[(*node.inputs.get(1)?)?.index()]?];
        let op = *dequantise.op.downcast::<DequantizeLinear>()?;
        let inputs = [0, 1, 2].map(|at| dequantise.inputs.get(at).copied().flatten());
        // A vector of scales must go with the output channels.
        let scales = self.graph.constant(inputs[1]?)?;
        let axes: [i64; 2] = if order == Order::FeaturesFirst { [0, 0] } else { [1, -1] };
        if op.block_size != 0 || (scales.len() > 1 && !axes.contains(&op.axis)) {
            return None;
        }
        let bias = node.inputs.get(2).copied().flatten();
        let found = weights(self.graph, inputs, order, rank)?;
        let count = found.scales.len();
        let bias = match bias {
            Some(bias) => by_channel(self.graph, bias, count, 0)?,
            None => alloc::vec![0.0; count],
        };
        let scales = found.scales.iter().map(|scale| scale * grid.scale).collect();
        let (weights, bias) = (found.weights, Bias::Real(bias));
        Some(Base { window, group, grid, run: None, x, weights, scales, bias, behind, image })
    }

    pub(super) fn rank(&self, value: ValueId) -> Option<usize> {
        self.graph.fact(value)?.shape.rank()
    }

    /// The bytes that a value was dequantised from.
    fn bytes(&self, value: ValueId) -> Option<(Grid, ValueId)> {
        let node = &self.graph.nodes[self.writers[value.index()]?];
        node.op.downcast::<DequantizeLinear>()?;
        Some((grid(self.graph, node)?, node.inputs[0]?))
    }

    /// QLinearConv and QLinearMatMul, which have everything in one node.
    fn qlinear(&mut self, index: usize, window: &Window, group: usize, order: Order) -> Option<Found> {
        let node = self.graph.nodes[index].clone();
        let input = |at: usize| node.inputs.get(at).copied().flatten();
        let number = |graph: &Graph, id: ValueId| {
            let scale = graph.constant(id)?.to_vec::<f32>().ok()?;
            (scale.len() == 1 && scale[0].is_finite() && scale[0] > 0.0).then(|| scale[0])
        };
        let zero = |graph: &Graph, id: ValueId| {
            let zeros = graph.fact(id)?.integers()?;
            (zeros.len() == 1).then(|| i32::try_from(zeros[0]).ok())?
        };
        let (x, output) = (input(0)?, node.outputs[0]?);
        let rank = self.rank(x).filter(|rank| (2..=4).contains(rank))?;
        let (scale, grid_zero) = (number(self.graph, input(1)?)?, zero(self.graph, input(2)?)?);
        let grid = Grid { scale, zero: grid_zero, element: self.graph.fact(x)?.element };
        let element = self.graph.fact(input(7)?)?.element;
        let target =
            Grid { scale: number(self.graph, input(6)?)?, zero: zero(self.graph, input(7)?)?, element };
        let found = weights(self.graph, [input(3), input(4), input(5)], order, rank)?;
        let scales: Vec<f32> = found.scales.iter().map(|scale| grid.scale * scale).collect();
        let bias = match input(8) {
            Some(bias) => {
                let vector = self.graph.constant(bias)?;
                (vector.element() == ElementType::I32 && vector.len() == scales.len())
                    .then_some(Bias::Whole(bias))?
            }
            None => Bias::Real(alloc::vec![0.0; scales.len()]),
        };
        let image = if order == Order::FeaturesFirst { Image::ChannelsSecond } else { Image::ChannelsLast };
        let (window, weights) = (window.clone(), found.weights);
        let behind = rank - 2;
        let base = Base { window, group, grid, run: None, x, weights, scales, bias, behind, image };
        let mut tail = Tail::after(alloc::vec![index]);
        let next = self.quantised(&mut tail, target, output);
        self.walk(base, tail, next, output)
    }

    /// GlobalAveragePool between quantisations.
    fn mean(&mut self, index: usize) -> Option<Found> {
        let node = &self.graph.nodes[index];
        let (from, x) = self.bytes(node.inputs[0]?)?;
        let quantise = self.next(node.outputs[0]?)?;
        let end = &self.graph.nodes[quantise];
        end.op.downcast::<QuantizeLinear>()?;
        let target = target_of(grid(self.graph, end)?, None);
        if !(3..=4).contains(&self.rank(x)?) {
            return None;
        }
        Some(Found {
            members: alloc::vec![index, quantise],
            op: Arc::new(ByteMean { scale: from.scale, zero: from.zero, target }),
            inputs: alloc::vec![Some(x)],
            images: alloc::vec![0],
            image: Image::ChannelsSecond,
            output: end.outputs[0]?,
            name: node.name.clone(),
        })
    }

    /// Walks on from a product.
    fn along(&mut self, index: usize, base: Base) -> Option<Found> {
        let first = self.graph.nodes[index].outputs[0]?;
        self.walk(base, Tail::after(alloc::vec![index]), Some(first), first)
    }

    /// Walks on to `next` and further; `last` is what the members so far give.
    pub(super) fn walk(
        &mut self,
        mut base: Base,
        mut tail: Tail,
        mut next: Option<ValueId>,
        mut last: ValueId,
    ) -> Option<Found> {
        while let Some(value) = next {
            last = value;
            next = self.step(&mut base, &mut tail, value);
        }
        let end = tail.end.take().unwrap_or(End {
            members: tail.members.len(),
            target: None,
            limits: tail.clip,
            output: last,
            rounding: tail.rounding,
            slope: tail.slope,
            residual: tail.residual,
        });
        self.found(base, &tail.members[..end.members], end)
    }

    /// Joins the node that reads `value`, if it can; what it gives.
    fn step(&mut self, base: &mut Base, tail: &mut Tail, value: ValueId) -> Option<ValueId> {
        let reader = self.next(value)?;
        let node = self.graph.nodes[reader].clone();
        let output = node.outputs.first().copied().flatten()?;
        let untouched = tail.rounding.is_none() && tail.clip.is_none() && tail.slope.is_none();
        let untouched = untouched && tail.residual.is_none() && tail.end.is_none();
        let open = tail.clip.is_none() && tail.residual.is_none();
        let count = base.scales.len();
        if node.op.downcast::<QuantizeLinear>().is_some() {
            let grid = grid(self.graph, &node)?;
            tail.members.push(reader);
            return self.quantised(tail, grid, output);
        }
        if let Some(clip) = self.limits(&node) {
            let [low, high] = tail.clip.unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
            tail.clip = Some([low.max(clip[0]), high.min(clip[1]).max(low)]);
        } else if let Some(Unary::LeakyRelu { alpha }) = node.op.downcast::<Unary>() {
            if !open || tail.slope.is_some() {
                return None;
            }
            tail.slope = Some(alloc::vec![*alpha; count]);
        } else if node.op.downcast::<Binary>() == Some(&Binary::PRelu) && node.inputs[0] == Some(value) {
            if !open || tail.slope.is_some() {
                return None;
            }
            tail.slope = Some(by_channel(self.graph, node.inputs[1]?, count, base.behind)?);
        } else if node.op.downcast::<Binary>() == Some(&Binary::Add) {
            let other = node.inputs.iter().flatten().copied().find(|input| *input != value)?;
            if untouched && let Some(vector) = by_channel(self.graph, other, count, base.behind) {
                let Bias::Real(bias) = &mut base.bias else { return None };
                bias.iter_mut().zip(vector).for_each(|(bias, more)| *bias += more);
            } else {
                let same = self.same_shape(value, other);
                tail.residual = Some(self.bytes(other).filter(|_| open && same)?);
            }
        } else if let Some(norm) = node.op.downcast::<BatchNormalization>().filter(|_| untouched) {
            self.normalise(base, &node, norm.epsilon)?;
        } else {
            return None;
        }
        tail.members.push(reader);
        Some(output)
    }

    /// The walk may end with these bytes; or goes on with the DequantizeLinear behind them.
    fn quantised(&mut self, tail: &mut Tail, grid_of: Grid, output: ValueId) -> Option<ValueId> {
        let target = target_of(grid_of, tail.clip);
        tail.end = Some(End {
            members: tail.members.len(),
            target: Some(target),
            limits: None,
            output,
            rounding: tail.rounding,
            slope: tail.slope.clone(),
            residual: tail.residual,
        });
        let back = self.next(output)?;
        let node = &self.graph.nodes[back];
        let goes_on = tail.rounding.is_none() && tail.slope.is_none() && tail.residual.is_none();
        node.op
            .downcast::<DequantizeLinear>()
            .filter(|_| goes_on && grid(self.graph, node) == Some(grid_of))?;
        tail.rounding = Some(target.rounding);
        tail.clip = None;
        tail.members.push(back);
        node.outputs[0]
    }

    /// The limits of Relu and Clip.
    fn limits(&self, node: &Node) -> Option<[f32; 2]> {
        if node.op.downcast::<Unary>() == Some(&Unary::Relu) {
            return Some([0.0, f32::INFINITY]);
        }
        node.op.downcast::<Clip>()?;
        let bound = |index: usize, otherwise: f32| match node.inputs.get(index).copied().flatten() {
            Some(value) => self.graph.constant(value)?.to_vec::<f32>().ok()?.first().copied(),
            None => Some(otherwise),
        };
        let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
        (low <= high).then_some([low, high])
    }

    /// Takes a normalisation with constant statistics into scales and bias.
    fn normalise(&self, base: &mut Base, node: &Node, epsilon: f32) -> Option<()> {
        let count = base.scales.len();
        let of = |index: usize| vector(self.graph, node, index, count);
        let (scale, shift, mean, variance) = (of(1)?, of(2)?, of(3)?, of(4)?);
        let Bias::Real(bias) = &mut base.bias else { return None };
        let factor = |channel: usize| scale[channel] / libm::sqrtf(variance[channel] + epsilon);
        let factors: Vec<f32> = (0..count).map(factor).collect();
        if factors.iter().any(|factor| !factor.is_finite()) {
            return None;
        }
        for (channel, factor) in factors.into_iter().enumerate() {
            base.scales[channel] *= factor;
            bias[channel] = (bias[channel] - mean[channel]) * factor + shift[channel];
        }
        Some(())
    }

    /// True when two values are known to have the same shape.
    fn same_shape(&self, a: ValueId, b: ValueId) -> bool {
        let dims = |value: ValueId| self.graph.fact(value).and_then(|fact| fact.shape.dims());
        let (Some(a), Some(b)) = (dims(a), dims(b)) else { return false };
        a == b && a.iter().all(|dim| *dim != Dim::Unknown)
    }

    /// The operator over bytes.
    fn found(&mut self, base: Base, members: &[usize], end: End) -> Option<Found> {
        let count = base.scales.len();
        let mut vector = |values: &[f32]| {
            let tensor = Tensor::from_slice(values, Shape::from([count])).ok()?;
            Some(self.graph.add_constant("", tensor))
        };
        let bias = match &base.bias {
            Bias::Real(values) => vector(values)?,
            Bias::Whole(value) => *value,
        };
        let scale = vector(&base.scales)?;
        let slope = match &end.slope {
            Some(slope) => Some(vector(slope)?),
            None => None,
        };
        let op = ByteConv {
            window: base.window,
            group: base.group,
            zero: base.grid.zero,
            apart: false,
            rounding: end.rounding,
            residual: end.residual.map_or((1.0, 0), |(grid, _)| (grid.scale, grid.zero)),
            target: end.target,
            limits: end.limits,
        };
        let mut inputs = [Some(base.x), Some(base.weights), Some(scale), Some(bias), slope].to_vec();
        inputs.push(end.residual.map(|(_, bytes)| bytes));
        inputs.extend(base.run.into_iter().flatten().map(Some));
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        Some(Found {
            members: members.to_vec(),
            op: Arc::new(op),
            inputs,
            images: alloc::vec![0, 5],
            image: base.image,
            output: end.output,
            name: self.graph.nodes[members[0]].name.clone(),
        })
    }
}

/// The bytes of a quantisation, within the limits of an activation before it.
fn target_of(grid: Grid, clip: Option<[f32; 2]>) -> Target {
    let least = if grid.element == ElementType::I8 { -128 } else { 0 };
    let (mut low, mut high) = ((least - grid.zero) as f32, (least + 255 - grid.zero) as f32);
    if let Some([least, most]) = clip {
        // Rounding keeps the order, so that the limits may be rounded instead of the number.
        low = low.max(libm::rintf(least / grid.scale)).min(high);
        high = high.min(libm::rintf(most / grid.scale)).max(low);
    }
    Target { rounding: Rounding { scale: grid.scale, low, high }, zero: grid.zero, element: grid.element }
}
