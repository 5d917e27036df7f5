//! Texts of what happens seldom, or is over soon.

use std::path::Path;

use super::*;

#[tokio::test]
async fn pass_that_makes_something_says_so_on_its_way() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let object = whole();
    bench
        .writer
        .apply_watcher_event(&watcher::Event::Apply(object.clone()));
    let (mut pass, mut drafts) = Pass::new(object, Interrupt::default(), bench.recorder.clone());
    assert_eq!(bench.reconciler.reconcile(&mut pass).await, Outcome::Done);
    let draft = drafts.try_recv().unwrap();
    let line = |c: &ferro_api::Condition| format!("{}={}/{} {}", c.type_, c.status, c.reason, c.message);
    let lines: Vec<_> = draft.object().conditions().iter().map(line).collect();
    let expected = [
        "Reconciling=True/Progressing Reconciliation in progress",
        "Ready=Unknown/Progressing Reconciliation in progress",
    ];
    assert_eq!(lines, expected);
    assert!(drafts.try_recv().is_err(), "once");
}

#[tokio::test]
async fn storage_that_cannot_be_written_is_told() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &[("a", "1")]);
    let mut object = whole();
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let folder = bench.root.path().join("data/externalartifact/ns/app");
    let file = folder.join(&drift::inventory(&object)[0].filename);
    let mut lock = file.clone().into_os_string();
    lock.push(".lock");
    for (obstacle, told) in [
        (folder.as_path(), "failed to create artifact directory: "),
        (Path::new(&lock), "failed to acquire artifact lock: "),
        (&file, "failed to create artifact: "),
    ] {
        if std::fs::remove_dir_all(&folder).is_err() {
            std::fs::remove_file(&folder).unwrap();
        }
        if obstacle == folder {
            std::fs::write(&folder, "").unwrap();
        } else {
            std::fs::create_dir_all(obstacle.join("full")).unwrap();
        }
        bench.events();
        let mut object = whole();
        assert!(matches!(bench.pass(&mut object).await, Outcome::Backoff { .. }));
        let begin = format!("app build failed: {told}");
        assert!(message(&object).starts_with(&begin), "{}", message(&object));
        let expected = ["Reconciling=True/ProgressingWithRetry", "Ready=False/BuildFailed"];
        assert_eq!(conditions_of(&object), expected);
        assert_eq!(
            bench.events(),
            [format!("error BuildFailed {}", message(&object))]
        );
    }
}
