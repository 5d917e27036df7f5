//! `flux create source`.

use clap::{Args as _, Command};
use ferro_api::Duration;

use super::leaf;
use super::reference::{TypedReference, local_chart_source};
use super::secret::SshKeyArgs;

/// Flags of all sources.
#[derive(Clone, Debug, clap::Args)]
pub struct SourceArgs {
    /// How long fetching may take
    #[arg(long, global = true, value_name = "duration", display_order = super::LATE)]
    pub fetch_timeout: Option<Duration>,
}

/// Flags of `create source git`.
#[derive(Clone, Debug, clap::Args)]
pub struct GitArgs {
    /// Address of the repository, such as ssh://git@host/org/repository
    #[arg(long, default_value = "", hide_default_value = true)]
    pub url: String,

    /// Branch to follow
    #[arg(long)]
    pub branch: Option<String>,

    /// Tag to use
    #[arg(long)]
    pub tag: Option<String>,

    /// Range of versions, the newest tag of which is used
    #[arg(long, value_name = "range")]
    pub tag_semver: Option<String>,

    /// Name of the reference to follow
    #[arg(long, value_name = "name")]
    pub ref_name: Option<String>,

    /// Commit to use
    #[arg(long)]
    pub commit: Option<String>,

    /// User of the basic authentication
    #[arg(short, long)]
    pub username: Option<String>,

    /// Password of the basic authentication, or of the private key
    #[arg(short, long)]
    pub password: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take them for those of the command")]
    pub ssh: SshKeyArgs,

    /// Name of a Secret with credentials
    #[arg(long, value_name = "name")]
    pub secret_ref: Option<String>,

    /// Name of a Secret with the address of a proxy
    #[arg(long, value_name = "name")]
    pub proxy_secret_ref: Option<String>,

    /// Who gives credentials
    #[arg(long, value_parser = ["generic", "azure", "github", "aws"])]
    pub provider: Option<String>,

    /// Path of the certificate authority for the server
    #[arg(long, value_name = "file")]
    pub ca_file: Option<String>,

    /// Path of a private key for the server
    #[arg(long, value_name = "file")]
    pub private_key_file: Option<String>,

    /// Take submodules along
    #[arg(long)]
    pub recurse_submodules: bool,

    /// Take it that the deploy key is known to the server, and do not ask
    #[arg(short, long)]
    pub silent: bool,

    /// Paths to leave out: path1,path2
    #[arg(long, value_delimiter = ',', value_name = "paths")]
    pub ignore_paths: Vec<String>,

    /// Paths to check out, and no others: path1,path2
    #[arg(long, value_delimiter = ',', value_name = "paths")]
    pub sparse_checkout_paths: Vec<String>,
}

/// Flags of `create source oci`.
#[derive(Clone, Debug, clap::Args)]
pub struct OciArgs {
    /// Address of the repository, such as oci://host/org/repository
    #[arg(long, default_value = "", hide_default_value = true)]
    pub url: String,

    /// Tag to use
    #[arg(long)]
    pub tag: Option<String>,

    /// Range of versions, the newest tag of which is used
    #[arg(long, value_name = "range")]
    pub tag_semver: Option<String>,

    /// Digest to use
    #[arg(long)]
    pub digest: Option<String>,

    /// Who gives credentials
    #[arg(long, default_value = "generic", value_parser = ["generic", "aws", "azure", "gcp"])]
    pub provider: String,

    /// Name of an image pull secret
    #[arg(long, value_name = "name")]
    pub secret_ref: Option<String>,

    /// Name of a Secret with the address of a proxy
    #[arg(long, value_name = "name")]
    pub proxy_secret_ref: Option<String>,

    /// Name of a service account that has image pull secrets
    #[arg(long, value_name = "name")]
    pub service_account: Option<String>,

    /// Name of a Secret with TLS certificates
    #[arg(long, value_name = "name")]
    pub cert_ref: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take them for those of the command")]
    pub verify: VerifyArgs,

    /// Paths to leave out: path1,path2
    #[arg(long, value_delimiter = ',', value_name = "paths")]
    pub ignore_paths: Vec<String>,

    /// Do without TLS
    #[arg(long)]
    pub insecure: bool,

    /// Which layer to take, and how: <media type>:<extract|copy>
    #[arg(long, value_name = "selector")]
    pub layer_selector: Option<String>,
}

/// Flags that say how signatures are verified.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// What verifies signatures
    #[arg(long, value_parser = ["cosign", "notation"])]
    pub verify_provider: Option<String>,

    /// Name of a Secret with public keys
    #[arg(long, value_name = "name")]
    pub verify_secret_ref: Option<String>,

    /// Regular expression that the subject of the signature must match
    #[arg(long, value_name = "regex")]
    pub verify_subject: Option<String>,

    /// Regular expression that the issuer of the signature must match
    #[arg(long, value_name = "regex")]
    pub verify_issuer: Option<String>,
}

