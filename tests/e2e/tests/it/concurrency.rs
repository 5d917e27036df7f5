//! `--concurrent`: so many objects of a kind are worked on at once, and no more. Each test has a cluster for itself and starts the controller.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Case, Controller, Entry, PATIENCE, cases};
use ferro_testkit::http::{Request, Response, Server};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["concurrency":
        source_controller_works_on_as_many_of_each_kind_as_it_may,
        source_watcher_works_on_as_many_generators_as_it_may,
    ];
    all.into_iter().map(|it| it.alone()).collect()
}

/// Neither controller's default.
const CONCURRENT: usize = 3;
const OBJECTS: usize = 8;
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

/// Where requests wait until it is opened.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    is_open: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        self.changed.notify_all();
        let opened = self.changed.wait_while(state, |it| !it.is_open);
        opened.unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }

    fn open(&self) {
        self.lock().is_open = true;
        self.changed.notify_all();
    }

    /// Waits for so many requests, and a little longer for those that must not come; how many there are then.
    fn count(&self, expected: usize) -> usize {
        let is_short = |it: &mut State| it.waiting < expected;
        drop(self.changed.wait_timeout_while(self.lock(), PATIENCE, is_short));
        std::thread::sleep(Duration::from_secs(1));
        self.lock().waiting
    }
}

/// A server that keeps whoever asks waiting, and has nothing. It answers at once what `known` does.
struct Slow {
    gate: Arc<Gate>,
    server: Server,
}

impl Slow {
    fn start(known: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        let gate = Arc::<Gate>::default();
        let held = Arc::clone(&gate);
        let server = Server::start(move |request| {
            known(&request).unwrap_or_else(|| {
                held.pass();
                Response::new(404, "nothing here")
            })
        });
        Self { gate, server }
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.gate.open();
    }
}

fn name(index: usize) -> String {
    format!("app-{index}")
}

async fn start(case: &Case, program: &'static str) -> Result<Controller> {
    let concurrent = format!("--concurrent={CONCURRENT}");
    case.blocking(move |world| world.start_controller(world.setup(program, &[&concurrent])))
        .await
}

/// Makes objects that need the server, and counts those that reach it before any of them is done; all reach it in the end.
async fn check(case: &Case, slow: &Slow, kind: &str, spec: impl Fn(String) -> Value) -> Result<()> {
    let (group, failure) = match kind {
        "ArtifactGenerator" => ("source.extensions.fluxcd.io/v1beta1", "Ready"),
        _ => (SOURCE, "FetchFailed"),
    };
    for index in 0..OBJECTS {
        let metadata = json!({"name": name(index)});
        let object =
            json!({"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec(name(index))});
        case.apply_object(&object).await?;
    }
    let gate = Arc::clone(&slow.gate);
    let count = tokio::task::spawn_blocking(move || gate.count(CONCURRENT)).await?;
    ensure!(count == CONCURRENT, "{kind}: {count} at once of {CONCURRENT}");
    slow.gate.open();
    for index in 0..OBJECTS {
        let target = case.object(group, kind, &name(index))?;
        let failed = |it: &Value| e2e::condition(it, failure).is_some_and(|it| it["reason"] != "Progressing");
        target.until("it has had its turn", failed).await?;
    }
    Ok(())
}

async fn source_controller_works_on_as_many_of_each_kind_as_it_may(case: Case) -> Result<()> {
    let _controller = start(&case, "source-controller").await?;
    let [git, oci, buckets, helm] = std::array::from_fn(|_| Slow::start(|_| None));
    let charts = Slow::start(index);
    let (address, source) = (
        charts.address(),
        json!({"kind": "HelmRepository", "name": "charts"}),
    );
    let spec = json!({"interval": "1h", "url": format!("http://{address}")});
    let repository =
        json!({"apiVersion": SOURCE, "kind": "HelmRepository", "metadata": {"name": "charts"}, "spec": spec});
    case.apply_object(&repository).await?;
    case.object(SOURCE, "HelmRepository", "charts")?.ready().await?;
    let urls = [&git, &oci, &buckets, &helm].map(Slow::address);
    // All kinds at once: the flag counts for each by itself.
    tokio::try_join!(
        check(&case, &git, "GitRepository", |name| {
            json!({"interval": "1h", "url": format!("http://{}/{name}", urls[0])})
        }),
        check(&case, &oci, "OCIRepository", |name| {
            json!({"interval": "1h", "insecure": true, "url": format!("oci://{}/{name}", urls[1])})
        }),
        check(&case, &buckets, "Bucket", |name| {
            json!({"interval": "1h", "insecure": true, "endpoint": urls[2], "bucketName": name})
        }),
        check(&case, &helm, "HelmRepository", |name| {
            json!({"interval": "1h", "url": format!("http://{}/{name}", urls[3])})
        }),
        check(&case, &charts, "HelmChart", |name| {
            json!({"interval": "1h", "chart": name, "version": "1.0.0", "sourceRef": source})
        }),
    )?;
    Ok(())
}

/// The index of a Helm repository with a chart for each object.
fn index(request: &Request) -> Option<Response> {
    let entry =
        |name: String| format!("  {name}:\n  - {{name: {name}, version: 1.0.0, urls: [{name}-1.0.0.tgz]}}\n");
    let entries: String = (0..OBJECTS).map(name).map(entry).collect();
    (request.path == "/index.yaml")
        .then(|| Response::new(200, format!("apiVersion: v1\nentries:\n{entries}")))
}

async fn source_watcher_works_on_as_many_generators_as_it_may(case: Case) -> Result<()> {
    let slow = Slow::start(|_| None);
    // As a source-controller would leave them.
    for index in 0..OBJECTS {
        let name = name(index);
        let source = case
            .git_repository(&name, "http://127.0.0.1/none", json!({}))
            .await?;
        let path = format!("gitrepository/{}/{name}/a.tar.gz", case.namespace());
        let artifact = json!({
            "digest": format!("sha256:{index:064x}"), "lastUpdateTime": "2026-01-01T00:00:00Z", "path": path,
            "revision": format!("main@sha1:{index:040x}"), "url": slow.server.url(&format!("/{path}")),
        });
        source
            .merge_status(&json!({"status": {"artifact": artifact}}))
            .await?;
    }
    let _controller = start(&case, "source-watcher").await?;
    check(&case, &slow, "ArtifactGenerator", |name| {
        let copy = json!([{"from": "@git/**", "to": "@artifact/"}]);
        let source = json!({"alias": "git", "kind": "GitRepository", "name": name});
        json!({"sources": [source], "artifacts": [{"name": name, "copy": copy}]})
    })
    .await
}
