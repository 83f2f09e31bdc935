//! What many measured times say: the median, the average, the ends, and the slow tail.
//!
//! A percentile here is a time that was measured (the nearest rank), never a mean of two that were not.

use std::time::Duration;

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half of the times are at most this.
    pub median: f64,
    /// The arithmetic mean.
    pub avg: f64,
    /// The quickest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
    /// Nine in ten are at most this.
    pub p90: f64,
    /// Ninety-nine in a hundred are at most this.
    pub p99: f64,
}

impl Latency {
    /// Sums up; nothing when nothing was measured.
    pub fn of(times: &[Duration]) -> Option<Latency> {
        let mut sorted: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| sorted[((sorted.len() as f64 * share).ceil() as usize).max(1) - 1];
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let avg = sorted.iter().sum::<f64>() / sorted.len() as f64;
        Some(Latency { median: rank(0.5), avg, min, max, p90: rank(0.9), p99: rank(0.99) })
    }

    /// As an object of milliseconds.
    pub fn json(&self) -> serde_json::Value {
        let Latency { median, avg, min, max, p90, p99 } = self;
        serde_json::json!({ "median": median, "avg": avg, "min": min, "max": max, "p90": p90, "p99": p99 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: impl IntoIterator<Item = u64>) -> Option<Latency> {
        Latency::of(&milliseconds.into_iter().map(Duration::from_millis).collect::<Vec<_>>())
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let latency = of((1..=100).rev()).unwrap();
        let Latency { median, avg, min, max, p90, p99 } = latency;
        assert_eq!((median, avg, min, max, p90, p99), (50.0, 50.5, 1.0, 100.0, 90.0, 99.0));
    }

    #[test]
    fn one_time_is_all_of_them() {
        let Latency { median, avg, min, max, p90, p99 } = of([7]).unwrap();
        assert!([median, avg, min, max, p90, p99].iter().all(|time| *time == 7.0));
    }

    #[test]
    fn a_single_slow_run_shows_in_the_tail_and_not_in_the_median() {
        let latency = of([1, 1, 1, 1, 1, 1, 1, 1, 1, 1000]).unwrap();
        assert_eq!((latency.median, latency.p90, latency.p99), (1.0, 1.0, 1000.0));
    }

    #[test]
    fn nothing_measured_says_nothing() {
        assert_eq!(of([]), None);
    }
}
