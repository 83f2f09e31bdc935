//! Strings in a run: numbers that stand for them, and the table that they count in.
//!
//! ```text
//!  a string tensor of the run      Texts
//!  [ 3, 1, 1, 0 ]  u32 each   ─▶   1 "yes"  2 "no"  3 "per|haps"      (0 is "")
//! ```
//!
//! A kernel moves strings as it moves any four bytes, so arena, slots, control flow and every operator that only rearranges
//! need to know nothing of them. Only who reads or makes characters asks for [`Texts`]. It lives beside the arena, is
//! emptied when a run begins and keeps its capacity, so a warm run takes no memory. Nothing is taken out of it during a
//! run: a string that a run makes costs its bytes until the run ends, and the table has a limit.
//!
//! The constants of a model are numbered once, when it is compiled (`Words`), and have the same numbers in every plan and
//! run. What this module does *not* do: it looks for equal strings only among the constants; two numbers may stand for equal
//! strings.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::ops::Range;

use inferry_core::tensor::TensorError;
use inferry_core::{ElementType, Tensor};
use inferry_engine::device::Limits;
use inferry_engine::graph::Graph;

use crate::kernel::fault::Fault;

/// A string of the run, by its number. Zero bytes are the empty string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Text(u32);

impl Text {
    /// The empty string.
    pub const EMPTY: Text = Text(0);
    /// Set in the numbers of constants.
    const WORD: u32 = 1 << 31;
}

/// The constant strings of a compiled model: each once, in the order of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Words(Table);

impl Words {
    /// The strings among the constants of a graph and of the graphs within it.
    ///
    /// # Errors
    /// When somebody writes a constant now, or when there are more than four gigabytes of strings.
    pub(crate) fn of(graph: &Graph) -> Result<Words, TensorError> {
        let mut all = Vec::new();
        collect(graph, &mut all)?;
        all.sort_unstable();
        all.dedup();
        let mut table = Table::default();
        for word in &all {
            let shape = || [all.len()].into();
            let too_large = || TensorError::TooLarge { element: ElementType::String, shape: shape() };
            table.characters.push_str(word);
            table.close(table.characters.len() - word.len()).ok_or_else(too_large)?;
        }
        Ok(Words(table))
    }

    /// The numbers of the strings of a constant, as a tensor of `u32`; `None` when one of them is no word.
    pub(crate) fn numbers(&self, constant: &Tensor) -> Result<Option<Tensor>, TensorError> {
        let strings = constant.strings()?;
        let numbers: Option<Vec<u32>> =
            strings.iter().map(|word| self.find(word).map(|text| text.0)).collect();
        numbers.map(|numbers| Tensor::from_slice(&numbers, constant.shape())).transpose()
    }

    fn find(&self, word: &str) -> Option<Text> {
        if word.is_empty() {
            return Some(Text::EMPTY);
        }
        let (mut low, mut high) = (0, self.0.places.len() as u32);
        while low < high {
            let middle = low.midpoint(high);
            match self.0.get(middle).cmp(word) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(Text(middle | Text::WORD)),
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}

fn collect(graph: &Graph, all: &mut Vec<String>) -> Result<(), TensorError> {
    let constants = graph.values().iter().filter_map(|value| value.fact.as_ref()?.constant.as_ref());
    for constant in constants.filter(|constant| constant.element() == ElementType::String) {
        let strings = constant.strings()?;
        all.extend(strings.iter().filter(|word| !word.is_empty()).map(ToOwned::to_owned));
    }
    graph.nodes.iter().flat_map(|node| node.op.bodies()).try_for_each(|body| collect(&body.graph, all))
}

/// The strings of a run: the constants of the model and what the run has made so far.
#[derive(Debug)]
pub struct Texts {
    words: Arc<Words>,
    made: Table,
    limit: usize,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts::new(Arc::default(), Limits::default().strings)
    }
}

impl Texts {
    /// No strings but the constants; the strings that are made may take `limit` bytes.
    pub(crate) fn new(words: Arc<Words>, limit: usize) -> Texts {
        Texts { words, made: Table::default(), limit }
    }

    /// Forgets the strings that were made.
    pub(crate) fn clear(&mut self) {
        self.made.characters.clear();
        self.made.places.clear();
    }

    /// Forgets them and gives their memory back.
    pub(crate) fn release(&mut self) {
        self.made = Table::default();
    }

    /// The characters of a string.
    ///
    /// # Panics
    /// When no string has this number.
    pub fn get(&self, text: Text) -> &str {
        match text {
            Text::EMPTY => "",
            Text(word) if word & Text::WORD != 0 => self.words.0.get(word & !Text::WORD),
            Text(number) => self.made.get(number - 1),
        }
    }

