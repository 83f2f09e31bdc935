//! `cargo xtask tidy`: the promises of ARCHITECTURE.md that no compiler knows.
//!
//! Each rule is a function from a file to the problems in it; what the rules need to know (the rooms that may hold
//! `unsafe`, the sizes) stands as data at the top, so that a change of the architecture is a change of a list. The rules
//! read files that git tracks; they build nothing.

use std::fs;
use std::path::PathBuf;

use crate::{place, source};

/// Files and folders whose code may say `unsafe`; everywhere else the word is a mistake.
const UNSAFE_ROOMS: &[&str] = &[
    "core/src/tensor/storage.rs",
    "core/src/request/shared.rs",
    "core/src/request/task.rs",
    "core/src/request/inbox.rs",
    "core/src/sync.rs",
    "core/src/crew.rs",
    "core/tests/counting/",
    "core/tests/loom/crew.rs",
    "tests/tests/cycles.rs",
    "tests/tests/hostile_models.rs",
    "tests/wasm/src/lib.rs",
    "devices/cpu/src/kernel/",
    "devices/cpu/src/simd/",
    "devices/cpu/src/io.rs",
    "devices/cpu/src/arena/",
    "devices/cpu/src/isa.rs",
    "devices/cpu/benches/",
    "devices/cpu/src/single.rs",
    "host-std/src/contents.rs",
    "host-std/src/features.rs",
    "host-wasm/engine/src/abi.rs",
    "host-wasm/engine/src/host.rs",
    "host-wasm/engine/src/host_std.rs",
    "host-wasm/engine/src/memory.rs",
];

/// The only file that names the atomics of the layers without std; the others import them from it. Hosts and tests have
/// std and its threads, and may name what they need there.
const ATOMICS: &str = "core/src/sync.rs";

/// A file that has outgrown this holds more than one idea.
const MOST_LINES: usize = 700;

/// Models and fixtures in the repository, in bytes: a clone must stay quick.
const MOST_MODEL_BYTES: u64 = 24_000_000;

const MODELS: &str = "tests/models/";

/// Prints the problems; true when there are none.
pub(crate) fn run() -> Result<bool, String> {
    let problems = problems()?;
    for problem in &problems {
        println!("{problem}");
    }
    println!("{} problems", problems.len());
    Ok(problems.is_empty())
}

/// Every problem in the repository, one a line, each beginning with the file.
pub(crate) fn problems() -> Result<Vec<String>, String> {
    let files = tracked()?;
    let here = local_paths();
    let mut problems = Vec::new();
    for file in &files {
        let Ok(bytes) = fs::read(place::root().join(file)) else { continue };
        // What is not text (models, pictures, sound) has no words to look for.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        problems.extend(machine_paths(file, &text, &here));
        if file.ends_with(".rs") {
            problems.extend(rust(file, &text));
        }
    }
    problems.extend(model_bytes(&files));
    Ok(problems)
}

/// The rules for a file of Rust.
fn rust(file: &str, text: &str) -> Vec<String> {
    let code = source::code(text);
    let mut problems = Vec::new();
    let mut say = |problem: String| problems.push(format!("{file}: {problem}"));
    if is_source(file) && !text.starts_with("//!") {
        say("does not begin with module documentation (`//!`)".to_string());
    }
    if source::has_word(&code, "unsafe") && !UNSAFE_ROOMS.iter().any(|room| file.starts_with(room)) {
        say("says `unsafe` and is not one of the rooms for it (xtask/src/tidy.rs lists them)".to_string());
    }
    if code.contains("core::sync::atomic") && file != ATOMICS {
        say(format!("names atomics; only {ATOMICS} does"));
    }
    for open in ["todo!", "unimplemented!", "#[ignore"] {
        if code.contains(open) {
            say(format!("leaves something open: `{open}`"));
        }
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        say(format!("{lines} lines; more than {MOST_LINES} are more than one idea"));
    }
    problems
}

fn is_source(file: &str) -> bool {
    file.starts_with("src/") || file.contains("/src/")
}

/// A path of one machine means something on that machine only.
fn machine_paths(file: &str, text: &str, here: &[String]) -> Vec<String> {
    if file.ends_with(".lock") {
        return Vec::new();
    }
    let lines = text.lines().enumerate();
    let found = lines
        .filter_map(|(at, line)| here.iter().find(|path| line.contains(*path)).map(|path| (at + 1, path)));
    found.map(|(line, path)| format!("{file}:{line}: names `{path}`, a path of this machine")).collect()
}

