//! The work of one request: its values, where its run stands, and the stages.
//!
//! This is the part to copy: between operators the stage asks whether to stop; an operator that waits keeps the waker and
//! returns `Pending`; the place to go on from is a field, so `begin` is all it takes to forget a run that went no further,
//! and `give_up` takes what it left on the chip away.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use inferry_core::Turn;
use inferry_core::device::Work;
use inferry_core::request::{Bindings, Bound, Failure};
use inferry_core::tensor::{Shape, gather, scatter};

use crate::chip::{Chip, Job};
use crate::place::{self, Simulation};
use crate::{Form, Graph, Op};

/// The values of each port.
pub(crate) type Values = Vec<Vec<f32>>;

type Ended = Poll<Result<(), Failure>>;

/// The work of one request. See the [module](self).
pub(crate) struct TemplateWork {
    graph: Arc<Graph>,
    on_chip: Arc<Vec<Op>>,
    form: Form,
    chip: Arc<Chip>,
    job: Arc<Job>,
    values: Values,
    at: Position,
}

/// Where a run stands within its stage.
#[derive(Default)]
struct Position {
    /// The inputs have been read.
    gathered: bool,
    /// Operators that are done.
    ops: usize,
    /// What the next operator remembers between two polls.
    entered: Option<Duration>,
}

impl TemplateWork {
    pub(crate) fn new(graph: Arc<Graph>, form: Form, chip: Arc<Chip>) -> TemplateWork {
        let values = vec![vec![0.0; graph.len.unwrap_or(0)]; graph.ports];
        let on_chip = Arc::new(graph.on_chip.clone());
        TemplateWork { graph, on_chip, form, chip, job: Arc::default(), values, at: Position::default() }
    }

    /// The only stage.
    fn infer(&mut self, io: &mut Bindings, turn: &Turn<'_>, cx: &mut Context<'_>) -> Ended {
        self.gather(io)?;
        let graph = self.graph.clone();
        let ops = graph.before.iter().chain(&graph.on_chip).chain(&graph.after);
        ready!(self.run(ops, turn, cx))?;
        Poll::Ready(self.scatter(io))
    }

    /// The first of three stages: the host's part, then the submit, which is quick.
    fn preprocess_and_start(&mut self, io: &Bindings, turn: &Turn<'_>, cx: &mut Context<'_>) -> Ended {
        self.gather(io)?;
        let graph = self.graph.clone();
        ready!(self.run(graph.before.iter(), turn, cx))?;
        self.chip.submit(&self.job, &self.on_chip, &mut self.values);
        Poll::Ready(Ok(()))
    }

    /// The second of three stages: waits for the chip.
    fn wait(&mut self, turn: &Turn<'_>, cx: &mut Context<'_>) -> Ended {
        wait_for(&self.job, self.form, &mut self.values, turn, cx)
    }

    /// The last of three stages.
    fn postprocess(&mut self, io: &mut Bindings, turn: &Turn<'_>, cx: &mut Context<'_>) -> Ended {
        let graph = self.graph.clone();
        ready!(self.run(graph.after.iter(), turn, cx))?;
        Poll::Ready(self.scatter(io))
    }

    /// A number that no other work has at the same time.
    fn number(&self) -> usize {
        Arc::as_ptr(&self.job).addr()
    }

    /// Takes the wakers back that operators have left at gates.
    fn leave_gates(&self) {
        let Graph { before, on_chip, after, .. } = &*self.graph;
        for op in before.iter().chain(on_chip).chain(after) {
            if let Op::Park(gate) | Op::Block(gate) | Op::Deaf(gate) = op {
                gate.leave(self.number());
            }
        }
    }

