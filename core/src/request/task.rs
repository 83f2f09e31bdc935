//! The one-word right to run a request's next stage, and the waker that makes a new one.
//!
//! A [`Task`] exists while the phase is `Queued`, `Running`, `Woken` or `Delivering`, and there is never a second one: it
//! is made where [`Shared::apply`] gives `Dispatch` or `Deliver`, and ends where the word says that the work is no
//! longer its. So whoever has the task may touch the body. What is done with that right is in `drive.rs`; a task itself
//! runs nothing.
#![allow(unsafe_code)]

use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::task::{RawWaker, RawWakerVTable, Waker};

use crate::executor::Lend;
use crate::request::RunId;
use crate::request::drive::Place;
use crate::request::life::{Command, Event, Life, Phase, Refused, Route};
use crate::request::shared::{Body, Shared};
use crate::request::word::TAG_MASK;
use crate::sync::Arc;

/// The right to run the next stage of a request, or to deliver its run. One pointer; moves anywhere.
///
/// An executor gets it by [`submit`](crate::executor::Executor::submit) and calls [`Task::run`]. Dropping it ends the run
/// as [`Abandoned`](crate::request::Verdict::Abandoned), so no waiter hangs when an executor is shut down.
pub struct Task(ManuallyDrop<Arc<Shared>>);

/// Which request, and which run of it, a task carries forward: to find it in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskId(usize, RunId);

impl Task {
    /// The task's identity among all tasks alive.
    pub fn id(&self) -> TaskId {
        id(&self.0, self.run_id())
    }

    /// The run that this task carries forward.
    pub fn run_id(&self) -> RunId {
        self.0.life().run
    }

    /// The number of the stage that is due, or `None` when it is the delivery.
    pub fn stage(&self) -> Option<usize> {
        match self.0.life().phase {
            Phase::Queued { stage } | Phase::Woken { stage } => Some(stage.into()),
            _ => None,
        }
    }

    /// Runs what is due: a stage, or the delivery; then hands the request on to the next executor. Runs several when an
    /// executor hands the task back to be run here.
    ///
    /// When a stage panics and no [catcher](crate::unwind) is installed the panic passes through here; the run settles
    /// on the way.
    pub fn run(self, lend: &Lend<'_>) {
        let mut due = Some(self);
        while let Some(task) = due {
            due = task.step(lend);
        }
    }

