//! Telling errors about fields that cannot change from other errors (F.6).
//!
//! With `force`, such an error deletes the object to make it anew, so a mistake costs data. Upstream takes every
//! conflict and every invalid object for one; here the server must say that it is about a change. Its wording
//! differs by kind ("field is immutable", "may not be changed", "updates to ... are forbidden"), and is all there is:
//! the causes of such errors have the same reasons as those of plainly invalid objects.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::core::Status;
use regex::Regex;

/// The words that upstream trusts whatever the code.
static IMMUTABLE: LazyLock<Regex> = LazyLock::new(|| regex(r"is\simmutable|immutable\sfield"));
/// Further words that the API server has for it, trusted with the codes it uses for it.
static UNCHANGEABLE: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)\bimmutable\b|may not (be )?changed?\b|may not be (updated|modified)|cannot (be )?changed?\b|can't be changed",
        r"|cannot be (updated|modified)|cannot change \w+|\bupdates? to .{1,400} (is|are) (forbidden|not allowed)",
        r"|field can ?not be (changed|updated|modified)|\bmay not update fields\b|unable to change",
    ))
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

/// Whether the server refused a change of a field that cannot change.
#[must_use]
pub fn is_immutable(status: &Status) -> bool {
    if IMMUTABLE.is_match(&status.message) {
        return true;
    }
    // Another writer, or another manager's field: neither is cured by deleting the object.
    let conflict = status.details.as_ref().is_some_and(|details| {
        details
            .causes
            .iter()
            .any(|cause| cause.reason == "FieldManagerConflict")
    });
    if conflict || !matches!(status.code, 409 | 422) {
        return false;
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    UNCHANGEABLE.is_match(&status.message)
        || causes
            .into_iter()
            .any(|cause| UNCHANGEABLE.is_match(&cause.message))
}

/// Whether a base64 text holds at least one PEM certificate, as a CRD's `caBundle` must.
#[must_use]
pub fn is_pem_bundle(base64_text: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(base64_text.trim()) else {
        return false;
    };
    let Ok(mut rest) = std::str::from_utf8(&bytes) else {
        return false;
    };
    let mut found = false;
    while let Some((_, block)) = rest.split_once("-----BEGIN CERTIFICATE-----") {
        let Some((body, after)) = block.split_once("-----END CERTIFICATE-----") else {
            return false;
        };
        let compact: String = body.split_ascii_whitespace().collect();
        // A certificate is a DER sequence.
        if !STANDARD
            .decode(compact)
            .is_ok_and(|der| der.len() > 2 && der.first() == Some(&0x30))
        {
            return false;
        }
        found = true;
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn status(code: u16, message: &str, cause: Option<(&str, &str)>) -> Status {
        let causes = cause
            .map(|(reason, message)| StatusCause {
                reason: reason.into(),
                message: message.into(),
                field: String::new(),
            })
            .into_iter()
            .collect();
        let details = StatusDetails {
            causes,
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            retry_after_seconds: 0,
        };
        Status {
            code,
            message: message.into(),
            details: Some(details),
            ..Status::default()
        }
    }

    #[test]
    fn what_the_api_server_says_of_unchangeable_fields() {
        for message in [
            "Deployment.apps \"a\" is invalid: spec.selector: Invalid value: {}: field is immutable",
            "Service \"a\" is invalid: spec.clusterIPs[0]: Invalid value: []string{\"10.0.0.1\"}: may not change once set",
            "StatefulSet.apps \"a\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
            "PersistentVolumeClaim \"a\" is invalid: spec: Forbidden: spec is immutable after creation except resources.requests",
            "RoleBinding.rbac.authorization.k8s.io \"a\" is invalid: roleRef: Invalid value: {}: cannot change roleRef",
            "Pod \"a\" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`",
            "StorageClass.storage.k8s.io \"a\" is invalid: parameters: Forbidden: updates to parameters are forbidden.",
            "PriorityClass.scheduling.k8s.io \"a\" is invalid: value: Forbidden: may not be changed in an update.",
        ] {
            assert!(is_immutable(&status(422, message, None)), "{message}");
        }
        assert!(is_immutable(&status(
            400,
            "admission webhook \"x\" denied the request: name is immutable",
            None
        )));
        assert!(is_immutable(&status(
            422,
            "invalid",
            Some(("FieldValueForbidden", "may not be changed"))
        )));
        assert!(is_immutable(&status(
            409,
            "cannot change the immutable thing",
            None
        )));
    }

    #[test]
    fn other_errors_do_not_delete_objects() {
        for (code, message) in [
            (
                422,
                "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            ),
            (422, "Service \"a\" is invalid: spec.ports: Required value"),
            (
                422,
                "Pod \"a\" is invalid: spec.containers[0].image: Forbidden: may not be used here",
            ),
            (
                409,
                "Operation cannot be fulfilled on configmaps \"a\": the object has been modified",
            ),
            (403, "configmaps is forbidden: User \"x\" cannot patch resource"),
            (400, "may not be changed"),
            (500, "internal error"),
        ] {
            assert!(!is_immutable(&status(code, message, None)), "{message}");
        }
        assert!(!is_immutable(&status(
            409,
            "conflict: may not be changed",
            Some(("FieldManagerConflict", "x"))
        )));
    }

    #[test]
    fn a_bundle_has_certificates_and_nothing_broken() {
        let encode = |text: &str| STANDARD.encode(text);
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(is_pem_bundle(&encode(certificate)));
        assert!(is_pem_bundle(&encode(&format!(
            "# comment\n{certificate}{certificate}"
        ))));
        for bad in [
            "",
            "Cg==",
            "not base64!",
            &encode("text"),
            &encode("-----BEGIN CERTIFICATE-----\nMIIB"),
            &encode(&certificate.replace("MIIB", "AAAA")),
        ] {
            assert!(!is_pem_bundle(bad), "{bad}");
        }
    }
}
