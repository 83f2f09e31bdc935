//! The functions that a model defines, and what their nodes see of the call.
//!
//! A function is a list of nodes with names of its own. Every node that calls it is replaced by those nodes: see
//! [`build`](super::build). A [`Setting`] is what differs from call to call and is not a value: which operator sets the
//! names of operators mean, the values of the function's attributes, and which calls lie around this one. A function is
//! known by domain, name and overload; where the model defines one that we have as an operator, the model's own counts.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::ImportError;
use super::import::check_opset;
use super::proto::{AttributeProto, AttributeValue, FunctionProto, NodeProto, OperatorSet};
use super::registry;
use super::survey::long_domain;

/// Calls within calls; real models have two or three.
const DEEPEST: usize = 64;

/// The functions of a file.
#[derive(Default)]
pub(super) struct Functions<'a>(BTreeMap<(&'a str, &'a str, &'a str), &'a FunctionProto<'a>>);

/// The values of a function's attributes, by name.
type Attributes<'a> = BTreeMap<&'a str, AttributeValue<'a, 'a>>;

impl<'a> Functions<'a> {
    pub(super) fn new(functions: &'a [FunctionProto<'a>]) -> Functions<'a> {
        let key = |f: &FunctionProto<'a>| (registry::domain(f.domain), f.name, f.overload);
        Functions(functions.iter().map(|function| (key(function), function)).collect())
    }

    /// The function that a node calls, if it calls one.
    pub(super) fn of(&self, node: &NodeProto<'_>) -> Option<&'a FunctionProto<'a>> {
        self.0.get(&(registry::domain(node.domain), node.op_type, node.overload)).copied()
    }
}

/// What the nodes of a graph, or of one call of a function, have in common. See the [module](self).
#[derive(Clone, Default)]
pub(super) struct Setting<'a> {
    /// The version of the standard's own operators, if it is known.
    pub(super) opset: Option<i64>,
    pub(super) opsets: &'a [OperatorSet<'a>],
    attributes: Attributes<'a>,
    /// Inputs of the function that the call leaves out.
    pub(super) absent: BTreeSet<&'a str>,
    /// The functions around, the innermost last.
    calls: Vec<&'a FunctionProto<'a>>,
}

impl<'a> Setting<'a> {
    /// That of the model's own graph.
    pub(super) fn of_model(opset: Option<i64>, opsets: &'a [OperatorSet<'a>]) -> Setting<'a> {
        Setting { opset, opsets, ..Setting::default() }
    }

    /// That of a function's nodes, where a node in this setting calls it.
    pub(super) fn call(
        &self,
        node: &'a NodeProto<'a>,
        function: &'a FunctionProto<'a>,
    ) -> Result<Setting<'a>, ImportError> {
        let same = |other: &&FunctionProto<'a>| core::ptr::eq(*other, function);
        let mut calls = self.calls.clone();
        if let Some(first) = calls.iter().position(same) {
            return Err(ImportError::Recursion(calls[first..].iter().map(|f| title(f)).collect()));
        }
        if calls.len() == DEEPEST {
            return Err(ImportError::Limit { what: "calls of functions within each other", limit: DEEPEST });
        }
        calls.push(function);
        let own = function.opsets.iter().filter(|set| registry::domain(set.domain).is_empty());
        let opset = own.map(|set| set.version).max();
        if let Some(version) = opset {
            check_opset(version)?;
        }
        let mut attributes = Attributes::new();
        for attribute in &function.defaults {
            attributes.insert(attribute.name, attribute.value());
        }
        for name in function.attributes.iter().copied().chain(function.defaults.iter().map(|a| a.name)) {
            if let Some(value) = node.attributes.iter().find(|a| a.name == name).and_then(|a| self.value(a)) {
                attributes.insert(name, value);
            }
        }
        Ok(Setting {
            opset: opset.or(self.opset),
            opsets: &function.opsets,
            attributes,
            absent: BTreeSet::new(),
            calls,
        })
    }

    /// The value of an attribute of a node in this setting; `None` when it is that of the function and was not given.
    pub(super) fn value(&self, attribute: &'a AttributeProto<'a>) -> Option<AttributeValue<'a, 'a>> {
        match attribute.reference {
            Some(name) => self.attributes.get(name).copied(),
            None => Some(attribute.value()),
        }
    }

    /// True for the name of an input that is there: it is not empty, and no input of the function that the call leaves out.
    pub(super) fn is_there(&self, name: &str) -> bool {
        !name.is_empty() && !self.absent.contains(name)
    }

    /// The version of a domain.
    pub(super) fn opset_of(&self, domain: &str) -> Result<i64, ImportError> {
        match domain {
            "" => self.opset.ok_or(ImportError::Absent("operator set of ai.onnx")),
            domain => Ok(self.opsets.iter().find(|set| set.domain == domain).map_or(1, |set| set.version)),
        }
    }
}

