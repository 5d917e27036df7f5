//! Which token comes next.

use super::super::token::{Kind, Mark, Token};
use super::Scanner;
use crate::{Result, ScalarStyle};

impl Scanner<'_> {
    /// Puts at least one more token into the queue.
    pub(super) fn fetch_next(&mut self) -> Result<()> {
        self.cursor.need(1)?;
        let scan_start = self.cursor.mark();
        if !self.has_started {
            self.has_started = true;
            self.push(Token::new(Kind::StreamStart, scan_start, 0));
            return Ok(());
        }
        self.scan_to_next_token(scan_start)?;
        self.unroll_indent(i64::from(self.cursor.column()), scan_start);
        self.cursor.need(4)?;
        let first = self.cursor.at(0);
        if first == 0 {
            return self.fetch_stream_end();
        }
        if first == b'%' && self.cursor.at_line_start() {
            self.end_blocks()?;
            return self.fetch_directive();
        }
        if self.cursor.is_document_indicator() {
            let kind = if first == b'-' {
                Kind::DocumentStart
            } else {
                Kind::DocumentEnd
            };
            self.end_blocks()?;
            self.push_indicator(kind, 3);
            return Ok(());
        }
        let comment_index = self.line_comment_index(first);
        self.fetch_content(first)?;
        // A comment right behind `-` goes before what follows.
        if self.is_v3()
            && self
                .tokens
                .back()
                .is_none_or(|token| token.kind != Kind::BlockEntry)
        {
            self.scan_line_comment(comment_index)?;
        }
        Ok(())
    }

    fn fetch_content(&mut self, first: u8) -> Result<()> {
        let in_flow = self.flow_level > 0;
        let before_space = matches!(first, b'-' | b'?' | b':') && self.cursor.is_space_or_end(1);
        match first {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if before_space => self.fetch_block_entry(),
            b'?' if in_flow || before_space => self.fetch_key(),
            b':' if in_flow || before_space => self.fetch_value(),
            b'*' => self.fetch_name(Kind::Alias),
            b'&' => self.fetch_name(Kind::Anchor),
            b'!' => self.fetch_tag(),
            b'|' if !in_flow => self.fetch_block_scalar(ScalarStyle::Literal),
            b'>' if !in_flow => self.fetch_block_scalar(ScalarStyle::Folded),
            b'\'' => self.fetch_quoted(ScalarStyle::SingleQuoted),
            b'"' => self.fetch_quoted(ScalarStyle::DoubleQuoted),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => {
                Err(self.error(self.cursor.mark(), "found character that cannot start any token"))
            }
            _ => self.fetch_plain(),
        }
    }

    /// Steps over blanks, line breaks and comments.
    fn scan_to_next_token(&mut self, scan_start: Mark) -> Result<()> {
        loop {
            self.cursor.need(1)?;
            if self.cursor.at_line_start() && self.cursor.is_byte_order_mark() {
                self.cursor.skip();
            }
            // Where a key may start, a tab is no indentation.
            self.cursor
                .skip_blanks(self.flow_level > 0 || !self.simple_key_allowed)?;
            if !self.comments.is_empty() {
                self.turn_line_comment_to_head();
            }
            if self.cursor.at(0) == b'#' {
                self.scan_comments(scan_start)?;
            }
            if !self.cursor.is_break(0) {
                return Ok(());
            }
            self.cursor.need(2)?;
            self.cursor.read_break();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// Consumes an indicator and puts its token into the queue.
    #[inline]
    fn push_indicator(&mut self, kind: Kind, width: u8) {
        let start = self.cursor.mark();
        self.cursor.skip_many(usize::from(width));
        self.push(Token::new(kind, start, width));
    }

    fn end_blocks(&mut self) -> Result<()> {
        self.unroll_indent(-1, self.cursor.mark());
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        Ok(())
    }

    fn fetch_stream_end(&mut self) -> Result<()> {
        self.cursor.force_line();
        self.end_blocks()?;
        self.push_indicator(Kind::StreamEnd, 0);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Result<()> {
        self.save_simple_key()?;
        self.increase_flow_level()?;
        self.simple_key_allowed = true;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Result<()> {
        self.remove_simple_key()?;
        self.decrease_flow_level();
        self.simple_key_allowed = false;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(Kind::FlowEntry, 1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<()> {
        // Inside a flow it is wrong, too, but the parser knows better what to say.
        if self.flow_level == 0 {
            let mark = self.cursor.mark();
            if !self.simple_key_allowed {
                return Err(self.error(mark, "block sequence entries are not allowed in this context"));
            }
            self.roll_indent(None, Kind::BlockSequenceStart, mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(Kind::BlockEntry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        if self.flow_level == 0 {
            let mark = self.cursor.mark();
            if !self.simple_key_allowed {
                return Err(self.error(mark, "mapping keys are not allowed in this context"));
            }
            self.roll_indent(None, Kind::BlockMappingStart, mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(Kind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let level = self.simple_keys.len().saturating_sub(1);
        if self.is_key_possible(level)? {
            self.insert_simple_key(level)?;
        } else {
            if self.flow_level == 0 {
                let mark = self.cursor.mark();
                if !self.simple_key_allowed {
                    return Err(self.error(mark, "mapping values are not allowed in this context"));
                }
                self.roll_indent(None, Kind::BlockMappingStart, mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(Kind::Value, 1);
        Ok(())
    }

    /// Marks the token that turned out to start a key.
    fn insert_simple_key(&mut self, level: usize) -> Result<()> {
        let Some(key) = self.simple_keys.get(level).copied() else {
            return Ok(());
        };
        self.forget_key_of(key.number);
        self.insert(Some(key.number), Token::new(Kind::Key, key.mark, 0));
        self.roll_indent(Some(key.number), Kind::BlockMappingStart, key.mark)?;
        if let Some(key) = self.simple_keys.get_mut(level) {
            key.possible = false;
        }
        // A key cannot follow another one.
        self.simple_key_allowed = false;
        Ok(())
    }

    fn fetch_name(&mut self, kind: Kind) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_name(kind)?;
        self.push(token);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_tag()?;
        self.push(token);
        Ok(())
    }

    fn fetch_block_scalar(&mut self, style: ScalarStyle) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let token = self.scan_block_scalar(style)?;
        self.push(token);
        Ok(())
    }

    fn fetch_quoted(&mut self, style: ScalarStyle) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_quoted(style)?;
        self.push(token);
        Ok(())
    }

    fn fetch_plain(&mut self) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = self.scan_plain()?;
        self.push(token);
        Ok(())
    }
}
