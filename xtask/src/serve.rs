//! `cargo xtask serve`: the demo page, built from the sources and served on this machine.
//!
//! Models that are not here are fetched, `www.rs` builds the page, and a small server in Node shows it. This file is the order
//! of these steps, and stops with its server.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{models, place, www};

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
    let files = www::fetched()?;
    models::only(&files.iter().map(String::as_str).collect::<Vec<_>>())?;
    println!("building the npm package and the page (the first time compiles everything: some minutes)");
    www::build()?;
    let mut server = place::command("node");
    server.arg(www::folder().join("serve.mjs")).arg("--held").args(options);
    server.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = server.spawn().map_err(|error| format!("node could not be started: {error}"))?;
    // It ends when this end is closed, however we end.
    let _held = server.stdin.take();
    announce(&mut server)?;
    let ended = server.wait().map_err(|error| format!("the server was lost: {error}"))?;
    Ok(ended.success())
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
}
