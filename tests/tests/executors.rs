//! One suite for every kind of executor of this host, and pipelines of a device author's own over them.
//!
//! The suite asks an executor for what the request relies on: each task once, in order where it is sequential, none lost
//! when the executor is let go, none after it that a panic or a failure has taken along. `tests/src/behaviour/executors.rs`
//! asks the same of whole worlds; here each executor stands alone in a pipeline.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};

use inferry::device::{CompiledModel as Compiled, Device, StageInfo, StageKind, Work};
use inferry::{
    CompiledModel, ElementType, Executor, Executors, InferErrorKind, Next, Pipeline, Port, PrepareError,
    Request, Runtime, run_and_wait,
};
use inferry_behaviour::native::within_a_minute;
use inferry_behaviour::world::{Log, numbers, values};
use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure};
use inferry_core::{Inline, Shape, Turn, value};
use inferry_template::{Call, Chip, Form, Gate, Graph, Op, Template};

/// A kind of executor.
struct Kind {
    name: &'static str,
    /// A new one, shared with nobody.
    make: fn() -> Arc<dyn Executor>,
    /// How many tasks it runs at a time; 0 when it runs them on the stack of whoever brings them.
    threads: usize,
}

const KINDS: &[Kind] = &[
    Kind { name: "immediate", make: || Arc::new(Inline), threads: 0 },
    Kind { name: "zero streams", make: || Executors::streams("none", 0).unwrap(), threads: 0 },
    Kind { name: "one stream", make: || Executors::streams("one", 1).unwrap(), threads: 1 },
    Kind { name: "two streams", make: || Executors::streams("two", 2).unwrap(), threads: 2 },
    Kind { name: "five streams", make: || Executors::streams("five", 5).unwrap(), threads: 5 },
    Kind { name: "named", make: || Executors::default().named("camera").unwrap(), threads: 1 },
];

/// Runs a check for every kind of executor that `wanted` accepts; a hang is a failure.
fn for_each(wanted: fn(&Kind) -> bool, check: fn(&Kind)) {
    for kind in KINDS.iter().filter(|kind| wanted(kind)) {
        println!("{}", kind.name);
        within_a_minute(move || check(kind));
    }
}

/// A graph of one stage, all of whose tasks go to this executor, callbacks included.
fn on(executor: &Arc<dyn Executor>, ops: impl Into<Vec<Op>>) -> Request {
    let Ok(model) = Template::new(Chip::by_hand("none")).compile(&Graph::new(ops), &Form::OneStage);
    let pipeline = Pipeline::new([executor.clone()]).deliver_on(executor.clone());
    Runtime::new().unwrap().on_pipeline(model, pipeline).request().unwrap()
}

fn call(function: impl Fn() + Send + Sync + 'static) -> Op {
    Op::Call(Call::new(function))
}

/// T236, T237: each kind can be made, and runs what it is given once.
#[test]
fn each_task_is_run_once() {
    for_each(
        |_| true,
        |kind| {
            let (executor, runs) = ((kind.make)(), Arc::new(AtomicUsize::new(0)));
            let mut request = on(&executor, [Op::Yield, count(&runs)]);
            for run in 1..=3 {
                request.start().unwrap().wait().unwrap();
                assert_eq!(runs.load(Ordering::SeqCst), run);
            }
        },
    );
}

/// T238, F066: one thread before one queue runs tasks in the order in which they came.
#[test]
fn a_sequential_executor_keeps_the_order() {
    for_each(
        |kind| kind.threads == 1,
        |kind| {
            let (executor, gate, seen) = ((kind.make)(), Gate::closed(), Log::default());
            let mut first = on(&executor, [Op::Block(gate.clone())]);
            let mut others: Vec<_> = (0..10)
                .map(|number| {
                    let seen = seen.clone();
                    on(&executor, [call(move || seen.push(number))])
                })
                .collect();
            let held = first.start().unwrap();
            gate.wait_arrived(1);
            let runs: Vec<_> = others.iter_mut().map(|request| request.start().unwrap()).collect();
            assert!(seen.entries().is_empty(), "all stand behind the first, and the starts have returned");
            gate.open();
            held.wait().unwrap();
            for run in runs {
                run.wait().unwrap();
            }
            assert_eq!(seen.entries(), (0..10).collect::<Vec<_>>());
        },
    );
}

