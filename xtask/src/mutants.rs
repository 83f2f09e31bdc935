//! `cargo xtask loom --mutants`: bugs planted in a copy of core, each of which some loom model must find.
//!
//! Tests that cannot fail are decoration. Each mutant is one replacement in one file, a mistake that somebody could make;
//! its text must occur exactly once, so a mutant cannot rot unnoticed. The repository itself is not touched.

use std::fs;
use std::path::Path;

use crate::{place, report::Report};

struct Mutant {
    /// What is wrong with it.
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a relaxed swap of the life",
        file: "core/src/request/shared.rs",
        from: "life.to_word(), Ordering::AcqRel, Ordering::Acquire)",
        to: "life.to_word(), Ordering::Relaxed, Ordering::Relaxed)",
    },
    Mutant {
        name: "a wake of a running stage is lost",
        file: "core/src/request/life.rs",
        from: "(Running { stage, .. }, Nudge { tag }) if tag == self.run.tag() => {
                Ok((self.to(Running { stage, nudged: true }), Nothing))",
        to: "(Running { stage, .. }, Nudge { tag }) if tag == self.run.tag() => {
                Ok((self.to(Running { stage, nudged: false }), Nothing))",
    },
    Mutant {
        name: "a wake that changes nothing is not swapped in",
        file: "core/src/request/shared.rs",
        from: "let (life, command) = before.on(event)?;",
        to: "let (life, command) = before.on(event)?;
            if life == before && command == Command::Nothing {
                return Ok((life, command));
            }",
    },
    Mutant {
        name: "a cancel is forgotten when the last stage succeeds",
        file: "core/src/request/life.rs",
        from: "Ok(self.end(self.verdict_or(Verdict::Done)))",
        to: "Ok(self.end(Verdict::Done))",
    },
    Mutant {
        name: "a cancel does not mind the run's number",
        file: "core/src/request/life.rs",
        from: "(_, Cancel { run: Some(run), .. }) if run != self.run => Err(Refused::NotRunning),",
        to: "",
    },
    Mutant {
        name: "a waiter looks first and registers afterwards",
        file: "core/src/request/ledger.rs",
        from: "Slot::Settled(outcome) => Answer::Ready(outcome.clone()),
                Slot::Waiting { waker: Some",
        to: "Slot::Settled(outcome) if fresh.is_none() => Answer::Ready(outcome.clone()),
                Slot::Settled(_) => Answer::Kept,
                Slot::Waiting { waker: Some",
    },
    Mutant {
        name: "waiters are told before the callback",
        file: "core/src/request/drive.rs",
        from: "let (task, answer) = self.call_back(life.run, verdict);",
        to: "self.shared().ledger.settle(Outcome { run: life.run, verdict, error: None });
        let (task, answer) = self.call_back(life.run, verdict);",
    },
    Mutant {
        name: "a device is not told that its run goes no further",
        file: "core/src/request/drive.rs",
        from: "if !begun || done {",
        to: "if begun || !begun || done {",
    },
    Mutant {
        name: "a task dropped by its executor is forgotten",
        file: "core/src/request/task.rs",
        from: "if let Some(task) = task.abandon() {
            task.run(&Lend::SERIAL);
        }",
        to: "drop(task.into_arc());",
    },
    Mutant {
        name: "the inbox forgets the order",
        file: "core/src/request/inbox.rs",
        from: "let link = unsafe { &(*newest).link };
            let before = link.load(Ordering::Relaxed);
            link.store(oldest.cast_mut(), Ordering::Relaxed);
            oldest = newest;
            newest = before;",
        to: "oldest = newest;
            break;",
    },
    Mutant {
        name: "the inbox is published without its links",
        file: "core/src/request/inbox.rs",
        from: "compare_exchange_weak(newest, added, Ordering::AcqRel, Ordering::Relaxed)",
        to: "compare_exchange_weak(newest, added, Ordering::Relaxed, Ordering::Relaxed)",
    },
];

/// Plants every mutant in turn; true when all were found.
pub(crate) fn run() -> Result<bool, String> {
    let garden = place::target().join("mutants");
    let mut report = Report::new(false);
    report.check("the models hold without a mutant", || {
        plant(&garden, None)?;
        Ok(if found(&garden) { vec!["a model fails without a mutant".to_string()] } else { Vec::new() })
    });
    for mutant in MUTANTS {
        report.check(mutant.name, || {
            plant(&garden, Some(mutant))?;
            Ok(if found(&garden) { Vec::new() } else { vec!["no model found it".to_string()] })
        });
    }
    Ok(report.close())
}

/// A copy of core as a workspace of its own, with the mutant in it.
fn plant(garden: &Path, mutant: Option<&Mutant>) -> Result<(), String> {
    let manifest = read(&place::root().join("Cargo.toml"))?;
    let members =
        manifest.lines().map(|line| if line.starts_with("members") { "members = [\"core\"]" } else { line });
    write(&garden.join("Cargo.toml"), &members.collect::<Vec<_>>().join("\n"))?;
    let mut listing = place::command("git");
    let listing = place::output(listing.args(["ls-files", "core", "docs", "Cargo.lock"]));
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
        write(&garden.join(file), &text)?;
    }
    Ok(())
}

/// Whether a model fails in the copy. A mutant that does not compile is no mutant.
fn found(garden: &Path) -> bool {
    let mut tests =
        place::cargo(&["test", "--quiet", "--package", "inferry-core", "--test", "loom", "--release"]);
    tests.current_dir(garden).env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", garden.join("target"));
    // Built once a mutant and run for a second: linking fast is worth more than running fast.
    tests.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    let Ok(output) = tests.output() else { return false };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("could not compile"), "{text}");
    !output.status.success()
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
