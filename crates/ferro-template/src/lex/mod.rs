//! The lexer: text and actions to tokens, with the positions and errors of Go's.

mod number;
mod token;

use ferro_gocompat::literal::decode;
use ferro_gocompat::unicode::{is_digit, is_letter, is_print};
use memchr::memmem;

pub(crate) use self::token::{Kind, Token};

/// The delimiters of actions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delims<'t> {
    pub(crate) left: &'t [u8],
    pub(crate) right: &'t [u8],
}

impl Default for Delims<'static> {
    fn default() -> Self {
        Self {
            left: b"{{",
            right: b"}}",
        }
    }
}

/// A trim marker is a hyphen and the space on its inner side.
const TRIM_MARKER_LEN: usize = 2;

pub(crate) struct Lexer<'t> {
    input: &'t [u8],
    delims: Delims<'t>,
    pos: usize,
    /// The start of the current token, and its line.
    start: usize,
    start_line: u32,
    line: u32,
    at_eof: bool,
    message: String,
    paren_depth: i64,
    is_inside_action: bool,
    /// Whether `break` and `continue` are keywords: not when they name functions.
    pub(crate) break_is_keyword: bool,
    pub(crate) continue_is_keyword: bool,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(input: &'t [u8], delims: Delims<'t>) -> Self {
        Self {
            input,
            delims,
            pos: 0,
            start: 0,
            start_line: 1,
            line: 1,
            at_eof: false,
            message: String::new(),
            paren_depth: 0,
            is_inside_action: false,
            break_is_keyword: true,
            continue_is_keyword: true,
        }
    }

    /// Returns the message of the last token, which is an error.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the next token.
    pub(crate) fn next_token(&mut self) -> Token {
        if !self.is_inside_action {
            return self.lex_text();
        }
        // Most tokens begin with a single space, a letter, a dot or a dollar sign.
        match self.rest() {
            [b' ', next, ..]
                if !matches!(next, b' ' | b'\t' | b'\r' | b'\n' | b'-') && !self.is_delim(b' ') =>
            {
                self.pos += 1;
                self.emit(Kind::Space)
            }
            [first, ..] if is_ascii_letter(*first) && !self.is_delim(*first) => self.lex_identifier(),
            [first, second, ..]
                if (*first == b'.' && is_ascii_letter(*second) || *first == b'$')
                    && !self.is_delim(*first) =>
            {
                self.pos += 1;
                let kind = if *first == b'.' {
                    Kind::Field
                } else {
                    Kind::Variable
                };
                self.lex_field_or_variable(kind)
            }
            _ => self.lex_inside_action(),
        }
    }

    fn rest(&self) -> &'t [u8] {
        self.input.get(self.pos..).unwrap_or_default()
    }

    fn current(&self) -> &'t [u8] {
        self.input.get(self.start..self.pos).unwrap_or_default()
    }

    fn count_lines(&self) -> u32 {
        let text = self.current();
        // For a few bytes, the search for many costs more than it finds.
        let count = if text.len() < 16 {
            text.iter().filter(|byte| **byte == b'\n').count()
        } else {
            memchr::memchr_iter(b'\n', text).count()
        };
        count as u32
    }

    fn next(&mut self) -> Option<char> {
        let rest = self.rest();
        let Some(first) = rest.first() else {
            self.at_eof = true;
            return None;
        };
        let (c, size) = if first.is_ascii() {
            (char::from(*first), 1)
        } else {
            decode(rest)
        };
        self.pos += size;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// Steps back over the character that [`Self::next`] returned last.
    fn backup(&mut self, c: Option<char>) {
        let Some(c) = c else { return };
        if self.at_eof || self.pos == 0 {
            return;
        }
        let is_invalid = c == char::REPLACEMENT_CHARACTER
            && !self
                .input
                .get(..self.pos)
                .is_some_and(|text| text.ends_with("\u{FFFD}".as_bytes()));
        self.pos -= if is_invalid { 1 } else { c.len_utf8() };
        if c == '\n' {
            self.line -= 1;
        }
    }

    fn peek(&mut self) -> Option<char> {
        let c = self.next();
        self.backup(c);
        c
    }

    fn emit(&mut self, kind: Kind) -> Token {
        // The parser takes no text of more than 4 GiB.
        let token = Token {
            pos: self.start as u32,
            len: (self.pos - self.start) as u32,
            line: self.start_line,
            kind,
        };
        self.start = self.pos;
        self.start_line = self.line;
        token
    }

    /// Skips what was passed over without [`Self::next`].
    fn ignore(&mut self) {
        if self.pos != self.start {
            self.line += self.count_lines();
        }
        self.start = self.pos;
        self.start_line = self.line;
    }

    /// Ends the scan: what follows is an empty input.
    #[cold]
    fn error(&mut self, message: String) -> Token {
        let token = Token {
            pos: self.start as u32,
            len: 0,
            line: self.start_line,
            kind: Kind::Error,
        };
        self.message = message;
        self.start = 0;
        self.pos = 0;
        self.input = b"";
        token
    }

    /// Scans to the next action, over comments.
    #[inline(never)]
    fn lex_text(&mut self) -> Token {
        loop {
            if let Some(token) = self.lex_plain().or_else(|| self.lex_left_delim()) {
                return token;
            }
        }
    }

    /// Scans what is before a left delimiter; there may be nothing to tell of.
    fn lex_plain(&mut self) -> Option<Token> {
        let Some(found) = find(self.rest(), self.delims.left) else {
            self.pos = self.input.len();
            if self.pos > self.start {
                self.line += self.count_lines();
                return Some(self.emit(Kind::Text));
            }
            return Some(self.emit(Kind::Eof));
        };
        if found > 0 {
            self.pos += found;
            let after = self
                .input
                .get(self.pos + self.delims.left.len()..)
                .unwrap_or_default();
            let trimmed = if has_left_trim_marker(after) {
                trailing_space(self.current())
            } else {
                0
            };
            self.pos -= trimmed;
            self.line += self.count_lines();
            let token = self.emit(Kind::Text);
            self.pos += trimmed;
            self.ignore();
            if token.len != 0 {
                return Some(token);
            }
        }
        None
    }

    /// Scans a left delimiter, or a comment, which is nothing.
    fn lex_left_delim(&mut self) -> Option<Token> {
        self.pos += self.delims.left.len();
        let marker = if has_left_trim_marker(self.rest()) {
            TRIM_MARKER_LEN
        } else {
            0
        };
        if self
            .rest()
            .get(marker..)
            .is_some_and(|rest| rest.starts_with(b"/*"))
        {
            self.pos += marker;
            self.ignore();
            return self.lex_comment();
        }
        let token = self.emit(Kind::LeftDelim);
        self.is_inside_action = true;
        self.pos += marker;
        self.ignore();
        self.paren_depth = 0;
        Some(token)
    }

    /// Skips a comment, unless it is an error.
    fn lex_comment(&mut self) -> Option<Token> {
        self.pos += 2;
        let Some(end) = memmem::find(self.rest(), b"*/") else {
            return Some(self.error("unclosed comment".to_owned()));
        };
        self.pos += end + 2;
        let Some(trims) = self.at_right_delim() else {
            return Some(self.error("comment ends before closing delimiter".to_owned()));
        };
        self.line += self.count_lines();
        self.emit(Kind::Text);
        self.pos += self.delims.right.len();
        if trims {
            self.pos += TRIM_MARKER_LEN;
            self.pos += leading_space(self.rest());
        }
        self.ignore();
        None
    }

    /// Tells whether a right delimiter is here, and whether it trims.
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        let right = self.delims.right;
        if !rest
            .first()
            .is_some_and(|first| self.is_delim(*first) || is_space_byte(first))
        {
            return None;
        }
        if has_right_trim_marker(rest)
            && rest
                .get(TRIM_MARKER_LEN..)
                .is_some_and(|rest| rest.starts_with(right))
        {
            return Some(true);
        }
        rest.starts_with(right).then_some(false)
    }

    fn lex_right_delim(&mut self, trims: bool) -> Token {
        if trims {
            self.pos += TRIM_MARKER_LEN;
            self.ignore();
        }
        self.pos += self.delims.right.len();
        let token = self.emit(Kind::RightDelim);
        if trims {
            self.pos += leading_space(self.rest());
            self.ignore();
        }
        self.is_inside_action = false;
        token
    }

    /// Scans any token of an action.
    #[inline(never)]
    fn lex_inside_action(&mut self) -> Token {
        if let Some(trims) = self.at_right_delim() {
            if self.paren_depth == 0 {
                return self.lex_right_delim(trims);
            }
            return self.error("unclosed left paren".to_owned());
        }
        let first = self.next();
        let Some(c) = first else {
            return self.error("unclosed action".to_owned());
        };
        match c {
            ' ' | '\t' | '\r' | '\n' => {
                self.backup(first);
                self.lex_space()
            }
            '=' => self.emit(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit(Kind::Declare),
            ':' => self.error("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe),
            '"' => self.lex_quoted(b'"', Kind::String, "unterminated quoted string"),
            '\'' => self.lex_quoted(b'\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.lex_raw(),
            '$' => self.lex_field_or_variable(Kind::Variable),
            '.' if !self.rest().first().is_none_or(u8::is_ascii_digit) => {
                self.lex_field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.backup(first);
                self.lex_number()
            }
            _ if is_alphanumeric(c) => self.lex_identifier(),
            '(' => {
                self.paren_depth += 1;
                self.emit(Kind::LeftParen)
            }
            ')' => {
                self.paren_depth -= 1;
                if self.paren_depth < 0 {
                    return self.error("unexpected right paren".to_owned());
                }
                self.emit(Kind::RightParen)
            }
            '!'..='~' => self.emit(Kind::Char),
            _ => self.bad_character("unrecognized character in action:", first),
        }
    }

    /// Tells whether the right delimiter may begin with this byte.
    fn is_delim(&self, byte: u8) -> bool {
        self.delims.right.first() == Some(&byte)
    }

    fn lex_space(&mut self) -> Token {
        let mut spaces = 0;
        let mut last = None;
        loop {
            let c = self.next();
            if !c.is_some_and(is_space) {
                self.backup(c);
                break;
            }
            last = c;
            spaces += 1;
        }
        // The last space may belong to a trimming right delimiter.
        let from_last = self.input.get(self.pos - 1..).unwrap_or_default();
        let trims = has_right_trim_marker(from_last)
            && from_last
                .get(TRIM_MARKER_LEN..)
                .is_some_and(|rest| rest.starts_with(self.delims.right));
        if trims {
            self.backup(last);
            if spaces == 1 {
                return self.lex_right_delim(true);
            }
        }
        self.emit(Kind::Space)
    }

    fn lex_identifier(&mut self) -> Token {
        let stop = self.skip_alphanumeric();
        let word = self.current();
        if !self.at_terminator() {
            return self.bad_character("bad character", stop);
        }
        let kind = match word {
            b"block" => Kind::Block,
            b"break" if self.break_is_keyword => Kind::Break,
            b"continue" if self.continue_is_keyword => Kind::Continue,
            b"define" => Kind::Define,
            b"else" => Kind::Else,
            b"end" => Kind::End,
            b"if" => Kind::If,
            b"range" => Kind::Range,
            b"nil" => Kind::Nil,
            b"template" => Kind::Template,
            b"with" => Kind::With,
            b"true" | b"false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind)
    }

    /// Skips letters and digits and returns what stopped it.
    fn skip_alphanumeric(&mut self) -> Option<char> {
        let rest = self.rest();
        let end = rest.iter().position(|byte| !is_ascii_word(*byte));
        self.pos += end.unwrap_or(rest.len());
        if let Some(stop) = end.and_then(|end| rest.get(end)).filter(|byte| byte.is_ascii()) {
            return Some(char::from(*stop));
        }
        loop {
            let c = self.next();
            if !c.is_some_and(is_alphanumeric) {
                self.backup(c);
                return c;
            }
        }
    }

    /// Scans `.name` or `$name`, of which the first character is done with.
    fn lex_field_or_variable(&mut self, kind: Kind) -> Token {
        if self.at_terminator() {
            let alone = if kind == Kind::Field { Kind::Dot } else { kind };
            return self.emit(alone);
        }
        let stop = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.bad_character("bad character", stop);
        }
        self.emit(kind)
    }

    fn at_terminator(&mut self) -> bool {
        match self.rest().first() {
            Some(b' ' | b'\t' | b'\r' | b'\n' | b'.' | b',' | b'|' | b':' | b')' | b'(') => true,
            Some(first) => self.is_delim(*first) && self.rest().starts_with(self.delims.right),
            None => {
                self.at_eof = true;
                true
            }
        }
    }

    #[cold]
    fn bad_character(&mut self, what: &str, c: Option<char>) -> Token {
        self.error(format!("{what} {}", show_char(c)))
    }

    /// Scans to the closing quote; the parser checks the escapes.
    fn lex_quoted(&mut self, quote: u8, kind: Kind, unterminated: &str) -> Token {
        loop {
            let rest = self.rest();
            let is_plain = |byte: &u8| *byte != quote && *byte != b'\\' && *byte != b'\n';
            let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
            self.pos += plain + 1;
            match (rest.get(plain), rest.get(plain + 1)) {
                (Some(c), _) if *c == quote => return self.emit(kind),
                // Of a longer character the other bytes are plain.
                (Some(b'\\'), Some(escaped)) if *escaped != b'\n' => self.pos += 1,
                _ => return self.error(unterminated.to_owned()),
            }
        }
    }

    fn lex_raw(&mut self) -> Token {
        loop {
            match self.next() {
                None => return self.error("unterminated raw quoted string".to_owned()),
                Some('`') => return self.emit(Kind::RawString),
                Some(_) => {}
            }
        }
    }
}

/// Finds a delimiter; what it begins with is rare in other texts.
fn find(text: &[u8], delim: &[u8]) -> Option<usize> {
    let first = *delim.first()?;
    memchr::memchr_iter(first, text).find(|at| text.get(*at..).is_some_and(|text| text.starts_with(delim)))
}

/// Prints like `%#U`.
fn show_char(c: Option<char>) -> String {
    match c {
        // Go's end of input is the number -1.
        None => "U+FFFFFFFFFFFFFFFF".to_owned(),
        Some(c) if is_print(c) => format!("U+{:04X} '{c}'", u32::from(c)),
        Some(c) => format!("U+{:04X}", u32::from(c)),
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_ascii_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Tells whether a byte is a letter or digit of ASCII. Names are a third of what is in actions.
fn is_ascii_word(byte: u8) -> bool {
    #[expect(clippy::indexing_slicing, reason = "it would not compile out of bounds")]
    const WORD: [bool; 256] = {
        let mut word = [false; 256];
        let mut at = 0;
        while at < 256 {
            word[at] = (at as u8).is_ascii_alphanumeric() || at as u8 == b'_';
            at += 1;
        }
        word
    };
    WORD.get(usize::from(byte)).copied().unwrap_or_default()
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || is_letter(c) || is_digit(c)
}

fn is_space_byte(byte: &u8) -> bool {
    is_space(char::from(*byte))
}

fn has_left_trim_marker(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space_byte(space))
}

fn has_right_trim_marker(text: &[u8]) -> bool {
    matches!(text, [space, b'-', ..] if is_space_byte(space))
}

fn trailing_space(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| is_space_byte(byte)).count()
}

fn leading_space(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_space_byte(byte)).count()
}
