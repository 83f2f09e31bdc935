//! Cast from strings to numbers, and back.
//!
//! A number is printed plainly, without an exponent, with the fewest digits that give the same number when they are read
//! (an f16 as the f32 that it is); what is not finite is `NaN`, `INF` or `-INF`, and bool is `1` or `0`. Read are these, with
//! an exponent too, in upper and lower case. A fraction is cut off where an integer is wanted. Text that is no number, or
//! none that the type holds, fails. Nobody times this: numbers travel as their bits, by one path for all types.

use alloc::format;

use half::{bf16, f16};
use inferry_core::ElementType;

use crate::kernel::fault::Fault;
use crate::kernel::simple::{simple, spread};
use crate::kernel::text::{MAKE, in_order, shorten};
use crate::kernel::{Builder, Built, by_size};
use crate::text::{Text, Texts};

/// Builds Cast of strings.
pub(crate) fn from_text(node: &Builder<'_>) -> Built {
    let (to, shape) = node.output(0);
    let (to, phase) = (*to, spread(shape.count(), MAKE));
    by_size!("Cast", to, T => simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let rows = io.rows::<T>();
        let from = &io.input::<Text>(0)[start..start + rows.len()];
        for (row, from) in rows.iter_mut().zip(from) {
            let text = io.texts().get(*from);
            match read(text.trim(), to) {
                Some(bits) => *row = bits as T,
                None => return io.fail(Fault::Value(format!("{:?} is no {to}", shorten(text)))),
            }
        }
    }))
}

/// Builds Cast to strings.
pub(crate) fn to_text(node: &Builder<'_>) -> Built {
    let from = node.input(0)?.element;
    by_size!("Cast", from, T => in_order(node.output(0).1.count(), move |io, range| {
        let numbers = io.input::<T>(0);
        let to = io.whole::<Text>(0);
        let texts = io.texts_mut();
        for (to, number) in to[range.clone()].iter_mut().zip(&numbers[range]) {
            *to = print(*number, from, texts)?;
        }
        Ok(())
    }))
}

/// The bits of the number that a text says; `None` when it says none of this type.
fn read(text: &str, to: ElementType) -> Option<u64> {
    use ElementType::*;
    Some(match to {
        F32 => u64::from(text.parse::<f32>().ok()?.to_bits()),
        F64 => text.parse::<f64>().ok()?.to_bits(),
        F16 => u64::from(f16::from_f64(text.parse().ok()?).to_bits()),
        Bf16 => u64::from(bf16::from_f64(text.parse().ok()?).to_bits()),
        Bool if text.eq_ignore_ascii_case("true") => 1,
        Bool if text.eq_ignore_ascii_case("false") => 0,
        Bool => u64::from(text.parse::<f64>().ok()? != 0.0),
        I8 => integer(text, i8::MIN.into(), i8::MAX.into())?,
        I16 => integer(text, i16::MIN.into(), i16::MAX.into())?,
        I32 => integer(text, i32::MIN.into(), i32::MAX.into())?,
        I64 => integer(text, i64::MIN, i64::MAX)?,
        U8 => integer(text, 0, u8::MAX.into())?,
        U16 => integer(text, 0, u16::MAX.into())?,
        U32 => integer(text, 0, u32::MAX.into())?,
        U64 if text.parse::<u64>().is_ok() => text.parse().ok()?,
        U64 => integer(text, 0, i64::MAX)?,
        _ => return None,
    })
}

/// An integer within these bounds, as its low bits.
fn integer(text: &str, least: i64, most: i64) -> Option<u64> {
    let number = match text.parse::<i64>() {
        Ok(number) => number,
        // With a fraction or an exponent. From 2^63 on a conversion would not be exact.
        Err(_) => text.parse::<f64>().ok().filter(|number| libm::fabs(*number) < 9.2e18)? as i64,
    };
    (least <= number && number <= most).then_some(number as u64)
}

