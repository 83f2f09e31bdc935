//! The hook that contains panics.
//!
//! `core` cannot catch a panic; a host that can installs [`set_catcher`] once, and from then on a panic in a stage or a
//! callback ends its run as [`Panicked`](crate::request::InferErrorKind::Panicked) and goes no further. Without a hook
//! the panic unwinds through whoever ran the task, and the run still settles on the way. Where panics abort (the web),
//! there is nothing to catch and the hook costs nothing.

use alloc::boxed::Box;
use alloc::string::String;
use core::any::Any;

/// Calls the closure; gives the payload of a panic instead of letting it pass.
pub type Catcher = fn(&mut dyn FnMut()) -> Result<(), Box<dyn Any + Send>>;

static CATCHER: spin::Once<Catcher> = spin::Once::new();

/// Installs the process's catcher: a call of `std::panic::catch_unwind`. The first one stays.
pub fn set_catcher(catcher: Catcher) {
    CATCHER.call_once(|| catcher);
}

/// Calls `body`, through the catcher when there is one. The error is the panic's message.
pub(crate) fn contained<R>(body: impl FnOnce() -> R) -> Result<R, Box<str>> {
    let Some(catch) = CATCHER.get() else { return Ok(body()) };
    let (mut body, mut result) = (Some(body), None);
    catch(&mut || result = body.take().map(|body| body())).map_err(|payload| message(&*payload))?;
    result.ok_or_else(|| "the panic hook did not call its closure".into())
}

/// What a panic said, when it said it in words.
pub fn message(payload: &(dyn Any + Send)) -> Box<str> {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str().into()
    } else {
        "a panic without a message".into()
    }
}
