//! Literal and folded scalars.

use super::super::token::{Data, Kind, Mark, Token};
use super::Scanner;
use super::cursor::Stops;
use crate::{Result, ScalarStyle};

/// What the header of a block scalar says.
#[derive(Clone, Copy, Default)]
struct Header {
    chomp: Chomp,
    /// The indentation relative to the parent; 0 if it is to be found out.
    indent: i64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Chomp {
    Strip,
    #[default]
    Clip,
    Keep,
}

impl<'a> Scanner<'a> {
    pub(super) fn scan_block_scalar(&mut self, style: ScalarStyle) -> Result<Token<'a>> {
        let start = self.cursor.mark();
        self.cursor.skip();
        self.cursor.need(1)?;
        let header = self.read_header(start)?;
        self.end_header(start)?;
        let mut indent = match header.indent {
            0 => 0,
            step => self.indent.max(0) + step,
        };
        let is_folded = style == ScalarStyle::Folded;
        let mut text = String::new();
        // The break at the end of the last line, and those of empty lines after it.
        let mut line_break = None;
        let mut empty_lines = String::new();
        let mut after_indented = false;
        self.read_empty_lines(&mut indent, &mut empty_lines, start)?;
        self.cursor.need(1)?;
        while i64::from(self.cursor.column()) == indent && self.cursor.at(0) != 0 {
            let is_indented = self.cursor.is_blank(0);
            let folds = is_folded && !after_indented && !is_indented && line_break == Some('\n');
            match line_break.take() {
                Some(_) if folds && !empty_lines.is_empty() => {}
                Some(_) if folds => text.push(' '),
                kept => text.extend(kept),
            }
            text.push_str(&empty_lines);
            empty_lines.clear();
            after_indented = is_indented;
            let from = self.cursor.offset();
            while self.cursor.run(Stops::LINE) {
                self.cursor.need(1)?;
            }
            text.push_str(self.cursor.slice(from, self.cursor.offset()));
            self.cursor.need(2)?;
            line_break = self.cursor.read_break();
            self.read_empty_lines(&mut indent, &mut empty_lines, start)?;
        }
        if header.chomp != Chomp::Strip {
            text.extend(line_break);
        }
        if header.chomp == Chomp::Keep {
            text.push_str(&empty_lines);
        }
        Ok(Token::with(Kind::Scalar, start, Data::Scalar(text.into(), style)))
    }

    /// Reads the indicators of indentation and chomping, which come in any order.
    fn read_header(&mut self, start: Mark) -> Result<Header> {
        let mut header = Header::default();
        if self.read_chomp(&mut header) {
            self.cursor.need(1)?;
            self.read_indent_indicator(&mut header, start)?;
        } else if self.read_indent_indicator(&mut header, start)? {
            self.cursor.need(1)?;
            self.read_chomp(&mut header);
        }
        Ok(header)
    }

    fn read_chomp(&mut self, header: &mut Header) -> bool {
        header.chomp = match self.cursor.at(0) {
            b'+' => Chomp::Keep,
            b'-' => Chomp::Strip,
            _ => return false,
        };
        self.cursor.skip();
        true
    }

    fn read_indent_indicator(&mut self, header: &mut Header, start: Mark) -> Result<bool> {
        match self.cursor.at(0) {
            b'0' => Err(self.error(start, "found an indentation indicator equal to 0")),
            digit @ b'1'..=b'9' => {
                header.indent = i64::from(digit - b'0');
                self.cursor.skip();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Reads the rest of the header's line.
    fn end_header(&mut self, start: Mark) -> Result<()> {
        self.cursor.skip_blanks(true)?;
        if self.cursor.at(0) == b'#' {
            if self.is_v3() {
                self.scan_line_comment(start.index)?;
            }
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
        Ok(())
    }

    /// Steps over the indentation and empty lines. Where the indentation is not known yet, it is that of
    /// the longest of these lines, and at least one more than the parent's.
    fn read_empty_lines(&mut self, indent: &mut i64, breaks: &mut String, start: Mark) -> Result<()> {
        let mut widest = 0;
        loop {
            self.cursor.need(1)?;
            let is_inside = |column: u32, indent: i64| indent == 0 || i64::from(column) < indent;
            match u32::try_from(*indent) {
                Ok(0) | Err(_) => self.cursor.skip_blanks(false)?,
                Ok(indent) => self.cursor.skip_indentation(indent)?,
            }
            widest = widest.max(i64::from(self.cursor.column()));
            if is_inside(self.cursor.column(), *indent) && self.cursor.at(0) == b'\t' {
                let problem = "found a tab character where an indentation space is expected";
                return Err(self.error(start, problem));
            }
            if !self.cursor.is_break(0) {
                break;
            }
            self.cursor.need(2)?;
            breaks.extend(self.cursor.read_break());
        }
        if *indent == 0 {
            *indent = widest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}