    /// True when two strings are equal.
    pub fn equal(&self, a: Text, b: Text) -> bool {
        a == b || self.get(a) == self.get(b)
    }

    /// A string with these characters.
    pub fn add(&mut self, characters: &str) -> Result<Text, Fault> {
        match characters {
            "" => Ok(Text::EMPTY),
            _ => self.make(characters.len(), |made| made.push_str(characters)),
        }
    }

    /// Two strings, one after the other.
    pub fn join(&mut self, first: Text, second: Text) -> Result<Text, Fault> {
        if first == Text::EMPTY || second == Text::EMPTY {
            return Ok(Text(first.0 | second.0));
        }
        let words = self.words.clone();
        let places = [first, second].map(|text| self.made.place(text));
        let len = self.get(first).len() + self.get(second).len();
        self.make(len, |made| {
            for (text, place) in [first, second].into_iter().zip(places) {
                match place {
                    Some(range) => made.extend_from_within(range),
                    None => made.push_str(words.0.get(text.0 & !Text::WORD)),
                }
            }
        })
    }

    /// The characters from byte `range.start` to byte `range.end` of a string. Nothing is copied but from constants.
    ///
    /// # Panics
    /// When the range does not lie within the string, from character to character.
    pub fn part(&mut self, text: Text, range: Range<usize>) -> Result<Text, Fault> {
        assert!(self.get(text).get(range.clone()).is_some(), "{range:?} of a string");
        match self.made.place(text) {
            _ if range.is_empty() => Ok(Text::EMPTY),
            Some(place) if range.len() == place.len() => Ok(text),
            Some(place) => {
                self.reserve(0)?;
                self.made
                    .places
                    .push(Place { start: (place.start + range.start) as u32, len: range.len() as u32 });
                Ok(self.made.last())
            }
            None => {
                let words = self.words.clone();
                self.add(&words.0.get(text.0 & !Text::WORD)[range])
            }
        }
    }

    /// A string of what `each` makes of every character of another.
    pub fn map<I: Iterator<Item = char>>(
        &mut self,
        text: Text,
        each: impl Fn(char) -> I,
    ) -> Result<Text, Fault> {
        let start = self.made.characters.len();
        let mut at = 0;
        while let Some(character) = self.get(text)[at..].chars().next() {
            at += character.len_utf8();
            for made in each(character) {
                if let Err(full) = self.reserve(made.len_utf8()) {
                    self.made.characters.truncate(start);
                    return Err(full);
                }
                self.made.characters.push(made);
            }
        }
        self.made.close(start).ok_or_else(|| self.full())
    }

    /// A string of what is printed.
    pub fn print(&mut self, value: fmt::Arguments<'_>) -> Result<Text, Fault> {
        let start = self.made.characters.len();
        let mut printer = Printer(self);
        if fmt::write(&mut printer, value).is_err() {
            self.made.characters.truncate(start);
            return Err(self.full());
        }
        self.reserve(0)?;
        self.made.close(start).ok_or_else(|| self.full())
    }

    /// A string of `len` bytes that `write` adds to the characters.
    fn make(&mut self, len: usize, write: impl FnOnce(&mut String)) -> Result<Text, Fault> {
        self.reserve(len)?;
        let start = self.made.characters.len();
        write(&mut self.made.characters);
        self.made.close(start).ok_or_else(|| self.full())
    }

    /// Room for one more string of `len` bytes.
    fn reserve(&mut self, len: usize) -> Result<(), Fault> {
        let more = len.saturating_add(size_of::<Place>());
        if self.made.size().saturating_add(more) > self.limit {
            return Err(self.full());
        }
        let Table { characters, places } = &mut self.made;
        let room = characters.try_reserve(len).and_then(|()| places.try_reserve(1));
        room.map_err(|_| Fault::Memory { bytes: len })
    }

    fn full(&self) -> Fault {
        Fault::Texts { limit: self.limit }
    }
}

/// Prints to the end of the characters, up to the limit.
struct Printer<'a>(&'a mut Texts);

impl fmt::Write for Printer<'_> {
    fn write_str(&mut self, characters: &str) -> fmt::Result {
        self.0.reserve(characters.len()).map_err(|_| fmt::Error)?;
        self.0.made.characters.push_str(characters);
        Ok(())
    }
}

/// Strings one after the other, and where each lies.
#[derive(Debug, Default)]
struct Table {
    characters: String,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    len: u32,
}

impl Table {
    fn get(&self, index: u32) -> &str {
        let Place { start, len } = self.places[index as usize];
        &self.characters[start as usize..][..len as usize]
    }

