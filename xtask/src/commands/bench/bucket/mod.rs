//! `make bench bucket`: a bucket of 50,000 objects, of which 500 change.

mod storage;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use xtask::api::{self, Api};
use xtask::cluster::{Cluster, Options};
use xtask::http;
use xtask::process;
use xtask::term::{self, Step};

use self::storage::{ACCESS_KEY, Asked, BUCKET, Storage, content, key};
use super::super::programs::{self, Profile};
use super::super::{Args, unexpected};
use super::measure::{Meter, Usage};
use super::state::Observer;
use super::{document, driver, report};

const COLLECTION: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/bench/buckets";
const NAME: &str = "large";
/// One object of so many is changed.
const NTH: usize = 100;

const INTRODUCTION: &str = "\
## A large bucket

A Bucket of manifests in a storage that speaks S3 on the same machine; requests are signed.
source-controller runs with `--concurrent=4`; what it stored is downloaded and compared after each look.
What it downloads goes through one temporary file; what did not change is taken out of the last artifact.

* **first**: from the request that creates the Bucket until it is ready.
* **changed**: one object of a hundred has another content, and the Bucket is asked to reconcile; until it has.
* **unchanged**: it is asked again, and nothing is new.
* **other requests** are the pages of the listing, and the look for a file with ignore rules.
* **peak memory** is the largest resident set so far.
";

/// One look at the bucket.
struct Look {
    name: &'static str,
    time: Duration,
    asked: Asked,
    /// CPU of this look alone, peak memory of all so far.
    usage: Usage,
}

