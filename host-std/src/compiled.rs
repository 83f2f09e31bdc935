//! A compiled model with the place where its requests run.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use inferry_core::batch::{self, BatchError, Batching};
use inferry_core::device::ExportError;
use inferry_core::jobs::{JobDone, JobSettings};
use inferry_core::pool::{PoolRun, RequestPool, Tensors};
use inferry_core::request::{BoxError, InferError, PrepareError};
use inferry_core::state::VariableError;
use inferry_core::{Pipeline, Port, Stateful, Timer, Variable, device};

use crate::cache::{CacheError, Cached};
use crate::clock::SystemClock;
use crate::devices::{CandidateStatus, Over, PartInfo};
use crate::here::Id;
use crate::inputs::{Input, sorted};
use crate::jobs::Jobs;
use crate::place::Place;
use crate::request::Request;
use crate::wait::wait;

/// A model that is ready to run. Cheap to clone and to share between threads; clones are the same model.
#[derive(Clone)]
pub struct CompiledModel(Arc<Inner>);

struct Inner {
    device: Arc<dyn device::CompiledModel>,
    place: Arc<Place>,
    streams: usize,
    optimal: usize,
    over: Over,
    /// Who waits for a run of the pool waits for this.
    id: Id,
    /// The requests behind `run`, made when it is first called.
    pool: Mutex<Option<RequestPool>>,
}

impl CompiledModel {
    pub(crate) fn new(
        device: Arc<dyn device::CompiledModel>,
        place: Arc<Place>,
        streams: usize,
        over: Over,
    ) -> CompiledModel {
        let (id, pool) = (Id::unique(), Mutex::default());
        let optimal = if streams == 0 { 1 } else { streams + 1 };
        CompiledModel(Arc::new(Inner { device, place, streams, optimal, over, id, pool }))
    }

