//! What a pool of jobs knows, under its lock: the queue, the slots and what each has, the results, who waits.
//!
//! Nothing here calls foreign code or drops a user's value: what has to be started, ended, dropped or woken is handed out, and
//! `drive` does it after the lock.

use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::jobs::board::Board;
use crate::jobs::queue::{QUEUED, Queue, Room};
use crate::jobs::wait::{NewJob, WaitList};
use crate::jobs::{Finished, JobId, JobSettings, Priority, Refusal};
use crate::request::{CancelToken, InferError, Outcome, Request, Settled};
use crate::tensor::Tensor;

/// All of it.
pub(super) struct State<U, R> {
    pub(super) queue: Queue<Job<U>>,
    pub(super) slots: Vec<Slot<U>>,
    pub(super) board: Board<Finished<U, R>>,
    pub(super) first_error: Option<InferError>,
    pub(super) next: u64,
    pub(super) closed: bool,
    /// Somebody starts jobs.
    pub(super) pumping: bool,
    /// Lists of inputs that have been used up.
    pub(super) spare: Vec<Inputs>,
    pub(super) submitters: WaitList,
    pub(super) readers: WaitList,
    pub(super) waiters: WaitList,
}

/// A job that waits.
pub(super) struct Job<U> {
    pub(super) id: JobId,
    pub(super) inputs: Inputs,
    pub(super) user: U,
}

pub(super) struct Slot<U> {
    /// `None` while it is being started.
    pub(super) request: Option<Request>,
    /// Not idle: from when a job was taken for it until its run has settled.
    pub(super) busy: bool,
    /// The job, until the callback takes it.
    pub(super) job: Option<(JobId, U)>,
    /// Somebody cancelled the job: it ends so, whatever its run does.
    pub(super) cancelled: bool,
    pub(super) token: Option<CancelToken>,
    pub(super) settled: Option<Settled>,
    /// A panic passed through the callback, which nobody caught, and it is gone.
    pub(super) deaf: bool,
}

/// What a run that has settled leaves in its slot; dropped outside of the lock.
pub(super) struct Over<U> {
    /// The job, when the callback did not take it.
    pub(super) left: Option<(JobId, U)>,
    pub(super) cancelled: bool,
    pub(super) outcome: Option<Outcome>,
    pub(super) _settled: Option<Settled>,
    pub(super) _token: Option<CancelToken>,
}

/// The tensors of a job, by the index of their inputs.
pub(super) type Inputs = Vec<(usize, Tensor)>;

/// What became of a job at the door.
pub(super) enum Door<U> {
    In(JobId),
    /// One that waited has made room: try again.
    Displaced(Job<U>, NewJob<U>),
    Refused(NewJob<U>, Refusal),
}

impl<U, R> State<U, R> {
    pub(super) fn new(settings: JobSettings, requests: Vec<Request>) -> State<U, R> {
        // Accepted and not over, plus the one at the door.
        let held = settings.slots + settings.waiting.min(QUEUED) + 1;
        let ports = requests.first().map_or(0, |request| request.inputs().len());
        State {
            queue: Queue::new(settings.waiting, settings.overflow),
            slots: requests.into_iter().map(Slot::new).collect(),
            board: Board::new(settings.results, settings.most_open(), held),
            first_error: None,
            next: 0,
            closed: false,
            pumping: false,
            spare: (0..held).map(|_| Vec::with_capacity(ports)).collect(),
            submitters: WaitList::new(),
            readers: WaitList::new(),
            waiters: WaitList::new(),
        }
    }

    pub(super) fn admit(&mut self, job: NewJob<U>) -> Door<U> {
        if self.closed {
            return Door::Refused(job, Refusal::Closed);
        }
        // Asked first: nothing is displaced for a job that then cannot come in.
        if !self.board.has_room() {
            return Door::Refused(job, Refusal::Untaken);
        }
        match self.queue.room(job.priority, self.idle()) {
            Room::Full => return Door::Refused(job, Refusal::Full),
            Room::Free => {}
            Room::Displace => match self.queue.displace() {
                Some(old) => return Door::Displaced(old, job),
                None => return Door::Refused(job, Refusal::Full),
            },
        }
        let id = JobId(self.next);
        self.next += 1;
        self.board.expect(id.0);
        let NewJob { inputs, user, priority } = job;
        self.queue.push(priority, Job { id, inputs, user });
        Door::In(id)
    }

    /// The next job with a slot for it.
    pub(super) fn next_start(&mut self) -> Option<(usize, Request, Inputs)> {
        let index = self.slots.iter().position(|slot| !slot.busy)?;
        let Job { id, inputs, user } = self.queue.pop()?;
        let slot = &mut self.slots[index];
        slot.busy = true;
        slot.cancelled = false;
        slot.job = Some((id, user));
        Some((index, slot.request.take().expect("an idle slot has its request"), inputs))
    }

    /// A slot whose run has settled, with what it leaves behind.
    pub(super) fn settled(&mut self, cx: &mut Context<'_>) -> Option<Over<U>> {
        self.slots.iter_mut().find_map(|slot| {
            let Poll::Ready(outcome) = Pin::new(slot.settled.as_mut()?).poll(cx) else { return None };
            slot.busy = false;
            let (left, cancelled) = (slot.job.take(), slot.cancelled);
            Some(Over { left, cancelled, outcome, _settled: slot.settled.take(), _token: slot.token.take() })
        })
    }

    /// Marks a job that has not been delivered as cancelled; gives the token of its run, if that has begun.
    pub(super) fn mark_cancelled(&mut self, id: JobId) -> Option<Option<CancelToken>> {
        let slot = self.slots.iter_mut().find(|slot| matches!(&slot.job, Some((job, _)) if *job == id))?;
        slot.cancelled = true;
        Some(slot.token.clone())
    }

    pub(super) fn idle(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.busy).count()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Nothing is queued, runs or is being delivered.
    pub(super) fn is_quiet(&self) -> bool {
        self.queue.len() == 0 && self.idle() == self.slots.len()
    }

    pub(super) fn has_room(&self) -> bool {
        !self.submitters.is_empty()
            && (self.closed
                || (self.board.has_room() && self.queue.room(Priority::High, self.idle()) != Room::Full))
    }

    pub(super) fn take_result(&mut self) -> Option<Finished<U, R>> {
        self.board.take()
    }

    pub(super) fn take_first_error(&mut self) -> Option<InferError> {
        self.first_error.take()
    }

    /// The job of a slot, and whether the slot is idle; `None` when there is no such slot.
    pub(super) fn slot(&self, index: usize) -> Option<(Option<JobId>, bool)> {
        let slot = self.slots.get(index)?;
        Some((slot.job.as_ref().map(|(id, _)| *id), !slot.busy))
    }
}

impl<U> Slot<U> {
    pub(super) fn new(request: Request) -> Slot<U> {
        Slot {
            request: Some(request),
            busy: false,
            job: None,
            cancelled: false,
            token: None,
            settled: None,
            deaf: false,
        }
    }
}
