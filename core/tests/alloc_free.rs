//! No memory is taken between a start and its delivery once a request is warm, in the whole process.
//!
//! The allocator counts ([`counting`]). One test, so that nothing else runs in this process.
#![cfg(not(loom))]

mod counting;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use inferry_core::choice::{Candidate, Choice};
use inferry_core::device::{StageInfo, StageKind};
use inferry_core::jobs::{JobPool, JobSettings, Results};
use inferry_core::joined::{Outlet, Part, Source};
use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure, Inbox, Next, PrepareError, Task};
use inferry_core::{
    CompiledModel, ElementType, Executor, Joined, Kind, Lend, Pipeline, Port, Request, Shape, Stateful,
    Submitted, Tensor, Turn, Work,
};

/// A thread with an inbox.
struct Stream {
    inbox: Inbox,
    thread: OnceLock<Thread>,
    closed: AtomicBool,
}

impl Stream {
    fn open() -> (Arc<Stream>, JoinHandle<()>) {
        let stream = Stream { inbox: Inbox::new(), thread: OnceLock::new(), closed: AtomicBool::new(false) };
        let stream = Arc::new(stream);
        let worker = stream.clone();
        let handle = thread::spawn(move || {
            while !worker.closed.load(Ordering::Acquire) {
                worker.inbox.take().for_each(|task| task.run(&Lend::SERIAL));
                if worker.inbox.is_empty() {
                    thread::park();
                }
            }
        });
        stream.thread.set(handle.thread().clone()).unwrap();
        (stream, handle)
    }

    fn close(&self, handle: JoinHandle<()>) {
        self.closed.store(true, Ordering::Release);
        handle.thread().unpark();
        handle.join().unwrap();
    }
}

impl Executor for Stream {
    fn submit(&self, task: Task) -> Submitted {
        if self.inbox.push(task) {
            self.thread.get().unwrap().unpark();
        }
        Submitted::Taken
    }
}

/// Adds one, in two stages; the second gives way once.
struct AddOne {
    inputs: [Port; 1],
    outputs: [Port; 1],
}

impl AddOne {
    fn new() -> Arc<AddOne> {
        let port = |side, name: &str| Port {
            side,
            index: 0,
            name: name.into(),
            kind: Kind::Tensor,
            element: ElementType::F32,
            shape: Shape::from([4]).into(),
        };
        Arc::new(AddOne { inputs: [port(Side::Input, "x")], outputs: [port(Side::Output, "y")] })
    }
}

impl CompiledModel for AddOne {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn stages(&self) -> &[StageInfo] {
        const STAGE: StageInfo = StageInfo { name: "stage", kind: StageKind::Compute };
        &[STAGE; 2]
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(AddOneWork { gave_way: false }))
    }
}

struct AddOneWork {
    gave_way: bool,
}

