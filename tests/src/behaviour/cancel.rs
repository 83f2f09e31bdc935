//! Cancelling.

use inferry_core::request::{BindError, Cause, StartError};
use inferry_core::{InferErrorKind, Lend, Verdict};
use inferry_template::{Call, Chip, Form, Gate, Graph, Op};

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::sim::Sim;
use crate::world::{Log, World, numbers, values};

/// A granted cancel ends the run as cancelled, asking twice does no harm, and the request runs again.
pub async fn a_granted_cancel_ends_the_run_as_cancelled(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    request.set_input(0, values(1.0)).unwrap();
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(run.cancel());
    run.cancel();
    let error = run.await.unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Cancelled);
    gate.open();
    let outputs = request.start().unwrap().await.unwrap();
    assert_eq!(numbers(outputs.get(0).unwrap()), [2.0, 0.0]);
}

/// A cancel with nothing to cancel is refused, and touches no run before or after.
pub async fn a_cancel_out_of_time_changes_nothing(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    assert!(!request.canceller().cancel());
    let run = request.start().unwrap();
    let token = run.token();
    run.await.unwrap();
    assert!(!token.cancel() && !request.canceller().cancel());
    assert_eq!(numbers(request.output(0).unwrap()), [1.0, 1.0]);
    let next = request.start().unwrap();
    assert!(!token.cancel(), "a token of an earlier run");
    next.await.unwrap();
}

/// Until a cancelled run is over, whatever would touch it says that it has been cancelled.
pub async fn a_cancelled_run_that_is_not_over_says_so(world: &impl World) {
    if world.is_inline() {
        return;
    }
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Deaf(gate.clone())]));
    let (observer, canceller) = (request.observer(), request.canceller());
    request.start().unwrap().detach();
    gate.arrived(1).await;
    assert!(canceller.cancel());
    assert!(matches!(request.start(), Err(StartError::Cancelling)));
    assert_eq!(request.output(0).unwrap_err(), BindError::Cancelling);
    assert_eq!(request.set_input(0, values(1.0)).unwrap_err(), BindError::Cancelling);
    assert_eq!(request.clear_callback().unwrap_err(), BindError::Cancelling);
    gate.open();
    assert_eq!(observer.settled().await.unwrap().verdict, Verdict::Cancelled(Cause::Asked));
    request.clear_callback().unwrap();
}

/// A cancelled run is told as cancelled until the next start.
pub async fn a_cancel_is_told_until_the_next_start(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(run.cancel());
    run.await.unwrap_err();
    for _ in 0..3 {
        let outcome = request.observer().settled().await.unwrap();
        assert_eq!(outcome.verdict, Verdict::Cancelled(Cause::Asked));
        assert_eq!(outcome.error.unwrap().kind(), InferErrorKind::Cancelled);
    }
}

/// Stages after the one that was cancelled never run.
pub async fn a_cancel_skips_the_stages_to_come(world: &impl World) {
    let (gate, never) = (Gate::closed(), Gate::closed());
    let chip = Chip::by_hand("skipped");
    let graph = Graph::new([Op::Echo]).before([Op::Park(gate.clone())]).after([Op::Park(never.clone())]);
    let mut request = world.compile(&graph, Form::Parked, &chip).request();
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(run.cancel());
    run.await.unwrap_err();
    assert!(!chip.step(), "nothing was submitted");
    assert_eq!(never.arrivals(), 0);
}

/// A stage that does not look whether to stop ends as cancelled all the same.
pub async fn a_stage_that_does_not_look_ends_as_cancelled(world: &impl World) {
    if world.is_inline() {
        return;
    }
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Deaf(gate.clone())]));
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(run.cancel());
    gate.open();
    assert_eq!(run.await.unwrap_err().kind(), InferErrorKind::Cancelled);
}

/// Many cancels race many ends: whoever was told that the run will end as cancelled was told the truth.
pub async fn a_race_of_cancel_and_end_has_one_outcome(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Yield, Op::Add(1.0)]));
    for _ in 0..200 {
        let run = request.start().unwrap();
        let granted = run.cancel();
        match run.await {
            Ok(_) => assert!(!granted),
            Err(error) => assert!(granted && error.kind() == InferErrorKind::Cancelled, "{error:?}"),
        }
    }
}

/// An infer that somebody else cancels ends as cancelled, and the next one runs.
pub async fn an_infer_is_cancelled_from_elsewhere(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    let canceller = request.canceller();
    {
        let mut infer = pin!(request.infer(Lend::SERIAL));
        let polled = poll_fn(|cx| Poll::Ready(infer.as_mut().poll(cx).is_pending())).await;
        assert!(polled && canceller.cancel());
        assert_eq!(infer.await.unwrap_err().kind(), InferErrorKind::Cancelled);
    }
    gate.open();
    assert_eq!(numbers(request.infer(Lend::SERIAL).await.unwrap().get(0).unwrap()), [1.0, 1.0]);
}

/// The error of a cancelled run says so in words, to the waiter and to whoever looks later.
pub async fn its_error_says_so(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(run.cancel());
    let error = run.await.unwrap_err();
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert!(request.observer().latest().unwrap().error.unwrap().to_string().contains("cancelled"));
}

/// A run that waits for its turn behind another is taken out of the queue and is over at once.
pub async fn a_queued_run_ends_at_once(sim: &Sim) {
    let (gate, ran) = (Gate::closed(), Log::default());
    let one = [sim.executor("one", 1)];
    let chip = Chip::by_hand("queue");
    let mut long = sim.model(&Graph::new([Op::Block(gate.clone())]), Form::OneStage, &chip, &one).request();
    let log = ran.clone();
    let note = Graph::new([Op::Call(Call::new(move || log.push(())))]);
    let mut queued = sim.model(&note, Form::OneStage, &chip, &one).request();
    let long = long.start().unwrap();
    gate.arrived(1).await;
    let observer = queued.observer();
    let run = queued.start().unwrap();
    assert!(run.cancel());
    // The worker is still busy with the other one, and no step was needed.
    assert_eq!(observer.latest().unwrap().verdict, Verdict::Cancelled(Cause::Asked));
    assert_eq!(run.await.unwrap_err().kind(), InferErrorKind::Cancelled);
    gate.open();
    long.await.unwrap();
    assert!(ran.entries().is_empty());
}

/// A run over its deadline is stopped at that moment and says so; one that ends before is not touched.
pub async fn a_deadline_stops_a_run(sim: &Sim) {
    let graph = Graph::new([Op::Sleep(Duration::from_millis(50)), Op::Add(1.0)]);
    let mut request =
        sim.model(&graph, Form::OneStage, &Chip::by_hand("slow"), &[sim.executor("one", 1)]).request();
    let run = request.start().unwrap();
    let token = run.token();
    sim.until(Duration::from_millis(20)).await;
    assert!(token.expire());
    assert_eq!(run.await.unwrap_err().kind(), InferErrorKind::Timeout);
    assert_eq!(sim.now(), Duration::from_millis(20));
    assert_eq!(request.observer().latest().unwrap().verdict, Verdict::Cancelled(Cause::Deadline));
    let run = request.start().unwrap();
    let token = run.token();
    run.await.unwrap();
    assert_eq!(sim.now(), Duration::from_millis(70));
    assert!(!token.expire());
}
