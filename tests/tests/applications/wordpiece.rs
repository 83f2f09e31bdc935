//! A text cut into the tokens of a vocabulary, as BERT wants it.
//!
//! Words and punctuation marks are told apart; a word becomes the longest piece of the vocabulary that it begins with, then
//! the longest that goes on, and so forth. Only ASCII text: no accents are removed and no ideographs set apart, which the
//! tokenizer file asks for as well.

use std::collections::HashMap;

use serde_json::Value;

/// A vocabulary and how to use it.
pub(crate) struct Tokenizer {
    ids: HashMap<String, i64>,
    /// Stands before a piece that goes on with a word.
    prefix: String,
    /// Stands for a word that cannot be put together.
    unknown: String,
    /// The most letters of a word that is looked at.
    longest: usize,
}

impl Tokenizer {
    /// From the content of a `tokenizer.json`.
    ///
    /// # Panics
    /// When it is for another kind of tokenizer.
    pub(crate) fn new(file: &Value) -> Tokenizer {
        let (model, normal) = (&file["model"], &file["normalizer"]);
        assert!(
            model["type"] == "WordPiece" && normal["type"] == "BertNormalizer" && normal["lowercase"] == true
        );
        let vocabulary = model["vocab"].as_object().expect("a vocabulary");
        let text = |key: &str| model[key].as_str().expect("a text").to_owned();
        Tokenizer {
            ids: vocabulary
                .iter()
                .map(|(piece, id)| (piece.clone(), id.as_i64().expect("a number")))
                .collect(),
            prefix: text("continuing_subword_prefix"),
            unknown: text("unk_token"),
            longest: model["max_input_chars_per_word"].as_u64().expect("a number") as usize,
        }
    }

    /// The tokens of a text, between those that begin and end it.
    ///
    /// # Panics
    /// When the text is not ASCII.
    pub(crate) fn tokens(&self, text: &str) -> Vec<String> {
        assert!(text.is_ascii(), "{text}");
        let mut tokens = vec!["[CLS]".to_owned()];
        let text = text.to_ascii_lowercase();
        for run in text.split_ascii_whitespace() {
            let mut rest = run;
            while let Some(first) = rest.chars().next() {
                let letters = rest.find(|letter: char| letter.is_ascii_punctuation()).unwrap_or(rest.len());
                let len = if first.is_ascii_punctuation() { 1 } else { letters };
                self.add_word(&rest[..len], &mut tokens);
                rest = &rest[len..];
            }
        }
        tokens.push("[SEP]".to_owned());
        tokens
    }

    /// The number of a token.
    ///
    /// # Panics
    /// When it is not in the vocabulary.
    pub(crate) fn id(&self, token: &str) -> i64 {
        self.ids[token]
    }

    fn add_word(&self, word: &str, tokens: &mut Vec<String>) {
        let begin = tokens.len();
        let mut at = 0;
        while at < word.len() {
            let prefix = if at == 0 { "" } else { &*self.prefix };
            let pieces = (at + 1..=word.len()).rev().map(|end| (end, format!("{prefix}{}", &word[at..end])));
            let longest = pieces.into_iter().find(|(_, piece)| self.ids.contains_key(piece));
            let Some((end, piece)) = longest.filter(|_| word.len() <= self.longest) else {
                tokens.truncate(begin);
                tokens.push(self.unknown.clone());
                return;
            };
            tokens.push(piece);
            at = end;
        }
    }
}

#[test]
fn a_word_is_its_longest_pieces_or_unknown() {
    let file = serde_json::json!({
        "normalizer": { "type": "BertNormalizer", "lowercase": true },
        "model": {
            "type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##", "max_input_chars_per_word": 6,
            "vocab": { "a": 0, "as": 1, "##y": 2, "##yn": 3, "##c": 4, "!": 5 },
        },
    });
    let tokens = |text| Tokenizer::new(&file).tokens(text)[1..].join(" ");
    assert_eq!(tokens("Async! a"), "as ##yn ##c ! a [SEP]");
    assert_eq!(tokens("asyx"), "? [SEP]");
    assert_eq!(tokens("asycccc"), "? [SEP]");
}
