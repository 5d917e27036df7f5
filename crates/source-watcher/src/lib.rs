//! The source-watcher: composes artifacts out of files of other artifacts, and serves them.
//!
//! An ArtifactGenerator names sources and says what goes where; for each output the controller keeps one promise: an ExternalArtifact
//! whose `status.artifact` names a tar.gz file that is stored, intact and served, made of what the sources hold now. What fails leaves the last
//! good artifacts in place, and says why in the conditions.
//!
//! * [`args`]: the flags.
//! * `artifactgenerator`: the course of a pass; `externalartifact`: the objects that are written.
//! * `compose`: the engine, from a recipe and trees of files to a stored archive.
//! * `follow`: what the watches say of sources and of ExternalArtifacts.
//!
//! The reference is the source-watcher of Flux 2.9 (`spec/sources-and-images.md` sections 15, 16, 20). Known differences:
//!
//! * Sources are unpacked once for all who use them, and files are shared, not copied, until the archive is written.
//! * A generator whose outputs are as they should be costs no request to the API server, and the event that says so is sent only to who
//!   asked for the reconcile. An ExternalArtifact that is as it should be is not written again.
//! * An ExternalArtifact that somebody changes or deletes is made anew at once, and a generator that is switched on again starts at once.
//! * Two generators never take an ExternalArtifact from each other: the second fails, and says whose it is. Outputs that cannot be deleted keep
//!   the finalizer.
//! * What was just published is never garbage, however long a pass takes; sources and outputs may have the same name.
//! * A generator has at most 5,000 outputs, and an output 500,000 files of 4 GiB in all.

pub mod args;
mod artifactgenerator;
mod compose;
mod externalartifact;
mod follow;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use ferro_api::source::ExternalArtifact;
use ferro_api::source_extensions::{ArtifactGenerator, ArtifactGeneratorSourceKind};
use ferro_api::{FluxObject, controller, label};
use ferro_artifact::fetch::{Cache, CacheOptions};
use ferro_artifact::storage::{ObjectKey, Storage};
use ferro_runtime::artifacts::{Artifacts, StorageFlags, sweep};
use ferro_runtime::controller::{Controller, Options, Triggers};
use ferro_runtime::events::Recorder;
use ferro_runtime::flags::FeatureGates;
use ferro_runtime::process::{Fatal, Process};
use ferro_runtime::sources::SourceKind;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::args::{DIRECT_SOURCE_FETCH, SharedFlags, WatcherFlags};
use crate::artifactgenerator::ArtifactGeneratorReconciler;
use crate::follow::{Followed, News, SourceId};

/// Runs the controller until the process stops.
///
/// # Errors
/// When the flags cannot be honoured, the storage cannot be used, or its address is taken.
pub async fn run(
    process: Process,
    storage: StorageFlags,
    shared: SharedFlags,
    flags: WatcherFlags,
) -> Result<(), Fatal> {
    let gates = FeatureGates::parse(&args::FEATURE_GATES, &process.flags.feature_gates)?;
    storage.check()?;
    let namespace = process.flags.watch_namespace()?;
    let cache = Cache::new(cache_options(&shared))?;
    let artifacts = Artifacts {
        kinds: &[KIND],
        // Those that others make are none of ours.
        labels: label::ARTIFACT_GENERATOR.to_owned(),
        namespace: namespace.clone(),
    };
    let servers = &process.artifact_servers;
    let leading = servers.lead(&process, controller::SOURCE_WATCHER, &storage, artifacts);
    let Some(lead) = leading.await? else {
        return Ok(());
    };
    let watcher = Watcher {
        process: &process,
        namespace,
        options: artifactgenerator::Options {
            requeue_dependency: shared.requeue_dependency,
            timeout: flags.reconciliation_timeout,
            no_cross_namespace_refs: shared.no_cross_namespace_refs,
            direct_source_fetch: gates.enabled(DIRECT_SOURCE_FETCH),
            scratch: cache_path(&shared),
        },
        concurrent: shared.concurrent,
        cache,
    };
    let act = async |storage: Storage| watcher.act(storage).await;
    let result = servers.serve(&storage, act).await;
    lead.release(servers).await;
    result
}

/// The kind that artifacts are made for.
const KIND: SourceKind = SourceKind {
    kind: ExternalArtifact::KIND,
    plural: "externalartifacts",
};

fn cache_path(flags: &SharedFlags) -> PathBuf {
    if flags.artifact_cache_path.is_empty() {
        std::env::temp_dir().join(format!("{}-artifacts", controller::SOURCE_WATCHER))
    } else {
        flags.artifact_cache_path.clone().into()
    }
}

