//! The part of `onnx.proto` that we read, as structs that borrow from the file.
//!
//! Each struct is one message; fields that we have no use for are skipped. As protobuf asks, a message that occurs twice
//! where one is expected is merged, and what is absent has its default. Nothing is judged here: whether a data type
//! exists or a name is known is for the importer to say.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use inferry_core::steps::{Pace, Phase};

use super::wire::{Budget, Field, Message, WireError};

/// A message that can be read from its fields.
pub(crate) trait Merge<'a>: Default {
    /// Takes one field in; unknown numbers are ignored.
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError>;

    /// Takes in all fields of a message.
    fn merge(&mut self, message: Message<'a>) -> Result<(), WireError> {
        message.into_iter().try_for_each(|field| self.field(&field?))
    }

    /// The message on its own.
    fn read(message: Message<'a>) -> Result<Self, WireError> {
        let mut this = Self::default();
        this.merge(message)?;
        Ok(this)
    }
}

/// A model file.
#[derive(Debug, Default)]
pub(crate) struct ModelProto<'a> {
    pub(crate) ir_version: i64,
    pub(crate) producer_name: &'a str,
    pub(crate) producer_version: &'a str,
    pub(crate) doc: String,
    pub(crate) graph: Option<GraphProto<'a>>,
    pub(crate) opsets: Vec<OperatorSet<'a>>,
    pub(crate) metadata: Vec<Entry>,
    pub(crate) functions: Vec<FunctionProto<'a>>,
}

impl<'a> ModelProto<'a> {
    /// A file of at most as many messages as `budget` has, read field by field of its graph. The first half of the file's
    /// bytes counts as done then.
    pub(crate) async fn read_paced(
        bytes: &'a [u8],
        budget: &'a Budget,
        pace: &mut Pace,
    ) -> Result<ModelProto<'a>, WireError> {
        let mut this = ModelProto::default();
        for field in Message::file(bytes, budget) {
            let field = field?;
            if field.number != GRAPH {
                this.field(&field)?;
                continue;
            }
            let graph = this.graph.get_or_insert_default();
            for part in field.message()? {
                let part = part?;
                match part.number {
                    TENSOR => graph.initializers.push(TensorProto::read_paced(&part, budget, pace).await?),
                    _ => graph.field(&part)?,
                }
                pace.reach(Phase::Parse, part.end() / 2);
                pace.spend(budget.take_nanoseconds()).await;
            }
        }
        Ok(this)
    }
}

/// The number of the model's graph.
const GRAPH: u32 = 7;

/// The number of a graph's initializers.
const TENSOR: u32 = 5;

impl<'a> Merge<'a> for ModelProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.ir_version = field.int()?,
            2 => self.producer_name = field.text()?,
            3 => self.producer_version = field.text()?,
            6 => self.doc = lossy(field)?,
            GRAPH => self.graph.get_or_insert_default().merge(field.message()?)?,
            8 => self.opsets.push(OperatorSet::read(field.message()?)?),
            14 => self.metadata.push(Entry::read(field.message()?)?),
            25 => self.functions.push(FunctionProto::read(field.message()?)?),
            _ => {}
        }
        Ok(())
    }
}

/// A domain of operators and the version of it that the model is written in.
#[derive(Debug, Default)]
pub(crate) struct OperatorSet<'a> {
    pub(crate) domain: &'a str,
    pub(crate) version: i64,
}

impl<'a> Merge<'a> for OperatorSet<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.domain = field.text()?,
            2 => self.version = field.int()?,
            _ => {}
        }
        Ok(())
    }
}

/// A pair of texts: metadata, or where external data lies.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl<'a> Merge<'a> for Entry {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.key = lossy(field)?,
            2 => self.value = lossy(field)?,
            _ => {}
        }
        Ok(())
    }
}

/// A function that the model defines: nodes with names of its own, put in the place of every node that calls it.
#[derive(Debug, Default)]
pub(crate) struct FunctionProto<'a> {
    pub(crate) name: &'a str,
    pub(crate) domain: &'a str,
    pub(crate) overload: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    /// Attributes without a default.
    pub(crate) attributes: Vec<&'a str>,
    /// Attributes with their defaults.
    pub(crate) defaults: Vec<AttributeProto<'a>>,
    pub(crate) nodes: Vec<NodeProto<'a>>,
    pub(crate) opsets: Vec<OperatorSet<'a>>,
}

