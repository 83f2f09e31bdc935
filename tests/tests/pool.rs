//! Pools on the desktop host: jobs on threads, from many threads, with handlers that fail, panic and submit.
//!
//! The core's own tests see the queue and its policies step by step; here the steps come by themselves.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use inferry::{
    BoxError, InferErrorKind, JobDone, JobSettings, Jobs, NoSuchSlot, Options, Overflow, Priority, Refusal,
    Results, Runtime, SlotStatus, Tensor, block_on,
};
use inferry_behaviour::native::{arrangements, compile, compile_for, within_a_minute};
use inferry_behaviour::world::{numbers, values};
use inferry_template::{Chip, Form, Gate, Graph, Op};

type Pool = Jobs<u16, f32>;

fn first(done: JobDone<'_, u16, f32>) -> Result<f32, BoxError> {
    Ok(numbers(done.output("y0")?)[0])
}

fn input(value: u16) -> [(&'static str, Tensor); 1] {
    [("x0", values(value.into()))]
}

fn add_one() -> Graph {
    Graph::new([Op::Yield, Op::Add(1.0)])
}

fn ordered(slots: usize) -> JobSettings {
    JobSettings::new(slots).results(Results::Ordered)
}

/// T287, T294 and T301: more jobs than slots, in every arrangement of threads, each with its own result and latency.
#[test]
fn every_job_gets_its_own_result() {
    within_a_minute(|| {
        for (name, options) in arrangements() {
            let jobs = compile(options, &add_one()).jobs(ordered(4), first).unwrap();
            for job in 0..40 {
                jobs.submit(input(job), job).unwrap();
            }
            let mut count = 0;
            for finished in &jobs {
                assert_eq!((finished.user, finished.id.number()), (count, u64::from(count)), "{name}");
                assert_eq!(finished.result.unwrap(), f32::from(count) + 1.0, "{name}");
                assert!(finished.latency.unwrap() > 0, "{name}");
                count += 1;
            }
            assert_eq!(count, 40, "{name}");
            jobs.wait_all().unwrap();
        }
    });
}

/// T288, T289 and T299: the slots by index, and an index past the end.
#[test]
fn slots_are_idle_at_first_and_named_by_an_index_that_exists() {
    for slots in [1, 5] {
        let jobs: Pool = compile(Options::inline(), &add_one()).jobs(JobSettings::new(slots), first).unwrap();
        let all: Vec<_> = (0..jobs.slots()).map(|index| jobs.slot(index)).collect();
        assert_eq!(all, vec![Ok(SlotStatus::Idle); slots]);
        assert_eq!(jobs.slot(slots), Err(NoSuchSlot { asked: slots, slots }));
        assert!(jobs.iter().next().is_none());
    }
}

/// T293: a slot that was seen idle takes the next job.
#[test]
fn an_idle_slot_is_there_for_the_next_job() {
    within_a_minute(|| {
        let jobs = compile(Options::latency().threads(1), &add_one()).jobs(ordered(2), first).unwrap();
        for job in 0..10 {
            jobs.wait_all().unwrap();
            assert_eq!((jobs.idle(), jobs.queued()), (2, 0));
            jobs.try_submit(Priority::Normal, input(job), job).unwrap();
        }
        assert_eq!(jobs.iter().count(), 10);
    });
}

/// T290 and T291: a handler that fails, with the error as its source, of its own type.
#[test]
fn the_error_of_a_handler_is_told_with_its_type() {
    #[derive(Debug)]
    struct Mine;
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("mine")
        }
    }
    impl std::error::Error for Mine {}
    within_a_minute(|| {
        let model = compile(Options::latency().threads(1), &add_one());
        let jobs = model.jobs(ordered(2), |done: JobDone<'_, u16, f32>| match *done.user {
            0 => Err(done.output("nothing").unwrap_err().into()),
            1 => Err(Box::new(Mine)),
            _ => first(done),
        });
        let jobs = jobs.unwrap();
        jobs.submit(input(0), 0).unwrap();
        let error = jobs.wait_all().unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::Callback);
        assert!(error.full_text().contains("no output \"nothing\""), "{error:?}");
        jobs.submit(input(1), 1).unwrap();
        let error = jobs.wait_all().unwrap_err();
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.downcast_ref::<Mine>().is_some(), "{source:?}");
    });
}

