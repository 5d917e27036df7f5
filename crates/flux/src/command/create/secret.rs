//! `flux create secret`.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgMatches, FromArgMatches as _};
use ferro_api::secret_key as key;
use serde_json::Value;

use super::credentials::{Credentials, text};
use super::source::git_url;
use super::{Common, ssh};
use crate::args::create::secret::{
    GitHubAppArgs, GitSecretArgs, HelmSecretArgs, NotationArgs, OciSecretArgs, ProxyArgs, TlsFileArgs,
};
use crate::command::Session;
use crate::local::read_file;

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let Some((kind, leaf)) = matches.subcommand() else {
        bail!("a secret type is required")
    };
    let common = Common::read(leaf)?;
    let mut credentials = Credentials::new(&common.name, &common.labels);
    match kind {
        "git" => git(&GitSecretArgs::from_arg_matches(leaf)?, &mut credentials).await?,
        "githubapp" => githubapp(&GitHubAppArgs::from_arg_matches(leaf)?, &mut credentials)?,
        "helm" => helm(&HelmSecretArgs::from_arg_matches(leaf)?, &mut credentials)?,
        "notation" => notation(&NotationArgs::from_arg_matches(leaf)?, &mut credentials)?,
        "oci" => oci(&OciSecretArgs::from_arg_matches(leaf)?, &mut credentials)?,
        "proxy" => proxy(&ProxyArgs::from_arg_matches(leaf)?, &mut credentials)?,
        "tls" => tls(&TlsFileArgs::from_arg_matches(leaf)?, &mut credentials)?,
        other => bail!("unknown secret type {other:?}"),
    }
    if common.args.export {
        return credentials.print(session);
    }
    if let Some(public) = credentials.get(key::IDENTITY_PUB) {
        session.terminal.generation(format_args!("deploy key: {public}"));
    }
    credentials.apply(session).await?;
    let what = if kind == "notation" {
        "notation configuration"
    } else {
        kind
    };
    session.terminal.action(format_args!(
        "{what} secret '{}' created in '{}' namespace",
        common.name, session.namespace
    ));
    Ok(())
}

fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn required<'t>(text: Option<&'t String>, flag: &str) -> Result<&'t str> {
    match given(text) {
        Some(text) => Ok(text),
        None => bail!("--{flag} is required"),
    }
}

async fn git(args: &GitSecretArgs, credentials: &mut Credentials) -> Result<()> {
    let url = git_url(&args.url)?;
    if url.scheme() == "ssh" {
        let given = (args.private_key_file.as_deref(), args.password.as_deref());
        credentials.ssh(ssh::keys(&args.ssh, given, &url).await?, args.password.as_deref());
        return Ok(());
    }
    let user = (given(args.username.as_ref()), given(args.password.as_ref()));
    let token = given(args.bearer_token.as_ref());
    match (user, token) {
        ((Some(_), Some(_)), Some(_)) => bail!("user credentials and bearer token cannot be used together"),
        ((Some(_), Some(_)), None) | (_, Some(_)) => {}
        _ => bail!("for Git over HTTP/S the username and password, or a bearer token is required"),
    }
    credentials.basic(user.0, user.1);
    credentials.optional(key::BEARER_TOKEN, token);
    if let Some(path) = &args.ca_crt_file {
        credentials.ca(&read_file(path).context("unable to read TLS CA file")?)?;
    }
    Ok(())
}

fn githubapp(args: &GitHubAppArgs, credentials: &mut Credentials) -> Result<()> {
    let id = required(args.app_id.as_ref(), "app-id")?;
    let owner = given(args.app_installation_owner.as_ref());
    let installation = given(args.app_installation_id.as_ref());
    if owner.is_none() && installation.is_none() {
        bail!("--app-installation-id or --app-installation-owner is required");
    }
    let path = required(args.app_private_key.as_ref(), "app-private-key")?;
    let private_key = read_file(path).context("unable to read private key file")?;
    credentials
        .of_type("Opaque")
        .set(key::GITHUB_APP_ID, id)
        .set(key::GITHUB_APP_PRIVATE_KEY, text(&private_key)?)
        .optional(key::GITHUB_APP_INSTALLATION_ID, installation)
        .optional(key::GITHUB_APP_INSTALLATION_OWNER, owner)
        .optional(key::GITHUB_APP_BASE_URL, given(args.app_base_url.as_ref()));
    Ok(())
}