    /// The same model, with pairs of an input and an output joined into variables: each request keeps their values from run
    /// to run by itself, and the ports are no ports any more.
    ///
    /// Weights and threads are shared with this model. See [`Variable`] for initial values and names, and
    /// [`Request::variable`] for how values are read, set and reset.
    ///
    /// ```no_run
    /// # use inferry::{ElementType, Options, Runtime, Tensor, Variable};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let model = Runtime::new()?.compile_file("silero_vad.onnx", Options::latency())?;
    /// let silence = Tensor::zeros(ElementType::F32, [2, 1, 128]);
    /// let detector = model.with_variables([Variable::new("state", "stateN").starting_at(silence)])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_variables<V: Into<Variable>>(
        &self,
        variables: impl IntoIterator<Item = V>,
    ) -> Result<CompiledModel, VariableError> {
        let device = Stateful::new(self.0.device.clone(), variables)?;
        let Inner { place, streams, over, .. } = &*self.0;
        Ok(CompiledModel::new(Arc::new(device), place.clone(), *streams, over.clone()))
    }

    /// The variables that a request keeps; none before [`CompiledModel::with_variables`].
    pub fn variables(&self) -> &[Port] {
        self.0.device.state().map_or(&[], |state| state.variables())
    }

    /// The inputs, in the model's order.
    pub fn inputs(&self) -> &[Port] {
        self.0.device.inputs()
    }

    /// The outputs, in the model's order.
    pub fn outputs(&self) -> &[Port] {
        self.0.device.outputs()
    }

    /// A new request with a tensor of zeros at every port and all the memory that its runs need.
    pub fn request(&self) -> Result<Request, PrepareError> {
        Request::new(self.0.device.clone(), self.0.place.clone())
    }

    /// Requests that are handed out one by one, for programs that keep several runs in flight.
    pub fn pool(&self, size: usize) -> Result<RequestPool, PrepareError> {
        RequestPool::new(self.0.device.clone(), self.0.place.pipeline.clone(), size)
    }

    /// A pool of jobs: submit more runs than there are requests, each with data of one's own; `handler` makes a result of
    /// every run that is done, and the results are taken in either order, or dropped. See [`Jobs`].
    ///
    /// ```
    /// # use inferry::{JobSettings, Options, Results, Runtime, Tensor};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/pnet.onnx");
    /// # let pictures = vec![Tensor::from_slice(&vec![0.0_f32; 64 * 64 * 3], [1, 64, 64, 3])?; 4];
    /// let model = Runtime::new()?.compile_file(path, Options::throughput())?;
    /// let settings = JobSettings::new(model.optimal_requests()).results(Results::Ordered);
    /// let jobs = model.jobs(settings, |mut done| Ok(done.take_output(0)?))?;
    /// for (number, picture) in pictures.into_iter().enumerate() {
    ///     jobs.submit([(0, picture)], number)?; // waits for room
    /// }
    /// for finished in &jobs {
    ///     println!("picture {}: boxes {}", finished.user, finished.result?.shape());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn jobs<U: Send + 'static, R: Send + 'static>(
        &self,
        settings: JobSettings,
        handler: impl Fn(JobDone<'_, U, R>) -> Result<R, BoxError> + Send + Sync + 'static,
    ) -> Result<Jobs<U, R>, PrepareError> {
        Jobs::new(self.0.device.clone(), self.0.place.clone(), settings, handler)
    }

    /// Runs the model once: binds the inputs, runs, and gives the outputs.
    ///
    /// Each input is a tensor, in the model's order, or a pair of a key (name or index) and a tensor; all inputs must be
    /// there. The future belongs to nobody: it can be sent to another thread, and many can be under way. They share
    /// [`optimal_requests`](CompiledModel::optimal_requests) requests, which the first call makes, and wait in line for them.
    /// The run starts at the first poll; dropping the future cancels it.
    pub fn run<I: Input>(&self, inputs: impl IntoIterator<Item = I>) -> ModelRun {
        let begun = sorted(self.inputs(), inputs).map_err(InferError::from).and_then(|inputs| {
            let pool = self.shared_pool()?;
            Ok(pool.run(inputs))
        });
        ModelRun { model: self.clone(), begun: begun.map_err(Some) }
    }

    /// As [`CompiledModel::run`], blocking the calling thread until the outputs are there.
    pub fn infer<I: Input>(&self, inputs: impl IntoIterator<Item = I>) -> Result<Tensors, InferError> {
        self.run(inputs).wait()
    }

    /// Lets go of the memory of the requests behind [`CompiledModel::run`]; the next run makes new ones. Requests that are
    /// held elsewhere, or run, keep theirs.
    pub fn release_memory(&self) {
        // Dropped outside of the lock.
        drop(self.locked_pool().take());
    }

    fn shared_pool(&self) -> Result<RequestPool, PrepareError> {
        let mut pool = self.locked_pool();
        if pool.is_none() {
            *pool = Some(self.pool(self.optimal_requests())?);
        }
        Ok(pool.clone().expect("made above"))
    }

    fn locked_pool(&self) -> MutexGuard<'_, Option<RequestPool>> {
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same model for requests of one item each, of which up to [`Batching::size`] are computed in one run. The ports have
    /// a first extent of 1; nothing else is different for a request. Each item must be computed as if it were alone: whether the
    /// model does so is for the caller to know.
    ///
    /// A model of a fixed batch computes empty seats too when the limit is over; one whose first extent is open computes
    /// only what is there.
    ///
    /// # Errors
    /// [`BatchError`]: a port without such a batch, a model with variables.
    pub fn batched(&self, batching: Batching) -> Result<CompiledModel, BatchError> {
        self.batched_by(batching, Arc::new(SystemClock))
    }

    /// As [`CompiledModel::batched`], with a time of the caller's own.
    pub fn batched_by(&self, batching: Batching, timer: Arc<dyn Timer>) -> Result<CompiledModel, BatchError> {
        let Inner { device, place, streams, .. } = &*self.0;
        let buses = (*streams).max(1);
        let (model, pipeline) = batch::batched(device, &place.pipeline, buses, batching, timer)?;
        let trace = place.pipeline.trace().cloned();
        // To keep every bus full, and as many in line behind it.
        let optimal = batching.size.saturating_mul(buses).saturating_mul(2);
        let place = Arc::new(Place::over(pipeline, trace));
        let (id, pool, streams, over) = (Id::unique(), Mutex::default(), *streams, self.0.over.clone());
        Ok(CompiledModel(Arc::new(Inner { device: model, place, streams, optimal, over, id, pool })))
    }

    /// Writes the compiled model, for [`Runtime::import_file`](crate::Runtime::import_file): the graph after all passes, its weights
    /// and their packed forms, so that an import neither optimises nor packs.
    ///
    /// What is written is for this version of this crate, this instruction set and this kind of machine, and holds everything;
    /// the model's own file is not needed any more. The packed forms are those that the model has needed until now: of one
    /// whose input shapes are open, run it once before. Compressing the file would make it slower to load.
    ///
    /// # Errors
    /// [`ExportError`]: what the writer says; and that there is no such form of a model with variables, in batches, or on
    /// several devices. Export the model that it was made of.
    pub fn export(&self, mut to: impl Write) -> Result<(), ExportError> {
        self.0.device.export(&mut |bytes| Ok(to.write_all(bytes)?))?;
        to.flush().map_err(|error| ExportError::Write(error.into()))
    }

    /// True when the model came out of a [cache](crate::Runtime::cached) and was not compiled.
    pub fn loaded_from_cache(&self) -> bool {
        matches!(self.cached(), Cached::Loaded)
    }

    /// What the cache did for this model.
    pub fn cached(&self) -> Cached {
        if let Over::Cached(saver) = &self.0.over { saver.how().clone() } else { Cached::Off }
    }

    /// Blocks the calling thread until what there is to write to the cache is written. Of a model whose input shapes are open
    /// there is something to write when it has run.
    ///
    /// # Errors
    /// [`CacheError`]: the folder cannot be written to, or is full. The model is none the worse for it.
    pub fn wait_cache(&self) -> Result<(), CacheError> {
        if let Over::Cached(saver) = &self.0.over { saver.wait() } else { Ok(()) }
    }

    /// How many requests in flight keep all streams busy: one for each, and one that is ready when a stream gets free.
    pub fn optimal_requests(&self) -> usize {
        self.0.optimal
    }

    /// How many streams compute requests side by side; 0 when the caller of a start computes.
    pub fn streams(&self) -> usize {
        self.0.streams
    }

    /// Which executor runs which stage of the requests.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.0.place.pipeline
    }

    /// How the model was cut over devices, in the order in which the parts run; empty for a model that was not
    /// ([`Runtime::compile_split`](crate::Runtime::compile_split)).
    pub fn parts(&self) -> &[PartInfo] {
        if let Over::Parts(parts) = &self.0.over { parts } else { &[] }
    }

    /// The devices between which runs choose, the preferred first, and how far each is; empty for a model that has no choice
    /// ([`Runtime::compile_first_ready`](crate::Runtime::compile_first_ready)).
    pub fn candidates(&self) -> Vec<CandidateStatus> {
        if let Over::Race(race) = &self.0.over { race.candidates() } else { Vec::new() }
    }

    /// Blocks the calling thread until no device is compiling the model any more. Runs that begin after that are on the best
    /// device that there is.
    pub fn wait_candidates(&self) {
        if let Over::Race(race) = &self.0.over {
            race.wait();
        }
    }

    /// The compiled model as its device made it.
    pub fn on_device(&self) -> &Arc<dyn device::CompiledModel> {
        &self.0.device
    }
}

