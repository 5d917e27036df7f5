//! Tokens.

use ferro_gocompat::literal::decode;
use ferro_gocompat::quote::quote_bytes;

use crate::value::lossy;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    // Keywords come last: they are shown differently in errors.
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token: its kind, where it starts, and what it says. The message of an error is the lexer's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'t> {
    pub(crate) kind: Kind,
    pub(crate) pos: u32,
    pub(crate) line: u32,
    pub(crate) text: &'t [u8],
}

impl Token<'_> {
    /// What stands where no token was read yet.
    pub(crate) const NONE: Self = Self {
        kind: Kind::Error,
        pos: 0,
        line: 0,
        text: b"",
    };

    /// Returns the token as errors show it.
    pub(crate) fn show(&self) -> String {
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            kind if kind >= Kind::Block => format!("<{}>", lossy(self.text)),
            _ if self.text.len() > 10 => format!("{}...", quote_bytes(first_chars(self.text, 10))),
            _ => quote_bytes(self.text),
        }
    }
}

fn first_chars(text: &[u8], count: usize) -> &[u8] {
    let mut end = 0;
    for _ in 0..count {
        end += decode(text.get(end..).unwrap_or_default()).1;
    }
    text.get(..end).unwrap_or(text)
}
