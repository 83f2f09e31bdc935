//! The completion callback: called once for every run that was started, after its stages and before anybody who waits
//! is woken.
//!
//! It borrows the request for the length of the call: the result may be read, the inputs of a next run be set. It starts
//! that run by returning [`Next::Again`], so there is no handle to capture and none to leak. Callbacks of one request
//! never overlap. A blocking `infer` does not call it.

use alloc::boxed::Box;

use crate::port::{PortKey, Side};
use crate::request::bindings::Bindings;
use crate::request::error::{BoxError, InferError};
use crate::request::refusal::BindError;
use crate::request::{RunId, Verdict};
use crate::tensor::Tensor;
use crate::value::Value;

/// What is called when a run has ended; see [`Request::set_callback`](crate::request::Request::set_callback).
pub type Callback = Box<dyn FnMut(Completion<'_>) -> Result<Next, BoxError> + Send + 'static>;

/// What a callback wants to happen next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the request becomes idle.
    #[default]
    Rest,
    /// Another run with the tensors that are bound now. It begins after this run has settled; when it cannot (a tensor
    /// does not fit, or is held by somebody else), it fails and is delivered like any other. A cancel that came during
    /// the callback wins: then no run begins.
    Again,
}

/// A run that has just ended, as its callback sees it.
pub struct Completion<'a> {
    pub(super) run: RunId,
    pub(super) verdict: Verdict,
    pub(super) error: Option<&'a InferError>,
    pub(super) io: &'a mut Bindings,
    pub(super) latency: Option<u64>,
    pub(super) replacement: &'a mut Replacement,
}

/// What a callback has put in its own place.
pub(super) enum Replacement {
    Keep,
    Exchange(Option<Callback>),
}

impl Completion<'_> {
    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// How the run ended.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why the run failed or was cancelled; `None` when it is done.
    pub fn error(&self) -> Option<&InferError> {
        self.error
    }

    /// How long the run took, in nanoseconds; see [`Request::latency`](crate::request::Request::latency).
    pub fn latency(&self) -> Option<u64> {
        self.latency
    }

    /// Nothing, or the run's error, for `?`.
    pub fn result(&self) -> Result<(), InferError> {
        self.error.map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The tensor bound to an output. Its numbers are the result only when the run is done.
    pub fn output(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.io.tensor(Side::Output, key)
    }

    /// The tensor bound to an input.
    pub fn input(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.io.tensor(Side::Input, key)
    }

    /// The tensor bound to an input, to fill for the next run.
    pub fn input_mut(&mut self, key: impl PortKey) -> Result<&mut Tensor, BindError> {
        self.io.tensor_mut(Side::Input, key)
    }

    /// Binds a tensor to an input for the runs to come; gives the one that was bound.
    pub fn set_input(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.io.set(Side::Input, key, tensor)
    }

    /// Binds a tensor to an output for the runs to come; gives the one that was bound.
    pub fn set_output(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.io.set(Side::Output, key, tensor)
    }

    /// Binds the items of a batch to an input for the runs to come; see
    /// [`Request::set_inputs`](crate::request::Request::set_inputs).
    pub fn set_inputs(
        &mut self,
        key: impl PortKey,
        items: impl IntoIterator<Item = Tensor>,
    ) -> Result<(), BindError> {
        self.io.set_items(key, items.into_iter().collect())
    }

    /// Binds a value of any kind to an input for the runs to come; see
    /// [`Request::set_value`](crate::request::Request::set_value).
    pub fn set_value(&mut self, key: impl PortKey, value: impl Into<Value>) -> Result<(), BindError> {
        self.io.set_value(key, value.into())
    }

    /// What an output is, whatever its kind.
    pub fn value(&self, key: impl PortKey) -> Result<Value, BindError> {
        self.io.value(Side::Output, key)
    }

    /// Takes the value of an output of any kind out.
    pub fn take_value(&mut self, key: impl PortKey) -> Result<Value, BindError> {
        self.io.take_value(key)
    }

    /// A copy of the value of a variable. When the run is done, it is what the run has written.
    pub fn variable(&self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.io.variable_value(key)
    }

    /// Copies the value of a variable to `target`, which takes its shape.
    pub fn read_variable(&self, key: impl PortKey, target: &mut Tensor) -> Result<(), BindError> {
        self.io.read_variable(key, target)
    }

    /// Copies `value` into a variable, for the next run.
    pub fn set_variable(&mut self, key: impl PortKey, value: &Tensor) -> Result<(), BindError> {
        self.io.set_variable(key, value)
    }

    /// Puts a variable back to its initial value.
    pub fn reset_variable(&mut self, key: impl PortKey) -> Result<(), BindError> {
        self.io.reset(key)
    }

    /// Puts all variables back to their initial values.
    pub fn reset_variables(&mut self) {
        self.io.reset_all();
    }

    /// Takes an output out and leaves a fresh tensor in its place.
    pub fn take_output(&mut self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.io.take(Side::Output, key)
    }

    /// Another callback for the runs to come. This one is dropped when it has returned.
    pub fn set_callback(
        &mut self,
        callback: impl FnMut(Completion<'_>) -> Result<Next, BoxError> + Send + 'static,
    ) {
        *self.replacement = Replacement::Exchange(Some(Box::new(callback)));
    }

    /// No callback for the runs to come. This one is dropped when it has returned.
    pub fn clear_callback(&mut self) {
        *self.replacement = Replacement::Exchange(None);
    }
}
