//! Waiting by blocking a thread: what ends a wait, how long one waits, and where one must not.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use inferry::{Cause, InferErrorKind, Next, Options, Request, Status, Verdict, Waited, Watch, block_on};
use inferry_behaviour::native::{arrangements, compile, within_a_minute};
use inferry_behaviour::world::{numbers, values};
use inferry_template::{Gate, Graph, Op};

const ONE_STREAM: fn() -> Options = || Options::latency().threads(1);

/// So long that a test fails by its limit and not by this.
const LONG: Duration = Duration::from_secs(3600);

fn request(options: Options, graph: &Graph) -> Request {
    compile(options, graph).request().unwrap()
}

fn gated() -> (Gate, Graph) {
    let gate = Gate::closed();
    (gate.clone(), Graph::new([Op::Park(gate), Op::Add(1.0)]))
}

#[test]
fn wait_gives_the_outputs() {
    for (name, options) in arrangements() {
        let mut request = request(options, &Graph::new([Op::Add(1.0)]));
        request.set_input("x0", values(1.0)).unwrap();
        let outputs = request.start().unwrap().wait().unwrap();
        assert_eq!(numbers(outputs.get("y0").unwrap()), [2.0, 0.0], "{name}");
        assert_eq!(numbers(request.infer().unwrap().get(0).unwrap()), [2.0, 0.0], "{name}");
    }
}

#[test]
fn a_wait_with_a_limit_tells_the_limit_from_the_end() {
    within_a_minute(|| {
        let (gate, graph) = gated();
        let mut request = request(ONE_STREAM(), &graph);
        let run = request.start().unwrap();
        let Waited::TimedOut(run) = run.wait_for(Duration::ZERO).unwrap() else { panic!("not over") };
        let Waited::TimedOut(run) = run.wait_for(Duration::from_millis(2)).unwrap() else {
            panic!("not over")
        };
        gate.open();
        let Waited::Finished(outputs) = run.wait_for(LONG).unwrap() else { panic!("it is over") };
        assert_eq!(numbers(outputs.get(0).unwrap()), [1.0, 1.0]);
        // T063: and after an infer there is nothing to wait for.
        request.infer().unwrap();
        assert!(matches!(request.wait_for(Duration::ZERO), Ok(Watch::Finished(_))));
        assert!(matches!(request.wait_for(Duration::MAX), Ok(Watch::Finished(_))));
    });
}

#[test]
fn a_request_that_never_ran_is_told_apart_from_one_that_runs() {
    let request = request(ONE_STREAM(), &Graph::new([Op::Echo]));
    assert!(request.wait().unwrap().is_none());
    assert!(matches!(request.wait_for(Duration::ZERO), Ok(Watch::NeverStarted)));
    assert!(matches!(request.observer().wait_for(Duration::from_millis(1)), Ok(Watch::NeverStarted)));
}

#[test]
fn the_callback_has_returned_when_the_wait_ends() {
    within_a_minute(|| {
        let (entered, leave) = (Gate::closed(), Gate::closed());
        let mut request = request(ONE_STREAM(), &Graph::new([Op::Add(1.0)]));
        let (door, exit) = (entered.clone(), leave.clone());
        request
            .set_callback(move |_| {
                door.arrive();
                exit.block();
                Ok(Next::Rest)
            })
            .unwrap();
        let run = request.start().unwrap();
        entered.wait_arrived(1);
        let Waited::TimedOut(run) = run.wait_for(Duration::from_millis(2)).unwrap() else { panic!("inside") };
        leave.open();
        run.wait().unwrap();
    });
}

#[test]
fn every_thread_that_waits_is_woken() {
    within_a_minute(|| {
        let (gate, graph) = gated();
        let mut request = request(ONE_STREAM(), &graph);
        let observer = request.observer();
        let run = request.start().unwrap();
        let waiters: Vec<_> = (0..8)
            .map(|_| {
                let observer = observer.clone();
                thread::spawn(move || observer.wait().unwrap().unwrap().verdict)
            })
            .collect();
        gate.wait_arrived(1);
        gate.open();
        run.wait().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Verdict::Done);
        }
    });
}

#[test]
fn a_wait_in_its_own_callback_is_an_error_and_not_a_hang() {
    for (name, options) in arrangements() {
        within_a_minute(move || {
            let mut request = request(options, &Graph::new([Op::Echo]));
            let observer = request.observer();
            let kinds = Arc::new(Mutex::new(Vec::new()));
            let seen = kinds.clone();
            request
                .set_callback(move |_| {
                    // T012: looking is no waiting.
                    assert!(matches!(observer.wait_for(Duration::ZERO), Ok(Watch::TimedOut)));
                    seen.lock().unwrap().push(observer.wait().unwrap_err().kind());
                    seen.lock().unwrap().push(observer.wait_for(LONG).unwrap_err().kind());
                    Ok(Next::Rest)
                })
                .unwrap();
            request.start().unwrap().wait().unwrap();
            assert_eq!(*kinds.lock().unwrap(), [InferErrorKind::WouldDeadlock; 2], "{name}");
        });
    }
}

