//! What the tests of whole graphs share: a builder of models, and a runner that polls a work by hand.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use inferry_core::device::{CompiledModel, Device, Work};
use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure, InferErrorKind};
use inferry_core::turn::StopSource;
use inferry_core::{Element, ElementType, Parallel, Serial, Shape, Slice, Stop, Tensor, Turn};
use inferry_cpu::{Cpu, Isa, Options};
use inferry_engine::Model;
use inferry_engine::graph::{Body, Dim, Fact, Graph, Node, ShapeFact, ValueId};
use inferry_engine::op::{If, Loop, Op};

/// A graph that is being written down.
#[derive(Default)]
pub(crate) struct Sketch {
    pub(crate) graph: Graph,
}

/// Writes a body: its inputs are given, its outputs come back.
pub(crate) type Write<'a> = dyn Fn(&mut Sketch, &[ValueId]) -> Vec<ValueId> + 'a;

/// Writes the body of a loop: see [`Sketch::looped`].
pub(crate) type WriteLoop<'a> =
    dyn Fn(&mut Sketch, ValueId, &[ValueId]) -> (Option<ValueId>, Vec<ValueId>) + 'a;

impl Sketch {
    pub(crate) fn new() -> Sketch {
        Sketch::default()
    }

    /// An input of fixed shape.
    pub(crate) fn input(&mut self, name: &str, element: ElementType, shape: &[usize]) -> ValueId {
        self.input_of(name, Fact::fixed(element, shape))
    }

    /// An input whose extents are open where `None` stands.
    pub(crate) fn open_input(&mut self, name: &str, element: ElementType, dims: &[Option<usize>]) -> ValueId {
        let dims = dims.iter().map(|dim| dim.map_or(Dim::Unknown, Dim::Fixed)).collect();
        self.input_of(name, Fact::new(element, ShapeFact(Some(dims))))
    }

    fn input_of(&mut self, name: &str, fact: Fact) -> ValueId {
        let id = self.graph.add_value(name, Some(fact));
        self.graph.inputs.push(id);
        id
    }

    pub(crate) fn constant<T: Element>(&mut self, values: &[T], shape: &[usize]) -> ValueId {
        self.graph.add_constant("", tensor(values, shape))
    }

    /// A node of one output.
    pub(crate) fn op(&mut self, op: impl Op, inputs: &[ValueId]) -> ValueId {
        self.ops(op, inputs, 1)[0]
    }

    /// A node of several outputs.
    pub(crate) fn ops(&mut self, op: impl Op, inputs: &[ValueId], outputs: usize) -> Vec<ValueId> {
        let outputs: Vec<_> = (0..outputs).map(|_| self.graph.add_value("", None)).collect();
        self.graph.nodes.push(Node {
            name: "".into(),
            op: Arc::new(op),
            inputs: inputs.iter().map(|id| Some(*id)).collect(),
            outputs: outputs.iter().map(|id| Some(*id)).collect(),
        });
        outputs
    }

    /// An If whose bodies are written by `bodies`, each with the inputs that stand for `captures`.
    pub(crate) fn choice(
        &mut self,
        condition: ValueId,
        captures: &[ValueId],
        outputs: usize,
        bodies: [&Write<'_>; 2],
    ) -> Vec<ValueId> {
        let bodies = bodies.map(|write| {
            let mut body = Sketch::new();
            let inputs: Vec<_> = captures.iter().map(|_| body.graph.add_value("", None)).collect();
            body.graph.inputs = inputs.clone();
            body.graph.outputs = write(&mut body, &inputs);
            Body { graph: body.graph, captures: (1..=captures.len()).collect() }
        });
        let inputs: Vec<_> = [condition].iter().chain(captures).copied().collect();
        self.ops(If { bodies: bodies.into() }, &inputs, outputs)
    }

    /// A Loop of these trips over a body, which gets the number of the trip, what is carried and what stands for `captures`, and
    /// gives the condition (`None`: it always holds), what is carried next and what is scanned.
    pub(crate) fn looped(
        &mut self,
        (count, condition): (Option<ValueId>, Option<ValueId>),
        carried: &[ValueId],
        captures: &[ValueId],
        write: &WriteLoop<'_>,
    ) -> Vec<ValueId> {
        let mut body = Sketch::new();
        let inputs: Vec<_> = (0..Loop::LEADING + carried.len() + captures.len())
            .map(|_| body.graph.add_value("", None))
            .collect();
        body.graph.inputs = inputs.clone();
        let (next, results) = write(&mut body, inputs[0], &inputs[Loop::LEADING..]);
        body.graph.outputs = [vec![next.unwrap_or(inputs[1])], results].concat();
        let outputs = body.graph.outputs.len() - 1;
        let first = Loop::LEADING + carried.len();
        let body = Body { graph: body.graph, captures: (first..first + captures.len()).collect() };
        let results: Vec<_> = (0..outputs).map(|_| self.graph.add_value("", None)).collect();
        let inputs = carried.iter().chain(captures).map(|id| Some(*id));
        self.graph.nodes.push(Node {
            name: "".into(),
            op: Arc::new(Loop { body, carried: carried.len(), listed: false }),
            inputs: [count, condition].into_iter().chain(inputs).collect(),
            outputs: results.iter().map(|id| Some(*id)).collect(),
        });
        results
    }

    /// The model with these outputs.
    pub(crate) fn model(mut self, outputs: &[ValueId]) -> Model {
        for (index, id) in outputs.iter().enumerate() {
            if self.graph.value(*id).name.is_empty() {
                self.graph.value_mut(*id).name = format!("out{index}").into();
            }
        }
        self.graph.outputs = outputs.to_vec();
        Model { graph: self.graph, ..Model::default() }
    }
}

pub(crate) fn tensor<T: Element>(values: &[T], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, Shape::new(shape).unwrap()).unwrap()
}

