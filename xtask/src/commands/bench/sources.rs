//! `make bench sources`: a thousand sources of a kind from a registry on the same machine.
//!
//! The registry is CNCF distribution, built from the module that `tests/registry` pins; what it serves is written in the form of its own storage, so
//! that nothing has to be pushed.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use xtask::api::Api;
use xtask::cluster::{Cluster, Options};
use xtask::process::{self, Nursery, Process};
use xtask::term::{self, Step};
use xtask::{http, paths, ports};

use super::super::programs::{self, Profile, quiet};
use super::super::{Args, unexpected};
use super::driver::{self, LIMIT, for_each, name};
use super::measure::{Meter, Usage};
use super::state::Observer;
use super::{document, report};

const GROUP: &str = "source.toolkit.fluxcd.io/v1";
/// Versions of what the registry has; the objects share them evenly.
const VERSIONS: usize = 50;

const INTRODUCTION: &str = "\
## Sources

A thousand OCIRepositories, then a thousand HelmCharts of one HelmRepository of type `oci`, each on a cluster of its own, from a distribution registry on the same machine.
source-controller runs as a process with its default flags, but `--concurrent=10`, as upstream's published figures have it.
An OCIRepository names one of 50 tags, whose layers hold 20 manifests; a HelmChart names a range of versions, so that its tags are listed before it is pulled.

* **ready**: from the first request that creates an object until the last one is ready.
* **again**: nothing has changed, and all are asked to reconcile at once; until the last has.

`upstream` is what Flux 2.9 publishes for a machine with 16 cores.
";

/// One run.
struct Outcome {
    kind: &'static Kind,
    count: usize,
    ready: Duration,
    again: Duration,
    usage: Usage,
}

/// What is made a thousand times.
struct Kind {
    name: &'static str,
    plural: &'static str,
    spec: fn(&str, usize) -> Value,
    /// Time and memory that upstream publishes for a thousand.
    upstream: [&'static str; 2],
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "OCIRepository",
        plural: "ocirepositories",
        spec: |registry, index| {
            let url = format!("oci://{registry}/bench/app");
            json!({"interval": "1h", "insecure": true, "url": url, "ref": {"tag": version(index)}})
        },
        upstream: ["257 s", "128 MiB"],
    },
    Kind {
        name: "HelmChart",
        plural: "helmcharts",
        spec: |_, index| {
            let source = json!({"kind": "HelmRepository", "name": "charts"});
            json!({"interval": "1h", "chart": "chart", "version": format!("~{}", version(index)), "sourceRef": source})
        },
        upstream: ["310 s", "189 MiB"],
    },
];

fn version(index: usize) -> String {
    format!("1.{}.0", index % VERSIONS)
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut count, mut writes, mut bin) = (1000_usize, true, None::<PathBuf>);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--count" => count = args.value("--count")?,
            "--bin" => bin = Some(args.value("--bin")?),
            "--no-report" => writes = false,
            other => return unexpected(other),
        }
    }
    ensure!((1..=5000).contains(&count), "--count: from 1 to 5000");
    process::end_on_signals()?;
    let (bin, registry) = (
        programs::build(bin.as_deref(), Profile::Release)?,
        build_registry()?,
    );
    let mut outcomes = Vec::new();
    for kind in &KINDS {
        term::line(format_args!(
            "\n{}",
            term::bold(&format!("{count} {}", kind.plural))
        ));
        outcomes.push(run_one(kind, count, &bin, &registry)?);
    }
    let text = written(&outcomes)?;
    if writes && count == 1000 {
        document::replace("sources", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the registry, once.
fn build_registry() -> Result<PathBuf> {
    let program = paths::target().join("registry/registry");
    let mut command = Command::new("go");
    command
        .args(["build", "-o"])
        .arg(&program)
        .arg("github.com/distribution/distribution/v3/cmd/registry")
        .current_dir(paths::root().join("tests/registry"));
    quiet(command)?;
    Ok(program)
}

fn run_one(kind: &'static Kind, count: usize, bin: &Path, program: &Path) -> Result<Outcome> {
    let step = Step::begin("prepare a cluster and a registry");
    let options = Options {
        name: "bench".to_owned(),
        nodes: 0,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let content = cluster.dir().join("registry");
    fill(&content)?;
    let registry = Registry::start(program, &content, cluster.nursery())?;
    let api = Arc::new(Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?);
    prepare(&cluster, &api, &registry.host)?;
    let collection = format!("/apis/{GROUP}/namespaces/bench/{}", kind.plural);
    let observer = Observer::start(Arc::clone(&api), collection.clone());
    let controller = driver::source_controller(&cluster, bin, 10)?;
    let mut meter = Meter::new(vec![controller], &cluster)?;
    step.done("");

    let step = Step::begin("ready");
    meter.begin_phase()?;
    let start = Instant::now();
    for_each(count, |index| {
        let spec = (kind.spec)(&registry.host, index);
        let metadata = json!({"name": name(index), "namespace": "bench"});
        let object = json!({"apiVersion": GROUP, "kind": kind.name, "metadata": metadata, "spec": spec});
        api.create(&collection, &object)
    })?;
    let done = observer.wait(
        LIMIT,
        |all| all.len() == count && all.values().all(|it| it.is_ready),
        || meter.check(),
    );
    let ready = done
        .inspect_err(|_| term::line(meter.logs()))?
        .duration_since(start);
    step.done(format_args!(
        "{:.2} s, {}",
        ready.as_secs_f64(),
        meter.phase_cost()?
    ));

    let step = Step::begin("again");
    meter.begin_phase()?;
    let start = Instant::now();
    let request = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "again"}}});
    for_each(count, |index| {
        api.merge(&format!("{collection}/{}", name(index)), &request)
            .map(drop)
    })?;
    let has_it = |it: &super::state::Entry| it.is_ready && it.handled == "again";
    let done = observer.wait(LIMIT, |all| all.values().all(has_it), || meter.check())?;
    let again = done.duration_since(start);
    step.done(format_args!(
        "{:.2} s, {}",
        again.as_secs_f64(),
        meter.phase_cost()?
    ));
    let usage = meter
        .usage()?
        .into_iter()
        .find(|it| it.is_ours)
        .unwrap_or_default();
    Ok(Outcome {
        kind,
        count,
        ready,
        again,
        usage,
    })
}

