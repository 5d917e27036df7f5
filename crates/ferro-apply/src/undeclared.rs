//! Fields that the schema of a built-in kind does not know.
//!
//! Upstream reads built-in kinds into Go types, which drops fields that the types do not have, so a misspelt field
//! goes unnoticed. The API server refuses such an apply and names the fields, those of one level at a time. They are dropped then, and only then.

use serde_json::Value;

const REFUSAL: &str = ": field not declared in schema";

/// The groups whose kinds upstream reads into types.
const TYPED_GROUPS: [&str; 20] = [
    "",
    "admissionregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Whether undeclared fields of a kind are dropped; the others are errors.
pub(crate) fn are_dropped(group: &str, kind: &str) -> bool {
    let exempt = group == "rbac.authorization.k8s.io" && matches!(kind, "Role" | "ClusterRole");
    TYPED_GROUPS.contains(&group) && !exempt
}

/// Removes the fields that the API server refused as undeclared, and returns their paths.
pub(crate) fn drop_refused(object: &mut Value, message: &str) -> Vec<String> {
    let paths = refused(message);
    paths
        .into_iter()
        .filter(|path| drop_path(object, path).is_some())
        .map(str::to_owned)
        .collect()
}

/// The paths in a message, which has one a line, or one behind the colon of its introduction.
fn refused(message: &str) -> Vec<&str> {
    let lines = message
        .lines()
        .filter_map(|line| line.trim().strip_suffix(REFUSAL));
    lines
        .map(|line| line.rsplit_once("): ").map_or(line, |(_, path)| path))
        .filter(|path| path.starts_with('.'))
        .collect()
}

/// Removes the field at a path such as `.spec.containers[name="a"].x`, if it is there.
fn drop_path(object: &mut Value, path: &str) -> Option<()> {
    let mut value = object;
    let mut rest = path;
    loop {
        if let Some(after) = rest.strip_prefix('.') {
            let fields = value.as_object_mut()?;
            // Keys may have dots themselves: the longest that fits is meant.
            let ends = |key: &str| {
                after
                    .get(key.len()..)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let key = fields
                .keys()
                .filter(|key| after.starts_with(key.as_str()) && ends(key))
                .max_by_key(|key| key.len())?
                .clone();
            rest = after.get(key.len()..)?;
            if rest.is_empty() {
                fields.remove(&key);
                return Some(());
            }
            value = fields.get_mut(&key)?;
        } else {
            let (item, after) = item(value, rest.strip_prefix('[')?)?;
            value = item;
            rest = after;
        }
    }
}

/// Finds an item of a list by what is written between brackets: `key="value",other=1]` or `0]`.
fn item<'v, 'p>(list: &'v mut Value, text: &'p str) -> Option<(&'v mut Value, &'p str)> {
    let items = list.as_array_mut()?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if let (Ok(index), Some(after)) = (
        text.get(..digits)?.parse::<usize>(),
        text.get(digits..)?.strip_prefix(']'),
    ) {
        return Some((items.get_mut(index)?, after));
    }
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let (key, value) = rest.split_once('=')?;
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
        keys.push((key, values.next()?.ok()?));
        rest = value.get(values.byte_offset()..)?;
        if let Some(after) = rest.strip_prefix(']') {
            let found = items
                .iter_mut()
                .find(|item| keys.iter().all(|(key, value)| item.get(key) == Some(value)));
            return Some((found?, after));
        }
        rest = rest.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refused_fields_are_dropped_and_named() {
        let mut object = json!({"metadata": {"annotations": {"a.b/c": {"x": 1, "y": 2}}}, "spec": {
            "foo": 1, "replicas": 2,
            "containers": [{"name": "b", "bar": 1}, {"name": "c", "bar": {"x": 1}, "ports": [{"containerPort": 80, "protocol": "TCP", "z": 1}]}],
            "list": [{"a": 1}, {"a": 2}]}});
        let message = "failed to create typed patch object (/d2; apps/v1, Kind=Deployment): errors:\n  \
            .spec.containers[name=\"c\"].bar: field not declared in schema\n  \
            .spec.containers[name=\"c\"].ports[containerPort=80,protocol=\"TCP\"].z: field not declared in schema\n  \
            .spec.list[1].a: field not declared in schema\n  \
            .metadata.annotations.a.b/c.x: field not declared in schema\n  \
            .spec.missing.x: field not declared in schema\n  \
            .spec.foo: field not declared in schema";
        let dropped = drop_refused(&mut object, message);
        assert_eq!(dropped.len(), 5);
        assert_eq!(dropped.last().map(String::as_str), Some(".spec.foo"));
        assert_eq!(
            object,
            json!({"metadata": {"annotations": {"a.b/c": {"y": 2}}}, "spec": {"replicas": 2,
            "containers": [{"name": "b", "bar": 1}, {"name": "c", "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
            "list": [{"a": 1}, {}]}})
        );
    }

    #[test]
    fn one_field_stands_on_the_line_of_the_introduction() {
        let mut object = json!({"spec": {"foo": 1}});
        let message = "failed to create typed patch object (n/d; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema";
        assert_eq!(drop_refused(&mut object, message), [".spec.foo"]);
        assert_eq!(drop_refused(&mut object, message), [""; 0]);
        for other in [
            "",
            "x",
            ".spec: expected map",
            ": field not declared in schema",
            ".spec[: field not declared in schema",
            ".: field not declared in schema",
        ] {
            assert_eq!(drop_refused(&mut object, other), [""; 0], "{other}");
        }
    }

    #[test]
    fn only_built_in_kinds_lose_fields() {
        assert!(are_dropped("", "Service") && are_dropped("rbac.authorization.k8s.io", "RoleBinding"));
        assert!(
            !are_dropped("rbac.authorization.k8s.io", "ClusterRole")
                && !are_dropped("example.com", "Service")
        );
    }
}
