//! What the tests of all kinds share: a pass as the chassis runs it, the words of every kind on its way, and storages that fail.

use std::future::Future;
use std::path::{Path, PathBuf};

use ferro_api::{Condition, FluxObject as _, annotation, condition};
use ferro_runtime::events::Recorder;
use ferro_runtime::reconcile::{Interrupt, Outcome, Pass, Reconciler};
use kube::Resource as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;

use super::SourceObject;

/// A reconciler with all that it needs.
pub(crate) trait SourceBench {
    /// The kind.
    type Object: SourceObject;

    /// One pass, and what it showed of itself before its end.
    fn pass_shown(&mut self, object: &mut Self::Object) -> impl Future<Output = (Outcome, Vec<String>)>;

    /// `severity reason message` of the events since the last call.
    fn told(&mut self) -> Vec<String>;

    /// Where the artifact of an object is stored.
    fn file(&self, object: &Self::Object) -> PathBuf;
}

/// Implements [`SourceBench`] for a bench that has the fields and methods that all have.
macro_rules! source_bench {
    ($bench:ty, $object:ty) => {
        impl crate::reconcile::testing::SourceBench for $bench {
            type Object = $object;

            async fn pass_shown(
                &mut self,
                object: &mut $object,
            ) -> (ferro_runtime::reconcile::Outcome, Vec<String>) {
                crate::reconcile::testing::pass(&self.reconciler, &mut self.writer, &self.recorder, object)
                    .await
            }

            fn told(&mut self) -> Vec<String> {
                self.events()
            }

            fn file(&self, object: &$object) -> std::path::PathBuf {
                self.stored(object)
            }
        }
    };
}
pub(crate) use source_bench;

/// One pass, as the chassis runs it, and the drafts that it showed.
pub(crate) async fn pass<R>(
    reconciler: &R,
    writer: &mut Writer<R::Object>,
    recorder: &Recorder,
    object: &mut R::Object,
) -> (Outcome, Vec<String>)
where
    R: Reconciler,
    R::Object: SourceObject,
{
    writer.apply_watcher_event(&watcher::Event::Apply(object.clone()));
    let (mut pass, mut drafts) = Pass::new(object.clone(), Interrupt::default(), recorder.clone());
    let outcome = Box::pin(reconciler.reconcile(&mut pass)).await;
    reconciler.finish(&mut pass.object, &outcome);
    if let Some(token) = object.reconcile_requested_at().map(str::to_owned) {
        pass.object.set_last_handled_reconcile_at(&token);
    }
    *object = pass.object;
    let shown = std::iter::from_fn(|| drafts.try_recv().ok());
    (outcome, shown.map(|draft| shown_of(draft.object())).collect())
}

/// The conditions but for that of the artifact, which stays what it was, a line each.
fn shown_of<K: SourceObject>(object: &K) -> String {
    let is_of_progress = |condition: &&Condition| condition.type_ != condition::ARTIFACT_IN_STORAGE;
    let conditions = object.conditions().iter().filter(is_of_progress);
    conditions.map(line).collect::<Vec<_>>().join("\n")
}

fn line(condition: &Condition) -> String {
    let Condition {
        type_,
        status,
        reason,
        message,
        ..
    } = condition;
    format!("{type_}={status}/{reason} {message}")
}

/// What a pass shows while nothing is known to be ready.
fn unknown(message: &str) -> String {
    format!("Reconciling=True/Progressing {message}\nReady=Unknown/Progressing {message}")
}

/// The first pass over an object, which finds `news`.
pub(crate) async fn first_pass_says_how_far_it_is<B: SourceBench>(
    bench: &mut B,
    object: &mut B::Object,
    news: impl Fn(&B::Object) -> String,
) {
    let (outcome, shown) = bench.pass_shown(object).await;
    assert_eq!(outcome, Outcome::Done);
    let building = format!("building artifact: {}", news(object));
    let expected = [
        "processing object: new generation -1 -> 1",
        "building artifact",
        &building,
    ];
    assert_eq!(shown, expected.map(unknown));
}

