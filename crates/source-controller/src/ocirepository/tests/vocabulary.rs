//! Reasons and texts of what happens seldom.

use super::*;
use crate::reconcile::testing::{
    StorageWords, first_pass_says_how_far_it_is, next_pass_says_what_is_new,
    pass_over_a_lost_artifact_says_so, storage_that_fails_is_told,
};

#[tokio::test(flavor = "multi_thread")]
async fn passes_say_how_far_they_are() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a", "1")]);
    let mut object = object(&registry);
    let reference = format!("{}/{APP}:latest", registry.host());
    let news = |object: &OCIRepository| {
        let revision = &object.artifact().unwrap().revision;
        format!("new revision '{revision}' for '{reference}'")
    };
    first_pass_says_how_far_it_is(&mut bench, &mut object, news).await;
    push(&registry, "latest", &[("a", "2")]);
    next_pass_says_what_is_new(&mut bench, &mut object, "NewRevision", news).await;
    pass_over_a_lost_artifact_says_so(&mut bench, &mut object, news).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_cannot_be_written_is_told() {
    let (registry, mut bench) = (Registry::start(), Bench::new());
    push(&registry, "latest", &[("a", "a")]);
    let mut object = object(&registry);
    for (operation, unwritten) in [
        (None, "unable to archive artifact to storage"),
        (
            Some(OciLayerOperation::Copy),
            "unable to copy artifact to storage",
        ),
    ] {
        object.spec.layer_selector = operation.map(|operation| LayerSelector {
            operation: Some(operation),
            ..LayerSelector::default()
        });
        let words = StorageWords {
            unwritten,
            unlocked: "Failed",
            link: Some("latest.tar.gz"),
        };
        storage_that_fails_is_told(&mut bench, &object, &words).await;
        std::fs::remove_dir_all(bench.data.join("ocirepository")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layer_that_is_something_else_is_told_by_what_was_to_be_done() {
    let other = "x".repeat(archive(&[("a", "a")]).len());
    let registry = Registry::with(move |request| {
        let is_layer = request.path.contains("/blobs/");
        is_layer.then(|| Response::new(200, other.clone()))
    });
    push(&registry, "latest", &[("a", "a")]);
    let mut bench = Bench::new();
    for (operation, start) in [
        (
            OciLayerOperation::Extract,
            "failed to extract layer contents from artifact: ",
        ),
        (OciLayerOperation::Copy, "failed to copy layer from artifact: "),
    ] {
        let mut object = object(&registry);
        object.spec.layer_selector = Some(LayerSelector {
            operation: Some(operation),
            ..LayerSelector::default()
        });
        bench.pass(&mut object).await;
        let message = message_of(&object, "FetchFailed");
        assert!(message.starts_with(start), "{message}");
        assert_eq!(
            bench.events(),
            [format!("error OCIArtifactLayerOperationFailed {message}")]
        );
    }
}
