//! The cases below a folder, and what is in each: a model, and data sets of inputs and wanted outputs.
//!
//! A case is a folder `test_*` with a `model.onnx` and folders `test_data_set_*`; its suite is the folder that it is in. A
//! light model is a file `light_*.onnx` with `light_*_output_0.pb` beside it: its weights are computed by its nodes, and its
//! inputs are numbers that rise from 0 to 1, as the suite's own runner makes them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use inferry::{Shape, Tensor};

use super::compare::Tolerance;
use super::declared::{Declared, ports};
use super::value::{Value, read};

/// Where `cargo xtask models` puts the suites.
const FETCHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.models/onnx-1.17.0");

/// What the suite's own runner allows.
const TOLERANCE: Tolerance = Tolerance { rtol: 1e-3, atol: 1e-7 };

/// Cases with a tolerance of their own, as `SUITE/NAME`, with the reason.
const TOLERANCES: &[(&str, Tolerance, &str)] = &[
    (
        "light/light_densenet121",
        Tolerance { rtol: 2e-3, atol: 1e-7 },
        "the suite gives it this one in real/test_densenet121/data.json",
    ),
    ("node/test_dft_inverse", DFT_INVERSE, ROUNDED),
    ("node/test_dft_inverse_opset19", DFT_INVERSE, ROUNDED),
];

const DFT_INVERSE: Tolerance = Tolerance { rtol: 1e-3, atol: 5e-7 };

const ROUNDED: &str =
    "the suite's answers were computed with floats of 32 bits: 2e-7 where the exact one is 0";

/// A model of a suite, with what it should give. Displayed as `SUITE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The folder that the case is in.
    pub suite: String,
    /// The name of the case.
    pub name: String,
    /// The folder of the case, or the model of a light one.
    pub path: PathBuf,
}

/// Inputs, and the outputs that they should give, each in the model's order.
#[derive(Debug)]
pub(super) struct DataSet {
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<Value>,
}

/// All cases below these folders; without folders, those of the fetched suites.
pub(super) fn find(folders: &[PathBuf]) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    if folders.is_empty() {
        let fetched = Path::new(FETCHED);
        if !fetched.is_dir() {
            return Err("the suites are not here; cargo xtask models fetches them".into());
        }
        descend(fetched, &mut cases)?;
    }
    for folder in folders {
        let found = cases.len();
        descend(folder, &mut cases)?;
        if cases.len() == found {
            return Err(format!("there is no case below {}", folder.display()));
        }
    }
    cases.sort();
    cases.dedup();
    Ok(cases)
}

fn descend(path: &Path, cases: &mut Vec<Case>) -> Result<(), String> {
    let case = Case::at(path);
    if case.is_light() && case.light_output(0).is_file()
        || case.name.starts_with("test_") && case.model().is_file()
    {
        cases.push(case);
    } else if path.is_dir() {
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        for entry in fs::read_dir(path).map_err(unreadable)? {
            descend(&entry.map_err(unreadable)?.path(), cases)?;
        }
    } else if !path.exists() {
        return Err(format!("there is no {}", path.display()));
    }
    Ok(())
}

impl Case {
    /// The case at a path that [`find`] has given.
    pub(super) fn at(path: &Path) -> Case {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let suite = text(path.parent().and_then(Path::file_name));
        let is_model = path.extension().is_some_and(|extension| extension == "onnx");
        let name = text(if is_model { path.file_stem() } else { path.file_name() });
        Case { suite, name, path }
    }

    /// The file of the model.
    pub(super) fn model(&self) -> PathBuf {
        if self.is_light() { self.path.clone() } else { self.path.join("model.onnx") }
    }

    /// How far its outputs may lie from what is wanted.
    pub(super) fn tolerance(&self) -> Tolerance {
        let name = self.to_string();
        let own = TOLERANCES.iter().find(|(case, _, _)| *case == name).map(|(_, tolerance, _)| *tolerance);
        own.unwrap_or(TOLERANCE)
    }

    /// The declared outputs and all data sets of a model that these are the bytes of.
    pub(super) fn data(&self, model: &[u8]) -> Result<(Vec<Declared>, Vec<DataSet>), String> {
        let (inputs, outputs) = ports(model)?;
        let sets = if self.is_light() {
            vec![self.light_data(&inputs, &outputs)?]
        } else {
            let folders = children(&self.path, "test_data_set_")?;
            folders.iter().map(|folder| data_set(folder, &inputs, &outputs)).collect::<Result<_, _>>()?
        };
        if sets.is_empty() {
            return Err("it has no data set".into());
        }
        Ok((outputs, sets))
    }

    fn is_light(&self) -> bool {
        self.name.starts_with("light_") && self.path.extension().is_some_and(|extension| extension == "onnx")
    }

    fn light_output(&self, index: usize) -> PathBuf {
        self.path.with_file_name(format!("{}_output_{index}.pb", self.name))
    }

    fn light_data(&self, inputs: &[Declared], outputs: &[Declared]) -> Result<DataSet, String> {
        let outputs =
            outputs.iter().enumerate().map(|(index, output)| read(&self.light_output(index), &output.kind));
        Ok(DataSet {
            inputs: inputs.iter().map(rising).collect::<Result<_, _>>()?,
            outputs: outputs.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.suite, self.name)
    }
}

fn data_set(folder: &Path, inputs: &[Declared], outputs: &[Declared]) -> Result<DataSet, String> {
    let side = |side: &str, declared: &[Declared]| -> Result<Vec<Value>, String> {
        let files = children(folder, &format!("{side}_"))?;
        if files.len() != declared.len() {
            return Err(format!("{} files of {side}s for the {} of the model", files.len(), declared.len()));
        }
        let files = (0..files.len()).map(|index| folder.join(format!("{side}_{index}.pb")));
        files.zip(declared).map(|(file, declared)| read(&file, &declared.kind)).collect()
    };
    Ok(DataSet { inputs: side("input", inputs)?, outputs: side("output", outputs)? })
}

/// What the suite's runner gives to light models: `numpy.arange(n) / n`.
fn rising(input: &Declared) -> Result<Value, String> {
    let count: usize = input.shape.iter().product();
    let values: Vec<f32> = (0..count).map(|index| (index as f64 / count as f64) as f32).collect();
    let shape = Shape::new(&input.shape).map_err(|error| error.to_string())?;
    let tensor = Tensor::from_slice(&values, shape).map_err(|error| error.to_string())?;
    Ok(Value::Tensor(Box::new(tensor)))
}

/// What a folder holds whose name begins so.
fn children(folder: &Path, prefix: &str) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
