//! Which lists of the built-in kinds merge, and by which keys.
//!
//! `kinds.txt` is what the oracle's `patch.schema` prints of the Go types that Helm's client knows: a line a definition, with the fields
//! that merge or lead to such (`name:definition=strategies;key`), an empty line, and a line a kind with its definition.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The table.
pub(super) const TEXT: &str = include_str!("kinds.txt");

/// How the values of a field are merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// The definition of the value, or of the items of the list.
    pub(super) target: Option<usize>,
    /// Whether lists are merged and not replaced.
    pub(super) merges: bool,
    /// Whether the value is replaced as a whole.
    pub(super) replaces: bool,
    /// Whether what is not asked for goes.
    pub(super) retains_keys: bool,
    /// By what the items of a list are told apart, if they are objects.
    pub(super) key: Option<&'static str>,
}

struct Table {
    definitions: Vec<HashMap<&'static str, Field>>,
    kinds: HashMap<(&'static str, &'static str), Option<usize>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(read);

fn read() -> Table {
    let (definitions, kinds) = TEXT.split_once("\n\n").unwrap_or_default();
    let definition = |line: &'static str| line.split(' ').filter_map(field);
    let kind = |line: &'static str| {
        let mut words = line.split(' ');
        let key = (words.next()?, words.next()?);
        Some((key, words.next().and_then(|number| number.parse().ok())))
    };
    Table {
        definitions: definitions
            .lines()
            .map(|line| definition(line).collect())
            .collect(),
        kinds: kinds.lines().filter_map(kind).collect(),
    }
}

fn field(text: &'static str) -> Option<(&'static str, Field)> {
    let (place, how) = text.split_once('=').unwrap_or((text, ""));
    let (name, target) = place.split_once(':').unwrap_or((place, ""));
    let (strategies, key) = how.split_once(';').unwrap_or((how, ""));
    let has = |wanted: &str| strategies.split(',').any(|strategy| strategy == wanted);
    let field = Field {
        target: target.parse().ok(),
        merges: has("merge"),
        replaces: has("replace"),
        retains_keys: has("retainKeys"),
        key: (!key.is_empty()).then_some(key),
    };
    (!name.is_empty()).then_some((name, field))
}

/// The definition of a kind: nothing if the kind is not built in.
pub(super) fn definition(api_version: &str, kind: &str) -> Option<Option<usize>> {
    TABLE.kinds.get(&(api_version, kind)).copied()
}

/// How a field of a definition is merged.
pub(super) fn field_of(definition: Option<usize>, name: &str) -> Field {
    let fields = definition.and_then(|definition| TABLE.definitions.get(definition));
    let field = fields.and_then(|fields| fields.get(name));
    field.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_leads_to_the_lists_of_a_pod() {
        let mut at = definition("apps/v1", "Deployment").unwrap();
        assert!(field_of(field_of(at, "spec").target, "strategy").retains_keys);
        for step in ["spec", "template", "spec"] {
            at = field_of(at, step).target;
        }
        let containers = field_of(at, "containers");
        assert_eq!((containers.merges, containers.key), (true, Some("name")));
        assert_eq!(field_of(containers.target, "ports").key, Some("containerPort"));
        assert!(!field_of(at, "tolerations").merges);
        let finalizers = field_of(
            field_of(definition("v1", "Secret").unwrap(), "metadata").target,
            "finalizers",
        );
        assert_eq!((finalizers.merges, finalizers.key), (true, None));
        assert_eq!(definition("example.com/v1", "Widget"), None);
    }
}
