//! Weights of a plan packed side by side, on threads that a host lends.
//!
//! Without threads each node's weights are packed before its kernel is built for good, one node after the other. With them, every
//! node's kernel is drafted with empty weights first, and what there is to pack is gathered; when the graph has been walked
//! along, the threads pack all of it in rounds of about two milliseconds, between which planning looks whether it is to stop, and
//! the kernels are built again. Few weights are not worth waking anybody: then the caller packs.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Waker};

use inferry_core::steps::Pace;
use inferry_core::{ElementType, Serial, Shape};
use inferry_engine::op::Op;
use spin::Mutex;

use super::{Draft, DraftStep, Value};
use crate::kernel::{self, Builder, Operand};
use crate::pack::Job;
use crate::plan::{Label, NodeError, PlanError, Planning};

/// Looks of a job between two looks of planning; a look is due after about 50 microseconds of packing.
const LOOKS: usize = 40;

/// Bytes of weights below which nobody is woken. On two cores that had other work as well, MobileNetV2 (14 MB) was ready 10 ms later
/// with a second thread, which came late to every round; ResNet-18 (47 MB) was ready neither sooner nor later.
const FEW: usize = 1 << 24;

/// What is to be done before the kernels of a draft may run.
#[derive(Default)]
pub(in crate::plan) struct Packing {
    jobs: Mutex<Vec<Job>>,
    nodes: Vec<Unready>,
    /// Of the weights that are packed.
    bytes: usize,
}

/// A node whose kernel has empty weights.
struct Unready {
    step: usize,
    op: Arc<dyn Op>,
    inputs: Vec<Option<Value>>,
    outputs: Vec<(ElementType, Shape)>,
    label: Label,
}

impl Packing {
    /// The kernel of step `step` needs these jobs done.
    pub(super) fn add(
        &mut self,
        jobs: Vec<Job>,
        step: usize,
        (op, label): (&Arc<dyn Op>, &Label),
        inputs: &[Option<Value>],
        outputs: &[(ElementType, Shape)],
    ) {
        let constants = inputs.iter().flatten().filter_map(|value| value.constant.as_ref());
        self.bytes += constants.map(|tensor| tensor.byte_len()).sum::<usize>();
        self.jobs.get_mut().extend(jobs);
        let (op, label, outputs) = (op.clone(), label.clone(), outputs.to_vec());
        self.nodes.push(Unready { step, op, inputs: inputs.to_vec(), outputs, label });
    }
}

impl Draft {
    /// Packs what is left to pack, and builds the kernels that have waited for it.
    pub(super) async fn pack(&mut self, planning: Planning<'_>, pace: &mut Pace) -> Result<(), PlanError> {
        let Packing { jobs, nodes, bytes } = core::mem::take(&mut self.packing);
        let threads = planning.threads.filter(|_| bytes >= FEW).unwrap_or(&Serial);
        while !jobs.lock().is_empty() {
            threads.for_each(threads.width(), &|_| round(&jobs));
            // Each look of a job stands for 50 microseconds.
            pace.spend(LOOKS as u64 * 50_000).await;
        }
        for node in nodes {
            let kernel = build(&node, planning).map_err(|cause| {
                let problem = NodeError { inputs: String::new(), cause: cause.into() };
                PlanError::Node { node: node.label.name.as_ref().into(), problem }
            })?;
            if let DraftStep::Kernel { kernel: waiting, .. } = &mut self.steps[node.step] {
                *waiting = kernel;
            }
        }
        Ok(())
    }
}

/// Packs until it is time to look, or nothing is left that nobody is at.
fn round(jobs: &Mutex<Vec<Job>>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut looks = LOOKS;
    while let Some(mut job) = { jobs.lock().pop() } {
        while job.as_mut().poll(&mut context).is_pending() {
            looks -= 1;
            if looks == 0 {
                return jobs.lock().push(job);
            }
        }
    }
}

fn build(
    node: &Unready,
    planning: Planning<'_>,
) -> Result<alloc::boxed::Box<dyn kernel::Kernel>, kernel::BuildError> {
    let operands: Vec<_> = node.inputs.iter().map(|value| value.as_ref().map(Value::operand)).collect();
    let Planning { isa, packs, .. } = planning;
    kernel::build(&*node.op, &Builder { inputs: &operands, outputs: &node.outputs, isa, packs })
}

impl Value {
    /// As a kernel's builder sees it.
    ///
    /// # Panics
    /// When its shape is known only in the run.
    pub(super) fn operand(&self) -> Operand<'_> {
        let shape = self.shape.clone().expect("not late");
        // A constant that was reshaped has the bytes of one shape and the value of another: only the fact is right.
        Operand { element: self.element, shape, constant: self.constant.as_ref() }
    }
}
