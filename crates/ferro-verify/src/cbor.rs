//! Just enough CBOR (RFC 8949): values of definite length, as COSE has them.

/// How deep values may be nested, as upstream.
const MAX_DEPTH: usize = 32;
/// How many keys a map may have; they are compared with each other.
const MAX_KEYS: usize = 128;

/// A value; texts and bytes are those of the input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Integer(i64),
    Float(f64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Self>),
    /// No key is there twice.
    Map(Vec<(Self, Self)>),
    Tagged(u64, Box<Self>),
    /// `null`, `true` and their like.
    Simple(u8),
}

impl<'a> Value<'a> {
    /// Reads the only value of `data`; nothing if that is malformed, or nested too deeply, or has lengths that are not told at once.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        let value = take(&mut rest, MAX_DEPTH)?;
        rest.is_empty().then_some(value)
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &Value<'_>) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(it, _)| it == key).map(|(_, value)| value)
    }

    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }
}

/// What a byte string begins with.
pub(crate) fn bytes_header(length: usize) -> Vec<u8> {
    let length = length as u64;
    let all = length.to_be_bytes();
    let (info, count) = match length {
        0..24 => return vec![0x40 | all[7]],
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    let mut header = vec![0x40 | info];
    header.extend(all.into_iter().skip(8 - count));
    header
}

fn take<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Value<'a>> {
    let first = *take_bytes(rest, 1)?.first()?;
    let (kind, info) = (first >> 5, first & 0x1f);
    let argument = match info {
        0..24 => u64::from(info),
        24..28 => {
            let bytes = take_bytes(rest, 1 << (info - 24))?;
            bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
        }
        _ => return None,
    };
    let deeper = depth.checked_sub(1);
    match kind {
        0 => i64::try_from(argument).ok().map(Value::Integer),
        1 => i64::try_from(argument).ok().map(|it| Value::Integer(-1 - it)),
        2 => take_long(rest, argument).map(Value::Bytes),
        3 => std::str::from_utf8(take_long(rest, argument)?)
            .ok()
            .map(Value::Text),
        4 => {
            // Grows as values are there, whatever the length says.
            let values = (0..argument).map(|_| take(rest, deeper?));
            values.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        5 => take_map(rest, argument, deeper?),
        6 => take(rest, deeper?).map(|value| Value::Tagged(argument, Box::new(value))),
        _ => simple(info, argument),
    }
}

fn take_map<'a>(rest: &mut &'a [u8], length: u64, depth: usize) -> Option<Value<'a>> {
    if length > MAX_KEYS as u64 {
        return None;
    }
    let mut pairs: Vec<(Value<'_>, Value<'_>)> = Vec::new();
    for _ in 0..length {
        let key = take(rest, depth)?;
        if pairs.iter().any(|(it, _)| *it == key) {
            return None;
        }
        pairs.push((key, take(rest, depth)?));
    }
    Some(Value::Map(pairs))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "of the argument only as many bits are set as were read"
)]
fn simple<'a>(info: u8, argument: u64) -> Option<Value<'a>> {
    match info {
        0..24 => Some(Value::Simple(info)),
        // The shortest form is the only one.
        24 if argument >= 32 => Some(Value::Simple(argument as u8)),
        // Nothing that is read here is a number of half precision.
        25 => Some(Value::Float(f64::NAN)),
        26 => Some(Value::Float(f64::from(f32::from_bits(argument as u32)))),
        27 => Some(Value::Float(f64::from_bits(argument))),
        _ => None,
    }
}

fn take_long<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    take_bytes(rest, usize::try_from(length).ok()?)
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_kinds_are_read() {
        let map = Value::Map(vec![
            (Value::Integer(1), Value::Integer(-7)),
            (
                Value::Text("ab"),
                Value::Array(vec![Value::Bytes(b"x"), Value::Simple(22)]),
            ),
        ]);
        for (data, expected) in [
            (&b"\x17"[..], Value::Integer(23)),
            (b"\x19\x01\x00", Value::Integer(256)),
            (b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff", Value::Integer(i64::MIN)),
            (
                b"\xc1\x1a\x00\x00\x00\x05",
                Value::Tagged(1, Box::new(Value::Integer(5))),
            ),
            (b"\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00", Value::Float(1.5)),
            (b"\xa2\x01\x26\x62ab\x82\x41x\xf6", map),
        ] {
            assert_eq!(Value::read(data), Some(expected), "{data:x?}");
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        let (mut deep, mut endless) = (vec![0x81; 40], vec![0x9b]);
        deep.push(0);
        endless.extend([0xff; 8]);
        for data in [
            &b""[..],
            b"\x18",
            b"\x42x",
            b"\x5f\x41x\xff",
            b"\x9f\xff",
            b"\x61\xff",
            b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xa2\x01\x01\x01\x02",
            b"\xa1\x01",
            b"\xf8\x10",
            b"\x00\x00",
            &deep,
            &endless,
        ] {
            assert_eq!(Value::read(data), None, "{data:x?}");
        }
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        for length in [0, 23, 24, 255, 256, 65_535, 65_536] {
            let mut data = bytes_header(length);
            data.resize(data.len() + length, 7);
            let read = Value::read(&data).and_then(|it| it.bytes().map(<[u8]>::len));
            assert_eq!(read, Some(length));
        }
        assert_eq!(bytes_header(24), [0x58, 24]);
    }
}
