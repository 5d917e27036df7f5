//! The work: N applications of four objects each in one Git repository, one Kustomization for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use xtask::api::{self, Api};
use xtask::cluster::Cluster;
use xtask::gitserver::{GitServer, Repository};

use super::driver::{self, LIMIT, name};
use super::measure::Meter;
use super::state::{Observer, watch_value};

const KUSTOMIZATIONS: &str = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/bench/kustomizations";
const SOURCES: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/bench/gitrepositories";
const SERVICES: &str = "/api/v1/namespaces/bench/services";
const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

pub(super) struct Workload<'a> {
    count: usize,
    repository: Repository,
    api: Arc<Api>,
    observer: Observer,
    _server: &'a GitServer,
}

impl<'a> Workload<'a> {
    /// Makes the repository and the kinds; the objects come with `install`.
    pub(super) fn prepare(count: usize, server: &'a GitServer, api: Api, cluster: &Cluster) -> Result<Self> {
        let repository = server.create("apps")?;
        write_apps(&repository, count, 1)?;
        repository.commit("Add the applications")?;
        driver::prepare(cluster, &api)?;
        let api = Arc::new(api);
        let observer = Observer::start(Arc::clone(&api), KUSTOMIZATIONS.to_owned());
        Ok(Self {
            count,
            repository,
            api,
            observer,
            _server: server,
        })
    }

    /// From the first request that creates an object until the last Kustomization is ready.
    pub(super) fn install(&self, meter: &mut Meter) -> Result<Duration> {
        let start = Instant::now();
        self.api.create(SOURCES, &source(self.repository.url()))?;
        self.for_each(|api, index| api.create(KUSTOMIZATIONS, &kustomization(index)))?;
        let count = self.count;
        let done = self.observer.wait(
            LIMIT,
            |all| all.len() == count && all.values().all(|it| it.is_ready),
            || meter.check(),
        )?;
        Ok(done.duration_since(start))
    }

    /// From the request to fetch a commit that changes every Deployment until all have it and are ready.
    pub(super) fn upgrade(&self, meter: &mut Meter) -> Result<Duration> {
        write_apps(&self.repository, self.count, 2)?;
        let commit = self.repository.commit("Change the applications")?;
        let start = Instant::now();
        self.api.merge(&format!("{SOURCES}/apps"), &request("upgrade"))?;
        let has_it = |it: &super::state::Entry| it.is_ready && it.revision.ends_with(&commit);
        let done = self
            .observer
            .wait(LIMIT, |all| all.values().all(has_it), || meter.check())?;
        Ok(done.duration_since(start))
    }

    /// From the first request until all have been reconciled again, though nothing has changed.
    pub(super) fn resync(&self, meter: &mut Meter) -> Result<Duration> {
        let start = Instant::now();
        self.for_each(|api, index| {
            api.merge(&format!("{KUSTOMIZATIONS}/{}", name(index)), &request("resync"))
                .map(drop)
        })?;
        let has_it = |it: &super::state::Entry| it.is_ready && it.handled == "resync";
        let done = self
            .observer
            .wait(LIMIT, |all| all.values().all(has_it), || meter.check())?;
        Ok(done.duration_since(start))
    }

    /// Changes one field of one object by hand, again and again; how long each took to be undone, sorted.
    pub(super) fn drift(&self, samples: usize, meter: &mut Meter) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for sample in 0..samples {
            // Spread over the applications, and never one of them twice in a row.
            let name = name(sample * 7 % self.count);
            let service = format!("{SERVICES}/{name}");
            let collection = format!("{SERVICES}?fieldSelector=metadata.name={name}");
            let start = Instant::now();
            let edited = self
                .api
                .merge(&service, &json!({"spec": {"selector": {"app": "changed"}}}))?;
            ensure!(
                api::text(&edited, "/spec/selector/app") == "changed",
                "the edit of {name} was not taken"
            );
            let is_back = |it: &Value| api::text(it, "/spec/selector/app") == name;
            let done = watch_value(&self.api, &collection, LIMIT, is_back, || meter.check())?;
            times.push(done.duration_since(start));
        }
        times.sort();
        Ok(times)
    }

    /// From the first deletion of a Kustomization until the last one is gone, and all objects with them.
    pub(super) fn delete(&self, meter: &mut Meter) -> Result<Duration> {
        let start = Instant::now();
        self.for_each(|api, index| api.delete(&format!("{KUSTOMIZATIONS}/{}", name(index))))?;
        let done = self
            .observer
            .wait(LIMIT, |all| all.is_empty(), || meter.check())?;
        let left = self.api.get(&format!("{SERVICES}?limit=1"))?;
        let is_empty = left
            .get("items")
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty);
        ensure!(
            is_empty,
            "the Kustomizations are gone, but not all that they applied"
        );
        Ok(done.duration_since(start))
    }

    /// Does something for every application, several at once.
    fn for_each(&self, act: impl Fn(&Api, usize) -> Result<()> + Sync) -> Result<()> {
        driver::for_each(self.count, |index| act(&self.api, index))
    }
}

fn request(token: &str) -> Value {
    json!({"metadata": {"annotations": {REQUESTED_AT: token}}})
}

fn source(url: &str) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "apps", "namespace": "bench"},
        "spec": {"interval": "60m", "url": url, "ref": {"branch": "main"}},
    })
}

fn kustomization(index: usize) -> Value {
    json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name(index), "namespace": "bench"},
        "spec": {
            "interval": "60m",
            "retryInterval": "2m",
            "timeout": "5m",
            "sourceRef": {"kind": "GitRepository", "name": "apps"},
            "path": format!("./apps/{}", name(index)),
            "prune": true,
            "wait": true,
        },
    })
}

/// Writes all applications; the version changes the pods' template.
fn write_apps(repository: &Repository, count: usize, version: u32) -> Result<()> {
    for index in 0..count {
        let name = name(index);
        repository.write(&format!("apps/{name}/kustomization.yaml"), KUSTOMIZATION)?;
        let text = APP
            .replace("$NAME", &name)
            .replace("$VERSION", &version.to_string());
        repository.write(&format!("apps/{name}/app.yaml"), text)?;
    }
    Ok(())
}

const KUSTOMIZATION: &str = "\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: bench
resources:
- app.yaml
";

const APP: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: $NAME
---
apiVersion: v1
kind: Service
metadata:
  name: $NAME
spec:
  selector:
    app: $NAME
  ports:
  - name: http
    port: 9898
    targetPort: http
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $NAME
spec:
  replicas: 0
  selector:
    matchLabels:
      app: $NAME
  template:
    metadata:
      labels:
        app: $NAME
    spec:
      serviceAccountName: $NAME
      containers:
      - name: app
        image: registry.example/app:1.0.$VERSION
        ports:
        - name: http
          containerPort: 9898
        env:
        - name: VERSION
          value: \"$VERSION\"
        readinessProbe:
          httpGet:
            path: /readyz
            port: http
        resources:
          requests:
            cpu: $VERSIONm
            memory: 16Mi
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: $NAME
spec:
  ingressClassName: nginx
  rules:
  - host: $NAME.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: $NAME
            port:
              name: http
";
