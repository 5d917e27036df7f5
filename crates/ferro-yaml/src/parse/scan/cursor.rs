//! Where the scanner is in the text.

use super::super::reader::{Decoded, Pieces, char_width};
use super::super::token::Mark;
use crate::{Error, Result};

/// Bytes at which a run of ordinary text may end, by what is looking for its end.
const BLANK: u8 = 1;
const BREAK: u8 = 2;
const COLON: u8 = 4;
const FLOW: u8 = 8;
const SINGLE: u8 = 16;
const DOUBLE: u8 = 32;

/// What stops a run of characters.
#[derive(Clone, Copy)]
pub(super) struct Stops(u8);

impl Stops {
    pub(super) const LINE: Self = Self(BREAK);
    pub(super) const PLAIN: Self = Self(BREAK | BLANK | COLON);
    pub(super) const PLAIN_IN_FLOW: Self = Self(BREAK | BLANK | COLON | FLOW);
    pub(super) const SINGLE_QUOTED: Self = Self(BREAK | BLANK | SINGLE);
    pub(super) const DOUBLE_QUOTED: Self = Self(BREAK | BLANK | DOUBLE);
    /// As the two before, but over blanks.
    pub(super) const SINGLE_QUOTED_LINE: Self = Self(BREAK | SINGLE);
    pub(super) const DOUBLE_QUOTED_LINE: Self = Self(BREAK | DOUBLE);
}

const CLASSES: [u8; 256] = classes();

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

#[expect(
    clippy::indexing_slicing,
    reason = "the index is below the length, or this does not compile"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = match byte as u8 {
            b' ' | b'\t' => BLANK,
            // The last two are the first bytes of breaks beyond ASCII, and of much else.
            b'\n' | b'\r' | 0xC2 | 0xE2 => BREAK,
            b':' => COLON,
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => FLOW,
            b'\'' => SINGLE,
            b'"' | b'\\' => DOUBLE,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// A reading position. Bytes past the end read as NUL, which a text cannot contain.
pub(super) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
    /// Bytes before the position that are not the first of their character.
    trailing: usize,
    line: u32,
    /// The index of the character that starts the line.
    line_start: i64,
    /// Line breaks since the last character that is not blank.
    pub(super) newlines: u32,
    reader: Option<Box<Reader>>,
}

/// What Go's reader has decoded so far, for texts where that shows.
struct Reader {
    pieces: Pieces,
    next_piece: usize,
    /// Where the decoded text ends.
    decoded: usize,
    /// How many NULs were put behind the text.
    padding: usize,
    /// Where Go's buffer starts.
    buffer_start: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(decoded: &'a Decoded<'_>) -> Self {
        let reader = |pieces: &Pieces| {
            Box::new(Reader {
                pieces: pieces.clone(),
                next_piece: 0,
                decoded: 0,
                padding: 0,
                buffer_start: 0,
            })
        };
        Self {
            text: &decoded.text,
            bytes: decoded.text.as_bytes(),
            pos: 0,
            trailing: 0,
            line: 0,
            line_start: 0,
            newlines: 0,
            reader: decoded.pieces.as_ref().map(reader),
        }
    }

    #[inline]
    pub(super) fn mark(&self) -> Mark {
        Mark {
            index: self.index(),
            line: self.line,
            column: self.column(),
        }
    }

    #[inline]
    pub(super) fn index(&self) -> i64 {
        i64::try_from(self.pos - self.trailing).unwrap_or(i64::MAX)
    }

