//! What a person at a terminal sees while they wait. Nowhere else is anything shown: indicatif draws on stderr, and only
//! when that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A turning sign with a word beside it.
pub fn spinner(word: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(word);
    // A thread turns it. Nobody looks at a bar that is hidden, and it must not disturb what is measured.
    if !spinner.is_hidden() {
        spinner.enable_steady_tick(Duration::from_millis(100));
    }
    spinner
}

/// A bar over a span of time, moved by whoever measures.
pub fn bar(span: Duration, word: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg} {wide_bar} {percent}%").expect("a template that indicatif reads");
    ProgressBar::new(span.as_millis() as u64).with_style(style).with_message(word)
}
