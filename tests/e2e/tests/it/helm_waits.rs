//! What a release waits for, and what wakes it: its interval, files of sources, maintenance windows, other Helm clients at work.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Case, Entry, Target, cases, condition};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::helm_releases::{Charts, SOUND, has, has_history, history, record, release};

pub(crate) fn cases() -> Vec<Entry> {
    cases!["helm_waits":
        values_that_nobody_watches_are_seen_at_the_interval,
        values_follow_a_file_of_a_git_repository,
        release_that_waits_for_its_window_goes_on_when_the_window_is_edited,
        revision_that_helm_has_begun_is_left_alone_and_then_unlocked,
    ]
}

/// A patch of annotations of helm-controller.
fn annotations(these: &[(&str, Value)]) -> Value {
    let named = these
        .iter()
        .map(|(name, value)| (format!("helm.toolkit.fluxcd.io/{name}"), value.clone()));
    json!({ "metadata": { "annotations": named.collect::<serde_json::Map<_, _>>() } })
}

async fn values_that_nobody_watches_are_seen_at_the_interval(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let values = case.config_map("values")?;
    let holding = |key: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "values" },
            "data": { "values.yaml": format!("key: {key}") } })
    };
    values.apply(&holding("one")).await?;
    let from = json!([{ "kind": "ConfigMap", "name": "values" }]);
    let release = release(&case, &[("valuesFrom", from), ("interval", "3s".into())]).await?;
    release.ready().await?;
    has(&case, "key", "one").await?;
    values.apply(&holding("two")).await?;
    has(&case, "key", "two").await
}

async fn values_follow_a_file_of_a_git_repository(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let release = release(&case, &[]).await?;
    release.ready().await?;
    has(&case, "key", "default").await?;

    // The annotation alone is enough to be looked at, and a source that does not come is told.
    let files = "- {kind: GitRepository, name: config, path: shop/values.yaml}";
    let patch = annotations(&[("valuesFiles", files.into())]);
    release.merge(&patch).await?;
    release
        .expect(
            "Ready",
            "False",
            "ValuesError",
            "gitrepositories.source.toolkit.fluxcd.io \"config\" not found",
        )
        .await?;
    let repository = case.repository("config")?;
    repository.commit(&[("shop/values.yaml", "key: one\n")])?;
    case.git_repository("config", repository.url(), json!({})).await?;
    has(&case, "key", "one").await?;
    let object = release.ready().await?;
    has_history(&object, &["2 deployed", "1 superseded"])?;

    // Another revision with the same values makes no revision of the release; one with others does, and nobody has to ask.
    let same = repository.commit(&[("shop/values.yaml", "# The same.\nkey: one\n"), ("README", "")])?;
    case.fetch("config", &same).await?;
    let other = repository.commit(&[("shop/values.yaml", "key: two\n")])?;
    case.fetch("config", &other).await?;
    has(&case, "key", "two").await?;
    let object = release
        .until("the third revision is released", |it| {
            history(it).first().is_some_and(|newest| newest == "3 deployed")
        })
        .await?;
    ensure!(
        history(&object).len() == 2 || history(&object).len() == 3,
        "{}",
        object["status"]
    );

    let broken = repository.commit(&[("shop/values.yaml", "key: two\nb: [\n")])?;
    case.fetch("config", &broken).await?;
    let told = format!(
        "file 'shop/values.yaml' of GitRepository '{}/config' at revision 'main@sha1:{broken}': cannot unmarshal yaml document: error converting YAML to JSON: yaml: line 2",
        case.namespace()
    );
    release.expect("Ready", "False", "ValuesError", &told).await?;

    // And an annotation that is none.
    release
        .merge(&annotations(&[(
            "valuesFiles",
            "- {kind: Secret, name: a, path: b}".into(),
        )]))
        .await?;
    release
        .expect("Ready", "False", "InvalidValuesFiles", "kind 'Secret' is none of")
        .await?;
    has(&case, "key", "two").await?;
    release
        .merge(&annotations(&[("valuesFiles", Value::Null)]))
        .await?;
    has(&case, "key", "default").await?;
    release.ready().await?;
    Ok(())
}

