//! Models that are loaded, by the page's number.
//!
//! Every agent of a shared memory sees the same ones. A model stays in memory until it is dropped here and the last request
//! for it is closed.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use inferry_core::{CompiledModel, Dim, ElementType, Port};
use spin::Mutex;

use crate::json::Json;
use crate::session::Session;
use crate::trouble::Trouble;

static MODELS: Mutex<BTreeMap<u32, Arc<Loaded>>> = Mutex::new(BTreeMap::new());

/// A model that can be run.
pub(crate) struct Loaded {
    pub(crate) compiled: Arc<dyn CompiledModel>,
    /// The request that warmed it up, for the first who asks.
    pub(crate) spare: Mutex<Option<Session>>,
}

/// Puts a model in. The one that had the number before goes.
pub(crate) fn insert(number: u32, model: Loaded) {
    let old = MODELS.lock().insert(number, Arc::new(model));
    // Freed without the lock.
    drop(old);
}

/// A loaded model.
pub(crate) fn get(number: u32) -> Result<Arc<Loaded>, Trouble> {
    MODELS.lock().get(&number).cloned().ok_or_else(|| Trouble::unknown("model", number))
}

/// Lets go of a model. Requests for it go on.
pub(crate) fn remove(number: u32) -> Result<(), Trouble> {
    let model = MODELS.lock().remove(&number);
    model.map(drop).ok_or_else(|| Trouble::unknown("model", number))
}

/// The ports of a model: `{"inputs": [{"name", "type", "dims"}…], "outputs": […]}`. An extent that only a run knows is
/// `null`, and so are the dims when not even their number is known.
pub(crate) fn describe(model: &dyn CompiledModel) -> Json {
    let mut json = Json::default();
    json.object(|json| {
        for (key, ports) in [("inputs", model.inputs()), ("outputs", model.outputs())] {
            json.key(key).list(|json| ports.iter().for_each(|port| describe_port(json, port)));
        }
    });
    json
}

fn describe_port(json: &mut Json, port: &Port) {
    json.object(|json| {
        json.key("name").text(&port.name);
        json.key("type").text(web_name(port.element));
        json.key("dims");
        match port.shape.dims() {
            None => json.null(),
            Some(dims) => json.list(|json| {
                for dim in dims {
                    match dim {
                        Dim::Fixed(extent) => json.number(*extent as u64),
                        _ => json.null(),
                    }
                }
            }),
        }
    });
}

/// The type's name on the web.
fn web_name(element: ElementType) -> &'static str {
    WEB_NAMES[element as usize]
}

/// By the position in [`ElementType::ALL`], which is also the number by which a type crosses to JavaScript.
const WEB_NAMES: [&str; ElementType::ALL.len()] = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "string",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "int4",
    "uint4",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_own_name_on_the_web() {
        for element in ElementType::ALL {
            let (rust, web) = (element.name(), web_name(element));
            let spelt = match rust.split_at(1) {
                ("f", bits) => alloc::format!("float{bits}"),
                ("i", bits) => alloc::format!("int{bits}"),
                ("u", bits) => alloc::format!("uint{bits}"),
                _ if rust == "bf16" => "bfloat16".into(),
                _ => rust.into(),
            };
            assert_eq!(web, spelt);
        }
    }
}
