//! Whole applications on real models: from a sound, a picture, a text or a file to what it says, and back to the recorded
//! result in `expected.json`.
//!
//! Every application is a module that reads like the program it stands for: it compiles its models, keeps its requests,
//! starts and waits, carries state from run to run, and decodes what comes out. What several of them need lies beside them:
//! [`sound`] and [`picture`] read samples, [`boxes`] removes boxes that overlap, [`fourier`] transforms, [`wordpiece`] cuts a
//! text into tokens. The recorded results come from the same models in another runtime.
//!
//! Tolerances are half of the last digit that `expected.json` gives, plus what the outputs of the model may differ by
//! (`tolerances.json`) or less. An application whose models are not here says that it is skipped.
#![forbid(unsafe_code)]

mod basic_pitch;
mod blazeface;
mod boxes;
mod dtln;
mod fourier;
mod magika;
mod minilm;
mod mtcnn;
mod picture;
mod silero_vad;
mod sound;
mod wordpiece;

use inferry::Tensor;
use serde_json::Value;

/// A tensor of the values.
fn tensor<const N: usize>(values: &[f32], shape: [usize; N]) -> Tensor {
    Tensor::from_slice(values, shape).expect("as many values as elements")
}

/// The numbers of a JSON array.
fn numbers(array: &Value) -> Vec<f64> {
    items(array).iter().map(|value| value.as_f64().expect("a number")).collect()
}

/// The items of a JSON array.
fn items(array: &Value) -> &[Value] {
    array.as_array().expect("an array")
}

/// Panics unless each of `got` lies within `tolerance` of its `want`.
fn assert_near(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance, "{what}, number {at}: {got} instead of {want}");
    }
}
