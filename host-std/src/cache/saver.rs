//! Writes a compiled model to the cache, on a thread of its own, when there is something to write.
//!
//! A model of fixed input shapes is written when it has been compiled. One whose shapes are open packs its weights when the first
//! run has shown what they are, so it is written then, and again when runs of other shapes have packed more. Who compiles and
//! who runs never waits for that; who wants the file says [`CompiledModel::wait_cache`](crate::CompiledModel::wait_cache). A process
//! that ends meanwhile leaves no file, and the next one compiles again.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use inferry_core::device::{CompiledModel, ExportError};

use super::{Cached, Source, write_whole};

/// Why a compiled model is not in the cache.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: the compiled model could not be put into the cache: {problem}", path.display())]
pub struct CacheError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Arc<ExportError>,
}

/// The file of one model.
pub(crate) struct Saver {
    path: PathBuf,
    how: Cached,
    state: Mutex<State>,
    rested: Condvar,
}

#[derive(Default)]
struct State {
    /// Not kept alive: its options hold this.
    model: Option<Weak<dyn CompiledModel>>,
    /// There is nothing of it in the cache yet.
    is_new: bool,
    /// The model holds more than the file.
    is_due: bool,
    /// A thread is at it.
    is_writing: bool,
    problem: Option<CacheError>,
}

impl Saver {
    pub(crate) fn new(path: PathBuf, how: Cached) -> Arc<Saver> {
        Arc::new(Saver { path, how, state: Mutex::default(), rested: Condvar::new() })
    }

    /// What the cache did for the model.
    pub(crate) fn how(&self) -> &Cached {
        &self.how
    }

    /// The options with which the model is to be made.
    pub(super) fn settings(
        self: &Arc<Saver>,
        options: inferry_cpu::Options,
        source: Source,
    ) -> inferry_cpu::Options {
        let saver = Arc::downgrade(self);
        let planned = move |packed: usize| {
            if let Some(saver) = saver.upgrade() {
                saver.planned(packed);
            }
        };
        inferry_cpu::Options { source: Some(source), planned: Some(Arc::new(planned)), ..options }
    }

    /// The model is made.
    pub(super) fn watch(self: &Arc<Saver>, model: &Arc<dyn CompiledModel>, is_new: bool) {
        let mut state = self.lock();
        state.model = Some(Arc::downgrade(model));
        // One of open shapes has no packed weights yet: its first plan is soon to come.
        let is_planned = model.inputs().iter().all(|port| port.shape.fixed().is_some());
        state.is_new = is_new && !is_planned;
        state.is_due |= is_new && is_planned;
        self.begin(state);
    }

    /// A plan has been made.
    fn planned(self: &Arc<Saver>, packed: usize) {
        let mut state = self.lock();
        state.is_due |= packed > 0 || state.is_new;
        self.begin(state);
    }

    /// Lets a thread write when there is need and none is at it.
    fn begin(self: &Arc<Saver>, mut state: MutexGuard<'_, State>) {
        let model = state.model.as_ref().and_then(Weak::upgrade);
        let Some(model) = model.filter(|_| state.is_due && !state.is_writing) else { return };
        state.is_writing = true;
        drop(state);
        let saver = self.clone();
        let thread = thread::Builder::new().name("inferry-cache".into());
        if let Err(error) = thread.spawn(move || saver.write(&*model)) {
            self.lock().problem = Some(self.error(ExportError::Write(error.into())));
            self.rest();
        }
    }

    fn write(&self, model: &dyn CompiledModel) {
        // A panic is a bug, and nobody is to wait for ever for one.
        let guard = Guard(self);
        loop {
            let mut state = self.lock();
            if !std::mem::take(&mut state.is_due) {
                state.is_writing = false;
                self.rested.notify_all();
                drop(state);
                return std::mem::forget(guard);
            }
            state.is_new = false;
            drop(state);
            let written = write_whole(&self.path, |file| {
                model.export(&mut |bytes| Ok(file.write_all(bytes)?)).map_err(Unwritten)
            });
            self.lock().problem = written.err().map(|Unwritten(problem)| self.error(problem));
        }
    }

    /// Waits until nothing is being written.
    pub(crate) fn wait(&self) -> Result<(), CacheError> {
        let state = self.rested.wait_while(self.lock(), |state| state.is_writing);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.problem.clone().map_or(Ok(()), Err)
    }

    fn rest(&self) {
        self.lock().is_writing = false;
        self.rested.notify_all();
    }

    fn error(&self, problem: ExportError) -> CacheError {
        CacheError { path: self.path.clone(), problem: Arc::new(problem) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Guard<'a>(&'a Saver);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// What kept a model from being written.
struct Unwritten(ExportError);

impl From<std::io::Error> for Unwritten {
    fn from(error: std::io::Error) -> Unwritten {
        Unwritten(ExportError::Write(error.into()))
    }
}
