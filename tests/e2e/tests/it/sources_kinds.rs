//! Registries, Helm repositories and object storages become artifacts, and what is in them comes to the cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use e2e::{Case, Entry, Target, archive, cases, config_map, text};
use ferro_testkit::http::{Request, Response, Server};
use ferro_testkit::registry::Registry;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_kinds":
        registry_feeds_a_kustomization_and_a_new_tag_comes_at_a_request,
        registry_that_lies_keeps_what_runs,
        bucket_feeds_a_kustomization_and_only_what_changed_is_fetched,
        helm_repository_and_chart_follow_a_new_version,
        chart_of_a_git_repository_is_packaged_with_its_dependency,
        registry_of_charts_is_static_and_gives_a_chart,
        flux_shows_and_reconciles_all_sources,
    ]
}

const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

/// Applies a source of a kind with this spec.
async fn source(case: &Case, kind: &str, name: &str, spec: Value) -> Result<Target> {
    let target = case.object(SOURCE, kind, name)?;
    let object = json!({"apiVersion": SOURCE, "kind": kind, "metadata": {"name": name}, "spec": spec});
    target.apply(&object).await?;
    Ok(target)
}

/// Applies a Kustomization of a source called `app`.
async fn kustomize(case: &Case, kind: &str) -> Result<Target> {
    let source = json!({"sourceRef": {"kind": kind, "name": "app"}});
    case.kustomize("app", "app", source).await
}

/// Pushes files as `flux push artifact` does.
fn push(registry: &Registry, tag: &str, files: &[(&str, &str)]) -> Result<String> {
    let layer = archive(files)?;
    let media_type = "application/vnd.cncf.flux.content.v1.tar+gzip";
    Ok(registry.put_artifact("org/app", tag, &[(media_type, &layer)], &[]))
}

async fn oci_repository(case: &Case, registry: &Registry) -> Result<Target> {
    let url = format!("oci://{}/org/app", registry.host());
    let spec = json!({"interval": "1h", "url": url, "insecure": true, "ref": {"tag": "latest"}});
    source(case, "OCIRepository", "app", spec).await
}

/// The stored artifact, checked: its bytes are those that its digest says.
async fn artifact(case: &Case, object: &Value) -> Result<Vec<u8>> {
    let (status, bytes) = case.download(&text(object, "/status/artifact/url")).await?;
    ensure!(status == 200, "{}", object["status"]);
    let hex = Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _infallible = write!(hex, "{byte:02x}");
            hex
        });
    ensure!(
        object["status"]["artifact"]["digest"] == format!("sha256:{hex}"),
        "{}",
        object["status"]
    );
    Ok(bytes)
}

/// Waits until the ConfigMap of the tests has this value.
async fn has(case: &Case, value: &str) -> Result<()> {
    let has_it = |it: &Value| it["data"]["key"] == value;
    case.config_map("app")?
        .until("the value is applied", has_it)
        .await?;
    Ok(())
}

async fn registry_feeds_a_kustomization_and_a_new_tag_comes_at_a_request(case: Case) -> Result<()> {
    let registry = Registry::start();
    let first = push(
        &registry,
        "latest",
        &[("app.yaml", &config_map("app", &[("key", "one")]))],
    )?;
    let source = oci_repository(&case, &registry).await?;
    let kustomization = kustomize(&case, "OCIRepository").await?;
    let revision = format!("latest@{first}");
    let message = format!("stored artifact for digest '{revision}'");
    let object = source.expect("Ready", "True", "Succeeded", &message).await?;
    artifact(&case, &object).await?;
    kustomization.ready().await?;
    has(&case, "one").await?;

    let second = push(
        &registry,
        "latest",
        &[("app.yaml", &config_map("app", &[("key", "two")]))],
    )?;
    let output = case
        .flux(&["reconcile", "source", "oci", "app"])
        .await?
        .success()?;
    let told = format!("fetched revision latest@{second}");
    ensure!(
        format!("{}{}", output.stdout, output.stderr).contains(&told),
        "{output:?}"
    );
    has(&case, "two").await?;
    let revision = format!("latest@{second}");
    kustomization
        .until("the revision is told", |it| {
            it["status"]["lastAppliedRevision"] == revision
        })
        .await?;

    // Nothing new: nothing is written but the token.
    let before = source.get().await?;
    let after = source.reconcile().await?;
    for field in ["artifact", "conditions"] {
        ensure!(
            before["status"][field] == after["status"][field],
            "{}",
            after["status"]
        );
    }
    Ok(())
}

