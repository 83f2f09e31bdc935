//! How a compiled model is run: on how many streams, over how many threads.

use inferry_engine::device::Limits;
use inferry_engine::onnx;

use crate::topology;

/// How a compiled model is run. Begin with [`Options::latency`] or [`Options::throughput`].
///
/// A *stream* is a thread that runs requests one after the other. The kernels of a request are forked over its share of the
/// threads that have no request: over all of them when it is alone, over none when every thread has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    streams: Count,
    threads: Option<usize>,
    callbacks: Callbacks,
    profiling: bool,
    limits: Limits,
    file_limits: onnx::Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// As many as there are threads.
    AsThreads,
    Fixed(usize),
}

/// On which threads completion callbacks are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callbacks {
    OwnThreads(usize),
    Streams,
}

impl Options {
    /// One stream over all cores: requests that are started are computed one after the other, each as fast as possible.
    pub fn latency() -> Options {
        Options {
            streams: Count::Fixed(1),
            threads: None,
            callbacks: Callbacks::OwnThreads(1),
            profiling: false,
            limits: Limits::default(),
            file_limits: onnx::Limits::default(),
        }
    }

    /// As many streams as cores: the most requests a second, when enough are in flight
    /// ([`CompiledModel::optimal_requests`](crate::CompiledModel::optimal_requests)). A request that is alone is computed by all
    /// of them.
    pub fn throughput() -> Options {
        Options { streams: Count::AsThreads, ..Options::latency() }
    }

    /// No streams and no threads: [`start`](crate::Request::start) computes on the caller's stack, callback included,
    /// and is over when it returns.
    pub fn inline() -> Options {
        Options::latency().streams(0)
    }

    /// So many streams. 0 is [`Options::inline`].
    #[must_use]
    pub fn streams(self, count: usize) -> Options {
        Options { streams: Count::Fixed(count), ..self }
    }

    /// So many threads over all streams, instead of one a core. Each stream has at least one, and all the same number: of 5
    /// threads, 2 streams use 4.
    #[must_use]
    pub fn threads(self, count: usize) -> Options {
        Options { threads: Some(count), ..self }
    }

    /// So many threads that call completion callbacks (1 by default). Callbacks of one request never overlap; with one
    /// thread those of different requests do not either, and a slow one holds up the others.
    ///
    /// With 0 a callback is called on the stream that computed its run, at once and without a change of threads. It must
    /// then be short: meanwhile that stream computes nothing.
    #[must_use]
    pub fn callback_threads(self, count: usize) -> Options {
        let callbacks = if count == 0 { Callbacks::Streams } else { Callbacks::OwnThreads(count) };
        Options { callbacks, ..self }
    }

    /// Whether each node of the model is measured in each run; see [`Request::profile`](crate::Request::profile). Off by
    /// default: reading the clock twice a node costs small models some percent.
    #[must_use]
    pub fn profiling(self, on: bool) -> Options {
        Options { profiling: on, ..self }
    }

    /// How much a run may ask for: trips of loops, memory, strings. A run that asks for more fails, and its error names the node.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Options {
        Options { limits, ..self }
    }

    /// How large a model file may be that is read with these options; a model that has been read already is what it is.
    #[must_use]
    pub fn file_limits(self, limits: onnx::Limits) -> Options {
        Options { file_limits: limits, ..self }
    }

    pub(crate) fn limits_of_runs(&self) -> Limits {
        self.limits
    }

    pub(crate) fn limits_of_files(&self) -> onnx::Limits {
        self.file_limits
    }

    pub(crate) fn profiles(&self) -> bool {
        self.profiling
    }

    /// Streams, and threads for each of them.
    pub(crate) fn shape(&self) -> (usize, usize) {
        let threads = self.threads.unwrap_or_else(topology::cores).max(1);
        match self.streams {
            Count::AsThreads => (threads, 1),
            Count::Fixed(0) => (0, 1),
            Count::Fixed(streams) => (streams, (threads / streams).max(1)),
        }
    }

    pub(crate) fn callbacks(&self) -> Callbacks {
        self.callbacks
    }
}

impl Default for Options {
    /// [`Options::latency`].
    fn default() -> Options {
        Options::latency()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shared_out_over_the_streams() {
        let shape = |options: Options| options.threads(4).shape();
        assert_eq!(shape(Options::latency()), (1, 4));
        assert_eq!(shape(Options::throughput()), (4, 1));
        assert_eq!(shape(Options::latency().streams(3)), (3, 1));
        assert_eq!(shape(Options::latency().streams(8)), (8, 1));
        assert_eq!(shape(Options::inline()), (0, 1));
        assert_eq!(Options::throughput().threads(0).shape(), (1, 1));
    }
}
