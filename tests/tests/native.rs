//! The behaviours on desktop threads, in every arrangement that changes who runs what.
#![forbid(unsafe_code)]

use std::sync::Arc;

use inferry::device::CompiledModel;
use inferry::{Options, Runtime, block_on};
use inferry_behaviour::native::{place, within_a_minute};
use inferry_behaviour::world::{Model, World};
use inferry_behaviour::{behaviour, for_each_behaviour};

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
    fn place(&self, device: &str, model: Arc<dyn CompiledModel>) -> Model {
        let compiled = place(&self.runtime, self.options, device, model);
        Model { device: compiled.on_device().clone(), pipeline: compiled.pipeline().clone() }
    }

    fn is_inline(&self) -> bool {
        self.options == Options::inline()
    }
}

macro_rules! tests {
    ($($room:ident { $($name:ident [$($row:ident)*] $($only:ident)?,)* })*) => { $( mod $room {
        #[allow(unused_imports, reason = "a room may have nothing but timed behaviours")]
        use super::super::*;
        $( test!($room $name $($only)?); )*
    } )* };
}

macro_rules! test {
    ($room:ident $name:ident timed) => {};
    ($room:ident $name:ident $(unwinds)?) => {
        #[test]
        fn $name() {
            within_a_minute(|| {
                let world = Threads::new(super::options());
                block_on(behaviour::$room::$name(&world));
            });
        }
    };
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
