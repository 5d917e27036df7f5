//! What a command has at hand: the cluster, the namespace, the time, the terminal.

use std::env;

use anyhow::{Result, bail};
use kube::api::{DynamicObject, ListParams, ObjectList};
use kube::{Api, Client};
use tokio::time::Instant;

use crate::args::GlobalArgs;
use crate::cluster::{self, explain};
use crate::kind::KindRow;
use crate::terminal::Terminal;

/// Environment variable that names the namespace of Flux.
const NAMESPACE_VARIABLE: &str = "FLUX_SYSTEM_NAMESPACE";

/// Namespace of Flux where nothing else is said.
const DEFAULT_NAMESPACE: &str = "flux-system";

/// The surroundings of a command.
pub struct Session<'a> {
    /// Where output goes.
    pub terminal: &'a mut Terminal,
    /// Namespace that the command works in.
    pub namespace: String,
    global: GlobalArgs,
    client: Option<Client>,
    /// When the command must have ended.
    deadline: Instant,
}

impl<'a> Session<'a> {
    /// Prepares a session. Without a client, it connects when the cluster is first needed.
    ///
    /// # Errors
    ///
    /// Returns an error if the namespace is not one.
    pub fn new(global: GlobalArgs, client: Option<Client>, terminal: &'a mut Terminal) -> Result<Self> {
        let namespace = namespace(&global, env::var(NAMESPACE_VARIABLE).ok(), terminal)?;
        let deadline = Instant::now() + global.timeout.to_std();
        Ok(Self {
            terminal,
            namespace,
            global,
            client,
            deadline,
        })
    }

    /// Asks a question, and reports whether the answer is yes. The time that people take is not that of the command.
    pub fn confirm(&mut self, question: &str) -> bool {
        self.terminal.confirm(question)
    }

    /// Begins the time of the command anew, and returns its end.
    pub fn renew(&mut self) -> Instant {
        self.deadline = Instant::now() + self.global.timeout.to_std();
        self.deadline
    }

    /// Returns when the command must have ended.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the client, connecting first if need be.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no way to the cluster.
    pub async fn client(&mut self) -> Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = cluster::connect(&self.global).await?;
        self.client = Some(client.clone());
        Ok(client)
    }

    /// Returns the API of a kind in a namespace.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no way to the cluster.
    pub async fn api_in(&mut self, row: &KindRow, namespace: &str) -> Result<Api<DynamicObject>> {
        Ok(Api::namespaced_with(
            self.client().await?,
            namespace,
            &row.api_resource(),
        ))
    }

    /// Returns the API of a kind in the session's namespace.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no way to the cluster.
    pub async fn api(&mut self, row: &KindRow) -> Result<Api<DynamicObject>> {
        let namespace = self.namespace.clone();
        self.api_in(row, &namespace).await
    }

    /// Returns the API of a kind in all namespaces.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no way to the cluster.
    pub async fn api_everywhere(&mut self, row: &KindRow) -> Result<Api<DynamicObject>> {
        Ok(Api::all_with(self.client().await?, &row.api_resource()))
    }
}

/// A kind that the cluster does not know.
#[derive(Debug)]
pub(super) struct NoSuchKind {
    kind: &'static str,
    api_version: String,
}

impl std::fmt::Display for NoSuchKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no matches for kind {:?} in version {:?}",
            self.kind, self.api_version
        )
    }
}

impl std::error::Error for NoSuchKind {}

/// Lists objects.
pub(super) async fn list(
    row: &KindRow,
    api: &Api<DynamicObject>,
    params: &ListParams,
) -> Result<ObjectList<DynamicObject>> {
    api.list(params).await.map_err(|error| match error {
        // Listing finds nothing only where the resource itself does not exist.
        kube::Error::Api(status) if status.code == 404 => NoSuchKind {
            kind: row.info.kind,
            api_version: row.info.api_version(),
        }
        .into(),
        other => explain(other),
    })
}

/// Returns what selects one object by its name.
pub(super) fn by_name(name: &str) -> ListParams {
    ListParams::default().fields(&format!("metadata.name={name}"))
}

/// Returns the name of an object.
pub(super) fn name_of(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

fn namespace(global: &GlobalArgs, variable: Option<String>, terminal: &mut Terminal) -> Result<String> {
    let given = match &global.namespace {
        Some(namespace) => Some(namespace.clone()),
        None if global.ns_follows_kube_context => cluster::context_namespace(global)?,
        None => None,
    };
    let Some(namespace) = given else {
        let variable = variable.filter(|value| !value.is_empty());
        return Ok(match variable {
            Some(namespace) if is_dns_label(&namespace) => namespace,
            Some(invalid) => {
                terminal.warning(format_args!(
                    " ignoring invalid {NAMESPACE_VARIABLE}: {invalid:?}"
                ));
                DEFAULT_NAMESPACE.to_owned()
            }
            None => DEFAULT_NAMESPACE.to_owned(),
        });
    };
    if !is_dns_label(&namespace) {
        bail!("namespace must be a valid DNS label: {namespace:?}");
    }
    Ok(namespace)
}

/// Reports whether a text is a label in the sense of RFC 1123.
fn is_dns_label(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn resolve(args: &[&str], variable: Option<&str>) -> Result<String> {
        let matches = crate::args::command().try_get_matches_from(args)?;
        let global = GlobalArgs::from_arg_matches(&matches)?;
        let mut terminal = Terminal::new(Box::new(std::io::sink()), Box::new(std::io::sink()));
        namespace(&global, variable.map(ToOwned::to_owned), &mut terminal)
    }

    #[test]
    fn the_namespace_comes_from_flag_variable_or_default() {
        let args = ["flux", "check"];
        assert_eq!(resolve(&args, None).unwrap(), "flux-system");
        assert_eq!(resolve(&args, Some("gitops")).unwrap(), "gitops");
        assert_eq!(resolve(&args, Some("Not Valid")).unwrap(), "flux-system");
        assert_eq!(
            resolve(&["flux", "check", "-n", "apps"], Some("gitops")).unwrap(),
            "apps"
        );
        let error = resolve(&["flux", "check", "--namespace=no_label"], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "namespace must be a valid DNS label: \"no_label\""
        );
    }

    #[test]
    fn labels_are_recognised() {
        for label in ["a", "flux-system", "0a"] {
            assert!(is_dns_label(label), "{label}");
        }
        for text in ["", "-a", "a-", "a.b", "A", "ä", &"a".repeat(64)] {
            assert!(!is_dns_label(text), "{text}");
        }
    }
}
