//! PEM by the rules of Go's `encoding/pem`.

use crate::text::base;

/// A block of a PEM text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// What stands behind `BEGIN`.
    pub(super) label: String,
    pub(super) bytes: Vec<u8>,
}

const LINE: usize = 64;

pub(super) fn encode(label: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("-----BEGIN {label}-----\n");
    let digits = base::encode64(bytes);
    for line in digits.as_bytes().chunks(LINE) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out.into_bytes()
}

/// Finds the first block that is whole; text around blocks is passed over.
pub(super) fn decode(text: &[u8]) -> Option<Block> {
    let text = String::from_utf8_lossy(text);
    let mut rest: &str = &text;
    loop {
        let start = if rest.starts_with("-----BEGIN ") {
            0
        } else {
            rest.find("\n-----BEGIN ")? + 1
        };
        rest = rest.get(start + "-----BEGIN ".len()..)?;
        if let Some(block) = block(rest) {
            return Some(block);
        }
    }
}

fn block(text: &str) -> Option<Block> {
    let (first, body) = text.split_once('\n')?;
    let label = first.trim_end_matches([' ', '\t', '\r']).strip_suffix("-----")?;
    let end = format!("-----END {label}-----");
    let at = if body.starts_with(&end) {
        0
    } else {
        body.find(&format!("\n{end}"))?
    };
    let after = body.get(at..)?.trim_start_matches('\n').get(end.len()..)?;
    let line = after.split('\n').next().unwrap_or_default();
    if !line.trim_matches([' ', '\t', '\r']).is_empty() {
        return None;
    }
    let digits: Vec<u8> = without_headers(body.get(..at)?)
        .bytes()
        .filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        .collect();
    let bytes = base::decode64(&digits).ok()?;
    Some(Block {
        label: label.to_owned(),
        bytes,
    })
}

/// Lines with a colon at the start are headers.
fn without_headers(body: &str) -> &str {
    let mut rest = body;
    while let Some((line, after)) = rest.split_once('\n') {
        if !line.contains(':') {
            break;
        }
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_can_be_decoded() {
        let bytes: Vec<u8> = (0..100).collect();
        let text = [b"chatter\n".as_slice(), &encode("X KEY", &bytes), b"more"].concat();
        let block = decode(&text).unwrap();
        assert_eq!((block.label.as_str(), block.bytes), ("X KEY", bytes));
        assert_eq!(decode(b"-----BEGIN A-----\n!\n-----END A-----\n"), None);
    }
}
