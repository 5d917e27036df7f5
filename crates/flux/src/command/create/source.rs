//! `flux create source`.

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{ArgMatches, FromArgMatches as _};
use serde_json::{Value, json};
use url::Url;

use super::credentials::Credentials;
use super::release::check_strategy;
use super::{Common, Draft, Ending, Spec, Words, ssh};
use crate::args::create::source::{
    BucketArgs, ChartArgs, GitArgs, HelmArgs, OciArgs, SourceArgs, VerifyArgs,
};
use crate::command::Session;
use crate::local::read_file;

const GIT: Words = Words {
    thing: "GitRepository source",
    changed: "GitRepository source",
    ending: Ending::Fetched {
        missing: "GitRepository source reconciliation completed but no artifact was found",
    },
};

const HELM: Words = Words {
    thing: "HelmRepository source",
    changed: "source",
    ending: Ending::Fetched {
        missing: "HelmRepository source reconciliation completed but no artifact was found",
    },
};

const BUCKET: Words = Words {
    thing: "Bucket source",
    changed: "Bucket source",
    ending: Ending::Fetched {
        missing: "Bucket source reconciliation but no artifact was found",
    },
};

const CHART: Words = Words {
    thing: "HelmChart source",
    changed: "source",
    ending: Ending::Fetched {
        missing: "HelmChart source reconciliation completed but no artifact was found",
    },
};

const OCI: Words = Words {
    thing: "OCIRepository",
    changed: "OCIRepository",
    ending: Ending::Fetched {
        missing: "no artifact was found",
    },
};

pub(super) async fn run(matches: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    match matches.subcommand() {
        Some(("bucket", leaf)) => bucket(leaf, session).await,
        Some(("chart", leaf)) => chart(leaf, session).await,
        Some(("git", leaf)) => git(leaf, session).await,
        Some(("helm", leaf)) => helm(leaf, session).await,
        Some(("oci", leaf)) => oci(leaf, session).await,
        _ => bail!("a source type is required"),
    }
}

/// A spec with what all sources have.
fn spec(common: &Common, leaf: &ArgMatches) -> Result<Spec> {
    let timeout = SourceArgs::from_arg_matches(leaf)?.fetch_timeout;
    let mut spec = Spec::default();
    spec.set("interval", common.args.interval.to_string())
        .duration("timeout", timeout);
    Ok(spec)
}

fn ignore(spec: &mut Spec, paths: &[String]) {
    if !paths.is_empty() {
        spec.set("ignore", paths.join("\n"));
    }
}

async fn git(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = GitArgs::from_arg_matches(leaf)?;
    let url = git_url(&args.url)?;
    let mut spec = spec(&common, leaf)?;
    spec.set("url", args.url.as_str())
        .set("ref", git_reference(&args)?)
        .switch("recurseSubmodules", args.recurse_submodules)
        .text("provider", args.provider.as_deref())
        .reference("secretRef", args.secret_ref.as_deref())
        .reference("proxySecretRef", args.proxy_secret_ref.as_deref());
    if url.scheme() == "ssh" && args.ca_file.is_some() {
        bail!("specifying a CA file is not supported for Git over SSH");
    }
    ignore(&mut spec, &args.ignore_paths);
    if !args.sparse_checkout_paths.is_empty() {
        spec.set("sparseCheckout", args.sparse_checkout_paths.clone());
    }
    if common.args.export {
        return Draft::new("GitRepository", &common, spec, session)?.print(session);
    }
    session
        .terminal
        .generation(format_args!("generating GitRepository source"));
    // Azure's and AWS's identities need no Secret, but a Secret of GitHub's must be there.
    if args.secret_ref.is_none() && matches!(args.provider.as_deref(), None | Some("generic")) {
        let credentials = git_credentials(&common, &args, &url, session).await?;
        if configure(
            &credentials,
            "applying secret with repository credentials",
            session,
        )
        .await?
        {
            spec.reference("secretRef", Some(&credentials.name));
        }
    }
    let draft = Draft::new("GitRepository", &common, spec, session)?;
    draft.apply(&GIT, session).await
}

/// Reads the address of a Git repository.
pub(super) fn git_url(text: &str) -> Result<Url> {
    if text.is_empty() {
        bail!("url is required");
    }
    let url = Url::parse(text).context("git URL parse failed")?;
    if !["ssh", "http", "https"].contains(&url.scheme()) {
        let scheme = url.scheme();
        bail!("git URL scheme '{scheme}' not supported, can be: ssh, http and https");
    }
    Ok(url)
}

