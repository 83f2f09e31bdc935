//! TreeEnsemble of the domain `ai.onnx.ml`: decision trees whose leaves add up.
//!
//! An importer checks once that every index lies where it must and that no path comes back to where it was, so that whoever
//! walks the trees need not.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x[N, features]`: for each row and target what the leaves say that the row comes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeEnsemble {
    /// The trees.
    pub trees: Arc<Trees>,
    /// How many targets there are.
    pub targets: usize,
    /// What becomes of several leaves for one target.
    pub aggregate: Aggregate,
    /// What becomes of the result.
    pub transform: Transform,
}

/// Trees: nodes that ask and leaves that answer, by position. Made by an importer, which has checked every position.
#[derive(Default, Serialize, Deserialize)]
pub struct Trees {
    /// Where each tree begins.
    pub roots: Box<[u32]>,
    /// All nodes of all trees.
    pub nodes: Box<[TreeNode]>,
    /// All leaves: which target, and how much.
    pub leaves: Box<[(u32, f64)]>,
    /// What [`Question::Member`] asks for.
    pub members: Box<[f64]>,
}

/// A node of a tree: a question about a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// The column of the feature.
    pub feature: u32,
    /// What is asked.
    pub question: Question,
    /// Whether a feature that is no number goes the first way, whatever the question.
    pub missing_is_true: bool,
    /// Where to go when the answer is yes, and when it is no.
    pub branches: [Branch; 2],
}

/// Where a branch leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Branch {
    /// To a node.
    Node(u32),
    /// To a leaf.
    Leaf(u32),
}

/// What a node asks about a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// At most this?
    AtMost(f64),
    /// Less than this?
    Less(f64),
    /// At least this?
    AtLeast(f64),
    /// Greater than this?
    Greater(f64),
    /// Equal to this?
    Equal(f64),
    /// Not equal to this?
    NotEqual(f64),
    /// One of these [members](Trees::members)?
    Member(Range<u32>),
}

/// What becomes of several leaves for one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Aggregate {
    /// Their sum, divided by the number of trees.
    Average,
    /// Their sum.
    Sum,
    /// The smallest; 0 when there is none.
    Min,
    /// The largest; 0 when there is none.
    Max,
}

/// What becomes of the results of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transform {
    /// Nothing.
    None,
    /// They are exponentiated and add up to 1.
    Softmax,
    /// `1 / (1 + exp(-y))`.
    Logistic,
    /// As `Softmax`, among those that are not 0; the others stay 0.
    SoftmaxZero,
    /// The point that a share of a normal distribution lies below.
    Probit,
}

impl fmt::Debug for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} trees of {} nodes", self.roots.len(), self.nodes.len())
    }
}

impl Op for TreeEnsemble {
    fn name(&self) -> &'static str {
        "TreeEnsemble"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.typed(0, &FLOAT)?;
        rules::check_rank_is(0, &x.shape, 2)?;
        let dims = x.shape.dims();
        let most = self.trees.nodes.iter().map(|node| node.feature as usize + 1).max().unwrap_or(0);
        if let Some(features) = dims.and_then(|dims| dims[1].fixed()).filter(|features| *features < most) {
            return rules::shape_error(format!("the trees ask for {most} features, input 0 has {features}"));
        }
        let rows = dims.map_or(Dim::Unknown, |dims| dims[0].clone());
        rules::one(x.element, ShapeFact(Some(vec![rows, Dim::Fixed(self.targets)])))
    }
}

/// TreeEnsemble.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let aggregate = match node.int_or("aggregate_function", 1)? {
        0 => Aggregate::Average,
        1 => Aggregate::Sum,
        2 => Aggregate::Min,
        3 => Aggregate::Max,
        other => {
            return Err(node.refuse_attribute("aggregate_function", format!("{other} is none of 0 to 3")));
        }
    };
    let transform = match node.int_or("post_transform", 0)? {
        0 => Transform::None,
        1 => Transform::Softmax,
        2 => Transform::Logistic,
        3 => Transform::SoftmaxZero,
        4 => Transform::Probit,
        other => return Err(node.refuse_attribute("post_transform", format!("{other} is none of 0 to 4"))),
    };
    let targets = node.count_or("n_targets", 1)?;
    let trees = read_trees(node, targets).map_err(|problem| node.refuse(problem))?;
    Ok(Imported::with(TreeEnsemble { trees: Arc::new(trees), targets, aggregate, transform }))
}

