//! What is refused rather than done in another way than it was asked for.

use ferro_api::kustomize::Kustomization;
use ferro_api::reason;
use ferro_apply::Object;
use ferro_runtime::flags::FeatureGates;

use crate::args::{KustomizeFlags, gate};
use crate::stop::Stop;

/// What this version cannot do is refused, never done with other rights than those asked for.
pub(crate) fn refuse_unsupported(
    kustomization: &Kustomization,
    gates: &FeatureGates,
    flags: &KustomizeFlags,
) -> Result<(), Stop> {
    let spec = &kustomization.spec;
    let service_account = spec
        .decryption
        .as_ref()
        .and_then(|decryption| decryption.service_account_name.as_ref());
    if service_account.is_some() && !gates.enabled(gate::OBJECT_LEVEL_WORKLOAD_IDENTITY) {
        let message = "to use spec.decryption.serviceAccountName for decryption authentication please enable the \
                       ObjectLevelWorkloadIdentity feature gate in the controller";
        return Err(Stop::Terminal {
            reason: reason::FEATURE_GATE_DISABLED,
            message: message.to_owned(),
        });
    }
    let unsupported = if spec.decryption.is_some() && !flags.default_decryption_service_account.is_empty() {
        "the service account of --default-decryption-service-account"
    } else {
        return Ok(());
    };
    let message =
        format!("{unsupported} is not supported by this version; nothing is applied with other rights");
    Err(Stop::Terminal {
        reason: reason::RECONCILIATION_FAILED,
        message,
    })
}

/// An encrypted Secret must never reach the cluster.
pub(crate) fn refuse_encrypted(objects: &[Object]) -> Result<(), Stop> {
    let encrypted = |object: &&Object| {
        let id = object.id();
        (id.group.as_str(), object.version(), id.kind.as_str()) == ("", "v1", "Secret")
            && object.value().get("sops").is_some()
            && !object.has_marker(ferro_api::annotation::DECRYPT, ferro_api::annotation::DISABLED)
    };
    match objects.iter().find(encrypted) {
        None => Ok(()),
        Some(object) => {
            let id = object.id();
            let message = format!(
                "{} is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
                format_args!("{}/{}/{}", id.kind, id.namespace, id.name)
            );
            Err(Stop::failed(reason::RECONCILIATION_FAILED, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuse_encrypted_names_the_secret() {
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a", "namespace": "n" }, "sops": { "mac": "x" }
        });
        let mut object = Object::new(secret).unwrap();
        let Err(Stop::Failed { message, .. }) = refuse_encrypted(std::slice::from_ref(&object)) else {
            unreachable!()
        };
        assert!(message.starts_with("Secret/n/a is SOPS encrypted"), "{message}");
        object.add_annotations([(ferro_api::annotation::DECRYPT, "Disabled")]);
        assert!(refuse_encrypted(&[object]).is_ok());
        // An operator's resource that is encrypted on purpose.
        let theirs = serde_json::json!({
            "apiVersion": "isindir.github.com/v1alpha3", "kind": "SopsSecret", "metadata": { "name": "a", "namespace": "n" }, "sops": { "mac": "x" }
        });
        assert!(refuse_encrypted(&[Object::new(theirs).unwrap()]).is_ok());
    }

    #[test]
    fn rights_that_cannot_be_taken_on_are_refused() {
        let gates = FeatureGates::parse(&[], "").unwrap();
        let flags = crate::args::test_settings(&[]).kustomize;
        let mut kustomization = Kustomization::default();
        assert!(refuse_unsupported(&kustomization, &gates, &flags).is_ok());
        kustomization.spec.kube_config =
            serde_json::from_value(serde_json::json!({ "configMapRef": { "name": "a" } })).unwrap();
        assert!(refuse_unsupported(&kustomization, &gates, &flags).is_ok());
    }

    #[test]
    fn default_service_accounts_are_never_replaced_by_other_rights() {
        let gates = FeatureGates::parse(&[], "").unwrap();
        let refused = |kustomization: &Kustomization, flag: &str| {
            let flags = crate::args::test_settings(&[flag]).kustomize;
            match refuse_unsupported(kustomization, &gates, &flags) {
                Err(Stop::Terminal { reason, message }) => Some((reason, message)),
                _ => None,
            }
        };
        let plain = Kustomization::default();
        assert_eq!(refused(&plain, "--default-service-account=default"), None);
        assert_eq!(
            refused(&plain, "--default-decryption-service-account=default"),
            None
        );
        assert_eq!(
            refused(&plain, "--default-kubeconfig-service-account=default"),
            None
        );
        let object =
            |spec| -> Kustomization { serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap() };
        let decrypts = object(serde_json::json!({ "decryption": { "provider": "sops" } }));
        let (reason, message) = refused(&decrypts, "--default-decryption-service-account=default").unwrap();
        assert_eq!(reason, reason::RECONCILIATION_FAILED);
        assert_eq!(
            message,
            "the service account of --default-decryption-service-account is not supported by this version; nothing is applied with \
             other rights"
        );
    }

    #[test]
    fn decryption_account_needs_the_gate_object_level_workload_identity() {
        let flags = crate::args::test_settings(&[]).kustomize;
        let kustomization: Kustomization = serde_json::from_value(serde_json::json!({
            "spec": { "decryption": { "provider": "sops", "serviceAccountName": "keys" } }
        }))
        .unwrap();
        let reason = |gates: &str| {
            let gates = FeatureGates::parse(&crate::args::FEATURE_GATES, gates).unwrap();
            match refuse_unsupported(&kustomization, &gates, &flags) {
                Err(Stop::Terminal { reason, .. }) => Some(reason),
                _ => None,
            }
        };
        assert_eq!(reason(""), Some(reason::FEATURE_GATE_DISABLED));
        // With the gate it is not the gate that stands in the way; decryption itself is refused where something is encrypted.
        assert_eq!(reason("ObjectLevelWorkloadIdentity=true"), None);
    }
}
