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

/// A token: its kind, where it starts, and how long it is. The message of an error is the lexer's.
///
/// It is small, because the parser looks at each one several times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) pos: u32,
    pub(crate) len: u32,
    pub(crate) line: u32,
    pub(crate) kind: Kind,
}

impl Token {
    /// What stands where no token was read yet.
    pub(crate) const NONE: Self = Self {
        pos: 0,
        len: 0,
        line: 0,
        kind: Kind::Error,
    };

    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let start = self.pos as usize;
        start..start + self.len as usize
    }

    /// Returns the token of this input as errors show it.
    pub(crate) fn show(&self, input: &[u8]) -> String {
        let text = input.get(self.range()).unwrap_or_default();
        match self.kind {
            Kind::Eof => "EOF".to_owned(),
            kind if kind >= Kind::Block => format!("<{}>", lossy(text)),
            _ if text.len() > 10 => format!("{}...", quote_bytes(first_chars(text, 10))),
            _ => quote_bytes(text),
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
