//! `spec.dependsOn` (`spec/kustomize-and-notification.md` B.4).
//!
//! Beyond upstream, a cycle is reported as such, and those who wait are told as soon as a dependency becomes ready.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use ferro_api::FluxObject;
use ferro_api::kustomize::Kustomization;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::source::SourceId;

/// A Kustomization's key.
pub(crate) type Key = ObjectRef<Kustomization>;

/// The keys on which `kustomization` depends.
pub(crate) fn dependencies(kustomization: &Kustomization) -> impl Iterator<Item = Key> + '_ {
    let own = kustomization.namespace().unwrap_or_default();
    kustomization.spec.depends_on.iter().map(move |reference| {
        let namespace = reference
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or(&own);
        ObjectRef::new(&reference.name).within(namespace)
    })
}

/// Whether `dependency`, by itself, is as far as one that waits for it needs: reconciled for its generation and ready, and, if it has the
/// same source as `waiting`, at `revision`.
pub(crate) fn check(
    waiting: &Kustomization,
    dependency: &Kustomization,
    revision: &str,
) -> Result<(), String> {
    let subject = format!(
        "{}/{}",
        dependency.namespace().unwrap_or_default(),
        dependency.name_any()
    );
    let observed = dependency.observed_generation() == dependency.metadata.generation;
    if dependency.conditions().is_empty() || !observed || !dependency.is_ready() {
        return Err(format!("dependency '{subject}' is not ready"));
    }
    let applied = dependency
        .status()
        .and_then(|status| status.last_applied_revision.as_deref());
    if SourceId::of(waiting) == SourceId::of(dependency) && applied != Some(revision) {
        return Err(format!("dependency '{subject}' revision is not up to date"));
    }
    Ok(())
}

/// The cycle that `start` is part of, as `ns/a -> ns/b -> ns/a`, if there is one.
pub(crate) fn cycle(store: &Store<Kustomization>, start: &Kustomization) -> Option<String> {
    let origin = ObjectRef::from_obj(start);
    let mut path = vec![origin.clone()];
    let mut visited = HashSet::new();
    find(store, start, &origin, &mut path, &mut visited).then(|| {
        path.iter()
            .map(|key| format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name))
            .collect::<Vec<_>>()
            .join(" -> ")
    })
}

fn find(
    store: &Store<Kustomization>,
    at: &Kustomization,
    origin: &Key,
    path: &mut Vec<Key>,
    visited: &mut HashSet<Key>,
) -> bool {
    for key in dependencies(at) {
        path.push(key.clone());
        if key == *origin {
            return true;
        }
        // The depth is bounded by the number of objects, as each is visited once.
        if visited.insert(key.clone())
            && let Some(next) = store.get(&key)
            && find(store, &next, origin, path, visited)
        {
            return true;
        }
        path.pop();
    }
    false
}

/// Who waits for whom.
#[derive(Debug, Default)]
pub(crate) struct Dependents(Mutex<HashMap<Key, HashSet<Key>>>);

impl Dependents {
    /// Records what `kustomization` depends on.
    pub(crate) fn record(&self, kustomization: &Kustomization) {
        if kustomization.spec.depends_on.is_empty() {
            return;
        }
        let own = ObjectRef::from_obj(kustomization);
        let mut dependents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in dependencies(kustomization) {
            dependents.entry(key).or_default().insert(own.clone());
        }
    }

    /// Those that depend on `key`, by what was recorded; some may have changed their mind.
    pub(crate) fn of(&self, key: &Key) -> Vec<Key> {
        let dependents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        dependents
            .get(key)
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }
}

/// Sorts `keys` so that each comes after those of them that it depends on; within a cycle the order is that given.
pub(crate) fn in_order(store: &Store<Kustomization>, keys: Vec<Key>) -> Vec<Key> {
    let wanted: HashSet<Key> = keys.iter().cloned().collect();
    let (mut sorted, mut visited) = (Vec::with_capacity(keys.len()), HashSet::new());
    for key in keys {
        visit(store, key, &wanted, &mut visited, &mut sorted);
    }
    sorted
}

fn visit(
    store: &Store<Kustomization>,
    key: Key,
    wanted: &HashSet<Key>,
    visited: &mut HashSet<Key>,
    sorted: &mut Vec<Key>,
) {
    if !visited.insert(key.clone()) {
        return;
    }
    if let Some(kustomization) = store.get(&key) {
        for dependency in dependencies(&kustomization).filter(|dependency| wanted.contains(dependency)) {
            visit(store, dependency, wanted, visited, sorted);
        }
    }
    sorted.push(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;

    fn kustomization(name: &str, depends_on: &[&str]) -> Kustomization {
        let depends_on: Vec<_> = depends_on
            .iter()
            .map(|name| serde_json::json!({ "name": name }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": name, "namespace": "ns", "generation": 2 },
            "spec": { "sourceRef": { "kind": "GitRepository", "name": "g" }, "dependsOn": depends_on },
            "status": {
                "observedGeneration": 2,
                "lastAppliedRevision": "main@sha1:1",
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "r", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"
                }]
            }
        }))
        .unwrap()
    }

    fn store(objects: &[Kustomization]) -> Store<Kustomization> {
        let (store, mut writer) = reflector::store();
        for object in objects {
            writer.apply_watcher_event(&Event::Apply(object.clone()));
        }
        store
    }

    #[test]
    fn check_names_what_is_wrong_with_a_dependency() {
        let (waiting, mut dependency) = (kustomization("b", &["a"]), kustomization("a", &[]));
        assert_eq!(check(&waiting, &dependency, "main@sha1:1"), Ok(()));
        let outdated = check(&waiting, &dependency, "main@sha1:2").unwrap_err();
        assert_eq!(outdated, "dependency 'ns/a' revision is not up to date");
        dependency.metadata.generation = Some(3);
        assert_eq!(
            check(&waiting, &dependency, "main@sha1:1").unwrap_err(),
            "dependency 'ns/a' is not ready"
        );
    }

    #[test]
    fn cycle_is_found_through_others_and_named() {
        let objects = [
            kustomization("a", &["x", "b"]),
            kustomization("b", &["c"]),
            kustomization("c", &["a"]),
            kustomization("d", &["a"]),
        ];
        let store = store(&objects);
        assert_eq!(
            cycle(&store, &objects[0]).unwrap(),
            "ns/a -> ns/b -> ns/c -> ns/a"
        );
        assert_eq!(cycle(&store, &objects[3]), None);
    }

    #[test]
    fn in_order_puts_dependencies_first() {
        let objects = [
            kustomization("a", &["b"]),
            kustomization("b", &["c"]),
            kustomization("c", &[]),
        ];
        let store = store(&objects);
        let keys = objects.iter().map(ObjectRef::from_obj).collect();
        let names: Vec<_> = in_order(&store, keys).into_iter().map(|key| key.name).collect();
        assert_eq!(names, ["c", "b", "a"]);
    }

    #[test]
    fn dependents_are_known_by_what_they_wait_for() {
        let dependents = Dependents::default();
        dependents.record(&kustomization("b", &["a"]));
        assert_eq!(dependents.of(&ObjectRef::new("a").within("ns")).len(), 1);
        assert!(dependents.of(&ObjectRef::new("b").within("ns")).is_empty());
    }
}
