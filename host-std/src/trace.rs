//! Spans of stages and runs: recorded, and written as a Chrome trace.
//!
//! A [`Recorder`] that a runtime was given ([`Runtime::traced`](crate::Runtime::traced)) writes down what happens to every
//! run of every model that is compiled through it: when, and on which thread. [`Recorder::chrome_json`] makes of it what
//! `chrome://tracing`, Perfetto and the browser's developer tools show:
//!
//! ```text
//!  inferry-2x1-0      ▕ infer ▏      ▕ infer ▏               a row a thread: the turns of stages, and callbacks
//!  inferry-wait-chip     ▕ wait  ▏▕ wait ▏
//!  request 1          ▕ run 1: waiting ▏ ▕ waiting ▏ ▏       a row a request: its runs, from start to end, and within
//!  request 2             ▕ run 1 …                           them the time that they wait for an executor or a device
//! ```
//!
//! Recording takes a short lock and some memory for each step, so that it is for looking, not for always. With the feature
//! `tracing`, `Spans` tells the crate of that name instead.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use inferry_core::Clock;
use inferry_core::trace::{Happening, Trace, TraceEvent};

use crate::clock::SystemClock;

/// Writes down what happens to runs. See the [module](self).
#[derive(Default)]
pub struct Recorder(Mutex<Recording>);

#[derive(Default)]
struct Recording {
    records: Vec<Record>,
    /// The rows of threads, by their names.
    threads: Vec<String>,
}

/// A step of a run.
struct Record {
    nanos: u64,
    thread: usize,
    request: usize,
    run: u64,
    what: What,
}

/// [`Happening`], owned.
enum What {
    Started,
    StageBegins { name: String, executor: String },
    StageEnds,
    Ended { verdict: String },
    CallbackBegins,
    CallbackEnds,
    Settled,
}

impl Trace for Recorder {
    fn event(&self, event: &TraceEvent<'_>) {
        let what = match event.what {
            Happening::Started => What::Started,
            Happening::StageBegins { name, executor, .. } => {
                What::StageBegins { name: name.into(), executor: executor.into() }
            }
            Happening::StageEnds { .. } => What::StageEnds,
            Happening::Ended { verdict } => What::Ended { verdict: format!("{verdict:?}") },
            Happening::CallbackBegins => What::CallbackBegins,
            Happening::CallbackEnds => What::CallbackEnds,
            Happening::Settled { .. } => What::Settled,
            _ => return,
        };
        let current = thread::current();
        let name = current.name().map_or_else(|| format!("{:?}", current.id()), str::to_owned);
        let nanos = SystemClock.now();
        let mut recording = self.recording();
        let thread = recording.row(name);
        let (request, run) = (event.request, event.run.get());
        recording.records.push(Record { nanos, thread, request, run, what });
    }
}

impl Recorder {
    /// An empty recording.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// Forgets what has been recorded.
    pub fn clear(&self) {
        self.recording().records.clear();
    }

    /// How many steps have been recorded.
    pub fn len(&self) -> usize {
        self.recording().records.len()
    }