/// 0, 1, 2, … in this shape.
pub(crate) fn count(shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|value| value as f32).collect();
    tensor(&values, shape)
}

pub(crate) fn compile(model: &Model) -> Arc<dyn CompiledModel> {
    compile_with(model, &Options::default())
}

pub(crate) fn compile_with(model: &Model, options: &Options) -> Arc<dyn CompiledModel> {
    Cpu::new(Isa::portable()).compile(model, options).unwrap_or_else(|error| panic!("{error}"))
}

/// A work and its tensors, polled by hand.
pub(crate) struct Runner {
    pub(crate) io: Bindings,
    pub(crate) work: Box<dyn Work>,
    /// How many polls the last run took.
    pub(crate) polls: usize,
}

impl Runner {
    pub(crate) fn new(compiled: &Arc<dyn CompiledModel>) -> Runner {
        let io = Bindings::new(compiled.inputs(), compiled.outputs()).unwrap();
        Runner { io, work: compiled.prepare().unwrap(), polls: 0 }
    }

    pub(crate) fn set(&mut self, port: usize, tensor: Tensor) {
        self.io.set(Side::Input, port, tensor).unwrap();
    }

    pub(crate) fn set_output(&mut self, port: usize, tensor: Tensor) {
        self.io.set(Side::Output, port, tensor).unwrap();
    }

    /// Binds the inputs and runs without limits.
    pub(crate) fn run(&mut self, inputs: &[Tensor]) -> Vec<Tensor> {
        for (port, tensor) in inputs.iter().enumerate() {
            self.set(port, tensor.clone());
        }
        self.run_with(Slice::Unlimited, &Serial, Stop::never())
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        self.outputs()
    }

    /// Runs on what is bound, each poll with a turn like this.
    pub(crate) fn run_with(
        &mut self,
        slice: Slice<'_>,
        parallel: &dyn Parallel,
        stop: Stop<'_>,
    ) -> Result<(), Failure> {
        self.io.hold().unwrap();
        self.work.begin();
        self.polls = 0;
        let result = loop {
            if let Poll::Ready(result) = self.poll(slice, parallel, stop) {
                break result;
            }
        };
        self.io.release();
        result
    }

    /// Runs on what is bound; the slice and the threads of each poll are asked for.
    pub(crate) fn run_turns<'a>(
        &mut self,
        turn: impl Fn(usize) -> (Slice<'a>, &'a dyn Parallel),
    ) -> Result<(), Failure> {
        self.io.hold().unwrap();
        self.work.begin();
        self.polls = 0;
        let result = loop {
            let (slice, parallel) = turn(self.polls);
            if let Poll::Ready(result) = self.poll(slice, parallel, Stop::never()) {
                break result;
            }
        };
        self.io.release();
        result
    }

    /// Begins a run and leaves it after so many short polls, as when an executor drops its task.
    pub(crate) fn abandon_after(&mut self, polls: usize) {
        self.io.hold().unwrap();
        self.work.begin();
        self.polls = 0;
        while self.polls < polls && self.poll(Slice::Looks(1), &Serial, Stop::never()).is_pending() {}
        self.io.release();
    }

    fn poll(
        &mut self,
        slice: Slice<'_>,
        parallel: &dyn Parallel,
        stop: Stop<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.polls += 1;
        assert!(self.polls < 1_000_000, "a run that makes no progress");
        let turn = Turn::new(stop, slice, parallel);
        self.work.poll_stage(0, &mut self.io, &turn, &mut Context::from_waker(Waker::noop()))
    }

    pub(crate) fn outputs(&self) -> Vec<Tensor> {
        self.io.outputs().iter().map(|bound| bound.tensor().clone()).collect()
    }

    /// The shapes and bytes of the outputs, copied out.
    pub(crate) fn bytes(&self) -> Vec<(Shape, Vec<u8>)> {
        self.outputs().iter().map(|tensor| (tensor.shape().clone(), bytes(tensor))).collect()
    }
}

/// The elements of a tensor in row-major order, as bytes.
pub(crate) fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut dense = vec![0; tensor.byte_len()];
    let lease = tensor.lease_read().unwrap();
    let bound = &lease.bytes()[tensor.byte_range()];
    inferry_core::tensor::gather(tensor.layout(), tensor.element().size(), bound, &mut dense).unwrap();
    dense
}

pub(crate) fn floats(tensor: &Tensor) -> Vec<f32> {
    bytes(tensor).chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Compiles, runs once, and gives the outputs.
pub(crate) fn run(model: &Model, inputs: &[Tensor]) -> Vec<Tensor> {
    Runner::new(&compile(model)).run(inputs)
}

/// An error and its causes, one after the other.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Says "stop" at the `k`-th look and ever after.
pub(crate) struct StopAt {
    looks: AtomicUsize,
    at: usize,
}

impl StopAt {
    pub(crate) fn look(at: usize) -> StopAt {
        StopAt { looks: AtomicUsize::new(0), at }
    }
}

impl StopSource for StopAt {
    fn stopped(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed) + 1 >= self.at
    }
}

/// Fork-join over threads that live for one call.
pub(crate) struct Threads(pub(crate) usize);

impl Parallel for Threads {
    fn width(&self) -> usize {
        self.0
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                body(index);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.0 {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % limit
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

pub(crate) fn is_cancelled(failure: &Failure) -> bool {
    failure.kind() == InferErrorKind::Cancelled
}