/// F066: as many tasks as there are threads are under way at a time, and no more.
#[test]
fn as_many_run_side_by_side_as_there_are_threads() {
    for_each(
        |kind| kind.threads > 0,
        |kind| {
            let (executor, gate) = ((kind.make)(), Gate::closed());
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            // Nobody passes before all threads have met.
            let meet = Arc::new(Barrier::new(kind.threads));
            let mut requests: Vec<_> = (0..kind.threads * 4)
                .map(|_| {
                    let (enter, leave) = ((now.clone(), most.clone(), meet.clone()), now.clone());
                    let enter = call(move || {
                        let (now, most, meet) = &enter;
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        meet.wait();
                    });
                    let leave = call(move || {
                        leave.fetch_sub(1, Ordering::SeqCst);
                    });
                    on(&executor, [Op::Block(gate.clone()), enter, leave])
                })
                .collect();
            gate.open();
            run_and_wait(&mut requests).unwrap();
            assert_eq!(most.load(Ordering::SeqCst), kind.threads);
        },
    );
}

/// T242, F068: what stands in the queue when everybody lets go of the executor is run.
#[test]
fn what_is_queued_is_run_when_the_executor_is_let_go() {
    for_each(
        |kind| kind.threads > 0,
        |kind| {
            let (executor, gate, runs) = ((kind.make)(), Gate::closed(), Arc::new(AtomicUsize::new(0)));
            let mut requests: Vec<_> = (0..10 + kind.threads)
                .map(|_| on(&executor, [Op::Block(gate.clone()), count(&runs)]))
                .collect();
            requests.iter_mut().for_each(|request| request.start().unwrap().detach());
            gate.wait_arrived(kind.threads);
            // From here on only the tasks keep it.
            drop(executor);
            gate.open();
            let ended: Vec<_> = requests.iter().map(|request| request.observer()).collect();
            ended.iter().for_each(|observer| assert!(observer.wait().unwrap().unwrap().error.is_none()));
            assert_eq!(runs.load(Ordering::SeqCst), requests.len());
        },
    );
}

/// T251, F069: a panic ends its run; the thread goes on.
#[test]
fn a_panic_takes_no_thread_along() {
    for_each(
        |_| true,
        |kind| {
            let executor = (kind.make)();
            for _ in 0..kind.threads.max(1) * 2 {
                let error = on(&executor, [Op::Panic("on purpose")]).start().unwrap().wait().unwrap_err();
                assert_eq!(error.kind(), InferErrorKind::Panicked);
            }
            on(&executor, [Op::Echo]).start().unwrap().wait().unwrap();
        },
    );
}

/// T249, F063, F064: run and wait waits for all, and then gives the first error.
#[test]
fn run_and_wait_waits_for_all_and_then_gives_the_first_error() {
    for_each(
        |_| true,
        |kind| {
            let (executor, runs) = ((kind.make)(), Arc::new(AtomicUsize::new(0)));
            let mut requests: Vec<_> = (0..5)
                .map(|number| {
                    let last = match number {
                        2 => Op::Fail("the third"),
                        4 => Op::Fail("the fifth"),
                        _ => Op::Echo,
                    };
                    on(&executor, [Op::Yield, count(&runs), last])
                })
                .collect();
            let error = run_and_wait(&mut requests).unwrap_err();
            assert!(said(&error).contains("the third"), "{}", said(&error));
            assert_eq!(runs.load(Ordering::SeqCst), 5);
            // One that cannot be started is an error like another, and the rest runs.
            requests[0].stop_and_wait().unwrap();
            assert_eq!(run_and_wait(&mut requests).unwrap_err().kind(), InferErrorKind::Disposed);
            assert_eq!(runs.load(Ordering::SeqCst), 9);
        },
    );
}

/// An operator that counts.
fn count(counter: &Arc<AtomicUsize>) -> Op {
    let counter = counter.clone();
    call(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    })
}

fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// T248, F067: without streams a task that comes while another runs is run after it, by the same thread; deep chains take
/// no stack.
#[test]
fn without_streams_what_is_started_within_a_task_runs_after_it() {
    let executor = Executors::streams("none", 0).unwrap();
    let seen = Log::default();
    let mut chain: Option<Request> = None;
    for number in (0..3).rev() {
        let (before, after) = (seen.clone(), seen.clone());
        let next = Mutex::new(chain.take());
        let start_next = call(move || {
            before.push((number, "begins", thread::current().id()));
            if let Some(request) = &mut *next.lock().unwrap() {
                request.start().unwrap().detach();
            }
            after.push((number, "ends", thread::current().id()));
        });
        chain = Some(on(&executor, [start_next]));
    }
    let mut first = chain.unwrap();
    first.start().unwrap().wait().unwrap();
    let me = thread::current().id();
    let expected: Vec<_> = (0..3).flat_map(|number| [(number, "begins", me), (number, "ends", me)]).collect();
    assert_eq!(seen.entries(), expected);
}

