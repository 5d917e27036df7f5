//! From text to [`Index`]: JSON as a stream, YAML in pieces, what is neither as a whole.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};

use super::IndexError;
use super::entry::Format;
use super::split::{MAX_PIECE, Piece, SplitError, split};
use super::store::Index;

/// The largest text that is read as a whole, which costs a multiple of its size.
const MAX_WHOLE: u64 = 8 << 20;

/// Reads an index.
pub(super) fn read(file: &mut File) -> Result<Index, IndexError> {
    let size = file.seek(std::io::SeekFrom::End(0))?;
    if size == 0 {
        return Err(IndexError::Empty);
    }
    if starts_object(file)?
        && let Some(index) = json(file)?
    {
        return Ok(index);
    }
    match yaml(file) {
        // Errors of a small text are told as upstream tells them, who reads all of it first.
        Err(SplitError::Irregular | SplitError::Refused(IndexError::Malformed(_))) if size <= MAX_WHOLE => {
            whole(file)
        }
        Err(SplitError::Irregular) => Err(IndexError::Irregular { limit: MAX_WHOLE }),
        Err(SplitError::Refused(error)) => Err(error),
        Err(SplitError::TooLong) => Err(IndexError::PieceTooLong),
        Err(SplitError::Io(error)) => Err(error.into()),
        Ok(index) => Ok(index),
    }
}

fn rewound(file: &mut File) -> std::io::Result<BufReader<&mut File>> {
    file.rewind()?;
    Ok(BufReader::with_capacity(1 << 17, file))
}

fn starts_object(file: &mut File) -> Result<bool, IndexError> {
    let mut reader = rewound(file)?;
    loop {
        let available = reader.fill_buf()?;
        if available.is_empty() {
            return Ok(false);
        }
        let first = available.iter().position(|byte| !byte.is_ascii_whitespace());
        if let Some(at) = first {
            return Ok(available.get(at) == Some(&b'{'));
        }
        let blank = available.len();
        reader.consume(blank);
    }
}

/// Reads YAML in block style, piece by piece.
fn yaml(file: &mut File) -> Result<Index, SplitError<IndexError>> {
    let mut reader = rewound(file).map_err(SplitError::Io)?;
    let mut index = Index::new().map_err(SplitError::Io)?;
    let (mut is_open, mut has_versions, mut head) = (false, false, 0);
    split(&mut reader, |piece, line| {
        if is_open && !matches!(piece, Piece::Version(_)) {
            index.end(!has_versions)?;
            is_open = false;
        }
        match piece {
            Piece::Member(text) => {
                head += text.len();
                Index::check_head(head)?;
                index.members(object(text, line)?, Format::Yaml)
            }
            Piece::Chart(text) => {
                (is_open, has_versions) = (true, false);
                let name = object(text, line)?.into_iter().next();
                index.begin(name.map(|(name, _)| name).unwrap_or_default())
            }
            Piece::Version(text) => {
                has_versions = true;
                let document = match parse(text, line)? {
                    Json::Array(items) => items.into_iter().next().unwrap_or_default(),
                    other => other,
                };
                index.version(document, &without_dash(text), Format::Yaml)
            }
            Piece::Entry(text) => {
                let entries = object(text, line)?;
                entries
                    .into_iter()
                    .try_for_each(|(name, value)| index.chart(name, value, Format::Yaml))
            }
        }
    })?;
    if is_open {
        index.end(!has_versions).map_err(SplitError::Refused)?;
    }
    index.finish(Format::Yaml).map_err(SplitError::Refused)?;
    Ok(index)
}

/// An item of a list as what is in it.
fn without_dash(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if let Some(dash) = text.iter_mut().find(|byte| **byte == b'-') {
        *dash = b' ';
    }
    text
}

fn parse(text: &[u8], line: usize) -> Result<Json, IndexError> {
    ferro_yaml::sigs::from_slice_strict(text).map_err(|error| {
        IndexError::Malformed(format!(
            "error converting YAML to JSON: {error} (counted from line {line})"
        ))
    })
}

fn object(text: &[u8], line: usize) -> Result<Map<String, Json>, IndexError> {
    match parse(text, line)? {
        Json::Object(object) => Ok(object),
        Json::Null => Ok(Map::new()),
        other => Err(IndexError::Malformed(super::entry::mismatch(
            &other,
            "v1.IndexFile",
        ))),
    }
}

