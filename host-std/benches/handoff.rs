//! What a request costs beside its arithmetic, on this host's own streams and with the CPU device.
//!
//! `cargo bench -p inferry --bench handoff` prints medians, in turns with a bare park and unpark between two threads, so
//! that a busy machine is busy for both. Where the operating system puts the two threads decides how long a round trip takes: a
//! few microseconds on one processor, several tens on two of a virtual machine, where waking means to interrupt one that sleeps. It puts
//! them as it likes and leaves them there, the bare pair on one processor and ours on two or the other way round. So on Linux they are
//! told where to be, and both cases are measured. Promises: a warm start and wait of one addition on an idle stream takes
//! at most 1.2 times the bare round trip, `infer` at most 1 µs, and a request in flight at most 3 µs on one stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use inferry::{CompiledModel, ElementType, Model, Next, Options, Request, Runtime};
use inferry_engine::graph::{Fact, Graph, Node};
use inferry_engine::op::Binary;

/// Blocks of rounds; medians are over blocks.
const BLOCKS: usize = 101;

fn main() {
    let runtime = Runtime::new().expect("INFERRY_ISA names an instruction set");
    let model = addition();
    let compile = |options| runtime.compile(&model, options).expect("one addition");
    let one = compile(Options::latency().threads(1));
    let two = compile(Options::throughput().threads(2));

    let mut request = one.request().expect("memory for three numbers");
    let infer = median((0..BLOCKS).map(|_| {
        per_round(200, || {
            request.infer().expect("it does not fail");
        })
    }));
    println!("infer on the caller's thread      {:>7.2} µs", micros(infer));
    for place in Place::all() {
        round_trips(&model, place);
    }
    for (name, model) in [("one stream", &one), ("two streams", &two)] {
        for count in [4, 8] {
            let started = micros(started_again_in_turn(model, count));
            let chained = micros(started_again_by_callback(model, count));
            println!(
                "{count} in flight, {name:<11}          {started:>7.2} µs a request; by callback {chained:.2} µs"
            );
        }
    }
}

/// Where the two threads of a round trip are.
#[derive(Clone, Copy)]
enum Place {
    Anywhere,
    OneProcessor,
    TwoProcessors,
}

impl Place {
    fn all() -> Vec<Place> {
        match affinity::can() {
            true => vec![Place::OneProcessor, Place::TwoProcessors],
            false => vec![Place::Anywhere],
        }
    }

    /// Calls `make`, whose threads are made in the place of the other thread, and stays in the place of this one.
    fn put<T>(self, make: impl FnOnce() -> T) -> T {
        let [here, there] = match self {
            Place::Anywhere => return make(),
            Place::OneProcessor => [0, 0],
            Place::TwoProcessors => [0, 1],
        };
        affinity::stay_on(there);
        let made = make();
        affinity::stay_on(here);
        made
    }
}

/// A bare round trip, and one through `start` and `wait`, with one idle stream and with two.
fn round_trips(model: &Model, place: Place) {
    let compiled = |options| {
        let runtime = Runtime::new().expect("INFERRY_ISA names an instruction set");
        let model = runtime.compile(model, options).expect("one addition");
        let mut request = model.request().expect("memory for three numbers");
        // The threads begin with the first run.
        start_and_wait(&mut request);
        (model, request)
    };
    let mut bare = place.put(Bare::new);
    let (_one, mut request) = place.put(|| compiled(Options::latency().threads(1)));
    let (_two, mut on_two) = place.put(|| compiled(Options::throughput().threads(2)));
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..BLOCKS {
        times[0].push(per_round(200, || bare.round_trip()));
        times[1].push(per_round(200, || start_and_wait(&mut request)));
        times[2].push(per_round(200, || start_and_wait(&mut on_two)));
    }
    affinity::stay_anywhere();
    let [bare, one, two] = times.map(median);
    println!(
        "{}",
        match place {
            Place::Anywhere => "a round trip between two threads, wherever they are",
            Place::OneProcessor => "a round trip between two threads of one processor",
            Place::TwoProcessors => "a round trip between two threads of two processors",
        }
    );
    println!("  bare park and unpark            {:>7.2} µs", micros(bare));
    for (name, time) in [("one idle stream", one), ("two idle streams", two)] {
        let ratio = time.as_secs_f64() / bare.as_secs_f64();
        println!("  start and wait, {name:<16}{:>7.2} µs   {ratio:.2} of bare", micros(time));
    }
}

