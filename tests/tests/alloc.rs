//! A warm round takes no memory, from the start until the waiter goes on, in the whole process.
//!
//! The allocator counts. One test, so that nothing else runs in this process.

#[path = "../../core/tests/counting/mod.rs"]
mod counting;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use inferry::{
    Batching, CompiledModel, Devices, Next, Options, Request, Runtime, Verdict, block_on, read_model,
};
use inferry_behaviour::native::compile_for;
use inferry_behaviour::{data, model};
use inferry_template::{Accelerator, Chip, Form, Graph, Op};

#[test]
fn a_warm_round_takes_no_memory() {
    counting::counted(warm_rounds);
}

fn warm_rounds() {
    let mut models = vec![("one node", model::add(4), 50), ("two matrix products", model::dense(2, 192), 50)];
    // A real one, of fixed shapes throughout.
    if let Some(path) = data::find("blazeface_back256/face_detection_back_256x256_barracuda.onnx") {
        models.push(("BlazeFace", read_model(path).unwrap(), 2));
    }
    let arrangements = [
        ("one stream", Options::latency().threads(1)),
        ("two streams", Options::throughput().threads(2)),
        ("a stream of two threads", Options::latency().threads(2)),
        ("callbacks on the streams", Options::throughput().threads(2).callback_threads(0)),
        ("no threads", Options::inline()),
    ];
    for (model_name, model, count) in &models {
        for (name, options) in arrangements {
            let compiled = Runtime::new().unwrap().compile(model, options).unwrap();
            let taken = rounds(&compiled, *count);
            assert_eq!(taken, 0, "{model_name}, {name}: {taken} allocations in warm rounds");
        }
    }
    // Three stages: two on a stream, and one that waits for the chip on a thread of its own, or is parked.
    let graph = Graph::new([Op::Add(1.0)]).before([Op::Add(2.0)]).after([Op::Yield, Op::Add(3.0)]);
    for form in [Form::Blocking, Form::Parked] {
        for (name, options) in &arrangements[..2] {
            let chip = Chip::working("chip");
            let compiled = compile_for(&Runtime::new().unwrap(), *options, &graph, form, &chip);
            let taken = rounds(&compiled, 50);
            assert_eq!(taken, 0, "three stages, {form:?}, {name}: {taken} allocations in warm rounds");
        }
    }
    // Not without streams: a stage goes on where the chip wakes it, and each thread's queue takes memory when something first
    // stands in it.
    for (name, options) in &arrangements[..4] {
        more_than_one_device(name, *options);
    }
    // Requests that share batches, of a fixed extent and of an open one: full ones, and one that leaves when it is late.
    for len in [Some(4), None] {
        for (name, options) in &arrangements {
            let graph = Graph { len, ..Graph::new([Op::Add(1.0)]) };
            let runtime = Runtime::new().unwrap();
            let model = compile_for(&runtime, *options, &graph, Form::OneStage, &Chip::by_hand("none"));
            let taken = batches(&model);
            assert_eq!(taken, 0, "batches of {len:?}, {name}: {taken} allocations in warm rounds");
        }
    }
}

/// The CPU, the chip, the CPU, the chip; and a model that has gone over from the CPU to the chip.
fn more_than_one_device(name: &str, options: Options) {
    let runtime = Runtime::new().unwrap();
    let devices = || Devices::prefer(Accelerator::new(Chip::working("chip"))).then(runtime.cpu());
    let cut = runtime.compile_split(&model::dense(2, 8), devices(), options).unwrap();
    assert_eq!(cut.parts().len(), 4);
    let taken = rounds(&cut, 50);
    assert_eq!(taken, 0, "four parts, {name}: {taken} allocations in warm rounds");
    let chosen = runtime.compile_first_ready(&model::add(4), &devices(), options).unwrap();
    chosen.wait_candidates();
    let taken = rounds(&chosen, 50);
    assert_eq!(taken, 0, "a choice, {name}: {taken} allocations in warm rounds");
}

/// The allocations of warm rounds of requests that share batches.
fn batches(model: &CompiledModel) -> usize {
    let batched = |limit| model.batched(Batching { size: 4, limit }).unwrap();
    let (full, late) = (batched(Duration::from_secs(3600)), batched(Duration::from_micros(100)));
    let mut eight: Vec<_> = (0..8).map(|_| request(&full)).collect();
    let mut two = [request(&late), request(&late)];
    let mut round = || {
        for requests in [&mut eight[..], &mut two] {
            requests.iter_mut().for_each(|request| request.start().unwrap().detach());
            for request in requests {
                assert_eq!(request.wait_quiet().unwrap(), Some(Verdict::Done));
            }
        }
    };
    (0..50).for_each(|_| round());
    let before = counting::taken();
    (0..50).for_each(|_| round());
    counting::taken() - before
}

/// The allocations of so many warm rounds of all kinds.
fn rounds(compiled: &CompiledModel, count: usize) -> usize {
    let mut requests = [request(compiled), request(compiled)];
    let mut chained = chained(compiled);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut round = || {
        // One after the other; with a limit that is not reached; at the same time; on this thread; awaited; by callbacks.
        requests[0].start().unwrap().wait().unwrap();
        requests[0].start().unwrap().time_limit(Duration::from_secs(3600)).wait().unwrap();
        let [first, second] = &mut requests;
        let runs = [first.start().unwrap(), second.start().unwrap()];
        for run in runs {
            run.wait().unwrap();
        }
        requests[1].infer().unwrap();
        block_on(requests[0].start().unwrap()).unwrap();
        polled(&waker, requests[1].start().unwrap()).unwrap();
        chained.start().unwrap().detach();
        // Both runs: `wait` would end with the first.
        assert_eq!(chained.wait_quiet().unwrap(), Some(Verdict::Done));
    };
    (0..count.min(20)).for_each(|_| round());
    let before = counting::taken();
    (0..count).for_each(|_| round());
    counting::taken() - before
}

fn request(compiled: &CompiledModel) -> Request {
    compiled.request().unwrap()
}

/// A request whose callback runs it a second time.
fn chained(compiled: &CompiledModel) -> Request {
    let mut request = request(compiled);
    let second = Arc::new(AtomicBool::new(false));
    request
        .set_callback(move |done| {
            done.result()?;
            let was_second = second.fetch_xor(true, Ordering::Relaxed);
            Ok(if was_second { Next::Rest } else { Next::Again })
        })
        .unwrap();
    request
}

/// Polls with somebody else's waker, as an async runtime does.
fn polled<F: Future>(waker: &Waker, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
            return output;
        }
        thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
