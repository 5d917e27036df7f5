//! The head of a manifest: what is looked at to sort it.

use std::collections::BTreeMap;

use super::decode::{Decoder, Source};
use super::plain;

/// What a manifest says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// Reads the head of a manifest; the error is upstream's text.
pub(crate) fn read_head(manifest: &str) -> Result<Head, String> {
    match plain::read(manifest) {
        Some(head) => Ok(head),
        None => parse_head(manifest),
    }
}

pub(super) fn parse_head(manifest: &str) -> Result<Head, String> {
    let source = Source::parse(manifest.as_bytes())?;
    let mut head = Head::default();
    let mut decoder = Decoder::new(&source);
    let known = ["apiVersion", "kind", "metadata"];
    decoder.object(&source.json, ("SimpleHead", "util.SimpleHead"), &known, |decoder, field, value| match field {
        "apiVersion" => decoder.string(&mut head.api_version, value),
        "kind" => decoder.string(&mut head.kind, value),
        _ => {
            let known = ["name", "annotations"];
            let go_type = r#"struct { Name string "json:\"name\""; Annotations map[string]string "json:\"annotations\"" }"#;
            decoder.object(value, ("", go_type), &known, |decoder, field, value| match field {
                "name" => decoder.string(&mut head.name, value),
                _ => decoder.string_map(&mut head.annotations, value),
            });
        }
    });
    decoder.finish()?;
    Ok(head)
}
