//! Boxes drawn into a picture.
//!
//! A line that stands on its head gets another colour. The text itself is printed, not drawn: that would need a font.

use image::{Rgb, RgbImage};

use crate::Line;
use crate::geometry::Point;

const UPRIGHT: Rgb<u8> = Rgb([0, 150, 80]);
const UPSIDE_DOWN: Rgb<u8> = Rgb([210, 60, 40]);

/// The picture with the outline of every line.
pub(crate) fn annotate(mut picture: RgbImage, lines: &[Line]) -> RgbImage {
    for line in lines {
        let colour = if line.upside_down { UPSIDE_DOWN } else { UPRIGHT };
        let corners = line.detection.quad.0;
        for k in 0..4 {
            draw(&mut picture, corners[k], corners[(k + 1) % 4], colour);
        }
    }
    picture
}

/// A straight line two pixels wide.
fn draw(picture: &mut RgbImage, from: Point, to: Point, colour: Rgb<u8>) {
    let steps = (to[0] - from[0]).abs().max((to[1] - from[1]).abs()).ceil().max(1.0);
    for step in 0..=steps as usize {
        let part = step as f32 / steps;
        let at = |axis: usize| (from[axis] + (to[axis] - from[axis]) * part).round() as i64;
        for (dx, dy) in [(0, 0), (1, 0), (0, 1)] {
            let (x, y) = (at(0) + dx, at(1) + dy);
            if (0..i64::from(picture.width())).contains(&x) && (0..i64::from(picture.height())).contains(&y) {
                picture.put_pixel(x as u32, y as u32, colour);
            }
        }
    }
}
