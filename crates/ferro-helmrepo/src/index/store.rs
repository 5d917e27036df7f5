//! An index on its way from the order in which it came to the order in which it is stored.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use ferro_gocompat::json;
use ferro_gocompat::semver::Version;
use serde_json::{Map, Value as Json};

use super::IndexError;
use super::entry::{Decoded, Entry, Format, created, indented, known, mismatch, take, text};

/// The most versions of charts in one index.
const MAX_VERSIONS: usize = 2_000_000;
/// The most that all but the charts may weigh.
const MAX_HEAD: usize = 8 << 20;

const HEAD_FIELDS: [&str; 6] = [
    "serverInfo",
    "apiVersion",
    "generated",
    "entries",
    "publicKeys",
    "annotations",
];

/// An index that was read: the texts of its entries lie in a file, in memory is where.
#[derive(Debug)]
pub struct Index {
    head: Map<String, Json>,
    has_entries: bool,
    spool: BufWriter<File>,
    written: u64,
    charts: Vec<Chart>,
    versions: Vec<Place>,
    /// The versions of the chart that is being read, as far as it takes to sort them.
    open: Vec<(Key, Place)>,
    skipped: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Chart {
    name: Box<str>,
    /// Where its versions are among all.
    first: u32,
    count: u32,
    is_null: bool,
}

/// Where the text of an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    length: u32,
}

/// What decides the order of versions.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Version);

