//! `flux debug`.

use serde_json::json;

use crate::script::{KS, Step, flux, ks, with};

const HR: &str = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/flux-system/helmreleases";

#[tokio::test(start_paused = true)]
async fn values_of_a_release_are_composed() {
    let object = json!({
        "metadata": {"name": "app", "namespace": "flux-system"},
        "spec": {
            "interval": "1m",
            "values": {"replicas": 2, "ratio": 0.5, "image": {"tag": "v2"}},
            "valuesFrom": [
                {"kind": "ConfigMap", "name": "defaults"},
                {"kind": "Secret", "name": "password", "valuesKey": "pw", "targetPath": "auth.password"},
                {"kind": "ConfigMap", "name": "none", "optional": true},
            ],
        },
        "status": {"observedGeneration": 3, "history": [{"chartVersion": "1.0.0"}]},
    });
    let api = |rest: &str| format!("/api/v1/namespaces/flux-system/{rest}");
    let get = || Step::get(&format!("{HR}/app"), &object);
    let script = vec![
        get(),
        Step::get(
            &api("configmaps/defaults"),
            &json!({"metadata": {"name": "defaults"}, "data": {"values.yaml": "image: {tag: v1, name: app}"}}),
        ),
        Step::get(
            &api("secrets/password"),
            &json!({"metadata": {"name": "password"}, "data": {"pw": "aHVudGVyMg=="}}),
        ),
        Step::missing(&api("configmaps/none")),
    ];
    flux("debug hr app --show-status --show-values", script)
        .await
        .expect(
            "history:\n- chartVersion: 1.0.0\nobservedGeneration: 3\n\
         ---\n\
         auth:\n  password: hunter2\nimage:\n  name: app\n  tag: v2\nratio: 0.5\nreplicas: 2\n",
            "",
        );
    flux(
        "debug helmrelease app --show-history --show-status=false",
        vec![get()],
    )
    .await
    .expect("- chartVersion: 1.0.0\n", "");
    flux("debug helmrelease app", vec![]).await.expect_failure(
        "",
        "✗ either --show-status, --show-values, or --show-history must be set\n",
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_is_required() {
    for args in [
        "debug hr --show-values",
        "debug ks",
        "build hr",
        "diff helmrelease",
    ] {
        flux(args, vec![])
            .await
            .expect_failure("", "✗ name is required\n");
    }
}

#[tokio::test(start_paused = true)]
async fn variables_of_a_kustomization_are_shown() {
    let build = json!({
        "substitute": {"region": "north", "size": "3"},
        "substituteFrom": [{"kind": "ConfigMap", "name": "vars"}],
    });
    let object = with(ks("apps", "True", "ok"), "/spec/postBuild", build);
    let script = vec![
        Step::get(&format!("{KS}/apps"), &object),
        Step::get(
            "/api/v1/namespaces/flux-system/configmaps/vars",
            &json!({"metadata": {"name": "vars"}, "data": {"region": "south", "domain": "a b\n"}}),
        ),
    ];
    flux("debug ks apps --show-vars", script)
        .await
        .expect("domain=\"a b\"\nregion=\"north\"\nsize=3\n", "");
}
