//! The request: what a user holds, and everything that happens between its start and its end.
//!
//! A [`Request`] owns the tensors bound to a model's ports and the device's working memory. It runs as often as one
//! likes, one run at a time:
//!
//! ```text
//!  set_input ─▶ start ─▶ Run ─▶ .await ─▶ Outputs          or, on the caller's stack:   set_input ─▶ infer ─▶ Outputs
//!                         ├─ cancel, token
//!                         └─ the callback, before anybody who waits
//! ```
//!
//! Every run has a number, ends in exactly one [`Verdict`], is delivered once, and then settles: whoever waits is woken, and
//! the request is idle again. *Waiting means: the outputs can be read, and the callback has returned.*
//!
//! The rooms, from the user's side inwards: [`Run`] and [`Infer`] (one run, as a future), the
//! [callback](Completion), [`Canceller`] and [`Observer`] (for others), `bindings` (the tensors), `ledger` (who waits),
//! `life` (the protocol as one pure function), `shared` (the life in an atomic word), `task` and `drive` (what runs), and
//! [`Inbox`] (a queue for executors). Nothing here blocks, and a start takes no memory once the request is warm.

mod batch;
mod begin;
mod bindings;
mod bound;
mod callback;
mod cancel;
mod drive;
mod error;
mod failure;
mod inbox;
mod infer;
mod ledger;
pub(crate) mod life;
mod observer;
mod parts;
mod refusal;
mod run;
mod shared;
mod states;
mod task;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod verdict;
mod word;

pub use bindings::Bindings;
pub use bound::Bound;
pub(crate) use bound::{check, check_shape, least_shape};
pub use callback::{Callback, Completion, Next};
pub use cancel::{CancelToken, Canceller};
pub use error::{BoxError, InferError, InferErrorKind};
pub use failure::Failure;
pub use inbox::{Inbox, Taken};
pub use infer::Infer;
pub use ledger::Outcome;
pub use observer::{Observer, Settled, Status};
pub use parts::Parts;
pub use refusal::{BindError, Given, PortName, PrepareError, StartError};
pub use run::{Outputs, Quiet, Run};
pub use task::{Task, TaskId};
pub use verdict::{Cause, Verdict};
pub use word::{MAX_STAGES, RunId};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::device::CompiledModel;
use crate::executor::Lend;
use crate::pipeline::Pipeline;
use crate::port::{Port, PortKey, Side};
use crate::profile::NodeProfile;
use crate::request::life::{Event, Route};
use crate::request::shared::Handle;
use crate::state::StateMap;
use crate::tensor::Tensor;
use crate::value::Value;

/// A reusable inference request. See the [module](self).
///
/// Dropping it never waits: a run under way is cancelled, its callback is not called, and the memory is freed when the
/// run is over.
pub struct Request {
    handle: Handle,
}

impl Request {
    /// A request for `model` whose stages run on the executors of `pipeline`, with a tensor of zeros at every port.
    ///
    /// Takes all the memory that its runs will need.
    pub fn new(model: Arc<dyn CompiledModel>, pipeline: Arc<Pipeline>) -> Result<Request, PrepareError> {
        Ok(Request { handle: Handle::new(model, pipeline)? })
    }

