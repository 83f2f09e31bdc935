//! The promises of a request under concurrency.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use inferry_core::request::{InferErrorKind, Next, StartError, Status, Verdict};
use inferry_core::{Inline, Lend};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;

use super::parts::{Postbox, Probe, Queue, Spawn, model, wait};

#[test]
fn a_granted_cancel_never_ends_as_done() {
    model(|| {
        let executor = Spawn::new();
        let mut request = Probe::plain(2).on(&executor);
        let run = request.start().unwrap();
        let granted = run.cancel();
        let ended = wait(run).map(drop).map_err(|error| error.kind());
        assert_eq!(granted, ended == Err(InferErrorKind::Cancelled), "{ended:?}");
    });
}

#[test]
fn a_device_hears_of_every_run_that_it_began_and_that_goes_no_further() {
    model(|| {
        let executor = Spawn::new();
        // What the first stage sets going is on the device until the second has waited for it or it is given up.
        let on_device = Arc::new(Mutex::new(0));
        let busy = on_device.clone();
        let probe = Probe::new(2, move |stage, _, _| {
            let mut busy = busy.lock().unwrap();
            *busy = if stage == 0 { *busy + 1 } else { *busy - 1 };
            Poll::Ready(Ok(()))
        });
        let mut request = probe.on(&executor);
        let run = request.start().unwrap();
        let granted = run.cancel();
        let ended = wait(run).map(drop);
        assert_eq!(granted, ended.is_err());
        let (busy, told) = (*on_device.lock().unwrap(), *probe.given_up.lock().unwrap());
        assert!(told == 1 || (told == 0 && busy == 0), "{busy} left, told {told} times");
        assert!(granted || told == 0);
    });
}

#[test]
fn a_queued_run_that_is_cancelled_settles_whoever_gets_its_task() {
    model(|| {
        let queue = Queue::new();
        let mut request = Probe::plain(1).on(&queue);
        let run = request.start().unwrap();
        let worker = thread::spawn(move || {
            if let Some(task) = queue.pop() {
                task.run(&Lend::SERIAL);
            }
        });
        let granted = run.cancel();
        let ended = wait(run).map(drop).map_err(|error| error.kind());
        assert_eq!(granted, ended == Err(InferErrorKind::Cancelled), "{ended:?}");
        worker.join().unwrap();
    });
}

#[test]
fn a_token_kept_over_the_end_of_its_run_never_reaches_the_next() {
    model(|| {
        let executor = Arc::new(Inline);
        let mut request = Probe::plain(1).on(&executor);
        let run = request.start().unwrap();
        let token = run.token();
        wait(run).unwrap();
        let late = thread::spawn(move || token.cancel());
        wait(request.start().unwrap()).expect("the token was for the run before");
        assert!(!late.join().unwrap());
    });
}

#[test]
fn every_waiter_wakes() {
    model(|| {
        let executor = Spawn::new();
        let mut request = Probe::plain(1).on(&executor);
        let run = request.start().unwrap();
        let number = run.id();
        run.detach();
        let observer = request.observer();
        let other = thread::spawn(move || wait(observer.settled()).unwrap());
        assert_eq!(wait(request.observer().settled()).unwrap().run, number);
        assert_eq!(other.join().unwrap().verdict, Verdict::Done);
        assert_eq!(request.status(), Status::Settled(Verdict::Done));
    });
}

#[test]
fn who_was_told_that_a_run_is_over_may_touch_the_request() {
    model(|| {
        let executor = Spawn::new();
        let mut request = Probe::plain(1).on(&executor);
        request.set_callback(|_| Ok(Next::Rest)).unwrap();
        wait(request.start().unwrap()).unwrap();
        // loom's cells complain when this is not ordered after the other thread's last access.
        request.clear_callback().unwrap();
    });
}

#[test]
fn dropping_a_running_request_frees_it_exactly_once() {
    model(|| {
        let executor = Spawn::new();
        let probe = Probe::plain(1);
        let mut request = probe.on(&executor);
        request.set_callback(|_| Ok(Next::Rest)).unwrap();
        request.start().unwrap().detach();
        drop(request);
        executor.join();
        assert_eq!(*probe.alive.lock().unwrap(), 0);
        assert_eq!(Arc::strong_count(&probe), 1);
    });
}

#[test]
fn dropping_a_request_whose_stage_is_parked_ends_it() {
    model(|| {
        let parked = Arc::new(Mutex::new(None::<Waker>));
        let keep = parked.clone();
        let probe = Probe::new(1, move |_, turn, cx| {
            if turn.stop_requested() {
                return Poll::Ready(Ok(()));
            }
            *keep.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        });
        let executor = Spawn::new();
        let mut request = probe.on(&executor);
        request.start().unwrap().detach();
        drop(request);
        executor.join();
        assert_eq!(*probe.alive.lock().unwrap(), 0, "the work is gone although a waker is kept");
        drop(parked.lock().unwrap().take());
    });
}

#[test]
fn a_wake_that_beats_the_return_is_not_lost() {
    model(|| {
        let ready = Arc::new(AtomicBool::new(false));
        let probe = Probe::new(1, move |_, _, cx| {
            // Relaxed: only the wake orders the flag before the poll that follows it.
            if ready.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let (ready, waker) = (ready.clone(), cx.waker().clone());
            thread::spawn(move || {
                ready.store(true, Ordering::Relaxed);
                waker.wake();
            });
            Poll::Pending
        });
        let mut request = probe.on(&Arc::new(Inline));
        wait(request.start().unwrap()).unwrap();
    });
}

