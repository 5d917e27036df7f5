//! Reasons and texts of what happens seldom.

use ferro_api::meta::LocalObjectReference;
use ferro_api::source::{BucketSts, StsProvider};

use super::storage::error;
use super::*;
use crate::reconcile::testing::{
    StorageWords, first_pass_says_how_far_it_is, next_pass_says_what_is_new,
    pass_over_a_lost_artifact_says_so, storage_that_fails_is_told,
};

#[tokio::test(flavor = "multi_thread")]
async fn passes_say_how_far_they_are() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let mut object = bucket(&s3.endpoint());
    let news = |object: &Bucket| format!("new upstream revision '{}'", object.artifact().unwrap().revision);
    first_pass_says_how_far_it_is(&mut bench, &mut object, news).await;
    s3.put("a.yaml", "a: 2\n");
    next_pass_says_what_is_new(&mut bench, &mut object, "NewRevision", news).await;
    pass_over_a_lost_artifact_says_so(&mut bench, &mut object, news).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_that_cannot_be_written_is_told() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    let words = StorageWords {
        unwritten: "unable to archive artifact to storage",
        unlocked: "Failed",
        link: Some("latest.tar.gz"),
    };
    storage_that_fails_is_told(&mut bench, &bucket(&s3.endpoint()), &words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_fail_are_told_by_the_phase() {
    let (s3, mut bench) = (FakeS3::new(), Bench::new(&[]));
    s3.put("a.yaml", "a: 1\n");
    for (failing, message) in [
        (
            "/.sourceignore",
            "failed to get Etag for '.sourceignore' object: Sorry.",
        ),
        (
            "list-type",
            "indexation of objects from bucket 'podinfo' failed: listing objects from bucket 'podinfo' failed: Sorry.",
        ),
        (
            "/a.yaml",
            "fetch from bucket 'podinfo' failed: failed to get 'a.yaml' object: Sorry.",
        ),
    ] {
        s3.instead(move |request| {
            let is_failing = request.path.ends_with(failing) || request.query.contains(failing);
            is_failing.then(|| error(400, "Refused", "Sorry."))
        });
        let mut object = bucket(&s3.endpoint());
        bench.pass(&mut object).await;
        assert_eq!(message_of(&object, "FetchFailed"), message);
        assert_eq!(conditions_of(&object), FETCH_FAILED);
        assert_eq!(bench.events(), [format!("error BucketOperationFailed {message}")]);
    }
}

#[test]
fn token_services_are_for_s3_only() {
    let sts = BucketSts::default();
    for (provider, message) in [
        (
            BucketProvider::Gcp,
            "STS configuration is not supported for 'gcp' bucket provider",
        ),
        (
            BucketProvider::Azure,
            "STS configuration is not supported for 'azure' bucket provider",
        ),
    ] {
        let failure = access::check_sts(provider, &sts).unwrap_err();
        assert_eq!(failure.reason, "InvalidSTSConfiguration");
        assert_eq!(failure.message, message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_services_that_do_not_fit_are_told() {
    let mut bench = Bench::new(&[("half", &[("username", "u")]), ("none", &[])]);
    let reference = |name: &str| {
        Some(LocalObjectReference {
            name: name.to_owned(),
        })
    };
    let service = |provider, secret: Option<&str>, certificates: Option<&str>| BucketSts {
        provider,
        endpoint: "https://sts.amazonaws.com".to_owned(),
        secret_ref: secret.and_then(reference),
        cert_secret_ref: certificates.and_then(reference),
    };
    let (aws, ldap) = (StsProvider::Aws, StsProvider::Ldap);
    let (stalled, denied) = ("InvalidSTSConfiguration", "AuthenticationFailed");
    for (provider, sts, reason, message) in [
        (
            BucketProvider::Generic,
            service(aws, None, None),
            stalled,
            "STS provider 'aws' is not supported for 'generic' bucket provider",
        ),
        (
            BucketProvider::Aws,
            service(ldap, None, None),
            stalled,
            "STS provider 'ldap' is not supported for 'aws' bucket provider",
        ),
        (
            BucketProvider::Aws,
            service(aws, Some("half"), None),
            stalled,
            "spec.sts.secretRef is not required for the 'aws' STS provider",
        ),
        (
            BucketProvider::Generic,
            service(ldap, Some("half"), None),
            denied,
            "invalid 'half' secret data for 'ldap' STS provider: required fields username, password",
        ),
        (
            BucketProvider::Generic,
            service(ldap, Some("gone"), None),
            denied,
            "failed to get STS secret 'default/gone': secrets \"gone\" not found",
        ),
        (
            BucketProvider::Generic,
            service(ldap, None, Some("gone")),
            denied,
            "failed to get STS TLS config: secret 'default/gone' not found",
        ),
        (
            BucketProvider::Generic,
            service(ldap, None, Some("none")),
            denied,
            "failed to get STS TLS config: secret 'default/none' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'",
        ),
    ] {
        let mut object = bucket("127.0.0.1:1");
        object.spec.provider = Some(provider);
        object.spec.sts = Some(sts);
        bench.pass(&mut object).await;
        assert_eq!(message_of(&object, "FetchFailed"), message);
        assert_eq!(bench.events(), [format!("error {reason} {message}")]);
        let is_stalled = object.condition("Stalled").is_some();
        assert_eq!(is_stalled, reason == stalled, "{message}");
    }
}
