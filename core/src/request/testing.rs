//! What the tests of this module share: ports, a model whose stages do as they are told, an executor stepped by hand.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;

use crate::device::{CompiledModel, StageInfo, StageKind, Work};
use crate::executor::{Executor, Lend, Submitted};
use crate::pipeline::Pipeline;
use crate::port::{Port, Side};
use crate::request::{Bindings, Failure, PrepareError, Request, Task, TaskId};
use crate::tensor::{ElementType, Shape};
use crate::turn::Turn;
use crate::value::Kind;

pub(crate) fn port(side: Side, index: usize, name: &str, shape: impl Into<Shape>) -> Port {
    let kind = Kind::Tensor;
    Port { side, index, name: name.into(), kind, element: ElementType::F32, shape: shape.into().into() }
}

/// What the polled stage shall do.
pub(crate) enum Act {
    /// Writes the input plus one to the output.
    AddOne,
    /// Succeeds without doing anything.
    Pass,
    Fail,
    Panic,
    /// Returns `Pending` and leaves its waker in the model's `parked`.
    Park,
    /// Wakes itself and returns `Pending`.
    Yield,
    /// Runs something of the test's, then succeeds.
    Call(Box<dyn FnOnce() + Send>),
}

/// A model of `stages` stages. The script holds what the coming polls shall do; when it is empty the last stage adds one
/// and the others pass. A poll that finds the run cancelled gives up, unless the model is stubborn.
pub(crate) struct Script {
    inputs: [Port; 1],
    outputs: [Port; 1],
    stages: Vec<StageInfo>,
    pub(crate) state: Arc<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) acts: Mutex<VecDeque<Act>>,
    pub(crate) parked: Mutex<Option<Waker>>,
    /// The stages that were polled.
    pub(crate) polls: Mutex<Vec<usize>>,
    pub(crate) prepared: Mutex<usize>,
    pub(crate) begun: Mutex<usize>,
    pub(crate) given_up: Mutex<usize>,
    pub(crate) stubborn: Mutex<bool>,
}

impl Script {
    pub(crate) fn new(stages: usize) -> Arc<Script> {
        const NAMES: [&str; 3] = ["first", "second", "third"];
        let stages = NAMES[..stages].iter().map(|name| StageInfo { name, kind: StageKind::Compute });
        Arc::new(Script {
            inputs: [port(Side::Input, 0, "x", [2])],
            outputs: [port(Side::Output, 0, "y", [2])],
            stages: stages.collect(),
            state: Arc::default(),
        })
    }

    pub(crate) fn then(self: &Arc<Self>, act: Act) -> &Arc<Self> {
        self.state.acts.lock().unwrap().push_back(act);
        self
    }

    pub(crate) fn polls(&self) -> Vec<usize> {
        self.state.polls.lock().unwrap().clone()
    }

    pub(crate) fn wake(&self) {
        let waker = self.state.parked.lock().unwrap().take();
        waker.expect("a parked stage").wake();
    }
}

impl CompiledModel for Script {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn stages(&self) -> &[StageInfo] {
        &self.stages
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        *self.state.prepared.lock().unwrap() += 1;
        let state = self.state.clone();
        Ok(Box::new(ScriptWork { last: self.stages.len() - 1, state, parked: false }))
    }
}

struct ScriptWork {
    last: usize,
    state: Arc<State>,
    parked: bool,
}

impl Work for ScriptWork {
    fn begin(&mut self) {
        *self.state.begun.lock().unwrap() += 1;
    }

