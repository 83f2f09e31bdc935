//! Recurrent layers: a state goes from step to step along the sequence.
//!
//! Inputs `x [S, B, I], w [D, gates * H, I], r [D, gates * H, H], b? [D, 2 * gates * H], lengths? [B] (i32), initial state? [D, B, H]`
//! with S steps, batch B, D directions, H hidden units; outputs `y [S, D, B, H], last state [D, B, H]`. With
//! `batch_first` the batch comes first: `x [B, S, I], state [B, D, H], y [B, S, D, H]`.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, FLOAT, INT32, shape_error};
use super::{Inputs, Op, OpError, Unary};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// Which way a recurrent layer walks along the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last to the first.
    Reverse,
    /// Both ways, with weights of their own.
    Bidirectional,
}

impl Direction {
    /// How many there are: D in the shapes.
    pub fn count(self) -> usize {
        if self == Direction::Bidirectional { 2 } else { 1 }
    }
}

/// The function that a gate applies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// A function that is an operator, too.
    Unary(Unary),
    /// `alpha * x + beta`
    Affine {
        /// Factor.
        alpha: f32,
        /// What is added.
        beta: f32,
    },
    /// `alpha * tanh(beta * x)`
    ScaledTanh {
        /// Factor of the result.
        alpha: f32,
        /// Factor of the argument.
        beta: f32,
    },
}

/// Long short-term memory; gates in the order input, output, forget, cell. Two more inputs: the initial cell state and
/// the peepholes `[D, 3 * H]`; one more output: the last cell state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lstm {
    /// Hidden units: H.
    pub hidden: usize,
    /// Which way.
    pub direction: Direction,
    /// For each direction: of the gates (f), of the cell (g), of the output (h).
    pub activations: Vec<Activation>,
    /// Limit of what goes into an activation.
    pub clip: Option<f32>,
    /// Whether the forget gate is one minus the input gate.
    pub input_forget: bool,
    /// Whether the batch is the first dimension.
    pub batch_first: bool,
}

impl Op for Lstm {
    fn name(&self) -> &'static str {
        "LSTM"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(8, 3)?;
        let layer = Layer {
            gates: 4,
            hidden: self.hidden,
            direction: self.direction,
            activations: (self.activations.len(), 3),
            batch_first: self.batch_first,
        };
        let facts = layer.infer(inputs)?;
        let x = inputs.required(0)?;
        for state in [5, 6] {
            layer.check_state(state, inputs.alike_optional(state, x)?)?;
        }
        if let Some(peepholes) = inputs.alike_optional(7, x)? {
            layer.check_weights(7, peepholes, &[3], None)?;
        }
        Ok(facts)
    }
}

/// Gated recurrent unit; gates in the order update, reset, hidden.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gru {
    /// Hidden units: H.
    pub hidden: usize,
    /// Which way.
    pub direction: Direction,
    /// For each direction: of the gates (f), of the hidden gate (g).
    pub activations: Vec<Activation>,
    /// Limit of what goes into an activation.
    pub clip: Option<f32>,
    /// Whether the reset gate acts behind the product with the recurrent weights instead of before it.
    pub linear_before_reset: bool,
    /// Whether the batch is the first dimension.
    pub batch_first: bool,
}

impl Op for Gru {
    fn name(&self) -> &'static str {
        "GRU"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(6, 2)?;
        let layer = Layer {
            gates: 3,
            hidden: self.hidden,
            direction: self.direction,
            activations: (self.activations.len(), 2),
            batch_first: self.batch_first,
        };
        let facts = layer.infer(inputs)?;
        layer.check_state(5, inputs.alike_optional(5, inputs.required(0)?)?)?;
        Ok(facts)
    }
}

/// The plain recurrent layer, with one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rnn {
    /// Hidden units: H.
    pub hidden: usize,
    /// Which way.
    pub direction: Direction,
    /// One for each direction.
    pub activations: Vec<Activation>,
    /// Limit of what goes into an activation.
    pub clip: Option<f32>,
    /// Whether the batch is the first dimension.
    pub batch_first: bool,
}

