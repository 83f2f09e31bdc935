//! `cargo xtask size`: what a page fetches to run its first model, against the budgets.
//!
//! Counted are the JavaScript of the default entry and of its worker, the page's module, and one engine: of the two that an
//! ordinary page may choose from, the larger. Each file is compressed on its own, as a server does. A browser test fetches
//! the same files for its first run and holds the list against this one.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

use crate::npm;

/// The promise to a page: bytes after gzip -9.
const MOST: usize = 1_000_000;

/// Of which JavaScript.
const MOST_JAVASCRIPT: usize = 25_000;

/// The flavours that a page without cross-origin isolation chooses from.
const ENGINES: [&str; 2] = ["engine.wasm", "engine.relaxed.wasm"];

/// A file and its length, as it is and compressed.
struct Sized {
    name: String,
    raw: usize,
    gzip: usize,
}

/// Everything that counts.
struct First {
    javascript: Vec<Sized>,
    modules: Vec<Sized>,
}

/// Builds the package and prints its size; true when it is within the budgets.
pub(crate) fn run(json: bool) -> Result<bool, String> {
    npm::build()?;
    let first = First::read()?;
    if json {
        println!("{}", first.json())
    } else {
        first.print()
    }
    let problems = first.problems();
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    Ok(problems.is_empty())
}

/// Which budgets the built package breaks.
pub(crate) fn problems() -> Result<Vec<String>, String> {
    Ok(First::read()?.problems())
}

impl First {
    fn read() -> Result<First, String> {
        let dist = npm::folder().join("dist");
        let mut names = npm::files(&dist, "index.js")?;
        for name in npm::files(&dist, "worker.js")? {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let javascript = names.iter().map(|name| measure(&dist, name)).collect::<Result<_, _>>()?;
        let engines = ENGINES.iter().map(|name| measure(&dist, name)).collect::<Result<Vec<_>, _>>()?;
        let engine = engines.into_iter().max_by_key(|engine| engine.gzip).ok_or("there is no engine")?;
        Ok(First { javascript, modules: vec![measure(&dist, "inferry.wasm")?, engine] })
    }

    fn javascript(&self) -> usize {
        self.javascript.iter().map(|file| file.gzip).sum()
    }

    fn all(&self) -> usize {
        self.javascript() + self.modules.iter().map(|file| file.gzip).sum::<usize>()
    }

    fn raw(&self) -> usize {
        self.javascript.iter().chain(&self.modules).map(|file| file.raw).sum()
    }

    fn problems(&self) -> Vec<String> {
        let budgets = [
            ("the first load is", self.all(), MOST),
            ("of it, JavaScript is", self.javascript(), MOST_JAVASCRIPT),
        ];
        let over = budgets.iter().filter(|(_, found, most)| found > most);
        over.map(|(what, found, most)| {
            format!("{what} {found} bytes after gzip; at most {most} were promised")
        })
        .collect()
    }

    fn print(&self) {
        println!("{:<28} {:>10} {:>10}", "first load", "bytes", "gzip -9");
        for Sized { name, raw, gzip } in self.javascript.iter().chain(&self.modules) {
            println!("{name:<28} {raw:>10} {gzip:>10}");
        }
        println!("{:<28} {:>10} {:>10}  (at most {MOST})", "together", self.raw(), self.all());
        println!(
            "{:<28} {:>10} {:>10}  (at most {MOST_JAVASCRIPT})",
            "of it JavaScript",
            "",
            self.javascript()
        );
    }

    fn json(&self) -> String {
        let files: Vec<String> = self
            .javascript
            .iter()
            .chain(&self.modules)
            .map(|Sized { name, raw, gzip }| format!("\"{name}\": {{\"raw\": {raw}, \"gzip\": {gzip}}}"))
            .collect();
        format!(
            "{{\"first_load_gzip\": {}, \"first_load_raw\": {}, \"javascript_gzip\": {}, \"files\": {{{}}}}}",
            self.all(),
            self.raw(),
            self.javascript(),
            files.join(", ")
        )
    }
}

fn measure(dist: &Path, name: &str) -> Result<Sized, String> {
    let path = dist.join(name);
    let bytes = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(Sized { name: name.to_string(), raw: bytes.len(), gzip: compressed(&bytes)? })
}

fn compressed(bytes: &[u8]) -> Result<usize, String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let made = gzip.write_all(bytes).and_then(|()| gzip.finish());
    made.map(|bytes| bytes.len()).map_err(|error| format!("cannot compress: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(javascript: usize, module: usize) -> First {
        let file = |name: &str, gzip| Sized { name: name.to_string(), raw: 3 * gzip, gzip };
        First { javascript: vec![file("index.js", javascript)], modules: vec![file("engine.wasm", module)] }
    }

    #[test]
    fn a_load_within_the_budgets_has_no_problem_and_one_past_either_has() {
        assert!(first(MOST_JAVASCRIPT, MOST - MOST_JAVASCRIPT).problems().is_empty());
        assert!(first(MOST_JAVASCRIPT + 1, 0).problems()[0].contains("JavaScript"));
        assert!(first(1, MOST).problems()[0].contains("first load"));
    }

    #[test]
    fn the_object_names_what_was_asked_for() {
        assert_eq!(
            first(2, 3).json(),
            "{\"first_load_gzip\": 5, \"first_load_raw\": 15, \"javascript_gzip\": 2, \
             \"files\": {\"index.js\": {\"raw\": 6, \"gzip\": 2}, \"engine.wasm\": {\"raw\": 9, \"gzip\": 3}}}"
        );
    }

    #[test]
    fn what_repeats_is_counted_compressed() {
        assert!(compressed(&[7; 100_000]).unwrap() < 500);
    }
}
