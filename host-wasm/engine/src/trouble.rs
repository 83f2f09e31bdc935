//! Why a call failed, as JavaScript gets it: a code to decide by, a text to read, and the node where there is one.

use alloc::format;
use alloc::string::{String, ToString};

use inferry_core::request::{BindError, InferError, PrepareError, StartError};
use inferry_core::tensor::TensorError;
use inferry_cpu::{CompileError, NodeCause, PlanError};
use inferry_engine::onnx::ImportError;

use crate::host;
use crate::json::Json;

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// One of the codes of `errors.ts`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The path of the node of the model.
    pub(crate) node: Option<String>,
}

impl Trouble {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Trouble {
        Trouble { code, message: message.into(), node: None }
    }

    /// A number or an address from JavaScript that means nothing here: a mistake of the caller.
    pub(crate) fn unknown(what: &str, number: impl core::fmt::Display) -> Trouble {
        Trouble::new("internal", format!("there is no {what} {number}"))
    }

    /// Tells the caller.
    pub(crate) fn say(&self) {
        let mut json = Json::default();
        json.object(|json| {
            json.key("code").text(self.code);
            json.key("message").text(&self.message);
            if let Some(node) = &self.node {
                json.key("node").text(node);
            }
        });
        host::said(json.as_bytes());
    }
}

impl From<InferError> for Trouble {
    fn from(error: InferError) -> Trouble {
        let node = error.node_path().map(ToString::to_string);
        Trouble { code: error.kind().code(), message: error.full_text(), node }
    }
}

macro_rules! through_infer_error {
    ($($error:ty),*) => { $(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Trouble {
                InferError::from(error).into()
            }
        }
    )* };
}

through_infer_error!(BindError, StartError, PrepareError);

impl From<TensorError> for Trouble {
    fn from(error: TensorError) -> Trouble {
        let code = match error {
            TensorError::TooLarge { .. } | TensorError::OutOfMemory(_) => "out-of-memory",
            TensorError::InUse(_) => "in-use",
            _ => "invalid-input",
        };
        Trouble::new(code, error.to_string())
    }
}

impl From<ImportError> for Trouble {
    fn from(error: ImportError) -> Trouble {
        let code = match error {
            ImportError::Unsupported(_) | ImportError::Opset { .. } => "unsupported",
            _ => "invalid-model",
        };
        Trouble::new(code, error.to_string())
    }
}

impl From<CompileError> for Trouble {
    fn from(error: CompileError) -> Trouble {
        let message = error.to_string();
        match error {
            CompileError::Plan(PlanError::Node { node, problem }) => {
                let code = match problem.cause {
                    NodeCause::Build(_) => "unsupported",
                    NodeCause::OutOfMemory(_) => "out-of-memory",
                    _ => "invalid-model",
                };
                Trouble { code, message, node: Some(node) }
            }
            CompileError::Plan(PlanError::TooLarge) => Trouble::new("out-of-memory", message),
            _ => Trouble::new("invalid-model", message),
        }
    }
}
