//! The behaviours in simulated worlds: one thread, virtual time, and interleavings drawn from seeds.
//!
//! Each behaviour runs in [`SEEDS`] worlds. One that fails says the seed of its world; `INFERRY_SEED=n` runs only that one,
//! and `INFERRY_SEEDS=n` more or fewer.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use inferry_behaviour::sim::Sim;
use inferry_behaviour::{behaviour, for_each_behaviour};

/// Worlds for each behaviour.
const SEEDS: u64 = 100;

fn in_every_world<F: Future<Output = ()> + 'static>(behaviour: impl Fn(Sim) -> F) {
    inferry_core::unwind::set_catcher(|body| catch_unwind(AssertUnwindSafe(body)));
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("INFERRY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("INFERRY_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let _says = SaysSeed(seed);
        Sim::run(seed, &behaviour);
    }
}

/// Says the seed when the behaviour panics.
struct SaysSeed(u64);

impl Drop for SaysSeed {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("failed with seed {0}; INFERRY_SEED={0} runs it again", self.0);
        }
    }
}

macro_rules! tests {
    ($($room:ident { $($name:ident [$($row:ident)*] $($only:ident)?,)* })*) => { $( mod $room {
        use super::*;
        $(
        #[test]
        fn $name() {
            in_every_world(|sim| async move { behaviour::$room::$name(&sim).await });
        }
        )*
    } )* };
}

for_each_behaviour!(tests);

#[test]
fn a_seed_is_one_interleaving_and_seeds_differ() {
    inferry_core::unwind::set_catcher(|body| catch_unwind(AssertUnwindSafe(body)));
    let steps = |seed| {
        Sim::run(seed, |sim| async move {
            behaviour::stages::one_request_is_prepared_while_another_waits(&sim).await
        })
    };
    let all: Vec<u64> = (0..20).map(steps).collect();
    assert_eq!(all, (0..20).map(steps).collect::<Vec<_>>());
    assert!(all.iter().any(|count| *count != all[0]), "{all:?}");
}

#[test]
fn what_can_never_go_on_is_a_failure_and_not_a_hang() {
    let hangs = catch_unwind(|| Sim::run(1, |_| std::future::pending()));
    assert!(hangs.is_err());
}
