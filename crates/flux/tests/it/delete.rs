//! `flux delete`.

use serde_json::Value;

use crate::script::{KS, Step, flux, flux_answering, ks};

fn found() -> Step {
    Step::get(&format!("{KS}/apps"), &ks("apps", "True", "ok"))
}

const QUESTION: &str = "Are you sure you want to delete this kustomization? [y/N] ";

#[tokio::test(start_paused = true)]
async fn an_object_is_deleted_once_that_is_confirmed() {
    let deleted = "► deleting kustomization apps in flux-system namespace\n✔ kustomization deleted\n";
    for answer in ["y\n", "YES\n"] {
        let script = vec![found(), Step::delete(&format!("{KS}/apps"))];
        flux_answering("delete ks apps", answer, script)
            .await
            .expect(QUESTION, deleted);
    }
    for answer in ["", "\n", "n\n", "yesterday\n"] {
        flux_answering("delete ks apps", answer, vec![found()])
            .await
            .expect_failure(QUESTION, "✗ aborting\n");
    }
    for args in [
        "delete ks apps --silent",
        "delete kustomization apps -s",
        "delete ks apps --silent=true",
    ] {
        let script = vec![found(), Step::delete(&format!("{KS}/apps"))];
        flux(args, script).await.expect("", deleted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_not_there_is_not_deleted() {
    let message = "kustomizations.kustomize.toolkit.fluxcd.io \"x\" not found";
    let missing = Step::get(&format!("{KS}/x"), &Value::Null).failing(404, "NotFound", message);
    flux("delete ks x -s", vec![missing])
        .await
        .expect_failure("", &format!("✗ {message}\n"));
    flux("delete source git", vec![])
        .await
        .expect_failure("", "✗ source git name is required\n");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_writes_by_hand_cannot_be_deleted() {
    flux("delete source external x", vec![])
        .await
        .expect_failure("", "✗ unknown command \"external\" for \"flux delete source\"\n");
}
