//! Comparison with the answers of `fluxcd/pkg/envsubst` v1.8.0 to generated texts: tab-separated lines of an
//! input and its output, or `!` and the error's text, where `!!split` stands for an output that is not UTF-8.
//!
//! A selection is kept beside this file; `FERRO_POSTBUILD_ANSWERS` names a larger one.

use std::collections::BTreeMap;

use ferro_postbuild::{Error, substitute};

#[test]
fn answers_equal_those_kept() {
    compare(include_str!("answers.tsv"));
}

#[test]
fn answers_equal_those_recorded() {
    let Some(path) = std::env::var_os("FERRO_POSTBUILD_ANSWERS") else {
        println!("skipped: FERRO_POSTBUILD_ANSWERS is not set");
        return;
    };
    compare(&std::fs::read_to_string(path).unwrap());
}

fn compare(answers: &str) {
    let pairs = [("a", "value"), ("b", "é/b"), ("e", ""), ("n", "1")];
    let vars: BTreeMap<_, _> = pairs
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in answers.lines() {
        let (input, expected) = line.split_once('\t').unwrap();
        seen += 1;
        let actual = match substitute(input, &vars, true) {
            Ok(text) => text,
            // Also where the broken character goes into a default that is not used.
            Err(Error::SplitCharacter(_)) => continue,
            Err(error) => format!("!{error}"),
        };
        if actual != expected {
            wrong.push(format!("{input:?}: {actual:?}, expected {expected:?}"));
        }
    }
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{count} of {seen} differ:\n{}",
        wrong.into_iter().take(40).collect::<Vec<_>>().join("\n")
    );
    assert!(seen > 0);
}
