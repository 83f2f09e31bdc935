//! Operators with random results: no two runtimes draw the same numbers, so shape, type and statistics are what is checked.
//!
//! The data sets of the suite are small (10 draws, 60 draws), so a mean may lie as far from what is expected as it does once
//! in two million draws (five standard deviations); a generator that is stuck or takes the complement is still found.

use inferry_engine::onnx::Survey;

use super::compare::{Elements, elements};
use super::suite::{Case, DataSet};
use super::value::Value;

/// How random outputs are checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Check {
    /// Zeros and ones, as many ones as the input's probabilities say; or as many zeros, in the expansion, which the suite has
    /// the wrong way round.
    Bernoulli { flipped: bool },
    /// Zeros, and the other elements of the input enlarged; a mask that says which.
    Dropout,
    /// Shape and type alone.
    Drawn,
}

/// Operators of which only shape and type are known.
const DRAWN: &[&str] =
    &["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// The check of a case; none for those with results that are certain.
pub(super) fn check_of(case: &Case, survey: &Survey) -> Option<Check> {
    if case.name.starts_with("test_bernoulli") {
        return Some(Check::Bernoulli { flipped: case.name.ends_with("_expanded") });
    }
    // With a ratio of zero nothing is dropped, and every element is certain.
    if case.name.starts_with("test_training_dropout") && !case.name.contains("zero_ratio") {
        return Some(Check::Dropout);
    }
    let drawn = survey.operators.iter().any(|operator| DRAWN.contains(&&*operator.name));
    drawn.then_some(Check::Drawn)
}

impl Check {
    /// An error that says what cannot be.
    pub(super) fn check(self, set: &DataSet, got: &[Value]) -> Result<(), String> {
        for (index, (got, wanted)) in got.iter().zip(&set.outputs).enumerate() {
            if got.to_string() != wanted.to_string() {
                return Err(format!("output {index}: got {got} wanted {wanted}"));
            }
        }
        match self {
            Check::Bernoulli { flipped } => bernoulli(&numbers(&set.inputs, 0)?, &numbers(got, 0)?, flipped),
            Check::Dropout => {
                let mask = if got.len() > 1 { Some(numbers(got, 1)?) } else { None };
                let ratio = numbers(&set.inputs, 1)?.first().copied().ok_or("there is no ratio")?;
                dropout(&numbers(&set.inputs, 0)?, ratio, &numbers(got, 0)?, mask.as_deref())
            }
            Check::Drawn => Ok(()),
        }
    }
}

fn bernoulli(probabilities: &[f64], drawn: &[f64], flipped: bool) -> Result<(), String> {
    if let Some((index, value)) = drawn.iter().enumerate().find(|(_, value)| ![0.0, 1.0].contains(*value)) {
        return Err(format!("element {index}: got {value} wanted 0 or 1"));
    }
    let probabilities = probabilities.iter().map(|p| if flipped { 1.0 - p } else { *p });
    let (mean, variance) =
        probabilities.fold((0.0, 0.0), |(mean, variance), p| (mean + p, variance + p * (1.0 - p)));
    likely("ones", drawn.iter().sum(), mean, variance)
}

fn dropout(input: &[f64], ratio: f64, got: &[f64], mask: Option<&[f64]>) -> Result<(), String> {
    for (index, (input, got)) in input.iter().zip(got).enumerate() {
        let enlarged = input / (1.0 - ratio);
        if *got != 0.0 && (got - enlarged).abs() > 1e-7 + 1e-3 * enlarged.abs() {
            return Err(format!("element {index}: got {got} wanted 0 or {enlarged}"));
        }
        let kept = mask.map(|mask| mask[index] != 0.0);
        if kept.is_some_and(|kept| *input != 0.0 && kept != (*got != 0.0)) {
            return Err(format!("element {index}: got {got} and a mask that says the opposite"));
        }
    }
    let (count, kept) = (input.len() as f64, got.iter().filter(|value| **value != 0.0).count());
    likely("elements that stay", kept as f64, count * (1.0 - ratio), count * ratio * (1.0 - ratio))
}

fn likely(what: &str, got: f64, mean: f64, variance: f64) -> Result<(), String> {
    if (got - mean).abs() <= 5.0 * variance.sqrt() {
        return Ok(());
    }
    Err(format!("{got} {what} where about {mean:.1} are expected"))
}

fn numbers(values: &[Value], index: usize) -> Result<Vec<f64>, String> {
    let Some(Value::Tensor(tensor)) = values.get(index) else {
        return Err(format!("value {index} is no tensor"));
    };
    match elements(tensor)? {
        Elements::Floats(values) => Ok(values),
        Elements::Integers(values) => Ok(values.into_iter().map(|value| value as f64).collect()),
        _ => Err(format!("value {index} holds no numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_that_are_no_draws_are_found() {
        let probabilities = [0.1; 200];
        let draws: Vec<f64> = (0..200).map(|index| f64::from(u8::from(index % 10 == 0))).collect();
        assert_eq!(bernoulli(&probabilities, &draws, false), Ok(()));
        assert!(bernoulli(&probabilities, &draws, true).unwrap_err().contains("20 ones where about 180.0"));
        assert!(bernoulli(&probabilities, &[0.0; 200], true).is_err());
        assert!(bernoulli(&[0.5], &[0.5], false).unwrap_err().contains("wanted 0 or 1"));
    }

    #[test]
    fn a_dropout_keeps_its_share_enlarged_and_its_mask_true() {
        let input = [2.0; 100];
        let got: Vec<f64> = (0..100).map(|index| if index % 2 == 0 { 4.0 } else { 0.0 }).collect();
        let mask: Vec<f64> = got.iter().map(|value| value / 4.0).collect();
        assert_eq!(dropout(&input, 0.5, &got, Some(&mask)), Ok(()));
        assert!(dropout(&input, 0.5, &got, Some(&[1.0; 100])).unwrap_err().contains("mask"));
        assert!(dropout(&input, 0.5, &input, None).unwrap_err().contains("wanted 0 or 4"));
        assert!(dropout(&input, 0.5, &[4.0; 100], None).unwrap_err().contains("100 elements that stay"));
    }
}
