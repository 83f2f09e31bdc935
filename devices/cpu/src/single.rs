//! One kernel on tensors, here and now, on the calling thread.
//!
//! What constant folding and the tests of the kernels stand on: build a kernel for one node whose inputs are at hand, lend
//! it their bytes, run all its tiles. It allocates outputs, workspace and scratch each time, so it is *not* how a plan
//! runs; folding can be interrupted between blocks of tiles all the same.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::steps::{Pace, finish};
use inferry_core::tensor::{self, InUse, ReadLease, TensorError, WriteLease};
use inferry_core::{ElementType, Shape, Tensor};
use inferry_engine::op::Op;

use crate::arena::{OutOfMemory, can_be_had};
use crate::io::{Io, Operands, Shelf, Span};
use crate::isa::Isa;
use crate::kernel::fault::{Fault, Faults};
use crate::kernel::{self, BuildError, Builder, Kernel, Operand, Phase};
use crate::pack::Packs;
use crate::stored;
use crate::text::{Text, Texts};

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

/// Computes the outputs of `op` from its inputs. All inputs count as constants. Of an operator that is
/// [sized by its data](Op::data_sized) the shapes given do not matter.
pub fn evaluate(
    op: &dyn Op,
    inputs: &[Option<&Tensor>],
    outputs: &[(ElementType, Shape)],
    isa: Isa,
) -> Result<Vec<Tensor>, SingleError> {
    let kernel = build(op, inputs, outputs, isa)?;
    finish(compute(&*kernel, inputs, outputs, &mut Pace::silent()))
}

/// The kernel for [`compute`].
pub(crate) fn build(
    op: &dyn Op,
    inputs: &[Option<&Tensor>],
    outputs: &[(ElementType, Shape)],
    isa: Isa,
) -> Result<Box<dyn Kernel>, SingleError> {
    let operands: Vec<_> = inputs.iter().map(|input| Some(operand(input.as_ref()?, true))).collect();
    let packs = Packs::default();
    // Before the kernel, which may keep tables as long as an axis: a size that cannot be is an error here.
    for (element, shape) in outputs {
        let bytes = stored::room(*element, shape);
        let bytes = bytes.ok_or_else(|| TensorError::TooLarge { element: *element, shape: shape.clone() })?;
        can_be_had(bytes).map_err(|OutOfMemory(bytes)| TensorError::from(tensor::OutOfMemory { bytes }))?;
    }
    Ok(kernel::build(op, &Builder { inputs: &operands, outputs, isa, packs: &packs })?)
}

/// Runs a kernel on constants, with interruptions, and gives its outputs.
pub(crate) async fn compute(
    kernel: &dyn Kernel,
    inputs: &[Option<&Tensor>],
    outputs: &[(ElementType, Shape)],
    pace: &mut Pace,
) -> Result<Vec<Tensor>, SingleError> {
    let mut results = Vec::with_capacity(outputs.len());
    for (element, shape) in outputs {
        results.push(match element {
            ElementType::String => Tensor::try_zeros(*element, shape)?,
            plain => Tensor::zeros_paced(*plain, shape, pace).await?,
        });
    }
    run_paced(kernel, inputs, &mut results, pace).await?;
    Ok(results)
}

/// What a kernel may know of `tensor` when it is built.
pub(crate) fn operand(tensor: &Tensor, constant: bool) -> Operand<'_> {
    Operand { element: tensor.element(), shape: tensor.shape().clone(), constant: constant.then_some(tensor) }
}

/// Runs all tiles of a kernel that was built for these inputs and outputs. An output whose shape the kernel measures is
/// replaced when it has another one.
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
    let mut running = Running::new(kernel, inputs, outputs, poison)?;
    for (index, phase) in kernel.phases().iter().enumerate() {
        running.begin(index, outputs)?;
        for tiles in blocks(*phase) {
            running.block(index, *phase, tiles)?;
        }
    }
    running.spell(outputs)
}

/// As [`run`], with interruptions.
async fn run_paced(
    kernel: &dyn Kernel,
    inputs: &[Option<&Tensor>],
    outputs: &mut [Tensor],
    pace: &mut Pace,
) -> Result<(), SingleError> {
    let mut running = Running::new(kernel, inputs, outputs, 0)?;
    for (index, phase) in kernel.phases().iter().enumerate() {
        running.begin(index, outputs)?;
        let most = usize::try_from(BLOCK / phase.cost.max(1)).unwrap_or(1).max(1);
        for begin in (0..phase.tiles).step_by(most) {
            let end = phase.tiles.min(begin.saturating_add(most));
            running.block(index, *phase, begin..end)?;
            pace.spend(phase.cost.max(1).saturating_mul((end - begin) as u64)).await;
        }
    }
    running.spell(outputs)
}

/// Estimated nanoseconds of tiles between two interruptions: less than in a run, because outputs are touched for the first
/// time.
const BLOCK: u64 = 100_000;

/// A kernel with the tensors it works on.
struct Running<'k> {
    kernel: &'k dyn Kernel,
    readers: Vec<Option<Lent<ReadLease>>>,
    /// `None` for outputs that have not been measured yet.
    writers: Vec<Option<Lent<WriteLease>>>,
    workspace: Lines,
    scratch: Lines,
    poison: u8,
    faults: Faults,
    texts: Texts,
    /// The numbers of the strings of each output, and the elements of packed ones; none of other outputs.
    numbered: Vec<Option<Tensor>>,
}

