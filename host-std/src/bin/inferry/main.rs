//! The program `inferry`: runs, inspects and times ONNX models from a shell.
//!
//! This file is what a user types (clap reads it from the structs below) and how a command ends: 0 when it did what was
//! asked, 1 with one line on stderr when it could not, 2 when outputs lie too far from the expected ones. The commands
//! are a file each. What a command prints on stdout is its result; progress goes to stderr and to terminals only.
// A program has no outside: `pub` says what a file offers the others.
#![allow(unreachable_pub)]

mod bench;
mod compare;
mod export;
mod fixture;
mod inspect;
mod latency;
mod profile;
mod progress;
mod run;
mod session;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
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
    /// Compile a model into a file that loads faster, for this version and processor
    Export(Export),
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
    #[arg(long, value_name = "A", default_value_t = 1e-3, value_parser = not_negative, allow_negative_numbers = true)]
    atol: f64,
    /// Difference it may have besides, relative to the expected value
    #[arg(long, value_name = "R", default_value_t = 1e-3, value_parser = not_negative, allow_negative_numbers = true)]
    rtol: f64,
    /// Share of an output's elements, 0 to 1, that may differ by more
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, allow_negative_numbers = true)]
    outside: f64,
    /// Threads to compute with (default: one a core)
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
    /// Look for the compiled model in this folder, and put it there
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
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
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
    /// Streams that run requests side by side (default: 1, or with --api async as many as threads)
    #[arg(long, value_name = "S", value_parser = count)]
    nstreams: Option<usize>,
    /// Requests in flight with --api async (default: one more than streams)
    #[arg(long, value_name = "R", value_parser = count)]
    nireq: Option<usize>,
    /// How long to measure
    #[arg(long, value_name = "T", default_value_t = 5.0, value_parser = span)]
    seconds: f64,
    /// Show which nodes the time goes to; measuring them takes some time, too
    #[arg(long)]
    profile: bool,
    /// Look for the compiled model in this folder, and put it there
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    cache: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Export {
    /// The model
    #[arg(long, value_name = "M.onnx")]
    model: PathBuf,
    /// Where to write the compiled model, to be given as a model to run and bench
    #[arg(long, value_name = "M.inferry")]
    out: PathBuf,
    /// Inputs to run once, which packs the weights of a model of open shapes
    #[arg(long, value_name = "F.npz")]
    npz: Option<PathBuf>,
    /// Threads to compile with (default: one a core)
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Api {
    /// Each run waits for the one before
    Sync,
    /// Completion callbacks start the next run
    Async,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    let done = match cli.command {
        Command::Inspect(Inspect { model, json }) => {
            inspect::inspect(&model, json).map(|()| ExitCode::SUCCESS)
        }
        Command::Run(args) => run::run(&args).map(|passed| ExitCode::from(if passed { 0 } else { 2 })),
        Command::Bench(args) => bench::bench(&args).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => export::export(&args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| fail(&chain(&*error)))
}

/// Help and versions are asked for; everything else that is no command is an error like any other.
fn not_a_command(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return fail("no command: run, inspect, bench or export (see inferry --help)");
    }
    let text = error.to_string();
    let sentence: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let sentence = sentence.join(" ");
    fail(&format!("{} (see inferry --help)", sentence.trim_start_matches("error: ")))
}

/// One line on stderr, whatever a file name or a message holds.
fn fail(message: &str) -> ExitCode {
    eprintln!("inferry: {}", message.replace(['\n', '\r'], " "));
    ExitCode::FAILURE
}

/// What an error says, and what its causes say unless it says so itself.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Puts the file before what is wrong with it.
fn about<E: Into<Box<dyn Error>>>(file: &Path) -> impl FnOnce(E) -> Box<dyn Error> {
    move |error| format!("{}: {}", file.display(), chain(&*error.into())).into()
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |value| value >= 0.0, "a number that is not negative")
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

fn span(text: &str) -> Result<f64, String> {
    // The upper bound keeps the duration representable; nobody measures for a year.
    number(text, |value| value > 0.0 && value < 3e7, "a number of seconds")
}

fn number(text: &str, fits: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| fits(*value)).ok_or_else(|| format!("{wanted} is needed"))
}

fn count(text: &str) -> Result<usize, String> {
    let some = |value: &usize| (1..=4096).contains(value);
    text.parse().ok().filter(some).ok_or_else(|| "a number from 1 to 4096 is needed".to_string())
}
