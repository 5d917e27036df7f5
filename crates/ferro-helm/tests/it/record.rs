//! Release records: ours and those that Helm's own types read and write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferro_helm::record::{Record, Status, StoredChart, observation, observed_config, secret};
use ferro_helm::values::resolve;
use serde_json::{Map, Value as Json, json};

use crate::charts::{Files, load, table, write_chart};
use crate::oracle::{Answer, Oracle, cases};
use crate::random::Random;

fn random_text(random: &mut Random) -> String {
    let pieces = [
        "a",
        "-",
        "<b> & \"c\"",
        "\\",
        "\n",
        "\t",
        "\u{8}\u{c}\u{1}\u{7f}",
        "ü",
        "\u{2028}",
        "😀",
        "'",
        "/",
        "0x1F",
        "",
    ];
    (0..random.below(5)).map(|_| *random.pick(&pieces)).collect()
}

fn random_time(random: &mut Random) -> Json {
    let times = [
        "2026-01-02T03:04:05.678901234Z",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.100+02:00",
        "2026-06-02T03:04:05.000000001-07:30",
        "2026-06-02T03:04:05+00:00",
        "0001-01-01T00:00:00Z",
        "",
    ];
    match random.below(8) {
        0 => Json::Null,
        _ => json!(*random.pick(&times)),
    }
}

fn random_numbers(random: &mut Random) -> Json {
    let numbers = [
        "1",
        "-0.5",
        "1e21",
        "1e-7",
        "123456789012345678",
        "100000000000000000000",
        "1e20",
        "0.000001",
        "-0",
        "1.0",
        "3.14",
        "5e-324",
    ];
    serde_json::from_str(numbers[random.below(numbers.len())]).unwrap()
}

fn random_hook(random: &mut Random) -> Json {
    let events = [
        json!([]),
        json!(["pre-install"]),
        json!(["test"]),
        json!(["test", "post-upgrade"]),
        json!(["strange"]),
    ];
    let mut hook = json!({
        "name": random_text(random), "kind": "Job", "path": "app/templates/job.yaml", "manifest": random_text(random),
        "events": random.pick(&events).clone(),
        "last_run": {"phase": *random.pick(&["", "Running", "Succeeded", "Failed"])},
    });
    if random.one_in(2) {
        hook["last_run"] = json!({"started_at": random_time(random), "completed_at": random_time(random), "phase": "Succeeded"});
    }
    if random.one_in(3) {
        hook["weight"] = json!(-5);
        hook["delete_policies"] = json!(["hook-succeeded", "before-hook-creation"]);
    }
    if random.one_in(4) {
        hook["output_log_policies"] = json!(["hook-failed"]);
        hook["unknown"] = json!({"a": 1});
    }
    hook
}

fn random_metadata(random: &mut Random) -> Json {
    let mut metadata = json!({"name": "app", "version": "1.2.3+0cc9a8446c95", "apiVersion": "v2"});
    for field in [
        "home",
        "description",
        "icon",
        "condition",
        "tags",
        "appVersion",
        "kubeVersion",
        "type",
    ] {
        if random.one_in(2) {
            metadata[field] = json!(random_text(random));
        }
    }
    if random.one_in(2) {
        metadata["keywords"] = json!([random_text(random), "b"]);
        metadata["sources"] = json!([]);
        metadata["maintainers"] = json!([{"name": random_text(random), "email": "", "url": "u"}]);
        metadata["deprecated"] = json!(random.one_in(2));
    }
    if random.one_in(2) {
        metadata["annotations"] = json!({"b": random_text(random), "a": "1"});
        metadata["dependencies"] = json!([
            {"name": "x", "repository": "", "tags": ["t"], "enabled": true, "import-values": ["a", {"child": "b", "parent": "c"}, 1.5]},
            {"name": "y", "version": "*", "repository": "oci://r", "condition": "y.enabled", "alias": "z"},
        ]);
    }
    metadata
}

