//! The shared corpus' charts with values that nobody wrote for them: switches turned, values taken from where
//! other charts have the same key, values of another type.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferro_helm::chart::{Chart, RealDirectory, load_directory};
use ferro_helm::render::Renderer;
use ferro_helm::values;
use serde_json::{Map, Value as Json, json};

use crate::oracle::{Oracle, cases};
use crate::outcome::{Setting, Verdict, judge, ours};
use crate::random::Random;
use crate::steady;

type Donors = BTreeMap<String, Vec<Json>>;

struct Public {
    path: PathBuf,
    chart: Arc<Chart>,
    given: Vec<Map<String, Json>>,
    /// Where its values are, as far as its defaults and templates tell.
    places: Vec<Vec<String>>,
    switches: Vec<Vec<String>>,
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

impl Public {
    fn load(folder: &Path) -> Self {
        let path = folder.join("chart");
        let chart = load_directory(&RealDirectory::new(&path)).unwrap().chart;
        let cases = folders(&folder.join("cases"));
        let texts = cases
            .iter()
            .filter_map(|case| std::fs::read(case.join("values.yaml")).ok());
        let given = texts.map(|text| values::read(&text).unwrap()).collect();
        let mut places = BTreeSet::new();
        find_places(&chart, &mut Vec::new(), &mut places);
        let mut switches: Vec<_> = places
            .iter()
            .filter(|(_, is_switch)| *is_switch)
            .cloned()
            .collect();
        switches.dedup();
        Self {
            path,
            chart,
            given,
            places: places.into_iter().map(|(place, _)| place).collect(),
            switches: switches.into_iter().map(|(place, _)| place).collect(),
        }
    }
}

/// Places with whether a boolean is there.
type Places = BTreeSet<(Vec<String>, bool)>;

fn find_places(chart: &Chart, prefix: &mut Vec<String>, places: &mut Places) {
    of_table(&chart.values, prefix, places);
    for template in &chart.templates {
        let text = template.text();
        for (at, _) in text.match_indices(".Values.") {
            let rest = &text[at + ".Values.".len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_')
                .unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches('.').split('.').map(str::to_owned);
            places.insert((prefix.iter().cloned().chain(path).collect(), false));
        }
    }
    for subchart in &chart.dependencies {
        prefix.push(subchart.name().to_owned());
        find_places(subchart, prefix, places);
        prefix.pop();
    }
}

fn of_table(table: &Map<String, Json>, prefix: &mut Vec<String>, places: &mut Places) {
    for (key, value) in table {
        prefix.push(key.clone());
        places.insert((prefix.clone(), value.is_boolean()));
        if let Json::Object(inner) = value {
            of_table(inner, prefix, places);
        }
        prefix.pop();
    }
}

/// Collects values by key.
fn collect(value: &Json, donors: &mut Donors) {
    match value {
        Json::Object(table) => {
            for (key, value) in table {
                let known = donors.entry(key.clone()).or_default();
                if known.len() < 40 && !known.contains(value) {
                    known.push(value.clone());
                }
                collect(value, donors);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, donors)),
        _ => {}
    }
}

fn collect_chart(chart: &Chart, donors: &mut Donors) {
    collect(&Json::Object(chart.values.clone()), donors);
    for subchart in &chart.dependencies {
        collect_chart(subchart, donors);
    }
}

fn at<'v>(values: &'v Map<String, Json>, place: &[String]) -> Option<&'v Json> {
    let (first, rest) = place.split_first()?;
    let value = values.get(first)?;
    if rest.is_empty() {
        return Some(value);
    }
    at(value.as_object()?, rest)
}

fn put(values: &mut Map<String, Json>, place: &[String], value: Json) {
    let Some((first, rest)) = place.split_first() else {
        return;
    };
    if rest.is_empty() {
        values.insert(first.clone(), value);
        return;
    }
    let inner = values.entry(first.clone()).or_insert_with(|| json!({}));
    if !inner.is_object() {
        *inner = json!({});
    }
    put(inner.as_object_mut().unwrap(), rest, value);
}

fn any_value(random: &mut Random) -> Json {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0.0),
        json!(1.0),
        json!(3000.0),
        json!(1_234_567.0),
        json!(0.5),
        json!(""),
        json!("text"),
        json!("true"),
        json!("0"),
        json!("{{ .Release.Name }}-{{ .Values.nope }}"),
        json!("a: b"),
        json!("line\nline two\n"),
        json!([]),
        json!(["one", "two"]),
        json!([{"name": "A", "value": "b"}, {"name": "{{ .Chart.Name }}"}]),
        json!([1.0, null]),
        json!({}),
        json!({"key": "value", "other": 1.0}),
        json!({"enabled": true, "name": "x"}),
        json!({"a": {"b": {"c": [true]}}}),
        json!("long ".repeat(30)),
        json!("1e3"),
        json!("é\u{2028}😀"),
    ];
    random.pick(&values).clone()
}