#[test]
fn of_two_wakes_neither_is_lost() {
    model(|| {
        let arrived = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let sent = AtomicBool::new(false);
        let probe = Probe::new(1, move |_, _, cx| {
            if !sent.swap(true, Ordering::Relaxed) {
                for index in 0..2 {
                    let (arrived, waker) = (arrived.clone(), cx.waker().clone());
                    thread::spawn(move || {
                        arrived[index].store(true, Ordering::Relaxed);
                        waker.wake();
                    });
                }
            }
            let all = arrived.iter().all(|one| one.load(Ordering::Relaxed));
            if all { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        let mut request = probe.on(&Arc::new(Inline));
        wait(request.start().unwrap()).unwrap();
    });
}

#[test]
fn a_cancel_and_a_wake_of_a_parked_stage_make_one_task() {
    model(|| {
        let parked = Arc::new(Mutex::new(None::<Waker>));
        let (keep, polls) = (parked.clone(), Mutex::new(0));
        let probe = Probe::new(1, move |_, _, cx| {
            *polls.lock().unwrap() += 1;
            if *polls.lock().unwrap() > 1 {
                return Poll::Ready(Ok(()));
            }
            *keep.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        });
        let mut request = probe.on(&Arc::new(Inline));
        let run = request.start().unwrap();
        let waker = parked.lock().unwrap().take().unwrap();
        let device = thread::spawn(move || waker.wake());
        let granted = run.cancel();
        assert_eq!(wait(run).is_err(), granted);
        device.join().unwrap();
    });
}

#[test]
fn a_restart_from_the_callback_runs_once_more_and_callbacks_do_not_overlap() {
    model(|| {
        let executor = Spawn::new();
        let mut request = Probe::plain(1).on(&executor);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        request
            .set_callback(move |_| {
                // Relaxed: that the second call sees the first is the request's doing.
                let before = counted.load(Ordering::Relaxed);
                counted.store(before + 1, Ordering::Relaxed);
                Ok(if before == 0 { Next::Again } else { Next::Rest })
            })
            .unwrap();
        let run = request.start().unwrap();
        wait(run).expect("its own run was done");
        assert_eq!(wait(request.quiet()), Some(Verdict::Done));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_start_during_delivery_is_refused_or_becomes_a_run() {
    model(|| {
        let executor = Spawn::new();
        let mut request = Probe::plain(1).on(&executor);
        request.set_callback(|_| Ok(Next::Rest)).unwrap();
        let run = request.start().unwrap();
        let first = run.id();
        run.detach();
        match request.start() {
            Ok(run) => {
                assert_eq!(run.id(), first.next());
                wait(run).unwrap();
            }
            Err(error) => assert!(matches!(error, StartError::Busy)),
        }
        wait(request.quiet());
    });
}

#[test]
fn a_task_dropped_while_its_run_is_cancelled_wakes_the_waiter() {
    model(|| {
        let queue = Queue::new();
        let mut request = Probe::plain(1).on(&queue);
        let run = request.start().unwrap();
        let closing = thread::spawn(move || drop(queue.pop()));
        let granted = run.cancel();
        let ended = wait(run).map(drop).map_err(|error| error.kind());
        let expected = if granted { InferErrorKind::Cancelled } else { InferErrorKind::Abandoned };
        assert_eq!(ended, Err(expected));
        closing.join().unwrap();
    });
}

#[test]
fn infer_goes_on_when_another_thread_wakes_its_stage() {
    model(|| {
        let ready = Arc::new(AtomicBool::new(false));
        let probe = Probe::new(1, move |_, _, cx| {
            if ready.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let (ready, waker) = (ready.clone(), cx.waker().clone());
            thread::spawn(move || {
                ready.store(true, Ordering::Relaxed);
                waker.wake();
            });
            Poll::Pending
        });
        let mut request = probe.on(&Arc::new(Inline));
        wait(request.infer(Lend::SERIAL)).unwrap();
    });
}

#[test]
fn a_canceller_in_another_thread_stops_infer_or_comes_too_late() {
    model(|| {
        let mut request = Probe::plain(2).on(&Arc::new(Inline));
        let canceller = request.canceller();
        let other = thread::spawn(move || canceller.cancel());
        let ended = wait(request.infer(Lend::SERIAL)).map(drop).map_err(|error| error.kind());
        let granted = other.join().unwrap();
        assert_eq!(granted, ended == Err(InferErrorKind::Cancelled), "{ended:?}");
        wait(request.infer(Lend::SERIAL)).expect("nothing is left of the cancel");
    });
}

#[test]
fn an_inbox_gives_every_task_once_and_in_order() {
    model(|| {
        let postbox = Arc::new(Postbox::default());
        let probe = Probe::plain(1);
        let mut requests = [probe.on(&postbox), probe.on(&postbox)];
        let order = Arc::new(Mutex::new(Vec::new()));
        for (number, request) in requests.iter_mut().enumerate() {
            let order = order.clone();
            request
                .set_callback(move |_| {
                    order.lock().unwrap().push(number);
                    Ok(Next::Rest)
                })
                .unwrap();
        }
        let mut third = probe.on(&postbox);
        let pusher = thread::spawn(move || {
            for request in &mut requests {
                request.start().unwrap().detach();
            }
            requests
        });
        third.start().unwrap().detach();
        let early: Vec<_> = postbox.0.take().collect();
        let requests = pusher.join().unwrap();
        let late: Vec<_> = postbox.0.take().collect();
        assert_eq!(early.len() + late.len(), 3);
        early.into_iter().chain(late).for_each(|task| task.run(&Lend::SERIAL));
        for request in requests.iter().chain([&third]) {
            assert_eq!(request.status(), Status::Settled(Verdict::Done));
        }
        // The two of one thread came in its order: the delivery noted it.
        assert_eq!(*order.lock().unwrap(), [0, 1]);
    });
}
