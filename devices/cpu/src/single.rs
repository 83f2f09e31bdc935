//! One kernel on tensors, here and now, on the calling thread.
//!
//! What constant folding and the tests of the kernels stand on: build a kernel for one node whose inputs are at hand, lend
//! it their bytes, run all its tiles. It allocates outputs, workspace and scratch each time, so it is *not* how a plan
//! runs, and nobody can interrupt it.
#![allow(unsafe_code)]

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::tensor::{InUse, ReadLease, TensorError, WriteLease};
use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::op::Op;

use crate::io::{Io, Operands, Span};
use crate::isa::Isa;
use crate::kernel::fault::{Fault, Faults};
use crate::kernel::{self, BuildError, Builder, Kernel, Operand, Phase};
use crate::pack::Packs;

/// Why a node could not be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SingleError {
    /// There is no kernel for it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An output of a size that overflows.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The kernel cannot compute with these numbers.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Somebody writes an input now.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// An input whose elements do not lie row-major without gaps.
    #[error("input {input} does not lie densely in memory")]
    NotDense {
        /// Position of the input.
        input: usize,
    },
}

/// Computes the outputs of `op` from its inputs. All inputs count as constants.
pub fn evaluate(
    op: &dyn Op,
    inputs: &[Option<&Tensor>],
    outputs: &[(ElementType, Shape)],
    isa: Isa,
) -> Result<Vec<Tensor>, SingleError> {
    let operands: Vec<_> = inputs.iter().map(|input| Some(operand(input.as_ref()?, true))).collect();
    let packs = Packs::default();
    // Before the kernel, which may keep tables as long as an axis: a size that cannot be is an error here.
    let mut results = Vec::with_capacity(outputs.len());
    for (element, shape) in outputs {
        results.push(Tensor::try_zeros(*element, shape)?);
    }
    let kernel = kernel::build(op, &Builder { inputs: &operands, outputs, isa, packs: &packs })?;
    run(&*kernel, inputs, &mut results)?;
    Ok(results)
}

/// What a kernel may know of `tensor` when it is built.
pub(crate) fn operand(tensor: &Tensor, constant: bool) -> Operand<'_> {
    Operand { element: tensor.element(), shape: tensor.shape().clone(), constant: constant.then_some(tensor) }
}

/// Runs all tiles of a kernel that was built for these inputs and outputs.
pub fn run(
    kernel: &dyn Kernel,
    inputs: &[Option<&Tensor>],
    outputs: &mut [Tensor],
) -> Result<(), SingleError> {
    run_blocks(kernel, inputs, outputs, 0, |phase| core::iter::once(0..phase.tiles).collect())
}

/// As [`run`], in the blocks that `blocks` gives for each phase; between them they must cover its tiles once. Workspace
/// and scratch are filled with `poison` first.
pub(crate) fn run_blocks(
    kernel: &dyn Kernel,
    inputs: &[Option<&Tensor>],
    outputs: &mut [Tensor],
    poison: u8,
    blocks: impl Fn(Phase) -> Vec<Range<usize>>,
) -> Result<(), SingleError> {
    let readers = read(inputs)?;
    let mut writers = write(outputs)?;
    let inputs: Vec<_> = readers.iter().map(|lent| Some(Span::read_only(lent.as_ref()?.bytes()))).collect();
    let outputs: Vec<_> = writers.iter_mut().map(|lent| Span::new(lent.bytes_mut())).collect();
    let mut workspace = Lines::new(kernel.workspace(), poison);
    let mut scratch = Lines::new(kernel.scratch(), poison);
    let (workspace, faults) = (Span::new(workspace.bytes()), Faults::none());
    let operands = Operands { inputs: &inputs, outputs: &outputs, workspace, faults: &faults };
    for (index, phase) in kernel.phases().iter().enumerate() {
        for tiles in blocks(*phase) {
            assert!(tiles.end <= phase.tiles, "{tiles:?} of {} tiles", phase.tiles);
            let scratch = scratch.bytes();
            scratch.fill(poison);
            // SAFETY: the leases and the two allocations outlive the call and are aligned; the leases keep writers away
            // from the inputs and everybody from the outputs; blocks run one after the other.
            let mut io = unsafe { Io::new(operands, scratch, tiles, *phase) };
            kernel.run(index, &mut io);
            if let Some(fault) = faults.first() {
                return Err(fault.clone().into());
            }
        }
    }
    Ok(())
}

/// A lease and the bytes of the tensor within it.
struct Lent<L>(L, Range<usize>);

impl Lent<ReadLease> {
    fn bytes(&self) -> &[u8] {
        &self.0.bytes()[self.1.clone()]
    }
}

impl Lent<WriteLease> {
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0.bytes_mut()[self.1.clone()]
    }
}

fn read(inputs: &[Option<&Tensor>]) -> Result<Vec<Option<Lent<ReadLease>>>, SingleError> {
    let mut lent = Vec::with_capacity(inputs.len());
    for (input, tensor) in inputs.iter().enumerate() {
        let Some(tensor) = tensor else {
            lent.push(None);
            continue;
        };
        if !tensor.is_dense() {
            return Err(SingleError::NotDense { input });
        }
        lent.push(Some(Lent(tensor.lease_read()?, extent(tensor))));
    }
    Ok(lent)
}

fn write(outputs: &[Tensor]) -> Result<Vec<Lent<WriteLease>>, SingleError> {
    outputs
        .iter()
        .map(|tensor| Ok(Lent(tensor.lease_write().map_err(TensorError::from)?, extent(tensor))))
        .collect()
}

fn extent(tensor: &Tensor) -> Range<usize> {
    tensor.offset()..tensor.offset() + tensor.layout().span(tensor.element().size())
}

/// Bytes that begin at a multiple of 64.
struct Lines {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Lines {
    fn new(len: usize, fill: u8) -> Lines {
        Lines { lines: vec![Line([fill; 64]); len.div_ceil(64)], len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