/// The JSON of a record as some program may have written it.
fn random_record(random: &mut Random) -> Json {
    let mut record = json!({
        "name": "app", "namespace": "default", "version": random.below(20),
        "info": {
            "first_deployed": random_time(random), "last_deployed": random_time(random), "deleted": random_time(random),
            "description": random_text(random), "status": *random.pick(&["deployed", "failed", "pending-upgrade", "unheard-of", ""]),
            "notes": random_text(random),
        },
        "chart": {
            "metadata": random_metadata(random), "lock": null, "templates": [{"name": "templates/a.yaml", "data": "YQ=="}],
            "values": {"b": 1, "a": {"c": [true, null]}}, "schema": null, "schemamodtime": "0001-01-01T00:00:00Z", "files": [],
        },
        "manifest": random_text(random),
        "apply_method": *random.pick(&["", "ssa", "csa"]),
    });
    if random.one_in(2) {
        let mut config = table(random, 3);
        config.insert(random_text(random), random_numbers(random));
        config.insert(
            "numbers".to_owned(),
            json!([random_numbers(random), random_numbers(random)]),
        );
        record["config"] = Json::Object(config);
    }
    if random.one_in(2) {
        record["hooks"] = (0..random.below(4)).map(|_| random_hook(random)).collect();
    }
    for field in ["chart", "config", "hooks", "manifest", "namespace"] {
        if random.one_in(20) {
            record[field] = Json::Null;
        }
    }
    record
}

#[test]
fn records_are_read_written_and_observed_as_by_helm() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut random = Random::new(71);
    for _ in 0..cases() {
        let text = random_record(&mut random).to_string();
        let digest = *random.pick(&["", "sha256:0c"]);
        let answer = oracle.ask("record.read", json!({"text": text, "mode": digest}));
        let Answer::Output(Json::Array(theirs)) = answer else {
            panic!("{answer:?} of {text}");
        };
        let (written, observed) = (theirs[0].as_str().unwrap(), theirs[1].as_str().unwrap());
        let read = |text: &str| Record::from_json(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut record = read(&text);
        assert_eq!(observation(&record, digest), observed, "{text}");
        let mut again = read(written);
        assert_eq!(observation(&again, digest), observed, "{written}");
        if !again.chart.metadata().name.is_empty() {
            assert_eq!(again.to_json(), written);
        }
        // The chart's own text is kept as it was read.
        record.chart = StoredChart::default();
        again.chart = StoredChart::default();
        assert_eq!(record.to_json(), again.to_json(), "{text}");
    }
}

#[test]
fn charts_are_stored_as_by_helm() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut random = Random::new(72);
    let mut stored = 0;
    for _ in 0..cases() {
        let mut files = Files::new();
        write_chart(&mut random, &mut files, "", "app", 2);
        if random.one_in(3) {
            files.insert("templates/a.yaml".to_owned(), random_text(&mut random));
            files.insert("README.md".to_owned(), random_text(&mut random));
        }
        if random.one_in(3) {
            files.insert("values.schema.json".to_owned(), "{}".to_owned());
        }
        if random.one_in(3) {
            let lock = "dependencies:\n- name: x\n  repository: https://r\n  version: 1.0.0\ndigest: sha256:1\n\
                        generated: \"2024-05-01T10:00:00.5+02:00\"\n";
            files.insert("Chart.lock".to_owned(), lock.to_owned());
        }
        let user = table(&mut random, 3);
        let theirs = oracle.ask("record.chart", json!({"files": files, "values": user}));
        let Ok(loaded) = load(&files) else {
            assert!(matches!(theirs, Answer::Error(_)), "{theirs:?}");
            continue;
        };
        let Ok(instance) = resolve(&loaded.chart, &user, &mut Vec::new()) else {
            assert!(matches!(theirs, Answer::Error(_)), "{theirs:?}");
            continue;
        };
        let record = Record {
            chart: StoredChart::from(&instance),
            ..Record::default()
        };
        let ours = record.to_json();
        let ours = ours
            .strip_prefix("{\"info\":{\"status\":\"unknown\"},\"chart\":")
            .and_then(|text| text.strip_suffix('}'));
        assert_eq!(
            theirs,
            Answer::Output(json!(ours.unwrap())),
            "{files:#?} {user:#?}"
        );
        stored += 1;
    }
    assert!(stored > 50, "most charts can be stored: {stored}");
}

