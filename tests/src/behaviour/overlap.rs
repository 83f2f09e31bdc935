//! What goes on at the same time, in virtual time: exact, and the same on every machine.

use std::sync::Arc;
use std::time::Duration;

use inferry_core::joined::{Outlet, Part, Source};
use inferry_core::request::Next;
use inferry_core::trace::{Happening, StageEnd, Trace, TraceEvent};
use inferry_core::{Executor, Joined, Pipeline, Request};
use inferry_template::{Call, Chip, Form, Graph, Op, now};

use crate::sim::Sim;
use crate::world::{Log, World, numbers, values};

/// The executors of the three stages.
type Stages = [Arc<dyn Executor>; 3];

const STAGE: Duration = Duration::from_millis(50);

/// 50 ms of preparation, 50 ms on the chip, 50 ms of after-work.
fn three_stages() -> Graph {
    let work = || [Op::Sleep(STAGE)];
    Graph::new(work()).before(work()).after(work())
}

/// Runs one request for each chip and executors; gives the virtual time in units of a stage.
async fn time_of(sim: &Sim, form: Form, requests: Vec<(Arc<Chip>, Stages)>) -> u32 {
    let begun = sim.now();
    let mut requests: Vec<_> = requests
        .into_iter()
        .map(|(chip, executors)| sim.model(&three_stages(), form, &chip, &executors).request())
        .collect();
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    for run in runs {
        run.await.unwrap();
    }
    let took = sim.now() - begun;
    assert_eq!(took.as_millis() % STAGE.as_millis(), 0);
    (took.as_millis() / STAGE.as_millis()) as u32
}

/// With an executor that computes and one that waits, two requests take four stages' time and not six: the second is
/// prepared while the chip has the first, and the chip has the second while the first is finished.
pub async fn two_executors_overlap_two_requests(sim: &Sim) {
    let chip = sim.chip("overlap");
    let (compute, wait) = (sim.executor("compute", 1), sim.executor("wait", 1));
    let executors = || [compute.clone(), wait.clone(), compute.clone()];
    let took = time_of(sim, Form::Blocking, vec![(chip.clone(), executors()), (chip, executors())]).await;
    assert_eq!(took, 4);
}

/// With one executor for everything and a wait that blocks it, nothing overlaps.
pub async fn one_executor_overlaps_nothing(sim: &Sim) {
    let chip = sim.chip("serial");
    let one = sim.executor("one", 1);
    let executors = || [one.clone(), one.clone(), one.clone()];
    let took = time_of(sim, Form::Blocking, vec![(chip.clone(), executors()), (chip, executors())]).await;
    // The queue is in the order of arrival: the second is prepared before the wait of the first, but never while the chip
    // works, unless the chip was given its job before.
    assert_eq!(took, 5);
    // What is submitted and waited for by one request alone takes the sum.
    let chip = sim.chip("alone");
    assert_eq!(time_of(sim, Form::Blocking, vec![(chip, executors())]).await, 3);
}

/// A wait that parks needs no executor of its own to overlap.
pub async fn a_parked_wait_overlaps_on_one_executor(sim: &Sim) {
    let chip = sim.chip("parked");
    let one = sim.executor("one", 1);
    let executors = || [one.clone(), one.clone(), one.clone()];
    let took = time_of(sim, Form::Parked, vec![(chip.clone(), executors()), (chip, executors())]).await;
    assert_eq!(took, 4);
}

/// Two chips work at the same time when each has an executor that waits for it; with a shared one the second is looked
/// at only when the first is done.
pub async fn two_chips_need_two_waits(sim: &Sim) {
    let compute = sim.executor("compute", 2);
    let request = |chip: &str, wait: &Arc<dyn Executor>| {
        (sim.chip(chip), [compute.clone(), wait.clone(), compute.clone()])
    };
    let (left, right, shared) =
        (sim.executor("left", 1), sim.executor("right", 1), sim.executor("shared", 1));
    let took = time_of(sim, Form::Blocking, vec![request("l", &left), request("r", &right)]).await;
    assert_eq!(took, 3);
    // Both chips were given their jobs, so both are done at once; what is serial is the waiting. Three of them show it:
    // the one that is waited for first is the slow one.
    let slow = sim.chip("slow");
    let graph = Graph::new([Op::Sleep(STAGE * 10)]);
    let executors = |wait: &Arc<dyn Executor>| [compute.clone(), wait.clone(), compute.clone()];
    for (wait, ends) in [(&shared, 10), (&right, 1)] {
        let mut first = sim.model(&graph, Form::Blocking, &slow, &executors(&shared)).request();
        let quick = Graph::new([Op::Sleep(STAGE)]);
        let mut second = sim.model(&quick, Form::Blocking, &sim.chip("quick"), &executors(wait)).request();
        let begun = sim.now();
        let first = first.start().unwrap();
        // The first has the executor that waits.
        sim.until(begun + STAGE / 2).await;
        let second = second.start().unwrap();
        second.await.unwrap();
        let half = STAGE / 2;
        let expected = if ends == 10 { begun + STAGE * 10 } else { begun + half + STAGE };
        assert_eq!(sim.now(), expected);
        first.await.unwrap();
    }
}

