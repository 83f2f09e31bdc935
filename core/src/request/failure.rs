//! What a device reports from inside a stage.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

use crate::request::error::{BoxError, InferErrorKind};

/// What a stage reports when it fails: a kind, the path of the node, and the cause.
#[derive(Debug)]
pub struct Failure {
    pub(super) kind: InferErrorKind,
    pub(super) node: Option<Box<str>>,
    pub(super) source: Option<BoxError>,
}

impl Failure {
    /// A failure of any kind.
    pub fn new(kind: InferErrorKind, source: impl Into<BoxError>) -> Failure {
        Failure { kind, node: None, source: Some(source.into()) }
    }

    /// An operator of the model could not be computed.
    pub fn operator(source: impl Into<BoxError>) -> Failure {
        Failure::new(InferErrorKind::Operator, source)
    }

    /// The device failed.
    pub fn device(source: impl Into<BoxError>) -> Failure {
        Failure::new(InferErrorKind::Device, source)
    }

    /// The stage saw that it should stop, and did. Takes no memory.
    pub fn stopped() -> Failure {
        Failure { kind: InferErrorKind::Cancelled, node: None, source: None }
    }

    /// The same failure at a node: the names of the enclosing nodes from the outermost in, joined by `/`.
    #[must_use]
    pub fn at(mut self, node: impl Into<Box<str>>) -> Failure {
        self.node = Some(node.into());
        self
    }

    /// The same failure with `wrap` around its cause. A stage that stopped because it was asked to has none, and none is made.
    #[must_use]
    pub(crate) fn inside<E: Into<BoxError>>(mut self, wrap: impl FnOnce(Option<BoxError>) -> E) -> Failure {
        if self.kind != InferErrorKind::Cancelled {
            self.source = Some(wrap(self.source).into());
        }
        self
    }

    /// The kind.
    pub fn kind(&self) -> InferErrorKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.code())?;
        match &self.node {
            Some(node) => write!(f, " at node \"{node}\""),
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