fn read_trees(node: &NodeView<'_>, targets: usize) -> Result<Trees, String> {
    let file = File { node };
    let ids = file.positions("leaf_targetids", None, targets)?;
    let weights = file.reals("leaf_weights", Some(ids.len()))?;
    let leaves: Box<[(u32, f64)]> = ids.into_iter().zip(weights).collect();
    let modes = file.integers("nodes_modes")?;
    let count = modes.len();
    let splits = file.reals("nodes_splits", Some(count))?;
    let features = file.positions("nodes_featureids", Some(count), u32::MAX as usize)?;
    let missing = match node.has("nodes_missing_value_tracks_true") {
        true => file.positions("nodes_missing_value_tracks_true", Some(count), 2)?,
        false => vec![0; count],
    };
    let branches = [
        file.branches("nodes_truenodeids", "nodes_trueleafs", count, leaves.len())?,
        file.branches("nodes_falsenodeids", "nodes_falseleafs", count, leaves.len())?,
    ];
    let members: Box<[f64]> = match node.has("membership_values") {
        true => file.reals("membership_values", None)?.into(),
        false => [].into(),
    };
    let mut sets = Sets { members: &members, at: 0 };
    let mut nodes = Vec::with_capacity(count);
    for index in 0..count {
        let split = splits[index];
        let question = match modes[index] {
            0 => Question::AtMost(split),
            1 => Question::Less(split),
            2 => Question::AtLeast(split),
            3 => Question::Greater(split),
            4 => Question::Equal(split),
            5 => Question::NotEqual(split),
            6 => Question::Member(sets.next()),
            other => return Err(format!("attribute \"nodes_modes\": {other} is none of 0 to 6")),
        };
        nodes.push(TreeNode {
            feature: features[index],
            question,
            missing_is_true: missing[index] != 0,
            branches: [branches[0][index], branches[1][index]],
        });
    }
    let roots = file.positions("tree_roots", None, count)?;
    ends(&nodes)?;
    Ok(Trees { roots: roots.into(), nodes: nodes.into(), leaves, members })
}

/// The sets of members, one after the other with a NaN in between.
struct Sets<'a> {
    members: &'a [f64],
    at: usize,
}

impl Sets<'_> {
    fn next(&mut self) -> Range<u32> {
        let start = self.at.min(self.members.len());
        let len = self.members[start..].iter().position(|member| member.is_nan());
        let end = len.map_or(self.members.len(), |len| start + len);
        self.at = end + 1;
        start as u32..end as u32
    }
}

/// Refuses nodes of which a path comes back to where it was.
fn ends(nodes: &[TreeNode]) -> Result<(), String> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Never,
        OnThePath,
        Before,
    }
    let mut seen = vec![Seen::Never; nodes.len()];
    for root in 0..nodes.len() {
        // A node, and which of its branches comes next.
        let mut path = vec![(root, 0)];
        while let Some((at, next)) = path.last_mut() {
            match (seen[*at], nodes[*at].branches.get(*next)) {
                (Seen::Before, _) => drop(path.pop()),
                (Seen::OnThePath, _) if *next == 0 => {
                    return Err(format!("node {at} of the trees comes after itself"));
                }
                (_, None) => {
                    seen[*at] = Seen::Before;
                    path.pop();
                }
                (_, Some(branch)) => {
                    seen[*at] = Seen::OnThePath;
                    *next += 1;
                    if let Branch::Node(node) = branch {
                        path.push((*node as usize, 0));
                    }
                }
            }
        }
    }
    Ok(())
}

/// The lists of a node, checked.
struct File<'a> {
    node: &'a NodeView<'a>,
}

