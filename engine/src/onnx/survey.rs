//! What a file says of itself, without importing it: for people who look at a model that may not run here.
//!
//! A [`Survey`] counts operators under the names the file uses, marks those that the registry does not have, and lists the
//! ports as they are declared. It is made from the file's messages alone: no shape is inferred, no constant is decoded,
//! and a damaged node does not hide the others.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::error::{ImportError, UnsupportedOp};
use super::function::Functions;
use super::import::Limits;
use super::proto::{AttributeValue, GraphProto, Merge, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::registry;
use super::standard::is_unchanged;
use super::tensor::element_type;
use super::value::declared;
use super::wire::{Budget, Message};
use crate::graph::Fact;

/// What a file says of itself. See [`survey`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// The name of the graph; may be empty.
    pub name: String,
    /// The program that wrote the file and its version; may be empty.
    pub producer: String,
    /// The version of the file format.
    pub ir_version: i64,
    /// Each domain of operators that the file names, and its version. The standard's own is `ai.onnx`.
    pub opsets: Vec<(String, i64)>,
    /// The inputs, without those that are only names for constants.
    pub inputs: Vec<Declaration>,
    /// The outputs.
    pub outputs: Vec<Declaration>,
    /// Every operator that a node of the model, of its inner graphs or of the functions they call uses, by domain and name.
    pub operators: Vec<OperatorCount>,
    /// The numbers in initializers and `Constant` nodes: for each element type, how many.
    pub parameters: Vec<(String, u64)>,
}

/// An input or output as the file declares it.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Its name.
    pub name: String,
    /// Its type and shape; nothing when none is declared, or what we cannot take about the declaration.
    pub fact: Result<Option<Fact>, String>,
}

/// An operator and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCount {
    /// The domain, `ai.onnx` for the standard's own.
    pub domain: String,
    /// The operator's name.
    pub name: String,
    /// Nodes that use it.
    pub count: usize,
    /// Whether the registry has it, or the model itself defines it.
    pub supported: bool,
}

impl Survey {
    /// The operators that the registry does not have.
    pub fn unsupported(&self) -> impl Iterator<Item = &OperatorCount> {
        self.operators.iter().filter(|operator| !operator.supported)
    }

    /// Nodes of the model, of its inner graphs and of the functions that they call, each function once.
    pub fn nodes(&self) -> usize {
        self.operators.iter().map(|operator| operator.count).sum()
    }
}

/// Looks through a file.
///
/// # Errors
/// Bytes that are no ONNX model. Operators that we do not have are part of the result, no error.
pub fn survey(bytes: &[u8], limits: &Limits) -> Result<Survey, ImportError> {
    if bytes.is_empty() {
        return Err(ImportError::Empty);
    }
    let budget = Budget::new(limits.depth, limits.messages);
    let proto = ModelProto::read(Message::file(bytes, &budget))?;
    let graph = proto.graph.as_ref().ok_or(ImportError::Absent("graph"))?;
    let functions = Functions::new(&proto.functions);
    let constants: BTreeSet<&str> = graph.initializers.iter().map(|tensor| tensor.name).collect();
    let inputs = graph.inputs.iter().filter(|input| !constants.contains(input.name));
    Ok(Survey {
        name: graph.name.to_owned(),
        producer: format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned(),
        ir_version: proto.ir_version,
        opsets: proto.opsets.iter().map(|set| (long_domain(set.domain).to_owned(), set.version)).collect(),
        inputs: inputs.map(declaration).collect(),
        outputs: graph.outputs.iter().map(declaration).collect(),
        operators: operators(graph, &functions),
        parameters: parameters(graph, &functions),
    })
}

/// The operators that neither the registry nor the model has, and the number of all nodes, inner graphs included.
pub(super) fn unsupported<'a>(
    graph: &'a GraphProto<'a>,
    functions: &Functions<'a>,
) -> (Vec<UnsupportedOp>, usize) {
    let lists = all_nodes(graph, functions);
    let nodes = lists.iter().map(|list| list.len()).sum();
    (by_operator(lists.into_iter().flatten().filter(|node| !is_known(node, functions))), nodes)
}

