//! Random charts with dependencies.

use std::collections::BTreeMap;

use ferro_helm::chart::{File, Loaded, load_files};
use serde_json::{Map, Value as Json, json};

use crate::random::Random;

const NAMES: &[&str] = &["alpha", "beta", "gamma", "delta"];
const KEYS: &[&str] = &[
    "a", "b", "c", "enabled", "global", "tags", "exports", "alpha", "beta", "gamma", "x.y",
];
const VERSIONS: &[&str] = &["1.0.0", "1.2.3", "2.0.0-rc.1", "0.1.0"];
const RANGES: &[&str] = &[
    "1.0.0",
    "^1.0.0",
    ">=0.0.0-0",
    "*",
    "~2",
    "",
    "not a range",
    "1.x",
];

pub(crate) type Files = BTreeMap<String, String>;

/// Writes a chart with its subcharts below a prefix.
pub(crate) fn write_chart(random: &mut Random, files: &mut Files, prefix: &str, name: &str, depth: usize) {
    let mut chart = json!({"apiVersion": "v2", "name": name, "version": *random.pick(VERSIONS)});
    if random.one_in(12) {
        chart["type"] = json!("library");
    }
    let mut listed = Vec::new();
    if depth > 0 {
        for subchart in NAMES {
            if *subchart == name || random.one_in(2) {
                continue;
            }
            write_chart(
                random,
                files,
                &format!("{prefix}charts/{subchart}/"),
                subchart,
                depth - 1,
            );
            if !random.one_in(5) {
                listed.push(dependency(random, subchart));
            }
            if random.one_in(5) {
                let mut alias = dependency(random, subchart);
                alias["alias"] = json!(format!("{subchart}-two"));
                listed.push(alias);
            }
        }
    }
    if random.one_in(10) {
        listed.push(json!({"name": "missing", "version": "*", "repository": ""}));
    }
    if !listed.is_empty() || random.one_in(4) {
        chart["dependencies"] = json!(listed);
    }
    if random.one_in(6) {
        chart["annotations"] = json!({"note": "true"});
    }
    files.insert(format!("{prefix}Chart.yaml"), chart.to_string());
    if !random.one_in(6) {
        let values = table(random, 3);
        files.insert(format!("{prefix}values.yaml"), json!(values).to_string());
    }
}

fn dependency(random: &mut Random, name: &str) -> Json {
    let mut dependency = json!({"name": name, "version": *random.pick(RANGES), "repository": ""});
    if random.one_in(3) {
        let conditions = [
            "a",
            "enabled",
            "alpha.enabled",
            "beta.enabled,enabled",
            " b ",
            "global.a",
            "c,a",
            ",,a",
        ];
        dependency["condition"] = json!(*random.pick(&conditions));
    }
    if random.one_in(3) {
        dependency["tags"] = json!([*random.pick(&["a", "b"]), "c"]);
    }
    if random.one_in(3) {
        let imports = [
            json!(["a"]),
            json!(["a", "b"]),
            json!([{"child": "a", "parent": "b"}]),
            json!([{"child": "exports", "parent": "."}, "c"]),
            json!([{"child": "global", "parent": "a.b"}]),
            json!([{"parent": "b"}, 5]),
        ];
        dependency["import-values"] = random.pick(&imports).clone();
    }
    dependency
}

/// A table of values.
pub(crate) fn table(random: &mut Random, depth: usize) -> Map<String, Json> {
    let mut table = Map::new();
    for _ in 0..random.below(5) {
        let key = *random.pick(KEYS);
        table.insert(key.to_owned(), value(random, depth));
    }
    table
}

fn value(random: &mut Random, depth: usize) -> Json {
    if depth > 0 && !random.one_in(3) {
        return Json::Object(table(random, depth - 1));
    }
    let choices = [
        json!(null),
        json!(true),
        json!(false),
        json!(1.0),
        json!(1_234_567.0),
        json!("text"),
        json!("a b"),
        json!([1.0, null, {"a": null}]),
        json!([]),
        json!({}),
    ];
    random.pick(&choices).clone()
}

pub(crate) fn load(files: &Files) -> Result<Loaded, String> {
    let files = files
        .iter()
        .map(|(name, text)| File::new(name.as_str(), text))
        .collect();
    load_files(files).map_err(|error| error.to_string())
}
