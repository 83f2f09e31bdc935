//! The one error of a run, and the one table of its kinds.
//!
//! A run that did not end as done gives an [`InferError`] to everyone who waits: it says the [kind](InferErrorKind), the
//! stage, the node, and keeps the cause as its source. What a request refuses before a run exists ([`BindError`],
//! [`StartError`], [`PrepareError`]) converts into it, so that `?` works through a whole cascade.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::error::Error;
use core::fmt;

use crate::port::PortError;
use crate::request::failure::Failure;
use crate::request::refusal::{BindError, PrepareError, StartError};
use crate::request::{RunId, Verdict};

/// Any error, for sources whose type is the business of whoever raised them.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The kinds of failure that a program may want to tell apart: the same in Rust and in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InferErrorKind {
    /// A run is under way.
    Busy,
    /// The run was cancelled.
    Cancelled,
    /// The run's deadline passed.
    Timeout,
    /// An executor dropped or refused the run.
    Abandoned,
    /// No port has this name.
    NotFound,
    /// No port has this index.
    OutOfRange,
    /// A tensor does not fit its port.
    InvalidInput,
    /// A tensor's bytes are held by another view or run.
    InUse,
    /// The device cannot do this.
    Unsupported,
    /// There was no memory.
    OutOfMemory,
    /// An operator of the model failed.
    Operator,
    /// The device failed.
    Device,
    /// The completion callback failed.
    Callback,
    /// The request was stopped, or what it needs is gone.
    Disposed,
    /// A stage or the callback panicked.
    Panicked,
    /// To wait here would never end: this thread has to bring about what it would wait for.
    WouldDeadlock,
}

impl InferErrorKind {
    /// The kind as JavaScript's `error.code`: lower case, with hyphens.
    pub const fn code(self) -> &'static str {
        match self {
            InferErrorKind::Busy => "busy",
            InferErrorKind::Cancelled => "cancelled",
            InferErrorKind::Timeout => "timeout",
            InferErrorKind::Abandoned => "abandoned",
            InferErrorKind::NotFound => "not-found",
            InferErrorKind::OutOfRange => "out-of-range",
            InferErrorKind::InvalidInput => "invalid-input",
            InferErrorKind::InUse => "in-use",
            InferErrorKind::Unsupported => "unsupported",
            InferErrorKind::OutOfMemory => "out-of-memory",
            InferErrorKind::Operator => "operator",
            InferErrorKind::Device => "device",
            InferErrorKind::Callback => "callback",
            InferErrorKind::Disposed => "disposed",
            InferErrorKind::Panicked => "panicked",
            InferErrorKind::WouldDeadlock => "would-deadlock",
        }
    }
}

/// Why a run did not end as done, or could not be started. Cheap to clone; every waiter gets the same one.
#[derive(Clone)]
pub struct InferError(Arc<Inner>);

struct Inner {
    kind: InferErrorKind,
    what: What,
    run: Option<RunId>,
    stage: Option<(usize, &'static str)>,
    node: Option<Box<str>>,
    source: Option<Cause>,
}

/// What happened, for the text.
enum What {
    /// The text of the source says it all, and its own source comes next.
    Transparent(BoxError),
    StageFailed,
    StagePanicked(Box<str>),
    CallbackFailed,
    CallbackPanicked(Box<str>),
    Ended(Verdict),
    Refused {
        executor: Box<str>,
    },
}

enum Cause {
    Foreign(BoxError),
    Ours(InferError),
}

impl InferError {
    /// An error of a host's own: what it refuses beyond what a request refuses. The text is `error`'s.
    pub fn new(kind: InferErrorKind, error: impl Into<BoxError>) -> InferError {
        InferError::transparent(kind, error)
    }

    /// The kind: what a program decides by.
    pub fn kind(&self) -> InferErrorKind {
        self.0.kind
    }

    /// The run that failed; `None` when it did not start.
    pub fn run(&self) -> Option<RunId> {
        self.0.run
    }

    /// The index and name of the stage that failed, when one did.
    pub fn stage(&self) -> Option<(usize, &'static str)> {
        self.0.stage
    }

    /// The path of the node that failed, from the outermost graph in, when the device said one.
    pub fn node_path(&self) -> Option<&str> {
        self.0.node.as_deref()
    }

