//! What is refused rather than done in another way than it was asked for.

use ferro_api::kustomize::Kustomization;
use ferro_api::reason;
use ferro_apply::Object;
use ferro_runtime::flags::FeatureGates;

use crate::args::gate;
use crate::stop::Stop;

/// What this version cannot do is refused, never done with other rights than those asked for.
pub(crate) fn refuse_unsupported(kustomization: &Kustomization, gates: &FeatureGates) -> Result<(), Stop> {
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
    let unsupported = if spec
        .service_account_name
        .as_ref()
        .is_some_and(|name| !name.is_empty())
    {
        "spec.serviceAccountName"
    } else if spec.kube_config.is_some() {
        "spec.kubeConfig"
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
        object.value().get("sops").is_some_and(|sops| sops.is_object())
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
    }

    #[test]
    fn rights_that_cannot_be_taken_on_are_refused() {
        let gates = FeatureGates::parse(&[], "").unwrap();
        let mut kustomization = Kustomization::default();
        assert!(refuse_unsupported(&kustomization, &gates).is_ok());
        kustomization.spec.service_account_name = Some("tenant".into());
        assert!(matches!(
            refuse_unsupported(&kustomization, &gates),
            Err(Stop::Terminal { .. })
        ));
    }
}
