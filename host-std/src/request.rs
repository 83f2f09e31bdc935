//! Requests, as a user of this host holds them: the core's, and the ways to wait for them.
//!
//! A [`Request`] is the core's request together with the threads that it runs on. What it adds is blocking: [`Request::infer`],
//! the waits of [`Run`](crate::Run), [`Request::wait_quiet`], [`Request::stop_and_wait`], and deadlines. Everything else is handed through.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use inferry_core::executor::{Budget, Lend};
use inferry_core::request::{
    self as core_request, BindError, BoxError, Canceller, InferError, Next, Outcome, Outputs, PrepareError,
    Quiet, StartError, Status, Verdict,
};
use inferry_core::{CompiledModel, NodeProfile, Parallel, Pipeline, Port, PortKey, Serial, Tensor, Value};

use crate::clock::{self, SystemClock};
use crate::completion::{Completion, marked};
use crate::fork_join::ForkJoin;
use crate::here::Id;
use crate::observer::{Observer, Watch};
use crate::place::Place;
use crate::run::Run;
use crate::wait::wait;

/// A reusable inference request: tensors bound to a model's inputs and outputs, and all the memory a run needs.
///
/// It runs as often as one likes, one run at a time. A warm run of a model whose shapes are fixed takes no memory. Dropping
/// it never waits: a run under way is cancelled, and its memory is freed when it is over.
pub struct Request {
    core: core_request::Request,
    host: Host,
}

/// What a request knows of its host.
pub(crate) struct Host {
    pub(crate) place: Arc<Place>,
    pub(crate) id: Id,
    /// A callback has been set, at some time.
    pub(crate) has_callback: bool,
}

impl Host {
    /// Whether the calling thread may wait for a run of this request.
    pub(crate) fn may_wait(&self) -> Result<(), InferError> {
        self.place.may_wait(self.id, self.has_callback)
    }
}

impl Request {
    pub(crate) fn new(model: Arc<dyn CompiledModel>, place: Arc<Place>) -> Result<Request, PrepareError> {
        let core = core_request::Request::new(model, place.pipeline.clone())?;
        Ok(Request { core, host: Host { place, id: Id::unique(), has_callback: false } })
    }

