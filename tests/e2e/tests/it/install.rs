//! What `config/default` installs: manifests that other tools build alike, and that agree with the programs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, Installation, Workload, cases, text};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["install":
        manifests_are_built_as_kubectl_builds_them,
        arguments_are_flags_of_the_programs,
        names_ports_and_labels_agree,
    ]
}

const NAMESPACE: &str = Installation::NAMESPACE;

async fn manifests_are_built_as_kubectl_builds_them(case: Case) -> Result<()> {
    let dir = Installation::dir().to_string_lossy().into_owned();
    let theirs = case
        .blocking(move |world| world.kubectl(&["kustomize", &dir]))
        .await?;
    let theirs: Vec<Value> = serde_saphyr::from_multiple(&theirs)?;
    let sorted = |objects: &[Value]| -> BTreeMap<String, Value> {
        let id = |it: &Value| format!("{} {}", text(it, "/kind"), text(it, "/metadata/name"));
        objects.iter().map(|it| (id(it), it.clone())).collect()
    };
    let (ours, theirs) = (sorted(Installation::build()?.objects()), sorted(&theirs));
    ensure!(
        ours.keys().eq(theirs.keys()),
        "{:?}\n{:?}",
        ours.keys(),
        theirs.keys()
    );
    for (id, object) in &ours {
        ensure!(
            theirs.get(id) == Some(object),
            "{id}:\n{object}\n{:?}",
            theirs.get(id)
        );
    }
    Ok(())
}

/// The programs read their command lines and then miss the cluster; a flag that they do not know would end them before.
async fn arguments_are_flags_of_the_programs(case: Case) -> Result<()> {
    /// Clap's code for a command line that is wrong.
    const USAGE: i32 = 2;
    case.blocking(|_| {
        let installation = Installation::build()?;
        let names: Vec<_> = installation.workloads().map(|it| it.name()).collect();
        ensure!(names.len() == 4, "{names:?}");
        for workload in installation.workloads() {
            let apart = [
                "--metrics-addr=0",
                "--health-addr=0",
                "--kubeconfig=/nowhere/kubeconfig",
            ];
            let known = workload.run(&apart)?;
            let said = format!("{}{}", known.stdout, known.stderr);
            ensure!(
                known.code != 0 && known.code != USAGE,
                "{}: {said}",
                workload.name()
            );
            ensure!(
                said.contains("cannot use the kubeconfig /nowhere/kubeconfig"),
                "{said}"
            );
            let misspelt = workload.run(&["--enable-leader-elections"])?;
            ensure!(misspelt.code == USAGE, "{}: {}", workload.name(), misspelt.stderr);
        }
        Ok(())
    })
    .await
}

async fn names_ports_and_labels_agree(case: Case) -> Result<()> {
    case.blocking(|_| {
        let installation = Installation::build()?;
        let version = format!("v{}", env!("CARGO_PKG_VERSION"));
        for object in installation.objects() {
            let labels = &object["metadata"]["labels"];
            let id = format!("{} {}", object["kind"], object["metadata"]["name"]);
            ensure!(labels["app.kubernetes.io/part-of"] == "flux", "{id}: {labels}");
            ensure!(
                labels["app.kubernetes.io/instance"] == NAMESPACE,
                "{id}: {labels}"
            );
            ensure!(labels["app.kubernetes.io/version"] == version, "{id}: {labels}");
        }
        for workload in installation.workloads() {
            agrees(&workload, &installation, &version).with_context(|| workload.name())?;
        }
        Ok(())
    })
    .await
}

/// Whether a Deployment fits its program, its Service, its account and its selector.
fn agrees(workload: &Workload<'_>, installation: &Installation, version: &str) -> Result<()> {
    let (name, spec) = (workload.name(), &workload.deployment()["spec"]);
    let labels = &spec["template"]["metadata"]["labels"];
    ensure!(
        spec["selector"] == json!({"matchLabels": {"app": name}}),
        "{}",
        spec["selector"]
    );
    ensure!(
        labels["app"] == name && labels["app.kubernetes.io/part-of"] == "flux",
        "{labels}"
    );
    let pod = &spec["template"]["spec"];
    ensure!(pod["serviceAccountName"] == name, "{}", pod["serviceAccountName"]);
    let mut accounts = installation.of_kind("ServiceAccount");
    ensure!(accounts.any(|it| it["metadata"]["name"] == name), "no account");
    let image = text(workload.container(), "/image");
    ensure!(
        image == format!("localhost/ferroflux/{name}:{version}"),
        "{image}"
    );
    ensure!(
        workload.container()["name"] == "manager",
        "{}",
        workload.container()
    );

    let help = workload.run(&["--help"])?.success()?.stdout;
    let serves = name.starts_with("source-");
    let served = [
        ("http-prom", "--metrics-addr"),
        ("healthz", "--health-addr"),
        ("http", "--storage-addr"),
    ];
    for (port, flag) in served.into_iter().filter(|it| serves || it.0 != "http") {
        let number = workload.port(port)?;
        ensure!(
            default(&help, flag)? == format!(":{number}"),
            "port {port} is {number}"
        );
    }
    let scraped = &spec["template"]["metadata"]["annotations"]["prometheus.io/port"];
    let metrics = workload.port("http-prom")?.to_string();
    ensure!(*scraped == metrics, "{scraped}");

    let service = installation
        .of_kind("Service")
        .find(|it| it["metadata"]["name"] == name);
    ensure!(service.is_some() == serves, "{service:?}");
    if let Some(service) = service {
        ensure!(service["spec"]["selector"] == json!({"app": name}), "{service}");
        let port = json!({"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"});
        ensure!(service["spec"]["ports"] == json!([port]), "{service}");
        let advertised = format!("--storage-adv-addr={name}.{NAMESPACE}.svc.cluster.local.");
        ensure!(
            workload.arguments().get(6) == Some(&advertised),
            "{:?}",
            workload.arguments()
        );
    }
    let is_writable = |path: &str| {
        let mounts = workload.container()["volumeMounts"].as_array();
        mounts.is_some_and(|mounts| mounts.iter().any(|it| it["mountPath"] == path))
    };
    ensure!(
        is_writable("/tmp") && (!serves || is_writable("/data")),
        "{}",
        workload.container()
    );
    Ok(())
}

/// The default of a flag, as the program's help tells it.
fn default(help: &str, flag: &str) -> Result<String> {
    let told = help.split_once(&format!("{flag} ")).map(|it| it.1);
    let told = told
        .and_then(|it| it.split_once("[default: "))
        .and_then(|it| it.1.split_once(']'));
    told.map(|it| it.0.to_owned())
        .with_context(|| format!("no default of {flag}"))
}
