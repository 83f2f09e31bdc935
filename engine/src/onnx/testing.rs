//! A tiny writer of ONNX files, for tests only.

use alloc::string::String;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};

use super::error::ImportError;
use super::external::NoExternalData;
use super::fragment::Fragment;
use super::function::Setting;
use super::node::{Imported, NodeView};
use super::proto::{Merge, NodeProto};
use super::registry::Import;
use super::wire::{Budget, Message};
use crate::graph::{Fact, Graph};

/// A protobuf message under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proto(pub(crate) Vec<u8>);

impl Proto {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn put_int(mut self, field: u64, value: i64) -> Proto {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    pub(crate) fn put_float(mut self, field: u64, value: f32) -> Proto {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn put_bytes(mut self, field: u64, bytes: &[u8]) -> Proto {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn put(self, field: u64, message: &Proto) -> Proto {
        self.put_bytes(field, &message.0)
    }
}

/// A node under construction.
#[derive(Clone, Debug)]
pub(crate) struct TestNode(pub(crate) Proto);

/// A node.
pub(crate) fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> TestNode {
    let mut proto = Proto::default().put_bytes(4, op_type.as_bytes());
    for input in inputs {
        proto = proto.put_bytes(1, input.as_bytes());
    }
    for output in outputs {
        proto = proto.put_bytes(2, output.as_bytes());
    }
    TestNode(proto)
}

impl TestNode {
    pub(crate) fn named(self, name: &str) -> TestNode {
        TestNode(self.0.put_bytes(3, name.as_bytes()))
    }

    pub(crate) fn domain(self, domain: &str) -> TestNode {
        TestNode(self.0.put_bytes(7, domain.as_bytes()))
    }

    fn attribute(self, name: &str, kind: i64, fill: impl FnOnce(Proto) -> Proto) -> TestNode {
        let attribute = Proto::default().put_bytes(1, name.as_bytes()).put_int(20, kind);
        TestNode(self.0.put(5, &fill(attribute)))
    }

    pub(crate) fn float(self, name: &str, value: f32) -> TestNode {
        self.attribute(name, 1, |a| a.put_float(2, value))
    }

    pub(crate) fn int(self, name: &str, value: i64) -> TestNode {
        self.attribute(name, 2, |a| a.put_int(3, value))
    }

    pub(crate) fn text(self, name: &str, value: &str) -> TestNode {
        self.attribute(name, 3, |a| a.put_bytes(4, value.as_bytes()))
    }

    pub(crate) fn tensor(self, name: &str, value: &Tensor) -> TestNode {
        self.attribute(name, 4, |a| a.put(5, &tensor_proto("", value)))
    }

    pub(crate) fn graph(self, name: &str, value: &Proto) -> TestNode {
        self.attribute(name, 5, |a| a.put(6, value))
    }

    pub(crate) fn floats(self, name: &str, values: &[f32]) -> TestNode {
        self.attribute(name, 6, |a| values.iter().fold(a, |a, value| a.put_float(7, *value)))
    }

    pub(crate) fn ints(self, name: &str, values: &[i64]) -> TestNode {
        self.attribute(name, 7, |a| values.iter().fold(a, |a, value| a.put_int(8, *value)))
    }

    pub(crate) fn texts(self, name: &str, values: &[&str]) -> TestNode {
        self.attribute(name, 8, |a| values.iter().fold(a, |a, value| a.put_bytes(9, value.as_bytes())))
    }

