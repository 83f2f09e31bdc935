//! Dropping and stopping, in flight and otherwise.

use std::sync::Arc;

use inferry_core::Verdict;
use inferry_core::request::{Cause, Next, StartError};
use inferry_template::{Call, Gate, Graph, Op};

use crate::world::{Log, World, give_way, values};

/// Dropping a request in flight does not wait; its run ends as cancelled, nobody is called back, and
/// everything it owned is freed.
pub async fn a_dropped_request_cancels_and_frees_everything(world: &impl World) {
    let gate = Gate::closed();
    let (token, held) = (Arc::new(()), Arc::new(()));
    let (in_work, in_callback) = (token.clone(), held.clone());
    // The graph is shared by the work: the token in it shows that the work has gone.
    let call = Call::new(move || {
        let _ = &in_work;
    });
    let mut request = world.request(&Graph::new([Op::Call(call), Op::Park(gate.clone())]));
    request
        .set_callback(move |_| {
            let _ = &in_callback;
            panic!("a dropped request has no callback")
        })
        .unwrap();
    let observer = request.observer();
    request.start().unwrap().detach();
    gate.arrived(1).await;
    drop(request);
    assert_eq!(observer.settled().await.unwrap().verdict, Verdict::Cancelled(Cause::Dropped));
    // Whoever still watches keeps the model, and so does a waker that the gate has kept.
    drop(observer);
    gate.open();
    while Arc::strong_count(&token) + Arc::strong_count(&held) > 2 {
        give_way().await;
    }
}

/// Dropping a run cancels it; detaching lets it go on.
pub async fn a_dropped_run_is_cancelled_and_a_detached_one_is_not(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    let run = request.start().unwrap();
    gate.arrived(1).await;
    drop(run);
    assert_eq!(request.quiet().await, Some(Verdict::Cancelled(Cause::Dropped)));
    request.start().unwrap().detach();
    gate.open();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
}

/// The last handle may be dropped inside of the callback.
pub async fn the_last_handle_may_be_dropped_in_the_callback(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    let slot = Arc::new(std::sync::Mutex::new(None));
    let inside = slot.clone();
    request
        .set_callback(move |_| {
            drop(inside.lock().unwrap().take());
            Ok(Next::Again)
        })
        .unwrap();
    let observer = request.observer();
    request.start().unwrap().detach();
    gate.arrived(1).await;
    *slot.lock().unwrap() = Some(request);
    gate.open();
    assert_eq!(observer.settled().await.unwrap().verdict, Verdict::Done);
    assert_eq!(observer.run().get(), 1, "and it does not run again");
    while Arc::strong_count(&slot) > 1 {
        give_way().await;
    }
}

/// A stopped request finishes its run, calls nobody back, and takes no other run.
pub async fn a_stopped_request_finishes_and_takes_no_other_run(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    request.set_callback(|_| panic!("a stopped request has no callback")).unwrap();
    request.start().unwrap().detach();
    gate.arrived(1).await;
    request.stop();
    assert!(matches!(request.start(), Err(StartError::Stopped)));
    gate.open();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
    assert!(matches!(request.start(), Err(StartError::Stopped)));
    // The executors are as good as before.
    world.request(&Graph::new([Op::Echo])).start().unwrap().await.unwrap();
}

/// Models and requests may go in any order; what was taken out of them stays.
pub async fn handles_may_go_in_any_order(world: &impl World) {
    let gate = Gate::closed();
    let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
    let model = world.compile(&graph, Default::default(), &inferry_template::Chip::by_hand("gone"));
    let mut request = model.request();
    let run = request.start().unwrap();
    gate.arrived(1).await;
    drop(model);
    gate.open();
    let mut outputs = run.await.unwrap();
    let output = outputs.take(0).unwrap();
    drop(request);
    assert_eq!(crate::world::numbers(&output), [1.0, 1.0]);
}

/// A request that is dropped while its callback runs waits for nothing; the callback ends by itself and restarts nothing.
pub async fn a_request_may_be_dropped_while_its_callback_runs(world: &impl World) {
    if world.is_inline() {
        // Whoever would drop it is in the callback.
        return;
    }
    let mut request = world.request(&Graph::new([Op::Echo]));
    let (entered, leave, ended) = (Gate::closed(), Gate::closed(), Log::default());
    let (door, exit, log) = (entered.clone(), leave.clone(), ended.clone());
    request
        .set_callback(move |_| {
            door.arrive();
            exit.block();
            log.push(());
            Ok(Next::Again)
        })
        .unwrap();
    let observer = request.observer();
    request.start().unwrap().detach();
    entered.arrived(1).await;
    drop(request);
    assert!(ended.entries().is_empty());
    leave.open();
    assert_eq!(observer.settled().await.unwrap().verdict, Verdict::Done);
    assert_eq!((ended.entries().len(), observer.run().get()), (1, 1));
}

/// A tensor may outlive the request, the model and whatever else it was used with.
pub async fn a_tensor_outlives_everything(world: &impl World) {
    let tensor = values(1.0);
    {
        let mut request = world.request(&Graph::new([Op::Add(1.0)]));
        request.set_output(0, tensor.clone()).unwrap();
        request.start().unwrap().await.unwrap();
    }
    assert_eq!(crate::world::numbers(&tensor), [1.0, 1.0]);
}

/// Requests that are made, started and dropped in great number leave nothing behind.
pub async fn many_short_lives_leave_nothing(world: &impl World) {
    let token = Arc::new(());
    let held = token.clone();
    let call = Call::new(move || {
        let _ = &held;
    });
    let model = world.compile(
        &Graph::new([Op::Yield, Op::Call(call)]),
        Default::default(),
        &inferry_template::Chip::by_hand("many"),
    );
    let before = Arc::strong_count(&model.device);
    for life in 0..100 {
        let mut request = model.request();
        if life % 2 == 0 {
            request.start().unwrap().detach();
        }
    }
    while Arc::strong_count(&model.device) > before {
        give_way().await;
    }
    drop(model);
    while Arc::strong_count(&token) > 1 {
        give_way().await;
    }
}