/// T292: runs that fail give their errors, and no handler is called.
#[test]
fn a_run_that_fails_is_no_business_of_the_handler() {
    within_a_minute(|| {
        let called = Arc::new(AtomicUsize::new(0));
        let count = called.clone();
        let model = compile(Options::throughput().threads(2), &Graph::new([Op::Fail("no")]));
        let jobs = model.jobs(ordered(2), move |done: JobDone<'_, u16, f32>| {
            count.fetch_add(1, Ordering::SeqCst);
            first(done)
        });
        let jobs = jobs.unwrap();
        for job in 0..6 {
            jobs.submit(input(job), job).unwrap();
        }
        assert_eq!(jobs.wait_all().unwrap_err().kind(), InferErrorKind::Operator);
        assert!(jobs.iter().all(|finished| finished.result.is_err()));
        assert_eq!(called.load(Ordering::SeqCst), 0);
    });
}

/// T296, T297 and T317: one job in ten fails, one panics; the rest, and all that follow, are well, and the second wait is
/// clean.
#[test]
fn errors_and_panics_leave_the_pool_as_good_as_new() {
    within_a_minute(|| {
        for (name, options) in arrangements() {
            let model = compile(options, &add_one());
            let jobs = model.jobs(ordered(3), |done: JobDone<'_, u16, f32>| match *done.user % 10 {
                3 => Err("the disk is full".into()),
                7 => panic!("the handler has bugs"),
                _ => first(done),
            });
            let jobs = jobs.unwrap();
            for job in 0..30 {
                jobs.submit(input(job), job).unwrap();
            }
            assert!(jobs.wait_all().is_err(), "{name}");
            jobs.wait_all().unwrap();
            for finished in &jobs {
                let kind = finished.result.map_err(|error| error.kind());
                match finished.user % 10 {
                    3 => assert_eq!(kind, Err(InferErrorKind::Callback), "{name}"),
                    7 => assert_eq!(kind, Err(InferErrorKind::Panicked), "{name}"),
                    _ => assert_eq!(kind, Ok(f32::from(finished.user) + 1.0), "{name}"),
                }
            }
            assert_eq!(jobs.idle(), 3, "{name}");
        }
    });
}

/// T298: handlers that submit, on one slot and on several: the wait is for all of it.
#[test]
fn a_wait_for_all_waits_for_what_handlers_submit() {
    within_a_minute(|| {
        for (name, options) in arrangements() {
            for slots in [1, 3] {
                let model = compile(options, &add_one());
                let jobs = model.jobs(ordered(slots), |done: JobDone<'_, u16, f32>| {
                    if *done.user > 0 {
                        done.submit(input(*done.user - 1), *done.user - 1)?;
                    }
                    first(done)
                });
                let jobs = jobs.unwrap();
                jobs.submit(input(50), 50).unwrap();
                jobs.wait_all().unwrap();
                let users: Vec<u16> = std::iter::from_fn(|| jobs.try_next()).map(|done| done.user).collect();
                assert_eq!(users, (0..=50).rev().collect::<Vec<_>>(), "{name}, {slots} slots");
            }
        }
    });
}

/// T313 and T314: awaited submits and results, with what goes with each.
#[test]
fn jobs_are_submitted_and_taken_by_await() {
    within_a_minute(|| {
        let jobs = compile(Options::throughput().threads(2), &add_one()).jobs(ordered(4), first).unwrap();
        block_on(async {
            for job in 0..8 {
                jobs.submit_async(input(job), job).await.unwrap();
            }
            for job in 0..8 {
                let finished = jobs.next_async().await.unwrap();
                assert_eq!((finished.user, finished.result.unwrap()), (job, f32::from(job) + 1.0));
            }
            assert!(jobs.next_async().await.is_none());
            jobs.quiet().await.unwrap();
        });
    });
}

/// T316: closed twice, and a job after that.
#[test]
fn a_closed_pool_finishes_and_takes_nothing_more() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
        let jobs = compile(Options::latency().threads(1), &graph).jobs(ordered(1), first).unwrap();
        jobs.submit(input(0), 0).unwrap();
        jobs.submit(input(1), 1).unwrap();
        gate.wait_arrived(1);
        jobs.close();
        jobs.close();
        assert_eq!(jobs.submit(input(2), 2).unwrap_err().kind(), InferErrorKind::Disposed);
        let refused = jobs.try_submit(Priority::High, input(3), 3).unwrap_err();
        assert_eq!((refused.user, refused.why), (3, Refusal::Closed));
        gate.open();
        let ended: Vec<_> = jobs.iter().map(|done| done.result.map_err(|error| error.kind())).collect();
        assert_eq!(ended, [Ok(1.0), Err(InferErrorKind::Cancelled)]);
    });
}