fn new_value(random: &mut Random, chart: &Public, place: &[String], donors: &Donors) -> Json {
    let key = place.last().unwrap();
    match random.below(10) {
        0..=5 => {
            if let Some(known) = donors.get(key) {
                return random.pick(known).clone();
            }
            any_value(random)
        }
        6..=8 => match at(&chart.chart.values, place) {
            Some(Json::Bool(value)) => json!(!value),
            Some(Json::Number(number)) => json!(number.as_f64().unwrap() + 1.0),
            Some(Json::String(_)) => {
                json!(*random.pick(&["other", "a-b.c", "10", "http://host:80/path", "x y"]))
            }
            Some(Json::Array(_)) => json!(["one", "two"]),
            Some(Json::Object(_)) => json!({"key": "value"}),
            _ => any_value(random),
        },
        _ => any_value(random),
    }
}

fn user_values(random: &mut Random, chart: &Public, donors: &Donors) -> Map<String, Json> {
    let mut user = Map::new();
    if !chart.given.is_empty() && !random.one_in(3) {
        user = random.pick(&chart.given).clone();
    }
    for _ in 0..random.below(6) {
        if !chart.switches.is_empty() {
            let place = random.pick(&chart.switches).clone();
            let now = at(&chart.chart.values, &place) == Some(&json!(true));
            put(&mut user, &place, json!(!now));
        }
    }
    let most = *random.pick(&[1, 3, 12]);
    for _ in 0..random.below(most) {
        if !chart.places.is_empty() {
            let place = random.pick(&chart.places).clone();
            let value = new_value(random, chart, &place, donors);
            put(&mut user, &place, value);
        }
    }
    user
}

fn setting(random: &mut Random) -> Setting {
    const APIS: &[&str] = &[
        "monitoring.coreos.com/v1",
        "monitoring.coreos.com/v1/ServiceMonitor",
        "monitoring.coreos.com/v1/PodMonitor",
        "networking.k8s.io/v1/Ingress",
        "policy/v1/PodDisruptionBudget",
        "cert-manager.io/v1",
        "route.openshift.io/v1",
        "security.openshift.io/v1",
        "autoscaling.k8s.io/v1",
        "gateway.networking.k8s.io/v1",
        "policy/v1beta1/PodSecurityPolicy",
    ];
    let versions = ["1.34.0", "1.34.0", "1.25.3", "1.21", "v1.18.0", "1.33.4-gke.1"];
    Setting {
        kube_version: random.pick::<&str>(&versions),
        api_versions: APIS.iter().copied().filter(|_| random.one_in(4)).collect(),
        is_upgrade: random.one_in(3),
    }
}

#[test]
fn public_charts_render_alike_with_any_values() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/charts");
    let wanted = std::env::var("FERRO_CHART").ok();
    let charts: Vec<Public> = folders(&corpus)
        .iter()
        .map(|folder| Public::load(folder))
        .collect();
    if charts.is_empty() {
        eprintln!("skipped: there is no corpus at {}", corpus.display());
        return;
    }
    let mut donors = Donors::new();
    for chart in &charts {
        collect_chart(&chart.chart, &mut donors);
        for given in &chart.given {
            collect(&Json::Object(given.clone()), &mut donors);
        }
    }
    let engine = steady::engine();
    let mut random = Random::new(41);
    let (mut rendered, mut failed, mut unstable, mut different) = (0, 0, 0, Vec::new());
    let rounds = (cases() as usize).div_ceil(charts.len() * 5);
    for chart in &charts {
        let is_wanted = wanted
            .as_ref()
            .is_none_or(|wanted| chart.path.ends_with(format!("{wanted}/chart")));
        let renderer = Renderer::new(engine.clone(), Arc::clone(&chart.chart));
        for _ in 0..if is_wanted { rounds } else { 0 } {
            let user = user_values(&mut random, chart, &donors);
            let setting = setting(&mut random);
            let mut fields = json!({"chart": chart.path, "values": user});
            setting.describe(&mut fields);
            match judge(&mut oracle, &fields, &ours(&renderer, &user, &setting)) {
                Verdict::Rendered => rendered += 1,
                Verdict::Failed => failed += 1,
                Verdict::Unstable => unstable += 1,
                Verdict::Different(how) => different.push(format!("{fields}\n{how}")),
            }
        }
    }
    eprintln!("{rendered} rendered and {failed} failed alike, {unstable} without one answer");
    assert!(
        different.is_empty(),
        "{} differ\n{}",
        different.len(),
        different.join("\n\n")
    );
}
