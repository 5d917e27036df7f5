//! What happens in the demo, and how each of its claims is checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use xtask::api::{self, Api};
use xtask::gitserver::{GitServer, Repository};
use xtask::paths;
use xtask::process::Interrupt;
use xtask::term::{self, Step};

use super::super::programs::{Controller, Setup, quiet};
use super::place::Place;

const NAMESPACE: &str = "demo";
const SOURCES: &str = "/apis/source.toolkit.fluxcd.io/v1/namespaces/demo/gitrepositories";
const KUSTOMIZATIONS: &str = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/demo/kustomizations";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/demo/deployments";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/demo/networkpolicies";
const OVERLAY: &str = "overlays/demo/kustomization.yaml";
const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct Story {
    // Dropped in this order: the controllers, the proxy and the Git server before the cluster.
    controller: Controller,
    api: Api,
    repository: Repository,
    _server: GitServer,
    /// Definitions that the demo brought, none where it has a cluster of its own.
    brought: Vec<PathBuf>,
    bin: PathBuf,
    interrupt: Interrupt,
    place: Place,
}

impl Story {
    /// Prepares everything up to the moment at which the controllers learn of the application.
    pub(super) fn begin(place: Place, bin: PathBuf, interrupt: Interrupt) -> Result<Self> {
        let step = Step::begin("serve a Git repository over HTTP");
        let server = GitServer::start(&place.dir.join("git"))?;
        let repository = server.create("greeter")?;
        copy(
            &paths::root().join("examples/demo/repository"),
            repository.work_tree(),
        )?;
        let commit = repository.commit("Add the application, a base and an overlay")?;
        step.done(format_args!(
            "{}, first commit {}",
            repository.url(),
            short(&commit)
        ));

        let brought = install_definitions(&place)?;

        let step = Step::begin("start ferroflux");
        let setup = Setup {
            bin: &bin,
            kubeconfig: &place.kubeconfig,
            dir: &place.dir,
            namespace: (!place.is_ours()).then_some(NAMESPACE),
        };
        let flags = Controller::storage_flags(&place.dir.join("storage"))?;
        let controller = Controller::start(&place.nursery, setup, "ferroflux", &flags)?;
        let api = Api::start(place.kubectl(), &place.nursery, &place.dir)?;
        step.done(format_args!("process {}", controller.process.id()));
        Ok(Self {
            controller,
            api,
            repository,
            _server: server,
            brought,
            bin,
            interrupt,
            place,
        })
    }

    pub(super) fn tell(&mut self) -> Result<()> {
        self.install()?;
        self.show()?;
        self.commit_a_change()?;
        self.edit_by_hand()?;
        self.remove_a_file()
    }

    fn install(&mut self) -> Result<()> {
        term::line("");
        let step = Step::begin("apply a GitRepository and a Kustomization");
        let source = fs::read_to_string(paths::root().join("examples/demo/cluster/source.yaml"))?;
        let file = self.place.dir.join("source.yaml");
        fs::write(&file, source.replace("${REPOSITORY_URL}", self.repository.url()))?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        let namespace_file = self.place.dir.join("namespace.json");
        fs::write(&namespace_file, namespace.to_string())?;
        let kustomization = paths::root().join("examples/demo/cluster/kustomization.yaml");
        let mut command = self.place.kubectl();
        command.args(["apply", "--server-side"]);
        for file in [&namespace_file, &file, &kustomization] {
            command.arg("-f").arg(file);
        }
        quiet(command)?;
        step.done("");

        let step = Step::begin("source fetched");
        let source = self.wait(SOURCES, |it| api::is_ready(it).then(|| it.clone()))?;
        step.done(revision(api::text(&source, "/status/artifact/revision")));
        let step = Step::begin("objects applied, and the application healthy");
        let kustomization = self.wait(KUSTOMIZATIONS, |it| api::is_ready(it).then(|| it.clone()))?;
        let inventory = kustomization
            .pointer("/status/inventory/entries")
            .and_then(Value::as_array)
            .map_or(0, Vec::len);
        let deployment = self.api.get(&format!("{DEPLOYMENTS}/demo-greeter"))?;
        let replicas = deployment
            .pointer("/status/readyReplicas")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        ensure!(
            inventory == 5 && replicas == 2,
            "expected 5 objects and 2 ready replicas, there are {inventory} and {replicas}"
        );
        step.done(format_args!("{inventory} objects, {replicas} replicas ready"));
        Ok(())
    }

