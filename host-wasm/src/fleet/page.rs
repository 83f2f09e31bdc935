//! The engine of the page's own thread: one more place to run, for models whose runs are shorter than the way to a worker.
//!
//! ```text
//!  add ─▶ runs in workers ─ short, again and again ─▶ the page loads it too ─▶ its runs are computed on the page
//!              ▲       (workers go on meanwhile)                                  │ long, again and again
//!              └──────────────────────────────────────────────────────────────────┘ lost: and never again
//! ```
//!
//! The page's engine exists only while a model has its place there. It takes a run when it is idle. While it is busy, a run waits for
//! it if what is before it will take less than the way to a worker, so that many tiny runs are not sent away to wait for their
//! answers; else an idle worker takes it, so that longer ones are spread. A model that the page has keeps its workers: who goes back
//! waits for nothing.

use std::collections::BTreeMap;

use super::gauge::Gauge;
use super::{Answer, Command, Doing, Fleet, Worker};

/// The number of the page's engine, where that of a worker is wanted.
pub(crate) const PAGE: u32 = u32::MAX;

/// Files of more bytes stay in workers: the page would hold their weights once more.
const MOST_BYTES: f64 = (4 << 20) as f64;

/// Milliseconds of the way to a worker and back, at the least.
const WAY: f64 = 0.1;

/// Milliseconds of a slice on the page, about.
const SLICE: f64 = 2.0;

/// What the book knows of the page's engine.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) engine: Worker,
    /// Of the models that may come to the page.
    gauges: BTreeMap<u32, Gauge>,
    /// The run that it has did not fit into a slice: who knows how long it will take.
    is_slow: bool,
}

/// What becomes of a run that waits.
pub(super) enum Place {
    At(u32),
    /// It is sooner done by waiting for the page than by a worker.
    Soon,
    Nowhere,
}

impl Fleet {
    /// Lets models whose runs are short be computed on the page's thread.
    pub(crate) fn with_page(mut self) -> Fleet {
        self.page = Some(Page::default());
        self
    }

    /// A run did not fit into one slice. Who waits for the page need not do so any longer.
    pub(crate) fn overrun(&mut self, worker: u32, run: u32) {
        if let Some(page) = &mut self.page
            && worker == PAGE
            && page.engine.doing == Doing::Running(run)
        {
            page.is_slow = true;
            self.arrange();
        }
    }

    /// A model that has so many bytes may come to the page.
    pub(super) fn gauge(&mut self, model: u32, bytes: f64) {
        if let Some(page) = &mut self.page
            && bytes <= MOST_BYTES
        {
            page.gauges.insert(model, Gauge::new());
        }
    }

    /// Nobody needs the model on the page any more.
    pub(super) fn leave(&mut self, model: u32) {
        let Some(page) = &mut self.page else { return };
        page.gauges.remove(&model);
        page.unload(model, &mut self.commands);
    }

    /// A run is answered, of which it may be known that it took so many milliseconds.
    pub(super) fn measure(&mut self, worker: u32, run: u32, took: Option<f64>) {
        let (Some(page), Some(run)) = (&mut self.page, self.runs.get(&run)) else { return };
        let was_slow = worker == PAGE && std::mem::take(&mut page.is_slow);
        let Some(gauge) = page.gauges.get_mut(&run.model) else { return };
        // One that was stopped after its first slice was long, too.
        let Some(took) = took.or(was_slow.then_some(SLICE)) else { return };
        if worker != PAGE {
            gauge.ran_away(took);
        } else if gauge.ran_here(took) {
            page.unload(run.model, &mut self.commands);
        }
    }

    /// The page has computed a run of the model within the call that asked for it, which this book never saw, in so many
    /// milliseconds.
    pub(crate) fn ran_at_once(&mut self, model: u32, took: f64) {
        let Some(page) = &mut self.page else { return };
        if page.gauges.get_mut(&model).is_some_and(|gauge| gauge.ran_here(took)) {
            page.unload(model, &mut self.commands);
            self.arrange();
        }
    }

    /// The page has loaded the model, or could not: then it stays in workers. One that is not wanted any more is being unloaded.
    pub(super) fn loaded_here(&mut self, model: u32, is_loaded: bool) {
        let Some(page) = &mut self.page else { return };
        if !is_loaded {
            page.gauges.remove(&model);
        } else if page.gauges.contains_key(&model) {
            page.engine.loaded.insert(model);
        }
    }