impl<'a> Merge<'a> for FunctionProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.name = field.text()?,
            4 => self.inputs.push(field.text()?),
            5 => self.outputs.push(field.text()?),
            6 => self.attributes.push(field.text()?),
            7 => self.nodes.push(NodeProto::read(field.message()?)?),
            9 => self.opsets.push(OperatorSet::read(field.message()?)?),
            10 => self.domain = field.text()?,
            11 => self.defaults.push(AttributeProto::read(field.message()?)?),
            13 => self.overload = field.text()?,
            _ => {}
        }
        Ok(())
    }
}

/// A graph: the model's own, or one inside a control-flow node.
#[derive(Debug, Default)]
pub(crate) struct GraphProto<'a> {
    pub(crate) name: &'a str,
    pub(crate) nodes: Vec<NodeProto<'a>>,
    pub(crate) initializers: Vec<TensorProto<'a>>,
    /// Names of sparse initializers, which we refuse.
    pub(crate) sparse: usize,
    pub(crate) inputs: Vec<ValueInfoProto<'a>>,
    pub(crate) outputs: Vec<ValueInfoProto<'a>>,
    pub(crate) values: Vec<ValueInfoProto<'a>>,
}

impl<'a> Merge<'a> for GraphProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.nodes.push(NodeProto::read(field.message()?)?),
            2 => self.name = field.text()?,
            TENSOR => self.initializers.push(TensorProto::read(field.message()?)?),
            11 => self.inputs.push(ValueInfoProto::read(field.message()?)?),
            12 => self.outputs.push(ValueInfoProto::read(field.message()?)?),
            13 => self.values.push(ValueInfoProto::read(field.message()?)?),
            15 => self.sparse += 1,
            _ => {}
        }
        Ok(())
    }
}

/// A node.
#[derive(Debug, Default)]
pub(crate) struct NodeProto<'a> {
    pub(crate) name: &'a str,
    pub(crate) op_type: &'a str,
    pub(crate) domain: &'a str,
    /// Which of the functions of this name is called.
    pub(crate) overload: &'a str,
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) attributes: Vec<AttributeProto<'a>>,
}

impl<'a> Merge<'a> for NodeProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.inputs.push(field.text()?),
            2 => self.outputs.push(field.text()?),
            3 => self.name = field.text()?,
            4 => self.op_type = field.text()?,
            5 => self.attributes.push(AttributeProto::read(field.message()?)?),
            7 => self.domain = field.text()?,
            8 => self.overload = field.text()?,
            _ => {}
        }
        Ok(())
    }
}

/// An attribute of a node, as written: see [`AttributeProto::value`].
#[derive(Debug, Default)]
pub(crate) struct AttributeProto<'a> {
    pub(crate) name: &'a str,
    /// In the body of a function: the attribute of the function whose value this is.
    pub(crate) reference: Option<&'a str>,
    kind: i64,
    float: Option<f32>,
    int: Option<i64>,
    text: Option<&'a [u8]>,
    tensor: Option<Box<TensorProto<'a>>>,
    graph: Option<Box<GraphProto<'a>>>,
    type_of: Option<Box<TypeProto<'a>>>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
    other: Option<&'static str>,
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AttributeValue<'p, 'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(&'p TensorProto<'a>),
    Graph(&'p GraphProto<'a>),
    Type(&'p TypeProto<'a>),
    Floats(&'p [f32]),
    Ints(&'p [i64]),
    Texts(&'p [&'a [u8]]),
    /// A kind that no operator of ours takes.
    Other(&'static str),
}

impl AttributeValue<'_, '_> {
    /// How errors call the kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            AttributeValue::Float(_) => "a float",
            AttributeValue::Int(_) => "an integer",
            AttributeValue::Text(_) => "text",
            AttributeValue::Tensor(_) => "a tensor",
            AttributeValue::Graph(_) => "a graph",
            AttributeValue::Type(_) => "a type",
            AttributeValue::Floats(_) => "a list of floats",
            AttributeValue::Ints(_) => "a list of integers",
            AttributeValue::Texts(_) => "a list of texts",
            AttributeValue::Other(kind) => kind,
        }
    }
}

