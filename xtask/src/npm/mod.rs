//! `cargo xtask npm`: from the sources to `target/npm/inferry-VERSION.tgz`.
//!
//! Two modules go into the package, the page's (one build) and the engine's (four: with and without relaxed-simd, with and
//! without threads), and JavaScript that is bundled from TypeScript. Each step remembers what it was made from
//! (`stamp.rs`) and cargo what it compiled, so that a second run takes a second. This file is the order of the steps; it
//! knows nothing of what the modules do.

mod flavours;
mod modules;
mod package;
mod stamp;
mod steps;
pub(crate) mod tools;
mod wasm;

use std::path::PathBuf;

use crate::place;

pub(crate) use modules::TARGET;
pub(crate) use package::files;
pub(crate) use steps::steps;

/// Builds the package and packs it; prints what it made.
pub(crate) fn run() -> Result<bool, String> {
    let tarball = build()?;
    println!("{}", tarball.display());
    Ok(true)
}

/// Builds the package, packs it, and says where the tarball is.
pub(crate) fn build() -> Result<PathBuf, String> {
    tools::node()?;
    tools::install(&sources())?;
    modules::all()?;
    package::assemble()?;
    package::pack()
}

/// The package's own sources, with its `package.json`.
pub(crate) fn sources() -> PathBuf {
    place::root().join("host-wasm/npm")
}

/// Where everything is made.
pub(crate) fn output() -> PathBuf {
    place::target().join("npm")
}

/// The unpacked package.
pub(crate) fn folder() -> PathBuf {
    output().join("package")
}
