//! Many objects in one Kustomization.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Case, Entry, cases, config_map};
use serde_json::{Value, json};

use crate::apply::inventory;

pub(crate) fn cases() -> Vec<Entry> {
    let entries = cases!["scale":
        kustomization_of_1500_objects_applies_and_changes_one,
        repository_of_5000_manifests_applies_in_bounded_memory,
    ];
    entries.into_iter().map(|it| it.within(400)).collect()
}

const LIMIT: Duration = Duration::from_secs(200);

async fn kustomization_of_1500_objects_applies_and_changes_one(case: Case) -> Result<()> {
    let all = |changed: &str| {
        let object = |it: usize| {
            config_map(
                &format!("map-{it:04}"),
                &[("key", if it == 700 { changed } else { "same" })],
            )
        };
        (0..1500).map(object).collect::<Vec<_>>().join("---\n")
    };
    let (repository, kustomization) = case
        .app(&[("all.yaml", &all("one"))], json!({"wait": true}))
        .await?;
    let object = kustomization.ready_within(LIMIT).await?;
    ensure!(
        inventory(&object).len() == 1500,
        "{} objects",
        inventory(&object).len()
    );
    let versions = versions(&case).await?;
    ensure!(versions.len() == 1500, "{} objects", versions.len());

    let commit = repository.commit(&[("all.yaml", &all("two"))])?;
    case.fetch("app", &commit).await?;
    let message = format!("Applied revision: main@sha1:{commit}");
    kustomization
        .expect_within(LIMIT, "Ready", "True", "ReconciliationSucceeded", &message)
        .await?;
    let after = self::versions(&case).await?;
    let changed: Vec<_> = after
        .iter()
        .filter(|it| !versions.contains(it))
        .map(|it| it.0.as_str())
        .collect();
    ensure!(changed == ["map-0700"], "{changed:?}");

    // Deleting takes all of them along.
    kustomization.delete().await?;
    tokio::time::timeout(LIMIT, kustomization.gone()).await??;
    ensure!(self::versions(&case).await?.is_empty());
    Ok(())
}

/// Name and resource version of each ConfigMap of the test.
async fn versions(case: &Case) -> Result<Vec<(String, String)>> {
    let namespace = case.namespace().to_owned();
    let columns = "custom-columns=:metadata.name,:metadata.resourceVersion";
    let listed = case
        .blocking(move |world| {
            world.kubectl(&[
                "get",
                "configmaps",
                "-n",
                &namespace,
                "--no-headers",
                "-l",
                "kustomize.toolkit.fluxcd.io/name=app",
                "-o",
                columns,
            ])
        })
        .await?;
    let pairs = listed.lines().filter_map(|it| it.trim().split_once(' '));
    Ok(pairs
        .map(|(name, version)| (name.to_owned(), version.trim().to_owned()))
        .collect())
}

async fn repository_of_5000_manifests_applies_in_bounded_memory(case: Case) -> Result<()> {
    let repository = case.repository("app")?;
    for it in 0..5000 {
        repository.write(
            &format!("all/{:02}/map-{it}.yaml", it % 50),
            config_map(&format!("map-{it}"), &[("key", "value")]).as_bytes(),
        )?;
    }
    repository.commit(&[("one/one.yaml", &config_map("one", &[]))])?;
    case.git_repository("app", repository.url(), json!({})).await?;
    let all = case.kustomize("app", "app", json!({"path": "./all"})).await?;
    // Another Kustomization of the same repository is not held up.
    let one = case.kustomize("one", "app", json!({"path": "./one"})).await?;
    one.ready().await?;
    let object: Value = all.ready_within(LIMIT).await?;
    ensure!(
        inventory(&object).len() == 5000,
        "{} objects",
        inventory(&object).len()
    );
    for (controller, limit) in [("source-controller", 300), ("kustomize-controller", 300)] {
        let peak = case.world().peak_memory(controller)? >> 20;
        ensure!(peak < limit, "{controller} needed {peak} MiB");
    }
    Ok(())
}
