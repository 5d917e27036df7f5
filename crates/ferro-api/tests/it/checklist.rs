//! COMPATIBILITY.md lists every field of every kind, so that none is forgotten silently.

use std::fs;
use std::path::Path;

use ferro_api::crd;
use serde_json::Value;

/// How deep the checklist goes into a spec and a status.
const DEPTH: [(&str, usize); 2] = [("spec", 2), ("status", 1)];
/// An object of these fields only is a reference, and is listed as one field.
const REFERENCE: [&str; 6] = ["apiVersion", "key", "kind", "name", "namespace", "optional"];

#[test]
fn checklist_names_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../COMPATIBILITY.md");
    let checklist = fs::read_to_string(path).unwrap();
    let mut missing = Vec::new();
    for definition in crd::definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let stored = versions
            .iter()
            .find(|version| version["storage"] == true)
            .unwrap();
        let section = section(&checklist, &format!("### {kind} ("));
        for (part, depth) in DEPTH {
            let schema = &stored["schema"]["openAPIV3Schema"]["properties"][part];
            let mut fields = Vec::new();
            collect(schema, part, depth, &mut fields);
            let absent = fields
                .into_iter()
                .filter(|field| !section.contains(&format!("] `{field}`")));
            missing.extend(absent.map(|field| format!("{kind}: {field}")));
        }
    }
    assert!(
        missing.is_empty(),
        "COMPATIBILITY.md lacks:\n{}",
        missing.join("\n")
    );
}

/// The text from a heading to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let Some(start) = text.find(heading) else {
        return "";
    };
    let rest = &text[start + heading.len()..];
    rest.find("\n##").map_or(rest, |end| &rest[..end])
}

fn collect(schema: &Value, path: &str, depth: usize, fields: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let (mut field, mut path) = (property, format!("{path}.{name}"));
        if field["type"] == "array" {
            path.push_str("[]");
            while field["type"] == "array" {
                field = &field["items"];
            }
        }
        let nested = field["properties"].as_object();
        let is_group =
            nested.is_some_and(|nested| !nested.keys().all(|name| REFERENCE.contains(&name.as_str())));
        if is_group && depth > 1 {
            collect(field, &path, depth - 1, fields);
        } else {
            fields.push(path);
        }
    }
}
