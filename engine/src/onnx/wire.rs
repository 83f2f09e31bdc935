//! The protobuf wire format, read by hand: bytes in, numbered fields out, nothing copied.
//!
//! A message is a run of fields; each begins with a varint that holds its number and one of four wire types. A
//! [`Message`] is a borrowed window of the file that yields its [`Field`]s in order; whoever reads it matches on the
//! number and ignores what it does not know. Every read is checked against the end of the window, so no bytes whatever
//! make it panic, and a shared [`Budget`] bounds how deep messages nest and how many there are, so that a small hostile
//! file cannot make us build something huge.
//!
//! This module knows nothing of ONNX, and does not write the format: only the tests do.

use alloc::vec::Vec;

use spin::Mutex;

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A field reaches beyond the end of its message.
    #[error("the data ends within a field that begins at byte {offset}")]
    Truncated {
        /// Where the field's content begins in the file.
        offset: usize,
    },
    /// A varint of more than ten bytes.
    #[error("the number at byte {offset} is longer than 64 bits")]
    Varint {
        /// Where the number begins in the file.
        offset: usize,
    },
    /// Field number zero, or one too large, or an unknown wire type.
    #[error("no field begins at byte {offset}")]
    Tag {
        /// Where the tag begins in the file.
        offset: usize,
    },
    /// A group, a form that protobuf gave up long before ONNX.
    #[error("a protobuf group at byte {offset}, which ONNX files do not have")]
    Group {
        /// Where the group begins in the file.
        offset: usize,
    },
    /// A known field in another wire type than the format says.
    #[error("field {field} at byte {offset} is not {wanted}")]
    Kind {
        /// The field's number.
        field: u32,
        /// Where the field's content begins in the file.
        offset: usize,
        /// What the format says it is.
        wanted: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("the text at byte {offset} is not UTF-8")]
    Text {
        /// Where the text begins in the file.
        offset: usize,
    },
    /// More messages within messages than the limit.
    #[error("messages nest deeper than {limit} at byte {offset}")]
    Depth {
        /// The limit.
        limit: usize,
        /// Where the message that is too deep begins in the file.
        offset: usize,
    },
    /// More messages in all than the limit.
    #[error("the file holds more than {limit} messages")]
    Messages {
        /// The limit.
        limit: usize,
    },
}

/// How much may be read: shared by all messages of one file.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: usize,
    messages: usize,
    spent: Mutex<Spent>,
}

/// What has been read.
#[derive(Debug, Default)]
struct Spent {
    messages: usize,
    /// By estimate, since [`Budget::take_nanoseconds`] was asked last.
    nanoseconds: u64,
}

/// Roughly what reading a message of a few fields takes, besides long lists.
const MESSAGE_NS: u64 = 250;

impl Budget {
    /// At most `depth` messages within each other and `messages` in all.
    pub(crate) fn new(depth: usize, messages: usize) -> Budget {
        Budget { depth, messages, spent: Mutex::default() }
    }

    /// Roughly the time that was spent on reading since the last call.
    pub(crate) fn take_nanoseconds(&self) -> u64 {
        core::mem::take(&mut self.spent.lock().nanoseconds)
    }

    /// Counts another message; false when it is one too many.
    fn message(&self) -> bool {
        let mut spent = self.spent.lock();
        spent.messages += 1;
        spent.nanoseconds += MESSAGE_NS;
        spent.messages <= self.messages
    }

    /// Counts the bytes of a list that was decoded.
    fn decoded(&self, bytes: usize) {
        self.spent.lock().nanoseconds += bytes as u64 * 4;
    }
}

/// A window of the file that holds one message: an iterator over its fields.
#[derive(Clone, Debug)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    /// Where the rest of `bytes` begins in the file.
    offset: usize,
    depth: usize,
    budget: &'a Budget,
}

