//! Keyless verification without a Secret: the root comes from a TUF repository, here one on the loopback interface.

use ferro_api::source::{OCIRepositoryVerification, OidcIdentityMatch};

use super::verification::{Signed, failed};
use super::*;
use crate::verification::testing::Tuf;

fn keyless(subject: &str) -> OCIRepositoryVerification {
    OCIRepositoryVerification {
        match_oidc_identity: vec![OidcIdentityMatch {
            issuer: "^https://token".to_owned(),
            subject: subject.to_owned(),
        }],
        ..OCIRepositoryVerification::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_root_is_fetched_once_and_identities_are_judged_by_it() {
    let (tuf, signed) = (Tuf::start(), Signed::new());
    signed.put_referrers(&[signed.put_bundle(&signed.bundle("good"))]);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.json");
    std::fs::write(&root, tuf.root(1)).unwrap();
    tuf.publish(7, &signed.fixtures["trustedRoot"].to_string());
    let (mirror, root) = (tuf.url(), root.to_str().unwrap().to_owned());
    let environment = [("TUF_MIRROR", mirror.as_str()), ("TUF_ROOT_JSON", &root)];
    let mut bench = Bench::with(&environment, "");
    let right = keyless("^https://github.com/org/");
    assert_eq!(bench.pass(&mut signed.object(right.clone())).await, Outcome::Done);
    let asked = tuf.take_asked();
    let expected = [
        "/2.root.json",
        "/3.root.json",
        "/timestamp.json",
        "/7.snapshot.json",
        "/7.targets.json",
    ];
    assert_eq!(asked[..5], expected);
    assert_eq!(asked.len(), 6, "{asked:?}");
    let wrong = bench
        .pass(&mut signed.object(keyless("^https://github.com/other/")))
        .await;
    let Outcome::Backoff { error } = wrong else {
        panic!("{wrong:?}");
    };
    assert!(
        error.contains("none of the expected identities matched"),
        "{error}"
    );
    // It is fresh for a day.
    assert_eq!(tuf.take_asked(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_root_is_refused_and_nothing_else_is_believed() {
    let (tuf, other, signed) = (Tuf::start(), Tuf::start(), Signed::new());
    signed.put_referrers(&[signed.put_bundle(&signed.bundle("good"))]);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.json");
    std::fs::write(&root, other.root(1)).unwrap();
    tuf.publish(7, &signed.fixtures["trustedRoot"].to_string());
    let (mirror, root) = (tuf.url(), root.to_str().unwrap().to_owned());
    let environment = [("TUF_MIRROR", mirror.as_str()), ("TUF_ROOT_JSON", &root)];
    let mut bench = Bench::with(&environment, "");
    let cause = "unable to initialize trusted root: root metadata has 0 of the 1 signatures that it needs";
    for _ in 0..2 {
        let mut object = signed.object(keyless("."));
        assert_eq!(bench.pass(&mut object).await, failed("cosign keyless", cause));
        assert!(object.artifact().is_none());
    }
    // What failed is left alone for a while.
    assert_eq!(tuf.take_asked(), ["/2.root.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn root_that_came_with_the_program_judges_where_the_repository_is_out_of_reach() {
    let (signed, mut bench) = (Signed::new(), Bench::new());
    signed.put_referrers(&[signed.put_bundle(&signed.bundle("good"))]);
    let outcome = bench.pass(&mut signed.object(keyless("."))).await;
    // The tests' own authority is none that Sigstore knows.
    let refused = "no matching signatures: error verifying bundle: ";
    let Outcome::Backoff { error } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        error.starts_with(&format!(
            "failed to verify the signature using provider 'cosign keyless': {refused}"
        )),
        "{error}"
    );
}
