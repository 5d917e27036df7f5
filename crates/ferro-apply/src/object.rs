//! Objects to be applied, and their identity.

use std::fmt;

use serde_json::{Map, Value};

/// The identity of an object in a cluster. The version is left out: the same object can be read through several.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// `Kind/namespace/name`, or `Kind/name`: how messages name an object.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// A value is no object that can be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Not a mapping, or without one of the fields that every object has.
    ///
    /// Nothing else of it is shown: it may hold secrets.
    #[error(
        "failed to decode Kubernetes apiVersion, kind and name from: apiVersion '{api_version}', kind '{kind}', namespace '{namespace}', name '{name}'"
    )]
    Incomplete {
        /// What it has of each.
        api_version: String,
        /// As above.
        kind: String,
        /// As above.
        namespace: String,
        /// As above.
        name: String,
    },
}

/// An object as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    id: ObjectId,
    version: String,
    value: Value,
}

impl Object {
    /// Takes `value` for an object.
    ///
    /// # Errors
    /// When it has no apiVersion, kind or name.
    pub fn new(value: Value) -> Result<Self, ObjectError> {
        let text = |pointer: &str| {
            value
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        if api_version.is_empty() || kind.is_empty() || name.is_empty() {
            return Err(ObjectError::Incomplete {
                api_version,
                kind,
                namespace: text("/metadata/namespace"),
                name,
            });
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let id = ObjectId {
            group: group.to_owned(),
            kind,
            namespace: text("/metadata/namespace"),
            name,
        };
        let version = version.to_owned();
        Ok(Self { id, version, value })
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> &ObjectId {
        &self.id
    }

    /// Version of its API, without the group.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The whole object.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The whole object, for changes that keep its identity.
    #[must_use]
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// Drops the namespace of an object whose kind turned out to be cluster-scoped.
    pub fn clear_namespace(&mut self) {
        self.id.namespace.clear();
        if let Some(metadata) = self.value.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("namespace");
        }
    }

    /// Adds labels, replacing those of the same key.
    pub fn add_labels<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.add_metadata("labels", labels);
    }

    /// Adds annotations, replacing those of the same key.
    pub fn add_annotations<'a>(&mut self, annotations: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.add_metadata("annotations", annotations);
    }

    fn add_metadata<'a>(&mut self, field: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let Some(metadata) = self.value.pointer_mut("/metadata").and_then(Value::as_object_mut) else {
            return;
        };
        let target = metadata.entry(field).or_insert_with(|| Value::Object(Map::new()));
        if !target.is_object() {
            *target = Value::Object(Map::new());
        }
        if let Some(map) = target.as_object_mut() {
            map.extend(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.into())),
            );
        }
    }

    /// Whether a label or an annotation `key` has `value`, in any case.
    #[must_use]
    pub fn has_marker(&self, key: &str, value: &str) -> bool {
        ["labels", "annotations"].iter().any(|field| {
            let found = self
                .value
                .get("metadata")
                .and_then(|m| m.get(field))
                .and_then(|m| m.get(key))
                .and_then(Value::as_str);
            found.is_some_and(|found| found.eq_ignore_ascii_case(value))
        })
    }

    /// A fingerprint of what is asked for.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        hash_value(&self.value, &mut hasher);
        hasher.finish()
    }
}

/// Hashes a JSON value, in which the order of keys does not matter because maps are sorted.
pub(crate) fn hash_value(value: &Value, hasher: &mut impl std::hash::Hasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Bool(flag) => hasher.write_u8(1 + u8::from(*flag)),
        Value::Number(number) => {
            hasher.write_u8(3);
            // 1 and 1.0 are the same number to the API server.
            match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => hasher.write_i64(integer),
                (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                    hasher.write_i64(float as i64);
                }
                (None, float) => hasher.write_u64(float.unwrap_or_default().to_bits()),
            }
        }
        Value::String(text) => {
            hasher.write_u8(4);
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
        Value::Array(items) => {
            hasher.write_u8(5);
            hasher.write_usize(items.len());
            items.iter().for_each(|item| hash_value(item, hasher));
        }
        Value::Object(fields) => {
            hasher.write_u8(6);
            hasher.write_usize(fields.len());
            for (key, value) in fields {
                hasher.write(key.as_bytes());
                hasher.write_u8(0xff);
                hash_value(value, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn new_reads_the_identity_or_says_what_is_missing() {
        let object = Object::new(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "default" }
        }))
        .unwrap();
        assert_eq!(object.id().to_string(), "Deployment/default/web");
        assert_eq!((object.id().group.as_str(), object.version()), ("apps", "v1"));
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": { "password": "aHVudGVyMg==" } });
        assert_eq!(
            Object::new(secret).unwrap_err().to_string(),
            "failed to decode Kubernetes apiVersion, kind and name from: apiVersion 'v1', kind 'Secret', namespace '', name ''"
        );
    }

    #[test]
    fn has_marker_ignores_case_and_looks_at_labels_and_annotations() {
        let mut object = Object::new(
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "labels": null } }),
        )
        .unwrap();
        assert!(!object.has_marker("k/ssa", "Ignore"));
        object.add_labels([("k/ssa", "ignore")]);
        assert!(object.has_marker("k/ssa", "Ignore"));
        object.add_annotations([("k/prune", "Disabled")]);
        assert!(object.has_marker("k/prune", "disabled"));
    }

    #[test]
    fn fingerprint_tells_values_apart_but_not_forms_of_a_number() {
        let object = |value: Value| {
            Object::new(
                json!({ "apiVersion": "v1", "kind": "A", "metadata": { "name": "a" }, "spec": value }),
            )
            .unwrap()
            .fingerprint()
        };
        assert_eq!(
            object(json!({ "a": 1, "b": 2 })),
            object(json!({ "b": 2, "a": 1.0 }))
        );
        assert_ne!(object(json!(["a", "b"])), object(json!(["ab"])));
        assert_ne!(object(json!("1")), object(json!(1)));
        assert_ne!(object(json!(null)), object(json!(false)));
    }
}
