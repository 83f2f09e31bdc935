//! From how likely speech is in each window to segments of speech, as the windows come.

/// A window above this is speech: a segment begins, or goes on.
const SPEECH: f32 = 0.5;
/// A window below this is quiet: a segment ends with it, when enough such windows follow.
const QUIET: f32 = 0.35;
/// So many windows after it, a quiet window has been the end: 128 ms.
const PAUSE: usize = 4;

/// Windows in which somebody speaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The first window.
    pub(crate) begin: usize,
    /// The window after the last.
    pub(crate) end: usize,
}

/// Finds segments.
#[derive(Default)]
pub(crate) struct Segments {
    /// Windows heard so far.
    heard: usize,
    /// The first window of the segment that has begun.
    begun: Option<usize>,
    /// The first quiet window of a pause that may be its end.
    quiet: Option<usize>,
}

impl Segments {
    /// One window more; gives the segment that it shows to be over.
    pub(crate) fn hear(&mut self, likely: f32) -> Option<Segment> {
        let window = self.heard;
        self.heard += 1;
        if likely > SPEECH {
            self.quiet = None;
            self.begun.get_or_insert(window);
        } else if likely < QUIET && self.begun.is_some() {
            let end = *self.quiet.get_or_insert(window);
            if window - end >= PAUSE {
                self.quiet = None;
                return self.begun.take().map(|begin| Segment { begin, end });
            }
        }
        None
    }

    /// The sound is over; gives the segment that was not.
    pub(crate) fn end(self) -> Option<Segment> {
        self.begun.map(|begin| Segment { begin, end: self.quiet.unwrap_or(self.heard) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_bears_a_short_pause_and_may_reach_the_end() {
        let mut segments = Segments::default();
        let likely = [0.4, 0.9, 0.4, 0.1, 0.1, 0.1, 0.9, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9];
        let found: Vec<_> = likely.map(|likely| segments.hear(likely)).into_iter().flatten().collect();
        assert_eq!(found, [Segment { begin: 1, end: 8 }]);
        assert_eq!(segments.end(), Some(Segment { begin: 13, end: 14 }));
        assert_eq!(Segments::default().end(), None);
    }
}
