//! Which worker runs what: the page's book of its workers, as a structure without any JavaScript.
//!
//! ```text
//!  begin ─▶ line ──────────────▶ posted to a worker ──────▶ answered ─▶ poll
//!            │ first come first    │ cancel: told, and still    ▲
//!            │ served, as far as   │ busy until it answers ─────┘
//!            │ an idle worker has  │ lost: the run is told so, and
//!            ▼ the model loaded    ▼ the worker replaced
//!        answered                 answered
//! ```
//!
//! Events go in; what has to be done outside comes out as [`Command`]s and wakers, for the caller to carry out when it no
//! longer holds the book. A worker does one thing at a time: it opens, loads a model, or runs. Workers are made when there is
//! something to do for them, up to a limit; one that is lost is made anew when it is needed. The engine of the page's own thread is
//! one more of them, with rules of its own (`page.rs`). This file does not post anything and knows nothing of tensors.

mod gauge;
mod page;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Poll, Waker};

pub(crate) use page::PAGE;
use page::{Page, Place};

/// Something to do outside of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Make this worker; [`Fleet::ready`] or [`Fleet::lost`] follows.
    Spawn { worker: u32 },
    /// Have it load the model; [`Fleet::loaded`] follows, whatever came of it.
    Load { worker: u32, model: u32 },
    /// Have it forget the model.
    Unload { worker: u32, model: u32 },
    /// Have it run a job; [`Fleet::answer`] follows.
    Post { worker: u32, run: u32, model: u32, job: u32 },
    /// End it: it has nothing to do any more.
    End { worker: u32 },
    /// Tell it that nobody wants the run any more.
    Cancel { worker: u32, run: u32 },
    /// No worker can load the model: whoever waits for that is to be told.
    Refuse { model: u32, lost: bool },
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The outputs are there.
    Done,
    /// It stopped before its end.
    Cancelled,
    /// It failed; the host knows why.
    Failed,
    /// Its worker is gone.
    Lost,
    /// Nobody runs anything any more, or the model is gone.
    Closed,
}

