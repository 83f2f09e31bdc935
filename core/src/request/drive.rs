//! What is done with a task: polling a stage, hopping to the next executor, delivering, settling.
//!
//! Each step ends with an event whose command says what comes next. Foreign code (a stage, a callback, an executor, a
//! waker) is called only between two events, and after the event that ends a task's right the body is not touched again.
//! This file decides nothing about the protocol: `life` does.

use alloc::boxed::Box;
use core::task::{Context, Poll};

use crate::executor::{Lend, Submitted};
use crate::request::callback::{Completion, Next, Replacement};
use crate::request::error::{BoxError, InferError, InferErrorKind};
use crate::request::failure::Failure;
use crate::request::ledger::Outcome;
use crate::request::life::{Command, Event, Life, Phase, Route};
use crate::request::shared::{Body, Shared, Trouble};
use crate::request::task::Task;
use crate::request::{RunId, Verdict};
use crate::sync::Arc;
use crate::trace::{Happening, StageEnd};
use crate::turn::{Stop, Turn};
use crate::unwind;

/// On whose stack a run has come to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Of whoever runs the stages: a callback without an executor of its own is called here.
    Executor,
    /// Of somebody who woke or cancelled: a callback is not to be called here.
    Elsewhere,
}

impl Task {
    /// One stage or one delivery; gives the task back when it shall go on here.
    pub(super) fn step(self, lend: &Lend<'_>) -> Option<Task> {
        if let Phase::Delivering { .. } = self.shared().life().phase {
            return self.deliver();
        }
        match self.apply(Event::Enter) {
            (life, Command::Poll { stage }) => self.poll(life.run, stage.into(), lend),
            (_, Command::Deliver { verdict }) => self.end(verdict, Place::Executor),
            (_, other) => unreachable!("{other:?} from Enter"),
        }
    }

    pub(super) fn poll(self, run: RunId, stage: usize, lend: &Lend<'_>) -> Option<Task> {
        let shared = self.shared();
        if shared.pipeline.trace().is_some() {
            let (executor, (_, name)) = (shared.executor_name(stage), shared.stage_name(stage));
            shared.trace(run, Happening::StageBegins { stage, name, executor });
        }
        let guard = Unwinding { task: Some(self), stage: Some(stage) };
        let task = guard.task();
        let mut over = false;
        let polled = unwind::contained(|| {
            let waker = task.waker(run);
            let turn = Turn::new(Stop::new(&**task.shared()), lend.slice(), lend.parallel);
            task.with_body(|body| {
                let polled = body.poll(stage, &turn, &mut Context::from_waker(&waker));
                over = matches!(polled, Poll::Ready(Ok(())))
                    && body.work.as_ref().is_some_and(|work| work.is_over());
                polled
            })
        });
        let task = guard.finished();
        let shared = task.shared();
        if shared.pipeline.trace().is_some() {
            let how = match &polled {
                Ok(Poll::Ready(Ok(()))) => StageEnd::Ready,
                Ok(Poll::Pending) => StageEnd::Pending,
                _ => StageEnd::Failed,
            };
            let (_, name) = shared.stage_name(stage);
            shared.trace(run, Happening::StageEnds { stage, name, how });
        }
        match polled {
            Ok(Poll::Pending) => match task.apply(Event::Pended) {
                (_, Command::Rest) => {
                    // From the swap on the work is whoever's is woken; only the count is ours to give back.
                    drop(task.into_arc());
                    None
                }
                (life, Command::Dispatch { stage }) => task.submit(life, stage, Place::Executor),
                (_, other) => unreachable!("{other:?} from Pended"),
            },
            Ok(Poll::Ready(Ok(()))) => {
                let last = over || stage + 1 == task.shared().pipeline.stages().len();
                task.over(true, last)
            }
            Ok(Poll::Ready(Err(failure))) => task.failed(Trouble::Failed(stage, failure)),
            Err(message) => task.panicked(stage, message),
        }
    }

    fn failed(self, trouble: Trouble) -> Option<Task> {
        self.with_body(|body| body.trouble = Some(trouble));
        self.over(false, false)
    }

