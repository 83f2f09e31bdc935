//! Graphs as text, for tests, dumps and people.
//!
//! ```text
//! x: f32[1, 3, ?, ?]
//! ----
//! t: f32[1, 8, ?, ?] = Conv { group: 1 }(x, weights: f32[8, 3, 3, 3], b: f32[2] {0.5, 1})
//! y: f32[1, 8, ?, ?] = Relu(t)
//! ----
//! y
//! ```
//!
//! Inputs first, then the nodes in their order, then the outputs. A constant is shown where it is read, with its numbers
//! when there are at most eight. Values without a name are numbered in the order of the text, so that equal graphs give
//! equal text. Names that are not plain words are quoted. This does not read text back.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use inferry_core::tensor::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, unpack};
use inferry_core::{ElementType, Tensor};

use crate::graph::{Graph, Node, ValueId};

/// Constants of up to this many elements are shown in full.
const MOST_ELEMENTS: usize = 8;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        graph(f, self, "")
    }
}

fn graph(f: &mut fmt::Formatter<'_>, graph: &Graph, indent: &str) -> fmt::Result {
    let mut names = Names { graph, numbers: BTreeMap::new() };
    for id in &graph.inputs {
        writeln!(f, "{indent}{}", names.defined(*id))?;
    }
    writeln!(f, "{indent}----")?;
    for node in &graph.nodes {
        let outputs = names.list(&node.outputs, Names::defined);
        let inputs = names.list(&node.inputs, Names::read);
        writeln!(f, "{indent}{outputs} = {}({inputs})", operator(node))?;
        for body in node.op.bodies() {
            writeln!(f, "{indent}  captures {:?}", body.captures)?;
            self::graph(f, &body.graph, &format!("{indent}    "))?;
        }
    }
    writeln!(f, "{indent}----")?;
    for id in &graph.outputs {
        writeln!(f, "{indent}{}", names.read(*id))?;
    }
    Ok(())
}

/// The operator's name and its attributes, as its `Debug` has them.
fn operator(node: &Node) -> String {
    let name = node.op.name();
    if !node.op.bodies().is_empty() {
        return name.to_string();
    }
    let debug = format!("{:?}", node.op);
    match debug.find([' ', '(']) {
        Some(end) => format!("{name}{}", &debug[end..]),
        None => name.to_string(),
    }
}

/// How values are called in the text.
struct Names<'a> {
    graph: &'a Graph,
    numbers: BTreeMap<ValueId, usize>,
}

impl Names<'_> {
    fn list(
        &mut self,
        ids: &[Option<ValueId>],
        mut show: impl FnMut(&mut Self, ValueId) -> String,
    ) -> String {
        let texts: Vec<String> =
            ids.iter().map(|id| id.map_or("-".to_string(), |id| show(self, id))).collect();
        texts.join(", ")
    }

    fn name(&mut self, id: ValueId) -> String {
        let name = &*self.graph.value(id).name;
        if name.is_empty() {
            let next = self.numbers.len();
            return format!("%{}", self.numbers.entry(id).or_insert(next));
        }
        let plain = |char: char| char.is_ascii_alphanumeric() || "_.:;/-".contains(char);
        if name.chars().all(plain) { name.to_string() } else { format!("{name:?}") }
    }

    /// A value where it is written: its name and its fact.
    fn defined(&mut self, id: ValueId) -> String {
        let name = self.name(id);
        self.graph.fact(id).map_or(name.clone(), |fact| format!("{name}: {fact}"))
    }

    /// A value where it is read: its name; a constant with its type and numbers.
    fn read(&mut self, id: ValueId) -> String {
        let Some(tensor) = self.graph.constant(id) else { return self.name(id) };
        let kind = format!("{}{}", tensor.element(), tensor.shape());
        let few = tensor.len() <= MOST_ELEMENTS;
        let numbers =
            few.then(|| numbers(tensor)).flatten().map_or(String::new(), |text| format!(" {{{text}}}"));
        let unnamed = self.graph.value(id).name.is_empty();
        if unnamed && !numbers.is_empty() {
            return format!("{kind}{numbers}");
        }
        format!("{}: {kind}{numbers}", self.name(id))
    }
}