    /// The page's engine is gone. Whose run or load broke it does not come back to it, the others have to prove themselves again.
    pub(super) fn lost_page(&mut self) {
        let Some(page) = &mut self.page else { return };
        page.is_slow = false;
        page.gauges.values_mut().for_each(Gauge::reset);
        match std::mem::take(&mut page.engine).doing {
            Doing::Gone | Doing::Idle => {}
            // One that does not even come up will not the next time.
            Doing::Opening => self.page = None,
            Doing::Loading(model) => drop(page.gauges.remove(&model)),
            Doing::Running(run) => {
                if let Some(run) = self.runs.get(&run) {
                    page.gauges.remove(&run.model);
                }
                self.settle_lost(run);
            }
        }
        self.arrange();
    }

    /// Milliseconds that a run has to wait for the page, when it is the next.
    pub(super) fn ahead(&self) -> f64 {
        let Some(page) = &self.page else { return f64::INFINITY };
        match page.engine.doing {
            Doing::Idle => 0.0,
            Doing::Running(run) if !page.is_slow => {
                self.runs.get(&run).map_or(f64::INFINITY, |run| page.expected(run.model))
            }
            _ => f64::INFINITY,
        }
    }

    /// Where a run of the model should go; `ahead` is what the page has to do before, and grows with a run that waits for it.
    pub(super) fn place(&self, model: u32, ahead: &mut f64) -> Place {
        if let Some(page) = &self.page
            && page.engine.loaded.contains(&model)
        {
            if page.engine.doing == Doing::Idle {
                *ahead += page.expected(model);
                return Place::At(PAGE);
            }
            if *ahead < WAY {
                *ahead += page.expected(model);
                return Place::Soon;
            }
        }
        match self.find(|worker| worker.doing == Doing::Idle && worker.loaded.contains(&model)) {
            Some(worker) => Place::At(worker),
            None => Place::Nowhere,
        }
    }

    /// Has the page load what belongs there, one at a time, and ends its engine when nothing does.
    pub(super) fn furnish(&mut self) {
        let Some(page) = &mut self.page else { return };
        let wanted = page.gauges.iter().filter(|(_, gauge)| gauge.is_on_page());
        let missing = wanted.map(|(model, _)| *model).find(|model| !page.engine.loaded.contains(model));
        match (page.engine.doing, missing) {
            (Doing::Gone, Some(_)) => {
                page.engine.doing = Doing::Opening;
                self.commands.push(Command::Spawn { worker: PAGE });
            }
            (Doing::Idle, Some(model)) => {
                page.engine.doing = Doing::Loading(model);
                self.commands.push(Command::Load { worker: PAGE, model });
            }
            (Doing::Idle, None) if page.engine.loaded.is_empty() => {
                page.engine = Worker::default();
                self.commands.push(Command::End { worker: PAGE });
            }
            _ => {}
        }
    }

    /// The answer of a run whose engine is gone.
    pub(super) fn settle_lost(&mut self, run: u32) {
        let was_cancelled = self.runs.get(&run).is_some_and(|run| run.cancelled);
        self.settle(run, if was_cancelled { Answer::Cancelled } else { Answer::Lost });
    }
}

impl Page {
    fn expected(&self, model: u32) -> f64 {
        self.gauges.get(&model).map_or(f64::INFINITY, Gauge::expected)
    }

