//! A request of a model: the core's, with a promise for each run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use inferry_core::Tensor;
use inferry_core::request::{
    self, BoxError, Completion, InferError, InferErrorKind, Next, Observer, Status, Verdict,
};
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

use crate::js::Model;
use crate::promise::{pair, promise, result, thrown};
use crate::table::Table;

thread_local! {
    static CALLBACKS: Table<Called> = const { Table::new() };
}

/// What the callback of a request needs, found by its number.
struct Called {
    number: u32,
    function: RefCell<Option<Function>>,
    /// True while the function runs.
    calling: Cell<bool>,
    /// The job of the run that the function has asked for.
    again: Cell<Option<u32>>,
}

/// A reusable request.
#[wasm_bindgen]
pub struct Request {
    inner: RefCell<request::Request>,
    observer: Observer,
    called: Rc<Called>,
}

#[wasm_bindgen]
impl Request {
    /// A request of the model.
    ///
    /// # Errors
    /// `[code, message]`.
    #[wasm_bindgen(constructor)]
    pub fn new(model: &Model) -> Result<Request, JsValue> {
        let made = request::Request::new(model.model.clone(), model.pipeline.clone());
        let inner = made.map_err(|error| thrown(&error.into()))?;
        let called = CALLBACKS.with(|table| {
            table.put(|number| {
                let (function, calling, again) = <(RefCell<_>, Cell<_>, Cell<_>)>::default();
                Rc::new(Called { number, function, calling, again })
            })
        });
        Ok(Request { observer: inner.observer(), inner: RefCell::new(inner), called })
    }

    /// Starts a run of a job. The promise settles when the run has: after the callback. While the callback is being called, the
    /// run begins when that has returned.
    ///
    /// # Errors
    /// `[code, message]`, when the run cannot start.
    pub fn start_async(&self, job: u32) -> Result<Promise, JsValue> {
        if self.called.calling.get() {
            return self.start_again(job);
        }
        let mut inner = self.inner.try_borrow_mut().map_err(|_| busy())?;
        let bound = inner.input_mut(0).map(|input| {
            // Nobody else has a share in it.
            input.as_slice_mut::<u32>().map(|mut slot| slot[0] = job)
        });
        match bound {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(busy()),
            Err(error) => return Err(thrown(&error.into())),
        }
        inner.start().map_err(|error| thrown(&error.into()))?.detach();
        drop(inner);
        let settled = self.observer.settled();
        Ok(promise(async move { result(settled.await) }))
    }

    /// Cancels the run under way. True when it will end as cancelled.
    pub fn cancel(&self) -> bool {
        self.called.again.set(None);
        self.canceller().is_some_and(|canceller| canceller.cancel())
    }

    /// As [`Request::cancel`], but the run ends as timed out.
    pub fn expire(&self) -> bool {
        self.called.again.set(None);
        self.canceller().is_some_and(|canceller| canceller.expire())
    }

    /// Sets what is called once per run, before its promise settles: with `undefined`, or the code and the message of what went
    /// wrong. It says whether it failed by what it returns.
    ///
    /// # Errors
    /// `busy` while a run is under way.
    pub fn set_callback(&self, function: Option<Function>) -> Result<(), JsValue> {
        // The function that is being called may put another in its place.
        if !self.called.calling.get() {
            let mut inner = self.inner.try_borrow_mut().map_err(|_| busy())?;
            let number = self.called.number;
            let set = match &function {
                Some(_) => inner.set_callback(move |done| deliver(number, done)),
                None => inner.clear_callback(),
            };
            set.map_err(|error| thrown(&error.into()))?;
        }
        *self.called.function.borrow_mut() = function;
        Ok(())
    }

    /// `idle`, `queued`, `running`, `delivering`, `done`, `failed`, `cancelled` or `timed-out`.
    #[wasm_bindgen(getter)]
    pub fn status(&self) -> String {
        status(self.observer.status()).into()
    }

    /// Refuses new runs. One under way goes on.
    pub fn stop(&self) {
        if let Ok(mut inner) = self.inner.try_borrow_mut() {
            inner.stop();
        }
    }

    fn canceller(&self) -> Option<request::Canceller> {
        self.inner.try_borrow().ok().map(|inner| inner.canceller())
    }

    /// From the callback: the run begins when that has returned.
    fn start_again(&self, job: u32) -> Result<Promise, JsValue> {
        if self.called.again.get().is_some() {
            return Err(busy());
        }
        self.called.again.set(Some(job));
        let (observer, first) = (self.observer.clone(), self.observer.settled());
        Ok(promise(async move {
            let before = first.await.map(|outcome| outcome.run);
            // The wake of this is a microtask of its own, before any in which the next run could be over.
            let next = observer.settled();
            match next.await {
                Some(outcome) if Some(outcome.run) != before => result(Some(outcome)),
                _ => Err(InferError::new(InferErrorKind::Cancelled, "the run was cancelled before it began")),
            }
        }))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        drop(CALLBACKS.with(|table| table.remove(self.called.number)));
    }
}

/// Calls the user's function.
fn deliver(number: u32, mut done: Completion<'_>) -> Result<Next, BoxError> {
    let Some(called) = CALLBACKS.with(|table| table.get(number)) else { return Ok(Next::Rest) };
    let Some(function) = called.function.borrow().clone() else { return Ok(Next::Rest) };
    let argument = done.error().map_or(JsValue::UNDEFINED, thrown);
    called.calling.set(true);
    let returned = function.call1(&JsValue::UNDEFINED, &argument);
    called.calling.set(false);
    let failed = returned.map_or(true, |failed| failed.is_truthy());
    let again = called.again.take();
    if failed {
        return Err("the callback threw".into());
    }
    let Some(job) = again else { return Ok(Next::Rest) };
    done.set_input(0, Tensor::from_slice(&[job], [])?)?;
    Ok(Next::Again)
}

fn busy() -> JsValue {
    pair("busy", "the request is running")
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Fresh => "idle",
        Status::Queued { .. } => "queued",
        Status::Running { .. } | Status::Parked { .. } => "running",
        Status::Delivering => "delivering",
        Status::Settled(Verdict::Done) => "done",
        Status::Settled(Verdict::Cancelled(request::Cause::Deadline)) => "timed-out",
        Status::Settled(Verdict::Cancelled(_)) => "cancelled",
        Status::Settled(_) => "failed",
        _ => "running",
    }
}
