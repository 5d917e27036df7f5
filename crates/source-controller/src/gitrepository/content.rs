//! What of the spec goes into the content of an artifact, besides the revision (`spec/sources-and-images.md` section 10.5).

use std::collections::BTreeMap;

use ferro_api::annotation;
use ferro_api::meta::Artifact;
use ferro_api::source::{GitRepository, GitRepositoryInclude, GitRepositoryStatus};
use ferro_artifact::revision;
use kube::ResourceExt as _;

/// Whether the artifact in the status was made with another configuration than the spec now asks for. `included` are the artifacts to include,
/// in the order of `spec.include`.
pub(super) fn changed(object: &GitRepository, included: &[Artifact]) -> bool {
    let unobserved = GitRepositoryStatus::default();
    let (spec, status) = (&object.spec, object.status.as_ref().unwrap_or(&unobserved));
    spec.ignore != status.observed_ignore
        || spec.recurse_submodules != status.observed_recurse_submodules
        || spec.sparse_checkout != status.observed_sparse_checkout
        || !equal(&spec.include, &status.observed_include, same_include)
        || !equal(included, &status.included_artifacts, same_artifact)
        || wants_lfs(object) != has_lfs(status)
}

/// Whether the object asks for the objects of Git LFS; there is no field for it.
pub(super) fn wants_lfs(object: &GitRepository) -> bool {
    let value = object.annotations().get(annotation::LFS);
    value.is_some_and(|value| value == annotation::ENABLED)
}

/// What the artifact says of itself when it was made with the objects of Git LFS.
pub(super) fn lfs_metadata() -> BTreeMap<String, String> {
    BTreeMap::from([(annotation::LFS.to_owned(), annotation::ENABLED.to_owned())])
}

fn has_lfs(status: &GitRepositoryStatus) -> bool {
    let metadata = status.artifact.as_ref().map(|artifact| &artifact.metadata);
    metadata.is_some_and(|metadata| metadata.contains_key(annotation::LFS))
}

/// Whether the artifacts to include are of other revisions than those that were included.
pub(super) fn includes_differ(object: &GitRepository, included: &[Artifact]) -> bool {
    let observed = object
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.included_artifacts);
    let is_observed = |artifact: &Artifact| {
        observed
            .iter()
            .any(|old| revision::equal(&old.revision, &artifact.revision))
    };
    included.len() != observed.len() || !included.iter().all(is_observed)
}

/// Records in the status what the artifact was made with.
pub(super) fn observe(object: &mut GitRepository, included: Vec<Artifact>) {
    let spec = object.spec.clone();
    let status = object.status.get_or_insert_default();
    status.observed_ignore = spec.ignore;
    status.observed_recurse_submodules = spec.recurse_submodules;
    status.observed_sparse_checkout = spec.sparse_checkout;
    status.observed_include = spec.include;
    status.included_artifacts = included;
}

fn equal<T>(left: &[T], right: &[T], same: fn(&T, &T) -> bool) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
}

/// An empty path and none mean the same: Go does not write either.
fn same_include(left: &GitRepositoryInclude, right: &GitRepositoryInclude) -> bool {
    fn path(path: &Option<String>) -> &str {
        path.as_deref().unwrap_or_default()
    }
    left.repository == right.repository
        && path(&left.from_path) == path(&right.from_path)
        && path(&left.to_path) == path(&right.to_path)
}

fn same_artifact(left: &Artifact, right: &Artifact) -> bool {
    revision::equal(&left.revision, &right.revision) && left.digest == right.digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::meta::LocalObjectReference;

    fn include(name: &str, to: Option<&str>) -> GitRepositoryInclude {
        GitRepositoryInclude {
            repository: LocalObjectReference {
                name: name.to_owned(),
            },
            to_path: to.map(str::to_owned),
            ..GitRepositoryInclude::default()
        }
    }

    fn artifact(revision: &str, digest: &str) -> Artifact {
        Artifact {
            revision: revision.to_owned(),
            digest: digest.to_owned(),
            ..Artifact::default()
        }
    }

    fn observed() -> (GitRepository, Vec<Artifact>) {
        let mut object = GitRepository::default();
        object.spec.ignore = Some(String::new());
        object.spec.recurse_submodules = true;
        object.spec.sparse_checkout = vec!["a".into(), "b".into()];
        object.spec.include = vec![include("x", None), include("y", Some("z"))];
        let included = vec![
            artifact("main@sha1:1", "sha256:1"),
            artifact("main@sha1:2", "sha256:2"),
        ];
        observe(&mut object, included.clone());
        (object, included)
    }

    #[test]
    fn changed_observed_configuration_is_not() {
        let (mut object, included) = observed();
        assert!(!changed(&object, &included));
        object.spec.include = vec![include("x", Some("")), include("y", Some("z"))];
        assert!(!changed(&object, &included));
        assert!(!changed(&GitRepository::default(), &[]));
    }

    #[test]
    fn changed_every_field_counts() {
        let changes: [fn(&mut GitRepository, &mut Vec<Artifact>); 9] = [
            |object, _| object.spec.ignore = None,
            |object, _| object.spec.ignore = Some("*.md".into()),
            |object, _| object.spec.recurse_submodules = false,
            |object, _| object.spec.sparse_checkout = vec!["b".into(), "a".into()],
            |object, _| object.spec.include.truncate(1),
            |object, _| object.spec.include = vec![include("x", None), include("y", Some("other"))],
            |_, included| included.truncate(1),
            |_, included| included[1].revision = "main@sha1:3".into(),
            |_, included| included[1].digest = "sha256:3".into(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let (mut object, mut included) = observed();
            change(&mut object, &mut included);
            assert!(changed(&object, &included), "change {index}");
        }
    }

    #[test]
    fn includes_differ_compares_revisions_only() {
        let (object, mut included) = observed();
        included[0].digest = "sha256:9".into();
        assert!(!includes_differ(&object, &included));
        included[0].revision = "main@sha1:9".into();
        assert!(includes_differ(&object, &included));
        assert!(!includes_differ(&GitRepository::default(), &[]));
    }
}
