//! `--set` and its kin.

use ferro_helm::strvals::{Grammar, parse_files_into, parse_into};
use serde_json::{Map, Value as Json, json};

use crate::answer::{compare, object_with_integers};
use crate::oracle::{Oracle, cases};
use crate::random::Random;

const PIECES: &[&str] = &[
    "a",
    "b",
    "c",
    "=",
    "=",
    "=",
    ".",
    ".",
    ",",
    "[",
    "]",
    "[0]",
    "[1]",
    "[2].",
    "{",
    "}",
    "\\",
    "1",
    "0",
    "01",
    "-5",
    "true",
    "null",
    "nuLL",
    " ",
    "\"",
    "x y",
    "{1,a}",
    "[-1]",
    "[x]",
    "a.b",
    "a[0]",
    "+7",
    "1.5",
    "é",
    ":",
    "{\"k\":[1,2]}",
    "[1,{\"z\":null}]",
    "falſe",
    "99999999999999999999",
    "\t",
];

fn ours(mode: &str, text: &str, values: &Map<String, Json>) -> Result<Json, String> {
    let mut values = values.clone();
    let result = match mode {
        "typed" => parse_into(&mut values, text, Grammar::Typed),
        "string" => parse_into(&mut values, text, Grammar::Strings),
        "json" => parse_into(&mut values, text, Grammar::Json),
        "literal" => parse_into(&mut values, text, Grammar::Literal),
        _ => parse_files_into(&mut values, text, |path| match path {
            "" => Err("no file".to_owned()),
            path => Ok(format!("<{path}>")),
        }),
    };
    let is_json = mode == "json";
    match result {
        Ok(()) => Ok(Json::Object(object_with_integers(&values))),
        // Helm does not show what Go's decoder says.
        Err(ferro_helm::strvals::Error::Json(_)) if is_json => Err("json".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn random_assignments_are_read_as_upstream_reads_them() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(5);
    let start = [
        json!({}),
        json!({"a": {"b": 1.0}, "b": [1.0, {"c": "x"}], "c": null}),
        json!({"a": "text", "b": [[1.0]], "c": [null]}),
    ];
    for _ in 0..cases() * 4 {
        let mode = *random.pick(&["typed", "typed", "string", "json", "literal", "file"]);
        let length = 1 + random.below(9);
        let text: String = (0..length).map(|_| *random.pick(PIECES)).collect();
        let values = random.pick(&start).clone();
        let ours = ours(mode, &text, values.as_object().unwrap());
        let fields = json!({"mode": mode, "text": text, "values": values});
        if ours == Err("json".to_owned()) {
            let answer = oracle.ask("helm.strvals", fields.clone());
            assert!(matches!(answer, crate::oracle::Answer::Error(_)), "{fields}");
        } else {
            compare(&mut oracle, "helm.strvals", &fields, &ours);
        }
    }
}

#[test]
fn what_follows_a_number_in_json_is_the_next_assignment() {
    let mut values = Map::new();
    parse_into(&mut values, " =11.5=", Grammar::Json).unwrap();
    assert_eq!(json!(values), json!({" ": 11.5}));
    let mut values = Map::new();
    parse_into(&mut values, "a=truea=1", Grammar::Json).unwrap();
    assert_eq!(json!(values), json!({"a": 1.0}));
    let mut values = Map::new();
    parse_into(&mut values, "a=-01=2,b=0.5", Grammar::Json).unwrap();
    assert_eq!(json!(values), json!({"a": -0.0, "1": 2.0, "b": 0.5}));
}
