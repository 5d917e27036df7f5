//! Which tag, which layer, what is made of it.

use super::*;

fn select(object: &mut OCIRepository, change: impl FnOnce(&mut OCIRepositoryRef)) {
    let mut reference = OCIRepositoryRef::default();
    change(&mut reference);
    object.spec.reference = Some(reference);
}

fn selector(media_type: Option<&str>, operation: Option<OciLayerOperation>) -> Option<LayerSelector> {
    Some(LayerSelector {
        media_type: media_type.map(str::to_owned),
        operation,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_wins_over_semver_and_that_over_tag() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let mut digests = Vec::new();
    for tag in ["1.0.0", "1.2.0", "1.10.0-rc.1", "2.0.0", "stable"] {
        digests.push(push(&registry, tag, &[("tag", tag)]));
    }
    let mut object = object(&registry);
    select(&mut object, |reference| reference.tag = Some("stable".to_owned()));
    bench.pass(&mut object).await;
    assert_eq!(
        object.artifact().unwrap().revision,
        format!("stable@{}", digests[4])
    );

    let range = |reference: &mut OCIRepositoryRef| {
        reference.tag = Some("stable".to_owned());
        reference.semver = Some(">=1.0.0-0 <2.0.0-0".to_owned());
    };
    select(&mut object, range);
    bench.pass(&mut object).await;
    assert_eq!(
        object.artifact().unwrap().revision,
        format!("1.10.0-rc.1@{}", digests[2])
    );
    select(&mut object, |reference| {
        range(reference);
        reference.semver_filter = Some(r"^\d+\.\d+\.\d+$".to_owned());
    });
    bench.pass(&mut object).await;
    assert_eq!(
        object.artifact().unwrap().revision,
        format!("1.2.0@{}", digests[1])
    );

    select(&mut object, |reference| {
        range(reference);
        reference.digest = Some(digests[0].clone());
    });
    registry.take_seen();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(object.artifact().unwrap().revision, digests[0]);
    // A digest that is stored is not even asked for.
    registry.take_seen();
    bench.pass(&mut object).await;
    assert_eq!(registry.take_seen(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn layer_by_media_type_is_extracted_or_copied() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let (first, second) = (
        archive(&[("first.yaml", "1")]),
        archive(&[("second.yaml", "2"), ("logo.png", "x")]),
    );
    let layers: [(&str, &[u8]); 2] = [("application/first", &first), ("application/second", &second)];
    registry.put_artifact(APP, "latest", &layers, &[]);
    let mut object = object(&registry);
    bench.pass(&mut object).await;
    assert_eq!(names(&bench.stored(&object)), [".", "first.yaml"]);

    object.spec.layer_selector = selector(Some("application/second"), None);
    bench.pass(&mut object).await;
    assert_eq!(names(&bench.stored(&object)), [".", "second.yaml"]);

    object.spec.layer_selector = selector(Some("application/second"), Some(OciLayerOperation::Copy));
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        std::fs::read(bench.stored(&object)).unwrap(),
        second,
        "to the byte"
    );
    let status = object.status.as_ref().unwrap();
    assert_eq!(status.observed_layer_selector, object.spec.layer_selector);
    assert!(status.artifact.as_ref().unwrap().path.ends_with(".tar.gz"));

    // Ignore rules are for what is extracted; a copy is made anew, because the configuration is another, and is the same.
    object.spec.ignore = Some("*.yaml\n".to_owned());
    bench.pass(&mut object).await;
    assert_eq!(std::fs::read(bench.stored(&object)).unwrap(), second);

    object.spec.layer_selector = selector(Some("application/third"), None);
    let message = "failed to find layer with media type 'application/third' in artifact";
    let failed = Outcome::Backoff {
        error: message.to_owned(),
    };
    assert_eq!(bench.pass(&mut object).await, failed);
    assert_eq!(
        conditions_of(&object)[1],
        "Ready=False/OCIArtifactLayerOperationFailed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chart_versions_are_read_from_tags() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    let layer = archive(&[("app/Chart.yaml", "name: app\n")]);
    let layers: [(&str, &[u8]); 1] = [(media_type::HELM_CHART, &layer)];
    let digest = registry.put_artifact(APP, "6.2.1_build.2", &layers, &[]);
    registry.put_artifact(APP, "6.2.0", &layers, &[]);
    let mut object = object(&registry);
    object.spec.layer_selector = selector(Some(media_type::HELM_CHART), Some(OciLayerOperation::Copy));
    select(&mut object, |reference| reference.semver = Some("6.x".to_owned()));
    bench.pass(&mut object).await;
    assert_eq!(
        object.artifact().unwrap().revision,
        format!("6.2.1_build.2@{digest}")
    );
    // A tag may be given as the version that it stands for.
    select(&mut object, |reference| {
        reference.tag = Some("6.2.1+build.2".to_owned());
    });
    registry.take_seen();
    bench.pass(&mut object).await;
    assert_eq!(registry.take_seen(), ["HEAD /v2/org/app/manifests/6.2.1_build.2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_reference_have_the_words_of_the_reference() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "1.0.0", &[("a", "a")]);
    let mut object = object(&registry);
    let url = object.spec.url.clone();
    let host = registry.host();
    type Change = fn(&mut OCIRepositoryRef);
    let cases: [(Change, &str, String); 5] = [
        (
            |reference| reference.semver = Some(">2".to_owned()),
            "ReadOperationFailed",
            format!("failed to determine the artifact tag for '{url}': no match found for semver: >2"),
        ),
        (
            |reference| reference.semver = Some("<= x.y".to_owned()),
            "ReadOperationFailed",
            format!(
                "failed to determine the artifact tag for '{url}': semver '<= x.y' parse error: improper constraint: \"<= x.y\""
            ),
        ),
        (
            |reference| {
                reference.semver = Some("*".to_owned());
                reference.semver_filter = Some("[".to_owned());
            },
            "ReadOperationFailed",
            format!(
                "failed to determine the artifact tag for '{url}': error parsing regexp: missing closing ]: `[`"
            ),
        ),
        (
            |reference| reference.tag = Some("none".to_owned()),
            "OCIArtifactPullFailed",
            format!(
                "failed to determine artifact digest: GET http://{host}/v2/{APP}/manifests/none: MANIFEST_UNKNOWN: manifest unknown"
            ),
        ),
        (
            |reference| reference.digest = Some("sha256:12".to_owned()),
            "OCIArtifactPullFailed",
            "failed to determine artifact digest: wrong number of hex digits for sha256: 12".to_owned(),
        ),
    ];
    for (change, reason, message) in cases {
        select(&mut object, change);
        let failed = Outcome::Backoff {
            error: message.clone(),
        };
        assert_eq!(bench.pass(&mut object).await, failed);
        assert_eq!(message_of(&object, "FetchFailed"), message);
        assert_eq!(conditions_of(&object)[1], format!("Ready=False/{reason}"));
        assert_eq!(bench.events(), [format!("error {reason} {message}")]);
    }
}
