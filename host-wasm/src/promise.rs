//! From a future of the core to a promise, and from an error of the core to what the facade makes an error of.

use inferry_core::request::{InferError, Outcome};
use js_sys::futures::future_to_promise;
use js_sys::{Array, Promise};
use wasm_bindgen::JsValue;

/// A promise of nothing, which is rejected with [`thrown`].
pub(crate) fn promise(future: impl Future<Output = Result<(), InferError>> + 'static) -> Promise {
    future_to_promise(
        async move { future.await.map(|()| JsValue::UNDEFINED).map_err(|error| thrown(&error)) },
    )
}

/// How a run ended, for `?`.
pub(crate) fn result(outcome: Option<Outcome>) -> Result<(), InferError> {
    outcome.and_then(|outcome| outcome.error).map_or(Ok(()), Err)
}

/// `[code, message]`, as the facade expects whatever this module throws.
pub(crate) fn thrown(error: &InferError) -> JsValue {
    pair(error.kind().code(), &text(error))
}

/// `[code, message]`.
pub(crate) fn pair(code: &str, message: &str) -> JsValue {
    Array::of2(&code.into(), &message.into()).into()
}

/// An error with all that caused it, outermost first.
pub(crate) fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
