//! Waiting for runs.

use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::Context;

use super::{Wakes, poll, ready};
use crate::request::testing::{Act, Script, by_hand};
use crate::request::{InferErrorKind, Next, Verdict};

#[test]
fn every_waiter_of_a_run_is_woken_and_told_the_same() {
    let model = Script::new(1);
    model.then(Act::Fail);
    let (mut request, executor) = by_hand(&model);
    request.start().unwrap().detach();
    let observer = request.observer();
    let (wakes, waker) = Wakes::new();
    let mut waiters: Vec<_> = (0..20).map(|_| observer.settled()).collect();
    for waiter in &mut waiters {
        assert!(Pin::new(waiter).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    executor.drain();
    assert_eq!(wakes.count(), 20);
    for waiter in waiters {
        let outcome = ready(waiter).unwrap();
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(outcome.error.unwrap().kind(), InferErrorKind::Operator);
    }
}

#[test]
fn waiting_is_repeatable_until_the_next_start() {
    let model = Script::new(1);
    model.then(Act::Fail);
    let (mut request, executor) = by_hand(&model);
    let observer = request.observer();
    assert!(ready(observer.settled()).is_none(), "a request that has never run");
    request.start().unwrap().detach();
    executor.drain();
    for _ in 0..3 {
        assert_eq!(ready(observer.settled()).unwrap().verdict, Verdict::Failed);
    }
    request.start().unwrap().detach();
    assert!(poll(&mut observer.settled()).is_pending());
    executor.drain();
    assert_eq!(ready(observer.settled()).unwrap().verdict, Verdict::Done);
}

#[test]
fn a_waiter_gets_its_own_run_however_many_follow() {
    let model = Script::new(1);
    model.then(Act::Fail);
    let (mut request, executor) = by_hand(&model);
    let mut left = 3;
    request
        .set_callback(move |_| {
            left -= 1;
            Ok(if left > 0 { Next::Again } else { Next::Rest })
        })
        .unwrap();
    let run = request.start().unwrap();
    let first = run.id();
    run.detach();
    let waiter = request.observer().settled();
    executor.drain();
    let outcome = ready(waiter).unwrap();
    assert_eq!((outcome.run, outcome.verdict), (first, Verdict::Failed));
    assert_eq!(request.observer().latest().unwrap().verdict, Verdict::Done);
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    let (mut request, executor) = by_hand(&Script::new(1));
    let mut run = request.start().unwrap();
    let ((old, first), (new, second)) = (Wakes::new(), Wakes::new());
    assert!(Pin::new(&mut run).poll(&mut Context::from_waker(&first)).is_pending());
    assert!(Pin::new(&mut run).poll(&mut Context::from_waker(&second)).is_pending());
    executor.drain();
    assert_eq!((old.count(), new.count()), (0, 1));
    ready(run).unwrap();
}

#[test]
fn slots_of_waiters_that_gave_up_are_used_again() {
    let (mut request, executor) = by_hand(&Script::new(1));
    request.start().unwrap().detach();
    let observer = request.observer();
    for _ in 0..100 {
        assert!(poll(&mut observer.settled()).is_pending());
    }
    assert!(request.handle.shared().ledger.slots() <= 4);
    executor.drain();
}
