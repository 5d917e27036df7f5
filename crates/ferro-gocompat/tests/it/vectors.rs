//! What Go 1.26 and Masterminds/semver v3.5 answered, recorded.

use serde_json::Value;

use crate::answer::answer;

/// Each line holds a request and the answer to it.
fn replay(name: &str, vectors: &str, least: usize) {
    let mut count = 0;
    for line in vectors.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let expected = match vector.get("error") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(vector["output"].clone()),
        };
        assert_eq!(
            answer(&vector["request"]),
            expected,
            "{name}: {}",
            vector["request"]
        );
        count += 1;
    }
    assert!(count >= least, "{name}: only {count} vectors");
}

#[test]
fn durations_are_those_of_go() {
    replay("duration", include_str!("../vectors/duration.jsonl"), 40);
}

#[test]
fn text_and_numbers_are_those_of_go() {
    replay("text", include_str!("../vectors/text.jsonl"), 60);
}

#[test]
fn paths_and_patterns_are_those_of_go() {
    replay("path", include_str!("../vectors/path.jsonl"), 60);
}

#[test]
fn regular_expressions_are_those_of_go() {
    replay("regexp", include_str!("../vectors/regexp.jsonl"), 120);
}

#[test]
fn versions_are_those_of_masterminds() {
    replay("semver", include_str!("../vectors/semver.jsonl"), 120);
}
