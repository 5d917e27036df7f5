//! Recorded cases: texts at which the two libraries, or an earlier state of ours, went different ways.
//!
//! `fixtures.jsonl` has one request to the oracle a line, with its answer. To add a case, add a line without
//! the answer, and run with `FERRO_ORACLE` and `FERRO_RECORD=1`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::answer;
use crate::oracle::{Answer, Oracle};

const FIXTURES: &str = include_str!("fixtures.jsonl");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures.jsonl");

fn record() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut lines = String::new();
    for line in FIXTURES.lines() {
        let mut case: Value = serde_json::from_str(line).unwrap();
        case.as_object_mut()
            .unwrap()
            .retain(|field, _| matches!(field.as_str(), "op" | "text" | "raw"));
        let op = case["op"].as_str().unwrap();
        let (name, answer) = match oracle.ask(op, case.clone()) {
            Answer::Output(output) => ("output", output),
            Answer::Error(error) => ("error", json!(error)),
            Answer::Crash => panic!("the reference crashes: {line}"),
        };
        case[name] = answer;
        lines.push_str(&format!("{case}\n"));
    }
    std::fs::write(PATH, lines).unwrap();
}

#[test]
fn recorded_answers_are_given() {
    if std::env::var_os("FERRO_RECORD").is_some() {
        return record();
    }
    let mut count = 0;
    for line in FIXTURES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = match case["raw"].as_str() {
            Some(raw) => STANDARD.decode(raw).unwrap(),
            None => case["text"].as_str().unwrap().as_bytes().to_vec(),
        };
        let ours = answer(case["op"].as_str().unwrap(), &text);
        let theirs = match case.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(case["output"].clone()),
        };
        assert_eq!(ours, theirs, "{line}");
        count += 1;
    }
    assert!(count > 50);
}