async fn registry_that_lies_keeps_what_runs(case: Case) -> Result<()> {
    let lies = Arc::new(Mutex::new(false));
    let is_lying = Arc::clone(&lies);
    let registry = Registry::with(move |request| {
        let lies = *is_lying.lock().unwrap_or_else(PoisonError::into_inner);
        (lies && request.path.contains("/blobs/")).then(|| Response::new(200, vec![0; 99]))
    });
    let first = push(
        &registry,
        "latest",
        &[("app.yaml", &config_map("app", &[("key", "one")]))],
    )?;
    let source = oci_repository(&case, &registry).await?;
    let kustomization = kustomize(&case, "OCIRepository").await?;
    kustomization.ready().await?;

    *lies.lock().unwrap_or_else(PoisonError::into_inner) = true;
    push(
        &registry,
        "latest",
        &[("app.yaml", &config_map("app", &[("key", "two")]))],
    )?;
    source.request().await?;
    let reason = "OCIArtifactLayerOperationFailed";
    let object = source.expect("Ready", "False", reason, "").await?;
    ensure!(
        object["status"]["artifact"]["revision"] == format!("latest@{first}"),
        "{}",
        object["status"]
    );
    artifact(&case, &object).await?;
    has(&case, "one").await?;

    *lies.lock().unwrap_or_else(PoisonError::into_inner) = false;
    has(&case, "two").await
}

/// An object storage without credentials, with one bucket.
struct Storage {
    objects: Arc<Mutex<BTreeMap<String, String>>>,
    seen: Arc<Mutex<Vec<String>>>,
    server: Server,
}

impl Storage {
    fn start() -> Self {
        let (objects, seen): (Arc<Mutex<BTreeMap<_, _>>>, Arc<Mutex<Vec<_>>>) = Default::default();
        let (shared, log) = (Arc::clone(&objects), Arc::clone(&seen));
        let server = Server::start(move |request| {
            let line = format!("{} {}", request.method, request.path);
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            answer(&shared.lock().unwrap_or_else(PoisonError::into_inner), &request)
        });
        Self {
            objects,
            seen,
            server,
        }
    }

    fn put(&self, key: &str, content: &str) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.insert(key.to_owned(), content.to_owned());
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn spec(&self) -> Value {
        let endpoint = self.server.address().to_string();
        json!({"interval": "1h", "bucketName": "app", "endpoint": endpoint, "insecure": true})
    }
}

fn answer(objects: &BTreeMap<String, String>, request: &Request) -> Response {
    let missing = |code: &str| Response::new(404, format!("<Error><Code>{code}</Code></Error>"));
    let etag = |content: &str| {
        format!(
            "{}-{}",
            content.len(),
            content.bytes().map(u32::from).sum::<u32>()
        )
    };
    match request.path.strip_prefix("/app/") {
        Some("") if request.query.contains("list-type") => {
            let listed: String = objects
                .iter()
                .map(|(key, content)| {
                    format!(
                        "<Contents><Key>{key}</Key><ETag>{}</ETag></Contents>",
                        etag(content)
                    )
                })
                .collect();
            Response::new(200, format!("<ListBucketResult>{listed}</ListBucketResult>"))
        }
        Some("") => Response::new(200, ""),
        Some(key) => objects.get(key).map_or_else(
            || missing("NoSuchKey"),
            |content| Response::new(200, content.clone()).header("etag", etag(content)),
        ),
        None => missing("NoSuchBucket"),
    }
}

async fn bucket_feeds_a_kustomization_and_only_what_changed_is_fetched(case: Case) -> Result<()> {
    let storage = Storage::start();
    storage.put("app.yaml", &config_map("app", &[("key", "one")]));
    storage.put("other.yaml", &config_map("other", &[]));
    let source = source(&case, "Bucket", "app", storage.spec()).await?;
    let kustomization = kustomize(&case, "Bucket").await?;
    source
        .expect("Ready", "True", "Succeeded", "stored artifact: revision 'sha256:")
        .await?;
    kustomization.ready().await?;
    has(&case, "one").await?;
    case.config_map("other")?.get().await?;

    storage.put("app.yaml", &config_map("app", &[("key", "two")]));
    storage.seen();
    case.flux(&["reconcile", "source", "bucket", "app"])
        .await?
        .success()?;
    has(&case, "two").await?;
    let seen = storage.seen();
    ensure!(
        seen.contains(&"GET /app/app.yaml".to_owned()) && !seen.contains(&"GET /app/other.yaml".to_owned()),
        "{seen:?}"
    );
    artifact(&case, &source.get().await?).await?;
    Ok(())
}

