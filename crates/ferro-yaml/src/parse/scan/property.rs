//! Anchors, aliases and tags.

use std::borrow::Cow;

use super::super::reader::char_width;
use super::super::token::{Data, Kind, Mark, Token};
use super::Scanner;
use crate::Result;

impl<'a> Scanner<'a> {
    /// Scans an anchor or an alias.
    pub(super) fn scan_name(&mut self, kind: Kind) -> Result<Token<'a>> {
        let start = self.cursor.mark();
        self.cursor.skip();
        let name = self.read_name()?;
        let may_follow = matches!(
            self.cursor.at(0),
            b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
        );
        if name.is_empty() || !(may_follow || self.cursor.is_space_or_end(0)) {
            let problem = "did not find expected alphabetic or numeric character";
            return Err(self.error(start, problem));
        }
        Ok(Token::with(kind, start, Data::Name(name)))
    }

    /// Reads letters, digits, `-` and `_`.
    pub(super) fn read_name(&mut self) -> Result<&'a str> {
        let from = self.cursor.offset();
        self.cursor.need(1)?;
        while self.cursor.is_name() {
            self.cursor.skip();
            self.cursor.need(1)?;
        }
        Ok(self.cursor.slice(from, self.cursor.offset()))
    }

    /// Scans `!<uri>`, `!suffix`, `!handle!suffix` or a lone `!`.
    pub(super) fn scan_tag(&mut self) -> Result<Token<'a>> {
        let start = self.cursor.mark();
        self.cursor.need(2)?;
        let (handle, suffix) = if self.cursor.at(1) == b'<' {
            self.cursor.skip_many(2);
            let uri = self.read_uri("", start)?;
            if self.cursor.at(0) != b'>' {
                return Err(self.error(start, "did not find the expected '>'"));
            }
            self.cursor.skip();
            ("", uri)
        } else {
            let handle = self.read_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                (handle, self.read_uri("", start)?)
            } else {
                match self.read_uri(handle, start)? {
                    suffix if suffix.is_empty() => ("", Cow::Borrowed("!")),
                    suffix => ("!", suffix),
                }
            }
        };
        self.cursor.need(1)?;
        if !self.cursor.is_space_or_end(0) {
            return Err(self.error(start, "did not find expected whitespace or line break"));
        }
        Ok(Token::with(
            Kind::Tag,
            start,
            Data::Tag(Box::new((handle, suffix))),
        ))
    }

    /// Reads `!`, `!!` or `!name!`; outside of a directive also `!name`, the start of a suffix.
    pub(super) fn read_handle(&mut self, is_directive: bool, start: Mark) -> Result<&'a str> {
        self.cursor.need(1)?;
        let from = self.cursor.offset();
        if self.cursor.at(0) != b'!' {
            return Err(self.error(start, "did not find expected '!'"));
        }
        self.cursor.skip();
        let name = self.read_name()?;
        if self.cursor.at(0) == b'!' {
            self.cursor.skip();
        } else if is_directive && !name.is_empty() {
            return Err(self.error(start, "did not find expected '!'"));
        }
        Ok(self.cursor.slice(from, self.cursor.offset()))
    }

    /// Reads the characters of a URI, after those that were read as the handle `head`.
    pub(super) fn read_uri(&mut self, head: &'a str, start: Mark) -> Result<Cow<'a, str>> {
        let mut uri = head.get(1..).unwrap_or_default().as_bytes().to_vec();
        let mut has_any = !head.is_empty();
        self.cursor.need(1)?;
        loop {
            match self.cursor.at(0) {
                b'%' => self.read_uri_escape(&mut uri, start)?,
                byte if is_uri(byte) => {
                    uri.push(byte);
                    self.cursor.skip();
                }
                _ => break,
            }
            self.cursor.need(1)?;
            has_any = true;
        }
        if !has_any {
            return Err(self.error(start, "did not find expected tag URI"));
        }
        Ok(Cow::Owned(String::from_utf8_lossy(&uri).into_owned()))
    }

    /// Reads the escaped bytes of one character.
    fn read_uri_escape(&mut self, uri: &mut Vec<u8>, start: Mark) -> Result<()> {
        let mut left = None;
        while left != Some(0) {
            self.cursor.need(3)?;
            let digit = |offset| char::from(self.cursor.at(offset)).to_digit(16);
            let (b'%', Some(high), Some(low)) = (self.cursor.at(0), digit(1), digit(2)) else {
                return Err(self.error(start, "did not find URI escaped octet"));
            };
            let octet = u8::try_from(high << 4 | low).unwrap_or_default();
            let width = match left {
                None if char_width(octet) == 0 => {
                    return Err(self.error(start, "found an incorrect leading UTF-8 octet"));
                }
                None => char_width(octet),
                Some(_) if octet & 0xC0 != 0x80 => {
                    return Err(self.error(start, "found an incorrect trailing UTF-8 octet"));
                }
                Some(width) => width,
            };
            uri.push(octet);
            self.cursor.skip_many(3);
            left = Some(width - 1);
        }
        Ok(())
    }
}

fn is_uri(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_;/?:@&=+$,.!~*'()[]".contains(&byte)
}