/// So many workers that are lost before they have done anything in a row are a sign that none will ever work.
const PATIENCE: u32 = 3;

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    workers: Vec<Worker>,
    /// The engine of the page's thread, where it may be used.
    page: Option<Page>,
    limit: usize,
    models: BTreeSet<u32>,
    runs: BTreeMap<u32, Run>,
    /// Runs that wait for a worker.
    line: VecDeque<u32>,
    next_run: u32,
    /// Workers that were lost before they were of use, since the last that was.
    failures: u32,
    closed: bool,
    commands: Vec<Command>,
    woken: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Worker {
    doing: Doing,
    loaded: BTreeSet<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doing {
    /// It does not exist, or not any more.
    #[default]
    Gone,
    Opening,
    Loading(u32),
    Idle,
    Running(u32),
}

#[derive(Debug)]
struct Run {
    model: u32,
    job: u32,
    waker: Option<Waker>,
    worker: Option<u32>,
    cancelled: bool,
    answer: Option<Answer>,
}

impl Fleet {
    /// A book of at most so many workers, none of which exists yet.
    pub(crate) fn new(limit: usize) -> Fleet {
        Fleet { limit: limit.max(1), ..Fleet::default() }
    }

    /// What has come up to do, and whom to wake: to be carried out in order when the book is not held.
    pub(crate) fn take(&mut self) -> (Vec<Command>, Vec<Waker>) {
        (std::mem::take(&mut self.commands), std::mem::take(&mut self.woken))
    }

    /// A model of a file of so many bytes that workers shall load; the first does so at once.
    pub(crate) fn add(&mut self, model: u32, bytes: f64) {
        if self.closed {
            return self.commands.push(Command::Refuse { model, lost: false });
        }
        self.models.insert(model);
        self.gauge(model, bytes);
        self.arrange();
    }

    /// Nobody needs the model any more. Its runs are answered.
    pub(crate) fn remove(&mut self, model: u32) {
        if !self.models.remove(&model) {
            return;
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if worker.loaded.remove(&model) || worker.doing == Doing::Loading(model) {
                self.commands.push(Command::Unload { worker: index as u32, model });
            }
        }
        self.leave(model);
        self.give_up(|run| run.model == model);
        self.arrange();
    }

    /// Ends everything. Workers are the host's to end.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.models.clear();
        self.workers.clear();
        self.page = None;
        self.give_up(|_| true);
    }

    /// A run of a job on any worker that has the model.
    pub(crate) fn begin(&mut self, model: u32, job: u32) -> u32 {
        let run = self.next_run;
        self.next_run = self.next_run.wrapping_add(1);
        let possible = !self.closed && self.models.contains(&model);
        let answer = (!possible).then_some(Answer::Closed);
        self.runs.insert(run, Run { model, job, waker: None, worker: None, cancelled: false, answer });
        if possible {
            self.line.push_back(run);
            self.arrange();
        }
        run
    }

    /// What became of the run, which is then forgotten; else the waker is kept. A run that is not known is [`Answer::Closed`].
    pub(crate) fn poll(&mut self, run: u32, waker: &Waker) -> Poll<Answer> {
        let Some(known) = self.runs.get_mut(&run) else { return Poll::Ready(Answer::Closed) };
        if let Some(answer) = known.answer {
            self.runs.remove(&run);
            return Poll::Ready(answer);
        }
        match &mut known.waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// Nobody wants the run any more. One that waits is answered at once.
    pub(crate) fn cancel(&mut self, run: u32) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        if known.answer.is_some() || std::mem::replace(&mut known.cancelled, true) {
            return;
        }
        match known.worker {
            Some(worker) => self.commands.push(Command::Cancel { worker, run }),
            None => {
                self.line.retain(|other| *other != run);
                self.settle(run, Answer::Cancelled);
            }
        }
    }

    /// Nobody will ask for the answer; the worker is told, as by [`Fleet::cancel`].
    pub(crate) fn forget(&mut self, run: u32) {
        self.cancel(run);
        // While a worker has it, its place says so.
        if let Some(known) = self.runs.get_mut(&run) {
            known.waker = None;
            if known.answer.is_some() {
                self.runs.remove(&run);
            } else {
                known.job = FORGOTTEN;
            }
        }
    }

    /// A worker exists and takes messages.
    pub(crate) fn ready(&mut self, worker: u32) {
        self.free(worker, Doing::Opening);
    }

    /// A worker has loaded the model, or (`false`) could not.
    pub(crate) fn loaded(&mut self, worker: u32, model: u32, is_loaded: bool) {
        if self.worker(worker).is_none_or(|worker| worker.doing != Doing::Loading(model)) {
            return;
        }
        if worker == PAGE {
            self.loaded_here(model, is_loaded);
            return self.free(worker, Doing::Loading(model));
        }
        self.failures = 0;
        if is_loaded && self.models.contains(&model) {
            self.workers[worker as usize].loaded.insert(model);
        } else if !is_loaded && self.models.contains(&model) && !self.is_loaded(model) {
            self.models.remove(&model);
            self.leave(model);
            self.commands.push(Command::Refuse { model, lost: false });
            self.give_up(|run| run.model == model);
        }
        self.free(worker, Doing::Loading(model));
    }

    /// A worker has answered a run, of which it is known that it took so many milliseconds.
    pub(crate) fn answer(&mut self, worker: u32, run: u32, answer: Answer, took: Option<f64>) {
        if self.worker(worker).is_none_or(|worker| worker.doing != Doing::Running(run)) {
            return;
        }
        if worker != PAGE {
            self.failures = 0;
        }
        self.measure(worker, run, took);
        self.settle(run, answer);
        self.free(worker, Doing::Running(run));
    }

    /// A worker is gone: it broke, it was ended, or it could not be made.
    pub(crate) fn lost(&mut self, worker: u32) {
        if worker == PAGE {
            return self.lost_page();
        }
        let Some(lost) = self.workers.get_mut(worker as usize) else { return };
        let Worker { doing, loaded } = std::mem::take(lost);
        match doing {
            Doing::Gone => return,
            Doing::Opening | Doing::Loading(_) => self.failures += 1,
            Doing::Idle => {}
            Doing::Running(run) => self.settle_lost(run),
        }
        if self.failures >= PATIENCE && self.workers.iter().all(|worker| worker.doing == Doing::Gone) {
            self.failures = 0;
            for model in std::mem::take(&mut self.models) {
                self.leave(model);
                self.commands.push(Command::Refuse { model, lost: true });
            }
            self.end_all(Answer::Lost, |_| true);
            return self.furnish();
        }
        // What it had is there again before anybody has to wait for it.
        if !loaded.is_empty() || !self.line.is_empty() {
            self.open(worker);
        }
        self.arrange();
    }

    /// How many workers exist.
    pub(crate) fn len(&self) -> usize {
        self.workers.iter().filter(|worker| worker.doing != Doing::Gone).count()
    }

    fn worker(&self, worker: u32) -> Option<&Worker> {
        match worker {
            PAGE => self.page.as_ref().map(|page| &page.engine),
            worker => self.workers.get(worker as usize),
        }
    }

    fn worker_mut(&mut self, worker: u32) -> Option<&mut Worker> {
        match worker {
            PAGE => self.page.as_mut().map(|page| &mut page.engine),
            worker => self.workers.get_mut(worker as usize),
        }
    }

    fn is_loaded(&self, model: u32) -> bool {
        self.workers.iter().any(|worker| worker.loaded.contains(&model))
    }

    fn free(&mut self, worker: u32, from: Doing) {
        if let Some(worker) = self.worker_mut(worker)
            && worker.doing == from
        {
            worker.doing = Doing::Idle;
        }
        self.arrange();
    }

    fn settle(&mut self, run: u32, answer: Answer) {
        let Some(known) = self.runs.get_mut(&run) else { return };
        known.worker = None;
        known.answer = Some(answer);
        self.woken.extend(known.waker.take());
        if known.job == FORGOTTEN {
            self.runs.remove(&run);
        }
    }

    /// Answers the runs that no worker has, of those that are meant.
    fn give_up(&mut self, meant: impl Fn(&Run) -> bool) {
        self.end_all(Answer::Closed, meant);
    }

    fn end_all(&mut self, answer: Answer, meant: impl Fn(&Run) -> bool) {
        let mut ended = Vec::new();
        for (number, run) in &self.runs {
            let waits = run.worker.is_none_or(|worker| self.worker(worker).is_none());
            if run.answer.is_none() && waits && meant(run) {
                ended.push(*number);
            }
        }
        self.line.retain(|run| !ended.contains(run));
        for run in ended {
            self.settle(run, answer);
        }
    }

    /// Gives idle workers something to do, and makes more when there is more.
    fn arrange(&mut self) {
        let mut starved = 0;
        let mut ahead = self.ahead();
        for run in std::mem::take(&mut self.line) {
            let (model, job) = (self.runs[&run].model, self.runs[&run].job);
            match self.place(model, &mut ahead) {
                Place::At(worker) => {
                    if let Some(place) = self.worker_mut(worker) {
                        place.doing = Doing::Running(run);
                    }
                    self.runs.get_mut(&run).expect("it was in the line").worker = Some(worker);
                    self.commands.push(Command::Post { worker, run, model, job });
                }
                Place::Soon => self.line.push_back(run),
                Place::Nowhere => {
                    starved += 1;
                    self.line.push_back(run);
                    self.load(model, starved);
                }
            }
        }
        let unloaded: Vec<u32> =
            self.models.iter().copied().filter(|model| !self.is_loaded(*model)).collect();
        for (index, model) in unloaded.into_iter().enumerate() {
            self.load(model, index + 1);
        }
        self.furnish();
    }

    /// Sees to it that the model is being loaded somewhere, for the `wanted`th that has to wait.
    fn load(&mut self, model: u32, wanted: usize) {
        let is_loading = |worker: &&Worker| worker.doing == Doing::Loading(model);
        if self.workers.iter().filter(is_loading).count() >= wanted {
            return;
        }
        if let Some(worker) =
            self.find(|worker| worker.doing == Doing::Idle && !worker.loaded.contains(&model))
        {
            // Several at once would read one file as often; the first also finds out whether it can be loaded at all.
            if self.workers.iter().any(|worker| worker.doing == Doing::Loading(model))
                && !self.is_loaded(model)
            {
                return;
            }
            self.workers[worker as usize].doing = Doing::Loading(model);
            return self.commands.push(Command::Load { worker, model });
        }
        let opening = self.workers.iter().filter(|worker| worker.doing == Doing::Opening).count();
        if opening >= wanted || (opening > 0 && !self.is_loaded(model)) {
            return;
        }
        match self.find(|worker| worker.doing == Doing::Gone) {
            Some(worker) => self.open(worker),
            None if self.workers.len() < self.limit => {
                self.workers.push(Worker::default());
                self.open(self.workers.len() as u32 - 1);
            }
            None => {}
        }
    }

    fn open(&mut self, worker: u32) {
        // Those that are there carry on alone when others do not come up.
        let hopeless = self.failures >= PATIENCE;
        if !self.closed && !hopeless && self.workers[worker as usize].doing == Doing::Gone {
            self.workers[worker as usize].doing = Doing::Opening;
            self.commands.push(Command::Spawn { worker });
        }
    }

    fn find(&self, wanted: impl Fn(&Worker) -> bool) -> Option<u32> {
        self.workers.iter().position(wanted).map(|index| index as u32)
    }
}