    /// Shows the state with the project's own command line.
    fn show(&self) -> Result<()> {
        let mut flux = Command::new(self.bin.join("flux"));
        flux.args(["get", "all", "--namespace", NAMESPACE])
            .env("KUBECONFIG", &self.place.kubeconfig);
        let text = quiet(flux)?;
        term::line(format_args!("\n  $ flux get all --namespace {NAMESPACE}"));
        for line in text.trim_end().lines() {
            term::line(format_args!("  {}", line.replace('\t', "  ").trim_end()));
        }
        term::line("");
        Ok(())
    }

    fn commit_a_change(&mut self) -> Result<()> {
        let overlay = fs::read_to_string(self.repository.work_tree().join(OVERLAY))?;
        self.repository
            .write(OVERLAY, overlay.replace("newTag: 1.0.0", "newTag: 1.1.0"))?;
        let commit = self.repository.commit("Release version 1.1.0")?;
        let step = Step::begin(format!(
            "commit {}, version 1.1.0: `flux reconcile kustomization greeter --with-source`",
            short(&commit)
        ));
        let start = Instant::now();
        let mut flux = Command::new(self.bin.join("flux"));
        flux.args([
            "reconcile",
            "kustomization",
            "greeter",
            "--with-source",
            "--namespace",
            NAMESPACE,
        ]);
        flux.env("KUBECONFIG", &self.place.kubeconfig);
        let asked = std::thread::spawn(move || quiet(flux));
        let image = "/spec/template/spec/containers/0/image";
        self.wait(DEPLOYMENTS, |it| {
            api::text(it, image).ends_with(":1.1.0").then_some(())
        })?;
        let live = start.elapsed();
        let revision = "/status/lastAppliedRevision";
        self.wait(KUSTOMIZATIONS, |it| {
            (api::text(it, revision).ends_with(&commit) && api::is_ready(it)).then_some(())
        })?;
        let healthy = start.elapsed();
        asked.join().map_err(|_| anyhow::anyhow!("flux panicked"))??;
        step.done(format_args!(
            "in the cluster after {}, rolled out and healthy after {}",
            term::elapsed(live),
            term::elapsed(healthy)
        ));
        Ok(())
    }

    fn edit_by_hand(&mut self) -> Result<()> {
        let step = Step::begin("edit by hand: `kubectl scale deployment demo-greeter --replicas=7`");
        let start = Instant::now();
        let edited = self.api.merge(
            &format!("{DEPLOYMENTS}/demo-greeter"),
            &json!({"spec": {"replicas": 7}}),
        )?;
        let generation = edited
            .pointer("/metadata/generation")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let is_later = |it: &Value| {
            it.pointer("/metadata/generation")
                .and_then(Value::as_u64)
                .is_some_and(|it| generation < it)
        };
        let is_back = |it: &Value| is_later(it) && it.pointer("/spec/replicas") == Some(&json!(2));
        self.wait(DEPLOYMENTS, |it| is_back(it).then_some(()))?;
        step.done(format_args!("undone after {}", term::elapsed(start.elapsed())));
        Ok(())
    }

    fn remove_a_file(&mut self) -> Result<()> {
        let overlay = fs::read_to_string(self.repository.work_tree().join(OVERLAY))?;
        self.repository
            .write(OVERLAY, overlay.replace("- network-policy.yaml\n", ""))?;
        self.repository.remove("overlays/demo/network-policy.yaml")?;
        let commit = self.repository.commit("Remove the network policy")?;
        let step = Step::begin(format!("commit {}, without network-policy.yaml", short(&commit)));
        let start = Instant::now();
        let mut flux = Command::new(self.bin.join("flux"));
        flux.args([
            "reconcile",
            "kustomization",
            "greeter",
            "--with-source",
            "--namespace",
            NAMESPACE,
        ]);
        flux.env("KUBECONFIG", &self.place.kubeconfig);
        quiet(flux)?;
        let gone = || {
            self.api
                .find(&format!("{POLICIES}/demo-greeter"))
                .map(|it| it.is_none())
        };
        ensure!(
            gone()?,
            "the NetworkPolicy is still there though the commit was applied"
        );
        step.done(format_args!(
            "the NetworkPolicy is pruned after {}",
            term::elapsed(start.elapsed())
        ));
        Ok(())
    }

    /// Waits for something about the one object of a collection.
    fn wait<T>(&mut self, collection: &str, mut see: impl FnMut(&Value) -> Option<T>) -> Result<T> {
        let Self {
            controller,
            api,
            interrupt,
            place,
            ..
        } = self;
        let alive = || {
            interrupt.check()?;
            controller.check()?;
            place.check()
        };
        let see = |change: api::Change| {
            Ok(if change.is_deleted {
                None
            } else {
                see(&change.object)
            })
        };
        let what = collection.rsplit('/').next().unwrap_or_default();
        api.follow(collection, LIMIT, see, alive)
            .with_context(|| format!("waiting for {what}"))
    }

