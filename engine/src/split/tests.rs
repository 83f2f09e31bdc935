//! Graphs that are cut, looked at, and computed by symbols.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use inferry_core::joined::{Outlet, Source};

use super::{Split, SplitError, separate_outputs, split};
use crate::graph::{Fact, Graph, Node, ValueId, verify};
use crate::op::{Binary, Unary};
use crate::passes::testing::Build;
use inferry_core::ElementType;

fn texts(split: &Split) -> Vec<String> {
    split.parts.iter().map(|part| part.graph.to_string()).collect()
}

#[test]
fn a_chain_is_cut_where_its_owner_changes() {
    let mut build = Build::default();
    let x = build.input("x", &[2]);
    let one = build.constant("one", &[1.0f32, 1.0], [2]);
    let fact = || Some(Fact::fixed(ElementType::F32, &[2]));
    let a = build.node_of(Binary::Add, &[Some(x), Some(one)], "a", fact());
    let b = build.node_of(Unary::Relu, &[Some(a)], "b", fact());
    let c = build.node_of(Binary::Mul, &[Some(b), Some(one)], "c", fact());
    let y = build.node_of(Binary::Add, &[Some(a), Some(c)], "y", fact());
    let graph = build.finish(&[y]);
    let cut = split(&graph, &[0, 1, 0, 0]).unwrap();
    let expected = [
        "x: f32[2]\n----\na: f32[2] = Add(x, one: f32[2] {1, 1})\n----\na\n",
        "a: f32[2]\n----\nb: f32[2] = Relu(a)\n----\nb\n",
        "b: f32[2]\na: f32[2]\n----\nc: f32[2] = Mul(b, one: f32[2] {1, 1})\ny: f32[2] = Add(a, c)\n----\ny\n",
    ];
    assert_eq!(texts(&cut), expected);
    assert_eq!(&*cut.parts[1].graph.nodes[0].name, "Relu #1", "the place of the node in the whole");
    let outlet = |part, output| Outlet { part, output };
    assert_eq!(cut.parts[2].inputs, [Source::Outlet(outlet(1, 0)), Source::Outlet(outlet(0, 0))]);
    assert_eq!(cut.outputs, [outlet(2, 0)]);
    assert_eq!(cut.parts.iter().map(|part| part.owner).collect::<Vec<_>>(), [0, 1, 0]);
}

/// One owner's two nodes, with the other's between them, cannot be one part: it would wait for itself.
#[test]
fn parts_that_would_wait_for_each_other_are_cut_again() {
    let mut build = Build::default();
    let x = build.input("x", &[2]);
    let a = build.node(Unary::Relu, &[x], &[2]);
    let b = build.node(Unary::Neg, &[a], &[2]);
    let y = build.node(Binary::Add, &[a, b], &[2]);
    let z = build.node(Unary::Neg, &[x], &[2]);
    let w = build.node(Binary::Mul, &[z, b], &[2]);
    let graph = build.finish(&[y, w]);
    // a and y are of owner 0, b of owner 1: y reads both.
    let cut = split(&graph, &[0, 1, 0, 1, 1]).unwrap();
    assert_eq!(
        cut.parts.iter().map(|part| (part.owner, part.graph.nodes.len())).collect::<Vec<_>>(),
        [(0, 1), (1, 3), (0, 1)]
    );
    check(&graph, &cut);
}

#[test]
fn branches_of_one_owner_between_the_same_others_are_one_part() {
    let mut build = Build::default();
    let x = build.input("x", &[2]);
    let left = build.node(Unary::Relu, &[x], &[2]);
    let right = build.node(Unary::Neg, &[x], &[2]);
    let l = build.node(Unary::Exp, &[left], &[2]);
    let r = build.node(Unary::Exp, &[right], &[2]);
    let graph = build.finish(&[l, r]);
    let cut = split(&graph, &[0, 0, 1, 1]).unwrap();
    assert_eq!(cut.parts.len(), 2);
    check(&graph, &cut);
}

#[test]
fn outputs_that_no_node_writes_get_one_that_does() {
    let mut build = Build::default();
    let x = build.input("x", &[2]);
    let one = build.constant("one", &[1.0f32, 1.0], [2]);
    let y = build.node(Unary::Relu, &[x], &[2]);
    let mut graph = build.finish(&[x, one, y, y]);
    assert_eq!(split(&graph, &[0]).unwrap_err(), SplitError::Output("\"x\"".into()));
    separate_outputs(&mut graph);
    verify(&graph).unwrap();
    let names: Vec<&str> = graph.outputs.iter().map(|id| &*graph.value(*id).name).collect();
    assert_eq!(names, ["x", "one", "", ""]);
    let cut = split(&graph, &[1, 0, 0, 0]).unwrap();
    check(&graph, &cut);
    let before = graph.clone();
    separate_outputs(&mut graph);
    assert_eq!(graph.nodes.len(), before.nodes.len(), "once is enough");
}

#[test]
fn a_value_of_which_nothing_is_known_cannot_go_over() {
    let mut build = Build::default();
    let x = build.input("x", &[2]);
    let a = build.node_of(Unary::Relu, &[Some(x)], "a", None);
    let y = build.node(Unary::Relu, &[a], &[2]);
    let graph = build.finish(&[y]);
    assert_eq!(split(&graph, &[0, 1]).unwrap_err(), SplitError::Unknown("\"a\"".into()));
    assert!(split(&graph, &[0, 0]).is_ok(), "within a part it may");
}

#[test]
fn a_graph_without_nodes_has_no_parts() {
    let cut = split(&Graph::default(), &[]).unwrap();
    assert!(cut.parts.is_empty() && cut.outputs.is_empty());
}

