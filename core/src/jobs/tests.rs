//! What a pool of jobs promises, on one thread, with an executor stepped by hand.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Mutex;
use std::task::Wake;

use super::*;
use crate::request::testing::{Act, ByHand, Script};
use crate::state::Stateful;
use crate::tensor::ElementType;

type Pool = JobPool<u32, f32>;

/// The first value of the output.
fn first(done: JobDone<'_, u32, f32>) -> Result<f32, BoxError> {
    Ok(done.output("y")?.as_slice::<f32>()?[0])
}

fn pool(model: &Arc<Script>, settings: JobSettings) -> (Pool, Arc<ByHand>) {
    pool_with(model, settings, first)
}

fn pool_with(
    model: &Arc<Script>,
    settings: JobSettings,
    handler: impl Fn(JobDone<'_, u32, f32>) -> Result<f32, BoxError> + Send + Sync + 'static,
) -> (Pool, Arc<ByHand>) {
    let executor = Arc::new(ByHand::default());
    let pipeline = Pipeline::by_kind(&**model, |_| executor.clone());
    (JobPool::new(model.clone(), Arc::new(pipeline), settings, handler).unwrap(), executor)
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future + Unpin>(mut future: F) -> F::Output {
    let Poll::Ready(output) = poll(&mut future) else { panic!("not ready") };
    output
}

fn input(value: u32) -> [(&'static str, Tensor); 1] {
    [("x", Tensor::from_slice(&[value as f32; 2], [2]).unwrap())]
}

fn submit(pool: &Pool, value: u32) -> JobId {
    ready(pool.submit(input(value), value)).unwrap()
}

/// The user's data of the results that are there, and what became of each.
fn taken(pool: &Pool) -> Vec<(u32, Result<f32, InferErrorKind>)> {
    core::iter::from_fn(|| pool.try_next())
        .map(|finished| (finished.user, finished.result.map_err(|error| error.kind())))
        .collect()
}

fn keep(slots: usize, results: Results) -> JobSettings {
    JobSettings::new(slots).waiting(100).results(results)
}

#[test]
fn jobs_begin_by_themselves_and_each_gets_its_own_result() {
    let (pool, executor) = pool(&Script::new(2), keep(2, Results::Unordered));
    for job in 0..9 {
        assert_eq!(submit(&pool, job).number(), u64::from(job));
    }
    assert_eq!((executor.len(), pool.queued(), pool.idle()), (2, 7, 0));
    let mut all = pool.quiet();
    assert!(poll(&mut all).is_pending());
    executor.drain();
    ready(all).unwrap();
    assert_eq!(taken(&pool), (0..9).map(|job| (job, Ok(job as f32 + 1.0))).collect::<Vec<_>>());
    assert!(ready(pool.next()).is_none(), "nothing is left");
    assert_eq!((pool.idle(), pool.queued()), (2, 0));
}

#[test]
fn ordered_results_wait_for_those_submitted_before() {
    for (results, expected) in [(Results::Ordered, [0, 1]), (Results::Unordered, [1, 0])] {
        let model = Script::new(1);
        let (pool, executor) = pool(&model, keep(2, results));
        model.then(Act::Park);
        submit(&pool, 0);
        submit(&pool, 1);
        executor.drain();
        let mut next = pool.next();
        let early = poll(&mut next);
        assert_eq!(early.is_ready(), results == Results::Unordered);
        drop(next);
        let mut order: Vec<u32> = match early {
            Poll::Ready(finished) => finished.iter().map(|finished| finished.user).collect(),
            Poll::Pending => Vec::new(),
        };
        model.wake();
        executor.drain();
        order.extend(taken(&pool).iter().map(|(user, _)| user));
        assert_eq!(order, expected);
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(Mutex<usize>);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

#[test]
fn who_waits_for_a_result_is_woken_by_it_and_by_the_end() {
    let (pool, executor) = pool(&Script::new(1), keep(1, Results::Unordered));
    submit(&pool, 0);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let mut cx = Context::from_waker(&waker);
    let (mut one, mut other) = (pool.next(), pool.next());
    assert!(Pin::new(&mut one).poll(&mut cx).is_pending() && Pin::new(&mut other).poll(&mut cx).is_pending());
    executor.drain();
    assert!(*wakes.0.lock().unwrap() >= 2);
    assert_eq!(ready(one).unwrap().user, 0);
    assert!(ready(other).is_none());
}

#[test]
fn a_full_queue_makes_submits_wait_in_line() {
    let (pool, executor) = pool(&Script::new(1), JobSettings::new(1).results(Results::Unordered));
    submit(&pool, 0);
    submit(&pool, 1);
    let (mut second, mut third, mut fourth) =
        (pool.submit(input(2), 2), pool.submit(input(3), 3), pool.submit(input(4), 4));
    for waiting in [&mut second, &mut third, &mut fourth] {
        assert!(poll(waiting).is_pending());
    }
    let refused = pool.try_submit(Priority::High, input(9), 9).unwrap_err();
    assert_eq!((refused.user, refused.why), (9, Refusal::Full));
    executor.step();
    assert!(poll(&mut third).is_pending(), "the second comes first");
    drop(second);
    assert_eq!(ready(third).unwrap().number(), 2);
    assert!(poll(&mut fourth).is_pending());
    executor.drain();
    assert_eq!(ready(fourth).unwrap().number(), 3);
    executor.drain();
    assert_eq!(taken(&pool).iter().map(|(user, _)| *user).collect::<Vec<_>>(), [0, 1, 3, 4]);
}

#[test]
fn a_job_for_which_there_is_no_room_ends_as_the_policy_says() {
    let displaced = Err(InferErrorKind::Abandoned);
    for (overflow, expected) in [
        (Overflow::Reject, Vec::from([(0, Ok(1.0)), (1, Ok(2.0)), (2, Ok(3.0))])),
        (Overflow::DropOldest, Vec::from([(1, displaced), (0, Ok(1.0)), (2, Ok(3.0)), (3, Ok(4.0))])),
        (Overflow::Latest, Vec::from([(1, displaced), (2, displaced), (0, Ok(1.0)), (3, Ok(4.0))])),
    ] {
        let settings = keep(1, Results::Unordered).waiting(2).overflow(overflow);
        let (pool, executor) = pool(&Script::new(1), settings);
        let accepted: Vec<bool> = (0..4).map(|job| ready(pool.submit(input(job), job)).is_ok()).collect();
        assert_eq!(accepted, [true, true, true, overflow != Overflow::Reject], "{overflow:?}");
        executor.drain();
        assert_eq!(taken(&pool), expected, "{overflow:?}");
    }
}

#[test]
fn results_that_nobody_takes_make_submits_wait() {
    for results in [Results::Unordered, Results::Ordered] {
        let settings = JobSettings::new(1).untaken(1).results(results);
        let (pool, executor) = pool(&Script::new(1), settings);
        for job in 0..3 {
            submit(&pool, job);
            executor.drain();
        }
        assert_eq!((pool.idle(), pool.queued()), (1, 0), "the queue is not what is full");
        let refused = pool.try_submit(Priority::High, input(9), 9).unwrap_err();
        assert_eq!((refused.why.kind(), refused.why), (InferErrorKind::Busy, Refusal::Untaken));
        let wakes = Arc::new(Wakes::default());
        let waker = wakes.clone().into();
        let mut cx = Context::from_waker(&waker);
        let mut waiting = pool.submit(input(3), 3);
        assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
        assert_eq!(pool.try_next().unwrap().user, 0);
        assert_eq!(*wakes.0.lock().unwrap(), 1, "a result was taken");
        assert_eq!(ready(waiting).unwrap().number(), 3);
        let mut waiting = pool.submit(input(4), 4);
        assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
        assert_eq!(ready(pool.next()).unwrap().user, 1);
        assert_eq!(*wakes.0.lock().unwrap(), 2);
        ready(waiting).unwrap();
        executor.drain();
        assert_eq!(taken(&pool), [(2, Ok(3.0)), (3, Ok(4.0)), (4, Ok(5.0))]);
    }
}

#[test]
fn no_newer_job_takes_the_place_of_a_result() {
    for overflow in [Overflow::Reject, Overflow::DropOldest, Overflow::Latest] {
        let settings = keep(1, Results::Ordered).waiting(1).untaken(0).overflow(overflow);
        let (pool, executor) = pool(&Script::new(1), settings);
        submit(&pool, 0);
        submit(&pool, 1);
        let refused = ready(pool.submit(input(2), 2)).unwrap_err();
        assert_eq!((refused.user, refused.why), (2, Refusal::Untaken), "{overflow:?}");
        assert_eq!(pool.queued(), 1, "what waits was not displaced in vain");
        executor.drain();
        assert_eq!(taken(&pool), [(0, Ok(1.0)), (1, Ok(2.0))], "{overflow:?}");
        submit(&pool, 3);
    }
}

#[test]
fn results_that_are_dropped_need_no_room() {
    let (pool, executor) = pool(&Script::new(1), JobSettings::new(1).untaken(0));
    for job in 0..100 {
        submit(&pool, job);
        executor.drain();
    }
    assert!(pool.try_next().is_none());
}

#[test]
fn a_close_tells_those_who_wait_for_room() {
    let (pool, _) = pool(&Script::new(1), JobSettings::new(1));
    submit(&pool, 0);
    submit(&pool, 1);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let mut waiting = [pool.submit(input(2), 2), pool.submit(input(3), 3)];
    for submit in &mut waiting {
        assert!(Pin::new(submit).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    pool.close();
    assert!(*wakes.0.lock().unwrap() >= 2, "both are told");
    for submit in waiting {
        assert_eq!(ready(submit).unwrap_err().why, Refusal::Closed);
    }
}

#[test]
fn the_highest_priority_runs_first() {
    let (pool, executor) = pool(&Script::new(1), keep(1, Results::Unordered));
    submit(&pool, 0);
    for (priority, job) in
        [(Priority::Low, 1), (Priority::Normal, 2), (Priority::High, 3), (Priority::High, 4)]
    {
        pool.try_submit(priority, input(job), job).unwrap();
    }
    executor.drain();
    assert_eq!(taken(&pool).iter().map(|(user, _)| *user).collect::<Vec<_>>(), [0, 3, 4, 2, 1]);
}

#[test]
fn an_error_is_its_jobs_only_and_the_wait_for_all_tells_the_first_once() {
    let model = Script::new(1);
    let (pool, executor) = pool_with(&model, keep(2, Results::Ordered), |done| match *done.user {
        1 => Err(done.output("nothing").unwrap_err().into()),
        _ => first(done),
    });
    model.then(Act::Fail);
    for job in 0..12 {
        submit(&pool, job);
    }
    executor.drain();
    assert_eq!(ready(pool.quiet()).unwrap_err().kind(), InferErrorKind::Operator);
    ready(pool.quiet()).expect("it has been told");
    let ended = taken(&pool);
    assert_eq!(ended[..2], [(0, Err(InferErrorKind::Operator)), (1, Err(InferErrorKind::Callback))]);
    assert!(ended[2..].iter().all(|(user, result)| *result == Ok(*user as f32 + 1.0)));
    assert_eq!(ended.len(), 12);
}

#[test]
fn a_panic_of_a_handler_or_a_stage_ends_its_job_also_where_nobody_catches_it() {
    let model = Script::new(1);
    let (pool, executor) = pool_with(&model, keep(1, Results::Ordered), |done| match *done.user {
        1 => panic!("the handler has bugs"),
        _ => first(done),
    });
    submit(&pool, 0);
    submit(&pool, 1);
    submit(&pool, 2);
    // Whether it passes through depends on whether another test has installed a catcher.
    let step = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| executor.step())).is_ok();
    step();
    step();
    executor.drain();
    model.then(Act::Panic);
    submit(&pool, 3);
    step();
    submit(&pool, 4);
    executor.drain();
    let panicked = Err(InferErrorKind::Panicked);
    assert_eq!(taken(&pool), [(0, Ok(1.0)), (1, panicked), (2, Ok(3.0)), (3, panicked), (4, Ok(5.0))]);
    assert_eq!(pool.idle(), 1);
}

#[test]
fn a_panic_that_passes_through_the_submit_itself_leaves_a_slot_for_the_next() {
    let model = Script::new(1);
    let pipeline = Arc::new(Pipeline::inline(&*model));
    let pool = JobPool::new(model.clone(), pipeline, keep(1, Results::Ordered), first).unwrap();
    model.then(Act::Panic);
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| submit(&pool, 0)));
    assert_eq!(pool.idle(), 1);
    submit(&pool, 1);
    assert_eq!(taken(&pool), [(0, Err(InferErrorKind::Panicked)), (1, Ok(2.0))]);
}

#[test]
fn a_cancel_that_comes_while_its_job_is_being_started_stops_the_run() {
    let model = Script::new(2);
    let pipeline = Arc::new(Pipeline::inline(&*model));
    let pool = JobPool::new(model.clone(), pipeline, keep(1, Results::Ordered), first).unwrap();
    // The first stage runs within the start and gets its own job cancelled; the second parks, for ever if nobody stops it.
    let within = pool.clone();
    model.then(Act::Call(Box::new(move || within.cancel_all()))).then(Act::Park);
    submit(&pool, 0);
    assert_eq!(taken(&pool), [(0, Err(InferErrorKind::Cancelled))]);
    assert_eq!((model.polls(), pool.idle()), (Vec::from([0, 1, 1]), 1));
}

#[test]
fn jobs_of_a_model_that_remembers_begin_anew() {
    let model = Arc::new(Stateful::new(Script::new(1), [("x", "y")]).unwrap());
    let pipeline = Arc::new(Pipeline::inline(&*model));
    let pool: JobPool<u32, f32> = JobPool::new(model, pipeline, keep(1, Results::Ordered), |done| {
        Ok(done.variable("x")?.as_slice::<f32>()?[0])
    })
    .unwrap();
    for job in 0..3 {
        ready(pool.submit::<usize>([], job)).unwrap();
        assert_eq!(taken(&pool), [(job, Ok(1.0))]);
    }
}

#[test]
fn a_handler_may_submit_and_the_wait_for_all_waits_for_that_too() {
    let (pool, executor) = pool_with(&Script::new(1), keep(1, Results::Unordered), |done| {
        if *done.user < 4 {
            done.submit(input(*done.user + 1), *done.user + 1)?;
        }
        first(done)
    });
    submit(&pool, 0);
    let mut all = pool.quiet();
    while executor.step() {
        assert_eq!(poll(&mut all).is_ready(), executor.len() == 0);
        if executor.len() == 0 {
            break;
        }
    }
    assert_eq!(taken(&pool).len(), 5);
}

#[test]
fn on_an_executor_that_runs_at_once_jobs_do_not_nest() {
    let model = Script::new(1);
    let depth = Arc::new(Mutex::new((0, 0)));
    let seen = depth.clone();
    let handler = move |done: JobDone<'_, u32, f32>| {
        let mut depth = seen.lock().unwrap();
        depth.0 += 1;
        depth.1 = depth.1.max(depth.0);
        drop(depth);
        if *done.user > 0 {
            done.submit(input(*done.user - 1), *done.user - 1)?;
        }
        seen.lock().unwrap().0 -= 1;
        first(done)
    };
    let pipeline = Arc::new(Pipeline::inline(&*model));
    let pool = JobPool::new(model, pipeline, keep(2, Results::Unordered).untaken(20_000), handler).unwrap();
    submit(&pool, 10_000);
    ready(pool.quiet()).unwrap();
    assert_eq!(taken(&pool).len(), 10_001);
    assert_eq!(depth.lock().unwrap().1, 1);
}

#[test]
fn a_granted_cancel_ends_the_job_as_cancelled_wherever_it_is() {
    let model = Script::new(2);
    *model.state.stubborn.lock().unwrap() = true;
    let (pool, executor) = pool(&model, keep(1, Results::Ordered));
    let jobs = [0, 1, 2].map(|job| submit(&pool, job));
    executor.step();
    assert!(pool.cancel(jobs[0]), "its second stage has not begun");
    assert!(pool.cancel(jobs[1]), "it waits");
    assert_eq!(pool.queued(), 1);
    executor.drain();
    assert!(!pool.cancel(jobs[2]) && !pool.cancel(jobs[1]), "they are over");
    let cancelled = Err(InferErrorKind::Cancelled);
    assert_eq!(taken(&pool), [(0, cancelled), (1, cancelled), (2, Ok(3.0))]);
    for job in 0..4 {
        submit(&pool, job);
    }
    pool.cancel_all();
    executor.drain();
    assert!(taken(&pool).iter().all(|(_, result)| *result == cancelled));
}

#[test]
fn what_cannot_be_a_job_is_given_back() {
    let (pool, _) = pool(&Script::new(1), JobSettings::new(1));
    let refused = ready(pool.submit([("z", Tensor::scalar(0f32))], 1)).unwrap_err();
    assert_eq!((refused.user, refused.why.kind()), (1, InferErrorKind::NotFound));
    let refused = ready(pool.submit::<usize>([], 2)).unwrap_err();
    assert_eq!(alloc::format!("{refused}"), "input #0 \"x\" was not given");
    let refused = ready(pool.submit([(0, Tensor::zeros(ElementType::F32, [3]))], 3)).unwrap_err();
    assert_eq!(alloc::format!("{refused}"), "input #0 \"x\" takes the shape [2], not [3]");
    pool.close();
    pool.close();
    assert_eq!(ready(pool.submit(input(4), 4)).unwrap_err().why, Refusal::Closed);
}

#[test]
fn a_tensor_that_somebody_holds_fails_its_job_and_not_the_slot() {
    let (pool, executor) = pool(&Script::new(1), keep(1, Results::Ordered));
    let mut tensor = Tensor::from_slice(&[1.0f32; 2], [2]).unwrap();
    let shared = tensor.clone();
    let view = tensor.as_slice_mut::<f32>().unwrap();
    ready(pool.submit([(0, shared)], 0)).unwrap();
    drop(view);
    submit(&pool, 1);
    *executor.refuses.lock().unwrap() = true;
    executor.drain();
    submit(&pool, 2);
    *executor.refuses.lock().unwrap() = false;
    submit(&pool, 3);
    executor.drain();
    let kinds = [Err(InferErrorKind::InUse), Ok(2.0), Err(InferErrorKind::Abandoned), Ok(4.0)];
    assert_eq!(taken(&pool).into_iter().map(|(_, result)| result).collect::<Vec<_>>(), kinds);
}

#[test]
fn a_slot_is_named_by_an_index_that_exists() {
    let (pool, executor) = pool(&Script::new(1), JobSettings::new(2));
    let job = submit(&pool, 0);
    assert_eq!(pool.slot(0), Ok(SlotStatus::Running(job)));
    assert_eq!((pool.slot(1), pool.idle()), (Ok(SlotStatus::Idle), 1));
    assert_eq!(pool.slot(2), Err(NoSuchSlot { asked: 2, slots: 2 }));
    executor.drain();
    assert_eq!(pool.slot(0), Ok(SlotStatus::Idle));
}

#[test]
fn a_pool_that_is_dropped_cancels_and_frees_everything() {
    let model = Script::new(2);
    let (pool, executor) = pool(&model, keep(1, Results::Unordered));
    let user = Arc::new(());
    let pipeline = Pipeline::by_kind(&*model, |_| executor.clone());
    let keeper = user.clone();
    let other: JobPool<Arc<()>, ()> =
        JobPool::new(model.clone(), Arc::new(pipeline), JobSettings::new(1), move |_| {
            let _kept = &keeper;
            Ok(())
        })
        .unwrap();
    for _ in 0..2 {
        ready(other.submit(input(0), user.clone())).unwrap();
    }
    submit(&pool, 0);
    executor.step();
    drop((other, pool));
    executor.drain();
    assert_eq!((Arc::strong_count(&user), Arc::strong_count(&model)), (1, 1));
}
