//! `flux get`.

use serde_json::json;

use crate::script::{GIT, KS, Step, flux, git, ks, with};

const HASH: &str = "696f056df216eea4f9401adbee0ff744d4df390f";

#[tokio::test(start_paused = true)]
async fn sources_are_listed() {
    let ready = with(
        git(
            "podinfo",
            "True",
            &format!("stored artifact for revision 'main@sha1:{HASH}'"),
        ),
        "/status/artifact",
        json!({"revision": format!("main@sha1:{HASH}")}),
    );
    let suspended = with(
        git("old", "False", "line one\nline two"),
        "/spec/suspend",
        json!(true),
    );
    flux("get sources git", vec![Step::list(GIT, &[ready, suspended])]).await.expect(
        "NAME   \tREVISION          \tSUSPENDED\tREADY\tMESSAGE                                           \n\
         podinfo\tmain@sha1:696f056d\tFalse    \tTrue \tstored artifact for revision 'main@sha1:696f056d'\t\n\
         old    \t                  \tTrue     \tFalse\tline one line two                                \t\n",
        "",
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_without_status_waits() {
    let new = json!({"metadata": {"name": "new"}, "spec": {}});
    flux("get ks --no-header", vec![Step::list(KS, &[new])])
        .await
        .expect("new\t\tFalse\tFalse\twaiting to be reconciled\t\n", "");
}

#[tokio::test(start_paused = true)]
async fn one_object_is_found_by_a_list() {
    let list = Step::list(KS, &[ks("apps", "True", "Applied revision: main")]);
    flux(
        "get kustomization apps --no-header --show-source",
        vec![list.with_query("fieldSelector=metadata.name%3Dapps")],
    )
    .await
    .expect(
        "apps\tGitRepository/flux-system/podinfo\t\tFalse\tTrue\tApplied revision: main\t\n",
        "",
    );
}

#[tokio::test(start_paused = true)]
async fn all_namespaces_have_a_column() {
    let path = "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations";
    let list = Step::list(path, &[ks("apps", "True", "ok")]).with_query("labelSelector=team%3Da");
    flux("get ks -A -l team=a", vec![list]).await.expect(
        "NAMESPACE  \tNAME\tREVISION\tSUSPENDED\tREADY\tMESSAGE \n\
         flux-system\tapps\t        \tFalse    \tTrue \tok     \t\n",
        "",
    );
}

#[tokio::test(start_paused = true)]
async fn a_status_selects() {
    let items = [
        ks("good", "True", "ok"),
        ks("bad", "False", "broken"),
        ks("busy", "Unknown", "wait"),
    ];
    let list = || vec![Step::list(KS, &items)];
    flux("get ks --no-header --status-selector ready=false", list())
        .await
        .expect("bad\t\tFalse\tFalse\tbroken\t\n", "");
    flux("get ks --no-header --status-selector Ready!=True", list())
        .await
        .expect(
            "bad \t\tFalse\tFalse  \tbroken\t\nbusy\t\tFalse\tUnknown\twait  \t\n",
            "",
        );
    flux("get ks --status-selector ready", vec![])
        .await
        .expect_failure(
            "",
            "✗ expected status selector in type=status format, but found: ready\n",
        );
}

#[tokio::test(start_paused = true)]
async fn nothing_found_is_a_failure() {
    let none = |path| vec![Step::list(path, &[])];
    flux("get sources git", none(GIT)).await.expect_failure(
        "",
        "✗ no GitRepository objects found in \"flux-system\" namespace\n",
    );
    flux("get sources git x", none(GIT)).await.expect_failure(
        "",
        "✗ GitRepository object 'x' not found in \"flux-system\" namespace\n",
    );
    flux(
        "get ks x -A",
        none("/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"),
    )
    .await
    .expect_failure("", "✗ Kustomization object 'x' not found in any namespace\n");
}

#[tokio::test(start_paused = true)]
async fn errors_are_in_the_words_of_the_server() {
    let forbidden = Step::list(GIT, &[]).failing(403, "Forbidden", "gitrepositories is forbidden");
    flux("get sources git", vec![forbidden])
        .await
        .expect_failure("", "✗ gitrepositories is forbidden\n");
    let unknown = Step::list(GIT, &[]).failing(404, "NotFound", "page not found");
    flux("get sources git", vec![unknown]).await.expect_failure(
        "",
        "✗ no matches for kind \"GitRepository\" in version \"source.toolkit.fluxcd.io/v1\"\n",
    );
}

#[tokio::test(start_paused = true)]
async fn all_sources_have_a_table_each() {
    let source = |plural: &str| format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/{plural}");
    let script = vec![
        Step::list(&source("ocirepositories"), &[git("oci", "True", "ok")]),
        Step::list(&source("buckets"), &[]),
        Step::list(GIT, &[git("podinfo", "True", "ok")]),
        Step::list(
            &source("helmrepositories"),
            &[json!({"metadata": {"name": "h"}, "spec": {"type": "oci"}})],
        ),
        Step::list(&source("helmcharts"), &[]),
        Step::list(&source("externalartifacts"), &[]).failing(404, "NotFound", "page not found"),
    ];
    flux("get sources all --no-header", script).await.expect(
        "ocirepository/oci\t\tFalse\tTrue\tok\t\n\n\
         gitrepository/podinfo\t\tFalse\tTrue\tok\t\n\n\
         helmrepository/h\t\tFalse\tTrue\tHelm repository is Ready\t\n\n",
        "",
    );
    flux("get all --watch", vec![])
        .await
        .expect_failure("", "✗ expected a single resource type, but found all\n");
}

#[tokio::test(start_paused = true)]
async fn a_watch_prints_a_row_for_each_change() {
    let changed = with(
        ks("apps", "False", "broken"),
        "/metadata/resourceVersion",
        json!("6"),
    );
    let script = vec![
        Step::list(KS, &[ks("apps", "True", "ok")]),
        Step::watch(KS, &[changed]),
        // The server ends every watch at some time; taking it up again is refused here.
        Step::watch(KS, &[]).failing(403, "Forbidden", "kustomizations is forbidden"),
    ];
    flux("get ks -w", script).await.expect_failure(
        "NAME\tREVISION\tSUSPENDED\tREADY\tMESSAGE \n\
         apps\t        \tFalse    \tTrue \tok     \t\n\
         apps\t        \tFalse    \tFalse\tbroken \t\n",
        "✗ kustomizations is forbidden\n",
    );
}