fn cache_options(flags: &SharedFlags) -> CacheOptions {
    CacheOptions {
        path: cache_path(flags),
        max_bytes: flags.artifact_cache_size,
        retries: flags.http_retry,
        ..CacheOptions::default()
    }
}

/// The controller while it leads.
struct Watcher<'a> {
    process: &'a Process,
    namespace: Option<String>,
    options: artifactgenerator::Options,
    concurrent: u16,
    cache: Cache,
}

impl Watcher<'_> {
    async fn act(&self, storage: Storage) -> Result<(), Fatal> {
        let process = self.process;
        let (recorder, senders) = Recorder::start(
            process.client.clone(),
            controller::SOURCE_WATCHER,
            &process.flags.events_addr,
            &process.stop,
        )?;
        let generators = Controller::<ArtifactGenerator>::default();
        let (store, mut tasks) = (generators.store.clone(), JoinSet::new());
        let followed = self.follow(&store, &generators.triggers, &mut tasks).await;
        let reconciler = ArtifactGeneratorReconciler {
            client: process.client.clone(),
            storage: storage.clone(),
            cache: self.cache.clone(),
            followed,
            store: store.clone(),
            recorder: recorder.clone(),
            stop: process.stop.clone(),
            workers: Arc::new(Semaphore::new(usize::from(self.concurrent))),
            options: self.options.clone(),
        };
        let options = Options {
            manager: controller::SOURCE_WATCHER.to_owned(),
            concurrent: self.concurrent,
        };
        let reconciling = generators.run(process, self.namespace.clone(), recorder, options, reconciler);
        tokio::join!(Box::pin(reconciling), Box::pin(self.sweep(&storage, &store)));
        tasks.shutdown().await;
        senders.finish().await;
        Ok(())
    }

    /// Follows the sources; returns once each kind was listed, so that the first passes do not miss a source that is there.
    async fn follow(
        &self,
        store: &Store<ArtifactGenerator>,
        triggers: &Triggers<ArtifactGenerator>,
        tasks: &mut JoinSet<()>,
    ) -> Arc<Followed> {
        let followed = Arc::new(Followed::default());
        let mut known = Vec::new();
        for kind in ArtifactGeneratorSourceKind::ALL {
            let (listed, is_listed) = oneshot::channel();
            known.push(is_listed);
            let (client, namespace) = (self.process.client.clone(), self.namespace.clone());
            let (store, triggers) = (store.clone(), triggers.clone());
            let followed = Arc::clone(&followed);
            tasks.spawn(async move {
                let tell = |news| wake(&store, &triggers, &followed, &news);
                followed
                    .follow(client, namespace.as_deref(), *kind, listed, tell)
                    .await;
            });
        }
        tokio::select! {
            _ = futures::future::join_all(known) => {}
            () = self.process.stop.cancelled() => {}
        }
        followed
    }

    /// Removes what generators have stored that are gone, or that another shard has now.
    async fn sweep(&self, storage: &Storage, store: &Store<ArtifactGenerator>) {
        let known = tokio::select! {
            known = store.wait_until_ready() => known.is_ok(),
            () = self.process.stop.cancelled() => false,
        };
        if known {
            sweep::run(self.process, storage, ExternalArtifact::KIND, || self.live()).await;
        }
    }

    /// The ExternalArtifacts of the generators of this shard.
    async fn live(&self) -> kube::Result<HashSet<ObjectKey>> {
        let (process, namespace) = (self.process, self.namespace.as_deref());
        let selector = &process.flags.watch_label_selector;
        let generators = sweep::list::<ArtifactGenerator>(process, namespace, selector).await?;
        let uids: HashSet<String> = generators.iter().filter_map(ResourceExt::uid).collect();
        let outputs = sweep::list::<ExternalArtifact>(process, namespace, label::ARTIFACT_GENERATOR).await?;
        let is_ours = |output: &&kube::core::PartialObjectMeta<ExternalArtifact>| {
            output
                .labels()
                .get(label::ARTIFACT_GENERATOR)
                .is_some_and(|uid| uids.contains(uid))
        };
        let key = |output: &kube::core::PartialObjectMeta<ExternalArtifact>| {
            let namespace = output.namespace().unwrap_or_default();
            ObjectKey::new(ExternalArtifact::KIND, &namespace, &output.name_any())
        };
        Ok(outputs.iter().filter(is_ours).map(key).collect())
    }
}