/// A Helm repository with these charts.
struct Charts {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    server: Server,
}

impl Charts {
    fn start() -> Self {
        let files: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
        let shared = Arc::clone(&files);
        let server = Server::start(move |request| {
            let files = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let found = files.get(&request.path).cloned();
            found.map_or_else(|| Response::new(404, ""), |content| Response::new(200, content))
        });
        Self { files, server }
    }

    /// Has these versions of the chart `app`, and no others.
    fn serve(&self, versions: &[&str]) -> Result<()> {
        let mut index = "apiVersion: v1\nentries:\n  app:\n".to_owned();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for version in versions {
            files.insert(format!("/app-{version}.tgz"), chart(version)?);
            writeln!(
                index,
                "  - {{apiVersion: v2, name: app, version: {version}, urls: [app-{version}.tgz]}}"
            )?;
        }
        files.insert("/index.yaml".to_owned(), index.into_bytes());
        Ok(())
    }
}

fn chart(version: &str) -> Result<Vec<u8>> {
    let metadata = format!("apiVersion: v2\nname: app\nversion: {version}\n");
    archive(&[
        ("app/Chart.yaml", &metadata),
        ("app/values.yaml", "replicas: 1\n"),
        ("app/prod.yaml", "replicas: 3\n"),
    ])
}

/// The content of a file of a stored chart.
async fn file(case: &Case, object: &Value, name: &str) -> Result<String> {
    let bytes = artifact(case, object).await?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.to_string_lossy() == name {
            return Ok(std::io::read_to_string(&mut entry)?);
        }
    }
    anyhow::bail!("no {name} in the chart")
}

async fn helm_repository_and_chart_follow_a_new_version(case: Case) -> Result<()> {
    let charts = Charts::start();
    charts.serve(&["1.0.0"])?;
    let url = charts.server.url("");
    let repository = source(
        &case,
        "HelmRepository",
        "app",
        json!({"interval": "1h", "url": url}),
    )
    .await?;
    let spec = json!({
        "interval": "1h", "chart": "app", "version": "1.x", "valuesFiles": ["values.yaml", "prod.yaml"],
        "sourceRef": {"kind": "HelmRepository", "name": "app"},
    });
    let chart = source(&case, "HelmChart", "app", spec).await?;
    repository
        .expect("Ready", "True", "Succeeded", "stored artifact: revision 'sha256:")
        .await?;
    let message =
        "packaged 'app' chart with version '1.0.0+1' and merged values files [values.yaml prod.yaml]";
    let object = chart
        .expect("Ready", "True", "ChartPackageSucceeded", message)
        .await?;
    let values = file(&case, &object, "app/values.yaml").await?;
    ensure!(values == "replicas: 3\n", "{values}");

    // A new index has the chart built at once, although its own interval is long.
    charts.serve(&["1.0.0", "1.1.0", "2.0.0"])?;
    case.flux(&["reconcile", "source", "helm", "app"])
        .await?
        .success()?;
    let is_newer = |it: &Value| it["status"]["artifact"]["revision"] == "1.1.0+1";
    let object = chart.until("the newer version is stored", is_newer).await?;
    artifact(&case, &object).await?;

    // With --with-source the repository comes first.
    charts.serve(&["1.2.0"])?;
    case.flux(&["reconcile", "source", "chart", "app", "--with-source"])
        .await?
        .success()?;
    let is_newest = |it: &Value| it["status"]["artifact"]["revision"] == "1.2.0+1";
    chart.until("the newest version is stored", is_newest).await?;
    chart.merge(&json!({"spec": {"version": ">=3"}})).await?;
    let message = "invalid chart reference: failed to get chart version for remote reference: no 'app' chart with version matching '>=3' found";
    let object = chart
        .expect("Ready", "False", "InvalidChartReference", message)
        .await?;
    ensure!(
        object["status"]["artifact"]["revision"] == "1.2.0+1",
        "{}",
        object["status"]
    );
    Ok(())
}