fn git_reference(args: &GitArgs) -> Result<Value> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut reference = Spec::default();
    if let Some(commit) = given(&args.commit) {
        reference
            .set("commit", commit)
            .text("branch", args.branch.as_deref());
    } else if let Some(name) = given(&args.ref_name) {
        reference.set("name", name);
    } else if let Some(range) = given(&args.tag_semver) {
        reference.set("semver", range);
    } else if let Some(tag) = given(&args.tag) {
        reference.set("tag", tag);
    } else if let Some(branch) = given(&args.branch) {
        reference.set("branch", branch);
    } else {
        bail!(
            "a Git ref is required, use one of the following: --branch, --tag, --commit, --ref-name or --tag-semver"
        );
    }
    Ok(Value::Object(reference.0))
}

async fn git_credentials(
    common: &Common,
    args: &GitArgs,
    url: &Url,
    session: &mut Session<'_>,
) -> Result<Credentials> {
    let mut credentials = Credentials::new(&common.name, &common.labels);
    if url.scheme() == "ssh" {
        let given = (args.private_key_file.as_deref(), args.password.as_deref());
        let keys = ssh::keys(&args.ssh, given, url).await?;
        session.terminal.success(format_args!(
            "collected public key from SSH server:\n{}",
            keys.known_hosts
        ));
        session
            .terminal
            .generation(format_args!("deploy key: {}", keys.public));
        if !args.silent && !session.confirm("Have you added the deploy key to your repository") {
            bail!("aborting");
        }
        credentials.ssh(keys, args.password.as_deref());
        return Ok(credentials);
    }
    if url.scheme() == "http" {
        session.terminal.warning(format_args!(
            "insecure configuration: credentials configured for an HTTP URL"
        ));
    } else if let Some(path) = &args.ca_file {
        credentials.ca(&read_file(path).context("unable to read TLS CA file")?)?;
    }
    credentials.basic(args.username.as_deref(), args.password.as_deref());
    Ok(credentials)
}

/// Applies credentials, if there are any.
async fn configure(credentials: &Credentials, action: &str, session: &mut Session<'_>) -> Result<bool> {
    if credentials.is_empty() {
        return Ok(false);
    }
    session.terminal.action(format_args!("{action}"));
    credentials.apply(session).await?;
    session
        .terminal
        .success(format_args!("authentication configured"));
    Ok(true)
}

async fn oci(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = OciArgs::from_arg_matches(leaf)?;
    if args.url.is_empty() {
        bail!("url is required");
    }
    let mut reference = Spec::default();
    reference
        .text("digest", args.digest.as_deref())
        .text("semver", args.tag_semver.as_deref())
        .text("tag", args.tag.as_deref());
    if reference.0.is_empty() {
        bail!("--tag, --tag-semver or --digest is required");
    }
    let mut spec = spec(&common, leaf)?;
    spec.set("url", args.url.as_str())
        .set("provider", args.provider.as_str())
        .set("ref", reference.0)
        .switch("insecure", args.insecure)
        .text("serviceAccountName", args.service_account.as_deref())
        .reference("secretRef", args.secret_ref.as_deref())
        .reference("proxySecretRef", args.proxy_secret_ref.as_deref())
        .reference("certSecretRef", args.cert_ref.as_deref());
    if let Some(text) = &args.layer_selector {
        spec.set("layerSelector", layer_selector(text)?);
    }
    if let Some(verification) = verification(&args.verify)? {
        spec.set("verify", verification);
    }
    ignore(&mut spec, &args.ignore_paths);
    let draft = Draft::new("OCIRepository", &common, spec, session)?;
    if common.args.export {
        return draft.print(session);
    }
    draft.apply(&OCI, session).await
}

/// Reads `<media type>:<extract|copy>`.
fn layer_selector(text: &str) -> Result<Value> {
    let bad = || anyhow!("invalid layer selector '{text}', must be in format <media-type>:<extract|copy>");
    let (media_type, operation) = text.rsplit_once(':').ok_or_else(bad)?;
    if media_type.is_empty() || !["extract", "copy"].contains(&operation) {
        return Err(bad());
    }
    Ok(json!({"mediaType": media_type, "operation": operation}))
}

fn verification(args: &VerifyArgs) -> Result<Option<Value>> {
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let has_identity = given(&args.verify_issuer) || given(&args.verify_subject);
    let Some(provider) = &args.verify_provider else {
        if given(&args.verify_secret_ref) {
            bail!("a verification provider must be specified when a secret is specified");
        }
        if has_identity {
            bail!("a verification provider must be specified when OIDC issuer/subject is specified");
        }
        return Ok(None);
    };
    let mut verification = Spec::default();
    verification
        .set("provider", provider.as_str())
        .reference("secretRef", args.verify_secret_ref.as_deref());
    if has_identity {
        let identity = json!({
            "issuer": args.verify_issuer.as_deref().unwrap_or_default(),
            "subject": args.verify_subject.as_deref().unwrap_or_default(),
        });
        verification.set("matchOIDCIdentity", vec![identity]);
    }
    Ok(Some(Value::Object(verification.0)))
}

