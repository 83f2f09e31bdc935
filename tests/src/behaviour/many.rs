//! Several requests of one model.

use inferry_core::request::Next;
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::world::{Log, World, numbers, values};

/// Requests that are started and waited for in turn.
pub async fn requests_run_in_turn(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("turn"));
    let mut requests = [model.request(), model.request(), model.request()];
    for _ in 0..2 {
        for request in &mut requests {
            assert_eq!(numbers(request.start().unwrap().await.unwrap().get(0).unwrap()), [1.0, 1.0]);
        }
    }
}

/// Requests that run at the same time may be waited for in any order.
pub async fn requests_are_waited_for_in_any_order(world: &impl World) {
    let gate = Gate::closed();
    let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
    let model = world.compile(&graph, Form::OneStage, &Chip::by_hand("order"));
    for order in [[1, 0, 2], [2, 1, 0], [0, 1, 2]] {
        let mut requests = [model.request(), model.request(), model.request()];
        let mut runs: Vec<_> = Vec::new();
        for (index, request) in requests.iter_mut().enumerate() {
            request.set_input(0, values(index as f32)).unwrap();
            runs.push(Some(request.start().unwrap()));
        }
        gate.open();
        for index in order {
            let outputs = runs[index].take().unwrap().await.unwrap();
            assert_eq!(numbers(outputs.get(0).unwrap()), [index as f32 + 1.0, 1.0 - index as f32]);
        }
    }
}

/// Requests that are started and dropped without a wait do no harm to the others.
pub async fn requests_are_dropped_without_a_wait(world: &impl World) {
    let model = world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("drop"));
    let mut observers = Vec::new();
    for _ in 0..3 {
        let mut request = model.request();
        request.start().unwrap().detach();
        observers.push(request.observer());
    }
    model.request().start().unwrap().await.unwrap();
    for observer in observers {
        observer.settled().await.unwrap();
    }
}

/// Each of three requests is called back once, with its own result.
pub async fn each_is_called_back_once(world: &impl World) {
    let model =
        world.compile(&Graph::new([Op::Yield, Op::Add(1.0)]), Form::OneStage, &Chip::by_hand("calls"));
    let mut requests = [model.request(), model.request(), model.request()];
    let seen = Log::default();
    for (index, request) in requests.iter_mut().enumerate() {
        let log = seen.clone();
        request.set_input(0, values(index as f32)).unwrap();
        request
            .set_callback(move |done| {
                log.push((index, numbers(done.output(0)?)));
                Ok(Next::Rest)
            })
            .unwrap();
    }
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    for run in runs {
        run.await.unwrap();
    }
    let mut entries = seen.entries();
    entries.sort_by_key(|(index, _)| *index);
    let expected: Vec<_> =
        (0..3).map(|index| (index, vec![index as f32 + 1.0, 1.0 - index as f32])).collect();
    assert_eq!(entries, expected);
}

/// Memory that is given back between runs is taken again by the next; while a run is under way it is refused.
pub async fn memory_is_given_back_between_runs(world: &impl World) {
    let model = crate::device::plain(&[(inferry_core::ElementType::F32, &[])]);
    let counts = model.counts();
    let mut request = world.place("memory", std::sync::Arc::new(model)).request();
    request.start().unwrap().await.unwrap();
    request.release_memory().unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(counts.all(), [1, 2, 2, 0, 1]);
    let gate = Gate::closed();
    let mut busy = world.request(&Graph::new([Op::Park(gate.clone())]));
    busy.start().unwrap().detach();
    gate.arrived(1).await;
    assert!(busy.release_memory().is_err());
    gate.open();
    busy.quiet().await;
}
