//! Charts: what kustomize 5.8.1 with helm 4.2.4 made of them is what is made of them here.

use std::sync::Arc;

use ferro_gocompat::time::Time;
use ferro_kustomize::{Charts, HelmEngine, MemoryFiles, Options, Quirks, Reorder, SchemaMode, build};
use serde_json::Value as Json;

const CASES: &str = include_str!("../charts/cases.json");

/// A clock that stands still, and no randomness.
pub(crate) struct Still;

impl ferro_sprig::Environment for Still {
    fn now(&self) -> Time {
        Time::from_unix(1_700_000_000, 0)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap()
}

/// The chart's files, changed as the case wants: `null` takes a file away.
fn files(chart: &Json, case: &Json) -> MemoryFiles {
    let mut texts = chart.as_object().unwrap().clone();
    if let Some(changes) = case.get("files") {
        texts.extend(changes.as_object().unwrap().clone());
    }
    texts.insert("kustomization.yaml".to_owned(), case["kustomization"].clone());
    let stated = texts.iter().filter(|(_, content)| !content.is_null());
    stated
        .map(|(name, content)| (format!("/app/{name}"), text(content)))
        .collect()
}

/// What a flag is set to, in the words behind the program's name.
fn flag<'c>(flags: &'c [Json], name: &str) -> Option<&'c str> {
    let at = flags.iter().position(|word| word == name)?;
    flags.get(at + 1).map(text)
}

fn built(chart: &Json, case: &Json) -> Result<String, String> {
    let flags = case["flags"].as_array();
    let refused = flags.is_some_and(Vec::is_empty);
    let flags = flags.map(Vec::as_slice).unwrap_or_default();
    let engine = HelmEngine::new(Arc::new(Still))
        .with_kube_version(flag(flags, "--helm-kube-version").unwrap_or_default())
        .with_api_versions(flag(flags, "--helm-api-versions"));
    let options = Options {
        reorder: Reorder::Legacy,
        schema_mode: SchemaMode::Replace,
        quirks: Quirks::Upstream,
        charts: if refused {
            Charts::Refused
        } else {
            Charts::RenderedBy(&engine)
        },
        ..Options::default()
    };
    let built = build(&files(chart, case), "/app", &options);
    built
        .and_then(|resources| resources.to_yaml())
        .map_err(|error| error.to_string())
}

#[test]
fn charts_build_as_with_the_helm_program() {
    let cases: Json = serde_json::from_str(CASES).unwrap();
    let mut failures = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let built = built(&cases["chart"], case);
        let agrees = match (&built, &case["output"], &case["error"]) {
            (Ok(found), Json::String(expected), _) => found == expected,
            (Err(found), _, Json::String(expected)) => found.contains(expected),
            _ => false,
        };
        if !agrees {
            failures.push(format!("{case:#}\nbut it was\n{built:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn a_chart_that_is_elsewhere_is_named() {
    let chart = serde_json::json!({});
    let case = serde_json::json!({
        "kustomization": "helmCharts: [{name: web, version: 1.2.3, repo: 'https://charts.example'}]\n",
    });
    let error = built(&chart, &case).unwrap_err();
    assert!(
        error.starts_with("chart 'web 1.2.3' is not in the chart home"),
        "{error}"
    );
}

#[test]
fn a_chart_without_values_takes_inline_ones() {
    let files = MemoryFiles::from([
        (
            "/app/kustomization.yaml",
            "helmCharts: [{name: web, valuesInline: {a: 1}}]\n",
        ),
        (
            "/app/charts/web/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        ),
        ("/app/charts/web/values.yaml", "# none\n"),
        (
            "/app/charts/web/templates/a.yaml",
            "kind: A\nmetadata: {name: 'a{{ .Values.a }}'}\n",
        ),
    ]);
    let engine = HelmEngine::new(Arc::new(Still));
    let options = Options {
        charts: Charts::RenderedBy(&engine),
        ..Options::default()
    };
    let yaml = build(&files, "/app", &options).unwrap().to_yaml().unwrap();
    assert_eq!(yaml, "kind: A\nmetadata:\n  name: a1\n");
}
