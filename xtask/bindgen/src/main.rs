//! `xtask-bindgen MODULE FOLDER`: writes the JavaScript side of a module that was built with wasm-bindgen.
//!
//! What the command `wasm-bindgen --target web` does, from the same library at the same pinned version as the macros, so
//! that the two cannot differ. A package of its own, because the library takes a minute to build and every other chore
//! does without it. The module itself is left for the caller to fetch: its place is not written into the JavaScript,
//! which a bundler would copy a second time.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        eprintln!("xtask-bindgen MODULE FOLDER");
        return ExitCode::FAILURE;
    };
    match write(module, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask-bindgen: {module}: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn write(module: &str, folder: &str) -> Result<(), String> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).typescript(true).omit_default_module_path(true).remove_producers_section(true);
    let made = bindgen.web(true).and_then(|bindgen| bindgen.generate(folder));
    made.map_err(|error| format!("{error:#}"))
}
