//! A comparison with the answers of another implementation, read from the file that
//! `FERRO_POSTBUILD_ANSWERS` names: tab-separated lines of an input and its output, or `!` and the
//! error's text.

use std::collections::BTreeMap;

use ferro_postbuild::{Error, substitute};

#[test]
fn answers_equal_those_recorded() {
    let Some(path) = std::env::var_os("FERRO_POSTBUILD_ANSWERS") else {
        println!("skipped: FERRO_POSTBUILD_ANSWERS is not set");
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let pairs = [("a", "value"), ("b", "é/b"), ("e", ""), ("n", "1")];
    let vars: BTreeMap<_, _> = pairs
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let (input, expected) = line.split_once('\t').unwrap();
        seen += 1;
        let actual = match substitute(input, &vars, true) {
            Ok(text) => text,
            // What Go leaves as broken bytes or panics about is an error here.
            Err(Error::SplitCharacter(_) | Error::NegativeLength(_)) => continue,
            Err(error) => format!("!{error}"),
        };
        if actual != expected {
            wrong.push(format!("{input:?}: {actual:?}, expected {expected:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {seen} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(seen > 0);
}