    /// Whether nothing has been recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The recording in the [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU),
    /// as an array; times in microseconds from the first step.
    pub fn chrome_json(&self) -> String {
        let recording = self.recording();
        let mut out = Events::default();
        for (row, name) in recording.threads.iter().enumerate() {
            out.push(format_args!(
                r#"{{"ph":"M","name":"thread_name","pid":1,"tid":{row},"args":{{"name":{}}}}}"#,
                quoted(name)
            ));
        }
        let start = recording.records.first().map_or(0, |record| record.nanos);
        let mut requests = Requests::default();
        let mut open: HashMap<(usize, usize), (u64, String)> = HashMap::new();
        for Record { nanos, thread, request, run, what } in &recording.records {
            let at = nanos.saturating_sub(start);
            let (time, key) = (micros(at), (*thread, *request));
            let number = requests.number(*request, matches!(what, What::Started) && *run == 1);
            let id = format!("{number}.{run}");
            // A row a request: the run, and within it what it waits for.
            let mut span = |phase: &str, name: &str, args: &str| {
                let (name, args) = (quoted(name), if args.is_empty() { "{}" } else { args });
                out.push(format_args!(
                    r#"{{"ph":"{phase}","cat":"request {number}","id":"{id}","name":{name},"pid":1,"tid":{thread},"ts":{time},"args":{args}}}"#
                ));
            };
            match what {
                What::Started => {
                    span("b", &format!("request {number}, run {run}"), "");
                    span("b", "waiting", "");
                }
                What::StageBegins { name, executor } => {
                    span("e", "waiting", "");
                    let args =
                        format!(r#"{{"request":{number},"run":{run},"executor":{}}}"#, quoted(executor));
                    open.insert(key, (at, format!(r#""name":{},"args":{args}"#, quoted(name))));
                }
                What::StageEnds | What::CallbackEnds => {
                    // For the executor of the next stage, for whoever wakes it, or for nothing: then it has ended.
                    if let What::StageEnds = what {
                        span("b", "waiting", "");
                    }
                    if let Some((began, about)) = open.remove(&key) {
                        let (began, took) = (micros(began), micros(at - began));
                        out.push(format_args!(
                            r#"{{"ph":"X","cat":"stage","pid":1,"tid":{thread},"ts":{began},"dur":{took},{about}}}"#
                        ));
                    }
                }
                What::Ended { verdict } => {
                    span("e", "waiting", "");
                    span("n", &format!("ended: {verdict}"), "");
                }
                What::CallbackBegins => {
                    let about = format!(r#""name":"callback","args":{{"request":{number},"run":{run}}}"#);
                    open.insert(key, (at, about));
                }
                What::Settled => span("e", &format!("request {number}, run {run}"), ""),
            }
        }
        out.end()
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("steps", &self.len()).finish()
    }
}

impl Recording {
    /// The row of the thread of this name.
    fn row(&mut self, name: String) -> usize {
        self.threads.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.threads.push(name);
            self.threads.len() - 1
        })
    }
}

/// Small numbers for requests, in the order in which they turn up.
#[derive(Default)]
struct Requests {
    numbers: HashMap<usize, usize>,
    count: usize,
}

impl Requests {
    /// The number of a request; a new one when this is the `first` run of a request, which may stand where another stood.
    fn number(&mut self, request: usize, first: bool) -> usize {
        if first {
            self.numbers.remove(&request);
        }
        *self.numbers.entry(request).or_insert_with(|| {
            self.count += 1;
            self.count
        })
    }
}

/// A JSON array, an event a line.
#[derive(Default)]
struct Events(String);

impl Events {
    fn push(&mut self, event: std::fmt::Arguments<'_>) {
        self.0.push_str(if self.0.is_empty() { "[\n" } else { ",\n" });
        self.0.write_fmt(event).expect("text can be appended");
    }

    fn end(self) -> String {
        if self.0.is_empty() { "[]\n".into() } else { self.0 + "\n]\n" }
    }
}

fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char < ' ' => write!(out, "\\u{:04x}", char as u32).expect("text can be appended"),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// Tells the crate [`tracing`] of each turn of a stage and each callback as a span, and of starts and ends as events; target
/// `inferry`, level `INFO` for runs and `DEBUG` for turns.
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Spans;

#[cfg(feature = "tracing")]
impl Trace for Spans {
    fn event(&self, event: &TraceEvent<'_>) {
        use std::cell::RefCell;
        thread_local! {
            /// Entered and not yet left, innermost last. A stage may run another request inline.
            static OPEN: RefCell<Vec<tracing::span::EnteredSpan>> = const { RefCell::new(Vec::new()) };
        }
        let (request, run) = (event.request, event.run.get());
        match event.what {
            Happening::Started => tracing::info!(target: "inferry", request, run, "started"),
            Happening::StageBegins { stage, name, executor } => {
                let span =
                    tracing::debug_span!(target: "inferry", "stage", request, run, stage, name, executor);
                OPEN.with_borrow_mut(|open| open.push(span.entered()));
            }
            Happening::CallbackBegins => {
                let span = tracing::debug_span!(target: "inferry", "callback", request, run);
                OPEN.with_borrow_mut(|open| open.push(span.entered()));
            }
            Happening::StageEnds { .. } | Happening::CallbackEnds => {
                drop(OPEN.with_borrow_mut(Vec::pop));
            }
            Happening::Ended { verdict } => {
                tracing::info!(target: "inferry", request, run, ?verdict, "ended")
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\u000ad""#);
    }

    #[test]
    fn an_empty_recording_is_an_empty_array() {
        assert_eq!(Recorder::new().chrome_json(), "[]\n");
    }
}