#[test]
fn a_callback_that_took_anothers_place_is_noticed_as_well() {
    for (name, options) in arrangements() {
        within_a_minute(move || {
            // A stage that parks, so that without threads it is the waker's thread that gets into the callback.
            let (gate, graph) = gated();
            let mut request = request(options, &graph);
            let observer = request.observer();
            let (send, receive) = mpsc::channel();
            request
                .set_callback(move |mut done| {
                    let (observer, send) = (observer.clone(), send.clone());
                    done.set_callback(move |_| {
                        send.send(observer.wait().unwrap_err().kind())?;
                        Ok(Next::Rest)
                    });
                    Ok(Next::Again)
                })
                .unwrap();
            request.start().unwrap().detach();
            gate.wait_arrived(1);
            gate.open();
            assert_eq!(receive.recv().unwrap(), InferErrorKind::WouldDeadlock, "{name}");
        });
    }
}

#[test]
fn a_busy_request_refuses_an_infer() {
    within_a_minute(|| {
        for options in [Options::latency().threads(1), Options::latency().threads(2)] {
            let (gate, graph) = gated();
            let mut request = request(options, &graph);
            request.start().unwrap().detach();
            gate.wait_arrived(1);
            assert_eq!(request.infer().unwrap_err().kind(), InferErrorKind::Busy);
            gate.open();
            assert_eq!(request.wait().unwrap().unwrap().verdict, Verdict::Done);
            request.infer().unwrap();
        }
    });
}

#[test]
fn a_callback_may_infer_and_may_not_wait_for_what_needs_its_thread() {
    for (name, options) in arrangements() {
        within_a_minute(move || {
            let model = compile(options, &Graph::new([Op::Add(1.0)]));
            let (mut outer, mut inner) = (model.request().unwrap(), model.request().unwrap());
            // The inner request's callback needs the thread on which the outer one's waits.
            inner.set_callback(|_| Ok(Next::Rest)).unwrap();
            let (send, receive) = mpsc::channel();
            outer
                .set_callback(move |_| {
                    let inferred = inner.infer().map(drop).map_err(|error| error.kind());
                    let waited = inner.start()?.wait().map(drop).map_err(|error| error.kind());
                    send.send((inferred, waited))?;
                    Ok(Next::Rest)
                })
                .unwrap();
            outer.start().unwrap().wait().unwrap();
            let (inferred, waited) = receive.recv().unwrap();
            assert_eq!(inferred, Ok(()), "{name}");
            match options == Options::inline() {
                true => assert_eq!(waited, Ok(()), "over when it returned from start"),
                // The other stream may have been so quick that there was nothing left to wait for.
                false if waited.is_ok() => assert_eq!(name, "callbacks on the streams"),
                false => assert_eq!(waited, Err(InferErrorKind::WouldDeadlock), "{name}"),
            }
        });
    }
}

#[test]
fn another_thread_stops_a_blocking_infer() {
    for (name, options) in arrangements() {
        for op in [Op::Park, Op::Block] {
            within_a_minute(move || {
                let gate = Gate::closed();
                let mut request = request(options, &Graph::new([op(gate.clone()), Op::Add(1.0)]));
                let canceller = request.canceller();
                let inferring = thread::spawn(move || {
                    let kind = request.infer().unwrap_err().kind();
                    (kind, request)
                });
                gate.wait_arrived(1);
                assert!(canceller.cancel(), "{name}");
                let (kind, mut request) = inferring.join().unwrap();
                assert_eq!(kind, InferErrorKind::Cancelled, "{name}");
                gate.open();
                request.infer().unwrap();
            });
        }
    }
}

#[test]
fn infer_does_not_call_the_callback_and_a_start_does() {
    for (name, options) in arrangements() {
        let mut request = request(options, &Graph::new([Op::Echo]));
        let calls = Arc::new(Mutex::new(0));
        let seen = calls.clone();
        request
            .set_callback(move |_| {
                *seen.lock().unwrap() += 1;
                Ok(Next::Rest)
            })
            .unwrap();
        request.infer().unwrap();
        assert_eq!(*calls.lock().unwrap(), 0, "{name}");
        request.start().unwrap().wait().unwrap();
        assert_eq!(*calls.lock().unwrap(), 1, "{name}");
        request.infer().unwrap();
        assert_eq!(*calls.lock().unwrap(), 1, "{name}");
    }
}

