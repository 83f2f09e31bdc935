//! What runs the stages: each once, in order, and what becomes of a run when an executor does not take it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use inferry_core::request::{Next, StartError, Status};
use inferry_core::{Executor, InferErrorKind, Pipeline, Request, Submitted, Task, Verdict};
use inferry_template::{Call, Chip, Form, Gate, Graph, Op};

use crate::device::plain;
use crate::sim::Sim;
use crate::world::{Log, Model, World, give_way, numbers, values};

/// An executor that refuses what comes.
struct Refusing;

impl Executor for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn submit(&self, task: Task) -> Submitted {
        Submitted::Refused(task)
    }
}

/// An executor that drops what comes, some time later.
#[derive(Default)]
struct Dropping(Mutex<Vec<Task>>);

impl Executor for Dropping {
    fn submit(&self, task: Task) -> Submitted {
        self.0.lock().unwrap().push(task);
        Submitted::Taken
    }
}

/// A model whose stages run where the world has it, but for one.
fn with_executor(model: &Model, stage: usize, executor: Arc<dyn Executor>) -> Request {
    let mut stages = model.pipeline.stages().to_vec();
    stages[stage] = executor;
    Request::new(model.device.clone(), Arc::new(Pipeline::new(stages))).unwrap()
}

/// Each run polls its stage once, on whatever executor.
pub async fn a_run_is_run_once(world: &impl World) {
    let model = plain(&[(inferry_core::ElementType::F32, &[])]);
    let counts = model.counts();
    let mut request = world.place("counted", Arc::new(model)).request();
    for run in 1..=3 {
        request.start().unwrap().await.unwrap();
        assert_eq!(counts.all(), [1, run, run, 0, 0]);
    }
}

/// Two runs, the second started when the first was waited for: they run in that order.
pub async fn two_runs_keep_their_order(world: &impl World) {
    let seen = Log::default();
    let mut requests: Vec<_> = (0..2)
        .map(|number| {
            let log = seen.clone();
            world.request(&Graph::new([Op::Yield, Op::Call(Call::new(move || log.push(number)))]))
        })
        .collect();
    for request in &mut requests {
        request.start().unwrap().await.unwrap();
    }
    assert_eq!(seen.entries(), [0, 1]);
}

/// Runs that nobody waits for end by themselves, also when the request and the model are dropped.
pub async fn runs_that_nobody_waits_for_end(world: &impl World) {
    let mut observers = Vec::new();
    for _ in 0..2 {
        let mut request = world.request(&Graph::new([Op::Yield, Op::Yield, Op::Echo]));
        request.start().unwrap().detach();
        observers.push(request.observer());
    }
    for observer in observers {
        assert!(observer.settled().await.is_some());
    }
}

/// Ten runs that fail, each with an error of its own, tell each waiter its own.
pub async fn each_error_reaches_its_own_waiter(world: &impl World) {
    const TEXTS: [&str; 10] = ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"];
    let mut requests: Vec<_> =
        TEXTS.iter().map(|text| world.request(&Graph::new([Op::Yield, Op::Fail(text)]))).collect();
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    for (run, text) in runs.into_iter().zip(TEXTS) {
        assert!(run.await.unwrap_err().full_text().contains(text));
    }
}

/// Runs that stand before an executor are all run, also when everything but the requests has been dropped.
pub async fn what_was_queued_is_run(world: &impl World) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let call = Call::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let model =
        world.compile(&Graph::new([Op::Yield, Op::Call(call)]), Form::OneStage, &Chip::by_hand("backlog"));
    let mut requests: Vec<_> = (0..10).map(|_| model.request()).collect();
    drop(model);
    for request in &mut requests {
        request.start().unwrap().detach();
    }
    for request in &mut requests {
        assert_eq!(request.quiet().await, Some(Verdict::Done));
    }
    assert_eq!(count.load(Ordering::SeqCst), 10);
}

/// When a run is over, its executor keeps nothing of it.
pub async fn an_executor_keeps_nothing(world: &impl World) {
    let token = Arc::new(());
    let held = token.clone();
    let call = Call::new(move || {
        let _ = &held;
    });
    let mut request = world.request(&Graph::new([Op::Call(call)]));
    request.start().unwrap().await.unwrap();
    drop(request);
    while Arc::strong_count(&token) > 1 {
        give_way().await;
    }
}

