//! Real documents: whatever YAML the shared corpus has, through both libraries.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::answer::{NO_RESOURCE, answer};
use crate::oracle::{Answer, Oracle};

fn yaml_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
}

/// The texts of all YAML files, and of those inside the kustomize cases.
fn texts(corpus: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    yaml_files(corpus, &mut files);
    let mut texts: Vec<_> = files
        .into_iter()
        .filter_map(|path| {
            fs::read_to_string(&path)
                .ok()
                .map(|text| (path.display().to_string(), text))
        })
        .collect();
    for entry in fs::read_dir(corpus.join("kustomize/krusty"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let case: Value = fs::read(entry.path())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap();
        for (name, text) in case["files"].as_object().into_iter().flatten() {
            if let Some(text) = text.as_str() {
                texts.push((format!("{}: {name}", entry.path().display()), text.to_owned()));
            }
        }
    }
    texts
}

#[test]
fn corpus_documents_agree() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    if !corpus.is_dir() {
        eprintln!("skipped: no shared corpus");
        return;
    }
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut differences = Vec::new();
    let mut compared = 0;
    for (name, text) in texts(&corpus) {
        // Templates are not YAML; where one is read all the same, both sides must agree.
        for document in text.split("\n---\n") {
            for op in ["yaml.v2.roundtrip", "kyaml.json"] {
                let theirs = oracle.ask(op, json!({"text": document}));
                let ours = answer(op, document.as_bytes());
                compared += 1;
                let same = match (&ours, &theirs) {
                    (Ok(ours), Answer::Output(theirs)) => ours == theirs,
                    (Err(ours), Answer::Error(theirs)) if ours == theirs => true,
                    (_, Answer::Crash) => true,
                    (Err(ours), _) => ours == NO_RESOURCE,
                    _ => false,
                };
                if !same {
                    differences.push(format!(
                        "{op} of {name}:\n{document}\n  ours {ours:?}\ntheirs {theirs:?}"
                    ));
                }
            }
        }
    }
    eprintln!("{compared} documents compared");
    let shown: Vec<String> = differences
        .iter()
        .take(5)
        .map(|text| text.chars().take(3000).collect())
        .collect();
    assert!(
        differences.is_empty(),
        "{} differ, such as\n{}",
        differences.len(),
        shown.join("\n\n")
    );
}
