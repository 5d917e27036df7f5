//! The parser: tokens to code, with the errors of Go's.

mod pipeline;

use std::sync::Arc;

use ferro_gocompat::literal::{LiteralError, unquote};
use ferro_gocompat::quote::quote_bytes;

use smallvec::{SmallVec, smallvec};

use crate::ast::{Action, Expr, Invoke, Label, Lists, Op, Range, Source, Span, Tree, Variable};
use crate::error::{Error, ErrorKind};
use crate::func::Functions;
use crate::lex::{Delims, Kind, Lexer, Token};
use crate::show::Names;
use crate::stack::guarded;
use crate::value::{Text, lossy};

/// How deep parentheses may nest.
const MAX_PAREN_DEPTH: usize = 10_000;

/// Parses a text and returns the templates that it defines: the one of that name, and those of `define` and
/// `block`.
pub(crate) fn parse(
    name: &Text,
    text: &Arc<[u8]>,
    delims: Delims<'_>,
    functions: &Functions,
) -> Result<File, Error> {
    if u32::try_from(text.len()).is_err() {
        return Err(Error::of_kind(
            ErrorKind::Limit,
            format!("template: {name}: larger than 4 GiB"),
        ));
    }
    let utf8 = std::str::from_utf8(text).ok();
    let source = Arc::new(Source {
        name: name.clone(),
        text: Arc::clone(text),
        is_utf8: utf8.is_some(),
    });
    let mut lexer = Lexer::new(text, delims);
    lexer.break_is_keyword = functions.get("break").is_none();
    lexer.continue_is_keyword = functions.get("continue").is_none();
    let dollar = Arc::from("$");
    let mut parser = Parser {
        lexer,
        text,
        utf8,
        functions,
        source: &source,
        trees: Vec::new(),
        args: Vec::new(),
        dollar: Arc::clone(&dollar),
        body: Body::new(dollar),
        rooms: Vec::new(),
    };
    parser.file()?;
    let none = Body::in_room_of(Vec::new(), Lists::default(), Arc::clone(&parser.dollar));
    let body = std::mem::replace(&mut parser.body, none);
    Ok(File {
        end: body.tokens[0].line,
        root: parser.tree(Text::default(), body),
        definitions: parser.trees,
    })
}

/// A parsed text that has yet to get its name.
pub(crate) struct File {
    definitions: Vec<Tree>,
    root: Tree,
    /// The line on which the text ends.
    end: u32,
}

impl File {
    /// The trees of the text, which bear this name where they show where they come from.
    pub(crate) fn named(mut self, name: &Text) -> Result<Vec<Tree>, Error> {
        if self.root.source.name != *name {
            let source = Arc::new(Source {
                name: name.clone(),
                text: Arc::clone(&self.root.source.text),
                is_utf8: self.root.source.is_utf8,
            });
            for tree in self.definitions.iter_mut().chain([&mut self.root]) {
                tree.source = Arc::clone(&source);
            }
        }
        self.root.name = name.clone();
        add(&mut self.definitions, self.root, self.end)?;
        Ok(self.definitions)
    }
}

/// Adds a template that ends on this line to those of its text.
fn add(trees: &mut Vec<Tree>, tree: Tree, line: u32) -> Result<(), Error> {
    match trees.iter_mut().find(|known| known.name == tree.name) {
        None => trees.push(tree),
        Some(known) if known.is_empty => *known = tree,
        Some(_) if tree.is_empty => {}
        Some(_) => {
            // The message has its own prefix in Go, too.
            let name = quote_bytes(tree.name.as_bytes());
            let text = format!("template: multiple definition of template {name}");
            let text = format!("template: {}:{line}: {text}", tree.source.name);
            return Err(Error::of_kind(ErrorKind::Parse, text));
        }
    }
    Ok(())
}

struct Parser<'p> {
    lexer: Lexer<'p>,
    text: &'p [u8],
    /// The text, if it is UTF-8: so its parts are not looked at one by one.
    utf8: Option<&'p str>,
    functions: &'p Functions,
    source: &'p Arc<Source>,
    trees: Vec<Tree>,
    /// The operands of commands that have begun, those of inner ones last.
    args: Vec<Expr>,
    /// The name of the variable that every template has.
    dollar: Arc<str>,
    body: Body,
    /// What finished templates have left: there is one more for each level of nesting only.
    rooms: Vec<(Vec<Op>, Lists)>,
}