/// What such a path looks like here: the repository, the home folder, and the folder beside the repository that
/// developers are handed material in (in two words, or this file would break its own rule).
fn local_paths() -> Vec<String> {
    let home = std::env::var("HOME").or_else(|_| std::env::var("USERPROFILE")).unwrap_or_default();
    let mut paths = vec![["..", "shared"].join("/")];
    paths.push(place::root().display().to_string());
    paths.push(format!("{}/", home.trim_end_matches('/')));
    // A root or home folder of a few characters, as in a container, is part of innocent words.
    paths.retain(|path| path.len() > 4);
    paths
}

fn model_bytes(files: &[String]) -> Option<String> {
    let models = files.iter().filter(|file| file.starts_with(MODELS));
    let bytes: u64 =
        models.filter_map(|file| fs::metadata(place::root().join(file)).ok()).map(|data| data.len()).sum();
    (bytes > MOST_MODEL_BYTES).then(|| {
        format!("{MODELS}: {bytes} bytes of models and fixtures; at most {MOST_MODEL_BYTES} are meant to be")
    })
}

/// The files that git tracks or would track, as paths with `/`; without git, all but the folders that are built or
/// fetched.
fn tracked() -> Result<Vec<String>, String> {
    let mut git = place::command("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    match place::output(&mut git) {
        Some(list) => {
            let list = String::from_utf8_lossy(&list).into_owned();
            Ok(list.split('\0').filter(|file| !file.is_empty()).map(String::from).collect())
        }
        None => walk(),
    }
}

fn walk() -> Result<Vec<String>, String> {
    let root = place::root();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if !matches!(name.to_str(), Some("target" | ".git" | ".models" | "node_modules")) {
                    folders.push(path);
                }
            } else if let Ok(relative) = path.strip_prefix(&root) {
                files.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complains(file: &str, text: &str, word: &str) -> bool {
        rust(file, text).iter().any(|problem| problem.starts_with(file) && problem.contains(word))
    }

    #[test]
    fn a_source_file_begins_with_its_mental_model() {
        assert!(complains("core/src/a.rs", "use b;\n", "module documentation"));
        assert!(!complains("core/src/a.rs", "//! A.\n", "module documentation"));
        assert!(!complains("core/tests/a.rs", "use b;\n", "module documentation"));
    }

    #[test]
    fn unsafe_stays_in_its_rooms() {
        let text = "//! A.\nfn f() { unsafe { g() } }\n";
        assert!(complains("engine/src/a.rs", text, "unsafe"));
        assert!(!complains("devices/cpu/src/kernel/a.rs", text, "unsafe"));
        assert!(!complains("engine/src/a.rs", "//! Nothing unsafe.\n#![forbid(unsafe_code)]\n", "unsafe"));
    }

    #[test]
    fn atomics_come_through_one_door() {
        let text = "//! A.\nuse core::sync::atomic::AtomicU8;\n";
        assert!(complains("core/src/pool.rs", text, "atomics"));
        assert!(!complains("core/src/sync.rs", text, "atomics"));
        assert!(!complains("core/src/tests.rs", "//! A.\nuse std::sync::atomic::AtomicU8;\n", "atomics"));
    }

    #[test]
    fn a_file_past_one_idea_is_too_long() {
        let text = format!("//! A.\n{}", "fn f() {}\n".repeat(MOST_LINES));
        assert!(complains("core/src/a.rs", &text, "lines"));
        assert!(!complains("core/src/a.rs", &text[..text.len() - 10], "lines"));
    }

    #[test]
    fn nothing_is_left_open() {
        assert!(complains("core/src/a.rs", "//! A.\nfn f() { todo!() }\n", "open"));
        assert!(!complains("core/src/a.rs", "//! Not a todo!().\n", "open"));
    }

    #[test]
    fn a_path_of_this_machine_is_found_in_any_text() {
        let here = vec!["/home/someone/".to_string()];
        let found = machine_paths("README.md", "fine\nsee /home/someone/x\n", &here);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("README.md:2:"));
        assert!(machine_paths("Cargo.lock", "/home/someone/", &here).is_empty());
    }

    #[test]
    fn walking_finds_what_git_lists() {
        let walked = walk().unwrap();
        for file in ["Cargo.toml", "xtask/src/tidy.rs"] {
            assert!(walked.iter().any(|walked| walked == file), "{file}");
        }
    }
}
