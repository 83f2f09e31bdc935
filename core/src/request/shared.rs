//! What a request's handle, its task and its wakers share: the life in one atomic word, and the work beside it.
//!
//! [`Shared::apply`] is the only place where the word changes. The phase in the word says who may touch the [`Body`]:
//!
//! - `Idle`: the one [`Handle`], which is neither `Clone` nor `Copy`, and only through a borrow of it; nothing but a
//!   start, which borrows the handle mutably, ends this phase.
//! - `Queued`, `Running`, `Woken`, `Delivering`: the one `Task`; see `task.rs`.
//! - `Parked`: nobody.
//!
//! Changing the word with acquire and release is what passes the body from one owner to the next. Nothing here blocks,
//! and no foreign code is called.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::ptr;

use crate::device::{CompiledModel, Work};
use crate::pipeline::Pipeline;
use crate::request::bindings::Bindings;
use crate::request::callback::Callback;
use crate::request::error::InferError;
use crate::request::failure::Failure;
use crate::request::ledger::Ledger;
use crate::request::life::{Command, Event, Life, Phase, Refused, Route};
use crate::request::refusal::{BindError, PrepareError, StartError};
use crate::request::{RunId, task};
use crate::sync::{Arc, AtomicPtr, AtomicWord, Ordering, UnsafeCell};
use crate::trace::{Happening, TraceEvent};
use crate::turn::StopSource;

/// A request, as everyone who has to do with it sees it. Aligned so that a waker can carry the low bits of a run's number
/// in the low bits of its pointer.
#[repr(align(64))]
pub(crate) struct Shared {
    word: AtomicWord,
    /// The next request in the inbox that holds this one's task; belongs to the task.
    pub(super) link: AtomicPtr<Shared>,
    pub(crate) ledger: Ledger,
    pub(crate) model: alloc::sync::Arc<dyn CompiledModel>,
    pub(crate) pipeline: alloc::sync::Arc<Pipeline>,
    pub(super) body: UnsafeCell<Body>,
}

// SAFETY: all fields but the body are `Sync`. The body is reached by one party at a time, as the module says; its parts
// are `Send`. Several threads can reach it at once only by shared borrows of the handle, which give out `&Bindings` and
// nothing else, and bindings are `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

const _: () = {
    const fn sync<T: Sync + Send>() {}
    const fn send<T: Send>() {}
    sync::<Bindings>();
    send::<Body>();
};

/// What only the owner of the moment may touch.
pub(crate) struct Body {
    /// The device's memory; `None` when it has to be prepared anew, or the request is gone.
    pub(super) work: Option<Box<dyn Work>>,
    pub(super) io: Bindings,
    pub(super) callback: Option<Callback>,
    /// The run has been made ready, and no stage of it polled.
    pub(super) fresh: bool,
    /// A stage of the run has been polled, and the run has not ended.
    pub(super) begun: bool,
    /// When the run began, and how long the latest took.
    pub(super) times: Times,
    /// What the last stage that was polled failed with.
    pub(super) trouble: Option<Trouble>,
    /// The error of the run that is being delivered, or of the latest.
    pub(super) error: Option<InferError>,
}

/// Readings of the pipeline's clock.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    /// The start of the run under way.
    pub(super) started: u64,
    /// Nanoseconds from start to end of the latest run that has ended.
    pub(super) latency: Option<u64>,
}

/// What went wrong in a run.
pub(super) enum Trouble {
    /// A stage returned a failure.
    Failed(usize, Failure),
    /// A stage panicked with this message.
    Panicked(usize, Box<str>),
    /// An executor refused this stage.
    Refused(usize),
    /// The run could not be prepared.
    Unprepared(StartError),
}

impl Shared {
    /// Where the request is in its life.
    pub(crate) fn life(&self) -> Life {
        Life::from_word(self.word.load(Ordering::Acquire))
    }

    /// Applies an event: the only place where a life changes.
    pub(crate) fn apply(&self, event: Event) -> Result<(Life, Command), Refused> {
        self.apply_if(event, |_| true)
    }

