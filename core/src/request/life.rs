//! The whole protocol of a request, as one pure function.
//!
//! A [`Life`] says where a request is: in which [`Phase`], in which run, and what has been asked of it. [`Life::on`]
//! takes an [`Event`] and gives the next life and the [`Command`] that whoever brought the event must now carry out.
//! The phase names the one party that may touch the request's work:
//!
//! ```text
//!             Start              Enter               Over (last or failed)     Delivered
//!    ┌──────┐  1   ┌────────┐  2   ┌─────────┐  3    ┌────────────┐  4
//!    │ Idle │─────▶│ Queued │─────▶│ Running │──────▶│ Delivering │─────▶ Idle, or Queued (the next run)
//!    └──────┘      └────────┘◀─────└─────────┘       └────────────┘
//!     handle          task    Over   task             the deliverer
//!                            (next    │ ▲
//!                            stage) 5 │ │ 6 Enter
//!                         Pended      ▼ │
//!                               ┌────────┐  7  ┌───────┐
//!                               │ Parked │────▶│ Woken │   Nudge or Cancel
//!                               └────────┘     └───────┘
//!                                nobody          task
//! ```
//!
//! `docs/life-of-a-request.md` numbers every arrow and says who makes it; a test below keeps that list complete.
//!
//! Each run has a number and settles exactly once, as one [`Verdict`]. A cancel that was granted is kept in the life
//! until the run is over, so the run cannot end as anything but cancelled.
//!
//! This module has no atomics, no pointers, no time and no executor: `shared` keeps a life in an atomic word and
//! `task` carries out its commands.

use crate::request::verdict::{Cause, Verdict};
use crate::request::word::RunId;

/// Where a request is in its life, and so who owns its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// No run is under way. The handle owns the work. `last` is how the latest run ended.
    Idle { last: Option<Verdict> },
    /// The task of a stage that has not begun is in an executor's hands, or on its way there. The task owns the work.
    Queued { stage: u8 },
    /// The stage is being polled. The task owns the work. `nudged`: a wake or a cancel came meanwhile, so a stage that
    /// returns `Pending` is polled again.
    Running { stage: u8, nudged: bool },
    /// The stage waits for its waker. Nobody owns the work and there is no task.
    Parked { stage: u8 },
    /// The task of a stage that has begun is on its way back to its executor. The task owns the work.
    Woken { stage: u8 },
    /// The stages are over; the callback runs or is about to. The deliverer owns the work. `again`: a start came
    /// meanwhile and the next run has been promised.
    Delivering { verdict: Verdict, again: bool },
}

/// On whose stack the stages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// Each stage on its executor; the callback is called.
    Executors,
    /// All stages on the stack of the caller of `infer`, who is there; the callback is not called.
    Caller,
    /// Each stage on its executor; the callback is not called. So begun, or left behind by a caller who has gone away.
    Silent,
}

/// The state of a request. See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Life {
    pub(crate) phase: Phase,
    /// The current run, or the latest.
    pub(crate) run: RunId,
    pub(crate) route: Route,
    /// From `Queued` to `Woken`: this run was cancelled, and why. In `Delivering`: no further run may begin; one that
    /// was promised ends as cancelled. Never set in `Idle`.
    pub(crate) cancel: Option<Cause>,
    /// No new run may start.
    pub(crate) closed: bool,
    /// The handle is gone. Implies `closed`.
    pub(crate) orphan: bool,
}

/// What can happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// The handle starts run `run`, which must be the next one.
    Start { run: RunId, route: Route },
    /// Anybody cancels run `run`, or whatever goes on.
    Cancel { run: Option<RunId>, cause: Cause },
    /// Somebody wakes the stage that was parked in run `run`; only the bits of the number that a waker carries count.
    Nudge { tag: u8 },
    /// The owner of a task begins to run it.
    Enter,
    /// The stage returned `Pending`.
    Pended,
    /// The stage returned `Ready`, or panicked. `last`: it was the pipeline's last.
    Over { ok: bool, last: bool },
    /// The owner of a task cannot go on: the next run could not be prepared, or an executor refused the task.
    Fail,
    /// The first stage's executor refused the task while `start` waits for its answer: no delivery.
    Refuse,
    /// A task was dropped instead of run.
    Abandon,
    /// The callback has returned, or there was none. `again`: it asked for another run.
    Delivered { ok: bool, again: bool },
    /// The caller of `infer` went away before the end.
    Release,
    /// No new runs, please.
    Close,
    /// The handle was dropped.
    Orphan,
}