/// The operators of the standard whose form in a version was another in `least`. Functions have versions of their own: their
/// nodes are left out.
pub(super) fn outdated<'a>(graph: &'a GraphProto<'a>, version: i64, least: i64) -> Vec<UnsupportedOp> {
    let changed = |node: &&NodeProto<'_>| {
        registry::domain(node.domain).is_empty() && !is_unchanged(node.op_type, version, least)
    };
    by_operator(all_nodes(graph, &Functions::default()).into_iter().flatten().filter(changed))
}

/// Nodes put together by operator.
pub(super) fn by_operator<'p, 'a: 'p>(nodes: impl Iterator<Item = &'p NodeProto<'a>>) -> Vec<UnsupportedOp> {
    let mut operators: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for node in nodes {
        let written = node.outputs.iter().find(|output| !output.is_empty());
        let name = if node.name.is_empty() { written.copied().unwrap_or_default() } else { node.name };
        operators.entry((registry::domain(node.domain), node.op_type)).or_default().push(name.to_owned());
    }
    let operator = |((domain, name), nodes): ((&str, &str), Vec<String>)| UnsupportedOp {
        domain: long_domain(domain).to_owned(),
        name: name.to_owned(),
        nodes,
    };
    operators.into_iter().map(operator).collect()
}

/// Whether the registry has a node's operator, or the model itself defines it.
fn is_known(node: &NodeProto<'_>, functions: &Functions<'_>) -> bool {
    functions.of(node).is_some()
        || is_constant(node)
        || registry::find(registry::domain(node.domain), node.op_type).is_some()
}

/// How people write a domain: the standard's own has a name.
pub(super) fn long_domain(domain: &str) -> &str {
    if domain.is_empty() { "ai.onnx" } else { domain }
}

/// True for the nodes that are constants of the graph and no operators.
pub(super) fn is_constant(node: &NodeProto<'_>) -> bool {
    node.op_type == "Constant" && registry::domain(node.domain).is_empty()
}

/// The graphs among a node's attributes.
pub(super) fn inner_graphs<'p, 'a>(
    node: &'p NodeProto<'a>,
) -> impl Iterator<Item = (&'a str, &'p GraphProto<'a>)> {
    node.attributes.iter().filter_map(|attribute| match attribute.value() {
        AttributeValue::Graph(graph) => Some((attribute.name, graph)),
        _ => None,
    })
}

fn declaration(value: &ValueInfoProto<'_>) -> Declaration {
    Declaration { name: value.name.to_owned(), fact: declared(&value.kind) }
}

fn operators<'a>(graph: &'a GraphProto<'a>, functions: &Functions<'a>) -> Vec<OperatorCount> {
    let mut counts: BTreeMap<(&str, &str), (usize, bool)> = BTreeMap::new();
    for node in all_nodes(graph, functions).into_iter().flatten() {
        let domain = registry::domain(node.domain);
        let entry = counts.entry((domain, node.op_type)).or_insert((0, true));
        *entry = (entry.0 + 1, entry.1 && is_known(node, functions));
    }
    let operator = |((domain, name), (count, supported)): ((&str, &str), (usize, bool))| OperatorCount {
        domain: long_domain(domain).to_owned(),
        name: name.to_owned(),
        count,
        supported,
    };
    counts.into_iter().map(operator).collect()
}

fn parameters<'a>(graph: &'a GraphProto<'a>, functions: &Functions<'a>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |kind: String, count: u64| {
        let sum = counts.entry(kind).or_default();
        *sum = sum.saturating_add(count);
    };
    let nodes = all_nodes(graph, functions);
    let inner = nodes.iter().copied().flatten().flat_map(inner_graphs).map(|(_, graph)| graph);
    for graph in core::iter::once(graph).chain(inner) {
        graph.initializers.iter().for_each(|tensor| add(element(tensor), elements(tensor)));
    }
    for attribute in nodes.into_iter().flatten().filter(|node| is_constant(node)).flat_map(|n| &n.attributes)
    {
        match attribute.value() {
            AttributeValue::Tensor(tensor) => add(element(tensor), elements(tensor)),
            AttributeValue::Float(_) => add("f32".to_owned(), 1),
            AttributeValue::Int(_) => add("i64".to_owned(), 1),
            AttributeValue::Floats(values) => add("f32".to_owned(), values.len() as u64),
            AttributeValue::Ints(values) => add("i64".to_owned(), values.len() as u64),
            _ => {}
        }
    }
    counts.into_iter().collect()
}