/// How errors call a function.
pub(super) fn title(function: &FunctionProto<'_>) -> String {
    let colon = if function.overload.is_empty() { "" } else { ":" };
    let domain = long_domain(registry::domain(function.domain)).escape_debug();
    format!("{domain}.{}{colon}{}", function.name.escape_debug(), function.overload.escape_debug())
}

#[cfg(test)]
mod tests {
    use crate::model::Model;
    use crate::onnx::testing::{Proto, TestGraph, node, opset};
    use crate::onnx::{ImportError, Limits, Options, import};
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use inferry_core::ElementType::{Bool, F32};
    use inferry_core::Tensor;

    /// A function of domain `own`.
    fn function(name: &str, inputs: &[&str], outputs: &[&str]) -> Proto {
        let mut proto = Proto::default().put_bytes(1, name.as_bytes()).put_bytes(10, b"own");
        proto = inputs.iter().fold(proto, |proto, input| proto.put_bytes(4, input.as_bytes()));
        outputs.iter().fold(proto, |proto, output| proto.put_bytes(5, output.as_bytes()))
    }

    fn model(graph: &TestGraph, functions: &[Proto]) -> Vec<u8> {
        let mut bytes = graph.model(18);
        bytes.extend(Proto::default().put(8, &opset("own", 1)).0);
        functions.iter().for_each(|function| bytes.extend(Proto::default().put(25, function).0));
        bytes
    }

    fn read(graph: &TestGraph, functions: &[Proto]) -> Result<Model, ImportError> {
        import(&model(graph, functions), &Options::default())
    }

    fn text(graph: &TestGraph, functions: &[Proto]) -> String {
        let model = read(graph, functions).unwrap_or_else(|error| panic!("{error}"));
        crate::graph::verify(&model.graph).unwrap();
        model.graph.to_string()
    }

    fn caller(op: &str, inputs: &[&str], outputs: &[&str]) -> crate::onnx::testing::TestNode {
        node(op, inputs, outputs).domain("own")
    }

    fn graph() -> TestGraph {
        TestGraph::new().input("x", F32, &["2"])
    }

    #[test]
    fn a_call_is_replaced_by_nodes_with_names_of_their_own() {
        let double = function("Double", &["a"], &["b"])
            .put(7, &node("Identity", &["a"], &["x"]).0)
            .put(7, &node("Add", &["x", "a"], &["b"]).named("sum").0);
        let twice = function("Twice", &["a", "unused"], &["b", "a", "b"])
            .put(7, &caller("Double", &["a"], &["t"]).named("in").0)
            .put(7, &caller("Double", &["t"], &["b"]).0);
        let calls = graph()
            .node(caller("Twice", &["x"], &["y", "z", "w"]).named("call"))
            .bare_output("y")
            .bare_output("z");
        let expected = "x: f32[2]
----
call/in/x = Identity(x)
call/t = Add(call/in/x, x)
call/b/x = Identity(call/t)
y = Add(call/b/x, call/t)
z = Identity(x)
w = Identity(y)
----
y
z
";
        assert_eq!(text(&calls, &[twice, double]), expected);
    }