/// The elements, separated by commas; `None` when they cannot be read now.
fn numbers(tensor: &Tensor) -> Option<String> {
    fn all<T: inferry_core::Element + ToString>(tensor: &Tensor) -> Option<Vec<String>> {
        Some(tensor.to_vec::<T>().ok()?.iter().map(T::to_string).collect())
    }
    let texts = match tensor.element() {
        ElementType::Bool => all::<bool>(tensor)?,
        ElementType::I8 => all::<i8>(tensor)?,
        ElementType::I16 => all::<i16>(tensor)?,
        ElementType::I32 => all::<i32>(tensor)?,
        ElementType::I64 => all::<i64>(tensor)?,
        ElementType::U8 => all::<u8>(tensor)?,
        ElementType::U16 => all::<u16>(tensor)?,
        ElementType::U32 => all::<u32>(tensor)?,
        ElementType::U64 => all::<u64>(tensor)?,
        ElementType::F16 => all::<half::f16>(tensor)?,
        ElementType::Bf16 => all::<half::bf16>(tensor)?,
        ElementType::F32 => all::<f32>(tensor)?,
        ElementType::F64 => all::<f64>(tensor)?,
        ElementType::F8E4M3Fn => all::<F8E4M3Fn>(tensor)?,
        ElementType::F8E4M3Fnuz => all::<F8E4M3Fnuz>(tensor)?,
        ElementType::F8E5M2 => all::<F8E5M2>(tensor)?,
        ElementType::F8E5M2Fnuz => all::<F8E5M2Fnuz>(tensor)?,
        ElementType::I4 | ElementType::U4 => {
            let lease = tensor.lease_read().ok()?;
            let elements = unpack(tensor.element(), &lease.bytes()[tensor.byte_range()]);
            elements.take(tensor.len()).map(|element| element.to_string()).collect()
        }
        ElementType::String => tensor.strings().ok()?.iter().map(|text| format!("{text:?}")).collect(),
        _ => return None,
    };
    Some(texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Dim, Fact, ShapeFact};
    use crate::op::{Inputs, Op, OpError};
    use alloc::sync::Arc;

    #[derive(Debug)]
    #[allow(dead_code)] // `axis` is read through `Debug`
    struct Gather {
        axis: i64,
    }

    impl Op for Gather {
        fn name(&self) -> &'static str {
            "Gather"
        }

        fn infer(&self, _: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_graph_reads_from_top_to_bottom() {
        let mut graph = Graph::default();
        let open = ShapeFact(Some(alloc::vec![Dim::Fixed(2), Dim::Unknown]));
        let x = graph.add_value("input of\nmine", Some(Fact::new(ElementType::F32, open.clone())));
        let unused = graph.add_value("", None);
        let (t, y) =
            (graph.add_value("", Some(Fact::new(ElementType::F32, open))), graph.add_value("a/b:0", None));
        let few = graph.add_constant("", Tensor::from_slice(&[1i64, -2], [2]).unwrap());
        let many = graph.add_constant("w", Tensor::zeros(ElementType::F16, [3, 3]));
        let node = |inputs: &[Option<ValueId>], outputs: &[Option<ValueId>]| Node {
            name: "".into(),
            op: Arc::new(Gather { axis: 1 }),
            inputs: inputs.to_vec(),
            outputs: outputs.to_vec(),
        };
        graph.nodes.push(node(&[Some(x), None, Some(few)], &[Some(t), None]));
        graph.nodes.push(node(&[Some(t), Some(many)], &[Some(y)]));
        graph.inputs.push(x);
        graph.outputs.push(y);
        _ = unused;
        let text = r#""input of\nmine": f32[2, ?]
----
%0: f32[2, ?], - = Gather { axis: 1 }("input of\nmine", -, i64[2] {1, -2})
a/b:0 = Gather { axis: 1 }(%0, w: f16[3, 3])
----
a/b:0
"#;
        assert_eq!(graph.to_string(), text);
    }
}