impl Op for Rnn {
    fn name(&self) -> &'static str {
        "RNN"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(6, 2)?;
        let layer = Layer {
            gates: 1,
            hidden: self.hidden,
            direction: self.direction,
            activations: (self.activations.len(), 1),
            batch_first: self.batch_first,
        };
        let facts = layer.infer(inputs)?;
        layer.check_state(5, inputs.alike_optional(5, inputs.required(0)?)?)?;
        Ok(facts)
    }
}

/// What the three layers have in common.
struct Layer {
    gates: usize,
    hidden: usize,
    direction: Direction,
    /// How many there are, and how many each direction needs.
    activations: (usize, usize),
    batch_first: bool,
}

impl Layer {
    /// Checks x, weights, bias and lengths; the facts of y and of the last states, as many as are wanted.
    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        let directions = self.direction.count();
        let (given, each) = self.activations;
        if given != each * directions {
            return shape_error(format!("{given} activations; {} are needed", each * directions));
        }
        let x = inputs.typed(0, &FLOAT)?;
        rules::check_rank_is(0, &x.shape, 3)?;
        let [first, second, features] = match x.shape.dims() {
            Some([first, second, features]) => [first.clone(), second.clone(), features.clone()],
            _ => [Dim::Unknown, Dim::Unknown, Dim::Unknown],
        };
        let (steps, batch) = if self.batch_first { (second, first) } else { (first, second) };
        self.check_weights(1, inputs.alike(1, x)?, &[self.gates], Some(&features))?;
        self.check_weights(2, inputs.alike(2, x)?, &[self.gates, 1], None)?;
        if let Some(bias) = inputs.alike_optional(3, x)? {
            self.check_weights(3, bias, &[2 * self.gates], None)?;
        }
        if let Some(lengths) = inputs.typed_optional(4, &INT32)? {
            rules::check_vector(4, lengths, &batch)?;
        }
        let (directions, hidden) = (Dim::Fixed(directions), Dim::Fixed(self.hidden));
        let (y, state) = if self.batch_first {
            let y = alloc::vec![batch.clone(), steps, directions.clone(), hidden.clone()];
            (y, alloc::vec![batch, directions, hidden])
        } else {
            let y = alloc::vec![steps, directions.clone(), batch.clone(), hidden.clone()];
            (y, alloc::vec![directions, batch, hidden])
        };
        let state = Fact::new(x.element, ShapeFact(Some(state)));
        let mut facts = alloc::vec![Fact::new(x.element, ShapeFact(Some(y)))];
        facts.resize(inputs.outputs().max(1), state);
        Ok(facts)
    }

    /// Refuses weights that are not `[D, times * H for each of times..., last?]`.
    fn check_weights(
        &self,
        input: usize,
        fact: &Fact,
        times: &[usize],
        last: Option<&Dim>,
    ) -> Result<(), OpError> {
        let mut wanted = alloc::vec![Dim::Fixed(self.direction.count())];
        for times in times {
            wanted.push(Dim::Fixed(times.checked_mul(self.hidden).ok_or_else(rules::too_large)?));
        }
        wanted.extend(last.cloned());
        check_dims(input, fact, &wanted)
    }

    /// Refuses an initial state that is not `[D, B, H]` (`[B, D, H]`).
    fn check_state(&self, input: usize, fact: Option<&Fact>) -> Result<(), OpError> {
        let Some(fact) = fact else { return Ok(()) };
        let (directions, hidden) = (Dim::Fixed(self.direction.count()), Dim::Fixed(self.hidden));
        let wanted = if self.batch_first {
            [Dim::Unknown, directions, hidden]
        } else {
            [directions, Dim::Unknown, hidden]
        };
        check_dims(input, fact, &wanted)
    }
}