    /// The work is in doubt: it is dropped, and the next start prepares another.
    fn panicked(self, stage: usize, message: Box<str>) -> Option<Task> {
        drop(self.with_body(|body| body.work.take()));
        self.failed(Trouble::Panicked(stage, message))
    }

    fn over(self, ok: bool, last: bool) -> Option<Task> {
        match self.apply(Event::Over { ok, last }) {
            (life, Command::Dispatch { stage }) => self.submit(life, stage, Place::Executor),
            (_, Command::Deliver { verdict }) => self.end(verdict, Place::Executor),
            (_, other) => unreachable!("{other:?} from Over"),
        }
    }

    /// Hands the task to the executor of a stage. On the caller's route it stays, or the caller is told to poll again.
    pub(super) fn submit(self, life: Life, stage: u8, place: Place) -> Option<Task> {
        if Shared::on_callers_stack(life) {
            if let Phase::Queued { .. } = life.phase {
                return Some(self);
            }
            self.into_arc().ledger.rouse_owner();
            return None;
        }
        match self.offer(stage) {
            Ok(here) => here,
            Err(task) => {
                task.leave_standing(life);
                task.with_body(|body| body.trouble = Some(Trouble::Refused(stage.into())));
                task.fail(place)
            }
        }
    }

    /// Offers the task to the executor of a stage; the error is a refusal.
    pub(super) fn offer(self, stage: u8) -> Result<Option<Task>, Task> {
        // The executor must outlive the call, and the task, which keeps it alive, is moved into it.
        let keep = Arc::clone(self.shared());
        match keep.pipeline.stages()[usize::from(stage)].submit(self) {
            Submitted::Taken => Ok(None),
            Submitted::RunHere(task) => Ok(Some(task)),
            Submitted::Refused(task) => Err(task),
        }
    }

    /// A stage that had begun will not be polled again: what it has in memory is in doubt.
    fn leave_standing(&self, life: Life) {
        if let Phase::Woken { .. } = life.phase {
            drop(self.with_body(|body| body.work.take()));
        }
    }

    fn fail(self, place: Place) -> Option<Task> {
        match self.apply(Event::Fail) {
            (_, Command::Deliver { verdict }) => self.end(verdict, place),
            (_, other) => unreachable!("{other:?} from Fail"),
        }
    }

    /// Ends a cancelled run whose task an executor has given back.
    pub(super) fn end_withdrawn(self) -> Option<Task> {
        match self.apply(Event::Enter) {
            (_, Command::Deliver { verdict }) => self.end(verdict, Place::Elsewhere),
            (_, other) => unreachable!("{other:?} from Enter after a cancel"),
        }
    }

    /// The task was dropped instead of run.
    pub(super) fn abandon(self) -> Option<Task> {
        let before = self.shared().life();
        if let Phase::Delivering { .. } = before.phase {
            // A panic of the device may have passed through before the tensors were set free.
            self.with_body(|body| body.io.release());
            return self.settle(Event::Abandon);
        }
        self.leave_standing(before);
        match self.apply(Event::Abandon) {
            (_, Command::Deliver { verdict }) => self.end(verdict, Place::Executor),
            (_, other) => unreachable!("{other:?} from Abandon"),
        }
    }

    /// The stages are over: writes down how, sets the tensors free, and brings the run to where it is delivered.
    pub(super) fn end(self, verdict: Verdict, place: Place) -> Option<Task> {
        let life = self.shared().life();
        self.shared().trace(life.run, Happening::Ended { verdict });
        self.give_up_unless(verdict == Verdict::Done);
        let trouble = self.with_body(|body| {
            body.io.release();
            if verdict == Verdict::Done {
                body.io.advance();
            }
            body.trouble.take()
        });
        let error = self.error(life.run, verdict, trouble);
        let now = self.shared().pipeline.clock().map(|clock| clock.now());
        let has_callback = self.with_body(|body| {
            body.error = error;
            body.times.latency = now.map(|now| now.saturating_sub(body.times.started));
            body.callback.is_some()
        });
        if !has_callback || life.route != Route::Executors {
            return self.deliver();
        }
        let keep = Arc::clone(self.shared());
        let executor = match (keep.pipeline.delivery(), place) {
            (Some(executor), _) => executor,
            (None, Place::Executor) => return self.deliver(),
            (None, Place::Elsewhere) => keep.pipeline.stages().last().expect("a pipeline has stages"),
        };
        match executor.submit(self) {
            Submitted::Taken => None,
            Submitted::RunHere(task) => Some(task),
            // Nobody else will, and the run has to settle.
            Submitted::Refused(task) => task.deliver(),
        }
    }

