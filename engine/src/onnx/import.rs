//! From the bytes of a file to a model: what is asked of the file as a whole.
//!
//! Is it a model, is it small enough, is it written in a version that we read, do we have all its operators? Only then is
//! anything built; [`build`](super::build) does that.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::steps::{Pace, Phase, Steps, finish};

use super::build::Importer;
use super::counted::Counted;
use super::error::{ImportError, UnsupportedOp};
use super::external::{ExternalData, Metered, NoExternalData};
use super::function::{Functions, Setting};
use super::proto::{GraphProto, ModelProto, NodeProto};
use super::registry;
use super::standard::is_unchanged;
use super::survey::{by_operator, long_domain, outdated, unsupported};
use super::wire::Budget;
use crate::model::Model;

/// The oldest version of the standard's operators of which we read all forms, and the newest.
const OPSETS: (i64, i64) = (6, 22);

/// How to read a file.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Where data outside of the model file comes from.
    pub external: &'a dyn ExternalData,
    /// How large a model may be.
    pub limits: Limits,
}

impl Default for Options<'_> {
    /// No external data, default limits.
    fn default() -> Self {
        Options { external: &NoExternalData, limits: Limits::default() }
    }
}

/// How large a model may be, so that a hostile file ends in an error and not in a machine without memory.
///
/// The sizes of tensors in the file need no limit: they are believed only when their data is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Messages (nodes, attributes, tensors, extents) in all.
    pub messages: usize,
    /// Messages within messages. Each graph within a graph takes three.
    pub depth: usize,
    /// Nodes, those of inner graphs included, those of the model's functions once for each call.
    pub nodes: usize,
    /// Bytes of all tensors outside of the file.
    pub external_bytes: u64,
}

impl Default for Limits {
    /// Far above any model that runs on one machine: files up to what can be addressed, 16 million messages, one million
    /// nodes, 64 GiB outside of the file.
    fn default() -> Limits {
        let (bytes, external_bytes) = (isize::MAX as usize, 1 << 36);
        Limits { bytes, messages: 1 << 24, depth: 64, nodes: 1 << 20, external_bytes }
    }
}

/// Reads an ONNX file.
///
/// # Errors
/// Bytes that are no model, operators that we do not have (all at once), and whatever else is wrong with it.
pub fn import(bytes: &[u8], options: &Options<'_>) -> Result<Model, ImportError> {
    finish(import_paced(bytes, options, &mut Pace::silent()))
}

/// As [`import`], step by step. The bytes are let go of with the last step.
pub fn import_steps<'a>(
    bytes: impl AsRef<[u8]> + Send + Sync + 'a,
    options: Options<'a>,
) -> Steps<'a, Result<Model, ImportError>> {
    Steps::new(|mut pace| async move { import_paced(bytes.as_ref(), &options, &mut pace).await })
}

/// As [`import`], with interruptions.
pub async fn import_paced(
    bytes: &[u8],
    options: &Options<'_>,
    pace: &mut Pace,
) -> Result<Model, ImportError> {
    let limits = options.limits;
    if bytes.is_empty() {
        return Err(ImportError::Empty);
    }
    if bytes.len() > limits.bytes {
        return Err(ImportError::Limit { what: "bytes", limit: limits.bytes });
    }
    let budget = Budget::new(limits.depth, limits.messages);
    pace.enter(Phase::Parse, bytes.len());
    let proto = ModelProto::read_paced(bytes, &budget, pace).await?;
    let graph_proto = proto.graph.as_ref().ok_or(ImportError::Absent("graph"))?;
    let opset = standard_opset(&proto);
    let functions = Functions::new(&proto.functions);
    check_operators(graph_proto, &functions, opset, limits.nodes)?;
    if opset.is_none() && proto.opsets.is_empty() {
        return Err(ImportError::Absent("operator set of ai.onnx"));
    }

    let external = Metered::new(options.external, limits.external_bytes);
    let importer = Importer { functions: &functions, external: &external };
    let mut counted = Counted::new(pace, bytes.len(), limits.nodes);
    let setting = Setting::of_model(opset, &proto.opsets);
    let graph = importer.graph(graph_proto, &[], &setting, &mut counted).await?;
    pace.reach(Phase::Parse, bytes.len());
    let opsets = proto.opsets.iter();
    Ok(Model {
        graph,
        name: graph_proto.name.to_owned(),
        producer: format!("{} {}", proto.producer_name, proto.producer_version).trim().to_owned(),
        ir_version: proto.ir_version,
        opsets: opsets.map(|set| (long_domain(set.domain).to_owned(), set.version)).collect(),
        metadata: proto.metadata.into_iter().map(|entry| (entry.key, entry.value)).collect(),
        doc: proto.doc,
    })
}

