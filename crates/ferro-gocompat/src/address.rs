//! `net/netip`: addresses, and what is said about those that are none.

use crate::quote::quote_bytes;

/// What an address turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Four decimals.
    V4,
    /// Groups of hexadecimal digits, with a zone or without.
    V6 {
        /// Whether it names a zone.
        has_zone: bool,
    },
}

/// What is wrong, and with which rest of the text.
type Problem<'t> = (&'static str, &'t [u8]);

/// Reads an address as `netip.ParseAddr` does; the error is Go's.
///
/// ```
/// use ferro_gocompat::address::{Address, parse};
///
/// assert_eq!(parse(b"::1"), Ok(Address::V6 { has_zone: false }));
/// assert_eq!(
///     parse(b"::g").unwrap_err(),
///     r#"ParseAddr("::g"): each colon-separated field must have at least one digit (at "g")"#
/// );
/// ```
pub fn parse(text: &[u8]) -> Result<Address, String> {
    let parsed = match text.iter().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
        Some(b'.') => v4_fields(text).map(|()| Address::V4),
        Some(b':') => v6(text),
        Some(_) => Err(("missing IPv6 address", &[][..])),
        None => Err(("unable to parse IP", &[][..])),
    };
    parsed.map_err(|(problem, at)| {
        let at = if at.is_empty() {
            String::new()
        } else {
            format!(" (at {})", quote_bytes(at))
        };
        format!("ParseAddr({}): {problem}{at}", quote_bytes(text))
    })
}

fn v4_fields(text: &[u8]) -> Result<(), Problem<'_>> {
    let (mut value, mut digits, mut fields) = (0_u32, 0, 0);
    let mut previous = b'.';
    for (index, &byte) in text.iter().enumerate() {
        let rest = text.get(index..).unwrap_or_default();
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(("IPv4 field has octet with leading zero", &[]));
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Err(("IPv4 field has value >255", &[]));
                }
            }
            b'.' => {
                if previous == b'.' || rest.len() == 1 {
                    return Err(("IPv4 field must have at least one digit", rest));
                }
                if fields == 3 {
                    return Err(("IPv4 address too long", &[]));
                }
                fields += 1;
                (value, digits) = (0, 0);
            }
            _ => return Err(("unexpected character", rest)),
        }
        previous = byte;
    }
    if fields < 3 {
        return Err(("IPv4 address too short", &[]));
    }
    Ok(())
}

fn v6(text: &[u8]) -> Result<Address, Problem<'_>> {
    let (address, zone) = match text.iter().rposition(|byte| *byte == b'%') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    if zone.is_some_and(<[u8]>::is_empty) {
        return Err(("zone must be a non-empty string", &[]));
    }
    let parsed = Address::V6 {
        has_zone: zone.is_some(),
    };
    let mut rest = address;
    let mut has_ellipsis = false;
    if let Some(after) = address.strip_prefix(b"::") {
        if after.is_empty() {
            return Ok(parsed);
        }
        (rest, has_ellipsis) = (after, true);
    }
    // Bytes that are read; an ellipsis stands for the others.
    let mut count = 0;
    while count < 16 {
        let length = hexadecimal(rest)?;
        if rest.get(length) == Some(&b'.') {
            if !has_ellipsis && count != 12 {
                let problem = "embedded IPv4 address must replace the final 2 fields of the address";
                return Err((problem, rest));
            }
            if count + 4 > 16 {
                let problem = "too many hex fields to fit an embedded IPv4 at the end of the address";
                return Err((problem, rest));
            }
            v4_fields(rest)?;
            (rest, count) = (&[], count + 4);
            break;
        }
        count += 2;
        rest = rest.get(length..).unwrap_or_default();
        let Some((&next, after)) = rest.split_first() else {
            break;
        };
        if next != b':' {
            return Err(("unexpected character, want colon", rest));
        }
        if after.is_empty() {
            return Err(("colon must be followed by more characters", rest));
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(b":") {
            if has_ellipsis {
                return Err(("multiple :: in address", rest));
            }
            (rest, has_ellipsis) = (after, true);
            if rest.is_empty() {
                break;
            }
        }
    }
    match (rest.is_empty(), count < 16, has_ellipsis) {
        (false, _, _) => Err(("trailing garbage after address", rest)),
        (true, true, false) => Err(("address string too short", &[])),
        (true, false, true) => Err(("the :: must expand to at least one field of zeros", &[])),
        _ => Ok(parsed),
    }
}

/// The length of the digits of a field.
fn hexadecimal(rest: &[u8]) -> Result<usize, Problem<'_>> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    match digits {
        0 => Err(("each colon-separated field must have at least one digit", rest)),
        1..=4 => Ok(digits),
        _ => Err(("each group must have 4 or less digits", rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        assert_eq!(parse(b"1.2.3.4"), Ok(Address::V4));
        for text in [
            "::",
            "1::",
            "::ffff:1.2.3.4",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:1.2.3.4",
        ] {
            assert_eq!(
                parse(text.as_bytes()),
                Ok(Address::V6 { has_zone: false }),
                "{text}"
            );
        }
        assert_eq!(parse(b"fe80::1%eth0"), Ok(Address::V6 { has_zone: true }));
        for (text, problem) in [
            ("1.2.3", "IPv4 address too short"),
            ("1..2.3", "IPv4 field must have at least one digit (at \".2.3\")"),
            ("01.2.3.4", "IPv4 field has octet with leading zero"),
            ("1.2.3.256", "IPv4 field has value >255"),
            ("1:2", "address string too short"),
            (
                "1:2:3:4:5:6:7::8",
                "the :: must expand to at least one field of zeros",
            ),
            ("1::2::3", "multiple :: in address (at \":3\")"),
            (
                "12345::",
                "each group must have 4 or less digits (at \"12345::\")",
            ),
            ("1:", "colon must be followed by more characters (at \":\")"),
            ("abc", "unable to parse IP"),
            ("%1", "missing IPv6 address"),
        ] {
            let expected = format!("ParseAddr(\"{text}\"): {problem}");
            assert_eq!(parse(text.as_bytes()), Err(expected));
        }
    }
}
