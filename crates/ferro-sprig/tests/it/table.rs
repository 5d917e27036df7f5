//! The functions there are, and their types.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferro_sprig::{functions, helm_functions};
use ferro_template::Functions;
use serde_json::json;

use crate::environment::Fixed;
use crate::oracle::{Answer, Oracle};

fn names(functions: &Functions) -> Vec<String> {
    let mut names: Vec<_> = functions.names().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn types_are_those_of_sprig() {
    let Some(mut oracle) = Oracle::start() else { return };
    let Answer::Output(expected) = oracle.ask("sprig.functions", json!({})) else {
        panic!("the oracle lists functions");
    };
    let expected: BTreeMap<String, String> = serde_json::from_value(expected).unwrap();
    let ours = functions(Arc::new(Fixed::default()));
    let builtins = Functions::builtins();
    let mut missing = Vec::new();
    for (name, ty) in &expected {
        let Some(function) = ours.get(name) else {
            missing.push(name);
            continue;
        };
        // Our functions may all fail; Go's say so.
        let ty = match ty.rsplit_once(" (") {
            Some((before, results)) => format!("{before} {}", results.trim_end_matches(", error)")),
            None => ty.clone(),
        };
        assert_eq!(function.type_text(), ty, "{name}");
    }
    assert!(missing.is_empty(), "missing: {missing:?}");
    let extra: Vec<_> = names(&ours)
        .into_iter()
        .filter(|name| !expected.contains_key(name) && builtins.get(name).is_none())
        .collect();
    assert!(extra.is_empty(), "not sprig's: {extra:?}");
}

#[test]
fn charts_get_what_helm_gives_them() {
    let environment = Arc::new(Fixed::default());
    let (sprig, helm) = (functions(environment.clone()), helm_functions(environment));
    let added: Vec<_> = names(&helm)
        .into_iter()
        .filter(|name| sprig.get(name).is_none())
        .collect();
    assert_eq!(
        added,
        [
            "fromJsonArray",
            "fromToml",
            "fromYaml",
            "fromYamlArray",
            "mustToToml",
            "mustToYaml",
            "toToml",
            "toYaml",
            "toYamlPretty"
        ]
    );
    let removed: Vec<_> = names(&sprig)
        .into_iter()
        .filter(|name| helm.get(name).is_none())
        .collect();
    assert_eq!(removed, ["env", "expandenv"]);
}
