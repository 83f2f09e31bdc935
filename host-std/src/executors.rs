//! Executors by name, for pipelines of one's own, and running several requests as one.
//!
//! A device author, or a program with a camera and a network card, says which executor runs which stage:
//!
//! ```
//! use std::sync::Arc;
//! use inferry::{Executors, Options, Pipeline, Runtime};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/pnet.onnx");
//! # let image = inferry::Tensor::zeros(inferry::ElementType::F32, [1, 64, 64, 3]);
//! let runtime = Runtime::new()?;
//! // A thread of this name: the same for everybody who asks this runtime for it.
//! let camera = runtime.executors().named("camera")?;
//! let model = runtime.compile_file(path, Options::latency())?;
//! let pipeline = Pipeline::new([camera.clone()]).deliver_on(camera);
//! let on_camera = runtime.on_pipeline(model.on_device().clone(), pipeline);
//! let mut request = on_camera.request()?;
//! request.set_input(0, image)?;
//! request.start()?.wait()?;
//! # Ok(())
//! # }
//! ```
//!
//! This knows executors that run tasks on threads of this process; other kinds (an event loop, a scheduler that collects tasks)
//! implement [`Executor`] themselves and stand in a pipeline beside these.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inferry_core::Executor;
use inferry_core::request::InferError;

use crate::request::Request;
use crate::streams::{Streams, ThreadError};
use crate::trampoline::Trampoline;

/// The named executors of a runtime; see [`Runtime::executors`](crate::Runtime::executors). They live until they are
/// [forgotten](Executors::forget) and nothing uses them.
#[derive(Default)]
pub struct Executors {
    named: Mutex<Vec<(Box<str>, Arc<Streams>)>>,
}

impl Executors {
    /// The sequential executor of this name: one thread, which runs tasks in the order in which they come. The same name
    /// gives the same executor.
    pub fn named(&self, name: &str) -> Result<Arc<dyn Executor>, ThreadError> {
        let mut named = self.locked();
        if let Some((_, streams)) = named.iter().find(|(other, _)| **other == *name) {
            return Ok(streams.clone());
        }
        let streams = started(Streams::new(name, 1, 1))?;
        named.push((name.into(), streams.clone()));
        Ok(streams)
    }

    /// Forgets the executor of this name: the next who asks for it gets another one. True when there was one. Who has it
    /// keeps it, and its thread ends after the last of them.
    pub fn forget(&self, name: &str) -> bool {
        let mut named = self.locked();
        let Some(position) = named.iter().position(|(other, _)| **other == *name) else { return false };
        let forgotten = named.swap_remove(position);
        drop(named);
        // Dropping may join the thread: not with the lock held.
        drop(forgotten);
        true
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.locked().len()
    }

    /// True when there are no names.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A new executor of `count` threads before one queue, shared with nobody. With 0 it has none: whoever brings a task runs
    /// it, and tasks that come meanwhile wait until that one has ended.
    pub fn streams(name: &str, count: usize) -> Result<Arc<dyn Executor>, ThreadError> {
        Ok(match count {
            0 => Arc::new(Trampoline),
            _ => started(Streams::new(name, count, 1))?,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Vec<(Box<str>, Arc<Streams>)>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Executors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<Box<str>> = self.locked().iter().map(|(name, _)| name.clone()).collect();
        f.debug_tuple("Executors").field(&names).finish()
    }
}

/// Starts all requests and blocks until every one of them is over; then gives the first error, in the order of the requests.
/// None of them is left running, whichever fails.
pub fn run_and_wait<'a>(requests: impl IntoIterator<Item = &'a mut Request>) -> Result<(), InferError> {
    let runs: Vec<_> = requests.into_iter().map(|request| request.start()).collect();
    let ended = runs.into_iter().map(|run| run.map_err(InferError::from)?.wait().map(drop));
    // Not `collect`, which would stop at the first error and drop, hence cancel, the others.
    ended.fold(Ok(()), Result::and)
}

fn started(streams: Streams) -> Result<Arc<Streams>, ThreadError> {
    streams.start()?;
    Ok(Arc::new(streams))
}