    /// Starts a run and returns while the streams compute it.
    ///
    /// The tensors must fit their ports and be held by nobody else; if not, no run begins and the request is as it was. Until
    /// the run is over its tensors cannot be touched.
    ///
    /// With [`Options::inline`](crate::Options::inline) there are no streams, and this call computes the run.
    #[doc(alias = "start_async")]
    pub fn start(&mut self) -> Result<Run<'_>, StartError> {
        let run = self.core.start()?;
        Ok(Run::new(run, &self.host))
    }

    /// Runs and waits. The callback is not called.
    ///
    /// The calling thread computes, without any change of threads; streams that have nothing to do compute with it where the model
    /// is worth that. Another thread can stop it through a [`Canceller`].
    pub fn infer(&mut self) -> Result<Outputs<'_>, InferError> {
        self.infer_until(None)
    }

    /// As [`Request::infer`]; at `deadline` the run is stopped, and ends as
    /// [`Timeout`](crate::InferErrorKind::Timeout).
    pub fn infer_deadline(&mut self, deadline: Instant) -> Result<Outputs<'_>, InferError> {
        self.infer_until(Some(deadline))
    }

    fn infer_until(&mut self, deadline: Option<Instant>) -> Result<Outputs<'_>, InferError> {
        let canceller = self.core.canceller();
        // With a deadline the stages give the thread back when it has come, to be told that they should stop.
        let budget = match deadline {
            Some(deadline) => Budget::Nanos { clock: &SystemClock, length: clock::nanos_until(deadline) },
            None => Budget::Unlimited,
        };
        let fork_join = self.host.place.fork_join();
        let _guest = fork_join.map(ForkJoin::guest);
        let parallel: &dyn Parallel = fork_join.map_or(&Serial, |fork_join| fork_join);
        let mut infer = self.core.infer(Lend { parallel, budget });
        let has_passed = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        let mut timed = poll_fn(|cx| {
            if has_passed() {
                canceller.expire();
            }
            Pin::new(&mut infer).poll(cx)
        });
        loop {
            // After the deadline only the end of the run counts.
            let until = deadline.filter(|_| !has_passed());
            if let Poll::Ready(ended) = wait(&mut timed, until, || Ok(()))? {
                return ended;
            }
        }
    }

    /// The tensor bound to an input, by index or by name. Fails while a run is under way.
    pub fn input(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.core.input(key)
    }

    /// The tensor bound to an input, to fill it. Fails while a run is under way.
    pub fn input_mut(&mut self, key: impl PortKey) -> Result<&mut Tensor, BindError> {
        self.core.input_mut(key)
    }

    /// The tensor bound to an output: after a run that is done, the result. Fails while a run is under way.
    pub fn output(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.core.output(key)
    }

    /// Binds a tensor to an input; gives the one that was bound. Element type and shape must be the port's.
    pub fn set_input(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.core.set_input(key, tensor)
    }

    /// Binds a tensor to an output, which runs then write; gives the one that was bound.
    pub fn set_output(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.core.set_output(key, tensor)
    }

    /// Binds the items of a batch to an input, one tensor an item, which each run gathers: later writes to the items count.
    /// Each has 1 as its first extent; there are as many as the port's first extent says. See
    /// [`BindError`] for what is refused.
    pub fn set_inputs(
        &mut self,
        key: impl PortKey,
        items: impl IntoIterator<Item = Tensor>,
    ) -> Result<(), BindError> {
        self.core.set_inputs(key, items)
    }

    /// Takes the tensor of an output out and binds a fresh one.
    pub fn take_output(&mut self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.core.take_output(key)
    }

    /// Binds a value of any kind to an input: the tensors of a sequence (a `Vec`), or `None` where something may be absent.
    ///
    /// A sequence takes any number of tensors of the port's element type, whose shapes its shape admits. They stay the
    /// caller's: a run reads them where they are.
    pub fn set_value(&mut self, key: impl PortKey, value: impl Into<Value>) -> Result<(), BindError> {
        self.core.set_value(key, value)
    }

    /// What is bound to an output of any kind: after a run that is done, the result. Fails while a run is under way.
    pub fn value(&self, key: impl PortKey) -> Result<Value, BindError> {
        self.core.value(key)
    }

    /// Takes the value of an output of any kind out.
    pub fn take_value(&mut self, key: impl PortKey) -> Result<Value, BindError> {
        self.core.take_value(key)
    }

    /// The variables that this request keeps from run to run; see
    /// [`CompiledModel::with_variables`](crate::CompiledModel::with_variables). In any state.
    #[doc(alias = "query_state")]
    pub fn variables(&self) -> &[Port] {
        self.core.variables()
    }

    /// A copy of the value of a variable: the initial one before the first run and after a reset, later what the latest run
    /// that is done has written. Fails while a run is under way.
    #[doc(alias = "get_state")]
    pub fn variable(&self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.core.variable(key)
    }

    /// As [`Request::variable`], copied to `target`, which takes the value's shape. Takes memory only when it has to grow.
    pub fn read_variable(&self, key: impl PortKey, target: &mut Tensor) -> Result<(), BindError> {
        self.core.read_variable(key, target)
    }

    /// Copies `value` into a variable, for the next run. Element type and shape must be the variable's. Fails while a run is
    /// under way.
    #[doc(alias = "set_state")]
    pub fn set_variable(&mut self, key: impl PortKey, value: &Tensor) -> Result<(), BindError> {
        self.core.set_variable(key, value)
    }

    /// Puts a variable back to its initial value. Fails while a run is under way.
    pub fn reset_variable(&mut self, key: impl PortKey) -> Result<(), BindError> {
        self.core.reset_variable(key)
    }

    /// Puts all variables back to their initial values. Fails while a run is under way.
    #[doc(alias = "reset_state")]
    pub fn reset_variables(&mut self) -> Result<(), BindError> {
        self.core.reset_variables()
    }

    /// Sets what is called when a run that was started has ended, before anybody who waits for it is woken. It stays for all
    /// runs until replaced, and is called on the threads that
    /// [`Options::callback_threads`](crate::Options::callback_threads) names.
    ///
    /// It gets the outputs, may bind inputs, and restarts the request by returning [`Next::Again`]. It must not wait for
    /// its own run: that is an error ([`WouldDeadlock`](crate::InferErrorKind::WouldDeadlock)).
    pub fn set_callback(
        &mut self,
        callback: impl FnMut(Completion<'_>) -> Result<Next, BoxError> + Send + 'static,
    ) -> Result<(), BindError> {
        self.core.set_callback(marked(self.host.id, callback))?;
        self.host.has_callback = true;
        // A start that finds no threads delivers on the stream: late, but nothing is lost.
        let _ = self.host.place.expect_callbacks();
        Ok(())
    }

    /// Removes the callback and drops it.
    pub fn clear_callback(&mut self) -> Result<(), BindError> {
        self.core.clear_callback()
    }

    /// A handle for others to stop whatever this request is doing, a blocking [`Request::infer`] included.
    pub fn canceller(&self) -> Canceller {
        self.core.canceller()
    }

    /// A handle for others to watch this request and to wait for it.
    pub fn observer(&self) -> Observer {
        Observer::new(self.core.observer(), &self.host)
    }

    /// What the request is doing at this moment.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// Waits for the newest run, when the [`Run`] was detached or the callback started it. Gives `None` when there never was
    /// one. To wait for what callbacks will yet begin, too, is [`Request::wait_quiet`].
    pub fn wait(&self) -> Result<Option<Outcome>, InferError> {
        self.observer().wait()
    }

    /// As [`Request::wait`], for at most `limit`.
    pub fn wait_for(&self, limit: Duration) -> Result<Watch, InferError> {
        self.observer().wait_for(limit)
    }

    /// Becomes ready when no run is under way, those that callbacks began included. Gives how the latest run ended.
    pub fn quiet(&mut self) -> Quiet<'_> {
        self.core.quiet()
    }

    /// Blocks the calling thread until no run is under way, those that callbacks began included; gives how the latest run
    /// ended. [`Request::wait`] ends with the run that is the newest when it is called, which a callback may have
    /// followed by another.
    ///
    /// # Errors
    /// Only where the wait could never end; see [`Run::wait`](crate::Run::wait).
    pub fn wait_quiet(&mut self) -> Result<Option<Verdict>, InferError> {
        let host = &self.host;
        match wait(&mut self.core.quiet(), None, || host.may_wait())? {
            Poll::Ready(verdict) => Ok(verdict),
            Poll::Pending => unreachable!("there was no limit"),
        }
    }

    /// Refuses new starts for good. A run under way goes on, but its callback is not called any more.
    pub fn stop(&mut self) {
        self.core.stop();
    }

    /// Refuses new starts for good and waits until no run is under way; gives how the latest run ended. The threads are not
    /// touched.
    pub fn stop_and_wait(&mut self) -> Result<Option<Verdict>, InferError> {
        self.core.stop();
        self.wait_quiet()
    }

    /// What each node of the model did in the latest run; empty unless the model was compiled with
    /// [`Options::profiling`](crate::Options::profiling). Fails while a run is under way.
    pub fn profile(&mut self) -> Result<Vec<NodeProfile>, BindError> {
        self.core.profile()
    }

    /// How long the latest run took: from its start to its end, the wait for a stream included, the callback not. `None`
    /// before the first has ended. Fails while a run is under way.
    pub fn latency(&self) -> Result<Option<Duration>, BindError> {
        Ok(self.core.latency()?.map(Duration::from_nanos))
    }

    /// The inputs, in the model's order.
    pub fn inputs(&self) -> &[Port] {
        self.core.inputs()
    }

    /// The outputs, in the model's order.
    pub fn outputs(&self) -> &[Port] {
        self.core.outputs()
    }

    /// The compiled model as its device made it.
    pub fn model(&self) -> &Arc<dyn CompiledModel> {
        self.core.model()
    }

    /// Which executor runs which stage.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        self.core.pipeline()
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.core.fmt(f)
    }
}
