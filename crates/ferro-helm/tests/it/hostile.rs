//! Archives that attack, and bytes that are anything.

use std::io::Write;

use ferro_helm::chart::{File, archive, load_archive, load_files};
use ferro_helm::strvals::{Grammar, parse_into};
use ferro_helm::values;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::{any, proptest};
use serde_json::{Map, json};

use crate::answer::compare;
use crate::oracle::{Oracle, cases};
use crate::random::Random;

/// Writes a tar entry as it is asked for, however wrong.
fn entry(name: &str, kind: u8, content: &[u8], claimed: u64) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let name = &name.as_bytes()[..name.len().min(100)];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{claimed:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = header.to_vec();
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn gzipped(tar: &[u8]) -> Vec<u8> {
    gzipped_at(tar, Compression::fast())
}

fn gzipped_at(tar: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn archive_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.resize(tar.len() + 1024, 0);
    gzipped(&tar)
}

fn refusal(entries: &[Vec<u8>]) -> String {
    archive::read(&archive_of(entries)).unwrap_err().to_string()
}

const CHART: &[u8] = b"apiVersion: v2\nname: app\nversion: 1.0.0\n";

#[test]
fn links_are_empty_files_and_are_never_followed() {
    let archive = archive_of(&[
        entry("app/Chart.yaml", b'0', CHART, CHART.len() as u64),
        entry("app/values.yaml", b'2', b"", 0),
        entry("app/hard", b'1', b"", 0),
    ]);
    let chart = load_archive(&archive).unwrap().chart;
    assert!(chart.values.is_empty());
    assert_eq!(chart.files[0].name, "hard");
    assert!(chart.files[0].data.is_empty());
}

#[test]
fn names_that_lead_out_are_refused() {
    let text = |name: &str| refusal(&[entry(name, b'0', b"x", 1)]);
    assert_eq!(
        text("app/../../etc/x"),
        "chart illegally references parent directory"
    );
    assert_eq!(text("app//etc/x"), "chart illegally contains absolute paths");
    assert_eq!(text("Chart.yaml/x"), "chart yaml not in base directory");
    assert_eq!(
        text("README"),
        "chart illegally contains content outside the base directory: \"README\""
    );
}

#[test]
fn what_is_too_large_is_refused_by_its_header() {
    let huge = refusal(&[entry("app/x", b'0', b"", 6 << 20)]);
    assert_eq!(
        huge,
        "decompressed chart file \"app/x\" is larger than the maximum file size 5242880"
    );
    let bomb = refusal(&[entry("app/x", b'0', b"", 7 << 30)]);
    assert_eq!(
        bomb,
        "decompressed chart is larger than the maximum size 104857600"
    );
    let long_name = refusal(&[entry("././@LongLink", b'L', &vec![b'a'; 2 << 20], 2 << 20)]);
    assert_eq!(long_name, "archive/tar: header field too long");
}

#[test]
fn bombs_are_stopped() {
    let mib = vec![0_u8; 4 << 20];
    let many: Vec<Vec<u8>> = (0..30)
        .map(|index| entry(&format!("app/{index}"), b'0', &mib, 4 << 20))
        .collect();
    assert_eq!(
        refusal(&many),
        "decompressed chart is larger than the maximum size 104857600"
    );
    let empty = entry("app/x", b'0', b"", 0);
    let files = empty.repeat(archive::MAX_ENTRIES + 1);
    let error = archive::read(&gzipped(&files)).unwrap_err();
    assert_eq!(error.to_string(), "chart archive has more than 100000 entries");
}

#[test]
fn charts_in_charts_end_somewhere() {
    let mut inner = archive_of(&[entry("app/Chart.yaml", b'0', CHART, CHART.len() as u64)]);
    for _ in 0..120 {
        let tar = [
            entry("app/Chart.yaml", b'0', CHART, CHART.len() as u64),
            entry("app/charts/app.tgz", b'0', &inner, inner.len() as u64),
        ];
        // Compressing what is compressed already makes it larger, again and again.
        inner = gzipped_at(&tar.concat(), Compression::none());
    }
    let error = load_archive(&inner).unwrap_err().to_string();
    assert!(
        error.ends_with("subcharts are nested more than 100 levels deep"),
        "{error}"
    );
}

#[test]
fn random_archives_are_read_alike() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let mut random = Random::new(29);
    let names = [
        "app/Chart.yaml",
        "app/values.yaml",
        "app/../x",
        "app//x",
        "app/a/../../b",
        "x",
        "app\\a\\b",
        "app/",
        "app/./a/",
        "/app/x",
        "app/c:/x",
        "../app/x",
        "",
        "app/..x",
        "Chart.yaml/a",
        "app\\..\\..\\x",
    ];
    for _ in 0..cases() {
        let mut entries = Vec::new();
        for _ in 0..random.below(4) {
            let content = &b"some content"[..random.below(12)];
            let kind = *random.pick(b"00000125x");
            let content = if kind == b'0' { content } else { b"" };
            let name: &str = random.pick::<&str>(&names);
            entries.push(entry(name, kind, content, content.len() as u64));
        }
        let mut archive = archive_of(&entries);
        if random.one_in(6) {
            archive.truncate(random.below(archive.len() + 1));
        }
        let ours = archive::read(&archive)
            .map(|files| {
                let text = |file: &File| (file.name.clone(), json!(file.text()));
                files.iter().map(text).collect()
            })
            .map_err(|error| error.to_string());
        let fields = json!({"raw": base64(&archive)});
        compare(&mut oracle, "helm.archive", &fields, &ours);
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(cases()))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(archive::read(&bytes));
        drop(archive::read(&gzipped(&bytes)));
        drop(values::read(&bytes));
        let files = ["Chart.yaml", "values.yaml", "Chart.lock", "requirements.yaml", "charts/a.tgz"];
        for name in files {
            let chart = File::new("Chart.yaml", CHART);
            drop(load_files(vec![chart, File::new(name, &bytes)]));
        }
        drop(values::schema::validate_against(&json!({"a": 1}), &bytes, &mut Vec::new()));
    }

    #[test]
    fn any_assignment_ends(text in "[a-c.=,\\[\\]{}0-9\\\\\"]{0,40}") {
        for grammar in [Grammar::Typed, Grammar::Strings, Grammar::Json, Grammar::Literal] {
            drop(parse_into(&mut Map::new(), &text, grammar));
        }
    }
}
