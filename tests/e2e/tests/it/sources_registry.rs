//! Artifacts and charts of distribution, the registry that most others are made from, without TLS for everybody and with TLS
//! for who has a password, a token or a certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Registry, Target, Tokens, World, archive, cases};
use ferro_testkit::tls::{Authority, Pair};
use serde_json::{Value, json};

use super::sources::{artifact, failed_but_kept, files};

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["sources_registry":
        artifacts_of_distribution_are_followed_with_and_without_tls,
        charts_of_distribution_are_followed_with_tls,
        registry_with_tokens_is_asked_with_those_of_its_service,
        registry_with_client_certificates_is_asked_with_one,
    ];
    // The program may have to be built first.
    all.into_iter().map(|it| it.within(600)).collect()
}

const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

/// How a registry is started.
type Start = fn(&World, &Path) -> Result<Option<Registry>>;

async fn start(case: &Case, start: Start) -> Result<Option<Arc<Registry>>> {
    let dir = case.dir()?;
    let registry = case.blocking(move |world| start(world, &dir)).await?;
    if registry.is_none() {
        case.skip("no go to build the registry with");
    }
    Ok(registry.map(Arc::new))
}

/// Stores a file as `flux push artifact` does, and gives the revision that a source of the tag has.
async fn push(case: &Case, registry: &Arc<Registry>, tag: &'static str, content: &str) -> Result<String> {
    let (registry, layer) = (Arc::clone(registry), archive(&[("app.txt", content)])?);
    let push = move |_: &_| {
        let config = ("application/vnd.cncf.flux.config.v1+json", &b"{}"[..]);
        let layer = ("application/vnd.cncf.flux.content.v1.tar+gzip", layer.as_slice());
        registry.push("org/app", tag, config, layer)
    };
    Ok(format!("{tag}@{}", case.blocking(push).await?))
}

/// Stores a chart as `helm push` does.
async fn push_chart(case: &Case, registry: &Arc<Registry>, version: &'static str) -> Result<()> {
    let metadata = format!("apiVersion: v2\nname: app\nversion: {version}\n");
    let (registry, layer) = (Arc::clone(registry), archive(&[("app/Chart.yaml", &metadata)])?);
    let push = move |_: &_| {
        let metadata = json!({"apiVersion": "v2", "name": "app", "version": version}).to_string();
        let config = ("application/vnd.cncf.helm.config.v1+json", metadata.as_bytes());
        let layer = (
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            layer.as_slice(),
        );
        registry.push("charts/app", version, config, layer)
    };
    case.blocking(push).await.map(drop)
}

async fn trust(case: &Case, registry: &Registry) -> Result<()> {
    let authority = json!({"ca.crt": registry.authority()});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "authority"}, "stringData": authority});
    case.apply_object(&secret).await
}

/// Writes the Secret with the password of the account.
async fn password(case: &Case, registry: &Registry, password: &str) -> Result<()> {
    let config = json!({".dockerconfigjson": registry.docker_config(password)});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "account"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": config,
    });
    case.apply_object(&secret).await
}

async fn create(case: &Case, kind: &str, name: &str, spec: Value) -> Result<Target> {
    let target = case.object(SOURCE, kind, name)?;
    let object = json!({"apiVersion": SOURCE, "kind": kind, "metadata": {"name": name}, "spec": spec});
    target.apply(&object).await?;
    Ok(target)
}

/// Four sources: by tag and by version, without TLS and with it.
async fn sources(case: &Case, registry: &Registry) -> Result<Vec<(Target, &'static str)>> {
    let mut sources = Vec::new();
    for (way, reference) in [
        ("tag", json!({"tag": "latest"})),
        ("semver", json!({"semver": "1.x"})),
    ] {
        let url = format!("oci://{}/org/app", registry.plain());
        let plain = json!({"interval": "1h", "url": url, "ref": reference, "insecure": true});
        let url = format!("oci://{}/org/app", registry.secured());
        let secured = json!({
            "interval": "1h", "url": url, "ref": reference,
            "secretRef": {"name": "account"}, "certSecretRef": {"name": "authority"},
        });
        for (name, spec) in [("plain", plain), ("secured", secured)] {
            let source = create(case, "OCIRepository", &format!("{name}-{way}"), spec).await?;
            sources.push((source, way));
        }
    }
    Ok(sources)
}

