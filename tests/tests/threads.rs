//! Who runs what: threads, queues, and what becomes of them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};
use std::thread::{self, ThreadId};

use inferry::{InferErrorKind, Next, Options, Runtime, Status, Tensor, Verdict};
use inferry_behaviour::native::{arrangements, compile, compile_for, within_a_minute};
use inferry_behaviour::world::{numbers, values};
use inferry_template::{Call, Chip, Form, Gate, Graph, Op};

/// An operator that writes down the thread that runs it.
fn note_thread() -> (Arc<Mutex<Vec<ThreadId>>>, Op) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let seen = threads.clone();
    (threads, Op::Call(Call::new(move || seen.lock().unwrap().push(thread::current().id()))))
}

#[test]
fn a_start_runs_nothing_on_its_callers_thread_unless_there_are_no_streams() {
    for (name, options) in arrangements() {
        let (threads, op) = note_thread();
        let callbacks = Arc::new(Mutex::new(Vec::new()));
        let graph = Graph::new([op.clone()]).before([op.clone(), Op::Yield, op.clone()]).after([op]);
        for form in [Form::OneStage, Form::Parked, Form::Blocking] {
            let model =
                compile_for(&Runtime::new().unwrap(), options, &graph, form, &Chip::working("threads"));
            let mut request = model.request().unwrap();
            let seen = callbacks.clone();
            request
                .set_callback(move |_| {
                    seen.lock().unwrap().push(thread::current().id());
                    Ok(Next::Rest)
                })
                .unwrap();
            for _ in 0..20 {
                request.start().unwrap().wait().unwrap();
            }
        }
        let me = thread::current().id();
        let on_mine = |threads: &Mutex<Vec<ThreadId>>| threads.lock().unwrap().contains(&me);
        let inline = options == Options::inline();
        assert_eq!((on_mine(&threads), on_mine(&callbacks)), (inline, inline), "{name}");
    }
}

#[test]
fn infer_runs_on_its_callers_thread() {
    let arrangements = [
        Options::latency().threads(1),
        Options::latency().threads(2),
        Options::throughput().threads(2),
        Options::inline(),
    ];
    for options in arrangements {
        let (threads, op) = note_thread();
        compile(options, &Graph::new([op])).request().unwrap().infer().unwrap();
        assert_eq!(*threads.lock().unwrap(), [thread::current().id()], "{options:?}");
    }
}

#[test]
fn runs_of_one_stream_begin_in_the_order_of_their_starts() {
    within_a_minute(|| {
        let (gate, order) = (Gate::closed(), Arc::new(Mutex::new(Vec::new())));
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let mut requests: Vec<_> = (0..6)
            .map(|number| {
                let (seen, gate) = (order.clone(), gate.clone());
                let note = Call::new(move || seen.lock().unwrap().push(number));
                let graph = Graph::new([Op::Block(gate), Op::Call(note)]);
                let model = compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("order"));
                model.request().unwrap()
            })
            .collect();
        let runs: Vec<_> = requests.iter_mut().rev().map(|request| request.start().unwrap()).collect();
        gate.open();
        for run in runs {
            run.wait().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [5, 4, 3, 2, 1, 0]);
    });
}

#[test]
fn a_cancelled_run_that_has_not_begun_ends_at_once() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let model = |graph| compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("queue"));
        let mut long = model(Graph::new([Op::Block(gate.clone())])).request().unwrap();
        let (threads, op) = note_thread();
        let mut queued = model(Graph::new([op])).request().unwrap();
        let long = long.start().unwrap();
        gate.wait_arrived(1);
        let observer = queued.observer();
        let run = queued.start().unwrap();
        assert_eq!(observer.status(), Status::Queued { stage: 0 });
        assert!(run.cancel());
        // The stream is still busy with the other one.
        assert_eq!(run.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
        assert!(threads.lock().unwrap().is_empty());
        gate.open();
        long.wait().unwrap();
    });
}

#[test]
fn two_streams_run_two_requests_at_the_same_time() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let model = compile(Options::throughput().threads(2), &Graph::new([Op::Block(gate.clone())]));
        let (mut first, mut second) = (model.request().unwrap(), model.request().unwrap());
        let runs = [first.start().unwrap(), second.start().unwrap()];
        // Both are inside of their stage.
        gate.wait_arrived(2);
        gate.open();
        for run in runs {
            run.wait().unwrap();
        }
    });
}

#[test]
fn models_share_streams_of_the_same_shape() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let runtime = Runtime::new().unwrap();
        let graph = Graph::new([Op::Block(gate.clone())]);
        let compile =
            |options| compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("share"));
        let options = Options::latency().threads(1);
        let (mut first, mut second) =
            (compile(options).request().unwrap(), compile(options).request().unwrap());
        let mut other = compile(Options::throughput().threads(2)).request().unwrap();
        let first = first.start().unwrap();
        gate.wait_arrived(1);
        let observer = second.observer();
        let second = second.start().unwrap();
        let other = other.start().unwrap();
        gate.wait_arrived(2);
        assert_eq!(observer.status(), Status::Queued { stage: 0 }, "behind the first, unlike the other");
        gate.open();
        for run in [first, second, other] {
            run.wait().unwrap();
        }
    });
}

