//! What `config/default` installs: controllers that have all rights they need and no others. Each test has a cluster for itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Case, Controller, Entry, Installation, PATIENCE, Target, cases, config_map, text};
use ferro_testkit::registry::Registry;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::helm_releases::{Charts, SOUND, release};

pub(crate) fn cases() -> Vec<Entry> {
    let all = cases!["install_rights":
        controllers_need_no_more_than_their_roles_grant,
        controllers_that_are_no_administrators_apply_with_accounts,
    ];
    all.into_iter().map(|it| it.alone().within(600)).collect()
}

const SOURCE: &str = "source.toolkit.fluxcd.io/v1";
const NAMESPACE: &str = Installation::NAMESPACE;

/// The controllers of an installation, each with a token of its account.
struct Installed {
    installation: Installation,
    controllers: Vec<Controller>,
}

impl Installed {
    /// Applies all objects and starts the controllers. Pods must satisfy the strictest of the pod security standards.
    async fn start(case: &Case, gates: &'static str) -> Result<Self> {
        let installation = Installation::build()?;
        let is_first = |it: &&Value| it["kind"] == "Namespace" || it["kind"] == "CustomResourceDefinition";
        for object in installation.objects().iter().filter(is_first) {
            case.apply_object(object).await?;
        }
        let enforced = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = case.object("v1", "Namespace", NAMESPACE)?;
        namespace
            .merge(&json!({"metadata": {"labels": enforced}}))
            .await?;
        for object in installation.objects().iter().filter(|it| !is_first(it)) {
            case.apply_object(object).await?;
        }
        let mut it = Self {
            installation,
            controllers: Vec::new(),
        };
        it.restart(case, gates).await?;
        Ok(it)
    }

    /// Starts the controllers, with these feature gates behind those of their arguments where they apply objects.
    async fn restart(&mut self, case: &Case, gates: &'static str) -> Result<()> {
        self.controllers.clear();
        let installation = self.installation.clone();
        let start = move |world: &e2e::World| {
            let mut started = Vec::new();
            for workload in installation.workloads() {
                let mut setup = workload.setup(world)?;
                if !gates.is_empty() && !workload.name().starts_with("source-") {
                    setup.flags.push(format!("--feature-gates={gates}"));
                }
                started.push(world.start_controller(setup)?);
            }
            Ok(started)
        };
        self.controllers = case.blocking(start).await?;
        Ok(())
    }

    /// Nothing that a controller asked of the API server was refused.
    fn ensure_nothing_was_forbidden(&self) -> Result<()> {
        for controller in &self.controllers {
            let (name, metrics) = (controller.name(), controller.metrics()?);
            let requests = |code: &str| {
                let label = format!("code=\"{code}\"");
                let mut lines = metrics
                    .lines()
                    .filter(|it| it.starts_with("rest_client_requests_total{"));
                lines.find(|it| it.contains(&label)).map(str::to_owned)
            };
            ensure!(requests("200").is_some(), "{name} asked nothing: {metrics}");
            for code in ["401", "403"] {
                ensure!(
                    requests(code).is_none(),
                    "{name}: {:?}\n{}",
                    requests(code),
                    refusals(controller)?
                );
            }
            let refusals = refusals(controller)?;
            ensure!(refusals.is_empty(), "{name}: {refusals}");
        }
        Ok(())
    }
}

/// The lines of a log that tell of missing rights.
fn refusals(controller: &Controller) -> Result<String> {
    let log = std::fs::read_to_string(controller.log())?;
    let is_refusal = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.contains("forbidden") || line.contains("403") && line.contains("status")
    };
    Ok(log.lines().filter(is_refusal).collect::<Vec<_>>().join("\n"))
}

/// Whether the API server lets a user do that.
async fn may(case: &Case, user: &str, namespace: &str, verb: &str, resource: &str) -> Result<bool> {
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        namespace: Some(namespace.to_owned()),
        resource: Some(resource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(case.world().client().clone());
    let review = api.create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|it| it.allowed))
}

async fn create(case: &Case, api_version: &str, kind: &str, name: &str, spec: Value) -> Result<Target> {
    let target = case.object(api_version, kind, name)?;
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    target.apply(&object).await?;
    Ok(target)
}

