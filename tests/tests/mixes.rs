//! A thousand random mixes of everything that can happen to requests, on four threads: every run settles, once, and as it
//! should.
//!
//! A mix is drawn from its number, so a mix that fails can be run again: `INFERRY_SEED=n`. What the threads make of it
//! differs from time to time; what must hold does not.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex};
use std::thread;

use inferry::{Cause, CompiledModel, InferErrorKind, Next, Options, Request, Runtime, Verdict};
use inferry_behaviour::native::{compile_for, within_a_minute};
use inferry_behaviour::random::Random;
use inferry_template::{Chip, Form, Graph, Op};

const MIXES: u64 = 1000;
const THREADS: u64 = 4;

#[test]
fn of_a_thousand_mixes_every_run_settles_once_and_as_it_should() {
    // Panics are part of the mixes, and a thousand backtraces are no help.
    std::panic::set_hook(Box::new(|info| {
        if !info.payload_as_str().is_some_and(|text| text.starts_with("as drawn")) {
            eprintln!("{info}");
        }
    }));
    let seed = std::env::var("INFERRY_SEED").ok().map(|text| text.parse::<u64>().expect("a number"));
    let mixes = seed.map_or(0..MIXES, |seed| seed..seed + 1);
    within_a_minute(move || {
        let runtime = Runtime::new().unwrap();
        let models = Models::new(&runtime);
        for mix in mixes {
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let random = Random::new(mix * THREADS + thread);
                    let models = &models;
                    scope.spawn(move || {
                        for _ in 0..2 + random.below(3) {
                            one(models, &random, mix);
                        }
                    });
                }
            });
        }
    });
}

/// What a run of a model ends as when nobody stops it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Nature {
    Sound,
    Fails,
    Panics,
}

/// Models of every nature and form, on threads of several arrangements.
struct Models(Vec<(Nature, CompiledModel)>);

impl Models {
    fn new(runtime: &Runtime) -> Models {
        let mut models = Vec::new();
        for options in [Options::throughput().threads(2), Options::latency().threads(1), Options::inline()] {
            for form in [Form::OneStage, Form::Parked, Form::Blocking] {
                for (nature, op) in [
                    (Nature::Sound, Op::Add(1.0)),
                    (Nature::Fails, Op::Fail("as drawn")),
                    (Nature::Panics, Op::Panic("as drawn")),
                ] {
                    let graph =
                        Graph::new([Op::Yield, Op::Add(1.0)]).before([Op::Yield, op]).after([Op::Yield]);
                    let chip = Chip::working("mix");
                    models.push((nature, compile_for(runtime, options, &graph, form, &chip)));
                }
            }
        }
        Models(models)
    }
}

/// What the callback of a request does.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Answer {
    Rest,
    Again,
    Fails,
    Panics,
}

/// A request of some model, with some callback, to which something is done; and what must hold afterwards.
fn one(models: &Models, random: &Random, mix: u64) {
    let (nature, model) = &models.0[random.below(models.0.len())];
    let answer = [Answer::Rest, Answer::Again, Answer::Fails, Answer::Panics][random.below(4)];
    let calls = Arc::new(Mutex::new(Vec::new()));
    let mut request = model.request().unwrap();
    let called = random.below(4) > 0;
    if called {
        set_callback(&mut request, answer, calls.clone());
    }
    let observer = request.observer();
    let canceller = request.canceller();
    let mut granted = false;
    let deed = random.below(6);
    match deed {
        // Waited for.
        0 => drop(request.start().unwrap().wait()),
        // Cancelled, and then waited for.
        1 => {
            let run = request.start().unwrap();
            granted = run.cancel();
            let error = run.wait().map(drop).map_err(|error| error.kind());
            assert!(!granted || error == Err(InferErrorKind::Cancelled), "mix {mix}: {error:?}");
        }
        // Cancelled by another thread at some time.
        2 => {
            let run = request.start().unwrap();
            let token = run.token();
            let other = thread::spawn(move || token.cancel());
            let error = run.wait().map(drop).map_err(|error| error.kind());
            granted = other.join().unwrap();
            assert!(!granted || error == Err(InferErrorKind::Cancelled), "mix {mix}: {error:?}");
        }
        // The run dropped.
        3 => drop(request.start().unwrap()),
        // Detached, and the request dropped.
        4 => request.start().unwrap().detach(),
        // On this thread.
        _ => drop(request.infer()),
    }
    if deed == 4 {
        drop(request);
    } else {
        canceller.cancel();
        drop(request.wait_quiet());
        drop(request);
    }
    let outcome = observer.wait().unwrap().expect("it has run");
    let calls = calls.lock().unwrap();
    judge(outcome.verdict, *nature, answer, &calls, mix);
    if called && deed < 4 {
        assert_eq!(calls.len() as u64, outcome.run.get(), "mix {mix}: each run is delivered");
    }
    if deed == 5 {
        assert!(calls.is_empty(), "mix {mix}: an infer is not delivered");
    }
    if granted && calls.len() < 2 {
        assert!(matches!(outcome.verdict, Verdict::Cancelled(_)), "mix {mix}: {outcome:?}");
    }
}

fn set_callback(request: &mut Request, answer: Answer, calls: Arc<Mutex<Vec<(u64, Verdict)>>>) {
    request
        .set_callback(move |done| {
            let run = done.run().get();
            calls.lock().unwrap().push((run, done.verdict()));
            match answer {
                Answer::Again if run < 3 => Ok(Next::Again),
                Answer::Fails => Err("as drawn".into()),
                Answer::Panics => panic!("as drawn"),
                _ => Ok(Next::Rest),
            }
        })
        .unwrap();
}

/// The verdict is one that this model and this callback can come to, and each run was delivered once, in order.
fn judge(verdict: Verdict, nature: Nature, answer: Answer, calls: &[(u64, Verdict)], mix: u64) {
    let stopped = matches!(verdict, Verdict::Cancelled(Cause::Asked | Cause::Dropped));
    let spoilt = matches!(answer, Answer::Fails | Answer::Panics) && !calls.is_empty();
    let right = match nature {
        _ if stopped => true,
        Nature::Sound if !spoilt => verdict == Verdict::Done,
        _ => verdict == Verdict::Failed,
    };
    assert!(right, "mix {mix}: {verdict:?} of a model that is {nature:?}, {answer:?}, {calls:?}");
    for (index, (run, told)) in calls.iter().enumerate() {
        assert_eq!(*run, index as u64 + 1, "mix {mix}: each run is delivered once, in order");
        let natural = if nature == Nature::Sound { Verdict::Done } else { Verdict::Failed };
        assert!(*told == natural || matches!(told, Verdict::Cancelled(_)), "mix {mix}: {told:?}");
    }
}
