//! TreeEnsemble: every row walks every tree from its root to a leaf.

use inferry_core::ElementType;
use inferry_engine::op::{Aggregate, Branch, Question, Transform, TreeEnsemble, TreeNode, Trees};

use crate::kernel::arguments::form;
use crate::kernel::number::Number;
use crate::kernel::simple::{simple_with_scratch, spread_rows};
use crate::kernel::{BuildError, Builder, Built};

/// Builds TreeEnsemble.
pub(crate) fn tree_ensemble(op: &TreeEnsemble, node: &Builder<'_>) -> Built {
    match node.input(0)?.element {
        ElementType::F32 => ensemble::<f32>(op, node),
        ElementType::F64 => ensemble::<f64>(op, node),
        element => Err(BuildError::Element { op: "TreeEnsemble", element }),
    }
}

fn ensemble<T: Number>(op: &TreeEnsemble, node: &Builder<'_>) -> Built {
    let (x, y) = (&node.input(0)?.shape, &node.output(0).1);
    let widest = op.trees.nodes.iter().map(|node| node.feature as usize + 1).max().unwrap_or(0);
    let fits = matches!(x[..], [rows, features] if features >= widest && y[..] == [rows, op.targets]);
    if !fits {
        return Err(form(alloc::format!("TreeEnsemble of {widest} features from {x} to {y}")));
    }
    let (features, targets, op) = (x[1], op.targets, op.clone());
    // A walk goes down a few levels, and each is likely to be somewhere else in memory.
    let row = 1_000 + 50_000 * op.trees.roots.len() as u64;
    let phase = spread_rows(x[0], targets, row / targets.max(1) as u64 + 1);
    simple_with_scratch(phase, targets * size_of::<Sum>(), move |io| {
        let first = io.tiles().start * phase.unit / targets.max(1);
        let data = io.input::<T>(0);
        let sums = io.scratch::<Sum>();
        for (row, to) in io.rows::<T>().chunks_exact_mut(targets.max(1)).enumerate() {
            let x = &data[(first + row) * features..][..features];
            sums.fill(Sum::default());
            for root in &op.trees.roots {
                let (target, weight) = op.trees.leaves[leaf(&op.trees, *root, x)];
                sums[target as usize].add(op.aggregate, weight);
            }
            finish(&op, sums);
            to.iter_mut().zip(&*sums).for_each(|(to, sum)| *to = T::from_f64(sum.value));
        }
    })
}

/// What the leaves for a target have come to so far.
#[derive(Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Sum {
    value: f64,
    leaves: u64,
}

impl Sum {
    fn add(&mut self, aggregate: Aggregate, weight: f64) {
        self.value = match aggregate {
            Aggregate::Sum | Aggregate::Average => self.value + weight,
            _ if self.leaves == 0 => weight,
            Aggregate::Min => self.value.min(weight),
            Aggregate::Max => self.value.max(weight),
        };
        self.leaves += 1;
    }
}

/// The leaf that a row comes to. The importer has seen that every path ends.
fn leaf<T: Number>(trees: &Trees, root: u32, x: &[T]) -> usize {
    let mut at = root as usize;
    loop {
        let node = &trees.nodes[at];
        let feature = x[node.feature as usize].to_f64();
        match node.branches[usize::from(!answer(trees, node, feature))] {
            Branch::Node(next) => at = next as usize,
            Branch::Leaf(leaf) => return leaf as usize,
        }
    }
}

fn answer(trees: &Trees, node: &TreeNode, feature: f64) -> bool {
    if feature.is_nan() && node.missing_is_true {
        return true;
    }
    match &node.question {
        Question::AtMost(split) => feature <= *split,
        Question::Less(split) => feature < *split,
        Question::AtLeast(split) => feature >= *split,
        Question::Greater(split) => feature > *split,
        Question::Equal(split) => feature == *split,
        Question::NotEqual(split) => feature != *split,
        Question::Member(range) => trees.members[range.start as usize..range.end as usize].contains(&feature),
    }
}

/// What becomes of the sums of a row.
fn finish(op: &TreeEnsemble, sums: &mut [Sum]) {
    if op.aggregate == Aggregate::Average {
        let trees = op.trees.roots.len().max(1) as f64;
        sums.iter_mut().for_each(|sum| sum.value /= trees);
    }
    let each = |sums: &mut [Sum], f: fn(f64) -> f64| sums.iter_mut().for_each(|sum| sum.value = f(sum.value));
    match op.transform {
        Transform::None => {}
        Transform::Logistic => each(sums, |value| 1.0 / (1.0 + libm::exp(-value))),
        Transform::Probit => each(sums, probit),
        Transform::Softmax => softmax(sums, |_| true),
        Transform::SoftmaxZero => softmax(sums, |value| value != 0.0),
    }
}

