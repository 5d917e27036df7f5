use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use super::*;

fn file(text: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file
}

fn stored(text: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut index = read_index(&mut file(text.as_bytes())).map_err(|error| error.to_string())?;
    index.write(&mut out).unwrap();
    Ok(String::from_utf8(out).unwrap())
}

const INDEX: &str = r#"apiVersion: v1
entries:
  nginx:
  - apiVersion: v1
    name: nginx
    version: 0.1.0
    urls: [a/nginx-0.1.0.tgz]
    digest: abc
    created: "2026-01-01T00:00:00.500Z"
    maintainers:
    - name: me <me@example.com>
  - name: nginx
    version: 0.2.0
    urls:
    - https://example.com/nginx-0.2.0.tgz
    appVersion: 1.10
    dependencies:
    - name: a
      repository: ""
  alpine: []
generated: 2026-01-02T00:00:00Z
"#;

const STORED: &str = r#"{
  "apiVersion": "v1",
  "generated": "2026-01-02T00:00:00Z",
  "entries": {
    "alpine": [],
    "nginx": [
      {
        "name": "nginx",
        "version": "0.2.0",
        "apiVersion": "v1",
        "appVersion": "1.1",
        "dependencies": [
          {
            "name": "a",
            "repository": ""
          }
        ],
        "urls": [
          "https://example.com/nginx-0.2.0.tgz"
        ],
        "created": "0001-01-01T00:00:00Z"
      },
      {
        "name": "nginx",
        "version": "0.1.0",
        "maintainers": [
          {
            "name": "me \u003cme@example.com\u003e"
          }
        ],
        "apiVersion": "v1",
        "urls": [
          "a/nginx-0.1.0.tgz"
        ],
        "created": "2026-01-01T00:00:00.5Z",
        "digest": "abc"
      }
    ]
  }
}"#;

#[test]
fn index_is_stored_in_order_as_json() {
    assert_eq!(stored(INDEX).unwrap(), STORED);
    // What is stored is an index, too.
    assert_eq!(stored(STORED).unwrap(), STORED);
    let compact: serde_json::Value = serde_json::from_str(STORED).unwrap();
    assert_eq!(stored(&compact.to_string()).unwrap(), STORED);
    // A form that cannot be cut is read as a whole.
    let anchored = INDEX.replace("apiVersion: v1\nentries", "apiVersion: &v v1\nentries");
    assert_eq!(stored(&anchored).unwrap(), STORED);
}

#[test]
fn invalid_entries_are_left_out() {
    let text = "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n  - null\n  -\n  - name: a\n    version: x\n  - version: 2.0.0\n  - \
                name: a\n    version: 0.1\n    dependencies: [{name: b}, {name: b}]\n  b:\n  - name: b\n  c:\n";
    let mut index = read_index(&mut file(text.as_bytes())).unwrap();
    assert_eq!((index.charts(), index.versions(), index.skipped()), (3, 2, 5));
    let mut out = Vec::new();
    index.write(&mut out).unwrap();
    let out: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let versions: Vec<_> = out["entries"]["a"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["version"])
        .collect();
    assert_eq!(versions, ["1.0.0", "0.1"]);
    assert_eq!(out["entries"]["b"], serde_json::json!([]));
    assert!(out["entries"]["c"].is_null());
}

