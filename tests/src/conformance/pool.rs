//! The children: as many as cores, each with a case at a time. One that dies or hangs is replaced, and its case has failed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use inferry_engine::onnx::{self, Limits};

use super::case::{Failure, Kind, LIMIT, Ran, full_name};
use super::suite::Case;
use super::worker;

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
    let children = thread::available_parallelism().map_or(1, usize::from).min(cases.len());
    // The long ones first, so that no child is alone with one at the end.
    let mut queue: Vec<usize> = (0..cases.len()).collect();
    queue.sort_by_key(|index| cases[*index].suite != "light");
    let queue = Mutex::new(VecDeque::from(queue));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<Vec<(usize, Done)>, String> {
        let (mut worker, mut done) = (None, Vec::new());
        while let Some(index) = next() {
            let case = &cases[index];
            let start = Instant::now();
            let ran = attempt(&mut worker, case)?;
            done.push((
                index,
                Done { case: case.clone(), operators: operators(case), ran, took: start.elapsed() },
            ));
        }
        Ok(done)
    };
    let mut all = thread::scope(|scope| {
        let threads: Vec<_> = (0..children).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(cases.len());
        for thread in threads {
            all.extend(thread.join().expect("the parent does not panic")?);
        }
        Ok::<_, String>(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, done)| done).collect())
}

/// The case in the child, which is made when there is none and taken away when it has died.
fn attempt(worker: &mut Option<Worker>, case: &Case) -> Result<Ran, String> {
    let mut child = match worker.take() {
        Some(child) => child,
        None => Worker::spawn()?,
    };
    let failure = match child.ask(&case.path.to_string_lossy()) {
        Answer::Line(line) => {
            let ran = worker::read(&line).ok_or_else(|| format!("a child said {line:?} of {case}"))?;
            *worker = Some(child);
            return Ok(ran);
        }
        Answer::Died => Failure::new(Kind::Crashed, child.last_words()),
        Answer::Silent => {
            child.kill();
            Failure::new(Kind::Hung, format!("no answer after {} s", (LIMIT + GRACE).as_secs()))
        }
    };
    Ok(Ran { failure: Some(failure), ..Ran::default() })
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

/// A child process.
struct Worker {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

enum Answer {
    Line(String),
    Died,
    Silent,
}

impl Worker {
    fn spawn() -> Result<Worker, String> {
        let program = std::env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
        let mut command = Command::new(program);
        command.arg("--worker").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start a child: {error}"))?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut errors = child.stderr.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is what there is to say.
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Worker { child, input, lines, errors: Some(errors) })
    }

    fn ask(&mut self, line: &str) -> Answer {
        if writeln!(self.input, "{line}").is_err() {
            return Answer::Died;
        }
        match self.lines.recv_timeout(LIMIT + GRACE) {
            Ok(line) => Answer::Line(line),
            Err(RecvTimeoutError::Disconnected) => Answer::Died,
            Err(RecvTimeoutError::Timeout) => Answer::Silent,
        }
    }

    fn kill(&mut self) {
        // It may have ended by itself meanwhile.
        let _ = self.child.kill();
    }

    /// What a child that died has said, and how it died.
    fn last_words(&mut self) -> String {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        format!("{} ({status})", lines[lines.len().saturating_sub(3)..].join(" "))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}
