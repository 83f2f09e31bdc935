//! The smallest device: what the author of a device copies, and what the tests of the request run on.
//!
//! It computes vectors of f32. A [`Graph`] is three lists of operators ([`Op`]): before the chip, on it, and after it. A
//! [`Chip`] is a pretended accelerator that does one job after the other; it stands for a GPU or any other device that is
//! given work and answers later. A [`Template`] compiles a graph in one of three [`Form`]s:
//!
//! ```text
//!  OneStage   infer: before, on_chip, after                           everything on the thread that runs the stage
//!  Parked     preprocess+start ─▶ wait ─▶ postprocess                 `wait` parks; the chip wakes the request
//!  Blocking   preprocess+start ─▶ wait ─▶ postprocess                 `wait` blocks the thread that waits for the device
//! ```
//!
//! Read [`CompiledModel`] and [`Work`] first, then `work.rs`, which is all there is to a device; `accelerator/` computes models of the engine on
//! the same chip, beside other devices; `memory.rs` is the chip's own
//! memory, for tensors that stay there; `chip.rs` and `gate.rs` are the pretended world around it, and `place.rs` lets a test pretend the rest of the machine as well. What it does *not* do: it is not fast, and nothing of the product depends on it. It grows
//! no features: whoever needs another operator for a test adds one line to [`Op`].
//!
//! [`Work`]: inferry_core::Work
#![forbid(unsafe_code)]

mod accelerator;
mod chip;
mod gate;
mod memory;
mod place;
mod work;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use inferry_core::device::{CompiledModel, Device, StageInfo, StageKind, Work};
use inferry_core::port::Side;
use inferry_core::remote::{ContextId, NoContext, RemoteContext};
use inferry_core::request::PrepareError;
use inferry_core::{Dim, ElementType, Kind, PartialShape, Port};

pub use accelerator::{Accelerator, NotOnChip};
pub use chip::Chip;
pub use gate::Gate;
pub use memory::Memory;
pub use place::{Simulation, now, simulate};

use work::TemplateWork;

/// What is done to the values, and sometimes to the run.
#[derive(Clone, Debug)]
pub enum Op {
    /// Nothing.
    Echo,
    /// Adds a number to each value.
    Add(f32),
    /// Takes this long. On the chip the chip is busy; elsewhere the stage looks every millisecond whether to stop.
    Sleep(Duration),
    /// Blocks its thread until the gate lets it pass, or the run is cancelled.
    Block(Gate),
    /// As `Block`, without looking whether to stop: the operator of a device that cannot be interrupted.
    Deaf(Gate),
    /// Parks the request until the gate lets it pass. On the chip this is `Block`.
    Park(Gate),
    /// Gives the thread back once, woken already: what a long computation does when its slice is used up.
    Yield,
    /// Fails with this text.
    Fail(&'static str),
    /// Panics with this text. On the chip this is `Fail`.
    Panic(&'static str),
    /// Calls something of the test's.
    Call(Call),
    /// Executes the program of a model; see [`Accelerator`].
    Execute(Executable),
}

/// What an [`Op::Execute`] executes. Only the accelerator makes it.
#[derive(Clone, Debug)]
pub struct Executable(Arc<accelerator::Fitted>);

/// A function that an [`Op::Call`] calls.
#[derive(Clone)]
pub struct Call(Arc<dyn Fn() + Send + Sync>);

impl Call {
    /// An operator's share of this function.
    pub fn new(function: impl Fn() + Send + Sync + 'static) -> Call {
        Call(Arc::new(function))
    }

    fn call(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

/// A model of this device: output `y<i>` is input `x<i>` after all operators.
#[derive(Clone, Debug)]
pub struct Graph {
    /// How many inputs, and how many outputs.
    pub ports: usize,
    /// Values in each; `None` when only a run knows.
    pub len: Option<usize>,
    /// What is done on the host at first.
    pub before: Vec<Op>,
    /// What is done on the chip.
    pub on_chip: Vec<Op>,
    /// What is done on the host at last.
    pub after: Vec<Op>,
}

impl Graph {
    /// One input and one output of two values, and nothing but these operators on the chip.
    pub fn new(on_chip: impl Into<Vec<Op>>) -> Graph {
        Graph { ports: 1, len: Some(2), before: Vec::new(), on_chip: on_chip.into(), after: Vec::new() }
    }

    /// The same with these operators before the chip.
    #[must_use]
    pub fn before(self, before: impl Into<Vec<Op>>) -> Graph {
        Graph { before: before.into(), ..self }
    }

    /// The same with these operators after the chip.
    #[must_use]
    pub fn after(self, after: impl Into<Vec<Op>>) -> Graph {
        Graph { after: after.into(), ..self }
    }
}

/// How a graph is cut into stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// One stage, and no chip.
    #[default]
    OneStage,
    /// Three stages; the second parks until the chip is done.
    Parked,
    /// Three stages; the second blocks its thread until the chip is done.
    Blocking,
}

impl Form {
    fn stages(self) -> &'static [StageInfo] {
        const fn stage(name: &'static str, kind: StageKind) -> StageInfo {
            StageInfo { name, kind }
        }
        const FIRST: StageInfo = stage("preprocess+start", StageKind::Compute);
        const LAST: StageInfo = stage("postprocess", StageKind::Compute);
        const ONE: &[StageInfo] = &[stage("infer", StageKind::Compute)];
        const PARKED: &[StageInfo] = &[FIRST, stage("wait", StageKind::Compute), LAST];
        const BLOCKING: &[StageInfo] = &[FIRST, stage("wait", StageKind::Wait), LAST];
        match self {
            Form::OneStage => ONE,
            Form::Parked => PARKED,
            Form::Blocking => BLOCKING,
        }
    }
}

/// The device. Its name is the chip's, so that a host waits for each chip on a thread of its own.
#[derive(Clone, Debug)]
pub struct Template {
    chip: Arc<Chip>,
}

impl Template {
    /// A device in front of a chip.
    pub fn new(chip: Arc<Chip>) -> Template {
        Template { chip }
    }
}

impl Device for Template {
    type Graph = Graph;
    type Options = Form;
    type Error = Infallible;

    fn name(&self) -> &str {
        self.chip.name()
    }

    fn compile(&self, graph: &Graph, form: &Form) -> Result<Arc<dyn CompiledModel>, Infallible> {
        let ports =
            |side, letter| (0..graph.ports).map(|index| port(side, letter, index, graph.len)).collect();
        Ok(Arc::new(Compiled {
            inputs: ports(Side::Input, 'x'),
            outputs: ports(Side::Output, 'y'),
            graph: Arc::new(graph.clone()),
            form: *form,
            chip: self.chip.clone(),
        }))
    }

    fn context(&self) -> Result<&dyn RemoteContext, NoContext> {
        Ok(self.chip.memory())
    }
}

fn port(side: Side, letter: char, index: usize, len: Option<usize>) -> Port {
    let shape = PartialShape::new(&[len.map_or(Dim::Any, Dim::Fixed)]).expect("one dimension");
    let name = format!("{letter}{index}").into();
    Port { side, index, name, kind: Kind::Tensor, element: ElementType::F32, shape }
}

/// A compiled graph: what all of its requests share.
struct Compiled {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    graph: Arc<Graph>,
    form: Form,
    chip: Arc<Chip>,
}

impl CompiledModel for Compiled {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn context(&self) -> Option<&ContextId> {
        Some(self.chip.memory().id())
    }

    fn stages(&self) -> &[StageInfo] {
        self.form.stages()
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(TemplateWork::new(self.graph.clone(), self.form, self.chip.clone())))
    }
}
