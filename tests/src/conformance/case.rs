//! One case through the public API: import, compile, run each data set, compare.

use std::error::Error;
use std::fmt;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use inferry::{CompiledModel, FileError, InferError, InferErrorKind, Options, Runtime, Waited};
use inferry_engine::onnx::{self, ImportError, UnsupportedOp};

use super::compare::{Difference, compare};
use super::random;
use super::suite::{Case, DataSet};
use super::value::Value;

/// The longest that a run may take.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// In which way a case failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The model needs operators that we do not have.
    Unsupported,
    /// An error said that the model, a tensor or a run is not for us.
    Refused,
    /// The outputs are not what the suite wants.
    Wrong,
    /// A panic, or the end of the process.
    Crashed,
    /// It did not end in time.
    Hung,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Unsupported, Kind::Refused, Kind::Wrong, Kind::Crashed, Kind::Hung];

    /// The word for it in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Unsupported => "unsupported",
            Kind::Refused => "refused",
            Kind::Wrong => "wrong",
            Kind::Crashed => "crashed",
            Kind::Hung => "hung",
        }
    }
}

/// Why a case failed. Displayed as `wrong: output "y", element 3: got 1.0 wanted 2.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In which way.
    pub kind: Kind,
    /// One line.
    pub reason: String,
}

impl Failure {
    pub(super) fn new(kind: Kind, reason: impl fmt::Display) -> Failure {
        let reason = reason.to_string().replace('\n', " ");
        Failure { kind, reason }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.word(), self.reason)
    }
}

/// How a case went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Nothing when it passed.
    pub failure: Option<Failure>,
    /// Its results are random, so they were checked by shape, type and statistics.
    pub random: bool,
    /// Lines for who looks at this case alone.
    pub details: Vec<String>,
}

/// Runs a case. A panic is a failure; `panicked` says what the last one said.
pub(super) fn run(runtime: &Runtime, case: &Case, panicked: impl Fn() -> String) -> Ran {
    let mut ran = Ran::default();
    let result = catch_unwind(AssertUnwindSafe(|| attempt(runtime, case, &mut ran)));
    ran.failure = match result {
        Ok(Ok(())) => None,
        // Caught on the way, by the stage that panicked.
        Ok(Err(failure)) if failure.kind == Kind::Crashed => Some(Failure::new(Kind::Crashed, panicked())),
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(Failure::new(Kind::Crashed, panicked())),
    };
    ran
}

fn attempt(runtime: &Runtime, case: &Case, ran: &mut Ran) -> Result<(), Failure> {
    let refused = |problem: String| Failure::new(Kind::Refused, problem);
    let bytes = fs::read(case.model()).map_err(|error| refused(error.to_string()))?;
    let survey =
        onnx::survey(&bytes, &onnx::Limits::default()).map_err(|error| refused(error.to_string()))?;
    let sets: Vec<String> =
        survey.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    let operators: Vec<String> =
        survey.operators.iter().map(|op| format!("{} × {}", op.count, op.name)).collect();
    ran.details.push(format!("operators: {} ({})", operators.join(", "), sets.join(", ")));
    let check = random::check_of(case, &survey);
    ran.random = check.is_some();

    let model = inferry::read_model(case.model()).map_err(import_failure)?;
    let (declared, data) = case.data(&bytes).map_err(refused)?;
    let compiled =
        runtime.compile(&model, Options::latency().threads(1)).map_err(|error| refused(chain(&error)))?;
    for set in &data {
        let side = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        ran.details.push(format!("inputs: {}; wanted: {}", side(&set.inputs), side(&set.outputs)));
        let got = outputs(&compiled, set)?;
        if let Some(check) = check {
            check.check(set, &got).map_err(|problem| Failure::new(Kind::Wrong, problem))?;
            continue;
        }
        for ((got, wanted), declared) in got.iter().zip(&set.outputs).zip(&declared) {
            compare(got, wanted, case.tolerance()).map_err(|difference| {
                let Difference { first, more } = difference.within(&format!("output {:?}, ", declared.name));
                ran.details.extend(more);
                Failure::new(Kind::Wrong, first)
            })?;
        }
    }
    Ok(())
}

/// The outputs of a run with the inputs of a data set.
fn outputs(model: &CompiledModel, set: &DataSet) -> Result<Vec<Value>, Failure> {
    let refused = |error: &dyn Error| Failure::new(Kind::Refused, chain(error));
    let counts = [(model.inputs().len(), set.inputs.len()), (model.outputs().len(), set.outputs.len())];
    if let Some((ours, theirs)) = counts.into_iter().find(|(ours, theirs)| ours != theirs) {
        let problem = format!("the compiled model has {ours} ports where the data set has {theirs}");
        return Err(Failure::new(Kind::Refused, problem));
    }
    let mut request = model.request().map_err(|error| refused(&error))?;
    for (index, input) in set.inputs.iter().enumerate() {
        let value = input
            .to_bind()
            .map_err(|problem| Failure::new(Kind::Refused, format!("input {index}: {problem}")))?;
        request.set_value(index, value).map_err(|error| refused(&error))?;
    }
    let run = request.start().map_err(|error| refused(&error))?;
    match run.wait_for(LIMIT).map_err(run_failure)? {
        Waited::Finished(outputs) => {
            let value = |(index, wanted): (usize, &Value)| {
                let value = outputs.value(index).map_err(|error| refused(&error))?;
                Ok(Value::of_kind(value, wanted))
            };
            set.outputs.iter().enumerate().map(value).collect()
        }
        Waited::TimedOut(run) => {
            run.cancel();
            Err(Failure::new(Kind::Hung, format!("the run had not ended after {} s", LIMIT.as_secs())))
        }
    }
}

fn import_failure(error: FileError) -> Failure {
    match error {
        FileError::Import { source: ImportError::Unsupported(operators), .. } => {
            let names: Vec<String> = operators.iter().map(operator_name).collect();
            Failure::new(Kind::Unsupported, names.join(", "))
        }
        // The path says nothing that the case's name does not.
        FileError::Import { source, .. } => Failure::new(Kind::Refused, source),
        other => Failure::new(Kind::Refused, other),
    }
}

fn run_failure(error: InferError) -> Failure {
    let kind = if error.kind() == InferErrorKind::Panicked { Kind::Crashed } else { Kind::Refused };
    Failure::new(kind, error.full_text())
}

/// The text of an error and of its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let said = error.to_string();
        // Many errors say their source themselves.
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}

/// The name alone for the standard's own operators, as its documents write it.
fn operator_name(operator: &UnsupportedOp) -> String {
    full_name(&operator.domain, &operator.name)
}

/// An operator's name with its domain, unless that is the standard's own.
pub(super) fn full_name(domain: &str, name: &str) -> String {
    if domain == "ai.onnx" { name.to_owned() } else { format!("{domain}.{name}") }
}
