//! What commands need to know of the kinds.

mod cell;
mod rows;

use ferro_api::KindInfo;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use self::cell::source;
pub use self::rows::KINDS;
use crate::object::ObjectExt as _;

/// A word that several kinds stand under on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// `source git`, `source oci`, …
    Source,
    /// `image repository`, `image policy`, …
    Image,
    /// `artifact generator`.
    Artifact,
}

impl Group {
    /// The groups, in the order of help texts.
    pub const ALL: [Self; 3] = [Self::Source, Self::Image, Self::Artifact];

    /// Returns the word and its plural.
    #[must_use]
    pub const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Source => ["source", "sources"],
            Self::Image => ["image", "images"],
            Self::Artifact => ["artifact", "artifacts"],
        }
    }
}

/// A column of a table, and how its cells are filled.
pub struct Column {
    /// Title of the column.
    pub name: &'static str,
    /// Fills the cell of an object.
    pub cell: fn(&KindRow, &DynamicObject) -> String,
}

/// An object that another one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Kind of the object.
    pub kind: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

impl Reference {
    /// Reads a reference whose namespace defaults to that of the object which holds it.
    fn read(object: &DynamicObject, pointer: &str) -> Option<Self> {
        let text = |field: &str| object.text(&format!("{pointer}/{field}")).to_owned();
        let (kind, name, namespace) = (text("kind"), text("name"), text("namespace"));
        if kind.is_empty() || name.is_empty() {
            return None;
        }
        let own = object.metadata.namespace.clone().unwrap_or_default();
        Some(Self {
            kind,
            name,
            namespace: if namespace.is_empty() { own } else { namespace },
        })
    }
}

/// How the objects of a kind come to be ready.
pub enum Readiness {
    /// Their controller reconciles them and reports it.
    Reconciled,
    /// They are only read when needed: there is nothing to wait for, and this message stands for the
    /// one that a controller would write.
    Static(&'static str),
    /// They are static if a condition holds.
    StaticIf(fn(&DynamicObject) -> bool, &'static str),
}

/// What commands need to know of a kind.
pub struct KindRow {
    /// Identity of the kind.
    pub info: KindInfo,
    /// Reads an object and writes it in the form of this version.
    pub typed: fn(&Value) -> serde_json::Result<Value>,
    /// What messages call it.
    pub label: &'static str,
    /// The word that it stands under on the command line.
    pub group: Option<Group>,
    /// Its own words on the command line: singular, plural, abbreviation.
    pub words: &'static [&'static str],
    /// Columns after the name.
    pub columns: &'static [Column],
    /// Whether its objects can be suspended and resumed.
    pub can_suspend: bool,
    /// Whether its objects can be reconciled on request.
    pub can_reconcile: bool,
    /// How its objects come to be ready.
    pub readiness: Readiness,
    /// Says what a reconcile has achieved.
    pub achievement: fn(&DynamicObject) -> String,
    /// Finds the sources of an object, the first one first, for `--with-source` and `--show-source`.
    pub sources: Option<fn(&DynamicObject) -> Vec<Reference>>,
}

/// Reads an object as one of a kind, and writes it as such.
fn typed<K: DeserializeOwned + Serialize>(object: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(K::deserialize(object)?)
}

impl KindRow {
    /// Finds the row of a kind.
    #[must_use]
    pub fn find(kind: &str) -> Option<&'static Self> {
        KINDS.iter().find(|row| row.info.kind == kind)
    }

    /// Returns what is needed to address the objects of the kind.
    #[must_use]
    pub fn api_resource(&self) -> ApiResource {
        let KindInfo {
            group,
            version,
            kind,
            plural,
            ..
        } = self.info;
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// Returns the message that stands for the status of an object which no controller reconciles.
    #[must_use]
    pub fn static_message(&self, object: &DynamicObject) -> Option<&'static str> {
        match self.readiness {
            Readiness::Reconciled => None,
            Readiness::Static(message) => Some(message),
            Readiness::StaticIf(is_static, message) => is_static(object).then_some(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_name_their_kinds_once() {
        let kinds: BTreeSet<_> = KINDS.iter().map(|row| row.info.kind).collect();
        assert_eq!(kinds.len(), KINDS.len());
        assert!(KindRow::find("Kustomization").is_some());
        assert!(KindRow::find("Deployment").is_none());
    }

    #[test]
    fn words_lead_to_one_kind() {
        let mut seen = BTreeSet::new();
        for row in KINDS {
            for word in row.words {
                assert!(
                    seen.insert((row.group.map(Group::words), word)),
                    "{word} is ambiguous"
                );
            }
        }
    }
}
