//! Models on top of models: requests that share batches.
//!
//! Time is moved by hand and threads are left out where the order of events is what counts.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use inferry::{
    BatchError, Batching, CompiledModel, InferErrorKind, Next, Options, Run, Runtime, Status, Tensor, Timer,
    run_and_wait,
};
use inferry_behaviour::model::add;
use inferry_behaviour::native::{compile_for, within_a_minute};
use inferry_behaviour::world::{Log, numbers};
use inferry_core::Clock;
use inferry_template::{Call, Chip, Form, Gate, Graph, Op};

/// Time that a test moves.
#[derive(Default)]
struct Hand(Mutex<Moment>);

#[derive(Default)]
struct Moment {
    now: u64,
    next: u64,
    alarms: Vec<(u64, u64, Waker)>,
}

impl Hand {
    /// Moves on by so many nanoseconds, and rings what is due.
    fn pass(&self, nanos: u64) {
        let due = {
            let mut moment = self.0.lock().unwrap();
            moment.now += nanos;
            let now = moment.now;
            moment.alarms.extract_if(.., |(_, at, _)| *at <= now).collect::<Vec<_>>()
        };
        due.into_iter().for_each(|(_, _, waker)| waker.wake());
    }

    fn alarms(&self) -> usize {
        self.0.lock().unwrap().alarms.len()
    }
}

impl Clock for Hand {
    fn now(&self) -> u64 {
        self.0.lock().unwrap().now
    }
}

impl Timer for Hand {
    fn wake_at(&self, at: u64, waker: Waker) -> u64 {
        let mut moment = self.0.lock().unwrap();
        moment.next += 1;
        let alarm = moment.next;
        moment.alarms.push((alarm, at, waker));
        alarm
    }

    fn forget(&self, alarm: u64) {
        self.0.lock().unwrap().alarms.retain(|(other, _, _)| *other != alarm);
    }
}

const LIMIT: Duration = Duration::from_nanos(100);

/// A batch of `size`, on no thread at all, in time that is moved by hand; and how often it was computed, with the inputs.
fn by_hand(size: usize, op: Op) -> (CompiledModel, Arc<Hand>, Log<()>) {
    let (hand, runs) = (Arc::new(Hand::default()), Log::default());
    let log = runs.clone();
    let graph = Graph { len: Some(size), ..Graph::new([Op::Call(Call::new(move || log.push(()))), op]) };
    let chip = Chip::by_hand("none");
    let model = compile_for(&Runtime::new().unwrap(), Options::inline(), &graph, Form::OneStage, &chip);
    let batched = model.batched_by(Batching { size, limit: LIMIT }, hand.clone()).unwrap();
    (batched, hand, runs)
}

fn item(value: f32) -> Tensor {
    Tensor::from_slice(&[value], [1]).unwrap()
}

fn is_over(run: &mut Run<'_>) -> bool {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    std::future::Future::poll(std::pin::Pin::new(run), &mut cx).is_ready()
}

/// F136, F137, F062: a full batch starts at once, without any time passing, and is computed once.
#[test]
fn a_full_batch_starts_at_once() {
    let (model, hand, runs) = by_hand(4, Op::Add(1.0));
    assert_eq!(
        (model.inputs()[0].shape.to_string(), model.outputs()[0].shape.to_string()),
        ("[1]".into(), "[1]".into())
    );
    let mut requests: Vec<_> = (0..4).map(|_| model.request().unwrap()).collect();
    for round in 1..=100_u8 {
        for (number, request) in (0_u8..).zip(&mut requests) {
            request.set_input(0, item(f32::from(number) + f32::from(round))).unwrap();
            assert_eq!(runs.entries().len(), usize::from(round) - 1, "the batch is not full yet");
            request.start().unwrap().detach();
        }
        assert_eq!(runs.entries().len(), usize::from(round));
        for (number, request) in (0_u8..).zip(&requests) {
            assert_eq!(numbers(request.output(0).unwrap()), [f32::from(number) + f32::from(round) + 1.0]);
        }
        assert_eq!(hand.alarms(), 0, "no alarm is left");
    }
}

/// T235: a lone request waits for the limit and no longer; the full batch right after it waits for nothing.
#[test]
fn a_lone_request_waits_for_the_limit_and_the_next_batch_does_not() {
    let (model, hand, runs) = by_hand(4, Op::Add(1.0));
    let mut requests: Vec<_> = (0..4).map(|_| model.request().unwrap()).collect();
    for _ in 0..100 {
        let before = runs.entries().len();
        requests[0].set_input(0, item(7.0)).unwrap();
        let mut lone = requests[0].start().unwrap();
        hand.pass(99);
        assert!(!is_over(&mut lone));
        hand.pass(1);
        assert!(is_over(&mut lone));
        drop(lone);
        assert_eq!(numbers(requests[0].output(0).unwrap()), [8.0]);
        requests.iter_mut().for_each(|request| request.start().unwrap().detach());
        assert_eq!(runs.entries().len(), before + 2);
        assert!(requests.iter().all(|request| matches!(request.status(), Status::Settled(_))));
    }
}

/// T234: whatever number of requests comes, each gets what it would get alone; more than a batch go in several.
#[test]
fn each_request_gets_what_it_would_get_alone() {
    for count in 1..=9_u8 {
        let (model, hand, runs) = by_hand(4, Op::Add(0.5));
        let mut requests: Vec<_> = (0..count).map(|_| model.request().unwrap()).collect();
        for (number, request) in (0..count).zip(&mut requests) {
            request.set_input(0, item(f32::from(number))).unwrap();
            request.start().unwrap().detach();
        }
        hand.pass(100);
        for (number, request) in (0..count).zip(&requests) {
            assert_eq!(numbers(request.output(0).unwrap()), [f32::from(number) + 0.5], "{count}");
        }
        assert_eq!(runs.entries().len(), usize::from(count).div_ceil(4));
    }
}

