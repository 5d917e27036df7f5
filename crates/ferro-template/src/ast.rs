//! Parsed templates: expressions as trees, control structures as flat code with jumps.
//!
//! Flat code keeps deeply nested templates off the stack, both when they run and when they are dropped;
//! only parentheses nest expressions, and the parser bounds those. What there is a number of is in lists of the
//! template, and nodes name their part of them: most templates of a chart are parsed and never run, so that
//! parsing should cost few allocations.

use std::borrow::Cow;
use std::sync::Arc;

use crate::func::Function;
use crate::value::{Key, Text, lossy};

/// A byte offset in the text of the template.
pub(crate) type Pos = u32;

/// The index of an operation.
pub(crate) type Label = u32;

/// A parsed template: the body of a file or of a `define`.
pub(crate) struct Tree {
    pub(crate) name: Text,
    /// What was parsed; a `define` shares it with the file that it stands in.
    pub(crate) source: Arc<Source>,
    pub(crate) code: Box<[Op]>,
    pub(crate) lists: Lists,
    /// Whether there is nothing but space and comments.
    pub(crate) is_empty: bool,
}

/// What nodes of a template have a number of.
#[derive(Default)]
pub(crate) struct Lists {
    /// The names of the variables by their ids.
    pub(crate) variables: Vec<Arc<str>>,
    /// The functions that it names, each once.
    pub(crate) functions: Vec<Function>,
    /// The commands of pipelines, but their first ones.
    pub(crate) commands: Vec<Command>,
    /// The operands of commands.
    pub(crate) operands: Vec<Expr>,
    /// The names of fields.
    pub(crate) fields: Vec<Key>,
}

/// A part of a list.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Part {
    /// From an index to the end of a list, which has no more entries than its text has bytes.
    pub(crate) fn from<T>(start: usize, list: &[T]) -> Self {
        Self {
            start: start as u32,
            len: (list.len() - start) as u32,
        }
    }

    pub(crate) fn of<T>(self, list: &[T]) -> &[T] {
        let start = self.start as usize;
        list.get(start..start + self.len as usize).unwrap_or_default()
    }
}

impl Lists {
    /// With room for a template of usual size.
    pub(crate) fn with_room() -> Self {
        Self {
            variables: Vec::with_capacity(8),
            functions: Vec::with_capacity(16),
            commands: Vec::with_capacity(16),
            operands: Vec::with_capacity(64),
            fields: Vec::with_capacity(64),
        }
    }

    /// Takes everything out, into memory of the right size; the room stays.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            variables: self.variables.drain(..).collect(),
            functions: self.functions.drain(..).collect(),
            commands: self.commands.drain(..).collect(),
            operands: self.operands.drain(..).collect(),
            fields: self.fields.drain(..).collect(),
        }
    }

    /// The commands of a pipeline after the first.
    pub(crate) fn others(&self, pipe: &Pipe) -> &[Command] {
        pipe.others.of(&self.commands)
    }

    pub(crate) fn operands(&self, command: &Command) -> &[Expr] {
        command.args.of(&self.operands)
    }

    pub(crate) fn fields(&self, fields: Fields) -> &[Key] {
        fields.of(&self.fields)
    }

    /// The name of a variable.
    pub(crate) fn variable(&self, variable: Variable) -> &str {
        self.variables.get(variable as usize).map_or("$", |name| name)
    }
}

/// A text and the name under which errors mention it.
pub(crate) struct Source {
    pub(crate) name: Text,
    /// Whoever had it read may hold it, too.
    pub(crate) text: Arc<[u8]>,
    pub(crate) is_utf8: bool,
}

/// A part of the text of a template.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: Pos,
    pub(crate) len: u32,
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

impl Source {
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The part, when the whole is UTF-8.
    pub(crate) fn str(&self, span: Span) -> Option<&str> {
        std::str::from_utf8(self.is_utf8.then(|| self.bytes(span))?).ok()
    }

    pub(crate) fn lossy(&self, span: Span) -> Cow<'_, str> {
        match self.str(span) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(lossy(self.bytes(span))),
        }
    }
}

/// A step of execution.
pub(crate) enum Op {
    Text(Span),
    Action(Action),
    /// Opens a scope; goes to `otherwise` when the pipeline is false.
    If {
        pipe: Pipe,
        otherwise: Label,
    },
    /// Likewise, and sets dot.
    With {
        pipe: Pipe,
        otherwise: Label,
    },
    /// Opens a scope and starts a loop; the body follows.
    Range(Box<Range>),
    /// Goes on with the innermost loop, or to its end.
    Next,
    Jump(Label),
    /// Closes the innermost scope.
    EndScope,
    Break,
    Continue,
    Template(Box<Invoke>),
}

