//! Signatures of the commit and of the tag, checked before anything is made of them (`spec/sources-and-images.md` section 9.1).
//!
//! As upstream does, an unchanged revision is not verified again as long as the mode asks for nothing more. Where upstream would still believe
//! a result that another spec led to (other keys, say), it is verified again here.

use ferro_api::source::{GitRepository, GitVerificationMode as Mode};
use ferro_api::{ConditionStatus, FluxObject, condition, reason};
use ferro_git::{Checkout, Tag};
use ferro_runtime::conditions;
use ferro_verify::git::{self, Keys, Object};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::auth;
use crate::reconcile::Failure;

/// What `spec.verify` asks for.
pub(super) struct Verification {
    client: Client,
    namespace: String,
    secret: String,
    mode: Mode,
}

/// A result that goes into the status.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    mode: &'static str,
    message: String,
}

/// Forgets what an earlier pass found, unless it is a success that still matters.
pub(super) fn begin(object: &mut GitRepository) {
    let has_failed = object
        .condition(condition::SOURCE_VERIFIED)
        .is_some_and(|verified| verified.status == ConditionStatus::False);
    let is_asked_for = object.spec.verify.is_some();
    if has_failed || !is_asked_for {
        conditions::delete(object, condition::SOURCE_VERIFIED);
    }
    if !is_asked_for && let Some(status) = &mut object.status {
        status.source_verification_mode = None;
    }
}

/// Whether even the revision that is stored must be verified.
pub(super) fn is_due(object: &GitRepository) -> bool {
    let Some(verify) = &object.spec.verify else {
        return false;
    };
    let status = object.status.as_ref();
    let observed = status.and_then(|status| status.source_verification_mode.as_deref());
    let is_enough = match (observed, verify.mode.unwrap_or_default()) {
        (None, _) => false,
        (Some("Tag"), mode) => mode == Mode::Tag,
        (Some("HEAD"), mode) => matches!(mode, Mode::Head | Mode::HeadLegacy),
        (Some(_), _) => true,
    };
    let verified = object.condition(condition::SOURCE_VERIFIED);
    let is_current = verified.is_some_and(|verified| {
        verified.status == ConditionStatus::True && verified.observed_generation == object.metadata.generation
    });
    !(is_enough && is_current)
}

/// Records a success.
pub(super) fn record(object: &mut GitRepository, verified: &Verified) {
    object.status_mut().source_verification_mode = Some(verified.mode.to_owned());
    let message = &verified.message;
    conditions::mark_true(object, condition::SOURCE_VERIFIED, reason::SUCCEEDED, message);
}

impl Verification {
    /// What the spec asks for, if anything.
    pub(super) fn of(object: &GitRepository, client: &Client) -> Option<Self> {
        let verify = object.spec.verify.as_ref()?;
        Some(Self {
            client: client.clone(),
            namespace: object.namespace().unwrap_or_default(),
            secret: verify.secret_ref.name.clone(),
            mode: verify.mode.unwrap_or_default(),
        })
    }

    /// Verifies what has been fetched. Blocks the thread, which must belong to a runtime, while the keys are read.
    ///
    /// # Errors
    /// With the reason and the text that the reference gives to each fault.
    pub(super) fn verify_blocking(
        &self,
        checkout: &Checkout,
        cancel: &CancellationToken,
    ) -> Result<Verified, Failure> {
        let keys = self.keys_blocking(cancel)?;
        verify(self.mode, checkout, &keys, Timestamp::now())
    }

    fn keys_blocking(&self, cancel: &CancellationToken) -> Result<Keys, Failure> {
        let failed = |cause: String| {
            let message = format!("public keys secret error: {cause}");
            Failure::verification(reason::VERIFICATION_ERROR, message)
        };
        let reading = auth::read(&self.client, &self.namespace, &self.secret);
        let secret = Handle::current()
            .block_on(cancel.run_until_cancelled(reading))
            .ok_or_else(|| failed("context canceled".to_owned()))?
            .map_err(|error| failed(error.to_string()))?;
        Ok(Keys::from_entries(secret.entries()))
    }
}

fn verify(mode: Mode, checkout: &Checkout, keys: &Keys, now: Timestamp) -> Result<Verified, Failure> {
    let mut lines = Vec::new();
    if matches!(mode, Mode::Tag | Mode::TagAndHead) {
        lines.push(verify_tag(checkout, keys, now)?);
    }
    if matches!(mode, Mode::Head | Mode::HeadLegacy | Mode::TagAndHead) {
        lines.push(verify_commit(checkout, keys, now)?);
    }
    Ok(Verified {
        mode: match mode {
            Mode::Head | Mode::HeadLegacy => "HEAD",
            Mode::Tag => "Tag",
            Mode::TagAndHead => "TagAndHEAD",
        },
        message: format!("verified signature of\n\t- {}", lines.join("\n\t- ")),
    })
}

