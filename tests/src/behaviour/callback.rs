//! The completion callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use inferry_core::request::{Cause, Next};
use inferry_core::{InferErrorKind, Lend, Verdict};
use inferry_template::{Gate, Graph, Op};

use crate::world::{Log, World, give_way, numbers, values};

/// It is called once a run, with the result, and has returned before the wait ends.
pub async fn it_has_returned_before_the_wait_ends(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |done| {
            assert!(done.error().is_none() && done.result().is_ok());
            log.push((done.run().get(), numbers(done.output("y0")?)));
            Ok(Next::Rest)
        })
        .unwrap();
    for run in 1..=3_u8 {
        request.set_input(0, values(run.into())).unwrap();
        request.start().unwrap().await.unwrap();
        let entries = seen.entries();
        assert_eq!(entries.len(), usize::from(run));
        assert_eq!(*entries.last().unwrap(), (run.into(), vec![f32::from(run) + 1.0, 1.0 - f32::from(run)]));
    }
}

/// An error of the callback fails the run, and the next run is called back again.
pub async fn its_error_is_the_runs(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Echo]));
    let mut calls = 0;
    request
        .set_callback(move |_| {
            calls += 1;
            if calls == 1 { Err("the disk is full".into()) } else { Ok(Next::Rest) }
        })
        .unwrap();
    let error = request.start().unwrap().await.unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Callback);
    assert!(error.full_text().contains("the disk is full"), "{error:?}");
    request.start().unwrap().await.unwrap();
}

/// It gets the error of a failed run; when it fails too, whoever waits sees both.
pub async fn it_gets_the_error_of_its_run(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Fail("the divisor is zero")]));
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |done| {
            let error = done.error().expect("the run failed");
            log.push((done.verdict(), error.kind(), error.node_path().map(str::to_owned)));
            Err("and the disk is full".into())
        })
        .unwrap();
    let error = request.start().unwrap().await.unwrap_err();
    let expected = (Verdict::Failed, InferErrorKind::Operator, Some("template/fail".to_owned()));
    assert_eq!(seen.entries(), [expected]);
    let text = error.full_text();
    assert!(text.contains("the divisor is zero") && text.contains("the disk is full"), "{text}");
}

/// It is called for a run that was cancelled, too.
pub async fn it_hears_of_a_cancel(world: &impl World) {
    let gate = Gate::closed();
    let mut request = world.request(&Graph::new([Op::Park(gate.clone())]));
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |done| {
            log.push((done.verdict(), done.error().map(|error| error.kind())));
            Ok(Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    gate.arrived(1).await;
    assert!(run.cancel());
    run.await.unwrap_err();
    assert_eq!(seen.entries(), [(Verdict::Cancelled(Cause::Asked), Some(InferErrorKind::Cancelled))]);
}

/// It may read the tensors; and its own run is not over for those who only look.
pub async fn its_run_is_not_over_while_it_runs(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(2.0)]));
    let observer = request.observer();
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |done| {
            assert!(done.input(0).is_ok() && done.output(0).is_ok());
            log.push(observer.latest().is_none());
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(seen.entries(), [true]);
    assert!(request.observer().latest().is_some());
}

/// One that it puts in its place is called for the next run, and it is dropped itself.
pub async fn it_can_be_replaced_from_inside(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Echo]));
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |mut done| {
            log.push("old");
            let log = log.clone();
            done.set_callback(move |_| {
                log.push("new");
                Ok(Next::Rest)
            });
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().await.unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(seen.entries(), ["old", "new"]);
}

/// What it owns it owns alone, and lets go of when it is removed.
pub async fn what_it_owns_is_freed_with_it(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Echo]));
    let token = Arc::new(());
    let seen = Log::default();
    let (held, log) = (token.clone(), seen.clone());
    request
        .set_callback(move |_| {
            log.push(Arc::strong_count(&held));
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().await.unwrap();
    assert_eq!(seen.entries(), [2], "the token here and the one in the callback");
    request.clear_callback().unwrap();
    assert_eq!(Arc::strong_count(&token), 1);
}

/// An infer does not call it, and leaves it for the next start.
pub async fn an_infer_does_not_call_it(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let calls = Log::default();
    let log = calls.clone();
    request
        .set_callback(move |done| {
            log.push(done.run().get());
            Ok(Next::Rest)
        })
        .unwrap();
    request.infer(Lend::SERIAL).await.unwrap();
    assert!(calls.entries().is_empty());
    request.start().unwrap().await.unwrap();
    request.infer(Lend::SERIAL).await.unwrap();
    assert_eq!(calls.entries(), [2]);
}

/// Whoever looks at a run without waiting sees it over only when the callback has returned.
pub async fn a_look_before_it_has_returned_says_not_yet(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Yield, Op::Add(1.0)]));
    let returned = Arc::new(AtomicBool::new(false));
    let flag = returned.clone();
    request
        .set_callback(move |_| {
            flag.store(true, Ordering::SeqCst);
            Ok(Next::Rest)
        })
        .unwrap();
    let observer = request.observer();
    let run = request.start().unwrap();
    loop {
        let over = observer.latest().is_some();
        assert!(!over || returned.load(Ordering::SeqCst));
        if over {
            break;
        }
        give_way().await;
    }
    run.await.unwrap();
}

/// A request without a callback tells its failures to whoever waits.
pub async fn without_one_the_waiter_gets_the_error(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Fail("the divisor is zero")]));
    for _ in 0..2 {
        let error = request.start().unwrap().await.unwrap_err();
        assert!(error.full_text().contains("the divisor is zero"), "{error:?}");
    }
}

/// An infer that comes while a run is under way takes that run's callback away from nobody.
pub async fn an_infer_on_a_busy_request_loses_none(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Yield, Op::Add(1.0)]));
    let calls = Log::default();
    let log = calls.clone();
    request
        .set_callback(move |done| {
            log.push(done.run().get());
            Ok(Next::Rest)
        })
        .unwrap();
    for round in 1..=20 {
        request.start().unwrap().detach();
        while let Err(error) = request.infer(Lend::SERIAL).await.map(drop) {
            assert_eq!(error.kind(), InferErrorKind::Busy);
            give_way().await;
        }
        assert_eq!(calls.entries().len(), round);
    }
}

/// It keeps nothing alive, and nothing keeps it: with the request it is freed, also when it watches that request.
pub async fn it_is_freed_with_its_request(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Echo]));
    let token = Arc::new(());
    let (held, observer, canceller) = (token.clone(), request.observer(), request.canceller());
    request
        .set_callback(move |_| {
            let _ = (&held, observer.status(), &canceller);
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().await.unwrap();
    drop(request);
    while Arc::strong_count(&token) > 1 {
        give_way().await;
    }
}
