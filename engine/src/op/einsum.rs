//! Einsum: sums of products, told by letters.
//!
//! Every letter stands for a dimension; elements whose letters agree are multiplied, and letters that the output does not
//! have are summed over. `...` stands for dimensions without letters, counted from the last. The equation is parsed
//! when the model is read; which dimension is which is known with the numbers of dimensions.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, NUMBER, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `inputs...`: the sum of products that an equation tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Einsum {
    /// The dimensions of each input.
    pub terms: Vec<Vec<Letter>>,
    /// The dimensions of the output.
    pub output: Vec<Letter>,
}

/// What an equation says of a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Letter {
    /// A letter.
    Named(u8),
    /// All dimensions that have none.
    Rest,
}

/// An equation for inputs of known numbers of dimensions. Dimensions are numbers; equal ones go along with each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// The dimensions of each input.
    pub operands: Vec<Vec<usize>>,
    /// The dimensions of the output.
    pub output: Vec<usize>,
    /// How many different dimensions there are.
    pub dims: usize,
}

impl Op for Einsum {
    fn name(&self) -> &'static str {
        "Einsum"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(self.terms.len(), 1)?;
        let first = inputs.typed(0, &NUMBER)?;
        let mut shapes = Vec::with_capacity(self.terms.len());
        for index in 0..self.terms.len() {
            let fact = if index == 0 { first } else { inputs.alike(index, first)? };
            shapes.push(fact.shape.dims());
        }
        let known: Option<Vec<&[Dim]>> = shapes.into_iter().collect();
        let Some(shapes) = known else {
            let rank = (!self.output.contains(&Letter::Rest)).then_some(self.output.len());
            return rules::one(first.element, rules::unknown_of(rank));
        };
        let ranks: Vec<usize> = shapes.iter().map(|dims| dims.len()).collect();
        let resolved = self.resolve(&ranks)?;
        let mut extents: Vec<Option<Dim>> = alloc::vec![None; resolved.dims];
        for (dims, shape) in resolved.operands.iter().zip(&shapes) {
            for (dim, extent) in dims.iter().zip(*shape) {
                extents[*dim] = Some(match extents[*dim].take() {
                    None => extent.clone(),
                    // As everywhere, what has one element goes along with what has more.
                    Some(Dim::Fixed(1)) => extent.clone(),
                    Some(other) if *extent == Dim::Fixed(1) => other,
                    Some(other) => rules::unify_dim(&other, extent)?,
                });
            }
        }
        let of = |dim: &usize| extents[*dim].clone().unwrap_or(Dim::Unknown);
        rules::one(first.element, ShapeFact(Some(resolved.output.iter().map(of).collect())))
    }
}

impl Einsum {
    /// Which dimension is which, for inputs of so many dimensions.
    pub fn resolve(&self, ranks: &[usize]) -> Result<Dimensions, OpError> {
        let mut rest = 0;
        for (index, (term, rank)) in self.terms.iter().zip(ranks).enumerate() {
            let named = term.iter().filter(|letter| **letter != Letter::Rest).count();
            let open = term.len() > named;
            if named > *rank || (!open && named < *rank) {
                return shape_error(format!(
                    "input {index} has {rank} dimensions, the equation names {named}"
                ));
            }
            rest = rest.max(rank - named);
        }
        // The dimensions without letters come first, then the letters as they are met.
        let mut letters: Vec<Letter> = Vec::new();
        let mut number = |letter: Letter| match letters.iter().position(|known| *known == letter) {
            Some(known) => rest + known,
            None => {
                letters.push(letter);
                rest + letters.len() - 1
            }
        };
        let mut dims_of = |term: &[Letter], missing: usize| -> Vec<usize> {
            let mut dims = Vec::with_capacity(term.len() + rest);
            for letter in term {
                match letter {
                    Letter::Rest => dims.extend(missing..rest),
                    letter => dims.push(number(*letter)),
                }
            }
            dims
        };
        let mut operands = Vec::with_capacity(self.terms.len());
        for (term, rank) in self.terms.iter().zip(ranks) {
            let named = term.iter().filter(|letter| **letter != Letter::Rest).count();
            operands.push(dims_of(term, rest - (rank - named)));
        }
        let output = dims_of(&self.output, 0);
        Ok(Dimensions { operands, output, dims: rest + letters.len() })
    }
}