    #[inline]
    pub(super) fn column(&self) -> u32 {
        u32::try_from(self.index() - self.line_start).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Tells whether this is the first column.
    #[inline]
    pub(super) fn at_line_start(&self) -> bool {
        self.index() == self.line_start
    }

    #[inline]
    pub(super) fn offset(&self) -> usize {
        self.pos
    }

    #[inline]
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    #[inline]
    pub(super) fn at(&self, offset: usize) -> u8 {
        self.bytes.get(self.pos + offset).copied().unwrap_or(0)
    }

    #[inline]
    pub(super) fn is_blank(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t')
    }

    #[inline]
    pub(super) fn is_break(&self, offset: usize) -> bool {
        self.break_width(offset) > 0
    }

    #[inline]
    pub(super) fn is_break_or_end(&self, offset: usize) -> bool {
        self.at(offset) == 0 || self.is_break(offset)
    }

    #[inline]
    pub(super) fn is_space_or_end(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t' | 0) || self.is_break(offset)
    }

    /// Tells whether a letter, a digit, `-` or `_` is here.
    #[inline]
    pub(super) fn is_name(&self) -> bool {
        matches!(self.at(0), b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-')
    }

    #[inline]
    fn break_width(&self, offset: usize) -> usize {
        match self.at(offset) {
            b'\n' | b'\r' => 1,
            0xC2 if self.at(offset + 1) == 0x85 => 2,
            0xE2 if self.at(offset + 1) == 0x80 && matches!(self.at(offset + 2), 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    /// Tells whether `---` or `...` starts this line and stands alone.
    #[inline]
    pub(super) fn is_document_indicator(&self) -> bool {
        let first = self.at(0);
        matches!(first, b'-' | b'.')
            && self.at_line_start()
            && self.at(1) == first
            && self.at(2) == first
            && self.is_space_or_end(3)
    }

    /// Tells whether Go takes what is here for a byte order mark: it looks at the start of its buffer.
    #[inline]
    pub(super) fn is_byte_order_mark(&self) -> bool {
        let reader = self.reader.as_ref();
        reader.is_some_and(|reader| {
            let buffer = self.text.get(reader.buffer_start..).unwrap_or_default();
            buffer.starts_with('\u{FEFF}')
        })
    }

    /// Steps over a character that is no line break.
    #[inline]
    pub(super) fn skip(&mut self) {
        let byte = self.at(0);
        if !matches!(byte, b' ' | b'\t') {
            self.newlines = 0;
        }
        let width = char_width(byte).max(1);
        if self.pos < self.bytes.len() {
            self.pos += width;
            self.trailing += width - 1;
        }
    }

    /// Steps over so many characters.
    #[inline]
    pub(super) fn skip_many(&mut self, count: usize) {
        (0..count).for_each(|_| self.skip());
    }

    /// Steps over a line break, if one is here, and returns what it is in a scalar.
    #[inline]
    pub(super) fn read_break(&mut self) -> Option<char> {
        let width = self.break_width(0);
        let read = match (width, self.at(2)) {
            (0, _) => return None,
            (3, 0xA8) => '\u{2028}',
            (3, _) => '\u{2029}',
            _ => '\n',
        };
        if self.at(0) == b'\r' && self.at(1) == b'\n' {
            self.pos += 2;
        } else {
            self.pos += width;
            self.trailing += width - 1;
        }
        self.line += 1;
        self.line_start = self.index();
        self.newlines += 1;
        Some(read)
    }

    /// Pretends that a line ended here, as Go does at the end of its text.
    pub(super) fn force_line(&mut self) {
        if !self.at_line_start() {
            self.line += 1;
            self.line_start = self.index();
        }
    }

    /// Steps over blanks, as far as `tabs` allows.
    #[inline]
    pub(super) fn skip_blanks(&mut self, tabs: bool) -> Result<()> {
        let is_blank = |byte: u8| byte == b' ' || (tabs && byte == b'\t');
        if self.is_free() {
            let rest = self.bytes.get(self.pos..).unwrap_or_default();
            self.pos += rest.iter().take_while(|byte| is_blank(**byte)).count();
            return Ok(());
        }
        self.need(1)?;
        while is_blank(self.at(0)) {
            self.skip();
            self.need(1)?;
        }
        Ok(())
    }

    /// Steps over spaces up to a column.
    #[inline]
    pub(super) fn skip_indentation(&mut self, up_to: u32) -> Result<()> {
        while self.at(0) == b' ' && self.column() < up_to {
            self.skip();
            self.need(1)?;
        }
        Ok(())
    }

    /// Steps over characters until one of `stops`; one at a time where Go's reader has to be followed.
    /// Returns whether there were any.
    #[inline]
    pub(super) fn run(&mut self, stops: Stops) -> bool {
        let start = self.pos;
        let length = if self.is_free() { usize::MAX } else { 1 };
        let mut end = start;
        for byte in self.bytes.get(start..).unwrap_or_default().iter().take(length) {
            let class = class(*byte) & stops.0;
            if class != 0 && !(class == BREAK && *byte >= 0x80 && self.break_width(end - start) == 0) {
                break;
            }
            end += 1;
        }
        if end == start {
            return false;
        }
        if !self.is_free() {
            self.skip();
            return true;
        }
        let passed = self.bytes.get(start..end).unwrap_or_default();
        if !passed.is_ascii() {
            self.trailing += passed.iter().filter(|byte| **byte & 0xC0 == 0x80).count();
        }
        if !passed.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            self.newlines = 0;
        }
        self.pos = end;
        true
    }

    /// Steps over the rest of the line if that is all ASCII and may be looked at as a whole; a file of values is mostly comments.
    #[inline]
    pub(super) fn skip_ascii_line(&mut self) {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = rest.get(..end).unwrap_or_default();
        if self.is_free() && line.is_ascii() {
            if !line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                self.newlines = 0;
            }
            self.pos += end;
        }
    }

    /// Tells whether a blank is here that ordinary text follows, so that nothing can end at it.
    #[inline]
    pub(super) fn is_between_words(&self, stops: Stops) -> bool {
        let next = self.at(1);
        let is_ordinary = class(next) & stops.0 == 0 && !matches!(next, b'#' | 0);
        self.at(0) == b' ' && is_ordinary && self.is_free()
    }

    /// Goes back over so many blanks.
    pub(super) fn go_back(&mut self, blanks: usize) {
        self.pos -= blanks.min(self.pos);
    }

    /// Tells whether texts may be looked at further ahead than Go does.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.reader.is_none()
    }

    /// Asks for so many characters, as Go does before it looks at them.
    #[inline]
    pub(super) fn need(&mut self, count: usize) -> Result<()> {
        match &mut self.reader {
            None => Ok(()),
            Some(reader) => reader.read(self.text, self.pos, count),
        }
    }
}

impl Reader {
    fn read(&mut self, text: &str, pos: usize, count: usize) -> Result<()> {
        let available = text.get(pos..self.decoded).unwrap_or_default();
        let mut unread = available.chars().take(count).count() + self.padding;
        if unread >= count {
            return Ok(());
        }
        self.buffer_start = pos;
        while unread < count {
            let Some(end) = self.pieces.ends.get(self.next_piece).copied() else {
                if let Some(problem) = self.pieces.problem {
                    return Err(Error::Encoding { problem });
                }
                self.padding += 1;
                break;
            };
            self.next_piece += 1;
            let piece = text.get(self.decoded..end).unwrap_or_default();
            unread += piece.chars().take(count).count();
            self.decoded = end;
        }
        Ok(())
    }
}
