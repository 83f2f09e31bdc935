//! `cargo xtask serve`: the demo page, built from the sources and served on this machine.
//!
//! The page (`www/`) is a user of the npm package, so the package is built first and put where the page's `package.json`
//! says; then npm installs the page's tools, models and samples are copied, Vite builds static files, and a small server in
//! Node shows them. This file is the order of these steps. It knows nothing of the page, and stops with its server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::{models, npm, place};

/// Programs that open an address in somebody's browser, by system.
const OPENERS: &[(&str, &[&str])] = if cfg!(windows) {
    &[("cmd", &["/C", "start", ""])]
} else if cfg!(target_os = "macos") {
    &[("open", &[])]
} else {
    &[("xdg-open", &[])]
};

/// Builds the page and serves it until it is interrupted; true when the server ended by itself and well.
pub(crate) fn run(arguments: &[&str]) -> Result<bool, String> {
    let options = options(arguments)?;
    build()?;
    let mut server = place::command("node");
    server.arg(page().join("serve.mjs")).args(options).stdout(Stdio::piped());
    let mut server = server.spawn().map_err(|error| format!("node could not be started: {error}"))?;
    announce(&mut server)?;
    let ended = server.wait().map_err(|error| format!("the server was lost: {error}"))?;
    Ok(ended.success())
}

/// Builds the static files into `www/dist`.
pub(crate) fn build() -> Result<(), String> {
    let list = page().join("models.json");
    let list =
        fs::read_to_string(&list).map_err(|error| format!("cannot read {}: {error}", list.display()))?;
    models::only(&fetched(&list))?;
    println!("building the npm package");
    npm::build()?;
    let page = page();
    let script = |name: &str| {
        let mut node = place::command("node");
        node.arg(page.join("scripts").join(name));
        node
    };
    npm::tools::run(script("package.mjs").arg(npm::folder()), "the package could not be copied to the page")?;
    npm::tools::install(&page)?;
    npm::tools::run(&mut script("assets.mjs"), "models and samples could not be copied to the page")?;
    println!("building the page");
    for (program, argument) in [("typescript/bin/tsc", "--noEmit"), ("vite/bin/vite.js", "build")] {
        let mut tool = npm::tools::script(&page, program);
        npm::tools::run(tool.arg(argument).current_dir(&page), "the page could not be built")?;
    }
    Ok(())
}

/// The page's sources.
fn page() -> PathBuf {
    place::root().join("www")
}

/// What the server is told.
fn options<'a>(arguments: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let mut told = Vec::new();
    let mut rest = arguments.iter();
    while let Some(&name) = rest.next() {
        match name {
            "--plain" => told.push(name),
            "--port" => {
                let port = rest.next().filter(|port| port.parse::<u16>().is_ok());
                let port = port.ok_or("--port needs a number up to 65535 after it")?;
                told.extend([name, *port]);
            }
            unknown => return Err(format!("serve has no option {unknown} (see cargo xtask help)")),
        }
    }
    Ok(told)
}

/// The files of a list of models that `cargo xtask models` fetches, by their names below `.models/`.
fn fetched(list: &str) -> Vec<&str> {
    list.split('"').filter_map(|text| text.strip_prefix(".models/")).collect()
}

/// Prints the address that the server prints first, and shows it to who sits in front of a display.
fn announce(server: &mut Child) -> Result<(), String> {
    let output = server.stdout.take().ok_or("the server has no output")?;
    let mut address = String::new();
    let read = BufReader::new(output).read_line(&mut address);
    read.map_err(|error| format!("the server says nothing: {error}"))?;
    let address = address.trim();
    if address.is_empty() {
        return Err("the server could not begin".into());
    }
    println!("{address}  (Ctrl+C ends it)");
    let has_display = cfg!(any(windows, target_os = "macos"))
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if has_display {
        open(address);
    }
    Ok(())
}

/// Opens an address; that there is no program for it is no failure, for the address has been printed.
fn open(address: &str) {
    for (program, arguments) in OPENERS {
        let mut opener = Command::new(program);
        opener.args(*arguments).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if opener.spawn().is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_handed_on_or_refused() {
        assert_eq!(options(&[]), Ok(vec![]));
        assert_eq!(options(&["--plain", "--port", "9000"]), Ok(vec!["--plain", "--port", "9000"]));
        assert!(options(&["--port"]).is_err());
        assert!(options(&["--port", "high"]).is_err());
        assert!(options(&["--fast"]).unwrap_err().contains("--fast"));
    }

    #[test]
    fn what_is_fetched_is_read_off_the_list() {
        let list = r#"{ "note": "`.models/` is filled by xtask", "a": { "from": ".models/dtln/model_1.onnx" },
            "b": { "from": "tests/models/x.onnx" } }"#;
        assert_eq!(fetched(list), ["dtln/model_1.onnx"]);
    }
}
