//! A runtime: a fleet of workers and the models that it has loaded.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use inferry_core::{CompiledModel, Inline, Pipeline};
use wasm_bindgen::prelude::*;

use crate::event_loop::EventLoop;
use crate::fleet::{Answer, Command, Fleet, PAGE};
use crate::js::Host;
use crate::table::Table;
use crate::worker_model::WorkerModel;

thread_local! {
    static FLEETS: Table<Shared> = const { Table::new() };
}

/// A fleet with the object that does what it decides.
struct Shared {
    number: u32,
    host: Host,
    fleet: RefCell<Fleet>,
}

/// A fleet of this thread. Gone when its runtime is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FleetId(u32);

impl FleetId {
    /// Does something to the fleet, then what comes of it. `None` when there is none any more.
    pub(crate) fn with<R>(self, change: impl FnOnce(&mut Fleet) -> R) -> Option<R> {
        let shared = FLEETS.with(|fleets| fleets.get(self.0))?;
        Some(shared.with(change))
    }
}

impl Shared {
    fn with<R>(&self, change: impl FnOnce(&mut Fleet) -> R) -> R {
        let result = change(&mut self.fleet.borrow_mut());
        let (commands, woken) = self.fleet.borrow_mut().take();
        for command in commands {
            self.carry_out(command);
        }
        // Outside of everything: a wake runs a stage, which comes back here.
        for waker in woken {
            waker.wake();
        }
        result
    }

    fn carry_out(&self, command: Command) {
        let host = &self.host;
        match command {
            Command::Spawn { worker } => host.spawn(worker),
            Command::Load { worker, model } => host.load(worker, model),
            Command::Unload { worker, model } => host.unload(worker, model),
            Command::End { worker } => host.end(worker),
            Command::Post { worker, run, model, job } => host.post(worker, run, model, job),
            Command::Cancel { worker, run } => host.cancel(worker, run),
            Command::Refuse { model, lost } => host.refuse(model, lost),
        }
    }
}

/// A fleet of workers, made when they are needed.
#[wasm_bindgen]
pub struct Runtime(Rc<Shared>);

#[wasm_bindgen]
impl Runtime {
    /// A runtime of at most `limit` workers (at least 1), which `host` makes. With `page`, models whose runs are short are
    /// computed on the page's thread: by the worker of the number [`Runtime::page`].
    #[wasm_bindgen(constructor)]
    pub fn new(host: Host, limit: u32, page: bool) -> Runtime {
        let fleet = Fleet::new(limit as usize);
        let fleet = RefCell::new(if page { fleet.with_page() } else { fleet });
        Runtime(FLEETS.with(|fleets| fleets.put(|number| Rc::new(Shared { number, host, fleet }))))
    }

    /// The number that the page's own engine has among the workers.
    pub fn page() -> u32 {
        PAGE
    }

    /// Has a worker load the model of this number, whose file has so many bytes; the host's `refuse` or the first
    /// [`Runtime::loaded`] follows.
    pub fn add(&self, model: u32, bytes: f64) {
        self.0.with(|fleet| fleet.add(model, bytes));
    }

    /// Forgets a model. Runs that no worker has yet end as disposed.
    pub fn remove(&self, model: u32) {
        self.0.with(|fleet| fleet.remove(model));
    }

    /// A worker exists and takes messages.
    pub fn ready(&self, worker: u32) {
        self.0.with(|fleet| fleet.ready(worker));
    }

    /// A worker is gone.
    pub fn lost(&self, worker: u32) {
        self.0.with(|fleet| fleet.lost(worker));
    }

    /// A worker has loaded a model, or could not.
    pub fn loaded(&self, worker: u32, model: u32, done: bool) {
        self.0.with(|fleet| fleet.loaded(worker, model, done));
    }

    /// A worker has run a job to its end, which kept it busy for so many milliseconds.
    pub fn done(&self, worker: u32, run: u32, took: f64) {
        self.0.with(|fleet| fleet.answer(worker, run, Answer::Done, Some(took)));
    }

    /// The page has computed a run of the model without asking, in so many milliseconds: see `npm/src/engine/once.ts`.
    pub fn ran_at_once(&self, model: u32, took: f64) {
        self.0.with(|fleet| fleet.ran_at_once(model, took));
    }

    /// A worker has not come to an end of a run within one slice.
    pub fn overrun(&self, worker: u32, run: u32) {
        self.0.with(|fleet| fleet.overrun(worker, run));
    }

    /// A worker has stopped a run that nobody wants any more.
    pub fn cancelled(&self, worker: u32, run: u32) {
        self.0.with(|fleet| fleet.answer(worker, run, Answer::Cancelled, None));
    }

    /// A run failed in its worker.
    pub fn failed(&self, worker: u32, run: u32) {
        self.0.with(|fleet| fleet.answer(worker, run, Answer::Failed, None));
    }

    /// How many workers there are.
    #[wasm_bindgen(getter)]
    pub fn workers(&self) -> u32 {
        self.0.fleet.borrow().len() as u32
    }

    /// Ends every run as disposed and refuses new ones. Ending the workers is the host's.
    pub fn close(&self) {
        self.0.with(Fleet::close);
    }

    /// The model of this number, to make requests of.
    pub fn model(&self, model: u32) -> Model {
        let model: Arc<dyn CompiledModel> = WorkerModel::new(FleetId(self.0.number), model);
        // A stage runs where it was started or woken, and is parked at once; the callback on an empty stack.
        let pipeline = Pipeline::new([Arc::new(Inline) as _]).deliver_on(Arc::new(EventLoop));
        Model { model, pipeline: Arc::new(pipeline) }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
        drop(FLEETS.with(|fleets| fleets.remove(self.0.number)));
    }
}

/// A model that workers have loaded.
#[wasm_bindgen]
pub struct Model {
    pub(crate) model: Arc<dyn CompiledModel>,
    pub(crate) pipeline: Arc<Pipeline>,
}
