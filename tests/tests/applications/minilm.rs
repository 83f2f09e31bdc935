//! Which sentences mean the same: MiniLM, a small BERT whose weights are 8-bit integers.
//!
//! Each sentence becomes tokens, the network gives a vector a token, and their mean is what the sentence means. Two sentences
//! are as near as the cosine between their vectors. A sentence alone must give the vector that it gives in a batch, where it
//! is filled up to the length of the longest.

use std::fs;

use inferry::{CompiledModel, Options, Runtime, Tensor};
use inferry_behaviour::data::{expected, find};
use inferry_behaviour::world;

use crate::wordpiece::Tokenizer;
use crate::{assert_near, items, numbers};

/// What a sentence is filled up with.
const PADDING: &str = "[PAD]";
/// Half of the last digit of the recorded cosines, and what another order of summation may change.
const NEAR: f64 = 0.5e-5 + 1e-4;

#[test]
fn sentences_of_one_meaning_are_near() {
    let Some(path) = find("minilm_int8/model.onnx") else { return };
    let Some(tokenizer) = find("minilm_int8/tokenizer.json") else { return };
    let tokenizer: serde_json::Value = serde_json::from_slice(&fs::read(tokenizer).unwrap()).unwrap();
    let tokenizer = Tokenizer::new(&tokenizer);
    let expected = expected("minilm_int8");
    let sentences: Vec<&str> =
        items(&expected["sentences"]).iter().map(|sentence| sentence.as_str().unwrap()).collect();
    let mut tokens: Vec<Vec<String>> = sentences.iter().map(|sentence| tokenizer.tokens(sentence)).collect();
    let alone = tokens.clone();
    let longest = tokens.iter().map(Vec::len).max().unwrap();
    tokens.iter_mut().for_each(|tokens| tokens.resize(longest, PADDING.to_owned()));
    for (tokens, recorded) in tokens.iter().zip(items(&expected["tokens"])) {
        assert_eq!(&serde_json::json!(tokens), recorded);
    }

    let model = Runtime::new().unwrap().compile_file(path, Options::latency()).unwrap();
    let vectors = meanings(&model, &tokenizer, &tokens);
    for (vector, recorded) in vectors.iter().zip(items(&expected["cosine"])) {
        let cosines: Vec<f64> = vectors.iter().map(|other| dot(vector, other)).collect();
        assert_near(&cosines, &numbers(recorded), NEAR, "cosines");
    }
    for (vector, tokens) in vectors.iter().zip(alone) {
        let alone = &meanings(&model, &tokenizer, &[tokens])[0];
        assert_near(alone, vector, 1e-6, "a sentence alone and in a batch");
    }
}

/// The vector of each sentence, of length 1. All sentences have as many tokens.
fn meanings(model: &CompiledModel, tokenizer: &Tokenizer, sentences: &[Vec<String>]) -> Vec<Vec<f64>> {
    let shape = [sentences.len(), sentences[0].len()];
    let input = |value: &dyn Fn(&String) -> i64| {
        let values: Vec<i64> = sentences.iter().flatten().map(value).collect();
        Tensor::from_slice(&values, shape).unwrap()
    };
    let mut request = model.request().unwrap();
    request.set_input("input_ids", input(&|token| tokenizer.id(token))).unwrap();
    request.set_input("attention_mask", input(&|token| i64::from(token != PADDING))).unwrap();
    request.set_input("token_type_ids", input(&|_| 0)).unwrap();
    let outputs = request.start().unwrap().wait().unwrap();
    let states = outputs.get(0).unwrap();
    let width = states.shape()[2];
    let states = world::numbers(states);
    let rows = states.chunks_exact(shape[1] * width);
    rows.zip(sentences).map(|(rows, tokens)| meaning(rows, tokens, width)).collect()
}

/// The mean of the rows of real tokens, of length 1.
fn meaning(rows: &[f32], tokens: &[String], width: usize) -> Vec<f64> {
    let mut sum = vec![0.0; width];
    for (row, _) in rows.chunks_exact(width).zip(tokens).filter(|(_, token)| *token != PADDING) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let length = dot(&sum, &sum).sqrt();
    sum.into_iter().map(|value| value / length).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
