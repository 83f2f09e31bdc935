//! How long the steps of loading are: `cargo bench -p inferry-cpu --bench load_steps -- MODEL [EXTENT...]`.
//!
//! Loads a model several times, one look a step, with the open extents of its inputs fixed to the given ones in their order
//! (the last for all others; 1 without any), and prints of each part what the steps took together, the longest ones and what was
//! being done then. A step counts with the shortest of its times, since a machine that does other things makes single steps long
//! for no reason of theirs. The same in one call is there to compare.

use std::time::Instant;

use inferry_core::steps::Progress;
use inferry_core::{Device, Serial, Slice, Step, Steps, Stop, Turn};
use inferry_cpu::{Cpu, Isa, Options};
use inferry_engine::graph::{Dim, ShapeFact};
use inferry_engine::{Model, onnx};

const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(path) = arguments.next() else {
        println!("which model?");
        return Ok(());
    };
    let extents: Vec<usize> = arguments.map(|extent| extent.parse()).collect::<Result<_, _>>()?;
    let (bytes, cpu) = (std::fs::read(&path)?, Cpu::new(Isa::portable()));
    let (mut reading, mut compiling, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let steps = onnx::import_steps(&bytes, onnx::Options::default());
        let model = fixed(timed(steps, &mut reading)?, &extents);
        timed(cpu.compile_steps(model, Options::default()), &mut compiling)?;
        let begin = Instant::now();
        cpu.compile(&fixed(Model::from_onnx(&bytes)?, &extents), &Options::default())?;
        whole.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    whole.sort_by(f64::total_cmp);
    println!("{path}: in one call {:.2} ms", whole[ROUNDS / 2]);
    print("read", &reading);
    print("compile", &compiling);
    Ok(())
}

/// The shortest time of each step in milliseconds, and how far the work came with it.
type Times = Vec<(f64, Progress)>;

fn timed<T>(mut steps: Steps<'_, T>, times: &mut Times) -> T {
    let mut number = 0;
    loop {
        let begin = Instant::now();
        let step = steps.step(&Turn::new(Stop::never(), Slice::Looks(1), &Serial));
        let time = begin.elapsed().as_secs_f64() * 1e3;
        match times.get_mut(number) {
            Some((shortest, _)) => *shortest = shortest.min(time),
            None => times.push((time, steps.progress())),
        }
        number += 1;
        if let Step::Done(result) = step {
            return result;
        }
    }
}

/// The model with its open extents fixed.
fn fixed(mut model: Model, extents: &[usize]) -> Model {
    let mut given = extents.iter().copied();
    let last = extents.last().copied().unwrap_or(1);
    for id in model.graph.inputs.clone() {
        let Some(fact) = &mut model.graph.value_mut(id).fact else { continue };
        let Some(dims) = fact.shape.dims() else { continue };
        let extent = |dim: &Dim| dim.fixed().unwrap_or_else(|| given.next().unwrap_or(last));
        fact.shape = ShapeFact(Some(dims.iter().map(extent).map(Dim::Fixed).collect()));
    }
    model
}

fn print(what: &str, times: &Times) {
    let sum: f64 = times.iter().map(|(time, _)| time).sum();
    println!("  {what}: {sum:.2} ms in {} steps; the longest:", times.len());
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|a, b| times[*b].0.total_cmp(&times[*a].0));
    for number in order.into_iter().take(4) {
        let (time, Progress { phase, done, total }) = times[number];
        println!("    {time:.2} ms, step {number}, to {done} of {total} of {phase:?}");
    }
}