/// F067: a wait for such a task runs it, since nobody else will.
#[test]
fn without_streams_a_wait_within_a_task_runs_what_it_waits_for() {
    within_a_minute(|| {
        let executor = Executors::streams("none", 0).unwrap();
        let inner = Mutex::new(on(&executor, [Op::Add(1.0)]));
        let mut outer = on(
            &executor,
            [call(move || {
                let mut inner = inner.lock().unwrap();
                inner.set_input(0, values(1.0)).unwrap();
                let outputs = inner.start().unwrap().wait().unwrap();
                assert_eq!(numbers(outputs.get(0).unwrap()), [2.0, 0.0]);
            })],
        );
        outer.start().unwrap().wait().unwrap();
    });
}

/// T250, F065: without threads a run is over when its start returns, callback included.
#[test]
fn without_threads_a_run_is_over_when_its_start_returns() {
    for_each(
        |kind| kind.threads == 0,
        |kind| {
            let (executor, seen) = ((kind.make)(), Log::default());
            let (stage, callback) = (seen.clone(), seen.clone());
            let mut request =
                on(&executor, [Op::Yield, call(move || stage.push(("stage", thread::current().id())))]);
            request
                .set_callback(move |_| {
                    callback.push(("callback", thread::current().id()));
                    Ok(Next::Rest)
                })
                .unwrap();
            request.start().unwrap().detach();
            let me = thread::current().id();
            assert_eq!(seen.entries(), [("stage", me), ("callback", me)]);
        },
    );
}

/// T245, T246, T247, F070: a name means one executor of a runtime, until it is forgotten.
#[test]
fn the_same_name_gives_the_same_executor() {
    let runtime = Runtime::new().unwrap();
    let executors = runtime.executors();
    let (camera, again) =
        (executors.named("camera").unwrap(), runtime.clone().executors().named("camera").unwrap());
    assert!(Arc::ptr_eq(&camera, &again));
    assert_eq!((camera.name(), executors.len()), ("camera", 1));
    assert!(!Arc::ptr_eq(&camera, &executors.named("network").unwrap()));
    assert_eq!(executors.len(), 2);
    assert!(executors.forget("camera") && !executors.forget("camera"));
    assert!(!Arc::ptr_eq(&camera, &executors.named("camera").unwrap()));
    // Who has the first one keeps it.
    on(&camera, [Op::Echo]).start().unwrap().wait().unwrap();
}

/// A thread of a named executor cannot wait for what needs that executor, and is told.
#[test]
fn a_wait_on_the_thread_that_it_needs_is_an_error() {
    within_a_minute(|| {
        let executor = Executors::default().named("camera").unwrap();
        let inner = Mutex::new(on(&executor, [Op::Echo]));
        let kinds = Log::default();
        let seen = kinds.clone();
        let stage = call(move || {
            let error = inner.lock().unwrap().start().unwrap().wait().unwrap_err();
            seen.push(error.kind());
        });
        on(&executor, [stage]).start().unwrap().wait().unwrap();
        assert_eq!(kinds.entries(), [InferErrorKind::WouldDeadlock]);
    });
}

/// An example of a device with a pipeline of its own: it reads a frame, finds its brightest pixel, and reports, each on the
/// executor that fits. Everything it needs is public.
struct Brightest {
    inputs: [Port; 1],
    outputs: [Port; 1],
    /// Which thread ran which stage.
    seen: Log<(usize, ThreadId)>,
}

struct BrightestWork {
    frame: Vec<u8>,
    brightest: u32,
    seen: Log<(usize, ThreadId)>,
}

impl Brightest {
    const STAGES: &[StageInfo] = &[
        StageInfo { name: "read", kind: StageKind::Wait },
        StageInfo { name: "find", kind: StageKind::Compute },
        StageInfo { name: "report", kind: StageKind::Compute },
    ];

    fn new(pixels: usize) -> Brightest {
        let port = |side, name: &str, element, len: usize| Port {
            side,
            index: 0,
            name: name.into(),
            kind: value::Kind::Tensor,
            element,
            shape: Shape::from([len]).into(),
        };
        Brightest {
            inputs: [port(Side::Input, "frame", ElementType::U8, pixels)],
            outputs: [port(Side::Output, "pixel", ElementType::U32, 1)],
            seen: Log::default(),
        }
    }
}

