//! The suffix that makes a name follow the content.

use ferro_yaml::Node;
use sha2::{Digest, Sha256};

use super::Cx;
use crate::error::Result;
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
        let hash = content_hash(resource);
        resource.store_previous_id(cx.schema);
        let name = format!("{}-{hash}", resource.name());
        resource.set_name(name);
        resources.renamed(index, cx.schema);
    }
    Ok(())
}

/// Ten characters that depend on the content alone: upstream means to include the name and looks for it
/// in a field that does not exist.
fn content_hash(resource: &Resource) -> String {
    let node = &resource.node;
    let data = node
        .get("data")
        .map_or_else(|| "\"\"".to_owned(), |data| json(Some(data)));
    let map = |key: &str| {
        let value = node.get(key).filter(|value| value.is_mapping());
        value.map(|value| format!("\"{key}\":{}", crate::emit::json(value)))
    };
    let text = match resource.kind() {
        "ConfigMap" => {
            let binary = map("binaryData").map(|binary| binary + ",").unwrap_or_default();
            format!("{{{binary}\"data\":{data},\"kind\":\"ConfigMap\",\"name\":\"\"}}")
        }
        "Secret" => {
            let string_data = map("stringData").map(|data| data + ",").unwrap_or_default();
            let secret_type = node.get("type").and_then(Node::text).unwrap_or_default();
            let secret_type = crate::emit::json(&Node::string(secret_type));
            format!(
                "{{\"data\":{data},\"kind\":\"Secret\",\"name\":\"\",{string_data}\"type\":{secret_type}}}"
            )
        }
        _ => crate::emit::json(node),
    };
    encode(&hex(&Sha256::digest(text.as_bytes())))
}

fn json(node: Option<&Node>) -> String {
    node.map(crate::emit::json).unwrap_or_default()
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
        content_hash(&Resource::new(parse_one(text, &ParseOptions::default()).unwrap()))
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