impl<'a> Merge<'a> for AttributeProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.name = field.text()?,
            2 => self.float = Some(field.float()?),
            3 => self.int = Some(field.int()?),
            4 => self.text = Some(field.bytes()?),
            5 => self.tensor.get_or_insert_default().merge(field.message()?)?,
            6 => self.graph.get_or_insert_default().merge(field.message()?)?,
            7 => field.floats(&mut self.floats)?,
            8 => field.ints(&mut self.ints, |value| value as i64)?,
            9 => self.texts.push(field.bytes()?),
            10 => self.other = Some("several tensors"),
            11 => self.other = Some("several graphs"),
            14 => self.type_of.get_or_insert_default().merge(field.message()?)?,
            15 => self.other = Some("several types"),
            20 => self.kind = field.int()?,
            21 => self.reference = Some(field.text()?).filter(|name| !name.is_empty()),
            22 | 23 => self.other = Some("a sparse tensor"),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> AttributeProto<'a> {
    /// The value, by the kind that the attribute states; files of the first versions state none, then by what is there.
    pub(crate) fn value(&self) -> AttributeValue<'_, 'a> {
        use AttributeValue::*;
        if self.reference.is_some() {
            return Other("a reference to an attribute of a function");
        }
        if let Some(other) = self.other {
            return Other(other);
        }
        match self.kind {
            1 => Float(self.float.unwrap_or_default()),
            2 => Int(self.int.unwrap_or_default()),
            3 => Text(self.text.unwrap_or_default()),
            4 => self.tensor.as_deref().map_or(Other("a tensor that is missing"), Tensor),
            5 => self.graph.as_deref().map_or(Other("a graph that is missing"), Graph),
            6 => Floats(&self.floats),
            7 => Ints(&self.ints),
            8 => Texts(&self.texts),
            13 => self.type_of.as_deref().map_or(Other("a type that is missing"), Type),
            0 => self.unstated(),
            _ => Other("of an unknown kind"),
        }
    }

    fn unstated(&self) -> AttributeValue<'_, 'a> {
        use AttributeValue::*;
        let single = self.float.map(Float).or(self.int.map(Int)).or(self.text.map(Text));
        let nested = self.tensor.as_deref().map(Tensor).or(self.graph.as_deref().map(Graph));
        let list = [
            (!self.floats.is_empty()).then_some(Floats(&self.floats)),
            (!self.texts.is_empty()).then_some(Texts(&self.texts)),
        ];
        // An attribute with nothing in it can only be an empty list; lists of integers are by far the most common.
        single.or(nested).or(list[0]).or(list[1]).unwrap_or(Ints(&self.ints))
    }
}

/// A tensor, its numbers in one of many places.
#[derive(Debug, Default)]
pub(crate) struct TensorProto<'a> {
    pub(crate) name: &'a str,
    pub(crate) dims: Vec<i64>,
    pub(crate) data_type: i64,
    pub(crate) segmented: bool,
    pub(crate) raw: Option<&'a [u8]>,
    pub(crate) floats: Vec<f32>,
    /// Also 8- and 16-bit integers, bool, and the bits of f16 and bf16.
    pub(crate) ints32: Vec<i32>,
    pub(crate) ints64: Vec<i64>,
    pub(crate) doubles: Vec<f64>,
    /// u64 and u32.
    pub(crate) uints64: Vec<u64>,
    pub(crate) strings: Vec<&'a [u8]>,
    pub(crate) external: Vec<Entry>,
    pub(crate) is_external: bool,
}

impl<'a> TensorProto<'a> {
    /// Long lists are decoded in pieces of so many bytes.
    const LIST: usize = 8 << 10;

    /// The tensor that `field` is, with interruptions.
    async fn read_paced(
        field: &Field<'a>,
        budget: &Budget,
        pace: &mut Pace,
    ) -> Result<TensorProto<'a>, WireError> {
        let mut this = TensorProto::default();
        for part in field.message()? {
            let part = part?;
            // The numbers, each kind in a list of its own.
            if !matches!(part.number, 4 | 5 | 7 | 10 | 11) {
                this.field(&part)?;
                continue;
            }
            for piece in part.pieces(Self::LIST) {
                this.field(&piece)?;
                pace.spend(budget.take_nanoseconds()).await;
            }
        }
        Ok(this)
    }
}

