//! Passes: rewrites of the graph, one a file, in the order of the list below.
//!
//! A pass leaves the graph in a state that `verify` accepts. Passes do not choose kernels or layouts of one device.

use alloc::string::String;
use alloc::vec::Vec;
use inferry_core::Tensor;

use crate::graph::Fact;
use crate::op::Op;

/// Arithmetic on constants, lent by a device.
pub trait Evaluate {
    /// Computes the outputs of `op` from constant inputs. `outputs` are the inferred facts, of fixed shape. `None` when this
    /// device has no kernel for it; the node then stays.
    fn evaluate(
        &self,
        op: &dyn Op,
        inputs: &[Option<&Tensor>],
        outputs: &[Fact],
    ) -> Option<Result<Vec<Tensor>, String>>;
}
