//! From the file's names to a graph of ids.
//!
//! A graph is built in three steps: its names are written down (inputs, constants, what nodes write), its nodes are put
//! in an order in which they can run, and each node is turned into an operator by its importer. A graph inside a node may
//! read names of the graphs around it: those *captures* become inputs of the inner graph and inputs of the node, level by
//! level, so that every graph is complete in itself. A node that calls a function of the model is replaced by the
//! function's nodes, in the same graph and under names of their own.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::Pin;

use super::counted::Counted;
use super::error::ImportError;
use super::external::ExternalData;
use super::fragment::{LONGEST_NAME, name_output};
use super::function::{Functions, Setting, title};
use super::import::check_form;
use super::node::{Imported, NodeView, label};
use super::order::topological;
use super::proto::{FunctionProto, GraphProto, NodeProto, ValueInfoProto};
use super::registry::{self, Import};
use super::survey::{inner_graphs, is_constant};
use super::value::declared;
use crate::graph::{Body, Graph, Node, ValueId};
use crate::op::Loop;

/// What is the same for all graphs of a file.
pub(super) struct Importer<'a> {
    pub(super) functions: &'a Functions<'a>,
    pub(super) external: &'a dyn ExternalData,
}

type Future<'s, T> = Pin<Box<dyn core::future::Future<Output = T> + Send + 's>>;

/// A graph under construction, and the names of its values.
struct Scope<'a> {
    graph: Graph,
    /// How errors call the graph or function.
    name: String,
    /// What goes before the names of nodes and values: in a function the name of the call.
    prefix: String,
    ids: BTreeMap<&'a str, ValueId>,
}

impl<'a> Scope<'a> {
    fn define(&mut self, name: &'a str, id: ValueId) -> Result<(), ImportError> {
        match self.ids.insert(name, id) {
            None => Ok(()),
            Some(_) => Err(ImportError::Duplicate { graph: self.name.clone(), name: name.to_owned() }),
        }
    }

    fn find(&self, name: &str, reader: impl FnOnce() -> String) -> Result<ValueId, ImportError> {
        let found = self.ids.get(name).copied();
        found.ok_or_else(|| ImportError::Dangling { reader: reader(), name: name.to_owned() })
    }

    /// How the graph calls a node or value that the file calls `name`. Names that have grown very long in calls within calls
    /// are left out: they are for people.
    fn named(&self, name: &str) -> String {
        match name {
            _ if self.prefix.is_empty() => name.to_owned(),
            "" => String::new(),
            _ if self.prefix.len() + name.len() > LONGEST_NAME => String::new(),
            _ => format!("{}/{name}", self.prefix),
        }
    }
}