/// The version of the standard's own operators, if the file names one. Other domains are looked at only where a node uses
/// them.
fn standard_opset(proto: &ModelProto<'_>) -> Option<i64> {
    let own = proto.opsets.iter().filter(|set| registry::domain(set.domain).is_empty());
    own.map(|set| set.version).max()
}

/// Refuses a version of the standard's own operators that we do not read.
pub(super) fn check_opset(version: i64) -> Result<(), ImportError> {
    if (1..=OPSETS.1).contains(&version) { Ok(()) } else { Err(opset_error(version, Vec::new())) }
}

/// Refuses a form of one of the standard's own operators that is older than what we read. Many have not changed since.
pub(super) fn check_form(node: &NodeProto<'_>, version: i64) -> Result<(), ImportError> {
    let least = OPSETS.0;
    if version >= least || is_unchanged(node.op_type, version, least) {
        return Ok(());
    }
    Err(opset_error(version, by_operator(core::iter::once(node))))
}

fn opset_error(version: i64, operators: Vec<UnsupportedOp>) -> ImportError {
    let (least, most) = OPSETS;
    ImportError::Opset { version, least, most, operators }
}

/// Finds all nodes whose operators the registry does not have, or not in this version, before anything else is looked at.
fn check_operators<'a>(
    graph: &'a GraphProto<'a>,
    functions: &Functions<'a>,
    opset: Option<i64>,
    limit: usize,
) -> Result<(), ImportError> {
    let (unknown, nodes) = unsupported(graph, functions);
    if nodes > limit {
        return Err(ImportError::Limit { what: "nodes", limit });
    }
    let (least, most) = OPSETS;
    match opset {
        Some(version) if !(1..=most).contains(&version) => Err(opset_error(version, unknown)),
        _ if !unknown.is_empty() => Err(ImportError::Unsupported(unknown)),
        Some(version) if version < least => match outdated(graph, version, least) {
            old if old.is_empty() => Ok(()),
            old => Err(opset_error(version, old)),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{Proto, TestGraph, node};
    use alloc::string::ToString;
    use inferry_core::ElementType::F32;
    use inferry_core::Tensor;

    /// `y = Relu(Add(x, c))`
    fn small() -> TestGraph {
        TestGraph::new()
            .input("x", F32, &["N", "2"])
            .constant("c", &Tensor::from_slice(&[1.0f32, 2.0], [2]).unwrap())
            .node(node("Add", &["x", "c"], &["t"]))
            .node(node("Relu", &["t"], &["y"]).named("last"))
            .output("y", F32, &["N", "2"])
    }

    #[test]
    fn what_the_file_says_of_itself_is_kept() {
        let pair = |key: &str, value: &str| {
            Proto::default().put_bytes(1, key.as_bytes()).put_bytes(2, value.as_bytes())
        };
        let foreign = Proto::default().put_bytes(1, b"com.example").put_int(2, 3);
        let mut bytes = small().model(13);
        bytes.extend(
            Proto::default()
                .put_bytes(2, b"maker")
                .put_bytes(3, b"1.2")
                .put(14, &pair("labels", "a b"))
                .put(8, &foreign)
                .0,
        );
        let model = import(&bytes, &Options::default()).unwrap();
        assert_eq!(model.producer, "maker 1.2");
        assert_eq!(model.metadata("labels"), Some("a b"));
        let opsets = [("ai.onnx".to_string(), 13), ("com.example".to_string(), 3)];
        assert_eq!((model.opsets, model.ir_version), (opsets.into(), 8));
    }

    #[test]
    fn all_unsupported_operators_are_told_at_once() {
        let inner = TestGraph::new().node(node("Sorcery", &["x"], &["r"])).bare_output("r");
        let graph = small()
            .node(node("Alchemy", &["x"], &["u"]).domain("com.example"))
            .node(node("Sorcery", &["x"], &["v"]).named("second"))
            .node(node("If", &["x"], &["w"]).graph("then_branch", &inner.0).graph("else_branch", &inner.0));
        let list = "ai.onnx.Sorcery (\"second\", \"r\", \"r\"), com.example.Alchemy (\"u\")";
        let error = |opset| import(&graph.model(opset), &Options::default()).unwrap_err().to_string();
        assert_eq!(error(13), format!("the model needs operators that are not supported: {list}"));
        // With a version that we do not read, too.
        let version = "the model is written in operator set 23; 6 to 22 are supported; not supported in it: ";
        assert_eq!(error(23), format!("{version}{list}"));
        let many = (0..25)
            .fold(small(), |graph, index| graph.node(node("Sorcery", &["x"], &[&format!("s{index}")])));
        let error = import(&many.model(13), &Options::default()).unwrap_err();
        assert!(error.to_string().ends_with("\"s18\", \"s19\" and 5 more)"), "{error}");
        let ImportError::Unsupported(operators) = error else { panic!("{error}") };
        assert_eq!(operators[0].nodes.len(), 25);
    }

    #[test]
    fn versions_out_of_range_are_refused_in_one_line() {
        let message = import(&small().model(5), &Options::default()).unwrap_err().to_string();
        let five = "the model is written in operator set 5; 6 to 22 are supported; not supported in it: ";
        assert_eq!(message, format!("{five}ai.onnx.Add (\"t\"), ai.onnx.Relu (\"last\")"));
        let message = import(&small().model(99), &Options::default()).unwrap_err().to_string();
        assert_eq!(message, "the model is written in operator set 99; 6 to 22 are supported");
        let unchanged = TestGraph::new().input("x", inferry_core::ElementType::Bool, &["2"]);
        let unchanged = unchanged.node(node("Not", &["x"], &["y"])).bare_output("y");
        assert!(import(&unchanged.model(1), &Options::default()).is_ok());
        assert!(import(&unchanged.model(0), &Options::default()).is_err());
        let without = Proto::default().put_int(1, 8).put(7, &small().0);
        let message = import(&without.0, &Options::default()).unwrap_err().to_string();
        assert_eq!(message, "this is not an ONNX model: it has no operator set of ai.onnx");
    }

    #[test]
    fn what_is_no_model_is_told_apart() {
        let message = |bytes: &[u8]| import(bytes, &Options::default()).unwrap_err().to_string();
        assert_eq!(message(b""), "the model file is empty");
        assert!(
            message(b"PK\x03\x04 a zip archive").starts_with("this is not an ONNX model, or it is damaged: ")
        );
        assert_eq!(message(&Proto::default().put_int(1, 8).0), "this is not an ONNX model: it has no graph");
    }

    #[test]
    fn limits_hold() {
        let bytes = small().model(13);
        let with =
            |limits| import(&bytes, &Options { limits, ..Options::default() }).unwrap_err().to_string();
        let limits = Limits::default();
        assert_eq!(with(Limits { bytes: 9, ..limits }), "the model has more than 9 bytes");
        assert_eq!(with(Limits { nodes: 1, ..limits }), "the model has more than 1 nodes");
        assert!(with(Limits { messages: 5, ..limits }).ends_with("the file holds more than 5 messages"));
        assert!(with(Limits { depth: 2, ..limits }).contains("nest deeper than 2"));
    }
}