/// Flags of `create source helm`.
#[derive(Clone, Debug, clap::Args)]
pub struct HelmArgs {
    /// Address of the repository
    #[arg(long, default_value = "", hide_default_value = true)]
    pub url: String,

    /// User of the basic authentication
    #[arg(short, long)]
    pub username: Option<String>,

    /// Password of the basic authentication
    #[arg(short, long)]
    pub password: Option<String>,

    /// Path of a client certificate
    #[arg(long, value_name = "file")]
    pub cert_file: Option<String>,

    /// Path of the key of the client certificate
    #[arg(long, value_name = "file")]
    pub key_file: Option<String>,

    /// Path of the certificate authority for the server
    #[arg(long, value_name = "file")]
    pub ca_file: Option<String>,

    /// Name of a Secret with credentials
    #[arg(long, value_name = "name")]
    pub secret_ref: Option<String>,

    /// Who gives credentials for a registry
    #[arg(long, value_name = "provider")]
    pub oci_provider: Option<String>,

    /// Send credentials to all hosts that charts are at
    #[arg(long)]
    pub pass_credentials: bool,
}

/// Flags of `create source bucket`.
#[derive(Clone, Debug, clap::Args)]
pub struct BucketArgs {
    /// Name of the bucket
    #[arg(long, value_name = "name", default_value = "", hide_default_value = true)]
    pub bucket_name: String,

    /// Address of the storage
    #[arg(long, value_name = "address", default_value = "", hide_default_value = true)]
    pub endpoint: String,

    /// Who gives credentials
    #[arg(long, default_value = "generic", value_parser = ["generic", "aws", "azure", "gcp"])]
    pub provider: String,

    /// Access key
    #[arg(long, value_name = "key")]
    pub access_key: Option<String>,

    /// Secret key
    #[arg(long, value_name = "key")]
    pub secret_key: Option<String>,

    /// Region of the bucket
    #[arg(long)]
    pub region: Option<String>,

    /// Do without TLS
    #[arg(long)]
    pub insecure: bool,

    /// Name of a Secret with credentials
    #[arg(long, value_name = "name")]
    pub secret_ref: Option<String>,

    /// Name of a Secret with the address of a proxy
    #[arg(long, value_name = "name")]
    pub proxy_secret_ref: Option<String>,

    /// Paths to leave out: path1,path2
    #[arg(long, value_delimiter = ',', value_name = "paths")]
    pub ignore_paths: Vec<String>,
}

/// Flags of `create source chart`.
#[derive(Clone, Debug, clap::Args)]
pub struct ChartArgs {
    /// Where the chart is: <kind>/<name>
    #[arg(long, value_parser = local_chart_source)]
    pub source: Option<TypedReference>,

    /// Name or path of the chart
    #[arg(long, default_value = "", hide_default_value = true)]
    pub chart: String,

    /// Version of the chart, or a range of versions; of no importance for files of a repository
    #[arg(long, value_name = "version")]
    pub chart_version: Option<String>,

    /// When there is a new artifact: ChartVersion or Revision
    #[arg(long, value_name = "strategy", default_value = "ChartVersion")]
    pub reconcile_strategy: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take them for those of the command")]
    pub verify: VerifyArgs,
}

pub(super) fn command() -> Command {
    SourceArgs::augment_args(Command::new("source"))
        .about("Create or update sources")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(leaf::<BucketArgs>(
            "bucket",
            "Create or update a Bucket",
            "flux create source bucket app --bucket-name=app --endpoint=minio.minio.svc:9000 --insecure --access-key=user --secret-key=password\n\
             flux create source bucket app --bucket-name=app --endpoint=s3.amazonaws.com --provider=aws --region=us-east-1",
        ))
        .subcommand(leaf::<ChartArgs>(
            "chart",
            "Create or update a HelmChart",
            "flux create source chart app --source=HelmRepository/charts --chart=app --chart-version=6.x\n\
             flux create source chart app --source=GitRepository/app --chart=./charts/app",
        ))
        .subcommand(leaf::<GitArgs>(
            "git",
            "Create or update a GitRepository",
            "flux create source git app --url=https://example.com/org/app --branch=main\n\
             flux create source git app --url=https://example.com/org/app --tag-semver='>=3.2.0 <3.3.0' --username=user --password=token\n\
             flux create source git app --url=ssh://git@example.com/org/app --branch=main --private-key-file=./key",
        ))
        .subcommand(leaf::<HelmArgs>(
            "helm",
            "Create or update a HelmRepository",
            "flux create source helm charts --url=https://charts.example.com --interval=10m\n\
             flux create source helm charts --url=oci://registry.example.com/charts --secret-ref=registry",
        ))
        .subcommand(leaf::<OciArgs>(
            "oci",
            "Create or update an OCIRepository",
            "flux create source oci app --url=oci://registry.example.com/org/app --tag=latest --interval=10m",
        ))
}