    /// The task of a request.
    ///
    /// # Safety
    /// The request's word must just have been changed to a phase in which a task owns the work, and no other task made
    /// of it.
    pub(super) unsafe fn new(shared: Arc<Shared>) -> Task {
        Task(ManuallyDrop::new(shared))
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Touches the work. `touch` must not have this task: it would touch the work twice.
    pub(super) fn with_body<R>(&self, touch: impl FnOnce(&mut Body) -> R) -> R {
        // SAFETY: a task exists only in the phases in which it owns the work, and there is one. No caller gives a
        // closure that leads back here, and foreign code (a stage, a callback) cannot reach a task that is being run.
        self.0.body.with_mut(|body| touch(unsafe { &mut *body }))
    }

    /// Applies an event that only the owner of a task brings, and so cannot be refused.
    pub(super) fn apply(&self, event: Event) -> (Life, Command) {
        self.0.apply(event).unwrap_or_else(|refused| panic!("the owner's {event:?} was refused: {refused:?}"))
    }

    /// The waker of the stage that is being polled, in this run. It borrows the task's count.
    pub(super) fn waker(&self, run: RunId) -> impl Deref<Target = Waker> {
        let data = tagged(Arc::as_ptr(&self.0), run.tag());
        // SAFETY: the vtable's functions ask for what `tagged` makes. Never dropped, so it needs no count of its own.
        ManuallyDrop::new(unsafe { Waker::new(data, &VTABLE) })
    }

    /// Gives up the right without abandoning the run: the word says that it is over, or passes the right on.
    pub(super) fn into_arc(self) -> Arc<Shared> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is not used again and its `drop` does not run.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl core::fmt::Debug for Task {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Task({:?}, {:?})", self.run_id(), self.stage())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: taken once, in the last use of `self`; the right passes to the new task.
        let task = unsafe { Task::new(ManuallyDrop::take(&mut self.0)) };
        if let Some(task) = task.abandon() {
            task.run(&Lend::SERIAL);
        }
    }
}

fn id(shared: &Arc<Shared>, run: RunId) -> TaskId {
    TaskId(Arc::as_ptr(shared).addr(), run)
}

/// Applies an event that somebody else than the task's owner brings, and carries out its command. What has to be run on the
/// spot is run.
pub(super) fn bring(shared: &Arc<Shared>, event: Event) -> Result<Command, Refused> {
    let (life, command) = shared.apply(event)?;
    let due = match command {
        Command::Dispatch { stage } => {
            // SAFETY: the word has just been changed to `Woken`, by us: `Parked` has no task, nor has an `infer` whose
            // caller leaves it.
            let task = unsafe { Task::new(Arc::clone(shared)) };
            task.submit(life, stage, Place::Elsewhere)
        }
        Command::Deliver { verdict } => {
            // SAFETY: the word has just been changed to `Delivering`, by us, from a phase whose owner was the caller of
            // `infer`, who has left without a task.
            let task = unsafe { Task::new(Arc::clone(shared)) };
            task.end(verdict, Place::Elsewhere)
        }
        Command::Withdraw { stage } if !Shared::on_callers_stack(life) => {
            let executor = &shared.pipeline.stages()[usize::from(stage)];
            executor.withdraw(id(shared, life.run)).and_then(Task::end_withdrawn)
        }
        _ => None,
    };
    if let Some(task) = due {
        task.run(&Lend::SERIAL);
    }
    Ok(command)
}

/// Begins run `run`, in one of the phases that `allowed` names. Gives its task, or `None` when the start was remembered
/// during a delivery, whose deliverer will begin it.
pub(super) fn start(
    shared: &Arc<Shared>,
    run: RunId,
    route: Route,
    allowed: impl Fn(Phase) -> bool,
) -> Result<Option<Task>, Refused> {
    match shared.apply_if(Event::Start { run, route }, allowed)? {
        // SAFETY: the word has just been changed from `Idle` to `Queued`, by us, which is the command to make the task.
        (_, Command::Dispatch { .. }) => Ok(Some(unsafe { Task::new(Arc::clone(shared)) })),
        _ => Ok(None),
    }
}

/// Goes on with a stage that was woken on the caller's route, on the caller's stack. Only for the caller of `infer`.
pub(super) fn resume_caller(shared: &Arc<Shared>, lend: &Lend<'_>) -> Option<Task> {
    assert!(Shared::on_callers_stack(shared.life()), "nobody calls `infer` on this request");
    match shared.apply_if(Event::Enter, |phase| matches!(phase, Phase::Woken { .. })) {
        Ok((life, Command::Poll { stage })) => {
            // SAFETY: the word has just been changed to `Running`, by us. On this route a waker makes no task, and only
            // the one caller comes here.
            let task = unsafe { Task::new(Arc::clone(shared)) };
            task.poll(life.run, stage.into(), lend)
        }
        _ => None,
    }
}

// ---- the waker: a counted pointer to the shared state, with the low bits of the run's number in its low bits ----------

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn tagged(shared: *const Shared, tag: u8) -> *const () {
    shared.map_addr(|address| address | usize::from(tag)).cast()
}

fn untagged(data: *const ()) -> (*const Shared, u8) {
    let mask = TAG_MASK as usize;
    (data.map_addr(|address| address & !mask).cast(), (data.addr() & mask) as u8)
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the data is a pointer from an `Arc` whose count the waker being cloned keeps above zero.
    unsafe { Arc::increment_strong_count(untagged(data).0) };
    RawWaker::new(data, &VTABLE)
}

unsafe fn wake(data: *const ()) {
    let (shared, tag) = untagged(data);
    // SAFETY: this waker's count passes to the `Arc`.
    nudge(&unsafe { Arc::from_raw(shared) }, tag);
}

unsafe fn wake_by_ref(data: *const ()) {
    let (shared, tag) = untagged(data);
    // SAFETY: the count stays with the waker: this `Arc` is never dropped.
    nudge(&ManuallyDrop::new(unsafe { Arc::from_raw(shared) }), tag);
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: this waker's count passes to the `Arc`, and with it away.
    drop(unsafe { Arc::from_raw(untagged(data).0) });
}

fn nudge(shared: &Arc<Shared>, tag: u8) {
    let nudged = bring(shared, Event::Nudge { tag });
    debug_assert!(nudged.is_ok(), "a wake is never refused");
}
