//! What a completion callback gets: the core's, and a mark on the thread that is inside of it.
//!
//! The mark is how a wait in a run's own callback is noticed. A callback that another one puts in its place is marked as
//! well, which is all that this adds to the core's completion.

use inferry_core::request::{self as core_request, BindError, BoxError, InferError, Next, RunId, Verdict};
use inferry_core::{PortKey, Tensor, Value};

use crate::here::{self, Id};

/// A run that has just ended, as its callback sees it.
///
/// It borrows the request for the length of the call: the result may be read, and the inputs of a next run be set, which
/// begins when the callback returns [`Next::Again`].
pub struct Completion<'a> {
    core: core_request::Completion<'a>,
    request: Id,
}

/// The callback as the core calls it.
pub(crate) fn marked(
    request: Id,
    mut callback: impl FnMut(Completion<'_>) -> Result<Next, BoxError> + Send + 'static,
) -> impl FnMut(core_request::Completion<'_>) -> Result<Next, BoxError> + Send + 'static {
    move |core| {
        let _inside = here::enter_callback(request);
        callback(Completion { core, request })
    }
}

impl Completion<'_> {
    /// The run.
    pub fn run(&self) -> RunId {
        self.core.run()
    }

    /// How the run ended.
    pub fn verdict(&self) -> Verdict {
        self.core.verdict()
    }

    /// Why the run failed or was cancelled; `None` when it is done.
    pub fn error(&self) -> Option<&InferError> {
        self.core.error()
    }

    /// Nothing, or the run's error, for `?`.
    pub fn result(&self) -> Result<(), InferError> {
        self.core.result()
    }

    /// The tensor bound to an output. Its numbers are the result only when the run is done.
    pub fn output(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.core.output(key)
    }

    /// The tensor bound to an input.
    pub fn input(&self, key: impl PortKey) -> Result<&Tensor, BindError> {
        self.core.input(key)
    }

    /// The tensor bound to an input, to fill for the next run.
    pub fn input_mut(&mut self, key: impl PortKey) -> Result<&mut Tensor, BindError> {
        self.core.input_mut(key)
    }

    /// Binds a tensor to an input for the runs to come; gives the one that was bound.
    pub fn set_input(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.core.set_input(key, tensor)
    }

    /// Binds a tensor to an output for the runs to come; gives the one that was bound.
    pub fn set_output(&mut self, key: impl PortKey, tensor: Tensor) -> Result<Tensor, BindError> {
        self.core.set_output(key, tensor)
    }

    /// Binds the items of a batch to an input for the runs to come; see [`Request::set_inputs`](crate::Request::set_inputs).
    pub fn set_inputs(
        &mut self,
        key: impl PortKey,
        items: impl IntoIterator<Item = Tensor>,
    ) -> Result<(), BindError> {
        self.core.set_inputs(key, items)
    }

    /// Binds a value of any kind to an input for the runs to come; see [`Request::set_value`](crate::Request::set_value).
    pub fn set_value(&mut self, key: impl PortKey, value: impl Into<Value>) -> Result<(), BindError> {
        self.core.set_value(key, value)
    }

    /// What an output is, whatever its kind.
    pub fn value(&self, key: impl PortKey) -> Result<Value, BindError> {
        self.core.value(key)
    }

    /// Takes the value of an output of any kind out.
    pub fn take_value(&mut self, key: impl PortKey) -> Result<Value, BindError> {
        self.core.take_value(key)
    }

    /// A copy of the value of a variable. When the run is done, it is what the run has written.
    pub fn variable(&self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.core.variable(key)
    }

    /// Copies the value of a variable to `target`, which takes its shape.
    pub fn read_variable(&self, key: impl PortKey, target: &mut Tensor) -> Result<(), BindError> {
        self.core.read_variable(key, target)
    }

    /// Copies `value` into a variable, for the next run.
    pub fn set_variable(&mut self, key: impl PortKey, value: &Tensor) -> Result<(), BindError> {
        self.core.set_variable(key, value)
    }

    /// Puts a variable back to its initial value.
    pub fn reset_variable(&mut self, key: impl PortKey) -> Result<(), BindError> {
        self.core.reset_variable(key)
    }

    /// Puts all variables back to their initial values.
    pub fn reset_variables(&mut self) {
        self.core.reset_variables();
    }

    /// Takes an output out and leaves a fresh tensor in its place.
    pub fn take_output(&mut self, key: impl PortKey) -> Result<Tensor, BindError> {
        self.core.take_output(key)
    }

    /// Another callback for the runs to come. This one is dropped when it has returned.
    pub fn set_callback(
        &mut self,
        callback: impl FnMut(Completion<'_>) -> Result<Next, BoxError> + Send + 'static,
    ) {
        self.core.set_callback(marked(self.request, callback));
    }

    /// No callback for the runs to come. This one is dropped when it has returned.
    pub fn clear_callback(&mut self) {
        self.core.clear_callback();
    }
}
