//! The simulated machine: everything that can go on, and the lot that decides which goes on next.
//!
//! One step is one of these: a worker runs the task that is next in its queue, a chip begins or ends a job, or the test is
//! polled. When nothing can go on but a test that only looks whether something has happened, time passes: the clock jumps to
//! the next moment that somebody waits for. When there is none either, nothing will ever happen again, and the simulation
//! says so by a panic instead of going on for ever.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use inferry_core::executor::Lend;
use inferry_core::request::TaskId;
use inferry_template::{Chip, Simulation};

use super::queue::{Queue, Worker};
use crate::random::Random;

/// So often is a test polled that only looks, when nothing else can happen, before it is said to hang.
const PATIENCE: usize = 1000;

pub(super) struct Machine {
    pub(super) random: Random,
    now: Cell<Duration>,
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    alarms: Cell<u64>,
    workers: RefCell<Vec<Rc<Worker>>>,
    chips: RefCell<Vec<Rc<Worked>>>,
    test: Test,
    /// Set by a stage that is about to keep its worker.
    holding: Cell<bool>,
    idle_polls: Cell<usize>,
    steps: Cell<u64>,
}

/// A chip that works by itself.
struct Worked {
    chip: Weak<Chip>,
    /// When the job that it does will be done.
    until: Cell<Option<Duration>>,
    inside: Cell<bool>,
}

#[derive(Default)]
struct Test {
    future: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    woken: Arc<Woken>,
    /// It woke itself while it was polled: it only looks whether something has happened.
    looks: Cell<bool>,
    panic: RefCell<Option<Box<dyn Any + Send>>>,
}