fn softmax(sums: &mut [Sum], counts: fn(f64) -> bool) {
    let largest =
        sums.iter().map(|sum| sum.value).filter(|value| counts(*value)).fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    for sum in sums.iter_mut().filter(|sum| counts(sum.value)) {
        sum.value = libm::exp(sum.value - largest);
        total += sum.value;
    }
    // What did not count is 0 still, and so is its share.
    sums.iter_mut().for_each(|sum| sum.value = if sum.value == 0.0 { 0.0 } else { sum.value / total });
}

/// The point that a share `p` of the standard normal distribution lies below.
fn probit(p: f64) -> f64 {
    // Winitzki's approximation of the inverse error function, and then Newton's method, which is exact after few steps.
    let x = 2.0 * p - 1.0;
    let log = libm::log((1.0 - x) * (1.0 + x));
    let v = 2.0 / (core::f64::consts::PI * 0.147) + 0.5 * log;
    let mut y = libm::copysign(libm::sqrt(libm::sqrt(v * v - log / 0.147) - v), x);
    for _ in 0..3 {
        let slope = core::f64::consts::FRAC_2_SQRT_PI * libm::exp(-y * y);
        if slope > 0.0 {
            y -= (libm::erf(y) - x) / slope;
        }
    }
    core::f64::consts::SQRT_2 * y
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, run_one, tensor};
    use alloc::sync::Arc;
    use alloc::vec;

    fn node(feature: u32, question: Question, branches: [Branch; 2]) -> TreeNode {
        TreeNode { feature, question, missing_is_true: false, branches }
    }

    /// Two trees over two features and two targets.
    fn ensemble(aggregate: Aggregate, transform: Transform) -> TreeEnsemble {
        use Branch::{Leaf, Node};
        let mut nodes = vec![
            node(0, Question::AtMost(1.5), [Leaf(0), Node(1)]),
            node(1, Question::Member(1..3), [Leaf(1), Leaf(2)]),
            node(1, Question::Greater(0.0), [Leaf(3), Leaf(0)]),
        ];
        nodes[0].missing_is_true = true;
        let trees = Trees {
            roots: [0, 2].into(),
            nodes: nodes.into(),
            leaves: [(0, 1.0), (1, 2.0), (0, -3.0), (1, 0.5)].into(),
            members: [9.0, 4.0, 5.0].into(),
        };
        TreeEnsemble { trees: Arc::new(trees), targets: 2, aggregate, transform }
    }

    const ROWS: [f32; 10] = [1.5, -1.0, 2.0, 4.0, 2.0, 6.0, f32::NAN, f32::NAN, 2.0, f32::NAN];

    #[test]
    fn rows_come_to_their_leaves() {
        let x = tensor(&ROWS, [5, 2]);
        let sum = run_one::<f32>(&ensemble(Aggregate::Sum, Transform::None), &[&x], [5, 2]);
        assert_eq!(sum, [2.0, 0.0, 0.0, 2.5, -3.0, 0.5, 2.0, 0.0, -2.0, 0.0]);
        let mean = run_one::<f32>(&ensemble(Aggregate::Average, Transform::None), &[&x], [5, 2]);
        assert_eq!(mean, sum.iter().map(|sum| sum / 2.0).collect::<alloc::vec::Vec<_>>());
        let least = run_one::<f32>(&ensemble(Aggregate::Min, Transform::None), &[&x], [5, 2]);
        assert_eq!(least, [1.0, 0.0, 0.0, 0.5, -3.0, 0.5, 1.0, 0.0, -3.0, 0.0]);
        let most = run_one::<f32>(&ensemble(Aggregate::Max, Transform::None), &[&x], [5, 2]);
        assert_eq!(most, [1.0, 0.0, 0.0, 2.0, -3.0, 0.5, 1.0, 0.0, 1.0, 0.0]);
        let none = tensor(&[0f64; 0], [0, 2]);
        assert_eq!(run_one::<f64>(&ensemble(Aggregate::Max, Transform::None), &[&none], [0, 2]), [0.0; 0]);
    }

    #[test]
    fn results_are_transformed() {
        let x = tensor(&ROWS[..6], [3, 2]);
        let of = |transform| run_one::<f32>(&ensemble(Aggregate::Sum, transform), &[&x], [3, 2]);
        let soft = of(Transform::Softmax);
        assert_close(&soft[..4], &[0.880797, 0.119203, 0.075858, 0.924142], 1e-5, 0.0);
        let zero = of(Transform::SoftmaxZero);
        assert_close(&zero[..4], &[1.0, 0.0, 0.0, 1.0], 0.0, 0.0);
        assert_close(&of(Transform::Logistic)[..2], &[0.880797, 0.5], 1e-6, 0.0);
        for (p, wanted) in [(0.5, 0.0), (0.975, 1.959_964), (0.001, -3.090_232_3)] {
            assert_close(&[probit(p) as f32], &[wanted], 1e-6, 1e-6);
        }
    }
}