/// Waits until a source has the revision, and in it the file with this content.
async fn stored(case: &Case, source: &Target, revision: &str, content: &str) -> Result<()> {
    let message = format!("stored artifact for digest '{revision}'");
    let object = source.expect("Ready", "True", "Succeeded", &message).await?;
    let (status, files) = (&object["status"], files(&artifact(case, &object).await?)?);
    ensure!(status["artifact"]["revision"] == revision, "{status}");
    ensure!(files == [("app.txt".to_owned(), content.to_owned())], "{files:?}");
    Ok(())
}

async fn artifacts_of_distribution_are_followed_with_and_without_tls(case: Case) -> Result<()> {
    let Some(registry) = start(&case, Registry::start).await? else {
        return Ok(());
    };
    trust(&case, &registry).await?;
    password(&case, &registry, Registry::PASSWORD).await?;
    let latest = push(&case, &registry, "latest", "latest one").await?;
    let version = push(&case, &registry, "1.9.0", "1.9.0").await?;
    let sources = sources(&case, &registry).await?;
    for (source, way) in &sources {
        match *way {
            "tag" => stored(&case, source, &latest, "latest one").await?,
            _ => stored(&case, source, &version, "1.9.0").await?,
        }
    }

    let latest = push(&case, &registry, "latest", "latest two").await?;
    let version = push(&case, &registry, "1.10.0", "1.10.0").await?;
    push(&case, &registry, "2.0.0", "not in the range").await?;
    for (source, way) in &sources {
        source.request().await?;
        match *way {
            "tag" => stored(&case, source, &latest, "latest two").await?,
            _ => stored(&case, source, &version, "1.10.0").await?,
        }
    }

    refused(&case, &registry, &latest, &version).await
}

/// Who may not read is told so and keeps what there is, until it may again.
async fn refused(case: &Case, registry: &Arc<Registry>, latest: &str, version: &str) -> Result<()> {
    let secured = |way: &str| case.object(SOURCE, "OCIRepository", &format!("secured-{way}"));
    let (source, versions) = (secured("tag")?, secured("semver")?);
    password(case, registry, WRONG).await?;
    let newer = push(case, registry, "latest", "latest three").await?;
    source.request().await?;
    kept(case, &source, PULL_FAILED, UNAUTHORIZED, latest).await?;
    versions.request().await?;
    kept(case, &versions, READ_FAILED, UNAUTHORIZED, version).await?;
    password(case, registry, Registry::PASSWORD).await?;
    source.request().await?;
    stored(case, &source, &newer, "latest three").await?;

    // What the registry does not have is no matter of access.
    source.merge(&json!({"spec": {"ref": {"tag": "gone"}}})).await?;
    kept(case, &source, PULL_FAILED, "MANIFEST_UNKNOWN", &newer).await?;
    // Nobody else knows the authority.
    let reference = json!({"tag": "latest"});
    source
        .merge(&json!({"spec": {"ref": reference, "certSecretRef": null}}))
        .await?;
    kept(case, &source, PULL_FAILED, UNKNOWN_AUTHORITY, &newer).await?;
    let authority = json!({"certSecretRef": {"name": "authority"}});
    source.merge(&json!({"spec": authority})).await?;
    stored(case, &source, &newer, "latest three").await
}

/// The source says why it has nothing newer, but no password, and its artifact is still served.
async fn kept(case: &Case, source: &Target, reason: &str, message: &str, revision: &str) -> Result<()> {
    failed_but_kept(case, source, reason, message, revision).await?;
    let object = source.get().await?;
    let status = object["status"].to_string();
    ensure!(!status.contains(WRONG), "{status}");
    Ok(())
}

const WRONG: &str = "wrong-horse-battery";
const PULL_FAILED: &str = "OCIArtifactPullFailed";
const READ_FAILED: &str = "ReadOperationFailed";
const UNAUTHORIZED: &str = "UNAUTHORIZED";
const UNKNOWN_AUTHORITY: &str = "invalid peer certificate: UnknownIssuer";