/// One field of a message.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    /// Its number in the message's description.
    pub(crate) number: u32,
    /// Where its content begins in the file.
    offset: usize,
    content: Content<'a>,
    depth: usize,
    budget: &'a Budget,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The message that fills the whole file.
    pub(crate) fn file(bytes: &'a [u8], budget: &'a Budget) -> Message<'a> {
        Message { bytes, offset: 0, depth: 0, budget }
    }

    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let tag_offset = self.offset;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(WireError::Tag { offset: tag_offset })?;
        let mut offset = self.offset;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(self.array()?),
            2 => {
                let length = self.varint()?;
                offset = self.offset;
                let length = usize::try_from(length).map_err(|_| WireError::Truncated { offset })?;
                Content::Bytes(self.take(length)?)
            }
            3 | 4 => return Err(WireError::Group { offset: tag_offset }),
            5 => Content::Fixed32(self.array()?),
            _ => return Err(WireError::Tag { offset: tag_offset }),
        };
        Ok(Field { number, offset, content, depth: self.depth, budget: self.budget })
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let offset = self.offset;
        let mut value = 0u64;
        for (index, byte) in self.bytes.iter().take(10).enumerate() {
            // The tenth byte has room for one bit only.
            if index == 9 && *byte > 1 {
                return Err(WireError::Varint { offset });
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.take(index + 1)?;
                return Ok(value);
            }
        }
        Err(if self.bytes.len() < 10 {
            WireError::Truncated { offset }
        } else {
            WireError::Varint { offset }
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, tail) =
            self.bytes.split_first_chunk().ok_or(WireError::Truncated { offset: self.offset })?;
        self.bytes = tail;
        self.offset += N;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) =
            self.bytes.split_at_checked(length).ok_or(WireError::Truncated { offset: self.offset })?;
        self.bytes = tail;
        self.offset += length;
        Ok(head)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<Field<'a>, WireError>;

    /// The next field. After an error the message is over.
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.bytes = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    fn wrong(&self, wanted: &'static str) -> WireError {
        WireError::Kind { field: self.number, offset: self.offset, wanted }
    }

    /// Where the field ends in the file, when it is a message, text or bytes; else where it begins.
    pub(crate) fn end(&self) -> usize {
        match self.content {
            Content::Bytes(bytes) => self.offset + bytes.len(),
            _ => self.offset,
        }
    }

    /// The field in pieces of about `most` bytes, when it is a longer list of numbers; else the field itself. Only for fields that
    /// are lists of numbers. A piece of fixed-size numbers has whole ones.
    pub(crate) fn pieces(&self, most: usize) -> impl Iterator<Item = Field<'a>> {
        let (mut rest, mut offset) = match self.content {
            Content::Bytes(bytes) => (Some(bytes), self.offset),
            _ => (None, self.offset),
        };
        let mut whole = rest.is_none_or(|bytes| bytes.len() <= most).then(|| self.clone());
        if whole.is_some() {
            rest = None;
        }
        let field = self.clone();
        core::iter::from_fn(move || {
            let bytes = match rest.take() {
                Some(bytes) if !bytes.is_empty() => bytes,
                _ => return whole.take(),
            };
            // Fixed-size numbers have 4 or 8 bytes, and the last byte of a varint no continuation bit; what is damaged is
            // left to the last piece.
            let from = most.min(bytes.len());
            let end = (from..bytes.len()).find(|end| end % 8 == 0 && bytes[end - 1] & 0x80 == 0);
            let (piece, left) = bytes.split_at(end.unwrap_or(bytes.len()));
            let piece = Field { content: Content::Bytes(piece), offset, ..field.clone() };
            offset += end.unwrap_or(bytes.len());
            rest = Some(left);
            Some(piece)
        })
    }

    /// Signed integers and enumerations.
    pub(crate) fn int(&self) -> Result<i64, WireError> {
        match self.content {
            // Negative numbers are written as their 64-bit two's complement.
            Content::Varint(value) => Ok(value as i64),
            _ => Err(self.wrong("a number")),
        }
    }

    /// A `float`.
    pub(crate) fn float(&self) -> Result<f32, WireError> {
        match self.content {
            Content::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.wrong("a float")),
        }
    }

    /// Bytes, borrowed from the file.
    pub(crate) fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong("bytes")),
        }
    }

    /// Text, borrowed from the file.
    pub(crate) fn text(&self) -> Result<&'a str, WireError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| WireError::Text { offset: self.offset })
    }

    /// A message within the message.
    pub(crate) fn message(&self) -> Result<Message<'a>, WireError> {
        let Content::Bytes(bytes) = self.content else { return Err(self.wrong("a message")) };
        let budget = self.budget;
        if self.depth >= budget.depth {
            return Err(WireError::Depth { limit: budget.depth, offset: self.offset });
        }
        if !budget.message() {
            return Err(WireError::Messages { limit: budget.messages });
        }
        Ok(Message { bytes, offset: self.offset, depth: self.depth + 1, budget })
    }

    /// Adds the integers of one occurrence of a repeated field, packed or not, each passed through `convert`.
    pub(crate) fn ints<T>(&self, into: &mut Vec<T>, convert: impl Fn(u64) -> T) -> Result<(), WireError> {
        match self.content {
            Content::Varint(value) => into.push(convert(value)),
            Content::Bytes(bytes) => {
                let mut packed = Message { bytes, offset: self.offset, depth: 0, budget: self.budget };
                self.budget.decoded(bytes.len());
                // Each number ends in the one byte without the continuation bit.
                into.reserve(bytes.iter().filter(|byte| **byte & 0x80 == 0).count());
                while !packed.bytes.is_empty() {
                    into.push(convert(packed.varint()?));
                }
            }
            _ => return Err(self.wrong("numbers")),
        }
        Ok(())
    }

    /// Adds the floats of one occurrence of a repeated field, packed or not.
    pub(crate) fn floats(&self, into: &mut Vec<f32>) -> Result<(), WireError> {
        match self.content {
            Content::Fixed32(bytes) => into.push(f32::from_le_bytes(bytes)),
            Content::Bytes(bytes) => into.extend(self.chunks(bytes)?.map(f32::from_le_bytes)),
            _ => return Err(self.wrong("floats")),
        }
        Ok(())
    }

    /// Adds the doubles of one occurrence of a repeated field, packed or not.
    pub(crate) fn doubles(&self, into: &mut Vec<f64>) -> Result<(), WireError> {
        match self.content {
            Content::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes)),
            Content::Bytes(bytes) => into.extend(self.chunks(bytes)?.map(f64::from_le_bytes)),
            _ => return Err(self.wrong("doubles")),
        }
        Ok(())
    }

    fn chunks<const N: usize>(
        &self,
        bytes: &'a [u8],
    ) -> Result<impl Iterator<Item = [u8; N]> + 'a, WireError> {
        self.budget.decoded(bytes.len());
        if !bytes.len().is_multiple_of(N) {
            return Err(WireError::Truncated { offset: self.offset });
        }
        Ok(bytes.chunks_exact(N).map(|chunk| chunk.try_into().expect("chunks of N bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn read(bytes: &[u8]) -> Result<Vec<u32>, WireError> {
        let budget = Budget::new(4, 100);
        Message::file(bytes, &budget).map(|field| field.map(|field| field.number)).collect()
    }

    fn first<T>(bytes: &[u8], get: impl Fn(&Field<'_>) -> Result<T, WireError>) -> Result<T, WireError> {
        let budget = Budget::new(1, 100);
        get(&Message::file(bytes, &budget).next().unwrap()?)
    }

    #[test]
    fn fields_of_every_wire_type_come_in_order() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, 7, 8, 0x25, 0, 0, 0x80, 0x3f];
        assert_eq!(read(&bytes), Ok(vec![1, 2, 3, 4]));
        assert_eq!(first(&bytes, |f| f.int()), Ok(150));
        assert_eq!(first(&bytes[12..], |f| Ok(f.bytes()?.to_vec())), Ok(vec![7, 8]));
        assert_eq!(first(&bytes[16..], |f| f.float()), Ok(1.0));
    }

    #[test]
    fn negative_numbers_take_ten_bytes() {
        let bytes = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(first(&bytes, |f| f.int()), Ok(-1));
        let mut longer = bytes;
        longer[10] = 0x02;
        assert_eq!(read(&longer), Err(WireError::Varint { offset: 1 }));
    }

    #[test]
    fn long_lists_come_in_pieces_that_hold_the_same_numbers() {
        let budget = Budget::new(1, 9);
        let mut bytes = vec![];
        for number in 0..400u32 {
            let number = number.wrapping_mul(0x9e37_79b9) >> (number % 32);
            bytes.extend([number as u8 | 0x80, (number >> 7) as u8 & 0x7f]);
        }
        let file = [&[0x0a, 0xa0, 0x06][..], &bytes].concat();
        let field = Message::file(&file, &budget).next().unwrap().unwrap();
        let mut whole = vec![];
        field.ints(&mut whole, |value| value).unwrap();
        for most in [1, 7, 64, 799, 800, 900] {
            let (mut pieced, mut count) = (vec![], 0);
            for piece in field.pieces(most) {
                piece.ints(&mut pieced, |value| value).unwrap();
                count += 1;
            }
            assert_eq!(pieced, whole);
            assert!(count == 1 || most < 800, "{count} pieces of {most}");
            assert!(count > 5 || most > 64, "{count} pieces of {most}");
        }
        let floats = [&[0x0a, 0x40][..], &[0x80; 64]].concat();
        let field = Message::file(&floats, &budget).next().unwrap().unwrap();
        let mut values = vec![];
        field.pieces(8).for_each(|piece| piece.floats(&mut values).unwrap());
        assert_eq!(values.len(), 16);
        let empty = Message::file(&[0x0a, 0], &budget).next().unwrap().unwrap();
        assert_eq!(empty.pieces(8).count(), 1);
    }

    #[test]
    fn a_cut_file_says_where_it_ends() {
        assert_eq!(read(&[0x08]), Err(WireError::Truncated { offset: 1 }));
        assert_eq!(read(&[0x08, 0x80]), Err(WireError::Truncated { offset: 1 }));
        assert_eq!(read(&[0x1a, 5, 1]), Err(WireError::Truncated { offset: 2 }));
        assert_eq!(read(&[0x25, 0]), Err(WireError::Truncated { offset: 1 }));
        // A length near 2^64 must not overflow anything.
        let long = [0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1];
        assert_eq!(read(&long), Err(WireError::Truncated { offset: 11 }));
    }

    #[test]
    fn groups_field_zero_and_unknown_wire_types_are_refused() {
        assert_eq!(read(&[0x0b, 0x0c]), Err(WireError::Group { offset: 0 }));
        assert_eq!(read(&[0x00, 0x00]), Err(WireError::Tag { offset: 0 }));
        assert_eq!(read(&[0x0f]), Err(WireError::Tag { offset: 0 }));
    }

    #[test]
    fn repeated_numbers_may_be_packed_or_not() {
        let mut ints = Vec::new();
        let mut floats = Vec::new();
        let mut doubles = Vec::new();
        let budget = Budget::new(1, 9);
        let bytes = [0x08, 3, 0x0a, 3, 0x96, 0x01, 5, 0x08, 7];
        for field in Message::file(&bytes, &budget) {
            field.unwrap().ints(&mut ints, |value| value).unwrap();
        }
        assert_eq!(ints, [3, 150, 5, 7]);
        let bytes = [0x0d, 0, 0, 0x80, 0x3f, 0x0a, 4, 0, 0, 0, 0x40];
        for field in Message::file(&bytes, &budget) {
            field.unwrap().floats(&mut floats).unwrap();
        }
        assert_eq!(floats, [1.0, 2.0]);
        let bytes = [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x0a, 8, 0, 0, 0, 0, 0, 0, 0, 0x40];
        for field in Message::file(&bytes, &budget) {
            field.unwrap().doubles(&mut doubles).unwrap();
        }
        assert_eq!(doubles, [1.0, 2.0]);
        assert_eq!(
            first(&[0x0a, 3, 1, 2, 3], |f| f.floats(&mut Vec::new())),
            Err(WireError::Truncated { offset: 2 })
        );
    }

    #[test]
    fn depth_and_number_of_messages_are_bounded() {
        fn descend(message: Message<'_>) -> Result<(), WireError> {
            message.into_iter().try_for_each(|field| descend(field?.message()?))
        }
        let nested = [0x0a, 6, 0x0a, 4, 0x0a, 2, 0x0a, 0];
        assert_eq!(descend(Message::file(&nested, &Budget::new(4, 9))), Ok(()));
        let deep = Err(WireError::Depth { limit: 3, offset: 8 });
        assert_eq!(descend(Message::file(&nested, &Budget::new(3, 9))), deep);
        let wide = [0x0a, 0, 0x0a, 0, 0x0a, 0];
        assert_eq!(descend(Message::file(&wide, &Budget::new(4, 3))), Ok(()));
        let many = Err(WireError::Messages { limit: 2 });
        assert_eq!(descend(Message::file(&wide, &Budget::new(4, 2))), many);
    }

    #[test]
    fn text_must_be_utf8_and_kinds_must_fit() {
        assert_eq!(first(&[0x0a, 1, 0xff], |f| f.text().map(|_| ())), Err(WireError::Text { offset: 2 }));
        assert_eq!(
            first(&[0x08, 1], |f| f.text().map(|_| ())),
            Err(WireError::Kind { field: 1, offset: 1, wanted: "bytes" })
        );
    }
}