    /// Says what can be tried now.
    pub(super) fn invite(&self) {
        let bin = self.bin.display();
        let tools = self
            .place
            .kubectl
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .display();
        let url = self.repository.url();
        term::line(format_args!(
            "\n{}\n
  export KUBECONFIG={}
  export PATH={bin}:{tools}:$PATH

  flux get all --namespace demo
  kubectl --namespace demo get deployments,pods,services,configmaps
  kubectl --namespace demo delete service demo-greeter       # comes back
  kubectl --namespace demo get events --watch

  git clone {url} greeter                                    # edit, commit, push: live within ten seconds, or at once with
  flux reconcile kustomization greeter --with-source --namespace demo

Logs are in {}. Ctrl-C ends everything.",
            term::bold("It goes on until Ctrl-C. Try, in another terminal:"),
            self.place.kubeconfig.display(),
            self.place.dir.display(),
        ));
    }

    /// Shows what a person would look at after a failure.
    pub(super) fn explain(&self) {
        for args in [
            &[
                "get",
                "gitrepositories,kustomizations",
                "-n",
                NAMESPACE,
                "-o",
                "yaml",
            ][..],
            &["get", "events", "-n", NAMESPACE],
        ] {
            if let Ok(text) = quiet(kubectl(&self.place, args)) {
                term::line(text);
            }
        }
        term::line(self.controller.process.log_tail(40));
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.controller.check()?;
        self.place.check()
    }

    /// Ends everything; in the user's cluster, removes what the demo made and nothing else.
    pub(super) fn end(self) -> Result<()> {
        let step = Step::begin("clean up");
        let res = if self.place.is_ours() {
            Ok(())
        } else {
            self.remove()
        };
        drop(self);
        match &res {
            Ok(()) => step.done(""),
            Err(_) => step.failed(""),
        }
        res
    }

    /// Takes every step, also after one that failed, and returns the first failure.
    fn remove(&self) -> Result<()> {
        // In this order, with the controller still there, so that it deletes what it applied and drops its finalizers.
        let objects = quiet(kubectl(
            &self.place,
            &[
                "delete",
                "kustomizations,gitrepositories",
                "--all",
                "-n",
                NAMESPACE,
                "--timeout=60s",
            ],
        ));
        let namespace = quiet(kubectl(
            &self.place,
            &[
                "delete",
                "namespace",
                NAMESPACE,
                "--ignore-not-found",
                "--timeout=60s",
            ],
        ));
        let mut res = objects.and(namespace).map(drop);
        for file in &self.brought {
            let mut command = self.place.kubectl();
            command
                .args(["delete", "--timeout=60s", "--ignore-not-found", "-f"])
                .arg(file);
            let removed = quiet(command).map(drop);
            res = res.and(removed);
        }
        res
    }
}

/// Makes the definitions that are missing and returns their files.
fn install_definitions(place: &Place) -> Result<Vec<PathBuf>> {
    let step = Step::begin("install the custom resource definitions");
    if !place.is_ours() {
        ensure!(
            quiet(kubectl(place, &["get", "namespace", NAMESPACE])).is_err(),
            "the cluster has a namespace `{NAMESPACE}`; the demo makes and removes one of that name, so it stops here"
        );
    }
    let present = quiet(kubectl(place, &["get", "crd", "-o", "name"]))?;
    let mut brought = Vec::new();
    let mut install = place.kubectl();
    install.args(["apply", "--server-side"]);
    let mut wait = place.kubectl();
    wait.args(["wait", "--for=condition=Established", "--timeout=60s"]);
    for entry in fs::read_dir(paths::root().join("config/crd/bases"))? {
        let file = entry?.path();
        let stem = file.file_stem().and_then(|it| it.to_str()).unwrap_or_default();
        // `<group>_<plural>.yaml` defines `<plural>.<group>`.
        let (group, plural) = stem.split_once('_').context("a file that is no definition")?;
        let name = format!("customresourcedefinition.apiextensions.k8s.io/{plural}.{group}");
        if !present.lines().any(|it| it.trim() == name) {
            install.arg("-f").arg(&file);
            wait.arg("-f").arg(&file);
            brought.push(file);
        }
    }
    if !brought.is_empty() {
        quiet(install)?;
        quiet(wait)?;
    }
    step.done(if brought.is_empty() { "they are there" } else { "" });
    Ok(brought)
}

fn kubectl(place: &Place, args: &[&str]) -> Command {
    let mut command = place.kubectl();
    command.args(args);
    command
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// `main@sha1:0123…` shortened as people read it.
fn revision(text: &str) -> String {
    match text.split_once("@sha1:") {
        Some((branch, commit)) => format!("{branch} at {}", short(commit)),
        None => text.to_owned(),
    }
}