async fn chart_of_a_git_repository_is_packaged_with_its_dependency(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    let metadata = "apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n- {name: near, version: '*', repository: 'file://../near'}\n";
    let commit = repository.commit(&[
        ("charts/app/Chart.yaml", metadata),
        ("charts/app/values.yaml", "a: 1\n"),
        (
            "charts/near/Chart.yaml",
            "apiVersion: v2\nname: near\nversion: 0.2.0\n",
        ),
    ])?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let spec = json!({
        "interval": "1h", "chart": "./charts/app", "reconcileStrategy": "Revision",
        "sourceRef": {"kind": "GitRepository", "name": "app"},
    });
    let chart = source(&case, "HelmChart", "app", spec).await?;
    let version = |commit: &str| format!("0.1.0+{}", commit.get(..12).unwrap_or_default());
    let message = format!("packaged 'app' chart with version '{}'", version(&commit));
    let object = chart
        .expect("Ready", "True", "ChartPackageSucceeded", &message)
        .await?;
    let near = file(&case, &object, "app/charts/near/Chart.yaml").await?;
    ensure!(near.contains("version: 0.2.0"), "{near}");

    let commit = repository.commit(&[("charts/app/values.yaml", "a: 2\n")])?;
    case.fetch("app", &commit).await?;
    let is_newer = |it: &Value| it["status"]["artifact"]["revision"] == version(&commit);
    let object = chart.until("the commit is packaged", is_newer).await?;
    let values = file(&case, &object, "app/values.yaml").await?;
    ensure!(values == "a: 2\n", "{values}");
    Ok(())
}

async fn registry_of_charts_is_static_and_gives_a_chart(case: Case) -> Result<()> {
    let registry = Registry::start();
    let media_type = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    registry.put_artifact("charts/app", "1.0.0", &[(media_type, &chart("1.0.0")?)], &[]);
    let url = format!("oci://{}/charts", registry.host());
    let spec = json!({"type": "oci", "url": url, "insecure": true});
    let repository = source(&case, "HelmRepository", "app", spec).await?;
    let spec = json!({
        "interval": "1h", "chart": "app", "sourceRef": {"kind": "HelmRepository", "name": "app"},
    });
    let chart = source(&case, "HelmChart", "app", spec).await?;
    let message = "pulled 'app' chart with version '1.0.0'";
    chart
        .expect("Ready", "True", "ChartPullSucceeded", message)
        .await?;
    let object = repository.get().await?;
    ensure!(
        object["metadata"]["finalizers"].is_null() && object["status"]["conditions"].is_null(),
        "{object}"
    );
    Ok(())
}

async fn flux_shows_and_reconciles_all_sources(case: Case) -> Result<()> {
    let (registry, storage, charts) = (Registry::start(), Storage::start(), Charts::start());
    push(&registry, "latest", &[("app.yaml", &config_map("app", &[]))])?;
    storage.put("app.yaml", &config_map("app", &[]));
    charts.serve(&["1.0.0"])?;
    let chart =
        json!({"interval": "1h", "chart": "app", "sourceRef": {"kind": "HelmRepository", "name": "app"}});
    let helm = json!({"interval": "1h", "url": charts.server.url("")});
    oci_repository(&case, &registry).await?.ready().await?;
    for (kind, spec) in [
        ("Bucket", storage.spec()),
        ("HelmRepository", helm),
        ("HelmChart", chart),
    ] {
        source(&case, kind, "app", spec).await?.ready().await?;
    }
    let output = case.flux(&["get", "sources", "all"]).await?.success()?;
    for (name, shown) in [
        ("ocirepository/app", "latest@sha256:"),
        ("bucket/app", "sha256:"),
        ("helmrepository/app", "sha256:"),
        ("helmchart/app", "1.0.0"),
    ] {
        let is_row = |line: &str| {
            let mut cells = line.split('\t').map(str::trim);
            let (found, revision) = (cells.next(), cells.next().unwrap_or_default());
            found == Some(name) && revision.starts_with(shown) && line.contains("True")
        };
        ensure!(output.stdout.lines().any(is_row), "{name}: {:?}", output.stdout);
    }
    for kind in ["oci", "bucket", "helm", "chart"] {
        for verb in ["suspend", "resume", "reconcile"] {
            case.flux(&[verb, "source", kind, "app"]).await?.success()?;
        }
    }
    Ok(())
}
