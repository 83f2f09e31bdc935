//! Losses: how far scores are from the classes that were meant. Put together from other operators.
//!
//! Scores are `[N, C, ...]`, the classes `[N, ...]`. The loss of one place is minus the score of its class, times the weight
//! of the class; the mean is divided by the sum of those weights. A place whose class is `ignore_index` counts nowhere.

use super::{Binary, Gather, GatherElements, ReduceKind, Softmax, Unary};
use crate::onnx::{Fragment, ImportError, NodeView, Wire};

/// What becomes of the losses of all places.
#[derive(Clone, Copy, PartialEq)]
enum Reduction {
    None,
    Sum,
    Mean,
}

/// NegativeLogLikelihoodLoss.
pub(crate) fn import_nll(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=3, 1..=1)?;
    let mut f = Fragment::new();
    let scores = f.input(0);
    let loss = negative_likelihood(node, &mut f, scores)?;
    Ok(f.giving(loss))
}

/// SoftmaxCrossEntropyLoss: the same of the logarithms of softmax, which are the second output.
pub(crate) fn import_cross_entropy(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=3, 1..=2)?;
    let mut f = Fragment::new();
    let scores = f.input(0);
    let logarithms = f.step(Softmax { axis: 1, log: true, flatten: false }, &[scores]);
    let loss = negative_likelihood(node, &mut f, logarithms)?;
    f.give(1, logarithms);
    Ok(f.giving(loss))
}

fn negative_likelihood(node: &NodeView<'_>, f: &mut Fragment, scores: Wire) -> Result<Wire, ImportError> {
    let reduction = reduction(node)?;
    let classes = f.input(1);
    let ignored = node.int("ignore_index")?.map(|index| {
        let index = f.scalar(index);
        let index = f.like(index, classes);
        f.step(Binary::Equal, &[classes, index])
    });
    // An ignored place may name no class at all: it reads the first one, and its loss is replaced.
    let known = match ignored {
        Some(ignored) => {
            let zero = f.scalar(0i64);
            let zero = f.like(zero, classes);
            f.choose(ignored, zero, classes)
        }
        None => classes,
    };
    let positions = f.unsqueeze(known, &[1]);
    let scores = f.step(GatherElements { axis: 1 }, &[scores, positions]);
    let scores = f.squeeze(scores, &[1]);
    let mut loss = f.step(Unary::Neg, &[scores]);
    let mut weights = node.has_input(2).then(|| {
        let weights = f.input(2);
        f.step(Gather { axis: 0 }, &[weights, known])
    });
    if let Some(weights) = weights {
        loss = f.mul(loss, weights);
    }
    if let Some(ignored) = ignored {
        let (zero, one) = (f.number(0.0, loss), f.number(1.0, loss));
        loss = f.choose(ignored, zero, loss);
        weights = Some(f.choose(ignored, zero, weights.unwrap_or(one)));
    }
    Ok(match (reduction, weights) {
        (Reduction::None, _) => loss,
        (Reduction::Sum, _) => f.reduce_all(ReduceKind::Sum, loss),
        (Reduction::Mean, None) => f.reduce_all(ReduceKind::Mean, loss),
        (Reduction::Mean, Some(weights)) => {
            let (loss, weight) =
                (f.reduce_all(ReduceKind::Sum, loss), f.reduce_all(ReduceKind::Sum, weights));
            f.div(loss, weight)
        }
    })
}

fn reduction(node: &NodeView<'_>) -> Result<Reduction, ImportError> {
    match node.text("reduction")? {
        None | Some("mean") => Ok(Reduction::Mean),
        Some("sum") => Ok(Reduction::Sum),
        Some("none") => Ok(Reduction::None),
        Some(other) => Err(node.refuse_attribute("reduction", alloc::format!("{other:?} is not known"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::node;
    use alloc::string::ToString;

    fn text(node: crate::onnx::testing::TestNode) -> alloc::string::String {
        let inputs = ["x", "t", "w"].map(|name| (name, None));
        node.expand(13, &inputs).unwrap().to_string()
    }

    #[test]
    fn a_plain_loss_is_the_mean_of_what_is_gathered() {
        let plain = text(node("NegativeLogLikelihoodLoss", &["x", "t"], &["y"]));
        let expected = "x
t
----
y.0 = Unsqueeze(t, i64[1] {1})
y.1 = GatherElements { axis: 1 }(x, y.0)
y.2 = Squeeze(y.1, i64[1] {1})
y.3 = Neg(y.2)
y = ReduceMean { kind: Mean, keep_dims: false, noop_with_empty_axes: false }(y.3)
----
y
";
        assert_eq!(plain, expected);
    }

    #[test]
    fn an_ignored_place_neither_counts_nor_weighs() {
        let loss = node("SoftmaxCrossEntropyLoss", &["x", "t", "w"], &["y", "l"]).int("ignore_index", 9);
        let text = text(loss);
        assert!(text.contains("l = LogSoftmax { axis: 1"), "{text}");
        assert_eq!(text.matches("= Where(").count(), 3, "{text}");
        assert_eq!(text.matches("ReduceSum").count(), 2, "{text}");
        let unknown = node("NegativeLogLikelihoodLoss", &["x", "t"], &["y"]).text("reduction", "most");
        let error = unknown.expand(13, &[]).unwrap_err().to_string();
        assert!(error.ends_with("attribute \"reduction\": \"most\" is not known"), "{error}");
    }
}