/// The job of a run whose answer nobody will ask for.
const FORGOTTEN: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: f64 = 1000.0;

    fn commands(fleet: &mut Fleet) -> Vec<Command> {
        fleet.take().0
    }

    fn poll(fleet: &mut Fleet, run: u32) -> Poll<Answer> {
        fleet.poll(run, Waker::noop())
    }

    /// A fleet with model 7 loaded on its first worker.
    fn loaded(limit: usize) -> Fleet {
        let mut fleet = Fleet::new(limit);
        fleet.add(7, BYTES);
        assert_eq!(commands(&mut fleet), [Command::Spawn { worker: 0 }]);
        fleet.ready(0);
        assert_eq!(commands(&mut fleet), [Command::Load { worker: 0, model: 7 }]);
        fleet.loaded(0, 7, true);
        assert_eq!(commands(&mut fleet), []);
        fleet
    }

    #[test]
    fn a_run_goes_to_an_idle_worker_and_back() {
        let mut fleet = loaded(1);
        let run = fleet.begin(7, 70);
        assert_eq!(commands(&mut fleet), [Command::Post { worker: 0, run, model: 7, job: 70 }]);
        assert!(poll(&mut fleet, run).is_pending());
        fleet.answer(0, run, Answer::Done, None);
        assert_eq!(fleet.take().1.len(), 1, "whoever polled is woken");
        assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Done));
        assert!(fleet.runs.is_empty());
    }

    #[test]
    fn who_waits_is_served_in_order_and_a_second_worker_is_made_for_the_second() {
        let mut fleet = loaded(2);
        let runs = [1, 2, 3].map(|job| fleet.begin(7, job));
        let post = |worker, index: usize| Command::Post {
            worker,
            run: runs[index],
            model: 7,
            job: index as u32 + 1,
        };
        assert_eq!(commands(&mut fleet), [post(0, 0), Command::Spawn { worker: 1 }]);
        fleet.ready(1);
        assert_eq!(commands(&mut fleet), [Command::Load { worker: 1, model: 7 }]);
        fleet.answer(0, runs[0], Answer::Done, None);
        assert_eq!(commands(&mut fleet), [post(0, 1)]);
        fleet.loaded(1, 7, true);
        assert_eq!(commands(&mut fleet), [post(1, 2)]);
        assert_eq!(fleet.len(), 2);
    }

    #[test]
    fn a_cancelled_run_frees_its_worker_only_when_that_has_answered() {
        let mut fleet = loaded(1);
        let (first, second) = (fleet.begin(7, 1), fleet.begin(7, 2));
        commands(&mut fleet);
        fleet.cancel(second);
        assert_eq!(
            poll(&mut fleet, second),
            Poll::Ready(Answer::Cancelled),
            "one that waits is answered at once"
        );
        let third = fleet.begin(7, 3);
        fleet.cancel(first);
        fleet.cancel(first);
        assert_eq!(commands(&mut fleet), [Command::Cancel { worker: 0, run: first }]);
        assert!(poll(&mut fleet, first).is_pending());
        fleet.answer(0, first, Answer::Cancelled, None);
        assert_eq!(commands(&mut fleet), [Command::Post { worker: 0, run: third, model: 7, job: 3 }]);
        assert_eq!(poll(&mut fleet, first), Poll::Ready(Answer::Cancelled));
    }

    #[test]
    fn a_lost_worker_takes_one_run_with_it_and_is_replaced() {
        let mut fleet = loaded(1);
        let (first, second) = (fleet.begin(7, 1), fleet.begin(7, 2));
        commands(&mut fleet);
        fleet.lost(0);
        assert_eq!(poll(&mut fleet, first), Poll::Ready(Answer::Lost));
        assert_eq!(commands(&mut fleet), [Command::Spawn { worker: 0 }]);
        fleet.answer(0, first, Answer::Done, None);
        fleet.ready(0);
        fleet.loaded(0, 7, true);
        let post = Command::Post { worker: 0, run: second, model: 7, job: 2 };
        assert_eq!(commands(&mut fleet), [Command::Load { worker: 0, model: 7 }, post]);
        // One that had been cancelled ends as cancelled.
        fleet.cancel(second);
        fleet.lost(0);
        assert_eq!(poll(&mut fleet, second), Poll::Ready(Answer::Cancelled));
    }

    #[test]
    fn workers_that_never_come_up_end_the_waiting() {
        let mut fleet = Fleet::new(1);
        fleet.add(7, BYTES);
        let run = fleet.begin(7, 1);
        for _ in 0..PATIENCE {
            assert_eq!(commands(&mut fleet), [Command::Spawn { worker: 0 }]);
            fleet.lost(0);
        }
        assert_eq!(commands(&mut fleet), [Command::Refuse { model: 7, lost: true }]);
        assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Lost));
    }

    #[test]
    fn a_second_worker_that_never_comes_up_is_given_up() {
        let mut fleet = loaded(2);
        let runs = [1, 2].map(|job| fleet.begin(7, job));
        let spawned = |fleet: &mut Fleet| commands(fleet).contains(&Command::Spawn { worker: 1 });
        for _ in 0..PATIENCE {
            assert!(spawned(&mut fleet));
            fleet.lost(1);
        }
        assert!(!spawned(&mut fleet));
        // The first does what there is, and a success is a reason to try again.
        fleet.answer(0, runs[0], Answer::Done, None);
        assert_eq!(commands(&mut fleet), [Command::Post { worker: 0, run: runs[1], model: 7, job: 2 }]);
        fleet.begin(7, 3);
        assert!(spawned(&mut fleet));
    }

    #[test]
    fn a_model_that_cannot_be_loaded_is_refused_once() {
        let mut fleet = Fleet::new(2);
        fleet.add(7, BYTES);
        fleet.ready(0);
        let run = fleet.begin(7, 1);
        commands(&mut fleet);
        fleet.loaded(0, 7, false);
        assert_eq!(commands(&mut fleet), [Command::Refuse { model: 7, lost: false }]);
        assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Closed));
        let late = fleet.begin(7, 2);
        assert_eq!(poll(&mut fleet, late), Poll::Ready(Answer::Closed));
    }

    #[test]
    fn two_models_share_a_worker() {
        let mut fleet = loaded(1);
        fleet.add(8, BYTES);
        assert_eq!(commands(&mut fleet), [Command::Load { worker: 0, model: 8 }]);
        let run = fleet.begin(7, 1);
        assert_eq!(commands(&mut fleet), [], "it loads");
        fleet.loaded(0, 8, true);
        assert_eq!(commands(&mut fleet), [Command::Post { worker: 0, run, model: 7, job: 1 }]);
        fleet.remove(8);
        assert_eq!(commands(&mut fleet), [Command::Unload { worker: 0, model: 8 }]);
    }

    #[test]
    fn a_forgotten_run_leaves_nothing_behind() {
        let mut fleet = loaded(1);
        let (first, second) = (fleet.begin(7, 1), fleet.begin(7, 2));
        fleet.forget(first);
        fleet.forget(second);
        assert_eq!(fleet.runs.len(), 1, "the worker still has one");
        fleet.answer(0, first, Answer::Done, None);
        assert!(fleet.runs.is_empty() && fleet.line.is_empty());
    }

    #[test]
    fn closing_answers_whoever_waits() {
        let mut fleet = loaded(1);
        let runs = [1, 2].map(|job| fleet.begin(7, job));
        fleet.close();
        for run in runs {
            assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Closed));
        }
        let late = fleet.begin(7, 3);
        assert_eq!(poll(&mut fleet, late), Poll::Ready(Answer::Closed));
    }
}
