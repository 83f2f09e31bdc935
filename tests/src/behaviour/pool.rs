//! Several requests of one model.

use inferry_core::pool::RequestPool;
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::world::{World, numbers, values};

/// T157, T294: many runs over few requests, each with its own result.
pub async fn each_run_gets_its_own_result(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("pool"));
    let pool = RequestPool::new(model.device, model.pipeline, 3).unwrap();
    let mut runs: Vec<_> = (0..20_u8).map(|run| pool.run([("x0", values(run.into()))])).collect();
    for (run, future) in runs.iter_mut().enumerate() {
        let value = run as f32;
        assert_eq!(numbers(future.await.unwrap().get("y0").unwrap()), [value + 1.0, 1.0 - value]);
    }
}

/// T296: a run that fails takes no request away from those that follow.
pub async fn a_failed_run_takes_no_request_away(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Fail("no")]), Form::OneStage, &Chip::by_hand("failing"));
    let pool = RequestPool::new(model.device, model.pipeline, 1).unwrap();
    for _ in 0..5 {
        assert!(pool.run([(0, values(0.0))]).await.is_err());
        assert!(pool.run([("image", values(0.0))]).await.is_err());
    }
    assert_eq!(pool.idle(), 1);
}

/// A run that is dropped halfway gives its request back, for the next in line.
pub async fn a_dropped_run_gives_its_request_back(world: &impl World) {
    let gate = Gate::closed();
    let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
    let model = world.compile(&graph, Form::OneStage, &Chip::by_hand("dropped"));
    let pool = RequestPool::new(model.device, model.pipeline, 1).unwrap();
    let mut first = Box::pin(pool.run([(0, values(0.0))]));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    gate.arrived(1).await;
    drop(first);
    gate.open();
    assert_eq!(numbers(pool.run([(0, values(1.0))]).await.unwrap().get(0).unwrap()), [2.0, 0.0]);
}
