//! Several requests of one model.

use inferry_core::pool::RequestPool;
use inferry_core::request::Status;
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::world::{World, numbers, values};

/// Many runs over few requests, each with its own result.
pub async fn each_run_gets_its_own_result(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("pool"));
    let pool = RequestPool::new(model.device, model.pipeline, 3).unwrap();
    let mut runs: Vec<_> = (0..20_u8).map(|run| pool.run([("x0", values(run.into()))])).collect();
    for (run, future) in runs.iter_mut().enumerate() {
        let value = run as f32;
        assert_eq!(numbers(future.await.unwrap().get("y0").unwrap()), [value + 1.0, 1.0 - value]);
    }
}

/// A run that fails takes no request away from those that follow.
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

/// Eight runs over four requests: all end, none waits for more than its turn, and inputs may be shared or their own.
pub async fn more_runs_than_requests_all_end(world: &impl World) {
    let model =
        world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("eight"));
    let pool = RequestPool::new(model.device, model.pipeline, 4).unwrap();
    let shared = values(3.0);
    let run = |own: bool| pool.run([("x0", if own { values(3.0) } else { shared.clone() })]);
    let mut runs: Vec<_> = (0..8).map(|index| Box::pin(run(index % 2 == 0))).collect();
    for run in &mut runs {
        assert_eq!(numbers(run.await.unwrap().get(0).unwrap()), [4.0, -2.0]);
    }
    assert_eq!((pool.size(), pool.idle(), pool.waiting()), (4, 4, 0));
}

/// A run that fails tells its waiter, by whatever request it ran, and the callback of a request hears of it.
pub async fn a_failure_is_told_to_its_waiter(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Fail("no")]), Form::OneStage, &Chip::by_hand("told"));
    let pool = RequestPool::new(model.device, model.pipeline, 2).unwrap();
    let mut runs: Vec<_> = (0..4).map(|_| Box::pin(pool.run([(0, values(0.0))]))).collect();
    for run in &mut runs {
        let Err(error) = run.await else { panic!("it fails") };
        assert!(error.full_text().contains("no"), "{error:?}");
    }
    assert_eq!(pool.idle(), 2);
}

/// What is acquired is idle: its latest run is over, and it is nobody else's.
pub async fn an_acquired_request_is_idle(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("idle"));
    let pool = RequestPool::new(model.device, model.pipeline, 2).unwrap();
    for _ in 0..10 {
        let mut request = pool.acquire().await;
        let status = request.status();
        assert!(matches!(status, Status::Fresh | Status::Settled(_)), "{status:?}");
        request.start().unwrap().detach();
    }
    let (first, second) = (pool.acquire().await, pool.acquire().await);
    assert!(pool.try_acquire().is_none());
    drop((first, second));
    assert!(pool.try_acquire().is_some());
}
