//! A queue of jobs before some requests of a model: the core's, with a call of the facade for each job that is over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use inferry_core::Tensor;
use inferry_core::jobs::{
    Finished, JobError, JobId, JobPool, JobSettings, Overflow, Priority, Refusal, Results, Submit,
    SubmitError,
};
use inferry_core::request::{InferError, InferErrorKind};
use js_sys::Function;
use js_sys::futures::spawn_local;
use wasm_bindgen::prelude::*;

use crate::js::Model;
use crate::promise::{pair, text, thrown};

/// A queue before some requests.
#[wasm_bindgen]
pub struct Jobs(Rc<Inner>);

struct Inner {
    pool: JobPool<u32, ()>,
    /// Called with each job that is over, and `[code, message]` if it is not done.
    over: Function,
    jobs: RefCell<BTreeMap<u32, Place>>,
    collecting: Cell<bool>,
}

/// Where a job is.
enum Place {
    /// In the queue, or running.
    Accepted(JobId),
    /// Waiting to be let in, with the waker of who waits.
    Outside(Option<Waker>),
}

#[wasm_bindgen]
impl Jobs {
    /// `slots` requests; `waiting` jobs may wait for one; `overflow` is `block`, `reject`, `drop-oldest` or `latest`. `over` is
    /// called once for every job, with its number and `undefined` or `[code, message]`, and may call everything.
    ///
    /// # Errors
    /// `[code, message]`: an unknown policy.
    #[wasm_bindgen(constructor)]
    pub fn new(
        model: &Model,
        slots: u32,
        waiting: u32,
        overflow: &str,
        over: Function,
    ) -> Result<Jobs, JsValue> {
        let overflow = match overflow {
            "block" => Overflow::Block,
            "reject" => Overflow::Reject,
            "drop-oldest" => Overflow::DropOldest,
            "latest" => Overflow::Latest,
            other => return Err(pair("invalid-input", &format!("no overflow policy is named {other:?}"))),
        };
        let settings = JobSettings::new(slots as usize)
            .waiting(waiting as usize)
            .overflow(overflow)
            .results(Results::Unordered);
        let made = JobPool::new(model.model.clone(), model.pipeline.clone(), settings, |_| Ok(()));
        let pool = made.map_err(|error| thrown(&error.into()))?;
        Ok(Jobs(Rc::new(Inner { pool, over, jobs: RefCell::default(), collecting: Cell::new(false) })))
    }

    /// Submits a job; a negative priority is after all others, a positive one before.
    pub fn submit(&self, job: u32, priority: i32) {
        let priority = match priority {
            ..0 => Priority::Low,
            0 => Priority::Normal,
            1.. => Priority::High,
        };
        let Ok(input) = Tensor::from_slice(&[job], []) else {
            return self.0.tell(job, &pair("out-of-memory", "there is no memory for a job"));
        };
        let submit = self.0.pool.submit_as(priority, [(0, input)], job);
        self.0.jobs.borrow_mut().insert(job, Place::Outside(None));
        // Usually it is let in at the first poll, and no task is made.
        let mut entering = Entering { inner: self.0.clone(), job, submit: Some(submit) };
        if Pin::new(&mut entering).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            spawn_local(entering);
        }
    }

    /// Cancels a job. True when it will end as cancelled, one that waits at once.
    pub fn cancel(&self, job: u32) -> bool {
        let place = match self.0.jobs.borrow_mut().get_mut(&job) {
            None => return false,
            Some(Place::Accepted(id)) => Ok(*id),
            Some(Place::Outside(waker)) => Err(waker.take()),
        };
        let outside = match place {
            Ok(id) => return self.cancel_accepted(id),
            Err(outside) => outside,
        };
        self.0.jobs.borrow_mut().remove(&job);
        if let Some(waker) = outside {
            waker.wake();
        }
        self.0.tell(job, &pair("cancelled", "the job was cancelled while it waited to be let in"));
        true
    }

    /// How many jobs wait for a request.
    #[wasm_bindgen(getter)]
    pub fn queued(&self) -> u32 {
        let outside =
            self.0.jobs.borrow().values().filter(|place| matches!(place, Place::Outside(_))).count();
        (self.0.pool.queued() + outside) as u32
    }

    /// How many requests are idle.
    #[wasm_bindgen(getter)]
    pub fn idle(&self) -> u32 {
        self.0.pool.idle() as u32
    }

    /// Refuses new jobs, and cancels those that wait. What runs goes on.
    pub fn close(&self) {
        self.0.pool.close();
        self.0.collect();
    }

    fn cancel_accepted(&self, id: JobId) -> bool {
        let cancelled = self.0.pool.cancel(id);
        self.0.collect();
        cancelled
    }
}

impl Inner {
    fn tell(&self, job: u32, error: &JsValue) {
        // The facade's function does not throw; what a user's throws is its affair.
        let _ = self.over.call2(&JsValue::UNDEFINED, &job.into(), error);
    }

    fn let_in(self: &Rc<Self>, job: u32, answer: Result<JobId, SubmitError<u32>>) {
        match answer {
            Ok(id) => {
                self.jobs.borrow_mut().insert(job, Place::Accepted(id));
                self.collect();
            }
            Err(SubmitError { why, .. }) => {
                self.jobs.borrow_mut().remove(&job);
                let code = if matches!(why, Refusal::Full) { "busy" } else { why.kind().code() };
                self.tell(job, &pair(code, &text(&why)));
            }
        }
    }

    /// Sees to it that every job that ends is told of.
    fn collect(self: &Rc<Self>) {
        if self.collecting.replace(true) {
            return;
        }
        let inner = self.clone();
        spawn_local(async move {
            while let Some(finished) = inner.pool.next().await {
                inner.over(finished);
            }
            inner.collecting.set(false);
        });
    }

    fn over(&self, finished: Finished<u32, ()>) {
        self.jobs.borrow_mut().remove(&finished.user);
        let error = finished.result.err().map_or(JsValue::UNDEFINED, |error| rejected(&error));
        self.tell(finished.user, &error);
    }
}

/// A job that waits to be let in.
struct Entering {
    inner: Rc<Inner>,
    job: u32,
    submit: Option<Submit<u32, ()>>,
}

impl Future for Entering {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Entering { inner, job, submit } = &mut *self;
        match inner.jobs.borrow_mut().get_mut(job) {
            Some(Place::Outside(waker)) => *waker = Some(cx.waker().clone()),
            // Cancelled.
            _ => return Poll::Ready(()),
        }
        let Some(future) = submit else { return Poll::Ready(()) };
        let Poll::Ready(answer) = Pin::new(future).poll(cx) else { return Poll::Pending };
        *submit = None;
        inner.let_in(*job, answer);
        Poll::Ready(())
    }
}

/// `[code, message]`; a job whose place a newer one took says so.
fn rejected(error: &InferError) -> JsValue {
    let displaced =
        error.kind() == InferErrorKind::Abandoned && error.to_string() == JobError::Displaced.to_string();
    if displaced { pair("displaced", &text(error)) } else { thrown(error) }
}
