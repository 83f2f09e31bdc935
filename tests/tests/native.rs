//! The behaviours on desktop threads, in every arrangement that changes who runs what.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use inferry::{Options, Runtime, block_on};
use inferry_behaviour::for_each_behaviour;
use inferry_behaviour::world::{Model, World};
use inferry_template::{Chip, Form, Graph, Template};

struct Threads {
    runtime: Runtime,
    options: Options,
}

impl Threads {
    fn new(options: Options) -> Threads {
        Threads { runtime: Runtime::new().unwrap(), options }
    }
}

impl World for Threads {
    fn compile(&self, graph: &Graph, form: Form, chip: &Arc<Chip>) -> Model {
        let compiled =
            self.runtime.compile_on(&Template::new(chip.clone()), graph, &form, self.options).unwrap();
        Model { device: compiled.on_device().clone(), pipeline: compiled.pipeline().clone() }
    }

    fn is_inline(&self) -> bool {
        self.options == Options::inline()
    }
}

/// Runs a behaviour to its end; one that hangs is a failure and not a test run that never ends.
fn run(options: Options, behaviour: impl FnOnce(Threads) + Send + 'static) {
    let (ended, end) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        behaviour(Threads::new(options));
        drop(ended);
    });
    match end.recv_timeout(Duration::from_secs(60)) {
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

macro_rules! tests {
    ($($room:ident { $($name:ident,)* })*) => { $( mod $room { $(
        #[test]
        fn $name() {
            super::super::run(super::options(), |world| {
                super::super::block_on(inferry_behaviour::behaviour::$room::$name(&world));
            });
        }
    )* } )* };
}

/// A module of tests for each arrangement of threads.
macro_rules! arrangements {
    ($($(#[$doc:meta])* $arrangement:ident: $options:expr;)*) => { $(
        $(#[$doc])*
        mod $arrangement {
            fn options() -> inferry::Options {
                $options
            }

            super::for_each_behaviour!(tests);
        }
    )* };
}

arrangements! {
    /// Everything before one thread: the order is strict, and nothing overlaps by accident.
    one_stream: super::Options::latency().threads(1);
    /// Two requests compute side by side.
    two_streams: super::Options::throughput().threads(2);
    /// One stream that forks over two threads.
    wide_stream: super::Options::latency().threads(2);
    /// Callbacks on the streams that computed.
    callbacks_on_streams: super::Options::throughput().threads(2).callback_threads(0);
    /// Callbacks of different requests side by side.
    many_callback_threads: super::Options::throughput().threads(2).callback_threads(3);
    /// No threads at all.
    inline: super::Options::inline();
}