impl Compiled for Brightest {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn stages(&self) -> &[StageInfo] {
        Brightest::STAGES
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(BrightestWork { frame: Vec::new(), brightest: 0, seen: self.seen.clone() }))
    }
}

impl Work for BrightestWork {
    fn poll_stage(
        &mut self,
        stage: usize,
        io: &mut Bindings,
        _turn: &Turn<'_>,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.seen.push((stage, thread::current().id()));
        match stage {
            0 => io.inputs()[0].bytes().clone_into(&mut self.frame),
            1 => {
                let brightest = self.frame.iter().enumerate().max_by_key(|(_, value)| **value);
                let (at, _) = brightest.ok_or(Failure::operator("a frame without pixels"))?;
                self.brightest = at.try_into().map_err(Failure::operator)?;
            }
            _ => io.split().1[0].bytes_mut()[..4].copy_from_slice(&self.brightest.to_ne_bytes()),
        }
        Poll::Ready(Ok(()))
    }
}

fn frame() -> inferry::Tensor {
    inferry::Tensor::from_slice(&[3_u8, 9, 250, 7], [4]).unwrap()
}

/// F051, F054, F060: a device author's stages run in order, each on the executor that its pipeline names, the callback last.
#[test]
fn a_pipeline_of_ones_own_runs_each_stage_where_it_says() {
    within_a_minute(|| {
        let runtime = Runtime::new().unwrap();
        let named = |name: &str| runtime.executors().named(name).unwrap();
        let device = Arc::new(Brightest::new(4));
        let pipeline =
            Pipeline::new([named("camera"), named("compute"), named("camera")]).deliver_on(named("answers"));
        let model = runtime.on_pipeline(device.clone(), pipeline);
        let thread_of = |name: &str| {
            let seen = Log::default();
            let log = seen.clone();
            on(&named(name), [call(move || log.push(thread::current().id()))])
                .start()
                .unwrap()
                .wait()
                .unwrap();
            seen.entries()[0]
        };
        let [camera, compute, answers] = ["camera", "compute", "answers"].map(thread_of);
        let callbacks = Log::default();
        let mut request = model.request().unwrap();
        let log = callbacks.clone();
        request
            .set_callback(move |completion| {
                log.push((thread::current().id(), completion.output("pixel")?.to_vec::<u32>()?));
                Ok(Next::Rest)
            })
            .unwrap();
        request.set_input("frame", frame()).unwrap();
        request.start().unwrap().wait().unwrap();
        assert_eq!(device.seen.entries(), [(0, camera), (1, compute), (2, camera)]);
        assert_eq!(callbacks.entries(), [(answers, vec![2])]);
        assert_eq!(model.streams(), 2, "two executors for three stages");
    });
}

/// F061: the blocking `infer` runs the same stages on its caller's stack.
#[test]
fn infer_runs_the_stages_of_such_a_pipeline_on_its_callers_stack() {
    let runtime = Runtime::new().unwrap();
    let device = Arc::new(Brightest::new(4));
    let camera = runtime.executors().named("camera").unwrap();
    let model = runtime.on_pipeline(device.clone(), Pipeline::new([camera.clone(), camera.clone(), camera]));
    let mut request = model.request().unwrap();
    request.set_input(0, frame()).unwrap();
    let outputs = request.infer().unwrap();
    assert_eq!(outputs.get(0).unwrap().to_vec::<u32>().unwrap(), [2]);
    let me = thread::current().id();
    assert_eq!(device.seen.entries(), [(0, me), (1, me), (2, me)]);
}

/// A pipeline of another length is refused with both numbers.
#[test]
fn a_pipeline_needs_an_executor_for_every_stage() {
    let runtime = Runtime::new().unwrap();
    let camera = runtime.executors().named("camera").unwrap();
    let model: CompiledModel = runtime.on_pipeline(Arc::new(Brightest::new(4)), Pipeline::new([camera]));
    let Err(error) = model.request() else { panic!("three stages on one executor") };
    assert_eq!(error.to_string(), "the pipeline has 1 stages, the model 3");
}

/// T255, F059: stopping a request stops none of its executors.
#[test]
fn executors_outlive_the_requests_that_stop() {
    for_each(
        |_| true,
        |kind| {
            let executor = (kind.make)();
            let mut stopped = on(&executor, [Op::Yield]);
            stopped.start().unwrap().detach();
            stopped.stop_and_wait().unwrap();
            on(&executor, [Op::Echo]).start().unwrap().wait().unwrap();
        },
    );
}