impl<'a> Merge<'a> for TensorProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => field.ints(&mut self.dims, |value| value as i64)?,
            2 => self.data_type = field.int()?,
            3 => self.segmented = true,
            4 => field.floats(&mut self.floats)?,
            // A negative int32 is sign-extended to 64 bits on the wire; its low half is the number.
            5 => field.ints(&mut self.ints32, |value| value as i32)?,
            6 => self.strings.push(field.bytes()?),
            7 => field.ints(&mut self.ints64, |value| value as i64)?,
            8 => self.name = field.text()?,
            9 => self.raw = Some(field.bytes()?),
            10 => field.doubles(&mut self.doubles)?,
            11 => field.ints(&mut self.uints64, |value| value)?,
            13 => self.external.push(Entry::read(field.message()?)?),
            14 => self.is_external = field.int()? == 1,
            _ => {}
        }
        Ok(())
    }
}

/// What the model says of a value.
#[derive(Debug, Default)]
pub(crate) struct ValueInfoProto<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: TypeProto<'a>,
}

impl<'a> Merge<'a> for ValueInfoProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.name = field.text()?,
            2 => self.kind.merge(field.message()?)?,
            _ => {}
        }
        Ok(())
    }
}

/// The type of a value.
#[derive(Debug, Default)]
pub(crate) struct TypeProto<'a> {
    pub(crate) tensor: Option<TensorType<'a>>,
    /// What a sequence has in it.
    pub(crate) sequence: Option<Box<TypeProto<'a>>>,
    /// What an optional is when it is there.
    pub(crate) optional: Option<Box<TypeProto<'a>>>,
    /// The kind when it is none of those: a map.
    pub(crate) other: Option<&'static str>,
}

impl<'a> Merge<'a> for TypeProto<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.tensor.get_or_insert_default().merge(field.message()?)?,
            4 => self.sequence.get_or_insert_default().merge_inner(field)?,
            5 => self.other = Some("a map"),
            7 => self.other = Some("an opaque value"),
            8 => self.other = Some("a sparse tensor"),
            9 => self.optional.get_or_insert_default().merge_inner(field)?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> TypeProto<'a> {
    /// Takes in the message of a sequence or an optional, which has one field: the type of what is in it.
    fn merge_inner(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        for inner in field.message()? {
            let inner = inner?;
            if inner.number == 1 {
                self.merge(inner.message()?)?;
            }
        }
        Ok(())
    }
}

/// Element type and shape of a tensor value.
#[derive(Debug, Default)]
pub(crate) struct TensorType<'a> {
    pub(crate) element: i64,
    pub(crate) shape: Option<TensorShape<'a>>,
}

impl<'a> Merge<'a> for TensorType<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.element = field.int()?,
            2 => self.shape.get_or_insert_default().merge(field.message()?)?,
            _ => {}
        }
        Ok(())
    }
}

/// The dimensions of a shape.
#[derive(Debug, Default)]
pub(crate) struct TensorShape<'a>(pub(crate) Vec<Dimension<'a>>);

impl<'a> Merge<'a> for TensorShape<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        if field.number == 1 {
            self.0.push(Dimension::read(field.message()?)?);
        }
        Ok(())
    }
}

/// One extent: a number, a name, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Dimension<'a> {
    pub(crate) value: Option<i64>,
    pub(crate) symbol: Option<&'a str>,
}

impl<'a> Merge<'a> for Dimension<'a> {
    fn field(&mut self, field: &Field<'a>) -> Result<(), WireError> {
        match field.number {
            1 => self.value = Some(field.int()?),
            2 => self.symbol = Some(field.text()?),
            _ => {}
        }
        Ok(())
    }
}

/// Text that is only shown: bytes that are not UTF-8 become the replacement character.
fn lossy(field: &Field<'_>) -> Result<String, WireError> {
    Ok(String::from_utf8_lossy(field.bytes()?).into_owned())
}
