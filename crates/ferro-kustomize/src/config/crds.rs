//! Files named in `crds`: definitions in the form of Go's OpenAPI maps, whose extensions say which fields
//! are names or labels.

use std::collections::BTreeMap;

use ferro_yaml::Node;

use super::{NameReference, TransformerConfig, merge_spec};
use crate::error::{Context, Error, Result};
use crate::loader::Loader;
use crate::types::FieldSpec;

/// Real definitions are far flatter; one that is not refers to itself.
const MAX_DEPTH: usize = 32;
const MAX_VISITS: usize = 100_000;

/// Reads the files and derives what they say.
pub(crate) fn load(loader: &Loader<'_>, paths: &[String]) -> Result<TransformerConfig> {
    let mut config = TransformerConfig::default();
    for path in paths {
        let content = loader.load(path)?;
        let definitions =
            parse(&content).during(|| format!("unable to parse open API definition from '{path}'"))?;
        config.merge(&derive(&definitions)?)?;
    }
    Ok(config)
}

fn parse(content: &[u8]) -> Result<Node> {
    let node = crate::read::configuration(content)
        .map_err(|error| Error::other(format!("error converting YAML to JSON: {error}")))?;
    let unexpected = node
        .entries()
        .iter()
        .find(|entry| !entry.value.is_mapping() && !entry.value.is_null());
    match unexpected {
        None if node.is_mapping() || node.is_null() => Ok(node),
        Some(entry) => Err(Error::other(format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type \
             accumulator.OpenAPIDefinition",
            if entry.value.is_sequence() {
                "array"
            } else {
                "string"
            }
        ))),
        None => Err(Error::other(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type \
             accumulator.nameToApiMap",
        )),
    }
}

fn properties(definition: &Node) -> Option<&Node> {
    let schema = definition.get("Schema").or_else(|| definition.get("schema"))?;
    schema.get("properties")
}

fn derive(definitions: &Node) -> Result<TransformerConfig> {
    let sorted: BTreeMap<&str, &Node> = definitions
        .entries()
        .iter()
        .filter_map(|entry| Some((entry.name()?, &entry.value)))
        .collect();
    let mut config = TransformerConfig::default();
    for (name, definition) in &sorted {
        let Some(fields) = properties(definition) else {
            continue;
        };
        if ["kind", "apiVersion", "metadata"]
            .iter()
            .any(|key| fields.get(key).is_none())
        {
            continue;
        }
        let mut derived = TransformerConfig::default();
        let kind = name.rsplit('.').next().unwrap_or(name);
        let mut visits = 0;
        let mut visit = Visit {
            definitions: &sorted,
            kind,
            config: &mut derived,
            visits: &mut visits,
        };
        visit.definition(name, &mut Vec::new())?;
        config.merge(&derived)?;
    }
    Ok(config)
}

struct Visit<'v> {
    definitions: &'v BTreeMap<&'v str, &'v Node>,
    kind: &'v str,
    config: &'v mut TransformerConfig,
    visits: &'v mut usize,
}

impl Visit<'_> {
    fn definition(&mut self, name: &str, path: &mut Vec<String>) -> Result<()> {
        let Some(fields) = self
            .definitions
            .get(name)
            .and_then(|definition| properties(definition))
        else {
            return Ok(());
        };
        if path.len() > MAX_DEPTH {
            return Err(Error::other(format!("definition '{name}' refers to itself")));
        }
        for entry in fields.entries() {
            *self.visits += 1;
            if *self.visits > MAX_VISITS {
                return Err(Error::other(format!(
                    "definitions of '{}' refer to too many others",
                    self.kind
                )));
            }
            path.push(entry.name().unwrap_or_default().to_owned());
            self.property(&entry.value, path)?;
            path.pop();
        }
        Ok(())
    }

    fn spec(&self, path: &[String]) -> FieldSpec {
        FieldSpec {
            kind: self.kind.to_owned(),
            path: path.join("/"),
            ..FieldSpec::default()
        }
    }

    fn property(&mut self, property: &Node, path: &mut Vec<String>) -> Result<()> {
        let extension = |key: &str| property.get(key).and_then(Node::as_str);
        let spec = self.spec(path);
        if extension("x-kubernetes-annotation").is_some() {
            merge_spec(&mut self.config.common_annotations, &spec)?;
        }
        if extension("x-kubernetes-label-selector").is_some() {
            merge_spec(&mut self.config.common_labels, &spec)?;
        }
        if extension("x-kubernetes-identity").is_some() {
            merge_spec(&mut self.config.name_prefix, &spec)?;
        }
        let version = extension("x-kubernetes-object-ref-api-version");
        if let (Some(version), Some(kind)) = (version, extension("x-kubernetes-object-ref-kind")) {
            path.push(
                extension("x-kubernetes-object-ref-name-key")
                    .unwrap_or("name")
                    .to_owned(),
            );
            let reference = NameReference {
                version: version.to_owned(),
                kind: kind.to_owned(),
                field_specs: vec![self.spec(path)],
                ..NameReference::default()
            };
            path.pop();
            super::merge_references(&mut self.config.name_reference, &[reference])?;
        }
        match property.get("$ref").and_then(Node::text) {
            Some(name) => self.definition(name, path),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_become_field_specs() {
        let definitions = parse(
            br##"{"pkg.Bee": {"Schema": {"properties": {"apiVersion": {}, "kind": {}, "metadata": {}, "spec": {"$ref": "pkg.BeeSpec"}}}},
            "pkg.BeeSpec": {"Schema": {"properties": {
                "hive": {"x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "Hive"},
                "tag": {"x-kubernetes-annotation": ""}}}}}"##,
        )
        .unwrap();
        let config = derive(&definitions).unwrap();
        assert_eq!(config.name_reference[0].field_specs[0].path, "spec/hive/name");
        assert_eq!(config.common_annotations[0].path, "spec/tag");
        assert_eq!(config.common_annotations[0].kind, "Bee");
    }

    #[test]
    fn cycles_end_in_an_error() {
        let definitions = parse(
            br##"{"A": {"Schema": {"properties": {"apiVersion": {}, "kind": {}, "metadata": {}, "a": {"$ref": "A"}, "b": {"$ref": "A"}}}}}"##,
        )
        .unwrap();
        assert!(derive(&definitions).is_err());
    }

    #[test]
    fn a_real_crd_is_refused() {
        assert!(parse(b"apiVersion: v1\nkind: CustomResourceDefinition\n").is_err());
    }
}