    /// Runs what is left of `ops`.
    fn run<'g>(&mut self, ops: impl Iterator<Item = &'g Op>, turn: &Turn<'_>, cx: &mut Context<'_>) -> Ended {
        for op in ops.skip(self.at.ops) {
            if turn.stop_requested() && !matches!(op, Op::Deaf(_)) {
                return Poll::Ready(Err(Failure::stopped()));
            }
            ready!(self.step(op, turn, cx))?;
            self.at.ops += 1;
            self.at.entered = None;
        }
        Poll::Ready(Ok(()))
    }

    fn step(&mut self, op: &Op, turn: &Turn<'_>, cx: &mut Context<'_>) -> Ended {
        let first = self.at.entered.is_none();
        let entered = *self.at.entered.get_or_insert_with(place::now);
        if let (true, Op::Block(gate) | Op::Deaf(gate) | Op::Park(gate)) = (first, op) {
            gate.arrive();
        }
        if let (Op::Sleep(_) | Op::Block(_) | Op::Deaf(_), Some(simulation)) = (op, place::simulation()) {
            return wait_simulated(op, self.number(), entered, &*simulation, cx);
        }
        // What gives the thread back without waiting for anything has to wake itself.
        let again = || {
            cx.waker().wake_by_ref();
            Poll::Pending
        };
        match op {
            Op::Echo => {}
            Op::Add(number) => self.values.iter_mut().flatten().for_each(|value| *value += number),
            Op::Sleep(time) => {
                while let Some(left) = (entered + *time).checked_sub(place::now()) {
                    if turn.stop_requested() {
                        return Poll::Ready(Err(Failure::stopped()));
                    }
                    if turn.used_up() {
                        return again();
                    }
                    thread::sleep(left.min(Duration::from_millis(1)));
                }
            }
            Op::Block(gate) => {
                if !gate.pass(|| turn.stop_requested() || turn.used_up()) {
                    return if turn.stop_requested() {
                        Poll::Ready(Err(Failure::stopped()))
                    } else {
                        again()
                    };
                }
            }
            Op::Deaf(gate) => drop(gate.pass(|| false)),
            Op::Park(gate) => ready!(gate.poll_pass(self.number(), cx)),
            Op::Yield if first => return again(),
            Op::Yield => {}
            Op::Fail(text) => return Poll::Ready(Err(Failure::operator(*text).at("template/fail"))),
            Op::Panic(text) => panic!("{text}"),
            Op::Call(call) => call.call(),
            Op::Execute(program) => program.0.execute(&mut self.values),
        }
        Poll::Ready(Ok(()))
    }

    /// Reads the inputs, once a run.
    fn gather(&mut self, io: &Bindings) -> Result<(), Failure> {
        if std::mem::replace(&mut self.at.gathered, true) {
            return Ok(());
        }
        // A run that was given up may have left them with the chip.
        self.values.resize_with(io.inputs().len(), Vec::new);
        for (input, values) in io.inputs().iter().zip(&mut self.values) {
            read_input(&self.chip, input, values)?;
        }
        Ok(())
    }

    /// Writes the outputs, whose shape may be known only now.
    fn scatter(&mut self, io: &mut Bindings) -> Result<(), Failure> {
        for (output, values) in io.split().1.iter_mut().zip(&self.values) {
            write_output(&self.chip, values, &[values.len()].into(), output)?;
        }
        Ok(())
    }
}

/// Waits for the chip: parks, or blocks the thread.
pub(crate) fn wait_for(
    job: &Job,
    form: Form,
    values: &mut Values,
    turn: &Turn<'_>,
    cx: &mut Context<'_>,
) -> Ended {
    let simulation = place::simulation();
    let answer = match form {
        Form::Blocking if simulation.is_none() => job.wait(values, || turn.stop_requested()),
        _ if turn.stop_requested() => None,
        form => match (job.poll(values, cx), simulation) {
            (Poll::Pending, Some(simulation)) if form == Form::Blocking => {
                simulation.hold();
                return Poll::Pending;
            }
            (answer, _) => Some(ready!(answer)),
        },
    };
    Poll::Ready(match answer {
        Some(answer) => answer.map_err(Failure::device),
        None => Err(Failure::stopped()),
    })
}

/// Reads an input, wherever it is.
pub(crate) fn read_input(chip: &Chip, input: &Bound, values: &mut Vec<f32>) -> Result<(), Failure> {
    let tensor = input.tensor();
    values.resize(tensor.len(), 0.0);
    if let Some(remote) = tensor.as_remote() {
        return chip.memory().read(remote, values).map_err(Failure::device);
    }
    let from = &input.bytes()[tensor.byte_range()];
    gather(tensor.layout(), size_of::<f32>(), from, bytemuck::cast_slice_mut(values)).map_err(Failure::device)
}

/// Writes an output, wherever it is, and gives it this shape.
pub(crate) fn write_output(
    chip: &Chip,
    values: &[f32],
    shape: &Shape,
    output: &mut Bound,
) -> Result<(), Failure> {
    output.set_shape(shape).map_err(Failure::device)?;
    if let Some(remote) = output.tensor().as_remote() {
        return chip.memory().write(values, remote).map_err(Failure::device);
    }
    let (layout, range) = (output.tensor().layout().clone(), output.tensor().byte_range());
    let to = &mut output.bytes_mut()[range];
    scatter(&layout, size_of::<f32>(), bytemuck::cast_slice(values), to).map_err(Failure::device)
}

/// An operator that would block its thread, where no thread may block.
fn wait_simulated(
    op: &Op,
    who: usize,
    entered: Duration,
    simulation: &dyn Simulation,
    cx: &mut Context<'_>,
) -> Ended {
    let waits = match op {
        Op::Sleep(time) if simulation.now() < entered + *time => {
            simulation.wake_at(entered + *time, cx.waker().clone());
            true
        }
        Op::Block(gate) | Op::Deaf(gate) => gate.poll_pass(who, cx).is_pending(),
        _ => false,
    };
    if waits {
        simulation.hold();
        return Poll::Pending;
    }
    Poll::Ready(Ok(()))
}

impl Work for TemplateWork {
    fn begin(&mut self) {
        self.at = Position::default();
    }

    fn give_up(&mut self) {
        // Its job may be on the chip, also when the run ended before its stage `wait` was polled.
        self.chip.forget(&self.job);
        self.leave_gates();
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let ended = match (self.form, stage) {
            (Form::OneStage, _) => self.infer(io, turn, cx),
            (_, 0) => self.preprocess_and_start(io, turn, cx),
            (_, 1) => self.wait(turn, cx),
            _ => self.postprocess(io, turn, cx),
        };
        if ended.is_ready() {
            self.at = Position { gathered: self.at.gathered, ..Position::default() };
        }
        ended
    }
}

impl Drop for TemplateWork {
    fn drop(&mut self) {
        self.chip.forget(&self.job);
        self.leave_gates();
    }
}