/// The role and the binding with which Flux was installed.
const FORMER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: crd-controller-flux-system}
rules: [{apiGroups: [source.toolkit.fluxcd.io, kustomize.toolkit.fluxcd.io], resources: ['*'], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: crd-controller-flux-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: crd-controller-flux-system}
subjects:
- {kind: ServiceAccount, name: source-controller, namespace: flux-system}
- {kind: ServiceAccount, name: notification-controller, namespace: flux-system}
";

async fn controllers_need_no_more_than_their_roles_grant(case: Case) -> Result<()> {
    case.apply(FORMER).await?;
    let installed = Installed::start(&case, "").await?;
    probes_are_answered(&case, &installed).await?;
    command_lines_are_beside_the_metrics(&case, &installed).await?;
    let flows = Flows::start(&case, &json!({})).await?;
    flows.are_ready(&case).await?;
    leases_are_held(&case).await?;
    for workload in installed.installation.workloads() {
        let deployment = Target::new(
            case.world().client(),
            NAMESPACE,
            "apps/v1",
            "Deployment",
            &workload.name(),
        )?;
        deployment
            .until("its Pod is admitted and ready", |it| {
                it["status"]["availableReplicas"] == 1
            })
            .await?;
    }
    flows.end(&case).await?;
    installed.ensure_nothing_was_forbidden()?;
    rights_are_what_the_roles_say(&case).await?;
    viewers_and_editors_have_flux_objects(&case).await
}

/// The paths and ports of the probes are ones at which the programs answer.
async fn probes_are_answered(case: &Case, installed: &Installed) -> Result<()> {
    for (workload, controller) in installed.installation.workloads().zip(&installed.controllers) {
        ensure!(workload.name() == controller.name());
        for probe in ["livenessProbe", "readinessProbe"] {
            let get = &workload.container()[probe]["httpGet"];
            let port = match get["port"].as_str() {
                Some("http") => controller.storage_port(),
                Some("healthz") => controller.health_port(),
                Some("http-prom") => controller.metrics_port(),
                _ => anyhow::bail!("{probe} of {}: {get}", workload.name()),
            };
            workload.port(get["port"].as_str().unwrap_or_default())?;
            let (url, end) = (
                format!("http://127.0.0.1:{port}{}", text(get, "/path")),
                now() + PATIENCE,
            );
            // The port of artifacts opens when the lease is held.
            while case.download(&url).await.map_or(0, |it| it.0) != 200 {
                ensure!(now() < end, "{probe} of {}: no answer at {url}", workload.name());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}

async fn command_lines_are_beside_the_metrics(case: &Case, installed: &Installed) -> Result<()> {
    for controller in &installed.controllers {
        let port = controller.metrics_port();
        let url = format!("http://127.0.0.1:{port}/debug/pprof/cmdline");
        let (status, words) = case.download(&url).await?;
        let words = String::from_utf8_lossy(&words);
        let is_it = status == 200 && words.contains("\0--enable-leader-election\0");
        ensure!(is_it, "{}: {status} {words}", controller.name());
    }
    Ok(())
}

fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

async fn leases_are_held(case: &Case) -> Result<()> {
    for name in [
        "source-controller",
        "source-watcher",
        "kustomize-controller",
        "helm-controller",
    ] {
        let lease = format!("{name}-leader-election");
        let lease = Target::new(
            case.world().client(),
            NAMESPACE,
            "coordination.k8s.io/v1",
            "Lease",
            &lease,
        )?;
        let holder = text(&lease.get().await?, "/spec/holderIdentity");
        ensure!(!holder.is_empty(), "nobody holds the lease of {name}");
    }
    Ok(())
}

/// One of each: what all controllers do for a cluster.
struct Flows {
    _charts: Charts,
    _registry: Registry,
    sources: Vec<Target>,
    appliers: Vec<Target>,
    generator: Target,
    made: Target,
}

impl Flows {
    /// Makes the objects; `account` is merged into the specs of those that apply others.
    async fn start(case: &Case, account: &Value) -> Result<Self> {
        let with = |mut spec: Value| {
            for (key, value) in account.as_object().into_iter().flatten() {
                spec[key] = value.clone();
            }
            spec
        };
        case.apply(&config_map("variables", &[("who", "everybody")]))
            .await?;
        case.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: account}\nstringData: {username: reader, password: secret}\n")
            .await?;
        let pulls = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: puller}, imagePullSecrets: [{name: pull}]}";
        case.apply(pulls).await?;
        let pull = json!({".dockerconfigjson": json!({"auths": {}}).to_string()});
        let pull = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson", "stringData": pull});
        case.apply_object(&pull).await?;

        // A commit is applied, with variables.
        let applied = config_map("applied", &[("to", "${who}")]);
        let variables = json!({"substituteFrom": [{"kind": "ConfigMap", "name": "variables"}]});
        let spec = with(json!({"path": "./deploy", "postBuild": variables, "wait": true}));
        let made = config_map("made", &[]);
        let files = [
            ("deploy/applied.yaml", applied.as_str()),
            ("made/made.yaml", made.as_str()),
        ];
        let (_, app) = case.app(&files, spec).await?;
        // A chart is released, from a repository for which there is an account.
        let charts = Charts::start();
        charts.publish("1.0.0", SOUND)?;
        let spec = json!({"interval": "1h", "url": charts.url(), "secretRef": {"name": "account"}});
        let repository = create(case, SOURCE, "HelmRepository", "app", spec).await?;
        let more: Vec<(&str, Value)> = match account["serviceAccountName"].as_str() {
            Some(name) => vec![("serviceAccountName", json!(name))],
            None => Vec::new(),
        };
        let release = release(case, &more).await?;
        // An artifact of a registry, pulled by an account.
        let registry = Registry::start();
        let layer = e2e::archive(&[("app.txt", "content")])?;
        registry.put_artifact(
            "org/app",
            "latest",
            &[("application/vnd.cncf.flux.content.v1.tar+gzip", &layer)],
            &[],
        );
        let url = format!("oci://{}/org/app", registry.host());
        let spec = json!({"interval": "1h", "url": url, "insecure": true, "serviceAccountName": "puller"});
        let artifact = create(case, SOURCE, "OCIRepository", "app", spec).await?;
        // What is composed of the commit is applied.
        let copy = json!([{"from": "@git/made/**", "to": "@artifact/"}]);
        let spec = json!({
            "sources": [{"alias": "git", "kind": "GitRepository", "name": "app"}],
            "artifacts": [{"name": "made", "copy": copy}],
        });
        let generator = create(
            case,
            "source.extensions.fluxcd.io/v1beta1",
            "ArtifactGenerator",
            "app",
            spec,
        )
        .await?;
        let spec = with(json!({"sourceRef": {"kind": "ExternalArtifact", "name": "made"}}));
        let composed = case.kustomize("made", "made", spec).await?;
        Ok(Self {
            _charts: charts,
            _registry: registry,
            sources: vec![case.source("app")?, repository, artifact],
            appliers: vec![app, release, composed],
            generator,
            made: case.object(SOURCE, "ExternalArtifact", "made")?,
        })
    }

    async fn are_ready(&self, case: &Case) -> Result<()> {
        for target in self.sources.iter().chain(&self.appliers) {
            target.ready().await?;
        }
        self.generator
            .expect("Ready", "True", "Succeeded", "generated 1 artifact(s)")
            .await?;
        self.made
            .expect("Ready", "True", "Succeeded", "Artifact is ready")
            .await?;
        ensure!(case.config_map("applied")?.get().await?["data"]["to"] == "everybody");
        ensure!(case.config_map("app")?.get().await?["data"]["chart"] == "1.0.0");
        case.config_map("made")?.get().await?;
        let released = &self.appliers[1];
        for (target, reason) in [
            (&self.sources[0], "NewArtifact"),
            (&self.appliers[0], "ReconciliationSucceeded"),
            (released, "InstallSucceeded"),
            (&self.generator, "Ready"),
        ] {
            target.expect_event("Normal", reason, "").await?;
        }
        // A second time, so that what is there is read and events are counted.
        for target in &self.sources {
            target.reconcile().await?;
        }
        released.reconcile().await?;
        self.appliers[0].reconcile().await?;
        let applied = case.config_map("applied")?;
        applied.merge(&json!({"data": {"to": "nobody"}})).await?;
        applied
            .until("drift is undone", |it| it["data"]["to"] == "everybody")
            .await
            .map(drop)
    }

    /// Removes everything; what was applied and made goes with it.
    async fn end(&self, case: &Case) -> Result<()> {
        for target in self.appliers.iter().chain([&self.generator]).chain(&self.sources) {
            target.delete().await?;
            target.gone().await?;
        }
        for name in ["applied", "app", "made"] {
            case.config_map(name)?.gone().await?;
        }
        let chart = format!("{}-app", case.namespace());
        case.object(SOURCE, "HelmChart", &chart)?.gone().await?;
        self.made.gone().await
    }
}

/// What the accounts may do beyond what the flows have shown, and what they may not. An API server without RBAC would allow all.
async fn rights_are_what_the_roles_say(case: &Case) -> Result<()> {
    const KUSTOMIZATIONS: &str = "kustomizations.kustomize.toolkit.fluxcd.io";
    const SOURCES: &str = "gitrepositories.source.toolkit.fluxcd.io";
    const GENERATED: &str = "externalartifacts.source.toolkit.fluxcd.io";
    const LEASES: &str = "leases.coordination.k8s.io";
    for (account, verb, resource, namespace, expected) in [
        ("source-controller", "get", "secrets", "apps", true),
        (
            "source-controller",
            "create",
            "serviceaccounts/token",
            "apps",
            true,
        ),
        ("source-controller", "update", LEASES, NAMESPACE, true),
        ("source-controller", "update", LEASES, "apps", false),
        ("source-controller", "update", "secrets", "apps", false),
        ("source-controller", "create", "pods", "apps", false),
        // The role of upstream, which was there, is taken from it.
        ("source-controller", "patch", KUSTOMIZATIONS, "apps", false),
        ("notification-controller", "patch", KUSTOMIZATIONS, "apps", true),
        ("source-watcher", "create", GENERATED, "apps", true),
        ("source-watcher", "get", "secrets", "apps", false),
        ("source-watcher", "patch", SOURCES, "apps", false),
        ("kustomize-controller", "create", "pods", "apps", true),
        ("helm-controller", "create", "pods", "apps", true),
        ("default", "get", "secrets", "apps", false),
    ] {
        let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
        let is_allowed = may(case, &user, namespace, verb, resource).await?;
        ensure!(
            is_allowed == expected,
            "{account}: {verb} {resource} in {namespace}: {is_allowed}"
        );
    }
    Ok(())
}

/// The cluster's own roles for people have the objects of Flux, too.
async fn viewers_and_editors_have_flux_objects(case: &Case) -> Result<()> {
    const RELEASES: &str = "helmreleases.helm.toolkit.fluxcd.io";
    for role in ["view", "edit"] {
        case.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {role}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {role}er}}]\n"
        ))
        .await?;
    }
    for (user, verb, expected) in [
        ("viewer", "watch", true),
        ("editer", "create", true),
        ("editer", "get", true),
        ("viewer", "create", false),
        ("viewer", "delete", false),
    ] {
        let end = now() + PATIENCE;
        // The roles are composed by a controller of the cluster.
        while may(case, user, case.namespace(), verb, RELEASES).await? != expected {
            ensure!(now() < end, "{user}: {verb} is not {expected}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// Without the binding to cluster-admin the roles of kustomize-controller and helm-controller are what they do in their own name;
/// objects are applied with the rights of accounts. One of them goes the way by a description of the cluster, with a token.
async fn controllers_that_are_no_administrators_apply_with_accounts(case: Case) -> Result<()> {
    const GATES: &str = "ExternalArtifact=true,ObjectLevelWorkloadIdentity=true";
    let mut installed = Installed::start(&case, GATES).await?;
    // Those that had the rights, and may have used them, are replaced by others.
    case.object(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "cluster-reconciler-flux-system",
    )?
    .delete()
    .await?;
    installed.controllers.iter_mut().for_each(Controller::kill);
    for controller in &installed.controllers {
        std::fs::remove_file(controller.log())?;
    }
    for name in ["kustomize-controller", "helm-controller"] {
        let user = format!("system:serviceaccount:{NAMESPACE}:{name}");
        let end = now() + PATIENCE;
        while may(&case, &user, "apps", "create", "pods").await? {
            ensure!(now() < end, "{name} has its rights still");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    installed.restart(&case, GATES).await?;
    tenant(&case).await?;
    let flows = Flows::start(&case, &json!({"serviceAccountName": "tenant"})).await?;
    flows.are_ready(&case).await?;
    flows.end(&case).await?;
    installed.ensure_nothing_was_forbidden()?;
    cluster_is_reached_by_its_description(&case).await
}

/// With a token of the tenant's, which is not allowed to watch: what is forbidden to it is no matter of the installation.
async fn cluster_is_reached_by_its_description(case: &Case) -> Result<()> {
    let files = [("described/map.yaml", config_map("described", &[]))];
    let files = files.each_ref().map(|it| (it.0, it.1.as_str()));
    case.app(&files, json!({"suspend": true})).await?;
    let authority = std::fs::read_to_string(case.world().cluster().certificate_authority())?;
    let description = json!({
        "provider": "generic", "address": case.world().cluster().server(), "ca.crt": authority,
        "serviceAccountName": "tenant", "audiences": "https://kubernetes.default.svc",
    });
    case.apply_object(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster"}, "data": description}))
        .await?;
    let described = json!({"kubeConfig": {"configMapRef": {"name": "cluster"}}, "path": "./described"});
    let described = case.kustomize("described", "app", described).await?;
    described.ready().await?;
    case.config_map("described")?.get().await?;
    described.delete().await?;
    described.gone().await
}

/// An account that may do all with ConfigMaps and Secrets of the test's namespace, which is what the flows apply.
async fn tenant(case: &Case) -> Result<()> {
    let namespace = case.namespace();
    case.apply(&format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: tenant}}\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: tenant}}\n\
         rules: [{{apiGroups: [''], resources: [configmaps, secrets], verbs: ['*']}}]\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: tenant}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}}\n\
         subjects: [{{kind: ServiceAccount, name: tenant, namespace: {namespace}}}]\n"
    ))
    .await
}
