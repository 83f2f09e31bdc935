//! The fields of a protobuf message, for the few messages around tensors that the runner reads by itself.
//!
//! Tensors are read by the engine. Here are no limits against hostile files: the suites are pinned by their digest.

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part<'a> {
    /// A varint.
    Number(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
    /// A number of fixed width, which nobody here asks for.
    Fixed,
}

/// The numbers and contents of all fields of a message, in the order of the file.
pub(super) fn fields(bytes: &[u8]) -> Result<Vec<(u64, Part<'_>)>, String> {
    Ok(all(bytes)?.into_iter().map(|field| (field.number, field.part)).collect())
}

/// A message with other contents in some of its fields: `change` gives the new content of a field, nothing for one that is to go,
/// or the field's own part.
pub(super) fn changed(
    bytes: &[u8],
    mut change: impl FnMut(u64, Part<'_>) -> Result<Change, String>,
) -> Result<Vec<u8>, String> {
    let mut result = Vec::new();
    for Field { number, part, raw } in all(bytes)? {
        match change(number, part)? {
            Change::Keep => result.extend(raw),
            Change::Drop => {}
            Change::Number(value) => {
                put(&mut result, number << 3);
                put(&mut result, value);
            }
            Change::Bytes(content) => {
                put(&mut result, number << 3 | 2);
                put(&mut result, content.len() as u64);
                result.extend(content);
            }
        }
    }
    Ok(result)
}

/// What becomes of a field.
#[derive(Debug)]
pub(super) enum Change {
    Keep,
    Drop,
    Number(u64),
    Bytes(Vec<u8>),
}

struct Field<'a> {
    number: u64,
    part: Part<'a>,
    /// The field as it stands in the message, its tag included.
    raw: &'a [u8],
}

fn all(mut bytes: &[u8]) -> Result<Vec<Field<'_>>, String> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let start = bytes;
        let tag = varint(&mut bytes)?;
        let part = match tag & 7 {
            0 => Part::Number(varint(&mut bytes)?),
            2 => {
                let length = varint(&mut bytes)?;
                Part::Bytes(take(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            kind @ (1 | 5) => {
                take(&mut bytes, if kind == 1 { 8 } else { 4 })?;
                Part::Fixed
            }
            kind => return Err(format!("wire type {kind} in a protobuf message")),
        };
        fields.push(Field { number: tag >> 3, part, raw: &start[..start.len() - bytes.len()] });
    }
    Ok(fields)
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number of more than 64 bits in a protobuf message".into())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (head, tail) = bytes.split_at_checked(length).ok_or("a protobuf message that ends within a field")?;
    *bytes = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_change_go_and_stay() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x18, 1, 0x25, 0, 0, 0, 0];
        let change = |number, part: Part<'_>| {
            Ok(match (number, part) {
                (1, _) => Change::Number(300),
                (2, Part::Bytes(text)) => Change::Bytes([text, b"!"].concat()),
                (3, _) => Change::Drop,
                _ => Change::Keep,
            })
        };
        let wanted = [0x08, 0xac, 0x02, 0x12, 3, b'h', b'i', b'!', 0x25, 0, 0, 0, 0];
        assert_eq!(changed(&message, change).unwrap(), wanted);
    }

    #[test]
    fn fields_come_in_order_and_damage_is_an_error() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0, 0];
        let wanted = [(1, Part::Number(150)), (2, Part::Bytes(b"hi")), (3, Part::Fixed)];
        assert_eq!(fields(&message).unwrap(), wanted);
        assert!(fields(&message[..5]).unwrap_err().contains("ends within"));
        assert!(fields(&[0x0b]).unwrap_err().contains("wire type 3"));
        assert!(fields(&[0xff; 11]).unwrap_err().contains("64 bits"));
    }
}