async fn helm(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = HelmArgs::from_arg_matches(leaf)?;
    if args.url.is_empty() {
        bail!("url is required");
    }
    let url = Url::parse(&args.url).context("url parse failed")?;
    let mut spec = spec(&common, leaf)?;
    spec.set("url", args.url.as_str());
    if url.scheme() == "oci" {
        spec.set("type", "oci")
            .text("provider", args.oci_provider.as_deref());
    }
    if args.secret_ref.is_some() {
        spec.reference("secretRef", args.secret_ref.as_deref())
            .switch("passCredentials", args.pass_credentials);
    }
    if common.args.export {
        return Draft::new("HelmRepository", &common, spec, session)?.print(session);
    }
    let credentials = helm_credentials(&common, &args)?;
    session
        .terminal
        .generation(format_args!("generating HelmRepository source"));
    if args.secret_ref.is_none()
        && configure(
            &credentials,
            "applying secret with repository credentials",
            session,
        )
        .await?
    {
        spec.reference("secretRef", Some(&credentials.name))
            .switch("passCredentials", args.pass_credentials);
    }
    let draft = Draft::new("HelmRepository", &common, spec, session)?;
    draft.apply(&HELM, session).await
}

fn helm_credentials(common: &Common, args: &HelmArgs) -> Result<Credentials> {
    let name = format!("helm-{}", common.name);
    let mut credentials = Credentials::new(&name, &common.labels);
    let files = (
        args.cert_file.as_deref(),
        args.key_file.as_deref(),
        args.ca_file.as_deref(),
    );
    credentials.helm((args.username.as_deref(), args.password.as_deref()), files)?;
    Ok(credentials)
}

async fn bucket(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = BucketArgs::from_arg_matches(leaf)?;
    if args.bucket_name.is_empty() {
        bail!("bucket-name is required");
    }
    if args.endpoint.is_empty() {
        bail!("endpoint is required");
    }
    let mut spec = spec(&common, leaf)?;
    spec.set("bucketName", args.bucket_name.as_str())
        .set("provider", args.provider.as_str())
        .set("endpoint", args.endpoint.as_str())
        .text("region", args.region.as_deref())
        .switch("insecure", args.insecure)
        .reference("secretRef", args.secret_ref.as_deref())
        .reference("proxySecretRef", args.proxy_secret_ref.as_deref());
    ignore(&mut spec, &args.ignore_paths);
    if common.args.export {
        return Draft::new("Bucket", &common, spec, session)?.print(session);
    }
    session
        .terminal
        .generation(format_args!("generating Bucket source"));
    if args.secret_ref.is_none() {
        let mut credentials = Credentials::new(&format!("bucket-{}", common.name), &common.labels);
        credentials.bucket(args.access_key.as_deref(), args.secret_key.as_deref());
        if configure(
            &credentials,
            "applying secret with the bucket credentials",
            session,
        )
        .await?
        {
            spec.reference("secretRef", Some(&credentials.name));
        }
    }
    let draft = Draft::new("Bucket", &common, spec, session)?;
    draft.apply(&BUCKET, session).await
}

async fn chart(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = ChartArgs::from_arg_matches(leaf)?;
    let source = args
        .source
        .as_ref()
        .ok_or_else(|| anyhow!("chart source is required"))?;
    if args.chart.is_empty() {
        bail!("chart name or path is required");
    }
    check_strategy(&args.reconcile_strategy)?;
    session
        .terminal
        .generation(format_args!("generating HelmChart source"));
    let mut spec = spec(&common, leaf)?;
    spec.set("chart", args.chart.as_str())
        .text("version", args.chart_version.as_deref())
        .set("reconcileStrategy", args.reconcile_strategy.as_str())
        .set("sourceRef", json!({"kind": source.kind, "name": source.name}));
    if let Some(verification) = verification(&args.verify)? {
        spec.set("verify", verification);
    }
    // Upstream has no timeout here: fetching is that of the source.
    spec.0.remove("timeout");
    let draft = Draft::new("HelmChart", &common, spec, session)?;
    if common.args.export {
        return draft.print(session);
    }
    draft.apply(&CHART, session).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_selectors_have_a_media_type_and_an_operation() {
        let selector = layer_selector("application/vnd.x.tar+gzip:copy").unwrap();
        assert_eq!(selector["operation"], "copy");
        for text in ["", "copy", ":copy", "a/b:", "a/b:move"] {
            assert!(layer_selector(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_of_repositories_have_a_scheme() {
        assert!(git_url("ssh://git@host/repo").is_ok());
        for (url, message) in [
            ("", "url is required"),
            (
                "ftp://host/x",
                "git URL scheme 'ftp' not supported, can be: ssh, http and https",
            ),
        ] {
            assert_eq!(git_url(url).unwrap_err().to_string(), message);
        }
    }
}