impl<'a> Importer<'a> {
    /// A graph; `captured` are the names that it may use of the graphs around it, its last inputs.
    pub(super) fn graph<'s>(
        &'s self,
        proto: &'a GraphProto<'a>,
        captured: &'s [&'a str],
        setting: &'s Setting<'a>,
        counted: &'s mut Counted<'_>,
    ) -> Future<'s, Result<Graph, ImportError>> {
        Box::pin(self.graph_here(proto, captured, setting, counted))
    }

    async fn graph_here(
        &self,
        proto: &'a GraphProto<'a>,
        captured: &[&'a str],
        setting: &Setting<'a>,
        counted: &mut Counted<'_>,
    ) -> Result<Graph, ImportError> {
        let mut scope = Scope {
            graph: Graph::default(),
            name: proto.name.to_owned(),
            prefix: String::new(),
            ids: BTreeMap::new(),
        };
        self.constants(&mut scope, proto, counted).await?;
        self.inputs(&mut scope, proto, captured)?;
        self.nodes(&mut scope, &proto.nodes, setting, counted).await?;
        outputs(&mut scope, proto, captured)?;
        Ok(scope.graph)
    }

    async fn nodes(
        &self,
        scope: &mut Scope<'a>,
        nodes: &'a [NodeProto<'a>],
        setting: &Setting<'a>,
        counted: &mut Counted<'_>,
    ) -> Result<(), ImportError> {
        let reads: Vec<Vec<&str>> = nodes.iter().map(reads).collect();
        let writes: Vec<Vec<&str>> = nodes.iter().map(|node| node.outputs.clone()).collect();
        let names = |order: Vec<usize>| order.into_iter().map(|node| label(&nodes[node])).collect();
        let order = topological(&reads, &writes).map_err(|nodes| ImportError::Cycle(names(nodes)))?;
        for node in order {
            counted.node().await?;
            match self.functions.of(&nodes[node]) {
                Some(function) => {
                    Box::pin(self.call(scope, &nodes[node], function, setting, counted)).await?
                }
                None => self.node(scope, &nodes[node], setting, counted).await?,
            }
        }
        Ok(())
    }

    async fn constants(
        &self,
        scope: &mut Scope<'a>,
        proto: &'a GraphProto<'a>,
        counted: &mut Counted<'_>,
    ) -> Result<(), ImportError> {
        if proto.sparse > 0 {
            let problem = "sparse initializers are not supported".into();
            return Err(ImportError::Tensor { tensor: scope.name.clone(), problem });
        }
        for initializer in &proto.initializers {
            let tensor = counted.tensor(initializer, "initializer", self.external).await?;
            let id = scope.graph.add_constant(initializer.name, tensor);
            scope.define(initializer.name, id)?;
        }
        Ok(())
    }

    fn inputs(
        &self,
        scope: &mut Scope<'a>,
        proto: &'a GraphProto<'a>,
        captured: &[&'a str],
    ) -> Result<(), ImportError> {
        // Files of the first versions list the constants among the inputs.
        let constants: BTreeSet<&str> = proto.initializers.iter().map(|tensor| tensor.name).collect();
        for input in proto.inputs.iter().filter(|input| !constants.contains(input.name)) {
            let fact = declared(&input.kind).map_err(|problem| port_error("input", input, problem))?;
            let id = scope.graph.add_value(input.name, fact);
            scope.define(input.name, id)?;
            scope.graph.inputs.push(id);
        }
        for name in captured {
            let id = scope.graph.add_value(*name, None);
            scope.define(name, id)?;
            scope.graph.inputs.push(id);
        }
        Ok(())
    }

    async fn node(
        &self,
        scope: &mut Scope<'a>,
        proto: &'a NodeProto<'a>,
        setting: &Setting<'a>,
        counted: &mut Counted<'_>,
    ) -> Result<(), ImportError> {
        let domain = registry::domain(proto.domain);
        let opset = setting.opset_of(domain)?;
        if domain.is_empty() {
            check_form(proto, opset)?;
        }
        if is_constant(proto) {
            let view = NodeView::new(proto, opset, self.external, &[], setting);
            let tensor = counted.constant(&view, self.external).await?;
            let id = scope.graph.add_constant(scope.named(proto.outputs[0]), tensor);
            return scope.define(proto.outputs[0], id);
        }

        let inputs = operands(scope, proto, setting)?;
        let (bodies, captured) = self.bodies(proto, inputs.len(), setting, counted).await?;
        let view = NodeView::new(proto, opset, self.external, &bodies, setting);
        match registry::find(view.domain(), view.op_type()).ok_or_else(|| view.refuse("is not supported"))? {
            Import::One(import) => single(scope, proto, &view, import(&view)?, inputs, captured),
            Import::Several(expand) => {
                let inputs = with_captures(scope, proto, inputs, captured)?;
                let outputs = &proto.outputs[..view.outputs()];
                let names: Vec<String> = outputs.iter().map(|name| scope.named(name)).collect();
                let name = scope.named(proto.name);
                let placed = expand(&view)?.place(&mut scope.graph, &name, &inputs, &names);
                let missing = |output| view.refuse(format!("output {output} is not supported"));
                for (name, id) in outputs.iter().zip(placed.map_err(missing)?) {
                    id.map_or(Ok(()), |id| scope.define(name, id))?;
                }
                Ok(())
            }
        }
    }

    /// Puts the nodes of a function in the place of a node that calls it.
    async fn call(
        &self,
        scope: &mut Scope<'a>,
        proto: &'a NodeProto<'a>,
        function: &'a FunctionProto<'a>,
        setting: &Setting<'a>,
        counted: &mut Counted<'_>,
    ) -> Result<(), ImportError> {
        let inputs = operands(scope, proto, setting)?;
        check_call(proto, function, inputs.len())?;
        let mut inside = setting.call(proto, function)?;
        let first = proto.outputs.iter().copied().find(|output| !output.is_empty()).unwrap_or("");
        let mut inner = Scope {
            name: function.name.to_owned(),
            prefix: scope.named(if proto.name.is_empty() { first } else { proto.name }),
            graph: core::mem::take(&mut scope.graph),
            ids: BTreeMap::new(),
        };
        let known = inner.graph.values().len();
        for (index, name) in function.inputs.iter().enumerate() {
            match inputs.get(index).copied().flatten() {
                Some(id) => inner.define(name, id)?,
                None => _ = inside.absent.insert(name),
            }
        }
        self.nodes(&mut inner, &function.nodes, &inside, counted).await?;
        let mut named = Vec::new();
        for (formal, name) in function.outputs.iter().zip(&proto.outputs) {
            if name.is_empty() {
                continue;
            }
            let id = inner.find(formal, || format!("function {}", title(function)))?;
            let ours = id.index() >= known && inner.graph.constant(id).is_none();
            let id = name_output(&mut inner.graph, id, &scope.named(name), ours, &mut named);
            scope.define(name, id)?;
        }
        scope.graph = inner.graph;
        Ok(())
    }

    /// The graphs of a node, and the names they capture. All of them share one input of the node for a value that several
    /// capture; those inputs come after the `operands` inputs that the node has itself.
    #[allow(clippy::type_complexity)] // two lists side by side
    async fn bodies(
        &self,
        proto: &'a NodeProto<'a>,
        operands: usize,
        setting: &Setting<'a>,
        counted: &mut Counted<'_>,
    ) -> Result<(Vec<(&'a str, Body)>, Vec<&'a str>), ImportError> {
        let mut bodies = Vec::new();
        let mut carried: Vec<&str> = Vec::new();
        for (attribute, inner) in inner_graphs(proto) {
            let captured = captures(inner);
            let mut positions = Vec::with_capacity(captured.len());
            for name in &captured {
                let known = carried.iter().position(|carried| carried == name);
                positions.push(operands + known.unwrap_or(carried.len()));
                if known.is_none() {
                    carried.push(name);
                }
            }
            let graph = self.graph(inner, &captured, setting, counted).await?;
            bodies.push((attribute, Body { graph, captures: positions }));
        }
        Ok((bodies, carried))
    }
}

/// Adds the one operator of a node to the graph.
fn single<'a>(
    scope: &mut Scope<'a>,
    proto: &'a NodeProto<'a>,
    view: &NodeView<'_>,
    imported: Imported,
    inputs: Vec<Option<ValueId>>,
    captured: Vec<&'a str>,
) -> Result<(), ImportError> {
    let inputs = imported.arrange(inputs);
    let Imported { op, constants, prepare, .. } = imported;
    let mut inputs = with_captures(scope, proto, inputs, captured)?;
    for (position, tensor) in constants {
        if position >= inputs.len() {
            inputs.resize(position + 1, None);
        }
        if inputs[position].replace(scope.graph.add_constant("", tensor)).is_some() {
            return Err(view.refuse(format!("input {position} is given twice, once by an attribute")));
        }
    }
    let name: Arc<str> = scope.named(proto.name).into();
    for (position, op) in prepare {
        let prepared = scope.graph.add_value("", None);
        let reads = [position, 0].map(|input| inputs.get(input).copied().flatten()).to_vec();
        let outputs = alloc::vec![Some(prepared)];
        scope.graph.nodes.push(Node { name: name.clone(), op, inputs: reads, outputs });
        inputs[position] = Some(prepared);
    }

    let mut outputs = Vec::with_capacity(view.outputs());
    for name in &proto.outputs[..view.outputs()] {
        let id = (!name.is_empty()).then(|| scope.graph.add_value(scope.named(name), None));
        outputs.push(id);
        id.map_or(Ok(()), |id| scope.define(name, id))?;
    }
    scope.graph.nodes.push(Node { name, op, inputs, outputs });
    Ok(())
}

