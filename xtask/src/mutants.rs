//! `cargo xtask loom --mutants`: bugs planted in a copy of core, each of which some test must find.
//!
//! Tests that cannot fail are decoration. Each mutant is one replacement in one file, a mistake that somebody could make;
//! its text must occur exactly once, so a mutant cannot rot unnoticed. It says who has to find it: the loom models, when
//! it is a mistake about who comes first, or else the ordinary tests of core, or the behaviours in simulated worlds. The
//! repository itself is not touched.

mod list;

use std::fs;
use std::path::Path;

use self::list::MUTANTS;
use crate::{place, report::Report};

struct Mutant {
    /// Who must find it.
    by: By,
    /// What is wrong with it.
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

/// A kind of test.
#[derive(Clone, Copy)]
enum By {
    /// The loom models.
    Models,
    /// The tests of core that need no interleaving.
    Tests,
    /// The behaviours in simulated worlds.
    Behaviours,
}

/// Plants every mutant in turn; true when all were found.
pub(crate) fn run() -> Result<bool, String> {
    let garden = place::target().join("mutants");
    let mut report = Report::new(false);
    report.check("everything holds without a mutant", || {
        plant(&garden, None)?;
        let mut problems = Vec::new();
        for by in By::ALL {
            if by.find(&garden)? {
                problems.push(format!("{} fail without a mutant", by.name()));
            }
        }
        Ok(problems)
    });
    for mutant in MUTANTS {
        report.check(mutant.name, || {
            plant(&garden, Some(mutant))?;
            let found = mutant.by.find(&garden)?;
            Ok(if found { Vec::new() } else { vec![format!("{} do not find it", mutant.by.name())] })
        });
    }
    Ok(report.close())
}

/// What grows in the garden: core, and what the behaviours in simulated worlds need.
const GARDEN: &[&str] = &[
    "core",
    "engine",
    "devices/template",
    "docs",
    "tests/Cargo.toml",
    "tests/src",
    "tests/tests/simulation.rs",
    "Cargo.lock",
];

const MEMBERS: &str = r#"members = ["core", "engine", "devices/template", "tests"]"#;

/// A copy of core as a workspace of its own, with the mutant in it.
fn plant(garden: &Path, mutant: Option<&Mutant>) -> Result<(), String> {
    let manifest = read(&place::root().join("Cargo.toml"))?;
    let members = manifest.lines().map(|line| if line.starts_with("members") { MEMBERS } else { line });
    write(&garden.join("Cargo.toml"), &members.collect::<Vec<_>>().join("\n"))?;
    let mut listing = place::command("git");
    let listing = place::output(listing.arg("ls-files").args(GARDEN));
    let listing =
        String::from_utf8(listing.ok_or("git cannot list core")?).map_err(|error| error.to_string())?;
    for file in listing.lines() {
        let mut text = read(&place::root().join(file))?;
        if let Some(mutant) = mutant.filter(|mutant| mutant.file == file) {
            let places = text.matches(mutant.from).count();
            if places != 1 {
                return Err(format!("the text to replace occurs {places} times in {file}: mend the mutant"));
            }
            text = text.replace(mutant.from, mutant.to);
        }
        write(&garden.join(file), &simulated_only(file, text))?;
    }
    Ok(())
}

/// The package of behaviours without what is not simulated: the host and the device that computes are slow to build.
fn simulated_only(file: &str, text: String) -> String {
    const NATIVE: &str = r#"cfg(not(target_family = "wasm"))"#;
    if file != "tests/Cargo.toml" {
        return text.replace(NATIVE, "cfg(any())");
    }
    let mut native = false;
    let kept = text.lines().filter(|line| {
        native = if line.starts_with('[') { line.contains(NATIVE) } else { native };
        !native
    });
    kept.collect::<Vec<_>>().join("\n")
}

impl By {
    const ALL: [By; 3] = [By::Models, By::Tests, By::Behaviours];

    fn name(self) -> &'static str {
        match self {
            By::Models => "the loom models",
            By::Tests => "the tests of core",
            By::Behaviours => "the behaviours",
        }
    }

    /// Whether one of these tests fails in the copy.
    ///
    /// # Errors
    /// When they did not run: a mutant that does not compile is no mutant.
    fn find(self, garden: &Path) -> Result<bool, String> {
        let arguments: &[&str] = match self {
            By::Models => &["--package", "inferry-core", "--test", "loom", "--release"],
            By::Tests => &["--package", "inferry-core", "--lib"],
            By::Behaviours => &["--package", "inferry-behaviour", "--test", "simulation"],
        };
        let mut tests = place::cargo(&["test", "--quiet"]);
        tests.args(arguments).current_dir(garden).env("CARGO_TARGET_DIR", garden.join("target"));
        // Built once a mutant and run for a second: linking fast is worth more than running fast.
        tests.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        if let By::Models = self {
            tests.env("RUSTFLAGS", "--cfg loom");
            tests.env("CARGO_TARGET_DIR", garden.join("target/loom"));
        }
        let output = tests.output().map_err(|error| format!("cannot run the tests: {error}"))?;
        let text = String::from_utf8_lossy(&output.stderr);
        // Only a test that ran and failed has found something: cargo also fails when the garden is not in order, and a
        // whole garden once seemed found in no time because a manifest did not fit.
        if output.status.success() {
            return Ok(false);
        }
        match text.contains("test failed, to rerun pass") {
            true => Ok(true),
            false => Err(format!("the tests did not run: {text}")),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Writes what has changed only, so that cargo builds only that.
fn write(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
