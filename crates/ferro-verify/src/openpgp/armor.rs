//! ASCII armor, read as go-crypto reads it: text around a block is skipped, checksums are not looked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The longest line of armored data.
const MAX_LINE: usize = 96;

/// A block of armored data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// What stands after `BEGIN`.
    pub(crate) kind: String,
    /// The bytes.
    pub(crate) data: Vec<u8>,
}

/// Armored data that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// There is none.
    #[error("openpgp: invalid argument: no armored data found")]
    Missing,
    /// What is between the markers is no Base64.
    #[error("openpgp: invalid data: armor invalid")]
    Corrupt,
}

/// The blocks of a text, one after the other.
pub(crate) struct Blocks<'a> {
    lines: std::str::Lines<'a>,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { lines: text.lines() }
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<Block, ArmorError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let kind = self.lines.find_map(begin)?;
            if !skip_headers(&mut self.lines) {
                continue;
            }
            let data = read_body(&mut self.lines);
            return Some(data.map(|data| Block {
                kind: kind.to_owned(),
                data,
            }));
        }
    }
}

/// The first block of a text.
pub(crate) fn first(text: &str) -> Result<Block, ArmorError> {
    Blocks::new(text).next().unwrap_or(Err(ArmorError::Missing))
}

/// What a line that begins a block says that the block is.
fn begin(line: &str) -> Option<&str> {
    let kind = line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
    (!kind.is_empty()).then_some(kind)
}

/// Reads `Key: value` lines up to the blank one; false when other text stands there, so that this is no block.
fn skip_headers(lines: &mut std::str::Lines<'_>) -> bool {
    lines
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .all(|line| line.contains(':'))
}

fn read_body(lines: &mut std::str::Lines<'_>) -> Result<Vec<u8>, ArmorError> {
    let mut text = String::new();
    for line in lines.map(str::trim) {
        let is_checksum = line.len() == 5 && line.starts_with('=');
        if is_checksum || line.starts_with("-----END ") {
            break;
        }
        if line.len() > MAX_LINE {
            return Err(ArmorError::Corrupt);
        }
        text.push_str(line);
    }
    STANDARD.decode(text).map_err(|_| ArmorError::Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_between_other_text() {
        let text = "hello\n-----BEGIN A-----\nVersion: 1\n\nAAEC\nAwQF\n=abcd\n-----END A-----\n\n-----BEGIN B-----\r\n\r\n/w==\r\n-----END B-----\r\n";
        let blocks: Vec<_> = Blocks::new(text).map(Result::unwrap).collect();
        let expected = [("A", vec![0, 1, 2, 3, 4, 5]), ("B", vec![255])];
        let found: Vec<_> = blocks
            .iter()
            .map(|block| (block.kind.as_str(), block.data.clone()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn blocks_malformed_ones_are_refused_or_skipped() {
        assert_eq!(first(""), Err(ArmorError::Missing));
        assert_eq!(first("-----BEGIN -----\n\nAAAA\n"), Err(ArmorError::Missing));
        assert_eq!(
            first("-----BEGIN A-----\nno header\n\nAAAA\n"),
            Err(ArmorError::Missing)
        );
        assert_eq!(
            first("-----BEGIN A-----\n\n!!!!\n-----END A-----\n"),
            Err(ArmorError::Corrupt)
        );
        let long = format!("-----BEGIN A-----\n\n{}\n", "A".repeat(100));
        assert_eq!(first(&long), Err(ArmorError::Corrupt));
    }
}
