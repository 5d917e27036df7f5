//! The suffix that makes a name follow the content.

use ferro_yaml::Node;
use sha2::{Digest, Sha256};

use super::Cx;
use crate::error::{Error, Result};
use crate::resmap::ResMap;
use crate::resource::Resource;

/// Renames every resource that is marked for it to `NAME-HASH`.
pub(crate) fn transform(resources: &mut ResMap, cx: Cx<'_>) -> Result<()> {
    for index in 0..resources.len() {
        let Some(resource) = resources.get_mut(index) else {
            continue;
        };
        if !resource.record.needs_hash || resource.is_gone() {
            continue;
        }
        let hash = content_hash(resource).map_err(|error| error.at(resource.location()))?;
        resource.store_previous_id(cx.schema);
        let name = format!("{}-{hash}", resource.name());
        resource.set_name(name);
        resources.renamed(index, cx.schema);
    }
    Ok(())
}

/// Ten characters that depend on the content alone: upstream means to include the name and looks for it
/// in a field that does not exist.
///
/// Of an object that a patch made one of another kind upstream hashes its own form of the tree, in which lines and
/// columns stand. That is not followed: the object's text counts.
fn content_hash(resource: &Resource) -> Result<String> {
    let node = &resource.node;
    // Only what is no text counts as a map, and a list as one without entries.
    let map = |key: &str| -> Result<String> {
        match node.get(key).filter(|value| !value.is_scalar()) {
            Some(value) => Ok(format!("\"{key}\":{},", json(Some(value))?)),
            None => Ok(String::new()),
        }
    };
    let text = match resource.kind() {
        "ConfigMap" => format!(
            "{{{}\"data\":{},\"kind\":\"ConfigMap\",\"name\":\"\"}}",
            map("binaryData")?,
            json(node.get("data"))?
        ),
        "Secret" => format!(
            "{{\"data\":{},\"kind\":\"Secret\",\"name\":\"\",{}\"type\":{}}}",
            json(node.get("data"))?,
            map("stringData")?,
            json(node.get("type"))?
        ),
        _ => crate::emit::json(node),
    };
    Ok(encode(&hex(&Sha256::digest(text.as_bytes()))))
}

/// The JSON of a field: what is not there is a blank text, a scalar its text, a list nothing.
fn json(field: Option<&Node>) -> Result<String> {
    let Some(field) = field else {
        return Ok("\"\"".to_owned());
    };
    if let Some(text) = field.text() {
        return Ok(ferro_gocompat::json::to_string(&text.into()));
    }
    let mut field = crate::shared::without_anchors(field);
    crate::scalar::lose_precision(&mut field);
    let value = field.to_json().map_err(|error| Error::other(error.to_string()))?;
    Ok(if field.is_mapping() {
        ferro_gocompat::json::to_string(&value)
    } else {
        "null".to_owned()
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shortens the digest and replaces what could make words.
fn encode(hex: &str) -> String {
    hex.chars()
        .take(10)
        .map(|digit| match digit {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            digit => digit,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_yaml::{ParseOptions, parse_one};

    fn hash(text: &str) -> String {
        content_hash(&Resource::new(parse_one(text, &ParseOptions::default()).unwrap())).unwrap()
    }

    #[test]
    fn hashes_are_those_of_kustomize() {
        assert_eq!(
            hash("{kind: ConfigMap, data: {a: '1', b: '22', d: '4'}}"),
            "hgfkfhm489"
        );
        assert_eq!(hash("{kind: ConfigMap, metadata: {name: any}}"), "6ct58987ht");
        assert_eq!(hash("{kind: ConfigMap, data: {a: b}}"), "4h2mbtbbt6");
        assert_eq!(
            hash("{kind: Secret, type: Opaque, data: {a: Yg==}}"),
            "k695gkmbtk"
        );
        assert_eq!(hash("{kind: Secret, type: Opaque, data: {}}"), "46f8b28mk5");
        assert_eq!(hash("{kind: ConfigMap, binaryData: {bin: //4=}}"), "2k5k4c2bm6");
    }
}