#[test]
fn each_device_that_blocks_has_a_thread_that_waits_for_it() {
    within_a_minute(|| {
        // T254: what waits for one chip holds up neither the other chip nor the stream.
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let (left, right) = (Chip::by_hand("left"), Chip::by_hand("right"));
        let graph = Graph::new([Op::Add(1.0)]);
        let compile = |chip| compile_for(&runtime, options, &graph, Form::Blocking, chip).request().unwrap();
        let (mut first, mut behind, mut other) = (compile(&left), compile(&left), compile(&right));
        let (watch_first, watch_behind, watch_other) =
            (first.observer(), behind.observer(), other.observer());
        let first = first.start().unwrap();
        until(|| watch_first.status() == Status::Running { stage: 1 });
        let (behind, other) = (behind.start().unwrap(), other.start().unwrap());
        until(|| watch_other.status() == Status::Running { stage: 1 });
        until(|| watch_behind.status() == Status::Queued { stage: 1 });
        assert!(right.step());
        other.wait().unwrap();
        assert_eq!(watch_first.status(), Status::Running { stage: 1 });
        // A run that waits for its turn to wait can be cancelled at once, and one that waits within a millisecond or two.
        assert!(behind.cancel());
        assert_eq!(behind.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
        assert!(first.cancel());
        assert_eq!(first.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
    });
}

#[test]
fn an_infer_does_not_wait_behind_what_was_started() {
    within_a_minute(|| {
        // T185: it computes on its own thread, so it may overtake.
        let gate = Gate::closed();
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let model =
            |graph| compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("overtake"));
        let mut started = model(Graph::new([Op::Block(gate.clone())])).request().unwrap();
        let run = started.start().unwrap();
        gate.wait_arrived(1);
        model(Graph::new([Op::Echo])).request().unwrap().infer().unwrap();
        gate.open();
        run.wait().unwrap();
    });
}

#[test]
fn handles_may_go_in_any_order() {
    for (name, options) in arrangements() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            within_a_minute(move || {
                let gate = Gate::closed();
                let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
                let runtime = Runtime::new().unwrap();
                let model = compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("order"));
                let mut request = model.request().unwrap();
                request.start().unwrap().detach();
                gate.wait_arrived(1);
                let observer = request.observer();
                let (mut runtime, mut model, mut request) = (Some(runtime), Some(model), Some(request));
                for handle in order {
                    match handle {
                        0 => drop(runtime.take()),
                        1 => drop(model.take()),
                        _ => drop(request.take()),
                    }
                }
                let verdict = observer.wait().unwrap().unwrap().verdict;
                assert!(matches!(verdict, Verdict::Cancelled(_)), "{name}, {order:?}");
            });
        }
    }
}

#[test]
fn the_last_handles_may_go_on_a_thread_of_their_own() {
    for (_, options) in arrangements() {
        within_a_minute(move || {
            let slot = Arc::new(Mutex::new(None));
            let runtime = Runtime::new().unwrap();
            let model = compile_for(
                &runtime,
                options,
                &Graph::new([Op::Echo]),
                Form::OneStage,
                &Chip::by_hand("own"),
            );
            let mut request = model.request().unwrap();
            let (inside, done) = (slot.clone(), Gate::closed());
            let dropped = done.clone();
            request
                .set_callback(move |_| {
                    drop(inside.lock().unwrap().take());
                    dropped.arrive();
                    Ok(Next::Rest)
                })
                .unwrap();
            let gate = Gate::closed();
            // Nothing of ours is left but what the callback is given.
            let mut holder = compile(Options::latency().threads(1), &Graph::new([Op::Block(gate.clone())]))
                .request()
                .unwrap();
            let hold = holder.start().unwrap();
            *slot.lock().unwrap() = Some((runtime, model));
            request.start().unwrap().detach();
            done.wait_arrived(1);
            drop(request);
            gate.open();
            hold.wait().unwrap();
        });
    }
}

#[test]
fn many_threads_start_and_wait_at_the_same_time() {
    for (_, options) in arrangements() {
        within_a_minute(move || {
            let model = compile(options, &Graph::new([Op::Yield, Op::Add(1.0)]));
            thread::scope(|scope| {
                for thread in 0..8_u8 {
                    let model = &model;
                    scope.spawn(move || {
                        let mut request = model.request().unwrap();
                        for run in 0..100_u8 {
                            let value = f32::from(thread) * 1000.0 + f32::from(run);
                            request.set_input(0, values(value)).unwrap();
                            let outputs = request.start().unwrap().wait().unwrap();
                            assert_eq!(numbers(outputs.get(0).unwrap()), [value + 1.0, 1.0 - value]);
                        }
                    });
                }
            });
        });
    }
}