    /// Applies an event if the phase is one that `allowed` names; otherwise the request is `Busy`.
    ///
    /// The swap happens even when the life stays the same, as for a wake that changes nothing: whoever acquires the word
    /// afterwards sees what was written before the wake.
    pub(crate) fn apply_if(
        &self,
        event: Event,
        allowed: impl Fn(Phase) -> bool,
    ) -> Result<(Life, Command), Refused> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let before = Life::from_word(word);
            if !allowed(before.phase) {
                return Err(Refused::Busy);
            }
            let (life, command) = before.on(event)?;
            let swapped =
                self.word.compare_exchange_weak(word, life.to_word(), Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => return Ok((life, command)),
                Err(seen) => word = seen,
            }
        }
    }

    /// Tells whoever traces the pipeline.
    pub(super) fn trace(&self, run: RunId, what: Happening<'_>) {
        if let Some(trace) = self.pipeline.trace() {
            let request = core::ptr::from_ref(self).addr();
            trace.event(&TraceEvent::new(request, run, what));
        }
    }

    /// The name and index of a stage, for errors.
    pub(super) fn stage_name(&self, stage: usize) -> (usize, &'static str) {
        (stage, self.model.stages().get(stage).map_or("unknown", |info| info.name))
    }

    /// The name of what runs a stage: on the route of `infer`, its caller.
    pub(super) fn executor_name(&self, stage: usize) -> &str {
        match Shared::on_callers_stack(self.life()) {
            true => "caller",
            false => self.pipeline.stages().get(stage).map_or("unknown", |executor| executor.name()),
        }
    }

    /// Frees what an orphan owned. Only for the deliverer whose event made an orphan idle.
    pub(super) fn gut_orphan(&self) {
        let life = self.life();
        assert!(life.orphan && matches!(life.phase, Phase::Idle { .. }), "still alive: {life:?}");
        // SAFETY: an orphan that is idle never leaves that phase. The handle left before it came there and so did not
        // free the body; the deliverer, of whom there was one, calls this once.
        drop(self.body.with_mut(|body| unsafe { (*body).gut() }));
    }

    /// True on the route of `infer`, whose caller goes on by itself.
    pub(super) fn on_callers_stack(life: Life) -> bool {
        life.route == Route::Caller
    }
}

impl StopSource for Shared {
    fn stopped(&self) -> bool {
        // Relaxed: the flag carries nothing but itself, and a stage looks again soon.
        Life::from_word(self.word.load(Ordering::Relaxed)).stop_cause().is_some()
    }
}

impl Body {
    /// Makes ready for a run: work that was lost is prepared anew, and the tensors are checked and leased.
    pub(super) fn make_ready(&mut self, shared: &Shared) -> Result<(), StartError> {
        if self.work.is_none() {
            self.work = Some(shared.model.prepare()?);
        }
        self.io.hold()?;
        self.times.started = shared.pipeline.clock().map_or(0, |clock| clock.now());
        self.fresh = true;
        self.trouble = None;
        self.error = None;
        Ok(())
    }

    /// Lets go of all that a request owns: it has no handle any more. What it gives must be dropped by the caller, since
    /// dropping runs foreign code.
    pub(super) fn gut(&mut self) -> impl Sized + use<> {
        self.io.release();
        let io = Bindings::new(&[], &[]).expect("no ports, no tensors");
        (self.work.take(), self.callback.take(), core::mem::replace(&mut self.io, io))
    }
}

/// The one handle of a request; dropping it cancels what is under way and frees the rest when that is over.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(
        model: alloc::sync::Arc<dyn CompiledModel>,
        pipeline: alloc::sync::Arc<Pipeline>,
    ) -> Result<Handle, PrepareError> {
        let (given, wanted) = (pipeline.stages().len(), model.stages().len());
        if given != wanted || wanted == 0 || wanted > crate::request::MAX_STAGES {
            return Err(PrepareError::Stages { given, wanted });
        }
        let io = Bindings::of(&*model)?;
        let work = Some(model.prepare()?);
        let times = Times::default();
        let body =
            Body { work, io, callback: None, fresh: false, begun: false, times, trouble: None, error: None };
        Ok(Handle(Arc::new(Shared {
            word: AtomicWord::new(Life::NEW.to_word()),
            link: AtomicPtr::new(ptr::null_mut()),
            ledger: Ledger::new(),
            model,
            pipeline,
            body: UnsafeCell::new(body),
        })))
    }

    /// What others may share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// The tensors, while no run is under way.
    pub(crate) fn io(&self) -> Result<&Bindings, BindError> {
        self.check_idle()?;
        // SAFETY: the phase is `Idle`, which only a start ends, and that takes `&mut self`. Until then nobody but holders
        // of `&self` reaches the body, and they only read.
        Ok(self.0.body.with(|body| unsafe { &(*body).io }))
    }

    /// Nanoseconds of the latest run.
    pub(crate) fn latency(&self) -> Result<Option<u64>, BindError> {
        self.check_idle()?;
        // SAFETY: as above: who holds `&self` only reads, and this gives a copy.
        Ok(self.0.body.with(|body| unsafe { (*body).times.latency }))
    }

    /// The body, while no run is under way.
    pub(crate) fn body(&mut self) -> Result<&mut Body, BindError> {
        self.check_idle()?;
        // SAFETY: the phase is `Idle`, which only a start ends, and `&mut self` keeps starts and readers away.
        Ok(self.0.body.with_mut(|body| unsafe { &mut *body }))
    }

    fn check_idle(&self) -> Result<(), BindError> {
        let life = self.0.life();
        match life.phase {
            Phase::Idle { .. } => Ok(()),
            _ if life.stop_cause().is_some() => Err(BindError::Cancelling),
            _ => Err(BindError::Busy),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if task::bring(&self.0, Event::Orphan) == Ok(Command::Free) {
            // SAFETY: the phase was `Idle` when the handle left, and no run can start without a handle.
            drop(self.0.body.with_mut(|body| unsafe { (*body).gut() }));
        }
    }
}
