//! Other Helm clients at work on a release: upstream takes every pending revision for one that its own process has left, and marks it
//! as failed under the hands of whoever has just begun it.

use std::time::Duration;

use ferro_api::helm::HelmRelease;
use ferro_api::{controller, reason};
use ferro_runtime::conditions;
use ferro_runtime::events::Severity;
use ferro_runtime::reconcile::{Outcome, Pass};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;

use crate::action::Work;
use crate::atomic::tell_once;
use crate::reconciler::HelmReconciler;
use crate::storage::{Head, Writer};

/// How often it is looked whether they have come to an end.
const LOOK: Duration = Duration::from_secs(30);

/// Waits while another client may still be at work on the newest revision, which is pending: as long as an action of ours would take
/// since it wrote last. What this controller has begun was left by an earlier life of it, because there is one that acts at a time.
pub(crate) async fn wait_for(
    env: &HelmReconciler,
    pass: &mut Pass<HelmRelease>,
    work: &Work,
) -> Option<Outcome> {
    // What cannot be listed is told by who goes on.
    let heads = work.site.storage.heads().await.ok()?;
    let newest = heads.first()?;
    let now = Timestamp::now();
    let patience = Duration::from(pass.object.spec.timeout_or_default());
    let Some((writer, until)) = at_work(newest, patience).filter(|(_, until)| now < *until) else {
        env.memory.tell(ObjectRef::from_obj(&pass.object), None);
        return None;
    };
    let message = format!(
        "Revision {} is {} by {}, which wrote last at {}: left alone until it ends, or until {until:.0}",
        newest.revision, newest.status, writer.manager, writer.at
    );
    conditions::mark_reconciling(&mut pass.object, reason::LOCKED_BY_OTHER, &message);
    tell_once(env, pass, Severity::Info, reason::LOCKED_BY_OTHER, &message);
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    Some(Outcome::Wait(left.clamp(Duration::from_secs(1), LOOK)))
}

/// The other client that has written a revision, and until when it may be at work.
fn at_work(head: &Head, patience: Duration) -> Option<(&Writer, Timestamp)> {
    let writer = head.writer.as_ref()?;
    let patience = SignedDuration::try_from(patience).ok()?;
    let until = writer.at.checked_add(patience).ok()?;
    (writer.manager != controller::HELM).then_some((writer, until))
}
