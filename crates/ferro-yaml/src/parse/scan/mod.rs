//! From text to tokens, by the rules of libyaml as its Go ports have them.
//!
//! Two things make YAML hard to scan. Whether a word is a key is known only when its `:` comes, so tokens
//! wait in a queue while the first of them may start a *simple key*, and `Key` is put before it later. And
//! blocks are closed by what does not stand under them: the scanner keeps the stack of indentations.
//!
//! v3 looks two tokens further ahead than v2, and scans comments, which changes what it accepts in corners.

mod block;
mod comment;
mod cursor;
mod directive;
mod fetch;
mod plain;
mod property;
mod quoted;

use std::collections::VecDeque;

use super::reader::Decoded;
use super::token::{Kind, Mark, Token};
use crate::{Dialect, Error, Result};
pub(super) use comment::{Comment, Place};
use cursor::Cursor;

/// How deep Go lets blocks or flows nest.
const MAX_DEPTH: usize = 10_000;

/// The longest key without `?`, in characters.
const MAX_KEY_LENGTH: i64 = 1024;

/// A token that may turn out to start a key.
#[derive(Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    /// It stands where only a key can.
    required: bool,
    /// The number of its token in the stream.
    number: usize,
    mark: Mark,
}

pub(super) struct Scanner<'a> {
    cursor: Cursor<'a>,
    dialect: Dialect,
    tokens: VecDeque<Token<'a>>,
    /// How many tokens were taken from the queue.
    taken: usize,
    has_started: bool,
    /// The column of the current block, -1 outside of all.
    indent: i64,
    indents: Vec<i64>,
    flow_level: usize,
    /// One for each level of flow, and one for the block.
    simple_keys: Vec<SimpleKey>,
    simple_key_allowed: bool,
    /// The simple key of the token that comes into the queue next.
    pending_key: Option<u32>,
    comments: VecDeque<Comment<'a>>,
    /// Whether the texts of comments are wanted.
    keeps_comments: bool,
    /// What go-yaml would only notice after the event that it is reading.
    late_error: Option<Error>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(decoded: &'a Decoded<'_>, dialect: Dialect, keeps_comments: bool) -> Self {
        Self {
            cursor: Cursor::new(decoded),
            dialect,
            tokens: VecDeque::new(),
            taken: 0,
            has_started: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_keys: vec![SimpleKey::default()],
            simple_key_allowed: true,
            pending_key: None,
            comments: VecDeque::new(),
            keeps_comments,
            late_error: None,
        }
    }

    /// Makes sure that the next token is final, and returns it without taking it.
    pub(super) fn peek(&mut self) -> Result<&Token<'a>> {
        while self.wants_more()? {
            self.fetch_next()?;
        }
        self.tokens.front().ok_or_else(|| Error::Syntax {
            line: 0,
            problem: "unknown problem parsing YAML content".to_owned(),
        })
    }

    /// Lets the event that is being read end before `error` is told.
    pub(super) fn postpone(&mut self, error: Error) {
        self.late_error = Some(error);
    }

    /// Returns an error that was postponed.
    pub(super) fn postponed(&mut self) -> Result<()> {
        self.late_error.take().map_or(Ok(()), Err)
    }

    /// Takes the token that was looked at.
    pub(super) fn take(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.pop_front();
        self.taken += usize::from(token.is_some());
        token
    }

    /// Takes the next comment that belongs to a token which starts at `index`; those that go before a
    /// token are left if the token ends a block.
    pub(super) fn next_comment(&mut self, index: i64, is_block_end: bool) -> Option<Comment<'a>> {
        let comment = self.comments.front()?;
        if index < comment.token_index || (is_block_end && comment.place == Place::Head) {
            return None;
        }
        self.comments.pop_front()
    }

    fn is_v3(&self) -> bool {
        self.dialect == Dialect::V3
    }

    fn wants_more(&mut self) -> Result<bool> {
        let ahead = if self.is_v3() { 2 } else { 0 };
        if self.tokens.len() <= ahead {
            return Ok(true);
        }
        match self.tokens.front().and_then(|token| token.simple_key) {
            Some(level) => self.is_key_possible(level as usize),
            None => Ok(false),
        }
    }

    /// Makes the error of a scanner. v3 names the line where the construct starts, v2 where it breaks.
    fn error(&self, context: Mark, problem: impl Into<String>) -> Error {
        let here = self.cursor.line();
        let first = if self.is_v3() { context.line } else { here };
        let line = if first != 0 { first } else { here };
        Error::Syntax {
            line: if line == 0 { 0 } else { line + 1 },
            problem: problem.into(),
        }
    }

    fn push(&mut self, mut token: Token<'a>) {
        token.simple_key = self.pending_key.take();
        self.tokens.push_back(token);
    }

    /// Puts a token before the one with this number, or at the end if that was taken already.
    fn insert(&mut self, number: Option<usize>, token: Token<'a>) {
        match number.and_then(|number| number.checked_sub(self.taken)) {
            Some(position) if position <= self.tokens.len() => self.tokens.insert(position, token),
            _ => self.tokens.push_back(token),
        }
    }

    fn next_number(&self) -> usize {
        self.taken + self.tokens.len()
    }

    fn is_key_possible(&mut self, level: usize) -> Result<bool> {
        let (line, index) = (self.cursor.line(), self.cursor.index());
        let Some(key) = self.simple_keys.get_mut(level).filter(|key| key.possible) else {
            return Ok(false);
        };
        if key.mark.line >= line && key.mark.index + MAX_KEY_LENGTH >= index {
            return Ok(true);
        }
        let key = *key;
        if key.required {
            return Err(self.missing_colon(key));
        }
        if let Some(key) = self.simple_keys.get_mut(level) {
            key.possible = false;
        }
        Ok(false)
    }

    fn missing_colon(&self, key: SimpleKey) -> Error {
        self.error(key.mark, "could not find expected ':'")
    }

    fn save_simple_key(&mut self) -> Result<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let mark = self.cursor.mark();
        let key = SimpleKey {
            possible: true,
            required: self.flow_level == 0 && self.indent == i64::from(mark.column),
            number: self.next_number(),
            mark,
        };
        self.remove_simple_key()?;
        let level = self.simple_keys.len().saturating_sub(1);
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
        }
        self.pending_key = u32::try_from(level).ok();
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<()> {
        let Some(key) = self.simple_keys.last_mut().filter(|key| key.possible) else {
            return Ok(());
        };
        if key.required {
            let key = *key;
            return Err(self.missing_colon(key));
        }
        key.possible = false;
        let number = key.number;
        self.forget_key_of(number);
        Ok(())
    }

    /// Lets the token with this number no longer wait for its `:`.
    fn forget_key_of(&mut self, number: usize) {
        let position = number.checked_sub(self.taken);
        if let Some(token) = position.and_then(|position| self.tokens.get_mut(position)) {
            token.simple_key = None;
        }
    }

    fn increase_flow_level(&mut self) -> Result<()> {
        let key = SimpleKey {
            number: self.next_number(),
            mark: self.cursor.mark(),
            ..SimpleKey::default()
        };
        self.simple_keys.push(key);
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return Err(self.too_deep());
        }
        Ok(())
    }

    fn decrease_flow_level(&mut self) {
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.simple_keys.pop() {
                self.forget_key_of(key.number);
            }
        }
    }

    fn too_deep(&self) -> Error {
        let key = self.simple_keys.last().copied().unwrap_or_default();
        self.error(key.mark, format!("exceeded max depth of {MAX_DEPTH}"))
    }

    /// Opens a block if the column is right of the current one; its token goes before `number`.
    fn roll_indent(&mut self, number: Option<usize>, kind: Kind, mark: Mark) -> Result<()> {
        let column = i64::from(mark.column);
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.insert(number, Token::new(kind, mark, 0));
        Ok(())
    }

    /// Closes the blocks right of the column; `scan_start` is where the space before this place starts.
    fn unroll_indent(&mut self, column: i64, scan_start: Mark) {
        if self.flow_level > 0 || self.indent <= column {
            return;
        }
        let mut end = if self.is_v3() {
            Mark {
                index: scan_start.index - 1,
                ..scan_start
            }
        } else {
            self.cursor.mark()
        };
        while self.indent > column {
            if self.is_v3() {
                end = self.block_end_before_comments(end);
            }
            self.push(Token::new(Kind::BlockEnd, end, 0));
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }
}