    /// Shows the node as importers see it.
    pub(crate) fn view<R>(&self, opset: i64, look: impl FnOnce(&NodeView<'_>) -> R) -> R {
        let budget = Budget::new(100, 1000);
        let proto = NodeProto::read(Message::file(&self.0.0, &budget)).expect("a node");
        look(&NodeView::new(&proto, opset, &NoExternalData, &[], &Setting::default()))
    }

    /// What the registry's importer makes of the node.
    ///
    /// # Panics
    /// When the registry does not have the operator.
    pub(crate) fn import(&self, opset: i64) -> Result<Imported, ImportError> {
        self.view(opset, |view| match super::registry::find(view.domain(), view.op_type()) {
            Some(Import::One(import)) => import(view),
            Some(Import::Several(_)) => panic!("{} is several operators: use `expand`", view.op_type()),
            None => panic!("{} is not in the registry", view.op_type()),
        })
    }

    /// The graph of this node alone, with the inputs that it names, or why there is none.
    ///
    /// # Panics
    /// When the registry does not have the operator.
    pub(crate) fn expand(&self, opset: i64, inputs: &[(&str, Option<Fact>)]) -> Result<Graph, ImportError> {
        let mut graph = Graph::default();
        let find = |graph: &mut Graph, name: &str| {
            let (name, fact) = inputs.iter().find(|(input, _)| *input == name)?;
            let constant = fact.as_ref().is_some_and(|fact| fact.constant.is_some());
            let id = graph.add_value(*name, fact.clone());
            graph.inputs.extend((!constant).then_some(id));
            Some(id)
        };
        let budget = Budget::new(100, 1000);
        let proto = NodeProto::read(Message::file(&self.0.0, &budget)).expect("a node");
        let ids: Vec<_> = proto.inputs.iter().map(|name| find(&mut graph, name)).collect();
        let fragment =
            self.view(opset, |view| match super::registry::find(view.domain(), view.op_type()) {
                Some(Import::One(import)) => Ok(Fragment::of(import(view)?, view.inputs(), view.outputs())),
                Some(Import::Several(expand)) => expand(view),
                None => panic!("{} is not in the registry", view.op_type()),
            })?;
        let names: Vec<_> = proto.outputs.iter().map(|name| String::from(*name)).collect();
        let outputs = fragment.place(&mut graph, "", &ids, &names).expect("all outputs");
        graph.outputs.extend(outputs.into_iter().flatten());
        Ok(graph)
    }
}

/// A graph under construction; its name is `g`.
#[derive(Clone, Debug)]
pub(crate) struct TestGraph(pub(crate) Proto);

impl TestGraph {
    pub(crate) fn new() -> TestGraph {
        TestGraph(Proto::default().put_bytes(2, b"g"))
    }

    pub(crate) fn node(self, node: TestNode) -> TestGraph {
        TestGraph(self.0.put(1, &node.0))
    }

    pub(crate) fn constant(self, name: &str, value: &Tensor) -> TestGraph {
        TestGraph(self.0.put(5, &tensor_proto(name, value)))
    }

    /// An input of this type; an extent is fixed when it is a number, and else a symbol.
    pub(crate) fn input(self, name: &str, element: ElementType, dims: &[&str]) -> TestGraph {
        TestGraph(self.0.put(11, &value_info(name, element, dims)))
    }

    pub(crate) fn output(self, name: &str, element: ElementType, dims: &[&str]) -> TestGraph {
        TestGraph(self.0.put(12, &value_info(name, element, dims)))
    }

    /// An output of which the file states only the name.
    pub(crate) fn bare_output(self, name: &str) -> TestGraph {
        TestGraph(self.0.put(12, &Proto::default().put_bytes(1, name.as_bytes())))
    }

    /// A model file with this graph, in version `opset` of the standard's operators.
    pub(crate) fn model(&self, opset: i64) -> Vec<u8> {
        Proto::default().put_int(1, 8).put(8, &self::opset("", opset)).put(7, &self.0).0
    }
}

/// A domain of operators in some version.
pub(crate) fn opset(domain: &str, version: i64) -> Proto {
    Proto::default().put_bytes(1, domain.as_bytes()).put_int(2, version)
}

fn value_info(name: &str, element: ElementType, dims: &[&str]) -> Proto {
    let mut shape = Proto::default();
    for dim in dims {
        let extent = match dim.parse() {
            Ok(extent) => Proto::default().put_int(1, extent),
            Err(_) => Proto::default().put_bytes(2, dim.as_bytes()),
        };
        shape = shape.put(1, &extent);
    }
    let tensor = Proto::default().put_int(1, data_type(element)).put(2, &shape);
    Proto::default().put_bytes(1, name.as_bytes()).put(2, &Proto::default().put(1, &tensor))
}

/// A tensor with its numbers as raw bytes, or with its strings.
pub(crate) fn tensor_proto(name: &str, tensor: &Tensor) -> Proto {
    if let Ok(strings) = tensor.strings() {
        let dims = tensor.shape().iter().fold(Proto::default(), |proto, dim| proto.put_int(1, *dim as i64));
        let proto = dims.put_int(2, 8).put_bytes(8, name.as_bytes());
        return strings.iter().fold(proto, |proto, string| proto.put_bytes(6, string.as_bytes()));
    }
    let lease = tensor.lease_read().expect("nobody writes it");
    let size = tensor.len() * tensor.element().size();
    let bytes = &lease.bytes()[tensor.offset()..tensor.offset() + size];
    let dims = tensor.shape().iter().fold(Proto::default(), |proto, dim| proto.put_int(1, *dim as i64));
    dims.put_int(2, data_type(tensor.element())).put_bytes(8, name.as_bytes()).put_bytes(9, bytes)
}

/// The standard's number of an element type.
pub(crate) fn data_type(element: ElementType) -> i64 {
    let same = |number: &i64| super::tensor::element_type(*number) == Ok(element);
    (1..=16).find(same).expect("every element type has a number")
}