/// What is known of the template that is being parsed; a `define` or `block` in it has its own.
struct Body {
    code: Vec<Op>,
    /// Three tokens of lookahead, of which the last `ahead` are still to be read.
    tokens: [Token; 3],
    ahead: usize,
    lists: Lists,
    /// The variables that are visible.
    visible: SmallVec<[Variable; 8]>,
    /// The line on which the current action starts; zero outside of actions.
    action_line: u32,
    range_depth: usize,
    paren_depth: usize,
}

impl Body {
    fn new(dollar: Arc<str>) -> Self {
        Self::in_room_of(Vec::with_capacity(64), Lists::with_room(), dollar)
    }

    /// Takes over the memory of one that is finished.
    fn in_room_of(code: Vec<Op>, mut lists: Lists, dollar: Arc<str>) -> Self {
        lists.variables.push(dollar);
        Self {
            code,
            tokens: [Token::NONE; 3],
            ahead: 0,
            lists,
            visible: smallvec![0],
            action_line: 0,
            range_depth: 0,
            paren_depth: 0,
        }
    }

    fn variable(&mut self, name: &[u8]) -> Variable {
        // The names of variables are letters and digits.
        let names = &mut self.lists.variables;
        let known = names.iter().position(|known| known.as_bytes() == name);
        let index = known.unwrap_or_else(|| {
            names.push(lossy(name).into());
            names.len() - 1
        });
        index as Variable
    }
}

/// What ends a list of nodes.
enum End {
    End,
    /// The position of the token matters to nobody; `else if` and `else with` are still to be read.
    Else,
}

impl End {
    fn show(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

/// The control structures with a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    If,
    Range,
    With,
}

impl Control {
    fn name(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::Range => "range",
            Self::With => "with",
        }
    }
}

fn span_of(token: &Token) -> Span {
    Span {
        start: token.pos,
        len: token.len,
    }
}

impl<'p> Parser<'p> {
    fn next(&mut self) -> Token {
        if self.body.ahead > 0 {
            self.body.ahead -= 1;
        } else {
            self.body.tokens[0] = self.lexer.next_token();
        }
        self.body
            .tokens
            .get(self.body.ahead)
            .copied()
            .unwrap_or(self.body.tokens[0])
    }

    fn new_body(&mut self) -> Body {
        let dollar = Arc::clone(&self.dollar);
        match self.rooms.pop() {
            Some((code, lists)) => Body::in_room_of(code, lists, dollar),
            None => Body::new(dollar),
        }
    }

