//! The artifacts of other GitRepositories that go into one: where they are, and who waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferro_api::meta::Artifact;
use ferro_api::source::GitRepository;
use ferro_api::{FluxObject, condition, reason};
use ferro_runtime::conditions;
use ferro_runtime::reconcile::Pass;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use super::content;
use crate::reconcile::{Class, Failure, Shared, SourceObject, progressive};

/// The artifacts to include, in the order of `spec.include`.
///
/// # Errors
/// Waits for a GitRepository that is not there, or has no artifact.
pub(super) fn artifacts(
    store: &Store<GitRepository>,
    shared: &Shared,
    object: &GitRepository,
) -> Result<Vec<Artifact>, Failure> {
    let namespace = object.namespace().unwrap_or_default();
    let waiting =
        |reason, message| Failure::include(reason, message).class(Class::Waiting(shared.requeue_dependency));
    let artifact = |name: &str| {
        let Some(included) = store.get(&ObjectRef::new(name).within(&namespace)) else {
            let kind = format!("{}.{}", GitRepository::KIND, GitRepository::GROUP);
            let message = format!("could not get resource for include '{name}': {kind} \"{name}\" not found");
            return Err(waiting(reason::NOT_FOUND, message));
        };
        included.artifact().cloned().ok_or_else(|| {
            let message = format!("no artifact available for include '{name}'");
            waiting(reason::NO_ARTIFACT, message)
        })
    };
    object
        .spec
        .include
        .iter()
        .map(|include| artifact(&include.repository.name))
        .collect()
}

/// Says in the conditions that all includes are there, and whether they are new.
pub(super) fn observe(pass: &mut Pass<GitRepository>, included: &[Artifact]) {
    if content::includes_differ(&pass.object, included) {
        let message = "included artifacts differ from last observed includes";
        let had_some = pass
            .object
            .status
            .as_ref()
            .is_some_and(|status| !status.included_artifacts.is_empty());
        if had_some {
            conditions::mark_true(
                &mut pass.object,
                condition::ARTIFACT_OUTDATED,
                reason::INCLUDE_CHANGE,
                message,
            );
        }
        progressive(&mut pass.object, true, &format!("building artifact: {message}"));
        pass.publish();
    }
    conditions::delete(&mut pass.object, condition::INCLUDE_UNAVAILABLE);
}

/// A GitRepository, by namespace and name.
type Id = (String, String);

/// Who includes whom: a new artifact of a GitRepository has those that include it reconciled at once. Holds entries for
/// GitRepositories that include others only.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<Edges>);

#[derive(Debug, Default)]
struct Edges {
    /// The names of what a GitRepository includes.
    includes: BTreeMap<Id, BTreeSet<String>>,
    /// The names of those that include a GitRepository.
    included_by: BTreeMap<Id, BTreeSet<String>>,
}

impl Index {
    /// Notes what `object` includes now.
    pub(super) fn observe(&self, object: &GitRepository) {
        let includes: BTreeSet<String> = object
            .spec
            .include
            .iter()
            .map(|include| include.repository.name.clone())
            .collect();
        self.replace(object, includes);
    }

    /// Forgets an object that is gone.
    pub(super) fn forget(&self, object: &GitRepository) {
        self.replace(object, BTreeSet::new());
    }

    fn replace(&self, object: &GitRepository, includes: BTreeSet<String>) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let mut edges = self.lock();
        let edges = &mut *edges;
        let id = (namespace.clone(), name.clone());
        let old = if includes.is_empty() {
            edges.includes.remove(&id)
        } else {
            edges.includes.insert(id, includes.clone())
        };
        for gone in old.unwrap_or_default().difference(&includes) {
            let key = (namespace.clone(), gone.clone());
            if let Some(names) = edges.included_by.get_mut(&key) {
                names.remove(&name);
                if names.is_empty() {
                    edges.included_by.remove(&key);
                }
            }
        }
        for included in includes {
            edges
                .included_by
                .entry((namespace.clone(), included))
                .or_default()
                .insert(name.clone());
        }
    }

    /// The GitRepositories in `store` that include `object` and were not made with its artifact.
    pub(super) fn outdated_by(
        &self,
        object: &GitRepository,
        store: &Store<GitRepository>,
    ) -> Vec<ObjectRef<GitRepository>> {
        let namespace = object.namespace().unwrap_or_default();
        let id = (namespace.clone(), object.name_any());
        let names = match self.lock().included_by.get(&id) {
            Some(names) => names.clone(),
            None => return Vec::new(),
        };
        let Some(artifact) = object.artifact() else {
            return Vec::new();
        };
        names
            .into_iter()
            .map(|name| ObjectRef::new(&name).within(&namespace))
            .filter(|key| {
                store
                    .get(key)
                    .is_some_and(|parent| !is_included(artifact, &parent))
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Edges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_included(artifact: &Artifact, parent: &GitRepository) -> bool {
    let included = parent
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.included_artifacts);
    included
        .iter()
        .any(|old| old.digest == artifact.digest && old.revision == artifact.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::meta::LocalObjectReference;
    use ferro_api::source::{GitRepositoryInclude, GitRepositorySpec};
    use kube::runtime::{reflector, watcher};

    fn object(name: &str, includes: &[&str], digest: Option<&str>) -> GitRepository {
        let mut object = GitRepository::new(name, GitRepositorySpec::default());
        object.metadata.namespace = Some("default".to_owned());
        object.spec.include = includes
            .iter()
            .map(|name| GitRepositoryInclude {
                repository: LocalObjectReference {
                    name: (*name).to_owned(),
                },
                ..GitRepositoryInclude::default()
            })
            .collect();
        object.set_artifact(digest.map(|digest| Artifact {
            digest: digest.to_owned(),
            ..Artifact::default()
        }));
        object
    }

    fn store_of(objects: &[GitRepository]) -> Store<GitRepository> {
        let (store, mut writer) = reflector::store();
        for object in objects {
            writer.apply_watcher_event(&watcher::Event::Apply(object.clone()));
        }
        store
    }

    #[test]
    fn outdated_by_names_those_that_lack_the_artifact() {
        let (base, mut current) = (
            object("base", &[], Some("sha256:2")),
            object("current", &["base"], None),
        );
        current.status_mut().included_artifacts = vec![base.artifact().unwrap().clone()];
        let old = object("old", &["base", "other"], Some("sha256:9"));
        let index = Index::default();
        let objects = [base.clone(), current, old.clone()];
        objects.iter().for_each(|object| index.observe(object));
        let store = store_of(&objects);
        let names = |object: &GitRepository| -> Vec<String> {
            let outdated = index.outdated_by(object, &store);
            outdated.into_iter().map(|key| key.name).collect()
        };
        assert_eq!(names(&base), ["old"]);
        assert_eq!(names(&object("base", &[], None)), Vec::<String>::new());
        assert_eq!(names(&old), Vec::<String>::new());
        index.observe(&object("old", &["other"], None));
        assert_eq!(names(&base), Vec::<String>::new());
        index.forget(&object("old", &[], None));
        index.forget(&object("current", &[], None));
        let edges = index.lock();
        assert!(edges.includes.is_empty() && edges.included_by.is_empty());
    }
}
