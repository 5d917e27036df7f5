//! The inventory: what was applied, as it is kept in a status (`spec/kustomize-and-notification.md` F.7).

use std::collections::HashSet;

use crate::object::ObjectId;

/// An applied object and the version through which it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Which object.
    pub id: ObjectId,
    /// Version of its API, without the group.
    pub version: String,
}

const RBAC_KINDS: [&str; 4] = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];

/// The id of an object in an inventory: `namespace_name_group_kind`, where RBAC names have `:` written as `__`.
#[must_use]
pub fn format_id(id: &ObjectId) -> String {
    let rbac = id.group == "rbac.authorization.k8s.io" && RBAC_KINDS.contains(&id.kind.as_str());
    let name = if rbac {
        id.name.replace(':', "__")
    } else {
        id.name.clone()
    };
    format!("{}_{name}_{}_{}", id.namespace, id.group, id.kind)
}

/// Reads what [`format_id`] wrote; none if it is something else.
#[must_use]
pub fn parse_id(text: &str) -> Option<ObjectId> {
    // Neither namespaces nor groups nor kinds have underscores, names may.
    let (namespace, rest) = text.split_once('_')?;
    let (rest, kind) = rest.rsplit_once('_')?;
    let (name, group) = rest.rsplit_once('_')?;
    if name.is_empty() || kind.is_empty() {
        return None;
    }
    Some(ObjectId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.replace("__", ":"),
    })
}

/// Entries of `old` whose objects are not in `new`, whatever their versions.
#[must_use]
pub fn stale(old: &[Entry], new: &[Entry]) -> Vec<Entry> {
    let kept: HashSet<&ObjectId> = new.iter().map(|entry| &entry.id).collect();
    old.iter()
        .filter(|entry| !kept.contains(&entry.id))
        .cloned()
        .collect()
}

/// `new`, followed by the entries of `old` that it does not have.
#[must_use]
pub fn union(mut new: Vec<Entry>, old: &[Entry]) -> Vec<Entry> {
    let rest = stale(old, &new);
    new.extend(rest);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectId {
        ObjectId {
            group: group.into(),
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    #[test]
    fn ids_are_written_and_read_as_upstream_does() {
        for (object, text) in [
            (id("", "Namespace", "", "foo"), "_foo__Namespace"),
            (
                id("apps", "Deployment", "default", "web"),
                "default_web_apps_Deployment",
            ),
            (
                id("rbac.authorization.k8s.io", "ClusterRole", "", "system:a"),
                "_system__a_rbac.authorization.k8s.io_ClusterRole",
            ),
        ] {
            assert_eq!(format_id(&object), text);
            assert_eq!(parse_id(text).unwrap(), object);
        }
        for text in ["", "a", "a_b", "a_b_c", "___"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }

    #[test]
    fn stale_ignores_the_version() {
        let entry = |name: &str, version: &str| Entry {
            id: id("g", "K", "n", name),
            version: version.into(),
        };
        let (old, new) = (
            [entry("a", "v1"), entry("b", "v1")],
            [entry("b", "v2"), entry("c", "v1")],
        );
        assert_eq!(stale(&old, &new), [entry("a", "v1")]);
        assert_eq!(
            union(new.to_vec(), &old),
            [entry("b", "v2"), entry("c", "v1"), entry("a", "v1")]
        );
    }
}
