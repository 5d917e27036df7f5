//! Just enough DER: values with definite lengths and tags of one byte.

/// A value with its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// Header and content.
    pub(crate) raw: &'a [u8],
}

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Takes the first value off `input`.
pub(crate) fn take<'a>(input: &mut &'a [u8]) -> Option<Tlv<'a>> {
    let data = *input;
    let (&tag, &first) = (data.first()?, data.get(1)?);
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (header, length) = if first < 0x80 {
        (2, usize::from(first))
    } else {
        let count = usize::from(first & 0x7f);
        let bytes = data.get(2..2 + count).filter(|_| (1..=4).contains(&count))?;
        let length = bytes
            .iter()
            .fold(0, |length, byte| (length << 8) | usize::from(*byte));
        // The shortest form is the only one.
        if length < 0x80 || bytes.first() == Some(&0) {
            return None;
        }
        (2 + count, length)
    };
    let (raw, rest) = data.split_at_checked(header + length)?;
    *input = rest;
    Some(Tlv {
        tag,
        content: raw.get(header..)?,
        raw,
    })
}

/// Takes a value of this tag off `input`; what stands there otherwise stays.
pub(crate) fn take_tag<'a>(input: &mut &'a [u8], tag: u8) -> Option<Tlv<'a>> {
    let mut rest = *input;
    let value = take(&mut rest).filter(|value| value.tag == tag)?;
    *input = rest;
    Some(value)
}

/// The one value that `data` is, if it has this tag.
pub(crate) fn whole(data: &[u8], tag: u8) -> Option<Tlv<'_>> {
    let mut rest = data;
    let value = take_tag(&mut rest, tag)?;
    rest.is_empty().then_some(value)
}

/// The values that a content is made of.
pub(crate) fn children(mut content: &[u8]) -> Option<Vec<Tlv<'_>>> {
    let mut found = Vec::new();
    while !content.is_empty() {
        found.push(take(&mut content)?);
    }
    Some(found)
}

/// Puts a header before parts.
pub(crate) fn encode(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
            let significant = bytes.get(skipped..).unwrap_or_default();
            out.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            out.extend_from_slice(significant);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// The bytes of a bit string whose bits fill whole bytes.
pub(crate) fn bit_string(content: &[u8]) -> Option<&[u8]> {
    content.strip_prefix(&[0])
}

/// An integer that is not negative, without leading zeros.
pub(crate) fn unsigned(content: &[u8]) -> Option<&[u8]> {
    match content {
        [] => None,
        [0, rest @ ..] => Some(rest),
        [first, ..] if first & 0x80 != 0 => None,
        _ => Some(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_values_are_taken_again() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let raw = encode(OCTET_STRING, &[&content]);
            let value = whole(&raw, OCTET_STRING).unwrap();
            assert_eq!((value.content, value.raw), (&content[..], &raw[..]));
            assert!(whole(&raw, SEQUENCE).is_none());
            assert!(take(&mut &raw[..raw.len() - 1]).is_none());
        }
    }

    #[test]
    fn take_refuses_other_encodings() {
        for bad in [
            &[0x30][..],
            &[0x30, 0x80],
            &[0x30, 0x81, 0x01, 0],
            &[0x30, 0x82, 0, 0x80],
            &[0x30, 0x85, 1, 0, 0, 0, 0],
            &[0x1f, 0],
        ] {
            assert!(take(&mut &bad[..]).is_none(), "{bad:?}");
        }
    }
}
