//! Control flow: operators with graphs inside.
//!
//! A body sees the outer graph only through its captures, which are inputs of the node. The facts inside bodies are the
//! business of the pass that propagates facts; here is only what follows for the node's outputs.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::rules::{self, BOOL, shape_error};
use super::{Inputs, Op, OpError};
use crate::graph::{Body, Fact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `condition, captures...`: the outputs of one of two graphs, which have no formal inputs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct If {
    /// The graph for true, then that for false.
    pub bodies: Vec<Body>,
}

impl Op for If {
    fn name(&self) -> &'static str {
        "If"
    }

    /// What is known of the outputs of both bodies, whose own facts must have been inferred before; of one body alone
    /// when the condition is constant.
    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        let condition = inputs.typed(0, &BOOL)?;
        inputs.tensor(0)?;
        rules::check_single(0, Some(condition))?;
        let [yes, no] = &self.bodies[..] else {
            return shape_error(format!("{} bodies instead of two", self.bodies.len()));
        };
        let chosen =
            condition.constant.as_ref().and_then(|tensor| tensor.to_vec::<bool>().ok()?.first().copied());
        let output = |index| match chosen {
            Some(true) => output_of("then-branch", yes, index),
            Some(false) => output_of("else-branch", no, index),
            None => {
                either(index, &output_of("then-branch", yes, index)?, &output_of("else-branch", no, index)?)
            }
        };
        (0..inputs.outputs()).map(output).collect()
    }

    fn takes_any_kind(&self) -> bool {
        true
    }

    fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    fn with_bodies(&self, bodies: Vec<Body>) -> Option<Arc<dyn Op>> {
        Some(Arc::new(If { bodies }))
    }
}

/// What is known of an output of a body; errors call it by `branch`.
pub(crate) fn output_of(branch: &str, body: &Body, index: usize) -> Result<Fact, OpError> {
    let Some(id) = body.graph.outputs.get(index) else {
        return shape_error(format!(
            "output {index} is asked for, the {branch} has {}",
            body.graph.outputs.len()
        ));
    };
    match body.graph.fact(*id) {
        Some(fact) => Ok(fact.clone()),
        None => shape_error(format!("nothing is known of output {index} of the {branch}")),
    }
}

/// What holds of both.
fn either(index: usize, yes: &Fact, no: &Fact) -> Result<Fact, OpError> {
    if yes.element != no.element {
        return shape_error(format!(
            "output {index} is {} in the then-branch and {} in the else-branch",
            yes.element, no.element
        ));
    }
    yes.either(no).ok_or_else(|| {
        let (yes, no) = (yes.kind, no.kind);
        let what = format!("output {index} is {yes} in the then-branch and {no} in the else-branch");
        OpError::Shape(what)
    })
}

/// If. The importer has read the graphs and put their captures behind the condition.
pub(crate) fn import_if(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 0..=usize::MAX)?;
    let bodies = alloc::vec![node.body("then_branch")?, node.body("else_branch")?];
    for (body, branch) in bodies.iter().zip(["then_branch", "else_branch"]) {
        let (given, wanted) = (body.graph.outputs.len(), node.outputs());
        if given < wanted {
            return Err(node.refuse_attribute(branch, format!("has {given} outputs, the node has {wanted}")));
        }
        let formal = body.graph.inputs.len().saturating_sub(body.captures.len());
        if formal > 0 {
            return Err(node.refuse_attribute(branch, format!("takes {formal} inputs; it may have none")));
        }
    }
    Ok(Imported::with(If { bodies }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::testing::{check, check_outputs, fact};

    /// A body whose outputs have these facts.
    fn body(outputs: &[&str]) -> Body {
        let mut body = Body { graph: Default::default(), captures: Vec::new() };
        for output in outputs {
            let id = body.graph.add_value("", fact(output));
            body.graph.outputs.push(id);
        }
        body
    }

    fn branches(yes: &[&str], no: &[&str]) -> If {
        If { bodies: alloc::vec![body(yes), body(no)] }
    }

    #[test]
    fn what_holds_of_both_branches_holds() {
        let both = || branches(&["f32[N, 3]", "i64[2]"], &["f32[N, 4]", "i64[1, 2]"]);
        check(both(), &["bool[]"], "f32[N, ?] | i64[...]");
        check(both(), &["bool(true)"], "f32[N, 3] | i64[2]");
        check(both(), &["bool(false)", "f32[...]"], "f32[N, 4] | i64[1, 2]");
        check(both(), &["f32[]"], "input 0 is f32; bool is needed");
        check(both(), &["bool[2]"], "input 0 must be one number, its shape is [2]");
    }

    #[test]
    fn branches_must_agree_in_number_and_type() {
        check(
            branches(&["f32[2]"], &["i64[2]"]),
            &["bool[]"],
            "output 0 is f32 in the then-branch and i64 in the else-branch",
        );
        check_outputs(
            branches(&["f32[2]"], &["f32[2]"]),
            2,
            &["bool[]"],
            "output 1 is asked for, the then-branch has 1",
        );
        check(branches(&[""], &["f32[2]"]), &["bool[]"], "nothing is known of output 0 of the then-branch");
        check(If { bodies: Vec::new() }, &["bool[]"], "0 bodies instead of two");
    }
}