/// Parses an equation.
fn parse(equation: &str) -> Result<Einsum, &'static str> {
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation, None),
    };
    let terms: Vec<Vec<Letter>> = left.split(',').map(term).collect::<Result<_, _>>()?;
    let all: Vec<Letter> = terms.iter().flatten().copied().collect();
    let count = |letter: Letter| all.iter().filter(|other| **other == letter).count();
    let output = match right {
        Some(right) => {
            let output = term(right)?;
            let twice = |letter: &Letter| output.iter().filter(|other| *other == letter).count() > 1;
            if output.iter().any(twice) {
                return Err("the output names a letter twice");
            }
            if output.iter().any(|letter| count(*letter) == 0) {
                return Err("the output names a letter that no input has");
            }
            output
        }
        None => {
            // What stands there once, in the order of the letters, behind all that has none.
            let mut output: Vec<Letter> =
                all.iter().copied().filter(|l| *l != Letter::Rest && count(*l) == 1).collect();
            output.sort_unstable();
            if count(Letter::Rest) > 0 {
                output.insert(0, Letter::Rest);
            }
            output
        }
    };
    Ok(Einsum { terms, output })
}

fn term(text: &str) -> Result<Vec<Letter>, &'static str> {
    let mut letters = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("...") {
            if letters.contains(&Letter::Rest) {
                return Err("a term has \"...\" twice");
            }
            letters.push(Letter::Rest);
            rest = behind;
            continue;
        }
        match char {
            ' ' => {}
            letter if letter.is_ascii_alphabetic() => letters.push(Letter::Named(letter as u8)),
            _ => return Err("an equation has letters, commas, \"...\" and one \"->\""),
        }
        rest = &rest[char.len_utf8()..];
    }
    Ok(letters)
}

/// Einsum.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=usize::MAX, 1..=1)?;
    let equation = node.text("equation")?.ok_or_else(|| node.refuse_attribute("equation", "is missing"))?;
    let refuse = |problem: &str| node.refuse_attribute("equation", format!("{equation:?}: {problem}"));
    let op = parse(equation).map_err(refuse)?;
    if op.terms.len() != node.inputs() {
        return Err(refuse(&format!("{} terms for {} inputs", op.terms.len(), node.inputs())));
    }
    Ok(Imported::with(op))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_refused};

    fn op(equation: &str) -> Einsum {
        parse(equation).unwrap()
    }

    #[test]
    fn the_output_has_the_letters_it_names() {
        check(op("ij->ji"), &["f32[N, 3]"], "f32[3, N]");
        check(op("bij, bjk -> bik"), &["f32[B, 2, 3]", "f32[B, 3, K]"], "f32[B, 2, K]");
        check(op("...ii->...i"), &["f32[N, 3, 3]"], "f32[N, 3]");
        check(op("...ij,...jk->...ik"), &["f32[2, 1, 4, 3]", "f32[5, 3, 7]"], "f32[2, 5, 4, 7]");
        check(op("i,i"), &["f64[5]", "f64[1]"], "f64[]");
        check(op("ij,jk"), &["i32[2, 3]", "i32[3, 4]"], "i32[2, 4]");
        check(op("b...a,B"), &["f32[2, 3, 4]", "f32[5]"], "f32[3, 5, 4, 2]");
        check(op("ij->ji"), &["f32[...]"], "f32[?, ?]");
        check(op("...j->..."), &["f32[...]"], "f32[...]");
        check(op("ij,jk->ik"), &["f32[2, 3]", "f32[4, 5]"], "extents 3 and 4 must be equal");
        check(op("ij->ji"), &["f32[2]"], "input 0 has 1 dimensions, the equation names 2");
        check(op("i->i"), &["f32[2, 3]"], "input 0 has 2 dimensions, the equation names 1");
        check(
            op("i,i->i"),
            &["f32[2]", "f64[2]"],
            "input 1 is f64; it must have the same type as the input before",
        );
    }

    #[test]
    fn equations_that_make_no_sense_are_refused() {
        let einsum = |equation: &str| node("Einsum", &["x"], &["y"]).text("equation", equation);
        assert!(einsum("ij->i").import(12).is_ok());
        let refused = |equation: &str, problem: &str| {
            check_refused(&einsum(equation), 12, &format!("attribute \"equation\": {equation:?}: {problem}"));
        };
        refused("ij->ii", "the output names a letter twice");
        refused("ij->k", "the output names a letter that no input has");
        refused("ij->...", "the output names a letter that no input has");
        refused("i,j", "2 terms for 1 inputs");
        refused("i1", "an equation has letters, commas, \"...\" and one \"->\"");
        refused("......", "a term has \"...\" twice");
    }
}
