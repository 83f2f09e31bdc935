//! Damaged model files: whatever the bytes are, the importer gives a model or one clear line, and never panics.
//!
//! Three real models are cut and changed byte by byte, from a fixed seed, so that a failure can be had again: the
//! message names the model and the number of the change. Half of the changes are made near words (names and operators),
//! because most bytes of a model are weights, where a change does no harm.

use inferry_behaviour::data;
use inferry_engine::{Model, graph, onnx, passes};

const MODELS: [&str; 3] = [
    "mtcnn_cascade/pnet.onnx",
    "silero_vad/silero_vad.onnx",
    "derived_blazeface_back/face_detection_back_256x256_barracuda.fp16_io32.onnx",
];

/// Imports the bytes and follows what is known through the graph. True when that worked.
fn survives(bytes: &[u8], what: &str) -> bool {
    if let Ok(survey) = onnx::survey(bytes, &onnx::Limits::default()) {
        assert!(survey.operators.len() <= survey.nodes());
    }
    let mut model = match Model::from_onnx(bytes) {
        Ok(model) => model,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{what}: {text}");
            return false;
        }
    };
    graph::verify(&model.graph).unwrap_or_else(|error| panic!("{what}: {error}"));
    _ = (model.inputs(), model.outputs());
    match passes::run(&mut model.graph, &passes::NoArithmetic, passes::Options::default()) {
        Ok(()) => true,
        Err(error @ passes::PassError::Broken { .. }) => panic!("{what}: {error}"),
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{what}: {error}");
            false
        }
    }
}

/// Marsaglia's xorshift: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Where words of at least four letters begin.
fn words(bytes: &[u8]) -> Vec<usize> {
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    (0..bytes.len()).filter(|at| (0..4).all(|step| letter(at + step))).collect()
}

fn change(bytes: &mut Vec<u8>, at: usize, numbers: &mut Numbers) {
    match numbers.below(7) {
        0 => bytes[at] ^= 1 << numbers.below(8),
        1 => bytes[at] = numbers.next() as u8,
        2 => _ = bytes.remove(at),
        3 => bytes.insert(at, numbers.next() as u8),
        4 => bytes[at] = 0xff,
        5 => {
            let end = (at + 1 + numbers.below(16)).min(bytes.len());
            bytes[at..end].fill(if numbers.below(2) == 0 { 0 } else { 0xff });
        }
        _ => {
            let end = (at + 1 + numbers.below(64)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

#[test]
fn cut_models_end_in_one_line() {
    for name in MODELS {
        let Some(path) = data::find(name) else { continue };
        let bytes = std::fs::read(path).unwrap();
        assert!(survives(&bytes, name), "{name} is whole");
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let short = 0..64;
        let random = (0..80).map(|_| numbers.below(bytes.len())).collect::<Vec<_>>();
        let end = bytes.len() - 64..bytes.len();
        for length in short.chain(random).chain(end) {
            // A cut between two fields at the top of the file may leave a model.
            survives(&bytes[..length], &format!("{name} cut to {length} bytes"));
        }
    }
}

#[test]
fn changed_models_end_in_one_line() {
    for name in MODELS {
        let Some(path) = data::find(name) else { continue };
        let bytes = std::fs::read(path).unwrap();
        let words = words(&bytes);
        let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
        let mut refused = 0;
        for round in 0..300 {
            let mut changed = bytes.clone();
            for _ in 0..1 + numbers.below(3) {
                let near_a_word = (words[numbers.below(words.len())] + numbers.below(24)).saturating_sub(8);
                let at = if numbers.below(2) == 0 { numbers.below(changed.len()) } else { near_a_word };
                let at = at.min(changed.len() - 1);
                change(&mut changed, at, &mut numbers);
            }
            refused += usize::from(!survives(&changed, &format!("{name}, change {round}")));
        }
        // Changes that are never noticed would mean that they are not made where it matters.
        assert!(refused > 30, "{name}: only {refused} of 300 changes were noticed");
    }
}

#[test]
fn bytes_that_are_no_model_are_told_so() {
    let mut numbers = Numbers(88_172_645_463_325_252);
    for length in [0, 1, 2, 3, 8, 100, 4096] {
        for round in 0..20 {
            let bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
            assert!(!survives(&bytes, &format!("random bytes {length}, round {round}")));
        }
    }
    assert!(!survives(b"PK\x03\x04 this is a zip archive", "a zip archive"));
    assert!(!survives(b"{\"this is\": \"JSON\"}", "JSON"));
}