    fn give_up(&mut self) {
        *self.state.given_up.lock().unwrap() += 1;
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.state.polls.lock().unwrap().push(stage);
        // The model must not keep what keeps the request alive.
        if core::mem::take(&mut self.parked) {
            drop(self.state.parked.lock().unwrap().take());
        }
        if turn.stop_requested() && !*self.state.stubborn.lock().unwrap() {
            return Poll::Ready(Err(Failure::stopped()));
        }
        let act = self.state.acts.lock().unwrap().pop_front();
        match act.unwrap_or(if stage == self.last { Act::AddOne } else { Act::Pass }) {
            Act::AddOne => {
                let (inputs, outputs) = io.split();
                let values: &[f32] = bytemuck::cast_slice(&inputs[0].bytes()[..8]);
                let sums = bytemuck::cast_slice_mut::<u8, f32>(&mut outputs[0].bytes_mut()[..8]);
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = value + 1.0);
            }
            Act::Pass => {}
            Act::Fail => return Poll::Ready(Err(Failure::operator("the divisor is zero").at("block/div"))),
            Act::Panic => panic!("the stage has bugs"),
            Act::Park => {
                *self.state.parked.lock().unwrap() = Some(cx.waker().clone());
                self.parked = true;
                return Poll::Pending;
            }
            Act::Yield => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Act::Call(call) => call(),
        }
        Poll::Ready(Ok(()))
    }
}

/// A model of three inputs and three outputs, which copies each input to its output.
pub(crate) struct Many;

impl Many {
    fn ports(side: Side, names: [&str; 3]) -> &'static [Port] {
        std::vec::Vec::leak(names.iter().enumerate().map(|(at, name)| port(side, at, name, [2])).collect())
    }
}

impl CompiledModel for Many {
    fn inputs(&self) -> &[Port] {
        static PORTS: std::sync::OnceLock<&[Port]> = std::sync::OnceLock::new();
        PORTS.get_or_init(|| Many::ports(Side::Input, ["a", "b", "c"]))
    }

    fn outputs(&self) -> &[Port] {
        static PORTS: std::sync::OnceLock<&[Port]> = std::sync::OnceLock::new();
        PORTS.get_or_init(|| Many::ports(Side::Output, ["p", "q", "r"]))
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(Many))
    }
}

impl Work for Many {
    fn poll_stage(
        &mut self,
        _: usize,
        io: &mut Bindings,
        _: &Turn<'_>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let (inputs, outputs) = io.split();
        for (output, input) in outputs.iter_mut().zip(inputs) {
            output.bytes_mut()[..8].copy_from_slice(&input.bytes()[..8]);
        }
        Poll::Ready(Ok(()))
    }
}

/// An executor whose tasks are run by the test, one by one.
#[derive(Default)]
pub(crate) struct ByHand {
    queue: Mutex<VecDeque<Task>>,
    pub(crate) refuses: Mutex<bool>,
}

impl ByHand {
    pub(crate) fn len(&self) -> usize {
        self.queue.lock().unwrap().len()
    }

    /// Runs the oldest task; false when there is none.
    pub(crate) fn step(&self) -> bool {
        let task = self.queue.lock().unwrap().pop_front();
        task.map(|task| task.run(&Lend::SERIAL)).is_some()
    }

    pub(crate) fn drain(&self) {
        while self.step() {}
    }

    /// Drops the tasks, as an executor does that is shut down.
    pub(crate) fn shut_down(&self) {
        let tasks: Vec<_> = self.queue.lock().unwrap().drain(..).collect();
        drop(tasks);
    }
}

impl Executor for ByHand {
    fn name(&self) -> &str {
        "by hand"
    }

    fn submit(&self, task: Task) -> Submitted {
        if *self.refuses.lock().unwrap() {
            return Submitted::Refused(task);
        }
        self.queue.lock().unwrap().push_back(task);
        Submitted::Taken
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        let mut queue = self.queue.lock().unwrap();
        let position = queue.iter().position(|task| task.id() == id)?;
        queue.remove(position)
    }
}

/// A request of `model` with every stage on one executor that is stepped by hand.
pub(crate) fn by_hand(model: &Arc<Script>) -> (Request, Arc<ByHand>) {
    let executor = Arc::new(ByHand::default());
    let pipeline = Pipeline::by_kind(&**model, |_| executor.clone());
    (Request::new(model.clone(), Arc::new(pipeline)).unwrap(), executor)
}
