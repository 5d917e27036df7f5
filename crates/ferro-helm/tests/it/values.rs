//! Dependencies and values of random charts.

use ferro_helm::values::{Instance, coalesce, resolve};
use serde_json::{Map, Value as Json, json};

use crate::answer::{compare, object_with_integers};
use crate::charts::{Files, load, table, write_chart};
use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;

fn tree(chart: &Instance) -> Json {
    let subcharts: Vec<Json> = chart.dependencies().iter().map(tree).collect();
    json!({
        "path": chart.path(),
        "values": object_with_integers(chart.values()),
        "subcharts": subcharts,
        "listed": listed(chart),
    })
}

fn listed(chart: &Instance) -> Json {
    let Some(listed) = chart.listed() else {
        return Json::Null;
    };
    let mut out = Vec::new();
    for dependency in listed {
        let mut entry = Map::new();
        entry.insert("name".to_owned(), json!(dependency.name));
        entry.insert("repository".to_owned(), json!(dependency.repository));
        for (key, text) in [
            ("version", &dependency.version),
            ("condition", &dependency.condition),
            ("alias", &dependency.alias),
        ] {
            if !text.is_empty() {
                entry.insert(key.to_owned(), json!(text));
            }
        }
        if !dependency.tags.is_empty() {
            entry.insert("tags".to_owned(), json!(dependency.tags));
        }
        if dependency.enabled {
            entry.insert("enabled".to_owned(), json!(true));
        }
        if !dependency.import_values.is_empty() {
            entry.insert("import-values".to_owned(), json!(dependency.import_values));
        }
        out.push(Json::Object(entry));
    }
    Json::Array(out)
}

fn ours(files: &Files, user: &Map<String, Json>) -> Result<Json, String> {
    let loaded = load(files)?;
    let mut notices = Vec::new();
    let root = resolve(&loaded.chart, user, &mut notices).map_err(|error| error.to_string())?;
    let values = coalesce(&root, user, &mut notices).map_err(|error| error.to_string())?;
    let mut lines: Vec<String> = notices.iter().map(ToString::to_string).collect();
    lines.sort();
    if lines.is_empty() {
        lines.push(String::new());
    }
    Ok(json!({"tree": tree(&root), "values": object_with_integers(&values), "notices": lines}))
}

/// Upstream goes through Go maps, whose order is random; a case counts only when it answers alike twice.
fn is_stable(oracle: &mut Oracle, fields: &Json) -> bool {
    let first = oracle.ask("helm.values", fields.clone());
    (0..4).all(|_| oracle.ask("helm.values", fields.clone()) == first) && first != Answer::Crash
}

#[test]
fn random_charts_get_the_values_that_upstream_gives_them() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(7);
    let mut compared = 0;
    for _ in 0..cases() {
        let mut files = Files::new();
        let depth = random.below(4);
        write_chart(&mut random, &mut files, "", "root", depth);
        let user = table(&mut random, 3);
        let fields = json!({"files": files, "values": user});
        if is_stable(&mut oracle, &fields) {
            compared += usize::from(compare(&mut oracle, "helm.values", &fields, &ours(&files, &user)));
        }
    }
    assert!(
        compared > cases() as usize / 2,
        "only {compared} cases have one answer"
    );
}
