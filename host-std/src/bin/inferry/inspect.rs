//! `inferry inspect`: what is in a model file, whether or not it can run here.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use inferry_engine::graph::Dim;
use inferry_engine::onnx::{self, Declaration, OperatorCount, Survey};
use serde_json::{Map, Value, json};

use crate::about;

/// Prints what the model holds, as text or as one JSON object.
pub fn inspect(model: &Path, as_json: bool) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(model).map_err(about(model))?;
    let survey = onnx::survey(&bytes, &onnx::Limits::default()).map_err(about(model))?;
    if as_json {
        println!("{}", object(model, &survey));
    } else {
        print!("{}", text(model, &survey));
    }
    Ok(())
}

fn text(model: &Path, survey: &Survey) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("text can be appended");
    let or_none = |text: &str| if text.is_empty() { "(none)".to_string() } else { text.to_string() };
    line(format!("model       {}", model.display()));
    line(format!("graph       {}", or_none(&survey.name)));
    line(format!("producer    {}", or_none(&survey.producer)));
    let opsets: Vec<String> =
        survey.opsets.iter().map(|(domain, version)| format!("{domain} {version}")).collect();
    line(format!("opsets      {} (file format {})", opsets.join(", "), survey.ir_version));
    for (title, ports) in [("inputs", &survey.inputs), ("outputs", &survey.outputs)] {
        line(title.to_string());
        let width = ports.iter().map(|port| port.name.chars().count()).max().unwrap_or(0);
        for (index, port) in ports.iter().enumerate() {
            line(format!("  {index:>2}  {:<width$}  {}", port.name, declared(port)));
        }
    }
    let total: u64 = survey.parameters.iter().map(|(_, count)| count).sum();
    let kinds: Vec<String> =
        survey.parameters.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    line(format!("parameters  {total}{}{}", if kinds.is_empty() { "" } else { ": " }, kinds.join(", ")));
    line(format!("nodes       {} of {} operators", survey.nodes(), survey.operators.len()));
    for operator in by_count(survey) {
        let mark = if operator.supported { "" } else { "  not supported" };
        line(format!("  {:>5}  {}{mark}", operator.count, full_name(operator)));
    }
    let unsupported: Vec<String> = survey.unsupported().map(full_name).collect();
    line(match unsupported.is_empty() {
        true => "every operator is supported".to_string(),
        false => format!("not supported: {}", unsupported.join(", ")),
    });
    out
}

fn object(model: &Path, survey: &Survey) -> Value {
    let ports = |ports: &[Declaration]| ports.iter().map(port).collect::<Vec<_>>();
    let operator = |operator: &OperatorCount| {
        let OperatorCount { domain, name, count, supported } = operator;
        json!({ "domain": domain, "name": name, "count": count, "supported": supported })
    };
    let unsupported = by_count(survey).into_iter().filter(|operator| !operator.supported);
    let kinds: Map<String, Value> =
        survey.parameters.iter().map(|(kind, count)| (kind.clone(), json!(count))).collect();
    json!({
        "model": model.display().to_string(),
        "name": survey.name,
        "producer": survey.producer,
        "ir_version": survey.ir_version,
        "opsets": survey.opsets.iter().map(|(domain, version)| (domain.clone(), json!(version))).collect::<Map<_, _>>(),
        "inputs": ports(&survey.inputs),
        "outputs": ports(&survey.outputs),
        "parameters": survey.parameters.iter().map(|(_, count)| count).sum::<u64>(),
        "parameters_by_type": kinds,
        "nodes": survey.nodes(),
        "operators": by_count(survey).into_iter().map(operator).collect::<Vec<_>>(),
        "unsupported": unsupported.map(|operator| json!(full_name(operator))).collect::<Vec<_>>(),
    })
}

/// A port with its shape as a list: a number, a name, or null for an extent of which nothing is known.
fn port(port: &Declaration) -> Value {
    let Declaration { name, fact } = port;
    match fact {
        Ok(Some(fact)) => {
            let dim = |dim: &Dim| match dim {
                Dim::Fixed(extent) => json!(extent),
                Dim::Symbol(symbol) => json!(&*symbol.0),
                Dim::Unknown => Value::Null,
            };
            let shape = fact.shape.dims().map(|dims| dims.iter().map(dim).collect::<Vec<_>>());
            json!({ "name": name, "type": fact.element.name(), "shape": shape })
        }
        Ok(None) => json!({ "name": name, "type": null, "shape": null }),
        Err(problem) => json!({ "name": name, "type": null, "shape": null, "problem": problem }),
    }
}

fn declared(port: &Declaration) -> String {
    match &port.fact {
        Ok(Some(fact)) => format!("{} {}", fact.element, fact.shape),
        Ok(None) => "(not declared)".to_string(),
        Err(problem) => problem.clone(),
    }
}

/// Most frequent first; of equals, by name.
fn by_count(survey: &Survey) -> Vec<&OperatorCount> {
    let mut operators: Vec<&OperatorCount> = survey.operators.iter().collect();
    operators.sort_by_key(|operator| std::cmp::Reverse(operator.count));
    operators
}

/// The standard's own operators go without their domain, as everybody calls them.
fn full_name(operator: &OperatorCount) -> String {
    match operator.domain.as_str() {
        "ai.onnx" => operator.name.clone(),
        domain => format!("{domain}.{}", operator.name),
    }
}
