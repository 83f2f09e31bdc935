//! `inferry run`: the model once, through an asynchronous request, and its outputs against the fixture's.

use std::error::Error;
use std::time::{Duration, Instant};

use inferry::npz::Arrays;
use inferry::{Options, Port, Tensor};
use serde_json::{Value, json};

use crate::compare::{Comparison, Mismatch, Tolerance, compare};
use crate::session::Session;
use crate::{Run, about, fixture, progress};

/// What a run came to.
struct Report {
    threads: usize,
    load: Duration,
    took: Duration,
    cached: bool,
    outputs: Vec<Output>,
}

/// An output, and how it compares with the expected one where there is one.
struct Output {
    port: Port,
    tensor: Tensor,
    compared: Option<Result<Comparison, Mismatch>>,
}

/// Runs the model; true when every output that the fixture holds is as it should be.
pub fn run(args: &Run) -> Result<bool, Box<dyn Error>> {
    let tolerance = Tolerance { atol: args.atol, rtol: args.rtol, share: args.outside };
    let arrays = Arrays::open(&args.npz).map_err(about(&args.npz))?;
    let session = Session::open(&args.model, Options::latency(), args.threads, args.cache.as_deref())?;
    let inputs = fixture::inputs(&arrays, session.inputs()).map_err(about(&args.npz))?;
    let expected = fixture::expected(&arrays, session.outputs()).map_err(about(&args.npz))?;

    let (tensors, took) = once(&session, inputs).map_err(about(&args.model))?;
    let outputs = session.outputs().iter().cloned().zip(tensors).zip(expected);
    let outputs = outputs.map(|((port, tensor), expected)| {
        let compared = expected.map(|expected| compare(&tensor, &expected, &tolerance));
        Output { port, tensor, compared }
    });
    let (threads, load) = (session.threads(), session.load);
    let report =
        Report { threads, load, took, cached: session.loaded_from_cache(), outputs: outputs.collect() };
    session.finish();
    if let Some(file) = &args.out {
        save(&report).save(file).map_err(about(file))?;
    }
    match args.json {
        true => println!("{}", object(args, &report, &tolerance)),
        false => print!("{}", text(&report, &tolerance)),
    }
    let failed = report.outputs.iter().filter(|output| output.passed(&tolerance) == Some(false));
    let failed: Vec<String> =
        failed.map(|output| format!("{} {:?}", output.port.index, &*output.port.name)).collect();
    if !failed.is_empty() {
        eprintln!("inferry: {}: not as expected: output {}", args.npz.display(), failed.join(", output "));
    }
    Ok(failed.is_empty())
}

fn once(session: &Session, inputs: Vec<Tensor>) -> Result<(Vec<Tensor>, Duration), Box<dyn Error>> {
    let spinner = progress::spinner("running");
    let mut request = session.request()?;
    for (index, tensor) in inputs.into_iter().enumerate() {
        request.set_input(index, tensor)?;
    }
    let begin = Instant::now();
    request.start()?.wait()?;
    let took = begin.elapsed();
    spinner.finish_and_clear();
    let outputs = (0..session.outputs().len()).map(|index| request.take_output(index));
    Ok((outputs.collect::<Result<_, _>>()?, took))
}

impl Output {
    /// Whether the output is as it should be; nothing when nobody says what it should be.
    fn passed(&self, tolerance: &Tolerance) -> Option<bool> {
        let compared = self.compared.as_ref()?;
        Some(compared.as_ref().is_ok_and(|comparison| comparison.passes(tolerance)))
    }
}

fn save(report: &Report) -> Arrays {
    let mut arrays = Arrays::new();
    for output in &report.outputs {
        arrays.insert(format!("output_{}", output.port.index), output.tensor.clone());
    }
    arrays
}

fn text(report: &Report, tolerance: &Tolerance) -> String {
    let mut out = String::new();
    for output in &report.outputs {
        let Output { port, tensor, compared } = output;
        let verdict = match compared {
            None => "not compared".to_string(),
            Some(Ok(comparison)) => differences(comparison),
            Some(Err(mismatch)) => mismatch.to_string(),
        };
        let mark = if output.passed(tolerance) == Some(false) { "FAILED: " } else { "" };
        let name = &port.name;
        out += &format!(
            "output_{} {name} {} {}: {mark}{verdict}\n",
            port.index,
            tensor.element(),
            tensor.shape()
        );
    }
    let (load, took, threads) = (milliseconds(report.load), milliseconds(report.took), report.threads);
    out + &format!("loaded in {load:.1} ms, ran in {took:.3} ms, {threads} threads\n")
}

fn differences(comparison: &Comparison) -> String {
    let Comparison { elements, outside, largest, at, values } = comparison;
    match (at, values) {
        (Some(at), Some((got, want))) => {
            format!(
                "largest difference {largest:.3e} at {at:?} ({got} for {want}), {outside} of {elements} outside"
            )
        }
        _ => format!("all {elements} elements equal"),
    }
}

fn object(args: &Run, report: &Report, tolerance: &Tolerance) -> Value {
    let output = |output: &Output| {
        let Output { port, tensor, compared } = output;
        let mut object = json!({
            "name": &*port.name,
            "type": tensor.element().name(),
            "shape": &tensor.shape()[..],
            "compared": compared.is_some(),
            "passed": output.passed(tolerance),
        });
        match compared {
            Some(Ok(Comparison { elements, outside, largest, at, .. })) => {
                // JSON has no infinity: null stands for one.
                object["largest"] = json!(largest);
                object["at"] = json!(at);
                object["outside"] = json!(outside);
                object["elements"] = json!(elements);
            }
            Some(Err(mismatch)) => object["problem"] = json!(mismatch.to_string()),
            None => {}
        }
        object
    };
    let passed = report.outputs.iter().all(|output| output.passed(tolerance) != Some(false));
    json!({
        "model": args.model.display().to_string(),
        "threads": report.threads,
        "load_ms": milliseconds(report.load),
        "run_ms": milliseconds(report.took),
        "loaded_from_cache": report.cached,
        "compared": report.outputs.iter().filter(|output| output.compared.is_some()).count(),
        "passed": passed,
        "outputs": report.outputs.iter().map(output).collect::<Vec<_>>(),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
