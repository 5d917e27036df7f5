//! Reasons and texts of what happens seldom.

use super::*;
use crate::reconcile::testing::{
    StorageWords, first_pass_says_how_far_it_is, next_pass_says_what_is_new,
    pass_over_a_lost_artifact_says_so, storage_that_fails_is_told,
};

#[tokio::test(flavor = "multi_thread")]
async fn passes_say_how_far_they_are() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let mut object = repository(&server.url());
    let news =
        |object: &HelmRepository| format!("new index revision '{}'", object.artifact().unwrap().revision);
    first_pass_says_how_far_it_is(&mut bench, &mut object, news).await;
    server.serve(&[("app", "1.0.0"), ("app", "1.1.0")]);
    next_pass_says_what_is_new(&mut bench, &mut object, "NewRevision", news).await;
    pass_over_a_lost_artifact_says_so(&mut bench, &mut object, news).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_cannot_be_written_is_told() {
    let (server, mut bench) = (HelmServer::start(), Bench::new());
    server.serve(&[("app", "1.0.0")]);
    let words = StorageWords {
        unwritten: "unable to save artifact to storage",
        unlocked: "Failed",
        link: Some("index.yaml"),
    };
    storage_that_fails_is_told(&mut bench, &repository(&server.url()), &words).await;
}

#[test]
fn index_of_unknown_size_is_told_as_such() {
    let mut object = repository("https://charts.example.com");
    object.set_artifact(Some(Artifact::default()));
    let told = "stored fetched index of unknown size from 'https://charts.example.com'";
    assert_eq!(news(&object), told);
    object.set_artifact(Some(Artifact {
        size: Some(1_234_567),
        ..Artifact::default()
    }));
    let told = "stored fetched index of size 1.235MB from 'https://charts.example.com'";
    assert_eq!(news(&object), told);
}
