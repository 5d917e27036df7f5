//! `flux create kustomization`.

use anyhow::{Result, bail};
use clap::{ArgMatches, FromArgMatches as _};
use ferro_api::Kind as _;
use ferro_api::helm::HelmRelease;
use serde_json::{Value, json};

use super::{Common, Draft, Ending, Spec, Words, dependencies};
use crate::args::create::kustomization::KustomizationArgs;
use crate::command::Session;

const WORDS: Words = Words {
    thing: "Kustomization",
    changed: "Kustomization",
    ending: Ending::Applied,
};

/// The kinds whose health can be waited for by name.
const HEALTH_CHECKS: [&str; 4] = ["Deployment", "DaemonSet", "StatefulSet", "HelmRelease"];

pub(super) async fn run(leaf: &ArgMatches, session: &mut Session<'_>) -> Result<()> {
    let common = Common::read(leaf)?;
    let args = KustomizationArgs::from_arg_matches(leaf)?;
    if args.path.is_empty() {
        bail!("path is required");
    }
    if !args.path.starts_with("./") {
        bail!("path must begin with ./");
    }
    let Some(source) = &args.source else {
        bail!("source is required")
    };
    if !common.args.export {
        session
            .terminal
            .generation(format_args!("generating Kustomization"));
    }
    let mut reference = Spec::default();
    reference
        .set("kind", source.kind)
        .set("name", source.name.as_str())
        .text("namespace", source.namespace.as_deref());
    let mut spec = Spec::default();
    spec.set("interval", common.args.interval.to_string())
        .set("path", path(&args.path))
        .set("prune", args.prune)
        .set("sourceRef", reference.0)
        .text("targetNamespace", args.target_namespace.as_deref())
        .text("serviceAccountName", args.service_account.as_deref())
        .duration("retryInterval", args.retry_interval);
    if !args.depends_on.is_empty() {
        spec.set("dependsOn", dependencies(&args.depends_on));
    }
    if let Some(secret) = &args.kubeconfig_secret_ref {
        spec.set("kubeConfig", json!({"secretRef": {"name": secret}}));
    }
    if args.wait {
        spec.set("wait", true);
    } else if !args.health_check.is_empty() {
        let checks: Result<Vec<Value>> = args.health_check.iter().map(|text| health_check(text)).collect();
        spec.set("healthChecks", checks?);
    }
    if args.wait || !args.health_check.is_empty() {
        spec.duration("timeout", Some(args.health_check_timeout));
    }
    if let Some(provider) = &args.decryption_provider {
        let mut decryption = Spec::default();
        decryption
            .set("provider", provider.as_str())
            .reference("secretRef", args.decryption_secret.as_deref());
        spec.set("decryption", decryption.0);
    }
    let draft = Draft::new("Kustomization", &common, spec, session)?;
    if common.args.export {
        return draft.print(session);
    }
    draft.apply(&WORDS, session).await
}

/// Cleans a path that must not lead out of the source.
fn path(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            // As in a root directory, there is nothing above.
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("./{}", parts.join("/"))
}

fn health_check(text: &str) -> Result<Value> {
    let bad = || format!("invalid health check '{text}' must be in the format 'kind/name.namespace'");
    let Some((kind, object)) = text.split_once('/').filter(|(_, object)| !object.contains('/')) else {
        bail!(bad())
    };
    if !HEALTH_CHECKS.contains(&kind) {
        bail!("invalid health check kind '{kind}' can be HelmRelease, Deployment, DaemonSet or StatefulSet");
    }
    let Some((name, namespace)) = object.split_once('.').filter(|(_, rest)| !rest.contains('.')) else {
        bail!(bad())
    };
    let mut check = Spec::default();
    check
        .set("kind", kind)
        .set("name", name)
        .set("namespace", namespace);
    if kind == HelmRelease::INFO.kind {
        check.set("apiVersion", HelmRelease::INFO.api_version());
    }
    Ok(Value::Object(check.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_source() {
        for (text, cleaned) in [("./", "./"), ("./a//b/./c/", "./a/b/c"), ("./../../etc", "./etc")] {
            assert_eq!(path(text), cleaned);
        }
    }

    #[test]
    fn health_checks_name_kind_name_and_namespace() {
        let check = health_check("HelmRelease/app.prod").unwrap();
        assert_eq!(check["apiVersion"], "helm.toolkit.fluxcd.io/v2");
        assert_eq!(
            (&check["name"], &check["namespace"]),
            (&json!("app"), &json!("prod"))
        );
        for text in [
            "Deployment",
            "Job/a.b",
            "Deployment/a",
            "Deployment/a.b.c",
            "Deployment/a/b.c",
        ] {
            assert!(health_check(text).is_err(), "{text}");
        }
    }
}