/// Reads a text of any form at once.
fn whole(file: &mut File) -> Result<Index, IndexError> {
    let mut text = Vec::new();
    rewound(file)?.read_to_end(&mut text)?;
    let document = ferro_yaml::sigs::from_slice_strict(&text)
        .map_err(|error| IndexError::Malformed(format!("error converting YAML to JSON: {error}")))?;
    drop(text);
    let mut index = Index::new()?;
    match document {
        Json::Object(members) => index.members(members, Format::Yaml)?,
        Json::Null => {}
        other => {
            return Err(IndexError::Malformed(super::entry::mismatch(
                &other,
                "v1.IndexFile",
            )));
        }
    }
    index.finish(Format::Yaml)?;
    Ok(index)
}

/// Reads JSON as a stream; none if it is not JSON after all.
fn json(file: &mut File) -> Result<Option<Index>, IndexError> {
    let mut index = Index::new()?;
    let mut refusal = None;
    let mut reader = serde_json::Deserializer::from_reader(rewound(file)?);
    let seed = Root(Take {
        index: &mut index,
        refusal: &mut refusal,
    });
    let taken = seed.deserialize(&mut reader).and_then(|()| reader.end());
    drop(reader);
    match taken {
        Ok(()) => {
            index.finish(Format::Json)?;
            Ok(Some(index))
        }
        Err(error) if error.is_io() => Err(IndexError::Io(error.into())),
        Err(error) if error.is_data() => {
            // Upstream looks whether all of it is JSON before it looks at what it says.
            let all: Result<serde::de::IgnoredAny, _> = serde_json::from_reader(rewound(file)?);
            if all.is_err() {
                return Ok(None);
            }
            Err(refusal.unwrap_or_else(|| IndexError::Malformed(error.to_string())))
        }
        Err(_) => Ok(None),
    }
}

/// Where what is read goes, and why it was refused.
struct Take<'i> {
    index: &'i mut Index,
    refusal: &'i mut Option<IndexError>,
}

impl Take<'_> {
    fn reborrow(&mut self) -> Take<'_> {
        Take {
            index: self.index,
            refusal: self.refusal,
        }
    }

    fn note<T, E: serde::de::Error>(&mut self, result: Result<T, IndexError>) -> Result<T, E> {
        result.map_err(|error| {
            let shown = E::custom(&error);
            *self.refusal = Some(error);
            shown
        })
    }
}

struct Root<'i>(Take<'i>);

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an index")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key.eq_ignore_ascii_case("entries") {
                map.next_value_seed(Entries(self.0.reborrow()))?;
                continue;
            }
            let value: Box<RawValue> = map.next_value()?;
            let checked = Index::check_head(value.get().len());
            self.0.note(checked)?;
            let value: Json = serde_json::from_str(value.get()).map_err(A::Error::custom)?;
            let members = Map::from_iter([(key, value)]);
            let taken = self.0.index.members(members, Format::Json);
            self.0.note(taken)?;
        }
        Ok(())
    }
}

struct Entries<'i>(Take<'i>);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("charts by name")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let taken = self.0.index.members(
            Map::from_iter([("entries".to_owned(), Json::Object(Map::new()))]),
            Format::Json,
        );
        self.0.note(taken)?;
        while let Some(name) = map.next_key::<String>()? {
            let begun = self.0.index.begin(name);
            self.0.note(begun)?;
            let is_null = map.next_value_seed(Versions(self.0.reborrow()))?;
            let ended = self.0.index.end(is_null);
            self.0.note(ended)?;
        }
        Ok(())
    }
}

/// Tells whether there was null in place of a list.
struct Versions<'i>(Take<'i>);

impl<'de> DeserializeSeed<'de> for Versions<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Versions<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the versions of a chart")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<bool, A::Error> {
        while let Some(item) = items.next_element::<Box<RawValue>>()? {
            let text = item.get();
            if text.len() > MAX_PIECE {
                return self.0.note(Err(IndexError::PieceTooLong));
            }
            let document: Json = serde_json::from_str(text).map_err(A::Error::custom)?;
            let taken = self.0.index.version(document, text.as_bytes(), Format::Json);
            self.0.note(taken)?;
        }
        Ok(false)
    }
}
