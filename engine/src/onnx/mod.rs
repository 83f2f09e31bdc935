//! ONNX files: bytes in, a [`Model`](crate::Model) out.
//!
//! ```text
//!  bytes ─▶ wire (fields) ─▶ proto (borrowed structs) ─▶ import (names to ids, nodes through the registry) ─▶ Model
//! ```
//!
//! `wire` reads protobuf, `proto` the messages we know, `import` resolves names, sorts nodes, makes captures of inner
//! graphs explicit and asks the `registry` for each operator's importer, which lives with the operator and sees its
//! node as a `NodeView` and gives one operator, or a `Fragment` of several. Functions that the model defines are put in
//! the place of the nodes that call them. After this room nothing knows of ONNX, protobuf or names.
//!
//! `standard` knows which operators there are and when they changed.
//! `survey` looks through a file without importing it, for people who ask what is in it.
//!
//! What it does *not* do: it infers no shapes and folds nothing (passes do), it writes no files, and it opens none: data
//! outside of the model file comes through [`ExternalData`], which the host gives.

mod build;
mod constant;
mod counted;
mod error;
mod external;
mod fragment;
mod function;
mod import;
mod node;
mod order;
mod proto;
pub(crate) mod registry;
mod standard;
mod survey;
mod tensor;
#[cfg(test)]
pub(crate) mod testing;
mod value;
mod wire;

pub use error::{ImportError, UnsupportedOp};
pub use external::{ExternalData, ExternalError, NoExternalData};
pub(crate) use fragment::{Fragment, Wire};
pub use import::{Limits, Options, import, import_paced, import_steps};
pub(crate) use node::{Imported, NodeView};
pub use standard::{Operator, operators};
pub use survey::{Declaration, OperatorCount, Survey, survey};
pub use tensor::read_tensor;
pub use wire::WireError;
