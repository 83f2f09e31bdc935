//! The same chip as an accelerator for models: it knows a few operators on f32, and leaves the others to other devices.
//!
//! A model is compiled to a [`Program`], a list of steps over registers. Each run uploads its inputs, gives the chip the program
//! fitted to their shapes, waits, and downloads the outputs: three stages as of the template device, of which the second parks or
//! blocks. Tests can have the chip do other things before each job ([`Accelerator::first`]), and hold its compiler
//! ([`Accelerator::compiling`]). It is as slow as it is small.

mod program;
mod work;

use std::sync::Arc;

use inferry_core::device::{CompiledModel, StageInfo, StageKind, Work};
use inferry_core::remote::ContextId;
use inferry_core::request::{BoxError, PrepareError};
use inferry_core::{ElementType, Port};
use inferry_engine::Model;
use inferry_engine::device::{ModelDevice, Settings};
use inferry_engine::graph::{Graph, Node, ValueId};

use crate::{Call, Chip, Form, Op};
pub(crate) use program::Fitted;
use program::Program;
use work::AcceleratorWork;

/// A chip that computes models. Its name is the chip's.
#[derive(Clone, Debug)]
pub struct Accelerator {
    chip: Arc<Chip>,
    form: Form,
    first: Vec<Op>,
    compiling: Option<Call>,
}

/// The accelerator cannot compute a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the accelerator does not have {node}")]
pub struct NotOnChip {
    /// The node: its operator and name.
    pub node: String,
}

impl Accelerator {
    /// An accelerator in front of a chip, whose requests park while the chip works.
    pub fn new(chip: Arc<Chip>) -> Accelerator {
        Accelerator { chip, form: Form::Parked, first: Vec::new(), compiling: None }
    }

    /// The same with a stage that blocks its thread while the chip works.
    #[must_use]
    pub fn blocking(self) -> Accelerator {
        Accelerator { form: Form::Blocking, ..self }
    }

    /// The same; the chip does this before each job.
    #[must_use]
    pub fn first(self, ops: impl Into<Vec<Op>>) -> Accelerator {
        Accelerator { first: ops.into(), ..self }
    }

    /// The same; calls this before a model is compiled. What panics there is a compiler that does.
    #[must_use]
    pub fn compiling(self, call: Call) -> Accelerator {
        Accelerator { compiling: Some(call), ..self }
    }
}

impl ModelDevice for Accelerator {
    fn name(&self) -> &str {
        self.chip.name()
    }

    fn supports(&self, graph: &Graph, node: &Node) -> bool {
        let is_float = |id: &ValueId| graph.fact(*id).is_some_and(|fact| fact.element == ElementType::F32);
        let [Some(output)] = &node.outputs[..] else { return false };
        program::knows(&*node.op) && node.inputs.iter().flatten().chain([output]).all(is_float)
    }

    fn compile(&self, model: &Model, _settings: &Settings) -> Result<Arc<dyn CompiledModel>, BoxError> {
        if let Some(call) = &self.compiling {
            call.call();
        }
        let program = Program::new(&model.graph)?;
        Ok(Arc::new(Compiled {
            inputs: model.inputs(),
            outputs: model.outputs(),
            program: Arc::new(program),
            of: self.clone(),
        }))
    }
}

/// A compiled model: what all of its requests share.
struct Compiled {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    program: Arc<Program>,
    of: Accelerator,
}

impl CompiledModel for Compiled {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn context(&self) -> Option<&ContextId> {
        Some(inferry_core::RemoteContext::id(self.of.chip.memory()))
    }

    fn stages(&self) -> &[StageInfo] {
        const fn stage(name: &'static str, kind: StageKind) -> StageInfo {
            StageInfo { name, kind }
        }
        const UPLOAD: StageInfo = stage("upload+start", StageKind::Compute);
        const DOWNLOAD: StageInfo = stage("download", StageKind::Compute);
        const PARKED: &[StageInfo] = &[UPLOAD, stage("wait", StageKind::Compute), DOWNLOAD];
        const BLOCKING: &[StageInfo] = &[UPLOAD, stage("wait", StageKind::Wait), DOWNLOAD];
        if self.of.form == Form::Blocking { BLOCKING } else { PARKED }
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        let Accelerator { chip, form, first, .. } = self.of.clone();
        Ok(Box::new(AcceleratorWork::new(self.program.clone(), chip, form, first)))
    }
}
