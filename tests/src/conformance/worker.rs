//! A child: takes the path of a case a line, runs it, and answers with a line of JSON.
//!
//! Panics are not printed but kept for the answer. What the process says when it dies goes to standard error, where the
//! parent finds it.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use inferry::Runtime;
use serde_json::{Value, json};

use super::case::{Failure, Kind, Ran, run};
use super::suite::Case;

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
    let panicked = || PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let ran = run(&runtime, &Case::at(Path::new(&line)), panicked);
        let mut out = io::stdout().lock();
        if writeln!(out, "{}", write(&ran)).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// What [`read`] reads.
fn write(ran: &Ran) -> Value {
    let failure =
        ran.failure.as_ref().map(|failure| json!({ "kind": failure.kind.word(), "reason": failure.reason }));
    json!({ "failure": failure, "random": ran.random, "details": ran.details })
}

/// A child's answer.
pub(super) fn read(line: &str) -> Option<Ran> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was() {
        let failure = Failure::new(Kind::Wrong, "output \"y\", element 3:\ngot 1 wanted 2");
        for failure in [None, Some(failure)] {
            let ran = Ran { failure, random: true, details: vec!["inputs: f32 [2]".into()] };
            assert_eq!(read(&write(&ran).to_string()), Some(ran));
        }
        assert_eq!(read("{}"), None);
        assert_eq!(read("Segmentation fault"), None);
    }
}
