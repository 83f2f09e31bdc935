//! Read the text in a picture: three models in a cascade.
//!
//! ```text
//! cargo run --release --example ocr [IMAGE]
//!
//!  picture ─▶ detect ─▶ boxes ─▶ turn ─▶ read ─▶ line 1
//!                          ├───▶ turn ─▶ read ─▶ line 2     each box a region-of-interest tensor of the one picture,
//!                          └───▶ …                          the boxes overlapped over a pool of requests
//! ```
//!
//! The detector runs as one request over all cores. Then every box becomes a future that asks the turner which way up the
//! line is and the reader what it says; all of them are polled together, and the compiled models hand out requests from
//! their pools, one stream a core. The lines are printed with their scores and times, and an annotated copy of the picture
//! is written beside where you stand. Without an argument a bundled picture is read.
//!
//! The models are PP-OCRv6 tiny (detect, read) and PP-OCR mobile 2.0 (turn); see `tests/models/README.md`.

mod annotate;
mod detect;
mod geometry;
mod read;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use inferry::{CompiledModel, Options, Runtime, Tensor, block_on};

use detect::Detection;
use read::Alphabet;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> std::process::ExitCode {
    match run(std::env::args_os().nth(1).map(PathBuf::from)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ocr: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run(image: Option<PathBuf>) -> Result<()> {
    let path = image.unwrap_or_else(|| models().join("tinyocr_v6/ocr_synth.png"));
    let picture = image::open(&path).map_err(|error| format!("{}: {error}", path.display()))?.to_rgb8();
    let begun = Instant::now();
    let reader = Reader::load()?;
    println!("models loaded in {:.0} ms", millis(begun.elapsed()));

    let begun = Instant::now();
    let page = reader.read(&as_tensor(&picture)?)?;
    let whole = begun.elapsed();
    println!("{} lines in {} x {} pixels", page.lines.len(), picture.width(), picture.height());
    for line in &page.lines {
        let turned = if line.upside_down { " (upside down)" } else { "" };
        let (found, read) = (line.detection.score, line.score);
        println!("found {found:.3}  read {read:.3}  {:6.1} ms  {}{turned}", millis(line.took), line.text);
    }
    println!(
        "detection {:.1} ms, reading {:.1} ms, in all {:.1} ms",
        millis(page.detection),
        millis(page.reading),
        millis(whole)
    );
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let target = PathBuf::from(format!("{stem}_annotated.png"));
    annotate::annotate(picture, &page.lines).save(&target)?;
    println!("wrote {}", target.display());
    Ok(())
}

/// A line of text in a picture.
struct Line {
    detection: Detection,
    upside_down: bool,
    text: String,
    /// Mean certainty of the characters, 0 to 1.
    score: f32,
    /// From asking the turner to the text.
    took: Duration,
}

/// What a picture says.
struct Page {
    lines: Vec<Line>,
    detection: Duration,
    reading: Duration,
}

/// The three models.
struct Reader {
    detector: CompiledModel,
    turner: CompiledModel,
    reader: CompiledModel,
    alphabet: Alphabet,
}

impl Reader {
    fn load() -> Result<Reader> {
        let runtime = Runtime::new()?;
        let load = |name: &str, options| runtime.compile_file(models().join(name), options);
        let keys = std::fs::read_to_string(models().join("tinyocr_v6/keys.txt"))?;
        Ok(Reader {
            // One picture: all cores for one request. Many lines: a request for each core.
            detector: load("tinyocr_v6/PP-OCRv6_det_tiny.onnx", Options::latency())?,
            turner: load("ppocrv4/ch_ppocr_mobile_v2.0_cls_infer.onnx", Options::throughput())?,
            reader: load("tinyocr_v6/PP-OCRv6_rec_tiny.onnx", Options::throughput())?,
            alphabet: Alphabet::new(&keys),
        })
    }

    /// Reads a picture, `u8 [H, W, 3]`.
    fn read(&self, picture: &Tensor) -> Result<Page> {
        let begun = Instant::now();
        let mut request = self.detector.request()?;
        request.set_input(0, detect::input(picture)?)?;
        let outputs = request.start()?.wait()?;
        let map = outputs.get(0)?;
        let (height, width) = (map.shape()[2], map.shape()[3]);
        let found =
            detect::boxes(&map.as_slice::<f32>()?, height, width, (picture.shape()[1], picture.shape()[0]));
        let detection = begun.elapsed();
        let begun = Instant::now();
        let lines = block_on(join_all(found.into_iter().map(|detection| self.line(picture, detection))));
        let lines = lines.into_iter().collect::<Result<Vec<Line>>>()?;
        Ok(Page { lines, detection, reading: begun.elapsed() })
    }

    /// Reads one line: which way up is it, and what does it say?
    async fn line(&self, picture: &Tensor, detection: Detection) -> Result<Line> {
        let begun = Instant::now();
        let quad = if detection.quad.height() >= 1.5 * detection.quad.width() {
            detection.quad.quarter_turned()
        } else {
            detection.quad
        };
        let answer = self.turner.run([read::turner_input(picture, &quad)?]).await?;
        let upside_down = read::is_upside_down(&answer.get(0)?.as_slice::<f32>()?);
        let quad = if upside_down { quad.upside_down() } else { quad };
        let answer = self.reader.run([read::reader_input(picture, &quad)?]).await?;
        let scores = answer.get(0)?;
        let classes = *scores.shape().last().ok_or("the reader gives no classes")?;
        let (text, score) = self.alphabet.decode(&scores.as_slice::<f32>()?, classes);
        Ok(Line { detection, upside_down, text, score, took: begun.elapsed() })
    }
}

fn as_tensor(picture: &image::RgbImage) -> Result<Tensor> {
    let extents = [picture.height() as usize, picture.width() as usize, 3];
    Ok(Tensor::from_slice(picture.as_raw(), extents)?)
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_six_lines_are_read_exactly() {
        let picture = image::open(models().join("tinyocr_v6/ocr_synth.png")).unwrap().to_rgb8();
        let page = Reader::load().unwrap().read(&as_tensor(&picture).unwrap()).unwrap();
        let texts: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
        let truth = [
            "ONNX inference in Rust",
            "Async, cancel, callbacks",
            "Invoice No. 2024-0173",
            "Total: 1,284.50 EUR",
            "Upside down text 42",
            "The quick brown fox jumps over the lazy dog",
        ];
        assert_eq!(texts, truth);
        assert!(page.lines.iter().all(|line| line.score > 0.9));
        let turned: Vec<bool> = page.lines.iter().map(|line| line.upside_down).collect();
        assert_eq!(turned, [false, false, false, false, true, false]);
    }
}