fn check_dims(input: usize, fact: &Fact, wanted: &[Dim]) -> Result<(), OpError> {
    let Some(dims) = fact.shape.dims() else { return Ok(()) };
    let fits =
        dims.len() == wanted.len() && dims.iter().zip(wanted).all(|(a, b)| rules::unify_dim(a, b).is_ok());
    if fits {
        return Ok(());
    }
    shape_error(format!(
        "input {input} must have the shape {}, not {}",
        ShapeFact(Some(wanted.to_vec())),
        fact.shape
    ))
}

/// LSTM.
pub(crate) fn import_lstm(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=8, 0..=3)?;
    Ok(Imported::with(lstm(node)?))
}

/// What the attributes of an LSTM say.
pub(super) fn lstm(node: &NodeView<'_>) -> Result<Lstm, ImportError> {
    let direction = direction(node)?;
    Ok(Lstm {
        hidden: hidden(node)?,
        direction,
        activations: activations(node, direction, &[Unary::Sigmoid, Unary::Tanh, Unary::Tanh])?,
        clip: node.float("clip")?,
        input_forget: node.flag("input_forget", false)?,
        batch_first: node.flag("layout", false)?,
    })
}

/// GRU.
pub(crate) fn import_gru(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=6, 0..=2)?;
    let direction = direction(node)?;
    Ok(Imported::with(Gru {
        hidden: hidden(node)?,
        direction,
        activations: activations(node, direction, &[Unary::Sigmoid, Unary::Tanh])?,
        clip: node.float("clip")?,
        linear_before_reset: node.flag("linear_before_reset", false)?,
        batch_first: node.flag("layout", false)?,
    }))
}

/// RNN.
pub(crate) fn import_rnn(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(3..=6, 0..=2)?;
    let direction = direction(node)?;
    Ok(Imported::with(Rnn {
        hidden: hidden(node)?,
        direction,
        activations: activations(node, direction, &[Unary::Tanh])?,
        clip: node.float("clip")?,
        batch_first: node.flag("layout", false)?,
    }))
}

fn direction(node: &NodeView<'_>) -> Result<Direction, ImportError> {
    match node.text("direction")? {
        None | Some("forward") => Ok(Direction::Forward),
        Some("reverse") => Ok(Direction::Reverse),
        Some("bidirectional") => Ok(Direction::Bidirectional),
        Some(other) => Err(node.refuse_attribute("direction", format!("\"{other}\" is not known"))),
    }
}

fn hidden(node: &NodeView<'_>) -> Result<usize, ImportError> {
    match node.count_or("hidden_size", 0)? {
        0 => Err(node.refuse_attribute("hidden_size", "is missing or 0")),
        hidden => Ok(hidden),
    }
}

/// The activations of all directions; `usual` are those of one direction when the node names none.
fn activations(
    node: &NodeView<'_>,
    direction: Direction,
    usual: &[Unary],
) -> Result<Vec<Activation>, ImportError> {
    let wanted = usual.len() * direction.count();
    let Some(names) = node.texts("activations")?.filter(|names| !names.is_empty()) else {
        return Ok(usual.iter().cycle().take(wanted).map(|kind| Activation::Unary(*kind)).collect());
    };
    if names.len() != wanted {
        return Err(
            node.refuse_attribute("activations", format!("has {} names instead of {wanted}", names.len()))
        );
    }
    let mut alphas = node.floats("activation_alpha")?.unwrap_or_default().into_iter();
    let mut betas = node.floats("activation_beta")?.unwrap_or_default().into_iter();
    let mut kinds = Vec::new();
    for name in names {
        let unknown = || node.refuse_attribute("activations", format!("\"{name}\" is not known"));
        kinds.push(activation(name, &mut alphas, &mut betas).ok_or_else(unknown)?);
    }
    Ok(kinds)
}

