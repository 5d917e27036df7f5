//! Prints nodes as errors mention them.

use ferro_gocompat::quote::quote_bytes;

use crate::ast::{Action, Command, Expr, Invoke, Pipe, Pos};
use crate::value::{Key, lossy};

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
    pub(crate) fn text(self) -> String {
        let mut out = Vec::new();
        match self {
            Self::Action(action) => {
                out.extend_from_slice(b"{{");
                pipe(&mut out, &action.pipe);
                out.extend_from_slice(b"}}");
            }
            Self::Pipe(node) => pipe(&mut out, node),
            Self::Command(node) => command(&mut out, node),
            Self::Expr(node) => expr(&mut out, node),
            Self::Invoke(node) => invoke(&mut out, node),
        }
        lossy(&out)
    }
}

/// Returns the text of an operand.
pub(crate) fn expr_text(node: &Expr) -> String {
    Node::Expr(node).text()
}

fn invoke(out: &mut Vec<u8>, node: &Invoke) {
    out.extend_from_slice(b"{{template ");
    out.extend_from_slice(quote_bytes(node.name.as_bytes()).as_bytes());
    if let Some(argument) = &node.pipe {
        out.push(b' ');
        pipe(out, argument);
    }
    out.extend_from_slice(b"}}");
}

fn pipe(out: &mut Vec<u8>, node: &Pipe) {
    for (index, variable) in node.variables.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(variable.name.as_bytes());
    }
    if !node.variables.is_empty() {
        out.extend_from_slice(if node.is_assign { b" = " } else { b" := " });
    }
    for (index, part) in node.commands.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b" | ");
        }
        command(out, part);
    }
}

fn command(out: &mut Vec<u8>, node: &Command) {
    for (index, arg) in node.args.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        parenthesised(out, arg);
    }
}

fn parenthesised(out: &mut Vec<u8>, node: &Expr) {
    if let Expr::Pipe(node) = node {
        out.push(b'(');
        crate::stack::guarded(|| pipe(out, node));
        out.push(b')');
    } else {
        expr(out, node);
    }
}

fn expr(out: &mut Vec<u8>, node: &Expr) {
    match node {
        Expr::Bool { value, .. } => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Expr::Chain { base, fields, .. } => {
            parenthesised(out, base);
            chain(out, fields);
        }
        Expr::Dot { .. } => out.push(b'.'),
        Expr::Field { fields, .. } => chain(out, fields),
        Expr::Function { name, .. } => out.extend_from_slice(name.as_bytes()),
        Expr::Nil { .. } => out.extend_from_slice(b"nil"),
        Expr::Number { number, .. } => out.extend_from_slice(number.text.as_bytes()),
        Expr::Pipe(node) => crate::stack::guarded(|| pipe(out, node)),
        Expr::Str { quoted, .. } => out.extend_from_slice(quoted),
        Expr::Variable { variable, fields, .. } => {
            out.extend_from_slice(variable.name.as_bytes());
            chain(out, fields);
        }
    }
}

fn chain(out: &mut Vec<u8>, fields: &[Key]) {
    for field in fields {
        out.push(b'.');
        out.extend_from_slice(field.as_text().as_bytes());
    }
}