async fn charts_of_distribution_are_followed_with_tls(case: Case) -> Result<()> {
    let Some(registry) = start(&case, Registry::start).await? else {
        return Ok(());
    };
    trust(&case, &registry).await?;
    password(&case, &registry, Registry::PASSWORD).await?;
    push_chart(&case, &registry, "1.9.0").await?;
    let spec = json!({
        "type": "oci", "url": format!("oci://{}/charts", registry.secured()),
        "secretRef": {"name": "account"}, "certSecretRef": {"name": "authority"},
    });
    create(&case, "HelmRepository", "app", spec).await?;
    let source = json!({"kind": "HelmRepository", "name": "app"});
    let spec = json!({"interval": "1h", "chart": "app", "version": "1.x", "sourceRef": source});
    let chart = create(&case, "HelmChart", "app", spec).await?;
    pulled(&case, &chart, "1.9.0").await?;

    push_chart(&case, &registry, "1.10.0").await?;
    push_chart(&case, &registry, "2.0.0").await?;
    chart.request().await?;
    pulled(&case, &chart, "1.10.0").await?;

    password(&case, &registry, WRONG).await?;
    chart.request().await?;
    kept(&case, &chart, "AuthenticationFailed", UNAUTHORIZED, "1.10.0").await?;
    password(&case, &registry, Registry::PASSWORD).await?;
    chart.reconcile().await?;
    pulled(&case, &chart, "1.10.0").await
}

/// Waits until that version of the chart is stored.
async fn pulled(case: &Case, chart: &Target, version: &str) -> Result<()> {
    let message = format!("pulled 'app' chart with version '{version}'");
    let object = chart
        .expect("Ready", "True", "ChartPullSucceeded", &message)
        .await?;
    let files = files(&artifact(case, &object).await?)?;
    let (name, metadata) = files.first().context("an empty chart")?;
    let is_it = name == "app/Chart.yaml" && metadata.contains(&format!("version: {version}\n"));
    ensure!(is_it, "{files:?}");
    Ok(())
}

/// The OCIRepository and the chart of a HelmRepository at the address with TLS; `more` is merged into the specs of both.
async fn artifact_and_chart(case: &Case, registry: &Registry, more: &Value) -> Result<(Target, Target)> {
    let with = |mut spec: Value| {
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    };
    let url = format!("oci://{}/org/app", registry.secured());
    let spec = with(json!({"interval": "1h", "url": url, "ref": {"tag": "latest"}}));
    let artifact = create(case, "OCIRepository", "app", spec).await?;
    let url = format!("oci://{}/charts", registry.secured());
    create(
        case,
        "HelmRepository",
        "app",
        with(json!({"type": "oci", "url": url})),
    )
    .await?;
    let source = json!({"kind": "HelmRepository", "name": "app"});
    let spec = json!({"interval": "1h", "chart": "app", "version": "1.x", "sourceRef": source});
    let chart = create(case, "HelmChart", "app", spec).await?;
    Ok((artifact, chart))
}

async fn registry_with_tokens_is_asked_with_those_of_its_service(case: Case) -> Result<()> {
    let Some(registry) = start(&case, Registry::with_tokens).await? else {
        return Ok(());
    };
    let tokens = registry.tokens().context("no service of tokens")?;
    trust(&case, &registry).await?;
    password(&case, &registry, Registry::PASSWORD).await?;
    let first = push(&case, &registry, "latest", "latest one").await?;
    push_chart(&case, &registry, "1.9.0").await?;
    // Clients keep a token for minutes that the registry refuses soon.
    tokens.let_live(LIFE);
    let access = json!({"secretRef": {"name": "account"}, "certSecretRef": {"name": "authority"}});
    let (artifact, chart) = artifact_and_chart(&case, &registry, &access).await?;
    stored(&case, &artifact, &first, "latest one").await?;
    pulled(&case, &chart, "1.9.0").await?;
    let scopes = tokens.take_scopes();
    for scope in ["repository:org/app:pull", "repository:charts/app:pull"] {
        ensure!(scopes.iter().any(|it| it == scope), "{scope}: {scopes:?}");
    }

    // An expired token is replaced, and nobody hears of it.
    tokio::time::sleep(LIFE + Duration::from_secs(2)).await;
    let second = push(&case, &registry, "latest", "latest two").await?;
    push_chart(&case, &registry, "1.10.0").await?;
    artifact.request().await?;
    chart.request().await?;
    stored(&case, &artifact, &second, "latest two").await?;
    pulled(&case, &chart, "1.10.0").await?;
    let scopes = tokens.take_scopes();
    ensure!(
        scopes.iter().any(|it| it == "repository:org/app:pull"),
        "{scopes:?}"
    );
    for (target, warning) in [(&artifact, PULL_FAILED), (&chart, "AuthenticationFailed")] {
        let events = target.events().await?;
        ensure!(events.iter().all(|it| it.reason != warning), "{events:?}");
    }

    only_the_password_gets_tokens(&case, &registry, tokens, [&artifact, &chart], &second).await
}