/// What the bringer of an event has to do now that it has been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub(crate) enum Command {
    /// Nothing.
    Nothing,
    /// Nothing; the cancel came too late for this run, but no other begins by itself.
    Halted,
    /// Hand a new task for this stage to its executor (or go on here, on the caller's route).
    Dispatch { stage: u8 },
    /// Ask the stage's executor to give the queued task back; if it does, end the run with it.
    Withdraw { stage: u8 },
    /// Poll the stage: the work is yours.
    Poll { stage: u8 },
    /// Leave the request alone: it is parked and the work no longer yours.
    Rest,
    /// Deliver the run: the callback, then [`Event::Delivered`].
    Deliver { verdict: Verdict },
    /// The run is over and the request idle: publish this and wake who waits for it.
    Settle { run: RunId, verdict: Verdict },
    /// As `Settle`, and then begin the next run, which has been started already.
    SettleThenBegin { run: RunId, verdict: Verdict },
    /// As `Settle`, and then deliver the next run, which was cancelled before it began.
    SettleThenDeliver { run: RunId, verdict: Verdict, next: Verdict },
    /// The request was idle: its memory is yours to free.
    Free,
}

/// Why an event was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refused {
    /// A run is under way.
    Busy,
    /// A run is under way and has been cancelled.
    Cancelling,
    /// The request takes no new runs.
    Closed,
    /// There is nothing to cancel: the run is over, or another.
    NotRunning,
    /// The event makes no sense here; only a bug in this crate brings it.
    Protocol,
}

impl Life {
    /// A request that has never run.
    pub(crate) const NEW: Life = Life {
        phase: Phase::Idle { last: None },
        run: RunId::NONE,
        route: Route::Executors,
        cancel: None,
        closed: false,
        orphan: false,
    };

    /// The life after `event`, and what must be done about it.
    pub(crate) fn on(self, event: Event) -> Result<(Life, Command), Refused> {
        use Command::{Free, Halted, Nothing, Poll, Rest, Settle, Withdraw};
        use Event::*;
        use Phase::*;
        let keep = |command| Ok((self, command));
        match (self.phase, event) {
            // Starting: from idle, or remembered while the run before is being delivered.
            (_, Start { .. }) if self.closed => Err(Refused::Closed),
            (Idle { .. }, Start { run, route }) if run == self.run.next() => Ok(self.begin(route)),
            (Delivering { verdict, again: false }, Start { run, route: Route::Executors })
                if run == self.run.next() && self.route == Route::Executors =>
            {
                Ok((Life { phase: Delivering { verdict, again: true }, cancel: None, ..self }, Nothing))
            }
            (Queued { .. } | Running { .. } | Parked { .. } | Woken { .. }, Start { .. })
                if self.cancel.is_some() =>
            {
                Err(Refused::Cancelling)
            }
            (_, Start { .. }) => Err(Refused::Busy),

            // Cancelling: the first cause is kept; asking twice is granted twice.
            (Delivering { again: true, .. }, Cancel { run, cause })
                if run.is_none_or(|run| run == self.run.next()) =>
            {
                Ok((self.cancelled(cause), Nothing))
            }
            (Delivering { again: false, .. }, Cancel { run: None, cause }) => {
                Ok((self.cancelled(cause), Halted))
            }
            (Idle { .. } | Delivering { .. }, Cancel { .. }) => Err(Refused::NotRunning),
            (_, Cancel { run: Some(run), .. }) if run != self.run => Err(Refused::NotRunning),
            (_, Cancel { .. }) if self.cancel.is_some() => keep(Nothing),
            (Queued { stage }, Cancel { cause, .. }) => Ok((self.cancelled(cause), Withdraw { stage })),
            (Running { stage, .. }, Cancel { cause, .. }) => {
                Ok((self.cancelled(cause).to(Running { stage, nudged: true }), Nothing))
            }
            (Parked { stage }, Cancel { cause, .. }) => Ok(self.cancelled(cause).wake(stage)),
            (Woken { .. }, Cancel { cause, .. }) => Ok((self.cancelled(cause), Nothing)),

            // Waking. Applied even where it changes nothing: the swap is what makes the waker's writes visible.
            (Running { stage, .. }, Nudge { tag }) if tag == self.run.tag() => {
                Ok((self.to(Running { stage, nudged: true }), Nothing))
            }
            (Parked { stage }, Nudge { tag }) if tag == self.run.tag() => Ok(self.wake(stage)),
            (_, Nudge { .. }) => keep(Nothing),

            // The task's way through a stage.
            (Queued { stage }, Enter) => match self.cancel {
                Some(cause) => Ok(self.end(Verdict::Cancelled(cause))),
                None => Ok((self.to(Running { stage, nudged: false }), Poll { stage })),
            },
            (Woken { stage }, Enter) => Ok((self.to(Running { stage, nudged: false }), Poll { stage })),
            (Running { stage, nudged: true }, Pended) => Ok(self.wake(stage)),
            (Running { stage, nudged: false }, Pended) => Ok((self.to(Parked { stage }), Rest)),
            (Running { .. }, Over { ok: false, .. }) => Ok(self.end(self.verdict_or(Verdict::Failed))),
            (Running { .. }, Over { last: true, .. }) => Ok(self.end(self.verdict_or(Verdict::Done))),
            (Running { stage, .. }, Over { .. }) => match self.cancel {
                Some(cause) => Ok(self.end(Verdict::Cancelled(cause))),
                None => Ok((self.to(Queued { stage: stage + 1 }), Command::Dispatch { stage: stage + 1 })),
            },

            // The task's other ends.
            (Queued { .. } | Woken { .. }, Fail) => Ok(self.end(self.verdict_or(Verdict::Failed))),
            (Queued { .. } | Woken { .. }, Abandon) => Ok(self.end(self.verdict_or(Verdict::Abandoned))),
            (Queued { stage: 0 }, Refuse) => {
                let verdict = self.verdict_or(Verdict::Failed);
                Ok((self.rest(verdict), Settle { run: self.run, verdict }))
            }
            (Delivering { .. }, Abandon) => Ok(self.delivered(true, false)),
            (Delivering { .. }, Delivered { ok, again }) => Ok(self.delivered(ok, again)),

            // The handle's or the caller's leave.
            (Queued { .. }, Release) if self.route == Route::Caller => {
                let cause = self.cancel.unwrap_or(Cause::Dropped);
                Ok(self.end(Verdict::Cancelled(cause)))
            }
            (Parked { stage } | Woken { stage }, Release) if self.route == Route::Caller => {
                let left = Life { route: Route::Silent, ..self.cancelled(Cause::Dropped) };
                Ok((left.to(Woken { stage }), Command::Dispatch { stage }))
            }
            (Delivering { again: true, .. }, Close) => {
                Ok((Life { closed: true, ..self.cancelled(Cause::Dropped) }, Nothing))
            }
            (_, Close) => Ok((Life { closed: true, ..self }, Nothing)),
            (_, Orphan) if self.orphan => Err(Refused::Protocol),
            (Idle { .. }, Orphan) => Ok((self.orphaned(), Free)),
            (Delivering { .. }, Orphan) => Ok((self.orphaned().cancelled(Cause::Dropped), Nothing)),
            (_, Orphan) => {
                let left = self.orphaned();
                let event = match self.route {
                    Route::Caller => Release,
                    _ => Cancel { run: None, cause: Cause::Dropped },
                };
                left.on(event)
            }

            (_, Enter | Pended | Over { .. } | Fail | Refuse | Abandon | Delivered { .. } | Release) => {
                Err(Refused::Protocol)
            }
        }
    }