    #[test]
    fn attributes_are_given_defaulted_or_left_to_the_operator() {
        let slope = |reference: &str| {
            let attribute = Proto::default().put_bytes(1, b"alpha").put_int(20, 1);
            attribute.put_bytes(21, reference.as_bytes())
        };
        let leaky =
            |output: &str, reference: &str| node("LeakyRelu", &["a"], &[output]).0.put(5, &slope(reference));
        let default = Proto::default().put_bytes(1, b"q").put_int(20, 1).put_float(2, 0.25);
        let three = function("Three", &["a"], &["p", "q", "r"])
            .put_bytes(6, b"p")
            .put_bytes(6, b"r")
            .put(11, &default)
            .put(7, &leaky("p", "p"))
            .put(7, &leaky("q", "q"))
            .put(7, &leaky("r", "r"));
        // The outer function hands its own attribute on under another name.
        let handed = Proto::default().put_bytes(1, b"p").put_int(20, 1).put_bytes(21, b"outer");
        let outer = function("Outer", &["a"], &["p"])
            .put_bytes(6, b"outer")
            .put(7, &caller("Three", &["a"], &["p", "q", "r"]).0.put(5, &handed));
        let call = graph().node(caller("Outer", &["x"], &["y"]).float("outer", 0.5)).bare_output("y");
        let text = text(&call, &[three, outer]);
        assert!(text.contains("y = LeakyRelu { alpha: 0.5 }(x)"), "{text}");
        assert!(text.contains("LeakyRelu { alpha: 0.25 }(x)"), "{text}");
        assert!(text.contains("LeakyRelu { alpha: 0.01 }(x)"), "{text}");
    }

    #[test]
    fn operator_sets_and_overloads_are_the_functions_own() {
        let squeeze = |overload: &str, version| {
            function("S", &["a"], &["b"])
                .put_bytes(13, overload.as_bytes())
                .put(9, &opset("", version))
                .put(7, &node("Softmax", &["a"], &["b"]).0)
        };
        let call = |overload: &str, output| {
            let mut call = caller("S", &["x"], &[output]);
            call.0 = call.0.put_bytes(8, overload.as_bytes());
            call
        };
        let both = graph().node(call("old", "y")).node(call("", "z")).bare_output("y").bare_output("z");
        let text = text(&both, &[squeeze("old", 11), squeeze("", 13)]);
        assert!(text.contains("y = Softmax { axis: 1, log: false, flatten: true }"), "{text}");
        assert!(text.contains("z = Softmax { axis: -1, log: false, flatten: false }"), "{text}");
        let unknown = graph().node(call("new", "y")).bare_output("y");
        let error = read(&unknown, &[squeeze("old", 11)]).unwrap_err().to_string();
        assert_eq!(error, "the model needs operators that are not supported: own.S (\"y\")");
        let error = read(&both, &[squeeze("old", 11), squeeze("", 99)]).unwrap_err().to_string();
        assert_eq!(error, "the model is written in operator set 99; 6 to 22 are supported");
    }

    #[test]
    fn graphs_in_a_function_read_its_values() {
        let branch = |op: &str| TestGraph::new().node(node(op, &["a"], &["r"])).bare_output("r");
        let choose = node("If", &["c"], &["b"])
            .graph("then_branch", &branch("Exp").0)
            .graph("else_branch", &branch("Log").0);
        let chosen = function("Chosen", &["a", "c"], &["b"]).put(7, &choose.0);
        let call = graph().input("c", Bool, &[]).node(caller("Chosen", &["x", "c"], &["y"])).bare_output("y");
        let text = text(&call, &[chosen]);
        assert!(text.contains("y = If(c, x, x)") || text.contains("y = If(c, x)"), "{text}");
    }