/// A run that is cancelled while the batch is collected leaves it at once; the others go on without it.
#[test]
fn a_cancelled_run_leaves_the_batch() {
    let (model, hand, runs) = by_hand(2, Op::Add(1.0));
    let [mut first, mut second, mut third] = [(); 3].map(|()| model.request().unwrap());
    let run = first.start().unwrap();
    assert!(run.cancel());
    assert_eq!(run.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
    second.start().unwrap().detach();
    assert_eq!(runs.entries().len(), 0, "one has left: the batch is not full");
    third.start().unwrap().detach();
    assert_eq!(runs.entries().len(), 1);
    first.start().unwrap().detach();
    hand.pass(100);
    assert_eq!((runs.entries().len(), numbers(first.output(0).unwrap())), (2, vec![1.0]));
}

/// What fails in a batch is the error of each of its requests, and of no later one.
#[test]
fn an_error_of_the_batch_is_everybodys() {
    let (model, hand, _) = by_hand(2, Op::Fail("too hot"));
    let mut requests = [(); 2].map(|()| model.request().unwrap());
    requests.iter_mut().for_each(|request| request.start().unwrap().detach());
    for request in &requests {
        let error = request.observer().latest().unwrap().error.unwrap();
        assert_eq!(error.kind(), InferErrorKind::Operator);
    }
    requests[0].start().unwrap().detach();
    hand.pass(100);
    assert!(requests[0].observer().latest().unwrap().error.is_some());
    assert!(matches!(requests[1].status(), Status::Settled(_)));
}

/// A request of a batch knows nothing of it: callback, restart, and `infer` are as ever.
#[test]
fn a_batch_is_not_noticed() {
    within_a_minute(|| {
        let graph = Graph { len: Some(3), ..Graph::new([Op::Add(1.0)]) };
        for options in [Options::latency().threads(1), Options::throughput().threads(2), Options::inline()] {
            let chip = Chip::working("batch");
            for form in [Form::OneStage, Form::Parked, Form::Blocking] {
                let model = compile_for(&Runtime::new().unwrap(), options, &graph, form, &chip);
                let batched = model.batched(Batching { size: 3, limit: Duration::from_millis(1) }).unwrap();
                let threads = (0..5_u8).map(|number| {
                    let batched = batched.clone();
                    thread::spawn(move || {
                        let mut request = batched.request().unwrap();
                        let mut left = 3;
                        request
                            .set_callback(move |mut completion| {
                                completion.result()?;
                                let value = numbers(completion.output(0)?)[0];
                                completion.set_input(0, item(value))?;
                                left -= 1;
                                Ok(if left > 0 { Next::Again } else { Next::Rest })
                            })
                            .unwrap();
                        request.set_input(0, item(f32::from(number))).unwrap();
                        request.start().unwrap().detach();
                        request.wait_quiet().unwrap();
                        assert_eq!(numbers(request.output(0).unwrap()), [f32::from(number) + 3.0]);
                        request.infer().unwrap();
                        assert_eq!(numbers(request.output(0).unwrap()), [f32::from(number) + 4.0]);
                    })
                });
                threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
            }
        }
    });
}

/// T234 on the CPU: an ONNX model of a fixed batch, inputs of its own, against itself without batches.
#[test]
fn the_cpu_computes_batches_too() {
    within_a_minute(|| {
        let model = Runtime::new().unwrap().compile(&add(4), Options::latency().threads(1)).unwrap();
        let batched = model.batched(Batching { size: 4, limit: Duration::from_secs(3600) }).unwrap();
        let mut requests: Vec<_> = (0..4).map(|_| batched.request().unwrap()).collect();
        for (number, request) in (0_u8..).zip(&mut requests) {
            request.set_input("a", item(f32::from(number))).unwrap();
            request.set_input("b", item(10.0)).unwrap();
        }
        run_and_wait(&mut requests).unwrap();
        for (number, request) in (0_u8..).zip(&requests) {
            assert_eq!(numbers(request.output("sum").unwrap()), [f32::from(number) + 10.0]);
        }
    });
}

/// F137: letting go of everything waits for no limit, with a request still in line and a batch under way.
#[test]
fn teardown_waits_for_no_limit() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let graph = Graph { len: Some(2), ..Graph::new([Op::Block(gate.clone())]) };
        let options = Options::latency().threads(1);
        let model =
            compile_for(&Runtime::new().unwrap(), options, &graph, Form::OneStage, &Chip::by_hand("none"));
        let batched = model.batched(Batching { size: 2, limit: Duration::from_secs(3600) }).unwrap();
        let mut requests = [(); 3].map(|()| batched.request().unwrap());
        requests[..2].iter_mut().for_each(|request| request.start().unwrap().detach());
        gate.wait_arrived(1);
        requests[2].start().unwrap().detach();
        let observer = requests[2].observer();
        let begun = Instant::now();
        drop((requests, batched, model));
        assert_eq!(observer.wait().unwrap().unwrap().error.unwrap().kind(), InferErrorKind::Cancelled);
        assert!(begun.elapsed() < Duration::from_secs(60), "an hour is the limit");
    });
}

/// What cannot be batched is refused by name.
#[test]
fn a_model_without_a_batch_of_this_size_is_refused() {
    let model = Runtime::new().unwrap().compile(&add(4), Options::inline()).unwrap();
    let batched = |size| model.batched(Batching { size, limit: LIMIT }).map(drop);
    assert!(matches!(batched(0), Err(BatchError::Empty)));
    assert_eq!(batched(3).unwrap_err().to_string(), "input #0 \"a\" of f32 [4] holds no batch of 3");
    batched(4).unwrap();
}