    fn bytes(&self, token: &Token) -> &'p [u8] {
        self.text.get(token.range()).unwrap_or_default()
    }

    fn str(&self, token: &Token) -> Option<&'p str> {
        match self.utf8 {
            Some(text) => text.get(token.range()),
            None => std::str::from_utf8(self.bytes(token)).ok(),
        }
    }

    /// The value of a quoted string.
    fn unquoted(&self, token: &Token) -> Result<Text, LiteralError> {
        // Most have no escapes.
        if let Some(quoted) = self.str(token)
            && quoted.starts_with(['"', '`'])
            && let Some(inner) = quoted.get(1..quoted.len() - 1)
            && memchr::memchr3(b'\\', b'\r', b'\n', inner.as_bytes()).is_none()
        {
            return Ok(Text::from(inner));
        }
        unquote(self.bytes(token)).map(Text::from)
    }

    fn names(&self) -> Names<'_> {
        Names {
            source: self.source,
            lists: &self.body.lists,
        }
    }

    fn backup(&mut self) {
        self.body.ahead += 1;
    }

    /// Backs up over a token before the last one.
    fn backup_two(&mut self, first: Token) {
        self.body.tokens[1] = first;
        self.body.ahead = 2;
    }

    fn backup_three(&mut self, first: Token, second: Token) {
        self.body.tokens[1] = second;
        self.body.tokens[2] = first;
        self.body.ahead = 3;
    }

    fn peek(&mut self) -> Token {
        if self.body.ahead == 0 {
            self.body.tokens[0] = self.lexer.next_token();
            self.body.ahead = 1;
        }
        let next = self.body.tokens.get(self.body.ahead - 1);
        next.copied().unwrap_or(self.body.tokens[0])
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn error(&self, message: impl std::fmt::Display) -> Error {
        let line = self.body.tokens[0].line;
        Error::of_kind(
            ErrorKind::Parse,
            format!("template: {}:{line}: {message}", self.source.name),
        )
    }

    fn unexpected(&self, token: &Token, context: &str) -> Error {
        if token.kind != Kind::Error {
            let shown = token.show(self.text);
            return self.error(format_args!("unexpected {shown} in {context}"));
        }
        // Nothing is read behind an error, so it is the lexer's last.
        let message = self.lexer.message();
        let started = self.body.action_line;
        if started == 0 || started == token.line {
            return self.error(message);
        }
        let in_action = if message.ends_with(" action") {
            ""
        } else {
            " in action"
        };
        let name = &self.source.name;
        self.error(format_args!("{message}{in_action} started at {name}:{started}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token, Error> {
        let token = self.next_non_space();
        if token.kind == kind {
            Ok(token)
        } else {
            Err(self.unexpected(&token, context))
        }
    }

    fn emit(&mut self, op: Op) -> Label {
        let label = self.here();
        self.body.code.push(op);
        label
    }

    /// Every operation has text of its own, so there are fewer of them than bytes.
    fn here(&self) -> Label {
        self.body.code.len() as Label
    }

    fn tree(&mut self, name: Text, mut body: Body) -> Tree {
        let is_empty = body
            .code
            .iter()
            .all(|op| matches!(op, Op::Text(span) if is_blank(self.source.bytes(*span))));
        let tree = Tree {
            name,
            source: Arc::clone(self.source),
            code: body.code.drain(..).collect(),
            lists: body.lists.take(),
            is_empty,
        };
        self.rooms.push((body.code, body.lists));
        tree
    }

    /// Adds a template to those of this text.
    fn add(&mut self, name: Text, body: Body) -> Result<(), Error> {
        let line = body.tokens[0].line;
        let tree = self.tree(name, body);
        add(&mut self.trees, tree, line)
    }

    /// The whole text: like [`Self::list`], but with definitions and up to the end.
    fn file(&mut self) -> Result<(), Error> {
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.definition()?;
                    continue;
                }
                self.backup_two(delim);
            }
            if let Some(end) = self.text_or_action()? {
                return Err(self.error(format_args!("unexpected {}", end.show())));
            }
        }
        Ok(())
    }

    fn definition(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "define clause";
        let body = self.new_body();
        let outer = std::mem::replace(&mut self.body, body);
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let end = self.list()?;
        self.check_end(&end, CONTEXT)?;
        let inner = std::mem::replace(&mut self.body, outer);
        self.add(name, inner)
    }

    fn check_end(&self, end: &End, context: &str) -> Result<(), Error> {
        match end {
            End::End => Ok(()),
            End::Else => Err(self.error(format_args!("unexpected {} in {context}", end.show()))),
        }
    }

    fn list(&mut self) -> Result<End, Error> {
        while self.peek_non_space().kind != Kind::Eof {
            if let Some(end) = self.text_or_action()? {
                return Ok(end);
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Result<Option<End>, Error> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => {
                self.emit(Op::Text(span_of(&token)));
                Ok(None)
            }
            Kind::LeftDelim => {
                self.body.action_line = token.line;
                let end = self.action();
                self.body.action_line = 0;
                end
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Option<End>, Error> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.jump("{{break}}", Op::Break)?,
            Kind::Continue => self.jump("{{continue}}", Op::Continue)?,
            Kind::Else => return self.else_end().map(Some),
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Some(End::End));
            }
            Kind::If => self.control(Control::If)?,
            Kind::Range => self.control(Control::Range)?,
            Kind::With => self.control(Control::With)?,
            Kind::Template => self.template()?,
            _ => {
                self.backup();
                let pos = self.peek().pos;
                let pipe = self.pipeline("command", Kind::RightDelim)?;
                self.emit(Op::Action(Action { pos, pipe }));
            }
        }
        Ok(None)
    }

    fn jump(&mut self, name: &str, op: Op) -> Result<(), Error> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return Err(self.unexpected(&token, name));
        }
        if self.body.range_depth == 0 {
            return Err(self.error(format_args!("{name} outside {{{{range}}}}")));
        }
        self.emit(op);
        Ok(())
    }

    fn else_end(&mut self) -> Result<End, Error> {
        // "else if" and "else with" are "else" and what follows, which is left to be read.
        if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
            self.expect(Kind::RightDelim, "else")?;
        }
        Ok(End::Else)
    }

    fn control(&mut self, control: Control) -> Result<(), Error> {
        let visible = self.body.visible.len();
        let parsed = guarded(|| self.control_body(control));
        self.body.visible.truncate(visible);
        parsed
    }

    fn control_body(&mut self, control: Control) -> Result<(), Error> {
        let pipe = self.pipeline(control.name(), Kind::RightDelim)?;
        let otherwise = Label::MAX;
        let start = self.emit(match control {
            Control::If => Op::If { pipe, otherwise },
            Control::With => Op::With { pipe, otherwise },
            Control::Range => Op::Range(Box::new(Range {
                pipe,
                next: 0,
                otherwise,
                end: 0,
            })),
        });
        let is_loop = control == Control::Range;
        self.body.range_depth += usize::from(is_loop);
        let ended = self.list()?;
        self.body.range_depth -= usize::from(is_loop);
        let last = self.emit(if is_loop { Op::Next } else { Op::Jump(Label::MAX) });
        let otherwise = self.here();
        if matches!(ended, End::Else) {
            self.else_branch(control)?;
        }
        let end = self.emit(Op::EndScope);
        self.link(start, last, otherwise, end);
        Ok(())
    }

    /// Fills in the jumps of a control structure.
    fn link(&mut self, start: Label, last: Label, otherwise: Label, end: Label) {
        match self.body.code.get_mut(start as usize) {
            Some(Op::If { otherwise: label, .. } | Op::With { otherwise: label, .. }) => *label = otherwise,
            Some(Op::Range(range)) => {
                range.next = last;
                range.otherwise = otherwise;
                range.end = end;
            }
            _ => {}
        }
        if let Some(Op::Jump(label)) = self.body.code.get_mut(last as usize) {
            *label = end;
        }
    }

    fn else_branch(&mut self, control: Control) -> Result<(), Error> {
        let follows = self.peek().kind;
        match (control, follows) {
            (Control::If, Kind::If) | (Control::With, Kind::With) => {
                // The inner structure's end is that of the outer, too.
                self.next();
                self.control(control)
            }
            _ => match self.list()? {
                End::End => Ok(()),
                end @ End::Else => Err(self.error(format_args!("expected end; found {}", end.show()))),
            },
        }
    }

    fn block(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let body = self.new_body();
        let outer = std::mem::replace(&mut self.body, body);
        let end = guarded(|| self.list())?;
        let inner = std::mem::replace(&mut self.body, outer);
        self.check_end(&end, CONTEXT)?;
        self.add(name.clone(), inner)?;
        self.emit(Op::Template(Box::new(Invoke {
            pos: token.pos,
            name,
            pipe: Some(pipe),
        })));
        Ok(())
    }

    fn template(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        self.emit(Op::Template(Box::new(Invoke {
            pos: token.pos,
            name,
            pipe,
        })));
        Ok(())
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Result<Text, Error> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquoted(token).map_err(|error| self.error(error)),
            _ => Err(self.unexpected(token, context)),
        }
    }
}

/// Tells whether there is only what Unicode calls white space.
fn is_blank(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().all(is_go_space))
}

/// `unicode.IsSpace`, which is Rust's White_Space property.
fn is_go_space(c: char) -> bool {
    c.is_whitespace()
}
