//! What `flux diff helmrelease` tells of hooks and of new objects.

use anyhow::{Result, ensure};
use e2e::{Case, Entry, cases};

use crate::helm_releases::{Charts, SOUND, release};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["helm_diff":
        diff_shows_hooks_and_whole_new_objects,
    ]
}

fn hook(name: &str, events: &str, data: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{helm.sh/hook: \"{events}\"}}\ndata:\n  k: {data}\n"
    )
}

async fn diff_shows_hooks_and_whole_new_objects(case: Case) -> Result<()> {
    let charts = Charts::start();
    let stages = "pre-install,pre-upgrade";
    let same = hook("same", stages, "one");
    let before = format!(
        "{same}{}{}{}",
        hook("changed", stages, "one"),
        hook("removed", stages, "one"),
        hook("other", "pre-rollback", "one")
    );
    let map = ("templates/map.yaml", SOUND);
    charts.publish_files("1.0.0", &[map, ("templates/hooks.yaml", &before)])?;
    charts.source(&case).await?;
    release(&case, &[]).await?.ready().await?;
    // Hooks alone are nothing to release.
    let output = case.flux(&["diff", "hr", "app"]).await?;
    ensure!(output.code == 0 && output.stdout.is_empty(), "{output:?}");

    let dir = case.dir()?.join("chart");
    std::fs::create_dir_all(dir.join("templates"))?;
    let after = format!(
        "{same}{}{}{}",
        hook("changed", stages, "two"),
        hook("added", stages, "one"),
        hook("other", "pre-rollback", "two")
    );
    let new = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: new\nstringData:\n  k: hunter2\n";
    for (name, text) in [
        ("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
        ("values.yaml", "key: default\n"),
        (map.0, map.1),
        ("templates/hooks.yaml", &after),
        ("templates/new.yaml", new),
    ] {
        std::fs::write(dir.join(name), text)?;
    }
    let chart = format!("--chart-path={}", dir.display());
    let output = case.flux(&["diff", "hr", "app", &chart]).await?;
    ensure!(output.code == 1, "{output:?}");
    let (told, ns) = (output.stdout, case.namespace());
    let hook_of = |name: &str| format!("► ConfigMap/{ns}/{name} (hook: pre-install, pre-upgrade)");
    for expected in [
        format!("► Secret/{ns}/new created\n@@ -0,0 +1,"),
        "\n+kind: Secret\n".to_owned(),
        format!("\n+  namespace: {ns}\n+stringData:\n+  k: '***'\n"),
        format!("{} executed\n", hook_of("same")),
        format!("{} changed\n@@ ", hook_of("changed")),
        "\n-  k: one\n+  k: two\n".to_owned(),
        format!("{} created\n@@ -0,0 +1,", hook_of("added")),
        format!("{} removed: not executed any more\n", hook_of("removed")),
    ] {
        ensure!(told.contains(&expected), "{expected}: {told}");
    }
    ensure!(!told.contains("hunter2") && !told.contains("/other"), "{told}");
    ensure!(!told.contains("/app "), "the map stays: {told}");
    Ok(())
}
