//! Draws how two requests overlap on a split pipeline: `cargo run --release --example overlap [FILE.svg]`.
//!
//! The template device pretends to be an accelerator that does one job after the other. Its model is cut into three stages:
//! one that prepares and starts the job, one that waits for it, and one that looks at the result. While the first request
//! waits, the only stream is free for the second. A recorder notes which thread did what when; the same recording is
//! written beside the picture as a Chrome trace, for `chrome://tracing` or Perfetto.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inferry::trace::Recorder;
use inferry::{Next, Options, Runtime};
use inferry_template::{Chip, Form, Graph, Op, Template};
use serde_json::Value;

/// Runs of each request.
const RUNS: u32 = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "overlap.svg".into());
    let path = Path::new(&path);
    let trace = record()?;
    fs::write(path.with_extension("json"), &trace)?;
    let events: Vec<Value> = serde_json::from_str(&trace)?;
    fs::write(path, draw(&events))?;
    println!("wrote {} and {}", path.display(), path.with_extension("json").display());
    Ok(())
}

/// Two requests, started together, each again from its callback.
fn record() -> Result<String, Box<dyn Error>> {
    let recorder = Arc::new(Recorder::new());
    let runtime = Runtime::new()?.traced(recorder.clone());
    let chip = Template::new(Chip::working("chip"));
    let sleep = |millis: u64| [Op::Sleep(Duration::from_millis(millis))];
    let graph = Graph::new(sleep(6)).before(sleep(3)).after(sleep(3));
    let model = runtime.compile_on(&chip, &graph, &Form::Blocking, Options::latency().threads(1))?;
    let mut requests = [model.request()?, model.request()?];
    for request in &mut requests {
        let mut left = RUNS;
        request.set_callback(move |done| {
            done.result()?;
            left -= 1;
            Ok(if left == 0 { Next::Rest } else { Next::Again })
        })?;
    }
    for request in &mut requests {
        request.start()?.detach();
    }
    for request in &mut requests {
        request.wait_quiet()?;
    }
    Ok(recorder.chrome_json())
}

const LEFT: f64 = 150.0;
const WIDTH: f64 = 760.0;
const ROW: f64 = 34.0;
const COLOURS: [&str; 2] = ["#4c78a8", "#e0803a"];

/// A row a thread, a bar a turn, a colour a request.
fn draw(events: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let bars: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
    let mut rows: Vec<u64> = bars.iter().filter_map(|bar| bar["tid"].as_u64()).collect();
    rows.sort_unstable();
    rows.dedup();
    let end = bars.iter().map(|bar| number(&bar["ts"]) + number(&bar["dur"])).fold(1.0, f64::max);
    let height = ROW * (rows.len() as f64 + 2.0);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {height}" font-family="system-ui, sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>"##,
        LEFT + WIDTH + 20.0
    );
    for (row, thread) in rows.iter().enumerate() {
        let named = |event: &&Value| event["ph"] == "M" && event["tid"].as_u64() == Some(*thread);
        let name = events.iter().find(named).map(|event| text(&event["args"]["name"])).unwrap_or_default();
        let middle = ROW * (row as f64 + 1.0);
        let _ = write!(svg, r##"<text x="8" y="{}" fill="#333">{name}</text>"##, middle + 4.0);
        let _ = write!(
            svg,
            r##"<line x1="{LEFT}" x2="{}" y1="{middle}" y2="{middle}" stroke="#ddd"/>"##,
            LEFT + WIDTH
        );
    }
    for bar in bars {
        let row = rows.iter().position(|row| Some(*row) == bar["tid"].as_u64()).unwrap_or(0) as f64;
        let (x, width) =
            (LEFT + number(&bar["ts"]) / end * WIDTH, (number(&bar["dur"]) / end * WIDTH).max(1.5));
        let (name, request) = (text(&bar["name"]), bar["args"]["request"].as_u64().unwrap_or(1));
        let colour = COLOURS[(request as usize - 1) % COLOURS.len()];
        let top = ROW * (row + 1.0) - 11.0;
        let _ = write!(
            svg,
            r##"<rect x="{x:.1}" y="{top}" width="{width:.1}" height="22" rx="3" fill="{colour}"><title>{name}, request {request}: {} µs</title></rect>"##,
            number(&bar["dur"]).round()
        );
        let short = name.split('+').next().unwrap_or_default();
        if width > 6.2 * short.len() as f64 {
            let _ =
                write!(svg, r##"<text x="{:.1}" y="{}" fill="#fff">{short}</text>"##, x + 4.0, top + 15.0);
        }
    }
    let base = ROW * (rows.len() as f64 + 1.0) + 10.0;
    for (request, colour) in COLOURS.iter().enumerate() {
        let x = LEFT + 110.0 * request as f64;
        let _ = write!(
            svg,
            r##"<rect x="{x}" y="{}" width="12" height="12" rx="2" fill="{colour}"/><text x="{}" y="{base}" fill="#333">request {}</text>"##,
            base - 10.0,
            x + 18.0,
            request + 1
        );
    }
    let _ = write!(
        svg,
        r##"<text x="{}" y="{base}" fill="#333">{:.0} ms</text></svg>"##,
        LEFT + WIDTH - 30.0,
        end / 1e3
    );
    svg
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}
