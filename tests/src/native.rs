//! What the tests of the desktop host share: its models, and a limit for tests that would hang.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use inferry::device::{CompiledModel as Compiled, Device};
use inferry::{CompiledModel, Options, Runtime};
use inferry_template::{Chip, Form, Graph, Template};

/// A graph of one stage on threads of its own.
///
/// # Panics
/// When there are no threads to be had.
pub fn compile(options: Options, graph: &Graph) -> CompiledModel {
    compile_for(&Runtime::new().expect("a runtime"), options, graph, Form::OneStage, &Chip::by_hand("none"))
}

/// A graph for a chip, in any form.
///
/// # Panics
/// When there are no threads to be had.
pub fn compile_for(
    runtime: &Runtime,
    options: Options,
    graph: &Graph,
    form: Form,
    chip: &Arc<Chip>,
) -> CompiledModel {
    runtime.compile_on(&Template::new(chip.clone()), graph, &form, options).expect("threads")
}

/// A model that some device has compiled, on threads.
///
/// # Panics
/// When there are no threads to be had.
pub fn place(runtime: &Runtime, options: Options, device: &str, model: Arc<dyn Compiled>) -> CompiledModel {
    runtime.compile_on(&Given(device.to_owned()), &model, &(), options).expect("threads")
}

/// A device that gives what it is given.
struct Given(String);

impl Device for Given {
    type Graph = Arc<dyn Compiled>;
    type Options = ();
    type Error = std::convert::Infallible;

    fn name(&self) -> &str {
        &self.0
    }

    fn compile(&self, model: &Self::Graph, (): &()) -> Result<Arc<dyn Compiled>, Self::Error> {
        Ok(model.clone())
    }
}

/// Runs `test` to its end on a thread of its own. One that hangs is a failure, and not a test run that never ends.
///
/// # Panics
/// When `test` does, and when it takes a minute.
pub fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (ended, end) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        test();
        drop(ended);
    });
    match end.recv_timeout(Duration::from_secs(60)) {
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// The arrangements of threads that change who runs what, with a name for messages.
pub fn arrangements() -> [(&'static str, Options); 5] {
    [
        ("one stream", Options::latency().threads(1)),
        ("two streams", Options::throughput().threads(2)),
        ("a wide stream", Options::latency().threads(2)),
        ("callbacks on the streams", Options::throughput().threads(2).callback_threads(0)),
        ("no threads", Options::inline()),
    ]
}