pub(super) fn run(mut args: Args) -> Result<ExitCode> {
    let (mut count, mut writes, mut bin) = (50_000_usize, true, None::<PathBuf>);
    while let Some(arg) = args.word() {
        match arg.as_str() {
            "--objects" => count = args.value("--objects")?,
            "--bin" => bin = Some(args.value("--bin")?),
            "--no-report" => writes = false,
            other => return unexpected(other),
        }
    }
    ensure!(
        (NTH..=400_000).contains(&count),
        "--objects: from {NTH} to 400000"
    );
    process::end_on_signals()?;
    let bin = programs::build(bin.as_deref(), Profile::Release)?;
    term::line(format_args!(
        "\n{}",
        term::bold(&format!("a bucket of {count} objects"))
    ));
    let text = written(count, &looks(count, &bin)?)?;
    if writes && count == 50_000 {
        document::replace("bucket", &text)?;
    } else {
        term::line(format_args!("\n{text}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn looks(count: usize, bin: &Path) -> Result<Vec<Look>> {
    let step = Step::begin("prepare a cluster and a storage");
    let options = Options {
        name: "bench".to_owned(),
        nodes: 0,
        ..Options::default()
    };
    let cluster = Cluster::start(&options)?;
    let storage = Storage::start(count)?;
    let api = Arc::new(Api::start(cluster.kubectl(), cluster.nursery(), cluster.dir())?);
    driver::prepare(&cluster, &api)?;
    let data = json!({"accesskey": ACCESS_KEY, "secretkey": "read"});
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": data});
    api.create("/api/v1/namespaces/bench/secrets", &secret)?;
    let controller = driver::source_controller(&cluster, bin, 4)?;
    let mut bench = Bench {
        observer: Observer::start(Arc::clone(&api), COLLECTION.to_owned()),
        meter: Meter::new(vec![controller], &cluster)?,
        api,
        storage,
        count,
        cpu: 0.0,
    };
    step.done("");
    let first = bench.look("first", Bench::create)?;
    bench.storage.change_every(NTH);
    let changed = bench.look("changed", |it| it.request("changed"))?;
    let unchanged = bench.look("unchanged", |it| it.request("unchanged"))?;
    Ok(vec![first, changed, unchanged])
}

struct Bench {
    api: Arc<Api>,
    storage: Storage,
    observer: Observer,
    meter: Meter,
    count: usize,
    /// What source-controller had used by the end of the last look.
    cpu: f64,
}

impl Bench {
    /// Does what leads to a look, and waits for its end; `begin` gives the token that the status has then.
    fn look(&mut self, name: &'static str, begin: fn(&Self) -> Result<&'static str>) -> Result<Look> {
        let step = Step::begin(name);
        self.meter.begin_phase()?;
        self.storage.take_asked();
        let start = Instant::now();
        let token = begin(self)?;
        let done = self.observer.wait(
            driver::LIMIT,
            |all| all.values().any(|it| it.is_ready && it.handled == token),
            || self.meter.check(),
        );
        let done = done.inspect_err(|_| term::line(self.meter.logs()))?;
        let (time, asked) = (done.duration_since(start), self.storage.take_asked());
        let usage = self.meter.usage()?.into_iter().find(|it| it.is_ours);
        let mut usage = usage.context("source-controller is not measured")?;
        let until_now = std::mem::replace(&mut self.cpu, usage.cpu);
        usage.cpu -= until_now;
        step.done(format_args!(
            "{:.2} s, {:.2} CPU s, {} objects downloaded",
            time.as_secs_f64(),
            usage.cpu,
            asked.downloads
        ));
        self.compare()?;
        Ok(Look {
            name,
            time,
            asked,
            usage,
        })
    }

    fn create(&self) -> Result<&'static str> {
        let spec = json!({
            "interval": "1h", "timeout": "10m", "provider": "generic", "insecure": true, "bucketName": BUCKET,
            "endpoint": self.storage.address.to_string(), "secretRef": {"name": "keys"},
        });
        let metadata = json!({"name": NAME, "namespace": "bench"});
        let object = json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "Bucket", "metadata": metadata, "spec": spec});
        self.api.create(COLLECTION, &object)?;
        Ok("")
    }

    fn request(&self, token: &'static str) -> Result<&'static str> {
        let patch = json!({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}});
        self.api.merge(&format!("{COLLECTION}/{NAME}"), &patch)?;
        Ok(token)
    }

    /// Fails unless the artifact that is served has what the bucket has.
    fn compare(&self) -> Result<()> {
        let object = self.api.get(&format!("{COLLECTION}/{NAME}"))?;
        let url = api::text(&object, "/status/artifact/url");
        let (host, path) = url
            .strip_prefix("http://")
            .and_then(|it| it.split_once('/'))
            .with_context(|| format!("there is no artifact at `{url}`"))?;
        let path = format!("/{path}");
        let served = http::send(host.parse()?, "GET", &path, None, Duration::from_secs(60))?;
        ensure!(served.status == 200, "{url}: status {}", served.status);
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(served.body));
        let mut index = 0;
        for entry in archive.entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let version = self
                .storage
                .version(index)
                .context("the artifact has too many files")?;
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let path = entry.path()?.to_string_lossy().into_owned();
            ensure!(
                path == key(index) && text == content(index, version),
                "the artifact has another {path} than the bucket"
            );
            index += 1;
        }
        ensure!(
            index == self.count,
            "the artifact has {index} files of {}",
            self.count
        );
        Ok(())
    }
}

fn written(count: usize, looks: &[Look]) -> Result<String> {
    let mut text = String::from(INTRODUCTION);
    let bytes = content(0, 1).len();
    writeln!(text, "\n{}", report::measured()?)?;
    writeln!(text, "\n### {count} objects of {bytes} bytes\n")?;
    writeln!(
        text,
        "| | time | CPU | objects downloaded | other requests | peak memory |"
    )?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
    for it in looks {
        writeln!(
            text,
            "| {} | **{:.2} s** | {:.2} s | **{}** | {} | {:.1} MiB |",
            it.name,
            it.time.as_secs_f64(),
            it.usage.cpu,
            it.asked.downloads,
            it.asked.listings + it.asked.others,
            it.usage.peak_mib
        )?;
    }
    writeln!(text, "\n### Against the aims\n")?;
    let expected = [count, count.div_ceil(NTH), 0];
    for (it, expected) in looks.iter().zip(expected) {
        let is_met = it.asked.downloads == expected as u64;
        let verdict = if is_met { "reached" } else { "**missed**" };
        writeln!(
            text,
            "* {}, objects downloaded: {} of {expected}, {verdict}",
            it.name, it.asked.downloads
        )?;
    }
    Ok(text)
}
