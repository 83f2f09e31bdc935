//! Graphs as bytes, so that what the passes have made of a model need not be made again.
//!
//! ```text
//!  Graph ── write ──▶ form (postcard: values, nodes, operators)   + constants, each a tensor once
//!  Graph ◀── read ──  form                                        + the same tensors
//! ```
//!
//! The constants of the graph stay outside of the form: who stores them may align them, share them and map them. What is small
//! (the constants of bodies, the attributes of operators) is in the form. Operators are written by name: the table in
//! `ops` knows every one, those of passes too.
//!
//! A form is read by the version that wrote it and no other: nothing here says what version that is, or whether bytes were
//! changed on the way; who stores forms does. A form of other bytes is refused or gives another graph, never a panic.

mod ops;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::tensor::TensorError;
use inferry_core::{ElementType, Kind, Shape, Tensor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::graph::{Body, Dim, Fact, Graph, GraphError, Node, ShapeFact, Symbol, ValueId, verify};
use crate::op::Op;

/// Why a graph could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Bytes that are no form, or something in the graph that has none.
    #[error("the stored graph: {0}")]
    Form(postcard::Error),
    /// A value that is not there.
    #[error("the stored graph names value {0}, which it does not have")]
    Value(u32),
    /// A constant that is not there.
    #[error("the stored graph names constant {index}; there are {count}")]
    Constant {
        /// Its number.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// A constant that cannot be written or made again.
    #[error("a constant of the graph: {0}")]
    Tensor(#[from] TensorError),
    /// A graph that breaks a rule.
    #[error("the stored graph: {0}")]
    Graph(#[from] GraphError),
    /// A constant that is not what is known of its value.
    #[error("the stored graph says that {value} is {said}, and its constant is {is}")]
    Fact {
        /// The value.
        value: String,
        /// What is known of it.
        said: String,
        /// The constant's type and shape.
        is: String,
    },
}

/// The form of a graph, and its constants in the order that the form counts them in.
///
/// # Errors
/// An operator that the table does not know, which is a mistake of ours.
pub fn write(graph: &Graph) -> Result<(Vec<u8>, Vec<Tensor>), StoreError> {
    let mut constants: Vec<Tensor> = Vec::new();
    let form = GraphForm::of(graph, &mut |tensor| {
        let known = constants.iter().position(|known| same(known, tensor));
        let index = known.unwrap_or_else(|| {
            constants.push(tensor.clone());
            constants.len() - 1
        });
        Ok(index as u32)
    })?;
    Ok((postcard::to_allocvec(&form).map_err(StoreError::Form)?, constants))
}

/// The graph of a form.
///
/// # Errors
/// Bytes that are no form of this version, or that name what is not there.
pub fn read(form: &[u8], constants: &[Tensor]) -> Result<Graph, StoreError> {
    let form: GraphForm<u32> = postcard::from_bytes(form).map_err(StoreError::Form)?;
    let graph = form.graph(&mut |index: u32| {
        let constant = constants.get(index as usize).cloned();
        constant.ok_or(StoreError::Constant { index, count: constants.len() })
    })?;
    verify(&graph)?;
    Ok(graph)
}

/// A constant is what is known of its value.
fn agree(name: &str, fact: &Fact) -> Result<(), StoreError> {
    let Some(constant) = &fact.constant else { return Ok(()) };
    let own = Fact::constant(constant.clone());
    if fact.kind == Kind::Tensor && fact.element == own.element && fact.shape == own.shape {
        return Ok(());
    }
    let of = |fact: &Fact| format!("{:?} {}{}", fact.kind, fact.element, fact.shape);
    Err(StoreError::Fact { value: format!("{name:?}"), said: of(fact), is: of(&own) })
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    a.shares_storage(b) && a.offset() == b.offset() && a.layout() == b.layout() && a.element() == b.element()
}

/// A graph with another stand-in for its constants.
#[derive(Serialize, Deserialize)]
struct GraphForm<C> {
    values: Vec<ValueForm<C>>,
    nodes: Vec<NodeForm>,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
struct ValueForm<C> {
    name: Arc<str>,
    fact: Option<FactForm<C>>,
}

#[derive(Serialize, Deserialize)]
struct FactForm<C> {
    kind: Kind,
    element: ElementType,
    shape: Option<Vec<DimForm>>,
    constant: Option<C>,
}

#[derive(Serialize, Deserialize)]
enum DimForm {
    Fixed(usize),
    Symbol(Arc<str>),
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct NodeForm {
    name: Arc<str>,
    #[serde(with = "op")]
    op: Arc<dyn Op>,
    inputs: Vec<Option<u32>>,
    outputs: Vec<Option<u32>>,
}

impl<C> GraphForm<C> {
    fn of(
        graph: &Graph,
        constant: &mut dyn FnMut(&Tensor) -> Result<C, StoreError>,
    ) -> Result<GraphForm<C>, StoreError> {
        let uses = graph.uses();
        let mut values = Vec::with_capacity(uses.len());
        for (value, uses) in graph.values().iter().zip(uses) {
            // What nobody reads may be large: weights that were folded into others.
            let fact = value.fact.as_ref().map(|fact| FactForm::of(fact, uses > 0, constant)).transpose()?;
            values.push(ValueForm { name: value.name.clone(), fact });
        }
        let number = |id: &ValueId| id.index() as u32;
        let numbers = |ids: &[Option<ValueId>]| ids.iter().map(|id| id.as_ref().map(number)).collect();
        let node = |node: &Node| NodeForm {
            name: node.name.clone(),
            op: node.op.clone(),
            inputs: numbers(&node.inputs),
            outputs: numbers(&node.outputs),
        };
        Ok(GraphForm {
            values,
            nodes: graph.nodes.iter().map(node).collect(),
            inputs: graph.inputs.iter().map(number).collect(),
            outputs: graph.outputs.iter().map(number).collect(),
        })
    }

    fn graph(self, constant: &mut dyn FnMut(C) -> Result<Tensor, StoreError>) -> Result<Graph, StoreError> {
        let mut graph = Graph::default();
        let mut ids = Vec::with_capacity(self.values.len());
        for ValueForm { name, fact } in self.values {
            let fact = fact.map(|fact| fact.fact(constant)).transpose()?;
            fact.iter().try_for_each(|fact| agree(&name, fact))?;
            ids.push(graph.add_value(name, fact));
        }
        let id = |number: u32| ids.get(number as usize).copied().ok_or(StoreError::Value(number));
        let optional = |number: Option<u32>| number.map(id).transpose();
        for NodeForm { name, op, inputs, outputs } in self.nodes {
            let inputs = inputs.into_iter().map(optional).collect::<Result<_, _>>()?;
            let outputs = outputs.into_iter().map(optional).collect::<Result<_, _>>()?;
            graph.nodes.push(Node { name, op, inputs, outputs });
        }
        graph.inputs = self.inputs.into_iter().map(id).collect::<Result<_, _>>()?;
        graph.outputs = self.outputs.into_iter().map(id).collect::<Result<_, _>>()?;
        Ok(graph)
    }
}

impl<C> FactForm<C> {
    fn of(
        fact: &Fact,
        used: bool,
        constant: &mut dyn FnMut(&Tensor) -> Result<C, StoreError>,
    ) -> Result<FactForm<C>, StoreError> {
        let dim = |dim: &Dim| match dim {
            Dim::Fixed(extent) => DimForm::Fixed(*extent),
            Dim::Symbol(Symbol(name)) => DimForm::Symbol(name.clone()),
            Dim::Unknown => DimForm::Unknown,
        };
        Ok(FactForm {
            kind: fact.kind,
            element: fact.element,
            shape: fact.shape.dims().map(|dims| dims.iter().map(dim).collect()),
            constant: fact.constant.as_ref().filter(|_| used).map(constant).transpose()?,
        })
    }

    fn fact(self, constant: &mut dyn FnMut(C) -> Result<Tensor, StoreError>) -> Result<Fact, StoreError> {
        let dim = |dim| match dim {
            DimForm::Fixed(extent) => Dim::Fixed(extent),
            DimForm::Symbol(name) => Dim::Symbol(Symbol(name)),
            DimForm::Unknown => Dim::Unknown,
        };
        let shape = ShapeFact(self.shape.map(|dims| dims.into_iter().map(dim).collect()));
        let constant = self.constant.map(constant).transpose()?;
        Ok(Fact { constant, ..Fact::new(self.element, shape).of_kind(self.kind) })
    }
}

/// A body's graph is small, and so are its constants.
#[derive(Serialize, Deserialize)]
struct BodyForm {
    graph: GraphForm<TensorForm>,
    captures: Vec<usize>,
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let graph = GraphForm::of(&self.graph, &mut |tensor| Ok(TensorForm::of(tensor)?));
        let graph = graph.map_err(ser::Error::custom)?;
        BodyForm { graph, captures: self.captures.clone() }.serialize(to)
    }
}

impl<'a> Deserialize<'a> for Body {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Body, D::Error> {
        let BodyForm { graph, captures } = BodyForm::deserialize(from)?;
        let graph = graph.graph(&mut |tensor| Ok(tensor.tensor()?)).map_err(de::Error::custom)?;
        Ok(Body { graph, captures })
    }
}

/// A tensor and its numbers.
#[derive(Serialize, Deserialize)]
struct TensorForm {
    element: ElementType,
    extents: Vec<usize>,
    content: Content,
}

#[derive(Serialize, Deserialize)]
enum Content {
    Bytes(Vec<u8>),
    Strings(Vec<String>),
}

impl TensorForm {
    fn of(tensor: &Tensor) -> Result<TensorForm, TensorError> {
        let content = if tensor.element() == ElementType::String {
            Content::Strings(tensor.strings()?.iter().map(Into::into).collect())
        } else {
            let mut dense = tensor.clone();
            if !tensor.is_dense() {
                dense = Tensor::try_zeros(tensor.element(), tensor.shape())?;
                tensor.copy_to(&mut dense)?;
            }
            let lease = dense.lease_read()?;
            Content::Bytes(lease.bytes()[dense.byte_range()].to_vec())
        };
        Ok(TensorForm { element: tensor.element(), extents: tensor.shape().to_vec(), content })
    }

    fn tensor(self) -> Result<Tensor, TensorError> {
        let shape = Shape::new(&self.extents)?;
        match self.content {
            Content::Bytes(bytes) => Tensor::from_bytes(self.element, shape, &bytes),
            Content::Strings(strings) => Tensor::from_strings(&strings, shape),
        }
    }
}

/// A tensor among an operator's attributes, for `#[serde(with)]`.
pub(crate) mod tensor {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(tensor: &Tensor, to: S) -> Result<S::Ok, S::Error> {
        TensorForm::of(tensor).map_err(ser::Error::custom)?.serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Tensor, D::Error> {
        TensorForm::deserialize(from)?.tensor().map_err(de::Error::custom)
    }
}

/// As [`tensor`], for several.
pub(crate) mod tensors {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(tensors: &[Tensor], to: S) -> Result<S::Ok, S::Error> {
        let forms: Result<Vec<_>, _> = tensors.iter().map(TensorForm::of).collect();
        forms.map_err(ser::Error::custom)?.serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<Tensor>, D::Error> {
        let forms = Vec::<TensorForm>::deserialize(from)?;
        forms.into_iter().map(|form| form.tensor().map_err(de::Error::custom)).collect()
    }
}

/// An operator, by its name in the table.
pub(crate) mod op {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct OpForm {
        name: String,
        attributes: Vec<u8>,
    }

    pub(crate) fn serialize<S: Serializer>(op: &Arc<dyn Op>, to: S) -> Result<S::Ok, S::Error> {
        let (name, attributes) = ops::write(&**op).map_err(ser::Error::custom)?;
        OpForm { name: name.into(), attributes }.serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Arc<dyn Op>, D::Error> {
        let OpForm { name, attributes } = OpForm::deserialize(from)?;
        ops::read(&name, &attributes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::op::{Binary, If, Unary};

    fn add(graph: &mut Graph, op: impl Op, inputs: &[ValueId]) -> ValueId {
        let fact = graph.fact(inputs[0]).cloned().map(|fact| Fact { constant: None, ..fact });
        let output = graph.add_value("", fact);
        let inputs = inputs.iter().copied().map(Some).collect();
        graph.nodes.push(Node {
            name: "".into(),
            op: Arc::new(op),
            inputs,
            outputs: alloc::vec![Some(output)],
        });
        output
    }

    /// `Relu(x + weights) + weights`, beside weights that nobody reads.
    fn graph() -> Graph {
        let mut graph = Graph::default();
        let dims = [Dim::Symbol(Symbol("N".into())), Dim::Unknown, Dim::Fixed(2)];
        let x = graph.add_value("x", Some(Fact::new(ElementType::F32, ShapeFact(Some(dims.into())))));
        let weights = Tensor::from_slice(&[1f32, 2.0], [2]).unwrap();
        let [first, second] = [(); 2].map(|()| graph.add_constant("w", weights.clone()));
        graph.add_constant("folded", Tensor::from_slice(&[0i64; 1000], [1000]).unwrap());
        graph.inputs.push(x);
        let sum = add(&mut graph, Binary::Add, &[x, first]);
        let sum = add(&mut graph, Unary::Relu, &[sum]);
        let sum = add(&mut graph, Binary::Add, &[sum, second]);
        graph.outputs.push(sum);
        graph
    }

    #[test]
    fn each_constant_is_given_once_and_what_nobody_reads_not_at_all() {
        let graph = graph();
        let (form, constants) = write(&graph).unwrap();
        assert_eq!(constants.len(), 1);
        let again = read(&form, &constants).unwrap();
        assert_eq!(again.to_string(), graph.to_string());
        assert!(same(again.constant(again.nodes[0].inputs[1].unwrap()).unwrap(), &constants[0]));
        assert!(again.values().iter().any(|value| &*value.name == "folded"), "ids stay");
    }

    #[test]
    fn bodies_are_stored_with_their_constants() {
        let mut outer = Graph::default();
        let condition = outer.add_value("c", Some(Fact::fixed(ElementType::Bool, &[])));
        let body = |words: &[&str]| {
            let mut graph = Graph::default();
            let words = Tensor::from_strings(words, [2]).unwrap();
            let id = graph.add_constant("words", words);
            graph.outputs.push(id);
            Body { graph, captures: alloc::vec![] }
        };
        outer.inputs.push(condition);
        let bodies = alloc::vec![body(&["yes", "ja"]), body(&["no", ""])];
        let chosen = add(&mut outer, If { bodies }, &[condition]);
        outer.value_mut(chosen).fact = None;
        outer.outputs.push(chosen);
        let (form, constants) = write(&outer).unwrap();
        assert!(constants.is_empty());
        let again = read(&form, &[]).unwrap();
        let words = |graph: &Graph| {
            let body = &graph.nodes[0].op.bodies()[1].graph;
            format!("{}", body.constant(body.outputs[0]).unwrap())
        };
        assert_eq!(words(&again), words(&outer));
        assert_eq!(format!("{again:?}"), format!("{outer:?}"));
    }

    #[test]
    fn forms_that_were_changed_are_refused_or_other_graphs() {
        let (form, constants) = write(&graph()).unwrap();
        assert!(matches!(read(&form, &[]), Err(StoreError::Constant { index: 0, count: 0 })));
        for length in 0..form.len() {
            assert!(read(&form[..length], &constants).is_err(), "{length} bytes");
        }
        let mut refused = 0;
        for at in 0..form.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = form.clone();
                changed[at] ^= flip;
                refused += usize::from(read(&changed, &constants).is_err());
            }
        }
        assert!(refused > form.len(), "{refused} of {}", 3 * form.len());
    }
}
