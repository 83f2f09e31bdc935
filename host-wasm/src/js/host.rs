//! What the facade does for this module: the only calls out.

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The facade's object that makes workers and posts messages to them. None of its functions may call back into this module
    /// before it returns.
    pub type Host;

    /// Makes a worker; `Runtime.ready` or `Runtime.lost` follows.
    #[wasm_bindgen(method)]
    pub(crate) fn spawn(this: &Host, worker: u32);

    /// Has a worker load a model; `Runtime.loaded` follows.
    #[wasm_bindgen(method)]
    pub(crate) fn load(this: &Host, worker: u32, model: u32);

    /// Has a worker forget a model.
    #[wasm_bindgen(method)]
    pub(crate) fn unload(this: &Host, worker: u32, model: u32);

    /// Has a worker run a job; `Runtime.answer` follows.
    #[wasm_bindgen(method)]
    pub(crate) fn post(this: &Host, worker: u32, run: u32, model: u32, job: u32);

    /// Ends a worker that has nothing to do any more.
    #[wasm_bindgen(method)]
    pub(crate) fn end(this: &Host, worker: u32);

    /// Tells a worker that nobody wants a run any more.
    #[wasm_bindgen(method)]
    pub(crate) fn cancel(this: &Host, worker: u32, run: u32);

    /// No worker can load a model; with `lost`, because workers do not come up at all.
    #[wasm_bindgen(method)]
    pub(crate) fn refuse(this: &Host, model: u32, lost: bool);

    #[wasm_bindgen(extends = js_sys::Object)]
    type Resolved;

    /// What it gives is of no use to anybody, and so never comes here.
    #[wasm_bindgen(method)]
    fn then(this: &Resolved, task: &Function);
}

/// Calls `run` when whatever runs now has returned to the event loop.
pub(crate) fn microtask(run: fn()) {
    thread_local! {
        static RUN: std::cell::OnceCell<(fn(), Function, Resolved)> = const { std::cell::OnceCell::new() };
    }
    RUN.with(|cell| {
        // Made once: a closure for each task would have to be freed by its own call.
        let (made_for, function, resolved) = cell.get_or_init(|| {
            let function = Closure::<dyn Fn()>::new(run).into_js_value().unchecked_into();
            (run, function, Promise::resolve(&JsValue::UNDEFINED).unchecked_into())
        });
        debug_assert!(std::ptr::fn_addr_eq(*made_for, run), "there is one queue of tasks");
        // A promise's reaction: `queueMicrotask` takes browsers several times as long.
        resolved.then(function);
    });
}
