//! `spec.pathPattern`.

use super::*;

fn templated(pattern: &str, name: &str) -> ArtifactGenerator {
    generator(&json!({
        "pathPattern": pattern,
        "artifacts": [{
            "name": name, "copy": [{ "from": "@git/apps/{app}/{env}/**", "to": "@artifact/{app}/" }]
        }]
    }))
}

const APPS: [(&str, &str); 4] = [
    ("apps/Front/prod/a", "1"),
    ("apps/back/prod/a", "2"),
    ("apps/back/test/a", "3"),
    ("other/x/prod/a", "4"),
];

#[tokio::test]
async fn path_pattern_makes_an_artifact_of_each_directory() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &APPS);
    let mut object = templated("@git/apps/{app}/{env}", "{app}-{env}");
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    let names: Vec<&str> = inventory(&object).into_iter().map(|entry| entry.0).collect();
    assert_eq!(names, ["front-prod", "back-prod", "back-test"]);
    // In names and labels in lower case, in paths as they are.
    assert_eq!(bench.files("front-prod"), [text("Front/a", "1")]);
    let labels = bench.output("front-prod").unwrap()["metadata"]["labels"].clone();
    assert_eq!(
        (&labels["app"], &labels["env"]),
        (&json!("front"), &json!("prod"))
    );
    bench.idle(&mut object).await;
    bench.commit("main@sha1:2", &[("apps/back/test/a", "3")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(inventory(&object).len(), 1);
    assert!(bench.output("front-prod").is_none());
    // No match is no failure.
    bench.commit("main@sha1:3", &[("nothing", "")]);
    assert_eq!(bench.pass(&mut object).await, Outcome::Done);
    assert_eq!(
        message(&object),
        "reconciliation succeeded, generated 0 artifact(s)"
    );
    bench.idle(&mut object).await;
}

#[tokio::test]
async fn path_pattern_matches_parts_of_names_literally() {
    let mut bench = Bench::new();
    bench.commit(
        "main@sha1:1",
        &[("v1.app/x", "1"), ("v1xapp/x", "2"), ("v2.app/sub/x", "3")],
    );
    let mut object = generator(&json!({
        "pathPattern": "@git/{version}.app",
        "artifacts": [{ "name": "a-{version}", "copy": [{ "from": "@git/{version}.app", "to": "@artifact/" }] }]
    }));
    bench.pass(&mut object).await;
    let names: Vec<&str> = inventory(&object).into_iter().map(|entry| entry.0).collect();
    assert_eq!(names, ["a-v1", "a-v2"]);
}

#[tokio::test]
async fn path_pattern_that_makes_no_sense_stalls() {
    let mut bench = Bench::new();
    bench.commit("main@sha1:1", &APPS);
    let good = "@git/apps/{app}/{env}";
    let cases = [
        (
            "@git/apps/{app",
            "x",
            "pathPattern \"@git/apps/{app\": invalid capture starting at offset 5: missing closing brace",
        ),
        (
            "@git/apps}",
            "x",
            "pathPattern \"@git/apps}\": invalid capture ending at offset 4: missing opening brace",
        ),
        ("@git/{}", "x", "pathPattern \"@git/{}\": empty capture variable"),
        (
            "@git/{1a}",
            "x",
            "pathPattern \"@git/{1a}\": capture variable \"1a\" must be a valid capture name matching [A-Za-z_][A-Za-z0-9_]*",
        ),
        (
            "@git/{a}/{a}",
            "x",
            "pathPattern \"@git/{a}/{a}\": duplicate capture variable \"a\"",
        ),
        (
            "@git/{_a}",
            "x",
            "pathPattern \"@git/{_a}\": capture variable \"_a\" is not a valid Kubernetes label key: name part must consist of",
        ),
        (
            "@none/{a}",
            "x",
            "pathPattern \"@none/{a}\": source alias none not found in local sources",
        ),
        (
            good,
            "{nope}",
            "pathPattern \"@git/apps/{app}/{env}\": failed to render artifact {nope} for match apps/Front/prod: invalid template \"{nope}\": capture variable \"nope\" is not defined by pathPattern",
        ),
        (
            good,
            "{app",
            "pathPattern \"@git/apps/{app}/{env}\": failed to render artifact {app for match apps/Front/prod: invalid template \"{app\": capture starting at offset 0 is missing closing brace",
        ),
        (
            good,
            "{app}_",
            "pathPattern \"@git/apps/{app}/{env}\": rendered artifact name \"front_\" is not a valid Kubernetes object name: ",
        ),
        (
            good,
            "{app}",
            "pathPattern \"@git/apps/{app}/{env}\": directories \"apps/back/prod\" and \"apps/back/test\" both resolve to artifact name \"back\"",
        ),
    ];
    for (pattern, name, expected) in cases {
        let mut object = templated(pattern, name);
        let outcome = bench.pass(&mut object).await;
        assert!(
            matches!(outcome, Outcome::Stalled { .. }),
            "{pattern} {name} {outcome:?}"
        );
        assert_eq!(
            conditions_of(&object),
            ["Stalled=True/BuildFailed", "Ready=False/BuildFailed"]
        );
        let found = message(&object)
            .strip_prefix("failed to expand path pattern: ")
            .unwrap();
        assert!(found.starts_with(expected), "{found}");
    }
    bench.commit("main@sha1:2", &[("apps/-x/prod/a", "1")]);
    let mut object = templated(good, "{env}");
    bench.pass(&mut object).await;
    assert!(
        message(&object)
            .contains("captured value \"-x\" for variable \"app\" is not a valid Kubernetes label value: ")
    );
}
