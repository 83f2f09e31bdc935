//! What a request costs beside its work: a start and a wait, against a bare park and unpark between two threads.
//!
//! `cargo bench -p inferry-core` prints medians of many rounds. The first ratio is the promise of the project: a warm
//! start and wait on an idle stream takes at most 1.5 times the bare round trip. Run it on a quiet machine.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure, Inbox, PrepareError, Task};
use inferry_core::{
    CompiledModel, ElementType, Executor, Kind, Lend, Pipeline, Port, Request, Shape, Submitted, Turn, Work,
};

const ROUNDS: usize = 20_000;

fn main() {
    let bare = bare_round_trip();
    println!("bare park and unpark      {:>8.2} us", micros(bare));
    let stream = Stream::open();
    let start_and_wait = start_and_wait(&stream);
    let ratio = start_and_wait.as_secs_f64() / bare.as_secs_f64();
    println!("start and wait            {:>8.2} us   {ratio:.2} of the bare", micros(start_and_wait));
    println!("8 requests in flight      {:>8.2} us   a request", micros(in_flight(&stream, 8)));
    println!("infer on this thread      {:>8.2} us", micros(infer(&stream)));
    stream.closed.store(true, Ordering::Release);
    stream.thread.get().expect("set when opened").unpark();
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The median over blocks of rounds.
fn median(mut round: impl FnMut()) -> Duration {
    const BLOCK: usize = 100;
    (0..ROUNDS / 10).for_each(|_| round());
    let mut times: Vec<Duration> = (0..ROUNDS / BLOCK)
        .map(|_| {
            let start = Instant::now();
            (0..BLOCK).for_each(|_| round());
            start.elapsed() / BLOCK as u32
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// Two threads that wake each other in turn.
fn bare_round_trip() -> Duration {
    let turn = Arc::new(AtomicU32::new(0));
    let (theirs, main) = (turn.clone(), thread::current());
    let other = thread::spawn(move || {
        loop {
            match theirs.load(Ordering::Acquire) {
                1 => {
                    theirs.store(0, Ordering::Release);
                    main.unpark();
                }
                2 => return,
                _ => thread::park(),
            }
        }
    });
    let time = median(|| {
        turn.store(1, Ordering::Release);
        other.thread().unpark();
        while turn.load(Ordering::Acquire) == 1 {
            thread::park();
        }
    });
    turn.store(2, Ordering::Release);
    other.thread().unpark();
    other.join().expect("it does not panic");
    time
}

fn start_and_wait(stream: &Arc<Stream>) -> Duration {
    let mut request = request(stream);
    let waker = unparker();
    median(|| {
        wait(request.start().expect("idle"), &waker).expect("it does not fail");
    })
}

/// Several requests are kept started; each is awaited and started again in turn.
fn in_flight(stream: &Arc<Stream>, count: usize) -> Duration {
    let mut requests: Vec<Request> = (0..count).map(|_| request(stream)).collect();
    let waker = unparker();
    let mut next = 0;
    requests.iter_mut().for_each(|request| request.start().expect("idle").detach());
    median(|| {
        wait(requests[next].quiet(), &waker);
        requests[next].start().expect("quiet").detach();
        next = (next + 1) % count;
    })
}

fn infer(stream: &Arc<Stream>) -> Duration {
    let mut request = request(stream);
    let waker = unparker();
    median(|| {
        wait(request.infer(Lend::SERIAL), &waker).expect("it does not fail");
    })
}

/// A thread with an inbox.
struct Stream {
    inbox: Inbox,
    thread: OnceLock<Thread>,
    closed: AtomicBool,
}

impl Stream {
    fn open() -> Arc<Stream> {
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
        stream.thread.set(handle.thread().clone()).expect("set once");
        stream
    }
}

impl Executor for Stream {
    fn submit(&self, task: Task) -> Submitted {
        if self.inbox.push(task) {
            self.thread.get().expect("set when opened").unpark();
        }
        Submitted::Taken
    }
}

/// Adds one to six numbers.
struct AddOne {
    inputs: [Port; 1],
    outputs: [Port; 1],
}

struct AddOneWork;

fn request(stream: &Arc<Stream>) -> Request {
    let port = |side, name: &str| Port {
        side,
        index: 0,
        name: name.into(),
        kind: Kind::Tensor,
        element: ElementType::F32,
        shape: Shape::from([6]).into(),
    };
    let model = Arc::new(AddOne { inputs: [port(Side::Input, "x")], outputs: [port(Side::Output, "y")] });
    let pipeline = Pipeline::by_kind(&*model, |_| stream.clone());
    Request::new(model, Arc::new(pipeline)).expect("memory for six numbers")
}

impl CompiledModel for AddOne {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(AddOneWork))
    }
}

impl Work for AddOneWork {
    fn poll_stage(
        &mut self,
        _: usize,
        io: &mut Bindings,
        _: &Turn<'_>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let (inputs, outputs) = io.split();
        let sums = outputs[0].bytes_mut()[..24].chunks_exact_mut(4);
        for (sum, value) in sums.zip(inputs[0].bytes().chunks_exact(4)) {
            let value = f32::from_ne_bytes([value[0], value[1], value[2], value[3]]);
            sum.copy_from_slice(&(value + 1.0).to_ne_bytes());
        }
        Poll::Ready(Ok(()))
    }
}

/// A waker that unparks this thread.
fn unparker() -> Waker {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
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