/// A pipeline whose value is printed, unless it declares variables.
pub(crate) struct Action {
    pub(crate) pos: Pos,
    pub(crate) pipe: Pipe,
}

/// A loop.
pub(crate) struct Range {
    pub(crate) pipe: Pipe,
    /// Where [`Op::Next`] stands.
    pub(crate) next: Label,
    /// Where to go when there is nothing to iterate over.
    pub(crate) otherwise: Label,
    /// Where [`Op::EndScope`] stands.
    pub(crate) end: Label,
}

/// A `template` action.
pub(crate) struct Invoke {
    pub(crate) pos: Pos,
    pub(crate) name: Text,
    pub(crate) pipe: Option<Pipe>,
}

/// Commands, and the variables that get the value of the last.
pub(crate) struct Pipe {
    pub(crate) pos: Pos,
    pub(crate) is_assign: bool,
    pub(crate) variables: Declared,
    pub(crate) first: Command,
    /// Those that get the value of the one before.
    pub(crate) others: Part,
}

/// A variable: its place among the names of its tree.
pub(crate) type Variable = u32;

/// The variables of a pipeline: `range` has up to two, others up to one.
#[derive(Clone, Copy, Default)]
pub(crate) struct Declared {
    ids: [Variable; 2],
    count: u8,
}

impl Declared {
    pub(crate) fn push(&mut self, variable: Variable) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.count)) {
            *slot = variable;
            self.count += 1;
        }
    }

    pub(crate) fn as_slice(&self) -> &[Variable] {
        self.ids.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// An operand and its arguments.
#[derive(Clone, Copy, Default)]
pub(crate) struct Command {
    pub(crate) pos: Pos,
    pub(crate) args: Part,
}

/// An operand.
pub(crate) enum Expr {
    Bool {
        pos: Pos,
        value: bool,
    },
    /// Fields of a parenthesised pipeline or a function's result.
    Chain {
        pos: Pos,
        base: Box<Self>,
        fields: Fields,
    },
    Dot {
        pos: Pos,
    },
    Field {
        pos: Pos,
        fields: Fields,
    },
    Function {
        name: Span,
        /// Its place among the functions of its tree.
        function: u32,
    },
    Nil {
        pos: Pos,
    },
    Number {
        pos: Pos,
        number: Box<Number>,
    },
    Pipe(Box<Pipe>),
    Str {
        quoted: Span,
        text: Text,
    },
    Variable {
        pos: Pos,
        variable: Variable,
        fields: Fields,
    },
}

/// Names of fields, without their dots, in the form in which maps are asked for them.
pub(crate) type Fields = Part;

/// A number, as every type that can represent it.
pub(crate) struct Number {
    pub(crate) text: Box<str>,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
}

/// The value of a number where no type is asked for.
pub(crate) enum Ideal {
    Int(i64),
    Float(f64),
    Complex(f64, f64),
    Overflow,
}

impl Number {
    pub(crate) fn ideal(&self) -> Ideal {
        let is_char = self.text.starts_with('\'');
        let is_hex_int = self.text.len() > 2
            && (self.text.starts_with("0x") || self.text.starts_with("0X"))
            && !self.text.contains(['p', 'P']);
        let looks_float = !is_hex_int && !is_char && self.text.contains(['.', 'e', 'E', 'p', 'P']);
        match *self {
            Self {
                complex: Some((re, im)),
                ..
            } => Ideal::Complex(re, im),
            Self {
                float: Some(float), ..
            } if looks_float => Ideal::Float(float),
            Self { int: Some(int), .. } => Ideal::Int(int),
            _ => Ideal::Overflow,
        }
    }
}

impl Expr {
    pub(crate) fn pos(&self) -> Pos {
        match self {
            Self::Bool { pos, .. }
            | Self::Chain { pos, .. }
            | Self::Dot { pos }
            | Self::Field { pos, .. }
            | Self::Nil { pos }
            | Self::Number { pos, .. }
            | Self::Variable { pos, .. } => *pos,
            Self::Function { name: span, .. } | Self::Str { quoted: span, .. } => span.start,
            Self::Pipe(pipe) => pipe.pos,
        }
    }
}

impl Tree {
    /// Returns `name:line:column` of a position, with lines from one and columns from zero.
    pub(crate) fn location(&self, pos: Pos) -> String {
        let pos = usize::try_from(pos).unwrap_or(usize::MAX);
        let text = &*self.source.text;
        let before = text.get(..pos).unwrap_or(text);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column =
            memchr::memrchr(b'\n', before).map_or(before.len(), |newline| before.len() - newline - 1);
        format!("{}:{line}:{column}", self.source.name)
    }
}