/// F140: a submit that blocks goes on when there is room, and who waits where there will be none is told.
#[test]
fn a_submit_blocks_until_there_is_room_and_never_in_the_handler() {
    within_a_minute(|| {
        let gate = Gate::closed();
        let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
        let jobs = compile(Options::latency().threads(1), &graph).jobs(ordered(1), first).unwrap();
        jobs.submit(input(0), 0).unwrap();
        jobs.submit(input(1), 1).unwrap();
        let other = jobs.clone();
        let blocked = thread::spawn(move || other.submit(input(2), 2).unwrap());
        gate.wait_arrived(1);
        gate.open();
        assert_eq!(blocked.join().unwrap().number(), 2);
        assert_eq!(jobs.iter().count(), 3);

        let model = compile(Options::latency().threads(1), &add_one());
        let own = Arc::new(std::sync::OnceLock::<Pool>::new());
        let inside = own.clone();
        let jobs = model.jobs(ordered(1), move |done: JobDone<'_, u16, f32>| {
            let error = inside.get().unwrap().wait_all().unwrap_err();
            assert_eq!(error.kind(), InferErrorKind::WouldDeadlock);
            first(done)
        });
        own.set(jobs.unwrap()).unwrap();
        let jobs = own.get().unwrap();
        jobs.submit(input(0), 0).unwrap();
        jobs.wait_all().unwrap();
    });
}

/// K34: jobs of a pool are cancelled, queued and running, through a pipeline that waits for a chip.
#[test]
fn a_job_is_cancelled_wherever_it_is() {
    within_a_minute(|| {
        for form in [Form::OneStage, Form::Parked, Form::Blocking] {
            let gate = Gate::closed();
            let graph = Graph::new([Op::Park(gate.clone()), Op::Add(1.0)]);
            let options = Options::latency().threads(1);
            let model = compile_for(&Runtime::new().unwrap(), options, &graph, form, &Chip::working("pool"));
            let jobs = model.jobs(ordered(1), first).unwrap();
            let ids = [0, 1].map(|job| jobs.submit(input(job), job).unwrap());
            gate.wait_arrived(1);
            assert!(jobs.cancel(ids[1]) && jobs.cancel(ids[0]));
            gate.open();
            jobs.submit(input(2), 2).unwrap();
            let ended: Vec<_> = jobs.iter().map(|done| done.result.map_err(|error| error.kind())).collect();
            let cancelled = Err(InferErrorKind::Cancelled);
            assert_eq!(ended, [cancelled, cancelled, Ok(3.0)], "{form:?}");
            assert!(!jobs.cancel(ids[0]));
        }
    });
}

/// T297 and the promise behind all of these: from four threads, with every policy, each job that was accepted ends once.
#[test]
fn from_many_threads_every_accepted_job_ends_exactly_once() {
    within_a_minute(|| {
        for overflow in [Overflow::Block, Overflow::Reject, Overflow::DropOldest, Overflow::Latest] {
            let settings = JobSettings::new(2).waiting(3).overflow(overflow).results(Results::Unordered);
            let model = compile(Options::throughput().threads(2), &add_one());
            let jobs = model.jobs(settings, |done: JobDone<'_, u16, f32>| match *done.user % 7 {
                3 => Err("no".into()),
                5 => panic!("a bug"),
                _ => first(done),
            });
            let jobs = jobs.unwrap();
            let accepted = AtomicUsize::new(0);
            thread::scope(|scope| {
                for thread in 0..4_u16 {
                    let (jobs, accepted) = (&jobs, &accepted);
                    scope.spawn(move || {
                        for job in 0..100 {
                            let priority =
                                [Priority::Low, Priority::Normal, Priority::High][usize::from(job % 3)];
                            let user = thread * 100 + job;
                            if let Ok(id) = jobs.submit_as(priority, input(user), user) {
                                accepted.fetch_add(1, Ordering::SeqCst);
                                if job % 11 == 0 {
                                    jobs.cancel(id);
                                }
                            }
                        }
                    });
                }
            });
            let mut ids: Vec<u64> = jobs
                .iter()
                .map(|finished| {
                    if let Ok(value) = finished.result {
                        assert_eq!(value, f32::from(finished.user) + 1.0);
                    }
                    finished.id.number()
                })
                .collect();
            ids.sort_unstable();
            assert_eq!(ids, (0..accepted.load(Ordering::SeqCst) as u64).collect::<Vec<_>>(), "{overflow:?}");
            assert_eq!((jobs.idle(), jobs.queued()), (2, 0));
        }
    });
}
