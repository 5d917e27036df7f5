//! Which resource serves a kind, learnt from aggregated discovery: two requests for the whole cluster.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use kube::Client;
use kube::api::ApiResource;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Discovery is not asked again sooner than this, however many kinds are missing.
const REFRESH_AFTER: Duration = Duration::from_secs(2);

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
    /// Discovery failed.
    #[error("cannot discover the APIs of the cluster")]
    Discovery(#[source] Box<kube::Error>),
}

#[derive(Clone, Debug)]
struct Version {
    name: String,
    mapping: Mapping,
}

type Kinds = HashMap<(String, String), Vec<Version>>;

/// Maps kinds to resources; shared by all that talk to one cluster.
pub struct Mapper {
    client: Client,
    kinds: RwLock<Kinds>,
    refreshed: Mutex<Option<Instant>>,
}

impl Mapper {
    /// A mapper that asks the cluster when it is first needed.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            kinds: RwLock::default(),
            refreshed: Mutex::new(None),
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
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        self.find(group, kind, exact)
            .await?
            .ok_or_else(|| MapError::NoMatch {
                kind: kind.to_owned(),
                api_version,
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
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        self.find(group, kind, any)
            .await?
            .ok_or_else(|| MapError::NoMatch {
                kind: kind.to_owned(),
                api_version,
            })
    }

    /// Has discovery asked again at the next miss, whenever that is: something was just defined.
    pub async fn invalidate(&self) {
        *self.refreshed.lock().await = None;
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
            kinds.get(&key).and_then(|versions| pick(versions))
        };
        if let Some(mapping) = known() {
            return Ok(Some(mapping));
        }
        // One asks, the others wait here and then find the answer.
        let mut refreshed = self.refreshed.lock().await;
        if let Some(mapping) = known() {
            return Ok(Some(mapping));
        }
        if refreshed.is_some_and(|at| at.elapsed() < REFRESH_AFTER) {
            return Ok(None);
        }
        let kinds = discover(&self.client)
            .await
            .map_err(|error| MapError::Discovery(Box::new(error)))?;
        *self.kinds.write().unwrap_or_else(PoisonError::into_inner) = kinds;
        *refreshed = Some(Instant::now());
        drop(refreshed);
        Ok(known())
    }
}

async fn discover(client: &Client) -> kube::Result<Kinds> {
    let (core, groups) = tokio::try_join!(
        client.list_core_api_versions_aggregated(),
        client.list_api_groups_aggregated()
    )?;
    let mut kinds = Kinds::new();
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
        for resource in &version.resources {
            let Some((kind, mapping)) = mapping(&name, version_name, resource) else {
                continue;
            };
            kinds.entry((name.clone(), kind)).or_default().push(Version {
                name: version_name.clone(),
                mapping,
            });
        }
    }
}

fn mapping(group: &str, version: &str, resource: &APIResourceDiscovery) -> Option<(String, Mapping)> {
    let kind = resource.response_kind.as_ref()?.kind.clone()?;
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    let api = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
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