fn verify_tag(checkout: &Checkout, keys: &Keys, now: Timestamp) -> Result<String, Failure> {
    let ref_name = checkout.resolved().ref_name.as_deref();
    let Some(short) = ref_name.and_then(|name| name.strip_prefix("refs/tags/")) else {
        let message = "cannot verify tag object's signature if a tag reference is not specified";
        return Err(Failure::verification(reason::INVALID_VERIFICATION_MODE, message.to_owned()).stalling());
    };
    let name = |tag: &Tag| format!("{}@{}", tag.name, tag.id);
    let tag = checkout.tag();
    let Some((tag, signature)) = tag.and_then(|tag| Some((tag, tag.signature.as_deref()?))) else {
        let name = tag.map_or_else(|| short.trim_end_matches("^{}").to_owned(), name);
        let message = format!("cannot verify signature of tag '{name}' since it is not signed");
        return Err(Failure::verification(reason::INVALID_GIT_OBJECT, message));
    };
    let key = git::verify(Object::Tag, signature, &tag.payload, keys, now).map_err(|error| {
        let message = format!("signature verification of tag '{}' failed: {error}", name(tag));
        Failure::verification(reason::INVALID_TAG_SIGNATURE, message)
    })?;
    Ok(format!("tag '{}' with key '{key}'", name(tag)))
}

fn verify_commit(checkout: &Checkout, keys: &Keys, now: Timestamp) -> Result<String, Failure> {
    let commit = checkout.commit();
    let signature = commit.signature.as_deref().unwrap_or_default();
    let key = git::verify(Object::Commit, signature, &commit.payload, keys, now).map_err(|error| {
        let message = format!("signature verification of commit '{}' failed: {error}", commit.id);
        Failure::verification(reason::INVALID_COMMIT_SIGNATURE, message)
    })?;
    Ok(format!("commit '{}' with key '{key}'", commit.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferro_api::source::GitRepositoryVerification;

    fn verified(observed: &str, mode: Mode) -> GitRepository {
        let mut object = GitRepository::default();
        object.metadata.generation = Some(2);
        object.spec.verify = Some(GitRepositoryVerification {
            mode: Some(mode),
            ..GitRepositoryVerification::default()
        });
        object.status_mut().source_verification_mode = Some(observed.to_owned());
        conditions::mark_true(&mut object, condition::SOURCE_VERIFIED, reason::SUCCEEDED, "m");
        object
    }

    #[test]
    fn is_due_when_more_is_asked_for_than_was_found() {
        let cases = [
            ("HEAD", Mode::Head, false),
            ("HEAD", Mode::HeadLegacy, false),
            ("HEAD", Mode::Tag, true),
            ("HEAD", Mode::TagAndHead, true),
            ("Tag", Mode::Tag, false),
            ("Tag", Mode::Head, true),
            ("Tag", Mode::TagAndHead, true),
            ("TagAndHEAD", Mode::Head, false),
            ("TagAndHEAD", Mode::Tag, false),
        ];
        for (observed, mode, expected) in cases {
            assert_eq!(is_due(&verified(observed, mode)), expected, "{observed} {mode:?}");
        }
        let mut fresh = verified("HEAD", Mode::Head);
        fresh.status_mut().source_verification_mode = None;
        assert!(is_due(&fresh));
        assert!(!is_due(&GitRepository::default()));
    }

    #[test]
    fn is_due_when_the_result_is_of_another_spec_or_gone() {
        let mut edited = verified("HEAD", Mode::Head);
        edited.metadata.generation = Some(3);
        assert!(is_due(&edited));
        let mut gone = verified("HEAD", Mode::Head);
        conditions::delete(&mut gone, condition::SOURCE_VERIFIED);
        assert!(is_due(&gone));
    }

    #[test]
    fn begin_keeps_a_success_only() {
        let mut object = verified("HEAD", Mode::Head);
        begin(&mut object);
        assert!(object.is_condition_true(condition::SOURCE_VERIFIED));
        conditions::set(
            &mut object,
            condition::SOURCE_VERIFIED,
            ConditionStatus::False,
            "R",
            "m",
        );
        begin(&mut object);
        assert!(object.condition(condition::SOURCE_VERIFIED).is_none());
        let mut removed = verified("HEAD", Mode::Head);
        removed.spec.verify = None;
        begin(&mut removed);
        assert!(removed.condition(condition::SOURCE_VERIFIED).is_none());
        assert_eq!(removed.status_mut().source_verification_mode, None);
    }
}
