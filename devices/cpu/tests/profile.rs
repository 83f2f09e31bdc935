//! Who listens is told how long each node took, by the clock that it lent.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use inferry_core::{Clock, ElementType, Serial, Slice, Stop};
use inferry_cpu::Options;
use inferry_cpu::profile::{Listener, Profile};
use inferry_engine::op::{Concat, Transpose};
use support::*;

/// Every look at it takes ten nanoseconds.
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> u64 {
        self.0.fetch_add(10, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<(String, u64)>>);

impl Listener for Notes {
    fn node(&self, name: &str, nanos: u64) {
        self.0.lock().unwrap().push((name.to_string(), nanos));
    }
}

#[test]
fn each_turn_of_each_node_is_told() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::F32, &[2, 2]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let y = sketch.op(Concat { axis: 0 }, &[turned, x]);
    sketch.graph.nodes[0].name = "turn".into();
    let notes = Arc::new(Notes::default());
    let profile = Profile { clock: Arc::new(Ticking(AtomicU64::new(0))), listener: notes.clone() };
    let compiled =
        compile_with(&sketch.model(&[y]), &Options { profile: Some(profile), ..Options::default() });
    let mut runner = Runner::new(&compiled);
    runner.run(&[count(&[2, 2])]);
    let told = [("turn".to_string(), 10), ("Concat #1".to_string(), 10)];
    assert_eq!(*notes.0.lock().unwrap(), told);
    // An interrupted node has a turn before the interruption and one after it.
    runner.run_with(Slice::Looks(1), &Serial, Stop::never()).unwrap();
    assert!(notes.0.lock().unwrap().len() >= 4);
}