impl File<'_> {
    fn wrong(name: &str, problem: String) -> String {
        format!("attribute {name:?}: {problem}")
    }

    fn counted<T>(name: &str, list: Vec<T>, count: Option<usize>) -> Result<Vec<T>, String> {
        match count.filter(|count| *count != list.len()) {
            Some(count) => {
                Err(File::wrong(name, format!("{} elements where {count} are wanted", list.len())))
            }
            None => Ok(list),
        }
    }

    /// Numbers below `limit`.
    fn positions(&self, name: &str, count: Option<usize>, limit: usize) -> Result<Vec<u32>, String> {
        let list = self.node.ints(name).map_err(|error| format!("{error}"))?.unwrap_or_default();
        let position = |number: i64| {
            let number = u32::try_from(number).ok().filter(|number| (*number as usize) < limit);
            number.ok_or_else(|| File::wrong(name, format!("a number is not below {limit}")))
        };
        File::counted(name, list.into_iter().map(position).collect::<Result<_, _>>()?, count)
    }

    fn tensor(&self, name: &str) -> Result<Tensor, String> {
        let tensor = self.node.tensor(name).map_err(|error| format!("{error}"))?;
        tensor.ok_or_else(|| File::wrong(name, "is missing".into()))
    }

    fn integers(&self, name: &str) -> Result<Vec<u8>, String> {
        let tensor = self.tensor(name)?;
        tensor.to_vec::<u8>().map_err(|error| File::wrong(name, format!("{error}")))
    }

    fn reals(&self, name: &str, count: Option<usize>) -> Result<Vec<f64>, String> {
        let tensor = self.tensor(name)?;
        let reals = match tensor.element() {
            ElementType::F64 => tensor.to_vec::<f64>(),
            ElementType::F16 => {
                tensor.to_vec::<half::f16>().map(|list| list.into_iter().map(f64::from).collect())
            }
            _ => tensor.to_vec::<f32>().map(|list| list.into_iter().map(f64::from).collect()),
        };
        File::counted(name, reals.map_err(|error| File::wrong(name, format!("{error}")))?, count)
    }

    fn branches(&self, ids: &str, leafs: &str, nodes: usize, leaves: usize) -> Result<Vec<Branch>, String> {
        let numbers = self.positions(ids, Some(nodes), nodes.max(leaves))?;
        let is_leaf = self.positions(leafs, Some(nodes), 2)?;
        let branch = |(number, is_leaf): (u32, u32)| match is_leaf {
            0 if (number as usize) < nodes => Ok(Branch::Node(number)),
            1 if (number as usize) < leaves => Ok(Branch::Leaf(number)),
            _ => Err(File::wrong(ids, format!("{number} of {nodes} nodes and {leaves} leaves"))),
        };
        numbers.into_iter().zip(is_leaf).map(branch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{TestNode, node};
    use crate::op::testing::check;

    /// x[0] < 1.5 ? leaf 0 : (x[2] in {1, 4} ? leaf 1 : leaf 2)
    fn two_nodes(edit: impl Fn(&str) -> Option<Vec<i64>>) -> TestNode {
        let lists: [(&str, &[i64]); 8] = [
            ("leaf_targetids", &[0, 1, 0]),
            ("nodes_featureids", &[0, 2]),
            ("nodes_truenodeids", &[0, 1]),
            ("nodes_trueleafs", &[1, 1]),
            ("nodes_falsenodeids", &[1, 2]),
            ("nodes_falseleafs", &[0, 1]),
            ("nodes_missing_value_tracks_true", &[1, 0]),
            ("tree_roots", &[0]),
        ];
        let tensor = |values: &[f32]| Tensor::from_slice(values, [values.len()]).unwrap();
        let mut node = node("TreeEnsemble", &["x"], &["y"]).domain("ai.onnx.ml").int("n_targets", 2);
        for (name, list) in lists {
            let list = edit(name).unwrap_or_else(|| list.into());
            node = node.ints(name, &list);
        }
        node.tensor("leaf_weights", &tensor(&[10.0, 20.0, 30.0]))
            .tensor("nodes_splits", &tensor(&[1.5, 0.0]))
            .tensor("nodes_modes", &Tensor::from_slice(&[1u8, 6], [2]).unwrap())
            .tensor("membership_values", &tensor(&[1.0, 4.0, f32::NAN]))
    }

    fn trees(edit: impl Fn(&str) -> Option<Vec<i64>>) -> Result<TreeEnsemble, String> {
        let imported = two_nodes(edit).import(5).map_err(|error| format!("{error}"))?;
        Ok(imported.op.downcast::<TreeEnsemble>().unwrap().clone())
    }

    #[test]
    fn lists_become_trees() {
        let op = trees(|_| None).unwrap();
        assert_eq!(op.trees.nodes[0].question, Question::Less(1.5));
        assert_eq!(op.trees.nodes[1].question, Question::Member(0..2));
        assert_eq!(op.trees.nodes[0].branches, [Branch::Leaf(0), Branch::Node(1)]);
        assert!(op.trees.nodes[0].missing_is_true);
        assert_eq!(op.trees.leaves[1], (1, 20.0));
        assert_eq!((op.targets, op.aggregate, op.transform), (2, Aggregate::Sum, Transform::None));
        check(op.clone(), &["f32[N, 3]"], "f32[N, 2]");
        check(op.clone(), &["f64[...]"], "f64[?, 2]");
        check(op.clone(), &["f32[N, 2]"], "the trees ask for 3 features, input 0 has 2");
        check(op, &["f32[3]"], "input 0 must have 2 dimensions, its shape is [3]");
    }

    #[test]
    fn trees_that_lead_nowhere_or_around_are_refused() {
        let cases: [(&str, &[i64], &str); 8] = [
            ("nodes_falsenodeids", &[0, 2], "node 0 of the trees comes after itself"),
            ("nodes_falsenodeids", &[2, 2], "2 of 2 nodes and 3 leaves"),
            ("nodes_truenodeids", &[3, 1], "a number is not below 3"),
            ("nodes_featureids", &[0, -1], "a number is not below 4294967295"),
            ("nodes_trueleafs", &[1], "1 elements where 2 are wanted"),
            ("leaf_targetids", &[0, 2, 0], "a number is not below 2"),
            ("tree_roots", &[2], "a number is not below 2"),
            ("leaf_targetids", &[0], "3 elements where 1 are wanted"),
        ];
        for (name, list, problem) in cases {
            let error = trees(|edited| (edited == name).then(|| list.into())).unwrap_err();
            assert!(error.contains(problem), "{name}: {error}");
        }
    }
}
