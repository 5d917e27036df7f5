//! `flux create helmrelease`.

use clap::Command;
use ferro_api::Duration;

use super::leaf;
use super::reference::{TypedReference, chart_source};

/// Flags of `create helmrelease`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReleaseArgs {
    /// Name of the release [default: that of the object, with the target namespace before it]
    #[arg(long, value_name = "name")]
    pub release_name: Option<String>,

    /// Where the chart is: <kind>/<name>.<namespace>
    #[arg(long, value_parser = chart_source)]
    pub source: Option<TypedReference>,

    /// Name or path of the chart
    #[arg(long, default_value = "", hide_default_value = true)]
    pub chart: String,

    /// Version of the chart, or a range of versions; of no importance for files of a repository
    #[arg(long, value_name = "version")]
    pub chart_version: Option<String>,

    /// An object whose artifact is the chart: <kind>/<name>.<namespace>
    #[arg(long, value_name = "reference", default_value = "", hide_default_value = true)]
    pub chart_ref: String,

    /// How often new versions of the chart are looked for
    #[arg(long, value_name = "duration")]
    pub chart_interval: Option<Duration>,

    /// Releases that must be ready before: <name> or <namespace>/<name>
    #[arg(long, value_delimiter = ',', value_name = "names")]
    pub depends_on: Vec<String>,

    /// Namespace of the release [default: that of the object]
    #[arg(long, value_name = "namespace")]
    pub target_namespace: Option<String>,

    /// Namespace of the release's records [default: that of the object]
    #[arg(long, value_name = "namespace")]
    pub storage_namespace: Option<String>,

    /// Create the target namespace if it is not there
    #[arg(long)]
    pub create_target_namespace: bool,

    /// Name of the service account with whose rights the release is made
    #[arg(long, value_name = "name")]
    pub service_account: Option<String>,

    /// When there is a new artifact: ChartVersion or Revision
    #[arg(long, value_name = "strategy", default_value = "ChartVersion")]
    pub reconcile_strategy: String,

    /// Paths of files with values, the last of which win
    #[arg(long, value_delimiter = ',', value_name = "files")]
    pub values: Vec<String>,

    /// Objects with values under the key values.yaml: <kind>/<name>
    #[arg(long, value_delimiter = ',', value_name = "references")]
    pub values_from: Vec<String>,

    /// What an upgrade does with custom resource definitions
    #[arg(long, value_parser = ["Skip", "Create", "CreateReplace"])]
    pub crds: Option<String>,

    /// Name of a Secret with the kubeconfig of another cluster
    #[arg(long, value_name = "name")]
    pub kubeconfig_secret_ref: Option<String>,
}

pub(super) fn command() -> Command {
    let examples = "flux create hr app --source=HelmRepository/charts --chart=app --chart-version='>4.0.0'\n\
        flux create hr app --chart-ref=OCIRepository/app.flux-system --values=./values.yaml\n\
        flux create hr app --source=GitRepository/app --chart=./charts/app --target-namespace=prod --create-target-namespace --export";
    leaf::<ReleaseArgs>("helmrelease", "Create or update a HelmRelease", examples).visible_alias("hr")
}
