//! Products of bytes whose scale and zero point the run computes, as dynamic quantisation writes them.
//!
//! ```text
//!  x ─▶ DynamicQuantizeLinear ─┬─ bytes ─▶ ConvInteger | MatMulInteger ─▶ Cast ─▶ Mul ─▶ [Add, PRelu, Relu, …]
//!                              ├─ zero point ─┘                                  ▲
//!                              └─ scale ─▶ Mul by those of the weights ──────────┘
//! ```
//!
//! becomes a [`ByteConv`](crate::op::ByteConv) with the scale and the zero point among its inputs: the sums are the same integers, and
//! what follows is done while they are in registers. What is written in another way stays for `lower_integer`.

use alloc::vec::Vec;

use inferry_core::ElementType;

use super::super::lift_quantize::Grid;
use super::constants::{Order, by_channel, weights};
use super::find::{Base, Bias, Found, Image, Search, Tail};
use crate::graph::ValueId;
use crate::op::{Binary, Cast, ConvInteger, DynamicQuantizeLinear, MatMulInteger, Window};

impl Search<'_> {
    /// ConvInteger or MatMulInteger of what DynamicQuantizeLinear gave, and what follows it.
    pub(super) fn dynamic(&mut self, index: usize) -> Option<Found> {
        let node = self.graph.nodes[index].clone();
        let input = |at: usize| node.inputs.get(at).copied().flatten();
        let (x, zero) = (input(0)?, input(2)?);
        let rank = self.rank(x)?;
        let (window, group, order, image, least) = match node.op.downcast::<ConvInteger>() {
            Some(op) => (op.window.clone(), op.group, Order::FeaturesFirst, Image::ChannelsSecond, 3),
            None => {
                node.op.downcast::<MatMulInteger>()?;
                (Window::default(), 1, Order::FeaturesLast, Image::ChannelsLast, 2)
            }
        };
        let behind = if order == Order::FeaturesFirst { rank.checked_sub(2)? } else { 0 };
        if !(least..=4).contains(&rank) {
            return None;
        }
        let scale = self.dynamic_scale(x, zero)?;
        let cast = self.next(node.outputs[0]?)?;
        let to = self.graph.nodes[cast].op.downcast::<Cast>()?.to;
        let sum = self.graph.nodes[cast].outputs[0].filter(|_| to == ElementType::F32)?;
        let (scaled, of_weights) = self.scaled(sum, scale)?;
        let found = weights(self.graph, [input(1), Some(of_weights), input(3)], order, rank)?;
        let scales: Vec<f32> = by_channel(self.graph, of_weights, found.scales.len(), behind)?;
        let output = self.graph.nodes[scaled].outputs[0]?;
        let bias = Bias::Real(alloc::vec![0.0; scales.len()]);
        let grid = Grid { scale: 1.0, zero: 0, element: ElementType::U8 };
        let (weights, run) = (found.weights, Some([scale, zero]));
        let base = Base { window, group, grid, run, x, weights, scales, bias, behind, image };
        self.walk(base, Tail::after(alloc::vec![index, cast, scaled]), Some(output), output)
    }

    /// The scale of bytes and a zero point that one DynamicQuantizeLinear gives.
    fn dynamic_scale(&self, bytes: ValueId, zero: ValueId) -> Option<ValueId> {
        let from = &self.graph.nodes[self.writers[bytes.index()]?];
        from.op.downcast::<DynamicQuantizeLinear>()?;
        match from.outputs[..] {
            [Some(y), Some(scale), Some(z)] if (y, z) == (bytes, zero) => Some(scale),
            _ => None,
        }
    }

    /// The Mul that scales sums, and the constant among the factors of what it scales them by; the other one is `scale`.
    fn scaled(&self, sum: ValueId, scale: ValueId) -> Option<(usize, ValueId)> {
        let reader = self.next(sum)?;
        let by = self.other_factor(reader, sum)?;
        let constant = self.other_factor(self.writers[by.index()]?, scale)?;
        Some((reader, constant))
    }

    /// What a Mul multiplies `value` by.
    fn other_factor(&self, node: usize, value: ValueId) -> Option<ValueId> {
        let node = &self.graph.nodes[node];
        match node.inputs[..] {
            _ if node.op.downcast::<Binary>() != Some(&Binary::Mul) => None,
            [Some(a), Some(b)] if a == value => Some(b),
            [Some(a), Some(b)] if b == value => Some(a),
            _ => None,
        }
    }
}
