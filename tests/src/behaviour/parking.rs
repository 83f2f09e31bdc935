//! Stages that wait without a thread.

use inferry_core::InferErrorKind;
use inferry_template::{Gate, Graph, Op};

use crate::world::World;

/// A parked stage goes on when it is woken, from wherever.
pub async fn a_parked_stage_goes_on_when_woken(world: &impl World) {
    let gate = Gate::closed();
    let mut request =
        world.request(&Graph::new([Op::Park(gate.clone()), Op::Park(gate.clone()), Op::Add(1.0)]));
    let run = request.start().unwrap();
    gate.arrived(1).await;
    gate.let_one_pass();
    gate.arrived(2).await;
    gate.let_one_pass();
    run.await.unwrap();
}

/// A stage that gives its thread back, woken already, is polled again.
pub async fn a_stage_that_gives_way_is_polled_again(world: &impl World) {
    let mut request = world.request(&Graph::new(vec![Op::Yield; 50]));
    request.start().unwrap().await.unwrap();
}

/// More requests are parked at the same time than any executor has threads.
pub async fn parked_requests_hold_no_thread(world: &impl World) {
    let gate = Gate::closed();
    let graph = Graph::new([Op::Park(gate.clone())]);
    let mut requests: Vec<_> = (0..8).map(|_| world.request(&graph)).collect();
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    gate.arrived(8).await;
    gate.open();
    for run in runs {
        run.await.unwrap();
    }
}

/// A wake that comes after the cancel does not bring the run back.
pub async fn a_wake_after_a_cancel_changes_nothing(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    for run in 1..=20 {
        let started = request.start().unwrap();
        gate.arrived(run).await;
        assert!(started.cancel());
        gate.let_one_pass();
        assert_eq!(started.await.unwrap_err().kind(), InferErrorKind::Cancelled);
        // The pass may still be there for the next run: it is used up here.
        gate.take_passes();
    }
}
