//! The conditions of a HelmRelease and how Ready follows from them (`spec/helm.md` C.7), and the digests that go with it (A.4.2).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ferro_api::helm::{HelmRelease, PostRenderer};
use ferro_api::meta::{CommonMetadata, Image, Patch, Selector};
use ferro_api::{Condition, ConditionStatus, FluxObject, condition};
use ferro_artifact::digest::Algorithm;
use ferro_runtime::conditions;
use serde::Serialize;

/// Makes Ready what the conditions of the actions say, and notes what the release was made with.
pub(crate) fn summarise(release: &mut HelmRelease, algorithm: Algorithm) {
    let test = release.spec.test.clone().unwrap_or_default();
    if !test.enable {
        conditions::delete(release, condition::TEST_SUCCESS);
    }
    let mut types = vec![condition::REMEDIATED];
    if test.enable && !test.ignore_failures {
        types.push(condition::TEST_SUCCESS);
    }
    types.push(condition::RELEASED);
    let mut found: Vec<Condition> = types
        .into_iter()
        .filter_map(|type_| release.condition(type_).cloned())
        .collect();
    found.sort_by_key(|condition| Reverse(condition.observed_generation));
    let Some(decisive) = found.into_iter().next() else {
        return;
    };
    let status = match decisive.type_.as_str() {
        condition::REMEDIATED => ConditionStatus::False,
        _ => decisive.status,
    };
    conditions::set(
        release,
        condition::READY,
        status,
        &decisive.reason,
        &decisive.message,
    );
    if status == ConditionStatus::True {
        conditions::delete(release, condition::STALLED);
    }
    let renderers = post_renderers_digest(&release.spec.post_renderers, algorithm);
    let metadata = common_metadata_digest(release.spec.common_metadata.as_ref(), algorithm);
    let status = release.status_mut();
    status.observed_post_renderers_digest = renderers;
    status.observed_common_metadata_digest = metadata;
}

/// Drops a Ready of an earlier pass that a step has overcome.
pub(crate) fn overcome(release: &mut HelmRelease, reason: &str) {
    let stale = release
        .condition(condition::READY)
        .is_some_and(|ready| ready.status == ConditionStatus::False && ready.reason == reason);
    if stale {
        conditions::mark_unknown(
            release,
            condition::READY,
            ferro_api::reason::PROGRESSING,
            "reconciliation in progress",
        );
    }
}

/// The digest of the post-renderers; none without any.
pub(crate) fn post_renderers_digest(renderers: &[PostRenderer], algorithm: Algorithm) -> Option<String> {
    if renderers.is_empty() {
        return None;
    }
    let go: Vec<GoRenderer<'_>> = renderers.iter().map(GoRenderer::from).collect();
    digest(&go, algorithm)
}

/// The digest of the common metadata; none without it.
pub(crate) fn common_metadata_digest(
    metadata: Option<&CommonMetadata>,
    algorithm: Algorithm,
) -> Option<String> {
    let metadata = metadata?;
    let go = GoMetadata {
        annotations: &metadata.annotations,
        labels: &metadata.labels,
    };
    digest(&go, algorithm)
}

/// The digest of what Go's encoder prints.
fn digest(value: &impl Serialize, algorithm: Algorithm) -> Option<String> {
    let mut text = serde_json::to_string(value).ok()?;
    // These occur in texts only, where Go writes them so.
    for (plain, escaped) in [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ] {
        if text.contains(plain) {
            text = text.replace(plain, escaped);
        }
    }
    text.push('\n');
    Some(algorithm.digest(text.as_bytes()).to_string())
}

/// The same fields in the order of Go's structs.
#[derive(Serialize)]
struct GoRenderer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kustomize: Option<GoKustomize<'a>>,
}

#[derive(Serialize)]
struct GoKustomize<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<GoPatch<'a>>,
    #[serde(rename = "patchesStrategicMerge", skip_serializing_if = "<[_]>::is_empty")]
    patches_strategic_merge: &'a [serde_json::Value],
    #[serde(rename = "patchesJson6902", skip_serializing_if = "<[_]>::is_empty")]
    patches_json6902: &'a [ferro_api::meta::JsonPatch],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<GoImage<'a>>,
}

#[derive(Serialize)]
struct GoPatch<'a> {
    patch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<GoSelector<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoSelector<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    annotation_selector: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    label_selector: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoImage<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    new_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    new_tag: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'a str,
}