/// A pass that finds `news`, for which `reason` is the word, where an artifact is stored.
pub(crate) async fn next_pass_says_what_is_new<B: SourceBench>(
    bench: &mut B,
    object: &mut B::Object,
    reason: &str,
    news: impl Fn(&B::Object) -> String,
) {
    let (outcome, shown) = bench.pass_shown(object).await;
    assert_eq!(outcome, Outcome::Done);
    let news = news(object);
    let building = unknown(&format!("building artifact: {news}"));
    assert_eq!(
        shown,
        [format!("{building}\nArtifactOutdated=True/{reason} {news}")]
    );
    assert!(object.condition(condition::ARTIFACT_OUTDATED).is_none());
}

/// A pass that was asked for, and finds that the artifact is gone.
pub(crate) async fn pass_over_a_lost_artifact_says_so<B: SourceBench>(
    bench: &mut B,
    object: &mut B::Object,
    news: impl Fn(&B::Object) -> String,
) {
    std::fs::remove_file(bench.file(object)).unwrap();
    let ready = line(object.condition(condition::READY).unwrap());
    let requested = annotation::RECONCILE_REQUESTED_AT.to_owned();
    object.meta_mut().annotations = Some([(requested, "now".to_owned())].into());
    let (outcome, shown) = bench.pass_shown(object).await;
    assert_eq!(outcome, Outcome::Done);
    let expected = [
        format!("Reconciling=True/Progressing reconciliation in progress\n{ready}"),
        unknown("building artifact: disappeared from storage"),
        unknown(&format!("building artifact: {}", news(object))),
    ];
    assert_eq!(shown, expected);
}

/// How a kind speaks of its storage.
pub(crate) struct StorageWords {
    /// The beginning of what it says of an artifact that cannot be written.
    pub unwritten: &'static str,
    /// The reason of a lock that cannot be taken.
    pub unlocked: &'static str,
    /// The link to the newest artifact.
    pub link: Option<&'static str>,
}

/// Passes over `fresh`, which has no artifact yet, each with something else in the way.
pub(crate) async fn storage_that_fails_is_told<B: SourceBench>(
    bench: &mut B,
    fresh: &B::Object,
    words: &StorageWords,
) {
    let mut object = fresh.clone();
    assert_eq!(bench.pass_shown(&mut object).await.0, Outcome::Done);
    let file = bench.file(&object);
    let folder = file.parent().unwrap();
    let mut lock = file.clone().into_os_string();
    lock.push(".lock");
    let StorageWords {
        unwritten, unlocked, ..
    } = words;
    for (obstacle, told) in [
        (
            folder,
            "DirectoryCreationFailed failed to create artifact directory: ".to_owned(),
        ),
        (
            Path::new(&lock),
            format!("{unlocked} failed to acquire lock for artifact: "),
        ),
        (&file, format!("ArchiveOperationFailed {unwritten}: ")),
    ] {
        bench.told();
        stand_in_the_way(folder, obstacle);
        let mut object = fresh.clone();
        let (outcome, _shown) = bench.pass_shown(&mut object).await;
        let events = bench.told();
        let [event] = events.as_slice() else {
            panic!("{told}: {events:?}");
        };
        assert!(event.starts_with(&format!("error {told}")), "{event}");
        let (reason, message) = event["error ".len()..].split_once(' ').unwrap();
        let error = message.to_owned();
        assert_eq!(outcome, Outcome::Backoff { error });
        let failed = object.condition(condition::STORAGE_OPERATION_FAILED).map(line);
        let expected = format!("StorageOperationFailed=True/{reason} {message}");
        assert_eq!(failed, Some(expected).filter(|_| reason != "Failed"));
    }
    if let Some(link) = words.link {
        stand_in_the_way(folder, &folder.join(link));
        let mut object = fresh.clone();
        assert_eq!(bench.pass_shown(&mut object).await.0, Outcome::Done);
        let told = "trace SymlinkUpdateFailed failed to update status URL symlink: ";
        let events = bench.told();
        assert!(events[0].starts_with(told), "{events:?}");
    }
}

/// Puts a file in the place of a directory, or a directory in that of a file, and nothing else into `folder`.
fn stand_in_the_way(folder: &Path, obstacle: &Path) {
    if std::fs::remove_dir_all(folder).is_err() {
        std::fs::remove_file(folder).unwrap();
    }
    if obstacle == folder {
        return std::fs::write(folder, "").unwrap();
    }
    std::fs::create_dir_all(obstacle.join("full")).unwrap();
}
