//! Where things are: the repository's root, its target folder, and the cargo that started us.
//!
//! Everything else asks this file instead of the environment, so that a command behaves the same from any folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root: the parent of this package.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// The folder cargo builds into.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A command that runs in the repository's root and reads nothing.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that started us, so that a toolchain chosen with `+name` holds for the steps too.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).env("CARGO_TERM_COLOR", "never");
    cargo
}

/// What this machine is called, as in `x86_64-unknown-linux-gnu`.
pub(crate) fn host_triple() -> Option<String> {
    let about = output(command("rustc").arg("-vV"))?;
    let about = String::from_utf8(about).ok()?;
    about.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// Standard output of a command that succeeded.
pub(crate) fn output(command: &mut Command) -> Option<Vec<u8>> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}