#[test]
fn a_run_over_its_deadline_is_stopped_and_later_ones_are_not() {
    within_a_minute(|| {
        let (gate, graph) = gated();
        let mut request = request(ONE_STREAM(), &graph);
        let error = request.start().unwrap().time_limit(Duration::from_millis(2)).wait().unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::Timeout);
        // Nobody has to wait for it.
        request.start().unwrap().deadline(Instant::now()).detach();
        let outcome = request.wait().unwrap().unwrap();
        assert_eq!(outcome.verdict, Verdict::Cancelled(Cause::Deadline));
        // Many deadlines that are far away change nothing.
        for _ in 0..100 {
            gate.let_one_pass();
            request.start().unwrap().time_limit(LONG).wait().unwrap();
        }
        // A deadline goes with its run: once that is over, the next one may take longer.
        let moment = loop {
            gate.take_passes();
            let moment = Instant::now() + Duration::from_millis(50);
            let run = request.start().unwrap().deadline(moment);
            gate.let_one_pass();
            if run.wait().is_ok() {
                break moment;
            }
        };
        let run = request.start().unwrap();
        let Waited::TimedOut(run) = run.wait_deadline(moment + Duration::from_millis(5)).unwrap() else {
            panic!("nobody opened the gate")
        };
        gate.open();
        run.wait().unwrap();
    });
}

#[test]
fn an_infer_over_its_deadline_is_stopped() {
    for (name, options) in arrangements() {
        for op in [Op::Park(Gate::closed()), Op::Block(Gate::closed()), Op::Sleep(LONG)] {
            within_a_minute(move || {
                let mut request = request(options, &Graph::new([op.clone()]));
                let deadline = Instant::now() + Duration::from_millis(3);
                let error = request.infer_deadline(deadline).unwrap_err();
                assert_eq!(error.kind(), InferErrorKind::Timeout, "{name}, {op:?}");
                assert!(Instant::now() >= deadline);
            });
        }
        let mut request = request(options, &Graph::new([Op::Yield, Op::Add(1.0)]));
        request.infer_deadline(Instant::now() + LONG).unwrap();
    }
}

#[test]
fn stop_and_wait_ends_with_the_run_and_refuses_others() {
    for (name, options) in arrangements() {
        within_a_minute(move || {
            let (gate, graph) = gated();
            let mut request = request(options, &graph);
            request.set_callback(|_| panic!("a stopped request has no callback")).unwrap();
            let observer = request.observer();
            request.start().unwrap().detach();
            gate.wait_arrived(1);
            assert!(!observer.is_stopped(), "{name}");
            let opener = thread::spawn(move || {
                // A run that ends before the stop would have its callback.
                while !observer.is_stopped() {
                    thread::yield_now();
                }
                assert!(!matches!(observer.status(), Status::Settled(_)), "the run goes on");
                gate.open();
            });
            assert_eq!(request.stop_and_wait().unwrap(), Some(Verdict::Done), "{name}");
            assert_eq!(request.start().unwrap_err().kind(), InferErrorKind::Disposed, "{name}");
            assert_eq!(request.infer().unwrap_err().kind(), InferErrorKind::Disposed, "{name}");
            opener.join().unwrap();
        });
    }
}

#[test]
fn a_wait_for_quiet_ends_with_the_last_run_of_a_chain() {
    for (name, options) in arrangements() {
        within_a_minute(move || {
            let mut request = request(options, &Graph::new([Op::Yield, Op::Add(1.0)]));
            assert_eq!(request.wait_quiet().unwrap(), None, "{name}: it never ran");
            request
                .set_callback(|mut done| {
                    let result = numbers(done.output(0)?)[0];
                    done.set_input(0, values(result))?;
                    Ok(if result < 10.0 { Next::Again } else { Next::Rest })
                })
                .unwrap();
            for _ in 0..20 {
                request.set_input(0, values(0.0)).unwrap();
                request.start().unwrap().detach();
                assert_eq!(request.wait_quiet().unwrap(), Some(Verdict::Done), "{name}");
                assert_eq!(numbers(request.output(0).unwrap()), [10.0, -8.0], "{name}");
            }
        });
    }
}

#[test]
fn what_timed_out_and_was_cancelled_is_dropped_at_once() {
    within_a_minute(|| {
        // T044: even when the device does not react.
        let gate = Gate::closed();
        let mut request = request(ONE_STREAM(), &Graph::new([Op::Deaf(gate.clone())]));
        let observer = request.observer();
        let run = request.start().unwrap();
        gate.wait_arrived(1);
        let Waited::TimedOut(run) = run.wait_for(Duration::from_millis(1)).unwrap() else { panic!("stuck") };
        assert!(run.cancel());
        drop(run);
        drop(request);
        assert!(matches!(observer.status(), Status::Running { stage: 0 }));
        gate.open();
        assert_eq!(observer.wait().unwrap().unwrap().verdict, Verdict::Cancelled(Cause::Asked));
    });
}

#[test]
fn a_future_may_be_waited_for_without_a_runtime() {
    let model = compile(ONE_STREAM(), &Graph::new([Op::Add(1.0)]));
    let outputs = block_on(async {
        let first = model.run([values(1.0)]).await?;
        model.run([("x0", first.get(0)?.clone())]).await
    })
    .unwrap();
    assert_eq!(numbers(outputs.get("y0").unwrap()), [3.0, 1.0]);
    assert_eq!(numbers(model.infer([values(5.0)]).unwrap().get(0).unwrap()), [6.0, -4.0]);
}
