//! Single- and double-quoted scalars.

use super::super::token::{Data, Kind, Mark, Token};
use super::Scanner;
use super::cursor::Stops;
use super::plain::{Content, Folds};
use crate::{Result, ScalarStyle};

/// Which quotes are around a scalar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    Single,
    Double,
}

impl Quote {
    fn byte(self) -> u8 {
        match self {
            Self::Single => b'\'',
            Self::Double => b'"',
        }
    }

    fn stops(self) -> Stops {
        match self {
            Self::Single => Stops::SINGLE_QUOTED,
            Self::Double => Stops::DOUBLE_QUOTED,
        }
    }

    fn line_stops(self) -> Stops {
        match self {
            Self::Single => Stops::SINGLE_QUOTED_LINE,
            Self::Double => Stops::DOUBLE_QUOTED_LINE,
        }
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn scan_quoted(&mut self, style: ScalarStyle) -> Result<Token<'a>> {
        let quote = match style {
            ScalarStyle::SingleQuoted => Quote::Single,
            _ => Quote::Double,
        };
        let start = self.cursor.mark();
        self.cursor.skip();
        let mut content = Content::new();
        if self.cursor.is_free() {
            self.read_first_line(quote, &mut content);
        }
        loop {
            self.cursor.need(4)?;
            if self.cursor.is_document_indicator() {
                return Err(self.error(start, "found unexpected document indicator"));
            }
            if self.cursor.at(0) == 0 {
                return Err(self.error(start, "found unexpected end of stream"));
            }
            let is_escaped_break = self.read_quoted_word(quote, start, &mut content)?;
            self.cursor.need(1)?;
            if self.cursor.at(0) == quote.byte() {
                break;
            }
            self.read_quoted_space(is_escaped_break, &mut content)?;
        }
        self.cursor.skip();
        Ok(Token::with(
            Kind::Scalar,
            start,
            Data::Scalar(content.finish(), style),
        ))
    }

    /// Reads what is before the first quote, backslash or line break without a copy, which mostly is all.
    fn read_first_line(&mut self, quote: Quote, content: &mut Content<'a>) {
        let from = self.cursor.offset();
        self.cursor.run(quote.line_stops());
        let line = self.cursor.slice(from, self.cursor.offset());
        // Blanks before a line break are no part of the text.
        if self.cursor.at(0) == quote.byte() || !line.ends_with([' ', '\t']) {
            content.push_str(line);
        } else {
            self.cursor
                .go_back(line.len() - line.trim_end_matches([' ', '\t']).len());
            content.push_str(self.cursor.slice(from, self.cursor.offset()));
        }
    }

    /// Reads up to the end of the scalar, a blank or a line break. Returns whether a line break was
    /// escaped.
    fn read_quoted_word(&mut self, quote: Quote, start: Mark, content: &mut Content<'a>) -> Result<bool> {
        while !self.cursor.is_space_or_end(0) {
            let from = self.cursor.offset();
            if self.cursor.run(quote.stops()) {
                content.push_str(self.cursor.slice(from, self.cursor.offset()));
            } else if self.cursor.at(0) == quote.byte() {
                if quote == Quote::Double || self.cursor.at(1) != b'\'' {
                    return Ok(false);
                }
                content.push('\'');
                self.cursor.skip_many(2);
            } else if self.cursor.is_break(1) {
                self.cursor.need(3)?;
                self.cursor.skip();
                self.cursor.read_break();
                return Ok(true);
            } else {
                self.read_escape(start, content)?;
            }
            self.cursor.need(2)?;
        }
        Ok(false)
    }

    /// Reads blanks and line breaks, and folds them.
    fn read_quoted_space(&mut self, is_escaped_break: bool, content: &mut Content<'a>) -> Result<()> {
        let mut on_new_line = is_escaped_break;
        let mut folds = Folds::default();
        let from = self.cursor.offset();
        let mut blanks = from;
        loop {
            if self.cursor.is_blank(0) {
                self.cursor.skip();
                if !on_new_line {
                    blanks = self.cursor.offset();
                }
            } else if self.cursor.is_break(0) {
                self.cursor.need(2)?;
                folds.push(self.cursor.read_break(), !on_new_line);
                on_new_line = true;
            } else {
                break;
            }
            self.cursor.need(1)?;
        }
        if on_new_line {
            folds.join(content);
        } else {
            content.push_str(self.cursor.slice(from, blanks));
        }
        Ok(())
    }

    fn read_escape(&mut self, start: Mark, content: &mut Content<'a>) -> Result<()> {
        let digits = match self.cursor.at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            letter => {
                let Some(c) = escaped(letter) else {
                    return Err(self.error(start, "found unknown escape character"));
                };
                content.push(c);
                self.cursor.skip_many(2);
                return Ok(());
            }
        };
        self.cursor.skip_many(2);
        self.cursor.need(digits)?;
        let mut value = 0_u32;
        for offset in 0..digits {
            let Some(digit) = char::from(self.cursor.at(offset)).to_digit(16) else {
                return Err(self.error(start, "did not find expected hexdecimal number"));
            };
            value = (value << 4) | digit;
        }
        let Some(c) = char::from_u32(value) else {
            return Err(self.error(start, "found invalid Unicode character escape code"));
        };
        content.push(c);
        self.cursor.skip_many(digits);
        Ok(())
    }
}

/// Returns the character that a backslash and this letter stand for.
fn escaped(letter: u8) -> Option<char> {
    Some(match letter {
        b'0' => '\0',
        b'a' => '\u{7}',
        b'b' => '\u{8}',
        b't' | b'\t' => '\t',
        b'n' => '\n',
        b'v' => '\u{B}',
        b'f' => '\u{C}',
        b'r' => '\r',
        b'e' => '\u{1B}',
        b' ' | b'"' | b'\'' | b'\\' => char::from(letter),
        b'N' => '\u{85}',
        b'_' => '\u{A0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ => return None,
    })
}
