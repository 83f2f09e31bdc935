//! Starting, and what a request says meanwhile.

use inferry_core::request::{BindError, RunId, StartError, Status};
use inferry_core::{InferErrorKind, Lend, Verdict};
use inferry_template::{Gate, Graph, Op};

use crate::world::{World, numbers, values};

/// The outputs of a run that is done can be read, again and again.
pub async fn a_run_gives_its_outputs(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    for value in [1.0, 2.0, 3.0] {
        request.set_input("x0", values(value)).unwrap();
        let outputs = request.start().unwrap().await.unwrap();
        assert_eq!(numbers(outputs.get("y0").unwrap()), [value + 1.0, 1.0 - value]);
        assert_eq!(numbers(outputs.get(0).unwrap()), numbers(request.output("y0").unwrap()));
    }
}

/// A fresh request runs on zeros.
pub async fn a_fresh_request_runs_on_zeros(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(0.5)]));
    assert_eq!(numbers(request.input(0).unwrap()), [0.0, 0.0]);
    let outputs = request.start().unwrap().await.unwrap();
    assert_eq!(numbers(outputs.get(0).unwrap()), [0.5, 0.5]);
    let mut request = world.request(&Graph::new([Op::Add(0.5)]));
    let outputs = request.infer(Lend::SERIAL).await.unwrap();
    assert_eq!(numbers(outputs.get(0).unwrap()), [0.5, 0.5]);
}

/// While a run is under way whatever would touch it says that the request is busy, and
/// changes nothing.
pub async fn a_busy_request_says_so(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    request.set_input(0, values(1.0)).unwrap();
    let observer = request.observer();
    request.start().unwrap().detach();
    gate.arrived(1).await;
    assert!(matches!(request.start(), Err(StartError::Busy)));
    assert_eq!(request.input(0).unwrap_err(), BindError::Busy);
    assert_eq!(request.output(0).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_input(0, values(7.0)).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_output(0, values(7.0)).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_callback(|_| panic!("never called")).unwrap_err(), BindError::Busy);
    // What does not touch the run can be asked.
    assert_eq!(request.model().inputs().len(), 1);
    gate.open();
    assert_eq!(observer.settled().await.unwrap().verdict, Verdict::Done);
    assert_eq!(numbers(request.output(0).unwrap()), [2.0, 0.0], "nothing was changed");
    assert_eq!(request.observer().run().get(), 1, "and nothing else has run");
}

/// Whoever waits for a request that never ran is told so.
pub async fn a_request_that_never_ran_is_told_apart(world: &impl World) {
    let request = world.request(&Graph::new([Op::Echo]));
    assert!(request.observer().settled().await.is_none());
    assert!(request.observer().latest().is_none());
    assert_eq!(request.observer().run(), RunId::NONE);
    assert_eq!(request.status(), Status::Fresh);
}

/// How the latest run ended is told again and again, until the next start.
pub async fn an_ending_is_told_until_the_next_start(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Fail("the divisor is zero")]));
    let kind = request.start().unwrap().await.unwrap_err().kind();
    assert_eq!(kind, InferErrorKind::Operator);
    let observer = request.observer();
    for _ in 0..3 {
        let outcome = observer.settled().await.unwrap();
        assert_eq!((outcome.run.get(), outcome.verdict), (1, Verdict::Failed));
        assert!(outcome.error.unwrap().full_text().contains("the divisor is zero"));
    }
    // And the request can run again.
    drop(request.start().unwrap().await);
    assert_eq!(observer.settled().await.unwrap().run.get(), 2);
}

/// A start that is refused leaves no trace.
pub async fn a_start_that_is_refused_leaves_no_trace(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    request.start().unwrap().await.unwrap();
    let good = std::mem::replace(request.input_mut(0).unwrap(), inferry_core::Tensor::scalar(1.0_f32));
    let error = request.start().unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::InvalidInput);
    assert!(error.to_string().contains("input #0 \"x0\""), "{error}");
    assert_eq!(request.observer().settled().await.unwrap().run.get(), 1);
    *request.input_mut(0).unwrap() = good;
    assert_eq!(request.start().unwrap().await.unwrap().run().get(), 2);
}

/// What a request is doing has a name for each case.
pub async fn each_status_is_told_apart(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    assert_eq!(request.status(), Status::Fresh);
    let observer = request.observer();
    let run = request.start().unwrap();
    gate.arrived(1).await;
    // The gate has been reached; that the stage has returned is a moment later.
    while !matches!(observer.status(), Status::Parked { stage: 0 }) {
        assert!(matches!(observer.status(), Status::Running { stage: 0 }), "{:?}", observer.status());
        crate::world::give_way().await;
    }
    run.cancel();
    drop(run.await);
    assert!(matches!(observer.status(), Status::Settled(Verdict::Cancelled(_))), "{:?}", observer.status());
    gate.open();
    request.start().unwrap().await.unwrap();
    assert_eq!(observer.status(), Status::Settled(Verdict::Done));
}
