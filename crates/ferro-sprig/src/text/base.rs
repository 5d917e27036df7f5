//! Base64 and base32 with the positions that Go's decoders report.

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why a text is not base64.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub(crate) struct Corrupt64(pub(crate) usize);

/// Why a text is not base32.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base32 data at input byte {0}")]
pub(crate) struct Corrupt32(usize);

pub(crate) fn encode64(bytes: &[u8]) -> String {
    encode(bytes, BASE64, 3, 6)
}

pub(crate) fn encode32(bytes: &[u8]) -> String {
    encode(bytes, BASE32, 5, 5)
}

/// Writes groups of `group` bytes as digits of `bits` bits, padded to full groups.
fn encode(bytes: &[u8], alphabet: &[u8], group: usize, bits: usize) -> String {
    let digits = group * 8 / bits;
    let mut out = String::with_capacity(bytes.len().div_ceil(group) * digits);
    for chunk in bytes.chunks(group) {
        let value = (0..group).fold(0_u64, |value, at| {
            value << 8 | u64::from(chunk.get(at).copied().unwrap_or(0))
        });
        let used = (chunk.len() * 8).div_ceil(bits);
        for at in 0..digits {
            let index = (value >> (bits * (digits - 1 - at))) as usize & (alphabet.len() - 1);
            let digit = alphabet.get(index).copied().unwrap_or(b'=');
            out.push(char::from(if at < used { digit } else { b'=' }));
        }
    }
    out
}

fn digit64(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Decodes with padding; line breaks are passed over anywhere.
pub(crate) fn decode64(text: &[u8]) -> Result<Vec<u8>, Corrupt64> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut at = 0;
    while at < text.len() {
        at = quantum64(text, at, &mut out)?;
    }
    Ok(out)
}

fn skip_breaks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Decodes four digits from `start` and returns where the next ones begin.
fn quantum64(text: &[u8], start: usize, out: &mut Vec<u8>) -> Result<usize, Corrupt64> {
    let (mut at, mut bits, mut count) = (start, 0_u32, 0_usize);
    while count < 4 {
        let Some(&byte) = text.get(at) else {
            if count == 0 {
                return Ok(at);
            }
            return Err(Corrupt64(at - count));
        };
        at += 1;
        if let Some(digit) = digit64(byte) {
            bits |= digit << (18 - 6 * count);
            count += 1;
            continue;
        }
        if matches!(byte, b'\r' | b'\n') {
            continue;
        }
        if byte != b'=' || count < 2 {
            return Err(Corrupt64(at - 1));
        }
        if count == 2 {
            at = skip_breaks(text, at);
            match text.get(at) {
                None => return Err(Corrupt64(text.len())),
                Some(b'=') => at += 1,
                Some(_) => return Err(Corrupt64(at - 1)),
            }
        }
        at = skip_breaks(text, at);
        if at < text.len() {
            return Err(Corrupt64(at));
        }
        break;
    }
    let [_, bytes @ ..] = bits.to_be_bytes();
    out.extend(bytes.iter().take(count - 1));
    Ok(at)
}

fn digit32(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => None,
    }
}

/// Decodes with padding; line breaks are passed over, and not counted in positions.
pub(crate) fn decode32(text: &[u8]) -> Result<Vec<u8>, Corrupt32> {
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut at = 0;
    while at < text.len() {
        let (bits, count, next) = quantum32(&text, at)?;
        let bytes = bits.to_be_bytes();
        out.extend(bytes.iter().skip(3).take(count * 5 / 8));
        if count < 8 {
            break;
        }
        at = next;
    }
    Ok(out)
}

/// Reads up to eight digits: their 40 bits, how many there are, and where the next ones begin.
fn quantum32(text: &[u8], start: usize) -> Result<(u64, usize, usize), Corrupt32> {
    let (mut at, mut bits) = (start, 0_u64);
    for count in 0..8 {
        let Some(&byte) = text.get(at) else {
            return Err(Corrupt32(at - count));
        };
        at += 1;
        let left = text.len() - at;
        if byte == b'=' && count >= 2 && left < 8 {
            if left + count < 7 {
                return Err(Corrupt32(text.len()));
            }
            for extra in 0..7 - count {
                if text.get(at + extra).is_some_and(|byte| *byte != b'=') {
                    return Err(Corrupt32(at + extra - 1));
                }
            }
            if matches!(count, 1 | 3 | 6) {
                return Err(Corrupt32(at - 1));
            }
            return Ok((bits, count, at));
        }
        let digit = digit32(byte).ok_or(Corrupt32(at - 1))?;
        bits |= u64::from(digit) << (35 - 5 * count);
    }
    Ok((bits, 8, at))
}
