//! Our answers to the oracle's questions, in its form.

use ferro_gocompat::json;
use ferro_gocompat::quote::quote;
use ferro_yaml::{
    Comments, Dialect, Document, EmitOptions, Error, Kind, Node, ParseOptions, ScalarStyle,
    documents_to_string, parse_documents, parse_one, sigs, to_string,
};
use serde_json::{Value, json};

/// Answers a request as the oracle does: its output or its error's text.
pub(crate) fn answer(op: &str, text: &[u8]) -> Result<Value, String> {
    answer_or_error(op, text).map_err(|error| error.to_string())
}

fn answer_or_error(op: &str, text: &[u8]) -> Result<Value, Error> {
    let options = ParseOptions {
        comments: true,
        ..ParseOptions::default()
    };
    let utf8 = || std::str::from_utf8(text).unwrap();
    Ok(match op {
        "yaml.v2.roundtrip" => both(&sigs::from_slice(text)?)?,
        "yaml.v2.strict" => both(&sigs::from_slice_strict(text)?)?,
        "yaml.v2.fromjson" => json!(sigs::to_string(&serde_json::from_str(utf8()).unwrap())?),
        "yaml.v3.fromjson" => json!(sigs::to_string_pretty(&serde_json::from_str(utf8()).unwrap())?),
        "yaml.v3.nodes" => rewrite(text, &options, &EmitOptions::kyaml())?,
        "yaml.v3.wide" => rewrite(text, &options, &EmitOptions::kyaml_wide())?,
        "yaml.v3.four" => rewrite(text, &options, &EmitOptions::go_v3(4))?,
        "yaml.v3.dump" => dump(&first(text, &options)?),
        "yaml.v3.tag" => json!(Dialect::V3.resolve(utf8()).tag().name()),
        "kyaml.roundtrip" => {
            let document = first(text, &options)?;
            json!(documents_to_string([&document], &EmitOptions::kyaml())?)
        }
        "kyaml.json" => {
            let mut document = first(text, &options)?;
            document.expand(&options.limits)?;
            let root = document.root;
            let json = root.to_json();
            // kyaml writes the document's comments, too, and so counts other lines.
            let shifts = json.is_err() && !document.comments.head.is_empty();
            if root.is_scalar() || shifts || !document.comments.foot.is_empty() {
                return Err(Error::UnsupportedKey(NO_RESOURCE.to_owned()));
            }
            both(&json?)?
        }
        "tostring" => json!(to_string(&parse_one(text, &options)?, &EmitOptions::kyaml())?),
        op => panic!("no such operation: {op}"),
    })
}

/// A resource is a mapping or a list; what kyaml makes of anything else is of no use.
pub(crate) const NO_RESOURCE: &str = "no resource";

fn rewrite(text: &[u8], options: &ParseOptions, form: &EmitOptions) -> Result<Value, Error> {
    let documents = parse_documents(text, options)?;
    if documents.is_empty() {
        // Go's encoder does not like to be closed before it wrote anything.
        return Err(Error::UnsupportedKey("yaml: expected STREAM-START".to_owned()));
    }
    Ok(json!(documents_to_string(&documents, form)?))
}

/// Reads the first document as Go's decoders do, which call a text without any an end of file.
fn first(text: &[u8], options: &ParseOptions) -> Result<Document, Error> {
    let document = ferro_yaml::parse_first(text, options)?;
    document.ok_or_else(|| Error::UnsupportedKey("EOF".to_owned()))
}

fn both(value: &Value) -> Result<Value, Error> {
    Ok(json!({"json": json::to_string(value), "yaml": sigs::to_string(value)?}))
}

fn dump(document: &Document) -> Value {
    let Comments { head, foot, .. } = &document.comments;
    let mut lines = vec![format!("document {} {}", quote(head), quote(foot))];
    document.root.visit(&mut |node| lines.push(describe(node)));
    json!(lines)
}

fn describe(node: &Node) -> String {
    let kind = match node.kind() {
        Kind::Sequence => 2,
        Kind::Mapping => 4,
        Kind::Scalar => 8,
        Kind::Alias => 16,
    };
    let style = match node.style() {
        ScalarStyle::Plain => 0,
        ScalarStyle::DoubleQuoted => 2,
        ScalarStyle::SingleQuoted => 4,
        ScalarStyle::Literal => 8,
        ScalarStyle::Folded => 16,
    };
    let style = style + i32::from(node.has_explicit_tag()) + if node.is_flow() { 32 } else { 0 };
    let value = node.text().or_else(|| node.alias_name()).unwrap_or_default();
    let none = Comments::default();
    let Comments { head, line, foot } = node.comments().unwrap_or(&none);
    format!(
        "{}:{} kind {kind} style {style} tag {} anchor {} value {} comments {} {} {}",
        node.position().line,
        node.position().column,
        node.tag_name(),
        quote(node.anchor()),
        quote(value),
        quote(head),
        quote(line),
        quote(foot),
    )
}
