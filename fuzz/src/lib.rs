//! Hostile bytes: what the fuzz targets do with them, and how they are changed.
//!
//! ```text
//!  libFuzzer ─▶ targets/ ─▶ wire     is it protobuf, what does the file say of itself
//!      ▲                    import   … a graph that holds together, also after the passes
//!      │                    execute  … a compiled model that runs, whatever it is given
//!      ╰── message (changes a model as a tree, so that most of what comes out can be read)
//! ```
//!
//! Each function takes any bytes and must come back, soon and without a panic; what it finds to be wrong with them does not
//! matter. The targets themselves are a package of their own, for only they need libFuzzer; the tests of this one give each
//! function the whole corpus, and changes of it, without a fuzzer. `cargo xtask fuzz` builds and runs the targets.
#![forbid(unsafe_code)]

mod execute;
pub mod message;
mod random;

use inferry_engine::graph::verify;
use inferry_engine::onnx::{self, Limits, Options};
use inferry_engine::passes::{self, NoArithmetic};

pub use execute::execute;
pub use random::Random;

/// As large as a model may be here: small ones find as much, and faster.
pub const LIMITS: Limits =
    Limits { bytes: 1 << 20, messages: 1 << 14, depth: 64, nodes: 1 << 10, external_bytes: 0 };

/// Reads bytes as a model's survey and as a tensor.
pub fn wire(bytes: &[u8]) {
    let _ = onnx::survey(bytes, &LIMITS);
    let _ = onnx::read_tensor(bytes);
}

/// Reads bytes as a model, and rewrites its graph.
///
/// # Panics
/// When the graph contradicts itself, before the passes or after them.
pub fn import(bytes: &[u8]) {
    let options = Options { limits: LIMITS, ..Options::default() };
    let mut model = match onnx::import(bytes, &options) {
        Ok(model) => model,
        Err(error) => return drop(error.to_string()),
    };
    verify(&model.graph).expect("an imported graph holds together");
    let _ = model.graph.to_string();
    match passes::run(&mut model.graph, &NoArithmetic, passes::Options::default()) {
        Ok(()) => verify(&model.graph).expect("a graph holds together after the passes"),
        Err(error) => drop(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn corpus() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.extension().is_some_and(|end| end == "onnx"));
        let read = |path: std::path::PathBuf| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        };
        let mut all: Vec<_> = files.map(read).collect();
        all.sort();
        assert!(all.len() > 300, "{} files", all.len());
        all
    }

    #[test]
    fn nearly_all_of_the_corpus_runs() {
        let (mut ran, mut all) = (0, 0);
        for (name, bytes) in corpus() {
            println!("{name}");
            wire(&bytes);
            import(&bytes);
            all += 1;
            ran += usize::from(execute(&bytes));
        }
        assert!(ran * 3 > all * 2, "{ran} of {all} models ran");
    }

    #[test]
    fn changed_models_do_no_harm() {
        let corpus = corpus();
        let mut read = 0;
        for round in 0..3 {
            for (index, (name, bytes)) in corpus.iter().enumerate() {
                let mut random = Random::new(round * 1000 + index as u64);
                let other = &corpus[random.below(corpus.len())].1;
                let changed = message::changed(bytes, other, &mut random, &mut |_| {});
                println!("{name} in round {round}");
                wire(&changed);
                import(&changed);
                execute(&changed);
                read += usize::from(onnx::survey(&changed, &LIMITS).is_ok());
            }
        }
        assert!(read > corpus.len() * 3 / 2, "{read} of the changed models can still be read");
    }
}