#[test]
fn three_requests_infer_on_three_threads() {
    for (_, options) in arrangements() {
        within_a_minute(move || {
            let model = compile(options, &Graph::new([Op::Yield, Op::Add(1.0)]));
            thread::scope(|scope| {
                for value in [1.0, 2.0, 3.0] {
                    let mut request = model.request().unwrap();
                    scope.spawn(move || {
                        for _ in 0..50 {
                            request.set_input(0, values(value)).unwrap();
                            let outputs = request.infer().unwrap();
                            assert_eq!(numbers(outputs.get(0).unwrap()), [value + 1.0, 1.0 - value]);
                        }
                    });
                }
            });
        });
    }
}

#[test]
fn of_threads_that_race_to_start_one_wins_and_the_others_are_told() {
    within_a_minute(|| {
        let model = compile(Options::latency().threads(1), &Graph::new([Op::Yield, Op::Add(1.0)]));
        let request = Mutex::new(model.request().unwrap());
        let observer = request.lock().unwrap().observer();
        let started: usize = thread::scope(|scope| {
            let racer = || {
                let attempt = |_: &usize| match request.lock().unwrap().start() {
                    Ok(run) => {
                        run.detach();
                        true
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), InferErrorKind::Busy);
                        thread::yield_now();
                        false
                    }
                };
                (0..50).filter(attempt).count()
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(racer)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert!(started > 0);
        observer.wait().unwrap();
        assert_eq!(observer.run().get(), started as u64, "each start that was granted was a run");
    });
}

#[test]
fn a_clone_of_a_runtime_has_the_same_streams() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let compile = |runtime: &Runtime, op: Op| {
            let chip = Chip::by_hand("clone");
            compile_for(runtime, options, &Graph::new([op]), Form::OneStage, &chip).request().unwrap()
        };
        let mut first = compile(&runtime, Op::Block(gate.clone()));
        let mut second = compile(&runtime.clone(), Op::Echo);
        let mut other = compile(&Runtime::new().unwrap(), Op::Echo);
        let first = first.start().unwrap();
        gate.wait_arrived(1);
        let observer = second.observer();
        let second = second.start().unwrap();
        other.start().unwrap().wait().unwrap();
        assert_eq!(observer.status(), Status::Queued { stage: 0 }, "behind the first, unlike the other");
        gate.open();
        for run in [first, second] {
            run.wait().unwrap();
        }
    });
}

#[test]
fn a_waker_that_panics_takes_no_thread_with_it() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker has bugs");
        }
    }
    within_a_minute(|| {
        let gate = Gate::closed();
        let runtime = Runtime::new().unwrap();
        let options = Options::latency().threads(1);
        let graph = Graph::new([Op::Block(gate.clone())]);
        let model = compile_for(&runtime, options, &graph, Form::OneStage, &Chip::by_hand("waker"));
        let mut request = model.request().unwrap();
        let mut run = pin!(request.start().unwrap());
        assert!(run.as_mut().poll(&mut Context::from_waker(&Arc::new(Panics).into())).is_pending());
        gate.open();
        model.request().unwrap().start().unwrap().wait().unwrap();
    });
}

#[test]
fn runs_of_a_model_share_its_requests() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let graph = Graph { ports: 2, ..Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]) };
        let model = compile(Options::throughput().threads(2), &graph);
        assert_eq!(model.optimal_requests(), 3);
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let run = model.run([("x1", values(2.0)), ("x0", values(1.0))]);
                thread::spawn(move || run.wait())
            })
            .collect();
        gate.wait_arrived(3);
        assert_eq!(gate.arrivals(), 3, "the others wait for a request");
        model.release_memory();
        gate.open();
        for run in waiting {
            let outputs = run.join().unwrap().unwrap();
            assert_eq!(numbers(outputs.get("y0").unwrap()), [2.0, 0.0]);
            assert_eq!(numbers(outputs.get("y1").unwrap()), [3.0, -1.0]);
        }
        let by_name = HashMap::from([("x0".to_owned(), values(0.0)), ("x1".to_owned(), values(0.0))]);
        model.infer(by_name).unwrap();
    });
}

#[test]
fn what_is_wrong_with_the_inputs_of_a_run_is_said_in_its_own_words() {
    let model = compile(Options::inline(), &Graph { ports: 2, ..Graph::new([Op::Echo]) });
    let error = |inputs: Vec<(&str, Tensor)>| {
        let error = model.infer(inputs).unwrap_err();
        (error.kind(), error.to_string())
    };
    let (kind, text) = error(vec![("x0", values(0.0)), ("image", values(0.0))]);
    assert!(kind == InferErrorKind::NotFound && text.contains("image"), "{text}");
    let (_, text) = error(vec![("x0", values(0.0))]);
    assert!(text.contains("x1"), "{text}");
    let (kind, text) = error(vec![("x0", values(0.0)), ("x1", Tensor::scalar(1_i32))]);
    assert!(kind == InferErrorKind::InvalidInput && text.contains("x1"), "{text}");
    let error = model.infer([values(0.0), values(0.0), values(0.0)]).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::OutOfRange);
    model.infer([values(0.0), values(0.0)]).unwrap();
}

/// Gives way until it is so. What does not become so is the minute's business.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}
