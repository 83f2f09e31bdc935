//! `cargo xtask fuzz`: builds the fuzz targets with the coverage that libFuzzer steers by, and runs each for a while.
//!
//! What rustc needs for it is unstable in name only: this compiler is asked to take the options of a nightly one, for these
//! packages alone and in a folder of their own. Where there is the address sanitizer (Linux and macOS on common processors) it
//! looks at memory too, and for leaks at the end. A target fails on a panic, an overflow, a case of more than 10 s or of
//! more than 2 GB, and a leak; the case is then kept below `target/fuzz`, to be made smaller and put into the corpus.
//! New cases that reach further stay there too, for the next run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place;

/// The targets, of `fuzz/targets`.
const TARGETS: [&str; 3] = ["wire", "import", "execute"];

/// What cargo-fuzz gives rustc, too.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Where the standard library comes with an address sanitizer.
const SANITIZED: [&str; 4] =
    ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"];

/// Runs the targets one after the other, or one of them; true when none of them found anything.
pub(crate) fn run(options: &[&str]) -> Result<bool, String> {
    let (seconds, only) = parse(options)?;
    let host = place::host_triple().ok_or("rustc does not say what machine this is")?;
    let folder = place::target().join("fuzz");
    build(&host, &folder)?;
    let mut passed = 0;
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|name| only.is_none_or(|only| only == *name)).collect();
    for name in &targets {
        let program = folder.join(&host).join("release").join(name);
        let found = folder.join(name);
        let fine = fuzz(&program, &found, seconds)?;
        println!(
            "{name}: {}",
            if fine { "found nothing".into() } else { format!("see {}", found.display()) }
        );
        passed += usize::from(fine);
    }
    println!("{passed} passed, {} failed, 0 skipped", targets.len() - passed);
    Ok(passed == targets.len())
}

/// Seconds for each target, and the only one that is wanted.
fn parse<'a>(options: &[&'a str]) -> Result<(u64, Option<&'a str>), String> {
    let mut seconds = 60;
    let mut only = None;
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match *option {
            "--seconds" => {
                let number = rest.next().and_then(|number| number.parse().ok());
                seconds = number.ok_or("--seconds wants a number")?;
            }
            name if TARGETS.contains(&name) => only = Some(name),
            other => {
                return Err(format!("{other}: neither --seconds N nor one of {}", TARGETS.join(", ")));
            }
        }
    }
    Ok((seconds, only))
}

fn build(host: &str, folder: &Path) -> Result<(), String> {
    let mut flags = COVERAGE.to_owned();
    if SANITIZED.contains(&host) {
        flags.push_str(" -Zsanitizer=address");
    }
    let mut cargo = place::cargo(&["build", "--quiet", "--release", "--locked", "--target", host]);
    cargo.arg("--manifest-path").arg(place::root().join("fuzz/targets/Cargo.toml"));
    cargo.env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", flags).env("RUSTC_BOOTSTRAP", "1");
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("the fuzz targets do not build".into()),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}

/// Runs a target; false when it found something. What it finds goes to `found`.
fn fuzz(program: &Path, found: &Path, seconds: u64) -> Result<bool, String> {
    let (corpus, cases) = (found.join("corpus"), found.join("found"));
    for folder in [&corpus, &cases] {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    let mut prefix = PathBuf::from(&cases).into_os_string();
    prefix.push("/");
    let mut command = place::command(program);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}", prefix.to_string_lossy()));
    command.args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=4096",
        "-print_final_stats=1",
        "-verbosity=0",
    ]);
    command.arg(corpus).arg(place::root().join("fuzz/corpus"));
    let status = command.status().map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        assert_eq!(parse(&[]).unwrap(), (60, None));
        assert_eq!(parse(&["wire", "--seconds", "5"]).unwrap(), (5, Some("wire")));
        assert!(parse(&["--seconds"]).is_err());
        assert!(parse(&["--seconds", "x"]).is_err());
        assert!(parse(&["water"]).unwrap_err().contains("wire, import, execute"));
    }
}
