//! The test models: where one is, how far its outputs may lie from its fixture, and what a test says when it is absent.
//!
//! A model has two homes (`tests/models/README.md` says why): the repository's `tests/models/`, and `.models/`, which
//! `cargo xtask models` fills. Samples, fixtures and expected results are always in the first. A test asks [`find`] and
//! returns when it gets nothing; the line that was printed is what `cargo xtask test` counts as skipped:
//!
//! ```no_run
//! let Some(model) = inferry_behaviour::data::find("minilm_int8/model.onnx") else { return };
//! ```
//!
//! Nothing here reads a model or runs one.

use std::fs;
use std::path::{Path, PathBuf};

/// The path of a file of a case, say `silero_vad/silero_vad.onnx`, in whichever home has it. Where none has it, prints
/// that the test is skipped and gives nothing.
pub fn find(file: &str) -> Option<PathBuf> {
    let homes = [committed(), repository().join(".models")];
    let found = homes.iter().map(|home| home.join(file)).find(|path| path.is_file());
    if found.is_none() {
        println!("skipped: {file} is not here; cargo xtask models fetches it");
    }
    found
}

/// The path of a file that the repository carries: a sample, a fixture, an expected result.
///
/// # Panics
/// When it does not, which is a mistake in the test.
pub fn carried(file: &str) -> PathBuf {
    let path = committed().join(file);
    assert!(path.is_file(), "tests/models/{file} is not in the repository");
    path
}

/// `expected.json` of a case.
///
/// # Panics
/// When there is none, or it is no JSON.
pub fn expected(case: &str) -> serde_json::Value {
    json(&carried(&format!("{case}/expected.json")))
}

/// How far an output may lie from its fixture: |got − want| ≤ atol + rtol · |want| for all but a share of its elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute part.
    pub atol: f64,
    /// Part relative to the expected value.
    pub rtol: f64,
    /// Share of the elements of an output that may lie outside.
    pub outside: f64,
}

/// The tolerance of a model, say `silero_vad/silero_vad.onnx`, as `tolerances.json` gives it.
pub fn tolerance(model: &str) -> Tolerance {
    let table = json(&carried("tolerances.json"));
    let value =
        |key: &str| table[model][key].as_f64().or_else(|| table["default"][key].as_f64()).expect("a number");
    Tolerance { atol: value("atol"), rtol: value("rtol"), outside: value("outside") }
}

/// Every model that has a fixture, as `case/X.onnx`, whether or not the model itself is here.
pub fn models() -> Vec<String> {
    let mut models = Vec::new();
    for case in entries(&committed()).filter(|case| case.is_dir()) {
        for file in entries(&case).filter(|file| file.extension().is_some_and(|extension| extension == "npz"))
        {
            let part = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
            models.push(format!("{}/{}", part(&case), part(&file.with_extension("onnx"))));
        }
    }
    models.sort();
    models
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package lies in the workspace").to_path_buf()
}

fn committed() -> PathBuf {
    repository().join("tests/models")
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).expect("a folder").filter_map(|entry| Some(entry.ok()?.path()))
}

fn json(path: &Path) -> serde_json::Value {
    let text = fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_the_readme_has_a_fixture_and_a_licence() {
        let models = models();
        assert_eq!(models.len(), 24, "{models:?}");
        for model in &models {
            let case = model.split('/').next().unwrap();
            assert!(expected(case).is_object(), "{case}");
            assert!(carried(&format!("{case}/LICENSE")).is_file());
        }
    }

    #[test]
    fn a_tolerance_is_the_models_own_or_the_default_one() {
        let default = Tolerance { atol: 1e-3, rtol: 1e-3, outside: 0.0 };
        assert_eq!(tolerance("dtln/model_1.onnx"), default);
        assert_eq!(tolerance("mlsd_tiny/mlsd_512x512_tiny.onnx"), Tolerance { atol: 6e-3, ..default });
        let quantised = Tolerance { atol: 3e-2, rtol: 1e-2, outside: 0.02 };
        assert_eq!(tolerance("derived_mtcnn_onet/onet.int8_qdq.onnx"), quantised);
    }

    #[test]
    fn a_model_in_the_repository_is_found() {
        assert!(find("silero_vad/silero_vad.onnx").is_some());
    }
}