    #[test]
    fn calls_in_a_circle_and_calls_without_end_are_refused() {
        let call = |name: &str| graph().node(caller(name, &["x"], &["y"])).bare_output("y");
        let to = |name: &str, callee: &str| {
            function(name, &["a"], &["b"]).put(7, &caller(callee, &["a"], &["b"]).0)
        };
        let error = read(&call("A"), &[to("A", "B"), to("B", "C"), to("C", "B")]).unwrap_err();
        assert_eq!(error.to_string(), "functions of the model call each other in a circle: own.B, own.C");
        // Each calls the next one twice.
        let doubling = |index: usize| {
            let next = format!("F{}", index + 1);
            function(&format!("F{index}"), &["a"], &["b"])
                .put(7, &caller(&next, &["a"], &["t"]).0)
                .put(7, &caller(&next, &["t"], &["b"]).0)
        };
        let mut functions: Vec<Proto> = (0..40).map(doubling).collect();
        functions.push(function("F40", &["a"], &["b"]).put(7, &node("Abs", &["a"], &["b"]).0));
        let limits = Limits { nodes: 5000, ..Limits::default() };
        let options = Options { limits, ..Options::default() };
        let error = import(&model(&call("F0"), &functions), &options).unwrap_err();
        assert_eq!(error, ImportError::Limit { what: "nodes", limit: 5000 });
        let mut chain: Vec<Proto> =
            (0..100).map(|index| to(&format!("F{index}"), &format!("F{}", index + 1))).collect();
        chain.push(function("F100", &["a"], &["b"]).put(7, &node("Abs", &["a"], &["b"]).0));
        let error = read(&call("F0"), &chain).unwrap_err().to_string();
        assert_eq!(error, "the model has more than 64 calls of functions within each other");
    }

    #[test]
    fn calls_that_do_not_fit_are_told_by_name() {
        let one = || function("One", &["a"], &["b"]).put(7, &node("Abs", &["a"], &["b"]).0);
        let call = |inputs: &[&str], outputs: &[&str]| {
            let graph = graph().node(caller("One", inputs, outputs)).bare_output("y");
            read(&graph, &[one()]).unwrap_err().to_string()
        };
        assert_eq!(
            call(&["x", "x"], &["y"]),
            "node One that writes \"y\": 2 inputs where at most 1 are taken"
        );
        assert_eq!(call(&["x"], &["y", "z"]), "node One that writes \"y\": 2 outputs where there are 1");
        assert_eq!(call(&[], &["y"]), "node Abs that writes \"b\": 0 inputs where 1 are wanted");
        let lost = function("Lost", &["a"], &["nowhere"]).put(7, &node("Abs", &["a"], &["b"]).0);
        let graph = graph().node(caller("Lost", &["x"], &["y"])).bare_output("y");
        let error = read(&graph, &[lost]).unwrap_err().to_string();
        assert_eq!(error, "function own.Lost reads \"nowhere\", which nothing writes");
    }

    #[test]
    fn a_constant_of_a_function_is_read_once() {
        let value = Tensor::from_slice(&[1.0f32; 100], [100]).unwrap();
        let constant = node("Constant", &[], &["c"]).tensor("value", &value);
        let adds =
            function("Adds", &["a"], &["b"]).put(7, &constant.0).put(7, &node("Add", &["a", "c"], &["b"]).0);
        let call = graph()
            .node(caller("Adds", &["x"], &["t"]))
            .node(caller("Adds", &["t"], &["y"]))
            .bare_output("y");
        let model = read(&call, &[adds]).unwrap();
        let constants: Vec<&Tensor> =
            model.graph.nodes.iter().filter_map(|node| model.graph.constant(node.inputs[1]?)).collect();
        let place = |tensor: &Tensor| tensor.lease_read().unwrap().bytes().as_ptr();
        assert_eq!(constants.len(), 2);
        assert_eq!(place(constants[0]), place(constants[1]));
    }
}
