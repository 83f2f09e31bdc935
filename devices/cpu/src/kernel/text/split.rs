//! StringSplit: the parts of each string.

use alloc::string::String;
use core::ops::Range;

use inferry_core::Shape;
use inferry_engine::op::StringSplit;

use super::twice::{Twice, twice};
use crate::io::Io;
use crate::kernel::fault::Fault;
use crate::kernel::{Builder, Built};
use crate::text::{Text, Texts};

/// Builds StringSplit.
pub(crate) fn string_split(op: &StringSplit, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    twice(x.shape.count(), Split { op: op.clone(), shape: x.shape.clone() })
}

struct Split {
    op: StringSplit,
    shape: Shape,
}

impl Twice for Split {
    fn look(&self, texts: &Texts, text: Text, known: u64) -> u64 {
        let mut cursor = Cursor::new(&self.op);
        let mut parts = 0;
        while cursor.next(texts.get(text)).is_some() {
            parts += 1;
        }
        known.max(parts)
    }

    fn shape(&self, output: usize, known: u64) -> Shape {
        let extra = [usize::try_from(known).unwrap_or(usize::MAX)];
        let extents = self.shape.iter().copied().chain(extra.into_iter().filter(|_| output == 0));
        extents.collect::<alloc::vec::Vec<_>>().as_slice().try_into().unwrap_or_default()
    }

    fn make(&self, io: &mut Io<'_>, items: Range<usize>, _: &mut u64) -> Result<(), Fault> {
        let (x, parts, counts) = (io.input::<Text>(0), io.whole::<Text>(0), io.whole::<i64>(1));
        let row = parts.len() / x.len().max(1);
        let texts = io.texts_mut();
        for item in items {
            let mut cursor = Cursor::new(&self.op);
            let to = &mut parts[item * row..][..row];
            to.fill(Text::EMPTY);
            let mut count = 0;
            while let Some(part) = cursor.next(texts.get(x[item])) {
                to[count] = texts.part(x[item], part)?;
                count += 1;
            }
            counts[item] = count as i64;
        }
        Ok(())
    }
}

/// A walk along the parts of a string. It does not hold the string, which lies in a table that the parts are added to.
struct Cursor<'a> {
    delimiter: &'a String,
    /// Where the next part may begin; `None` behind the last one.
    at: Option<usize>,
    /// How many cuts may be made yet.
    cuts: usize,
}

impl Cursor<'_> {
    fn new(op: &StringSplit) -> Cursor<'_> {
        Cursor { delimiter: &op.delimiter, at: Some(0), cuts: op.most.unwrap_or(usize::MAX) }
    }

    /// The next part of the string, in bytes.
    fn next(&mut self, text: &str) -> Option<Range<usize>> {
        let rest = &text[self.at?..];
        let trimmed = if self.delimiter.is_empty() { rest.trim_start() } else { rest };
        let start = text.len() - trimmed.len();
        let cut = match self.delimiter.as_str() {
            "" if trimmed.is_empty() => {
                self.at = None;
                return None;
            }
            _ if self.cuts == 0 => None,
            "" => trimmed.find(char::is_whitespace).map(|len| (len, len)),
            delimiter => trimmed.find(delimiter).map(|len| (len, len + delimiter.len())),
        };
        self.cuts = self.cuts.saturating_sub(1);
        self.at = cut.map(|(_, next)| start + next);
        let len = match cut {
            Some((len, _)) => len,
            None if self.delimiter.is_empty() => trimmed.trim_end().len(),
            None => trimmed.len(),
        };
        Some(start..start + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run, spelled, strings};
    use inferry_core::ElementType;

    #[track_caller]
    fn check(delimiter: &str, most: Option<usize>, texts: &[&str], parts: &[&[&str]]) {
        let op = StringSplit { delimiter: delimiter.into(), most };
        let row = parts.iter().map(|parts| parts.len()).max().unwrap_or(0);
        let outputs =
            [(ElementType::String, [texts.len(), row].into()), (ElementType::I64, [texts.len()].into())];
        let results = run(&op, &[Some(strings(texts, [texts.len()]))], &outputs, Isa::portable());
        let filled = parts.iter().flat_map(|parts| parts.iter().chain(core::iter::repeat(&"")).take(row));
        assert!(spelled(&results[0]).iter().eq(filled), "{:?}", spelled(&results[0]));
        let counts = results[1].to_vec::<i64>().unwrap();
        assert!(counts.iter().copied().eq(parts.iter().map(|parts| parts.len() as i64)), "{counts:?}");
    }

    #[test]
    fn a_delimiter_stands_between_parts() {
        check(".", None, &["abc.com", "a.b.c"], &[&["abc", "com"], &["a", "b", "c"]]);
        check("--", None, &["-----x", "", "--"], &[&["", "", "-x"], &[""], &["", ""]]);
        check("ä", Some(1), &["1ä2ä3", "1"], &[&["1", "2ä3"], &["1"]]);
        check(",", Some(0), &["a,b"], &[&["a,b"]]);
        check(",", None, &[], &[]);
    }

    #[test]
    fn white_space_of_any_length_stands_between_parts() {
        check("", None, &[" hello \t world\u{a0}! ", "x"], &[&["hello", "world", "!"], &["x"]]);
        check("", Some(1), &["  the quick  fox ", "a "], &[&["the", "quick  fox"], &["a"]]);
        check("", Some(0), &[" a b ", ""], &[&["a b"], &[]]);
        check("", None, &["", " "], &[&[], &[]]);
    }
}