/// Gives the release another value, which is not released for this reason.
async fn is_held_back(
    case: &Case,
    release: &Target,
    value: &str,
    (reason, message): (&str, &str),
) -> Result<()> {
    let values = json!({ "spec": { "values": { "key": value } } });
    release.merge(&values).await?;
    release.expect("Reconciling", "True", reason, message).await?;
    has(case, "key", "default").await
}

async fn release_that_waits_for_its_window_goes_on_when_the_window_is_edited(case: Case) -> Result<()> {
    let _offered = Charts::offered(&case, SOUND).await?;
    let release = release(&case, &[]).await?;
    release.ready().await?;

    // A window that is closed on any day on which this may run: none opens within the next two days.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let today = usize::try_from(now.as_secs() / 86400)?;
    // The first of January 1970 was a Thursday.
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let far = format!("{} 00:00-00:01", days[(today + 3) % days.len()]);
    release.merge(&annotations(&[("windows", far.into())])).await?;
    let told = "upgrade waits for the maintenance window that opens at";
    is_held_back(&case, &release, "held", ("WaitingForWindow", told)).await?;
    let object = release.get().await?;
    ensure!(condition(&object, "Ready").context("Ready")?["status"] == "True");

    release
        .merge(&annotations(&[("windows", "00:00-24:00".into())]))
        .await?;
    has(&case, "key", "held").await?;
    let object = release.ready().await?;
    has_history(&object, &["2 deployed", "1 superseded"])
}

/// The record in a Secret.
pub(crate) fn unpacked(packed: &str) -> Result<Value> {
    let text = STANDARD.decode(STANDARD.decode(packed)?)?;
    let mut json = String::new();
    GzDecoder::new(text.as_slice()).read_to_string(&mut json)?;
    Ok(serde_json::from_str(&json)?)
}

/// The record in a Secret, changed and packed again.
fn repacked(packed: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
    let mut record = unpacked(packed)?;
    change(&mut record);
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(record.to_string().as_bytes())?;
    Ok(STANDARD.encode(STANDARD.encode(packer.finish()?)))
}

/// What an upgrade of the release `app` writes first, and nothing after it, as a client of that name writes it.
pub(crate) async fn pending_after_first(case: &Case, client: &str) -> Result<Target> {
    let first = record(case, 1)?.get().await?;
    let packed = first["data"]["release"].as_str().context("a record")?;
    let pending = repacked(packed, |record| {
        record["version"] = 2.into();
        record["info"]["status"] = "pending-upgrade".into();
    })?;
    let second = record(case, 2)?;
    let labels = json!({ "name": "app", "owner": "helm", "status": "pending-upgrade", "version": "2" });
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": first["type"],
        "metadata": { "name": second.name(), "labels": labels }, "data": { "release": pending },
    });
    second.apply_as(client, &object).await?;
    Ok(second)
}

async fn revision_that_helm_has_begun_is_left_alone_and_then_unlocked(case: Case) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(12);
    let _offered = Charts::offered(&case, SOUND).await?;
    let timeout = format!("{}s", PATIENCE.as_secs());
    let release = release(&case, &[("timeout", timeout.into())]).await?;
    release.ready().await?;

    // It hangs, or was killed.
    let begun = tokio::time::Instant::now();
    let second = pending_after_first(&case, "helm").await?;
    let told = "Revision 2 is pending-upgrade by helm";
    is_held_back(&case, &release, "later", ("LockedByOther", told)).await?;
    let status = |it: &Value| it["metadata"]["labels"]["status"].clone();
    ensure!(status(&second.get().await?) == "pending-upgrade");

    has(&case, "key", "later").await?;
    // Its clock counts whole seconds.
    let waited = begun.elapsed();
    ensure!(
        waited + Duration::from_secs(2) >= PATIENCE,
        "unlocked after {waited:?}"
    );
    ensure!(status(&second.get().await?) == "failed");
    let object = release.ready().await?;
    ensure!(
        history(&object)
            .first()
            .is_some_and(|newest| newest == "3 deployed"),
        "{}",
        object["status"]
    );
    Ok(())
}
