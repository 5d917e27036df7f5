//! The lexer: text and actions to tokens, with the positions and errors of Go's.

mod token;

use ferro_gocompat::literal::decode;
use ferro_gocompat::quote::quote_bytes;
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

/// What a step of the lexer came to.
enum Step<'t> {
    Token(Token<'t>),
    Next(State),
}

#[derive(Clone, Copy)]
enum State {
    Text,
    LeftDelim,
    Comment,
    RightDelim,
    InsideAction,
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
    pub(crate) fn next_token(&mut self) -> Token<'t> {
        let mut state = if self.is_inside_action {
            State::InsideAction
        } else {
            State::Text
        };
        loop {
            let step = match state {
                State::Text => self.lex_text(),
                State::LeftDelim => self.lex_left_delim(),
                State::Comment => self.lex_comment(),
                State::RightDelim => self.lex_right_delim(),
                State::InsideAction => self.lex_inside_action(),
            };
            match step {
                Step::Token(token) => return token,
                Step::Next(next) => state = next,
            }
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

    fn token(&mut self, kind: Kind) -> Token<'t> {
        let token = Token {
            kind,
            // The parser takes no text of more than 4 GiB.
            pos: self.start as u32,
            line: self.start_line,
            text: self.current(),
        };
        self.start = self.pos;
        self.start_line = self.line;
        token
    }

    fn emit(&mut self, kind: Kind) -> Step<'t> {
        Step::Token(self.token(kind))
    }

    /// Skips what was passed over without [`Self::next`].
    fn ignore(&mut self) {
        if self.pos != self.start {
            self.line += self.count_lines();
        }
        self.start = self.pos;
        self.start_line = self.line;
    }

    fn accept(&mut self, valid: &str) -> bool {
        let c = self.next();
        if c.is_some_and(|c| valid.contains(c)) {
            return true;
        }
        self.backup(c);
        false
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    /// Ends the scan: what follows is an empty input.
    fn error(&mut self, message: String) -> Step<'t> {
        let token = Token {
            kind: Kind::Error,
            pos: self.start as u32,
            line: self.start_line,
            text: b"",
        };
        self.message = message;
        self.start = 0;
        self.pos = 0;
        self.input = b"";
        Step::Token(token)
    }

    fn lex_text(&mut self) -> Step<'t> {
        let Some(found) = find(self.rest(), self.delims.left) else {
            self.pos = self.input.len();
            if self.pos > self.start {
                self.line += self.count_lines();
                return self.emit(Kind::Text);
            }
            return self.emit(Kind::Eof);
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
            let token = self.token(Kind::Text);
            self.pos += trimmed;
            self.ignore();
            if !token.text.is_empty() {
                return Step::Token(token);
            }
        }
        Step::Next(State::LeftDelim)
    }

    fn lex_left_delim(&mut self) -> Step<'t> {
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
            return Step::Next(State::Comment);
        }
        let token = self.token(Kind::LeftDelim);
        self.is_inside_action = true;
        self.pos += marker;
        self.ignore();
        self.paren_depth = 0;
        Step::Token(token)
    }

    fn lex_comment(&mut self) -> Step<'t> {
        self.pos += 2;
        let Some(end) = memmem::find(self.rest(), b"*/") else {
            return self.error("unclosed comment".to_owned());
        };
        self.pos += end + 2;
        let Some(trims) = self.at_right_delim() else {
            return self.error("comment ends before closing delimiter".to_owned());
        };
        self.line += self.count_lines();
        self.token(Kind::Text);
        self.pos += self.delims.right.len();
        if trims {
            self.pos += TRIM_MARKER_LEN;
            self.pos += leading_space(self.rest());
        }
        self.ignore();
        Step::Next(State::Text)
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

    fn lex_right_delim(&mut self) -> Step<'t> {
        let trims = self.at_right_delim() == Some(true);
        if trims {
            self.pos += TRIM_MARKER_LEN;
            self.ignore();
        }
        self.pos += self.delims.right.len();
        let token = self.token(Kind::RightDelim);
        if trims {
            self.pos += leading_space(self.rest());
            self.ignore();
        }
        self.is_inside_action = false;
        Step::Token(token)
    }

    fn lex_inside_action(&mut self) -> Step<'t> {
        let rest = self.rest();
        // Most tokens begin with a letter, a dot, a dollar sign or a single space.
        match rest {
            [b' ', next, ..]
                if !matches!(next, b' ' | b'\t' | b'\r' | b'\n' | b'-') && !self.is_delim(b' ') =>
            {
                self.pos += 1;
                return self.emit(Kind::Space);
            }
            [first, ..] if is_ascii_letter(*first) && !self.is_delim(*first) => return self.lex_identifier(),
            _ => {}
        }
        if self.at_right_delim().is_some() {
            if self.paren_depth == 0 {
                return Step::Next(State::RightDelim);
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
            '"' => self.lex_quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.lex_quoted('\'', Kind::CharConstant, "unterminated character constant"),
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
            _ => self.error(format!(
                "unrecognized character in action: {}",
                show_char(Some(c))
            )),
        }
    }

    /// Tells whether the right delimiter may begin with this byte.
    fn is_delim(&self, byte: u8) -> bool {
        self.delims.right.first() == Some(&byte)
    }

    fn lex_space(&mut self) -> Step<'t> {
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
                return Step::Next(State::RightDelim);
            }
        }
        self.emit(Kind::Space)
    }

    fn lex_identifier(&mut self) -> Step<'t> {
        let stop = self.skip_alphanumeric();
        let word = self.current();
        if !self.at_terminator() {
            return self.error(format!("bad character {}", show_char(stop)));
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
        let is_word = |byte: &&u8| is_ascii_letter(**byte) || byte.is_ascii_digit();
        self.pos += self.rest().iter().take_while(is_word).count();
        if let Some(stop) = self.rest().first().filter(|byte| byte.is_ascii()) {
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
    fn lex_field_or_variable(&mut self, kind: Kind) -> Step<'t> {
        if self.at_terminator() {
            let alone = if kind == Kind::Field { Kind::Dot } else { kind };
            return self.emit(alone);
        }
        let stop = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.error(format!("bad character {}", show_char(stop)));
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

    fn lex_number(&mut self) -> Step<'t> {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.current().ends_with(b"i") {
                return self.bad_number();
            }
            return self.emit(Kind::Complex);
        }
        self.emit(Kind::Number)
    }

    fn bad_number(&mut self) -> Step<'t> {
        self.error(format!("bad number syntax: {}", quote_bytes(self.current())))
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        let (mut is_decimal, mut is_hex) = (true, false);
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
                (is_decimal, is_hex) = (false, true);
            } else if self.accept("oO") {
                digits = "01234567_";
                is_decimal = false;
            } else if self.accept("bB") {
                digits = "01_";
                is_decimal = false;
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if is_decimal && self.accept("eE") || is_hex && self.accept("pP") {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    /// Scans to the closing quote; the parser checks the escapes.
    fn lex_quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Step<'t> {
        loop {
            let plain = self
                .rest()
                .iter()
                .take_while(|byte| !matches!(byte, b'"' | b'\'' | b'\\' | b'\n'));
            self.pos += plain.count();
            let mut c = self.next();
            if c == Some('\\') {
                c = self.next();
                if !matches!(c, None | Some('\n')) {
                    continue;
                }
            }
            match c {
                None | Some('\n') => return self.error(unterminated.to_owned()),
                Some(c) if c == quote => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn lex_raw(&mut self) -> Step<'t> {
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
