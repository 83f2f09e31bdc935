//! Points, rotated rectangles, and the smallest one around a set of points.
//!
//! Coordinates are pixels, x to the right and y downwards; a pixel's centre has whole coordinates. Nothing here knows
//! about text or tensors.

/// A point, `[x, y]`.
pub(crate) type Point = [f32; 2];

/// Four corners of a rotated rectangle: top left, top right, bottom right, bottom left of what it frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quad(pub(crate) [Point; 4]);

impl Quad {
    /// Length of the top edge.
    pub(crate) fn width(&self) -> f32 {
        distance(self.0[0], self.0[1])
    }

    /// Length of the left edge.
    pub(crate) fn height(&self) -> f32 {
        distance(self.0[0], self.0[3])
    }

    /// The same rectangle with every edge moved outwards by `margin`.
    pub(crate) fn grown(&self, margin: f32) -> Quad {
        let along = scale(minus(self.0[1], self.0[0]), margin / self.width().max(f32::MIN_POSITIVE));
        let down = scale(minus(self.0[3], self.0[0]), margin / self.height().max(f32::MIN_POSITIVE));
        let [a, b, c, d] = self.0;
        Quad([
            minus(minus(a, along), down),
            minus(plus(b, along), down),
            plus(plus(c, along), down),
            plus(minus(d, along), down),
        ])
    }

    /// The same corners seen by a reader whose page is turned by 180 degrees.
    pub(crate) fn upside_down(&self) -> Quad {
        let [a, b, c, d] = self.0;
        Quad([c, d, a, b])
    }

    /// The same corners seen by a reader who turns the page a quarter, so that a tall rectangle becomes a wide one.
    pub(crate) fn quarter_turned(&self) -> Quad {
        let [a, b, c, d] = self.0;
        Quad([b, c, d, a])
    }

    /// The corners multiplied by `factor` in x and y.
    pub(crate) fn scaled(&self, factor: Point) -> Quad {
        Quad(self.0.map(|corner| [corner[0] * factor[0], corner[1] * factor[1]]))
    }

    /// The whole pixels that the rectangle touches, cut to a picture of `width` x `height`: x range, y range.
    pub(crate) fn bounds(
        &self,
        width: usize,
        height: usize,
    ) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let range = |axis: usize, extent: usize| {
            let low = self.0.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
            let high = self.0.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
            let end = (high.ceil().max(0.0) as usize + 1).min(extent);
            (low.floor().max(0.0) as usize).min(end.saturating_sub(1))..end
        };
        (range(0, width), range(1, height))
    }

    /// True when the point lies inside or on an edge.
    pub(crate) fn contains(&self, point: Point) -> bool {
        (0..4).all(|k| cross(self.0[k], self.0[(k + 1) % 4], point) >= -1e-3)
    }
}

/// The rectangle of least area around the points, its longer side nearer to horizontal than the other where possible.
/// `None` without points.
pub(crate) fn smallest_rectangle(points: &mut Vec<Point>) -> Option<Quad> {
    let hull = convex_hull(points);
    let first = *hull.first()?;
    if hull.len() == 1 {
        return Some(Quad([first; 4]));
    }
    // One side of the smallest rectangle lies along an edge of the hull (Freeman and Shapira, 1975).
    let edges = (0..hull.len()).map(|k| minus(hull[(k + 1) % hull.len()], hull[k]));
    let best = edges
        .filter(|edge| edge[0] != 0.0 || edge[1] != 0.0)
        .map(|edge| along(&hull, edge))
        .min_by(|a, b| (a.width() * a.height()).total_cmp(&(b.width() * b.height())))?;
    Some(upright(best))
}

/// The rectangle around `hull` with sides along `direction` and across it.
fn along(hull: &[Point], direction: Point) -> Quad {
    let length = direction[0].hypot(direction[1]);
    let (u, v) = (scale(direction, 1.0 / length), [-direction[1] / length, direction[0] / length]);
    let extent = |axis: Point| {
        let on_axis = hull.iter().map(|point| point[0] * axis[0] + point[1] * axis[1]);
        on_axis.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let ((u0, u1), (v0, v1)) = (extent(u), extent(v));
    let corner = |a: f32, b: f32| plus(scale(u, a), scale(v, b));
    Quad([corner(u0, v0), corner(u1, v0), corner(u1, v1), corner(u0, v1)])
}

/// The same rectangle, its corners renumbered so that the first edge points to the right.
fn upright(quad: Quad) -> Quad {
    let mut best = quad;
    for turn in 1..4 {
        let mut corners = quad.0;
        corners.rotate_left(turn);
        let slope = |corners: &[Point; 4]| {
            let edge = minus(corners[1], corners[0]);
            edge[0] / edge[0].hypot(edge[1]).max(f32::MIN_POSITIVE)
        };
        if slope(&corners) > slope(&best.0) {
            best = Quad(corners);
        }
    }
    best
}

/// The corners of the convex hull, in order (Andrew's monotone chain, 1979).
fn convex_hull(points: &mut Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points.clone();
    }
    let half = |points: &mut dyn Iterator<Item = Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for point in points {
            while chain.len() > 1 && cross(chain[chain.len() - 2], chain[chain.len() - 1], point) <= 0.0 {
                chain.pop();
            }
            chain.push(point);
        }
        chain.pop();
        chain
    };
    let mut hull = half(&mut points.iter().copied());
    hull.extend(half(&mut points.iter().rev().copied()));
    hull
}

fn cross(origin: Point, a: Point, b: Point) -> f32 {
    (a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0])
}

fn plus(a: Point, b: Point) -> Point {
    [a[0] + b[0], a[1] + b[1]]
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn scale(a: Point, factor: f32) -> Point {
    [a[0] * factor, a[1] * factor]
}

fn distance(a: Point, b: Point) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_rectangle_keeps_its_corners() {
        let mut points = vec![[1.0, 1.0], [9.0, 1.0], [9.0, 4.0], [1.0, 4.0], [5.0, 2.0]];
        let quad = smallest_rectangle(&mut points).unwrap();
        assert_eq!(quad, Quad([[1.0, 1.0], [9.0, 1.0], [9.0, 4.0], [1.0, 4.0]]));
        assert_eq!(quad.grown(1.0), Quad([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0], [0.0, 5.0]]));
        assert!(quad.contains([5.0, 2.0]) && !quad.contains([5.0, 5.0]));
    }

    #[test]
    fn a_turned_rectangle_is_found_turned() {
        let (cos, sin) = (0.2f32.cos(), 0.2f32.sin());
        let turn = |x: f32, y: f32| [x * cos - y * sin, x * sin + y * cos];
        let mut points = vec![turn(0.0, 0.0), turn(20.0, 0.0), turn(20.0, 5.0), turn(0.0, 5.0)];
        let quad = smallest_rectangle(&mut points).unwrap();
        assert!((quad.width() - 20.0).abs() < 1e-3 && (quad.height() - 5.0).abs() < 1e-3, "{quad:?}");
        assert!((quad.0[0][0]).abs() < 1e-3 && (quad.0[0][1]).abs() < 1e-3, "{quad:?}");
    }

    #[test]
    fn a_single_point_is_a_rectangle_without_area() {
        let quad = smallest_rectangle(&mut vec![[3.0, 4.0]]).unwrap();
        assert_eq!((quad.width(), quad.height()), (0.0, 0.0));
        assert_eq!(smallest_rectangle(&mut Vec::new()), None);
    }
}
