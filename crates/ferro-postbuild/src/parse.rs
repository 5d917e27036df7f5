//! The grammar: from text to a list of literal parts and expressions.

use std::borrow::Cow;

use ferro_gocompat::unicode;

use crate::{Error, MAX_DEPTH};

/// A part of a text or of an operator's argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    /// Characters that stand for themselves.
    Text(Cow<'a, str>),
    /// `${param}` or `${param op args}`.
    Expr(Expr<'a>),
}

/// One expression. The operator is empty for a plain reference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expr<'a> {
    pub(crate) param: &'a str,
    pub(crate) op: &'a str,
    pub(crate) args: Vec<Node<'a>>,
}

/// Parses a whole text.
pub(crate) fn parse(text: &str) -> Result<Vec<Node<'_>>, Error> {
    let mut parser = Parser { text, pos: 0 };
    let mut nodes = Vec::new();
    while !parser.rest().is_empty() {
        if parser.eat("${") {
            nodes.push(Node::Expr(parser.expression(0)?));
        } else {
            nodes.push(Node::Text(parser.literal(|_| true, Escapes::Dollar)));
        }
    }
    Ok(nodes)
}

/// Which escapes a literal understands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    /// `$$`
    Dollar,
    /// `$$`, `\/` and `\\`
    DollarAndBackslash,
}