impl Index {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            head: Map::new(),
            has_entries: false,
            spool: BufWriter::with_capacity(1 << 18, tempfile::tempfile()?),
            written: 0,
            charts: Vec::new(),
            versions: Vec::new(),
            open: Vec::new(),
            skipped: 0,
            buffer: Vec::new(),
        })
    }

    /// How many charts there are.
    pub fn charts(&self) -> usize {
        self.charts.len()
    }

    /// How many versions of charts there are.
    pub fn versions(&self) -> usize {
        self.versions.len()
    }

    /// How many entries were left out because they cannot be used.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Takes members of the index other than its entries.
    pub(super) fn members(&mut self, members: Map<String, Json>, format: Format) -> Result<(), IndexError> {
        if format == Format::Yaml {
            known(&members, &HEAD_FIELDS).map_err(IndexError::Malformed)?;
        }
        for (key, value) in members {
            let is_entries = key.eq_ignore_ascii_case("entries");
            if format == Format::Yaml && (self.head.contains_key(&key) || (is_entries && self.has_entries)) {
                return Err(duplicate(&key));
            }
            if is_entries {
                self.entries(value, format)?;
            } else {
                self.head.insert(key, value);
            }
        }
        Ok(())
    }

    /// Takes all entries at once.
    fn entries(&mut self, value: Json, format: Format) -> Result<(), IndexError> {
        self.has_entries = true;
        let charts = match value {
            Json::Null => return Ok(()),
            Json::Object(charts) => charts,
            other => {
                return Err(IndexError::Malformed(mismatch(
                    &other,
                    "map[string]v1.ChartVersions",
                )));
            }
        };
        for (name, value) in charts {
            self.chart(name, value, format)?;
        }
        Ok(())
    }

    /// Takes a chart with all of its versions.
    pub(super) fn chart(&mut self, name: String, value: Json, format: Format) -> Result<(), IndexError> {
        match value {
            Json::Null => {
                self.begin(name)?;
                self.end(true)
            }
            Json::Array(versions) => {
                self.begin(name)?;
                for version in versions {
                    self.version(version, b"", format)?;
                }
                self.end(false)
            }
            other => Err(IndexError::Malformed(mismatch(&other, "v1.ChartVersions"))),
        }
    }

    /// Begins a chart.
    pub(super) fn begin(&mut self, name: String) -> Result<(), IndexError> {
        self.has_entries = true;
        if self.charts.len() >= MAX_VERSIONS {
            return Err(IndexError::TooManyEntries { limit: MAX_VERSIONS });
        }
        self.charts.push(Chart {
            name: name.into(),
            first: u32::try_from(self.versions.len()).unwrap_or(u32::MAX),
            count: 0,
            is_null: false,
        });
        Ok(())
    }

    /// Takes a version of the chart that was begun last.
    pub(super) fn version(&mut self, document: Json, text: &[u8], format: Format) -> Result<(), IndexError> {
        if self.versions.len() + self.open.len() >= MAX_VERSIONS {
            return Err(IndexError::TooManyEntries { limit: MAX_VERSIONS });
        }
        let entry = match Entry::decode(document, text, format).map_err(IndexError::Malformed)? {
            Decoded::Entry(entry) => entry,
            Decoded::Skipped(reason) => {
                self.skipped += 1;
                let chart = self.charts.last().map_or("", |chart| &chart.name);
                tracing::debug!(chart, reason, "invalid entry of an index skipped");
                return Ok(());
            }
        };
        let Ok(version) = Version::parse(&entry.metadata.version) else {
            return Ok(());
        };
        self.buffer.clear();
        entry.write(&mut self.buffer);
        self.spool.write_all(&self.buffer)?;
        let length = u32::try_from(self.buffer.len()).map_err(|_| IndexError::PieceTooLong)?;
        let place = Place {
            at: self.written,
            length,
        };
        self.written += u64::from(length);
        self.open.push((Key(version), place));
        Ok(())
    }

    /// Ends a chart: its versions are put in order, the highest first.
    pub(super) fn end(&mut self, is_null: bool) -> Result<(), IndexError> {
        self.open.sort_by(|(a, _), (b, _)| b.cmp(a));
        if let Some(chart) = self.charts.last_mut() {
            chart.count = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
            chart.is_null = is_null;
        }
        self.versions.extend(self.open.drain(..).map(|(_, place)| place));
        // One chart with most of the versions must not hold on to what only it needed.
        self.open.shrink_to(1024);
        Ok(())
    }

    /// Checks what can only be checked at the end, and puts the charts in order.
    pub(super) fn finish(&mut self, format: Format) -> Result<(), IndexError> {
        self.charts.sort_by(|a, b| a.name.cmp(&b.name));
        let twice = |pair: &[Chart]| matches!(pair, [a, b] if a.name == b.name);
        match format {
            Format::Yaml => {
                if let Some([chart, ..]) = self.charts.windows(2).find(|pair| twice(pair)) {
                    return Err(duplicate(&chart.name));
                }
            }
            // The last of equal keys counts.
            Format::Json => {
                self.charts.reverse();
                self.charts.dedup_by(|a, b| a.name == b.name);
                self.charts.reverse();
            }
        }
        let version = take(&mut self.head, "apiVersion").map(text).transpose();
        let version = version.map_err(IndexError::Malformed)?.unwrap_or_default();
        if version.is_empty() {
            return Err(IndexError::NoApiVersion);
        }
        let generated = created(take(&mut self.head, "generated")).map_err(IndexError::Malformed)?;
        self.head.insert("apiVersion".to_owned(), Json::String(version));
        self.head.insert("generated".to_owned(), Json::String(generated));
        self.spool.flush()?;
        Ok(())
    }

    /// Writes the index as upstream stores it: JSON, two blanks a level.
    ///
    /// # Errors
    /// When what was set aside cannot be read, or the index cannot be written.
    pub fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 18, out);
        out.write_all(b"{\n")?;
        if let Some(info) = take(&mut self.head, "serverInfo").filter(|info| !is_empty(info)) {
            writeln!(out, "  \"serverInfo\": {},", indented(&info, 1))?;
        }
        for name in ["apiVersion", "generated"] {
            let value = self.head.get(name).cloned().unwrap_or_default();
            writeln!(out, "  \"{name}\": {},", indented(&value, 1))?;
        }
        out.write_all(b"  \"entries\": ")?;
        self.write_charts(&mut out)?;
        for name in ["publicKeys", "annotations"] {
            if let Some(value) = take(&mut self.head, name).filter(|value| !is_empty(value)) {
                write!(out, ",\n  \"{name}\": {}", indented(&value, 1))?;
            }
        }
        out.write_all(b"\n}")?;
        out.flush()
    }

    fn write_charts(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.charts.is_empty() {
            return out.write_all(if self.has_entries { b"{}" } else { b"null" });
        }
        let mut texts = BufReader::with_capacity(1 << 18, self.spool.get_ref().try_clone()?);
        let mut position = texts.seek(SeekFrom::Start(0))?;
        out.write_all(b"{")?;
        for (index, chart) in self.charts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}\n    {}: ", json::escape(&chart.name))?;
            if chart.count == 0 {
                out.write_all(if chart.is_null { b"null" } else { b"[]" })?;
                continue;
            }
            out.write_all(b"[")?;
            let first = chart.first as usize;
            let places = self.versions.get(first..first + chart.count as usize);
            for (index, place) in places.unwrap_or_default().iter().enumerate() {
                out.write_all(if index == 0 { b"\n      " } else { b",\n      " })?;
                // Relative, so that what is in the buffer is used.
                texts.seek_relative(place.at.cast_signed() - position.cast_signed())?;
                let copied = io::copy(&mut texts.by_ref().take(u64::from(place.length)), out)?;
                if copied < u64::from(place.length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                position = place.at + copied;
            }
            out.write_all(b"\n    ]")?;
        }
        out.write_all(b"\n  }")
    }

    #[cfg(test)]
    pub(super) fn bytes_in_memory(&self) -> usize {
        let names: usize = self.charts.iter().map(|chart| chart.name.len()).sum();
        self.charts.capacity() * size_of::<Chart>()
            + self.versions.capacity() * size_of::<Place>()
            + self.open.capacity() * size_of::<(Key, Place)>()
            + self.buffer.capacity()
            + self.spool.capacity()
            + names
    }

    /// Whether all but the charts is as large as it may be.
    pub(super) fn check_head(size: usize) -> Result<(), IndexError> {
        if size > MAX_HEAD {
            return Err(IndexError::PieceTooLong);
        }
        Ok(())
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => false,
    }
}

fn duplicate(key: &str) -> IndexError {
    let key = ferro_gocompat::quote::quote(key);
    IndexError::Malformed(format!(
        "error converting YAML to JSON: yaml: unmarshal errors:\n  key {key} already set in map"
    ))
}
