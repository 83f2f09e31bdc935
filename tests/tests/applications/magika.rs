//! What kind of file it is: Google's Magika, from the first and the last bytes.
//!
//! The network sees the first 1024 bytes without white space before them and the last 1024 without white space after them,
//! and 256 where a file has none. All samples are asked about at once, a request each; then again as one batch.

use std::fs;

use inferry::{CompiledModel, Options, Runtime, Tensor};
use inferry_behaviour::data::{carried, expected, find, tolerance};
use inferry_behaviour::world;
use serde_json::Value;

use crate::{assert_near, items};

/// Half of the last digit of the recorded likelihoods.
const HALF_DIGIT: f64 = 0.5e-4;

#[test]
fn nine_files_are_what_they_are() {
    let Some(model) = find("magika/model.onnx") else { return };
    let settings = fs::read(carried("magika/config.min.json")).unwrap();
    let settings: Value = serde_json::from_slice(&settings).unwrap();
    let expected = expected("magika");
    let files = items(&expected["predictions"]);
    let contents: Vec<Vec<i32>> = files
        .iter()
        .map(|file| carried(&format!("magika/samples/{}", file[0].as_str().unwrap())))
        .map(|path| input(&fs::read(path).unwrap(), &settings))
        .collect();

    let model = Runtime::new().unwrap().compile_file(model, Options::throughput()).unwrap();
    let labels = items(&settings["target_labels_space"]);
    let answers = one_by_one(&model, &contents);
    assert_eq!(answers.len(), 9);
    for (answer, file) in answers.iter().zip(files) {
        let best = (0..answer.len()).max_by(|a, b| answer[*a].total_cmp(&answer[*b])).unwrap();
        assert_eq!(labels[best], file[1], "{file}");
        let tolerance = HALF_DIGIT + tolerance("magika/model.onnx").atol;
        assert_near(&[answer[best].into()], &[file[2].as_f64().unwrap()], tolerance, "likelihood");
    }
    let batch = Tensor::from_slice(&contents.concat(), [contents.len(), contents[0].len()]).unwrap();
    let batch = world::numbers(model.infer([batch]).unwrap().get(0).unwrap());
    let difference = batch.iter().zip(answers.concat()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-5, "a batch differs by {difference}");
}

/// How likely each label is, for each file, all of them in flight together.
fn one_by_one(model: &CompiledModel, contents: &[Vec<i32>]) -> Vec<Vec<f32>> {
    let mut requests: Vec<_> = contents.iter().map(|_| model.request().unwrap()).collect();
    let runs: Vec<_> = requests
        .iter_mut()
        .zip(contents)
        .map(|(request, content)| {
            request.set_input("bytes", Tensor::from_slice(content, [1, content.len()]).unwrap()).unwrap();
            request.start().unwrap()
        })
        .collect();
    runs.into_iter().map(|run| world::numbers(run.wait().unwrap().get("target_label").unwrap())).collect()
}

/// What the network is given of a file.
fn input(bytes: &[u8], settings: &Value) -> Vec<i32> {
    let setting = |key: &str| settings[key].as_u64().unwrap() as usize;
    let (first, last, looked_at) = (setting("beg_size"), setting("end_size"), setting("block_size"));
    let is_space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
    let looked_at = looked_at.min(bytes.len());
    let head = &bytes[..looked_at];
    let head = &head[head.iter().position(|byte| !is_space(byte)).unwrap_or(looked_at)..];
    let head = &head[..first.min(head.len())];
    let tail = &bytes[bytes.len() - looked_at..];
    let tail = &tail[..tail.iter().rposition(|byte| !is_space(byte)).map_or(0, |at| at + 1)];
    let tail = &tail[tail.len().saturating_sub(last)..];
    let mut input = vec![setting("padding_token") as i32; first + last];
    let write = |places: &mut [i32], bytes: &[u8]| {
        places.iter_mut().zip(bytes).for_each(|(place, byte)| *place = i32::from(*byte));
    };
    write(&mut input[..head.len()], head);
    let begin = first + last - tail.len();
    write(&mut input[begin..], tail);
    input
}
