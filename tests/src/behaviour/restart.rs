//! Callbacks that start the next run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use inferry_core::Verdict;
use inferry_core::request::Next;
use inferry_template::{Gate, Graph, Op};

use crate::world::{Log, World, numbers, values};

/// A callback that restarts its request ten times makes eleven runs, each on the inputs it bound.
pub async fn ten_restarts_make_eleven_runs(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |mut done| {
            let result = numbers(done.output(0)?)[0];
            log.push(result);
            done.set_input(0, values(result))?;
            Ok(if log.entries().len() < 11 { Next::Again } else { Next::Rest })
        })
        .unwrap();
    request.start().unwrap().detach();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
    assert_eq!(seen.entries(), (1..=11_u8).map(f32::from).collect::<Vec<_>>());
}

/// A wait ends with its own run, whatever follows; and two callbacks of a request never overlap.
pub async fn a_wait_ends_with_its_own_run(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]));
    let (inside, calls) = (Arc::new(AtomicUsize::new(0)), Log::default());
    let log = calls.clone();
    request
        .set_callback(move |done| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two callbacks at the same time");
            log.push(done.run().get());
            inside.fetch_sub(1, Ordering::SeqCst);
            Ok(if done.run().get() < 5 { Next::Again } else { Next::Rest })
        })
        .unwrap();
    let first = request.observer();
    request.start().unwrap().detach();
    let first = first.settled();
    gate.let_one_pass();
    assert_eq!(first.await.unwrap().run.get(), 1);
    gate.open();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
    assert_eq!(calls.entries(), [1, 2, 3, 4, 5]);
}

/// A start that comes while the callback runs begins when it has returned, and is delivered like any other.
pub async fn a_start_during_the_callback_is_remembered(world: &impl World) {
    if world.is_inline() {
        // Nobody can start while the starter's own stack is in the callback.
        return;
    }
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let (entered, leave) = (Gate::closed(), Gate::closed());
    let seen = Log::default();
    let (log, door, exit) = (seen.clone(), entered.clone(), leave.clone());
    request
        .set_callback(move |done| {
            log.push(done.run().get());
            door.arrive();
            exit.block();
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().detach();
    entered.arrived(1).await;
    let second = request.start().unwrap();
    assert_eq!(seen.entries(), [1]);
    leave.open();
    assert_eq!(second.await.unwrap().run().get(), 2);
    assert_eq!(seen.entries(), [1, 2]);
}

/// A cancel while the callback runs wins over its restart.
pub async fn a_cancel_in_the_callback_ends_the_chain(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let canceller = request.canceller();
    request
        .set_callback(move |done| {
            if done.run().get() == 3 {
                assert!(!canceller.cancel(), "this run is over already");
            }
            Ok(Next::Again)
        })
        .unwrap();
    request.start().unwrap().detach();
    assert_eq!(request.quiet().await, Some(Verdict::Done));
    assert_eq!(request.observer().run().get(), 3);
}
