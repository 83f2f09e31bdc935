//! Boxes around what was found, and the removal of those that say the same as a better one.

/// A box in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rect {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Rect {
    /// The corners as files of results have them.
    pub(crate) fn corners(&self) -> [f64; 4] {
        [self.left, self.top, self.right, self.bottom]
    }

    /// What a box and another have in common; `pixel` is 1 where right and bottom name the last pixel, and 0 where they name
    /// its end.
    pub(crate) fn common(&self, other: &Rect, pixel: f64) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left) + pixel;
        let height = self.bottom.min(other.bottom) - self.top.max(other.top) + pixel;
        width.max(0.0) * height.max(0.0)
    }

    /// The share of all that two boxes cover which both do.
    pub(crate) fn overlap(&self, other: &Rect, pixel: f64) -> f64 {
        let common = self.common(other, pixel);
        common / (self.common(self, pixel) + other.common(other, pixel) - common)
    }

    /// The share of the smaller box that the other covers.
    pub(crate) fn cover(&self, other: &Rect, pixel: f64) -> f64 {
        self.common(other, pixel) / self.common(self, pixel).min(other.common(other, pixel))
    }
}

/// The best of all, the best of those that are not the `same` as it, and so on: from the highest `score` to the lowest.
pub(crate) fn best<T>(mut all: Vec<T>, score: impl Fn(&T) -> f64, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    all.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let mut best: Vec<T> = Vec::new();
    for one in all {
        if !best.iter().any(|better| same(better, &one)) {
            best.push(one);
        }
    }
    best
}

#[test]
fn a_box_that_says_the_same_as_a_better_one_goes() {
    let square = |at: f64, score: f64| (Rect { left: at, top: at, right: at + 2.0, bottom: at + 2.0 }, score);
    let boxes = vec![square(0.5, 0.8), square(0.0, 0.9), square(1.0, 0.7), square(8.0, 0.95)];
    let kept = best(boxes, |(_, score)| *score, |(a, _), (b, _)| a.overlap(b, 0.0) > 0.3);
    assert_eq!(kept.iter().map(|(_, score)| *score).collect::<Vec<_>>(), [0.95, 0.9, 0.7]);
}
