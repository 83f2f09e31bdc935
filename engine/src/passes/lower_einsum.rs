//! Einsum as the products of matrices that it mostly is.
//!
//! ```text
//! y = Einsum("bsnh,nhd->bsd")(x, w)   ─▶   a = Reshape(x, [0, 0, -1])     (b, s, nh)
//!                                          c = Reshape(w, ...)            (nh, d)
//!                                          y = MatMul(a, c)
//! ```
//!
//! Operands are taken in twos, from the left. Dimensions that both have and the result keeps are a batch; those that both
//! have and nobody keeps are summed over by a MatMul (brought together where they are several); the others are rows and
//! columns. What no product of matrices does (a letter twice in a term, a sum over something that is repeated)
//! stays an Einsum, for which devices have a plain kernel.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::graph::{Dim, Fact, Graph, Node, ValueId};
use crate::op::{
    Binary, Einsum, Identity, Inputs, MatMul, Op, Reduce, ReduceKind, Reshape, Squeeze, Transpose, Unsqueeze,
    int64s,
};

/// Rewrites every Einsum that can be.
pub fn lower_einsum(graph: &mut Graph) {
    for node in core::mem::take(&mut graph.nodes) {
        match lower(graph, &node) {
            Some(lowered) => graph.nodes.extend(lowered),
            None => graph.nodes.push(node),
        }
    }
}

/// True when the graph or one within it has an Einsum.
pub(super) fn is_needed(graph: &Graph) -> bool {
    let inside = |node: &Node| node.op.bodies().iter().any(|body| is_needed(&body.graph));
    graph.nodes.iter().any(|node| node.op.downcast::<Einsum>().is_some() || inside(node))
}

fn lower(graph: &mut Graph, node: &Node) -> Option<Vec<Node>> {
    let op = node.op.downcast::<Einsum>()?;
    let inputs: Vec<ValueId> = node.inputs.iter().copied().collect::<Option<_>>()?;
    let ranks: Vec<usize> = inputs.iter().map(|id| graph.fact(*id)?.shape.rank()).collect::<Option<_>>()?;
    let resolved = op.resolve(&ranks).ok()?;
    let twice = |dims: &Vec<usize>| (1..dims.len()).any(|at| dims[..at].contains(&dims[at]));
    if resolved.operands.iter().any(twice) {
        return None;
    }
    let output = (*node.outputs.first()?)?;
    let mut lowering = Lowering { graph, node, nodes: Vec::new() };
    let operands = inputs.into_iter().zip(resolved.operands).map(|(id, dims)| Operand { id, dims });
    let mut operands: Vec<Operand> = operands.collect();
    while operands.len() > 1 {
        let (a, b) = (operands.remove(0), operands.remove(0));
        let kept = |dim: &usize| {
            resolved.output.contains(dim) || operands.iter().any(|other| other.dims.contains(dim))
        };
        let both = lowering.product(a, b, &kept)?;
        operands.insert(0, both);
    }
    let last = operands.pop()?;
    let last = lowering.sum(last, &|dim: &usize| resolved.output.contains(dim))?;
    let last = lowering.arrange(last, &resolved.output)?;
    Some(lowering.finish(last.id, output))
}

/// A value and which dimension of the equation each of its own is.
#[derive(Clone, Debug)]
struct Operand {
    id: ValueId,
    dims: Vec<usize>,
}

/// The nodes that replace one.
struct Lowering<'a> {
    graph: &'a mut Graph,
    node: &'a Node,
    nodes: Vec<Node>,
}