/// Of five runs at the same time the third fails: all five have run, and one error is told.
pub async fn one_failure_among_five_stops_no_other(world: &impl World) {
    let count = Arc::new(AtomicUsize::new(0));
    let mut requests: Vec<_> = (0..5)
        .map(|number| {
            let counted = count.clone();
            let call = Op::Call(Call::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            }));
            let last = if number == 2 { Op::Fail("the third") } else { Op::Echo };
            world.request(&Graph::new([Op::Yield, call, last]))
        })
        .collect();
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    let mut failed = Vec::new();
    for (number, run) in runs.into_iter().enumerate() {
        if run.await.is_err() {
            failed.push(number);
        }
    }
    assert_eq!((count.load(Ordering::SeqCst), failed), (5, vec![2]));
}

/// An executor that refuses the first stage fails the start: nobody is called back, and the request is idle again.
pub async fn a_refused_start_is_an_error_of_the_start(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Echo]), Form::OneStage, &Chip::by_hand("refused"));
    let mut request = with_executor(&model, 0, Arc::new(Refusing));
    request.set_callback(|_| panic!("nothing is delivered")).unwrap();
    for _ in 0..2 {
        let error = request.start().unwrap_err();
        assert!(matches!(&error, StartError::Refused { executor } if executor == "refusing"), "{error}");
        assert!(matches!(request.status(), Status::Settled(_)), "{:?}", request.status());
        request.set_input(0, values(1.0)).unwrap();
    }
}

/// One that refuses a later stage fails the run, for the callback and for the waiter.
pub async fn a_refused_hop_is_an_error_of_the_run(world: &impl World) {
    let chip = Chip::by_hand("refused");
    let model = world.compile(&Graph::new([Op::Echo]), Form::Parked, &chip);
    let mut request = with_executor(&model, 1, Arc::new(Refusing));
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |done| {
            log.push(done.error().map(|error| error.kind()));
            Ok(Next::Rest)
        })
        .unwrap();
    let error = request.start().unwrap().await.unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Abandoned);
    assert!(error.full_text().contains("refusing"), "{}", error.full_text());
    assert_eq!(seen.entries(), [Some(InferErrorKind::Abandoned)]);
    assert_eq!(chip.waiting(), 0, "the chip has been told");
}

/// A task that an executor drops ends its run as abandoned; nobody hangs.
pub async fn a_dropped_task_ends_its_run(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Echo]), Form::OneStage, &Chip::by_hand("dropped"));
    let executor = Arc::new(Dropping::default());
    let mut request = with_executor(&model, 0, executor.clone());
    let run = request.start().unwrap();
    executor.0.lock().unwrap().clear();
    assert_eq!(run.await.unwrap_err().kind(), InferErrorKind::Abandoned);
    assert_eq!(request.observer().latest().unwrap().verdict, Verdict::Abandoned);
}

/// While a stage blocks the only worker, another run can be started; it waits for its turn.
pub async fn a_blocked_worker_blocks_no_start(sim: &Sim) {
    let gate = Gate::closed();
    let one = [sim.executor("one", 1)];
    let chip = Chip::by_hand("blocked");
    let mut blocked =
        sim.model(&Graph::new([Op::Block(gate.clone())]), Form::OneStage, &chip, &one).request();
    let mut other = sim.model(&Graph::new([Op::Add(1.0)]), Form::OneStage, &chip, &one).request();
    let first = blocked.start().unwrap();
    gate.arrived(1).await;
    other.set_input(0, values(1.0)).unwrap();
    let second = other.start().unwrap();
    gate.open();
    first.await.unwrap();
    assert_eq!(numbers(second.await.unwrap().get(0).unwrap()), [2.0, 0.0]);
}

/// Runs before one worker begin in the order of their starts, whatever order they were made in.
pub async fn one_worker_keeps_the_order_of_the_starts(sim: &Sim) {
    let seen = Log::default();
    let one = [sim.executor("one", 1)];
    let mut requests: Vec<_> = (0..6)
        .map(|number| {
            let log = seen.clone();
            let graph = Graph::new([Op::Call(Call::new(move || log.push(number)))]);
            sim.model(&graph, Form::OneStage, &Chip::by_hand("order"), &one).request()
        })
        .collect();
    let runs: Vec<_> = requests.iter_mut().rev().map(|request| request.start().unwrap()).collect();
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!(seen.entries(), [5, 4, 3, 2, 1, 0]);
}
