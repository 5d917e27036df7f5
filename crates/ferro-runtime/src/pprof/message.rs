//! The message `perftools.profiles.Profile` of `github.com/google/pprof/proto/profile.proto`, in the encoding of Protocol Buffers.
//!
//! Only what a CPU profile needs, written once from front to back: the fields' numbers are those of the definition.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// A part of the address space that is of a file.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Its first address.
    pub(super) start: u64,
    /// The address behind its last.
    pub(super) end: u64,
    /// Where it begins in the file, in bytes.
    pub(super) offset: u64,
    /// The file.
    pub(super) file: String,
}

impl Mapping {
    pub(super) const fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }
}

/// An address in the program.
#[derive(Debug)]
pub(super) struct Location {
    pub(super) address: u64,
    /// The index of the mapping that it is in.
    pub(super) mapping: Option<usize>,
    /// The names, files and lines of its functions, the innermost first.
    pub(super) functions: Vec<(String, String, i64)>,
}

/// How often a stack was seen.
#[derive(Debug)]
pub(super) struct Sample {
    /// The numbers of its locations, the innermost first.
    pub(super) locations: Vec<u64>,
    pub(super) count: i64,
    pub(super) nanoseconds: i64,
}

/// A profile that is being written.
#[derive(Debug)]
pub(super) struct Profile {
    message: Message,
    strings: HashMap<String, i64>,
    /// The strings by their numbers.
    table: Vec<String>,
    functions: HashMap<(i64, i64), u64>,
    locations: u64,
    mappings: u64,
}

impl Profile {
    /// Begins the profile of a time; a sample stands for `period` nanoseconds of CPU time.
    pub(super) fn new(start: SystemTime, duration: Duration, period: i64) -> Self {
        let mut it = Self {
            message: Message::default(),
            strings: HashMap::new(),
            table: Vec::new(),
            functions: HashMap::new(),
            locations: 0,
            mappings: 0,
        };
        // The first string is empty, by definition.
        it.string("");
        for (kind, unit) in [("samples", "count"), ("cpu", "nanoseconds")] {
            let value_type = it.value_type(kind, unit);
            it.message.message(1, &value_type);
        }
        let since = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        it.message.number(9, nanoseconds(since));
        it.message.number(10, nanoseconds(duration));
        let period_type = it.value_type("cpu", "nanoseconds");
        it.message.message(11, &period_type);
        it.message.number(12, period);
        it
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> Message {
        let mut value_type = Message::default();
        value_type.number(1, self.string(kind));
        value_type.number(2, self.string(unit));
        value_type
    }

    pub(super) fn add_sample(&mut self, sample: &Sample) {
        let mut message = Message::default();
        for location in &sample.locations {
            message.unsigned(1, *location);
        }
        message.number(2, sample.count);
        message.number(2, sample.nanoseconds);
        self.message.message(2, &message);
    }

    /// Adds a mapping; they are counted as the locations count them, in the order in which they are added.
    pub(super) fn add_mapping(&mut self, mapping: &Mapping) {
        self.mappings += 1;
        let mut message = Message::default();
        message.unsigned(1, self.mappings);
        message.unsigned(2, mapping.start);
        message.unsigned(3, mapping.end);
        message.unsigned(4, mapping.offset);
        message.number(5, self.string(&mapping.file));
        self.message.message(3, &message);
    }

    /// Adds a location and gives its number.
    pub(super) fn add_location(&mut self, location: &Location) -> u64 {
        self.locations += 1;
        let mut message = Message::default();
        message.unsigned(1, self.locations);
        if let Some(mapping) = location.mapping {
            message.unsigned(2, mapping as u64 + 1);
        }
        message.unsigned(3, location.address);
        for (name, file, line) in &location.functions {
            let mut source = Message::default();
            source.unsigned(1, self.function(name, file));
            source.number(2, *line);
            message.message(4, &source);
        }
        self.message.message(4, &message);
        self.locations
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let (name, file) = (self.string(name), self.string(file));
        let next = self.functions.len() as u64 + 1;
        if let Some(known) = self.functions.get(&(name, file)) {
            return *known;
        }
        self.functions.insert((name, file), next);
        let mut message = Message::default();
        message.unsigned(1, next);
        message.number(2, name);
        message.number(3, name);
        message.number(4, file);
        self.message.message(5, &message);
        next
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(known) = self.strings.get(text) {
            return *known;
        }
        let next = i64::try_from(self.table.len()).unwrap_or(0);
        self.table.push(text.to_owned());
        self.strings.insert(text.to_owned(), next);
        next
    }

    /// The whole message.
    pub(super) fn finish(mut self) -> Vec<u8> {
        for text in &self.table {
            self.message.bytes(6, text.as_bytes());
        }
        self.message.0
    }
}

/// Fields one behind the other.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// A field that is a whole number; zero is the default, but in repeated fields it counts.
    fn unsigned(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    /// A negative number is written in two's complement, as `int64` is.
    fn number(&mut self, field: u64, value: i64) {
        self.unsigned(field, value.cast_unsigned());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.0);
    }

    /// Seven bits a byte, the lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_encoded_as_protocol_buffers_say() {
        let mut message = Message::default();
        message.unsigned(1, 300);
        message.number(2, -1);
        message.bytes(3, b"ab");
        let expected = [
            &[0x08, 0xac, 0x02, 0x10][..],
            &[0xff; 9],
            &[0x01, 0x1a, 0x02, b'a', b'b'],
        ];
        assert_eq!(message.0, expected.concat());
    }

    #[test]
    fn functions_and_strings_are_told_once() {
        let mut profile = Profile::new(SystemTime::UNIX_EPOCH, Duration::from_secs(1), 10);
        let function = |line| ("work".to_owned(), "work.rs".to_owned(), line);
        let location = |address, line| Location {
            address,
            mapping: Some(0),
            functions: vec![function(line)],
        };
        assert_eq!(profile.add_location(&location(1, 7)), 1);
        assert_eq!(profile.add_location(&location(2, 8)), 2);
        assert_eq!(profile.functions.len(), 1);
        let expected = ["", "samples", "count", "cpu", "nanoseconds", "work", "work.rs"];
        assert_eq!(profile.table, expected);
    }
}
