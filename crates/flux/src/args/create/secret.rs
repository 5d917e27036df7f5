//! `flux create secret`.

use clap::Command;

use super::leaf;

/// Flags that say what kind of SSH key is made.
#[derive(Clone, Debug, clap::Args)]
pub struct SshKeyArgs {
    /// Kind of the SSH key that is made
    #[arg(long, value_name = "algorithm", default_value = "ecdsa", value_parser = ["rsa", "ecdsa", "ed25519"])]
    pub ssh_key_algorithm: String,

    /// Bits of an RSA key
    #[arg(long, value_name = "bits", default_value_t = 2048, value_parser = rsa_bits)]
    pub ssh_rsa_bits: usize,

    /// Curve of an ECDSA key
    #[arg(long, value_name = "curve", default_value = "p384", value_parser = ["p256", "p384", "p521"])]
    pub ssh_ecdsa_curve: String,
}

/// Bits that a key may have: more take minutes to find.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=16384;

fn rsa_bits(text: &str) -> Result<usize, String> {
    let bits = text.parse().map_err(|_| "must be a number".to_owned())?;
    if !RSA_BITS.contains(&bits) || bits % 8 != 0 {
        return Err(format!(
            "RSA key bit size must be a multiple of 8 between {} and {}",
            RSA_BITS.start(),
            RSA_BITS.end()
        ));
    }
    Ok(bits)
}

/// Flags of `create secret git`.
#[derive(Clone, Debug, clap::Args)]
pub struct GitSecretArgs {
    /// Address of the repository, such as ssh://git@host/org/repository
    #[arg(long, default_value = "", hide_default_value = true)]
    pub url: String,

    /// User of the basic authentication
    #[arg(short, long)]
    pub username: Option<String>,

    /// Password of the basic authentication, or of the private key
    #[arg(short, long)]
    pub password: Option<String>,

    /// Token instead of user and password
    #[arg(long, value_name = "token")]
    pub bearer_token: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take them for those of the command")]
    pub ssh: SshKeyArgs,

    /// Path of the certificate authority for the server
    #[arg(long, value_name = "file", alias = "ca-file")]
    pub ca_crt_file: Option<String>,

    /// Path of a private key for the server
    #[arg(long, value_name = "file")]
    pub private_key_file: Option<String>,
}

/// Flags of `create secret githubapp`.
#[derive(Clone, Debug, clap::Args)]
pub struct GitHubAppArgs {
    /// ID of the app
    #[arg(long, value_name = "id")]
    pub app_id: Option<String>,

    /// User or organization that has the app installed
    #[arg(long, value_name = "owner")]
    pub app_installation_owner: Option<String>,

    /// ID of the installation
    #[arg(long, value_name = "id")]
    pub app_installation_id: Option<String>,

    /// Path of the app's private key
    #[arg(long, value_name = "file")]
    pub app_private_key: Option<String>,

    /// Address of the API of a GitHub Enterprise server
    #[arg(long, value_name = "url")]
    pub app_base_url: Option<String>,
}

/// Flags that name the files of a certificate.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsFileArgs {
    /// Path of a client certificate
    #[arg(long, value_name = "file", alias = "cert-file")]
    pub tls_crt_file: Option<String>,

    /// Path of the key of the client certificate
    #[arg(long, value_name = "file", alias = "key-file")]
    pub tls_key_file: Option<String>,

    /// Path of the certificate authority for the server
    #[arg(long, value_name = "file", alias = "ca-file")]
    pub ca_crt_file: Option<String>,
}

/// Flags of `create secret helm`.
#[derive(Clone, Debug, clap::Args)]
pub struct HelmSecretArgs {
    /// User of the basic authentication
    #[arg(short, long)]
    pub username: Option<String>,

    /// Password of the basic authentication
    #[arg(short, long)]
    pub password: Option<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take them for those of the command")]
    pub tls: TlsFileArgs,
}

/// Flags of `create secret notation`.
#[derive(Clone, Debug, clap::Args)]
pub struct NotationArgs {
    /// Path of the trust policy
    #[arg(long, value_name = "file")]
    pub trust_policy_file: Option<String>,

    /// Paths of root certificates, which end in .crt or .pem
    #[arg(long, value_delimiter = ',', value_name = "files")]
    pub ca_cert_file: Vec<String>,
}

/// Flags of `create secret oci`.
#[derive(Clone, Debug, clap::Args)]
pub struct OciSecretArgs {
    /// Address of the registry or repository, such as ghcr.io/org/charts
    #[arg(long)]
    pub url: Option<String>,

    /// User of the basic authentication
    #[arg(short, long)]
    pub username: Option<String>,

    /// Password of the basic authentication
    #[arg(short, long)]
    pub password: Option<String>,
}

/// Flags of `create secret proxy`.
#[derive(Clone, Debug, clap::Args)]
pub struct ProxyArgs {
    /// Address of the proxy
    #[arg(long)]
    pub address: Option<String>,

    /// User of the basic authentication
    #[arg(short, long)]
    pub username: Option<String>,

    /// Password of the basic authentication
    #[arg(short, long)]
    pub password: Option<String>,
}

pub(super) fn command() -> Command {
    Command::new("secret")
        .about("Create or update Secrets")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(leaf::<GitSecretArgs>(
            "git",
            "Create or update a Secret for Git authentication",
            "flux create secret git auth --url=https://example.com/org/app --username=user --password=token\n\
             flux create secret git auth --url=ssh://git@example.com/org/app --ssh-key-algorithm=ed25519 --export",
        ))
        .subcommand(leaf::<GitHubAppArgs>(
            "githubapp",
            "Create or update a Secret for a GitHub App",
            "flux create secret githubapp auth --app-id=1 --app-installation-id=2 --app-private-key=./key.pem",
        ))
        .subcommand(leaf::<HelmSecretArgs>(
            "helm",
            "Create or update a Secret for a Helm repository",
            "flux create secret helm auth --username=user --password=password",
        ))
        .subcommand(leaf::<NotationArgs>(
            "notation",
            "Create or update a Secret for artifacts signed by notation",
            "flux create secret notation trust --trust-policy-file=./policy.json --ca-cert-file=./ca.crt",
        ))
        .subcommand(leaf::<OciSecretArgs>(
            "oci",
            "Create or update an image pull secret",
            "flux create secret oci auth --url=registry.example.com --username=user --password=password",
        ))
        .subcommand(leaf::<ProxyArgs>(
            "proxy",
            "Create or update a Secret for a proxy",
            "flux create secret proxy proxy --address=https://proxy.example.com --username=user --password=password",
        ))
        .subcommand(leaf::<TlsFileArgs>(
            "tls",
            "Create or update a Secret with TLS certificates",
            "flux create secret tls certs --tls-crt-file=./client.crt --tls-key-file=./client.key --ca-crt-file=./ca.crt",
        ))
}