/// One model in two parts, each on a chip of its own: while the second chip has one request, the first has the next. Three
/// requests take four turns of a chip, and not six.
pub async fn two_parts_on_two_chips_overlap(sim: &Sim) {
    let outlet = |part| Outlet { part, output: 0 };
    let graph = Graph::new([Op::Add(1.0), Op::Sleep(STAGE)]);
    let part = |name: &str, source| {
        let model = sim.model(&graph, Form::Blocking, &sim.chip(name), &[]).device;
        Part { device: name.into(), model, inputs: vec![source] }
    };
    let parts = vec![part("left", Source::Input(0)), part("right", Source::Outlet(outlet(0)))];
    let inputs = parts[0].model.inputs().to_vec();
    let joined = Arc::new(Joined::new(inputs, vec![("y".into(), outlet(1))], parts).unwrap());
    let compute = sim.executor("compute", 1);
    let (left, right) = (sim.executor("left", 1), sim.executor("right", 1));
    let stages = [&compute, &left, &compute, &compute, &right, &compute];
    let pipeline = Arc::new(Pipeline::new(stages.map(Arc::clone)));
    let begun = sim.now();
    let request = |number: u8| {
        let mut request = Request::new(joined.clone(), pipeline.clone()).unwrap();
        request.set_input(0, values(number.into())).unwrap();
        request
    };
    let mut requests: Vec<_> = (0..3).map(request).collect();
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    for (number, run) in (0_u8..).zip(runs) {
        let sum = f32::from(number) + 2.0;
        assert_eq!(numbers(run.await.unwrap().get(0).unwrap())[0], sum);
    }
    assert_eq!(sim.now() - begun, STAGE * 4);
}

/// As many stages go on at the same time as an executor has workers, and no more.
pub async fn an_executor_runs_as_many_as_it_has_workers(sim: &Sim) {
    for (workers, rounds) in [(1, 6), (2, 3), (3, 2), (6, 1)] {
        let executor = [sim.executor("workers", workers)];
        let graph = Graph::new([Op::Sleep(STAGE)]);
        let begun = sim.now();
        let mut requests: Vec<_> = (0..6)
            .map(|_| sim.model(&graph, Form::OneStage, &Chip::by_hand("none"), &executor).request())
            .collect();
        let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
        for run in runs {
            run.await.unwrap();
        }
        assert_eq!(sim.now() - begun, STAGE * rounds, "{workers} workers");
    }
}

/// Callbacks on an executor of one worker come one after the other, and hold up no computing.
pub async fn callbacks_of_one_worker_come_one_by_one(sim: &Sim) {
    let delivery = sim.executor("callbacks", 1);
    let computed = Log::default();
    let model = |number: u32| {
        let log = computed.clone();
        let note = Op::Call(Call::new(move || log.push((number, now()))));
        let graph = Graph::new([Op::Sleep(STAGE), note]);
        sim.delivering(&graph, &[sim.executor("own", 1)], &delivery)
    };
    let inside = Arc::new(std::sync::Mutex::new(()));
    let mut requests: Vec<_> = (0..8).map(|number| model(number).request()).collect();
    let calls = Log::default();
    for request in &mut requests {
        let (alone, log) = (inside.clone(), calls.clone());
        request
            .set_callback(move |_| {
                let _inside = alone.try_lock().expect("two callbacks at the same time");
                log.push(());
                Ok(Next::Rest)
            })
            .unwrap();
    }
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!(calls.entries().len(), 8);
    assert!(computed.entries().iter().all(|(_, moment)| *moment == STAGE), "all computed at once");
}

/// What a trace has written down: when, which request, and which stage began or returned.
#[derive(Default)]
struct Written(std::sync::Mutex<Vec<(Duration, usize, usize, bool)>>);

impl Trace for Written {
    fn event(&self, event: &TraceEvent<'_>) {
        let (stage, begins) = match event.what {
            Happening::StageBegins { stage, .. } => (stage, true),
            Happening::StageEnds { stage, how: StageEnd::Ready, .. } => (stage, false),
            _ => return,
        };
        self.0.lock().unwrap().push((now(), event.request, stage, begins));
    }
}

/// A trace of two requests over a split pipeline shows the second being prepared while the first waits for the chip.
pub async fn a_trace_shows_the_overlap(sim: &Sim) {
    let written = Arc::new(Written::default());
    let (compute, wait, chip) = (sim.executor("compute", 1), sim.executor("wait", 1), sim.chip("traced"));
    let stages = [compute.clone(), wait, compute];
    let model = sim.model(&three_stages(), Form::Blocking, &chip, &stages);
    let pipeline = Arc::new(Pipeline::new(stages).traced(written.clone()));
    let request = || Request::new(model.device.clone(), pipeline.clone()).unwrap();
    let (mut first, mut second) = (request(), request());
    let runs = (first.start().unwrap(), second.start().unwrap());
    runs.0.await.unwrap();
    runs.1.await.unwrap();
    let written = written.0.lock().unwrap();
    let first = written[0].1;
    // When a stage of the first request, or of the second, began first and was over.
    let span = |of_first: bool, stage: usize| {
        let mut moments = written
            .iter()
            .filter(|(_, request, at, _)| (*request == first) == of_first && *at == stage)
            .map(|(moment, ..)| *moment);
        let begin = moments.next().unwrap();
        begin..moments.next_back().unwrap()
    };
    assert_eq!(span(true, 1), STAGE..STAGE * 2, "the first waits for the chip");
    assert_eq!(span(false, 0), STAGE..STAGE * 2, "and the second is prepared");
}