/// The nodes of the graph, of the graphs within it and of the functions that they call: a list for each of them.
fn all_nodes<'a>(graph: &'a GraphProto<'a>, functions: &Functions<'a>) -> Vec<&'a [NodeProto<'a>]> {
    let mut lists: Vec<&[NodeProto<'_>]> = Vec::from([&graph.nodes[..]]);
    let mut called = BTreeSet::new();
    let mut next = 0;
    while next < lists.len() {
        for node in lists[next] {
            lists.extend(inner_graphs(node).map(|(_, graph)| &graph.nodes[..]));
            if let Some(function) = functions.of(node)
                && called.insert(core::ptr::from_ref(function))
            {
                lists.push(&function.nodes);
            }
        }
        next += 1;
    }
    lists
}

fn element(tensor: &TensorProto<'_>) -> String {
    element_type(tensor.data_type)
        .map_or_else(|_| format!("type {}", tensor.data_type), |known| known.to_string())
}

fn elements(tensor: &TensorProto<'_>) -> u64 {
    tensor.dims.iter().fold(1u64, |product, dim| product.saturating_mul(u64::try_from(*dim).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{Proto, node};
    use alloc::vec;

    fn model(graph: Proto) -> Vec<u8> {
        let opset = Proto::default().put_bytes(1, b"").put_int(2, 13);
        Proto::default().put_int(1, 8).put_bytes(2, b"by hand").put(8, &opset).put(7, &graph).0
    }

    fn input(name: &str) -> Proto {
        let tensor = Proto::default().put_int(1, 1);
        Proto::default().put_bytes(1, name.as_bytes()).put(2, &Proto::default().put(1, &tensor))
    }

    #[test]
    fn operators_are_counted_through_inner_graphs_and_marked() {
        let inner = Proto::default().put(1, &node("Foreign", &["a"], &["b"]).domain("com.example").0);
        let branch = Proto::default().put_bytes(1, b"then_branch").put_int(20, 5).put(6, &inner);
        let outer = Proto(node("Weird", &["c"], &["d"]).0.put(5, &branch).0);
        let graph = Proto::default().put(1, &outer).put(1, &node("Constant", &[], &["c"]).0);
        let graph = graph.put(1, &node("Weird", &["d"], &["e"]).0);
        let survey = survey(&model(graph), &Limits::default()).unwrap();
        let seen: Vec<_> =
            survey.operators.iter().map(|op| (&*op.domain, &*op.name, op.count, op.supported)).collect();
        let wanted = [
            ("ai.onnx", "Constant", 1, true),
            ("ai.onnx", "Weird", 2, false),
            ("com.example", "Foreign", 1, false),
        ];
        assert_eq!(seen, wanted);
        assert_eq!(survey.unsupported().count(), 2);
        assert_eq!(survey.nodes(), 4);
        assert_eq!((&*survey.producer, survey.ir_version), ("by hand", 8));
        assert_eq!(survey.opsets, vec![("ai.onnx".to_string(), 13)]);
    }

    #[test]
    fn parameters_are_counted_where_they_stand_and_are_no_inputs() {
        let weights = Proto::default().put_int(1, 2).put_int(1, 3).put_int(2, 1).put_bytes(8, b"w");
        let strange = Proto::default().put_int(1, 5).put_int(2, 77).put_bytes(8, b"s");
        let graph =
            Proto::default().put(5, &weights).put(5, &strange).put(11, &input("w")).put(11, &input("x"));
        let graph = graph.put(1, &node("Constant", &[], &["c"]).ints("value_ints", &[1, 2]).0);
        let survey = survey(&model(graph), &Limits::default()).unwrap();
        let counts = [("f32", 6), ("i64", 2), ("type 77", 5)].map(|(name, count)| (name.to_string(), count));
        assert_eq!(survey.parameters, counts);
        assert_eq!(survey.inputs.iter().map(|input| &*input.name).collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn what_is_no_model_is_an_error() {
        assert_eq!(survey(b"", &Limits::default()).unwrap_err(), ImportError::Empty);
        assert!(survey(b"\xff\xff\xff\xff", &Limits::default()).is_err());
        assert!(survey(&Proto::default().put_int(1, 8).0, &Limits::default()).is_err());
    }
}