fn helm(args: &HelmSecretArgs, credentials: &mut Credentials) -> Result<()> {
    let user = (given(args.username.as_ref()), given(args.password.as_ref()));
    credentials.helm(user, files(&args.tls))
}

fn files(args: &TlsFileArgs) -> (Option<&str>, Option<&str>, Option<&str>) {
    (
        given(args.tls_crt_file.as_ref()),
        given(args.tls_key_file.as_ref()),
        given(args.ca_crt_file.as_ref()),
    )
}

fn tls(args: &TlsFileArgs, credentials: &mut Credentials) -> Result<()> {
    credentials.tls(files(args))?;
    if credentials.is_empty() {
        bail!("no CA certificate or client certificate pair found");
    }
    // A Secret of this type must have a certificate and a key.
    if credentials.get(key::TLS_CERT).is_some() {
        credentials.of_type("kubernetes.io/tls");
    }
    Ok(())
}

fn proxy(args: &ProxyArgs, credentials: &mut Credentials) -> Result<()> {
    let Some(address) = given(args.address.as_ref()) else {
        bail!("address is required")
    };
    url::Url::parse(address).context("invalid proxy address")?;
    credentials
        .of_type("Opaque")
        .set(key::ADDRESS, address)
        .optional(key::USERNAME, given(args.username.as_ref()))
        .optional(key::PASSWORD, given(args.password.as_ref()));
    Ok(())
}

fn oci(args: &OciSecretArgs, credentials: &mut Credentials) -> Result<()> {
    let url = required(args.url.as_ref(), "url")?;
    let username = required(args.username.as_ref(), "username")?;
    let password = required(args.password.as_ref(), "password")?;
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if !url.chars().all(is_known) || url.contains("//") {
        bail!("error parsing url: 'could not parse reference: {url}'");
    }
    // Field by field, in the order in which upstream has them.
    let text = |text: &str| Value::from(text).to_string();
    let auth = STANDARD.encode(format!("{username}:{password}"));
    let config = format!(
        "{{\n  \"auths\": {{\n    {}: {{\n      \"username\": {},\n      \"password\": {},\n      \"auth\": {}\n    }}\n  }}\n}}",
        text(url),
        text(username),
        text(password),
        text(&auth),
    );
    credentials
        .of_type("kubernetes.io/dockerconfigjson")
        .set(".dockerconfigjson", config);
    Ok(())
}

fn notation(args: &NotationArgs, credentials: &mut Credentials) -> Result<()> {
    if args.ca_cert_file.is_empty() {
        bail!("--ca-cert-file is required");
    }
    let path = required(args.trust_policy_file.as_ref(), "trust-policy-file")?;
    let policy = read_file(path).context("unable to read trust policy file")?;
    check_policy(path, &policy)?;
    let mut problems = Vec::new();
    for path in &args.ca_cert_file {
        let name = path.rsplit('/').next().unwrap_or(path);
        if !name.ends_with(".crt") && !name.ends_with(".pem") {
            problems.push(format!("{name} must end with either .crt or .pem"));
            continue;
        }
        match read_file(path).and_then(|bytes| text(&bytes)) {
            Ok(certificate) => {
                credentials.set(name, certificate);
            }
            Err(error) => problems.push(format!("unable to read TLS CA file: {error}")),
        }
    }
    if !problems.is_empty() {
        bail!(problems.join("\n"));
    }
    credentials.set("trustpolicy.json", text(&policy)?);
    Ok(())
}

/// Refuses a file that is no trust policy: what is in it is judged by the controller.
fn check_policy(path: &str, policy: &[u8]) -> Result<()> {
    let policy: Value =
        serde_json::from_slice(policy).with_context(|| format!("failed to unmarshal trust policy {path}"))?;
    let has = |field: &str| policy.get(field).is_some_and(|value| !value.is_null());
    if !has("version") {
        bail!("invalid trust policy: trust policy document has empty version, version must be specified");
    }
    let policies = policy.get("trustPolicies").and_then(Value::as_array);
    if policies.is_none_or(Vec::is_empty) {
        bail!("invalid trust policy: trust policy document can not have zero trust policy statements");
    }
    Ok(())
}