impl Lowering<'_> {
    /// The product of two operands, summed over what is not kept.
    fn product(&mut self, a: Operand, b: Operand, kept: &dyn Fn(&usize) -> bool) -> Option<Operand> {
        let a = self.sum(a.clone(), &|dim: &usize| kept(dim) || b.dims.contains(dim))?;
        let b = self.sum(b, &|dim: &usize| kept(dim) || a.dims.contains(dim))?;
        let of = |operand: &Operand, wanted: &dyn Fn(&usize) -> bool| -> Vec<usize> {
            operand.dims.iter().copied().filter(|dim| wanted(dim)).collect()
        };
        let batch = of(&a, &|dim| b.dims.contains(dim) && kept(dim));
        let summed = of(&a, &|dim| b.dims.contains(dim) && !kept(dim));
        let rows = of(&a, &|dim| !b.dims.contains(dim));
        let columns = of(&b, &|dim| !a.dims.contains(dim));
        if summed.iter().any(|dim| !self.same_extent(&a, &b, *dim)) {
            return None;
        }
        if summed.is_empty() {
            return self.outer(a, b, &batch, &rows, &columns);
        }
        self.matrices(a, b, &batch, &summed, &rows, &columns)
    }

    /// Every element of one with every element of the other, along a batch.
    fn outer(
        &mut self,
        a: Operand,
        b: Operand,
        batch: &[usize],
        rows: &[usize],
        columns: &[usize],
    ) -> Option<Operand> {
        let a = self.arrange(a, &[batch, rows].concat())?;
        let b = self.arrange(b, &[batch, columns].concat())?;
        let a = self.unsqueeze(a.id, batch.len() + rows.len(), columns.len())?;
        let b = self.unsqueeze(b.id, batch.len(), rows.len())?;
        let id = self.push(Binary::Mul, &[a, b])?;
        Some(Operand { id, dims: [batch, rows, columns].concat() })
    }

    /// By a MatMul of `[batch, further rows, further columns, row, summed]` and `[..., summed, column]`.
    fn matrices(
        &mut self,
        a: Operand,
        b: Operand,
        batch: &[usize],
        summed: &[usize],
        rows: &[usize],
        columns: &[usize],
    ) -> Option<Operand> {
        let (row, further_rows) =
            rows.split_last().map_or((&[][..], rows), |(_, rest)| (&rows[rest.len()..], rest));
        // Columns of fixed extents are brought together: the right side is mostly a constant.
        let extents: Option<Vec<i64>> = columns.iter().map(|dim| self.extent(&b, *dim)).collect();
        let together = extents.filter(|extents| extents.len() > 1 && !extents.contains(&0));
        let (column, further_columns): (&[usize], &[usize]) = match (&together, columns) {
            (Some(_), columns) => (columns, &[]),
            (None, [rest @ .., _]) => (&columns[rest.len()..], rest),
            (None, []) => (&[], &[]),
        };

        let a = self.arrange(a, &[batch, further_rows, row, summed].concat())?;
        let mut left = self.merge_last(a.id, a.dims.len(), summed.len())?;
        if row.is_empty() {
            left = self.unsqueeze(left, batch.len() + further_rows.len(), 1)?;
        }
        left = self.unsqueeze(left, batch.len() + further_rows.len(), further_columns.len())?;

        // What is summed over comes last for a moment, where it can be brought together.
        let mut right = if summed.len() > 1 {
            let b = self.arrange(b, &[batch, further_columns, column, summed].concat())?;
            let merged = self.merge_last(b.id, b.dims.len(), summed.len())?;
            let before = batch.len() + further_columns.len();
            let mut perm: Vec<usize> = (0..before).collect();
            perm.push(before + column.len());
            perm.extend(before..before + column.len());
            self.transpose(merged, perm)?
        } else {
            self.arrange(b, &[batch, further_columns, summed, column].concat())?.id
        };
        if together.is_some() {
            right = self.merge_last(right, batch.len() + 1 + column.len(), column.len())?;
        }
        if column.is_empty() {
            right = self.unsqueeze(right, batch.len() + further_columns.len() + 1, 1)?;
        }
        // Without a batch, what is missing in front goes along by itself.
        if !batch.is_empty() {
            right = self.unsqueeze(right, batch.len(), further_rows.len())?;
        }

        let mut id = self.push(MatMul, &[left, right])?;
        let before = batch.len() + further_rows.len() + further_columns.len();
        if let Some(extents) = &together {
            let zeros = alloc::vec![0; before + 1];
            id = self.reshape(id, &[&zeros[..], extents].concat())?;
        }
        // Neither has both a row and a column of one element too many, unless there were none.
        let mut gone: Vec<i64> = Vec::new();
        gone.extend(row.is_empty().then_some(before as i64));
        gone.extend(column.is_empty().then_some(before as i64 + 1));
        if !gone.is_empty() {
            let axes = self.graph.add_constant("", int64s(&gone));
            id = self.push(Squeeze, &[id, axes])?;
        }
        Some(Operand { id, dims: [batch, further_rows, further_columns, row, column].concat() })
    }

    /// The sum over what is not kept.
    fn sum(&mut self, operand: Operand, kept: &dyn Fn(&usize) -> bool) -> Option<Operand> {
        let gone: Vec<i64> =
            (0..operand.dims.len()).filter(|at| !kept(&operand.dims[*at])).map(|at| at as i64).collect();
        if gone.is_empty() {
            return Some(operand);
        }
        let axes = self.graph.add_constant("", int64s(&gone));
        let reduce = Reduce { kind: ReduceKind::Sum, keep_dims: false, noop_with_empty_axes: true };
        let id = self.push(reduce, &[operand.id, axes])?;
        Some(Operand { id, dims: operand.dims.into_iter().filter(|dim| kept(dim)).collect() })
    }

    /// The dimensions in another order.
    fn arrange(&mut self, operand: Operand, order: &[usize]) -> Option<Operand> {
        let perm: Option<Vec<usize>> =
            order.iter().map(|dim| operand.dims.iter().position(|other| other == dim)).collect();
        let id = self.transpose(operand.id, perm?)?;
        Some(Operand { id, dims: order.to_vec() })
    }

    fn transpose(&mut self, id: ValueId, perm: Vec<usize>) -> Option<ValueId> {
        if perm.is_sorted() {
            return Some(id);
        }
        self.push(Transpose { perm: Some(perm) }, &[id])
    }

    /// The last `count` of `rank` dimensions as one.
    fn merge_last(&mut self, id: ValueId, rank: usize, count: usize) -> Option<ValueId> {
        if count == 1 {
            return Some(id);
        }
        let mut shape = alloc::vec![0; rank - count];
        shape.push(-1);
        self.reshape(id, &shape)
    }

    /// Extents of 0 stay what they are.
    fn reshape(&mut self, id: ValueId, shape: &[i64]) -> Option<ValueId> {
        let shape = self.graph.add_constant("", int64s(shape));
        self.push(Reshape { allow_zero: false }, &[id, shape])
    }

    /// So many extents of 1 before dimension `at`.
    fn unsqueeze(&mut self, id: ValueId, at: usize, count: usize) -> Option<ValueId> {
        if count == 0 {
            return Some(id);
        }
        let axes: Vec<i64> = (at..at + count).map(|axis| axis as i64).collect();
        let axes = self.graph.add_constant("", int64s(&axes));
        self.push(Unsqueeze, &[id, axes])
    }

    /// True when neither can be repeated along this dimension, nor be empty, which a merge could not tell from open. What is
    /// not known yet is asked again when the shapes of a run are.
    fn same_extent(&self, a: &Operand, b: &Operand, dim: usize) -> bool {
        match (self.dim(a, dim), self.dim(b, dim)) {
            (Some(Dim::Fixed(a)), Some(Dim::Fixed(b))) => a == b && *a > 0,
            (Some(Dim::Symbol(a)), Some(Dim::Symbol(b))) => a == b,
            _ => false,
        }
    }

    fn extent(&self, operand: &Operand, dim: usize) -> Option<i64> {
        self.dim(operand, dim)?.fixed().and_then(|extent| i64::try_from(extent).ok())
    }

    fn dim(&self, operand: &Operand, dim: usize) -> Option<&Dim> {
        let at = operand.dims.iter().position(|other| *other == dim)?;
        self.graph.fact(operand.id)?.shape.dims()?.get(at)
    }

    fn push(&mut self, op: impl Op, inputs: &[ValueId]) -> Option<ValueId> {
        let facts: Vec<Option<&Fact>> = inputs.iter().map(|id| self.graph.fact(*id)).collect();
        let fact = op.infer(&Inputs::new(&facts, 1)).ok()?.into_iter().next()?;
        let output = self.graph.add_value("", Some(Fact { constant: None, ..fact }));
        self.write(Arc::new(op), inputs, output);
        Some(output)
    }

    fn write(&mut self, op: Arc<dyn Op>, inputs: &[ValueId], output: ValueId) {
        let inputs = inputs.iter().copied().map(Some).collect();
        self.nodes.push(Node {
            name: self.node.name.clone(),
            op,
            inputs,
            outputs: alloc::vec![Some(output)],
        });
    }

    /// Lets the last node write what the Einsum wrote.
    fn finish(mut self, made: ValueId, output: ValueId) -> Vec<Node> {
        match self.nodes.last_mut().filter(|node| node.outputs[0] == Some(made)) {
            Some(node) => node.outputs[0] = Some(output),
            None => self.write(Arc::new(Identity), &[made], output),
        }
        self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::verify;
    use crate::onnx::testing::node;
    use crate::passes::testing::Build;
    use crate::passes::{NoArithmetic, propagate};
    use alloc::string::{String, ToString};

    /// The operators that an equation becomes for inputs of these extents (0 for an open one).
    fn lowered(equation: &str, inputs: &[&[usize]]) -> Vec<String> {
        let mut build = Build::default();
        let ids: Vec<ValueId> = inputs
            .iter()
            .map(|extents| {
                let dims = extents
                    .iter()
                    .map(|extent| if *extent == 0 { Dim::Unknown } else { Dim::Fixed(*extent) });
                let shape = crate::graph::ShapeFact(Some(dims.collect()));
                build.input_of("x", Fact::new(inferry_core::ElementType::F32, shape))
            })
            .collect();
        let names: Vec<&str> = inputs.iter().map(|_| "x").collect();
        let imported = node("Einsum", &names, &["y"]).text("equation", equation).import(12).unwrap();
        let op = imported.op.downcast::<Einsum>().unwrap().clone();
        let ids: Vec<Option<ValueId>> = ids.into_iter().map(Some).collect();
        let y = build.node_of(op, &ids, "y", None);
        let mut graph = build.finish(&[y]);
        propagate(&mut graph, &NoArithmetic).unwrap();
        let before = graph.fact(y).unwrap().to_string();
        lower_einsum(&mut graph);
        verify(&graph).unwrap();
        propagate(&mut graph, &NoArithmetic).unwrap();
        assert_eq!(graph.fact(y).unwrap().to_string(), before, "{equation}");
        graph.nodes.iter().map(|node| node.op.name().into()).collect()
    }

    #[test]
    fn products_of_matrices_are_that() {
        assert_eq!(lowered("ij,jk->ik", &[&[2, 3], &[3, 4]]), ["MatMul"]);
        assert_eq!(lowered("...ij,...jk->...ik", &[&[5, 2, 3], &[3, 4]]), ["MatMul"]);
        assert_eq!(lowered("bhid,bhjd->bhij", &[&[2, 8, 0, 64], &[2, 8, 0, 64]]), ["Transpose", "MatMul"]);
        assert_eq!(lowered("bsd,dnh->bsnh", &[&[0, 0, 6], &[6, 2, 3]]), ["Reshape", "MatMul", "Reshape"]);
        assert_eq!(lowered("i,i->", &[&[5], &[5]]), ["Unsqueeze", "Unsqueeze", "MatMul", "Squeeze"]);
        let several = lowered("bsnh,nhd->bsd", &[&[0, 0, 2, 3], &[2, 3, 6]]);
        assert_eq!(several, ["Reshape", "Transpose", "Reshape", "Transpose", "MatMul"]);
    }

    #[test]
    fn the_rest_is_sums_and_products_and_orders() {
        assert_eq!(lowered("ij->ji", &[&[2, 3]]), ["Transpose"]);
        assert_eq!(lowered("ij->ij", &[&[2, 3]]), ["Identity"]);
        assert_eq!(lowered("ij->i", &[&[2, 3]]), ["ReduceSum"]);
        assert_eq!(lowered("i,j->ij", &[&[2], &[3]]), ["Unsqueeze", "Unsqueeze", "Mul"]);
        assert_eq!(lowered("ij,ij->ij", &[&[2, 3], &[2, 3]]), ["Mul"]);
        assert_eq!(lowered("ij,jk,kl->il", &[&[2, 3], &[3, 4], &[4, 5]]), ["MatMul", "MatMul"]);
    }

    #[test]
    fn what_no_product_does_stays() {
        assert_eq!(lowered("ii->i", &[&[3, 3]]), ["Einsum"]);
        assert_eq!(lowered("ij,jk->ik", &[&[2, 1], &[3, 4]]), ["Einsum"]);
        assert_eq!(lowered("ij,jk->ik", &[&[2, 3], &[0, 4]]), ["Einsum"]);
    }
}