    fn unload(&mut self, model: u32, commands: &mut Vec<Command>) {
        if self.engine.loaded.remove(&model) || self.engine.doing == Doing::Loading(model) {
            commands.push(Command::Unload { worker: PAGE, model });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Poll, Waker};

    use super::*;

    const BYTES: f64 = 1000.0;
    /// Milliseconds.
    const SHORT: f64 = 0.05;
    const LONG: f64 = 5.0;

    fn commands(fleet: &mut Fleet) -> Vec<Command> {
        fleet.take().0
    }

    fn poll(fleet: &mut Fleet, run: u32) -> Poll<Answer> {
        fleet.poll(run, Waker::noop())
    }

    /// A fleet whose workers have these models.
    fn loaded(limit: usize, models: &[u32]) -> Fleet {
        let mut fleet = Fleet::new(limit).with_page();
        for model in models {
            fleet.add(*model, BYTES);
            fleet.ready(0);
            fleet.loaded(0, *model, true);
        }
        commands(&mut fleet);
        fleet
    }

    /// Runs a job to its end, wherever it is posted; gives where.
    fn run(fleet: &mut Fleet, model: u32, took: f64) -> u32 {
        let run = fleet.begin(model, 1);
        let posted = commands(fleet).into_iter().find_map(|command| match command {
            Command::Post { worker, run: posted, .. } if posted == run => Some(worker),
            _ => None,
        });
        let worker = posted.expect("somebody is idle");
        fleet.answer(worker, run, Answer::Done, Some(took));
        assert_eq!(poll(fleet, run), Poll::Ready(Answer::Done));
        worker
    }

    /// Runs short jobs until the page is to have the model; gives what comes of the last.
    fn prove(fleet: &mut Fleet, model: u32) -> Vec<Command> {
        for _ in 0..10_000 {
            assert_eq!(run(fleet, model, SHORT), 0);
            let commands = commands(fleet);
            if !commands.is_empty() {
                return commands;
            }
        }
        panic!("it never moves");
    }

    /// A fleet whose model 7 is on the page.
    fn moved(limit: usize) -> Fleet {
        let mut fleet = loaded(limit, &[7]);
        assert_eq!(prove(&mut fleet, 7), [Command::Spawn { worker: PAGE }]);
        assert_eq!(run(&mut fleet, 7, SHORT), 0, "it goes on in its worker");
        fleet.ready(PAGE);
        assert_eq!(commands(&mut fleet), [Command::Load { worker: PAGE, model: 7 }]);
        assert_eq!(run(&mut fleet, 7, SHORT), 0, "meanwhile, too");
        fleet.loaded(PAGE, 7, true);
        assert_eq!(commands(&mut fleet), []);
        fleet
    }

    fn post(worker: u32, run: u32) -> Command {
        Command::Post { worker, run, model: 7, job: 1 }
    }

    #[test]
    fn a_model_of_short_runs_moves_to_the_page_and_back_when_they_turn_out_long() {
        let mut fleet = moved(1);
        assert_eq!(run(&mut fleet, 7, SHORT), PAGE);
        assert_eq!(run(&mut fleet, 7, LONG), PAGE, "one may have been delayed");
        assert_eq!(commands(&mut fleet), []);
        assert_eq!(run(&mut fleet, 7, LONG), PAGE);
        assert_eq!(
            commands(&mut fleet),
            [Command::Unload { worker: PAGE, model: 7 }, Command::End { worker: PAGE }]
        );
        assert_eq!(run(&mut fleet, 7, LONG), 0);
        // It may come again, after more of short ones.
        assert_eq!(prove(&mut fleet, 7), [Command::Spawn { worker: PAGE }]);
        assert_eq!(fleet.len(), 1, "the page's engine is no worker");
    }

    #[test]
    fn runs_that_are_computed_at_once_count_as_the_page_s_own() {
        let mut fleet = moved(1);
        fleet.ran_at_once(8, LONG);
        for _ in 0..10 {
            fleet.ran_at_once(7, LONG);
            fleet.ran_at_once(7, SHORT);
            fleet.ran_at_once(7, SHORT);
        }
        assert_eq!(commands(&mut fleet), [], "each was forgiven");
        fleet.ran_at_once(7, LONG);
        fleet.ran_at_once(7, LONG);
        assert_eq!(
            commands(&mut fleet),
            [Command::Unload { worker: PAGE, model: 7 }, Command::End { worker: PAGE }]
        );
        fleet.ran_at_once(7, LONG);
        assert_eq!(run(&mut fleet, 7, LONG), 0, "it is gone");
        assert_eq!(commands(&mut fleet), []);
    }

    #[test]
    fn large_models_and_fleets_without_a_page_stay_in_workers() {
        let mut fleet = Fleet::new(1).with_page();
        fleet.add(7, MOST_BYTES + 1.0);
        let mut without = Fleet::new(1);
        without.add(7, BYTES);
        for mut fleet in [fleet, without] {
            fleet.ready(0);
            fleet.loaded(0, 7, true);
            commands(&mut fleet);
            for _ in 0..10_000 {
                assert_eq!(run(&mut fleet, 7, SHORT), 0);
            }
            assert_eq!(commands(&mut fleet), []);
        }
    }

    #[test]
    fn a_run_waits_for_the_page_only_while_that_is_sooner_than_a_worker() {
        let mut fleet = moved(1);
        // At 0.05 ms a run, two are ahead of the third; that is what the way takes.
        let runs = [(); 4].map(|()| fleet.begin(7, 1));
        assert_eq!(commands(&mut fleet), [post(PAGE, runs[0]), post(0, runs[2])]);
        fleet.answer(PAGE, runs[0], Answer::Done, Some(SHORT));
        assert_eq!(commands(&mut fleet), [post(PAGE, runs[1])], "first come, first served");
        fleet.answer(0, runs[2], Answer::Done, Some(SHORT));
        assert_eq!(commands(&mut fleet), [], "the fourth is the next");
        fleet.answer(PAGE, runs[1], Answer::Done, Some(SHORT));
        assert_eq!(commands(&mut fleet), [post(PAGE, runs[3])]);
    }

    #[test]
    fn who_waits_for_a_run_that_outgrows_its_slice_goes_to_a_worker() {
        let mut fleet = moved(1);
        let runs = [(); 2].map(|()| fleet.begin(7, 1));
        assert_eq!(commands(&mut fleet), [post(PAGE, runs[0])]);
        fleet.overrun(PAGE, runs[1]);
        assert_eq!(commands(&mut fleet), [], "that is not the one");
        fleet.overrun(PAGE, runs[0]);
        assert_eq!(commands(&mut fleet), [post(0, runs[1])]);
        // Cancelled, it was long all the same; the next one is not slow before it has been seen to be.
        fleet.cancel(runs[0]);
        assert_eq!(commands(&mut fleet), [Command::Cancel { worker: PAGE, run: runs[0] }]);
        fleet.answer(PAGE, runs[0], Answer::Cancelled, None);
        let next = [(); 2].map(|()| fleet.begin(7, 1));
        assert_eq!(commands(&mut fleet), [post(PAGE, next[0])]);
        fleet.answer(PAGE, next[0], Answer::Done, Some(LONG));
        let left = commands(&mut fleet);
        assert_eq!(left[0], Command::Unload { worker: PAGE, model: 7 });
        assert_eq!(left.len(), 2, "who waited for the page waits for the worker now: {left:?}");
        fleet.answer(0, runs[1], Answer::Done, None);
        assert_eq!(commands(&mut fleet), [post(0, next[1])]);
    }

    #[test]
    fn a_run_that_waits_for_the_page_can_be_cancelled() {
        let mut fleet = moved(1);
        let runs = [(); 3].map(|()| fleet.begin(7, 1));
        assert_eq!(commands(&mut fleet), [post(PAGE, runs[0]), post(0, runs[2])]);
        fleet.cancel(runs[1]);
        assert_eq!(poll(&mut fleet, runs[1]), Poll::Ready(Answer::Cancelled));
        fleet.forget(runs[0]);
        fleet.answer(PAGE, runs[0], Answer::Cancelled, None);
        assert!(poll(&mut fleet, runs[2]).is_pending());
    }

    #[test]
    fn what_breaks_the_page_costs_its_run_and_stays_away() {
        let mut fleet = loaded(2, &[7, 8]);
        for model in [7, 8] {
            prove(&mut fleet, model);
            fleet.ready(PAGE);
            fleet.loaded(PAGE, model, true);
        }
        commands(&mut fleet);
        let [on_page, in_worker] = [fleet.begin(7, 1), fleet.begin(8, 1)];
        fleet.overrun(PAGE, on_page);
        let cancelled = fleet.begin(7, 1);
        commands(&mut fleet);
        fleet.cancel(cancelled);
        fleet.lost(PAGE);
        assert_eq!(poll(&mut fleet, on_page), Poll::Ready(Answer::Lost));
        assert!(poll(&mut fleet, in_worker).is_pending());
        assert!(!commands(&mut fleet).contains(&Command::Spawn { worker: PAGE }), "nobody asks for it now");
        fleet.answer(0, in_worker, Answer::Done, Some(SHORT));
        assert_eq!(poll(&mut fleet, in_worker), Poll::Ready(Answer::Done));
        // The one that was not to blame comes back, the other does not.
        assert_eq!(prove(&mut fleet, 8), [Command::Spawn { worker: PAGE }]);
        fleet.ready(PAGE);
        fleet.loaded(PAGE, 8, true);
        commands(&mut fleet);
        for _ in 0..1000 {
            assert_eq!(run(&mut fleet, 7, SHORT), 0);
        }
        assert_eq!(commands(&mut fleet), []);
        assert_eq!(run(&mut fleet, 8, SHORT), PAGE);
    }

    #[test]
    fn a_page_that_cannot_load_a_model_or_does_not_come_up_is_not_asked_again() {
        let mut fleet = loaded(1, &[7, 8]);
        prove(&mut fleet, 7);
        fleet.ready(PAGE);
        fleet.loaded(PAGE, 7, false);
        assert_eq!(
            commands(&mut fleet),
            [Command::Load { worker: PAGE, model: 7 }, Command::End { worker: PAGE }]
        );
        prove(&mut fleet, 8);
        fleet.ready(PAGE);
        fleet.lost(PAGE);
        assert_eq!(commands(&mut fleet), [Command::Load { worker: PAGE, model: 8 }]);
        fleet.add(9, BYTES);
        fleet.loaded(0, 9, true);
        commands(&mut fleet);
        assert_eq!(prove(&mut fleet, 9), [Command::Spawn { worker: PAGE }]);
        fleet.lost(PAGE);
        fleet.add(10, BYTES);
        fleet.loaded(0, 10, true);
        commands(&mut fleet);
        for model in [7, 8, 9, 10].repeat(1000) {
            assert_eq!(run(&mut fleet, model, SHORT), 0);
        }
        assert_eq!(commands(&mut fleet), []);
    }

    #[test]
    fn a_model_that_is_removed_leaves_the_page_and_the_last_one_ends_its_engine() {
        let mut fleet = moved(1);
        let run = fleet.begin(7, 1);
        commands(&mut fleet);
        fleet.remove(7);
        let unload = |worker| Command::Unload { worker, model: 7 };
        assert_eq!(commands(&mut fleet), [unload(0), unload(PAGE)], "it answers first");
        fleet.answer(PAGE, run, Answer::Cancelled, None);
        assert_eq!(commands(&mut fleet), [Command::End { worker: PAGE }]);
        assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Cancelled));
        // While it loads, too; and one that comes up for nothing is ended.
        let mut fleet = loaded(1, &[7]);
        prove(&mut fleet, 7);
        fleet.remove(7);
        fleet.ready(PAGE);
        assert_eq!(commands(&mut fleet), [unload(0), Command::End { worker: PAGE }]);
        let mut fleet = loaded(1, &[7]);
        prove(&mut fleet, 7);
        fleet.ready(PAGE);
        commands(&mut fleet);
        fleet.remove(7);
        assert_eq!(commands(&mut fleet), [unload(0), unload(PAGE)]);
        fleet.loaded(PAGE, 7, true);
        assert_eq!(commands(&mut fleet), [Command::End { worker: PAGE }]);
    }

    #[test]
    fn workers_that_never_come_up_again_take_their_models_from_the_page_too() {
        let mut fleet = moved(1);
        let run = fleet.begin(7, 1);
        for _ in 0..4 {
            fleet.lost(0);
        }
        let commands_now = commands(&mut fleet);
        assert!(commands_now.contains(&Command::Refuse { model: 7, lost: true }), "{commands_now:?}");
        assert!(commands_now.contains(&Command::Unload { worker: PAGE, model: 7 }));
        fleet.answer(PAGE, run, Answer::Done, Some(SHORT));
        assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Done));
        assert_eq!(commands(&mut fleet), [Command::End { worker: PAGE }]);
    }

    #[test]
    fn closing_answers_what_the_page_has() {
        let mut fleet = moved(1);
        let runs = [(); 2].map(|()| fleet.begin(7, 1));
        fleet.close();
        for run in runs {
            assert_eq!(poll(&mut fleet, run), Poll::Ready(Answer::Closed));
        }
    }
}
