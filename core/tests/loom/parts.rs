//! What the models share: a device that does what a closure says, an executor that spawns, and a way to wait.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use inferry_core::device::StageInfo;
use inferry_core::request::{Bindings, Failure, Inbox, PrepareError, Task, TaskId};
use inferry_core::{CompiledModel, Executor, Lend, Pipeline, Port, Request, Submitted, Turn, Work};
use loom::thread::{self, JoinHandle, Thread};

/// All interleavings with at most two preemptions, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
pub(crate) fn model(body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(body);
}

/// Polls a future on this thread until it is ready.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

/// What a stage does when it is polled.
pub(crate) type Act = dyn Fn(usize, &Turn<'_>, &mut Context<'_>) -> Poll<Result<(), Failure>> + Send + Sync;

/// A model without ports, whose stages do what a closure says.
pub(crate) struct Probe {
    stages: Vec<StageInfo>,
    act: Arc<Act>,
    /// Works that are alive.
    pub(crate) alive: Arc<Mutex<isize>>,
    /// Runs whose device was told that they go no further.
    pub(crate) given_up: Arc<Mutex<usize>>,
}

impl Probe {
    pub(crate) fn new(
        stages: usize,
        act: impl Fn(usize, &Turn<'_>, &mut Context<'_>) -> Poll<Result<(), Failure>> + Send + Sync + 'static,
    ) -> Arc<Probe> {
        let stage = StageInfo { name: "stage", kind: inferry_core::device::StageKind::Compute };
        Arc::new(Probe {
            stages: vec![stage; stages],
            act: Arc::new(act),
            alive: Arc::default(),
            given_up: Arc::default(),
        })
    }

    /// Stages that succeed at once.
    pub(crate) fn plain(stages: usize) -> Arc<Probe> {
        Probe::new(stages, |_, _, _| Poll::Ready(Ok(())))
    }

    /// A request whose stages all run on one executor.
    pub(crate) fn on<E: Executor + 'static>(self: &Arc<Self>, executor: &Arc<E>) -> Request {
        let pipeline = Pipeline::by_kind(&**self, |_| executor.clone());
        Request::new(self.clone(), Arc::new(pipeline)).unwrap()
    }
}

impl CompiledModel for Probe {
    fn inputs(&self) -> &[Port] {
        &[]
    }

    fn outputs(&self) -> &[Port] {
        &[]
    }

    fn stages(&self) -> &[StageInfo] {
        &self.stages
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        *self.alive.lock().unwrap() += 1;
        Ok(Box::new(ProbeWork {
            act: self.act.clone(),
            alive: self.alive.clone(),
            given_up: self.given_up.clone(),
        }))
    }
}

struct ProbeWork {
    act: Arc<Act>,
    alive: Arc<Mutex<isize>>,
    given_up: Arc<Mutex<usize>>,
}

impl Work for ProbeWork {
    fn give_up(&mut self) {
        *self.given_up.lock().unwrap() += 1;
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        _: &mut Bindings,
        turn: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        (self.act)(stage, turn, cx)
    }
}

impl Drop for ProbeWork {
    fn drop(&mut self) {
        *self.alive.lock().unwrap() -= 1;
    }
}

/// Runs every task on a thread of its own.
#[derive(Default)]
pub(crate) struct Spawn {
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Spawn {
    pub(crate) fn new() -> Arc<Spawn> {
        Arc::default()
    }

    /// Waits for the threads spawned so far, and for those that they spawned.
    pub(crate) fn join(&self) {
        loop {
            let next = self.threads.lock().unwrap().pop();
            match next {
                Some(thread) => thread.join().unwrap(),
                None => return,
            }
        }
    }
}

impl Executor for Spawn {
    fn submit(&self, task: Task) -> Submitted {
        let thread = thread::spawn(move || task.run(&Lend::SERIAL));
        self.threads.lock().unwrap().push(thread);
        Submitted::Taken
    }
}

/// A queue from which tasks can be withdrawn, run by whoever calls `step`.
#[derive(Default)]
pub(crate) struct Queue(loom::sync::Mutex<Vec<Task>>);

impl Queue {
    pub(crate) fn new() -> Arc<Queue> {
        Arc::default()
    }

    pub(crate) fn pop(&self) -> Option<Task> {
        let mut tasks = self.0.lock().unwrap();
        (!tasks.is_empty()).then(|| tasks.remove(0))
    }
}

impl Executor for Queue {
    fn submit(&self, task: Task) -> Submitted {
        self.0.lock().unwrap().push(task);
        Submitted::Taken
    }

    fn withdraw(&self, id: TaskId) -> Option<Task> {
        let mut tasks = self.0.lock().unwrap();
        let position = tasks.iter().position(|task| task.id() == id)?;
        Some(tasks.remove(position))
    }
}

/// The lock-free inbox as an executor.
#[derive(Default)]
pub(crate) struct Postbox(pub(crate) Inbox);

impl Executor for Postbox {
    fn submit(&self, task: Task) -> Submitted {
        self.0.push(task);
        Submitted::Taken
    }
}
