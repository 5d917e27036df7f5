//! One chart of a stored index.
//!
//! The index is stored with one line for the name of each chart, at a fixed depth, so that a chart is found by looking at the beginnings of
//! lines: in JSON a line break is never part of a text. What is stored in any other form is brought into this one first.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::{ControlFlow, Range};

use serde::Deserialize;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};

use super::IndexError;
use crate::select::{Selection, SelectionError, Wanted};

/// A version of a chart, as far as it takes to fetch it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ChartVersion {
    /// The name of the chart.
    pub name: String,
    /// The version, as it is written.
    pub version: String,
    /// Where the archive is; the first one is used.
    pub urls: Option<Vec<String>>,
    /// When the archive was made.
    pub created: String,
    /// The SHA-256 of the archive in hexadecimal, if it is known.
    pub digest: String,
}

/// Why a version of a chart was not found.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The index has none that is wanted.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl From<io::Error> for LookupError {
    fn from(error: io::Error) -> Self {
        Self::Index(error.into())
    }
}

/// Where the charts of a stored index are.
#[derive(Debug, Default)]
pub struct Table(Vec<(Box<str>, Range<u64>)>);

impl Table {
    /// Makes the table of a stored index.
    ///
    /// # Errors
    /// When it cannot be read, or is not stored in the usual form: [`find`] reads it all the same.
    pub fn new(file: &mut File) -> io::Result<Self> {
        let mut charts = Vec::new();
        let is_usual = scan(file, |name, range| {
            charts.push((name.into(), range));
            ControlFlow::Continue(())
        })?;
        if !is_usual {
            return Err(io::ErrorKind::InvalidData.into());
        }
        charts.sort_by(|(a, _): &(Box<str>, _), (b, _)| a.cmp(b));
        charts.shrink_to_fit();
        Ok(Self(charts))
    }

    fn get(&self, name: &str) -> Option<Range<u64>> {
        let at = self.0.binary_search_by(|(chart, _)| (**chart).cmp(name)).ok()?;
        self.0.get(at).map(|(_, range)| range.clone())
    }
}

/// Finds the version of `chart` that `version` asks for, in the index in `file`.
///
/// # Errors
/// When there is none, or the index cannot be read.
pub fn find(file: &mut File, chart: &str, version: &str) -> Result<ChartVersion, LookupError> {
    let mut found = None;
    let is_usual = scan(file, |name, range| {
        if name == chart {
            found = Some(range);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    if is_usual {
        return choose(file, found, chart, version);
    }
    let mut usual = tempfile::tempfile()?;
    super::read_index(file)?.write(&mut usual)?;
    let table = Table::new(&mut usual)?;
    find_in(&mut usual, &table, chart, version)
}

/// As [`find`], with the table of the index at hand.
///
/// # Errors
/// When there is none, or the index cannot be read.
pub fn find_in(
    file: &mut File,
    table: &Table,
    chart: &str,
    version: &str,
) -> Result<ChartVersion, LookupError> {
    choose(file, table.get(chart), chart, version)
}

fn choose(
    file: &mut File,
    range: Option<Range<u64>>,
    chart: &str,
    version: &str,
) -> Result<ChartVersion, LookupError> {
    let range = range.ok_or(SelectionError::NoChartName)?;
    file.seek(SeekFrom::Start(range.start))?;
    let text = BufReader::new(file.take(range.end - range.start));
    let mut selection = Selection::new(Wanted::new(version));
    let versions = Versions(&mut selection);
    let read = versions.deserialize(&mut serde_json::Deserializer::from_reader(text));
    read.map_err(|error| IndexError::Malformed(error.to_string()))?;
    Ok(selection.finish(chart, version)?)
}

struct Versions<'s>(&'s mut Selection<ChartVersion>);

impl<'de> DeserializeSeed<'de> for Versions<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Versions<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the versions of a chart")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<Option<ChartVersion>>()? {
            if let Some(item) = item {
                self.0.offer(item);
            }
        }
        Ok(())
    }
}

/// The longest line that is looked at; the names of charts are shorter.
const MAX_LINE: usize = 64 << 10;

/// Calls `found` with each chart and where its versions are. Tells whether the index is stored in the usual form.
fn scan(file: &mut File, mut found: impl FnMut(&str, Range<u64>) -> ControlFlow<()>) -> io::Result<bool> {
    file.rewind()?;
    let mut lines = Lines {
        input: BufReader::with_capacity(256 << 10, file),
        line: Vec::new(),
        at: 0,
    };
    if !lines.next()? || lines.line != b"{" {
        return Ok(false);
    }
    loop {
        if !lines.next()? {
            return Ok(false);
        }
        match lines.line.as_slice() {
            b"  \"entries\": {" => break,
            line if line.starts_with(b"  \"entries\": null") || line.starts_with(b"  \"entries\": {}") => {
                return Ok(true);
            }
            _ => {}
        }
    }
    let mut open: Option<(String, u64)> = None;
    loop {
        let start = lines.at;
        if !lines.next()? {
            return Ok(false);
        }
        let line = lines.line.as_slice();
        let is_end = line.starts_with(b"  }");
        if is_end || line.starts_with(b"    \"") {
            if let Some((name, from)) = open.take()
                && found(&name, from..start).is_break()
            {
                return Ok(true);
            }
            if is_end {
                return Ok(true);
            }
            let Some((name, width)) = key(line) else {
                return Ok(false);
            };
            open = Some((name, start + width));
        }
    }
}

/// The key on a line, and where its value begins.
fn key(line: &[u8]) -> Option<(String, u64)> {
    let text = line.get(4..)?;
    let mut keys = serde_json::Deserializer::from_slice(text).into_iter::<String>();
    let name = keys.next()?.ok()?;
    let end = keys.byte_offset();
    let value = text.get(end..)?.strip_prefix(b": ")?;
    matches!(value.first(), Some(b'[' | b'n')).then_some((name, (4 + end + 2) as u64))
}

/// The beginnings of lines.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    at: u64,
}

impl<R: BufRead> Lines<R> {
    /// Takes the next line, without its break, and without what is too long in it.
    fn next(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut is_any = false;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(is_any);
            }
            is_any = true;
            let end = memchr::memchr(b'\n', available);
            let piece = available
                .get(..end.unwrap_or(available.len()))
                .unwrap_or_default();
            let kept = piece.len().min(MAX_LINE.saturating_sub(self.line.len()));
            self.line.extend_from_slice(piece.get(..kept).unwrap_or_default());
            let length = piece.len() + usize::from(end.is_some());
            self.input.consume(length);
            self.at += length as u64;
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}
