//! Numbers that know how well they are known.

use inferry_core::ElementType;

/// An element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer, or a truth value as 0 or 1: exactly this.
    Whole(i128),
    /// A float: the fast way's lies within `doubt`.
    Real {
        /// The value, which the element type can hold.
        value: f64,
        /// How far another way of computing it may lie from it.
        doubt: f64,
    },
    /// Anything.
    Unknown,
}

/// How much of a float a rounding may be: half the distance to its neighbour, relative to it.
pub(super) fn unit(element: ElementType) -> f64 {
    match element {
        ElementType::F32 => f64::powi(2.0, -24),
        _ => f64::powi(2.0, -53),
    }
}

/// How much of a float a function from a table or a polynomial may be off: a few roundings, and as much of 1 for small results.
pub(super) fn approximate(element: ElementType, value: f64) -> f64 {
    16.0 * unit(element) * (value.abs() + 1.0)
}

impl Number {
    /// A float of a type: rounded, which is one doubt more. What is beyond all numbers, or what nobody knows, is unknown.
    pub(super) fn real(element: ElementType, value: f64, doubt: f64) -> Number {
        let rounded = if element == ElementType::F32 { f64::from(value as f32) } else { value };
        // Below the normal numbers a rounding is no longer relative.
        let least =
            if element == ElementType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        let doubt = doubt + unit(element) * value.abs() + if value == 0.0 { 0.0 } else { least };
        if rounded.is_finite() && doubt.is_finite() {
            Number::Real { value: rounded, doubt }
        } else {
            Number::Unknown
        }
    }

    /// A float that is given, not computed.
    pub(super) fn exact(value: f64) -> Number {
        Number::Real { value, doubt: 0.0 }
    }

    /// An integer of a type, of which the bits that it has are left.
    pub(super) fn whole(element: ElementType, value: i128) -> Number {
        Number::Whole(match element {
            ElementType::I8 => i128::from(value as i8),
            ElementType::I16 => i128::from(value as i16),
            ElementType::I32 => i128::from(value as i32),
            ElementType::U8 => i128::from(value as u8),
            ElementType::U32 => i128::from(value as u32),
            ElementType::Bool => i128::from(value != 0),
            _ => i128::from(value as i64),
        })
    }

    /// Value and doubt of a float.
    pub(super) fn parts(self) -> Option<(f64, f64)> {
        match self {
            Number::Real { value, doubt } => Some((value, doubt)),
            _ => None,
        }
    }

    /// `self < other`, when that is certain either way.
    pub(super) fn is_less(self, other: Number) -> Option<bool> {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => Some(a < b),
            (Number::Real { value: a, doubt: x }, Number::Real { value: b, doubt: y }) => {
                let apart = (a - b).abs() > x + y || x + y == 0.0;
                apart.then_some(a < b)
            }
            _ => None,
        }
    }

    /// `self == other`, when that is certain either way.
    pub(super) fn is_equal(self, other: Number) -> Option<bool> {
        Some(!self.is_less(other)? && !other.is_less(self)?)
    }

    /// What a function that never falls (or never rises) makes of it, with what the function itself may be off.
    pub(super) fn monotone(self, element: ElementType, function: impl Fn(f64) -> f64, off: f64) -> Number {
        let Some((value, doubt)) = self.parts() else { return Number::Unknown };
        let middle = function(value);
        let spread = [value - doubt, value + doubt].map(|end| (function(end) - middle).abs());
        let doubt =
            if spread.iter().any(|part| part.is_nan()) { f64::INFINITY } else { spread[0].max(spread[1]) };
        Number::real(element, middle, doubt + off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: ElementType = ElementType::F32;

    #[test]
    fn what_a_doubt_decides_is_unknown() {
        let near = |value| Number::Real { value, doubt: 0.25 };
        assert_eq!(near(1.0).is_less(near(2.0)), Some(true));
        assert_eq!(near(1.0).is_less(near(1.5)), None);
        assert_eq!(Number::exact(1.0).is_equal(Number::exact(1.0)), Some(true));
        assert_eq!(near(1.0).is_equal(near(1.0)), None);
        assert_eq!(Number::Unknown.is_less(near(0.0)), None);
    }

    #[test]
    fn a_step_doubts_only_where_it_steps() {
        let floor =
            |value, doubt| Number::Real { value, doubt }.monotone(F32, f64::floor, 0.0).parts().unwrap();
        assert!(floor(1.5, 0.25).1 < 1e-6);
        assert_eq!(floor(1.0, 0.25).1.round(), 1.0);
        assert_eq!(Number::exact(-1.0).monotone(F32, f64::sqrt, 0.0), Number::Unknown);
    }

    #[test]
    fn integers_keep_the_bits_they_have() {
        assert_eq!(Number::whole(ElementType::I8, 200), Number::Whole(-56));
        assert_eq!(Number::whole(ElementType::U8, -1), Number::Whole(255));
        assert_eq!(Number::whole(ElementType::I64, 1 << 64), Number::Whole(0));
    }
}
