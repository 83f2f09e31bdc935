//! A device that compiles models, behind one pointer.
//!
//! [`Device`](inferry_core::Device) leaves open what a device compiles and how it is told; whoever puts one model on several
//! devices needs them all alike. A [`ModelDevice`] takes a [`Model`], and can be asked first which nodes it could compute. It
//! does not choose: who computes what is decided by whoever asks.

use alloc::sync::Arc;

use inferry_core::request::BoxError;
use inferry_core::{Clock, CompiledModel};

use crate::Model;
use crate::graph::{Graph, Node};

/// A device for models of this crate. Implemented by devices, and by whoever brings one.
pub trait ModelDevice: Send + Sync {
    /// The device's name, as in `cpu`. Devices that a model is put on have different names.
    fn name(&self) -> &str;

    /// Whether the device could compute a node of `graph`, of which facts have been inferred. A node that it says yes to may
    /// still turn out to be one that it cannot compile; that is then an error.
    fn supports(&self, graph: &Graph, node: &Node) -> bool;

    /// Compiles a model. Its ports are those of the model, in the same order and of the same element types.
    fn compile(&self, model: &Model, settings: &Settings) -> Result<Arc<dyn CompiledModel>, BoxError>;
}

impl<D: ModelDevice + ?Sized> ModelDevice for Arc<D> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn supports(&self, graph: &Graph, node: &Node) -> bool {
        (**self).supports(graph, node)
    }

    fn compile(&self, model: &Model, settings: &Settings) -> Result<Arc<dyn CompiledModel>, BoxError> {
        (**self).compile(model, settings)
    }
}

/// How a model is compiled, whatever the device. What a device does not have it leaves out.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Measures what each node of a run takes, by this clock.
    pub profile: Option<Arc<dyn Clock>>,
    /// How much a run may ask for.
    pub limits: Limits,
}

/// How much a run may ask for, so that a hostile model or input ends in an error that names the node, and not in a machine
/// that is busy for ever or has no memory left. How large a model may be is said when it is read: see
/// [`onnx::Limits`](crate::onnx::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Trips of all loops of a run together.
    pub trips: u64,
    /// Bytes that a request may hold for the values of its runs, besides the tensors that are bound to it. No output may be
    /// larger either. Weights, which all requests share, do not count.
    pub memory: usize,
    /// Bytes of the strings that a run may make.
    pub strings: usize,
}

impl Default for Limits {
    /// 16 million trips, 64 GiB or what can be addressed, 256 MiB of strings.
    fn default() -> Limits {
        let memory = usize::try_from(1u64 << 36).unwrap_or(isize::MAX as usize);
        Limits { trips: 1 << 24, memory, strings: 1 << 28 }
    }
}

impl Settings {
    /// The same, measuring by this clock when there is one.
    #[must_use]
    pub fn profile(self, clock: Option<Arc<dyn Clock>>) -> Settings {
        Settings { profile: clock, ..self }
    }

    /// The same, with these limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Settings {
        Settings { limits, ..self }
    }
}

impl core::fmt::Debug for Settings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Settings { profile, limits } = self;
        f.debug_struct("Settings").field("profile", &profile.is_some()).field("limits", limits).finish()
    }
}