/// Which processors the calling thread, and threads that it makes, may run on.
#[cfg(target_os = "linux")]
mod affinity {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    use std::sync::OnceLock;

    /// Those of the process when it began.
    fn all() -> &'static [usize] {
        static ALL: OnceLock<Vec<usize>> = OnceLock::new();
        ALL.get_or_init(|| {
            let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
            (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu) == Ok(true)).collect()
        })
    }

    fn stay(on: &[usize]) {
        let mut set = CpuSet::new();
        on.iter().for_each(|cpu| set.set(*cpu).expect("one of the process's"));
        sched_setaffinity(Pid::from_raw(0), &set).expect("some of the process's");
    }

    pub(super) fn can() -> bool {
        all().len() > 1
    }

    pub(super) fn stay_on(index: usize) {
        stay(&all()[index..=index]);
    }

    pub(super) fn stay_anywhere() {
        if can() {
            stay(all());
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) fn can() -> bool {
        false
    }

    pub(super) fn stay_on(_: usize) {}

    pub(super) fn stay_anywhere() {}
}

fn start_and_wait(request: &mut Request) {
    request.start().expect("idle").wait().expect("it does not fail");
}

/// Each of several requests is awaited and started again in turn.
fn started_again_in_turn(model: &CompiledModel, count: usize) -> Duration {
    let mut requests: Vec<_> = (0..count).map(|_| model.request().expect("memory")).collect();
    requests.iter_mut().for_each(|request| request.start().expect("idle").detach());
    let mut next = 0;
    median((0..BLOCKS).map(|_| {
        per_round(200, || {
            requests[next].wait().expect("no callback");
            requests[next].start().expect("over").detach();
            next = (next + 1) % count;
        })
    }))
}

/// Each of several requests starts itself again from its callback, on the stream.
fn started_again_by_callback(model: &CompiledModel, count: usize) -> Duration {
    const RUNS: u32 = 5_000;
    let mut requests: Vec<_> = (0..count).map(|_| model.request().expect("memory")).collect();
    for request in &mut requests {
        let mut left = RUNS;
        request
            .set_callback(move |done| {
                done.result()?;
                left -= 1;
                Ok(if left == 0 { Next::Rest } else { Next::Again })
            })
            .expect("idle");
    }
    let start = Instant::now();
    requests.iter_mut().for_each(|request| request.start().expect("idle").detach());
    for request in &mut requests {
        request.wait_quiet().expect("no callback waits");
    }
    start.elapsed() / (RUNS * count as u32)
}

/// `sum = a + b`, of six numbers each.
fn addition() -> Model {
    let mut graph = Graph::default();
    let fact = || Some(Fact::fixed(ElementType::F32, &[6]));
    let inputs = ["a", "b"].map(|name| graph.add_value(name, fact()));
    let sum = graph.add_value("sum", None);
    graph.inputs = inputs.to_vec();
    graph.outputs = vec![sum];
    let op = Arc::new(Binary::Add);
    graph.nodes.push(Node {
        name: "add".into(),
        op,
        inputs: inputs.map(Some).to_vec(),
        outputs: vec![Some(sum)],
    });
    Model { graph, ..Model::default() }
}

/// Two threads that wake each other in turn, and nothing else.
struct Bare {
    turn: Arc<AtomicU32>,
    other: Option<thread::JoinHandle<()>>,
}

impl Bare {
    fn new() -> Bare {
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
        Bare { turn, other: Some(other) }
    }

    fn round_trip(&mut self) {
        self.turn.store(1, Ordering::Release);
        self.wake();
        while self.turn.load(Ordering::Acquire) == 1 {
            thread::park();
        }
    }

    fn wake(&self) {
        self.other.as_ref().expect("there until dropped").thread().unpark();
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.turn.store(2, Ordering::Release);
        self.wake();
        let _ = self.other.take().expect("dropped once").join();
    }
}

fn per_round(rounds: u32, mut round: impl FnMut()) -> Duration {
    let start = Instant::now();
    (0..rounds).for_each(|_| round());
    start.elapsed() / rounds
}

fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
