//! Cancelling.

use inferry_core::request::{BindError, Cause, StartError};
use inferry_core::{InferErrorKind, Verdict};
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::world::{World, numbers, values};

/// T027, T028, T034: a granted cancel ends the run as cancelled, asking twice does no harm, and the request runs again.
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

/// T029, T031, T032, T041: a cancel with nothing to cancel is refused, and touches no run before or after.
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

/// T033: until a cancelled run is over, whatever would touch it says that it has been cancelled.
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

/// T035: a cancelled run is told as cancelled until the next start.
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

/// T038: stages after the one that was cancelled never run.
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

/// T040: a stage that does not look whether to stop ends as cancelled all the same.
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
