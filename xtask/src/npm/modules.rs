//! Builds the modules: cargo compiles, wasm-bindgen's library writes the page's JavaScript, wasm-opt makes them smaller.
//!
//! The engine is compiled for speed and the page's module for size. All modules are looked at once more before they may go
//! into the package (`flavours.rs` says what must be true of them).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use super::flavours::{self, Flavour};
use super::stamp::Stamp;
use super::{output, sources, tools, wasm};
use crate::{place, purity};

/// What pages run.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// What every browser with simd128 can do, beyond the first version of WebAssembly.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Where the modules lie that go into the package.
pub(crate) fn folder() -> PathBuf {
    output().join("modules")
}

/// Builds them all, several at once: link-time optimisation, which takes most of the time, uses one core.
pub(crate) fn all() -> Result<(), String> {
    purity::install(TARGET)?;
    // The page's is the quickest, so it comes last.
    let rest = Mutex::new(flavours::ALL.iter().map(Some).chain([None]));
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(next) = rest.lock().ok().and_then(|mut rest| rest.next()) else { return };
            if let (Err(problem), Ok(mut failures)) = (next.map_or_else(page, engine), failures.lock()) {
                failures.push(problem);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap_or_default();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The page's module, and its JavaScript in `host-wasm/npm/wasm/`.
fn page() -> Result<(), String> {
    let built = compile("inferry-wasm", "web-page", "page", "")?;
    let bindgen =
        place::target().join("debug").join(format!("xtask-bindgen{}", std::env::consts::EXE_SUFFIX));
    let mut cargo = place::cargo(&["build", "--quiet", "--package", "xtask-bindgen"]);
    tools::run(&mut cargo, "the writer of the page's JavaScript does not build")?;
    let scripts = sources().join("wasm");
    let file = folder().join("inferry.wasm");
    let half = output().join("bindgen");
    let texts = ["inferry_wasm.js", "inferry_wasm.d.ts"];
    let made = [file.clone(), half.join(texts[0]), half.join(texts[1])];
    let stamp = Stamp::new(output().join("stamps/page")).path(&built).path(&lock()).word("-Oz");
    stamp.make(&made, || {
        let mut write = place::command(&bindgen);
        write.arg(&built).arg(&half);
        tools::run(&mut write, "the page's JavaScript could not be written")?;
        optimise(&half.join("inferry_wasm_bg.wasm"), &file, "-Oz", &[])?;
        let bytes = read(&file)?;
        let module = wasm::read(&bytes).ok_or_else(|| not_a_module(&file))?;
        if let Some(import) = module.imports.iter().find(|name| name.starts_with("env.")) {
            return Err(format!("{}: imports {import}, which no page of ours provides", file.display()));
        }
        Ok(())
    })?;
    // Always: what lies beside the sources may be of a build with another target folder, whose names are not this module's.
    texts.iter().try_for_each(|name| copy(&half.join(name), &scripts.join(name)))
}

/// One flavour of the engine.
fn engine(flavour: &Flavour) -> Result<(), String> {
    let built = compile("inferry-wasm-engine", "web", flavour.file, &flavour.rustflags())?;
    let file = folder().join(flavour.file);
    let stamp = Stamp::new(output().join("stamps").join(flavour.file));
    let stamp = stamp.path(&built).path(&lock()).word(&format!("-O3 {flavour:?}"));
    stamp.make(std::slice::from_ref(&file), || {
        optimise(&built, &file, "-O3", &flavour.optimiser_features())?;
        let bytes = read(&file)?;
        let module = wasm::read(&bytes).ok_or_else(|| not_a_module(&file))?;
        let problems = flavour.problems(&module, &bytes);
        if problems.is_empty() {
            return Ok(());
        }
        // What is wrong must not lie where the next step picks it up.
        drop(fs::remove_file(&file));
        Err(format!("{}: {}", flavour.file, problems.join("; ")))
    })
}

/// Compiles a package in a folder of its own, where no build waits for another, nor overwrites what it made.
fn compile(package: &str, profile: &str, name: &str, rustflags: &str) -> Result<PathBuf, String> {
    let folder = output().join("cargo").join(name);
    let mut cargo = place::cargo(&["build", "--quiet", "--lib", "--package", package, "--target", TARGET]);
    cargo.args(["--profile", profile, "--target-dir"]).arg(&folder);
    cargo.env("RUSTFLAGS", rustflags).env_remove("CARGO_ENCODED_RUSTFLAGS");
    tools::run(&mut cargo, &format!("{package} does not build for {TARGET} with \"{rustflags}\""))?;
    Ok(folder.join(TARGET).join(profile).join(package.replace('-', "_") + ".wasm"))
}

fn optimise(from: &Path, to: &Path, level: &str, features: &[&str]) -> Result<(), String> {
    let mut optimise = tools::script(&sources(), "binaryen/bin/wasm-opt");
    optimise.args([level, "--strip-debug", "--strip-producers", "--strip-target-features"]);
    optimise.args(FEATURES).args(features).arg(from).arg("-o").arg(to);
    make_folder(to)?;
    tools::run(&mut optimise, &format!("wasm-opt refuses {}", from.display()))
}

/// The versions of the tools.
fn lock() -> PathBuf {
    sources().join("package-lock.json")
}

fn not_a_module(file: &Path) -> String {
    format!("{} is not a WebAssembly module", file.display())
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make_folder(to)?;
    let copied = fs::copy(from, to);
    copied.map(drop).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

fn make_folder(file: &Path) -> Result<(), String> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}
