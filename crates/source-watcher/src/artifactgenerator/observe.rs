//! What the sources of a generator are just now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ferro_api::meta::Artifact;
use ferro_api::source_extensions::ArtifactGenerator;
use ferro_api::{event, group};
use ferro_runtime::process::chain;
use kube::core::DynamicObject;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};

use crate::follow::{Followed, Lookup, SourceId, artifact_of};

/// The artifacts of sources by their aliases.
pub(super) type Observed = BTreeMap<String, Arc<Artifact>>;

/// The artifacts of all sources.
///
/// # Errors
/// When one is not there or has none.
pub(super) async fn sources(
    generator: &ArtifactGenerator,
    followed: &Followed,
    direct: Option<&Client>,
) -> Result<Observed, String> {
    let mut observed = Observed::new();
    for source in &generator.spec.sources {
        let id = SourceId::of(generator, source);
        let (kind, (namespace, name)) = (id.kind, &id.key);
        let lookup = match direct {
            Some(client) => live(client, &id).await?,
            None => followed.source(&id),
        };
        let artifact = match lookup {
            Lookup::Artifact(artifact) => artifact,
            Lookup::NotFound => return Err(format!("{kind}.{} {name:?} not found", group::SOURCE)),
            Lookup::NoArtifact => return Err(format!("source '{kind}/{namespace}/{name}' is not ready")),
        };
        observed.insert(source.alias.clone(), artifact);
    }
    Ok(observed)
}

/// A source as the API server has it at this moment.
async fn live(client: &Client, id: &SourceId) -> Result<Lookup, String> {
    let resource = SourceId::resource(id.kind);
    let (namespace, name) = &id.key;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    match api.get_opt(name).await {
        Ok(None) => Ok(Lookup::NotFound),
        Ok(Some(object)) => {
            Ok(artifact_of(&object).map_or(Lookup::NoArtifact, |it| Lookup::Artifact(Arc::new(it))))
        }
        Err(error) => Err(format!(
            "unable to get source '{namespace}/{name}': {}",
            chain(&error)
        )),
    }
}

/// The digest of what was observed, which the status has.
pub(super) fn digest(observed: &Observed) -> String {
    let mut parts: Vec<String> = observed
        .iter()
        .map(|(alias, artifact)| {
            let Artifact {
                digest,
                revision,
                url,
                ..
            } = artifact.as_ref();
            format!("{alias}=[digest={digest},revision={revision},url={url}]")
        })
        .collect();
    // By the whole part: an alias can begin with another one.
    parts.sort_unstable();
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(parts.join("|")) {
        let _never_fails = write!(text, "{byte:02x}");
    }
    text
}

/// The revision that the producer of a source started from.
pub(super) fn origin_revision(artifact: &Artifact) -> &str {
    let origin = artifact.metadata.get(event::OCI_REVISION);
    origin
        .filter(|origin| !origin.is_empty())
        .unwrap_or(&artifact.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_the_sorted_parts() {
        let artifact = |n: &str| {
            Arc::new(Artifact {
                digest: format!("sha256:{n}"),
                revision: format!("main@sha1:{n}"),
                url: format!("http://x/{n}"),
                ..Artifact::default()
            })
        };
        let observed: Observed = [
            ("git".to_owned(), artifact("1")),
            ("git-2".to_owned(), artifact("2")),
        ]
        .into();
        let text = "git-2=[digest=sha256:2,revision=main@sha1:2,url=http://x/2]|git=[digest=sha256:1,revision=main@sha1:1,url=http://x/1]";
        let expected = ferro_artifact::digest::Algorithm::Sha256.digest(text.as_bytes());
        assert_eq!(digest(&observed), expected.to_string());
    }
}