impl Running<'_> {
    fn new<'k>(
        kernel: &'k dyn Kernel,
        inputs: &[Option<&Tensor>],
        outputs: &[Tensor],
        poison: u8,
    ) -> Result<Running<'k>, SingleError> {
        let mut texts = Texts::default();
        let readers = read(inputs, &mut texts)?;
        let (numbered, writers) = match kernel.measures_after() {
            0 => write_all(outputs, poison)?,
            _ => outputs.iter().map(|_| (None, None)).unzip(),
        };
        let lines = |len| Lines::new(len, poison);
        let (workspace, scratch) = (lines(kernel.workspace()), lines(kernel.scratch()));
        let faults = Faults::none();
        Ok(Running { kernel, readers, writers, workspace, scratch, poison, faults, texts, numbered })
    }

    /// Looks before a phase whether the outputs have been measured; those of another shape are replaced.
    fn begin(&mut self, phase: usize, outputs: &mut [Tensor]) -> Result<(), SingleError> {
        if phase == 0 || phase != self.kernel.measures_after() {
            return Ok(());
        }
        for (index, output) in outputs.iter_mut().enumerate() {
            let shape = self.kernel.measured(index, self.workspace.bytes());
            if *output.shape() != shape {
                *output = Tensor::try_zeros(output.element(), shape)?;
            }
        }
        (self.numbered, self.writers) = write_all(outputs, self.poison)?;
        Ok(())
    }

    /// Runs a block of tiles of a phase.
    fn block(&mut self, index: usize, phase: Phase, tiles: Range<usize>) -> Result<(), Fault> {
        assert!(tiles.end <= phase.tiles, "{tiles:?} of {} tiles", phase.tiles);
        let input = |lent: &Option<Lent<ReadLease>>| Some(Span::read_only(lent.as_ref()?.bytes()));
        let inputs: Vec<_> = self.readers.iter().map(input).collect();
        let output = |lent: &mut Option<Lent<WriteLease>>| {
            lent.as_mut().map_or(Span::EMPTY, |lent| Span::new(lent.bytes_mut()))
        };
        let outputs: Vec<_> = self.writers.iter_mut().map(output).collect();
        let workspace = Span::new(self.workspace.bytes());
        let scratch = self.scratch.bytes();
        scratch.fill(self.poison);
        let (faults, texts) = (&self.faults, Shelf::new(&mut self.texts));
        let operands = Operands { inputs: &inputs, outputs: &outputs, workspace, faults, texts };
        // SAFETY: the leases, the strings and the two allocations are this struct's, outlive the call and are aligned; the
        // leases keep writers away from the inputs and everybody from the outputs; blocks run one after the other.
        let mut io = unsafe { Io::new(operands, scratch, tiles, phase) };
        self.kernel.run(index, &mut io);
        self.faults.first().cloned().map_or(Ok(()), Err)
    }

    /// Writes the strings that the kernel made to the outputs that are strings, and packs those that are packed.
    fn spell(self, outputs: &[Tensor]) -> Result<(), SingleError> {
        drop(self.writers);
        for (numbers, output) in self.numbered.iter().zip(outputs) {
            let Some(numbers) = numbers else { continue };
            if output.element().is_packed() {
                let mut lease = output.lease_write().map_err(TensorError::from)?;
                stored::pack_to(&numbers.to_vec::<u8>()?, &mut lease.bytes_mut()[output.byte_range()]);
                continue;
            }
            let numbers = numbers.to_vec::<u32>()?;
            let mut output = output.clone();
            for (string, number) in
                output.strings_mut()?.iter_mut().zip(bytemuck::cast_slice::<u32, Text>(&numbers))
            {
                string.clear();
                string.push_str(self.texts.get(*number));
            }
        }
        Ok(())
    }
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

/// The bytes of the inputs; strings are numbered.
fn read(inputs: &[Option<&Tensor>], texts: &mut Texts) -> Result<Vec<Option<Lent<ReadLease>>>, SingleError> {
    let mut lent = Vec::with_capacity(inputs.len());
    for (input, tensor) in inputs.iter().enumerate() {
        let Some(tensor) = tensor else {
            lent.push(None);
            continue;
        };
        if !tensor.is_dense() {
            return Err(SingleError::NotDense { input });
        }
        let numbered;
        let stored = match tensor.element() {
            ElementType::String => {
                let numbers = tensor
                    .strings()?
                    .iter()
                    .map(|string| texts.add(string))
                    .collect::<Result<Vec<_>, _>>()?;
                numbered = Tensor::from_slice(bytemuck::cast_slice::<Text, u32>(&numbers), tensor.shape())?;
                &numbered
            }
            packed if packed.is_packed() => {
                numbered = stored::unpacked(tensor)?;
                &numbered
            }
            _ => *tensor,
        };
        lent.push(Some(Lent(stored.lease_read()?, extent(stored))));
    }
    Ok(lent)
}

/// What a kernel writes for each output, and what stands for strings and packed elements meanwhile.
type Written = (Vec<Option<Tensor>>, Vec<Option<Lent<WriteLease>>>);

fn write_all(outputs: &[Tensor], poison: u8) -> Result<Written, TensorError> {
    let mut written = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
    for output in outputs {
        let stand_in = match output.element() {
            ElementType::String => Some(ElementType::U32),
            packed if packed.is_packed() => Some(ElementType::U8),
            _ => None,
        };
        let numbers = match stand_in {
            Some(element) => {
                let numbers = Tensor::try_zeros(element, output.shape())?;
                numbers.lease_write()?.bytes_mut().fill(poison);
                Some(numbers)
            }
            None => None,
        };
        let stored = numbers.as_ref().unwrap_or(output);
        written.1.push(Some(Lent(stored.lease_write()?, extent(stored))));
        written.0.push(numbers);
    }
    Ok(written)
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