/// One run of a model; made by [`CompiledModel::run`]. Dropping it cancels the run.
#[must_use = "a run begins when it is first polled or waited for"]
pub struct ModelRun {
    model: CompiledModel,
    begun: Result<PoolRun, Option<InferError>>,
}

impl ModelRun {
    /// Blocks the calling thread until the outputs are there.
    ///
    /// # Errors
    /// Those of the run; and [`WouldDeadlock`](crate::InferErrorKind::WouldDeadlock) on a thread that the run needs.
    pub fn wait(mut self) -> Result<Tensors, InferError> {
        let Inner { place, id, .. } = &*self.model.clone().0;
        match wait(&mut self, None, || place.may_wait(*id, false))? {
            Poll::Ready(ended) => ended,
            Poll::Pending => unreachable!("there was no limit"),
        }
    }
}

impl Future for ModelRun {
    type Output = Result<Tensors, InferError>;

    /// # Panics
    /// When polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.begun {
            Ok(run) => Pin::new(run).poll(cx),
            Err(error) => Poll::Ready(Err(error.take().expect("a run polled after it was ready"))),
        }
    }
}

impl std::fmt::Debug for CompiledModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |ports: &[Port]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
        f.debug_struct("CompiledModel")
            .field("inputs", &names(self.inputs()))
            .field("outputs", &names(self.outputs()))
            .field("streams", &self.0.streams)
            .finish()
    }
}