fn print(bits: impl Into<u64>, from: ElementType, texts: &mut Texts) -> Result<Text, Fault> {
    use ElementType::*;
    let bits = bits.into();
    match from {
        F32 => float(f32::from_bits(bits as u32), texts),
        F16 => float(f16::from_bits(bits as u16).to_f32(), texts),
        Bf16 => float(bf16::from_bits(bits as u16).to_f32(), texts),
        F64 => {
            let number = f64::from_bits(bits);
            if number.is_finite() {
                texts.print(format_args!("{number}"))
            } else {
                float(number as f32, texts)
            }
        }
        I8 => signed((bits as i8).into(), texts),
        I16 => signed((bits as i16).into(), texts),
        I32 => signed((bits as i32).into(), texts),
        I64 => signed(bits as i64, texts),
        _ => texts.print(format_args!("{bits}")),
    }
}

fn signed(number: i64, texts: &mut Texts) -> Result<Text, Fault> {
    texts.print(format_args!("{number}"))
}

fn float(number: f32, texts: &mut Texts) -> Result<Text, Fault> {
    if number.is_nan() {
        texts.add("NaN")
    } else if number.is_infinite() {
        texts.add(if number > 0.0 { "INF" } else { "-INF" })
    } else {
        texts.print(format_args!("{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{fault_of, run_one, run_strings, strings, tensor};
    use alloc::string::ToString;
    use inferry_core::{Element, Tensor};
    use inferry_engine::op::Cast;

    fn read_all<T: Element>(texts: &[&str]) -> alloc::vec::Vec<T> {
        let op = Cast { to: T::TYPE, saturate: true };
        run_one::<T>(&op, &[&strings(texts, [texts.len()])], [texts.len()])
    }

    fn printed<T: Element>(values: &[T]) -> alloc::vec::Vec<alloc::string::String> {
        let op = Cast { to: ElementType::String, saturate: true };
        run_strings(&op, &[&tensor(values, [values.len()])], [values.len()])
    }

    #[test]
    fn texts_are_read_as_numbers() {
        let read = read_all::<f32>(&["3.25", "1000", "1e-5", "1E8", "+INF", "inf", "-INF", " -0.5\n"]);
        assert_eq!(read, [3.25, 1000.0, 1e-5, 1e8, f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, -0.5]);
        assert!(read_all::<f32>(&["NaN", "nan"]).iter().all(|number| number.is_nan()));
        assert_eq!(read_all::<f16>(&["1.5", "0.1"]), [f16::from_f32(1.5), f16::from_f32(0.1)]);
        assert_eq!(read_all::<i64>(&["100.5", "-9223372036854775808", "1e3"]), [100, i64::MIN, 1000]);
        assert_eq!(read_all::<u64>(&["18446744073709551615"]), [u64::MAX]);
        assert_eq!(read_all::<i8>(&["-128", "-1.9"]), [-128, -1]);
        assert_eq!(read_all::<bool>(&["1", "0", "True", "false", "-0.5"]), [true, false, true, false, true]);
    }

    #[test]
    fn what_is_no_number_of_the_type_fails() {
        let cases = [
            (ElementType::F32, "Hello World!"),
            (ElementType::F64, ""),
            (ElementType::I8, "128"),
            (ElementType::U8, "-1"),
            (ElementType::I64, "9223372036854775808"),
            (ElementType::U64, "NaN"),
            (ElementType::Bool, "yes"),
        ];
        for (to, text) in cases {
            let inputs: &[&Tensor] = &[&strings(&[text], [1])];
            let fault = fault_of(&Cast { to, saturate: true }, inputs, &[(to, [1].into())]);
            assert_eq!(fault.to_string(), format!("{text:?} is no {to}"));
        }
    }

    #[test]
    fn numbers_are_printed_plainly() {
        let floats = [0.9767611f32, 0.039187793, 1.0, -0.0, 1e-5, 1e10, f32::NAN, f32::INFINITY];
        let wanted = ["0.9767611", "0.039187793", "1", "-0", "0.00001", "10000000000", "NaN", "INF"];
        assert_eq!(printed(&floats), wanted);
        assert_eq!(printed(&[f64::NEG_INFINITY, 0.1, 1.0 / 3.0]), ["-INF", "0.1", "0.3333333333333333"]);
        assert_eq!(printed(&[i8::MIN, -1, 7]), ["-128", "-1", "7"]);
        assert_eq!(printed(&[u64::MAX]), ["18446744073709551615"]);
        assert_eq!(printed(&[true, false]), ["1", "0"]);
        assert_eq!(printed(&[f16::from_f32(0.5)]), ["0.5"]);
        assert_eq!(printed(&[bf16::from_f32(-2.0)]), ["-2"]);
    }
}