/// Puts what the graphs of a node capture behind what it reads itself.
fn with_captures(
    scope: &Scope<'_>,
    proto: &NodeProto<'_>,
    mut inputs: Vec<Option<ValueId>>,
    captured: Vec<&str>,
) -> Result<Vec<Option<ValueId>>, ImportError> {
    for name in captured {
        inputs.push(Some(scope.find(name, || format!("a graph in node {}", label(proto)))?));
    }
    Ok(inputs)
}

/// Refuses a call with more inputs or outputs than the function has.
fn check_call(proto: &NodeProto<'_>, function: &FunctionProto<'_>, inputs: usize) -> Result<(), ImportError> {
    let refuse = |problem: String| Err(ImportError::Node { node: label(proto), problem });
    if inputs > function.inputs.len() {
        return refuse(format!("{inputs} inputs where at most {} are taken", function.inputs.len()));
    }
    if proto.outputs.len() > function.outputs.len() {
        return refuse(format!("{} outputs where there are {}", proto.outputs.len(), function.outputs.len()));
    }
    Ok(())
}

/// The values that a node itself reads; `None` where an optional input is left out.
fn operands(
    scope: &Scope<'_>,
    proto: &NodeProto<'_>,
    setting: &Setting<'_>,
) -> Result<Vec<Option<ValueId>>, ImportError> {
    let there = |name: &&str| setting.is_there(name);
    // Empty names at the end are no inputs at all; but captures come after the operands, and a Loop's first two have their
    // places whether they are there or not.
    let least = if proto.op_type == "Loop" { Loop::LEADING } else { 0 };
    let count = proto.inputs.iter().rposition(there).map_or(0, |last| last + 1);
    let find = |index: usize| match proto.inputs.get(index).copied().filter(|name| setting.is_there(name)) {
        None => Ok(None),
        Some(name) => scope.find(name, || format!("node {}", label(proto))).map(Some),
    };
    (0..count.max(least)).map(find).collect()
}

