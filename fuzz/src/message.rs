//! A protobuf message as a tree, and small changes of it.
//!
//! Bytes that are changed at random are seldom protobuf any more, for a length no longer fits. Here a model is read as a tree
//! of fields, one of them is changed, left out, doubled or put in another's place, and the lengths are written anew. What a
//! field means is not known: whatever can be read as a message is one.

use crate::Random;
use inferry_engine::onnx;

/// Deeper than any model of the corpus.
const DEEPEST: usize = 24;

/// Fields of a message, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Vec<Field>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    number: u64,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Integer(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Vec<u8>),
    Message(Message),
}

impl Message {
    /// The tree of these bytes; `None` when they are no message.
    pub fn read(bytes: &[u8]) -> Option<Message> {
        read(bytes, 0)
    }

    /// The bytes of the tree.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Field { number, content } in &self.0 {
            let (kind, own) = match content {
                Content::Integer(integer) => {
                    varint(&mut bytes, number << 3);
                    varint(&mut bytes, *integer);
                    continue;
                }
                Content::Eight(eight) => (1, eight.to_vec()),
                Content::Four(four) => (5, four.to_vec()),
                Content::Bytes(own) => (2, own.clone()),
                Content::Message(inner) => (2, inner.write()),
            };
            varint(&mut bytes, number << 3 | kind);
            if kind == 2 {
                varint(&mut bytes, own.len() as u64);
            }
            bytes.extend(own);
        }
        bytes
    }

    /// How many fields there are, those of inner messages included.
    fn count(&self) -> usize {
        let inner =
            |field: &Field| if let Content::Message(inner) = &field.content { inner.count() } else { 0 };
        self.0.iter().map(|field| 1 + inner(field)).sum()
    }

    /// Field `index` of all: the message that it is in, and its place there.
    fn find(&mut self, mut index: usize) -> Option<(&mut Vec<Field>, usize)> {
        for place in 0..self.0.len() {
            if index == 0 {
                return Some((&mut self.0, place));
            }
            index -= 1;
            if let Content::Message(inner) = &self.0[place].content {
                let count = inner.count();
                if index < count {
                    let Content::Message(inner) = &mut self.0[place].content else { return None };
                    return inner.find(index);
                }
                index -= count;
            }
        }
        None
    }

    fn any(&mut self, random: &mut Random) -> Option<(&mut Vec<Field>, usize)> {
        let count = self.count();
        self.find(random.below(count))
    }
}

/// A model that differs from `bytes` in a few places; what is put into it comes from itself, from `other`, or from `touch`,
/// which changes bytes in any way. Bytes that are no message are only touched.
pub fn changed(
    bytes: &[u8],
    other: &[u8],
    random: &mut Random,
    touch: &mut dyn FnMut(&mut Vec<u8>),
) -> Vec<u8> {
    let Some(mut message) = Message::read(bytes).filter(|message| !message.0.is_empty()) else {
        let mut bytes = bytes.to_vec();
        touch(&mut bytes);
        return bytes;
    };
    let mut other = Message::read(other).unwrap_or_default();
    for _ in 0..1 + random.below(3) {
        change(&mut message, &mut other, random, touch);
    }
    message.write()
}

fn change(
    message: &mut Message,
    other: &mut Message,
    random: &mut Random,
    touch: &mut dyn FnMut(&mut Vec<u8>),
) {
    let given = match random.below(8) {
        0..3 => message.any(random).map(|(fields, place)| fields[place].clone()),
        3 => other.any(random).map(|(fields, place)| fields[place].clone()),
        _ => None,
    };
    let Some((fields, place)) = message.any(random) else { return };
    if let Some(given) = given {
        match random.below(3) {
            0 => fields.insert(place, given),
            1 => fields[place].content = given.content,
            _ => fields[place] = given,
        }
        return;
    }
    match (random.below(6), &mut fields[place].content) {
        (0, _) => _ = fields.remove(place),
        (1, _) => {
            let again = fields[place].clone();
            fields.insert(place, again);
        }
        (2, _) => {
            let last = fields.len() - 1;
            fields.swap(place, random_place(random, last));
        }
        (_, Content::Integer(integer)) => *integer = integer_near(*integer, random),
        (_, Content::Eight(eight)) => eight[random.below(8)] = random.number() as u8,
        (_, Content::Four(four)) => four[random.below(4)] = random.number() as u8,
        (3, Content::Bytes(bytes)) => *bytes = operator(random),
        (4, Content::Bytes(bytes)) => *bytes = packed(random),
        (_, Content::Bytes(bytes)) => touch(bytes),
        (_, Content::Message(inner)) => change(inner, other, random, touch),
    }
}

