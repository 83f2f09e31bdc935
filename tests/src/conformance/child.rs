//! A child process, as its parent sees it: a line in, a line out, and what it said when it died.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A process of this program, started with `--worker`. Dropping it ends it.
pub(super) struct Child {
    process: process::Child,
    input: ChildStdin,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

/// What came of a question.
pub(super) enum Answer {
    /// A line.
    Line(String),
    /// The process ended.
    Died,
    /// Nothing in time.
    Silent,
}

impl Child {
    /// Starts one.
    pub(super) fn spawn() -> Result<Child, String> {
        let program = std::env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
        let mut command = Command::new(program);
        command.arg("--worker");
        Child::start(command)
    }

    fn start(mut command: Command) -> Result<Child, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("cannot start a child: {error}"))?;
        let input = process.stdin.take().expect("it is piped");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut errors = process.stderr.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is what there is to say.
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Child { process, input, lines, errors: Some(errors) })
    }

    /// Writes a line and waits for one.
    pub(super) fn ask(&mut self, line: &str, limit: Duration) -> Answer {
        if writeln!(self.input, "{line}").is_err() {
            return Answer::Died;
        }
        self.listen(limit)
    }

    fn listen(&self, limit: Duration) -> Answer {
        match self.lines.recv_timeout(limit) {
            Ok(line) => Answer::Line(line),
            Err(RecvTimeoutError::Disconnected) => Answer::Died,
            Err(RecvTimeoutError::Timeout) => Answer::Silent,
        }
    }

    /// Ends it.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself meanwhile.
        let _ = self.process.kill();
    }

    /// What a child that died has said, and how it died.
    pub(super) fn last_words(&mut self) -> String {
        let status = self.process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let said = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        format!("{} ({status})", lines[lines.len().saturating_sub(3)..].join(" "))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the children of these tests are; as a test it does nothing.
    #[test]
    fn plays_a_child() {
        if std::env::var_os("INFERRY_PLAYS_A_CHILD").is_none() {
            return;
        }
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.as_str() {
                "die" => {
                    eprintln!("last words");
                    process::abort();
                }
                "hang" => loop {
                    thread::park();
                },
                // On a line of its own: the harness has not ended its line.
                line => println!("\nheard {line}"),
            }
        }
    }

    fn child() -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "conformance::child::tests::plays_a_child"]);
        Child::start({
            command.env("INFERRY_PLAYS_A_CHILD", "1");
            command
        })
        .unwrap()
    }

    fn answer(child: &mut Child, line: &str) -> Option<String> {
        let mut asked = child.ask(line, Duration::from_secs(60));
        loop {
            match asked {
                Answer::Line(line) if line.starts_with("heard ") => return Some(line),
                // The harness greets.
                Answer::Line(_) => asked = child.listen(Duration::from_secs(60)),
                _ => return None,
            }
        }
    }

    #[test]
    fn a_child_answers_until_it_dies_and_its_last_words_are_heard() {
        let mut child = child();
        assert_eq!(answer(&mut child, "a").as_deref(), Some("heard a"));
        assert_eq!(answer(&mut child, "b").as_deref(), Some("heard b"));
        assert_eq!(answer(&mut child, "die"), None);
        assert!(child.last_words().contains("last words ("));
    }

    #[test]
    fn a_child_that_hangs_is_silent_and_can_be_ended() {
        let mut child = child();
        assert_eq!(answer(&mut child, "a").as_deref(), Some("heard a"));
        assert!(matches!(child.ask("hang", Duration::from_millis(1)), Answer::Silent));
        child.kill();
        assert!(matches!(child.listen(Duration::from_secs(60)), Answer::Died));
    }
}
