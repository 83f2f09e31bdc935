//! Waiting for a run, and the rules while one is under way.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use inferry_core::device::Device;
use inferry_core::request::{BindError, StartError};
use inferry_core::state::Stateful;
use inferry_core::{InferErrorKind, Lend, Verdict};
use inferry_template::{Chip, Form, Gate, Graph, Op, Template};

use crate::world::{World, numbers, values};

/// After an infer a run can be started, waited for and read, on the same tensors.
pub async fn a_start_after_an_infer_gives_its_outputs(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    request.set_input(0, values(4.0)).unwrap();
    request.infer(Lend::SERIAL).await.unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(numbers(request.output(0).unwrap()), [5.0, -3.0]);
}

/// A look at a run that is under way is no error, and takes nothing from a later wait.
pub async fn a_look_is_no_wait(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    let mut run = pin!(request.start().unwrap());
    for _ in 0..3 {
        assert!(poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await);
    }
    gate.open();
    run.await.unwrap();
}

/// An infer on a busy request is refused, and the run goes on.
pub async fn a_busy_request_refuses_an_infer(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    request.start().unwrap().detach();
    gate.arrived(1).await;
    assert_eq!(request.infer(Lend::SERIAL).await.unwrap_err().kind(), InferErrorKind::Busy);
    gate.open();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
    assert_eq!(request.observer().run().get(), 1);
}

/// Waiting again for a run that is over gives the same answer at once, after a start and after an infer.
pub async fn a_wait_may_be_repeated(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    request.infer(Lend::SERIAL).await.unwrap();
    assert!(request.observer().latest().is_some());
    request.start().unwrap().await.unwrap();
    for _ in 0..3 {
        let outcome = request.observer().settled().await.unwrap();
        assert_eq!((outcome.run.get(), outcome.verdict), (2, Verdict::Done));
        assert!(request.observer().latest().is_some());
    }
}

/// Any number may wait for one run, and all of them are told.
pub async fn all_who_wait_are_told(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    let observers: Vec<_> = (0..8).map(|_| request.observer()).collect();
    let run = request.start().unwrap();
    let mut waits: Vec<_> = observers.iter().map(|observer| observer.settled()).collect();
    for wait in &mut waits {
        let mut wait = pin!(wait);
        assert!(poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx).is_pending())).await);
    }
    gate.open();
    for wait in waits {
        assert_eq!(wait.await.unwrap().verdict, Verdict::Done);
    }
    run.await.unwrap();
}

/// Every call that would touch the tensors, the variables, the callback or the profile of a run says that it is under way.
pub async fn every_call_on_a_busy_request_says_so(world: &impl World) {
    let gate = Gate::closed();
    let graph = Graph { ports: 2, ..Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]) };
    let Ok(model) = Template::new(Chip::by_hand("busy")).compile(&graph, &Form::OneStage);
    let model = Stateful::new(model, [("x1", "y1")]).unwrap();
    let mut request = world.place("busy", Arc::new(model)).request();
    request.start().unwrap().detach();
    gate.arrived(1).await;
    assert!(matches!(request.start(), Err(StartError::Busy)));
    assert_eq!(request.infer(Lend::SERIAL).await.unwrap_err().kind(), InferErrorKind::Busy);
    assert_eq!(request.input(0).unwrap_err(), BindError::Busy);
    assert_eq!(request.output(0).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_input(0, values(1.0)).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_output(0, values(1.0)).unwrap_err(), BindError::Busy);
    assert_eq!(request.set_callback(|_| panic!("never called")).unwrap_err(), BindError::Busy);
    assert_eq!(request.variable(0).unwrap_err(), BindError::Busy);
    assert_eq!(request.reset_variables().unwrap_err(), BindError::Busy);
    assert_eq!(request.profile().unwrap_err(), BindError::Busy);
    gate.open();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
    assert_eq!(numbers(&request.variable(0).unwrap()), [1.0, 1.0]);
}