/// Has those generators reconciled that are concerned.
fn wake(
    store: &Store<ArtifactGenerator>,
    triggers: &Triggers<ArtifactGenerator>,
    followed: &Followed,
    news: &News,
) {
    for generator in store.state() {
        if is_concerned(&generator, followed, news) {
            triggers.enqueue(ObjectRef::from_obj(generator.as_ref()));
        }
    }
}

/// Whether a generator uses the source, or has made the ExternalArtifact and it is not as it was made. The echo of what a pass writes
/// comes while the pass is under way, or is as the inventory says.
fn is_concerned(generator: &ArtifactGenerator, followed: &Followed, news: &News) -> bool {
    match news {
        News::Source(id) => {
            let sources = &generator.spec.sources;
            sources
                .iter()
                .any(|source| SourceId::of(generator, source) == *id)
        }
        News::Output(key) => {
            let inventory = generator.status().map(|status| status.inventory.as_slice());
            let entry = inventory
                .unwrap_or_default()
                .iter()
                .find(|entry| (&entry.namespace, &entry.name) == (&key.0, &key.1));
            let Some(entry) = entry.filter(|_| generator.is_ready()) else {
                return false;
            };
            let live = followed.output(key);
            let is_as_made = live.as_deref().is_some_and(|live| {
                let artifact = externalartifact::artifact(live);
                externalartifact::owner(live) == generator.uid().as_deref()
                    && artifact.is_some_and(|artifact| artifact.digest == entry.digest)
            });
            !is_as_made
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        shared: SharedFlags,
    }

    #[test]
    fn flags_of_the_cache_reach_it() {
        let given = Cli::parse_from([
            "source-watcher",
            "--artifact-cache-path=/cache",
            "--artifact-cache-size=7",
            "--http-retry=3",
        ]);
        let options = cache_options(&given.shared);
        assert_eq!(options.path, std::path::Path::new("/cache"));
        assert_eq!((options.max_bytes, options.retries), (7, 3));
        let default = cache_options(&Cli::parse_from(["source-watcher"]).shared);
        assert!(default.path.ends_with("source-watcher-artifacts"));
    }

    fn generator() -> ArtifactGenerator {
        serde_json::from_value(json!({
            "metadata": { "name": "ag", "namespace": "ns", "uid": "u" },
            "spec": {
                "sources": [
                    { "alias": "a", "kind": "GitRepository", "name": "git" },
                    { "alias": "b", "kind": "Bucket", "name": "bucket", "namespace": "other" }
                ],
                "artifacts": []
            },
            "status": {
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "Succeeded", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"
                }],
                "inventory": [{ "name": "app", "namespace": "ns", "digest": "sha256:1", "filename": "1.tar.gz" }]
            }
        }))
        .unwrap()
    }

    #[test]
    fn generators_hear_of_their_sources_only() {
        let (generator, followed) = (generator(), Followed::default());
        let concerns = |kind, namespace: &str, name: &str| {
            let key = (namespace.to_owned(), name.to_owned());
            is_concerned(&generator, &followed, &News::Source(SourceId { kind, key }))
        };
        use ArtifactGeneratorSourceKind::{Bucket, GitRepository};
        assert!(concerns(GitRepository, "ns", "git") && concerns(Bucket, "other", "bucket"));
        assert!(!concerns(GitRepository, "other", "git") && !concerns(Bucket, "ns", "bucket"));
        assert!(!concerns(Bucket, "ns", "git"));
    }

    #[test]
    fn generators_hear_of_outputs_that_are_not_as_they_were_made() {
        let (generator, followed) = (generator(), Followed::default());
        let key = ("ns".to_owned(), "app".to_owned());
        let hears = |digest: Option<&str>, uid: &str| {
            let output = digest.map(|digest| {
                let mut output = ExternalArtifact::default();
                output
                    .labels_mut()
                    .insert(label::ARTIFACT_GENERATOR.to_owned(), uid.to_owned());
                output.status_mut().artifact = Some(ferro_api::meta::Artifact {
                    digest: digest.to_owned(),
                    ..Default::default()
                });
                Arc::new(output)
            });
            followed.set_output(key.clone(), output);
            is_concerned(&generator, &followed, &News::Output(key.clone()))
        };
        assert!(!hears(Some("sha256:1"), "u"));
        assert!(hears(Some("sha256:2"), "u") && hears(Some("sha256:1"), "other") && hears(None, "u"));
        let other = News::Output(("ns".to_owned(), "other".to_owned()));
        assert!(!is_concerned(&generator, &followed, &other));
    }
}
