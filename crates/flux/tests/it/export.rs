//! `flux export`.

use serde_json::json;

use crate::script::{GIT, KS, Step, flux, git, ks, with};

#[tokio::test(start_paused = true)]
async fn an_object_is_reduced_to_what_its_users_gave_it() {
    let object = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {
            "name": "apps", "namespace": "flux-system", "uid": "1", "resourceVersion": "5", "generation": 2,
            "labels": {"team": "a"}, "managedFields": [],
        },
        "spec": {
            "interval": "600s", "path": "./apps", "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "podinfo"},
        },
        "status": {"observedGeneration": 2},
    });
    flux("export kustomization apps", vec![Step::get(&format!("{KS}/apps"), &object)])
        .await
        .expect(
            "---\n\
             apiVersion: kustomize.toolkit.fluxcd.io/v1\n\
             kind: Kustomization\n\
             metadata:\n  labels:\n    team: a\n  name: apps\n  namespace: flux-system\n\
             spec:\n  interval: 10m0s\n  path: ./apps\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: podinfo\n\n",
            "",
        );
}

#[tokio::test(start_paused = true)]
async fn all_objects_are_exported_with_their_credentials() {
    let spec = json!({"url": "https://example.com", "interval": "1m", "secretRef": {"name": "token"}});
    let first = with(git("one", "True", "ok"), "/spec", spec);
    let second = with(
        git("two", "True", "ok"),
        "/spec",
        json!({"url": "https://example.com", "interval": "1m"}),
    );
    let secret = json!({
        "metadata": {"name": "token", "namespace": "flux-system", "labels": {"a": "b"}},
        "data": {"password": "c2VjcmV0"}, "type": "Opaque",
    });
    let list = || Step::list(GIT, &[first.clone(), second.clone()]);
    let secrets = "/api/v1/namespaces/flux-system/secrets/token";
    let outcome = flux(
        "export source git --all --with-credentials",
        vec![list(), Step::get(secrets, &secret)],
    )
    .await;
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(outcome.out.matches("kind: GitRepository").count(), 2);
    let secret = "---\napiVersion: v1\ndata:\n  password: c2VjcmV0\nkind: Secret\n\
         metadata:\n  name: token\n  namespace: flux-system\ntype: Opaque\n\n";
    assert!(outcome.out.contains(secret), "{}", outcome.out);

    let outcome = flux("export source git --all", vec![list()]).await;
    assert!(!outcome.out.contains("kind: Secret"), "{}", outcome.out);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_export_is_a_failure() {
    flux("export ks --all", vec![Step::list(KS, &[])])
        .await
        .expect_failure("", "✗ no objects found in flux-system namespace\n");
    flux("export ks", vec![])
        .await
        .expect_failure("", "✗ name is required\n");
    let lost = vec![
        Step::get(
            &format!("{GIT}/one"),
            &with(
                git("one", "True", "ok"),
                "/spec",
                json!({"secretRef": {"name": "lost"}}),
            ),
        ),
        Step::missing("/api/v1/namespaces/flux-system/secrets/lost"),
    ];
    flux("export source git one --with-credentials", lost)
        .await
        .expect_failure("", "✗ failed to retrieve secret lost, error: not found\n");
    let odd = with(
        ks("apps", "True", "ok"),
        "/spec/interval",
        json!(["no", "duration"]),
    );
    let outcome = flux("export ks apps", vec![Step::get(&format!("{KS}/apps"), &odd)]).await;
    assert!(
        outcome.err.starts_with("✗ Kustomization 'apps' cannot be read: "),
        "{outcome:?}"
    );
}
