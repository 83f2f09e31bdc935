//! `cargo xtask bench`: this runtime beside onnxruntime and OpenVINO, natively, in turns, in one run.
//!
//! The measuring is Python, in `xtask/bench/` (`run.py` is its driver), since that is how both peers are had by name; this
//! file builds the program `inferry`, makes an environment of Python with pinned packages below the target folder, and puts
//! the table and the picture into `docs/`. Only a whole run does that: a part of one is printed and, when asked, written
//! as JSON.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{document, models, place};

/// What a person may ask for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    /// Handed on to the driver: `--only`, `--rounds`, `--models`, `--seconds`.
    driver: Vec<String>,
    /// A program that has been built, instead of building one.
    inferry: Option<PathBuf>,
    /// Where to put all figures.
    json: Option<PathBuf>,
    /// Whether anything is left out, so that the table is not one for the documentation.
    partial: bool,
}

const DOCUMENT: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance.svg";

/// Measures; true when every model was run, rightly, by us. A bar that is not reached is said, and is no failure.
pub(crate) fn run(arguments: &[&str]) -> Result<bool, String> {
    let options = Options::parse(arguments)?;
    let work = place::target().join("bench");
    fs::create_dir_all(&work).map_err(|error| format!("cannot make {}: {error}", work.display()))?;
    let python = environment(&work)?;
    if !options.partial {
        models::run()?;
    }
    let inferry = match options.inferry {
        Some(program) => place::root().join(program),
        None => build()?,
    };
    let mut driver = place::command(python);
    driver.arg(place::root().join("xtask/bench/run.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    for (name, path) in [("--inferry", &inferry), ("--root", &place::root()), ("--work", &work)] {
        driver.arg(name).arg(path);
    }
    let status = driver.args(&options.driver).status();
    let measured = status.map_err(|error| format!("Python could not be started: {error}"))?.success();
    if let Some(file) = &options.json {
        copy(&work.join("found.json"), file)?;
    }
    if measured && !options.partial {
        document::write_section(DOCUMENT, "bench", &work.join("table.md"))?;
        copy(&work.join("plot.svg"), &place::root().join(PICTURE))?;
    }
    Ok(measured)
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(&name) = rest.next() {
            let value = || format!("{name} needs a value after it");
            let value = rest.next().ok_or_else(value)?.to_string();
            let positive = value.parse::<f64>().is_ok_and(|number| number > 0.0 && number.is_finite());
            let whole = value.parse::<u32>().is_ok_and(|number| number > 0);
            match name {
                "--json" => options.json = Some(value.into()),
                "--inferry" => options.inferry = Some(value.into()),
                "--rounds" if !whole => {
                    return Err(format!("--rounds is a whole number from 1 on, not {value}"));
                }
                "--seconds" if !positive => {
                    return Err(format!("--seconds is a time above 0, not {value}"));
                }
                "--rounds" | "--seconds" => options.driver.extend([name.into(), value]),
                "--only" | "--models" => {
                    options.partial = true;
                    options.driver.extend([name.into(), value]);
                }
                unknown => return Err(format!("bench has no option {unknown} (see cargo xtask help)")),
            }
        }
        Ok(options)
    }
}

/// Makes an environment with the pinned packages, unless it is there as they are pinned now; gives its Python.
fn environment(work: &Path) -> Result<PathBuf, String> {
    let pinned = place::root().join("xtask/bench/requirements.txt");
    let wanted = fs::read(&pinned).map_err(|error| format!("cannot read {}: {error}", pinned.display()))?;
    let home = work.join("python");
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Written when all is installed.
    let stamp = home.join("requirements.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let of_system = if cfg!(windows) { "python" } else { "python3" };
    succeed(place::command(of_system).args(["-m", "venv", "--clear"]).arg(&home), "python3 -m venv")?;
    let mut pip = place::command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    succeed(pip.arg("--requirement").arg(&pinned), "pip install")?;
    fs::write(&stamp, wanted).map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    Ok(python)
}

/// Builds our program; gives its path.
fn build() -> Result<PathBuf, String> {
    let arguments = ["build", "--quiet", "--release", "--package", "inferry", "--features", "cli"];
    succeed(&mut place::cargo(&arguments), "cargo build")?;
    Ok(place::target().join("release").join(format!("inferry{}", std::env::consts::EXE_SUFFIX)))
}

fn succeed(command: &mut std::process::Command, what: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed: {status}")),
        Err(error) => Err(format!("{what} could not be started: {error}")),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("cannot write {}: {error}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_run_is_one_that_leaves_nothing_out() {
        let options = Options::parse(&["--rounds", "7", "--seconds", "0.5", "--json", "a.json"]).unwrap();
        let driver = ["--rounds", "7", "--seconds", "0.5"].map(String::from).to_vec();
        assert_eq!((options.partial, options.driver), (false, driver));
        for part in [["--only", "latency"], ["--models", "onet"]] {
            let options = Options::parse(&part).unwrap();
            assert!(options.partial, "{part:?}");
            assert_eq!(options.driver, part);
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for wrong in [&["--fast", "1"][..], &["--only"], &["--rounds", "0"], &["--seconds", "-1"]] {
            let error = Options::parse(wrong).unwrap_err();
            assert!(error.contains(wrong[0]), "{error}");
        }
    }
}
