//! As many children as cores, each with a case at a time. One that dies or hangs is replaced, and its case has failed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use inferry_engine::onnx::{self, Limits};

use super::case::{Failure, Kind, LIMIT, Ran, full_name};
use super::child::{Answer, Child};
use super::probe::Taken;
use super::suite::Case;
use super::worker::{self, Command};

/// How much longer than a run a child may take for a case: it compiles, too.
const GRACE: Duration = Duration::from_secs(60);

/// A case that was run.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) case: Case,
    /// The operators that the case is about; see [`operators`].
    pub(super) operators: Vec<String>,
    pub(super) ran: Ran,
    pub(super) took: Duration,
}

/// Runs all cases and gives them in the order they came.
pub(super) fn run(cases: &[Case]) -> Result<Vec<Done>, String> {
    each(cases, |children, case| {
        let start = Instant::now();
        let ran = match children.ask(Command::Run, case)? {
            Ok(line) => worker::read_ran(&line).ok_or_else(|| format!("a child said {line:?} of {case}"))?,
            Err(failure) => Ran { failure: Some(failure), ..Ran::default() },
        };
        Ok(Done { case: case.clone(), operators: operators(case), ran, took: start.elapsed() })
    })
}

/// The element types that the operators of these cases take, in the order of the cases.
pub(super) fn types(cases: &[Case]) -> Result<Vec<Taken>, String> {
    each(cases, |children, case| {
        let line = children.ask(Command::Types, case)?.map_err(|failure| format!("{case}: {failure}"))?;
        worker::read_types(&line).map_err(|problem| format!("{case} with other types: {problem}"))
    })
}

/// Does something with each case in several threads that have a child each; gives the results in the order of the cases.
fn each<T: Send>(
    cases: &[Case],
    job: impl Fn(&mut Children, &Case) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(cases.len());
    // The long ones first, so that no child is alone with one at the end.
    let mut queue: Vec<usize> = (0..cases.len()).collect();
    queue.sort_by_key(|index| cases[*index].suite != "light");
    let queue = Mutex::new(VecDeque::from(queue));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<Vec<(usize, T)>, String> {
        let (mut children, mut done) = (Children(None), Vec::new());
        while let Some(index) = next() {
            done.push((index, job(&mut children, &cases[index])?));
        }
        Ok(done)
    };
    let mut all = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(cases.len());
        for thread in threads {
            all.extend(thread.join().expect("the parent does not panic")?);
        }
        Ok::<_, String>(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}

/// One child after the other: made when there is none, taken away when it has died.
struct Children(Option<Child>);

impl Children {
    /// What a child says of a case, or how it came to say nothing.
    fn ask(&mut self, command: Command, case: &Case) -> Result<Result<String, Failure>, String> {
        let mut child = match self.0.take() {
            Some(child) => child,
            None => Child::spawn()?,
        };
        Ok(match child.ask(&format!("{} {}", command.word(), case.path.display()), LIMIT + GRACE) {
            Answer::Line(line) => {
                self.0 = Some(child);
                Ok(line)
            }
            Answer::Died => Err(Failure::new(Kind::Crashed, child.last_words())),
            Answer::Silent => {
                child.kill();
                Err(Failure::new(Kind::Hung, format!("no answer after {} s", (LIMIT + GRACE).as_secs())))
            }
        })
    }
}

/// The operators that a case is about: those that its model uses. An expanded function is about the function; its model is the
/// case's without `_expanded` and what follows.
fn operators(case: &Case) -> Vec<String> {
    let function = case.name.find("_expanded").map(|end| case.path.with_file_name(&case.name[..end]));
    let function = function.map(|path| Case::at(&path).model()).filter(|model| model.is_file());
    let model = std::fs::read(function.unwrap_or_else(|| case.model())).unwrap_or_default();
    let Ok(survey) = onnx::survey(&model, &Limits::default()) else { return Vec::new() };
    survey.operators.iter().map(|operator| full_name(&operator.domain, &operator.name)).collect()
}
