//! How long the runs of a model take, and so on which side of the way to a worker it belongs.
//!
//! ```text
//!               NEEDED runs in a row, each shorter than SHORT
//!   workers ───────────────────────────────────────────────────▶ page
//!           ◀───────────────────────────────────────────────────
//!               runs longer than LONG, again and again; the next time more have to be short
//! ```
//!
//! A gauge is told what each run took and says when the model should move. It does not know of engines, nor of time: where
//! the runs took place and whether they can move is `page.rs`.

/// A run of less milliseconds is short. The way to a worker and back takes a browser 0.1 to 0.3 ms, and a run that computes
/// longer than that is worth it: the page's thread is everybody's.
const SHORT: f64 = 0.3;

/// A run of more milliseconds is too long for the page. Between the two a model stays where it is.
const LONG: f64 = 0.6;

/// So many short runs make a model one for the page.
const NEEDED: u32 = 8;

/// How much longer the series has to be after each return, and the longest that is asked for.
const MORE: u32 = 8;
const MOST_NEEDED: u32 = 4096;

/// What a run that is not short takes back from the series: one delayed by others does not undo it, regular ones do.
const SETBACK: u32 = 4;

/// What a long run on the page weighs, against 1 of one that is not long, and at which weight the model leaves. So a third of
/// long runs is too many, and one that others delayed is forgiven.
const STRIKE: u32 = 2;
const STRIKES: u32 = 4;

/// What one model's runs have taken of late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gauge {
    /// Whether the page is its place.
    on_page: bool,
    /// Short runs in workers, or the weight of long ones on the page.
    count: u32,
    needed: u32,
    /// Milliseconds of a run, the latest weighing most.
    mean: Option<f64>,
}

impl Gauge {
    /// That of a model of which nothing is known: its place is in workers.
    pub(crate) fn new() -> Gauge {
        Gauge { on_page: false, count: 0, needed: NEEDED, mean: None }
    }

    /// Whether the model's place is on the page.
    pub(crate) fn is_on_page(&self) -> bool {
        self.on_page
    }

    /// What a run will take, in milliseconds.
    pub(crate) fn expected(&self) -> f64 {
        self.mean.unwrap_or(LONG)
    }

    /// A run in a worker took so many milliseconds; true when the model should move to the page.
    pub(crate) fn ran_away(&mut self, took: f64) -> bool {
        self.average(took);
        if self.on_page {
            return false;
        }
        self.count = if took < SHORT { self.count + 1 } else { self.count.saturating_sub(SETBACK) };
        if self.count >= self.needed {
            (self.on_page, self.count) = (true, 0);
        }
        self.on_page
    }

    /// A run on the page took so many milliseconds; true when the model should leave it.
    pub(crate) fn ran_here(&mut self, took: f64) -> bool {
        self.average(took);
        if !self.on_page {
            return false;
        }
        self.count = if took > LONG { self.count + STRIKE } else { self.count.saturating_sub(1) };
        if self.count >= STRIKES {
            (self.on_page, self.count) = (false, 0);
            self.needed = self.needed.saturating_mul(MORE).min(MOST_NEEDED);
        }
        !self.on_page
    }

    /// The page's engine is gone, by no fault of this model: it begins anew.
    pub(crate) fn reset(&mut self) {
        (self.on_page, self.count) = (false, 0);
    }

    fn average(&mut self, took: f64) {
        // Clocks of browsers are coarse; over eight runs they are right.
        let mean = self.mean.get_or_insert(took);
        *mean += (took - *mean) / f64::from(NEEDED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many runs of so many milliseconds move it to the page, of `most` at most.
    fn moves_after(gauge: &mut Gauge, took: f64, most: u32) -> Option<u32> {
        (1..=most).find(|_| gauge.ran_away(took))
    }

    #[test]
    fn a_series_of_short_runs_moves_a_model_and_a_long_one_does_not() {
        assert_eq!(moves_after(&mut Gauge::new(), 0.1, 100), Some(NEEDED));
        assert_eq!(moves_after(&mut Gauge::new(), SHORT, 10_000), None);
        let mut gauge = Gauge::new();
        for _ in 0..1000 {
            assert!(!gauge.ran_away(0.1) && !gauge.ran_away(5.0), "half of its runs are long");
        }
        // One that was delayed makes the series longer and does not end it.
        let mut gauge = Gauge::new();
        for _ in 1..NEEDED {
            assert!(!gauge.ran_away(0.1));
        }
        assert!(!gauge.ran_away(40.0));
        assert_eq!(moves_after(&mut gauge, 0.1, 100), Some(SETBACK + 1));
    }

    #[test]
    fn long_runs_take_it_back_and_one_that_was_delayed_does_not() {
        let mut gauge = Gauge::new();
        moves_after(&mut gauge, 0.1, NEEDED);
        for _ in 0..100 {
            assert!(!gauge.ran_here(40.0) && !gauge.ran_here(0.1) && !gauge.ran_here(LONG), "forgiven");
        }
        assert!(!gauge.ran_here(1.0));
        assert!(gauge.ran_here(1.0));
        assert!(!gauge.is_on_page());
    }

    #[test]
    fn each_return_asks_for_a_longer_series() {
        let mut gauge = Gauge::new();
        for needed in [8, 64, 512, 4096, 4096] {
            assert_eq!(moves_after(&mut gauge, 0.1, 10_000), Some(needed));
            assert!(!gauge.ran_away(0.1), "what still runs in a worker asks for nothing more");
            while !gauge.ran_here(1.0) {}
            assert!(!gauge.ran_here(1.0), "nor what still ran on the page");
        }
    }

    #[test]
    fn what_it_expects_follows_the_runs() {
        let mut gauge = Gauge::new();
        assert_eq!(gauge.expected(), LONG, "of what is not known, much");
        gauge.ran_away(0.2);
        assert_eq!(gauge.expected(), 0.2);
        for _ in 0..100 {
            gauge.ran_away(0.1);
        }
        assert!((gauge.expected() - 0.1).abs() < 1e-3);
    }
}