#[test]
fn faulty_indexes_are_refused() {
    let cases = [
        ("", "empty index.yaml file"),
        ("entries: {}", "no API version specified"),
        ("{\"entries\": {}}", "no API version specified"),
        (
            "apiVersion: v1\nentries:\n  nginx:\n    - name: nginx\n  nginx:\n    - name: nginx",
            "key \"nginx\" already set in map",
        ),
        (
            "apiVersion: v1\nentries: {}\nentries: {}",
            "key \"entries\" already set in map",
        ),
        ("apiVersion: v1\nfoo: 1", "json: unknown field \"foo\""),
        (
            "apiVersion: v1\nentries:\n  a:\n  - nmae: a",
            "json: unknown field \"nmae\"",
        ),
        (
            "apiVersion: v1\nentries:\n  a:\n  - name: [a]",
            "cannot unmarshal array",
        ),
        (
            "apiVersion: v1\nentries:\n  a:\n  - name: a\n   b: c",
            "yaml: line",
        ),
        (
            "apiVersion: v1\ngenerated: yesterday",
            "parsing time \"yesterday\"",
        ),
        ("[]", "cannot unmarshal array"),
        (
            "{\"apiVersion\": \"v1\", \"entries\": {\"a\": [1]}}",
            "cannot unmarshal number",
        ),
        ("apiVersion: v1\nentries: x", "cannot unmarshal string"),
    ];
    for (text, expected) in cases {
        let error = stored(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    // JSON passes over what it does not know, as upstream does.
    assert!(stored("{\"apiVersion\": \"v1\", \"foo\": 1, \"entries\": {\"a\": [{\"nmae\": 1}]}}").is_ok());
    // The last of equal keys counts.
    let twice =
        "{\"apiVersion\":\"v1\",\"entries\":{\"a\":[{\"name\":\"a\",\"version\":\"1.0.0\"}],\"a\":[]}}";
    assert!(stored(twice).unwrap().contains("\"a\": []"));
}

fn lookup(file: &mut File, chart: &str, version: &str) -> Result<String, String> {
    let found = find(file, chart, version)
        .map(|found| found.version)
        .map_err(|error| error.to_string());
    let tabled = Table::new(file).ok().map(|table| {
        let found = find_in(file, &table, chart, version);
        found
            .map(|found| found.version)
            .map_err(|error| error.to_string())
    });
    if let Some(tabled) = tabled {
        assert_eq!(found, tabled);
    }
    found
}

#[test]
fn find_looks_into_stored_indexes_of_any_form() {
    for text in [STORED, INDEX, &STORED.replace("\n", " ")] {
        let mut file = file(text.as_bytes());
        assert_eq!(lookup(&mut file, "nginx", "").as_deref(), Ok("0.2.0"));
        assert_eq!(lookup(&mut file, "nginx", "<0.2").as_deref(), Ok("0.1.0"));
        assert_eq!(
            lookup(&mut file, "alpine", ""),
            Err("no chart version found".to_owned())
        );
        assert_eq!(
            lookup(&mut file, "entries", ""),
            Err("no chart name found".to_owned())
        );
    }
    let found = find(&mut file(STORED.as_bytes()), "nginx", "0.1.0").unwrap();
    assert_eq!(found.urls.unwrap(), ["a/nginx-0.1.0.tgz"]);
    assert_eq!(found.digest, "abc");
}

/// What the index of a large repository looks like.
fn large(charts: usize, versions: usize) -> File {
    let mut file = BufWriter::new(tempfile::tempfile().unwrap());
    file.write_all(b"apiVersion: v1\nentries:\n").unwrap();
    for chart in 0..charts {
        writeln!(file, "  chart-{chart:05}:").unwrap();
        for version in 0..versions {
            writeln!(file, "  - name: chart-{chart:05}\n    version: 1.{version}.0").unwrap();
        }
    }
    file.into_inner().unwrap()
}

#[test]
fn million_entries_leave_no_more_than_their_places_in_memory() {
    // Optimised builds do it with a million in seconds.
    let charts = if cfg!(debug_assertions) { 200 } else { 10_000 };
    let mut file = large(charts, 100);
    let mut index = read_index(&mut file).unwrap();
    assert_eq!((index.charts(), index.versions()), (charts, charts * 100));
    // What is kept for a version, by structure, and nothing of a chart once it is over.
    assert!(
        index.bytes_in_memory() < charts * 100 * 24 + (1 << 20),
        "{}",
        index.bytes_in_memory()
    );
    let mut stored = tempfile::tempfile().unwrap();
    index.write(&mut stored).unwrap();
    let found = find(&mut stored, &format!("chart-{:05}", charts - 1), ">=1.50 <1.60").unwrap();
    assert_eq!(found.version, "1.59.0");
    stored.rewind().unwrap();
    let mut end = String::new();
    stored.seek(SeekFrom::End(-12)).unwrap();
    stored.read_to_string(&mut end).unwrap();
    assert!(end.ends_with("]\n  }\n}"), "{end}");
}
