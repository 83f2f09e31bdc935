//! Puts the package together: JavaScript, declarations, modules, licences; then `npm pack`.
//!
//! TypeScript's compiler checks the sources and writes the declarations; esbuild, called by `scripts/bundle.mjs`, writes the
//! JavaScript. What a bundler of a user must find by reading (`new URL('./x', import.meta.url)`) is looked for afterwards
//! in what was written.

use std::fs;
use std::path::{Path, PathBuf};

use super::stamp::Stamp;
use super::{flavours, folder, modules, output, sources, tools};
use crate::place;

/// What must stand in the JavaScript word for word, or a user's bundler does not find the file behind it.
const LITERAL: &[&str] = &["worker.js", "node-worker.js", "inferry.wasm"];

/// Makes `target/npm/package/`.
pub(crate) fn assemble() -> Result<(), String> {
    let stamp = Stamp::new(output().join("stamps/package"));
    let inputs =
        ["src", "wasm", "scripts", "package.json", "package-lock.json", "tsconfig.json", "README.md"];
    let stamp = inputs.iter().fold(stamp, |stamp, input| stamp.path(&sources().join(input)));
    let stamp = stamp.path(&modules::folder()).path(&place::root().join("LICENSE-MIT"));
    stamp.make(&[folder().join("dist/index.js"), folder().join("dist/engine.wasm")], || {
        drop(fs::remove_dir_all(folder()));
        let dist = folder().join("dist");
        let mut tsc = tools::script(&sources(), "typescript/bin/tsc");
        tsc.args(["--project", "tsconfig.json", "--emitDeclarationOnly", "--outDir"]).arg(&dist);
        tools::run(tsc.current_dir(sources()), "the TypeScript sources have mistakes")?;
        let mut bundle = place::command("node");
        bundle.arg("scripts/bundle.mjs").arg(folder());
        tools::run(bundle.current_dir(sources()), "the JavaScript could not be bundled")?;
        for entry in fs::read_dir(modules::folder()).map_err(|error| error.to_string())?.flatten() {
            copy(&entry.path(), &dist.join(entry.file_name()))?;
        }
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            copy(&place::root().join(licence), &folder().join(licence))?;
        }
        let missing = missing_literals(&dist)?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "no JavaScript says new URL(\"./{}\", import.meta.url)",
            missing.join("\", …), new URL(\"./")
        ))
    })
}

/// Packs the folder; gives the tarball.
pub(crate) fn pack() -> Result<PathBuf, String> {
    let version = env!("CARGO_PKG_VERSION");
    let manifest = fs::read_to_string(folder().join("package.json")).unwrap_or_default();
    if !manifest.contains(&format!("\"version\": \"{version}\"")) {
        return Err(format!("host-wasm/npm/package.json is not of version {version}, as the workspace is"));
    }
    let tarball = packed();
    let stamp = Stamp::new(output().join("stamps/tarball")).path(&folder());
    stamp.make(std::slice::from_ref(&tarball), || {
        let mut pack = tools::npm();
        pack.args(["pack", "--silent", "--pack-destination"]).arg(output()).current_dir(folder());
        tools::run(&mut pack, "npm could not pack the package")
    })?;
    Ok(tarball)
}

/// Where the tarball lies.
pub(crate) fn packed() -> PathBuf {
    output().join(format!("inferry-{}.tgz", env!("CARGO_PKG_VERSION")))
}

/// The JavaScript files that loading `entry` (as `index.js`) loads with it, itself first.
pub(crate) fn files(dist: &Path, entry: &str) -> Result<Vec<String>, String> {
    let mut files = vec![entry.to_string()];
    let mut next = 0;
    while let Some(file) = files.get(next) {
        let path = dist.join(file);
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        for import in imports(&text) {
            if !files.contains(&import) {
                files.push(import);
            }
        }
        next += 1;
    }
    Ok(files)
}

/// The files of the same folder that a bundled file imports before it runs (not those of `import()`).
fn imports(text: &str) -> Vec<String> {
    let quoted = text.match_indices("\"./").filter_map(|(at, _)| {
        let before = text[..at].trim_end();
        let name = text[at + 3..].split('"').next()?;
        (before.ends_with("from") || before.ends_with("import")).then(|| name.to_string())
    });
    quoted.collect()
}

fn missing_literals(dist: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(dist).map_err(|error| format!("cannot list {}: {error}", dist.display()))?;
    let scripts = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "js"));
    let text: String = scripts.filter_map(|path| fs::read_to_string(path).ok()).collect();
    let wanted = LITERAL.iter().copied().chain(flavours::ALL.iter().map(|flavour| flavour.file));
    Ok(wanted.filter(|file| !has_literal(&text, file)).map(String::from).collect())
}

fn has_literal(text: &str, file: &str) -> bool {
    text.contains(&format!("new URL(\"./{file}\",import.meta.url)"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let copied = fs::copy(from, to);
    copied.map(drop).map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_loaded_at_once_counts_as_imported() {
        let text = "import{a as b}from\"./chunk-A.js\";import \"./chunk-B.js\";export*from\"./chunk-C.js\";\
                    const c=()=>import(\"./chunk-D.js\"),u=new URL(\"./worker.js\",import.meta.url);";
        assert_eq!(imports(text), ["chunk-A.js", "chunk-B.js", "chunk-C.js"]);
    }

    #[test]
    fn an_address_that_is_computed_is_no_literal() {
        assert!(has_literal("x(new URL(\"./a.wasm\",import.meta.url))", "a.wasm"));
        assert!(!has_literal("const n=\"./a.wasm\";new URL(n,import.meta.url)", "a.wasm"));
    }
}