/// Finds the outputs and notes what is declared of them. Of a value that is captured the graph around knows better.
fn outputs<'a>(
    scope: &mut Scope<'a>,
    proto: &'a GraphProto<'a>,
    captured: &[&'a str],
) -> Result<(), ImportError> {
    for output in &proto.outputs {
        let id = scope.find(output.name, || format!("graph {:?}", scope.name))?;
        let fact = declared(&output.kind).map_err(|problem| port_error("output", output, problem))?;
        if !captured.contains(&output.name) {
            let value = scope.graph.value_mut(id);
            value.fact = value.fact.take().or(fact);
        }
        scope.graph.outputs.push(id);
    }
    Ok(())
}

fn port_error(side: &'static str, info: &ValueInfoProto<'_>, problem: String) -> ImportError {
    ImportError::Port { side, name: info.name.to_string(), problem }
}

/// The names that a graph reads and does not define, each once, in the order of first reading.
fn captures<'p>(graph: &'p GraphProto<'_>) -> Vec<&'p str> {
    let mut defined: BTreeSet<&str> = BTreeSet::new();
    defined.extend(graph.inputs.iter().map(|input| input.name));
    defined.extend(graph.initializers.iter().map(|tensor| tensor.name));
    defined.extend(graph.nodes.iter().flat_map(|node| node.outputs.iter().copied()));
    // The empty name is a left-out input.
    defined.insert("");
    let mut found = Vec::new();
    let outputs = graph.outputs.iter().map(|output| output.name);
    for name in graph.nodes.iter().flat_map(reads).chain(outputs) {
        if defined.insert(name) {
            found.push(name);
        }
    }
    found
}

