//! Which resource serves a kind, learnt from aggregated discovery: two requests for the whole cluster.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kube::Client;
use kube::api::ApiResource;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::message;

/// Discovery is not asked again sooner than this, however many kinds are missing.
const REFRESH_AFTER: Duration = Duration::from_secs(2);
/// A failure of discovery is everybody's answer for so long.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// How a kind is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The resource in URLs.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// A kind cannot be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The cluster does not serve it.
    #[error("no matches for kind \"{kind}\" in version \"{api_version}\"")]
    NoMatch {
        /// The kind.
        kind: String,
        /// Its `group/version`.
        api_version: String,
    },
    /// The server that has it does not answer now: an aggregated API whose backend is down.
    #[error("the API \"{group_version}\" does not answer now: stale GroupVersion discovery: {group_version}")]
    Stale {
        /// Its `group/version`.
        group_version: String,
    },
    /// Discovery failed.
    #[error("cannot discover the APIs of the cluster: {}", message(.0.as_ref()))]
    Discovery(Arc<kube::Error>),
}

#[derive(Clone, Debug)]
struct Version {
    name: String,
    mapping: Mapping,
}

/// What discovery has told.
#[derive(Debug, Default)]
struct Kinds {
    /// Versions by group and kind.
    served: HashMap<(String, String), Vec<Version>>,
    /// Versions, by group, whose server does not answer: which kinds they have is not known.
    stale: HashMap<String, Vec<String>>,
}

impl Kinds {
    /// Keeps what `old` knew of versions that do not answer now.
    fn keep_stale(&mut self, old: &Self) {
        for ((group, kind), versions) in &old.served {
            let Some(stale) = self.stale.get(group) else {
                continue;
            };
            let known = versions.iter().filter(|version| stale.contains(&version.name));
            let missing: Vec<Version> = known.cloned().collect();
            if !missing.is_empty() {
                let key = (group.clone(), kind.clone());
                self.served.entry(key).or_default().extend(missing);
            }
        }
    }
}

/// The last time that discovery was asked.
struct Asked {
    at: Instant,
    failed: Option<Arc<kube::Error>>,
}

/// Maps kinds to resources; shared by all that talk to one cluster.
pub struct Mapper {
    client: Client,
    kinds: RwLock<Kinds>,
    asked: Mutex<Option<Asked>>,
}

impl Mapper {
    /// A mapper that asks the cluster when it is first needed.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: RwLock::default(),
            asked: Mutex::new(None),
        }
    }

    /// The resource of `kind` in exactly `version`.
    ///
    /// # Errors
    /// When the cluster does not serve it, or cannot be asked.
    pub async fn resolve(&self, group: &str, version: &str, kind: &str) -> Result<Mapping, MapError> {
        let exact = |versions: &[Version]| {
            versions
                .iter()
                .find(|v| v.name == version)
                .map(|v| v.mapping.clone())
        };
        self.find(group, kind, exact)
            .await?
            .ok_or_else(|| MapError::NoMatch {
                kind: kind.to_owned(),
                api_version: api_version(group, version),
            })
    }

    /// The resource of `kind` in `version` if that is served, else in the version that the cluster prefers.
    ///
    /// # Errors
    /// When the cluster does not serve the kind at all, or cannot be asked.
    pub async fn resolve_any(&self, group: &str, version: &str, kind: &str) -> Result<Mapping, MapError> {
        let any = |versions: &[Version]| {
            let found = versions
                .iter()
                .find(|v| v.name == version)
                .or_else(|| versions.first());
            found.map(|v| v.mapping.clone())
        };
        self.find(group, kind, any)
            .await?
            .ok_or_else(|| MapError::NoMatch {
                kind: kind.to_owned(),
                api_version: api_version(group, version),
            })
    }

    /// Has discovery asked again at the next miss, whenever that is: something was just defined.
    pub async fn invalidate(&self) {
        *self.asked.lock().await = None;
    }

    async fn find(
        &self,
        group: &str,
        kind: &str,
        pick: impl Fn(&[Version]) -> Option<Mapping>,
    ) -> Result<Option<Mapping>, MapError> {
        let key = (group.to_owned(), kind.to_owned());
        let known = || {
            let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
            kinds.served.get(&key).and_then(|versions| pick(versions))
        };
        // Of a group that does not answer nobody can say what it does not have.
        let missing = || {
            let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
            match kinds.stale.get(group).and_then(|versions| versions.first()) {
                None => Ok(None),
                Some(version) => Err(MapError::Stale {
                    group_version: api_version(group, version),
                }),
            }
        };
        if let Some(mapping) = known() {
            return Ok(Some(mapping));
        }
        // One asks, the others wait here and then find the answer.
        let mut asked = self.asked.lock().await;
        if let Some(mapping) = known() {
            return Ok(Some(mapping));
        }
        match &*asked {
            // Those who waited here learn of the failure at once, instead of each running into it.
            Some(Asked {
                at,
                failed: Some(error),
            }) if at.elapsed() < FAILED_FOR => {
                return Err(MapError::Discovery(Arc::clone(error)));
            }
            Some(Asked { at, failed: None }) if at.elapsed() < REFRESH_AFTER => return missing(),
            _ => {}
        }
        let discovered = discover(&self.client).await.map_err(Arc::new);
        *asked = Some(Asked {
            at: Instant::now(),
            failed: discovered.as_ref().err().cloned(),
        });
        let mut kinds = discovered.map_err(MapError::Discovery)?;
        {
            let mut old = self.kinds.write().unwrap_or_else(PoisonError::into_inner);
            kinds.keep_stale(&old);
            *old = kinds;
        }
        drop(asked);
        match known() {
            Some(mapping) => Ok(Some(mapping)),
            None => missing(),
        }
    }
}

/// `group/version`, or `version` in the core group.
fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

async fn discover(client: &Client) -> kube::Result<Kinds> {
    let (core, groups) = tokio::try_join!(
        client.list_core_api_versions_aggregated(),
        client.list_api_groups_aggregated()
    )?;
    let mut kinds = Kinds::default();
    for group in core.items.iter().chain(&groups.items) {
        add_group(&mut kinds, group);
    }
    Ok(kinds)
}

/// Adds the kinds of a group. The API server lists versions by preference.
fn add_group(kinds: &mut Kinds, group: &APIGroupDiscovery) {
    let name = group
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.name.clone())
        .unwrap_or_default();
    for version in &group.versions {
        let Some(version_name) = &version.version else {
            continue;
        };
        if version.freshness.as_deref() == Some("Stale") {
            let stale = kinds.stale.entry(name.clone()).or_default();
            stale.push(version_name.clone());
        }
        for resource in &version.resources {
            let Some((kind, mapping)) = mapping(&name, version_name, resource) else {
                continue;
            };
            kinds
                .served
                .entry((name.clone(), kind))
                .or_default()
                .push(Version {
                    name: version_name.clone(),
                    mapping,
                });
        }
    }
}

fn mapping(group: &str, version: &str, resource: &APIResourceDiscovery) -> Option<(String, Mapping)> {
    let kind = resource.response_kind.as_ref()?.kind.clone()?;
    let api = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version(group, version),
        kind: kind.clone(),
        plural: resource.resource.clone()?,
    };
    Some((
        kind,
        Mapping {
            resource: api,
            namespaced: resource.scope.as_deref() == Some("Namespaced"),
        },
    ))
}