#[test]
fn values_are_observed_as_by_flux() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut random = Random::new(73);
    for _ in 0..cases() {
        let mut values = table(&mut random, 3);
        for key in ["a10", "a9", "B", "ü", "yes", "1", "multi\nline"] {
            if random.one_in(2) {
                values.insert(key.to_owned(), random_numbers(&mut random));
            }
            if random.one_in(3) {
                let text = random_text(&mut random).repeat(1 + random.below(30));
                values.insert(format!("{key}-text"), json!([{"b": text, "a": {}}, []]));
            }
        }
        let read = Record::from_json(&json!({ "config": values }).to_string()).unwrap();
        let expected = match values.is_empty() {
            true => json!(""),
            false => match oracle.ask("record.config", json!({ "values": values })) {
                Answer::Output(text) => text,
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(
            json!(observed_config(&read.config).unwrap()),
            expected,
            "{values:#?}"
        );
    }
}

fn record() -> Record {
    let loaded = load(&Files::from([
        (
            "Chart.yaml".to_owned(),
            "apiVersion: v2\nname: app\nversion: 1.0.0\n".to_owned(),
        ),
        ("values.yaml".to_owned(), "replicas: 2\n".to_owned()),
    ]));
    let instance = resolve(&loaded.unwrap().chart, &Map::new(), &mut Vec::new()).unwrap();
    let mut record = Record {
        name: "app".to_owned(),
        namespace: "default".to_owned(),
        version: 3,
        chart: StoredChart::from(&instance),
        ..Record::default()
    };
    record.labels.insert("team".to_owned(), "blue".to_owned());
    record.set_status(Status::PendingUpgrade, "Preparing upgrade");
    record
}

#[test]
fn secrets_hold_records() {
    let record = record();
    assert_eq!(secret::name("app", 3), "sh.helm.release.v1.app.v3");
    let labels = secret::labels(&record, secret::Written::Created(17));
    let expected = [
        ("createdAt", "17"),
        ("name", "app"),
        ("owner", "helm"),
        ("status", "pending-upgrade"),
        ("team", "blue"),
        ("version", "3"),
    ];
    assert!(
        labels
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .eq(expected)
    );
    assert_eq!(secret::custom_labels(&labels), record.labels);
    assert!(secret::labels(&record, secret::Written::Modified(18)).contains_key("modifiedAt"));

    let text = secret::encode(&record).unwrap();
    let mut read = secret::decode(text.as_bytes()).unwrap();
    assert_eq!(read.chart.metadata().version, "1.0.0");
    assert_eq!(json!(read.chart.values().unwrap()), json!({"replicas": 2.0}));
    read.labels.clone_from(&record.labels);
    assert_eq!(read, record);
    if let Some(mut oracle) = Oracle::start() {
        assert_eq!(
            oracle.ask("record.unpack", json!({"text": text})),
            Answer::Output(json!(record.to_json()))
        );
    }
}

#[test]
fn large_records_are_packed_as_well_as_can_be() {
    // The header of gzip says how (RFC 1952, XFL).
    let effort = |record: &Record| STANDARD.decode(secret::encode(record).unwrap()).unwrap()[8];
    let mut record = record();
    assert_eq!(effort(&record), 0);
    let mut random = Random::new(1);
    record.manifest = (0..80_000).map(|_| format!("{:016x}", random.next())).collect();
    assert_eq!(effort(&record), 2);
}

#[test]
fn texts_that_hold_no_record_are_refused() {
    let decode = |text: &[u8]| secret::decode(text).map_err(|error| error.to_string());
    assert!(decode(b"\xff").unwrap_err().starts_with("not base64"));
    let plain = STANDARD.encode("{\"name\":\"old\"}");
    assert_eq!(decode(plain.as_bytes()).unwrap().name, "old");
    let broken = STANDARD.encode([0x1F, 0x8B, 0x08, 0, 0]);
    assert!(
        decode(broken.as_bytes())
            .unwrap_err()
            .starts_with("cannot be unpacked")
    );
    for text in [
        "[]",
        "{\"name\":1}",
        "{\"info\":{\"deleted\":\"yesterday\"}}",
        "{\"chart\":{\"metadata\":{\"name\":[]}}}",
    ] {
        assert!(decode(STANDARD.encode(text).as_bytes()).is_err(), "{text}");
    }
}