    /// Where a string lies among the characters, when it is not a constant of the model.
    fn place(&self, text: Text) -> Option<Range<usize>> {
        let index = text.0.checked_sub(1).filter(|_| text.0 & Text::WORD == 0)?;
        let Place { start, len } = self.places[index as usize];
        Some(start as usize..start as usize + len as usize)
    }

    /// Makes a string of all characters from `start` on; `None` when it cannot be numbered.
    fn close(&mut self, start: usize) -> Option<Text> {
        let len = self.characters.len() - start;
        if len == 0 {
            return Some(Text::EMPTY);
        }
        u32::try_from(self.characters.len()).ok()?;
        self.places.push(Place { start: start as u32, len: len as u32 });
        u32::try_from(self.places.len()).ok().filter(|number| number & Text::WORD == 0).map(|_| self.last())
    }

    /// The string that was made last.
    fn last(&self) -> Text {
        Text(self.places.len() as u32)
    }

    /// Memory that the table takes, in bytes.
    fn size(&self) -> usize {
        self.characters.len() + self.places.len() * size_of::<Place>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use inferry_core::Shape;

    fn empty(limit: usize) -> Texts {
        Texts::new(Arc::default(), limit)
    }

    #[test]
    fn strings_are_found_by_their_number() {
        let mut texts = empty(1000);
        let numbers = ["", "ja", "", "grüezi", "ja"].map(|text| texts.add(text).unwrap());
        assert_eq!(numbers.map(|text| texts.get(text).to_owned()), ["", "ja", "", "grüezi", "ja"]);
        assert_eq!(numbers[0], Text::EMPTY);
        assert!(texts.equal(numbers[1], numbers[4]) && !texts.equal(numbers[1], numbers[0]));
        assert_eq!(texts.get(bytemuck::Zeroable::zeroed()), "");
    }

    #[test]
    fn strings_are_made_of_strings() {
        let mut graph = Graph::default();
        let constant = Tensor::from_strings(&["wort", "a", "", "wort"], [2, 2]).unwrap();
        graph.add_constant("words", constant.clone());
        let words = Arc::new(Words::of(&graph).unwrap());
        let numbers = words.numbers(&constant).unwrap().unwrap();
        assert_eq!(*numbers.shape(), [2, 2]);
        let other = Tensor::from_strings(&["b"], Shape::scalar()).unwrap();
        assert!(words.numbers(&other).unwrap().is_none());
        let numbers = numbers.to_vec::<u32>().unwrap();
        let [word, a, empty, again] = [0, 1, 2, 3].map(|at| Text(numbers[at]));
        assert_eq!((word, empty), (again, Text::EMPTY));
        let mut texts = Texts::new(words, 1000);
        let made = texts.add("-").unwrap();
        let joined = texts.join(word, made).unwrap();
        let joined = texts.join(joined, a).unwrap();
        assert_eq!(texts.get(joined), "wort-a");
        assert_eq!(texts.join(joined, empty), Ok(joined));
        assert_eq!(texts.join(empty, word), Ok(word));
        let size = texts.made.characters.len();
        let part = texts.part(joined, 1..5).unwrap();
        assert_eq!((texts.get(part), texts.made.characters.len()), ("ort-", size));
        let of_word = texts.part(word, 2..4).unwrap();
        assert_eq!(texts.get(of_word), "rt");
        assert_eq!((texts.part(joined, 0..6), texts.part(word, 2..2)), (Ok(joined), Ok(Text::EMPTY)));
        let printed = texts.print(format_args!("{}{a:?}", 1.5)).unwrap();
        assert_eq!(texts.get(printed), format!("1.5{a:?}"));
        let loud = texts.map(joined, char::to_uppercase).unwrap();
        assert_eq!(texts.get(loud), "WORT-A");
        texts.clear();
        let first = texts.add("x").unwrap();
        assert_eq!((first, texts.get(first), texts.get(word)), (made, "x", "wort"));
    }

    #[test]
    fn what_a_run_makes_has_a_limit() {
        let mut texts = empty(40);
        let text = texts.add("0123456789").unwrap();
        let full = Fault::Texts { limit: 40 };
        assert_eq!(texts.join(text, text), Err(full.clone()));
        assert_eq!(texts.print(format_args!("{:020}", 7)), Err(full.clone()));
        assert_eq!(texts.map(text, |digit| [digit; 9].into_iter()), Err(full.clone()));
        assert_eq!(texts.made.characters.len(), 10, "what was printed in vain is gone");
        // Parts take room too, though their characters are there.
        texts.part(text, 1..2).unwrap();
        texts.part(text, 2..3).unwrap();
        assert_eq!(texts.part(text, 3..4), Err(full.clone()));
        assert_eq!(texts.add("x"), Err(full));
        assert_eq!(texts.add(""), Ok(Text::EMPTY));
    }
}
