//! A pretended accelerator: it takes jobs, does one after the other, and tells who waits when a job is done.
//!
//! A chip works by itself, on a thread that stands for the hardware, or is stepped by hand by a test. A job whose run has
//! been given up is dropped from the queue, or its answer is ignored.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::{Memory, Op, place, work::Values};

/// A pretended accelerator.
#[derive(Debug)]
pub struct Chip {
    name: String,
    /// The oldest first, each with its ticket.
    jobs: Mutex<VecDeque<(Arc<Job>, u64)>>,
    submitted: Condvar,
    memory: Memory,
}

/// What one request hands to the chip, again and again.
#[derive(Debug, Default)]
pub(crate) struct Job {
    state: Mutex<JobState>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct JobState {
    /// Which submission this is: an answer to an earlier one is ignored.
    ticket: u64,
    ops: Arc<Vec<Op>>,
    values: Values,
    answer: Option<Result<(), String>>,
    waker: Option<Waker>,
}

impl Chip {
    /// A chip that does nothing until [`Chip::step`].
    pub fn by_hand(name: &str) -> Arc<Chip> {
        Arc::new(Chip {
            name: name.into(),
            jobs: Mutex::default(),
            submitted: Condvar::new(),
            memory: Memory::new(name),
        })
    }

    /// A chip that works by itself as long as somebody keeps it.
    pub fn working(name: &str) -> Arc<Chip> {
        let chip = Chip::by_hand(name);
        let weak = Arc::downgrade(&chip);
        let thread = thread::Builder::new().name(format!("chip {name}"));
        thread.spawn(move || work(&weak)).expect("a thread for the chip");
        chip
    }

    /// Does the oldest job, on the calling thread; false when there is none.
    pub fn step(&self) -> bool {
        let next = self.jobs().pop_front();
        next.map(|(job, ticket)| job.execute(ticket)).is_some()
    }

    /// How many jobs wait to be done.
    pub fn waiting(&self) -> usize {
        self.jobs().len()
    }

    /// How long the oldest job takes: what a simulation lets pass before its [`Chip::step`]. `None` when there is none.
    pub fn next_takes(&self) -> Option<Duration> {
        let (job, _) = self.jobs().front()?.clone();
        let ops = job.state().ops.clone();
        Some(ops.iter().map(|op| if let Op::Sleep(time) = op { *time } else { Duration::ZERO }).sum())
    }

    /// The chip's own memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The chip's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn submit(&self, job: &Arc<Job>, ops: &Arc<Vec<Op>>, values: &mut Values) {
        let ticket = {
            let mut state = job.state();
            state.ticket += 1;
            state.ops = ops.clone();
            std::mem::swap(&mut state.values, values);
            state.answer = None;
            state.ticket
        };
        self.jobs().push_back((job.clone(), ticket));
        self.submitted.notify_one();
    }

    /// Forgets a job, whether it has been done or not.
    pub(crate) fn forget(&self, job: &Arc<Job>) {
        let waker = {
            let mut state = job.state();
            state.ticket += 1;
            state.waker.take()
        };
        drop(waker);
        self.jobs().retain(|(other, _)| !Arc::ptr_eq(other, job));
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<(Arc<Job>, u64)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hardware of a chip that works by itself.
fn work(chip: &Weak<Chip>) {
    while let Some(chip) = chip.upgrade() {
        if !chip.step() {
            // Looks now and then whether anybody still wants this chip.
            let (jobs, a_while) = (chip.jobs(), Duration::from_millis(50));
            drop(chip.submitted.wait_timeout_while(jobs, a_while, |jobs| jobs.is_empty()));
        }
    }
}

impl Job {
    /// The answer, or `Pending` with the waker kept.
    pub(crate) fn poll(&self, values: &mut Values, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let mut state = self.state();
        match state.take_answer(values) {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Blocks for the answer; `None` when `give_up`, which is asked every millisecond, says so first.
    pub(crate) fn wait(&self, values: &mut Values, give_up: impl Fn() -> bool) -> Option<Result<(), String>> {
        let mut state = self.state();
        loop {
            if let Some(answer) = state.take_answer(values) {
                return Some(answer);
            }
            if give_up() {
                return None;
            }
            let waited = self.done.wait_timeout(state, Duration::from_millis(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn execute(&self, ticket: u64) {
        let (ops, mut values) = {
            let mut state = self.state();
            if state.ticket != ticket {
                return;
            }
            (state.ops.clone(), std::mem::take(&mut state.values))
        };
        let given_up = || self.state().ticket != ticket;
        let answer = ops.iter().try_for_each(|op| op.execute(&mut values, &given_up));
        let mut state = self.state();
        if state.ticket != ticket {
            return;
        }
        state.values = values;
        state.answer = Some(answer);
        let waker = state.waker.take();
        drop(state);
        self.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobState {
    fn take_answer(&mut self, values: &mut Values) -> Option<Result<(), String>> {
        let answer = self.answer.take()?;
        std::mem::swap(&mut self.values, values);
        Some(answer)
    }
}

impl Op {
    /// Does this on the chip, to all values.
    fn execute(&self, values: &mut Values, given_up: &dyn Fn() -> bool) -> Result<(), String> {
        match self {
            Op::Echo | Op::Yield => {}
            Op::Add(number) => values.iter_mut().flatten().for_each(|value| *value += number),
            // A simulated chip takes the time before it takes the step; see `Chip::next_takes`.
            Op::Sleep(time) if place::simulation().is_none() => thread::sleep(*time),
            Op::Sleep(_) => {}
            Op::Block(gate) | Op::Park(gate) | Op::Deaf(gate) => {
                gate.arrive();
                gate.pass(given_up);
            }
            Op::Fail(text) | Op::Panic(text) => return Err((*text).into()),
            Op::Call(call) => call.call(),
            Op::Execute(program) => program.0.execute(values),
        }
        Ok(())
    }
}
