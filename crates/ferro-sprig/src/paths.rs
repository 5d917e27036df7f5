//! Slash paths; those of the operating system are the same on Linux.

use ferro_gocompat::path::clean;
use ferro_template::Value;

use crate::args::{BOOL, STRING, Table, bytes, text};

pub(crate) fn register(table: &mut Table<'_>) {
    table.add(&["base", "osBase"], &[STRING], STRING, |args| {
        bytes(base(args.text(0)))
    });
    table.add(&["dir", "osDir"], &[STRING], STRING, |args| {
        text(dir(args.text(0)))
    });
    table.add(&["clean", "osClean"], &[STRING], STRING, |args| {
        text(clean_bytes(args.text(0)))
    });
    table.add(&["ext", "osExt"], &[STRING], STRING, |args| {
        bytes(ext(args.text(0)))
    });
    table.add(&["isAbs", "osIsAbs"], &[STRING], BOOL, |args| {
        Ok(Value::Bool(args.text(0).starts_with(b"/")))
    });
}

/// The last element, without slashes at the end.
fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let slashes = path.iter().rev().take_while(|byte| **byte == b'/').count();
    let path = path.get(..path.len() - slashes).unwrap_or_default();
    if path.is_empty() {
        return b"/";
    }
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn dir(path: &[u8]) -> Vec<u8> {
    let end = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    clean_bytes(path.get(..end).unwrap_or_default())
}

fn ext(path: &[u8]) -> &[u8] {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    memchr::memrchr(b'.', name)
        .and_then(|at| name.get(at..))
        .unwrap_or_default()
}

/// Only slashes and dots matter to `path.Clean`; other bytes pass through it one character each.
fn clean_bytes(path: &[u8]) -> Vec<u8> {
    if let Ok(path) = std::str::from_utf8(path) {
        return clean(path).into_bytes();
    }
    let latin: String = path.iter().map(|byte| char::from(*byte)).collect();
    clean(&latin)
        .chars()
        .filter_map(|c| u8::try_from(u32::from(c)).ok())
        .collect()
}