struct Parser<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    /// Takes characters while `accept` holds, at most `max` of them; they are all ASCII operators or names.
    fn take(&mut self, max: usize, accept: impl Fn(usize, char) -> bool) -> &'a str {
        let rest = self.rest();
        let len: usize = rest
            .chars()
            .take(max)
            .enumerate()
            .take_while(|&(i, c)| accept(i, c))
            .map(|(_, c)| c.len_utf8())
            .sum();
        self.pos += len;
        rest.get(..len).unwrap_or_default()
    }

    /// Takes literal text up to `${`, a character that is not accepted, or the end.
    fn literal(&mut self, accept: impl Fn(char) -> bool, escapes: Escapes) -> Cow<'a, str> {
        let mut owned: Option<String> = None;
        let start = self.pos;
        while let Some(c) = self.peek() {
            let rest = self.rest();
            if rest.starts_with("${") {
                break;
            }
            let escaped = match escapes {
                Escapes::None => None,
                Escapes::Dollar => ["$$"].iter().find(|e| rest.starts_with(**e)),
                Escapes::DollarAndBackslash => ["$$", "\\/", "\\\\"].iter().find(|e| rest.starts_with(**e)),
            };
            if let Some(pair) = escaped {
                let text = owned.get_or_insert_with(|| self.since(start).to_owned());
                text.push_str(pair.get(1..).unwrap_or_default());
                self.pos += pair.len();
                continue;
            }
            if !accept(c) {
                break;
            }
            if let Some(text) = &mut owned {
                text.push(c);
            }
            self.pos += c.len_utf8();
        }
        owned.map_or_else(|| Cow::Borrowed(self.since(start)), Cow::Owned)
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.pos).unwrap_or_default()
    }

    /// Parses what follows `${`.
    fn expression(&mut self, depth: usize) -> Result<Expr<'a>, Error> {
        if depth >= MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        if self.peek() == Some('#') {
            return self.length();
        }
        let param = self.take(usize::MAX, |_, c| is_name(c));
        if param.is_empty() {
            return Err(Error::VariableName);
        }
        match self.peek() {
            Some(':') => self.default_or_substring(param, depth),
            Some('=') => self.default_value(param, depth),
            Some(',' | '^') => {
                let op = self.take(2, |_, c| c == ',' || c == '^');
                self.close(Expr {
                    param,
                    op,
                    args: Vec::new(),
                })
            }
            Some('/') => self.replace(param, depth),
            Some(sign @ ('#' | '%')) => {
                let op = self.take(2, |_, c| c == sign);
                let pattern = self.argument(|c| c != '}', Escapes::None, depth)?;
                self.close(Expr {
                    param,
                    op,
                    args: vec![pattern],
                })
            }
            Some('}') => self.close(Expr {
                param,
                op: "",
                args: Vec::new(),
            }),
            _ => Err(Error::MissingClosingBrace),
        }
    }

    /// `${#param}`
    fn length(&mut self) -> Result<Expr<'a>, Error> {
        let op = self.take(1, |_, c| c == '#');
        let param = self.take(usize::MAX, |_, c| is_name(c));
        if param.is_empty() {
            return Err(Error::BadSubstitution);
        }
        self.close(Expr {
            param,
            op,
            args: Vec::new(),
        })
    }

    fn default_or_substring(&mut self, param: &'a str, depth: usize) -> Result<Expr<'a>, Error> {
        match self.rest().chars().nth(1) {
            Some('=' | '-' | '?' | '+') => self.default_value(param, depth),
            // Upstream loses its place here when the offset is missing or does not begin with ASCII.
            None => Err(Error::BadSubstitution),
            Some(c) if !c.is_ascii() => Err(Error::BadSubstitution),
            Some(_) => self.substring(param, depth),
        }
    }

    /// `${param=word}`, `${param:=word}` and the other three signs.
    fn default_value(&mut self, param: &'a str, depth: usize) -> Result<Expr<'a>, Error> {
        let op = self.take(if self.peek() == Some('=') { 1 } else { 2 }, |_, _| true);
        let mut args = Vec::new();
        while self.peek() != Some('}') {
            args.push(self.argument(|c| c != '}', Escapes::None, depth)?);
        }
        self.close(Expr { param, op, args })
    }

    /// `${param:offset}` and `${param:offset:length}`
    fn substring(&mut self, param: &'a str, depth: usize) -> Result<Expr<'a>, Error> {
        let op = self.take(1, |_, c| c == ':');
        let mut args = vec![self.argument(|c| c != ':' && c != '}', Escapes::None, depth)?];
        if self.peek() == Some(':') {
            // Any number of colons separates the two numbers.
            self.take(usize::MAX, |_, c| c == ':');
            args.push(self.argument(|c| c != '}', Escapes::None, depth)?);
        }
        self.close(Expr { param, op, args })
    }

    /// `${param/old/new}`, `${param//old/new}`, `${param/#old/new}` and `${param/%old/new}`
    fn replace(&mut self, param: &'a str, depth: usize) -> Result<Expr<'a>, Error> {
        let op = self.take(2, |i, c| {
            if i == 0 {
                c == '/'
            } else {
                matches!(c, '/' | '#' | '%')
            }
        });
        // The text to replace runs to the next slash, over closing braces.
        let old = self.argument(|c| c != '/', Escapes::DollarAndBackslash, depth)?;
        if self.take(usize::MAX, |_, c| c == '/').is_empty() {
            return Err(Error::BadSubstitution);
        }
        let mut args = vec![old];
        if self.peek() != Some('}') {
            args.push(self.argument(|c| c != '}', Escapes::DollarAndBackslash, depth)?);
        }
        self.close(Expr { param, op, args })
    }

    /// Parses an argument: one nested expression, or literal text that is not empty.
    fn argument(
        &mut self,
        accept: impl Fn(char) -> bool,
        escapes: Escapes,
        depth: usize,
    ) -> Result<Node<'a>, Error> {
        if self.eat("${") {
            return Ok(Node::Expr(self.expression(depth + 1)?));
        }
        let start = self.pos;
        let text = self.literal(accept, escapes);
        if self.pos == start {
            Err(Error::FunctionArgument)
        } else {
            Ok(Node::Text(text))
        }
    }

    fn close(&mut self, expr: Expr<'a>) -> Result<Expr<'a>, Error> {
        if self.eat("}") {
            Ok(expr)
        } else {
            Err(Error::BadSubstitution)
        }
    }
}

fn is_name(c: char) -> bool {
    c == '_' || unicode::is_letter(c) || unicode::is_digit(c)
}
