//! A simulated world: one thread, virtual time, and an order of events that is drawn from a seed.
//!
//! The requests, their tasks and the template device are the real ones. The machine around them is not: its executors are
//! queues, and after each step a lot decides which worker, chip or waiter goes on ([`machine`]). So a seed is an
//! interleaving, thousands of them take a second, and one that fails can be looked at again and again.
//!
//! Two things are not as on threads: stages do not run at the same time but between each other's steps, so it takes
//! loom, and real threads, to find a missing fence; and a thread that blocks is one whose stage is polled again.
//!
//! [`machine`]: self

mod machine;
mod queue;
mod timer;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use inferry_core::batch::{Batching, batched};
use inferry_core::device::{CompiledModel, Device, StageKind};
use inferry_core::{Executor, Pipeline};
use inferry_template::{Chip, Form, Graph, Simulation, Template, simulate};

use crate::world::{Model, World};
use machine::Machine;

/// A simulated world. Clones are the same world.
#[derive(Clone)]
pub struct Sim(Rc<Inner>);

struct Inner {
    machine: Rc<Machine>,
    seed: u64,
    compute: Arc<dyn Executor>,
    delivery: Option<Arc<dyn Executor>>,
    /// The executor that waits for each device, by the device's name.
    waits: RefCell<Vec<(String, Arc<dyn Executor>)>>,
}

impl Sim {
    /// The world of a seed, which also says how many workers compute, and where callbacks are called.
    pub fn new(seed: u64) -> Sim {
        let machine = Rc::new(Machine::new(seed));
        let compute = machine.executor("compute", 1 + machine.random.below(3));
        let delivery = match machine.random.below(3) {
            0 => None,
            workers => Some(machine.executor("callbacks", workers) as Arc<dyn Executor>),
        };
        Sim(Rc::new(Inner { machine, seed, compute, delivery, waits: RefCell::default() }))
    }

    /// Runs a behaviour in the world of a seed. Gives how many steps it took.
    ///
    /// # Panics
    /// When the behaviour does, or when nothing can go on before it is over.
    pub fn run<F: Future<Output = ()> + 'static>(seed: u64, behaviour: impl FnOnce(Sim) -> F) -> u64 {
        let sim = Sim::new(seed);
        let machine = sim.0.machine.clone();
        let _here = Here::enter(machine.clone());
        machine.run(behaviour(sim));
        machine.steps()
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// An executor of so many workers.
    pub fn executor(&self, name: &str, workers: usize) -> Arc<dyn Executor> {
        self.0.machine.executor(name, workers)
    }

    /// The time since the world began.
    pub fn now(&self) -> Duration {
        self.0.machine.now()
    }

    /// Becomes ready when it is `moment`.
    pub async fn until(&self, moment: Duration) {
        poll_fn(|cx| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            self.0.machine.wake_at(moment, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// A model whose stages run on these executors, and whose callbacks are called where the last stage ended.
    pub fn model(&self, graph: &Graph, form: Form, chip: &Arc<Chip>, stages: &[Arc<dyn Executor>]) -> Model {
        let Ok(device) = Template::new(chip.clone()).compile(graph, &form);
        Model { device, pipeline: Arc::new(Pipeline::new(stages.to_vec())) }
    }

    /// A model of one stage whose callbacks have an executor of their own.
    pub fn delivering(&self, graph: &Graph, stages: &[Arc<dyn Executor>], on: &Arc<dyn Executor>) -> Model {
        let device = self.model(graph, Form::OneStage, &Chip::by_hand("none"), stages).device;
        Model { device, pipeline: Arc::new(Pipeline::new(stages.to_vec()).deliver_on(on.clone())) }
    }

    /// The face of a model whose requests share batches, of which so many are under way at a time.
    ///
    /// # Panics
    /// When the model has no batch of this size.
    pub fn batched(&self, model: &Model, buses: usize, batching: Batching) -> Model {
        let Model { device, pipeline } = model;
        let batched = batched(device, pipeline, buses, batching, Arc::new(timer::Here));
        let (device, pipeline) = batched.expect("a batch of this size");
        Model { device, pipeline: Arc::new(pipeline) }
    }

    fn wait_for(&self, device: &str) -> Arc<dyn Executor> {
        let mut waits = self.0.waits.borrow_mut();
        if let Some((_, executor)) = waits.iter().find(|(name, _)| name == device) {
            return executor.clone();
        }
        let executor = self.executor("wait", 1);
        waits.push((device.into(), executor.clone()));
        executor
    }
}

impl World for Sim {
    fn place(&self, device: &str, model: Arc<dyn CompiledModel>) -> Model {
        let pipeline = Pipeline::by_kind(&*model, |kind| match kind {
            StageKind::Wait => self.wait_for(device),
            _ => self.0.compute.clone(),
        });
        let pipeline = match &self.0.delivery {
            Some(delivery) => pipeline.deliver_on(delivery.clone()),
            None => pipeline,
        };
        Model { device: model, pipeline: Arc::new(pipeline) }
    }

    fn chip(&self, name: &str) -> Arc<Chip> {
        let chip = Chip::by_hand(name);
        self.0.machine.work(&chip);
        chip
    }
}

/// Keeps the calling thread in a simulation.
struct Here(Option<Rc<dyn Simulation>>, Option<Rc<Machine>>);

impl Here {
    fn enter(machine: Rc<Machine>) -> Here {
        Here(simulate(Some(machine.clone())), timer::enter(Some(machine)))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        simulate(self.0.take());
        timer::enter(self.1.take());
    }
}