    /// Tells the device that no other stage of its run comes. What panics there leaves the work in doubt.
    fn give_up_unless(&self, done: bool) {
        let begun = self.with_body(|body| core::mem::take(&mut body.begun));
        if !begun || done {
            return;
        }
        let told = unwind::contained(|| self.with_body(|body| body.work.as_mut().map(|work| work.give_up())));
        if told.is_err() {
            drop(self.with_body(|body| body.work.take()));
        }
    }

    fn error(&self, run: RunId, verdict: Verdict, trouble: Option<Trouble>) -> Option<InferError> {
        let shared = self.shared();
        let name = |stage| shared.stage_name(stage);
        let why = trouble.map(|trouble| match trouble {
            Trouble::Failed(stage, failure) => InferError::stage_failed(run, name(stage), failure),
            Trouble::Panicked(stage, message) => InferError::stage_panicked(run, name(stage), message),
            Trouble::Refused(stage) => {
                InferError::refused(run, name(stage), shared.pipeline.stages()[stage].name())
            }
            Trouble::Unprepared(error) => InferError::restart_failed(run, error),
        });
        match verdict {
            Verdict::Done => None,
            Verdict::Failed => why.or_else(|| Some(InferError::ended(run, verdict, None))),
            Verdict::Cancelled(_) | Verdict::Abandoned => {
                // That a stage stopped because it was asked to explains nothing.
                let why = why.filter(|why| why.kind() != InferErrorKind::Cancelled);
                Some(InferError::ended(run, verdict, why))
            }
        }
    }

    /// Calls the callback, settles the run, and begins the next one when it was asked for.
    fn deliver(self) -> Option<Task> {
        let life = self.shared().life();
        let Phase::Delivering { verdict, .. } = life.phase else { unreachable!("delivering in {life:?}") };
        if life.route != Route::Executors || life.closed {
            return self.settle(Event::Delivered { ok: true, again: false });
        }
        let (task, answer) = self.call_back(life.run, verdict);
        let (ok, again) = match answer {
            Ok(next) => (true, next == Next::Again),
            Err(trouble) => {
                task.with_body(|body| body.blame_callback(life.run, verdict, trouble));
                (false, false)
            }
        };
        task.settle(Event::Delivered { ok, again })
    }

    /// Asks the callback, if there is one. It is taken out for the call, since it may put another in its place.
    fn call_back(self, run: RunId, verdict: Verdict) -> (Task, Result<Next, CallbackTrouble>) {
        let Some(mut callback) = self.with_body(|body| body.callback.take()) else {
            return (self, Ok(Next::Rest));
        };
        let guard = Unwinding { task: Some(self), stage: None };
        let task = guard.task();
        let mut replacement = Replacement::Keep;
        task.shared().trace(run, Happening::CallbackBegins);
        let answer = unwind::contained(|| {
            task.with_body(|Body { io, error, times, .. }| {
                let (error, latency) = (error.as_ref(), times.latency);
                callback(Completion { run, verdict, error, io, latency, replacement: &mut replacement })
            })
        });
        let task = guard.finished();
        task.shared().trace(run, Happening::CallbackEnds);
        let kept = match replacement {
            Replacement::Keep => Some(callback),
            Replacement::Exchange(new) => {
                drop(callback);
                new
            }
        };
        task.with_body(|body| body.callback = kept);
        let answer = match answer {
            Ok(answer) => answer.map_err(CallbackTrouble::Failed),
            Err(message) => Err(CallbackTrouble::Panicked(message)),
        };
        (task, answer)
    }