impl Test {
    fn waits_to_be_polled(&self) -> bool {
        let there = self.future.try_borrow_mut().is_ok_and(|future| future.is_some());
        there && self.woken.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What can go on.
enum Step {
    Worker(Rc<Worker>),
    Chip(Rc<Worked>),
    Test,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Machine {
        Machine {
            random: Random::new(seed),
            now: Cell::default(),
            timers: RefCell::default(),
            alarms: Cell::default(),
            workers: RefCell::default(),
            chips: RefCell::default(),
            test: Test::default(),
            holding: Cell::default(),
            idle_polls: Cell::default(),
            steps: Cell::default(),
        }
    }

    /// How many steps have been taken.
    pub(super) fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// A queue with so many workers.
    pub(super) fn executor(&self, name: &str, workers: usize) -> Arc<Queue> {
        let queue = Queue::new(name);
        self.workers.borrow_mut().extend((0..workers).map(|_| Rc::new(Worker::new(&queue))));
        queue
    }

    /// A chip that works by itself from now on.
    pub(super) fn work(&self, chip: &Arc<Chip>) {
        let worked = Worked { chip: Arc::downgrade(chip), until: Cell::default(), inside: Cell::default() };
        self.chips.borrow_mut().push(Rc::new(worked));
    }

    /// Wakes `waker` when it is `moment`; gives the number of the alarm.
    pub(super) fn ring_at(&self, moment: Duration, waker: Waker) -> u64 {
        let number = self.alarms.get() + 1;
        self.alarms.set(number);
        self.timers.borrow_mut().insert((moment, number), waker);
        number
    }

    /// Forgets an alarm.
    pub(super) fn forget(&self, alarm: u64) {
        let mut timers = self.timers.borrow_mut();
        let place = timers.keys().find(|(_, number)| *number == alarm).copied();
        let forgotten = place.and_then(|place| timers.remove(&place));
        // Dropped when nobody borrows them: it may be the last that keeps a request.
        drop(timers);
        drop(forgotten);
    }

    /// Runs a test to its end, and then whatever it has left behind.
    pub(super) fn run(&self, test: impl Future<Output = ()> + 'static) {
        *self.test.future.borrow_mut() = Some(Box::pin(test));
        self.test.woken.0.store(true, Ordering::Relaxed);
        while self.test.future.borrow().is_some() {
            self.step();
        }
        // Bounded, because what was left behind may go round for ever.
        for _ in 0..PATIENCE {
            let Some(step) = self.draw() else { break };
            self.take(step);
        }
        if let Some(panic) = self.test.panic.take() {
            resume_unwind(panic);
        }
    }

    /// Takes one step, whichever is drawn.
    fn step(&self) {
        match self.draw() {
            Some(Step::Test) if self.test.looks.get() && self.pass_time() => {}
            Some(step) => self.take(step),
            None => assert!(self.pass_time(), "nothing can go on, and the test is not over"),
        }
    }

    /// What goes on next; the test only when it was woken by somebody else, or else alone is left.
    fn draw(&self) -> Option<Step> {
        let mut steps = Vec::new();
        let workers = self.workers.borrow();
        workers.iter().for_each(|worker| worker.refresh());
        let held: Vec<TaskId> = workers.iter().filter_map(|worker| worker.held.get()).collect();
        steps.extend(workers.iter().filter(|worker| worker.can_step(&held)).cloned().map(Step::Worker));
        let chips = self.chips.borrow();
        steps.extend(chips.iter().filter(|chip| chip.can_step(self.now.get())).cloned().map(Step::Chip));
        let alone = steps.is_empty();
        if self.test.waits_to_be_polled() {
            steps.push(Step::Test);
        }
        if !alone {
            self.idle_polls.set(0);
        }
        if steps.is_empty() { None } else { Some(steps.swap_remove(self.random.below(steps.len()))) }
    }

    fn take(&self, step: Step) {
        self.steps.set(self.steps.get() + 1);
        match step {
            Step::Worker(worker) => self.work_on(&worker),
            Step::Chip(chip) => chip.step(self.now.get()),
            Step::Test => self.poll_test(),
        }
    }

    fn work_on(&self, worker: &Worker) {
        let held: Vec<TaskId> = self.workers.borrow().iter().filter_map(|worker| worker.held.get()).collect();
        let Some(task) = worker.take(&held) else { return };
        let id = task.id();
        worker.inside.set(true);
        let before = self.holding.replace(false);
        task.run(&Lend::SERIAL);
        worker.held.set(self.holding.replace(before).then_some(id));
        worker.inside.set(false);
    }

    fn poll_test(&self) {
        let idle = self.idle_polls.get() + 1;
        assert!(idle < PATIENCE, "the test waits for what never happens");
        self.idle_polls.set(idle);
        let Ok(mut future) = self.test.future.try_borrow_mut() else { return };
        let Some(test) = future.as_mut() else { return };
        self.test.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(self.test.woken.clone());
        let before = self.holding.replace(false);
        // A panic of the test must not end as the panic of a callback that happens to be below it on the stack.
        let polled = catch_unwind(AssertUnwindSafe(|| test.as_mut().poll(&mut Context::from_waker(&waker))));
        self.holding.set(before);
        self.test.looks.set(self.test.woken.0.load(Ordering::Relaxed));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => *future = None,
            Err(panic) => {
                *future = None;
                self.test.panic.replace(Some(panic));
            }
        }
    }

    /// Lets time pass until the next moment that somebody waits for; false when there is none.
    fn pass_time(&self) -> bool {
        let chips = self.chips.borrow();
        let next = chips.iter().filter_map(|chip| chip.until.get()).filter(|until| *until > self.now.get());
        let timer = self.timers.borrow().keys().next().map(|(moment, _)| *moment);
        let Some(next) = next.chain(timer).min() else { return false };
        self.now.set(next.max(self.now.get()));
        loop {
            let due = self
                .timers
                .borrow_mut()
                .first_entry()
                .filter(|due| due.key().0 <= next)
                .map(|due| due.remove());
            match due {
                Some(waker) => waker.wake(),
                None => return true,
            }
        }
    }
}

impl Simulation for Machine {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn wake_at(&self, moment: Duration, waker: Waker) {
        self.ring_at(moment, waker);
    }

    fn hold(&self) {
        self.holding.set(true);
    }

    fn others(&self) {
        self.step();
    }
}

impl Worked {
    fn can_step(&self, now: Duration) -> bool {
        let waits = || self.chip.upgrade().is_some_and(|chip| chip.waiting() > 0);
        !self.inside.get() && self.until.get().map_or_else(waits, |until| until <= now)
    }

    /// Begins a job, or ends the one that it does; one that takes no time it does at once.
    fn step(&self, now: Duration) {
        let Some(chip) = self.chip.upgrade() else { return self.until.set(None) };
        let begins = self.until.get().is_none();
        let Some(takes) = chip.next_takes().filter(|takes| begins && !takes.is_zero()) else {
            self.until.set(None);
            self.inside.set(true);
            chip.step();
            return self.inside.set(false);
        };
        self.until.set(Some(now + takes));
    }
}
