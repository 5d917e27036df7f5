//! Indexes as large as anybody may send them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

use std::fs::File;
use std::io::{BufWriter, Write as _};

use ferro_helmrepo::index::{find, read_index};

/// The most memory that the process has had resident, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// An index of that many charts with that many versions each.
fn index(charts: usize, versions: usize) -> File {
    let mut out = BufWriter::new(tempfile::tempfile().unwrap());
    writeln!(out, "apiVersion: v1\nentries:").unwrap();
    for chart in 0..charts {
        writeln!(out, "  c{chart}:").unwrap();
        for version in 0..versions {
            writeln!(
                out,
                "  - {{apiVersion: v2, name: c{chart}, version: 1.0.{version}, urls: [c{chart}-1.0.{version}.tgz]}}"
            )
            .unwrap();
        }
    }
    out.into_inner().unwrap()
}

/// One test, so that no other disturbs what is measured.
#[test]
fn large_indexes_are_read_stored_and_searched_in_bounded_memory() {
    let before = peak();
    for (charts, versions) in [(2_500, 20), (1, 50_000)] {
        let mut stored = tempfile::tempfile().unwrap();
        {
            let mut read = read_index(&mut index(charts, versions)).unwrap();
            assert_eq!(
                (read.charts(), read.versions(), read.skipped()),
                (charts, charts * versions, 0)
            );
            read.write(&mut stored).unwrap();
        }
        let found = find(&mut stored, "c0", "~1.0.5").unwrap();
        assert_eq!(found.version, format!("1.0.{}", versions - 1));
        let grown = peak() - before;
        eprintln!("{charts} charts: {} MiB", grown >> 20);
        assert!(
            grown < 24 << 20,
            "{charts} charts of {versions} versions took {grown} bytes"
        );
    }
}
