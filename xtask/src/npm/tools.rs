//! The tools that do not come with Rust: Node, npm, and what npm installs.
//!
//! Versions are pinned by `package-lock.json` with checksums; it names no registry, so that each machine asks its own. A
//! tool that is missing is named in one line with what to install.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::stamp::Stamp;
use crate::place;

/// The oldest Node that the package supports, and so the oldest that can build it.
const OLDEST_NODE: u32 = 20;

/// Whether Node and npm are here, and if not, what to do.
pub(crate) fn node() -> Result<(), String> {
    let version = place::output(place::command("node").arg("--version"));
    let version = version.ok_or("node is not here: install Node 20 or later, with npm")?;
    let version = String::from_utf8_lossy(&version).trim().to_string();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        return Err(format!("node is {version}: install Node {OLDEST_NODE} or later"));
    }
    match place::output(npm().arg("--version")) {
        Some(_) => Ok(()),
        None => Err("npm is not here: install it beside Node".into()),
    }
}

/// npm is a script, which on Windows has an ending that must be said.
pub(crate) fn npm() -> Command {
    place::command(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// Installs what the lock file of `folder` pins into its `node_modules`.
pub(crate) fn install(folder: &Path) -> Result<(), String> {
    let modules = folder.join("node_modules");
    let stamp = Stamp::new(modules.join(".inferry-installed")).path(&folder.join("package-lock.json"));
    stamp.make(std::slice::from_ref(&modules), || {
        // Nothing that we use needs an install script. Not `ci`, which refuses a lock file without the optional packages of
        // other systems, and a registry need not have those; `install` takes the same versions by the same checksums.
        let arguments =
            ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let mut install = npm();
        run(install.args(arguments).current_dir(folder), "npm could not install its packages")
    })
}

/// What Chromium is called on different systems.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A Chromium: the one that `CHROME` names, or one on the path; where we are root on Debian it is installed if need be.
pub(crate) fn chromium() -> Result<PathBuf, String> {
    if let Some(chrome) = std::env::var_os("CHROME") {
        let works = place::output(place::command(&chrome).arg("--version")).is_some();
        let problem = || format!("CHROME is {}, which is no Chromium that runs", chrome.to_string_lossy());
        return works.then(|| PathBuf::from(&chrome)).ok_or_else(problem);
    }
    if let Some(found) = on_path() {
        return Ok(found);
    }
    let root = place::output(place::command("id").arg("-u")).is_some_and(|id| id.trim_ascii() == b"0");
    if root {
        for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends", "chromium"]] {
            let mut apt = place::command("apt-get");
            drop(place::output(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive")));
        }
    }
    on_path()
        .ok_or("Chromium is not here: install it (on Debian, apt-get install chromium) or set CHROME".into())
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| CHROMIUM.iter().map(|name| folder.join(name)).find(|file| file.is_file()))
}

/// A program of a package that npm installed for `folder`: its script, run by Node.
pub(crate) fn script(folder: &Path, path: &str) -> Command {
    let mut node = place::command("node");
    node.arg(folder.join("node_modules").join(path));
    node
}

/// Runs a command to its end; when it fails, the end of what it said is the error.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    Err(format!("{what}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n")))
}
