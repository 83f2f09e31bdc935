//! `cargo xtask bench-web`: this package and onnxruntime-web's CPU provider, in turns, in the same headless Chromium.
//!
//! The measuring is JavaScript, in `host-wasm/npm/bench/` (`run.mjs` is its driver); this file builds the package, has npm
//! install what it is held against (pinned with checksums, into the target folder), and puts the table into
//! `docs/performance.md`. Only a whole run does that: a part of one is printed and, when asked, written as JSON.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{document, npm, place};

/// What a person may ask for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    /// Handed on to the driver: `--only`, `--rounds`, `--models`, `--quick`.
    driver: Vec<String>,
    /// A package that has been built, instead of building one.
    package: Option<PathBuf>,
    /// Where to put all figures.
    json: Option<PathBuf>,
    /// What an earlier run found, for the parts that are not measured now.
    keep: Option<PathBuf>,
    /// Whether anything is left out, so that the table is not one for the documentation.
    partial: bool,
}

/// The file with the table.
const DOCUMENT: &str = "docs/performance.md";

/// Measures; true when no result is wrong. A bar that is not reached is said, and is no failure.
pub(crate) fn run(arguments: &[&str]) -> Result<bool, String> {
    let options = Options::parse(arguments)?;
    let package = match &options.package {
        Some(folder) => place::root().join(folder),
        None => {
            npm::build()?;
            npm::folder()
        }
    };
    let work = place::target().join("bench-web");
    let other = install(&work)?;
    let speed = place::target().join("bench/models");
    let mut driver = place::command("node");
    driver.arg(npm::sources().join("bench/run.mjs"));
    for (name, folder) in [("--package", &package), ("--ort", &other), ("--work", &work), ("--speed", &speed)]
    {
        driver.arg(name).arg(folder);
    }
    if let Some(file) = &options.keep {
        driver.arg("--keep").arg(place::root().join(file));
    }
    let status = driver.args(&options.driver).status();
    let measured = status.map_err(|error| format!("node could not be started: {error}"))?.success();
    if let Some(file) = &options.json {
        let copied = fs::copy(work.join("found.json"), file);
        copied.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    if measured && !options.partial {
        document::write_section(DOCUMENT, "bench-web", &work.join("table.md"))?;
    }
    Ok(measured)
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(&name) = rest.next() {
            let mut value = || {
                rest.next()
                    .map(|value| value.to_string())
                    .ok_or_else(|| format!("{name} needs a value after it"))
            };
            match name {
                "--json" => options.json = Some(value()?.into()),
                "--keep" => options.keep = Some(value()?.into()),
                "--package" => options.package = Some(value()?.into()),
                "--rounds" => {
                    let rounds = value()?;
                    if !rounds.parse::<u32>().is_ok_and(|rounds| rounds > 0) {
                        return Err(format!("--rounds is a whole number from 1 on, not {rounds}"));
                    }
                    options.driver.extend([name.to_string(), rounds]);
                }
                "--only" | "--models" => {
                    options.partial |= name == "--models" || !arguments.contains(&"--keep");
                    options.driver.extend([name.to_string(), value()?]);
                }
                "--quick" => {
                    options.partial = true;
                    options.driver.push(name.to_string());
                }
                unknown => return Err(format!("bench-web has no option {unknown} (see cargo xtask help)")),
            }
        }
        Ok(options)
    }
}

/// Has npm install onnxruntime-web below `work`; gives its folder.
fn install(work: &Path) -> Result<PathBuf, String> {
    npm::tools::node()?;
    fs::create_dir_all(work).map_err(|error| format!("cannot make {}: {error}", work.display()))?;
    let pinned = npm::sources().join("bench");
    for file in ["package.json", "package-lock.json"] {
        let copied = fs::copy(pinned.join(file), work.join(file));
        copied.map_err(|error| format!("cannot copy {file}: {error}"))?;
    }
    npm::tools::install(work)?;
    Ok(work.join("node_modules/onnxruntime-web"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_run_is_one_that_leaves_nothing_out() {
        assert_eq!(Options::parse(&[]).unwrap(), Options::default());
        let options = Options::parse(&["--rounds", "7", "--json", "a.json"]).unwrap();
        assert_eq!((options.partial, options.driver), (false, vec!["--rounds".to_string(), "7".into()]));
        let kept = Options::parse(&["--only", "gaps", "--keep", "found.json"]).unwrap();
        assert_eq!((kept.partial, kept.keep), (false, Some("found.json".into())));
        for part in [&["--only", "gaps"][..], &["--models", "pnet"], &["--quick"]] {
            let options = Options::parse(part).unwrap();
            assert!(options.partial, "{part:?}");
            assert_eq!(options.driver, part);
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(Options::parse(&["--fast"]).unwrap_err().contains("--fast"));
        assert!(Options::parse(&["--only"]).unwrap_err().contains("--only"));
        assert!(Options::parse(&["--rounds", "0"]).unwrap_err().contains('0'));
        assert!(Options::parse(&["--rounds", "many"]).unwrap_err().contains("many"));
    }
}