/// Graphs and assignments by lot: the parts together are the whole, and with two owners there is no way with fewer parts.
#[test]
fn the_parts_joined_are_the_whole() {
    let mut seed = 7;
    let mut below = |limit: usize| {
        seed =
            u64::wrapping_add(u64::wrapping_mul(seed, 6_364_136_223_846_793_005), 1_442_695_040_888_963_407);
        (seed >> 33) as usize % limit
    };
    for round in 0..400 {
        let count = 1 + below(if round % 2 == 0 { 9 } else { 40 });
        let mut build = Build::default();
        let mut values =
            vec![build.input("x", &[1]), build.input("y", &[1]), build.constant("c", &[1.0f32], [1])];
        for _ in 0..count {
            // Mostly recent values, so that chains are long.
            let recent = values.len().saturating_sub(5);
            let mut pick = || {
                values
                    [if below(4) == 0 { below(values.len()) } else { recent + below(values.len() - recent) }]
            };
            let inputs = [pick(), pick()];
            let node = match below(3) {
                0 => build.node(Unary::Relu, &inputs[..1], &[1]),
                1 => build.node(Binary::Sub, &inputs, &[1]),
                _ => {
                    let first = build.node(Binary::Div, &inputs, &[1]);
                    // A second output of the same node.
                    let fact = Some(Fact::fixed(ElementType::F32, &[1]));
                    let second = build.graph.add_value("", fact);
                    build.graph.nodes.last_mut().unwrap().outputs.push(Some(second));
                    values.push(second);
                    first
                }
            };
            values.push(node);
        }
        let outputs: Vec<ValueId> = (0..1 + below(3)).map(|_| values[below(values.len())]).collect();
        let mut graph = build.finish(&outputs);
        separate_outputs(&mut graph);
        let count = 1 + below(3);
        let owners: Vec<usize> = graph.nodes.iter().map(|_| below(count)).collect();
        let cut = split(&graph, &owners).unwrap();
        check(&graph, &cut);
        if count <= 2 && graph.nodes.len() <= 12 {
            assert_eq!(cut.parts.len(), fewest(&graph, &owners), "round {round}");
        }
    }
}

/// The parts are in order, have the nodes of the whole once, and give what the whole gives.
fn check(graph: &Graph, cut: &Split) {
    assert_eq!(cut.parts.iter().map(|part| part.graph.nodes.len()).sum::<usize>(), graph.nodes.len());
    let given: Vec<u64> = (1..).take(graph.inputs.len()).collect();
    let mut results: Vec<Vec<u64>> = Vec::new();
    for (index, part) in cut.parts.iter().enumerate() {
        verify(&part.graph).unwrap();
        assert_eq!(part.inputs.len(), part.graph.inputs.len());
        let inputs = part.inputs.iter().map(|source| match source {
            Source::Input(input) => given[*input],
            Source::Outlet(outlet) => {
                assert!(outlet.part < index, "a part reads what comes before it");
                results[outlet.part][outlet.output]
            }
        });
        results.push(evaluate(&part.graph, &inputs.collect::<Vec<_>>()));
    }
    let joined: Vec<u64> = cut.outputs.iter().map(|outlet| results[outlet.part][outlet.output]).collect();
    assert_eq!(joined, evaluate(graph, &given));
}

/// A number for each output that stands for how it is computed: equal for equal expressions.
fn evaluate(graph: &Graph, inputs: &[u64]) -> Vec<u64> {
    let mut values = vec![0; graph.values().len()];
    let mix = |hash: u64, more: u64| (hash ^ more).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    let text = |text: &str| text.bytes().fold(1, |hash, byte| mix(hash, byte.into()));
    for (index, value) in graph.values().iter().enumerate() {
        if let Some(constant) = value.fact.as_ref().and_then(|fact| fact.constant.as_ref()) {
            values[index] = text(&constant.to_vec::<f32>().unwrap()[0].to_string());
        }
    }
    graph.inputs.iter().zip(inputs).for_each(|(id, input)| values[id.index()] = *input);
    for Node { op, inputs, outputs, .. } in &graph.nodes {
        let read = inputs.iter().flatten().fold(text(op.name()), |hash, id| mix(hash, values[id.index()]));
        for (output, id) in outputs.iter().enumerate() {
            values[id.unwrap().index()] = mix(read, output as u64);
        }
    }
    graph.outputs.iter().map(|id| values[id.index()]).collect()
}

/// The fewest parts that there can be, by trying all orders of the nodes.
fn fewest(graph: &Graph, owners: &[usize]) -> usize {
    let writers = graph.writers();
    let needs: Vec<usize> = graph
        .nodes
        .iter()
        .map(|node| {
            node.inputs
                .iter()
                .flatten()
                .filter_map(|id| writers[id.index()])
                .fold(0, |set, node| set | 1 << node)
        })
        .collect();
    let all = (1 << owners.len()) - 1;
    // For each set of nodes that are done and the owner of the last: the fewest parts.
    let mut best = vec![[usize::MAX; 2]; all + 1];
    best[0] = [0; 2];
    for done in 0..=all {
        for last in 0..2 {
            let parts = best[done][last];
            if parts == usize::MAX {
                continue;
            }
            for (node, owner) in owners.iter().enumerate() {
                if done & 1 << node == 0 && needs[node] & !done == 0 {
                    let more = usize::from(done == 0 || *owner != last);
                    let next = &mut best[done | 1 << node][*owner];
                    *next = (*next).min(parts + more);
                }
            }
        }
    }
    best[all].into_iter().min().unwrap()
}
