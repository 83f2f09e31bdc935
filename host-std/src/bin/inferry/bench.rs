//! `inferry bench`: how long a run takes, and how many there are in a second.
//!
//! `sync` runs one request again and again, each run after the one before: latency. `async` keeps several requests in
//! flight, each started anew by its own callback: throughput, with latencies from start to delivery, queueing included.
//! The first run is measured apart, since caches and memory are cold.

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use inferry::npz::Arrays;
use inferry::{Next, Options, Request, Tensor};
use serde_json::{Value, json};

use crate::latency::Latency;
use crate::profile::{self, Profiler};
use crate::session::Session;
use crate::{Api, Bench, about, fixture, progress};

/// What was measured.
struct Measured {
    first: Duration,
    times: Vec<Duration>,
    /// From the first start to the last delivery, the cold run not included.
    elapsed: Duration,
    requests: usize,
}

/// Measures and prints.
pub fn bench(args: &Bench) -> Result<(), Box<dyn Error>> {
    let arrays = Arrays::open(&args.npz).map_err(about(&args.npz))?;
    let options = match (args.nstreams, args.api) {
        (Some(streams), _) => Options::latency().streams(streams),
        (None, Api::Sync) => Options::latency(),
        (None, Api::Async) => Options::throughput(),
    };
    // The callbacks below take no time worth a change of threads.
    if args.profile && args.api == Api::Async {
        return Err("--profile needs --api sync: runs in flight are told apart by their requests only".into());
    }
    let options = options.callback_threads(0).profiling(args.profile);
    let session = Session::open(&args.model, options, args.threads, args.cache.as_deref())?;
    let mut profiler = args.profile.then(Profiler::default);
    let inputs = fixture::inputs(&arrays, session.inputs()).map_err(about(&args.npz))?;
    let span = Duration::from_secs_f64(args.seconds);
    let measured = match args.api {
        Api::Sync => one_after_the_other(&session, &inputs, span, profiler.as_mut()),
        Api::Async => in_flight(&session, &inputs, span, args.nireq.unwrap_or(session.optimal_requests())),
    };
    let measured = measured.map_err(about(&args.model))?;
    let latency = Latency::of(&measured.times).ok_or("no run was finished in time; allow more --seconds")?;
    let lines = profiler.map(Profiler::lines);
    let runs = measured.times.len();
    if args.json {
        let mut object = object(args, &session, &measured, &latency);
        lines.into_iter().for_each(|lines| object["nodes"] = profile::json(&lines, runs));
        println!("{object}");
    } else {
        print!("{}", text(&session, &measured, &latency));
        lines.into_iter().for_each(|lines| print!("{}", profile::text(&lines, runs)));
    }
    session.finish();
    Ok(())
}

fn one_after_the_other(
    session: &Session,
    inputs: &[Tensor],
    span: Duration,
    mut profiler: Option<&mut Profiler>,
) -> Result<Measured, Box<dyn Error>> {
    let mut request = bound(session, inputs)?;
    let first = time(|| request.infer().map(drop))?;
    let bar = progress::bar(span, "measuring");
    let mut times = Vec::with_capacity(1024);
    let begin = Instant::now();
    while begin.elapsed() < span {
        times.push(time(|| request.infer().map(drop))?);
        if let Some(profiler) = &mut profiler {
            profiler.add(request.profile()?);
        }
        bar.set_position(begin.elapsed().as_millis() as u64);
    }
    let elapsed = begin.elapsed();
    bar.finish_and_clear();
    Ok(Measured { first, times, elapsed, requests: 1 })
}

fn in_flight(
    session: &Session,
    inputs: &[Tensor],
    span: Duration,
    count: usize,
) -> Result<Measured, Box<dyn Error>> {
    let mut requests = (0..count).map(|_| bound(session, inputs)).collect::<Result<Vec<_>, _>>()?;
    let first = time(|| requests[0].infer().map(drop))?;
    let (over, all_over) = mpsc::channel();
    let spinner = progress::spinner("measuring");
    let begin = Instant::now();
    for request in &mut requests {
        let (over, mut started, mut times) = (over.clone(), Instant::now(), Vec::with_capacity(1024));
        request.set_callback(move |completion| {
            let now = Instant::now();
            times.push(now - started);
            started = now;
            let result = completion.result();
            if result.is_ok() && now - begin < span {
                return Ok(Next::Again);
            }
            // Nobody listens any more when another request has failed.
            let _ = over.send(result.map(|()| std::mem::take(&mut times)));
            Ok(Next::Rest)
        })?;
        request.start()?.detach();
    }
    drop(over);
    let mut times = Vec::new();
    for _ in &requests {
        times.extend(all_over.recv()??);
    }
    let elapsed = begin.elapsed();
    spinner.finish_and_clear();
    Ok(Measured { first, times, elapsed, requests: count })
}

/// A request with the fixture's inputs, which all requests share.
fn bound(session: &Session, inputs: &[Tensor]) -> Result<Request, Box<dyn Error>> {
    let mut request = session.request()?;
    for (index, tensor) in inputs.iter().enumerate() {
        request.set_input(index, tensor.clone())?;
    }
    Ok(request)
}

fn time<T, E>(run: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let begin = Instant::now();
    run()?;
    Ok(begin.elapsed())
}

impl Measured {
    /// Runs a second.
    fn throughput(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }
}

fn text(session: &Session, measured: &Measured, latency: &Latency) -> String {
    let Latency { median, avg, min, max, p90, p99 } = latency;
    let (threads, streams, requests) = (session.threads(), session.streams(), measured.requests);
    format!(
        "latency     median {median:.3} ms, average {avg:.3}, min {min:.3}, max {max:.3}, p90 {p90:.3}, p99 {p99:.3}\n\
         throughput  {:.1} runs/s, {} runs in {:.2} s\n\
         before      load {:.1} ms, first run {:.3} ms\n\
         with        {threads} threads, {streams} streams, {requests} requests\n",
        measured.throughput(),
        measured.times.len(),
        measured.elapsed.as_secs_f64(),
        session.load.as_secs_f64() * 1e3,
        measured.first.as_secs_f64() * 1e3,
    )
}

fn object(args: &Bench, session: &Session, measured: &Measured, latency: &Latency) -> Value {
    json!({
        "model": args.model.display().to_string(),
        "api": match args.api { Api::Sync => "sync", Api::Async => "async" },
        "latency_ms": latency.json(),
        "throughput": measured.throughput(),
        "count": measured.times.len(),
        "load_ms": session.load.as_secs_f64() * 1e3,
        "first_ms": measured.first.as_secs_f64() * 1e3,
        "threads": session.threads(),
        "streams": session.streams(),
        "loaded_from_cache": session.loaded_from_cache(),
        "requests": measured.requests,
        "peak_bytes": peak_memory(),
    })
}

/// The most memory that this process has held, in bytes, where the system says (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
