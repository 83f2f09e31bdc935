//! StringNormalizer: words without stop words, in one case.

use alloc::string::String;
use core::ops::Range;

use inferry_core::Shape;
use inferry_engine::op::{CaseChange, StringNormalizer};

use super::in_order;
use super::twice::{Twice, twice};
use crate::io::Io;
use crate::kernel::fault::Fault;
use crate::kernel::{Builder, Built};
use crate::text::{Text, Texts};

/// Builds StringNormalizer.
pub(crate) fn string_normalizer(op: &StringNormalizer, node: &Builder<'_>) -> Built {
    let (count, rank, op) = (node.input(0)?.shape.count(), node.input(0)?.shape.rank(), op.clone());
    if !op.stop_words.is_empty() {
        return twice(count, Filter { op, rank });
    }
    in_order(count, move |io, items| {
        let (x, to) = (io.input::<Text>(0), io.whole::<Text>(0));
        let texts = io.texts_mut();
        for item in items {
            to[item] = changed(op.change, texts, x[item])?;
        }
        Ok(())
    })
}

fn changed(change: CaseChange, texts: &mut Texts, text: Text) -> Result<Text, Fault> {
    match change {
        CaseChange::None => Ok(text),
        CaseChange::Lower => texts.map(text, char::to_lowercase),
        CaseChange::Upper => texts.map(text, char::to_uppercase),
    }
}

struct Filter {
    op: StringNormalizer,
    rank: usize,
}

impl Filter {
    fn keeps(&self, word: &str) -> bool {
        let lower = |text: &str| {
            text.chars().flat_map(char::to_lowercase).eq(word.chars().flat_map(char::to_lowercase))
        };
        let is_stop = |stop: &String| if self.op.case_sensitive { stop == word } else { lower(stop) };
        !self.op.stop_words.iter().any(is_stop)
    }
}

impl Twice for Filter {
    fn look(&self, texts: &Texts, text: Text, known: u64) -> u64 {
        known + u64::from(self.keeps(texts.get(text)))
    }

    fn shape(&self, _output: usize, known: u64) -> Shape {
        let words = (known as usize).max(1);
        if self.rank == 1 { [words].into() } else { [1, words].into() }
    }

    fn make(&self, io: &mut Io<'_>, items: Range<usize>, made: &mut u64) -> Result<(), Fault> {
        let (x, to) = (io.input::<Text>(0), io.whole::<Text>(0));
        let texts = io.texts_mut();
        if *made == 0 {
            // It stays so when no word is left.
            to[0] = Text::EMPTY;
        }
        for item in items {
            if self.keeps(texts.get(x[item])) {
                to[*made as usize] = changed(self.op.change, texts, x[item])?;
                *made += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_strings, strings};
    use CaseChange::{Lower, None, Upper};

    #[track_caller]
    fn check(change: CaseChange, case_sensitive: bool, stops: &[&str], words: &[&str], wanted: &[&str]) {
        let stop_words = stops.iter().map(|word| String::from(*word)).collect();
        let op = StringNormalizer { change, stop_words, case_sensitive };
        assert_eq!(run_strings(&op, &[&strings(words, [words.len()])], [wanted.len()]), wanted);
        assert_eq!(run_strings(&op, &[&strings(words, [1, words.len()])], [1, wanted.len()]), wanted);
    }

    #[test]
    fn case_changes_as_unicode_has_it() {
        check(Upper, true, &[], &["straße", "Émile", "", "ŉ"], &["STRASSE", "ÉMILE", "", "ʼN"]);
        check(Lower, false, &[], &["İ", "ÄÖ"], &["i̇", "äö"]);
        check(None, true, &[], &["Mixed"], &["Mixed"]);
        check(Upper, true, &[], &[], &[]);
    }

    #[test]
    fn stop_words_are_left_out() {
        let days = &["Monday", "tuesday", "monday", "wednesday"];
        check(Upper, true, &["monday"], days, &["MONDAY", "TUESDAY", "WEDNESDAY"]);
        check(None, false, &["MONDAY", "x"], days, &["tuesday", "wednesday"]);
        check(Lower, false, &["monday", "tuesday", "wednesday"], days, &[""]);
        check(None, true, &["a"], &[], &[""]);
    }
}
