//! The promises of a pool of jobs under concurrency.

use std::sync::Arc;

use inferry_core::jobs::{JobId, JobPool, JobSettings, Overflow, Priority, Results};
use inferry_core::request::InferErrorKind;
use inferry_core::{Pipeline, Tensor};
use loom::thread;

use super::parts::{Probe, Spawn, model, wait};

type Pool = JobPool<u8, u8>;

fn pool(settings: JobSettings) -> (Pool, Arc<Spawn>) {
    let (probe, executor) = (Probe::plain(1), Spawn::new());
    let pipeline = Arc::new(Pipeline::by_kind(&*probe, |_| executor.clone()));
    let settings = settings.results(Results::Ordered);
    (JobPool::new(probe, pipeline, settings, |done| Ok(*done.user)).unwrap(), executor)
}

fn submit(pool: &Pool, user: u8) -> JobId {
    pool.try_submit(Priority::Normal, [] as [(usize, Tensor); 0], user).unwrap()
}

#[test]
fn a_job_that_is_queued_while_the_one_before_ends_is_started() {
    model(|| {
        let (pool, _executor) = pool(JobSettings::new(1));
        submit(&pool, 0);
        submit(&pool, 1);
        // Whoever notices the end last starts the second; a job that nobody starts would hang here.
        wait(pool.quiet()).unwrap();
        for user in 0..2 {
            assert_eq!(pool.try_next().unwrap().result.unwrap(), user);
        }
        assert_eq!(pool.idle(), 1);
    });
}

#[test]
fn who_waits_for_room_gets_it_when_the_slot_is_idle() {
    model(|| {
        let (pool, _executor) = pool(JobSettings::new(1).waiting(0));
        submit(&pool, 0);
        // A submit that nobody tells would hang here.
        wait(pool.submit([] as [(usize, Tensor); 0], 1)).unwrap();
        wait(pool.quiet()).unwrap();
        assert_eq!(pool.try_next().unwrap().result.unwrap(), 0);
    });
}

#[test]
fn who_waits_for_a_result_to_be_taken_is_told() {
    model(|| {
        let (pool, _executor) = pool(JobSettings::new(1).waiting(0).untaken(0));
        submit(&pool, 0);
        let other = pool.clone();
        let taker = thread::spawn(move || wait(other.next()).unwrap().result.unwrap());
        wait(pool.submit([] as [(usize, Tensor); 0], 1)).unwrap();
        assert_eq!(taker.join().unwrap(), 0);
        assert_eq!(wait(pool.next()).unwrap().result.unwrap(), 1);
    });
}

#[test]
fn a_granted_cancel_of_a_job_never_ends_as_done() {
    model(|| {
        let (pool, _executor) = pool(JobSettings::new(1));
        let job = submit(&pool, 0);
        let granted = pool.cancel(job);
        let ended = wait(pool.next()).unwrap().result.map_err(|error| error.kind());
        assert_eq!(granted, ended == Err(InferErrorKind::Cancelled), "{ended:?}");
        let _ = wait(pool.quiet());
    });
}

#[test]
fn of_two_who_submit_to_a_full_pool_each_gets_a_verdict() {
    model(|| {
        let (pool, _executor) = pool(JobSettings::new(1).waiting(0).overflow(Overflow::Reject));
        let other = pool.clone();
        let thread =
            thread::spawn(move || other.try_submit(Priority::Normal, [] as [(usize, Tensor); 0], 1).is_ok());
        let mine = pool.try_submit(Priority::Normal, [] as [(usize, Tensor); 0], 0).is_ok();
        let theirs = thread.join().unwrap();
        assert!(mine || theirs, "there was an idle slot for one of them");
        wait(pool.quiet()).unwrap();
        let results =
            std::iter::from_fn(|| pool.try_next()).filter(|finished| finished.result.is_ok()).count();
        assert_eq!(results, usize::from(mine) + usize::from(theirs));
    });
}