    /// The text of this error and of all its sources, joined by `: `.
    pub fn full_text(&self) -> String {
        let mut text = alloc::format!("{self}");
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&alloc::format!("{error}"));
            source = error.source();
        }
        text
    }

    fn make(kind: InferErrorKind, what: What) -> Inner {
        Inner { kind, what, run: None, stage: None, node: None, source: None }
    }

    fn transparent(kind: InferErrorKind, error: impl Into<BoxError>) -> InferError {
        InferError(Arc::new(InferError::make(kind, What::Transparent(error.into()))))
    }

    /// A stage returned a failure.
    pub(crate) fn stage_failed(run: RunId, stage: (usize, &'static str), failure: Failure) -> InferError {
        InferError(Arc::new(Inner {
            run: Some(run),
            stage: Some(stage),
            node: failure.node,
            source: failure.source.map(Cause::Foreign),
            ..InferError::make(failure.kind, What::StageFailed)
        }))
    }

    /// A stage panicked with this message.
    pub(crate) fn stage_panicked(run: RunId, stage: (usize, &'static str), message: Box<str>) -> InferError {
        let what = What::StagePanicked(message);
        InferError(Arc::new(Inner {
            run: Some(run),
            stage: Some(stage),
            ..InferError::make(InferErrorKind::Panicked, what)
        }))
    }

    /// The callback failed; `earlier` is what the run itself had ended with.
    pub(crate) fn callback_failed(run: RunId, error: BoxError, earlier: Option<InferError>) -> InferError {
        // The error chain is a line, so when there are two causes the callback's own text joins the head.
        let (what, source) = match earlier {
            None => (What::CallbackFailed, Cause::Foreign(error)),
            Some(earlier) => {
                let text = alloc::format!("the callback failed ({error}) after the run had");
                (What::Transparent(text.into()), Cause::Ours(earlier))
            }
        };
        let source = Some(source);
        InferError(Arc::new(Inner {
            run: Some(run),
            source,
            ..InferError::make(InferErrorKind::Callback, what)
        }))
    }

    /// The callback panicked with this message.
    pub(crate) fn callback_panicked(
        run: RunId,
        message: Box<str>,
        earlier: Option<InferError>,
    ) -> InferError {
        let what = What::CallbackPanicked(message);
        InferError(Arc::new(Inner {
            run: Some(run),
            source: earlier.map(Cause::Ours),
            ..InferError::make(InferErrorKind::Panicked, what)
        }))
    }

    /// The run ended with a verdict that says why by itself; `source` is what happened on the way.
    pub(crate) fn ended(run: RunId, verdict: Verdict, source: Option<InferError>) -> InferError {
        let kind = match verdict {
            Verdict::Cancelled(crate::request::Cause::Deadline) => InferErrorKind::Timeout,
            Verdict::Cancelled(_) => InferErrorKind::Cancelled,
            Verdict::Abandoned => InferErrorKind::Abandoned,
            Verdict::Done | Verdict::Failed => InferErrorKind::Device,
        };
        let source = source.map(Cause::Ours);
        InferError(Arc::new(Inner { run: Some(run), source, ..InferError::make(kind, What::Ended(verdict)) }))
    }

    /// The executor of a later stage did not take the run.
    pub(crate) fn refused(run: RunId, stage: (usize, &'static str), executor: &str) -> InferError {
        let what = What::Refused { executor: executor.into() };
        InferError(Arc::new(Inner {
            run: Some(run),
            stage: Some(stage),
            ..InferError::make(InferErrorKind::Abandoned, what)
        }))
    }

    /// Run `run`, which a callback asked for, could not start.
    pub(crate) fn restart_failed(run: RunId, error: StartError) -> InferError {
        let kind = error.kind();
        InferError(Arc::new(Inner {
            run: Some(run),
            ..InferError::make(kind, What::Transparent(error.into()))
        }))
    }
}

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = |f: &mut fmt::Formatter<'_>| match self.0.stage {
            Some((_, name)) => write!(f, "the stage \"{name}\""),
            None => f.write_str("a stage"),
        };
        match &self.0.what {
            What::Transparent(error) => fmt::Display::fmt(error, f),
            What::StageFailed => {
                stage(f)?;
                f.write_str(" failed")?;
                self.0.node.as_ref().map_or(Ok(()), |node| write!(f, " at node \"{node}\""))
            }
            What::StagePanicked(message) => {
                stage(f)?;
                write!(f, " panicked: {message}")
            }
            What::CallbackFailed => f.write_str("the callback failed"),
            What::CallbackPanicked(message) => write!(f, "the callback panicked: {message}"),
            What::Ended(verdict) => write!(f, "the run was {verdict}"),
            What::Refused { executor } => {
                write!(f, "the executor \"{executor}\" refused ")?;
                stage(f)
            }
        }
    }
}

impl fmt::Debug for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InferError({:?}, {:?})", self.0.kind, self.full_text())
    }
}

impl Error for InferError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let What::Transparent(error) = &self.0.what
            && self.0.source.is_none()
        {
            return error.source();
        }
        self.0.source.as_ref().map(|cause| match cause {
            Cause::Foreign(error) => &**error as &(dyn Error + 'static),
            Cause::Ours(error) => error,
        })
    }
}

impl From<BindError> for InferError {
    fn from(error: BindError) -> Self {
        InferError::transparent(error.kind(), error)
    }
}

impl From<PortError> for InferError {
    fn from(error: PortError) -> Self {
        BindError::from(error).into()
    }
}

impl From<StartError> for InferError {
    fn from(error: StartError) -> Self {
        InferError::transparent(error.kind(), error)
    }
}

impl From<PrepareError> for InferError {
    fn from(error: PrepareError) -> Self {
        InferError::transparent(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_stage_and_node_and_keeps_its_cause() {
        let failure = Failure::operator("the divisor is zero").at("block/div");
        let error = InferError::stage_failed(RunId::NONE.next(), (1, "compute"), failure);
        assert_eq!(error.kind(), InferErrorKind::Operator);
        assert_eq!(error.stage(), Some((1, "compute")));
        assert_eq!(error.node_path(), Some("block/div"));
        assert_eq!(
            error.full_text(),
            "the stage \"compute\" failed at node \"block/div\": the divisor is zero"
        );
    }

    #[test]
    fn a_callback_error_after_a_stage_error_shows_both() {
        let run = RunId::NONE.next();
        let stage = InferError::stage_failed(run, (0, "compute"), Failure::operator("bad axis"));
        let error = InferError::callback_failed(run, "disk full".into(), Some(stage));
        let text = error.full_text();
        assert!(text.contains("disk full") && text.contains("bad axis"), "{text}");
        assert_eq!(error.kind(), InferErrorKind::Callback);
    }
}
