//! A child: takes a command and the path of a case a line, and answers with a line of JSON.
//!
//! Panics are not printed but kept for the answer. What the process says when it dies goes to standard error, where the
//! parent finds it.

use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use inferry::Runtime;
use serde_json::{Value, json};

use super::case::{Failure, Kind, Ran, run};
use super::probe::{self, Taken};
use super::suite::Case;

/// What a child can be asked of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// To run it.
    Run,
    /// Which element types its operator takes.
    Types,
}

impl Command {
    /// What a line begins with.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Command::Run => "run",
            Command::Types => "types",
        }
    }
}

/// What the last panic said, and where.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Answers until standard input ends.
pub(super) fn serve() {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return;
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let mut out = io::stdout().lock();
        if writeln!(out, "{}", answer(&runtime, &line)).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

fn answer(runtime: &Runtime, line: &str) -> Value {
    let (word, path) = line.split_once(' ').unwrap_or((line, ""));
    let case = Case::at(Path::new(path));
    if word == Command::Run.word() {
        return write_ran(&run(runtime, &case, panicked));
    }
    let types = || -> Result<Taken, String> {
        let model = std::fs::read(case.model()).map_err(|error| error.to_string())?;
        probe::types(runtime, &model)
    };
    write_types(&catch_unwind(AssertUnwindSafe(types)).unwrap_or_else(|_| Err(panicked())))
}

fn panicked() -> String {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn write_ran(ran: &Ran) -> Value {
    let failure = ran.failure.as_ref();
    let failure = failure.map(|failure| json!({ "kind": failure.kind.word(), "reason": failure.reason }));
    json!({ "failure": failure, "random": ran.random, "details": ran.details })
}

/// A child's answer to [`Command::Run`].
pub(super) fn read_ran(line: &str) -> Option<Ran> {
    let answer: Value = serde_json::from_str(line).ok()?;
    let failure = match &answer["failure"] {
        Value::Null => None,
        failure => {
            let kind = Kind::ALL.into_iter().find(|kind| failure["kind"] == kind.word())?;
            Some(Failure::new(kind, failure["reason"].as_str()?))
        }
    };
    let details = answer["details"].as_array()?.iter();
    let details = details.map(|line| line.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    Some(Ran { failure, random: answer["random"].as_bool()?, details })
}

fn write_types(types: &Result<Taken, String>) -> Value {
    match types {
        Ok(taken) => json!({ "groups": taken.iter().collect::<Vec<_>>() }),
        Err(problem) => json!({ "problem": problem }),
    }
}

/// A child's answer to [`Command::Types`].
pub(super) fn read_types(line: &str) -> Result<Taken, String> {
    let garbled = || format!("a child said {line:?}");
    let answer: Value = serde_json::from_str(line).map_err(|_| garbled())?;
    if let Some(problem) = answer["problem"].as_str() {
        return Err(problem.to_owned());
    }
    let numbers =
        |value: &Value| -> Option<Vec<u64>> { value.as_array()?.iter().map(Value::as_u64).collect() };
    let group = |pair: &Value| {
        let positions = numbers(&pair[0])?.into_iter().map(|position| position as usize).collect();
        Some((positions, numbers(&pair[1])?.into_iter().collect()))
    };
    let groups = answer["groups"].as_array().and_then(|groups| groups.iter().map(group).collect());
    groups.ok_or_else(garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let failure = Failure::new(Kind::Wrong, "output \"y\", element 3:\ngot 1 wanted 2");
        for failure in [None, Some(failure)] {
            let ran = Ran { failure, random: true, details: vec!["inputs: f32 [2]".into()] };
            assert_eq!(read_ran(&write_ran(&ran).to_string()), Some(ran));
        }
        assert_eq!(read_ran("{}"), None);
        assert_eq!(read_ran("Segmentation fault"), None);
        let taken = Taken::from([(vec![0, 2], [1, 7].into()), (vec![1], [].into())]);
        assert_eq!(read_types(&write_types(&Ok(taken.clone())).to_string()), Ok(taken));
        assert_eq!(read_types(&write_types(&Err("why".into())).to_string()), Err("why".into()));
        assert!(read_types("{}").unwrap_err().contains("a child said"));
    }
}
