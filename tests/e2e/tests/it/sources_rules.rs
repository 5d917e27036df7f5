//! The rules (CEL) that the CRDs of sources have: an API server refuses what breaks one, with its message.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use e2e::{Case, Entry, cases};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["sources_rules": every_rule_of_the_crds_of_sources_refuses_with_its_message]
}

/// A kind, its versions, and specs that break one rule each.
struct Kind {
    crd: &'static str,
    kind: &'static str,
    versions: &'static [&'static str],
    valid: Value,
    broken: Vec<(Value, &'static str)>,
}

const SOURCE: [&str; 2] = ["source.toolkit.fluxcd.io/v1", "source.toolkit.fluxcd.io/v1beta2"];

fn kinds() -> Vec<Kind> {
    let sts = |provider: &str, more: Value| {
        let mut sts = json!({"provider": provider, "endpoint": "https://sts.example.com"});
        merge(&mut sts, more);
        sts
    };
    let named = json!({"name": "any"});
    vec![
        Kind {
            crd: "source.toolkit.fluxcd.io_buckets.yaml",
            kind: "Bucket",
            versions: &SOURCE,
            valid: json!({"interval": "1h", "bucketName": "any", "endpoint": "s3.example.com"}),
            broken: vec![
                (
                    json!({"provider": "gcp", "sts": sts("aws", json!({}))}),
                    "STS configuration is only supported for the 'aws' and 'generic' Bucket providers",
                ),
                (
                    json!({"provider": "aws", "sts": sts("ldap", json!({}))}),
                    "'aws' is the only supported STS provider for the 'aws' Bucket provider",
                ),
                (
                    json!({"provider": "generic", "sts": sts("aws", json!({}))}),
                    "'ldap' is the only supported STS provider for the 'generic' Bucket provider",
                ),
                (
                    json!({"provider": "aws", "sts": sts("aws", json!({"secretRef": named}))}),
                    "spec.sts.secretRef is not required for the 'aws' STS provider",
                ),
                (
                    json!({"provider": "aws", "sts": sts("aws", json!({"certSecretRef": named}))}),
                    "spec.sts.certSecretRef is not required for the 'aws' STS provider",
                ),
                (
                    json!({"serviceAccountName": "any"}),
                    "ServiceAccountName is not supported for the 'generic' Bucket provider",
                ),
                (
                    json!({"provider": "aws", "serviceAccountName": "any", "secretRef": named}),
                    "cannot set both .spec.secretRef and .spec.serviceAccountName",
                ),
            ],
        },
        Kind {
            crd: "source.toolkit.fluxcd.io_gitrepositories.yaml",
            kind: "GitRepository",
            versions: &SOURCE,
            valid: json!({"interval": "1h", "url": "https://git.example.com/app"}),
            broken: vec![(
                json!({"serviceAccountName": "any"}),
                "serviceAccountName can only be set when provider is 'azure' or 'aws'",
            )],
        },
        Kind {
            crd: "source.toolkit.fluxcd.io_helmcharts.yaml",
            kind: "HelmChart",
            versions: &SOURCE,
            valid: json!({"interval": "1h", "chart": "any", "sourceRef": {"kind": "GitRepository", "name": "any"}}),
            broken: vec![(
                json!({"verify": {"provider": "cosign"}}),
                "spec.verify is only supported when spec.sourceRef.kind is 'HelmRepository'",
            )],
        },
        Kind {
            crd: "source.extensions.fluxcd.io_artifactgenerators.yaml",
            kind: "ArtifactGenerator",
            versions: &["source.extensions.fluxcd.io/v1beta1"],
            valid: json!({
                "sources": [{"alias": "app", "kind": "GitRepository", "name": "app"}],
                "artifacts": [{"name": "app", "copy": [{"from": "@app/**", "to": "@artifact/"}]}],
            }),
            broken: vec![(
                json!({"artifacts": [{"name": "No_Name", "copy": [{"from": "@app/**", "to": "@artifact/"}]}]}),
                "artifact names must be valid Kubernetes object names when pathPattern is not set",
            )],
        },
    ]
}

async fn every_rule_of_the_crds_of_sources_refuses_with_its_message(case: Case) -> Result<()> {
    for kind in kinds() {
        let told: BTreeSet<_> = kind
            .broken
            .iter()
            .map(|(_, message)| (*message).to_owned())
            .collect();
        ensure!(
            rules(kind.crd)? == told,
            "{} has other rules than are broken here: {:?}",
            kind.crd,
            rules(kind.crd)?
        );
        for version in kind.versions {
            for (place, (change, message)) in kind.broken.iter().enumerate() {
                let name = format!("broken-{place}");
                let mut spec = kind.valid.clone();
                merge(&mut spec, change.clone());
                let refused = create(&case, version, kind.kind, &name, spec).await;
                let refused = refused
                    .err()
                    .with_context(|| format!("{version} {}: {message}", kind.kind))?;
                let refused = format!("{refused:#}");
                ensure!(refused.contains(message), "{message}: {refused}");
            }
            let name = format!("valid-{}", version.rsplit('/').next().unwrap_or_default());
            create(&case, version, kind.kind, &name, kind.valid.clone()).await?;
        }
    }
    Ok(())
}

async fn create(case: &Case, version: &str, kind: &str, name: &str, spec: Value) -> Result<()> {
    // Nobody is to act on it.
    let mut object = json!({
        "apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {
            "name": name, "namespace": case.namespace(),
            "annotations": {"source.extensions.fluxcd.io/reconcile": "disabled"},
        },
    });
    if kind != "ArtifactGenerator" {
        merge(&mut object, json!({"spec": {"suspend": true}}));
    }
    case.object(version, kind, name)?.create(&object).await
}

/// The messages of all rules in a CRD.
fn rules(crd: &str) -> Result<BTreeSet<String>> {
    let path = xtask::paths::root().join("config/crd/bases").join(crd);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let crd: Value = serde_saphyr::from_str(&text)?;
    let mut found = BTreeSet::new();
    collect(&crd, &mut found);
    Ok(found)
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    let rules = value["x-kubernetes-validations"].as_array().into_iter().flatten();
    found.extend(rules.filter_map(|rule| rule["message"].as_str().map(str::to_owned)));
    match value {
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// Puts the fields of `change` in.
fn merge(target: &mut Value, change: Value) {
    match (target, change) {
        (Value::Object(target), Value::Object(change)) => {
            for (key, value) in change {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, change) => *target = change,
    }
}
