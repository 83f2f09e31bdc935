//! What a device must give.
//!
//! A [`Device`] compiles a graph into a [`CompiledModel`]: ports, the names of its stages, and [`prepare`]. What `prepare`
//! gives is a [`Work`]: everything one request will ever need besides its tensors. The request owns the tensors (the
//! [`Bindings`]) and polls the work, stage by stage; the pipeline that the host makes says on which executor.
//!
//! A device does not start threads, does not wait, and does not know of requests, runs or callbacks.
//!
//! [`prepare`]: CompiledModel::prepare

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use crate::port::Port;
use crate::profile::NodeProfile;
use crate::remote::{ContextId, NoContext, RemoteContext};
use crate::request::{Bindings, BoxError, Failure, PrepareError};
use crate::state::StateMap;
use crate::turn::Turn;

/// Something that can compile graphs and run them.
pub trait Device {
    /// What it compiles; the core does not name it.
    type Graph: ?Sized;
    /// How it compiles.
    type Options;
    /// Why it did not.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The device's name, as in `cpu`.
    fn name(&self) -> &str;

    /// Compiles a graph.
    fn compile(
        &self,
        graph: &Self::Graph,
        options: &Self::Options,
    ) -> Result<Arc<dyn CompiledModel>, Self::Error>;

    /// The device's own memory, for tensors that stay there between runs.
    ///
    /// # Errors
    /// When it has none, or none that others could use.
    fn context(&self) -> Result<&dyn RemoteContext, NoContext> {
        Err(NoContext { device: self.name().into() })
    }
}

/// What a stage does for a living, so that a host can choose its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StageKind {
    /// It computes: run it where there are cores to spare.
    Compute,
    /// It blocks its thread until a device is done: run it on a thread of that device's own, never on a compute thread.
    Wait,
}

/// A stage as a device describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageInfo {
    /// Its name, for errors and traces.
    pub name: &'static str,
    /// What it does.
    pub kind: StageKind,
}

/// A model compiled for a device; any number of requests share it.
pub trait CompiledModel: Send + Sync {
    /// The inputs, in the model's order; `inputs()[i].index == i`.
    fn inputs(&self) -> &[Port];

    /// The outputs, in the model's order.
    fn outputs(&self) -> &[Port];

    /// The context whose tensors may be bound to the ports, besides those of the host. A stage finds out of each bound tensor
    /// where it is ([`Tensor::as_remote`](crate::Tensor::as_remote)).
    fn context(&self) -> Option<&ContextId> {
        None
    }

    /// The stages of a run, in order: one that computes, unless the device says otherwise. At least 1, at most
    /// [`MAX_STAGES`](crate::request::MAX_STAGES).
    fn stages(&self) -> &[StageInfo] {
        &[StageInfo { name: "infer", kind: StageKind::Compute }]
    }

    /// Which of the device's ports are joined into variables. Devices leave this as it is: a [`Stateful`] around their model
    /// says it, and its lists of ports do not have those.
    ///
    /// [`Stateful`]: crate::state::Stateful
    fn state(&self) -> Option<&StateMap> {
        None
    }

    /// Writes all that the device needs to make this model again without compiling it, piece after piece, to `write`. The
    /// device says what these bytes are and how they are read; they hold everything, and refer to no other file.
    ///
    /// # Errors
    /// [`ExportError`]: a model that cannot be exported, and what `write` says.
    fn export(&self, write: &mut dyn FnMut(&[u8]) -> Result<(), BoxError>) -> Result<(), ExportError> {
        let _ = write;
        Err(ExportError::Unsupported)
    }

    /// Everything one request will ever need besides its tensors. The only place that allocates; called again only after
    /// a panic has left a request's work in doubt.
    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError>;
}

/// Why a compiled model could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A model of a kind that has no form of its own: of a device without export, or one that was made of others (cut over
    /// devices, chosen between them, with variables, in batches). What it was made of may have.
    #[error("compiled models of this kind cannot be exported; the model that a device compiled may be")]
    Unsupported,
    /// What it is written to does not take it.
    #[error("writing the compiled model: {0}")]
    Write(BoxError),
    /// The device cannot write it.
    #[error("the compiled model cannot be exported: {0}")]
    Device(BoxError),
}

/// The working memory of one request, and the position of its run.
///
/// `Send` everywhere: what cannot move between threads stays in a table on the thread that made it, and the work holds
/// an id.
pub trait Work: Send {
    /// A new run begins. Forget where the run before stood: it may have ended at any stage, or between two polls of one.
    fn begin(&mut self) {}

    /// The run under way has ended before its last stage was over: it was cancelled between two stages, failed, or an
    /// executor did not take it. Stop what the stages have set going elsewhere, so that a device does not go on with a run
    /// that nobody wants. Must not wait. The tensors' leases end right after it: what a device still writes to must be its
    /// own. Not called when the work is dropped instead, after a panic.
    fn give_up(&mut self) {}

    /// What each node did in the latest run; empty when the device was not asked to measure. Called while no run is under
    /// way.
    fn profile(&self) -> Vec<NodeProfile> {
        Vec::new()
    }

    /// Asked when a stage is over: true when the stages after it have nothing to do in this run. It is then done, without a
    /// hop to their executors.
    fn is_over(&self) -> bool {
        false
    }

    /// No run is under way and none is soon to come: give back what memory can be taken again by the next.
    fn release_memory(&mut self) {}

    /// Runs a stage, or goes on with it.
    ///
    /// `io` holds the bound tensors, leased for the run. Between blocks of work (at most about 2 ms) the stage asks
    /// [`Turn::stop_requested`], and then gives up with [`Failure::stopped`]; and [`Turn::used_up`], and then wakes
    /// itself (`cx.waker().wake_by_ref()`) and returns `Pending`. A stage that waits for something else keeps the waker
    /// and returns `Pending`: the request is parked, no thread waits, and the wake may come from anywhere. As with any
    /// future, a stage may be polled without having been woken. A cancel wakes a parked stage; it may return `Pending`
    /// again when it cannot stop yet, and the run still ends as cancelled.
    ///
    /// A waker keeps the request's shared block alive, and with it the model: keep it in the work or in the operation that
    /// will wake it, and not in what the model owns.
    ///
    /// A failure ends the run: later stages are not polled, and [`Work::give_up`] is called. After a panic the work is dropped and prepared anew.
    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>>;
}