/// The function of this name. Those that have parameters take the next ones from the lists; when a list has run out, the
/// parameter is that of the operator of the same name, or changes nothing where there is no such operator.
fn activation(
    name: &str,
    alphas: &mut impl Iterator<Item = f32>,
    betas: &mut impl Iterator<Item = f32>,
) -> Option<Activation> {
    let mut alpha = |default| alphas.next().unwrap_or(default);
    let mut beta = |default| betas.next().unwrap_or(default);
    Some(Activation::Unary(match name.to_ascii_lowercase().as_str() {
        "sigmoid" => Unary::Sigmoid,
        "tanh" => Unary::Tanh,
        "relu" => Unary::Relu,
        "softsign" => Unary::Softsign,
        "softplus" => Unary::Softplus,
        "leakyrelu" => Unary::LeakyRelu { alpha: alpha(0.01) },
        "thresholdedrelu" => Unary::ThresholdedRelu { alpha: alpha(1.0) },
        "elu" => Unary::Elu { alpha: alpha(1.0) },
        "hardsigmoid" => Unary::HardSigmoid { alpha: alpha(0.2), beta: beta(0.5) },
        "affine" => return Some(Activation::Affine { alpha: alpha(1.0), beta: beta(0.0) }),
        "scaledtanh" => return Some(Activation::ScaledTanh { alpha: alpha(1.0), beta: beta(1.0) }),
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_outputs, check_refused};

    fn activations(kinds: &[Unary]) -> Vec<Activation> {
        kinds.iter().map(|kind| Activation::Unary(*kind)).collect()
    }

    fn lstm(direction: Direction, batch_first: bool) -> Lstm {
        let usual = [Unary::Sigmoid, Unary::Tanh, Unary::Tanh].repeat(direction.count());
        Lstm {
            hidden: 8,
            direction,
            activations: activations(&usual),
            clip: None,
            input_forget: false,
            batch_first,
        }
    }

    #[test]
    fn layers_give_every_step_and_the_last_states() {
        let weights = ["f32[S, B, 4]", "f32[1, 32, 4]", "f32[1, 32, 8]"];
        check(lstm(Direction::Forward, false), &weights, "f32[S, 1, B, 8] | f32[1, B, 8] | f32[1, B, 8]");
        let both = ["f32[S, B, 4]", "f32[2, 32, 4]", "f32[2, 32, 8]", "f32[2, 64]", "i32[B]"];
        check(lstm(Direction::Bidirectional, false), &both, "f32[S, 2, B, 8] | f32[2, B, 8]");
        let first = ["f32[B, S, 4]", "f32[1, 32, 4]", "f32[1, 32, 8]", "", "", "f32[B, 1, 8]"];
        check(lstm(Direction::Reverse, true), &first, "f32[B, S, 1, 8] | f32[B, 1, 8]");
        let gru = Gru {
            hidden: 8,
            direction: Direction::Forward,
            activations: activations(&[Unary::Sigmoid, Unary::Tanh]),
            clip: None,
            linear_before_reset: false,
            batch_first: false,
        };
        check(gru, &["f16[5, 1, 4]", "f16[1, 24, 4]", "f16[1, 24, 8]"], "f16[5, 1, 1, 8] | f16[1, 1, 8]");
        let rnn = Rnn {
            hidden: 8,
            direction: Direction::Forward,
            activations: activations(&[Unary::Tanh]),
            clip: None,
            batch_first: false,
        };
        check(rnn.clone(), &["f32[...]", "f32[1, 8, 4]", "f32[1, 8, 8]"], "f32[?, 1, ?, 8]");
        check(Rnn { activations: Vec::new(), ..rnn }, &["f32[...]"], "0 activations; 1 are needed");
    }

    #[test]
    fn weights_of_another_shape_are_refused() {
        let refused = |place: usize, wrong: &'static str, expect| {
            let mut inputs = [
                "f32[S, B, 4]",
                "f32[1, 32, 4]",
                "f32[1, 32, 8]",
                "f32[1, 64]",
                "i32[B]",
                "f32[1, B, 8]",
                "f32[1, B, 8]",
                "f32[1, 24]",
            ];
            check(lstm(Direction::Forward, false), &inputs, "f32[S, 1, B, 8]");
            inputs[place] = wrong;
            check_outputs(lstm(Direction::Forward, false), 1, &inputs, expect);
        };
        refused(0, "f32[B, 4]", "input 0 must have 3 dimensions, its shape is [B, 4]");
        refused(1, "f32[1, 24, 4]", "input 1 must have the shape [1, 32, 4], not [1, 24, 4]");
        refused(1, "f32[1, 32, 5]", "input 1 must have the shape [1, 32, 4], not [1, 32, 5]");
        refused(2, "f32[2, 32, 8]", "input 2 must have the shape [1, 32, 8], not [2, 32, 8]");
        refused(3, "f32[64]", "input 3 must have the shape [1, 64], not [64]");
        refused(4, "i64[B]", "input 4 is i64; i32 is needed");
        refused(5, "f32[B, 8]", "input 5 must have the shape [1, ?, 8], not [B, 8]");
        refused(6, "f16[1, B, 8]", "input 6 is f16; it must have the same type as the input before");
        refused(7, "f32[1, 32]", "input 7 must have the shape [1, 24], not [1, 32]");
    }

    #[test]
    fn layers_without_attributes_have_the_usual_activations() {
        let plain = |name| node(name, &["x", "w", "r"], &["y"]).int("hidden_size", 8);
        check_import(&plain("LSTM"), 7, lstm(Direction::Forward, false), &[]);
        let both = plain("LSTM").text("direction", "bidirectional").int("layout", 1);
        check_import(&both, 14, lstm(Direction::Bidirectional, true), &[]);
        let gru = Gru {
            hidden: 8,
            direction: Direction::Reverse,
            activations: activations(&[Unary::Sigmoid, Unary::Tanh]),
            clip: Some(3.0),
            linear_before_reset: true,
            batch_first: false,
        };
        let node = plain("GRU").text("direction", "reverse").int("linear_before_reset", 1).float("clip", 3.0);
        check_import(&node, 14, gru, &[]);
    }

    #[test]
    fn activations_take_their_parameters_in_turn() {
        let names = ["HardSigmoid", "relu", "LeakyRelu"];
        let node = node("LSTM", &["x", "w", "r"], &["y"])
            .int("hidden_size", 8)
            .texts("activations", &names)
            .floats("activation_alpha", &[0.5])
            .floats("activation_beta", &[0.25]);
        let kinds =
            [Unary::HardSigmoid { alpha: 0.5, beta: 0.25 }, Unary::Relu, Unary::LeakyRelu { alpha: 0.01 }];
        let expect = Lstm { activations: activations(&kinds), ..lstm(Direction::Forward, false) };
        check_import(&node, 7, expect, &[]);
    }

    #[test]
    fn activations_that_are_no_operators() {
        let names = ["Affine", "ScaledTanh", "affine"];
        let node = node("LSTM", &["x", "w", "r"], &["y"])
            .int("hidden_size", 8)
            .texts("activations", &names)
            .floats("activation_alpha", &[0.5, 1.75])
            .floats("activation_beta", &[0.25]);
        let activations = alloc::vec![
            Activation::Affine { alpha: 0.5, beta: 0.25 },
            Activation::ScaledTanh { alpha: 1.75, beta: 1.0 },
            Activation::Affine { alpha: 1.0, beta: 0.0 },
        ];
        check_import(&node, 7, Lstm { activations, ..lstm(Direction::Forward, false) }, &[]);
    }

    #[test]
    fn what_is_missing_or_not_known_is_named() {
        let rnn = || node("RNN", &["x", "w", "r"], &["y"]);
        check_refused(&rnn(), 7, "attribute \"hidden_size\": is missing or 0");
        let sized = || rnn().int("hidden_size", 8);
        check_refused(&sized().text("direction", "up"), 7, "attribute \"direction\": \"up\" is not known");
        let other = sized().texts("activations", &["Swish"]);
        check_refused(&other, 7, "attribute \"activations\": \"Swish\" is not known");
        let many = sized().texts("activations", &["Tanh", "Tanh"]);
        check_refused(&many, 7, "attribute \"activations\": has 2 names instead of 1");
    }
}
