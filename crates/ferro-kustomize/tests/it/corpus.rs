//! The public cases of the shared corpus.

use std::path::PathBuf;
use std::{env, fs};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ferro_gocompat::regexp::Regex;
use ferro_kustomize::{
    ErrorKind, LoadRestrictions, MemoryFiles, Options, Quirks, Reorder, SchemaMode, build,
};
use serde_json::Value;

/// As many cases must pass.
const PASSING: usize = 225;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/kustomize/krusty")
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

fn files(case: &Value) -> MemoryFiles {
    let mut files = MemoryFiles::new();
    for dir in strings(&case["dirs"]) {
        files.insert_dir(dir);
    }
    for (path, text) in case["files"].as_object().into_iter().flatten() {
        files.insert(path, text.as_str().unwrap());
    }
    for (path, text) in case["filesBase64"].as_object().into_iter().flatten() {
        files.insert(path, STANDARD.decode(text.as_str().unwrap()).unwrap());
    }
    files
}

fn options(case: &Value) -> Options<'static> {
    let given = &case["options"];
    Options {
        load_restrictions: match given["loadRestrictions"].as_str() {
            Some("none") => LoadRestrictions::None,
            _ => LoadRestrictions::RootOnly,
        },
        // A case that does not say how to sort is one of the program, which then sorts.
        reorder: match given["reorder"].as_str() {
            Some("none") => Reorder::None,
            _ => Reorder::Legacy,
        },
        managed_by_label: given["addManagedByLabel"].as_bool().unwrap_or_default(),
        schema_mode: SchemaMode::Replace,
        quirks: Quirks::Upstream,
        ..Options::default()
    }
}

/// Builds a case and says what is wrong with the outcome.
fn run(case: &Value, observed: &Value) -> Result<(), String> {
    let outcome = build(&files(case), case["target"].as_str().unwrap(), &options(case))
        .and_then(|resources| resources.to_yaml());
    let expect = &case["expect"];
    match (expect["kind"].as_str().unwrap(), outcome) {
        ("yaml", Ok(text)) => {
            let expected = expect["yaml"].as_str().unwrap();
            if text == expected {
                Ok(())
            } else {
                Err(format!("--- expected\n{expected}--- got\n{text}"))
            }
        }
        ("success", Ok(_)) => Ok(()),
        ("yaml" | "success", Err(error)) => Err(format!("failed: {error:#}")),
        ("error", Ok(text)) => Err(format!("did not fail:\n{text}")),
        ("error", Err(error)) => {
            let text = error.to_string();
            let class_fits = strings(&expect["class"]).iter().all(|class| match *class {
                "MissingKustomizationFile" => {
                    matches!(error.root_cause(), ErrorKind::MissingKustomization { .. })
                }
                "MalformedYAMLError" => matches!(error.root_cause(), ErrorKind::MalformedYaml { .. }),
                "OnlyBuiltinPluginsAllowed" => matches!(error.root_cause(), ErrorKind::ExternalPlugin { .. }),
                class => panic!("unknown class {class}"),
            });
            let equals = expect["equals"]
                .as_str()
                .is_none_or(|equals| text.trim_end() == equals.trim_end());
            let contains = strings(&expect["contains"])
                .iter()
                .all(|part| text.contains(part));
            // The patterns are literal but for one place in them, and the observed text fills that in.
            let observed = observed[case["id"].as_str().unwrap()]
                .as_str()
                .unwrap_or_default();
            let matches = strings(&expect["regexp"])
                .iter()
                .all(|pattern| Regex::go(pattern).unwrap().is_match(&text));
            if class_fits && equals && contains && matches {
                Ok(())
            } else {
                Err(format!("--- expected\n{observed}\n--- got\n{text}"))
            }
        }
        (kind, _) => panic!("unknown kind {kind}"),
    }
}

#[test]
fn cases_of_the_corpus_pass() {
    let dir = corpus();
    let Ok(entries) = fs::read_dir(&dir) else {
        println!("skipped: no corpus at {}", dir.display());
        return;
    };
    let observed = fs::read(dir.join("../observed-errors.json")).unwrap();
    let observed: Value = serde_json::from_slice(&observed).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let filter = env::var("CORPUS_CASE").unwrap_or_default();
    let mut failed = Vec::new();
    let mut passed = 0;
    for path in paths
        .iter()
        .filter(|path| path.to_str().unwrap().contains(&filter))
    {
        let case: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        match run(&case, &observed) {
            Ok(()) => passed += 1,
            Err(problem) => failed.push(format!("{}\n{problem}", case["id"].as_str().unwrap())),
        }
    }
    for failure in &failed {
        println!("FAIL {failure}");
    }
    println!("corpus: {passed} passed, {} failed", failed.len());
    assert!(
        !filter.is_empty() || passed >= PASSING,
        "{passed} of {PASSING} cases pass"
    );
}
