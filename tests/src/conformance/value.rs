//! A value of a data set: a tensor, a sequence, or what may be missing.

use std::fmt;
use std::path::Path;

use half::bf16;
use inferry::{ElementType, Tensor};
use inferry_engine::onnx;

use super::declared::{Kind, messages};

/// A value of a data set.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Tensor(Box<Tensor>),
    Sequence(Vec<Value>),
    Optional(Option<Box<Value>>),
}

impl Value {
    /// As it is bound to an input.
    pub(super) fn to_bind(&self) -> Result<inferry::Value, String> {
        Ok(match self {
            Value::Tensor(tensor) => inferry::Value::Tensor(Tensor::clone(tensor)),
            Value::Sequence(items) => {
                let tensor = |item: &Value| match item {
                    Value::Tensor(tensor) => Ok(Tensor::clone(tensor)),
                    other => Err(format!("{other} in a sequence")),
                };
                inferry::Value::Sequence(items.iter().map(tensor).collect::<Result<_, _>>()?)
            }
            Value::Optional(None) => inferry::Value::Absent,
            Value::Optional(Some(inner)) => inner.to_bind()?,
        })
    }

    /// What a run gave, in the words of what is wanted: there, an optional that is there is not what is in it.
    pub(super) fn of_kind(value: inferry::Value, wanted: &Value) -> Value {
        let value = match value {
            inferry::Value::Absent => return Value::Optional(None),
            inferry::Value::Tensor(tensor) => Value::Tensor(Box::new(tensor)),
            inferry::Value::Sequence(tensors) => {
                Value::Sequence(tensors.into_iter().map(|tensor| Value::Tensor(Box::new(tensor))).collect())
            }
        };
        match wanted {
            Value::Optional(_) => Value::Optional(Some(Box::new(value))),
            _ => value,
        }
    }
}

/// The value of a file that holds what a model declares.
pub(super) fn read(path: &Path, kind: &Kind) -> Result<Value, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    value(&bytes, kind).map_err(|problem| format!("{name}: {problem}"))
}

fn value(bytes: &[u8], kind: &Kind) -> Result<Value, String> {
    match kind {
        Kind::Tensor(declared) => {
            let tensor = onnx::read_tensor(bytes).map_err(|error| error.to_string())?;
            Ok(Value::Tensor(Box::new(as_declared(tensor, *declared)?)))
        }
        // `SequenceProto` and `OptionalProto` have a field for each kind of what is in them.
        Kind::Sequence(inner) => {
            let (_, in_sequence) = places(inner)?;
            let items = messages(bytes, in_sequence)?.into_iter().map(|item| value(item, inner));
            Ok(Value::Sequence(items.collect::<Result<_, _>>()?))
        }
        Kind::Optional(inner) => {
            let (in_optional, _) = places(inner)?;
            let item = messages(bytes, in_optional)?.first().map(|item| value(item, inner)).transpose()?;
            Ok(Value::Optional(item.map(Box::new)))
        }
        Kind::Other => Err("neither a tensor nor a sequence nor an optional".into()),
    }
}

/// The number of bf16 in the standard.
const BF16: u64 = 16;

/// Numpy has no bf16, so the suite's writer has put its bits down as u16.
fn as_declared(tensor: Tensor, declared: u64) -> Result<Tensor, String> {
    if declared != BF16 || tensor.element() != ElementType::U16 {
        return Ok(tensor);
    }
    let bits = tensor.to_vec::<u16>().map_err(|error| error.to_string())?;
    let values: Vec<bf16> = bits.into_iter().map(bf16::from_bits).collect();
    Tensor::from_slice(&values, tensor.shape()).map_err(|error| error.to_string())
}

/// The numbers of the fields that hold such a value in an optional and in a sequence.
fn places(kind: &Kind) -> Result<(u64, u64), String> {
    match kind {
        Kind::Tensor(_) => Ok((3, 3)),
        Kind::Sequence(_) => Ok((5, 5)),
        Kind::Optional(_) => Ok((7, 7)),
        Kind::Other => Err("holds neither tensors nor sequences nor optionals".into()),
    }
}

/// What it is, in a few words: `f32 [2, 3]`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Tensor(tensor) => write!(f, "{} {}", tensor.element(), tensor.shape()),
            Value::Sequence(items) => {
                f.write_str("a sequence of (")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "; " })?;
                }
                f.write_str(")")
            }
            Value::Optional(None) => f.write_str("nothing"),
            Value::Optional(Some(value)) => write!(f, "optionally {value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `f32 [1]`, the given number.
    fn tensor(value: f32) -> Vec<u8> {
        [&[0x08, 1, 0x10, 1, 0x4a, 4][..], &value.to_le_bytes()].concat()
    }

    #[test]
    fn bits_become_what_is_declared() {
        let bits = Tensor::from_slice(&[0x3fc0u16], [1]).unwrap();
        let value = as_declared(bits.clone(), BF16).unwrap();
        assert_eq!(value.to_vec::<bf16>().unwrap(), [bf16::from_f32(1.5)]);
        assert_eq!(as_declared(bits, 4).unwrap().element(), ElementType::U16);
    }

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn sequences_and_optionals_are_read() {
        let of_tensors = Kind::Sequence(Box::new(Kind::Tensor(1)));
        let bytes = [field(1, b"name"), field(3, &tensor(1.0)), field(3, &tensor(2.0))].concat();
        let Value::Sequence(items) = value(&bytes, &of_tensors).unwrap() else { panic!("no sequence") };
        let Value::Tensor(second) = &items[1] else { panic!("no tensor") };
        assert_eq!((items.len(), second.to_vec::<f32>().unwrap()), (2, vec![2.0]));

        let optional = Kind::Optional(Box::new(of_tensors));
        let some = value(&field(5, &bytes), &optional).unwrap();
        assert_eq!(some.to_string(), "optionally a sequence of (f32 [1]; f32 [1])");
        assert_eq!(value(&field(1, b"name"), &optional).unwrap().to_string(), "nothing");
    }
}
