//! From a model to something that makes requests: passes once, plans as shapes turn up.
//!
//! Compiling folds and fuses the graph with this device's own arithmetic. When all input shapes are fixed, the one plan is
//! made at once; else the first run with new shapes makes it, and the last few are kept, shared by all requests. Packed
//! weights are shared by all plans.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

#[cfg(feature = "export")]
use inferry_core::device::ExportError;
use inferry_core::device::{CompiledModel, Device, Work};
use inferry_core::port::{Port, Side};
use inferry_core::request::{BoxError, PrepareError};
use inferry_core::steps::{Pace, Steps, finish};
use inferry_core::tensor::TensorError;
use inferry_core::{Clock, ElementType, Kind, Parallel, Shape};
use inferry_engine::Model;
use inferry_engine::device::{Limits, ModelDevice, Settings};
use inferry_engine::graph::{Body, Graph, Node};
use inferry_engine::op::{If, Loop};
use inferry_engine::passes::{self, PassError};

use crate::arena::OutOfMemory;
use crate::evaluate::Evaluator;
use crate::isa::Isa;
use crate::kernel;
use crate::pack::{Packs, Stored};
use crate::plan::{Plan, PlanError, Planning};
use crate::plans::{Kept, Plans};
use crate::profile::{self, Source};
use crate::sequence;
use crate::stored;
use crate::text::Words;
use crate::work::CpuWork;

/// The CPU as a device.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    isa: Isa,
}

/// How a model is compiled.
#[derive(Clone)]
pub struct Options {
    /// How many plans are kept for different input shapes, the last used ones; at least 1. Each holds its kernels' tables,
    /// but no memory for values, and shares the weights.
    pub plans: usize,
    /// Measures what each node of a run takes, by this clock; see [`Request::profile`](inferry_core::Request::profile).
    pub profile: Option<Arc<dyn Clock>>,
    /// How much a run may ask for.
    pub limits: Limits,
    /// A digest of what the model was read from: an export says it, and an import asks for it.
    pub source: Option<[u8; 32]>,
    /// Called when a plan has been made, with how many weights it has packed that were not packed before: an export would now
    /// hold more than an earlier one. It must be quick, and may be called in the middle of a run.
    pub planned: Option<Arc<dyn Fn(usize) + Send + Sync>>,
    /// Threads that pack weights when a plan is made: while the model is compiled, or in the first run with new shapes.
    pub threads: Option<Arc<dyn Parallel + Send + Sync>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            plans: 8,
            profile: None,
            limits: Limits::default(),
            source: None,
            planned: None,
            threads: None,
        }
    }
}

impl core::fmt::Debug for Options {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Options { plans, profile, limits, source, planned, threads } = self;
        let mut debug = f.debug_struct("Options");
        debug.field("plans", plans).field("profile", &profile.is_some()).field("limits", limits);
        debug
            .field("source", source)
            .field("planned", &planned.is_some())
            .field("threads", &threads.as_ref().map(|threads| threads.width()))
            .finish()
    }
}

/// Why a model could not be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The graph contradicts itself.
    #[error(transparent)]
    Pass(#[from] PassError),
    /// A node that cannot run.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A port whose tensors can never be bound: [`Limits::memory`] is less.
    #[error("{side} {name:?} takes {bytes} bytes, more than a request may")]
    TooLarge {
        /// Inputs or outputs.
        side: Side,
        /// The port's name.
        name: Arc<str>,
        /// What a tensor of its shape takes; the largest number when that cannot be counted.
        bytes: usize,
    },
    /// Constant strings that cannot be read.
    #[error("the constant strings of the model: {0}")]
    Strings(#[from] TensorError),
}

impl Cpu {
    /// A device that uses the instructions of `isa`.
    pub fn new(isa: Isa) -> Cpu {
        Cpu { isa }
    }

    /// Its arithmetic, for passes.
    pub fn evaluator(&self) -> Evaluator {
        Evaluator(self.isa)
    }

    /// Compiles a model step by step.
    pub fn compile_steps(
        &self,
        model: Model,
        options: Options,
    ) -> Steps<'static, Result<Arc<dyn CompiledModel>, CompileError>> {
        let cpu = *self;
        Steps::new(move |mut pace| async move { cpu.compile_paced(model, options, &mut pace).await })
    }

    /// Compiles a model, with interruptions.
    pub async fn compile_paced(
        self,
        mut model: Model,
        options: Options,
        pace: &mut Pace,
    ) -> Result<Arc<dyn CompiledModel>, CompileError> {
        let nodes = options.profile.as_ref().map_or(Vec::new(), |_| profile::sources(&model.graph));
        let bytes = kernel::over_bytes(self.isa);
        let wide = passes::Options { widen_half: true, bytes, ..passes::Options::default() };
        passes::run_paced(&mut model.graph, &Evaluator(self.isa), wide, pace).await?;
        let shared = Shared { nodes, ..Shared::new(model, self, options, Vec::new())? };
        shared.ready(pace).await?;
        Ok(shared.compiled())
    }

    /// The instructions that it uses.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl Device for Cpu {
    type Graph = Model;
    type Options = Options;
    type Error = CompileError;

    fn name(&self) -> &str {
        "cpu"
    }

    fn compile(&self, model: &Model, options: &Options) -> Result<Arc<dyn CompiledModel>, CompileError> {
        finish(self.compile_paced(model.clone(), options.clone(), &mut Pace::silent()))
    }
}