fn random_place(random: &mut Random, last: usize) -> usize {
    random.below(last + 1)
}

fn integer_near(integer: u64, random: &mut Random) -> u64 {
    const TELLING: [i64; 14] = [0, 1, 2, 3, -1, -2, 7, 8, 16, 255, 1 << 31, i64::MAX, i64::MIN, 1 << 40];
    match random.below(3) {
        0 => TELLING[random.below(TELLING.len())] as u64,
        // Element types and attribute types.
        1 => random.below(24) as u64,
        _ => integer.wrapping_add(random.below(5) as u64).wrapping_sub(2),
    }
}

/// The name of an operator.
fn operator(random: &mut Random) -> Vec<u8> {
    let all = onnx::operators();
    all[random.below(all.len())].name.as_bytes().to_vec()
}

/// A list of small integers.
fn packed(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(6) {
        varint(&mut bytes, integer_near(2, random));
    }
    bytes
}

fn read(mut bytes: &[u8], depth: usize) -> Option<Message> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes)?;
        let content = match tag & 7 {
            0 => Content::Integer(take_varint(&mut bytes)?),
            1 => Content::Eight(take(&mut bytes, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                let own = take(&mut bytes, length)?;
                let inner = if depth < DEEPEST && !own.is_empty() { read(own, depth + 1) } else { None };
                match inner.filter(|inner| inner.write() == own) {
                    Some(inner) => Content::Message(inner),
                    None => Content::Bytes(own.to_vec()),
                }
            }
            5 => Content::Four(take(&mut bytes, 4)?.try_into().ok()?),
            _ => return None,
        };
        // No message of a model has more fields.
        let number = (1..=64).contains(&(tag >> 3)).then_some(tag >> 3)?;
        fields.push(Field { number, content });
    }
    Some(Message(fields))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place).min(63);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{ 1: 150, 2: "Relu", 3: { 1: 1 } }`
    const BYTES: &[u8] = &[0x08, 0x96, 0x01, 0x12, 4, b'R', b'e', b'l', b'u', 0x1a, 2, 0x08, 1];

    #[test]
    fn a_message_is_written_as_it_was_read() {
        let message = Message::read(BYTES).unwrap();
        assert_eq!(message.0[0].content, Content::Integer(150));
        assert_eq!(message.0[1].content, Content::Bytes(b"Relu".to_vec()));
        assert_eq!((message.count(), message.write()), (4, BYTES.to_vec()));
        assert_eq!(Message::read(&BYTES[..5]), None);
    }

    #[test]
    fn every_field_is_found() {
        let mut message = Message::read(BYTES).unwrap();
        let numbers: Vec<u64> = (0..4)
            .map(|index| message.find(index).map(|(fields, place)| fields[place].number).unwrap())
            .collect();
        assert_eq!(numbers, [1, 2, 3, 1]);
        assert!(message.find(4).is_none());
    }

    #[test]
    fn what_is_changed_stays_a_message_and_differs() {
        let different = (0..100).filter(|seed| {
            let changed = changed(BYTES, BYTES, &mut Random::new(*seed), &mut |bytes| bytes.push(b'x'));
            assert!(Message::read(&changed).is_some());
            changed != BYTES
        });
        assert!(different.count() > 80);
        let touched = changed(b"\xff", BYTES, &mut Random::new(1), &mut |bytes| bytes.push(1));
        assert_eq!(touched, [0xff, 1]);
    }
}