/// All names that a node reads: its inputs, then what its inner graphs capture.
fn reads<'p>(node: &'p NodeProto<'_>) -> Vec<&'p str> {
    let mut names: Vec<&str> = node.inputs.iter().copied().filter(|name| !name.is_empty()).collect();
    names.extend(inner_graphs(node).flat_map(|(_, inner)| captures(inner)));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::onnx::testing::{TestGraph, node};
    use crate::onnx::{Options, import};
    use inferry_core::ElementType::{Bool, F32, I64};
    use inferry_core::Tensor;

    fn read(graph: &TestGraph) -> Result<Model, ImportError> {
        import(&graph.model(13), &Options::default())
    }

    fn error(graph: &TestGraph) -> String {
        read(graph).unwrap_err().to_string()
    }

    /// `y = Relu(Add(x, c))`
    fn small() -> TestGraph {
        TestGraph::new()
            .input("x", F32, &["N", "2"])
            .constant("c", &Tensor::from_slice(&[1.0f32, 2.0], [2]).unwrap())
            .node(node("Add", &["x", "c"], &["t"]))
            .node(node("Relu", &["t"], &["y"]).named("last"))
            .output("y", F32, &["N", "2"])
    }

    #[test]
    fn names_become_ids_and_ports_keep_them() {
        let model = read(&small()).unwrap();
        let expected = "x: f32[N, 2]
----
t = Add(x, c: f32[2] {1, 2})
y: f32[N, 2] = Relu(t)
----
y
";
        assert_eq!(model.graph.to_string(), expected);
        assert_eq!(model.name, "g");
        let (inputs, outputs) = (model.inputs(), model.outputs());
        assert_eq!((&*inputs[0].name, inputs[0].shape.to_string()), ("x", "[?, 2]".to_string()));
        assert_eq!((&*outputs[0].name, outputs[0].element), ("y", F32));
    }

    #[test]
    fn constants_among_the_inputs_and_constant_nodes_are_constants() {
        let value = Tensor::from_slice(&[2i64], [1]).unwrap();
        let graph = TestGraph::new()
            .input("c", I64, &["1"])
            .input("x", I64, &["1"])
            .constant("c", &value)
            .node(node("Constant", &[], &["k"]).tensor("value", &value))
            .node(node("Sum", &["x", "c", "k"], &["y"]))
            .bare_output("y");
        let model = read(&graph).unwrap();
        assert_eq!(model.inputs().len(), 1);
        assert_eq!(model.graph.nodes.len(), 1);
        assert!(
            model.graph.nodes[0].inputs[1..].iter().all(|id| model.graph.constant(id.unwrap()).is_some())
        );
    }

    #[test]
    fn nodes_out_of_order_are_sorted_and_cycles_named() {
        let graph = TestGraph::new()
            .input("x", F32, &[])
            .node(node("Relu", &["t"], &["y"]))
            .node(node("Abs", &["x"], &["t"]))
            .bare_output("y");
        let model = read(&graph).unwrap();
        assert_eq!(model.graph.nodes[0].op.name(), "Abs");
        crate::graph::verify(&model.graph).unwrap();
        let graph = graph
            .node(node("Add", &["a", "b"], &["a2"]).named("one"))
            .node(node("Relu", &["a2"], &["b"]).named("two"))
            .node(node("Relu", &["b"], &["a"]));
        let expected = "these nodes wait for each other: ";
        let message = error(&graph);
        assert!(
            message.starts_with(expected)
                && message.contains("Add \"one\"")
                && message.contains("Relu \"two\""),
            "{message}"
        );
    }

    #[test]
    fn attributes_that_became_inputs_are_constants_of_the_graph() {
        let graph = TestGraph::new()
            .input("x", F32, &["1", "2"])
            .node(node("Squeeze", &["x"], &["y"]).ints("axes", &[0]))
            .bare_output("y");
        let model = import(&graph.model(11), &Options::default()).unwrap();
        let node = &model.graph.nodes[0];
        assert_eq!(model.graph.constant(node.inputs[1].unwrap()).unwrap().to_vec::<i64>().unwrap(), [0]);
    }

    #[test]
    fn broken_graphs_are_told_by_name() {
        let twice = small().node(node("Abs", &["x"], &["t"]));
        assert_eq!(error(&twice), "two values of graph \"g\" are named \"t\"");
        let input_again = small().node(node("Abs", &["c"], &["x"]));
        assert_eq!(error(&input_again), "two values of graph \"g\" are named \"x\"");
        let dangling = small().node(node("Abs", &["nothing"], &["u"]));
        assert_eq!(error(&dangling), "node Abs that writes \"u\" reads \"nothing\", which nothing writes");
        let output = small().bare_output("z");
        assert_eq!(error(&output), "graph \"g\" reads \"z\", which nothing writes");
        let counts = small().node(node("Relu", &["x", "x"], &["u"]).named("r"));
        assert_eq!(error(&counts), "node Relu \"r\": 2 inputs where 1 are wanted");
        let inner = TestGraph::new().node(node("Relu", &["lost"], &["r"])).bare_output("r");
        let lost = small()
            .node(node("If", &["x"], &["w"]).graph("then_branch", &inner.0).graph("else_branch", &inner.0));
        assert_eq!(error(&lost), "a graph in node If that writes \"w\" reads \"lost\", which nothing writes");
    }

    /// A graph with an If whose branches read `a` and `b` of the graph around; the second reads them two graphs deep.
    fn branches() -> TestGraph {
        let then = TestGraph::new().node(node("Add", &["a", "b"], &["r"])).bare_output("r");
        let deep = TestGraph::new().node(node("Mul", &["b", "a"], &["d"])).bare_output("d");
        let also = TestGraph::new().bare_output("b");
        let inner = node("If", &["c"], &["r"]).graph("then_branch", &deep.0).graph("else_branch", &also.0);
        let otherwise = TestGraph::new().node(inner).bare_output("r");
        let outer =
            node("If", &["c"], &["y"]).graph("then_branch", &then.0).graph("else_branch", &otherwise.0);
        TestGraph::new()
            .input("x", F32, &["2"])
            .input("c", Bool, &[])
            .node(node("Relu", &["x"], &["a"]))
            .node(outer)
            .node(node("Abs", &["x"], &["b"]))
            .bare_output("y")
    }

    #[test]
    fn what_inner_graphs_read_outside_becomes_inputs_of_their_nodes() {
        let model = read(&branches()).unwrap();
        crate::graph::verify(&model.graph).unwrap();
        // The If reads `b` only inside, and still comes after the node that writes it.
        let order: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(order, ["Relu", "Abs", "If"]);
        let names = |graph: &Graph, node: &Node| -> Vec<String> {
            node.inputs.iter().map(|id| graph.value(id.unwrap()).name.to_string()).collect()
        };
        let outer = &model.graph.nodes[2];
        assert_eq!(names(&model.graph, outer), ["c", "a", "b", "c"]);
        let [then, otherwise] = outer.op.bodies() else { panic!("two branches") };
        assert_eq!((&then.captures[..], &otherwise.captures[..]), (&[1, 2][..], &[3, 2, 1][..]));
    }

    #[test]
    fn what_an_inner_graph_declares_of_a_value_outside_counts_for_nothing() {
        let inner = TestGraph::new().output("k", I64, &["7"]);
        let branch = node("If", &["c"], &["y"]).graph("then_branch", &inner.0).graph("else_branch", &inner.0);
        let graph =
            TestGraph::new().input("c", Bool, &[]).input("k", F32, &["2"]).node(branch).bare_output("y");
        let mut model = read(&graph).unwrap();
        crate::graph::verify(&model.graph).unwrap();
        crate::passes::propagate(&mut model.graph, &crate::passes::NoArithmetic).unwrap();
        let y = model.graph.outputs[0];
        assert_eq!(model.graph.fact(y).unwrap().to_string(), "f32[2]");
    }
}