    /// Starts a run and returns while it goes on.
    ///
    /// The tensors must fit their ports and be held by nobody else; during the run, views of them fail with
    /// [`InUse`](crate::tensor::InUse). If this fails, no stage has begun and the request is as it was (the refusal of an executor uses up the number of a run). A request whose
    /// callback is being called accepts one start, and begins that run when the callback has returned.
    ///
    /// The run is computed by the pipeline's executors. An executor that has no place of its own
    /// ([`Inline`](crate::executor::Inline)) lets this call compute it: then it is over when this returns.
    #[doc(alias = "start_async")]
    pub fn start(&mut self) -> Result<Run<'_>, StartError> {
        self.start_lending(&Lend::SERIAL)
    }

    /// As [`Request::start`]; stages that have to run on the caller's stack are lent this.
    pub fn start_lending(&mut self, lend: &Lend<'_>) -> Result<Run<'_>, StartError> {
        let run = self.begin_on_executors(Route::Executors, lend)?;
        Ok(Run::new(self, run))
    }

    /// Runs all stages on the stack of whoever polls the future that this gives, and does not call the callback.
    ///
    /// Nothing happens before the first poll. The future is pending only while a stage waits for something, or has used up
    /// the budget in `lend`. Others can cancel it by a [`Canceller`].
    pub fn infer<'a>(&'a mut self, lend: Lend<'a>) -> Infer<'a> {
        Infer::new(self, lend)
    }

    /// The tensor bound to an input. Fails while a run is under way.
    pub fn input(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.handle.io()?.tensor(Side::Input, key)
    }

    /// The tensor bound to an input, to fill it. Fails while a run is under way.
    pub fn input_mut(&mut self, key: impl PortKey) -> Result<&mut Tensor, BindError> {
        self.handle.body()?.io.tensor_mut(Side::Input, key)
    }

    /// The tensor bound to an output: after a run that is done, the result. Fails while a run is under way.
    pub fn output(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.handle.io()?.tensor(Side::Output, key)
    }

    /// Binds a tensor to an input; gives the one that was bound. The element type and the shape must be the port's.
    pub fn set_input(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.handle.body()?.io.set(Side::Input, key, tensor)
    }

    /// Binds a tensor to an output, which runs then write; gives the one that was bound. A port whose shape only a run
    /// knows takes any shape of its element type, and the run gives it another tensor when its shape is another.
    pub fn set_output(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.handle.body()?.io.set(Side::Output, key, tensor)
    }

    /// Binds the items of a batch to an input, one tensor an item: each run gathers them behind each other, so later writes
    /// to the items count. The items have the port's element type, 1 as their first extent and all the same others; there
    /// are as many as the port's first extent says. A plain [`Request::set_input`] replaces them, and until then the input
    /// has no tensor to be read ([`BindError::Batched`]). One item is the same as a plain `set_input`.
    #[doc(alias = "set_tensors")]
    pub fn set_inputs(
        &mut self,
        key: impl PortKey,
        items: impl IntoIterator<Item = Tensor>,
    ) -> Result<(), BindError> {
        self.handle.body()?.io.set_items(key, items.into_iter().collect())
    }

    /// Takes the tensor of an output out and binds a fresh one.
    pub fn take_output(&mut self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.handle.body()?.io.take(Side::Output, key)
    }

    /// Binds a value of any kind to an input: the tensors of a sequence (a `Vec`), or `None` where an optional is absent.
    ///
    /// A sequence takes any number of tensors of the port's element type, whose shapes its shape admits. They stay the
    /// caller's: a run reads them where they are.
    pub fn set_value(&mut self, key: impl PortKey, value: impl Into<Value>) -> Result<(), BindError> {
        self.handle.body()?.io.set_value(key, value.into())
    }

    /// What is bound to an output of any kind: after a run that is done, the result. Fails while a run is under way.
    pub fn value(&self, key: impl PortKey) -> Result<Value, BindError> {
        self.handle.io()?.value(Side::Output, key)
    }

    /// Takes the value of an output of any kind out.
    pub fn take_value(&mut self, key: impl PortKey) -> Result<Value, BindError> {
        self.handle.body()?.io.take_value(key)
    }

    /// The variables that the request keeps from run to run, with their types and shapes, in any state; none unless the model
    /// is [`Stateful`](crate::state::Stateful).
    #[doc(alias = "query_state")]
    pub fn variables(&self) -> &[Port] {
        self.model().state().map_or(&[], StateMap::variables)
    }

    /// A copy of the value of a variable: the initial one before the first run and after a reset, and after a run that is
    /// done what that has written. Fails while a run is under way.
    #[doc(alias = "get_state")]
    pub fn variable(&self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.handle.io()?.variable_value(key)
    }

    /// As [`Request::variable`], copied to `target`, which takes the value's shape. Memory is taken only when it has to grow.
    pub fn read_variable(&self, key: impl PortKey, target: &mut Tensor) -> Result<(), BindError> {
        self.handle.io()?.read_variable(key, target)
    }

    /// Copies `value` into a variable, for the next run. The element type and the shape must be the variable's. Fails while a
    /// run is under way.
    #[doc(alias = "set_state")]
    pub fn set_variable(&mut self, key: impl PortKey, value: &Tensor) -> Result<(), BindError> {
        self.handle.body()?.io.set_variable(key, value)
    }

    /// Puts a variable back to its initial value. Fails while a run is under way.
    pub fn reset_variable(&mut self, key: impl PortKey) -> Result<(), BindError> {
        self.handle.body()?.io.reset(key)
    }

    /// Puts all variables back to their initial values. Fails while a run is under way.
    #[doc(alias = "reset_state")]
    pub fn reset_variables(&mut self) -> Result<(), BindError> {
        self.handle.body()?.io.reset_all();
        Ok(())
    }

    /// Sets what is called when a run that was started has ended: once for every run, after its stages and before anybody
    /// who waits is woken. It stays for all runs until replaced.
    ///
    /// It is lent the request for the length of the call, as a [`Completion`]: it may read the result, set the inputs of
    /// a next run, and begin that run by returning [`Next::Again`]. So there is no handle to capture, and none to leak.
    /// Callbacks of one request never overlap. An error that it returns becomes the run's, and is what a waiter gets.
    /// [`Request::infer`] does not call it.
    pub fn set_callback(
        &mut self,
        callback: impl FnMut(Completion<'_>) -> Result<Next, BoxError> + Send + 'static,
    ) -> Result<(), BindError> {
        let old = self.handle.body()?.callback.replace(Box::new(callback));
        drop(old);
        Ok(())
    }

    /// Removes the callback and drops it.
    pub fn clear_callback(&mut self) -> Result<(), BindError> {
        let old = self.handle.body()?.callback.take();
        drop(old);
        Ok(())
    }

    /// A handle for others to stop whatever this request is doing.
    pub fn canceller(&self) -> Canceller {
        Canceller { shared: self.handle.shared().clone() }
    }

    /// A handle for others to watch this request.
    pub fn observer(&self) -> Observer {
        Observer { shared: self.handle.shared().clone() }
    }

    /// What the request is doing at this moment.
    pub fn status(&self) -> Status {
        observer::status(self.handle.shared())
    }

    /// Waits until no run is under way, those that callbacks began included. Gives how the latest run ended.
    pub fn quiet(&mut self) -> Quiet<'_> {
        Quiet::new(self)
    }

    /// Refuses new starts for good. A run under way goes on, but its callback is not called any more and begins no other.
    /// Wait for it with [`Request::quiet`]. Executors are not touched.
    pub fn stop(&mut self) {
        let applied = self.handle.shared().apply(Event::Close);
        debug_assert!(applied.is_ok(), "closing is never refused");
    }

    /// Gives back the device's working memory that the next run can take again. Fails while a run is under way.
    pub fn release_memory(&mut self) -> Result<(), BindError> {
        if let Some(work) = &mut self.handle.body()?.work {
            work.release_memory();
        }
        Ok(())
    }

    /// What each node of the model did in the latest run, slowest or not, in the device's order; empty when the device was
    /// not asked to measure. Fails while a run is under way.
    pub fn profile(&mut self) -> Result<Vec<NodeProfile>, BindError> {
        Ok(self.handle.body()?.work.as_ref().map_or(Vec::new(), |work| work.profile()))
    }

    /// How long the latest run took, in nanoseconds: from its start to its end, the wait for an executor included, the
    /// callback not. `None` when no run has ended, or the pipeline has no clock ([`Pipeline::timed`]). Fails while a run is
    /// under way.
    pub fn latency(&self) -> Result<Option<u64>, BindError> {
        self.handle.latency()
    }

    /// The compiled model, in any state.
    pub fn model(&self) -> &Arc<dyn CompiledModel> {
        &self.handle.shared().model
    }

    /// The pipeline, in any state.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.handle.shared().pipeline
    }

    /// The model's inputs, in any state.
    pub fn inputs(&self) -> &[Port] {
        self.model().inputs()
    }

    /// The model's outputs, in any state.
    pub fn outputs(&self) -> &[Port] {
        self.model().outputs()
    }
}

impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request").field("status", &self.status()).finish_non_exhaustive()
    }
}
