//! The demo page (`www/`) as static files, and what `cargo xtask test` checks of it.
//!
//! The page is a user of the npm package, so the package is built first and put where the page's `package.json` says; then
//! npm installs the page's tools, models and samples are copied, and Vite builds. The tests are JavaScript in `www/test`:
//! the models' logic in Node, the page itself in Chromium. This file is the order of these steps and knows nothing of the
//! page.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::report::Report;
use crate::{npm, place};

/// The page's sources.
pub(crate) fn folder() -> PathBuf {
    place::root().join("www")
}

/// Builds the static files into `www/dist`. The models are there already.
pub(crate) fn build() -> Result<(), String> {
    npm::tools::node()?;
    npm::build()?;
    let page = folder();
    let script = |name: &str| {
        let mut node = place::command("node");
        node.arg(page.join("scripts").join(name));
        node
    };
    npm::tools::run(script("package.mjs").arg(npm::folder()), "the package could not be copied to the page")?;
    npm::tools::install(&page)?;
    npm::tools::run(&mut script("assets.mjs"), "models and samples could not be copied to the page")?;
    for (program, argument) in [("typescript/bin/tsc", "--noEmit"), ("vite/bin/vite.js", "build")] {
        let mut tool = npm::tools::script(&page, program);
        npm::tools::run(tool.arg(argument).current_dir(&page), "the page could not be built")?;
    }
    Ok(())
}

/// The models of the page that `cargo xtask models` fetches, by their names below `.models/`.
pub(crate) fn fetched() -> Result<Vec<String>, String> {
    let list = folder().join("models.json");
    let list =
        fs::read_to_string(&list).map_err(|error| format!("cannot read {}: {error}", list.display()))?;
    Ok(below_models(&list))
}

/// Adds the steps to a report; a line says so where a tool or a model is missing.
pub(crate) fn steps(report: &mut Report) {
    const BUILD: &str = "demo page";
    match missing() {
        Ok(None) => {}
        Ok(Some(missing)) => return report.skip(BUILD, &missing),
        Err(problem) => return report.check(BUILD, || Err(problem)),
    }
    let mut works = false;
    report.check(BUILD, || {
        build()?;
        works = true;
        Ok(Vec::new())
    });
    if !works {
        return;
    }
    report.harness("demo page: flows in Node", tests("test:flows"));
    match npm::tools::chromium() {
        Ok(chromium) => {
            let mut tests = tests("test:page");
            tests.env("CHROME", chromium);
            report.harness("demo page: in Chromium", tests);
        }
        Err(missing) => report.skip("demo page: in Chromium", &missing),
    }
}

/// Scripts of the page's `package.json` that print what Rust's harness prints.
fn tests(script: &str) -> Command {
    let mut run = npm::tools::npm();
    run.args(["run", "--silent", script]).current_dir(folder());
    run.env("INFERRY_PACKAGE", npm::folder());
    run
}

/// Why the page cannot be built here, where that is no mistake.
fn missing() -> Result<Option<String>, String> {
    if let Err(missing) = npm::tools::node() {
        return Ok(Some(missing));
    }
    let models = place::root().join(".models");
    let file = fetched()?.into_iter().find(|file| !models.join(file).is_file());
    Ok(file.map(|file| format!(".models/{file} is missing: run cargo xtask models")))
}

fn below_models(list: &str) -> Vec<String> {
    list.split('"').filter_map(|text| text.strip_prefix(".models/")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_is_read_off_the_list() {
        let list = r#"{ "note": "`.models/` is filled by xtask", "a": { "from": ".models/dtln/model_1.onnx" },
            "b": { "from": "tests/models/x.onnx" } }"#;
        assert_eq!(below_models(list), ["dtln/model_1.onnx"]);
    }
}