impl Work for AddOneWork {
    fn begin(&mut self) {
        self.gave_way = false;
    }

    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        _: &Turn<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        if stage == 1 {
            if !std::mem::replace(&mut self.gave_way, true) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let (inputs, outputs) = io.split();
            for (sum, value) in
                outputs[0].bytes_mut()[..16].chunks_exact_mut(4).zip(inputs[0].bytes().chunks(4))
            {
                let value = f32::from_ne_bytes(value.try_into().unwrap());
                sum.copy_from_slice(&(value + 1.0).to_ne_bytes());
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// A request of the model twice in a row.
fn joined(model: &Arc<AddOne>, executor: &Arc<Stream>) -> Request {
    let outlet = |part| Outlet { part, output: 0 };
    let part = |source| Part { device: "none".into(), model: model.clone(), inputs: vec![source] };
    let parts = vec![part(Source::Input(0)), part(Source::Outlet(outlet(0)))];
    let joined = Joined::new(model.inputs().to_vec(), vec![("y".into(), outlet(1))], parts).unwrap();
    let joined = Arc::new(joined);
    let pipeline = Pipeline::by_kind(&*joined, |_| executor.clone());
    Request::new(joined, Arc::new(pipeline)).unwrap()
}

/// A waker that unparks this thread, made once.
fn unparker() -> Waker {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            self.0.unpark();
        }
    }
    Arc::new(Unpark(thread::current())).into()
}

fn wait<F: Future>(future: F, waker: &Waker) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn a_warm_round_takes_no_memory() {
    counting::counted(warm_rounds);
}

fn warm_rounds() {
    let (compute, compute_thread) = Stream::open();
    let (delivery, delivery_thread) = Stream::open();
    let model = AddOne::new();
    let pipeline = Arc::new(Pipeline::by_kind(&*model, |_| compute.clone()).deliver_on(delivery.clone()));
    let counter = Arc::new(Stateful::new(model.clone(), [("x", "y")]).unwrap());
    let mut counter = Request::new(counter, pipeline.clone()).unwrap();
    let mut batched = Request::new(model.clone(), pipeline.clone()).unwrap();
    batched
        .set_inputs("x", [1.0f32, 2.0, 3.0, 4.0].map(|value| Tensor::from_slice(&[value], [1]).unwrap()))
        .unwrap();
    let mut value = Tensor::zeros(ElementType::F32, [4]);
    let settings = JobSettings::new(2).waiting(4).results(Results::Ordered);
    let jobs = JobPool::new(model.clone(), pipeline.clone(), settings, |done| {
        Ok(done.output("y")?.as_slice::<f32>()?[3])
    });
    let jobs: JobPool<usize, f32> = jobs.unwrap();
    let mut joined = joined(&model, &compute);
    let candidate = |rank| Candidate { rank, device: "none".into(), model: model.clone() };
    let choice = Arc::new(Choice::new(candidate(1)).unwrap());
    let places = Arc::new(Pipeline::by_kind(&*choice, |_| compute.clone()));
    let mut chosen = Request::new(choice.clone(), places).unwrap();
    wait(chosen.start().unwrap(), &unparker()).unwrap();
    choice.offer(candidate(0)).unwrap();
    let job_input = Tensor::from_slice(&[1.0f32; 4], [4]).unwrap();
    let mut request = Request::new(model, pipeline).unwrap();
    let restarts = Arc::new(AtomicUsize::new(0));
    let left = restarts.clone();
    request
        .set_callback(move |done| {
            done.result()?;
            let again = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            Ok(if again.is_ok() { Next::Again } else { Next::Rest })
        })
        .unwrap();
    let observer = request.observer();
    let waker = unparker();

    let mut round = |number: usize| {
        request.input_mut("x").unwrap().as_slice_mut::<f32>().unwrap().fill(number as f32);
        let outputs = wait(request.start().unwrap(), &waker).unwrap();
        assert_eq!(outputs.get("y").unwrap().as_slice::<f32>().unwrap()[3], number as f32 + 1.0);
        // A chain of runs, two waiters, and a run on this thread.
        restarts.store(3, Ordering::Relaxed);
        request.start().unwrap().detach();
        let (one, other) = (observer.settled(), observer.settled());
        wait(one, &waker).unwrap();
        wait(other, &waker).unwrap();
        wait(request.quiet(), &waker).unwrap();
        wait(request.infer(Lend::SERIAL), &waker).unwrap();
        // A request that remembers, and one that gathers its input.
        wait(counter.start().unwrap(), &waker).unwrap();
        wait(counter.start().unwrap(), &waker).unwrap();
        counter.read_variable("x", &mut value).unwrap();
        let from_zero = number.is_multiple_of(2);
        assert_eq!(value.as_slice::<f32>().unwrap()[3], if from_zero { 2.0 } else { 7.0 });
        if from_zero {
            value.as_slice_mut::<f32>().unwrap().fill(5.0);
            counter.set_variable("x", &value).unwrap();
        } else {
            counter.reset_variables().unwrap();
        }
        wait(batched.start().unwrap(), &waker).unwrap();
        wait(chosen.start().unwrap(), &waker).unwrap();
        // Two models in a row.
        joined.input_mut("x").unwrap().as_slice_mut::<f32>().unwrap().fill(number as f32);
        let outputs = wait(joined.start().unwrap(), &waker).unwrap();
        assert_eq!(outputs.get("y").unwrap().as_slice::<f32>().unwrap()[3], number as f32 + 2.0);
        // Jobs, some of which have to wait for a slot, and their results in order.
        for job in 0..5 {
            wait(jobs.submit([("x", job_input.clone())], job), &waker).unwrap();
        }
        for job in 0..5 {
            let finished = wait(jobs.next(), &waker).unwrap();
            assert_eq!((finished.user, finished.result.unwrap()), (job, 2.0));
        }
        wait(jobs.quiet(), &waker).unwrap();
    };
    (0..2).for_each(&mut round);
    let before = counting::taken();
    (0..500).for_each(&mut round);
    assert_eq!(counting::taken() - before, 0, "allocations in 500 rounds");

    compute.close(compute_thread);
    delivery.close(delivery_thread);
}