#[derive(Serialize)]
struct GoMetadata<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a PostRenderer> for GoRenderer<'a> {
    fn from(renderer: &'a PostRenderer) -> Self {
        let kustomize = renderer.kustomize.as_ref().map(|kustomize| GoKustomize {
            patches: kustomize.patches.iter().map(GoPatch::from).collect(),
            patches_strategic_merge: &kustomize.patches_strategic_merge,
            patches_json6902: &kustomize.patches_json6902,
            images: kustomize.images.iter().map(GoImage::from).collect(),
        });
        Self { kustomize }
    }
}

impl<'a> From<&'a Patch> for GoPatch<'a> {
    fn from(patch: &'a Patch) -> Self {
        Self {
            patch: &patch.patch,
            target: patch.target.as_ref().map(GoSelector::from),
        }
    }
}

impl<'a> From<&'a Selector> for GoSelector<'a> {
    fn from(selector: &'a Selector) -> Self {
        fn text(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or_default()
        }
        Self {
            group: text(&selector.group),
            version: text(&selector.version),
            kind: text(&selector.kind),
            namespace: text(&selector.namespace),
            name: text(&selector.name),
            annotation_selector: text(&selector.annotation_selector),
            label_selector: text(&selector.label_selector),
        }
    }
}

impl<'a> From<&'a Image> for GoImage<'a> {
    fn from(image: &'a Image) -> Self {
        fn text(text: &Option<String>) -> &str {
            text.as_deref().unwrap_or_default()
        }
        Self {
            name: &image.name,
            new_name: text(&image.new_name),
            new_tag: text(&image.new_tag),
            digest: text(&image.digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(spec: serde_json::Value) -> HelmRelease {
        serde_json::from_value(json!({ "metadata": { "name": "a", "generation": 2 }, "spec": spec })).unwrap()
    }

    #[test]
    fn ready_follows_the_newest_condition_and_remediation_first() {
        let mut object = release(json!({}));
        conditions::mark_true(&mut object, condition::RELEASED, "InstallSucceeded", "m");
        summarise(&mut object, Algorithm::Sha256);
        assert!(object.is_ready());
        conditions::mark_true(&mut object, condition::REMEDIATED, "RollbackSucceeded", "r");
        summarise(&mut object, Algorithm::Sha256);
        let ready = object.condition(condition::READY).unwrap();
        assert_eq!(
            (ready.status, ready.reason.as_str()),
            (ConditionStatus::False, "RollbackSucceeded")
        );
        // What was said of a newer generation counts more.
        object.metadata.generation = Some(3);
        conditions::mark_true(&mut object, condition::RELEASED, "UpgradeSucceeded", "m");
        summarise(&mut object, Algorithm::Sha256);
        assert!(object.is_ready());
    }

    #[test]
    fn test_success_counts_where_tests_are_enabled() {
        let mut object = release(json!({ "test": { "enable": true } }));
        conditions::mark_true(&mut object, condition::RELEASED, "InstallSucceeded", "m");
        conditions::mark_false(&mut object, condition::TEST_SUCCESS, "TestFailed", "t");
        summarise(&mut object, Algorithm::Sha256);
        assert_eq!(object.condition(condition::READY).unwrap().reason, "TestFailed");
        object.spec.test = None;
        summarise(&mut object, Algorithm::Sha256);
        assert!(object.is_ready() && object.condition(condition::TEST_SUCCESS).is_none());
    }

    #[test]
    fn digests_are_of_gos_json() {
        let object = release(json!({ "postRenderers": [{ "kustomize": {
            "images": [{ "name": "a", "newTag": "1" }],
            "patches": [{ "patch": "x: <&>", "target": { "name": "n", "kind": "K" } }] } }],
            "commonMetadata": { "labels": { "b": "1" }, "annotations": { "a": "2" } } }));
        let sha = |text: &str| Algorithm::Sha256.digest(text.as_bytes()).to_string();
        let expected = "[{\"kustomize\":{\"patches\":[{\"patch\":\"x: \\u003c\\u0026\\u003e\",\"target\":{\"kind\":\"K\",\"name\":\"n\"}}],\"images\":[{\"name\":\"a\",\"newTag\":\"1\"}]}}]\n";
        assert_eq!(
            post_renderers_digest(&object.spec.post_renderers, Algorithm::Sha256).unwrap(),
            sha(expected)
        );
        let expected = "{\"annotations\":{\"a\":\"2\"},\"labels\":{\"b\":\"1\"}}\n";
        assert_eq!(
            common_metadata_digest(object.spec.common_metadata.as_ref(), Algorithm::Sha256).unwrap(),
            sha(expected)
        );
        assert_eq!(post_renderers_digest(&[], Algorithm::Sha256), None);
    }
}
