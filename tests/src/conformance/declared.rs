//! What a model declares of its inputs and outputs, in the words of the suite: which of three kinds of file holds a value.

use super::wire::{Part, fields};

/// The kind of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Of elements of this type, by its number in the standard.
    Tensor(u64),
    Sequence(Box<Kind>),
    Optional(Box<Kind>),
    /// A map or a sparse tensor.
    Other,
}

/// A port as the model's file declares it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The declared extents of a tensor, 1 where none is given.
    pub(super) shape: Vec<usize>,
}

/// The inputs, without those that are only names for constants, and the outputs.
pub(super) fn ports(model: &[u8]) -> Result<(Vec<Declared>, Vec<Declared>), String> {
    let (mut inputs, mut outputs, mut constants) = (Vec::new(), Vec::new(), Vec::new());
    for graph in messages(model, 7)? {
        for (number, part) in fields(graph)? {
            match (number, part) {
                (5, Part::Bytes(tensor)) => constants.extend(texts(tensor, 8)?),
                (11, Part::Bytes(value)) => inputs.push(declared(value)?),
                (12, Part::Bytes(value)) => outputs.push(declared(value)?),
                _ => {}
            }
        }
    }
    inputs.retain(|input| !constants.contains(&input.name));
    Ok((inputs, outputs))
}

fn declared(value: &[u8]) -> Result<Declared, String> {
    let name = texts(value, 1)?.pop().unwrap_or_default();
    let declared = messages(value, 2)?;
    let bytes = declared.first().copied().unwrap_or_default();
    Ok(Declared { name, kind: kind(bytes)?, shape: shape(bytes)? })
}

fn kind(declared: &[u8]) -> Result<Kind, String> {
    let inner =
        |bytes: &[u8]| Ok::<_, String>(Box::new(kind(messages(bytes, 1)?.first().unwrap_or(&&[][..]))?));
    for (number, part) in fields(declared)? {
        match (number, part) {
            (1, Part::Bytes(bytes)) => return Ok(Kind::Tensor(integer(bytes, 1)?.unwrap_or(0))),
            (4, Part::Bytes(bytes)) => return Ok(Kind::Sequence(inner(bytes)?)),
            (9, Part::Bytes(bytes)) => return Ok(Kind::Optional(inner(bytes)?)),
            _ => {}
        }
    }
    // Where nothing is declared it is most likely a tensor.
    Ok(if declared.is_empty() { Kind::Tensor(0) } else { Kind::Other })
}

fn shape(declared: &[u8]) -> Result<Vec<usize>, String> {
    let mut extents = Vec::new();
    for tensor in messages(declared, 1)? {
        for shape in messages(tensor, 2)? {
            for dim in messages(shape, 1)? {
                let extent = integer(dim, 1)?.and_then(|extent| usize::try_from(extent).ok());
                extents.push(extent.unwrap_or(1));
            }
        }
    }
    Ok(extents)
}

/// The number in the field of this number.
fn integer(bytes: &[u8], wanted: u64) -> Result<Option<u64>, String> {
    Ok(fields(bytes)?.into_iter().find_map(|(number, part)| match part {
        Part::Number(value) if number == wanted => Some(value),
        _ => None,
    }))
}

/// The messages in the fields of this number.
pub(super) fn messages(bytes: &[u8], wanted: u64) -> Result<Vec<&[u8]>, String> {
    let messages = fields(bytes)?.into_iter().filter_map(|(number, part)| match part {
        Part::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    });
    Ok(messages.collect())
}

fn texts(bytes: &[u8], wanted: u64) -> Result<Vec<String>, String> {
    Ok(messages(bytes, wanted)?.into_iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with bytes in it.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        bytes.extend(content);
        bytes
    }

    #[test]
    fn each_kind_is_told_apart_and_constants_are_no_inputs() {
        let extents = [field(1, &[0x08, 3]), field(1, &field(2, b"N"))].concat();
        let tensor = field(1, &[vec![0x08, 1], field(2, &extents)].concat());
        let sequence = field(4, &field(1, &tensor));
        let optional = field(9, &field(1, &sequence));
        let value = |name: &[u8], kind: &[u8]| [field(1, name), field(2, kind)].concat();
        let graph = [
            field(5, &field(8, b"w")),
            field(11, &value(b"w", &tensor)),
            field(11, &value(b"x", &tensor)),
            field(11, &value(b"s", &sequence)),
            field(12, &value(b"o", &optional)),
        ];
        let (inputs, outputs) = ports(&field(7, &graph.concat())).unwrap();
        let of_sequence = Kind::Sequence(Box::new(Kind::Tensor(1)));
        assert_eq!(inputs[0], Declared { name: "x".into(), kind: Kind::Tensor(1), shape: vec![3, 1] });
        assert_eq!((&*inputs[1].name, &inputs[1].kind), ("s", &of_sequence));
        assert_eq!(outputs[0].kind, Kind::Optional(Box::new(of_sequence)));
        assert_eq!(inputs.len(), 2);
    }
}
