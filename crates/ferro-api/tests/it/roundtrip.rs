//! Objects survive being read and written.

use ferro_api::{FluxObject, kustomize::Kustomization, source::GitRepository};
use serde_json::json;

#[test]
fn an_object_without_spec_decodes() {
    let repo: GitRepository = serde_json::from_value(json!({"metadata": {"name": "empty"}})).unwrap();
    assert_eq!(repo.spec.url, "");
    assert!(repo.conditions().is_empty());
}

#[test]
fn setters_create_the_status() {
    let mut ks = Kustomization::new("app", ferro_api::kustomize::KustomizationSpec::default());
    ks.set_observed_generation(3);
    ks.set_last_handled_reconcile_at("now");
    assert_eq!(ks.observed_generation(), Some(3));
    assert_eq!(
        serde_json::to_value(&ks).unwrap()["status"],
        json!({"observedGeneration": 3, "lastHandledReconcileAt": "now"})
    );
}
