//! Prints nodes as errors mention them.

use ferro_gocompat::quote::quote_bytes;

use crate::ast::{Action, Command, Expr, Fields, Invoke, Lists, Pipe, Pos, Source, Tree};
use crate::value::lossy;

/// A node that errors can be about.
#[derive(Clone, Copy)]
pub(crate) enum Node<'t> {
    Action(&'t Action),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Expr(&'t Expr),
    Invoke(&'t Invoke),
}

impl Node<'_> {
    pub(crate) fn pos(self) -> Pos {
        match self {
            Self::Action(action) => action.pos,
            Self::Pipe(pipe) => pipe.pos,
            Self::Command(command) => command.pos,
            Self::Expr(expr) => expr.pos(),
            Self::Invoke(invoke) => invoke.pos,
        }
    }

    /// Returns the canonical text of the node.
    pub(crate) fn text(self, names: Names<'_>) -> String {
        let mut out = Printer {
            names,
            out: Vec::new(),
        };
        match self {
            Self::Action(action) => {
                out.write(b"{{");
                out.pipe(&action.pipe);
                out.write(b"}}");
            }
            Self::Pipe(node) => out.pipe(node),
            Self::Command(node) => out.command(node),
            Self::Expr(node) => out.expr(node),
            Self::Invoke(node) => out.invoke(node),
        }
        lossy(&out.out)
    }
}

/// Where nodes have the names that they do not hold themselves.
#[derive(Clone, Copy)]
pub(crate) struct Names<'t> {
    pub(crate) source: &'t Source,
    pub(crate) lists: &'t Lists,
}

impl Tree {
    pub(crate) fn names(&self) -> Names<'_> {
        Names {
            source: &self.source,
            lists: &self.lists,
        }
    }
}

struct Printer<'t> {
    names: Names<'t>,
    out: Vec<u8>,
}

impl<'t> Printer<'t> {
    fn write(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    fn invoke(&mut self, node: &Invoke) {
        self.write(b"{{template ");
        self.write(quote_bytes(node.name.as_bytes()).as_bytes());
        if let Some(argument) = &node.pipe {
            self.write(b" ");
            self.pipe(argument);
        }
        self.write(b"}}");
    }

    fn pipe(&mut self, node: &Pipe) {
        for (index, variable) in node.variables.as_slice().iter().enumerate() {
            if index > 0 {
                self.write(b", ");
            }
            self.variable(*variable);
        }
        if !node.variables.as_slice().is_empty() {
            self.write(if node.is_assign { b" = " } else { b" := " });
        }
        self.command(&node.first);
        let lists: &'t Lists = self.names.lists;
        for part in lists.others(node) {
            self.write(b" | ");
            self.command(part);
        }
    }

    fn command(&mut self, node: &Command) {
        let lists: &'t Lists = self.names.lists;
        for (index, arg) in lists.operands(node).iter().enumerate() {
            if index > 0 {
                self.write(b" ");
            }
            self.parenthesised(arg);
        }
    }

    fn parenthesised(&mut self, node: &Expr) {
        if let Expr::Pipe(node) = node {
            self.write(b"(");
            crate::stack::guarded(|| self.pipe(node));
            self.write(b")");
        } else {
            self.expr(node);
        }
    }

    fn expr(&mut self, node: &Expr) {
        match node {
            Expr::Bool { value, .. } => self.write(if *value { b"true" } else { b"false" }),
            Expr::Chain { base, fields, .. } => {
                self.parenthesised(base);
                self.chain(*fields);
            }
            Expr::Dot { .. } => self.write(b"."),
            Expr::Field { fields, .. } => self.chain(*fields),
            Expr::Function { name: span, .. } | Expr::Str { quoted: span, .. } => {
                self.write(self.names.source.bytes(*span));
            }
            Expr::Nil { .. } => self.write(b"nil"),
            Expr::Number { number, .. } => self.write(number.text.as_bytes()),
            Expr::Pipe(node) => crate::stack::guarded(|| self.pipe(node)),
            Expr::Variable { variable, fields, .. } => {
                self.variable(*variable);
                self.chain(*fields);
            }
        }
    }

    fn variable(&mut self, variable: u32) {
        let lists: &'t Lists = self.names.lists;
        self.write(lists.variable(variable).as_bytes());
    }

    fn chain(&mut self, fields: Fields) {
        let lists: &'t Lists = self.names.lists;
        for field in lists.fields(fields) {
            self.write(b".");
            self.write(field.as_text().as_bytes());
        }
    }
}