impl ModelDevice for Cpu {
    fn name(&self) -> &str {
        Device::name(self)
    }

    fn supports(&self, _graph: &Graph, node: &Node) -> bool {
        let body = |body: &Body| body.graph.nodes.iter().all(|node| self.supports(&body.graph, node));
        match node.op.bodies() {
            [] => kernel::knows(&*node.op) || sequence::runs(&*node.op),
            bodies => {
                let known = node.op.downcast::<If>().is_some() || node.op.downcast::<Loop>().is_some();
                known && bodies.iter().all(body)
            }
        }
    }

    fn compile(&self, model: &Model, settings: &Settings) -> Result<Arc<dyn CompiledModel>, BoxError> {
        let options =
            Options { profile: settings.profile.clone(), limits: settings.limits, ..Options::default() };
        Ok(Device::compile(self, model, &options)?)
    }
}

/// A model compiled for the CPU.
struct Compiled(Arc<Shared>);

impl CompiledModel for Compiled {
    fn inputs(&self) -> &[Port] {
        &self.0.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.0.outputs
    }

    #[cfg(feature = "export")]
    fn export(&self, write: &mut dyn FnMut(&[u8]) -> Result<(), BoxError>) -> Result<(), ExportError> {
        crate::export::export(&self.0, write)
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        let work = CpuWork::new(self.0.clone());
        Ok(Box::new(work.map_err(|OutOfMemory(bytes)| PrepareError::OutOfMemory { bytes })?))
    }
}

/// What all requests of a compiled model share.
pub(crate) struct Shared {
    pub(crate) graph: Graph,
    pub(crate) inputs: Box<[Port]>,
    pub(crate) outputs: Box<[Port]>,
    pub(crate) isa: Isa,
    pub(crate) packs: Packs,
    pub(crate) plans: Plans,
    pub(crate) options: Options,
    /// The nodes of the model as it came, when they are measured.
    pub(crate) nodes: Vec<Source>,
}

impl Shared {
    /// Of a model after the passes, with the packs that came with it. No node is measured.
    pub(crate) fn new(
        model: Model,
        cpu: Cpu,
        options: Options,
        stored: Vec<Stored>,
    ) -> Result<Shared, CompileError> {
        let (inputs, outputs) = (model.inputs().into(), model.outputs().into());
        let (packs, plans) = (Packs::new(Words::of(&model.graph)?, stored), Plans::new(options.plans));
        Ok(Shared {
            graph: model.graph,
            inputs,
            outputs,
            isa: cpu.isa,
            packs,
            plans,
            options,
            nodes: Vec::new(),
        })
    }

    /// Makes the only plan there will ever be, when all input shapes are fixed.
    pub(crate) async fn ready(&self, pace: &mut Pace) -> Result<(), CompileError> {
        let fixed: Option<Arc<[Shape]>> = self.inputs.iter().map(|port| port.shape.fixed()).collect();
        if let Some(shapes) = fixed {
            self.plan(shapes, pace).await?;
        }
        // After the plan, whose errors name the node.
        self.check_ports()
    }

    /// For requests to share.
    pub(crate) fn compiled(self) -> Arc<dyn CompiledModel> {
        Arc::new(Compiled(Arc::new(self)))
    }

    /// The only plan there will ever be, when all input shapes are fixed.
    pub(crate) fn only_plan(&self) -> Option<Kept> {
        let fixed = self.inputs.iter().all(|port| port.shape.fixed().is_some());
        if fixed { self.plans.latest() } else { None }
    }

    /// Makes a plan for inputs of these shapes and keeps it.
    pub(crate) async fn plan(&self, shapes: Arc<[Shape]>, pace: &mut Pace) -> Result<Kept, PlanError> {
        let before = self.packs.count();
        let plan = Plan::new(&self.graph, &shapes, "", self.planning(), pace).await?;
        let kept = self.plans.keep(shapes, plan);
        if let Some(planned) = &self.options.planned {
            planned(self.packs.count() - before);
        }
        Ok(kept)
    }