    /// The run that has been cancelled and is not over, and why.
    pub(crate) fn stop_cause(self) -> Option<Cause> {
        match self.phase {
            Phase::Idle { .. } | Phase::Delivering { .. } => None,
            _ => self.cancel,
        }
    }

    fn to(self, phase: Phase) -> Life {
        Life { phase, ..self }
    }

    fn cancelled(self, cause: Cause) -> Life {
        Life { cancel: self.cancel.or(Some(cause)), ..self }
    }

    fn orphaned(self) -> Life {
        Life { orphan: true, closed: true, ..self }
    }

    fn verdict_or(self, verdict: Verdict) -> Verdict {
        self.cancel.map_or(verdict, Verdict::Cancelled)
    }

    fn begin(self, route: Route) -> (Life, Command) {
        let run = self.run.next();
        let life = Life { phase: Phase::Queued { stage: 0 }, run, route, cancel: None, ..self };
        (life, Command::Dispatch { stage: 0 })
    }

    fn wake(self, stage: u8) -> (Life, Command) {
        (self.to(Phase::Woken { stage }), Command::Dispatch { stage })
    }

    fn end(self, verdict: Verdict) -> (Life, Command) {
        let phase = Phase::Delivering { verdict, again: false };
        let cancel = self.orphan.then_some(Cause::Dropped);
        (Life { phase, cancel, ..self }, Command::Deliver { verdict })
    }

    fn rest(self, verdict: Verdict) -> Life {
        Life { phase: Phase::Idle { last: Some(verdict) }, route: Route::Executors, cancel: None, ..self }
    }

    /// The run settles. A run that was promised by `Start` begins, or ends as cancelled at once; one that only the
    /// callback asked for begins unless a cancel came meanwhile.
    fn delivered(self, ok: bool, wanted: bool) -> (Life, Command) {
        let Phase::Delivering { verdict, again } = self.phase else { unreachable!("only from Delivering") };
        let verdict = if ok || verdict != Verdict::Done { verdict } else { Verdict::Failed };
        let run = self.run;
        match self.cancel {
            Some(cause) if again => {
                let next = Verdict::Cancelled(cause);
                let (begun, _) = self.begin(Route::Executors);
                (begun.end(next).0, Command::SettleThenDeliver { run, verdict, next })
            }
            None if again || (wanted && !self.closed && self.route == Route::Executors) => {
                (self.begin(Route::Executors).0, Command::SettleThenBegin { run, verdict })
            }
            _ => (self.rest(verdict), Command::Settle { run, verdict }),
        }
    }
}

#[cfg(test)]
#[path = "life_walk.rs"]
mod walk;
