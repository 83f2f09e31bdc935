//! The program `inferry`: runs, inspects and times ONNX models from a shell.
//!
//! This file is what a user types (clap reads it from the structs below) and how a command ends: 0 when it did what was
//! asked, 1 with one line on stderr when it could not, 2 when outputs lie too far from the expected ones. The commands
//! are a file each. What a command prints on stdout is its result; progress goes to stderr and to terminals only.

mod compare;
mod fixture;
mod latency;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs ONNX models through asynchronous inference requests
#[derive(Parser)]
#[command(name = "inferry", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a model once and, where the file of inputs holds outputs, compare with them
    Run(Run),
    /// Show a model's ports, operators, parameters and what of it is not supported
    Inspect(Inspect),
    /// Measure latency and throughput
    Bench(Bench),
}

#[derive(Args)]
struct Run {
    /// The model
    #[arg(long, value_name = "M.onnx")]
    model: PathBuf,
    /// Its inputs, as arrays `input_<i>` or by name; arrays `output_<i>` are compared with the outputs
    #[arg(long, value_name = "F.npz")]
    npz: PathBuf,
    /// Write the outputs here, as arrays `output_<i>`
    #[arg(long, value_name = "O.npz")]
    out: Option<PathBuf>,
    /// Absolute difference an element may have
    #[arg(long, value_name = "A", default_value_t = 1e-3)]
    atol: f64,
    /// Difference it may have besides, relative to the expected value
    #[arg(long, value_name = "R", default_value_t = 1e-3)]
    rtol: f64,
    /// Share of an output's elements, 0 to 1, that may differ by more
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    outside: f64,
    /// Threads to compute with (default: one a core)
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Inspect {
    /// The model
    #[arg(long, value_name = "M.onnx")]
    model: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Bench {
    /// The model
    #[arg(long, value_name = "M.onnx")]
    model: PathBuf,
    /// Its inputs, as arrays `input_<i>` or by name
    #[arg(long, value_name = "F.npz")]
    npz: PathBuf,
    /// One run after the other, or several requests in flight
    #[arg(long, value_enum, default_value_t = Api::Sync)]
    api: Api,
    /// Threads to compute with, over all streams (default: one a core)
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Streams that run requests side by side (default: 1, or with --api async as many as threads)
    #[arg(long, value_name = "S")]
    nstreams: Option<usize>,
    /// Requests in flight with --api async (default: two a stream)
    #[arg(long, value_name = "R")]
    nireq: Option<usize>,
    /// How long to measure
    #[arg(long, value_name = "T", default_value_t = 5.0)]
    seconds: f64,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Api {
    /// Each run waits for the one before
    Sync,
    /// Completion callbacks start the next run
    Async,
}

fn main() -> ExitCode {
    let _ = Cli::parse();
    ExitCode::SUCCESS
}