    /// What planning needs.
    pub(crate) fn planning(&self) -> Planning<'_> {
        let threads = self.options.threads.as_deref().map(|threads| threads as &dyn Parallel);
        Planning { isa: self.isa, packs: &self.packs, largest: self.options.limits.memory, threads }
    }

    /// Refuses ports that a request could not even make its first tensors for.
    fn check_ports(&self) -> Result<(), CompileError> {
        for (side, ports) in [(Side::Input, &self.inputs), (Side::Output, &self.outputs)] {
            for port in ports.iter().filter(|port| port.kind == Kind::Tensor) {
                let Some(shape) = port.shape.fixed() else { continue };
                self.fits(port.element, &shape).map_err(|OutOfMemory(bytes)| CompileError::TooLarge {
                    side,
                    name: port.name.clone(),
                    bytes,
                })?;
            }
        }
        Ok(())
    }

    /// Refuses a value that is larger than all memory that a request may take.
    pub(crate) fn fits(&self, element: ElementType, shape: &Shape) -> Result<(), OutOfMemory> {
        match stored::bytes(element, shape) {
            Some(bytes) if bytes <= self.options.limits.memory => Ok(()),
            bytes => Err(OutOfMemory(bytes.unwrap_or(usize::MAX))),
        }
    }

    /// As [`Shared::plan`], step by step.
    pub(crate) fn plan_steps(self: Arc<Self>, shapes: Arc<[Shape]>) -> Planned {
        Steps::new(move |mut pace| async move { self.plan(shapes, &mut pace).await })
    }
}

/// A plan that is being made.
pub(crate) type Planned = Steps<'static, Result<Kept, PlanError>>;

#[cfg(test)]
mod tests {
    use super::*;
    use inferry_core::turn::{Slice, Stop, StopSource};
    use inferry_core::{Serial, Step, Turn};
    use inferry_engine::graph::{Dim, Fact, ShapeFact};
    use inferry_engine::op::Transpose;

    fn shared(plans: usize) -> Shared {
        let mut graph = Graph::default();
        let open = ShapeFact(Some(alloc::vec![Dim::Unknown; 2]));
        let x = graph.add_value("x", Some(Fact::new(ElementType::F32, open)));
        let y = graph.add_value("y", None);
        let op = Arc::new(Transpose { perm: None });
        let (inputs, outputs) = (alloc::vec![Some(x)], alloc::vec![Some(y)]);
        graph.nodes.push(Node { name: "".into(), op, inputs, outputs });
        graph.inputs.push(x);
        graph.outputs.push(y);
        let model = Model { graph, ..Model::default() };
        let (inputs, outputs) = (model.inputs().into(), model.outputs().into());
        let (isa, packs, options) =
            (Isa::portable(), Packs::default(), Options { plans, ..Options::default() });
        let plans = Plans::new(plans);
        Shared { graph: model.graph, inputs, outputs, isa, packs, plans, options, nodes: Vec::new() }
    }

    /// As a request does it.
    fn plan(shared: &Shared, rows: usize) -> Arc<Plan> {
        let shape = Shape::from([rows, 2]);
        let make = || finish(shared.plan([shape.clone()].into(), &mut Pace::silent())).unwrap();
        shared.plans.find(core::iter::once(&shape)).unwrap_or_else(make).plan
    }

    #[test]
    fn a_plan_is_made_once_and_the_least_recently_used_goes() {
        let shared = shared(2);
        let (a, b) = (plan(&shared, 1), plan(&shared, 2));
        assert!(Arc::ptr_eq(&a, &plan(&shared, 1)));
        // Now 2 was used least recently.
        let c = plan(&shared, 3);
        assert!(Arc::ptr_eq(&a, &plan(&shared, 1)) && Arc::ptr_eq(&c, &plan(&shared, 3)));
        assert!(!Arc::ptr_eq(&b, &plan(&shared, 2)));
        assert_eq!(shared.plans.count(), 2);
    }

    #[test]
    fn a_plan_that_was_stopped_is_not_kept() {
        let shared = Arc::new(shared(2));
        let mut steps = shared.clone().plan_steps([Shape::from([1, 2])].into());
        assert!(matches!(
            steps.step(&Turn::new(Stop::new(&Stopped), Slice::Unlimited, &Serial)),
            Step::Stopped
        ));
        assert_eq!(shared.plans.count(), 0);
        assert_eq!(Arc::strong_count(&shared), 1, "nothing of it is left");
    }

    struct Stopped;

    impl StopSource for Stopped {
        fn stopped(&self) -> bool {
            true
        }
    }
}