    fn settle(self, event: Event) -> Option<Task> {
        let error = self.with_body(|body| body.error.clone());
        let (life, command) = self.apply(event);
        match command {
            Command::Settle { run, verdict } => {
                self.shared().trace(run, Happening::Settled { verdict });
                self.rest(life, Outcome { run, verdict, error });
                None
            }
            Command::SettleThenBegin { run, verdict } => {
                self.shared().trace(run, Happening::Settled { verdict });
                self.shared().ledger.settle(Outcome { run, verdict, error });
                self.begin_next(life)
            }
            Command::SettleThenDeliver { run, verdict, next } => {
                self.shared().trace(run, Happening::Settled { verdict });
                self.shared().ledger.settle(Outcome { run, verdict, error });
                self.end(next, Place::Executor)
            }
            other => unreachable!("{other:?} from {event:?}"),
        }
    }

    /// The request has become idle: the work is the handle's, or nobody's when there is none.
    pub(super) fn rest(self, life: Life, outcome: Outcome) {
        let shared = self.into_arc();
        shared.ledger.settle(outcome);
        if life.orphan {
            shared.gut_orphan();
        }
    }

    fn begin_next(self, life: Life) -> Option<Task> {
        let shared = Arc::clone(self.shared());
        match self.with_body(|body| body.make_ready(&shared)) {
            Ok(()) => {
                shared.trace(life.run, Happening::Started);
                self.submit(life, 0, Place::Executor)
            }
            Err(error) => {
                self.with_body(|body| body.trouble = Some(Trouble::Unprepared(error)));
                self.fail(Place::Executor)
            }
        }
    }
}

/// What went wrong in a callback.
enum CallbackTrouble {
    Failed(BoxError),
    Panicked(Box<str>),
}

impl Body {
    fn poll(&mut self, stage: usize, turn: &Turn<'_>, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(work) = &mut self.work else { unreachable!("a run that was made ready has its work") };
        if core::mem::take(&mut self.fresh) {
            if let Err(failure) = self.io.gather() {
                return Poll::Ready(Err(failure));
            }
            work.begin();
        }
        self.begun = true;
        work.poll_stage(stage, &mut self.io, turn, cx)
    }

    /// The callback's error becomes the run's. A run that was cancelled or abandoned stays so, with this as the source.
    fn blame_callback(&mut self, run: RunId, verdict: Verdict, trouble: CallbackTrouble) {
        let ended_by_itself = matches!(verdict, Verdict::Cancelled(_) | Verdict::Abandoned);
        let earlier = self.error.take().filter(|_| !ended_by_itself);
        let error = match trouble {
            CallbackTrouble::Failed(error) => InferError::callback_failed(run, error, earlier),
            CallbackTrouble::Panicked(message) => InferError::callback_panicked(run, message, earlier),
        };
        self.error = Some(if ended_by_itself { InferError::ended(run, verdict, Some(error)) } else { error });
    }
}

/// Settles the run when a panic passes through: there is no catcher, or it did not catch.
struct Unwinding {
    task: Option<Task>,
    /// The stage that is being polled; `None` while the callback is being called.
    stage: Option<usize>,
}

impl Unwinding {
    fn task(&self) -> &Task {
        self.task.as_ref().expect("held until finished")
    }

    fn finished(mut self) -> Task {
        self.task.take().expect("held until finished")
    }
}

impl Drop for Unwinding {
    fn drop(&mut self) {
        let Some(task) = self.task.take() else { return };
        let message: Box<str> = "see the output of the thread that ran it".into();
        let due = match self.stage {
            Some(stage) => task.panicked(stage, message),
            None => {
                let life = task.shared().life();
                if let Phase::Delivering { verdict, .. } = life.phase {
                    let trouble = CallbackTrouble::Panicked(message);
                    task.with_body(|body| body.blame_callback(life.run, verdict, trouble));
                }
                task.settle(Event::Delivered { ok: false, again: false })
            }
        };
        if let Some(task) = due {
            task.run(&Lend::SERIAL);
        }
    }
}