/// How long the registry takes a token.
const LIFE: Duration = Duration::from_secs(10);

async fn only_the_password_gets_tokens(
    case: &Case,
    registry: &Arc<Registry>,
    tokens: &Tokens,
    [artifact, chart]: [&Target; 2],
    revision: &str,
) -> Result<()> {
    password(case, registry, WRONG).await?;
    let third = push(case, registry, "latest", "latest three").await?;
    push_chart(case, registry, "1.11.0").await?;
    artifact.request().await?;
    kept(case, artifact, PULL_FAILED, UNAUTHORIZED, revision).await?;
    chart.request().await?;
    kept(case, chart, "AuthenticationFailed", UNAUTHORIZED, "1.10.0").await?;
    ensure!(tokens.take_refused() > 0, "nobody was refused");
    ensure!(tokens.take_scopes().is_empty(), "somebody got a token");
    password(case, registry, Registry::PASSWORD).await?;
    artifact.request().await?;
    chart.request().await?;
    stored(case, artifact, &third, "latest three").await?;
    pulled(case, chart, "1.11.0").await
}

/// Writes the Secret with the authority, and with the certificate of a client if there is one.
async fn certificate(case: &Case, registry: &Registry, identity: Option<&Pair>) -> Result<()> {
    let mut data = json!({"ca.crt": registry.authority()});
    if let Some(identity) = identity {
        data["tls.crt"] = json!(identity.certificate);
        data["tls.key"] = json!(identity.key);
    }
    // What is left out must go, too.
    let secret = case.object("v1", "Secret", "identity")?;
    if secret.find().await?.is_some() {
        secret.delete().await?;
    }
    case.apply_object(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "identity"}, "stringData": data}),
    )
    .await
}

async fn registry_with_client_certificates_is_asked_with_one(case: Case) -> Result<()> {
    let Some(registry) = start(&case, Registry::with_client_certificates).await? else {
        return Ok(());
    };
    let first = push(&case, &registry, "latest", "latest one").await?;
    push_chart(&case, &registry, "1.9.0").await?;
    certificate(&case, &registry, None).await?;
    let access = json!({"certSecretRef": {"name": "identity"}});
    let (artifact, chart) = artifact_and_chart(&case, &registry, &access).await?;
    for (identity, alert) in [
        (None, "CertificateRequired"),
        (
            Some(Authority::new("another").client(Registry::USER)),
            "UnknownCA",
        ),
    ] {
        certificate(&case, &registry, identity.as_ref()).await?;
        artifact.reconcile().await?;
        artifact.expect("Ready", "False", PULL_FAILED, alert).await?;
        chart.reconcile().await?;
        chart.expect("Ready", "False", "ChartPullError", alert).await?;
    }
    let identity = registry.client_certificate();
    certificate(&case, &registry, Some(&identity)).await?;
    artifact.reconcile().await?;
    stored(&case, &artifact, &first, "latest one").await?;
    chart.reconcile().await?;
    pulled(&case, &chart, "1.9.0").await?;

    // Who comes without it keeps what there was.
    certificate(&case, &registry, None).await?;
    let second = push(&case, &registry, "latest", "latest two").await?;
    artifact.request().await?;
    kept(&case, &artifact, PULL_FAILED, "CertificateRequired", &first).await?;
    certificate(&case, &registry, Some(&identity)).await?;
    artifact.request().await?;
    stored(&case, &artifact, &second, "latest two").await
}
