//! `Provider`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{TIMEOUT_PATTERN, cel};
use crate::macros::{kind, string_enum};
use crate::meta::{Duration, LocalObjectReference, is_false};
use crate::vocabulary::group;

kind! {
    /// A service that events are sent to.
    Provider {
        group: group::NOTIFICATION,
        version: "v1beta3",
        plural: "providers",
        short_names: [],
        spec: ProviderSpec,
    }
}

string_enum! {
    /// Services that events can be sent to.
    pub enum ProviderType {
        /// Slack.
        Slack = "slack",
        /// Discord.
        Discord = "discord",
        /// Microsoft Teams.
        MsTeams = "msteams",
        /// Rocket.Chat.
        Rocket = "rocket",
        /// Any HTTP server.
        #[default]
        Generic = "generic",
        /// Any HTTP server, with a signature.
        GenericHmac = "generic-hmac",
        /// Commit statuses of GitHub.
        GitHub = "github",
        /// Commit statuses of GitLab.
        GitLab = "gitlab",
        /// Commit statuses of Gitea.
        Gitea = "gitea",
        /// Comments on pull requests of Gitea.
        GiteaPullRequestComment = "giteapullrequestcomment",
        /// Commit statuses of Bitbucket Server.
        BitbucketServer = "bitbucketserver",
        /// Commit statuses of Bitbucket.
        Bitbucket = "bitbucket",
        /// Commit statuses of Azure DevOps.
        AzureDevOps = "azuredevops",
        /// Google Chat.
        GoogleChat = "googlechat",
        /// Google Cloud Pub/Sub.
        GooglePubSub = "googlepubsub",
        /// Webex.
        Webex = "webex",
        /// Sentry.
        Sentry = "sentry",
        /// Azure Event Hubs.
        AzureEventHub = "azureeventhub",
        /// Telegram.
        Telegram = "telegram",
        /// Lark.
        Lark = "lark",
        /// Matrix.
        Matrix = "matrix",
        /// Opsgenie.
        Opsgenie = "opsgenie",
        /// Prometheus Alertmanager.
        Alertmanager = "alertmanager",
        /// Annotations of Grafana.
        Grafana = "grafana",
        /// Repository dispatches of GitHub.
        GitHubDispatch = "githubdispatch",
        /// Comments on pull requests of GitHub.
        GitHubPullRequestComment = "githubpullrequestcomment",
        /// Comments on merge requests of GitLab.
        GitLabMergeRequestComment = "gitlabmergerequestcomment",
        /// PagerDuty.
        PagerDuty = "pagerduty",
        /// Datadog.
        DataDog = "datadog",
        /// NATS.
        Nats = "nats",
        /// Zulip.
        Zulip = "zulip",
        /// Traces of OpenTelemetry.
        Otel = "otel",
        /// Zoom.
        Zoom = "zoom",
        /// incident.io.
        IncidentIo = "incident.io",
    }
}

/// Which service, and how it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel(&[(
    "self.type == 'github' || self.type == 'gitlab' || self.type == 'gitea' || self.type == 'bitbucketserver' || self.type == 'bitbucket' || self.type == 'azuredevops' || !has(self.commitStatusExpr)",
    "spec.commitStatusExpr is only supported for the 'github', 'gitlab', 'gitea', 'bitbucketserver', 'bitbucket', 'azuredevops' provider types",
)])))]
pub struct ProviderSpec {
    /// Address of the service; what it looks like depends on the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2048))]
    pub address: Option<String>,
    /// A Secret with `ca.crt`, or `tls.crt` and `tls.key`, for the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalObjectReference>,
    /// Channel, room, topic or recipient; what it means depends on the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2048))]
    pub channel: Option<String>,
    /// A CEL expression for the identity of a commit status, in terms of `event`, `alert` and
    /// `provider`. For the types that set commit statuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_status_expr: Option<String>,
    /// No longer used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Address of a proxy. Use `proxySecretRef` instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2048, "pattern" = "^(http|https)://.*$"))]
    pub proxy: Option<String>,
    /// A Secret that describes a proxy: `address`, `username`, `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_secret_ref: Option<LocalObjectReference>,
    /// A Secret with credentials: `token`, `username` and `password`, `headers`, and `address`, which
    /// wins over the one above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
    /// A ServiceAccount in the namespace whose cloud identity is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Whether sending is paused.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
    /// How long sending an event may take; without it, 15 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = TIMEOUT_PATTERN))]
    pub timeout: Option<Duration>,
    /// Which service it is.
    #[serde(rename = "type")]
    pub type_: ProviderType,
    /// Name that messages are posted under.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 2048))]
    pub username: Option<String>,
}

impl ProviderSpec {
    /// Returns how long sending an event may take.
    #[must_use]
    pub fn timeout_or_default(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(15))
    }
}
