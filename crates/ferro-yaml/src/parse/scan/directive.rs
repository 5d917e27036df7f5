//! `%YAML` and `%TAG`.

use super::super::token::{Data, Kind, Mark, Token};
use super::Scanner;
use super::cursor::Stops;
use crate::Result;

impl Scanner<'_> {
    pub(super) fn fetch_directive(&mut self) -> Result<()> {
        let start = self.cursor.mark();
        self.cursor.skip();
        let name = self.read_name()?;
        if name.is_empty() {
            return Err(self.error(start, "could not find expected directive name"));
        }
        if !self.cursor.is_space_or_end(0) {
            return Err(self.error(start, "found unexpected non-alphabetical character"));
        }
        let token = match name {
            "YAML" => Token::with(Kind::VersionDirective, start, self.read_version(start)?),
            "TAG" => Token::with(Kind::TagDirective, start, self.read_tag_directive(start)?),
            _ => return Err(self.error(start, "found unknown directive name")),
        };
        self.cursor.skip_blanks(true)?;
        if self.cursor.at(0) == b'#' {
            while self.cursor.run(Stops::LINE) {
                self.cursor.need(1)?;
            }
        }
        if !self.cursor.is_break_or_end(0) {
            return Err(self.error(start, "did not find expected comment or line break"));
        }
        if self.cursor.is_break(0) {
            self.cursor.need(2)?;
            self.cursor.read_break();
        }
        self.push(token);
        Ok(())
    }
}

impl<'a> Scanner<'a> {
    fn read_version(&mut self, start: Mark) -> Result<Data<'a>> {
        self.cursor.skip_blanks(true)?;
        let major = self.read_number(start)?;
        if self.cursor.at(0) != b'.' {
            return Err(self.error(start, "did not find expected digit or '.' character"));
        }
        self.cursor.skip();
        Ok(Data::Version(major, self.read_number(start)?))
    }

    fn read_number(&mut self, start: Mark) -> Result<u8> {
        let (mut value, mut length) = (0, 0);
        self.cursor.need(1)?;
        while self.cursor.at(0).is_ascii_digit() {
            length += 1;
            if length > 2 {
                return Err(self.error(start, "found extremely long version number"));
            }
            value = value * 10 + (self.cursor.at(0) - b'0');
            self.cursor.skip();
            self.cursor.need(1)?;
        }
        if length == 0 {
            return Err(self.error(start, "did not find expected version number"));
        }
        Ok(value)
    }

    fn read_tag_directive(&mut self, start: Mark) -> Result<Data<'a>> {
        self.cursor.skip_blanks(true)?;
        let handle = self.read_handle(true, start)?;
        self.cursor.need(1)?;
        if !self.cursor.is_blank(0) {
            return Err(self.error(start, "did not find expected whitespace"));
        }
        self.cursor.skip_blanks(true)?;
        let prefix = self.read_uri("", start)?;
        self.cursor.need(1)?;
        if !self.cursor.is_space_or_end(0) {
            return Err(self.error(start, "did not find expected whitespace or line break"));
        }
        Ok(Data::Tag(Box::new((handle, prefix))))
    }
}
