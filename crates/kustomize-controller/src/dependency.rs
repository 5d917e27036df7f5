//! `spec.dependsOn` (`spec/kustomize-and-notification.md` B.4).
//!
//! Beyond upstream, a cycle is reported as such, and those who wait are told as soon as a dependency becomes ready.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use ferro_api::FluxObject;
use ferro_api::kustomize::Kustomization;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::lock;
use crate::source::source_of;

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
    if source_of(waiting) == source_of(dependency) && applied != Some(revision) {
        return Err(format!("dependency '{subject}' revision is not up to date"));
    }
    Ok(())
}

/// The cycle that `start` is part of, as `ns/a -> ns/b -> ns/a`, if there is one.
pub(crate) fn cycle(store: &Store<Kustomization>, start: &Kustomization) -> Option<String> {
    let origin = ObjectRef::from_obj(start);
    // Not by recursion: a chain of dependencies may be as long as there are objects.
    let mut path = vec![(
        origin.clone(),
        dependencies(start).collect::<Vec<_>>().into_iter(),
    )];
    let mut visited = HashSet::new();
    while let Some((_, ahead)) = path.last_mut() {
        let Some(next) = ahead.next() else {
            path.pop();
            continue;
        };
        if next == origin {
            let keys = path.iter().map(|(key, _)| key).chain([&origin]);
            let name = |key: &Key| format!("{}/{}", key.namespace.as_deref().unwrap_or_default(), key.name);
            return Some(keys.map(name).collect::<Vec<_>>().join(" -> "));
        }
        if visited.insert(next.clone())
            && let Some(dependency) = store.get(&next)
        {
            let ahead: Vec<Key> = dependencies(&dependency).collect();
            path.push((next, ahead.into_iter()));
        }
    }
    None
}

/// Who waits for whom.
#[derive(Debug, Default)]
pub(crate) struct Dependents(Mutex<Links>);

#[derive(Debug, Default)]
struct Links {
    dependents: HashMap<Key, HashSet<Key>>,
    dependencies: HashMap<Key, Vec<Key>>,
}

impl Links {
    fn set(&mut self, own: &Key, dependencies: Vec<Key>) {
        if self
            .dependencies
            .get(own)
            .is_some_and(|known| *known == dependencies)
        {
            return;
        }
        for old in self.dependencies.remove(own).unwrap_or_default() {
            if let Some(dependents) = self.dependents.get_mut(&old) {
                dependents.remove(own);
                if dependents.is_empty() {
                    self.dependents.remove(&old);
                }
            }
        }
        for new in &dependencies {
            self.dependents
                .entry(new.clone())
                .or_default()
                .insert(own.clone());
        }
        if !dependencies.is_empty() {
            self.dependencies.insert(own.clone(), dependencies);
        }
    }
}

impl Dependents {
    /// Records what `kustomization` depends on.
    pub(crate) fn record(&self, kustomization: &Kustomization) {
        let own = ObjectRef::from_obj(kustomization);
        // One that is being deleted waits for nobody.
        let is_leaving = kustomization.metadata.deletion_timestamp.is_some();
        let needed = dependencies(kustomization).filter(|_| !is_leaving).collect();
        lock(&self.0).set(&own, needed);
    }

    /// Those that depend on `key`.
    pub(crate) fn of(&self, key: &Key) -> Vec<Key> {
        let links = lock(&self.0);
        let dependents = links.dependents.get(key);
        dependents
            .map(|keys| keys.iter().cloned().collect())
            .unwrap_or_default()
    }
}

/// Sorts `keys` so that each comes after those of them that it depends on; within a cycle the order is that given.
pub(crate) fn in_order(store: &Store<Kustomization>, keys: Vec<Key>) -> Vec<Key> {
    let wanted: HashSet<Key> = keys.iter().cloned().collect();
    let needed = |key: &Key| -> Vec<Key> {
        let kustomization = store.get(key);
        let needed = kustomization
            .iter()
            .flat_map(|kustomization| dependencies(kustomization));
        needed.filter(|dependency| wanted.contains(dependency)).collect()
    };
    let (mut sorted, mut visited) = (Vec::with_capacity(keys.len()), HashSet::new());
    for key in keys {
        if !visited.insert(key.clone()) {
            continue;
        }
        let ahead = needed(&key).into_iter();
        let mut path = vec![(key, ahead)];
        while let Some((_, ahead)) = path.last_mut() {
            match ahead.find(|next| visited.insert(next.clone())) {
                Some(next) => {
                    let ahead = needed(&next).into_iter();
                    path.push((next, ahead));
                }
                None => sorted.extend(path.pop().map(|(done, _)| done)),
            }
        }
    }
    sorted
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
    fn chain_of_dependencies_may_be_long() {
        let name = |index: usize| format!("k{index}");
        let objects: Vec<_> = (0..20_000)
            .map(|index| kustomization(&name(index), &[&name(index + 1)]))
            .collect();
        let store = store(&objects);
        assert_eq!(cycle(&store, &objects[0]), None);
        let keys = objects.iter().map(ObjectRef::from_obj).collect();
        assert_eq!(in_order(&store, keys)[0].name, name(19_999));
    }

    #[test]
    fn dependents_are_known_by_what_they_wait_for_and_forgotten_with_it() {
        let dependents = Dependents::default();
        let of = |name: &str| dependents.of(&ObjectRef::new(name).within("ns")).len();
        dependents.record(&kustomization("b", &["a"]));
        assert_eq!((of("a"), of("b")), (1, 0));
        dependents.record(&kustomization("b", &["c"]));
        assert_eq!((of("a"), of("c")), (0, 1));
        let mut leaving = kustomization("b", &["c"]);
        leaving.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
        dependents.record(&leaving);
        let links = lock(&dependents.0);
        assert!(links.dependents.is_empty() && links.dependencies.is_empty());
    }
}