/// Makes the kinds, the namespace and the repository that charts come from.
fn prepare(cluster: &Cluster, api: &Api, registry: &str) -> Result<()> {
    driver::prepare(cluster, api)?;
    let spec = json!({"type": "oci", "insecure": true, "url": format!("oci://{registry}/bench")});
    let metadata = json!({"name": "charts", "namespace": "bench"});
    let object = json!({"apiVersion": GROUP, "kind": "HelmRepository", "metadata": metadata, "spec": spec});
    let collection = format!("/apis/{GROUP}/namespaces/bench/helmrepositories");
    api.create(&collection, &object)
}

/// A registry that ends with the cluster.
struct Registry {
    host: String,
    _process: Process,
}

impl Registry {
    fn start(program: &Path, content: &Path, nursery: &Nursery) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()?));
        let config = content.join("config.yaml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '{address}'}}\n",
            content.display()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none");
        let process = nursery.start("registry", command, &content.join("registry.log"))?;
        let answers = || http::get(address, "/v2/", Duration::from_secs(5)).ok();
        process::until("the registry", Duration::from_secs(60), answers, || Ok(()))?;
        Ok(Self {
            host: address.to_string(),
            _process: process,
        })
    }
}

/// Writes what the registry has.
fn fill(content: &Path) -> Result<()> {
    for index in 0..VERSIONS {
        let version = version(index);
        let manifests: Vec<(String, String)> = (0..20)
            .map(|file| {
                let text = format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: app-{file}\ndata:\n  version: {version}\n  text: {}\n",
                    "abcdefgh".repeat(64)
                );
                (format!("app-{file}.yaml"), text)
            })
            .collect();
        let layer = archive(&manifests)?;
        put(
            content,
            "bench/app",
            &version,
            "application/vnd.cncf.flux.content.v1.tar+gzip",
            &layer,
        )?;
        let metadata = format!("apiVersion: v2\nname: chart\nversion: {version}\n");
        let mut files = vec![
            ("chart/Chart.yaml".to_owned(), metadata),
            ("chart/values.yaml".to_owned(), "replicas: 1\n".to_owned()),
        ];
        files.extend(
            manifests
                .into_iter()
                .map(|(name, text)| (format!("chart/templates/{name}"), text)),
        );
        let media_type = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
        put(content, "bench/chart", &version, media_type, &archive(&files)?)?;
    }
    Ok(())
}

fn archive(files: &[(String, String)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, text.as_bytes())?;
    }
    Ok(tar.into_inner()?.finish()?)
}

/// Stores an artifact with one layer under a tag.
fn put(content: &Path, repository: &str, tag: &str, media_type: &str, layer: &[u8]) -> Result<()> {
    let root = content.join("docker/registry/v2");
    let descriptor = |media_type: &str, bytes: &[u8]| -> Result<Value> {
        let hex = put_blob(&root, bytes)?;
        let link = format!("repositories/{repository}/_layers/sha256/{hex}/link");
        put_link(&root.join(link), &hex)?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()}))
    };
    let config = descriptor("application/vnd.cncf.flux.config.v1+json", b"{}")?;
    let layers = [descriptor(media_type, layer)?];
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
    let hex = put_blob(&root, manifest.to_string().as_bytes())?;
    let manifests = root.join(format!("repositories/{repository}/_manifests"));
    put_link(&manifests.join(format!("revisions/sha256/{hex}/link")), &hex)?;
    put_link(&manifests.join(format!("tags/{tag}/current/link")), &hex)?;
    put_link(
        &manifests.join(format!("tags/{tag}/index/sha256/{hex}/link")),
        &hex,
    )
}

fn put_blob(root: &Path, bytes: &[u8]) -> Result<String> {
    let hex = Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let prefix: String = hex.chars().take(2).collect();
    let folder = root.join(format!("blobs/sha256/{prefix}/{hex}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("data"), bytes)?;
    Ok(hex)
}

fn put_link(path: &Path, hex: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, format!("sha256:{hex}"))?)
}

fn written(outcomes: &[Outcome]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    writeln!(text, "\n{}", report::measured()?)?;
    for it in outcomes {
        let [time, memory] = it.kind.upstream;
        let (ready, again) = (it.ready.as_secs_f64(), it.again.as_secs_f64());
        let requests: Vec<String> = it
            .usage
            .requests
            .iter()
            .map(|(verb, count)| format!("{count} {verb}"))
            .collect();
        writeln!(text, "\n### {} {}\n", it.count, it.kind.plural)?;
        writeln!(text, "| | measured | target | upstream |\n|---|---:|---:|---:|")?;
        writeln!(text, "| ready | **{ready:.2} s** | ≤ 25 s | {time} |")?;
        writeln!(text, "| again | **{again:.2} s** |  |  |")?;
        writeln!(text, "| CPU | **{:.2} s** |  |  |", it.usage.cpu)?;
        writeln!(
            text,
            "| peak memory | **{:.1} MiB** | ≤ 60 MiB | {memory} |",
            it.usage.peak_mib
        )?;
        writeln!(text, "\nRequests to the API server: {}.", requests.join(", "))?;
    }
    Ok(text)
}
